//! The paper's Figure 3 as SVG: bars of the time of a product, of the time of a network, and of the
//! network's test error.

use super::record::Bench;
use super::text::time;
use super::timings::{Row, Timed};
use crate::summary::percent;
use crate::svg::{GREY, bar, colour, label, page};

const WIDTH: f64 = 640.0;
/// Right edge of the bars; figures lie to their right.
const RIGHT: f64 = 520.0;
/// Left edge, names being left of it: those of kernels on a GPU are longer.
const LEFT: f64 = 120.0;
const LEFT_ON_GPU: f64 = 150.0;
/// From one bar to the next, and the height of one.
const PITCH: f64 = 18.0;
const THICK: f64 = 12.0;

/// Draws the panels one below the other.
pub fn svg(bench: &Bench) -> String {
    let mut panels =
        vec![times(&format!("(a) time of {}", bench.timings.product.case), &bench.timings.product)];
    if let Some(timed) = bench.timings.network.timed() {
        let data = &bench.what.network.data;
        panels.push(times(&format!("(b) time of all test images of {data}"), timed));
        panels.push(errors("(c) test error", timed));
    }
    let rows: usize = panels.iter().map(|panel| panel.bars.len() + 3).sum();
    let title = format!("{}, tier {}", bench.title, bench.tier);
    let mut text = page([WIDTH, 30.0 + PITCH * rows as f64], 16.0, &title);
    let left = if bench.is_gpu() { LEFT_ON_GPU } else { LEFT };
    let mut y = 30.0;
    for panel in &panels {
        y = panel.draw(&mut text, left, y);
    }
    text + "</svg>\n"
}

/// Bars under a heading.
struct Panel {
    heading: String,
    /// Name, length from 0 to 1, and figure.
    bars: Vec<(String, f64, String)>,
}

/// Times on a logarithmic scale, from half of the shortest.
fn times(heading: &str, timed: &Timed) -> Panel {
    let seconds = || timed.rows.iter().map(|row| row.seconds);
    let (shortest, longest) =
        (seconds().fold(f64::INFINITY, f64::min), seconds().fold(0.0, f64::max));
    let length =
        |seconds: f64| libm::log(2.0 * seconds / shortest) / libm::log(2.0 * longest / shortest);
    let figure = |row: &Row| {
        let scaled = if row.part.is_some() { ", scaled" } else { "" };
        format!("{}{scaled}", time(row.seconds))
    };
    let bar = |row: &Row| (row.name.clone(), length(row.seconds), figure(row));
    let heading = format!("{heading}, logarithmic scale");
    Panel { heading, bars: timed.rows.iter().map(bar).collect() }
}

/// Errors from nought.
fn errors(heading: &str, timed: &Timed) -> Panel {
    let known: Vec<(&Row, f64)> =
        timed.rows.iter().filter_map(|row| Some((row, row.error?))).collect();
    let most = known.iter().map(|(_, error)| *error).fold(f64::MIN_POSITIVE, f64::max);
    let bars = known
        .iter()
        .map(|(row, error)| (row.name.clone(), error / most, format!("{} %", percent(*error))));
    Panel { heading: heading.into(), bars: bars.collect() }
}

impl Panel {
    /// Draws the panel below `y` and returns where it ends.
    fn draw(&self, text: &mut String, left: f64, mut y: f64) -> f64 {
        y += PITCH;
        label(text, [16.0, y], "start", GREY, &self.heading);
        for (at, (name, length, figure)) in self.bars.iter().enumerate() {
            y += PITCH;
            let end = length * (RIGHT - left);
            label(text, [left - 6.0, y], "end", GREY, name);
            bar(text, [left, y - 10.0], [end, THICK], colour(at));
            label(text, [left + end + 6.0, y], "start", GREY, figure);
        }
        y + 2.0 * PITCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::tests::sample;
    use crate::bench::timings::Network;

    #[test]
    fn the_figure_has_three_panels_and_slower_bars_are_longer() {
        let bench = sample();
        insta::assert_snapshot!(svg(&bench));
        let bars = times("", &bench.timings.product).bars;
        assert!(bars[0].1 > 0.0 && bars[0].1 < bars[1].1 && bars.last().unwrap().1 == 1.0);
    }

    #[test]
    fn without_a_network_there_is_one_panel() {
        let mut bench = sample();
        bench.timings.network = Network::NotRun("set BNN_DATA".into());
        let text = svg(&bench);
        assert!(text.contains("(a)") && !text.contains("(b)") && !text.contains("(c)"));
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }
}
