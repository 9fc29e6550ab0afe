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
    pub(crate) takes: Takes,
    /// Whether it has to be asked for.
    pub(crate) on_request: bool,
}

/// The left operands that a kernel takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// One plane.
    Plane,
    /// Several planes, of weights 1, 2, 4..
    Planes,
    /// One such plane or several.
    Any,
    /// Planes joined to bytes.
    Bytes,
    /// The same, and weights that are bytes too.
    Both,
    /// Windows over images, of one such plane or, but for `wgmma`, several.
    Windows,
}

impl Takes {
    /// Whether planes are to be joined to bytes.
    pub(crate) fn bytes(self) -> bool {
        matches!(self, Self::Bytes | Self::Both)
    }
}

/// How an operand lies; weights are bits, or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Rows of packed signs: as they were, or gathered.
    Bits,
    /// Rows of bytes, of planes joined to one: `gather_bytes` of gather.cu.
    Bytes,
    /// Packed signs of pixels, over which kernels move windows themselves.
    Windows,
}

/// The depth of a product: a row of the left operand.
#[derive(Clone, Copy)]
pub(crate) struct Depth {
    /// Words of 32 bits, or of four bytes.
    pub(crate) words: usize,
    /// Planes that are summed.
    pub(crate) planes: usize,
    /// How they lie.
    pub(crate) layout: Layout,
    /// How the weights lie.
    pub(crate) weights: Layout,
}

/// All kernels, those of the largest tiles first.
pub(crate) const TILES: [Tile; 28] = [
    hopper("hopper_256x192", (256, 192), 4, Takes::Plane),
    hopper("hopper_128x256", (128, 256), 4, Takes::Plane),
    hopper("hopper_128x128", (128, 128), 6, Takes::Plane),
    hopper("hopper_planes", (128, 128), 6, Takes::Planes),
    hopper("hopper_bytes_256x192", (256, 192), 4, Takes::Both),
    hopper("hopper_bytes_128x256", (128, 256), 4, Takes::Both),
    hopper("hopper_bytes_128x128", (128, 128), 6, Takes::Both),
    hopper("hopper_windows_128x256", (128, 256), 4, Takes::Windows).on_request(),
    hopper("hopper_windows_128x128", (128, 128), 6, Takes::Windows).on_request(),
    hopper("hopper_turns_128x192", (128, 192), 5, Takes::Plane).on_request(),
    hopper("hopper_bytes_turns_128x192", (128, 192), 5, Takes::Both).on_request(),
    int8("int8_128x128", (128, 128), 256, Takes::Any),
    int8("int8_64x64", (64, 64), 128, Takes::Any),
    int8("int8_32x32", (32, 32), 64, Takes::Any),
    int8("bytes_128x256", (128, 256), 256, Takes::Bytes),
    int8("bytes_128x128", (128, 128), 256, Takes::Bytes),
    int8("bytes_64x64", (64, 64), 128, Takes::Bytes),
    int8("bytes_32x32", (32, 32), 64, Takes::Bytes),
    int8("windows_int8_128x128", (128, 128), 256, Takes::Windows),
    int8("windows_int8_64x64", (64, 64), 128, Takes::Windows),
    int8("windows_int8_32x32", (32, 32), 64, Takes::Windows),
    tensor("count_128x128", 128, 256, Takes::Any),
    tensor("count_64x64", 64, 128, Takes::Any),
    tensor("count_32x32", 32, 64, Takes::Any),
    tensor("windows_128x128", 128, 256, Takes::Windows),
    tensor("windows_64x64", 64, 128, Takes::Windows),
    tensor("windows_32x32", 32, 64, Takes::Windows),
    Tile {
        kernel: Kernel("product", "count_plain"),
        family: Arch::Plain,
        rows: 64,
        columns: 64,
        threads: 256,
        shared: 0,
        copied: false,
        takes: Takes::Any,
        on_request: false,
    },
];

/// Columns of tiles of a launch.
const MOST_COLUMNS: usize = u16::MAX as usize;

/// Cycles that a launch takes, about.
const LAUNCH: usize = 3000;

/// Bytes that the second-level cache feeds a processor in a cycle.
const FEED: usize = 24;

/// Bytes of a row and stage in shared memory.
const STAGE_ROW: usize = 128;

/// The same of weights, which are bits where they meet bytes too.
const fn weights_row(takes: Takes) -> usize {
    if matches!(takes, Takes::Bytes) { STAGE_ROW / 8 } else { STAGE_ROW }
}

/// Stages of the kernels whose warps feed them.
const STAGES: usize = 3;

const fn hopper(
    name: &'static str,
    (rows, columns): (usize, usize),
    stages: usize,
    takes: Takes,
) -> Tile {
    Tile {
        kernel: Kernel("hopper", name),
        family: Arch::Hopper,
        rows,
        columns,
        threads: 384,
        shared: ((rows + columns) * STAGE_ROW * stages) as u32,
        copied: true,
        takes,
        on_request: false,
    }
}

const fn tensor(name: &'static str, side: usize, threads: u32, takes: Takes) -> Tile {
    Tile {
        kernel: Kernel("tensor", name),
        family: Arch::Tensor,
        rows: side,
        columns: side,
        threads,
        shared: (2 * side * STAGE_ROW * STAGES) as u32,
        copied: false,
        takes,
        on_request: false,
    }
}

const fn int8(
    name: &'static str,
    (rows, columns): (usize, usize),
    threads: u32,
    takes: Takes,
) -> Tile {
    Tile {
        kernel: Kernel("int8", name),
        family: Arch::Int8,
        rows,
        columns,
        threads,
        shared: ((rows * STAGE_ROW + columns * weights_row(takes)) * STAGES) as u32,
        copied: false,
        takes,
        on_request: false,
    }
}

/// Whether planes are binary digits, of weights 1, 2, 4..
pub(crate) fn are_digits(planes: &[i32]) -> bool {
    planes.iter().zip(0..).all(|(&weight, at)| 1i32.checked_shl(at) == Some(weight))
}

/// Whether planes are digits of a byte.
fn fit_bytes(planes: &[i32]) -> bool {
    planes.len() <= 8 && are_digits(planes)
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

    const fn on_request(mut self) -> Self {
        self.on_request = true;
        self
    }

    pub(crate) fn name(&self) -> &'static str {
        self.kernel.1
    }

    /// How an operand is to lie, whose rows have so many words of bits; `exists` says that a plane of
    /// existing entries comes with it, `windows` that it has no holes, and its channels fill whole
    /// chunks of 128 bits. A kernel that was asked for has what it takes.
    pub(crate) fn layout(
        cuda: &Cuda,
        planes: &[i32],
        words: usize,
        exists: bool,
        windows: bool,
    ) -> Layout {
        let asked = cuda.tile().map(|tile| tile.takes);
        // On Hopper, where the copy engine takes rows, they have to be asked for until they are measured.
        let moves = match asked {
            Some(Takes::Windows) => true,
            Some(Takes::Any) => false,
            _ => matches!(cuda.family(), Arch::Int8 | Arch::Tensor),
        };
        if Self::joins(cuda, planes, words, exists) {
            Layout::Bytes
        } else if windows && moves {
            Layout::Windows
        } else {
            Layout::Bits
        }
    }

    /// Whether the planes of an operand with rows of so many words of bits are to be joined to bytes:
    /// those of weights 1, 2, 4.. where it takes no more instructions of the tensor cores, which
    /// multiply 32 bytes at a time, or 256 bits where they know bits. Existing entries are one more
    /// plane, or bytes as well.
    fn joins(cuda: &Cuda, planes: &[i32], words: usize, exists: bool) -> bool {
        let better = match cuda.tile().map(|tile| tile.takes) {
            Some(Takes::Bytes | Takes::Both) => true,
            Some(Takes::Planes | Takes::Any | Takes::Windows) => false,
            Some(Takes::Plane) | None => {
                let more = usize::from(exists);
                let (bytes, bits) = (words * (1 + more), words.div_ceil(8) * (planes.len() + more));
                cuda.family() == Arch::Int8 || bytes <= bits
            }
        };
        planes.len() > 1 && fit_bytes(planes) && cuda.family() > Arch::Plain && better
    }

    /// How weights of these planes are to lie beside an operand: as bytes where a kernel that takes
    /// them is faster than all others, although they have to be written first.
    pub(crate) fn weights(
        cuda: &Cuda,
        planes: &[i32],
        shape: (usize, usize),
        depth: Depth,
    ) -> Layout {
        let processors = cuda.device().processors();
        let with = |weights| Depth { weights, ..depth };
        let asked = |weights| {
            cuda.tile().is_some_and(|tile| tile.usable(cuda.family(), shape, with(weights)))
        };
        let cost = |weights| {
            Self::find(cuda, shape, with(weights)).map(|tile| tile.cost(shape, depth, processors))
        };
        let faster = || {
            let (Some(bits), Some(bytes)) = (cost(Layout::Bits), cost(Layout::Bytes)) else {
                return false;
            };
            let written = shape.1 * depth.words * size_of::<u32>() / (FEED * processors) + LAUNCH;
            bytes + written < bits * planes.len()
        };
        let bytes = !asked(Layout::Bits) && (asked(Layout::Bytes) || faster());
        if bytes && fit_bytes(planes) { Layout::Bytes } else { Layout::Bits }
    }

    /// The usable kernel of the least [`cost`](Self::cost), unless one was asked for.
    pub(crate) fn choose(cuda: &Cuda, shape: (usize, usize), depth: Depth) -> Self {
        // Where none fits, the last one says why when it is shaped.
        Self::find(cuda, shape, depth).unwrap_or(TILES[TILES.len() - 1])
    }

    fn find(cuda: &Cuda, shape: (usize, usize), depth: Depth) -> Option<Self> {
        let usable = |tile: &Self| tile.usable(cuda.family(), shape, depth);
        let cost = |tile: &Self| tile.cost(shape, depth, cuda.device().processors());
        let offered = |tile: &Self| !tile.on_request && usable(tile);
        let best = || TILES.into_iter().filter(offered).min_by_key(cost);
        cuda.tile().filter(usable).or_else(best)
    }

    /// Whether a device of this family has the kernel, and it takes such operands.
    fn usable(&self, family: Arch, shape: (usize, usize), depth: Depth) -> bool {
        let Depth { words, planes, layout, weights } = depth;
        let counts = match self.takes {
            Takes::Plane => layout == Layout::Bits && planes == 1,
            Takes::Planes => layout == Layout::Bits && planes > 1,
            Takes::Any => layout == Layout::Bits,
            Takes::Bytes | Takes::Both => layout == Layout::Bytes,
            Takes::Windows => layout == Layout::Windows && (planes == 1 || !self.copied),
        };
        let meets = (self.takes == Takes::Both) == (weights == Layout::Bytes);
        // What a better family also has is its oracle, but for bytes.
        let right = match self.family {
            Arch::Plain => family == Arch::Plain,
            Arch::Int8 => family == Arch::Int8 || layout == Layout::Bytes,
            Arch::Tensor | Arch::Hopper => self.family <= family,
        };
        let fits = self.copied || shape.1.div_ceil(self.columns) <= MOST_COLUMNS;
        let deep = !self.copied || words > 0; // a tensor map is never empty
        right && counts && meets && fits && deep
    }

    /// About how many cycles a product takes, fitted to what kernels of earlier code took on an H100: the
    /// second-level cache feeds a processor some 24 bytes a cycle, the epilogue takes a twelfth of a cycle
    /// per output; rows shorter than a stage are cheaper without the copy engine. Not measured: products of
    /// bytes, with 2048 multiply-adds a cycle of `mma` (data sheet of an A100) and 4096 of `wgmma` (H100),
    /// and kernels that warps feed, since their loops are lean.
    fn cost(&self, shape: (usize, usize), depth: Depth, processors: usize) -> usize {
        let Depth { words, planes, layout, .. } = depth;
        let waves = self.count(shape).div_ceil(processors);
        let epilogue = self.rows * self.columns / 12 + 500;
        if self.family == Arch::Int8 || self.takes == Takes::Both {
            let feed = (self.rows * STAGE_ROW + self.columns * weights_row(self.takes)) / FEED;
            let deep = STAGE_ROW * if layout == Layout::Bytes { 1 } else { 8 };
            let rate = if self.family == Arch::Int8 { 2048 } else { 4096 };
            let multiply = self.rows * self.columns * deep / rate;
            return waves * (feed.max(multiply) * words.div_ceil(8) * planes / 4 + epilogue);
        }
        let parts = match (self.family, words < 32) {
            (Arch::Hopper, false) => words.div_ceil(32) * 4,
            (Arch::Hopper, true) => 16,
            _ => words.div_ceil(8) * 4 / 3,
        };
        let feed = (self.rows + self.columns) * STAGE_ROW / FEED / 4;
        waves * (feed * parts * planes + epilogue)
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

#[cfg(all(test, feature = "emulation"))]
mod tests {
    #![allow(clippy::unwrap_used)] // in helpers too

    use super::*;

    const DIGITS: [i32; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

    /// The depth of one plane, beside weights of bits.
    fn depth(words: usize, layout: Layout) -> Depth {
        Depth { words, planes: 1, layout, weights: Layout::Bits }
    }

    fn joins(family: &str, planes: &[i32], words: usize) -> bool {
        Tile::joins(&Cuda::emulated(family).unwrap(), planes, words, false)
    }

    #[test]
    fn planes_are_joined_where_that_takes_fewer_instructions() {
        assert!(joins("tensor", &DIGITS, 28), "the first layer of the MNIST network");
        assert!(joins("tensor", &DIGITS, 4), "that of the CIFAR-10 network");
        assert!(!joins("tensor", &DIGITS[..4], 28));
        assert!(!joins("tensor", &DIGITS[..1], 28), "signs");
        assert!(!joins("tensor", &[1, 2, -4], 4), "not the digits of a byte");
        assert!(!joins("plain", &DIGITS, 28), "no tensor cores");
        assert!(joins("int8", &DIGITS[..2], 28), "no products of bits");
        let holed = |family| Tile::joins(&Cuda::emulated(family).unwrap(), &DIGITS, 28, true);
        assert!(!holed("tensor"), "nine planes are less than twice the bytes");
        assert!(holed("int8"));
    }

    #[test]
    fn a_kernel_that_was_asked_for_has_what_it_takes() {
        let asked = |name| Cuda::emulated("tensor").unwrap().with_kernel(name).unwrap();
        let depth = depth(28 * 8, Layout::Bytes);
        let (planes, bytes) = (asked("count_64x64"), asked("bytes_64x64"));
        assert!(!Tile::joins(&planes, &DIGITS, 28, false));
        assert!(Tile::joins(&bytes, &DIGITS[..2], 28, true));
        assert_eq!(Tile::choose(&bytes, (10_000, 4096), depth).name(), "bytes_64x64");
        let signs = self::depth(128, Layout::Bits);
        assert_eq!(Tile::choose(&bytes, (10_000, 4096), signs).kernel.0, "tensor");
    }

    #[test]
    fn every_kernel_that_was_asked_for_is_taken() {
        for tile in TILES {
            let family = match tile.family {
                Arch::Plain => "plain",
                Arch::Int8 | Arch::Tensor => "tensor",
                Arch::Hopper => "hopper",
            };
            let cuda = Cuda::emulated(family).unwrap().with_kernel(tile.name()).unwrap();
            let layout = match tile.takes {
                Takes::Bytes | Takes::Both => Layout::Bytes,
                Takes::Windows => Layout::Windows,
                Takes::Plane | Takes::Planes | Takes::Any => Layout::Bits,
            };
            let planes = if tile.takes == Takes::Planes { &DIGITS } else { &DIGITS[..1] };
            let depth = Depth { planes: planes.len(), ..depth(24, layout) };
            let weights = Tile::weights(&cuda, &[1], (37, 150), depth);
            let chosen = Tile::choose(&cuda, (37, 150), Depth { weights, ..depth });
            assert_eq!(chosen.name(), tile.name());
        }
    }

    #[test]
    fn windows_are_gathered_for_kernels_that_take_rows() {
        let (none, plane) = (None, &DIGITS[..1]);
        for (family, kernel, layout) in [
            ("plain", none, Layout::Bits),
            ("int8", none, Layout::Windows),
            ("tensor", none, Layout::Windows),
            ("tensor", Some("count_64x64"), Layout::Bits),
            ("tensor", Some("bytes_64x64"), Layout::Windows),
            ("tensor", Some("windows_int8_64x64"), Layout::Windows),
        ] {
            let cuda = Cuda::emulated(family).unwrap();
            let cuda = kernel.map_or(cuda.clone(), |kernel| cuda.with_kernel(kernel).unwrap());
            let of = |windows| Tile::layout(&cuda, plane, 36, false, windows);
            assert_eq!((of(true), of(false)), (layout, Layout::Bits), "{family} {kernel:?}");
        }
    }

    #[test]
    fn weights_become_bytes_where_that_is_worth_a_launch() {
        let weights = |cuda: &Cuda, planes: &[i32], rows| {
            Tile::weights(cuda, planes, (rows, 4096), depth(28 * 8, Layout::Bytes))
        };
        let hopper = Cuda::emulated("hopper").unwrap();
        assert_eq!(weights(&hopper, &[1], 1 << 16), Layout::Bytes);
        assert_eq!(weights(&hopper, &DIGITS, 1 << 16), Layout::Bytes);
        assert_eq!(weights(&hopper, &[1, -1], 1 << 16), Layout::Bits, "not the digits of a byte");
        assert_eq!(weights(&hopper, &[1], 1), Layout::Bits, "a small product");
        assert_eq!(weights(&Cuda::emulated("tensor").unwrap(), &[1], 1 << 16), Layout::Bits);
        let asked = |name| hopper.clone().with_kernel(name).unwrap();
        assert_eq!(weights(&asked("hopper_bytes_128x128"), &[1], 1), Layout::Bytes);
        assert_eq!(weights(&asked("bytes_64x64"), &[1], 1 << 16), Layout::Bits);
        let signs = depth(128, Layout::Bits);
        assert_eq!(Tile::weights(&hopper, &[1], (1 << 16, 4096), signs), Layout::Bits);
    }

    #[test]
    fn signs_are_multiplied_as_bytes_where_nothing_is_better() {
        let depth = depth(128, Layout::Bits);
        for (family, file) in [("plain", "product"), ("int8", "int8"), ("tensor", "tensor")] {
            let cuda = Cuda::emulated(family).unwrap();
            for shape in [(10_000, 4096), (100, 4096), (1, 10)] {
                assert_eq!(Tile::choose(&cuda, shape, depth).kernel.0, file, "{shape:?}");
            }
        }
    }
}
