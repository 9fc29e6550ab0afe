//! What leaves the process: lines, errors, exit codes.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::layout::{fitted, width};

/// Standard output is closed: its reader has gone away, as `head` does when it has seen enough.
#[derive(Debug)]
pub struct Closed;

impl std::error::Error for Closed {}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "standard output was closed by its reader")
    }
}

/// Wrong usage that the command line's own grammar cannot see.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::error::Error for Usage {}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Prints a line to standard output; [`Closed`] if nobody reads it any more.
pub fn line(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Closed.into()),
        done => done.context("standard output"),
    }
}

/// Prints text whose lines are broken where they are longer than what it is read in; [`Closed`] as of
/// a line.
pub fn text(text: &str) -> Result<()> {
    line(&fitted(text, width()))
}

/// Prints a value as one line of JSON.
pub fn json(value: &impl Serialize) -> Result<()> {
    line(&serde_json::to_string(value)?)
}

/// A progress bar on standard error, which stays quiet unless a terminal is there.
pub fn bar(template: &str) -> Result<ProgressBar> {
    let quiet = !std::io::stderr().is_terminal();
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template(template)?;
    Ok(ProgressBar::with_draw_target(Some(0), target).with_style(style))
}

/// A line on standard error for work whose end is not in sight, as quiet as a bar.
pub fn spinner() -> Result<ProgressBar> {
    let spinner = bar("{spinner} {msg}")?;
    spinner.enable_steady_tick(Duration::from_millis(100));
    Ok(spinner)
}

/// Prints an error with its causes to standard error.
pub fn complain(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// Prints an error with its causes to standard error and gives the exit code of its kind.
pub fn report(error: &anyhow::Error) -> ExitCode {
    complain(error);
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    use bnn_train::Error as Train;
    if error.is::<Usage>() {
        return 2;
    }
    match error.downcast_ref::<Train>() {
        Some(Train::Spec { .. }) => return 2,
        Some(Train::Backend(error)) => return core_code(error),
        Some(Train::Data(error)) => return data_code(error),
        Some(Train::Interrupted { .. }) => return 4,
        _ => {}
    }
    let core = error.downcast_ref::<bnn_core::Error>().map(core_code);
    let data = error.downcast_ref::<bnn_data::Error>().map(data_code);
    core.or(data).unwrap_or(1)
}

fn core_code(error: &bnn_core::Error) -> u8 {
    match error {
        bnn_core::Error::Unknown { .. } => 2,
        bnn_core::Error::Unavailable { .. } => 3,
        _ => 1,
    }
}

fn data_code(error: &bnn_data::Error) -> u8 {
    match error {
        bnn_data::Error::Unknown { .. }
        | bnn_data::Error::NoMirror { .. }
        | bnn_data::Error::NoFolder { .. } => 2,
        bnn_data::Error::Missing { .. } => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_do_not_fit_are_bad_data_and_specs_wrong_usage() {
        let refused = || bnn_data::Error::Preprocess { step: "lcn".into(), why: "small".into() };
        assert_eq!(code(&refused().into()), 1);
        assert_eq!(code(&bnn_train::Error::Data(refused()).into()), 1);
        assert_eq!(code(&bnn_train::Error::spec("preprocess, `lcn`", "small").into()), 2);
        let usage = anyhow::Error::from(Usage("no such thing".into()));
        assert_eq!(code(&usage.context("behind a place")), 2);
    }
}
