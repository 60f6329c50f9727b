//! EGGROLL: evolution strategies whose perturbations of a matrix are of low rank, so that they are cheap to make and cheap to
//! apply.
//!
//! Source: Sarkar et al., "Evolution strategies at the hyperscale", arXiv:2511.16652, algorithm 1 and equations 4 to 6; the
//! form is that of its code, ESHyperscale/HyperscaleES at b77f7d6, `noiser/eggroll.py`: standard scores, antithetic pairs,
//! `update_scale = "code"`. The perturbations themselves, and their sums, are in `proposal/low_rank.rs`.
//!
//! What is ours: noise is addressed; what failed counts as the lowest score; a generation without a difference takes no step
//! at all; weight decay is part of the gradient, as in `open-ai-es`, and leaves frozen vectors alone.

use tumble_domain::Fitness;

use super::frame::Frame;
use super::optimiser::Optimiser;
use super::{Entry, Order, SIGMA_BOUNDS, flag, integer, number, seal, snapshot_of, word};
use crate::codec::{Reader, Writer};
use crate::proposal::{Grain, Law, LowRank, Proposal, RANK_MAX};
use crate::shaping;
use crate::strategy::{SnapshotError, Strategy, StrategyDescription, StrategyError};

const NAME: &str = "eggroll";

/// Candidates when the run file is silent.
const POPULATION: u32 = 64;

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |_, _| POPULATION,
    build: |order| Ok(Box::new(Eggroll::try_new(order)?)),
    restore: |from| Ok(Box::new(Eggroll::restore(from)?)),
};

fn describe() -> StrategyDescription {
    let mut parameters = vec![
        number("sigma", Some(0.05), SIGMA_BOUNDS, "width of the perturbations; it stays as it is"),
        integer(
            "rank",
            Some(1),
            (1.0, f64::from(RANK_MAX)),
            "r, columns of A and B: a matrix W of m × n numbers is tried as W ± sigma A Bᵀ/√r; 1 is what the paper uses \
             most, more is closer to full noise and dearer",
        ),
        number("learning_rate", Some(0.01), (0.0, 1e100), "length of a step; with Adam, of each element"),
        number("weight_decay", Some(0.0), (0.0, 1e100), "pull towards 0, as a part of the gradient"),
    ];
    // Plain steps, as the paper's update is.
    parameters.extend(Optimiser::parameters(0.0));
    parameters.extend([
        integer(
            "group_size",
            Some(0),
            (0.0, 1e9),
            "0: scores are (f − mean)/√(variance + 10⁻⁵) over the population; G: the mean is that of each G candidates in \
             a row, such as those that met the same trial, and the variance that of all",
        ),
        flag("antithetic", true, "tries each perturbation with both signs, as candidates 2p and 2p + 1"),
        integer(
            "noise_reuse",
            Some(1),
            (0.0, 1e9),
            "how many generations share their perturbations; 0: all of them",
        ),
        word(
            "update_scale",
            &["code", "paper"],
            "what the gradient is: code: sigma/√N Σ score E, as in the paper's code; paper: 1/N Σ score E, as in its \
             algorithm 1 with 1/sigma in the learning rate; N candidates, E their perturbations; Adam hardly notices",
        ),
        flag("freeze_vectors", false, "leaves vectors, such as biases, where they are and moves matrices alone"),
    ]);
    StrategyDescription {
        name: NAME,
        summary: "gradient ascent on standard scores, with perturbations A Bᵀ/√r of low rank for each matrix",
        advice: "networks of large matrices, whose pipeline says which numbers form a matrix (their evaluators need no \
                 candidate written out) and large populations; a genome without matrices gets plain noise, and then \
                 open-ai-es, which ranks, is the safer choice; sigma is fixed: the theory (theorems 1 and 3) asks for \
                 sigma √n well below 1 in units over which the objective bends, and where sigma √n is far above 1 the \
                 step follows a smoothed objective that may lead elsewhere, or diverge; scores are not ranks, so one \
                 outlier moves a step",
        source: "Sarkar et al., arXiv:2511.16652; ESHyperscale/HyperscaleES",
        cost: "for a matrix of m × n: O((m + n) r) noise for each candidate and again for the step, whose sum takes \
               O(λ m n r) time; O(m n) memory, three times that with Adam, whatever λ",
        population: "64; even unless `antithetic` is off, and thousands pay for large networks",
        parameters,
    }
}

#[derive(Clone, Debug)]
struct Eggroll {
    frame: Frame,
    learning_rate: f64,
    weight_decay: f64,
    group_size: u32,
    noise_reuse: u32,
    scale: UpdateScale,
    /// How the next generation is spread; its mean is θ, in the space without bounds.
    law: LowRank,
    optimiser: Optimiser,
}

/// What the sum of scores times perturbations is multiplied by, for N candidates that count.
#[derive(Clone, Copy, Debug)]
enum UpdateScale {
    /// σ/√N.
    Code,
    /// 1/N.
    Paper,
}

impl Eggroll {
    fn try_new(order: Order) -> Result<Eggroll, StrategyError> {
        let frame = order.frame(NAME, 2)?;
        let settings = &order.settings;
        let (population, antithetic) = (frame.population, settings.flag("antithetic"));
        let group_size = settings.default_number("group_size") as u32;
        if antithetic && !population.is_multiple_of(2) {
            return Err(StrategyError::Setting(format!(
                "`population` is {population}, but eggroll tries candidates in pairs: make it even, or turn `antithetic` off"
            )));
        }
        if group_size > 0 && !population.is_multiple_of(group_size) {
            return Err(StrategyError::Setting(format!(
                "`group_size` is {group_size}, which does not divide the population of {population}"
            )));
        }
        let law = LowRank {
            mean: order.unfolded_start(),
            rank: settings.default_number("rank") as u32,
            sigma: settings.default_number("sigma"),
            grain: Grain::Normal,
            antithetic,
            freeze_vectors: settings.flag("freeze_vectors"),
            noise_generation: 0,
            shapes: order.shapes,
        };
        Ok(Eggroll {
            learning_rate: settings.default_number("learning_rate"),
            weight_decay: settings.default_number("weight_decay"),
            group_size,
            noise_reuse: settings.default_number("noise_reuse") as u32,
            scale: match settings.word("update_scale") {
                "paper" => UpdateScale::Paper,
                _ => UpdateScale::Code,
            },
            optimiser: Optimiser::new(settings, frame.dimension),
            frame,
            law,
        })
    }

    fn restore(from: &mut Reader<'_>) -> Result<Eggroll, SnapshotError> {
        let frame = Frame::read(from, 2)?;
        let (learning_rate, weight_decay) = (from.finite()?, from.finite()?);
        let (group_size, noise_reuse) = (from.u32()?, from.u32()?);
        let scale = if from.bool()? { UpdateScale::Paper } else { UpdateScale::Code };
        let law = LowRank::read(from, frame.dimension)?;
        let whole_pairs = !law.antithetic || frame.population.is_multiple_of(2);
        let whole_groups = group_size == 0 || frame.population.is_multiple_of(group_size);
        if law.grain != Grain::Normal || !whole_pairs || !whole_groups {
            return Err(SnapshotError::Damaged("the population, its groups or its noise are out of range"));
        }
        let optimiser = Optimiser::read(from, frame.dimension)?;
        Ok(Eggroll { frame, learning_rate, weight_decay, group_size, noise_reuse, scale, law, optimiser })
    }

    /// The gradient of the expected score: `σ/√N Σ f̃ E` or `1/N Σ f̃ E`.
    fn gradient(&self, fitness: &[Fitness]) -> Vec<f64> {
        let scores = shaping::standard_scores(fitness, (self.group_size > 0).then_some(self.group_size as usize));
        let weights: Vec<f64> = match self.law.antithetic {
            true => scores.chunks_exact(2).map(|pair| pair[0] - pair[1]).collect(),
            false => scores,
        };
        let present = fitness.iter().filter(|f| **f != Fitness::Dropped).count() as f64;
        let factor = match self.scale {
            UpdateScale::Code => self.law.sigma / present.sqrt(),
            UpdateScale::Paper => 1.0 / present,
        };
        let mut gradient = vec![0.0; self.frame.dimension];
        self.law.weighted_sum(self.frame.seed, &weights, &mut gradient);
        gradient.iter_mut().for_each(|g| *g *= factor);
        gradient
    }
}

impl Strategy for Eggroll {
    fn ask(&self) -> Proposal {
        self.frame.proposal(Law::LowRank(self.law.clone()))
    }

    fn tell(&mut self, fitness: &[Fitness]) {
        self.frame.check(fitness);
        if !shaping::is_flat(fitness) {
            let mut slope = self.gradient(fitness);
            for (_, shape, place) in self.law.places().filter(|(_, shape, _)| !self.law.is_frozen(*shape)) {
                debug_assert_eq!(shape.elements() as usize, place.len());
                let centre = &self.law.mean[place.clone()];
                slope[place].iter_mut().zip(centre).for_each(|(g, x)| *g = self.weight_decay * x - *g);
            }
            let (mut centre, mut optimiser) = (self.law.mean.clone(), self.optimiser.clone());
            optimiser.step(self.learning_rate, &slope, &mut centre);
            // Only scores or a learning rate beyond reason leave the floating point range; then the step is not taken.
            if centre.iter().all(|x| x.is_finite()) && optimiser.is_finite() {
                (self.law.mean, self.optimiser) = (centre, optimiser);
            }
        }
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
        out.f64s(&[self.learning_rate, self.weight_decay]);
        out.u32(self.group_size);
        out.u32(self.noise_reuse);
        out.u8(u8::from(matches!(self.scale, UpdateScale::Paper)));
        self.law.write(&mut out);
        self.optimiser.write(&mut out);
        seal(out)
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        vec![
            ("sigma", self.law.sigma),
            ("centre_norm", norm(&self.law.mean)),
            ("gradient_norm", norm(self.optimiser.mean_gradient())),
        ]
    }
}

/// The generation in the noise's address: the same for `reuse` generations in a row, or for all if that is 0.
pub(super) fn noise_generation(generation: u32, reuse: u32) -> u32 {
    generation.checked_div(reuse).unwrap_or(0)
}
