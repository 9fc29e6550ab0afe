//! `bnn spec`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use bnn_core::plain;
use bnn_experiments::Experiment;
use bnn_train::Spec;
use serde_json::json;

use crate::commands::{in_tier, read_spec, source};
use crate::output;

/// What stands below the options.
const EXAMPLES: &str = "\
Examples:
  bnn spec --list
  bnn spec digits-mlp > my.toml
  bnn spec my.toml --tier quick --json";

/// Print a spec, built in or a file, once it is checked; or list those that are built in.
///
/// A spec is printed as it is written, with its comments and tiers, to be saved and changed. With
/// --tier or --resolved it is printed as it is understood: one setting, every default written out.
///
/// Where a file has the name of a built-in spec, the file is taken, which is said.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// A spec file, or the name of a built-in spec.
    #[arg(required_unless_present = "list")]
    spec: Option<PathBuf>,
    /// List the built-in specs: name, data sets, tiers, title.
    #[arg(long, conflicts_with_all = ["spec", "tier", "resolved"])]
    list: bool,
    /// Tier whose overrides apply.
    #[arg(long)]
    tier: Option<String>,
    /// Print it as it is understood, without a tier's overrides if none is named.
    #[arg(long)]
    resolved: bool,
    /// Print JSON; a tier that the spec lacks is then no error, but `tier` is null.
    #[arg(long)]
    json: bool,
}

/// Prints the spec, or the list.
pub fn run(args: &Args) -> Result<()> {
    let Some(path) = &args.spec else { return list(args.json) };
    if args.json {
        return print_json(&read_spec(path)?, args.tier.as_deref());
    }
    let text = source::text(path)?;
    let spec = Spec::parse(&path.display().to_string(), &text)?;
    if args.resolved || args.tier.is_some() {
        return print_resolved(&spec, path, args.tier.as_deref());
    }
    output::line(text.trim_end_matches('\n'))
}

fn print_resolved(file: &Spec, path: &Path, tier: Option<&str>) -> Result<()> {
    let resolved = tier.map_or_else(|| Ok(file.clone()), |tier| in_tier(file, path, tier))?;
    let tier = tier.map_or_else(String::new, |tier| format!(", tier {tier}"));
    output::line(&format!("# {}{}", plain(&file.name), plain(&tier)))?;
    output::line(resolved.to_toml()?.trim_end())
}

fn print_json(file: &Spec, tier: Option<&str>) -> Result<()> {
    let resolved = tier.map_or_else(|| Ok(Some(file.clone())), |tier| file.tier(tier))?;
    let tiers: Vec<&String> = file.tiers.keys().collect();
    let mut value = json!({ "name": file.name, "title": file.title, "tiers": tiers, "tier": null });
    if let Some(spec) = &resolved {
        value["tier"] = json!(tier);
        for key in ["data", "backends", "seeds", "deviations", "expect"] {
            value[key] = serde_json::to_value(spec)?[key].clone();
        }
        value["epochs"] = json!(spec.last_epoch());
        value["spec"] = serde_json::to_value(spec)?;
    }
    output::json(&value)
}

fn list(json: bool) -> Result<()> {
    for Experiment { name, text } in bnn_experiments::ALL {
        let Spec { title, data, tiers, .. } = Spec::parse(name, text)?;
        let tiers: Vec<&String> = tiers.keys().collect();
        if json {
            output::json(&json!({ "name": name, "title": title, "data": data, "tiers": tiers }))?;
            continue;
        }
        let tiers = tiers.iter().map(|tier| tier.as_str()).collect::<Vec<_>>().join(", ");
        output::line(&format!("{name}: {}; {tiers}", data.join(", ")))?;
        output::text(&format!("    {title}"))?;
    }
    Ok(())
}
