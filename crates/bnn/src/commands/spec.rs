//! `bnn spec`.

use std::path::PathBuf;

use anyhow::Result;
use bnn_core::plain;
use serde_json::json;

use crate::commands::{in_tier, read_spec};
use crate::output;

/// Check a spec file and print what it says, with the overrides of a tier applied.
///
/// Example: bnn spec experiments/mnist-mlp.toml --tier short --json
#[derive(clap::Args)]
pub struct Args {
    /// The spec file.
    file: PathBuf,
    /// Tier whose overrides apply.
    #[arg(long)]
    tier: Option<String>,
    /// Print JSON; a tier that the spec lacks is then no error, but `tier` is null.
    #[arg(long)]
    json: bool,
}

/// Prints the spec.
pub fn run(args: &Args) -> Result<()> {
    let file = read_spec(&args.file)?;
    let tiers: Vec<&String> = file.tiers.keys().collect();
    if args.json {
        let resolved = match &args.tier {
            Some(tier) => file.tier(tier)?,
            None => Some(file.clone()),
        };
        let mut value =
            json!({ "name": file.name, "title": file.title, "tiers": tiers, "tier": null });
        if let Some(spec) = &resolved {
            value["tier"] = json!(args.tier);
            for key in ["data", "backends", "seeds", "deviations", "expect"] {
                value[key] = serde_json::to_value(spec)?[key].clone();
            }
            value["epochs"] = json!(spec.last_epoch());
            value["spec"] = serde_json::to_value(spec)?;
        }
        return output::json(&value);
    }
    let resolved = match &args.tier {
        Some(tier) => in_tier(&file, &args.file, tier)?,
        None => file.clone(),
    };
    let tiers = tiers.iter().map(|tier| tier.as_str()).collect::<Vec<_>>().join(", ");
    let (name, title) = (plain(&file.name), plain(&file.title));
    output::line(&format!("{name} ({title}), in the tiers: {}", plain(&tiers)))?;
    output::line(resolved.to_toml()?.trim_end())
}
