//! `bnn backends`.

use anyhow::Result;

use crate::output;

/// List the backends of this build, and why one cannot be used here.
///
/// Example: bnn backends
#[derive(clap::Args)]
pub struct Args {
    /// Print JSON, one backend per line.
    #[arg(long)]
    json: bool,
}

/// Prints one line per backend.
pub fn run(args: &Args) -> Result<()> {
    for backend in bnn::backends() {
        if args.json {
            output::json(&backend)?;
            continue;
        }
        let mark = if backend.usable { "usable" } else { "absent" };
        output::text(&format!("{:<14} {mark}  {}", backend.name, backend.note))?;
    }
    Ok(())
}
