//! The paper's tables 2 and 3, with what they say of our networks.

use super::element::{absent, cells, heading, list, paragraph};
use crate::counts::{Counts, Layer, Network, Traffic};
use crate::energy::{MEMORIES, OPERATIONS, accesses, of_bits, range, text};

/// What a layer moves in one form.
type Form = fn(&Layer) -> Traffic;

/// The three forms of a network, and the traffic of each.
const FORMS: [(&str, Form); 3] = [
    ("bits", |layer| layer.own),
    ("8-bit integers", |layer| layer.int8),
    ("f32", |layer| layer.f32),
];

/// Both tables, for every network whose products are all of bits.
pub fn section(counts: Option<&Counts>) -> String {
    let Some(counts) = counts else {
        return absent("not run: `cargo xtask reproduce` counts the networks");
    };
    let networks: Vec<&Network> =
        counts.networks.iter().filter(|network| of_bits(network).is_some()).collect();
    let mut page = paragraph(
        "Estimates, not measurements: operations and memory accesses of one image, counted on the \
         networks of the paper's size, times the energies that the paper takes from Horowitz (2014) \
         for 45 nm. Every weight and activation crosses once, the least that any machine must move. \
         The formulas are in `docs/energy.md`.",
    );
    if networks.is_empty() {
        page += &absent("not run: no network of bits was counted");
    } else {
        page += &heading("Table 2: energy of multiply-adds");
        page += &operations(&networks);
        page += &heading("Table 3: energy of memory accesses");
        page += &networks.iter().map(|network| memory(network)).collect::<String>();
    }
    page + &list(&skipped(counts))
}

/// The experiments that have a network.
fn name(network: &Network) -> String {
    network.specs.join(", ")
}

/// The paper's rows, and the energy that each would take for all multiply-adds of a network.
fn operations(networks: &[&Network]) -> String {
    let mut head = vec!["operation".into(), "MUL, paper".into(), "ADD, paper".into()];
    head.extend(networks.iter().map(|network| name(network)));
    let paper = OPERATIONS.iter().map(|(operation, multiply, add)| {
        let mut row = vec![(*operation).into(), format!("{multiply} pJ"), format!("{add} pJ")];
        let all = |network: &&Network| text(network.multiply_adds() as f64 * (multiply + add));
        row.extend(networks.iter().map(all));
        row
    });
    let mut bits = vec!["bits, XOR and popcount (our estimate)".into(), "-".into(), "-".into()];
    bits.extend(networks.iter().map(|network| of_bits(network).map_or("-".into(), text)));
    let mut count = vec!["multiply-adds of an image".into(), "-".into(), "-".into()];
    count.extend(networks.iter().map(|network| grouped(network.multiply_adds())));
    cells(&head, &paper.chain([bits, count]).collect::<Vec<_>>())
}

/// Accesses of a network in every form, and their energy by where all of them end.
fn memory(network: &Network) -> String {
    let mut head = vec![name(network), "paper, 64 bits".into()];
    head.extend(FORMS.map(|(form, _)| form.into()));
    let traffic = FORMS.map(|(_, form)| network.traffic(form));
    let counted = |name: &str, of: fn(&Traffic) -> u64| {
        let mut row = vec![name.into(), "-".into()];
        row.extend(traffic.iter().map(|traffic| grouped(of(traffic))));
        row
    };
    let mut rows = vec![
        counted("bits of weights", |traffic| traffic.weights),
        counted("bits of activations read", |traffic| traffic.read),
        counted("bits of activations written", |traffic| traffic.written),
        counted("accesses of 64 bits", |traffic| accesses(traffic.bits()).round() as u64),
    ];
    for (memory, energy) in MEMORIES {
        let mut row = vec![format!("all from {memory}"), range(energy)];
        let all = |traffic: &Traffic| range(energy.map(|each| each * accesses(traffic.bits())));
        row.extend(traffic.iter().map(all));
        rows.push(row);
    }
    cells(&head, &rows)
}

fn skipped(counts: &Counts) -> Vec<String> {
    counts.skipped.iter().map(|why| format!("not counted: {why}")).collect()
}

/// A number with separators: `36,806,656`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts::tests::sample;

    #[test]
    fn the_papers_figures_stand_beside_ours() {
        insta::assert_snapshot!(section(Some(&sample())));
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 36_806_656].map(grouped), ["0", "999", "1,000", "36,806,656"]);
    }
}
