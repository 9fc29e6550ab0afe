//! Training curves as SVG: validation and test error over the epochs, one pair of lines per run.

use crate::record::{Epoch, Record};
use crate::summary::percent;
use crate::svg::{COLOURS, GREY, LIGHT, label, page, path};

/// Width and height of the page.
pub const PAGE: [f64; 2] = [640.0, 360.0];
/// Left, right, top and bottom edge of the plot.
pub const PLOT: [f64; 4] = [56.0, 624.0, 36.0, 316.0];

/// Where an epoch and a share, such as an error, lie on the page; shares are on a logarithmic scale.
pub struct Scale {
    epochs: f64,
    lowest: f64,
    highest: f64,
}

/// Draws the curves of runs on one data set: test errors as full lines, validation errors dashed.
pub fn svg(title: &str, records: &[&Record]) -> String {
    let scale = Scale::over(records);
    let title = format!("{title}: error in per cent (full: test, dashed: validation)");
    let mut text = page(PAGE, PLOT[0], &title);
    scale.axes(&mut text);
    for (i, record) in records.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        scale.line(
            &mut text,
            &record.curve,
            |epoch| epoch.validation_error,
            colour,
            " stroke-dasharray=\"4 3\"",
        );
        scale.line(&mut text, &record.curve, |epoch| epoch.test_error, colour, "");
        let name = format!("{} seed {}", record.cell.backend, record.cell.seed);
        label(&mut text, [PLOT[1] - 6.0, PLOT[2] + 14.0 * (i + 1) as f64], "end", colour, &name);
    }
    text + "</svg>\n"
}

impl Scale {
    fn over(records: &[&Record]) -> Self {
        let epochs = || records.iter().flat_map(|record| &record.curve);
        let errors = || epochs().flat_map(|epoch| [epoch.validation_error, epoch.test_error]);
        let last = epochs().map(|epoch| epoch.epoch).max().unwrap_or(1);
        Self::of(last, errors)
    }

    /// A scale for shares of epochs up to the last. A share of nought has no place on a logarithmic
    /// scale: it is drawn at the lower edge.
    pub fn of<I: Iterator<Item = f64>>(last: u64, shares: impl Fn() -> I) -> Self {
        let lowest = shares().filter(|&share| share > 0.0).fold(1.0, f64::min);
        let highest = shares().fold(2.0 * lowest, f64::max);
        Self { epochs: last.max(2) as f64, lowest: lowest / 1.2, highest: highest * 1.2 }
    }

    /// Where a share of an epoch lies.
    pub fn place(&self, epoch: f64, error: f64) -> [f64; 2] {
        let [left, right, top, bottom] = PLOT;
        let across = (epoch - 1.0) / (self.epochs - 1.0);
        let up = (error.max(self.lowest) / self.lowest).ln() / (self.highest / self.lowest).ln();
        [left + across * (right - left), bottom - up * (bottom - top)]
    }

    /// Draws lines of equal shares, in per cent, and the numbers of epochs.
    pub fn axes(&self, text: &mut String) {
        let [left, right, _, bottom] = PLOT;
        let decades =
            (-6..=1).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
        for error in decades.filter(|&error| error >= self.lowest && error <= self.highest) {
            let y = self.place(1.0, error)[1];
            path(text, &format!("M{left} {y:.1}H{right}"), LIGHT, "");
            label(text, [left - 6.0, y + 4.0], "end", GREY, &percent(error));
        }
        path(text, &format!("M{left} {bottom}H{right}"), GREY, "");
        let step = (self.epochs / 8.0).ceil();
        for epoch in (1..).map(|i| f64::from(i) * step).take_while(|&epoch| epoch <= self.epochs) {
            let x = self.place(epoch, 1.0)[0];
            label(text, [x, bottom + 16.0], "middle", GREY, &epoch.to_string());
        }
        label(text, [(left + right) / 2.0, bottom + 34.0], "middle", GREY, "epoch");
    }

    fn line(
        &self,
        text: &mut String,
        curve: &[Epoch],
        of: fn(&Epoch) -> f64,
        colour: &str,
        dash: &str,
    ) {
        let points = curve.iter().map(|epoch| self.place(epoch.epoch as f64, of(epoch)));
        let points: Vec<String> = points.map(|[x, y]| format!("{x:.1} {y:.1}")).collect();
        path(text, &format!("M{}", points.join("L")), colour, dash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::sample;

    #[test]
    fn lower_errors_lie_lower_and_nought_on_the_edge() {
        let record = sample("mlp", 0, 0.01);
        let scale = Scale::over(&[&record]);
        let y = |error| scale.place(1.0, error)[1];
        assert!(y(0.5) < y(0.25) && y(0.25) < y(0.0));
        assert_eq!(y(0.0), PLOT[3]);
        assert_eq!([scale.place(1.0, 0.5)[0], scale.place(2.0, 0.5)[0]], [PLOT[0], PLOT[1]]);
    }

    #[test]
    fn every_run_has_two_lines_and_a_label() {
        let (mut first, second) = (sample("a", 0, 0.01), sample("a", 7, 0.01));
        first.curve[1].test_error = 0.0;
        let text = svg("a<b", &[&first, &second]);
        assert_eq!(text.matches("stroke-dasharray").count(), 2);
        assert!(text.contains(">cpu seed 7</text>") && text.contains("a&lt;b"));
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }
}
