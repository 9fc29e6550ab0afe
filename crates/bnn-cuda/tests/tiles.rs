//! Every kernel on tensor cores, on the host, over the edges of its tiles and of its order of bytes.
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_core::{
    BinaryBackend, BitMatrix, Gather, Grid, HostCode, Key, Levels, Matrix, Planes, Window,
    reference,
};
use bnn_cuda::{Cuda, machine_code};
use ndarray::Array2;

/// Digits of codes; those of bytes are eight.
const BYTE: [i32; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// A product: gather, rows, columns and outputs.
type Case = (Gather, usize, usize, usize);

/// One tile and several, rows of less than a word and of several words, zeros around images.
fn cases() -> [Case; 5] {
    let window = |pad| Gather::Patches {
        grid: Grid { height: 4, width: 3 },
        window: Window::square(3, 1, pad),
    };
    [
        (Gather::Rows, 1, 1, 1),
        (Gather::Rows, 37, 150, 45),
        (Gather::Rows, 130, 33, 257),
        (window(1), 24, 3, 40),
        (window(0), 24, 64, 33),
    ]
}

/// Windows over images of 128 channels or a multiple, where kernels move them themselves: around images,
/// with steps, not square, more of them than rows of a tile, and over more stages than there is room for.
fn windows() -> [Case; 4] {
    let gather = |height, width, window| Gather::Patches { grid: Grid { height, width }, window };
    let (steps, around) =
        (Window { height: 2, width: 3, stride: 2, pad: 1 }, Window::square(3, 1, 1));
    [
        (gather(4, 3, around), 24, 128, 33),
        (gather(5, 4, steps), 60, 256, 40),
        (gather(9, 10, Window::square(3, 1, 0)), 270, 128, 5),
        (gather(10, 10, around), 300, 512, 9),
    ]
}

/// The kernels of all products whose left operand is one of these.
fn kernels(takes: &[&str]) -> Vec<&'static str> {
    let launches = machine_code::launches().filter(|launch| takes.contains(&launch.takes));
    let names: Vec<_> = launches.map(|launch| launch.name).collect();
    assert!(!names.is_empty(), "nothing takes {takes:?}");
    names
}

/// Weights of signs.
fn w_signs(rows: usize, columns: usize, key: Key) -> HostCode {
    planes(&[1], false, rows, columns, key)
}

/// The same with holes.
fn w_holes(rows: usize, columns: usize, key: Key) -> HostCode {
    planes(&[1], true, rows, columns, key)
}

/// Two digits.
fn digits(rows: usize, columns: usize, key: Key) -> HostCode {
    planes(&BYTE[..2], false, rows, columns, key)
}

#[test]
fn windows_where_they_lie() {
    check(&kernels(&["windows"]), &windows(), w_signs, w_signs);
    let mut several = kernels(&["windows"]);
    several.retain(|name| !name.starts_with("hopper")); // which take one plane
    check(&several, &windows()[..1], digits, w_signs);
}

#[test]
fn windows_that_are_gathered() {
    check(&kernels(&["windows"]), &windows()[..1], w_holes, w_holes);
    check(&kernels(&["plane", "any"]), &windows()[..1], w_signs, w_signs);
}

#[test]
fn bytes_as_they_were_put() {
    let bytes = |rows, columns, key: Key| {
        let byte = |(row, column)| (key.word((row * columns + column) as u32) >> 24) as u8;
        HostCode::Bytes(Array2::from_shape_fn((rows, columns), byte))
    };
    check(&kernels(&["bytes", "both"]), &cases(), bytes, w_signs);
}

#[test]
fn the_largest_bytes() {
    let bytes = |rows, columns, _| HostCode::Bytes(Array2::from_elem((rows, columns), 255));
    check(&kernels(&["bytes", "both"]), &cases(), bytes, w_signs);
}

#[test]
fn planes_that_are_joined() {
    let seven = |rows, columns, key| planes(&BYTE[..7], false, rows, columns, key);
    check(&kernels(&["bytes", "both"]), &cases(), seven, w_signs);
}

#[test]
fn holes_on_both_sides_of_bytes() {
    let holes = |rows, columns, key| planes(&BYTE, true, rows, columns, key);
    check(&kernels(&["bytes", "both"]), &cases(), holes, w_holes);
}

#[test]
fn bytes_on_both_sides() {
    let bytes = |rows, columns, key| planes(&BYTE, false, rows, columns, key);
    check(&kernels(&["both"]), &cases(), bytes, digits);
    let holes = |rows, columns, key| planes(&BYTE[..2], true, rows, columns, key);
    check(&kernels(&["both"]), &cases()[1..2], bytes, holes);
}

#[test]
fn signs() {
    check(&kernels(&["plane", "any"]), &cases(), w_signs, w_signs);
}

#[test]
fn planes_one_after_the_other() {
    let holes = |rows, columns, key| planes(&BYTE[..2], true, rows, columns, key);
    check(&kernels(&["planes", "any"]), &cases(), holes, w_signs);
}

/// More stages than there is room for, and more tiles than blocks, several times over.
#[test]
fn tile_after_tile_through_a_ring_of_stages() {
    check(&kernels(&["plane"]), &[(Gather::Rows, 260, 2100, 390)], w_signs, w_signs);
    check(&kernels(&["both"]), &[(Gather::Rows, 260, 700, 390)], digits, w_signs);
    check(&kernels(&["planes"]), &[(Gather::Rows, 400, 4200, 40)], digits, w_signs);
    check(&kernels(&["any"]), &[(Gather::Rows, 70, 4200, 40)], digits, w_signs);
    check(&kernels(&["bytes"]), &[(Gather::Rows, 70, 700, 40)], digits, w_signs);
}

#[test]
fn kernels_of_bits_are_not_for_devices_that_emulate_them() {
    let error = Cuda::emulated("int8").unwrap().with_kernel("tensor").err().unwrap().to_string();
    assert!(error.contains("`tensor`") && error.contains("no such instructions"), "{error}");
}

#[test]
fn plain_kernels_have_no_instructions_for_bytes() {
    for kernel in ["bytes_64x64", "int8_64x64", "int8"] {
        let plain = Cuda::emulated("plain").unwrap();
        let error = plain.with_kernel(kernel).err().unwrap().to_string();
        assert!(error.contains(kernel) && error.contains("no such instructions"), "{error}");
    }
}

/// Products of operands that `left` and `right` make, by these kernels.
fn check(
    kernels: &[&str],
    cases: &[Case],
    left: impl Fn(usize, usize, Key) -> HostCode,
    right: impl Fn(usize, usize, Key) -> HostCode,
) {
    for case in cases {
        let &(gather, rows, columns, outputs) = case;
        let a = left(rows, columns, Key(7, 0));
        let w = right(outputs, gather.taps() * columns, Key(7, 1));
        let (a_host, w_host) = (a.clone().into_planes(), w.clone().into_planes());
        let want = reference::product(&a_host, &w_host, &gather).unwrap();
        // One output's cut is a sum that occurs, the next one's lies beside such a sum.
        let cut =
            |(_, column)| want[[column % want.nrows(), column]] / (a_host.scale * w_host.scale);
        let cuts = Array2::from_shape_fn((1, outputs), cut).mapv(f32::round);
        let cuts = cuts + Array2::from_shape_fn((1, outputs), |(_, column)| (column % 2) as f32);
        let signs = reference::product_cut(&a_host, &w_host, &gather, &cuts, &Levels::sign());
        let signs = signs.unwrap();
        for name in kernels {
            let family = if name.starts_with("hopper") { "hopper" } else { "tensor" };
            let cuda = Cuda::emulated(family).unwrap().with_kernel(name).unwrap();
            let (reals, code) = products(&cuda, (&a, &w), &gather, &cuts);
            assert!(reals == want, "{name}: {case:?}: sums differ");
            assert!(code == signs, "{name}: {case:?}: signs differ");
        }
    }
}

fn products(
    cuda: &Cuda,
    (a, w): (&HostCode, &HostCode),
    gather: &Gather,
    cuts: &Matrix,
) -> (Matrix, Planes) {
    let (a, w) = (cuda.put_code(a).unwrap(), cuda.put_code(w).unwrap());
    let reals = cuda.get(&cuda.product(&a, &w, gather).unwrap()).unwrap();
    let cuts = cuda.put(cuts.view()).unwrap();
    let code = cuda.product_cut(&a, &w, gather, &cuts, &Levels::sign()).unwrap();
    (reals, cuda.get_code(&code).unwrap().into_planes())
}

/// Planes of drawn bits; with holes or without.
fn planes(weights: &[i32], holes: bool, rows: usize, columns: usize, key: Key) -> HostCode {
    let bits = |stream| {
        let key = key.stream(stream);
        BitMatrix::from_fn(rows, columns, |row, column| {
            key.word((row * columns + column) as u32) >> 31 == 1
        })
    };
    let planes = weights.iter().zip(0..).map(|(&weight, stream)| (weight, bits(stream)));
    let mask = holes.then(|| bits(8));
    HostCode::Planes(Planes { scale: 0.5, planes: planes.collect(), mask })
}
