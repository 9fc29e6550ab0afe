//! Sums of products of reals, of a tile of sixteen rows and [`WIDE`] columns.
//!
//! Every sum of a tile adds its products one after the other, whatever the width of the registers and
//! however many sums share them. What is left is how a product is added: `avx512`, `avx2` and `neon`
//! round once, by a fused multiply-add that each of these needs; `popcnt` and `portable` round the
//! product and then the sum, as any processor does. So a kernel's name decides every bit of a sum, on
//! every processor that can run it.

use super::{LINE, Line};

/// Columns of a tile.
pub(crate) const WIDE: usize = 2 * LINE;

/// Columns of a tile side by side.
pub(crate) type Wide = [f32; WIDE];

/// The sums of a tile.
pub(crate) type Tile = [Wide; LINE];

/// Rows of the left operand that meet columns of the right one.
pub(crate) struct Products<'a> {
    /// For every term of the sums, the entries of the rows.
    pub(crate) a: &'a [Line],
    /// For every term, the entries of the columns.
    pub(crate) b: &'a [Wide],
    /// Rows in use; sums of those behind them are nobody's.
    pub(crate) rows: usize,
    /// Columns in use.
    pub(crate) cols: usize,
}
