//! What is timed, and what it is measured by.

use std::time::Duration;

use bnn_core::{Error, Matrix, Result};
use bnn_cpu::{Cpu, peak};
use serde::Serialize;

use crate::contender::{Contender, Part};
#[cfg(any(feature = "cuda", test))]
use crate::cuda;
use crate::gradient::Gradient;
use crate::layer::Layer;
use crate::model::Model;
use crate::network::Network;
use crate::product::{Contenders, Signs, kernels};
use crate::training::{self, Training};
use crate::turns::{Interval, Turns, take_turns};
use crate::update::{self, Update};
use crate::{gradient, network, product};

/// One operation on operands of one shape.
pub struct Case {
    /// Family, batch and shape.
    pub name: String,
    /// Multiply-adds of one run.
    pub adds: usize,
    /// Bytes of both operands with a bit per sign; none for what is more than one product of signs.
    pub bytes: Option<usize>,
    /// What bounds it.
    pub limit: Limit,
    pub(crate) work: Work,
}

/// The part of the processor that bounds a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// XOR, popcount and add of words in registers.
    Popcount,
    /// Reading so many bytes of weights.
    Bytes(usize),
    /// Reading a weight, both its moments and its gradient, and writing the first three.
    Moves,
    /// Nothing that is measured here.
    Unknown,
}

pub(crate) enum Work {
    Signs(Signs),
    Layer(Layer),
    Gradient(Gradient),
    Network(Network),
    Training(Training),
    Update(Update),
    Model(Box<Model>),
}

/// Entries that a result must have.
pub(crate) struct Wanted {
    /// Row, column and value.
    pub(crate) entries: Vec<((usize, usize), f64)>,
    /// The largest error, as a share of the largest value.
    pub(crate) tolerance: f64,
}

/// The contenders of a case, timed.
#[derive(Debug, Serialize)]
pub struct Timed {
    /// Name of the case.
    pub case: String,
    /// Threads that every contender had.
    pub threads: usize,
    /// Turns that every contender took.
    pub rounds: usize,
    /// Multiply-adds of one run.
    pub adds: usize,
    /// Bytes of both operands with a bit per sign, for a product of signs.
    pub bytes: Option<usize>,
    /// The contenders, our best kernels first.
    pub rows: Vec<Row>,
}

/// A contender's time.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Kernel or library.
    pub name: String,
    /// Median time of one run, in seconds; of a part of the rows, scaled to all of them.
    pub seconds: f64,
    /// Multiply-adds per second.
    pub rate: f64,
    /// Share of what bounds the case on all threads; none where that was not measured, as on GPUs.
    pub share: Option<f64>,
    /// How many times longer than the first row, as the median of ratios within a round.
    pub times: Interval,
    /// The rows that were computed, where not all were.
    pub part: Option<Part>,
    /// Share of the images that are misclassified, where a data set says which are.
    pub error: Option<f64>,
    /// The entries of the last result, each times `1 + (31 row + 17 column) mod 97`, summed up: whole
    /// results of other programs can be compared with it. Exact for sums of signs.
    pub checksum: f64,
}

impl Timed {
    /// What to think of shares that cannot be, if there are any.
    pub fn doubt(&self) -> Option<String> {
        let beyond = |row: &&Row| row.share.is_some_and(|share| share > 1.0);
        let row = self.rows.iter().find(beyond)?;
        Some(format!(
            "{}: {} takes {:.1} % of what is possible; either the limit was measured while the machine \
             was busy, or the work that is counted holds taps in the padding, which are skipped",
            self.case,
            row.name,
            100.0 * row.share?,
        ))
    }
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let products = product::cases().into_iter();
    let parts = gradient::cases().into_iter().chain(update::cases());
    products.chain(parts).chain(network::cases()).chain(training::cases()).collect()
}

impl Case {
    /// Checks every contender's result, then times all of them in turn.
    ///
    /// # Errors
    /// [`Error::Device`] naming a contender whose result is wrong; absurd numbers of threads.
    pub fn time(&self, threads: usize, budget: Duration) -> Result<Timed> {
        let contenders = self.contenders(&kernels(threads)?, threads, true)?;
        self.take_turns(contenders, threads, self.bound(threads), budget)
    }

    /// Times our kernels alone, all of them or those of a name.
    ///
    /// # Errors
    /// As [`Case::time`], and for kernels that are not here.
    pub fn time_kernels(
        &self,
        name: Option<&str>,
        threads: usize,
        budget: Duration,
    ) -> Result<Timed> {
        let kernels = match name {
            Some(name) => vec![Cpu::with_kernel(name)?.with_threads(threads)?],
            None => kernels(threads)?,
        };
        let contenders = self.contenders(&kernels, threads, false)?;
        self.take_turns(contenders, threads, self.bound(threads), budget)
    }

    /// Times our kernels on a GPU by family, then what else multiplies there; of a trained network at the
    /// end our best kernels of the processor.
    ///
    /// # Errors
    /// As [`Case::time`]; [`Error::Unavailable`] for a case that is not [`on_gpus`](Self::on_gpus).
    #[cfg(any(feature = "cuda", test))]
    pub fn time_on(&self, gpu: &bnn_cuda::Cuda, budget: Duration) -> Result<Timed> {
        let contenders = match &self.work {
            Work::Signs(signs) => cuda::products(signs, gpu)?,
            Work::Layer(layer) => cuda::layer(layer, gpu)?,
            Work::Network(network) => network.contenders(&cuda::families(gpu)?)?,
            Work::Model(model) => cuda::model(model, gpu)?,
            Work::Gradient(_) | Work::Update(_) | Work::Training(_) => {
                let why = "products, layers and whole networks are timed there";
                return Err(Error::unavailable(format!("case `{}` on a GPU", self.name), why));
            }
        };
        self.take_turns(self.checked(contenders)?, 1, None, budget)
    }

    /// Whether the case has contenders on a GPU.
    pub fn on_gpus(&self) -> bool {
        use Work::{Layer, Model, Network, Signs};
        matches!(self.work, Signs(_) | Layer(_) | Network(_) | Model(_))
    }

    /// One run of our best kernels, for other ways to time it.
    ///
    /// # Errors
    /// As [`Case::time`].
    pub fn ours(&self, threads: usize) -> Result<impl FnMut() + use<>> {
        let mut contenders = self.contenders(&kernels(threads)?[..1], threads, false)?;
        let mut ours = contenders.swap_remove(0);
        Ok(move || ours.run())
    }

    /// The contenders, our kernels first, with or without rivals; each has run once and was right.
    fn contenders(
        &self,
        kernels: &[Cpu],
        threads: usize,
        rivals: bool,
    ) -> Result<Vec<Box<dyn Contender>>> {
        let (mut contenders, wanted) = match &self.work {
            Work::Signs(signs) => signs.contenders(kernels, threads)?,
            Work::Layer(layer) => layer.contenders(kernels)?,
            Work::Gradient(gradient) => gradient.contenders(kernels, threads)?,
            Work::Network(network) => network.contenders(kernels)?,
            Work::Update(update) => update.contenders(kernels)?,
            Work::Training(training) => training.contenders(kernels, threads, rivals)?,
            Work::Model(model) => model.contenders(kernels, threads)?,
        };
        if !rivals {
            contenders.truncate(kernels.len());
        }
        self.checked((contenders, wanted))
    }

    /// Runs every contender once, and compares what it makes.
    fn checked(&self, (mut contenders, wanted): Contenders) -> Result<Vec<Box<dyn Contender>>> {
        for contender in &mut contenders {
            contender.run();
            wanted.check(&self.name, &**contender)?;
        }
        if let Work::Model(_) = self.work {
            same_scores(&self.name, &contenders)?;
        }
        Ok(contenders)
    }

    fn take_turns(
        &self,
        mut contenders: Vec<Box<dyn Contender>>,
        threads: usize,
        bound: Option<f64>,
        budget: Duration,
    ) -> Result<Timed> {
        let turns = take_turns(&mut contenders, budget);
        let rows = self.rows(&contenders, &turns, bound)?;
        let (case, rounds, bytes) = (self.name.clone(), turns.rounds(), self.bytes);
        Ok(Timed { case, threads, rounds, adds: self.adds, bytes, rows })
    }

    /// What the turns say of every contender; the time of one that computed some rows is scaled to all.
    fn rows(
        &self,
        contenders: &[Box<dyn Contender>],
        turns: &Turns,
        bound: Option<f64>,
    ) -> Result<Vec<Row>> {
        let row = |at: usize, contender: &dyn Contender| {
            let (name, part) = (contender.name(), contender.part());
            let whole = part.map_or(1.0, |part| part.of as f64 / part.rows as f64);
            let seconds = whole * turns.median(at);
            let rate = self.adds as f64 / seconds;
            let (share, times) = (bound.map(|bound| rate / bound), turns.ratio(at, 0).times(whole));
            let result = contender.result()?;
            let (error, checksum) = (self.error(&result)?, checksum(&result));
            Ok(Row { name, seconds, rate, share, times, part, error, checksum })
        };
        contenders.iter().enumerate().map(|(at, contender)| row(at, &**contender)).collect()
    }

    /// Share of the images that scores misclassify.
    fn error(&self, scores: &Matrix) -> Result<Option<f64>> {
        let Work::Model(model) = &self.work else { return Ok(None) };
        model.error(scores).map(Some)
    }

    /// Multiply-adds per second that so many cores could reach.
    fn bound(&self, threads: usize) -> Option<f64> {
        let one = match self.limit {
            Limit::Popcount => peak::multiply_adds_per_second(),
            Limit::Bytes(bytes) => {
                Some(peak::bytes_per_second(bytes) * self.adds as f64 / bytes as f64)
            }
            Limit::Moves => {
                Some(peak::moved_bytes_per_second(self.adds) / (7 * size_of::<f32>()) as f64)
            }
            Limit::Unknown => None,
        };
        one.map(|bound| bound * threads as f64)
    }
}

fn checksum(result: &Matrix) -> f64 {
    let weight = |row: usize, col: usize| (1 + (31 * row + 17 * col) % 97) as f64;
    result.indexed_iter().map(|((row, col), &entry)| weight(row, col) * f64::from(entry)).sum()
}

/// Refuses contenders whose scores are not those of the first in every bit.
fn same_scores(case: &str, contenders: &[Box<dyn Contender>]) -> Result<()> {
    let scores = contenders[0].result()?;
    let entries = scores.indexed_iter().map(|(place, &score)| (place, f64::from(score)));
    let wanted = Wanted { entries: entries.collect(), tolerance: 0.0 };
    contenders.iter().try_for_each(|contender| wanted.check(case, &**contender))
}

impl Wanted {
    fn check(&self, case: &str, contender: &dyn Contender) -> Result<()> {
        let result = contender.result()?;
        let largest = self.entries.iter().fold(0.0, |most: f64, (_, entry)| most.max(entry.abs()));
        let rows = contender.part().map_or(usize::MAX, |part| part.rows);
        for &((row, col), want) in self.entries.iter().filter(|((row, _), _)| *row < rows) {
            let got = f64::from(result[[row, col]]);
            let error = (got - want).abs();
            if error.is_nan() || error > self.tolerance * largest {
                let name = contender.name();
                let wrong = format!("{case}, {name}: entry ({row}, {col}) is {got}, not {want}");
                return Err(Error::Device { op: "benchmark", source: wrong.into() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_more_than_all_are_doubted() {
        let times = Interval { low: 1.0, median: 1.0, high: 1.0 };
        let row = |share| Row {
            name: "cpu/avx2".into(),
            seconds: 1.0,
            rate: 1.0,
            share,
            times,
            part: None,
            error: None,
            checksum: 0.0,
        };
        let timed = |share| {
            let (case, rows) = ("square".into(), vec![row(None), row(share)]);
            Timed { case, threads: 1, rounds: 7, adds: 1, bytes: None, rows }
        };
        assert_eq!(timed(None).doubt(), None);
        assert_eq!(timed(Some(1.0)).doubt(), None);
        let doubt = timed(Some(1.15)).doubt().unwrap();
        assert!(doubt.starts_with("square: cpu/avx2 takes 115.0 % of what is possible"), "{doubt}");
    }

    /// Has computed one row of so many.
    struct OneOf(usize);

    impl Contender for OneOf {
        fn name(&self) -> String {
            "one row".into()
        }

        fn run(&mut self) {}

        fn part(&self) -> Option<Part> {
            (self.0 > 1).then_some(Part { rows: 1, of: self.0 })
        }

        fn result(&self) -> Result<Matrix> {
            Ok(ndarray::arr2(&[[1.0]]))
        }
    }

    #[test]
    fn the_time_of_some_rows_is_scaled_to_all() {
        let case = cases().swap_remove(0);
        let contenders: [Box<dyn Contender>; 2] = [Box::new(OneOf(1)), Box::new(OneOf(8))];
        let turns = Turns::of(vec![vec![2.0; 7], vec![3.0; 7]]);
        let rows = case.rows(&contenders, &turns, Some(case.adds as f64)).unwrap();
        let told = |row: &Row| (row.seconds, row.times.median, row.share.unwrap());
        assert_eq!(told(&rows[0]), (2.0, 1.0, 0.5));
        assert_eq!(told(&rows[1]), (24.0, 12.0, 1.0 / 24.0));
        assert_eq!(rows[1].rate, case.adds as f64 / 24.0);
    }

    #[test]
    fn a_checksum_tells_entries_and_their_places_apart() {
        let result = ndarray::arr2(&[[1.0, -2.0], [4.0, 8.0]]);
        assert_eq!(checksum(&result), 1.0 - 2.0 * 18.0 + 4.0 * 32.0 + 8.0 * 49.0);
        assert_ne!(checksum(&result), checksum(&result.t().to_owned()));
    }
}
