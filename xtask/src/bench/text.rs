//! Tables of an experiment that times kernels.

use super::record::Bench;
use super::timings::{Network, Row, Timed};
use crate::matrix::file_safe;
use crate::summary::percent;
use crate::table::Table;

/// How the times were taken.
pub fn how(bench: &Bench) -> String {
    let on = if bench.is_gpu() {
        "on one GPU; operands of products lay there, networks read bytes on the host and left scores \
         there"
    } else {
        "on one thread"
    };
    format!(
        "Contenders took turns {on}; results were checked first. Times are medians, ratios are \
         medians of the ratios within a round (95 % interval)."
    )
}

/// Name of the file with a plot.
pub fn plot(bench: &Bench, kind: &str) -> String {
    file_safe(&format!("{}.{kind}.svg", bench.id()))
}

/// The section of a document; `curves` is where the plots lie, as seen from it.
pub fn section(bench: &Bench, curves: &str) -> String {
    let (Bench { title, paper, .. }, id) = (bench, bench.id());
    let product = &bench.timings.product;
    let [bars, roofline] =
        ["bars", "roofline"].map(|kind| format!("{curves}/{}", plot(bench, kind)));
    let mut text = format!("\n### {id}: {title}\n\n[Bars]({bars}), [roofline]({roofline}).\n");
    text += &format!(
        "{}\nIn the paper: {paper}\n\n(a) The product `{}`:\n\n",
        how(bench),
        product.case
    );
    text += &products(&[product]).markdown();
    text += &compared(bench).map_or_else(String::new, |table| {
        format!("\nIts factors beside the paper's, of a GTX 750:\n\n{}", table.markdown())
    });
    text += &network(bench);
    text += if bench.is_gpu() {
        "\nSingle cases:\n\n"
    } else {
        "\nSingle cases; the bound is popcount, or reading the weights for a single row:\n\n"
    };
    text += &products(&bench.timings.cases.iter().collect::<Vec<_>>()).markdown();
    text + &deviations(bench) + &format!("\nProvenance: {}\n", provenance(bench))
}

/// The tables with their captions: the product, the network where it ran, single cases.
pub fn tables(bench: &Bench) -> Vec<(String, Table)> {
    let Bench { timings, what, .. } = bench;
    let product = &timings.product;
    let mut all = vec![(format!("(a) The product {}", product.case), products(&[product]))];
    let caption = || "Its factors beside the paper's, of a GTX 750".to_owned();
    all.extend(compared(bench).map(|table| (caption(), table)));
    if let Some(timed) = timings.network.timed() {
        let (cell, data) = (cell(bench), &what.network.data);
        let caption =
            format!("(b), (c) The trained network of {cell} on all test images of {data}");
        all.push((caption, images(timed)));
    }
    all.push(("Single cases".into(), products(&timings.cases.iter().collect::<Vec<_>>())));
    all
}

/// Why the network was not timed, if it was not.
pub fn missing(bench: &Bench) -> Option<String> {
    match &bench.timings.network {
        Network::NotRun(why) => {
            Some(format!("(b), (c) The network of {}: not run: {why}", cell(bench)))
        }
        Network::Done { .. } => None,
    }
}

/// The summary for a terminal.
pub fn terminal(bench: &Bench) -> String {
    let text =
        format!("{}: {}\n{}", bench.id(), bench.title, products(&[&bench.timings.product]).text());
    match &bench.timings.network {
        Network::Done { timed, .. } => text + &images(timed).text(),
        Network::NotRun(why) => text + &format!("{} not run: {why}\n", cell(bench)),
    }
}

/// Seconds with a unit that keeps them short.
pub fn time(seconds: f64) -> String {
    match seconds {
        1.0.. => format!("{seconds:.2} s"),
        1e-3.. => format!("{:.2} ms", 1e3 * seconds),
        _ => format!("{:.1} us", 1e6 * seconds),
    }
}

/// Multiply-adds per second with a unit that keeps them short.
pub fn rate(rate: f64) -> String {
    let (figure, unit) = if rate < 1e12 { (rate / 1e9, "G/s") } else { (rate / 1e12, "T/s") };
    let figure = if figure < 10.0 { format!("{figure:.2}") } else { format!("{figure:.0}") };
    let figure = if figure.contains('.') {
        figure.trim_end_matches('0').trim_end_matches('.')
    } else {
        &figure
    };
    format!("{figure} {unit}")
}

/// Bytes of a block, a power of two.
pub fn block(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{} KiB", bytes >> 10) } else { format!("{} MiB", bytes >> 20) }
}

fn products(all: &[&Timed]) -> Table {
    let mut table = Table::new([
        "case",
        "per byte",
        "contender",
        "time",
        "times ours",
        "multiply-adds",
        "of the bound",
    ]);
    for timed in all {
        for row in &timed.rows {
            table.add([
                timed.case.clone(),
                timed.intensity().map_or_else(|| "-".into(), |intensity| format!("{intensity:.0}")),
                contender(row),
                time(row.seconds),
                times(row),
                rate(row.rate),
                row.share.map_or_else(|| "-".into(), |share| format!("{:.1} %", 100.0 * share)),
            ]);
        }
    }
    table
}

/// On a GPU: how many times as fast as the paper's baseline and as cuBLAS signs are multiplied.
fn compared(bench: &Bench) -> Option<Table> {
    let rows = &bench.timings.product.rows;
    let seconds = |name: &str| rows.iter().find(|row| row.name == name).map(|row| row.seconds);
    let (baseline, cublas) = (seconds("paper f32")?, seconds("cuBLAS f32")?);
    let mut table = Table::new(["kernel", "times paper f32", "times cuBLAS f32", "in the paper"]);
    let ours = rows.first().map(|row| (row.name.as_str(), row.seconds, "-"));
    let theirs = seconds("paper XNOR").map(|time| ("paper XNOR", time, "23 and 3.4"));
    for (name, seconds, paper) in ours.into_iter().chain(theirs) {
        let times = |other: f64| format!("{:.1}", other / seconds);
        table.add([name.into(), times(baseline), times(cublas), paper.into()]);
    }
    Some(table)
}

fn images(timed: &Timed) -> Table {
    let mut table =
        Table::new(["contender", "time of all test images", "times ours", "test error %"]);
    for row in &timed.rows {
        let error = row.error.map_or_else(|| "-".into(), percent);
        table.add([contender(row), time(row.seconds), times(row), error]);
    }
    table
}

/// The name, and what was computed if it was not all.
fn contender(row: &Row) -> String {
    let part = row.part.map(|part| format!(" ({} of {} rows, scaled)", part.rows, part.of));
    row.name.clone() + &part.unwrap_or_default()
}

fn times(row: &Row) -> String {
    let times = row.times;
    format!("{:.2} ({:.2} to {:.2})", times.median, times.low, times.high)
}

fn network(bench: &Bench) -> String {
    let (cell, data) = (cell(bench), &bench.what.network.data);
    match &bench.timings.network {
        Network::NotRun(why) => format!("\n(b), (c) The network of {cell}: not run: {why}\n"),
        Network::Done { timed, .. } => format!(
            "\n(b), (c) The trained network of {cell} on all test images of {data}, a thousand at a \
             time; all scores are equal in every bit:\n\n{}",
            images(timed).markdown()
        ),
    }
}

fn cell(bench: &Bench) -> String {
    bench.what.network.key(&bench.tier).name()
}

fn deviations(bench: &Bench) -> String {
    let list: String =
        bench.what.deviations.iter().map(|deviation| format!("- {deviation}\n")).collect();
    format!("\nDeviations from the paper:\n\n{list}")
}

/// Where the figures come from.
pub fn provenance(bench: &Bench) -> String {
    let origin = &bench.origin;
    let model = match &bench.timings.network {
        Network::Done { model, .. } => format!("model {model}; "),
        Network::NotRun(_) => String::new(),
    };
    let (machine, revision) = (&origin.machine, &origin.revision);
    let date: String = bench.date.chars().take(10).collect();
    let seconds = bench.seconds;
    let on = if bench.is_gpu() { "one GPU" } else { "one thread" };
    format!("{on}; {machine}; commit {revision}; {model}{date}; {seconds:.0} s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::tests::{sample, sample_gpu};

    #[test]
    fn tables_say_what_was_scaled_and_what_was_not_run() {
        let bench = sample();
        insta::assert_snapshot!(section(&bench, "results/quick/curves"));
        let mut without = bench;
        without.timings.network = Network::NotRun("no `mnist`: set BNN_DATA".into());
        insta::assert_snapshot!(terminal(&without));
    }

    #[test]
    fn a_gpu_has_a_section_of_its_own() {
        insta::assert_snapshot!(section(&sample_gpu(), "results/quick/curves"));
    }

    #[test]
    fn units_keep_figures_short() {
        assert_eq!([time(2.5), time(0.0125), time(3.25e-5)], ["2.50 s", "12.50 ms", "32.5 us"]);
        let rates = [rate(1e9), rate(1.2e9), rate(1e11), rate(1.25e12)];
        assert_eq!(rates, ["1 G/s", "1.2 G/s", "100 G/s", "1.25 T/s"]);
        assert_eq!([block(16 << 10), block(8 << 20)], ["16 KiB", "8 MiB"]);
    }
}
