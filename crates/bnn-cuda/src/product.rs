//! Sign products: gather, count common bits in one or several passes, finish.
//!
//! With A, W the set bits of operand and weights, and M, V their entries that exist, a plane is
//! `2A - M`, and `<2A - M, 2W - V> = 4<A, W> - 2<M, W> - 2<A, V> + <M, V>`. Each `<.,.>` counts
//! common bits. Where nothing is missing in the weights, the last two depend on the row alone; where
//! nothing but padding is missing in the operand, the second depends on the place and the output.

use std::sync::Arc;

use bnn_core::{Error, Gather, Levels, Result};

use crate::code::{Code, WORD, form, integers, stride};
use crate::cuda::Cuda;
use crate::device::{Buffer, Held, Kernel, Value};
use crate::real::Real;
use crate::tile::{Depth, Layout, Takes, Tile, are_digits};
use crate::windows::Windows;

/// Terms of columns begin where pairs of them can be read at once.
const ALIGNED: usize = 4;

/// Kernels read the terms of all columns of a tile, also behind the last one.
const WIDEST_TILE: usize = 256;

/// See [`BinaryBackend::product`](bnn_core::BinaryBackend::product).
pub(crate) fn reals(cuda: &Cuda, a: &Code, w: &Code, gather: &Gather) -> Result<Real> {
    let product = Product::new(cuda, a, w, gather)?;
    let y = Real::new(cuda, product.shape)?;
    product.run(&Out { reals: Some(&y.data), scale: a.scale * w.scale, ..Out::default() })?;
    Ok(y)
}

/// See [`BinaryBackend::product_cut`](bnn_core::BinaryBackend::product_cut).
pub(crate) fn cut(
    cuda: &Cuda,
    a: &Code,
    w: &Code,
    gather: &Gather,
    cuts: &Real,
    levels: &Levels,
) -> Result<Code> {
    levels.check()?;
    let product = Product::new(cuda, a, w, gather)?;
    let want = (levels.cuts(), product.shape.1);
    if cuts.dim != want {
        let got = format!("{:?}", cuts.dim);
        return Err(Error::shape("product_cut", format!("cuts {want:?}"), got));
    }
    if cuts.data.place() != cuda.device().place() {
        return Err(Error::value("cuts", "they lie on another device"));
    }
    let code = Code::of_levels(cuda, product.shape, levels)?;
    if levels.cuts() == 1 {
        let out = Out { signs: Some(&code), cuts: Some(&cuts.data), ..Out::default() };
        product.run(&out)?;
        return Ok(code);
    }
    let sums = cuda.memory(product.shape.0 * product.shape.1 * size_of::<i32>())?;
    product.run(&Out { sums: Some(&sums), ..Out::default() })?;
    let (binary, planes) = form(levels);
    cuda.each(
        Kernel("product", "cut_sums"),
        code.bits(),
        &[
            (&sums).into(),
            code.dim.0.into(),
            (code.dim.1 as i32).into(),
            code.stride().into(),
            (&cuts.data).into(),
            (levels.cuts() as i32).into(),
            binary.into(),
            planes.into(),
            (&*code.planes).into(),
        ],
    )?;
    Ok(code)
}

/// Kernels count in 32 bits; what they add up on the way is at most eight times the sum.
fn check_sums(a: &Code, w: &Code) -> Result<()> {
    let bound = a.bound().checked_mul(w.bound()).and_then(|one| one.checked_mul(w.dim.1 as u64));
    if bound.is_some_and(|bound| bound < 1 << 27) {
        return Ok(());
    }
    let why = format!("{} terms of {} x {} reach 2^27", w.dim.1, a.bound(), w.bound());
    Err(Error::value("depth", why))
}

/// Where the sums go.
#[derive(Clone, Copy, Default)]
struct Out<'a> {
    sums: Option<&'a Buffer>,
    reals: Option<&'a Buffer>,
    scale: f32,
    signs: Option<&'a Code>,
    cuts: Option<&'a Buffer>,
}

/// A product whose operands fit.
struct Product<'a> {
    cuda: &'a Cuda,
    a: &'a Code,
    w: &'a Code,
    windows: Arc<Windows>,
    /// Output rows and outputs.
    shape: (usize, usize),
}

/// Bit matrices of one operand, or matrices of bytes, one after the other, and what each is worth.
struct Operand<'a> {
    bits: Held<'a>,
    /// Rows of each; of windows, pixels.
    rows: usize,
    /// Words of a row, or of a pixel.
    stride: usize,
    /// Words of a row of the product: those of a row, or of a window.
    words: usize,
    /// Weights of the planes.
    planes: &'a [i32],
    /// Their sum, or that of the planes which were joined to bytes.
    total: i32,
    /// Behind the planes: the entries that exist.
    exists: bool,
    layout: Layout,
}

/// Bits that are copied to shared memory at once.
const CHUNK: usize = 128;

/// Bits of an entry that is a byte.
const BYTE: usize = 8;

/// Bytes are multiplied like one plane, except that they may be more than 1.
const JOINED: &[i32] = &[1];

/// One count of common bits: `factor * count(planes first.. of a, plane of w)`.
struct Pass {
    factor: i32,
    first: usize,
    planes: usize,
    w: usize,
}

/// What is added to the counts: terms of rows, and behind them terms of columns.
struct Terms {
    memory: Buffer,
    /// Number of row terms; none where the weights have holes.
    rows: usize,
    /// Whether there are terms of columns.
    columns: bool,
}

impl<'a> Product<'a> {
    fn new(cuda: &'a Cuda, a: &'a Code, w: &'a Code, gather: &Gather) -> Result<Self> {
        let shape = gather.product_shape(a.dim, w.dim)?;
        let places = [&a.planes, &w.planes].map(|planes| planes.place());
        if places.iter().any(|&place| place != cuda.device().place()) {
            return Err(Error::value("product", "an operand lies on another device"));
        }
        check_sums(a, w)?;
        let small = |size: usize| size <= i32::MAX as usize / 2;
        if !small(shape.0 * a.weights.len()) || !small(shape.1) || !small(w.dim.1) {
            let got = format!("{shape:?} of depth {}", w.dim.1);
            return Err(Error::shape("product", "rows, outputs and depth below 2^30", got));
        }
        let windows = cuda.windows(gather)?;
        Ok(Self { cuda, a, w, windows, shape })
    }

    fn run(&self, out: &Out<'_>) -> Result<()> {
        let holes = self.w.mask.is_some();
        let a = self.operand(self.a.mask.is_some() || holes)?;
        let w = self.weights(holes, self.weights_layout(&a, out))?;
        let terms = self.terms(&a, holes, out.cuts)?;
        let passes = passes(&a, &w);
        let Some((last, earlier)) = passes.split_last() else { unreachable!("a code has planes") };
        let sums = (!earlier.is_empty())
            .then(|| self.cuda.memory(self.shape.0 * self.shape.1 * size_of::<i32>()))
            .transpose()?;
        let between = Out { sums: sums.as_ref(), ..Out::default() };
        for (at, pass) in earlier.iter().enumerate() {
            let previous = sums.as_ref().filter(|_| at > 0);
            self.count(&a, &w, pass, &self.finish(pass, previous, None, &between))?;
        }
        let finish = self.finish(last, sums.as_ref(), Some(&terms), out);
        self.count(&a, &w, last, &finish)
    }

    /// The gathered operand; its planes as they are where nothing has to be gathered.
    fn operand(&self, exists: bool) -> Result<Operand<'a>> {
        let (pixels, channels) = self.a.dim;
        let (rows, columns) = (self.shape.0, self.windows.taps * channels);
        let whole = channels > 0 && channels.is_multiple_of(CHUNK) && pixels <= i32::MAX as usize;
        let windows = whole && !self.windows.rows && !exists;
        let layout = Tile::layout(self.cuda, &self.a.weights, stride(columns), exists, windows);
        let windows = layout == Layout::Windows;
        let there = match layout {
            Layout::Bytes => self.a.bytes.as_ref(),
            Layout::Bits | Layout::Windows => Some(&*self.a.planes),
        };
        match there.filter(|_| windows || self.windows.rows && !exists) {
            Some(bits) => {
                let lies = Operand::new(self.a, Held::Lent(bits), self.a.dim, exists, layout);
                let words = if windows { stride(columns) } else { lies.stride };
                Ok(Operand { words, ..lies })
            }
            None => self.gather(self.a, &self.windows, (rows, columns), exists, layout),
        }
    }

    /// How the weights are to lie beside this operand.
    fn weights_layout(&self, a: &Operand<'_>, out: &Out<'_>) -> Layout {
        let shape = (self.shape.0, self.columns(out.signs.is_some()));
        Tile::weights(self.cuda, &self.w.weights, shape, a.depth(a.planes.len(), Layout::Bits))
    }

    /// The weights, with their mask behind the planes if there are holes.
    fn weights(&self, holes: bool, layout: Layout) -> Result<Operand<'a>> {
        if !holes && layout == Layout::Bits {
            let bits = Held::Lent(&self.w.planes);
            return Ok(Operand::new(self.w, bits, self.w.dim, false, layout));
        }
        let windows = self.cuda.windows(&Gather::Rows)?;
        self.gather(self.w, &windows, self.w.dim, holes, layout)
    }

    /// Columns that are written: signs up to the end of their stride.
    fn columns(&self, signs: bool) -> usize {
        if signs { self.term_stride() } else { self.shape.1 }
    }

    fn gather(
        &self,
        code: &'a Code,
        windows: &Windows,
        (rows, columns): (usize, usize),
        exists: bool,
        layout: Layout,
    ) -> Result<Operand<'a>> {
        let (stride, bytes) = (stride(columns), layout == Layout::Bytes);
        let count = code.weights.len();
        let matrices = usize::from(exists) + if bytes { 1 } else { count };
        let words = rows * stride * matrices;
        let entry = if bytes { BYTE } else { 1 };
        let kernel =
            if bytes { Kernel("gather", "gather_bytes") } else { Kernel("gather", "gather") };
        let bits = self.cuda.memory(words * entry * size_of::<u32>())?;
        self.cuda.each(
            kernel,
            words,
            &[
                (&*code.planes).into(),
                code.mask.as_ref().into(),
                code.dim.0.into(),
                (code.dim.1 as i32).into(),
                code.stride().into(),
                (count as i32).into(),
                i32::from(exists).into(),
                Value::Struct(&windows.patches),
                rows.into(),
                (stride as i32).into(),
                (&bits).into(),
            ],
        )?;
        Ok(Operand::new(code, Held::Own(bits), (rows, columns), exists, layout))
    }

    /// Terms of rows where the weights have no holes, of columns where the operand has none either
    /// or there are cuts.
    fn terms(&self, a: &Operand<'_>, holes: bool, cuts: Option<&Buffer>) -> Result<Terms> {
        let windows = &self.windows;
        let rows = if holes { 0 } else { self.shape.0 };
        let columns = !a.exists || cuts.is_some();
        let classes = if columns { self.classes(a) } else { 0 };
        let row_space = rows.next_multiple_of(ALIGNED);
        let terms = row_space + classes * self.term_stride() + WIDEST_TILE;
        let memory = self.cuda.memory(terms * size_of::<i32>())?;
        let channels = self.a.dim.1 as u32;
        let factor = if a.exists { 0 } else { 2 * self.a.total() };
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let of_rows = [
            a.bits.buffer().address(),
            rows as u64,
            windows.classes.address(),
            windows.class_taps.address(),
            pair(a.words as u32, a.planes.len() as u32),
            pair(u32::from(a.exists), windows.positions as u32),
            pair(channels, self.w.total() as u32),
            pair(a.total as u32, u32::from(a.layout == Layout::Bytes)),
        ];
        let of_rows = [&of_rows[..], &a.pixels(windows), &[memory.address()]].concat();
        let of_columns = [
            self.w.planes.address(),
            windows.inside.address(),
            cuts.map_or(0, Buffer::address),
            pair(self.w.stride() as u32, self.shape.1 as u32),
            pair(self.w.weights.len() as u32, classes as u32),
            pair(windows.taps as u32, channels),
            pair(factor as u32, self.term_stride() as u32),
            memory.address() + (row_space * size_of::<i32>()) as u64,
        ];
        self.cuda.each(
            Kernel("gather", "terms"),
            (rows + classes * self.term_stride()) * WORD,
            &[
                Value::Struct(&of_rows),
                Value::Struct(&integers(a.planes)),
                Value::Struct(&of_columns),
                Value::Struct(&integers(&self.w.weights)),
            ],
        )?;
        Ok(Terms { memory, rows, columns })
    }

    /// Classes of places that have column terms of their own.
    fn classes(&self, a: &Operand<'_>) -> usize {
        if a.exists { 1 } else { self.windows.count }
    }

    /// Column terms of a class: up to the end of its last tile of 128 columns.
    fn term_stride(&self) -> usize {
        stride(self.shape.1) * WORD
    }

    /// `Finish` of finish.cuh.
    fn finish(
        &self,
        pass: &Pass,
        previous: Option<&Buffer>,
        terms: Option<&Terms>,
        out: &Out<'_>,
    ) -> [u64; 10] {
        let address = |buffer: Option<&Buffer>| buffer.map_or(0, Buffer::address);
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let rows = terms.filter(|terms| terms.rows > 0).map(|terms| terms.memory.address());
        let columns = terms.filter(|terms| terms.columns).map(|terms| {
            let row_space = terms.rows.next_multiple_of(ALIGNED);
            terms.memory.address() + (row_space * size_of::<i32>()) as u64
        });
        let exists = self.a.mask.is_some() || self.w.mask.is_some();
        let classes = (columns.is_some() && !exists && self.windows.count > 1)
            .then(|| self.windows.classes.address());
        let sign_stride = out.signs.map_or(0, Code::stride) as u32;
        [
            address(previous),
            rows.unwrap_or(0),
            columns.unwrap_or(0),
            classes.unwrap_or(0),
            pair(self.windows.positions as u32, pass.factor as u32),
            pair(out.scale.to_bits(), self.term_stride() as u32),
            pair(sign_stride, 0),
            address(out.sums),
            address(out.reals),
            address(out.signs.map(|code| &*code.planes)),
        ]
    }

    /// Launches one pass.
    fn count(
        &self,
        a: &Operand<'_>,
        w: &Operand<'_>,
        pass: &Pass,
        finish: &[u64; 10],
    ) -> Result<()> {
        let (m, n) = self.shape;
        let columns = self.columns(finish[9] != 0);
        let tile = Tile::choose(self.cuda, (m, columns), a.depth(pass.planes, w.layout));
        let moves = tile.takes == Takes::Windows;
        let a_value = if tile.copied && !moves {
            a.map(pass.first, pass.planes, tile.rows)
        } else {
            a.pointer(pass.first)
        };
        let w_value = if tile.copied { w.map(pass.w, 1, tile.columns) } else { w.pointer(pass.w) };
        let pixels = a.pixels(&self.windows);
        let mut values = vec![
            a_value,
            w_value,
            m.into(),
            (n as i32).into(),
            (a.words as i32).into(),
            (pass.planes as i32).into(),
            Value::Struct(finish),
        ];
        values.extend(moves.then_some(Value::Struct(&pixels)));
        self.cuda.launch(tile.kernel, tile.shape(self.cuda, (m, columns))?, &values)
    }
}

impl<'a> Operand<'a> {
    /// A code's planes in rows of so many columns, or its bytes.
    fn new(
        code: &'a Code,
        bits: Held<'a>,
        (rows, columns): (usize, usize),
        exists: bool,
        layout: Layout,
    ) -> Self {
        let bytes = layout == Layout::Bytes;
        let planes = if bytes { JOINED } else { &code.weights };
        let stride = stride(columns) * if bytes { BYTE } else { 1 };
        Self { bits, rows, stride, words: stride, planes, total: code.total(), exists, layout }
    }

    /// `Pixels` of common.cuh.
    fn pixels(&self, windows: &Windows) -> [u64; 6] {
        let words = if self.layout == Layout::Windows { self.stride } else { 0 };
        let [p0, p1, p2, p3] = windows.patches;
        [self.rows as u64, p0, p1, p2, p3, words as u64]
    }

    /// The depth of a product with so many of its planes, and weights that lie so.
    fn depth(&self, planes: usize, weights: Layout) -> Depth {
        Depth { words: self.words, planes, layout: self.layout, weights }
    }

    /// Address of a bit matrix.
    fn at(&self, plane: usize) -> u64 {
        self.bits.buffer().address() + (plane * self.rows * self.stride * size_of::<u32>()) as u64
    }

    /// A bit matrix, for kernels whose threads copy it.
    fn pointer(&self, plane: usize) -> Value<'static> {
        Value::Pointer(self.at(plane), self.bits.buffer().place())
    }

    /// So many bit matrices as one, for the copy engine, in boxes of so many rows.
    fn map(&self, first: usize, planes: usize, box_rows: usize) -> Value<'static> {
        Value::Map {
            address: self.at(first),
            words: self.stride,
            rows: self.rows * planes,
            box_rows: box_rows as u32,
        }
    }
}

/// Every pair of bit matrices; planes of weights 1, 2, 4.. go together in one pass.
fn passes(a: &Operand<'_>, w: &Operand<'_>) -> Vec<Pass> {
    let mut left: Vec<(i32, usize, usize)> = if are_digits(a.planes) {
        vec![(2, 0, a.planes.len())]
    } else {
        a.planes.iter().enumerate().map(|(at, weight)| (2 * weight, at, 1)).collect()
    };
    left.extend(a.exists.then(|| (-a.total, a.planes.len(), 1)));
    let mut right: Vec<i32> = w.planes.iter().map(|weight| 2 * weight).collect();
    right.extend(w.exists.then(|| -w.total));
    let pairs =
        left.iter().flat_map(|left| right.iter().enumerate().map(move |right| (left, right)));
    pairs
        .map(|(&(of_a, first, planes), (w, of_w))| Pass { factor: of_a * of_w, first, planes, w })
        .collect()
}
