//! What multiplies signs on an NVIDIA GPU: our kernels by family, the paper's, and cuBLAS.

use std::rc::Rc;

use bnn_core::scalar::sign;
use bnn_core::{Error, Frozen, Gather, Matrix, Output, Result};
use bnn_cuda::Cuda;
use bnn_cuda::rivals::{Contest, Network, Rival};
use ndarray::{Array2, Axis};

use crate::contender::Contender;
use crate::layer::Layer;
use crate::model::{BATCH, Model, is_dense};
use crate::ours::Product;
use crate::product::{Contenders, Operands, Signs, gathered, kernels, reals};
use crate::rival_network::{affine, weights};

/// Those that are not ours.
const RIVALS: [(Rival, &str); 6] = [
    (Rival::PaperXnor, "paper XNOR"),
    (Rival::PaperFloat, "paper f32"),
    (Rival::Single, "cuBLAS f32"),
    (Rival::Tf32, "cuBLAS tf32"),
    (Rival::Bf16, "cuBLAS bf16"),
    (Rival::Int8, "cuBLAS int8"),
];

/// The device with each of its families of kernels, the best first.
pub(crate) fn families(gpu: &Cuda) -> Result<Vec<Cuda>> {
    gpu.families().map(|family| gpu.clone().with_kernel(family)).collect()
}

/// Ours by family; for products of two matrices then all rivals that the device has.
pub(crate) fn products(signs: &Signs, gpu: &Cuda) -> Result<Contenders> {
    let operands = signs.operands();
    let mut contenders: Vec<Box<dyn Contender>> = Vec::new();
    for gpu in families(gpu)? {
        contenders.push(Box::new(Product::new(&gpu, &operands)?));
    }
    contenders.extend(rivals(&operands, gpu, false)?);
    let wanted = signs.wanted(&gathered(&operands), &reals(&operands.w));
    Ok((contenders, wanted))
}

/// Ours by family, cut and packed; then what the rivals take for their sums, which nobody cuts.
pub(crate) fn layer(layer: &Layer, gpu: &Cuda) -> Result<Contenders> {
    let (mut contenders, wanted) = layer.contenders(&families(gpu)?)?;
    contenders.extend(rivals(&layer.0.operands(), gpu, true)?);
    Ok((contenders, wanted))
}

/// All rivals that the device has, for products of two matrices; with their result `cut` on the host,
/// outside of their time, where signs are wanted.
fn rivals(operands: &Operands, gpu: &Cuda, cut: bool) -> Result<Vec<Box<dyn Contender>>> {
    let mut contenders: Vec<Box<dyn Contender>> = Vec::new();
    if !matches!(operands.gather, Gather::Rows) {
        return Ok(contenders);
    }
    let contest = Rc::new(Contest::new(gpu, &operands.a, &operands.w)?);
    // cuBLAS multiplies bytes in rows of whole words alone.
    let fits = |rival| rival != Rival::Int8 || operands.a.cols().is_multiple_of(4);
    for (rival, name) in RIVALS.into_iter().filter(|(rival, _)| fits(*rival)) {
        match contest.run(rival) {
            Ok(()) => {
                contenders.push(Box::new(Theirs { contest: contest.clone(), rival, name, cut }))
            }
            Err(Error::Unavailable { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(contenders)
}

/// Ours by family; networks of dense layers by the rivals that hold their bytes; then our best kernels
/// of the processor: its scores are those of all.
pub(crate) fn model(model: &Model, gpu: &Cuda) -> Result<Contenders> {
    let (mut contenders, wanted) = model.ours(&families(gpu)?)?;
    let holds = |rival: Rival| !matches!(rival, Rival::Bf16 | Rival::Int8);
    let dense = is_dense(&model.network);
    for (rival, name) in RIVALS.into_iter().filter(|(rival, _)| dense && holds(*rival)) {
        match Dense::new(gpu, (rival, name), model) {
            Ok(network) => contenders.push(Box::new(network)),
            Err(Error::Unavailable { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    contenders.extend(model.ours(&kernels(1)?[..1])?.0);
    Ok((contenders, wanted))
}

/// A network by the products of one of the rivals, from bytes to scores on the host.
struct Dense {
    network: Network,
    name: &'static str,
    images: Array2<u8>,
    output: Output,
    scores: Matrix,
}

impl Dense {
    /// The network has run on an image.
    fn new(gpu: &Cuda, (rival, name): (Rival, &'static str), model: &Model) -> Result<Self> {
        let Model { network: frozen, images, .. } = model;
        let network = Network::new(gpu, rival, &layers(frozen))?;
        network.sums(images.slice_axis(Axis(0), (..1).into()))?;
        let scores = Array2::zeros((images.nrows(), frozen.classes.len()));
        let (images, output) = (images.clone(), frozen.output.clone());
        Ok(Self { network, name, images, output, scores })
    }
}

/// The signs of every layer, and the thresholds of the hidden ones.
fn layers(network: &Frozen) -> Vec<(&bnn_core::BitMatrix, Option<Matrix>)> {
    let cuts = network.hidden.iter().map(|block| Some(block.cuts.clone())).chain([None]);
    weights(network).zip(cuts).collect()
}

impl Contender for Dense {
    fn name(&self) -> String {
        self.name.into()
    }

    fn run(&mut self) {
        let Self { network, images, output, scores, .. } = self;
        let batches = images.axis_chunks_iter(Axis(0), BATCH);
        for (images, mut scores) in batches.zip(scores.axis_chunks_iter_mut(Axis(0), BATCH)) {
            let sums = network.sums(images).expect("it ran before");
            scores.assign(&affine(output, sums.view()));
        }
    }

    fn result(&self) -> Result<Matrix> {
        Ok(self.scores.clone())
    }
}

/// A product by one of the rivals.
struct Theirs {
    contest: Rc<Contest>,
    rival: Rival,
    name: &'static str,
    /// Whether the signs of its sums are its result.
    cut: bool,
}

impl Contender for Theirs {
    fn name(&self) -> String {
        if self.cut { format!("{}, sums", self.name) } else { self.name.into() }
    }

    fn run(&mut self) {
        self.contest.run(self.rival).expect("it ran before");
    }

    fn wait(&mut self) {
        self.contest.wait().expect("the device does what it was asked for");
    }

    fn result(&self) -> Result<Matrix> {
        let sums = self.contest.result(self.rival)?;
        Ok(if self.cut { sums.mapv(sign) } else { sums })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bnn_core::{Grid, Window};

    use super::*;
    use crate::case::{Case, Timed, Work};
    use crate::cases;

    fn timed(work: Work) -> Timed {
        let case = cases().swap_remove(0);
        let case = Case { name: "small".into(), adds: 1000, work, ..case };
        assert!(case.on_gpus());
        case.time_on(&Cuda::emulated("tensor").unwrap(), Duration::ZERO).unwrap()
    }

    fn names(timed: &Timed) -> Vec<&str> {
        timed.rows.iter().map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn products_are_those_of_all_families_and_rivals() {
        let signs = Signs { gather: Gather::Rows, rows: 37, columns: 150, outputs: 45 };
        let timed = timed(Work::Signs(signs));
        // The host multiplies reals in f32 alone.
        let rivals = ["paper XNOR", "paper f32", "cuBLAS f32"];
        let names = names(&timed);
        let first = names[0];
        assert_eq!(names[1..3], [format!("{first}/int8"), format!("{first}/plain")]);
        assert_eq!(names[3..], rivals);
        let sum = timed.rows[0].checksum;
        assert!(timed.rows.iter().all(|row| row.checksum == sum && row.share.is_none()));
    }

    #[test]
    fn layers_are_cut_by_ours_and_summed_by_rivals() {
        let signs = Signs { gather: Gather::Rows, rows: 37, columns: 150, outputs: 64 };
        let timed = timed(Work::Layer(Layer(signs)));
        assert_eq!(names(&timed)[3..], ["paper XNOR, sums", "paper f32, sums", "cuBLAS f32, sums"]);
        let sum = timed.rows[0].checksum;
        assert!(timed.rows.iter().all(|row| row.checksum == sum));
    }

    #[test]
    fn convolutions_are_those_of_our_families() {
        let grid = Grid { height: 5, width: 4 };
        let gather = Gather::Patches { grid, window: Window::square(3, 1, 1) };
        let signs = Signs { gather, rows: 2 * grid.pixels(), columns: 33, outputs: 9 };
        assert_eq!(names(&timed(Work::Signs(signs))).len(), 3);
    }

    #[test]
    fn what_is_not_timed_on_gpus_says_so() {
        let gpu = Cuda::emulated("plain").unwrap();
        let (there, not): (Vec<_>, Vec<_>) = cases().into_iter().partition(Case::on_gpus);
        assert!(there.iter().any(|case| case.name == "square/8192"));
        let error = not[0].time_on(&gpu, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("products, layers and whole networks are timed there"), "{error}");
    }
}
