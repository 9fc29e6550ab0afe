//! The `bnn` binary: train, evaluate and look at binarized neural networks.

#![forbid(unsafe_code)]

mod commands;
mod evaluation;
mod layer_table;
mod memory;
mod output;
mod picture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Binarized neural networks: train with latent weights, freeze to bits, run with bit operations.
///
/// A first run, without any file to fetch:
///
///     bnn train experiments/digits-mlp.toml --tier smoke --out runs/first
///     bnn eval runs/first/model.safetensors --data digits
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage or a broken spec, 3 the data set or the backend is
/// not available here (the message says how to get it), 4 interrupted with its state saved.
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
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
    let command = match Cli::try_parse() {
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_long_about().map(ToString::to_string).unwrap_or_default();
            let example = format!(" bnn {}", command.get_name());
            assert!(help.contains(&example), "`{example}` is not in: {help}");
        }
    }
}
