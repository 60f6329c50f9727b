//! Candidates that a client gives: a strategy that proposes nothing itself.
//!
//! It stands beside the shelf, for it searches nothing: whoever gives a generation's candidates is answered with their
//! outcomes, and gives the next ones. Between two generations it waits, and has a population of none. Candidates are what was
//! given, to the bit: nothing is folded into bounds.

use tumble_domain::{Fitness, GIVEN};

use super::members::NUMBERS_MAX;
use super::memory::Numbers;
use super::{Entry, Order, seal, snapshot_of};
use crate::codec::Reader;
use crate::proposal::{self, DIMENSION_MAX, Proposal};
use crate::strategy::{SnapshotError, Strategy, StrategyDescription, StrategyError};
use crate::told::ToldAs;

/// The most candidates that may be given at once.
pub const GIVEN_CANDIDATES_MAX: u32 = 1 << 16;

/// The most numbers of all candidates that are given at once: 128 MiB.
pub const GIVEN_NUMBERS_MAX: usize = NUMBERS_MAX;

/// How many candidates may be given at once when the run file is silent, unless they are long: no more than 64 MiB, for the
/// coordinator holds several times what it is given.
const POPULATION: usize = 4096;
const NUMBERS: usize = 1 << 23;

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |dimension, _| (NUMBERS / dimension.max(1)).clamp(1, POPULATION) as u32,
    memory: |n, population, _| Numbers { state: n * population, proposal: n * population, scratch: 0 },
    build: |order| Ok(Box::new(Given::try_new(&order)?)),
    restore: |from| Ok(Box::new(Given::restore(from)?)),
};

fn describe() -> StrategyDescription {
    StrategyDescription {
        name: GIVEN,
        summary: "whatever a client gives: an optimiser of your own proposes, and workers evaluate (`tumble pool`)",
        advice: "for pycma, Optuna, Nevergrad, SciPy and whatever else proposes candidates outside of Tumble",
        source: "none: it proposes nothing itself",
        cost: "none but that of journalling and sending what is given",
        memory: "state λ n and proposal λ n",
        population: "the most that may be given at once: 4096, or fewer where they are long",
        parameters: Vec::new(),
    }
}

#[derive(Clone, Debug)]
struct Given {
    generation: u32,
    dimension: usize,
    /// Those of this generation by rows; none while they are waited for.
    points: Vec<f64>,
}

impl Given {
    fn try_new(order: &Order) -> Result<Given, StrategyError> {
        let (population, dimension) = (order.population, order.start.len());
        check_size(u64::from(population), dimension).map_err(StrategyError::Setting)?;
        Ok(Given { generation: 0, dimension, points: Vec::new() })
    }

    fn restore(from: &mut Reader<'_>) -> Result<Given, SnapshotError> {
        let (generation, dimension, count) = (from.u32()?, from.u32()? as usize, from.u32()?);
        if dimension == 0 || dimension > DIMENSION_MAX || check_size(u64::from(count.max(1)), dimension).is_err() {
            return Err(SnapshotError::Damaged("the dimension or the number of candidates is out of range"));
        }
        Ok(Given { generation, dimension, points: from.finites(count as usize * dimension)? })
    }
}

/// Whether so many candidates of so many numbers may be given at once; if not, what is wrong.
pub fn check_size(candidates: u64, dimension: usize) -> Result<(), String> {
    if candidates == 0 {
        return Err("`population` is 0, but at least one candidate is given at once".to_owned());
    }
    if candidates > u64::from(GIVEN_CANDIDATES_MAX) {
        return Err(format!(
            "`population` is {candidates}, but at most {GIVEN_CANDIDATES_MAX} candidates are given at once: give them in \
             several generations"
        ));
    }
    if candidates.saturating_mul(dimension as u64) > GIVEN_NUMBERS_MAX as u64 {
        return Err(format!(
            "`population` is {candidates}, but of candidates of {dimension} numbers at most {} are given at once, which is \
             {GIVEN_NUMBERS_MAX} numbers in all",
            GIVEN_NUMBERS_MAX / dimension.max(1)
        ));
    }
    Ok(())
}

impl Strategy for Given {
    fn ask(&self) -> Proposal {
        proposal::given(self.generation, self.dimension, &self.points)
    }

    fn tell(&mut self, fitness: &[Fitness]) {
        assert_eq!(fitness.len(), self.population() as usize, "there is one fitness for each candidate");
        self.generation += 1;
        self.points = Vec::new();
    }

    fn generation(&self) -> u32 {
        self.generation
    }

    fn population(&self) -> u32 {
        (self.points.len() / self.dimension) as u32
    }

    fn is_given(&self) -> bool {
        true
    }

    fn take(&mut self, points: &[f64]) -> bool {
        assert!(points.len().is_multiple_of(self.dimension), "candidates are given whole");
        self.points = points.to_vec();
        true
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut out = snapshot_of(GIVEN);
        out.u32(self.generation);
        out.u32(self.dimension as u32);
        out.u32(self.population());
        out.f64s(&self.points);
        seal(out)
    }

    fn told_as(&self) -> ToldAs {
        ToldAs::Places
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        vec![("candidates", f64::from(self.population()))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies;
    use crate::strategy::Problem;
    use tumble_domain::{Evolve, Seed, Start, StopRule, TrialSeeds};

    fn given(population: Option<u32>, dimension: usize) -> Result<Box<dyn Strategy>, StrategyError> {
        let evolve = Evolve {
            strategy: GIVEN.to_owned(),
            population,
            generations: 5,
            settings: Vec::new(),
            start: Start::Middle,
            trial_seeds: TrialSeeds::Fresh,
            stop: StopRule::default(),
            axes: Vec::new(),
        };
        let bounds = None;
        let problem =
            Problem { dimension, shapes: vec![], bounds, start: Start::Middle, seed: Seed(3), grains: vec![] };
        strategies::build(&evolve, &problem)
    }

    #[test]
    fn what_is_given_is_proposed_to_the_bit_and_survives_a_snapshot() {
        let mut strategy = given(None, 2).unwrap();
        assert_eq!((strategy.population(), strategy.ask().candidates()), (0, 0));
        let points = [0.1 + 0.2, -0.0, f64::MAX, f64::MIN_POSITIVE / 8.0, -7.5, 1e300];
        assert!(strategy.take(&points));
        let mut restored = strategies::restore(&strategy.snapshot()).unwrap();
        assert_eq!(restored.state_hash(), strategy.state_hash());
        let proposal = Proposal::decode(&restored.ask().encode()).unwrap();
        let mut candidate = [0.0; 2];
        for (i, expected) in points.chunks(2).enumerate() {
            proposal.candidate(i as u32, &mut candidate);
            assert_eq!(candidate.map(f64::to_bits).to_vec(), expected.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
        }
        restored.tell(&[Fitness::Worst; 3]);
        assert_eq!((restored.generation(), restored.population()), (1, 0));
        assert!(strategies::restore(&restored.snapshot()).unwrap().take(&points[..2]));
    }

    #[test]
    fn another_strategy_takes_nothing() {
        let mut rungs = strategies::rungs(
            &tumble_domain::Stopping { rule: tumble_domain::StoppingRule::Asha, steps: 0, rungs: vec![1], factor: 2 },
            3,
        )
        .unwrap();
        assert!(!rungs.is_given() && !rungs.take(&[1.0]));
    }

    #[test]
    fn more_than_may_be_given_at_once_is_refused_with_what_may() {
        let refused = |population, dimension| given(Some(population), dimension).err().unwrap().to_string();
        assert!(refused(GIVEN_CANDIDATES_MAX + 1, 1).contains("at most 65536"));
        assert!(refused(17, 1 << 20).contains("at most 16 "));
        assert!(given(Some(16), 1 << 20).is_ok());
        assert_eq!(strategies::default_population(GIVEN, 1 << 22, &[]).unwrap(), 2);
        assert_eq!(strategies::default_population(GIVEN, 5, &[]).unwrap(), 4096);
    }

    #[test]
    fn a_snapshot_that_was_cut_or_holds_too_much_is_refused() {
        let mut strategy = given(None, 2).unwrap();
        strategy.take(&[1.0, 2.0]);
        let bytes = strategy.snapshot();
        assert!(strategies::restore(&bytes[..bytes.len() - 1]).is_err());
        let mut out = snapshot_of(GIVEN);
        [0, 2, u32::MAX].into_iter().for_each(|x| out.u32(x));
        assert!(strategies::restore(&seal(out)).is_err());
    }
}
