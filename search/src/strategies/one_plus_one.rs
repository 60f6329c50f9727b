//! (1+1)-ES with the 1/5 success rule: the oldest evolution strategy, one candidate at a time.
//!
//! Source: Rechenberg, "Evolutionsstrategie" (1973); the form without a counter is that of Kern, Müller, Hansen, Büche,
//! Ocenasek, Koumoutsakos, "Learning probability distributions in continuous evolutionary algorithms", Natural Computing
//! 3 (2004): after a success σ grows 1.5-fold, after a failure it shrinks by the fourth root of that, so that it stays
//! where one step in five succeeds.
//!
//! What is ours: generation 0 evaluates the start itself. A child as good as its parent takes its place, so that plateaus
//! can be crossed. While nothing has been scored, a failure tells nothing; after that it is a child that is worse.

use tumble_domain::Fitness;

use super::ending::Ending;
use super::frame::{Frame, read_deviation, sigma_parameter};
use super::memory::Numbers;
use super::vectors::all_finite;
use super::{Entry, Order, seal, snapshot_of};
use crate::codec::Reader;
use crate::proposal::{Law, Proposal, perturbation};
use crate::strategy::{SnapshotError, StateHash, Strategy, StrategyDescription, StrategyError};

const NAME: &str = "one-plus-one";

/// What a success multiplies σ with.
const GROWTH: f64 = 1.5;

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |_, _| 1,
    memory: |n, _, _| Numbers { state: n, proposal: n, scratch: n },
    build: |order| Ok(Box::new(OnePlusOne::try_new(order)?)),
    restore: |from| Ok(Box::new(OnePlusOne::restore(from)?)),
};

fn describe() -> StrategyDescription {
    StrategyDescription {
        name: NAME,
        summary: "one parent, one child: the better one stays, and one success in five keeps the step size as it is",
        advice: "the fewest evaluations on smooth, well-conditioned problems when candidates are tried one after another; it \
                 uses one worker alone, believes a lucky noisy value for ever, and is slow where axes differ in scale",
        source: "Rechenberg (1973); Kern et al., Natural Computing 3 (2004)",
        cost: "O(n) time and memory for a generation",
        memory: "state n, proposal n, an update n more",
        population: "1, always",
        parameters: [sigma_parameter()].into_iter().chain(Ending::parameters()).collect(),
    }
}

#[derive(Clone, Debug)]
struct OnePlusOne {
    frame: Frame,
    /// In the space without bounds; see [`crate::Bounds::fold`].
    parent: Vec<f64>,
    /// The parent's; `None` while nothing has been scored.
    fitness: Option<f64>,
    sigma: f64,
    ending: Ending,
}

impl OnePlusOne {
    fn try_new(order: Order) -> Result<OnePlusOne, StrategyError> {
        if order.population != 1 {
            return Err(StrategyError::Setting(format!(
                "`population` is {}, but one-plus-one tries one candidate at a time: make it 1, or take csa-es",
                order.population
            )));
        }
        let sigma = order.first_sigma();
        let ending = Ending::new(&order.settings, sigma);
        let parent = order.unfolded_start();
        Ok(OnePlusOne { frame: order.frame(NAME, 1)?, parent, fitness: None, sigma, ending })
    }

    fn restore(from: &mut Reader<'_>) -> Result<OnePlusOne, SnapshotError> {
        let frame = Frame::read(from, 1)?;
        if frame.population != 1 {
            return Err(SnapshotError::Damaged("the population is out of range"));
        }
        let sigma = read_deviation(from)?;
        let parent = from.finites(frame.dimension)?;
        let ending = Ending::read(from)?;
        let fitness = if from.bool()? { Some(from.finite()?) } else { None };
        Ok(OnePlusOne { frame, parent, fitness, sigma, ending })
    }

    fn write(&self, with_score: bool) -> Vec<u8> {
        let mut out = snapshot_of(NAME);
        self.frame.write(&mut out);
        out.f64(self.sigma);
        out.f64s(&self.parent);
        self.ending.write(&mut out);
        out.u8(u8::from(self.fitness.is_some()));
        if let Some(fitness) = self.fitness
            && with_score
        {
            out.f64(fitness);
        }
        seal(out)
    }

    /// The step size of this generation; the first tries the start itself.
    fn step_size(&self) -> f64 {
        if self.frame.generation == 0 { 0.0 } else { self.sigma }
    }

    /// Takes the child in the parent's place; `false` when a number would leave the floating point range.
    fn replace(&mut self, fitness: f64) -> bool {
        let mut child = vec![0.0; self.parent.len()];
        perturbation(self.frame.seed, self.frame.generation, 0, &mut child);
        let sigma = self.step_size();
        child.iter_mut().zip(&self.parent).for_each(|(x, p)| *x = p + sigma * *x);
        if !all_finite(&[&child]) {
            return false;
        }
        self.parent = child;
        self.fitness = Some(fitness);
        true
    }
}

impl Strategy for OnePlusOne {
    fn ask(&self) -> Proposal {
        self.frame.proposal(Law::Isotropic { mean: self.parent.clone(), sigma: self.step_size() })
    }

    fn tell(&mut self, fitness: &[Fitness]) {
        self.frame.check(fitness);
        match (fitness[0], self.fitness) {
            (Fitness::Dropped, _) | (Fitness::Worst, None) => {}
            // The first value of all says nothing about the step.
            (Fitness::Scored(child), None) => {
                self.replace(child);
            }
            (Fitness::Scored(child), Some(parent)) if child >= parent => {
                if self.replace(child) {
                    self.sigma *= GROWTH;
                }
            }
            (Fitness::Scored(_) | Fitness::Worst, Some(_)) => self.sigma *= libm::pow(GROWTH, -0.25),
        }
        self.sigma = self.frame.held(self.sigma);
        self.frame.generation += 1;
    }

    fn generation(&self) -> u32 {
        self.frame.generation
    }

    fn population(&self) -> u32 {
        self.frame.population
    }

    fn snapshot(&self) -> Vec<u8> {
        self.write(true)
    }

    /// Without the parent's fitness, which is only compared: candidates depend on ranks alone.
    fn state_hash(&self) -> StateHash {
        StateHash::of(&self.write(false))
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        vec![("sigma", self.sigma)]
    }

    fn exhausted(&self) -> Option<&'static str> {
        self.ending.reason(&self.parent, |_| self.sigma)
    }
}

#[cfg(test)]
mod tests {
    use tumble_domain::Value;

    use super::*;
    use crate::strategies::yardstick::{self, assert_near, check_median, ellipsoid, order, sphere, tell};

    fn started(dimension: usize, seed: u64) -> OnePlusOne {
        let sigma = [("sigma", Value::Float(1.0))];
        OnePlusOne::try_new(order(&describe(), 1, vec![3.0; dimension], None, seed, &sigma)).unwrap()
    }

    /// A NumPy script that knows the noise, but no line of this file, made the expected numbers: the start and 199
    /// children on the ellipsoid, 34 of which succeed.
    #[test]
    fn two_hundred_generations_end_where_the_formulas_do() {
        let mut es = started(5, 42);
        let mut successes = 0;
        for _ in 0..200 {
            let before = es.parent.clone();
            tell(&mut es, &ellipsoid);
            successes += usize::from(es.parent != before);
        }
        assert_eq!(successes, 34);
        let parent =
            [-6.1549184188779815, -3.955705870033563, 7.060346788108542, 0.2290380437432647, -0.0003084918479258009];
        assert_near(&es.parent, &parent);
        assert_near(&[es.sigma], &[0.052885713974422086]);
    }

    /// A NumPy prototype of the same rule with other noise: medians of 15 seeds. BBOB-2009's ONEFIFTH, on its own sphere,
    /// has 704, 1489 and 3014.
    #[test]
    fn the_sphere_takes_as_many_evaluations_as_the_prototype() {
        for (n, reference) in [(10, 696.0), (20, 1468.0), (40, 2956.0)] {
            check_median("sphere", &|seed| Box::new(started(n, seed)), &sphere, 1e-8, reference);
        }
    }

    /// What it cannot learn it must not seem to: BBOB-2009's ONEFIFTH solves no ellipsoid either.
    #[test]
    fn the_ellipsoid_is_out_of_reach() {
        for seed in 0..3 {
            assert_eq!(yardstick::evaluations(&mut started(10, seed), &ellipsoid, 1e-8, 100_000), None);
        }
    }

    #[test]
    fn the_start_is_tried_first_ties_succeed_and_failures_shorten_the_step() {
        let mut es = started(3, 1);
        let mut first = [0.0; 3];
        es.ask().candidate(0, &mut first);
        assert_eq!(first, [3.0; 3]);

        // Nothing to compare with: neither a failed start nor what is dropped tells anything.
        es.tell(&[Fitness::Worst]);
        es.tell(&[Fitness::Dropped]);
        assert_eq!((es.sigma, es.fitness), (1.0, None));

        es.tell(&[Fitness::Scored(2.0)]);
        assert_eq!((es.sigma, es.fitness), (1.0, Some(2.0)));
        let mut child = [0.0; 3];
        es.ask().candidate(0, &mut child);
        es.tell(&[Fitness::Scored(2.0)]);
        assert_eq!((es.sigma, &es.parent[..]), (1.5, &child[..]));
        for worse in [Fitness::Scored(1.0), Fitness::Worst] {
            es.tell(&[worse]);
            assert_eq!(es.parent, child);
        }
        assert_near(&[es.sigma], &[1.5 / 1.5f64.sqrt()]);
    }

    #[test]
    fn more_than_one_candidate_is_refused_with_the_reason() {
        let refused = OnePlusOne::try_new(order(&describe(), 7, vec![0.0], None, 0, &[]));
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("`population` is 7") && message.contains("one candidate"), "{message}");
    }
}
