//! Passes that are recorded on the host's device, and replayed.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_core::{
    BinaryBackend, BitMatrix, Gather, Grid, HostCode, Key, Levels, Matrix, Operand, Reference,
    Result, TrainBackend, Window,
};
use bnn_cuda::{Code, Cuda, Real};
use ndarray::Array2;

fn bytes(rows: usize, columns: usize, seed: u32) -> Array2<u8> {
    let byte = |(row, col)| (Key(1, seed).word((row * columns + col) as u32) >> 24) as u8;
    Array2::from_shape_fn((rows, columns), byte)
}

fn signs<B: BinaryBackend>(backend: &B, rows: usize, columns: usize) -> B::Code {
    let bit = |row, col| Key(2, 3).word((row * columns + col) as u32) >> 31 == 1;
    backend.put_code(&HostCode::binary(BitMatrix::from_fn(rows, columns, bit))).unwrap()
}

/// Two images of 6 x 6 pixels: a convolution, maxima of 2 x 2, a dense layer.
struct Net<B: BinaryBackend> {
    backend: B,
    weights: [B::Code; 2],
    cuts: B::Real,
}

const GRID: Grid = Grid { height: 6, width: 6 };
const ROWS: usize = 2 * 36;

impl<B: BinaryBackend + Clone> Net<B> {
    fn new(backend: &B) -> Self {
        let weights = [signs(backend, 40, 9 * 3), signs(backend, 7, 9 * 40)];
        let cuts = backend.put(Array2::from_elem((1, 40), 3.0).view()).unwrap();
        Self { backend: backend.clone(), weights, cuts }
    }

    fn pass(&self, images: &B::Code) -> Result<B::Real> {
        let (backend, [first, last]) = (&self.backend, &self.weights);
        let windows = Gather::Patches { grid: GRID, window: Window::square(3, 1, 1) };
        let code = backend.product_cut(images, first, &windows, &self.cuts, &Levels::sign())?;
        let pooled = backend.pool(&code, GRID, Window::square(2, 2, 0))?;
        let grid = Grid { height: 3, width: 3 };
        backend.product(&pooled, last, &Gather::Patches { grid, window: grid.whole() })
    }

    fn scores(&self, images: &Array2<u8>) -> Matrix {
        let images = self.backend.put_code(&HostCode::Bytes(images.clone())).unwrap();
        self.backend.get(&self.pass(&images).unwrap()).unwrap()
    }
}

#[test]
fn replays_do_with_other_images_what_the_network_does() {
    for family in ["plain", "tensor"] {
        let cuda = Cuda::emulated(family).unwrap();
        let net = Net::new(&cuda);
        // The recording owns its network.
        let mut recording = cuda.record(bytes(ROWS, 3, 0).view(), move |x| net.pass(x)).unwrap();
        let mut seen = Vec::new();
        for seed in 1..3 {
            let images = bytes(ROWS, 3, seed);
            let wanted = Net::new(&Reference).scores(&images);
            // Takes memory that the recording must not use.
            let _other = (0..9).map(|rows| signs(&cuda, 8 << rows, 40)).collect::<Vec<_>>();
            let scores = cuda.get(recording.replay(images.view()).unwrap()).unwrap();
            assert_eq!(scores, wanted, "{family}");
            seen.push(wanted);
        }
        assert!(seen[0] != seen[1], "{family}: images do not matter");
    }
}

#[test]
fn what_cannot_be_replayed_is_refused_and_leaves_the_backend_as_it_was() {
    let cuda = Cuda::emulated("plain").unwrap();
    let net = Net::new(&cuda);
    let images = bytes(ROWS, 3, 0);
    let refused = |network: &dyn Fn(&Code) -> Result<Real>| {
        let error = cuda.record(images.view(), network).err().unwrap().to_string();
        assert_eq!(cuda.get(&net.pass(&signs(&cuda, ROWS, 3)).unwrap()).unwrap().dim(), (2, 7));
        error
    };
    let dy = cuda.put(Matrix::zeros((1, 7)).view()).unwrap();
    let weights = signs(&cuda, 7, 5);
    let gradient = |_: &Code| cuda.product_grad_input(&dy, Operand::Code(&weights), &Gather::Rows);
    assert!(refused(&gradient).contains("a product of reals in a recording is not available"));
    let other = Net::new(&Cuda::emulated("plain").unwrap());
    let elsewhere = |_: &Code| other.pass(&signs(&other.backend, ROWS, 3));
    assert!(refused(&elsewhere).contains("made nothing on the backend that records it"));
    let nested = |_: &Code| {
        cuda.record(images.view(), |x| net.pass(x)).map(drop)?;
        net.pass(&signs(&cuda, ROWS, 3))
    };
    assert!(refused(&nested).contains("recording already"));
    let mut recording = cuda.record(images.view(), |x| net.pass(x)).unwrap();
    let error = recording.replay(bytes(ROWS, 4, 0).view()).err().unwrap().to_string();
    assert_eq!(error, "images: want (72, 3) bytes, got (72, 4)");
}

#[test]
fn what_other_threads_do_meanwhile_is_not_recorded() {
    let cuda = Cuda::emulated("plain").unwrap();
    let net = Net::new(&cuda);
    let other = signs(&cuda, 3, 50);
    let network = |x: &Code| {
        let elsewhere = || {
            let gradient = cuda.put(Matrix::zeros((1, 3)).view()).unwrap();
            cuda.product_grad_input(&gradient, Operand::Code(&other), &Gather::Rows).unwrap();
        };
        std::thread::scope(|threads| threads.spawn(elsewhere).join().unwrap());
        net.pass(x)
    };
    let mut recording = cuda.record(bytes(ROWS, 3, 0).view(), network).unwrap();
    let images = bytes(ROWS, 3, 1);
    let scores = cuda.get(recording.replay(images.view()).unwrap()).unwrap();
    assert_eq!(scores, Net::new(&Reference).scores(&images));
    assert_eq!(cuda.get(recording.again().unwrap()).unwrap(), scores);
}
