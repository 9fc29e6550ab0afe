//! What sign products are timed against computes the same, on the host.
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_core::scalar::sign;
use bnn_core::{BitMatrix, Gather, Key, Planes, reference};
use bnn_cuda::Cuda;
use bnn_cuda::rivals::{Contest, Rival};

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
