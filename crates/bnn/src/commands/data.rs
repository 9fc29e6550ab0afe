//! `bnn data`.

use std::path::Path;

use anyhow::{Context, Result};
use bnn_core::plain;
use bnn_data::download::{Failure, Fetched, FetchedFile, Observer, Options, Progress, fetch};
use bnn_data::{Error, FileState, Listing, Verified, VerifiedFile, catalog, verify};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::commands::DataDir;
use crate::output;

/// What stands below the options.
const EXAMPLES: &str = "\
Examples:
  bnn data list          what there is, and how to get it
  bnn data fetch mnist   11 MB into the cache folder
  bnn data verify mnist  are these the published files?";

/// List the data sets, fetch their files, and check the files that are here.
///
/// A data set is read from --data-dir if it is given; otherwise from $BNN_DATA, then from the user's
/// cache folder ($XDG_CACHE_HOME/bnn or ~/.cache/bnn); there or in the subfolder named as the set.
/// Nothing is fetched but by `bnn data fetch`.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    List(List),
    Fetch(Fetch),
    Verify(Verify),
}

/// List all data sets: what each is, where it lies, or how to get it.
#[derive(clap::Args)]
struct List {
    /// Print JSON, one data set per line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data_dir: DataDir,
}

/// Fetch the files of a data set from the servers that publish them.
///
/// They go into --data-dir if it is given, else into $BNN_DATA, else into the user's cache folder;
/// there into the subfolder named as the set. Files that are there and right are kept. A file gets
/// its name when its SHA-256 is right; until then it is NAME.part, and after an interruption the same
/// command goes on there. Servers are tried in turn (`bnn data list --json` names them).
///
/// Example: bnn data fetch mnist --data-dir data
#[derive(clap::Args)]
struct Fetch {
    /// Data set, such as `mnist`.
    name: String,
    /// Folder on a server that holds the files, instead of the known ones; may be given repeatedly.
    #[arg(long, value_name = "URL", value_parser = address)]
    mirror: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data_dir: DataDir,
}

/// Compare the files of a data set with the published ones, by length and SHA-256.
///
/// Compressed files are compared by what they unpack to. The exit code is 1 if a file is wrong and
/// 3 if one is missing.
///
/// Example: bnn data verify mnist
#[derive(clap::Args)]
struct Verify {
    /// Data set, such as `mnist`.
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data_dir: DataDir,
}

/// Does what is asked for.
pub fn run(args: &Args) -> Result<()> {
    match &args.action {
        Action::List(args) => run_list(args),
        Action::Fetch(args) => run_fetch(args),
        Action::Verify(args) => run_verify(args),
    }
}

fn run_list(args: &List) -> Result<()> {
    for Listing { name, about, place, mirrors } in catalog(&args.data_dir.lookup()) {
        let (state, place) = match place {
            Ok(place) => ("here", place),
            Err(error @ Error::Missing { .. }) => ("absent", error.to_string()),
            Err(error) => ("broken", format!("{:#}", anyhow::Error::from(error))),
        };
        if args.json {
            let key = if state == "here" { "place" } else { "why" };
            let mut row =
                json!({ "name": name, "about": about, "state": state, "mirrors": mirrors });
            row[key] = json!(place);
            output::json(&row)?;
        } else {
            let place = plain(&place);
            output::text(&format!("{name:<12}  {about}\n{:14}{state}: {place}", ""))?;
        }
    }
    Ok(())
}

/// The address of a folder on a server.
fn address(text: &str) -> Result<String, String> {
    if !["https://", "http://"].iter().any(|scheme| text.starts_with(scheme)) {
        return Err("an address begins with https:// or http://".into());
    }
    Ok(text.into())
}

fn run_fetch(args: &Fetch) -> Result<()> {
    let options = Options { mirrors: args.mirror.clone(), ..Options::default() };
    let bar = output::bar("{msg} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left")?;
    let mut watch = Watch { bar, failures: vec![] };
    let fetched = fetch(&args.name, &args.data_dir.lookup(), &options, &mut watch);
    watch.bar.finish_and_clear();
    let fetched = fetched?; // its error tells the failures itself
    for Failure { url, why } in &watch.failures {
        output::note(&format!("{}: {}; another server had it", plain(url), plain(why)));
    }
    if args.json { output::json(&fetched_json(&fetched)) } else { fetched_lines(&fetched) }
}

/// Shows how a download goes on.
struct Watch {
    bar: ProgressBar,
    failures: Vec<Failure>,
}

impl Observer for Watch {
    fn progress(&mut self, progress: &Progress<'_>) {
        self.bar.set_message(progress.file.to_string());
        self.bar.set_length(progress.total.unwrap_or(progress.received));
        self.bar.set_position(progress.received);
    }

    fn failed(&mut self, failure: &Failure) {
        self.failures.push(failure.clone());
    }
}

fn fetched_lines(Fetched { name, folder, files }: &Fetched) -> Result<()> {
    let Some(folder) = folder else {
        return no_files(name);
    };
    for FetchedFile { path, from } in files {
        let from = from.as_ref().map_or("was here".into(), |url| format!("from {url}"));
        output::line(&format!("{}: {}", printed(path), plain(&from)))?;
    }
    output::text(&format!("{name} is in {}", printed(folder)))
}

fn fetched_json(Fetched { name, folder, files }: &Fetched) -> Value {
    let file = |FetchedFile { path, from }: &FetchedFile| {
        let state = if from.is_some() { "fetched" } else { "kept" };
        json!({ "path": path, "state": state, "from": from })
    };
    let files: Vec<_> = files.iter().map(file).collect();
    json!({ "name": name, "folder": folder, "files": files })
}

fn no_files(name: &str) -> Result<()> {
    output::line(&format!("{name} has no published files"))
}

fn run_verify(args: &Verify) -> Result<()> {
    let verified = verify(&args.name, &args.data_dir.lookup())?;
    if args.json {
        output::json(&verified_json(&verified))?;
    } else {
        verified_lines(&verified)?;
    }
    let bad = verified.files.iter().filter(|file| file.state != FileState::Right).count();
    let all = verified.files.len();
    verified.result().with_context(|| format!("{bad} of {all} files are not as published"))
}

fn verified_lines(Verified { name, files, .. }: &Verified) -> Result<()> {
    if files.is_empty() {
        return no_files(name);
    }
    for VerifiedFile { name, path, state } in files {
        let place = path.as_ref().map_or(name.to_string(), |path| printed(path));
        output::line(&match state {
            FileState::Right => format!("ok       {place}"),
            FileState::Wrong(why) => format!("wrong    {place}: {}", plain(why)),
            FileState::Missing => format!("missing  {place}"),
        })?;
    }
    Ok(())
}

fn verified_json(Verified { name, looked, files, .. }: &Verified) -> Value {
    let file = |VerifiedFile { name, path, state }: &VerifiedFile| {
        let (state, why) = match state {
            FileState::Right => ("ok", None),
            FileState::Wrong(why) => ("wrong", Some(why)),
            FileState::Missing => ("missing", None),
        };
        json!({ "name": name, "path": path, "state": state, "why": why })
    };
    let files: Vec<_> = files.iter().map(file).collect();
    json!({ "name": name, "looked": looked, "files": files })
}

/// A path as it can be printed.
fn printed(path: &Path) -> String {
    plain(&path.display().to_string()).into_owned()
}
