//! The `bnn` binary: train, evaluate and look at binarized neural networks.

#![forbid(unsafe_code)]

mod commands;
mod evaluation;
mod layer_table;
mod layout;
mod output;
mod picture;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// What stands below the list of commands.
const FIRST_RUN: &str = "\
A first run, without any file to fetch:
  bnn train digits-mlp --tier smoke --out runs/first
  bnn eval runs/first/model.safetensors --data digits

Exit codes:
  0  done
  1  failed
  2  wrong usage, or a broken spec
  3  data set or backend not here; how to get it is said
  4  interrupted, with its state saved";

/// Binarized neural networks: train with latent weights, freeze to bits, run with bit operations.
#[derive(Parser)]
#[command(version, after_help = FIRST_RUN)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(commands::train::Args),
    Eval(commands::eval::Args),
    Predict(commands::predict::Args),
    Inspect(commands::inspect::Args),
    Cost(commands::cost::Args),
    Data(commands::data::Args),
    Backends(commands::backends::Args),
    #[cfg(feature = "cpu")]
    Bench(commands::bench::Args),
    Spec(commands::spec::Args),
}

fn main() -> ExitCode {
    #[cfg(unix)]
    hold_back_file_size_signals();
    let parsed = Cli::command().term_width(layout::width()).try_get_matches();
    let command = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli.command,
        Err(refused) => return output::usage(&refused),
    };
    let trains = matches!(command, Command::Train(_));
    let done = match command {
        Command::Train(args) => commands::train::run(&args),
        Command::Eval(args) => commands::eval::run(&args),
        Command::Predict(args) => commands::predict::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Cost(args) => commands::cost::run(&args),
        Command::Data(args) => commands::data::run(&args),
        Command::Backends(args) => commands::backends::run(&args),
        #[cfg(feature = "cpu")]
        Command::Bench(args) => commands::bench::run(&args),
        Command::Spec(args) => commands::spec::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // What only tells something has told what its reader wanted; a training has more to save.
        Err(error) if !trains && error.is::<output::Closed>() => ExitCode::SUCCESS,
        Err(error) => output::report(&error),
    }
}

/// Makes writing beyond the limit on the size of files an error like that of a full disk, in this thread
/// and all that it starts; the signal would end the process without a word.
#[cfg(unix)]
fn hold_back_file_size_signals() {
    use nix::sys::signal::{SigSet, Signal};
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    let _ = signals.thread_block(); // cannot fail with a set of its own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.clone().render_long_help().to_string();
            let example = format!(" bnn {}", command.get_name());
            assert!(help.contains(&example), "`{example}` is not in: {help}");
        }
    }
}
