//! `bnn bench`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bnn::{Gpu, check_gpu, gpu};
use bnn_bench::{Case, Peaks, Reading, Row, Timed, cases, peaks};
use bnn_data::picture::Rules;

use crate::commands::{DataDir, duration, eval, for_network, read_model, rules_of, threads};
use crate::layout::{Table, width};
use crate::output::{self, Usage};

/// What stands below the options.
const EXAMPLES: &str = "\
Examples:
  bnn bench --only dense/b100
  bnn bench --only square --threads 2 --seconds 10 --json
  bnn bench --check
  bnn bench --model MODEL.safetensors --data mnist
  bnn bench --backend cuda --only square/8192";

/// How much slower than the best kernel the one that is taken may be, to pass the check.
const ALLOWED: f64 = 1.05;

/// Time our kernels and whole networks against what could be taken instead.
///
/// Cases are products, layers, gradients, steps of training and networks. Every contender's result is
/// checked first. Then all take turns on the same threads: times are medians, ratios are medians of
/// the ratios within a round. Shares are of what this processor reaches on popcount alone, or for a
/// single row on reading the weights. What is too slow for all rows computes the first ones, and its
/// time is scaled.
///
/// On a GPU products, layers and whole networks are timed: our families of kernels, the paper's two
/// kernels and cuBLAS. Operands of products lie there beforehand; networks go from bytes to scores on
/// the host, and a trained one is timed on the processor too.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Only the case of this name, or else those whose names contain this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Name the cases and stop.
    #[arg(long)]
    list: bool,
    /// What to time on: the processor's kernels and libraries (`cpu`), or those of a GPU (`cuda`, `cuda:1`).
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    backend: String,
    /// Threads of every contender.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = threads())]
    threads: usize,
    /// Seconds for each case.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// Time one set of our kernels alone, such as `avx2`.
    #[arg(long, value_name = "NAME", conflicts_with = "check")]
    kernel: Option<String>,
    /// Time our kernels alone, and fail if the one that is taken is more than 5 % slower than the
    /// best, with a confidence of 95 %; leaves out cases of more than 2^34 multiply-adds, whose tiles are
    /// those of smaller ones, and so takes less than five minutes.
    #[arg(long)]
    check: bool,
    /// Time a frozen model on all test images of a data set instead, and tell everyone's test error.
    #[arg(long, value_name = "FILE", requires = "data", conflicts_with_all = ["only", "list"])]
    model: Option<PathBuf>,
    /// Data set for the model, such as `mnist`.
    #[arg(long, value_name = "NAME", requires = "model")]
    data: Option<String>,
    /// Measure what one core reaches on popcount alone and on reading alone, and stop.
    #[arg(long, conflicts_with_all = ["model", "only", "list", "check", "kernel"])]
    peaks: bool,
    /// Print JSON, one case a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data_dir: DataDir,
}

fn seconds(text: &str) -> Result<Duration, String> {
    duration(text, 1.0)
}

/// Multiply-adds of the largest cases that are checked.
const LARGEST_CHECKED: usize = 1 << 34;

/// The case of a name, or those whose names contain a text.
fn choose(only: &str) -> Vec<Case> {
    let named = cases().into_iter().find(|case| case.name == only);
    let containing = || cases().into_iter().filter(|case| case.name.contains(only)).collect();
    named.map_or_else(containing, |case| vec![case])
}

/// Times the cases and prints a table of each.
pub fn run(args: &Args) -> Result<()> {
    check_stand(args)?;
    if args.peaks {
        let peaks = peaks();
        return if args.json { output::json(&peaks) } else { print_peaks(&peaks) };
    }
    if args.list {
        return chosen(args)?.iter().try_for_each(|case| output::line(&case.name));
    }
    let stand = stand(args)?; // before a data set is read
    let chosen = chosen(args)?;
    let budget = args.seconds;
    let mut slow = Vec::new();
    for case in chosen {
        let timed = match (&stand, &args.kernel, args.check) {
            (Stand::Gpu(gpu), ..) => time_on(&case, gpu, budget)?,
            (Stand::Processor, None, false) => case.time(args.threads, budget)?,
            (Stand::Processor, kernel, _) => {
                case.time_kernels(kernel.as_deref(), args.threads, budget)?
            }
        };
        if args.json {
            output::json(&timed)?;
        } else {
            table(&timed)?;
        }
        if let Some(doubt) = timed.doubt() {
            output::note(&format!("warning: {doubt}"));
        }
        if args.check {
            slow.extend(slower(&timed));
        }
    }
    ensure!(slow.is_empty(), "a kernel that is not taken is faster:\n{}", slow.join("\n"));
    Ok(())
}

/// The cases asked for that can be timed as asked for.
fn chosen(args: &Args) -> Result<Vec<Case>> {
    let mut chosen = match (&args.model, &args.data) {
        (Some(model), Some(data)) => vec![model_case(model, data, &args.data_dir)?],
        _ => choose(&args.only),
    };
    let none = || format!("no case contains `{}`; `bnn bench --list` names them", args.only);
    ensure!(!chosen.is_empty(), Usage(none()));
    if args.backend != PROCESSOR {
        keep_those_on_gpus(&mut chosen, args)?;
    }
    if args.check {
        chosen.retain(|case| case.adds <= LARGEST_CHECKED);
        let why = "--check leaves cases out that are so large: take smaller ones";
        ensure!(!chosen.is_empty(), Usage(why.into()));
    }
    Ok(chosen)
}

/// Leaves out what is timed on the processor alone.
fn keep_those_on_gpus(chosen: &mut Vec<Case>, Args { only, backend, .. }: &Args) -> Result<()> {
    chosen.retain(Case::on_gpus);
    let remedy = format!("`bnn bench --backend {backend} --list` names what is");
    ensure!(!chosen.is_empty(), Usage(format!("`{only}` is not timed on GPUs; {remedy}")));
    Ok(())
}

/// What contenders run on.
enum Stand {
    Processor,
    Gpu(Gpu),
}

/// The backend that is no GPU.
const PROCESSOR: &str = "cpu";

/// What is no processor is a GPU, on which what chooses among the processor's kernels chooses nothing.
fn check_stand(args: &Args) -> Result<()> {
    if args.backend == PROCESSOR {
        return Ok(());
    }
    check_gpu(&args.backend)?;
    let of_processor = args.kernel.is_some() || args.check || args.peaks || args.threads != 1;
    let why = "--kernel, --check, --peaks and --threads are for the processor: leave them out, or \
               --backend";
    ensure!(!of_processor, Usage(why.into()));
    Ok(())
}

/// The stand asked for.
fn stand(args: &Args) -> Result<Stand> {
    if args.backend == PROCESSOR {
        return Ok(Stand::Processor);
    }
    Ok(Stand::Gpu(gpu(&args.backend)?))
}

#[cfg(feature = "cuda")]
fn time_on(case: &Case, gpu: &Gpu, budget: Duration) -> Result<Timed> {
    Ok(case.time_on(gpu, budget)?)
}

#[cfg(not(feature = "cuda"))]
fn time_on(_: &Case, gpu: &Gpu, _: Duration) -> Result<Timed> {
    match *gpu {}
}

/// A frozen model on the test images of a data set.
fn model_case(path: &Path, data: &str, data_dir: &DataDir) -> Result<Case> {
    let network = read_model(path);
    let rules = network.as_ref().map_or_else(|_| Ok(Rules::default()), rules_of)?;
    let data = data_dir.load(data, &rules)?; // first: its absence has an exit code of its own
    let network = network?;
    eval::check_fit(&network, &data).with_context(|| path.display().to_string())?;
    let data = for_network(&network, path, data, 1)?;
    let images = data.test.rows(0..data.test.len()).to_owned();
    Ok(Case::model(format!("model/{}", data.name), network, images, data.test.labels.clone())?)
}

fn print_peaks(peaks: &Peaks) -> Result<()> {
    let popcount = peaks.popcount.map(|rate| format!("{:.1} G/s", rate / 1e9));
    let popcount = popcount.unwrap_or_else(|| "not measured without AVX-512 VPOPCNTDQ".into());
    output::text(&format!("multiply-adds of signs in registers: {popcount}"))?;
    for Reading { block, rate } in &peaks.reading {
        let (kibibytes, rate) = (block >> 10, rate / 1e9);
        output::text(&format!("reading {kibibytes} KiB again and again: {rate:.1} GB/s"))?;
    }
    Ok(())
}

fn table(timed: &Timed) -> Result<()> {
    let Timed { case, threads, rounds, rows, .. } = timed;
    let heads = ["contender", "time", "rate", "share", "ratio", "low", "high", "error", "rows"];
    let mut table = Table::new(heads);
    for Row { name, seconds, rate, share, times, part, error, .. } in rows {
        let percent = |part: f64, digits: usize| format!("{:.digits$} %", 100.0 * part);
        let ratio = |ratio: f64| format!("{ratio:.2} x");
        table.row(vec![
            name.to_string(),
            format!("{:.1} us", 1e6 * seconds),
            format!("{:.1} G/s", rate / 1e9),
            share.map_or_else(String::new, |share| percent(share, 1)),
            ratio(times.median),
            ratio(times.low),
            ratio(times.high),
            error.map_or_else(String::new, |error| percent(error, 2)),
            part.map_or_else(String::new, |part| format!("{} of {}", part.rows, part.of)),
        ]);
    }
    let table = table.text(width());
    output::line(&format!("{case}, threads {threads}, rounds {rounds}\n{table}\n"))
}

/// Kernels that beat the first row, which is the one that is taken.
fn slower(timed: &Timed) -> Option<String> {
    let faster = |row: &&Row| 1.0 / row.times.high > ALLOWED;
    let row = timed.rows.iter().find(faster)?;
    let (case, name) = (&timed.case, &row.name);
    Some(format!("{case}: {} takes {:.2} times {name}", timed.rows[0].name, 1.0 / row.times.median))
}
