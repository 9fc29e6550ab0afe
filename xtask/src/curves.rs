//! Training curves as SVG: validation and test error over the epochs, one pair of lines per run.

use crate::record::{Epoch, Record};
use crate::svg::{COLOURS, GREY, LIGHT, dot, label, page, path};

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
    let mut text = page(PAGE, PLOT[0], title);
    let words = "error in per cent; full: test, dashed: validation";
    label(&mut text, [PLOT[0], 33.0], "start", GREY, words);
    scale.axes(&mut text);
    for (i, record) in records.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let line =
            |of: fn(&Epoch) -> f64| record.curve.iter().map(move |epoch| (epoch.epoch, of(epoch)));
        let validation = line(|epoch| epoch.validation_error);
        scale.line(&mut text, validation, colour, " stroke-dasharray=\"4 3\"");
        scale.line(&mut text, line(|epoch| epoch.test_error), colour, "");
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
        let range = libm::log(self.highest / self.lowest);
        let up = libm::log(error.max(self.lowest) / self.lowest) / range;
        [left + across * (right - left), bottom - up * (bottom - top)]
    }

    /// Draws lines of equal shares, in per cent, and the numbers of epochs.
    pub fn axes(&self, text: &mut String) {
        let [left, right, _, bottom] = PLOT;
        for share in self.shares() {
            let y = self.place(1.0, share)[1];
            path(text, &format!("M{left} {y:.1}H{right}"), LIGHT, "");
            label(text, [left - 6.0, y + 4.0], "end", GREY, &per_cent(share));
        }
        path(text, &format!("M{left} {bottom}H{right}"), GREY, "");
        let step = round_step(self.epochs / 8.0);
        for epoch in (1..).map(|i| f64::from(i) * step).take_while(|&epoch| epoch <= self.epochs) {
            let x = self.place(epoch, 1.0)[0];
            label(text, [x, bottom + 16.0], "middle", GREY, &epoch.to_string());
        }
        label(text, [(left + right) / 2.0, bottom + 34.0], "middle", GREY, "epoch");
    }

    /// The shares that have a line: three of them or more, as round as that allows.
    fn shares(&self) -> Vec<f64> {
        // A scale spans a factor of 2.88 or more, in which the last of these has three shares anywhere.
        let digits: [&[f64]; 4] = [
            &[1.0],
            &[1.0, 2.0, 5.0],
            &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
            &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
        ];
        let inside = |share: &f64| (self.lowest..=self.highest).contains(share);
        let of = |digits: &[f64]| -> Vec<f64> {
            let decades = (-6..=1).map(|power| 10f64.powi(power));
            let all = decades.flat_map(|decade| digits.iter().map(move |digit| digit * decade));
            all.filter(inside).collect()
        };
        let mut shares = digits.into_iter().map(of);
        shares.find(|shares| shares.len() >= 3).unwrap_or_default()
    }

    /// Draws a line along shares of epochs, or a dot where there is only one.
    pub fn line(
        &self,
        text: &mut String,
        shares: impl Iterator<Item = (u64, f64)>,
        colour: &str,
        dash: &str,
    ) {
        let points: Vec<[f64; 2]> =
            shares.map(|(epoch, share)| self.place(epoch as f64, share)).collect();
        if let &[point] = points.as_slice() {
            return dot(text, point, colour, "the only epoch");
        }
        let points: Vec<String> = points.iter().map(|[x, y]| format!("{x:.1} {y:.1}")).collect();
        path(text, &format!("M{}", points.join("L")), colour, dash);
    }
}

/// A share in per cent, with as many decimals as it takes, and no more than four.
fn per_cent(share: f64) -> String {
    let text = format!("{:.4}", 100.0 * share);
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// The next number of 1, 2, 5, 10, 20..
fn round_step(least: f64) -> f64 {
    let steps = (0..9).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    steps.into_iter().find(|&step| step >= least).unwrap_or(least)
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
    fn lines_are_of_round_numbers() {
        let shares = |lowest, highest| {
            let scale = Scale { epochs: 2.0, lowest, highest };
            scale.shares().into_iter().map(per_cent).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shares(0.0009, 0.9), "0.1 1 10");
        assert_eq!(shares(0.009, 0.06), "1 2 5");
        assert_eq!(shares(0.15, 0.45), "15 20 30 40");
        assert_eq!(shares(0.0505, 0.146), "6 7 8 10 12");
        assert_eq!([1.1, 12.5, 0.1].map(round_step), [2.0, 20.0, 1.0]);
    }

    #[test]
    fn lines_are_few_and_three_at_least() {
        for lowest in (100..1000).map(|share| f64::from(share) / 1e4) {
            for factor in [1.0, 2.0, 5.0, 10.0] {
                let scale = Scale::of(2, || [lowest, lowest * factor].into_iter());
                let count = scale.shares().len();
                assert!((3..=8).contains(&count), "{count} lines from {lowest} by {factor}");
            }
        }
    }

    #[test]
    fn a_single_epoch_is_a_dot() {
        let mut record = sample("mlp", 0, 0.01);
        record.curve.truncate(1);
        assert_eq!(svg("one", &[&record]).matches("<circle").count(), 2);
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
