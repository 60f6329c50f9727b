//! ARS: augmented random search, a finite-difference gradient from the best of random directions.
//!
//! Source: Mania, Guy, Recht, "Simple random search provides a competitive approach to reinforcement learning",
//! arXiv:1803.07055, algorithm 2; its version V1-t: the top directions only, without normalising the states, which are
//! inside the evaluator here. The form is that of modestyachts/ARS, `code/ars.py`.
//!
//! What is ours: noise is addressed instead of cut from a shared table; a pair tells something only as a whole; what
//! failed counts as the lowest return of its generation; kept returns without a difference take no step.

use tumble_domain::Fitness;

use super::frame::Frame;
use super::memory::Numbers;
use super::vectors::{add, squares};
use super::{Entry, Order, SIGMA_BOUNDS, four_plus_three_ln, integer, number, seal, snapshot_of};
use crate::codec::{Reader, Writer};
use crate::parallel::{self, PIECE};
use crate::proposal::{Law, Proposal, perturbation_from};
use crate::shaping;
use crate::strategy::{SnapshotError, Strategy, StrategyDescription, StrategyError};

const NAME: &str = "ars";

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |dimension, _| 2 * four_plus_three_ln(dimension),
    memory: |n, _, _| Numbers { state: n, proposal: n, scratch: n },
    build: |order| Ok(Box::new(Ars::try_new(order)?)),
    restore: |from| Ok(Box::new(Ars::restore(from)?)),
};

fn describe() -> StrategyDescription {
    StrategyDescription {
        name: NAME,
        summary: "augmented random search: steps along the best of random directions, in units of the returns' deviation",
        advice: "linear and small policies, and a strong baseline for larger ones; sigma and learning_rate are fixed and \
                 should suit the scale of the candidate; returns count as they are, so one outlier moves a step",
        source: "Mania, Guy, Recht, arXiv:1803.07055, version V1-t; modestyachts/ARS",
        cost: "O(λ n) time and O(n) memory for a generation",
        memory: "state n, proposal n, an update n more",
        population: "2 (4 + ⌊3 ln n⌋), a pair for each direction; always even",
        parameters: vec![
            number("sigma", Some(0.03), SIGMA_BOUNDS, "width of the perturbations, ν in the paper; it stays as it is"),
            number("learning_rate", Some(0.02), (0.0, 1e100), "length of a step, α in the paper"),
            integer(
                "directions",
                None,
                (1.0, 1e9),
                "how many of the best directions make the step, b in the paper; by default half of them, at least 1",
            ),
        ],
    }
}

#[derive(Clone, Debug)]
struct Ars {
    frame: Frame,
    sigma: f64,
    learning_rate: f64,
    /// b.
    directions: u32,
    /// θ, in the space without bounds.
    centre: Vec<f64>,
    /// The length of the last step.
    step: f64,
}

impl Ars {
    fn try_new(order: Order) -> Result<Ars, StrategyError> {
        let frame = order.frame(NAME, 2)?;
        let (population, settings) = (frame.population, &order.settings);
        if !population.is_multiple_of(2) {
            return Err(StrategyError::Setting(format!(
                "`population` is {population}, but ars tries candidates in pairs: make it even"
            )));
        }
        let pairs = population / 2;
        let directions = settings.number("directions").map_or((pairs / 2).max(1), |b| b as u32);
        if directions > pairs {
            return Err(StrategyError::Setting(format!(
                "`directions` is {directions}, but a population of {population} has {pairs}"
            )));
        }
        Ok(Ars {
            frame,
            sigma: settings.default_number("sigma"),
            learning_rate: settings.default_number("learning_rate"),
            directions,
            centre: order.unfolded_start(),
            step: 0.0,
        })
    }

    fn restore(from: &mut Reader<'_>) -> Result<Ars, SnapshotError> {
        let frame = Frame::read(from, 2)?;
        let directions = from.u32()?;
        if !frame.population.is_multiple_of(2) || !(1..=frame.population / 2).contains(&directions) {
            return Err(SnapshotError::Damaged("the population or the directions are out of range"));
        }
        let (sigma, learning_rate, step) = (from.finite()?, from.finite()?, from.finite()?);
        Ok(Ars { centre: from.finites(frame.dimension)?, frame, sigma, learning_rate, directions, step })
    }

    /// The step from the returns of whole pairs; `None` when they tell nothing, or a number leaves the floating point
    /// range.
    fn step(&self, fitness: &[Fitness]) -> Option<Vec<f64>> {
        let lowest = fitness.iter().filter_map(|f| f.score()).reduce(f64::min)?;
        let pairs: Vec<(usize, [f64; 2])> = fitness
            .chunks_exact(2)
            .enumerate()
            .filter(|(_, pair)| !pair.contains(&Fitness::Dropped))
            .map(|(index, pair)| (index, [0, 1].map(|i| pair[i].score().unwrap_or(lowest))))
            .collect();
        // Line 6: by max(r⁺, r⁻), best first; ties stand by index.
        let tops: Vec<Fitness> = pairs.iter().map(|(_, [a, b])| Fitness::Scored(a.max(*b))).collect();
        let kept: Vec<(usize, [f64; 2])> =
            shaping::best_first(&tops).into_iter().take(self.directions as usize).map(|i| pairs[i]).collect();

        // Line 7: θ + α / (b σ_R) Σ (r⁺ − r⁻) δ.
        let deviation = deviation(&kept.iter().flat_map(|(_, returns)| *returns).collect::<Vec<_>>());
        let rate = self.learning_rate / kept.len() as f64;
        let mut step = vec![0.0; self.centre.len()];
        parallel::pieces([&mut step], kept.len(), |start, [step]| {
            let mut z = [0.0; PIECE];
            let z = &mut z[..step.len()];
            for (pair, [plus, minus]) in &kept {
                perturbation_from(self.frame.seed, self.frame.generation, *pair as u32, start, z);
                add((plus - minus) / deviation, z, step);
            }
            step.iter_mut().for_each(|s| *s *= rate);
        });
        // Kept returns without a difference have no deviation, and a division by it gives no number.
        step.iter().zip(&self.centre).all(|(s, x)| (x + s).is_finite()).then_some(step)
    }
}

impl Strategy for Ars {
    fn ask(&self) -> Proposal {
        self.frame.proposal(Law::Antithetic { mean: self.centre.clone(), sigma: self.sigma })
    }

    fn tell(&mut self, fitness: &[Fitness]) {
        self.frame.check(fitness);
        let fitness = shaping::whole_pairs(fitness);
        self.step = 0.0;
        if !shaping::is_flat(&fitness)
            && let Some(step) = self.step(&fitness)
        {
            add(1.0, &step, &mut self.centre);
            self.step = squares(&step).sqrt().min(f64::MAX);
        }
        self.frame.generation += 1;
    }

    fn generation(&self) -> u32 {
        self.frame.generation
    }

    fn population(&self) -> u32 {
        self.frame.population
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut out: Writer = snapshot_of(NAME);
        self.frame.write(&mut out);
        out.u32(self.directions);
        out.f64s(&[self.sigma, self.learning_rate, self.step]);
        out.f64s(&self.centre);
        seal(out)
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        vec![("sigma", self.sigma), ("centre_norm", squares(&self.centre).sqrt()), ("step_norm", self.step)]
    }
}

/// The standard deviation of the returns themselves, not of what they were drawn from.
fn deviation(returns: &[f64]) -> f64 {
    let count = returns.len() as f64;
    let mean = returns.iter().sum::<f64>() / count;
    (returns.iter().map(|r| (r - mean) * (r - mean)).sum::<f64>() / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::yardstick::*;
    use tumble_domain::Value;

    fn build(population: u32, n: usize, seed: u64) -> Ars {
        Ars::try_new(order(&describe(), population, vec![3.0; n], None, seed, &[])).unwrap()
    }

    /// Worked out by a NumPy program of the formulas in the head, under the same noise: 25 generations on the ellipsoid from
    /// 3 in every element, eight candidates of which one is dropped and one fails.
    #[test]
    fn twenty_five_steps_are_those_of_the_formulas() {
        let mut es = build(8, 5, 42);
        (0..25).for_each(|_| tell_spoiled(&mut es, &ellipsoid));
        assert_near(
            &es.centre,
            &[2.909481371131921, 2.9296952950449526, 3.085426823203275, 3.0915477265177507, 1.9645786103520684],
        );
    }

    /// Medians of a prototype in NumPy, 15 seeds: n = 10, 20 candidates, from 3 in every element, the defaults.
    #[test]
    fn sphere_and_ellipsoid_take_as_many_evaluations_as_the_prototype() {
        let build = |seed| -> Box<dyn Strategy> { Box::new(build(20, 10, seed)) };
        check_median("sphere", &build, &sphere, 0.1, 3560.0);
        check_median("ellipsoid", &build, &ellipsoid, 1e3, 9320.0);
    }

    /// Returns 1, 1, 1, 1 beside a worse pair: the one kept direction has no difference, so its deviation is nothing.
    #[test]
    fn kept_returns_without_a_difference_take_no_step() {
        let mut es = build(4, 3, 5);
        es.tell(&[1.0, 1.0, 0.0, 0.5].map(Fitness::Scored));
        assert_eq!((es.centre.clone(), es.step), (vec![3.0; 3], 0.0));
        es.tell(&[1.0, 0.0, 0.0, 0.5].map(Fitness::Scored));
        assert!(es.step > 0.0 && es.centre.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn a_failure_counts_as_the_lowest_return() {
        let (mut failed, mut lowest) = (build(4, 3, 5), build(4, 3, 5));
        let [a, b, c] = [4.0, 1.0, 3.0].map(Fitness::Scored);
        failed.tell(&[a, Fitness::Worst, b, c]);
        lowest.tell(&[a, b, b, c]);
        assert_eq!(failed.snapshot(), lowest.snapshot());
        assert!(failed.step > 0.0);
    }

    #[test]
    fn more_directions_than_pairs_are_refused() {
        let given = order(&describe(), 8, vec![0.0; 2], None, 0, &[("directions", Value::Integer(5))]);
        let message = Ars::try_new(given).unwrap_err().to_string();
        assert!(message.contains("`directions` is 5") && message.contains("has 4"), "{message}");
    }
}
