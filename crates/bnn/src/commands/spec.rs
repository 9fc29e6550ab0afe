//! `bnn spec`.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::commands::read_spec;
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
    /// Print JSON; `tier` is null if the spec is not in that tier.
    #[arg(long)]
    json: bool,
}

/// Prints the spec.
pub fn run(args: &Args) -> Result<()> {
    let file = read_spec(&args.file)?;
    let resolved = match &args.tier {
        Some(tier) => file.tier(tier)?,
        None => Some(file.clone()),
    };
    let tiers: Vec<&String> = file.tiers.keys().collect();
    if args.json {
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
    let tiers = tiers.iter().map(|tier| tier.as_str()).collect::<Vec<_>>().join(", ");
    output::line(&format!("{} ({}), in the tiers: {tiers}", file.name, file.title))?;
    match &resolved {
        Some(spec) => output::line(toml_text(spec)?.trim_end()),
        None => {
            output::line(&format!("not in the tier {}", args.tier.as_deref().unwrap_or_default()))
        }
    }
}

fn toml_text(spec: &bnn_train::Spec) -> Result<String> {
    Ok(spec.to_toml()?)
}
