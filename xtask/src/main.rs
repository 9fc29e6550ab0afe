//! Chores of the workspace: run the experiments, publish their results, keep the tree tidy.

#![forbid(unsafe_code)]

mod atomic;
mod bench;
mod bnn;
mod cell;
mod counts;
mod cuda;
mod curves;
mod energy;
mod evaluation;
mod flips;
mod folder;
mod html;
mod libtorch;
mod machine;
mod matrix;
mod progress;
mod publish;
mod record;
mod report;
mod reproduce;
mod summary;
mod svg;
mod table;
mod tidy;
mod wheels;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of the workspace: run the experiments, publish their results, keep the tree tidy.
///
/// A first look, in a minute or two and without any file to fetch:
///
///     cargo xtask reproduce --tier smoke
///
/// The quick tier against the paper, then again after an interruption (finished cells are kept):
///
///     cargo xtask reproduce
///
/// One experiment, one seed, and its results into the tracked `results/`:
///
///     cargo xtask reproduce --tier short --only 'mnist-mlp-plain.*' --seeds 1
///     cargo xtask publish target/reproduce --only 'mnist-mlp-plain.*'
///
/// Exit codes: 0 done, 1 a cell failed, an expectation was missed or something is untidy, 2 wrong
/// usage, 130 interrupted.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Folder of the workspace.
    #[arg(long, global = true, hide = true, value_name = "DIR")]
    root: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    Reproduce(reproduce::Args),
    Publish(publish::Args),
    Libtorch(libtorch::Args),
    Cuda(cuda::Args),
    /// Check what compilers do not: sizes, unsafe code, names, documents, recorded times.
    ///
    /// `cargo test` does the same.
    Tidy,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let root = cli.root.unwrap_or_else(workspace);
    let done = match cli.command {
        Command::Reproduce(args) => reproduce::run(&args, &root),
        Command::Publish(args) => publish::run(&args, &root),
        Command::Libtorch(args) => libtorch::run(&args, &root),
        Command::Cuda(args) => cuda::run(&args, &root),
        Command::Tidy => tidy::run(&root),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("error: {error:#}");
    ExitCode::from(if error.is::<reproduce::Interrupted>() { 130 } else { 1 })
}

/// The folder above this package, as short as the current folder allows.
fn workspace() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR");
    let package = package.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let root = package.parent().map_or_else(|| ".".into(), PathBuf::from);
    match std::env::current_dir() {
        Ok(here) if here == root => ".".into(),
        _ => root,
    }
}
