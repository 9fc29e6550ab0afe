//! Timing in turn, so that a noisy machine is equally unkind to every contender.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::contender::Contender;

/// The shortest turn: shorter ones are repeated, so that the clock does not matter.
const SHORTEST: Duration = Duration::from_millis(2);

/// Rounds whose medians say anything.
const FEWEST_ROUNDS: usize = 7;

/// Seconds of one call, for every contender and round.
pub(crate) struct Turns {
    seconds: Vec<Vec<f64>>,
}

/// The median of ratios, and where it lies with a confidence of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Median.
    pub median: f64,
    /// Upper end.
    pub high: f64,
}

/// Lets all contenders run in turn until the time is used up, and at least seven times each.
pub(crate) fn take_turns(contenders: &mut [Box<dyn Contender>], budget: Duration) -> Turns {
    let start = Instant::now();
    let calls: Vec<u32> = contenders.iter_mut().map(|contender| calls(&mut **contender)).collect();
    let mut seconds = vec![Vec::new(); contenders.len()];
    let mut rounds = 0;
    while rounds < FEWEST_ROUNDS || start.elapsed() < budget {
        for ((contender, &calls), seconds) in contenders.iter_mut().zip(&calls).zip(&mut seconds) {
            seconds.push(turn(&mut **contender, calls).as_secs_f64() / f64::from(calls));
        }
        rounds += 1;
    }
    Turns { seconds }
}

/// Calls that fill a turn.
fn calls(contender: &mut dyn Contender) -> u32 {
    let mut calls = 1;
    while turn(contender, calls) < SHORTEST {
        calls *= 2;
    }
    calls
}

fn turn(contender: &mut dyn Contender, calls: u32) -> Duration {
    let start = Instant::now();
    (0..calls).for_each(|_| contender.run());
    contender.wait();
    start.elapsed()
}

impl Turns {
    /// Turns that took so long.
    #[cfg(test)]
    pub(crate) fn of(seconds: Vec<Vec<f64>>) -> Self {
        Self { seconds }
    }

    /// The median time of a contender's call.
    pub(crate) fn median(&self, contender: usize) -> f64 {
        Interval::of(self.seconds[contender].clone()).median
    }

    /// How many times longer one contender takes than another.
    pub(crate) fn ratio(&self, contender: usize, to: usize) -> Interval {
        let pairs = self.seconds[contender].iter().zip(&self.seconds[to]);
        Interval::of(pairs.map(|(one, other)| one / other).collect())
    }

    /// Number of rounds.
    pub(crate) fn rounds(&self) -> usize {
        self.seconds.first().map_or(0, Vec::len)
    }
}

impl Interval {
    /// The same of values that are so many times larger.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self { low: factor * self.low, median: factor * self.median, high: factor * self.high }
    }

    /// Order statistics of the sample: those between which its median lies by the binomial law.
    fn of(mut sample: Vec<f64>) -> Self {
        sample.sort_by(f64::total_cmp);
        let (count, last) = (sample.len() as f64, sample.len() - 1);
        let reach = 1.96 * count.sqrt() / 2.0;
        let low = (count / 2.0 - reach).floor().max(0.0) as usize;
        let high = ((count / 2.0 + reach).ceil() as usize).min(last);
        let median = (sample[last / 2] + sample[sample.len() / 2]) / 2.0;
        Self { low: sample[low], median, high: sample[high] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_lie_in_their_intervals() {
        let interval = Interval::of((1..=100).rev().map(f64::from).collect());
        assert_eq!(interval, Interval { low: 41.0, median: 50.5, high: 61.0 });
        let few = Interval::of(vec![3.0, 1.0]);
        assert_eq!(few, Interval { low: 1.0, median: 2.0, high: 3.0 });
    }

    #[test]
    fn all_contenders_take_as_many_turns() {
        struct Sleeper(u64);
        impl Contender for Sleeper {
            fn name(&self) -> String {
                "sleeper".into()
            }
            fn run(&mut self) {
                std::thread::sleep(Duration::from_millis(self.0));
            }
            fn result(&self) -> bnn_core::Result<bnn_core::Matrix> {
                unreachable!("nobody asks")
            }
        }
        let turns = take_turns(&mut [Box::new(Sleeper(2)), Box::new(Sleeper(4))], Duration::ZERO);
        assert_eq!((turns.rounds(), turns.seconds[1].len()), (FEWEST_ROUNDS, FEWEST_ROUNDS));
        assert!(turns.median(0) > 0.0 && turns.ratio(1, 0).high > 0.0);
    }
}
