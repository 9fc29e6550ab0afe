//! Energy estimates: counts of a network times the energies of the paper's tables 2 and 3, which it
//! takes from Horowitz (2014), for 45 nm. Nothing here is measured; `docs/energy.md` has the formulas.

use crate::counts::Network;

/// Energies of a multiplication and an addition in pJ (paper, table 2).
pub const OPERATIONS: [(&str, f64, f64); 4] = [
    ("8-bit integer", 0.2, 0.03),
    ("32-bit integer", 3.1, 0.1),
    ("16-bit float", 1.1, 0.4),
    ("32-bit float", 3.7, 0.9),
];

/// Energies of a 64-bit access in pJ, least and most (paper, table 3).
pub const MEMORIES: [(&str, [f64; 2]); 4] = [
    ("8 KB cache", [10.0, 10.0]),
    ("32 KB cache", [20.0, 20.0]),
    ("1 MB cache", [100.0, 100.0]),
    ("DRAM", [1300.0, 2600.0]),
];

/// Products of bits in a word.
const WORD: f64 = 32.0;
/// XOR, popcount and accumulation of a word, each taken as one addition of 32-bit integers. Our
/// estimate: the tables have no such row. A popcount of 32 bits is 31 full adders at most, as many as
/// an adder of 32 bits has, and XOR is less.
const WORD_ENERGY: f64 = 3.0 * 0.1;

/// Bits of a memory access.
const ACCESS: f64 = 64.0;

/// Energy of all products of bits, in pJ; none if a layer multiplies reals.
pub fn of_bits(network: &Network) -> Option<f64> {
    network.bit_products().map(|products| products as f64 / WORD * WORD_ENERGY)
}

/// Accesses of 64 bits for so many bits.
pub fn accesses(bits: u64) -> f64 {
    bits as f64 / ACCESS
}

/// An energy in pJ with a unit that keeps it short.
pub fn text(picojoules: f64) -> String {
    let (figure, unit) = match picojoules {
        1e9.. => (picojoules / 1e9, "mJ"),
        1e6.. => (picojoules / 1e6, "µJ"),
        1e3.. => (picojoules / 1e3, "nJ"),
        _ => (picojoules, "pJ"),
    };
    let decimals = match figure {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{figure:.decimals$} {unit}")
}

/// An energy from least to most.
pub fn range([least, most]: [f64; 2]) -> String {
    if least == most { text(least) } else { format!("{} to {}", text(least), text(most)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts::tests::sample;

    #[test]
    fn bits_are_counted_in_words() {
        let network = sample().networks.remove(0);
        assert!((of_bits(&network).unwrap() - 8000.0 / 32.0 * 0.3).abs() < 1e-9);
        assert_eq!(accesses(network.traffic(|layer| layer.own).bits()), 2120.0 / 64.0);
    }

    #[test]
    fn units_keep_energies_short() {
        let shown = [2.5, 2500.0, 1.693e8, 2.4e10].map(text);
        assert_eq!(shown, ["2.50 pJ", "2.50 nJ", "169 µJ", "24.0 mJ"]);
        assert_eq!(range([1300.0, 2600.0]), "1.30 nJ to 2.60 nJ");
        assert_eq!(range([10.0; 2]), "10.0 pJ");
    }
}
