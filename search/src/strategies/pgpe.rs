//! PGPE: policy gradients with parameter-based exploration, in symmetric pairs, a step size for each element, and ClipUp.
//!
//! Sources: Sehnke, Osendorfer, Rückstieß, Graves, Peters, Schmidhuber, "Parameter-exploring policy gradients", Neural
//! Networks 23 (2010), with symmetric sampling; ClipUp: Toklu, Liskowski, Srivastava, "ClipUp: a simple and powerful optimizer for
//! distribution-based policy evolution", PPSN 2020. The form is that of EvoTorch at cebcac4, `distributions.py`
//! (`SymmetricSeparableGaussian`) and `optimizers.py`: centred ranks, changes of a step size held to a part of it.
//!
//! What is ours: noise is addressed; ties share their rank; a pair tells something only as a whole; a gradient of nothing,
//! which ClipUp would divide by its length, leaves the velocity to its momentum.

use tumble_domain::{Fitness, Parameter};

use super::ending::Ending;
use super::frame::{Frame, sigma_parameter};
use super::memory::Numbers;
use super::snes::{POPULATION_MIN, range, read_deviations};
use super::vectors::{add, squares};
use super::{Entry, Order, four_plus_three_ln, number, seal, snapshot_of};
use crate::codec::{Reader, Writer};
use crate::parallel::{self, PIECE};
use crate::proposal::{Law, Proposal, perturbation_from};
use crate::shaping;
use crate::strategy::{SnapshotError, Strategy, StrategyDescription, StrategyError};
use crate::told::ToldAs;

const NAME: &str = "pgpe";

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |dimension, _| 2 * four_plus_three_ln(dimension),
    memory: |n, _, _| Numbers { state: 3 * n, proposal: 2 * n, scratch: 2 * n },
    build: |order| Ok(Box::new(Pgpe::try_new(order)?)),
    restore: |from| Ok(Box::new(Pgpe::restore(from)?)),
};

fn describe() -> StrategyDescription {
    StrategyDescription {
        name: NAME,
        summary: "policy gradients with parameter-based exploration: symmetric pairs, a step size for each element, ClipUp",
        advice: "policies and other candidates of hundreds to millions of numbers, with noise; its steps have a length of \
                 their own, so it circles around an optimum instead of closing in: for precision take snes or cma-es",
        source: "Sehnke et al., Neural Networks 23 (2010); Toklu et al., PPSN 2020; EvoTorch",
        cost: "O(λ n) time and O(n) memory for a generation",
        memory: "state 3 n, proposal 2 n, an update 2 n more",
        population: "2 (4 + ⌊3 ln n⌋); always even, and far more pays for noisy objectives",
        parameters: parameters(),
    }
}

fn parameters() -> Vec<Parameter> {
    let learning_rate = "length of what a gradient adds to the velocity; by default sigma √n / 30";
    let own = [
        sigma_parameter(),
        number("learning_rate", None, (0.0, 1e100), learning_rate),
        number("sigma_rate", Some(0.1), (0.0, 1e3), "learning rate of the step sizes"),
        number("sigma_change", Some(0.2), (0.0, 0.999_999), "the most that a step size changes, as a part of it"),
        number("momentum", Some(0.9), (0.0, 0.999_999), "how much of the last velocity is kept"),
        number("speed_max", None, (0.0, 1e100), "the longest velocity; by default twice the learning rate"),
    ];
    own.into_iter().chain(Ending::parameters()).collect()
}

#[derive(Clone, Debug)]
struct Pgpe {
    frame: Frame,
    sigma_rate: f64,
    sigma_change: f64,
    /// In the space without bounds.
    mean: Vec<f64>,
    /// σ.
    deviations: Vec<f64>,
    clip_up: ClipUp,
    ending: Ending,
}

/// Steps of a set length: gradients give the direction alone, and the velocity they build up is clipped.
#[derive(Clone, Debug)]
struct ClipUp {
    learning_rate: f64,
    momentum: f64,
    speed_max: f64,
    velocity: Vec<f64>,
}

impl ClipUp {
    /// `v ← clip(momentum v + α g / ‖g‖)`, the step to take.
    fn step(&mut self, gradient: &[f64]) -> &[f64] {
        let length = squares(gradient).sqrt();
        // Without a direction there is nothing to add.
        let scale = if length > 0.0 { self.learning_rate / length } else { 0.0 };
        self.velocity.iter_mut().zip(gradient).for_each(|(v, g)| *v = self.momentum * *v + scale * g);
        let speed = squares(&self.velocity).sqrt();
        if speed > self.speed_max {
            self.velocity.iter_mut().for_each(|v| *v *= self.speed_max / speed);
        }
        &self.velocity
    }
}

impl Pgpe {
    fn try_new(order: Order) -> Result<Pgpe, StrategyError> {
        let frame = order.frame(NAME, POPULATION_MIN)?;
        if !frame.population.is_multiple_of(2) {
            return Err(StrategyError::Setting(format!(
                "`population` is {}, but pgpe tries candidates in pairs: make it even",
                frame.population
            )));
        }
        let (settings, sigma) = (&order.settings, order.first_sigma());
        let root = (frame.dimension as f64).sqrt();
        let learning_rate = settings.number("learning_rate").unwrap_or(sigma * root / 30.0);
        Ok(Pgpe {
            sigma_rate: settings.default_number("sigma_rate"),
            sigma_change: settings.default_number("sigma_change"),
            mean: order.unfolded_start(),
            deviations: vec![sigma; frame.dimension],
            clip_up: ClipUp {
                learning_rate,
                momentum: settings.default_number("momentum"),
                speed_max: settings.number("speed_max").unwrap_or(2.0 * learning_rate),
                velocity: vec![0.0; frame.dimension],
            },
            ending: Ending::new(settings, sigma),
            frame,
        })
    }

    fn restore(from: &mut Reader<'_>) -> Result<Pgpe, SnapshotError> {
        let frame = Frame::read(from, POPULATION_MIN)?;
        if !frame.population.is_multiple_of(2) {
            return Err(SnapshotError::Damaged("the population is odd"));
        }
        let n = frame.dimension;
        let (sigma_rate, sigma_change) = (from.finite()?, from.finite()?);
        let (learning_rate, momentum, speed_max) = (from.finite()?, from.finite()?, from.finite()?);
        if !(0.0..1.0).contains(&sigma_change) {
            return Err(SnapshotError::Damaged("the change of a step size is out of range"));
        }
        let (mean, velocity) = (from.finites(n)?, from.finites(n)?);
        let deviations = read_deviations(from, n)?;
        let clip_up = ClipUp { learning_rate, momentum, speed_max, velocity };
        Ok(Pgpe { frame, sigma_rate, sigma_change, mean, deviations, clip_up, ending: Ending::read(from)? })
    }

    /// The gradients of mean and step sizes over the pairs that count, summed in the order of pairs. With z for δ/σ:
    /// `∇μ = Σ (f⁺ − f⁻) σz / 2P` and `∇σ = Σ ((f⁺ + f⁻) − 2b) σ(z² − 1) / 2P`; centred ranks make the baseline b nothing.
    fn gradients(&self, ranks: &[f64], present: usize) -> (Vec<f64>, Vec<f64>) {
        let n = self.mean.len();
        let (mut of_mean, mut of_deviations) = (vec![0.0; n], vec![0.0; n]);
        parallel::pieces([&mut of_mean, &mut of_deviations], ranks.len() / 2, |start, [of_mean, of_deviations]| {
            let mut z = [0.0; PIECE];
            let z = &mut z[..of_mean.len()];
            for (pair, ranks) in ranks.chunks_exact(2).enumerate() {
                let (difference, sum) = (ranks[0] - ranks[1], ranks[0] + ranks[1]);
                if difference == 0.0 && sum == 0.0 {
                    continue;
                }
                perturbation_from(self.frame.seed, self.frame.generation, pair as u32, start, z);
                add(difference, z, of_mean);
                of_deviations.iter_mut().zip(&*z).for_each(|(d, z)| *d += sum * (z * z - 1.0));
            }
            let deviations = &self.deviations[start..];
            for gradient in [of_mean, of_deviations] {
                gradient.iter_mut().zip(deviations).for_each(|(g, d)| *g *= d / present as f64);
            }
        });
        (of_mean, of_deviations)
    }
}

impl Strategy for Pgpe {
    fn ask(&self) -> Proposal {
        self.frame.proposal(Law::Mirrored { mean: self.mean.clone(), deviations: self.deviations.clone() })
    }

    fn tell(&mut self, fitness: &[Fitness]) {
        self.frame.check(fitness);
        let fitness = shaping::whole_pairs(fitness);
        if !self.ending.observe(&fitness) {
            let present = fitness.iter().filter(|f| **f != Fitness::Dropped).count();
            let (of_mean, of_deviations) = self.gradients(&shaping::centred_ranks(&fitness), present);
            for (x, v) in self.mean.iter_mut().zip(self.clip_up.step(&of_mean)) {
                let moved = *x + v;
                // A mean out of range stays where it is.
                *x = if moved.is_finite() { moved } else { *x };
            }
            for (d, g) in self.deviations.iter_mut().zip(&of_deviations) {
                let most = self.sigma_change * *d;
                *d = self.frame.held(*d + (self.sigma_rate * g).clamp(-most, most));
            }
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
        let ClipUp { learning_rate, momentum, speed_max, velocity } = &self.clip_up;
        out.f64s(&[self.sigma_rate, self.sigma_change, *learning_rate, *momentum, *speed_max]);
        [&self.mean, velocity, &self.deviations].iter().for_each(|numbers| out.f64s(numbers));
        self.ending.write(&mut out);
        seal(out)
    }

    fn told_as(&self) -> ToldAs {
        ToldAs::Places
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        let (shortest, longest) = range(&self.deviations);
        let speed = squares(&self.clip_up.velocity).sqrt();
        vec![("deviation_min", shortest), ("deviation_max", longest), ("speed", speed)]
    }

    fn exhausted(&self) -> Option<&'static str> {
        self.ending.reason(&self.mean, |i| self.deviations[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::yardstick::*;
    use tumble_domain::Value;

    fn build(population: u32, n: usize, seed: u64) -> Pgpe {
        Pgpe::try_new(order(&describe(), population, vec![3.0; n], None, seed, &[])).unwrap()
    }

    /// Worked out by a NumPy program of the formulas in the head, under the same noise: 25 generations on the ellipsoid from
    /// 3 in every element, eight candidates of which one is dropped and one fails.
    #[test]
    fn twenty_five_steps_are_those_of_the_formulas() {
        let mut es = build(8, 5, 42);
        (0..25).for_each(|_| tell_spoiled(&mut es, &ellipsoid));
        assert_near(
            &es.mean,
            &[2.7696882382039796, 2.942848232190822, 2.8476366361107543, 3.0080793889278588, -0.1680261139249419],
        );
        assert_near(
            &es.deviations,
            &[1.0106952914597993, 1.038005271008333, 0.8314785858506274, 0.9981529501321748, 0.8020720301937085],
        );
        assert_near(
            &es.clip_up.velocity,
            &[
                -0.005354558625040108,
                -0.015766842879776057,
                -0.023838763480643736,
                -0.06538390305071655,
                -0.07967445861154573,
            ],
        );
    }

    #[test]
    fn clip_up_steps_as_long_as_its_rate_until_its_speed_is_clipped() {
        let mut clip_up = ClipUp { learning_rate: 0.5, momentum: 0.9, speed_max: 1.0, velocity: vec![0.0; 2] };
        assert_near(clip_up.step(&[3e-9, 4e-9]), &[0.3, 0.4]);
        assert_near(clip_up.step(&[30.0, 40.0]), &[0.57, 0.76]);
        assert_near(clip_up.step(&[3.0, 4.0]), &[0.6, 0.8]);
        // Without a gradient the momentum is left, where a division by its length would leave nothing but NaN.
        assert_near(clip_up.step(&[0.0, 0.0]), &[0.54, 0.72]);
    }

    /// Medians of a prototype in NumPy, 15 seeds: n = 10, 20 candidates, from 3 in every element, the defaults. Neither
    /// target is near the optimum, around which its steps circle.
    #[test]
    fn sphere_and_ellipsoid_take_as_many_evaluations_as_the_prototype() {
        let build = |seed| -> Box<dyn Strategy> { Box::new(build(20, 10, seed)) };
        check_median("sphere", &build, &sphere, 1.0, 1260.0);
        check_median("ellipsoid", &build, &ellipsoid, 1e2, 4820.0);
    }

    #[test]
    fn a_step_size_changes_by_a_fifth_of_itself_at_most() {
        let given = [("sigma_rate", Value::Float(100.0))];
        let mut es = Pgpe::try_new(order(&describe(), 20, vec![3.0; 10], None, 1, &given)).unwrap();
        let (mut least, mut most) = (1.0f64, 1.0f64);
        for _ in 0..20 {
            let before = es.deviations.clone();
            tell(&mut es, &ellipsoid);
            for (after, before) in es.deviations.iter().zip(before) {
                (least, most) = (least.min(after / before), most.max(after / before));
            }
        }
        assert_near(&[least, most], &[0.8, 1.2]);
    }

    /// Two pairs whose gradients of the mean cancel in rank: the velocity keeps its momentum, and every number is finite.
    #[test]
    fn ranks_that_cancel_leave_the_momentum() {
        let mut es = build(4, 3, 9);
        tell(&mut es, &sphere);
        let before = es.clip_up.velocity.clone();
        es.tell(&[2.0, 2.0, 1.0, 1.0].map(Fitness::Scored));
        assert_near(&es.clip_up.velocity, &before.iter().map(|v| 0.9 * v).collect::<Vec<_>>());
        assert!(es.deviations.iter().all(|d| *d > 0.0 && *d != 1.0));
    }
}
