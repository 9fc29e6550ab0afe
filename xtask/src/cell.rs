//! Runs one cell: a child process that reports JSON lines on its standard output.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::record::{Done, Epoch};

/// Lines of the child's standard error that are shown when it fails.
const TAIL: usize = 20;

/// A line of the child's standard output.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The run begins.
    Start(Start),
    /// An epoch has ended.
    Epoch(Epoch),
    /// The run has ended.
    Done(Done),
    /// Something that a later version reports.
    #[serde(other)]
    Other,
}

/// How a run begins.
#[derive(Debug, Deserialize)]
pub struct Start {
    /// Epochs to come.
    pub epochs: u64,
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// With a result.
    Done {
        /// Every epoch.
        curve: Vec<Epoch>,
        /// The outcome.
        done: Done,
    },
    /// Not at all: data or backend is not available here; the text says what to do about it.
    NotRun(String),
    /// With an error; the text says which.
    Failed(String),
    /// By a signal from the keyboard.
    Interrupted,
}

/// What was heard of a child until it ended.
#[derive(Default)]
struct Heard {
    curve: Vec<Epoch>,
    done: Option<Done>,
    /// A line that is no event.
    garbage: Option<String>,
}

/// Runs a command to its end and shows each of its events to `watch`; on `stop` it is told to end,
/// and given the time to save its state.
///
/// # Errors
/// A command that cannot be started.
pub fn run(
    command: &mut Command,
    stop: &AtomicBool,
    watch: &mut dyn FnMut(&Event),
) -> Result<Outcome> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {program}"))?;
    let errors = child.stderr.take();
    // Both pipes are read at once: a child that fills one of them would wait for ever.
    let (heard, status, errors) = std::thread::scope(|scope| {
        let errors = scope.spawn(|| errors.map_or_else(String::new, tail));
        let (silent, silence) = mpsc::channel();
        let id = child.id();
        let stopper = scope.spawn(move || terminate_on(stop, id, &silence));
        let heard = listen(&mut child, watch);
        drop(silent);
        let _ = stopper.join(); // before the wait, after which the id may be another's
        let status = child.wait();
        (heard, status, errors.join().unwrap_or_default())
    });
    let status = status.with_context(|| format!("cannot wait for {program}"))?;
    Ok(outcome(heard, status, &errors, stop.load(Ordering::Relaxed)))
}

/// Asks a process to end once `stop` is set, unless the channel closes before.
///
/// From a terminal the child hears Ctrl-C itself; a signal to this process alone must be passed on.
fn terminate_on(stop: &AtomicBool, id: u32, silence: &Receiver<()>) {
    while silence.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
        if stop.load(Ordering::Relaxed) {
            if cfg!(unix) {
                // If it fails, the child goes on to its end, and nothing is lost but time.
                let _ = Command::new("kill").args(["-TERM", &id.to_string()]).status();
            }
            return;
        }
    }
}

/// Reads events until the child closes its output; ends a child that talks nonsense.
fn listen(child: &mut Child, watch: &mut dyn FnMut(&Event)) -> Heard {
    let mut heard = Heard::default();
    let Some(output) = child.stdout.take() else { return heard };
    for line in BufReader::new(output).lines() {
        let line = line.unwrap_or_default();
        match serde_json::from_str::<Event>(&line) {
            Ok(event) => {
                watch(&event);
                heard.take(event);
            }
            Err(error) => heard.garbage = Some(format!("cannot read its line `{line}`: {error}")),
        }
        if heard.garbage.is_some() {
            // It fails only for a child that has ended, which is what is wanted.
            let _ = child.kill();
            break;
        }
    }
    heard
}

impl Heard {
    fn take(&mut self, event: Event) {
        match event {
            Event::Epoch(epoch) => self.curve.push(epoch),
            Event::Done(done) => self.done = Some(done),
            Event::Start(_) | Event::Other => {}
        }
    }
}

fn outcome(heard: Heard, status: ExitStatus, errors: &str, stopped: bool) -> Outcome {
    if let Some(garbage) = heard.garbage {
        return Outcome::Failed(garbage);
    }
    match (status.code(), heard.done) {
        (Some(0), Some(done)) if !heard.curve.is_empty() => {
            Outcome::Done { curve: heard.curve, done }
        }
        (Some(4), _) => Outcome::Interrupted,
        _ if stopped => Outcome::Interrupted,
        (Some(0), Some(_)) => Outcome::Failed("it ended without reporting an epoch".into()),
        (Some(0), None) => Outcome::Failed("it ended without reporting an outcome".into()),
        (Some(3), _) => Outcome::NotRun(remedy(errors)),
        _ => Outcome::Failed(format!("{status}\n{}", errors.trim_end())),
    }
}

/// The last lines of a stream.
fn tail(stream: impl Read) -> String {
    let mut last = VecDeque::new();
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while matches!(stream.read_until(b'\n', &mut line), Ok(1..)) {
        if last.len() == TAIL {
            last.pop_front();
        }
        last.push_back(String::from_utf8_lossy(&line).into_owned());
        line.clear();
    }
    Vec::from(last).concat()
}

/// What a child says of something that is not available, as one line.
fn remedy(errors: &str) -> String {
    let text = errors.rsplit_once("error: ").map_or(errors, |(_, text)| text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { "it does not say why".into() } else { lines.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: &str =
        r#"echo '{"event":"epoch","epoch":1,"validation_error":0.5,"test_error":0.25,"new":[1]}'"#;
    const DONE: &str = r#"echo '{"event":"done","backend":"b","data_digest":"d","epochs":1,"test_error":0.1,"seconds":1,"seconds_per_epoch":1,"threads":2}'"#;

    fn run_script(script: &str, stop: bool) -> Outcome {
        run(Command::new("sh").args(["-c", script]), &AtomicBool::new(stop), &mut |_| {}).unwrap()
    }

    fn failure(script: &str) -> String {
        match run_script(script, false) {
            Outcome::Failed(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn epochs_and_outcome_are_kept_with_unknown_fields_and_events() {
        let script = format!("{EPOCH}; echo '{{\"event\":\"new\"}}'; {DONE}");
        let Outcome::Done { curve, done } = run_script(&script, false) else { panic!("not done") };
        assert_eq!(curve.len(), 1);
        assert_eq!(curve[0].other["new"][0], 1);
        assert_eq!(done.test_error, 0.1);
    }

    #[test]
    fn a_failure_shows_the_tail_of_what_the_child_said() {
        let why = failure("for i in $(seq 1 100); do echo line $i >&2; done; exit 1");
        assert!(why.starts_with("exit status: 1\nline 81\n") && why.ends_with("line 100"), "{why}");
    }

    #[test]
    fn silence_and_nonsense_are_failures() {
        assert_eq!(failure(EPOCH), "it ended without reporting an outcome");
        assert_eq!(failure(DONE), "it ended without reporting an epoch");
        let why = failure("echo hello; exec sleep 60");
        assert!(why.starts_with("cannot read its line `hello`"), "{why}");
        let why = failure("echo '{\"event\":\"epoch\",\"epoch\":1}'");
        assert!(why.contains("missing field `validation_error`"), "{why}");
    }

    #[test]
    fn a_long_error_output_does_not_block_the_run() {
        let script = format!("seq 1 100000 >&2; {EPOCH}; {DONE}");
        assert!(matches!(run_script(&script, false), Outcome::Done { .. }));
    }

    #[test]
    fn what_is_not_available_comes_with_its_remedy() {
        let script =
            "echo 'a log line' >&2; printf 'error: no MNIST\\n  set BNN_DATA\\n' >&2; exit 3";
        let Outcome::NotRun(why) = run_script(script, false) else { panic!("run") };
        assert_eq!(why, "no MNIST set BNN_DATA");
    }

    #[test]
    fn a_child_that_is_stopped_saves_its_state() {
        let folder = tempfile::tempdir().unwrap();
        let saved = folder.path().join("saved");
        let save = format!("trap 'sleep 0.2; touch \"{}\"; exit 4' TERM", saved.display());
        let script = format!("{save}; {EPOCH}; while true; do sleep 0.02; done");
        let stop = AtomicBool::new(false);
        let stop_now = &mut |_: &Event| stop.store(true, Ordering::Relaxed);
        let outcome = run(Command::new("sh").args(["-c", &script]), &stop, stop_now).unwrap();
        assert!(matches!(outcome, Outcome::Interrupted) && saved.exists());
    }

    #[test]
    fn a_stop_ends_the_child_and_so_does_its_own_interruption() {
        assert!(matches!(
            run_script(&format!("{EPOCH}; exec sleep 60"), true),
            Outcome::Interrupted
        ));
        assert!(matches!(run_script("exit 4", false), Outcome::Interrupted));
    }
}
