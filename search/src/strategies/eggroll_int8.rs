//! EGGROLL in whole numbers: weights of eight bits that move by one, where a pair's vote says so clearly enough.
//!
//! Source: Sarkar et al., "Evolution strategies at the hyperscale", arXiv:2511.16652, appendices G to I; the rule is that of
//! the code, ESHyperscale/nano-egg at a04bab2, `run.py` with `fast_fitness`: the sign of a pair's difference, noise of
//! 16 N(0, 1) with the fraction cut off, and a weight moves by ±1 if `16 |Z| ≥ T ⌊√P⌋ 256`, `Z = Σ sign(f⁺ − f⁻) A Bᵀ` over P
//! pairs, `T = ⌊16 Φ⁻¹(1 − α/2)⌋`, α = 1/(1 + (2^a − 1) t/1000) in generation t. (The paper prints Φ⁻¹(1 − α); the code's
//! test has two sides.)
//!
//! A candidate is θ ± A Bᵀ / 2^(4 + σ̂): the code multiplies by the weights and shifts the perturbation's share, so what a
//! candidate's matrix holds lies between whole numbers, in steps of 2^−(4 + σ̂), and a double has it exactly. What scales the
//! product, and what is rounded on the way, is the evaluator's.
//!
//! What is ours: noise is addressed; rank r counts as r times the variance, so P r stands for P; a pair that lost one of its
//! two does not vote, and what failed loses to what scored.

use tumble_domain::Fitness;

use super::eggroll::noise_generation;
use super::frame::Frame;
use super::memory::Numbers;
use super::{Entry, Order, flag, integer, number, seal, snapshot_of};
use crate::codec::{Reader, Writer};
use crate::noise;
use crate::proposal::{Law, LowRank, NoiseKind, Proposal, RANK_MAX, WHOLE};
use crate::shaping;
use crate::strategy::{SnapshotError, Strategy, StrategyDescription, StrategyError};
use crate::told::ToldAs;

const NAME: &str = "eggroll-int8";

/// Candidates when the run file is silent.
const POPULATION: u32 = 256;

/// The largest weight, and with a minus the smallest.
const WEIGHT_MAX: f64 = 127.0;

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |_, _| POPULATION,
    memory: |n, _, _| Numbers { state: n, proposal: n, scratch: n },
    build: |order| Ok(Box::new(EggrollInt8::try_new(order)?)),
    restore: |from| Ok(Box::new(EggrollInt8::restore(from)?)),
};

fn describe() -> StrategyDescription {
    StrategyDescription {
        name: NAME,
        summary: "weights of 8 bits that move by ±1 where the votes of antithetic pairs agree, with perturbations A Bᵀ of low \
                  rank",
        advice: "networks of whole weights, −127 to 127, whose evaluator scales them (16 stands for one deviation of the noise); \
                 populations of thousands, for each pair casts one vote; no learning rate: alpha says how many weights move, \
                 all of them at first; `start` is rounded to whole numbers; only who wins a pair counts, so scores may be \
                 wild",
        source: "Sarkar et al., arXiv:2511.16652, appendices G to I; ESHyperscale/nano-egg",
        cost: "for a matrix of m × n: O((m + n) r) noise for each pair and again for the step, whose sum takes O(λ m n r) \
               time; a byte for each weight on the way to workers, eight in memory, whatever λ",
        memory: "state n, proposal n, an update n more",
        population: "256; always even",
        parameters: vec![
            integer("rank", Some(1), (1.0, f64::from(RANK_MAX)), "r, columns of A and B"),
            integer(
                "sigma_shift",
                Some(4),
                (0.0, 16.0),
                "σ̂: a candidate is θ ± A Bᵀ / 2^(4 + σ̂), where A and B hold 16 N(0, 1) cut to whole numbers, so a \
                 perturbation is 2^(4 − σ̂) √r wide",
            ),
            number(
                "alpha",
                Some(4.0),
                (0.0, 30.0),
                "a: about 1/(1 + (2^a − 1) t/1000) of the weights would move in generation t if votes were chance; with 0 \
                 every weight whose votes are not even moves",
            ),
            integer(
                "noise_reuse",
                Some(1),
                (0.0, 1e9),
                "how many generations share their perturbations; 0: all of them",
            ),
            flag("freeze_vectors", false, "leaves vectors, such as biases, where they are and moves matrices alone"),
        ],
    }
}

#[derive(Clone, Debug)]
struct EggrollInt8 {
    frame: Frame,
    alpha: f64,
    noise_reuse: u32,
    /// How the next generation is spread; its mean is θ, of whole numbers.
    law: LowRank,
    /// The share of weights that moved last.
    moved: f64,
}

impl EggrollInt8 {
    fn try_new(order: Order) -> Result<EggrollInt8, StrategyError> {
        let frame = order.frame(NAME, 2)?;
        let settings = &order.settings;
        if !frame.population.is_multiple_of(2) {
            return Err(StrategyError::Setting(format!(
                "`population` is {}, but eggroll-int8 tries candidates in pairs: make it even",
                frame.population
            )));
        }
        let mean: Vec<f64> = order.unfolded_start().into_iter().map(f64::round).collect();
        if let Some(i) = mean.iter().position(|x| x.abs() > WEIGHT_MAX) {
            return Err(StrategyError::Setting(format!(
                "`start` has {:?} at element {i}, but weights of 8 bits are -127 to 127",
                mean[i]
            )));
        }
        let law = LowRank {
            mean,
            rank: settings.default_number("rank") as u32,
            // A power of two, made without rounding.
            sigma: libm::exp2(-4.0 - settings.default_number("sigma_shift")),
            noise_kind: NoiseKind::Whole,
            antithetic: true,
            freeze_vectors: settings.flag("freeze_vectors"),
            noise_generation: 0,
            shapes: order.shapes,
        };
        let (alpha, noise_reuse) = (settings.default_number("alpha"), settings.default_number("noise_reuse") as u32);
        Ok(EggrollInt8 { frame, alpha, noise_reuse, law, moved: 0.0 })
    }

    fn restore(from: &mut Reader<'_>) -> Result<EggrollInt8, SnapshotError> {
        let frame = Frame::read(from, 2)?;
        let (alpha, moved, noise_reuse) = (from.finite()?, from.finite()?, from.u32()?);
        let law = LowRank::read(from, frame.dimension)?;
        if law.noise_kind != NoiseKind::Whole
            || !law.antithetic
            || !frame.population.is_multiple_of(2)
            || !(0.0..=30.0).contains(&alpha)
        {
            return Err(SnapshotError::Damaged("the population, alpha or the noise are out of range"));
        }
        Ok(EggrollInt8 { frame, alpha, noise_reuse, law, moved })
    }

    /// α_t: the share of weights that move if votes are chance.
    fn share(&self) -> f64 {
        1.0 / (1.0 + (libm::exp2(self.alpha) - 1.0) / 1000.0 * f64::from(self.frame.generation))
    }

    /// The vote of each pair, and how many pairs are whole.
    fn votes(fitness: &[Fitness]) -> (Vec<f64>, u64) {
        let whole = shaping::whole_pairs(fitness);
        let votes = whole.chunks_exact(2).map(|pair| match () {
            () if shaping::beats(pair[0], pair[1]) => 1.0,
            () if shaping::beats(pair[1], pair[0]) => -1.0,
            () => 0.0,
        });
        (votes.collect(), whole.iter().filter(|f| **f != Fitness::Dropped).count() as u64 / 2)
    }

    /// What 16 |Z| must reach for a weight to move: `T ⌊√(P r)⌋ 256`.
    fn threshold(&self, pairs: u64) -> i64 {
        let quantile = noise::inverse_normal(1.0 - 0.5 * self.share());
        let deviations = (WHOLE * quantile).floor() as i64;
        deviations * (pairs * u64::from(self.law.rank)).isqrt() as i64 * 256
    }

    /// Z of every weight. The sums are exact in doubles, see [`LowRank::weighted_sum`].
    fn votes_for(&self, votes: &[f64]) -> impl Iterator<Item = i64> + use<> {
        let mut sums = vec![0.0; self.frame.dimension];
        self.law.weighted_sum(self.frame.seed, votes, &mut sums);
        sums.into_iter().map(|z| z as i64)
    }
}

impl Strategy for EggrollInt8 {
    fn ask(&self) -> Proposal {
        self.frame.proposal(Law::LowRank(self.law.clone()))
    }

    fn tell(&mut self, fitness: &[Fitness]) {
        self.frame.check(fitness);
        let (votes, pairs) = EggrollInt8::votes(fitness);
        let threshold = self.threshold(pairs);
        let mut moved = 0u64;
        let sums = self.votes_for(&votes);
        for (weight, z) in self.law.mean.iter_mut().zip(sums) {
            // 16 |Z| is at most 16 · 69² · 2^23 · 512 < 2^49. A weight without a vote has no way to go.
            if z != 0 && 16 * z.abs() >= threshold {
                let next = (*weight + z.signum() as f64).clamp(-WEIGHT_MAX, WEIGHT_MAX);
                moved += u64::from(next != *weight);
                *weight = next;
            }
        }
        self.moved = moved as f64 / self.frame.dimension as f64;
        self.frame.generation += 1;
        self.law.noise_generation = noise_generation(self.frame.generation, self.noise_reuse);
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
        out.f64s(&[self.alpha, self.moved]);
        out.u32(self.noise_reuse);
        self.law.write(&mut out);
        seal(out)
    }

    fn told_as(&self) -> ToldAs {
        ToldAs::Signs
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        vec![("moved", self.moved), ("alpha", self.share())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::eggroll::tests::{SHAPES, bowl};
    use crate::strategies::yardstick::*;
    use tumble_domain::seed::Stream;
    use tumble_domain::{Seed, Shape, Value};

    fn build(shapes: &[Shape], population: u32, start: f64, seed: u64, given: &[(&str, Value)]) -> EggrollInt8 {
        let n = shapes.iter().map(|shape| shape.elements()).sum::<u64>() as usize;
        let order = order(&describe(), population, vec![start; n], None, seed, given);
        EggrollInt8::try_new(Order { shapes: shapes.to_vec(), ..order }).unwrap()
    }

    /// Worked out by a NumPy program of the rule in the head, with its own Philox under the same addresses and whole numbers
    /// without bound: twelve generations on the bowl, sixteen candidates of which one is dropped and one fails.
    #[test]
    fn twelve_steps_are_those_of_the_rule() {
        let steep = ("alpha", Value::Float(8.0));
        let mut es = build(&SHAPES, 16, 9.0, 5, std::slice::from_ref(&steep));
        let known = [
            [8, 10, 8, 8, 8, 8, 10, 8],
            [8, 9, 8, 7, 8, 7, 11, 7],
            [7, 10, 8, 7, 7, 7, 10, 6],
            [8, 9, 8, 7, 7, 6, 9, 5],
            [8, 8, 9, 6, 7, 5, 9, 4],
            [9, 7, 8, 7, 7, 6, 9, 4],
            [8, 6, 8, 8, 7, 6, 8, 3],
            [7, 6, 8, 8, 7, 6, 7, 2],
            [6, 5, 7, 8, 7, 5, 7, 2],
            [6, 5, 7, 8, 7, 5, 7, 2],
            [6, 6, 8, 7, 7, 4, 6, 2],
            [7, 6, 7, 7, 6, 4, 5, 3],
        ];
        for expected in known {
            tell_spoiled(&mut es, &bowl);
            assert_eq!(es.law.mean, expected.map(f64::from), "generation {}", es.generation());
        }
        let mut es =
            build(&SHAPES, 16, 126.0, 5, &[steep, ("rank", Value::Integer(2)), ("sigma_shift", Value::Integer(5))]);
        (0..12).for_each(|_| tell_spoiled(&mut es, &bowl));
        assert_eq!(es.law.mean, [125, 120, 125, 117, 118, 120, 126, 119].map(f64::from));
    }

    #[test]
    fn weights_stop_at_the_ends_of_eight_bits() {
        let mut es = build(&SHAPES, 64, 125.0, 1, &[("alpha", Value::Float(0.0))]);
        // The further out the better.
        for _ in 0..40 {
            tell(&mut es, &|x| -x.iter().sum::<f64>());
        }
        assert!(es.law.mean.iter().all(|x| *x <= 127.0));
        assert!(es.law.mean.contains(&127.0), "{:?}", es.law.mean);
        let restored = EggrollInt8::restore(&mut Reader::new(&es.snapshot()[2 + 1 + NAME.len()..])).unwrap();
        assert_eq!(restored.law, es.law);
    }

    /// The second moment of the noise, over the whole table: 16 N(0, 1) with the fraction cut off. Measured in NumPy; uncut it
    /// were 256.
    const MOMENT: f64 = 243.55258178710938;

    /// Two-sided tail of the normal law.
    fn beyond(deviations: f64) -> f64 {
        libm::erfc(deviations / std::f64::consts::SQRT_2)
    }

    /// Where fitness is chance, each vote is ±1 with even odds, so Z has the variance P r v², v the noise's second moment: a
    /// weight moves if |Z| is at least 16 T ⌊√(P r)⌋. That is less than the nominal share α because v is below 256, and more
    /// because T and the root are cut. The law of Z is normal but for its kurtosis, some 7/P; the error of the mean over seeds
    /// is about 0.002 here.
    #[test]
    fn on_random_fitness_the_share_that_moves_is_that_of_the_schedule() {
        // Generation, pairs, rank, α.
        for (generation, pairs, rank, nominal) in
            [(20, 500u32, 1, 0.769), (200, 500, 1, 0.25), (2000, 500, 1, 0.0323), (200, 250, 2, 0.25)]
        {
            let shape = [Shape { rows: 48, columns: 64 }];
            // The rule, written out once more.
            let alpha = 1.0 / (1.0 + 0.015 * f64::from(generation));
            assert!((alpha - nominal).abs() < 5e-4, "{alpha}");
            let cut = (16.0 * noise::inverse_normal(1.0 - alpha / 2.0)).floor();
            let votes = f64::from(pairs) * rank as f64;
            // Z is whole, so half a unit below the threshold is where it begins.
            let expected = beyond((16.0 * cut * votes.sqrt().floor() - 0.5) / (votes.sqrt() * MOMENT));
            let (mut moved, seeds) = (0.0, 40);
            for seed in 0..seeds {
                let mut es = build(&shape, 2 * pairs, 0.0, seed, &[("rank", Value::Integer(rank))]);
                es.frame.generation = generation;
                let mut fitness = vec![0.0; 2 * pairs as usize];
                noise::uniforms(Seed(seed), Stream::Choice, 0, 0, 0, &mut fitness);
                es.tell(&fitness.into_iter().map(Fitness::Scored).collect::<Vec<_>>());
                assert_eq!(es.scalars()[0].1, es.law.mean.iter().filter(|x| **x != 0.0).count() as f64 / (48.0 * 64.0));
                moved += es.moved / seeds as f64;
            }
            println!(
                "generation {generation}, {pairs} pairs, rank {rank}: moved {moved}, by the rule {expected}, nominal {nominal}"
            );
            assert!(
                (moved - expected).abs() < 0.01,
                "{moved} of the weights moved; the rule says {expected}, α is {nominal}"
            );
        }
    }

    #[test]
    fn half_a_pair_does_not_vote_and_what_failed_loses() {
        use Fitness::{Dropped, Scored, Worst};
        let fitness = [
            Scored(1.0),
            Scored(2.0),
            Scored(3.0),
            Dropped,
            Scored(-5.0),
            Worst,
            Worst,
            Worst,
            Scored(1.0),
            Scored(1.0),
        ];
        assert_eq!(EggrollInt8::votes(&fitness), (vec![-1.0, 0.0, 1.0, 0.0, 0.0], 4));
    }
}
