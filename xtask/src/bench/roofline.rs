//! Rates under their roofs as SVG: multiply-adds per second against multiply-adds per byte of packed
//! operands, both on logarithmic scales.

use super::record::Bench;
use super::text::{block, rate};
use super::timings::{Reading, Timed};
use crate::svg::{GREY, LIGHT, colour, dot, label, page, path};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 540.0;
/// Left, right, top and bottom edge of the plot; the legend lies right of it.
const PLOT: [f64; 4] = [72.0, 620.0, 150.0, 490.0];

/// Where an intensity and a rate lie on the page.
struct Scale {
    /// Lowest and highest multiply-adds per byte.
    across: [f64; 2],
    /// Lowest and highest multiply-adds per second.
    up: [f64; 2],
}

/// Draws one dot per case and contender.
pub fn svg(bench: &Bench) -> String {
    let title = if bench.is_gpu() {
        "multiply-adds per second on one GPU, whose roofs are not measured"
    } else {
        "multiply-adds per second on one core, under the roofs of popcount and of reading"
    };
    let mut text = page([WIDTH, HEIGHT], PLOT[0], title);
    let timed = cases(bench);
    let scale = Scale::over(bench, &timed);
    scale.axes(&mut text);
    scale.roofs(&mut text, bench);
    let names = names(&timed);
    let mut free = PLOT[0];
    for timed in &timed {
        free = scale.case(&mut text, timed, &names, free);
    }
    legend(&mut text, &names, &bench.timings.peaks.reading);
    text + "</svg>\n"
}

/// The products of signs in the order of their multiply-adds per byte.
fn cases(bench: &Bench) -> Vec<&Timed> {
    let all = [&bench.timings.product].into_iter().chain(&bench.timings.cases);
    let mut all: Vec<&Timed> = all.filter(|timed| timed.intensity().is_some()).collect();
    all.sort_by(|a, b| a.intensity().unwrap_or(0.0).total_cmp(&b.intensity().unwrap_or(0.0)));
    all
}

/// What the colours and the dashed lines stand for, right of the plot.
fn legend(text: &mut String, names: &[&str], reading: &[Reading]) {
    let (x, mut y) = (PLOT[1] + 14.0, PLOT[2]);
    for (at, name) in names.iter().enumerate() {
        dot(text, [x, y - 4.0], colour(at), name);
        label(text, [x + 10.0, y], "start", GREY, name);
        y += 16.0;
    }
    if reading.is_empty() {
        return;
    }
    y += 16.0;
    label(text, [x, y], "start", GREY, "dashed: reading");
    for reading in reading {
        y += 16.0;
        let words = format!("{}, {:.0} GB/s", block(reading.block), reading.rate / 1e9);
        label(text, [x, y], "start", GREY, &words);
    }
}

/// The contenders of all cases, each once.
fn names<'a>(timed: &[&'a Timed]) -> Vec<&'a str> {
    let mut names = Vec::new();
    for row in timed.iter().flat_map(|timed| &timed.rows) {
        if !names.contains(&row.name.as_str()) {
            names.push(row.name.as_str());
        }
    }
    names
}

impl Scale {
    fn over(bench: &Bench, timed: &[&Timed]) -> Self {
        let intensities = || timed.iter().filter_map(|timed| timed.intensity());
        let rates = || timed.iter().flat_map(|timed| &timed.rows).map(|row| row.rate);
        let range = |least: f64, most: f64| [least / 2.0, most * 2.0];
        let across = range(intensities().fold(1e9, f64::min), intensities().fold(0.0, f64::max));
        let highest = rates().fold(bench.timings.peaks.popcount.unwrap_or(0.0), f64::max);
        Self { across, up: range(rates().fold(highest, f64::min), highest) }
    }

    fn place(&self, intensity: f64, rate: f64) -> [f64; 2] {
        let [left, right, top, bottom] = PLOT;
        let share = |value: f64, [least, most]: [f64; 2]| {
            libm::log(value / least) / libm::log(most / least)
        };
        let (across, up) = (share(intensity, self.across), share(rate, self.up));
        [left + across * (right - left), bottom - up * (bottom - top)]
    }

    fn axes(&self, text: &mut String) {
        let [left, right, top, bottom] = PLOT;
        for power in decades(self.up) {
            let y = self.place(self.across[0], power)[1];
            path(text, &format!("M{left} {y:.1}H{right}"), LIGHT, "");
            label(text, [left - 6.0, y + 4.0], "end", GREY, &rate(power));
        }
        for power in decades(self.across) {
            let x = self.place(power, self.up[0])[0];
            path(text, &format!("M{x:.1} {top}V{bottom}"), LIGHT, "");
            label(text, [x, bottom + 16.0], "middle", GREY, &power.to_string());
        }
        let words = "multiply-adds per byte of operands, a bit per sign";
        label(text, [(left + right) / 2.0, bottom + 36.0], "middle", GREY, words);
    }

    /// Popcount is a level; reading rises with the intensity until it meets that level.
    fn roofs(&self, text: &mut String, bench: &Bench) {
        let ceiling = bench.timings.peaks.popcount;
        if let Some(peak) = ceiling {
            let ([left, y], [right, _]) =
                (self.place(self.across[0], peak), self.place(self.across[1], peak));
            path(text, &format!("M{left:.1} {y:.1}H{right:.1}"), GREY, "");
            let words = format!("popcount in registers {}", rate(peak));
            label(text, [right - 4.0, y - 4.0], "end", GREY, &words);
        }
        for reading in &bench.timings.peaks.reading {
            self.slope(text, reading, ceiling.unwrap_or(self.up[1]));
        }
    }

    fn slope(&self, text: &mut String, reading: &Reading, ceiling: f64) {
        let from = self.across[0].max(self.up[0] / reading.rate);
        let to = self.across[1].min(ceiling / reading.rate);
        if from < to {
            let [start, end] = [from, to].map(|at| self.place(at, at * reading.rate));
            let line = format!("M{:.1} {:.1}L{:.1} {:.1}", start[0], start[1], end[0], end[1]);
            path(text, &line, GREY, " stroke-dasharray=\"4 3\"");
        }
    }

    /// Draws the dots of a case, and its name right of `free`; returns what is free for the next.
    fn case(&self, text: &mut String, timed: &Timed, names: &[&str], free: f64) -> f64 {
        let Some(intensity) = timed.intensity() else { return free };
        for row in &timed.rows {
            let at = names.iter().position(|name| *name == row.name).unwrap_or(0);
            let title = format!("{}, {}: {}", timed.case, row.name, rate(row.rate));
            dot(text, self.place(intensity, row.rate), colour(at), &title);
        }
        let x = (self.place(intensity, self.up[1])[0] + 4.0).max(free);
        let turned =
            format!("<g transform=\"translate({x:.1} {:.1}) rotate(-50)\">\n", PLOT[2] - 4.0);
        *text += &turned;
        label(text, [0.0, 0.0], "start", GREY, &timed.case);
        *text += "</g>\n";
        x + 16.0
    }
}

/// The powers of ten in a range.
fn decades([least, most]: [f64; 2]) -> impl Iterator<Item = f64> {
    let powers = (0..16).map(|power| 10f64.powi(power));
    powers.filter(move |&power| power >= least && power <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::tests::{sample, sample_gpu};

    #[test]
    fn every_case_and_contender_has_a_dot_under_the_roofs() {
        let bench = sample();
        let text = svg(&bench);
        assert_eq!(text.matches("r=\"3.5\"").count(), 3 + 2 + 3, "two cases and the legend");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_gpu_has_dots_without_roofs() {
        let text = svg(&sample_gpu());
        assert_eq!(text.matches("r=\"3.5\"").count(), 5 + 1 + 5, "two cases and the legend");
        assert!(text.contains("on one GPU") && text.contains("cuBLAS f32"));
        for absent in ["dashed", "popcount in registers", "NaN", "inf"] {
            assert!(!text.contains(absent), "{absent}");
        }
    }

    #[test]
    fn more_is_higher_and_further_right() {
        let bench = sample();
        let scale = Scale::over(&bench, &cases(&bench));
        let ([x, y], [further, higher]) = (scale.place(10.0, 1e9), scale.place(20.0, 2e9));
        assert!(further > x && higher < y);
        assert_eq!(scale.place(scale.across[0], scale.up[0]), [PLOT[0], PLOT[3]]);
    }

    #[test]
    fn a_processor_without_the_popcount_roof_has_the_others() {
        let mut bench = sample();
        bench.timings.peaks.popcount = None;
        let text = svg(&bench);
        assert!(!text.contains("popcount in registers") && text.contains("256 MiB, 20 GB/s"));
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }
}
