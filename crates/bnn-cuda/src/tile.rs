//! The kernels of sign products, and which one suits a shape.

use bnn_core::{Error, Result};

use crate::cuda::Cuda;
use crate::device::{Arch, Kernel, Shape};

/// A kernel, with the tile that one of its blocks makes.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    pub(crate) kernel: Kernel,
    pub(crate) family: Arch,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Of a block.
    pub(crate) threads: u32,
    /// Bytes of dynamic shared memory.
    pub(crate) shared: u32,
    /// Whether the copy engine feeds it.
    pub(crate) copied: bool,
    /// Whether it takes one plane, several, or any number.
    planes: Option<bool>,
}

/// All kernels, those of the largest tiles first.
pub(crate) const TILES: [Tile; 8] = [
    hopper("hopper_256x192", 256, 192, 4, false),
    hopper("hopper_128x256", 128, 256, 4, false),
    hopper("hopper_128x128", 128, 128, 6, false),
    hopper("hopper_planes", 128, 128, 6, true),
    tensor("count_128x128", 128, 256),
    tensor("count_64x64", 64, 128),
    tensor("count_32x32", 32, 64),
    Tile {
        kernel: Kernel("product", "count_plain"),
        family: Arch::Plain,
        rows: 64,
        columns: 64,
        threads: 256,
        shared: 0,
        copied: false,
        planes: None,
    },
];

/// Columns of tiles of a launch.
const MOST_COLUMNS: usize = u16::MAX as usize;

/// Bytes of a row and stage in shared memory.
const STAGE_ROW: usize = 128;

const fn hopper(
    name: &'static str,
    rows: usize,
    columns: usize,
    stages: usize,
    planes: bool,
) -> Tile {
    Tile {
        kernel: Kernel("hopper", name),
        family: Arch::Hopper,
        rows,
        columns,
        threads: 384,
        shared: ((rows + columns) * STAGE_ROW * stages) as u32,
        copied: true,
        planes: Some(planes),
    }
}

const fn tensor(name: &'static str, side: usize, threads: u32) -> Tile {
    Tile {
        kernel: Kernel("tensor", name),
        family: Arch::Tensor,
        rows: side,
        columns: side,
        threads,
        shared: (2 * side * STAGE_ROW * 3) as u32,
        copied: false,
        planes: None,
    }
}

impl Tile {
    /// The kernel of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        TILES.into_iter().find(|tile| tile.name() == name)
    }

    /// The names of all kernels.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        TILES.iter().map(Self::name)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.kernel.1
    }

    /// The usable kernel of the least [`cost`](Self::cost), unless one was asked for.
    pub(crate) fn choose(cuda: &Cuda, shape: (usize, usize), words: usize, planes: usize) -> Self {
        let family = cuda.family();
        let usable = |tile: &&Self| {
            let counts = tile.planes.is_none_or(|several| several == (planes > 1));
            let plain = tile.family == Arch::Plain;
            let fits = tile.copied || shape.1.div_ceil(tile.columns) <= MOST_COLUMNS;
            let deep = !tile.copied || words > 0; // a tensor map is never empty
            tile.family <= family && counts && fits && deep && plain == (family == Arch::Plain)
        };
        if let Some(asked) = cuda.tile().filter(|tile| usable(&tile)) {
            return asked;
        }
        let processors = cuda.device().processors();
        let cost = |tile: &&Self| tile.cost(shape, words, planes, processors);
        // Where none fits, the last one says why when it is shaped.
        *TILES.iter().filter(usable).min_by_key(cost).unwrap_or(&TILES[TILES.len() - 1])
    }

    /// About how many cycles a product takes, by measurements on an H100: the second-level cache
    /// feeds a processor some 24 bytes a cycle, the epilogue takes a twelfth of a cycle per output;
    /// rows shorter than a stage are cheaper without the copy engine.
    fn cost(&self, shape: (usize, usize), words: usize, planes: usize, processors: usize) -> usize {
        let waves = self.count(shape).div_ceil(processors);
        let parts = match (self.family, words < 32) {
            (Arch::Hopper, false) => words.div_ceil(32) * 4,
            (Arch::Hopper, true) => 16,
            _ => words.div_ceil(8) * 4 / 3,
        };
        let feed = (self.rows + self.columns) * STAGE_ROW / 24 / 4;
        waves * (feed * parts * planes + self.rows * self.columns / 12 + 500)
    }

    fn count(&self, (rows, columns): (usize, usize)) -> usize {
        rows.div_ceil(self.rows) * columns.div_ceil(self.columns)
    }

    /// Blocks and threads for a product of this shape.
    ///
    /// # Errors
    /// [`Error::Shape`] for more outputs than a launch can have tiles.
    pub(crate) fn shape(&self, cuda: &Cuda, shape: (usize, usize)) -> Result<Shape> {
        let (rows, columns) = (shape.0.div_ceil(self.rows), shape.1.div_ceil(self.columns));
        // Fed by the copy engine, blocks make one tile after the other.
        let resident = (rows * columns).min(cuda.device().processors());
        let grid = if self.copied { (resident, 1) } else { (rows, columns) };
        if grid.1 > MOST_COLUMNS {
            let got = format!("{} outputs", shape.1);
            return Err(Error::shape("product", "outputs of at most 65535 tiles", got));
        }
        Ok(Shape {
            grid: [grid.0 as u32, grid.1 as u32, 1],
            block: self.threads,
            shared: self.shared,
        })
    }
}
