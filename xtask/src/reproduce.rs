//! `cargo xtask reproduce`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};

use crate::bench::{self, Bench, Stand};
use crate::bnn::{Bnn, Place};
use crate::cell::{self, Outcome};
use crate::machine::{self, Machine};
use crate::matrix::{self, Cell, Choice, Only};
use crate::progress::Progress;
use crate::record::{self, Origin, Record};
use crate::summary::{Entry, Row, State, Verdict, percent, rows};
use crate::{atomic, folder, report};

/// Run the experiments, compare them with the paper, and write a report.
///
/// A cell is one experiment on one data set, backend and seed: `<spec>.<data>.<backend>.s<seed>`.
/// Finished cells are kept: the same command goes on where it was interrupted, within a cell too,
/// and runs again only what changed. Cells whose data set or backend is not here are listed as not run.
/// Behind the cells, `kernels` times a large product and a trained network by all kernels.
///
///     cargo xtask reproduce                                   # the quick tier
///     cargo xtask reproduce --tier smoke                      # everything once, small
///     cargo xtask reproduce --only '*.digits.*' --seeds 1     # what needs no file
///     cargo xtask reproduce --tier short --data-dir ~/mnist   # MNIST from a folder
///     cargo xtask reproduce --only kernels                    # the paper's Figure 3
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Size of the experiments.
    #[arg(long, default_value = "quick", value_parser = ["smoke", "quick", "short", "paper"])]
    tier: String,
    /// Run only the cells whose names match.
    #[arg(long, value_name = "GLOB")]
    only: Option<String>,
    /// Run on this backend instead of those of the specs.
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// Run the first N seeds of each spec; all by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    seeds: Option<u16>,
    /// Folder of the data sets; otherwise $BNN_DATA, then the user's cache folder.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Run again what is already there.
    #[arg(long)]
    fresh: bool,
    /// Folder of the results [default: target/reproduce].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Features to build `bnn` with, besides its default ones.
    #[arg(long, value_name = "NAMES")]
    features: Option<String>,
    /// Use this binary instead of building one.
    #[arg(long, hide = true, value_name = "PATH")]
    bnn: Option<PathBuf>,
}

/// The command was ended from the keyboard; what had been finished is kept.
#[derive(Debug)]
pub struct Interrupted;

/// All that the cells of one command share.
struct Session<'a> {
    args: &'a Args,
    bnn: Bnn,
    /// Folder of the tier's results.
    folder: PathBuf,
    origin: Origin,
    stop: Arc<AtomicBool>,
}

impl std::error::Error for Interrupted {}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "interrupted; what was done is kept, and the same command goes on from there")
    }
}

/// Runs the cells.
///
/// # Errors
/// Broken specs, cells that fail, expectations that are missed, an unwritable folder,
/// [`Interrupted`].
pub fn run(args: &Args, root: &Path) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| root.join("target/reproduce"));
    let folder = record::tier_folder(&out, &args.tier);
    atomic::folder(&folder)?;
    let bnn = match &args.bnn {
        Some(path) => Bnn::at(path.clone())?,
        None => Bnn::build(root, args.features.as_deref(), args.backend.as_deref())?,
    };
    let plans = bnn.plans(&spec_files(root)?, &args.tier)?;
    let choice = Choice { backend: args.backend.clone(), seeds: args.seeds.map(usize::from) };
    let cells = matrix::expand(plans, &args.tier, &choice);
    let only = Only::new(args.only.as_deref())?;
    let names: Vec<String> = cells.iter().map(|cell| cell.key.name()).collect();
    let timings = bench::plans(root, &args.tier, args.backend.as_deref())?;
    let timed = timings.iter().map(|plan| plan.name.as_str());
    only.check(names.iter().map(String::as_str).chain(timed))?;
    let origin = Origin {
        binary: bnn.digest.clone(),
        revision: machine::revision(root),
        machine: Machine::here(),
    };
    let session = Session { args, bnn, folder, origin, stop: stop_flag()? };
    let (chosen, others) =
        cells.iter().partition::<Vec<&Cell>, _>(|cell| only.takes(&cell.key.name()));
    let entries = session.cells(&chosen)?;
    let kept = session.kept(&others)?;
    let (benches, faults) = session.benches(&timings, &only)?;
    session.report(&cells, &entries, kept, &benches)?;
    judge(&rows(entries), faults)
}

impl Session<'_> {
    /// Runs the cells in turn; the failure of one does not end the others.
    fn cells(&self, cells: &[&Cell]) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for (i, cell) in cells.iter().enumerate() {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Interrupted.into());
            }
            let state = self.cell(cell, &format!("{}/{}", i + 1, cells.len()))?;
            entries.push(Entry { key: cell.key.clone(), about: cell.plan.about.clone(), state });
        }
        Ok(entries)
    }

    fn cell(&self, cell: &Cell, place: &str) -> Result<State> {
        let progress = Progress::new(place, &cell.key.name())?;
        if let Some(record) = self.current(cell)?.filter(|_| !self.args.fresh) {
            progress.end(&format!("up to date, test error {} %", percent(record.done.test_error)));
            return Ok(State::Done(Box::new(record)));
        }
        let out = self.folder.join("runs").join(cell.key.name());
        let hash = record::fingerprint(&cell.key, &cell.plan.about.spec, &self.origin.binary);
        let resume = resumes(&out, &hash, self.args.fresh)?;
        let run = Place { out: &out, data_dir: self.args.data_dir.as_deref(), resume };
        let mut command = self.bnn.train(&cell.plan.file, &cell.key, &run);
        match cell::run(&mut command, &self.stop, &mut |event| progress.show(event))? {
            Outcome::Done { curve, done } => {
                let (key, about) = (cell.key.clone(), cell.plan.about.clone());
                let record = Record::new(key, about, self.origin.clone(), curve, done);
                record.write(&self.folder)?;
                let (error, seconds) = (percent(record.done.test_error), record.done.seconds);
                progress.end(&format!("test error {error} % after {seconds:.1} s"));
                Ok(State::Done(Box::new(record)))
            }
            Outcome::NotRun(why) => {
                progress.end(&format!("not run: {why}"));
                Ok(State::NotRun(why))
            }
            Outcome::Failed(why) => {
                progress.end(&format!("failed: {why}"));
                Ok(State::Failed)
            }
            Outcome::Interrupted => Err(Interrupted.into()),
        }
    }

    /// The result of a cell if it is still what the cell would give.
    fn current(&self, cell: &Cell) -> Result<Option<Record>> {
        let about = &cell.plan.about;
        let hash = record::fingerprint(&cell.key, &about.spec, &self.origin.binary);
        // A file of another version, or a damaged one, is replaced like one of another binary.
        let record = Record::read(&record::path(&self.folder, &cell.key)).ok();
        let Some(mut record) = record.filter(|record| record.hash == hash) else { return Ok(None) };
        if record.retitle(about) {
            record.write(&self.folder)?;
        }
        Ok(Some(record))
    }

    /// Results of earlier commands that are still current.
    fn kept(&self, cells: &[&Cell]) -> Result<Vec<Entry>> {
        let records = cells.iter().map(|cell| self.current(cell));
        let records = records.collect::<Result<Vec<_>>>()?;
        Ok(records.into_iter().flatten().map(Entry::from).collect())
    }

    /// Times kernels where that is chosen; the results, and what failed.
    fn benches(&self, plans: &[bench::Plan], only: &Only) -> Result<(Vec<Bench>, Vec<String>)> {
        let Self { bnn, folder, origin, stop, args } = self;
        let data_dir = args.data_dir.as_deref();
        Stand { bnn, folder, origin, data_dir, stop }.run(plans, only, args.fresh)
    }

    /// Prints the table of this command; writes the document and the plots of the whole tier.
    fn report(
        &self,
        cells: &[Cell],
        entries: &[Entry],
        kept: Vec<Entry>,
        benches: &[Bench],
    ) -> Result<()> {
        let mut all = [entries, &kept].concat();
        all.sort_by_key(|entry| cells.iter().position(|cell| cell.key == entry.key));
        let all = rows(all);
        let plots = self.folder.join("curves");
        report::draw(&all.iter().collect::<Vec<_>>(), &plots)?;
        benches.iter().try_for_each(|bench| bench::draw(bench, &plots))?;
        let intro = "This file is generated by `cargo xtask reproduce`.";
        let path = self.folder.join("RESULTS.md");
        atomic::write(&path, &report::document(&all, benches, intro, &|_| "curves".into()))?;
        if !entries.is_empty() {
            println!("\n{}", report::terminal(&rows(entries.iter().cloned())));
        }
        benches.iter().for_each(|bench| println!("{}", bench::terminal(bench)));
        println!("{}", path.display());
        Ok(())
    }
}

/// Whether the run in a folder was interrupted and would give the result of this fingerprint.
///
/// A checkpoint that is not to be used is removed, and the folder notes whose the next one is.
fn resumes(out: &Path, hash: &str, fresh: bool) -> Result<bool> {
    let (note, checkpoint) = (out.join("fingerprint"), out.join("checkpoint.safetensors"));
    let there = checkpoint.exists();
    let ours = std::fs::read_to_string(&note).is_ok_and(|text| text.trim_end() == hash);
    if there && ours && !fresh {
        return Ok(true);
    }
    if there {
        std::fs::remove_file(&checkpoint).with_context(|| checkpoint.display().to_string())?;
    }
    atomic::write(&note, &format!("{hash}\n"))?;
    Ok(false)
}

/// Fails if a cell or a timing failed, or if the mean of a row is not what was expected.
fn judge(rows: &[Row], failed_timings: Vec<String>) -> Result<()> {
    let failed: usize = rows.iter().map(|row| row.failed).sum();
    let mut faults: Vec<String> = rows.iter().flat_map(Row::misses).chain(failed_timings).collect();
    if failed > 0 {
        let names = rows.iter().filter(|row| row.verdict() == Verdict::Failed).map(Row::name);
        faults.push(format!("{failed} cells failed, of {}", Vec::from_iter(names).join(", ")));
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// The experiments, by name.
fn spec_files(root: &Path) -> Result<Vec<PathBuf>> {
    let folder = root.join("experiments");
    let folder = folder.strip_prefix(".").unwrap_or(&folder);
    let mut files = folder::children(folder)?;
    files.retain(|path| folder::is(path, "toml"));
    if files.is_empty() {
        bail!("{} holds no experiment (*.toml)", folder.display());
    }
    Ok(files)
}

/// A flag that Ctrl-C sets; the running child hears the signal itself.
fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_checkpoint_of_the_same_cell_is_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("runs/mlp");
        let checkpoint = out.join("checkpoint.safetensors");
        assert!(!resumes(&out, "a", false).unwrap(), "nothing is there");
        std::fs::write(&checkpoint, "").unwrap();
        assert!(resumes(&out, "a", false).unwrap());
        for (hash, fresh) in [("b", false), ("b", true)] {
            assert!(!resumes(&out, hash, fresh).unwrap(), "{hash} {fresh}");
            assert!(!checkpoint.exists(), "`bnn train` would refuse to overwrite it");
            std::fs::write(&checkpoint, "").unwrap();
        }
        assert!(resumes(&out, "b", false).unwrap());
    }
}
