//! Shows which cell runs: a bar per epoch on a terminal, plain lines elsewhere.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cell::Event;
use crate::summary::percent;

/// Plain lines per cell, at most, besides its last.
const LINES: u64 = 10;

/// The display of one cell.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// Place and name of the cell.
    name: String,
}

impl Progress {
    /// Begins the display of a cell; `place` is such as `3/12`.
    ///
    /// # Errors
    /// None in practice: the style of the bar is a constant.
    pub fn new(place: &str, cell: &str) -> Result<Self> {
        let name = format!("[{place}] {cell}");
        let style = ProgressStyle::with_template(
            "{prefix} {wide_bar} {pos}/{len} epochs, {msg}{eta} left",
        )?;
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let bar = bar.with_style(style).with_prefix(name.clone());
        bar.enable_steady_tick(std::time::Duration::from_millis(500));
        Ok(Self { bar, name })
    }

    /// Shows an event.
    pub fn show(&self, event: &Event) {
        match event {
            Event::Start(start) => self.bar.set_length(start.epochs),
            Event::Epoch(epoch) => {
                let error = percent(epoch.validation_error);
                self.bar.set_position(epoch.epoch);
                self.bar.set_message(format!("validation error {error} %, "));
                self.line(epoch.epoch, &error);
            }
            Event::Done(_) | Event::Other => {}
        }
    }

    /// Ends the display with a line that stays.
    pub fn end(self, result: &str) {
        self.bar.finish_and_clear();
        eprintln!("{}: {result}", self.name);
    }

    fn line(&self, epoch: u64, error: &str) {
        let epochs = self.bar.length().unwrap_or(0);
        if self.bar.is_hidden() && epoch.is_multiple_of(epochs.div_ceil(LINES).max(1)) {
            eprintln!("{}: epoch {epoch}/{epochs}, validation error {error} %", self.name);
        }
    }
}
