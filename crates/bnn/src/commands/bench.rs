//! `bnn bench`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bnn_bench::{Case, Row, Timed, cases};

use crate::output;

/// How much slower than the best kernel the one that is taken may be, to pass the check.
const ALLOWED: f64 = 1.05;

/// Time products, gradients and whole networks against what could be taken instead.
///
/// Every contender's result is checked first. Then all take turns on the same threads: times are
/// medians, ratios are medians of the ratios within a round. Shares are of what this processor
/// reaches on popcount alone, or for a single row on reading the weights.
///
/// Examples:
///
///     bnn bench --only dense/b100
///     bnn bench --only square --threads 2 --seconds 10 --json
///     bnn bench --check
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Only cases whose names contain this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Name the cases and stop.
    #[arg(long)]
    list: bool,
    /// Threads of every contender.
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Seconds for each case.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,
    /// Time one set of our kernels alone, such as `avx2`.
    #[arg(long, value_name = "NAME", conflicts_with = "check")]
    kernel: Option<String>,
    /// Time our kernels alone, and fail if the one that is taken is more than 5 % slower than the
    /// best, with a confidence of 95 %.
    #[arg(long)]
    check: bool,
    /// Print JSON, one case a line.
    #[arg(long)]
    json: bool,
}

/// Times the cases and prints a table of each.
pub fn run(args: &Args) -> Result<()> {
    let chosen: Vec<Case> =
        cases().into_iter().filter(|case| case.name.contains(&args.only)).collect();
    ensure!(!chosen.is_empty(), "no case contains `{}`; `bnn bench --list` names them", args.only);
    let budget = Duration::try_from_secs_f64(args.seconds);
    let budget = budget.with_context(|| format!("--seconds {}", args.seconds))?;
    let mut slow = Vec::new();
    for case in chosen {
        if args.list {
            output::line(&case.name)?;
            continue;
        }
        let timed = match (&args.kernel, args.check) {
            (None, false) => case.time(args.threads, budget)?,
            (kernel, _) => case.time_kernels(kernel.as_deref(), args.threads, budget)?,
        };
        if args.json {
            output::json(&timed)?;
        } else {
            table(&timed)?;
        }
        if args.check {
            slow.extend(slower(&timed));
        }
    }
    ensure!(slow.is_empty(), "a kernel that is not taken is faster:\n{}", slow.join("\n"));
    Ok(())
}

fn table(timed: &Timed) -> Result<()> {
    let Timed { case, threads, rounds, rows } = timed;
    output::line(&format!("{case}, threads {threads}, rounds {rounds}"))?;
    for Row { name, seconds, rate, share, times } in rows {
        let share = share.map_or_else(String::new, |share| format!("{:.1} %", 100.0 * share));
        output::line(&format!(
            "  {name:<16} {:>12.1} us {:>9.1} G/s {share:>8} {:>8.2} x ({:.2} to {:.2})",
            1e6 * seconds,
            rate / 1e9,
            times.median,
            times.low,
            times.high
        ))?;
    }
    Ok(())
}

/// Kernels that beat the first row, which is the one that is taken.
fn slower(timed: &Timed) -> Option<String> {
    let faster = |row: &&Row| 1.0 / row.times.high > ALLOWED;
    let row = timed.rows.iter().find(faster)?;
    let (case, name) = (&timed.case, &row.name);
    Some(format!("{case}: {} takes {:.2} times {name}", timed.rows[0].name, 1.0 / row.times.median))
}
