//! What sign products are timed against computes the same, on the host.
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_core::scalar::sign;
use bnn_core::{BitMatrix, Gather, Key, Matrix, Planes, reference};
use bnn_cuda::Cuda;
use bnn_cuda::rivals::{Contest, Network, Rival};

#[test]
fn rivals_make_the_same_product() {
    let (m, n, k) = (37, 45, 150);
    let signs = |rows, stream| {
        let key = Key::new(7, 0).stream(stream);
        BitMatrix::from_fn(rows, k, |row, col| key.word((row * k + col) as u32) >> 31 == 1)
    };
    let (a, w) = (signs(m, 0), signs(n, 1));
    let contest = Contest::new(&Cuda::emulated("tensor").unwrap(), &a, &w).unwrap();
    let (a, w) = (Planes::binary(a), Planes::binary(w));
    let want = reference::product(&a, &w, &Gather::Rows).unwrap();
    for rival in [Rival::Product, Rival::PaperFloat, Rival::PaperXnor, Rival::Single] {
        assert_eq!(contest.result(rival).unwrap(), want, "{rival:?}");
    }
    assert_eq!(contest.result(Rival::Cut).unwrap(), want.mapv(sign));
    for rival in [Rival::Tf32, Rival::Bf16, Rival::Int8] {
        let error = contest.result(rival).unwrap_err().to_string();
        assert!(error.contains("only f32 is multiplied on the host"), "{error}");
    }
}

#[test]
fn networks_of_rivals_make_the_same_sums() {
    let signs = |rows, columns, stream| {
        let key = Key::new(8, 0).stream(stream);
        BitMatrix::from_fn(rows, columns, |row, col| {
            key.word((row * columns + col) as u32) >> 31 == 1
        })
    };
    let (first, second) = (signs(70, 31, 0), signs(5, 70, 1));
    let cuts = Matrix::from_shape_fn((1, 70), |(_, col)| (col % 7) as f32 * 2.0 - 7.0);
    let images = ndarray::Array2::from_shape_fn((37, 31), |(row, col)| (row * 89 + col * 37) as u8);
    // The definition: sums of 2u - 255, signs of what reaches its cut, sums again.
    let dense = |a: &Matrix, w: &BitMatrix| {
        Matrix::from_shape_fn((a.nrows(), w.rows()), |(row, out)| {
            (0..w.cols()).map(|col| a[[row, col]] * w.sign(out, col) as f32).sum()
        })
    };
    let hidden = dense(&images.mapv(|byte| 2.0 * f32::from(byte) - 255.0), &first);
    let hidden =
        Matrix::from_shape_fn(
            hidden.dim(),
            |at| if hidden[at] >= cuts[[0, at.1]] { 1.0 } else { -1.0 },
        );
    assert!(hidden.iter().any(|&x| x > 0.0) && hidden.iter().any(|&x| x < 0.0));
    let want = dense(&hidden, &second);
    let cuda = Cuda::emulated("tensor").unwrap();
    let network =
        |rival| Network::new(&cuda, rival, &[(&first, Some(cuts.clone())), (&second, None)]);
    for rival in [Rival::PaperFloat, Rival::PaperXnor, Rival::Single] {
        assert_eq!(network(rival).unwrap().sums(images.view()).unwrap(), want, "{rival:?}");
    }
    let error = network(Rival::Bf16).err().unwrap().to_string();
    assert!(error.contains("take one of the paper's, or cuBLAS in f32 or TF32"), "{error}");
    let narrow = network(Rival::Single).unwrap().sums(images.slice(ndarray::s![.., ..30]));
    assert!(narrow.unwrap_err().to_string().contains("30"));
}
