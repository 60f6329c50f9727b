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
use super::{Entry, Order, flag, integer, number, seal, snapshot_of};
use crate::codec::{Reader, Writer};
use crate::noise;
use crate::proposal::{Grain, Law, LowRank, Proposal, RANK_MAX, WHOLE};
use crate::shaping;
use crate::strategy::{SnapshotError, Strategy, StrategyDescription, StrategyError};

const NAME: &str = "eggroll-int8";

/// Candidates when the run file is silent.
const POPULATION: u32 = 256;

/// The largest weight, and with a minus the smallest.
const WEIGHT_MAX: f64 = 127.0;

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |_, _| POPULATION,
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
            integer("noise_reuse", Some(1), (0.0, 1e9), "how many generations share their perturbations; 0: all of them"),
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
            grain: Grain::Whole,
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
        if law.grain != Grain::Whole || !law.antithetic || !frame.population.is_multiple_of(2) || !(0.0..=30.0).contains(&alpha) {
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

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        vec![("moved", self.moved), ("alpha", self.share())]
    }
}
