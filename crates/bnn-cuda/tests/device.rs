//! The conformance suite on a GPU, by every family of kernels, and inference by every kernel; skipped
//! aloud where there is none.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_core::{BinaryBackend, BitMatrix, Error, Gather, HostCode, Levels, Matrix};
use bnn_cuda::{Code, Cuda, machine_code};
use bnn_testkit::{check_inference, check_training, skipped};
use ndarray::Array2;

/// The first GPU, if there is one.
fn cuda() -> Option<Cuda> {
    match Cuda::new(0) {
        Ok(cuda) => return Some(cuda),
        Err(Error::Unavailable { what, why }) => skipped("cuda", &format!("{what}: {why}")),
        Err(error) => panic!("{error}"),
    }
    None
}

#[test]
fn every_family_conforms_on_the_device() {
    let Some(cuda) = cuda() else { return };
    for family in ["plain", "int8", "tensor", "hopper"] {
        match cuda.clone().with_kernel(family) {
            Ok(cuda) => {
                check_inference(&cuda);
                check_training(&cuda);
            }
            Err(error) => skipped(family, &error.to_string()),
        }
    }
}

#[test]
fn every_kernel_conforms_on_the_device() {
    let Some(cuda) = cuda() else { return };
    for name in machine_code::launches().map(|launch| launch.name) {
        match cuda.clone().with_kernel(name) {
            Ok(cuda) => check_inference(&cuda),
            Err(error) => skipped(name, &error.to_string()),
        }
    }
}

#[test]
fn a_recorded_pass_by_every_kernel_is_replayed_on_the_device() {
    let Some(cuda) = cuda() else { return };
    let bit = |row: usize, col: usize| (row * 7 + col * col) % 5 < 2;
    let images = |salt: usize| Array2::from_shape_fn((70, 300), |(r, c)| (r * salt + c * 37) as u8);
    for name in machine_code::launches().map(|launch| launch.name) {
        let Ok(cuda) = cuda.clone().with_kernel(name) else { continue };
        let sides = [(200, 300), (10, 200)];
        let weights = sides.map(|(rows, columns)| {
            cuda.put_code(&HostCode::binary(BitMatrix::from_fn(rows, columns, bit))).unwrap()
        });
        let cuts = cuda.put(Matrix::zeros((1, 200)).view()).unwrap();
        let pass = |x: &Code| {
            let h = cuda.product_cut(x, &weights[0], &Gather::Rows, &cuts, &Levels::sign())?;
            cuda.product(&h, &weights[1], &Gather::Rows)
        };
        let mut recording = cuda.record(images(1).view(), pass).unwrap();
        for salt in 2..4 {
            let put = cuda.put_code(&HostCode::Bytes(images(salt))).unwrap();
            let launched = cuda.get(&pass(&put).unwrap()).unwrap();
            let replayed = cuda.get(recording.replay(images(salt).view()).unwrap()).unwrap();
            assert_eq!(replayed, launched, "{name}");
        }
    }
}
