//! What leaves the process: lines, errors, exit codes.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use bnn_core::{is_plain_text, plain};
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

/// Prints a text to standard output, with a line feed behind; [`Closed`] if nobody reads it any more.
///
/// Names from files that others wrote go through [`plain`], which leaves them on one line; whatever was
/// forgotten cannot control the terminal either.
pub fn line(text: &str) -> Result<()> {
    print(&plain_lines(text))
}

/// Prints a value as one line of JSON.
pub fn json(value: &impl Serialize) -> Result<()> {
    print(&plain_json(&serde_json::to_string(value)?))
}

/// Prints a remark to standard error.
pub fn note(text: &str) {
    eprintln!("{}", plain_lines(text));
}

fn print(text: &str) -> Result<()> {
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

/// A text of several lines, each of them plain.
pub fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// JSON whose strings are plain: what it may hold as it is, terminals may take for commands.
fn plain_json(json: &str) -> String {
    let escape = |char: char| match plain(char.encode_utf8(&mut [0; 4])) {
        Cow::Borrowed(_) => char.to_string(),
        Cow::Owned(_) => format!("\\u{:04x}", u32::from(char)), // all of them are below U+10000
    };
    json.chars().map(escape).collect()
}

/// A progress bar on standard error, which stays quiet unless a terminal is there.
pub fn bar(template: &str) -> Result<ProgressBar> {
    let quiet = !std::io::stderr().is_terminal();
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template(template)?;
    let style = if is_utf8(&|name| std::env::var(name).ok()) {
        style
    } else {
        style.progress_chars(ASCII_BAR).tick_chars(ASCII_SPINNER)
    };
    Ok(ProgressBar::with_draw_target(Some(0), target).with_style(style))
}

/// A bar and a spinner for terminals that show no more than ASCII.
const ASCII_BAR: &str = "=> ";
const ASCII_SPINNER: &str = "|/-\\ ";

/// Whether the locale, of which `variable` tells the variables, has more characters than ASCII.
fn is_utf8(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    cfg!(windows) || locale.contains("utf-8") || locale.contains("utf8")
}

/// A line on standard error for work whose end is not in sight, as quiet as a bar.
pub fn spinner() -> Result<ProgressBar> {
    let spinner = bar("{spinner} {msg}")?;
    spinner.enable_steady_tick(Duration::from_millis(100));
    Ok(spinner)
}

/// Prints an error with its causes to standard error.
pub fn complain(error: &anyhow::Error) {
    eprintln!("error: {}", error_text(error));
}

/// An error with its causes, on one line; those of a spec's grammar and of a device keep their lines.
fn error_text(error: &anyhow::Error) -> String {
    let text = |cause: &(dyn std::error::Error + 'static)| {
        let text = cause.to_string();
        if has_lines(cause) { plain_lines(&text) } else { plain(&text).into_owned() }
    };
    error.chain().map(text).collect::<Vec<_>>().join(": ")
}

/// Whether the text of an error is laid out in lines: it quotes a spec, or what a compiler says.
fn has_lines(error: &(dyn std::error::Error + 'static)) -> bool {
    use bnn_core::Error as Core;
    use bnn_train::Error as Train;
    let device = |error: &Core| matches!(error, Core::Device { .. });
    match (error.downcast_ref(), error.downcast_ref()) {
        (Some(Train::Spec { .. }), _) => true,
        (Some(Train::Backend(error)), _) | (_, Some(error)) => device(error),
        _ => false,
    }
}

/// Prints an error with its causes to standard error and gives the exit code of its kind.
pub fn report(error: &anyhow::Error) -> ExitCode {
    complain(error);
    ExitCode::from(code(error))
}

/// Prints what the grammar of the command line says, help or an error, and gives its exit code. An error
/// quotes what it was given, which may be the name of a file that somebody else made up.
pub fn usage(refused: &clap::Error) -> ExitCode {
    let text = refused.render().to_string();
    if is_plain_text(&text.replace('\n', "")) {
        let _ = refused.print(); // in colours; nobody is left to hear that it failed
    } else {
        eprint!("{}", plain_lines(&text));
    }
    ExitCode::from(refused.exit_code() as u8)
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

    #[cfg(unix)]
    #[test]
    fn bars_are_ascii_unless_the_locale_has_more() {
        let of = |set: &[(&str, &str)]| {
            is_utf8(&|name| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
            })
        };
        assert!(of(&[("LANG", "de_DE.UTF-8")]) && of(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!of(&[]) && !of(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")]));
        assert!((ASCII_BAR.to_owned() + ASCII_SPINNER).is_ascii());
    }

    #[test]
    fn no_text_controls_the_terminal() {
        assert_eq!(plain_lines("a\u{1b}[2J\nb\r"), "a\\u{1b}[2J\nb\\r");
        let json = plain_json(&serde_json::to_string("\u{1b}\u{9b}\u{202e}\n").unwrap());
        assert_eq!(json, r#""\u001b\u009b\u202e\n""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "\u{1b}\u{9b}\u{202e}\n");
        let error = anyhow::anyhow!("no\nsuch\u{7} file").context("a\u{1b}b");
        assert_eq!(error_text(&error), r"a\u{1b}b: no\nsuch\u{7} file");
        let lines = bnn_train::Error::spec("a", "one\ntwo\u{1b}");
        assert_eq!(error_text(&lines.into()), "a: one\ntwo\\u{1b}");
    }

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
