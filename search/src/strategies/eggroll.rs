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
use super::memory::Numbers;
use super::optimiser::Optimiser;
use super::{Entry, Order, SIGMA_BOUNDS, flag, integer, number, seal, snapshot_of, word};
use crate::codec::{Reader, Writer};
use crate::proposal::{Law, LowRank, NoiseKind, Proposal, RANK_MAX};
use crate::shaping;
use crate::strategy::{SnapshotError, Strategy, StrategyDescription, StrategyError};

const NAME: &str = "eggroll";

/// Candidates when the run file is silent.
const POPULATION: u32 = 64;

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |_, _| POPULATION,
    memory: |n, _, settings| {
        let kept = if settings.word("optimiser") == "sgd" { 2 * n } else { 3 * n };
        Numbers { state: kept, proposal: n, scratch: kept + n }
    },
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
        memory: "state 2 n (3 n for adam), proposal n, an update 3 n (4 n) more",
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
            noise_kind: NoiseKind::Normal,
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
        if law.noise_kind != NoiseKind::Normal || !whole_pairs || !whole_groups {
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::strategies::yardstick::*;
    use tumble_domain::seed::Stream;
    use tumble_domain::{Seed, Shape, Value};

    /// A matrix and a vector of eight numbers in all.
    pub(in crate::strategies) const SHAPES: [Shape; 2] = [Shape { rows: 3, columns: 2 }, Shape { rows: 2, columns: 1 }];

    /// A skewed bowl over those eight.
    pub(in crate::strategies) fn bowl(x: &[f64]) -> f64 {
        const BOTTOM: [f64; 8] = [1.0, -2.0, 0.5, 3.0, 0.0, -1.0, 2.0, 0.25];
        (1..).zip(x).zip(BOTTOM).map(|((i, x), bottom)| f64::from(i) * (x - bottom) * (x - bottom)).sum()
    }

    fn build(shapes: &[Shape], population: u32, seed: u64, given: &[(&str, Value)]) -> Eggroll {
        let n = shapes.iter().map(|shape| shape.elements()).sum::<u64>() as usize;
        let start = vec![if n == 8 { 0.5 } else { 0.0 }; n];
        let order = order(&describe(), population, start, None, seed, given);
        Eggroll::try_new(Order { shapes: shapes.to_vec(), ..order }).unwrap()
    }

    /// Worked out by a NumPy program of the formulas in the head, with its own Philox under the same addresses: six
    /// generations on the bowl, twelve candidates of which one is dropped and one fails.
    #[test]
    fn six_steps_are_those_of_the_formulas() {
        let check = |given: &[(&str, Value)], expected: [f64; 8]| {
            let mut es = build(&SHAPES, 12, 5, &[&[("sigma", Value::Float(0.1))], given].concat());
            (0..6).for_each(|_| tell_spoiled(&mut es, &bowl));
            assert_near(&es.law.mean, &expected);
        };
        let (sgd, rate) = (("optimiser", Value::text("sgd")), |rate| ("learning_rate", Value::Float(rate)));
        check(
            &[sgd.clone(), rate(0.3), ("rank", Value::Integer(2)), ("weight_decay", Value::Float(0.1))],
            [
                0.4689672413575258,
                0.32092258402187324,
                0.383325399276857,
                0.533631613056488,
                0.34782198775944934,
                0.3560217184412314,
                0.7407450012466272,
                0.29053674090544235,
            ],
        );
        let paper = ("update_scale", Value::text("paper"));
        let groups =
            [("group_size", Value::Integer(4)), ("noise_reuse", Value::Integer(2)), ("rank", Value::Integer(3))];
        check(
            &[&[sgd, rate(0.3), paper], &groups[..]].concat(),
            [
                0.9953506406698162,
                0.024077260684500244,
                -0.20381984198548472,
                1.4462452687315324,
                0.4752139261058838,
                0.09708340977591706,
                1.464084043673373,
                0.11524444910018605,
            ],
        );
        check(
            &[rate(0.03), ("antithetic", Value::Boolean(false)), ("noise_reuse", Value::Integer(0))],
            [
                0.6767572945181047,
                0.6535079187651512,
                0.6290172406768786,
                0.6786402404822003,
                0.5430593636340659,
                0.32172325817648734,
                0.670967776057369,
                0.6702910555903989,
            ],
        );
    }

    #[test]
    fn frozen_vectors_neither_step_nor_decay() {
        let given = [("freeze_vectors", Value::Boolean(true)), ("weight_decay", Value::Float(0.1))];
        let mut es = build(&SHAPES, 12, 5, &given);
        (0..6).for_each(|_| tell_spoiled(&mut es, &bowl));
        assert!(es.law.mean[..6].iter().all(|x| *x != 0.5));
        assert_eq!(es.law.mean[6..], [0.5, 0.5]);
    }

    /// Neither decay nor what Adam remembers moves a generation that tells nothing.
    #[test]
    fn a_flat_generation_takes_no_step_at_all() {
        let mut es = build(&SHAPES, 12, 5, &[("weight_decay", Value::Float(0.1))]);
        (0..3).for_each(|_| tell_spoiled(&mut es, &bowl));
        let before = es.law.mean.clone();
        es.tell(&[Fitness::Scored(0.1); 12]);
        es.tell(&[Fitness::Worst; 12]);
        assert_eq!((es.law.mean, es.frame.generation), (before, 5));
    }

    /// The mean cosine between the first step and the true gradient G of a linear fitness ⟨G, W⟩, over seeds.
    fn cosine(shape: Shape, population: u32, rank: i64, seeds: u64) -> f64 {
        let n = shape.elements() as usize;
        let given = [
            ("rank", Value::Integer(rank)),
            ("antithetic", Value::Boolean(false)),
            ("optimiser", Value::text("sgd")),
            ("sigma", Value::Float(1.0)),
        ];
        let sum: f64 = (0..seeds)
            .map(|seed| {
                let mut slope = vec![0.0; n];
                crate::noise::normals(Seed(seed), Stream::Init, 0, 0, 0, &mut slope);
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let mut es = build(&[shape], population, seed, &given);
                tell(&mut es, &|x| -dot(&slope, x));
                dot(&es.law.mean, &slope) / (dot(&es.law.mean, &es.law.mean) * dot(&slope, &slope)).sqrt()
            })
            .sum();
        sum / seeds as f64
    }

    /// For N candidates, `cos = 1/√(1 + (M − 1)/N)`, where `M = E[⟨G, E⟩² ‖E‖²] / ‖G‖²`: the mean of the estimate is G, and
    /// its square ‖G‖² (1 − 1/N + M/N). Full noise has M = m n + 2. For `E = Σ_k a_k b_kᵀ/√r`, of the products of four
    /// terms those count in which each a and b occurs twice: r of them have all from one k, (m + 2)(n + 2) each; r (r − 1)
    /// have ⟨G, E⟩ from one and ‖E‖ from another, m n each; 2 r (r − 1) take one of each from both, 1 each. So
    /// `M = ((m + 2)(n + 2) + (r − 1)(m n + 2))/r`, which is the full noise's for large r.
    #[test]
    fn the_step_points_where_theory_says() {
        let check = |rows: u32, columns: u32, population: u32, rank: Option<i64>, seeds: u64| {
            let (m, n) = (f64::from(rows), f64::from(columns));
            let full = m * n + 2.0;
            let moment = rank.map_or(full, |r| ((m + 2.0) * (n + 2.0) + (r - 1) as f64 * full) / r as f64);
            let expected = 1.0 / (1.0 + (moment - 1.0) / f64::from(population)).sqrt();
            // As one vector the same numbers have full noise.
            let shape = rank.map_or(Shape::vector(rows * columns), |_| Shape { rows, columns });
            let measured = cosine(shape, population, rank.unwrap_or(1), seeds);
            println!("{rows} × {columns}, N = {population}, rank {rank:?}: {measured:.4}, by theory {expected:.4}");
            assert!(
                (measured - expected).abs() < 0.01,
                "{rows} × {columns}, N = {population}, rank {rank:?}: {measured} against {expected}"
            );
        };
        for rank in [Some(1), Some(4), None] {
            check(16, 16, 1024, rank, 60);
            check(32, 48, 64, rank, 100);
            // Where the ranks lie further apart: 0.849, 0.881 and 0.893.
            check(8, 8, 256, rank, 100);
        }
    }

    /// Raw scores of a fitness beyond reason: the step is left out rather than taken to infinity.
    #[test]
    fn a_fitness_beyond_reason_moves_nothing() {
        let mut es = build(&SHAPES, 12, 5, &[]);
        let mut fitness = vec![Fitness::Scored(1e308); 12];
        fitness[3] = Fitness::Scored(-1e308);
        es.tell(&fitness);
        assert_eq!((es.law.mean.as_slice(), es.generation()), (&[0.5; 8][..], 1));
    }
}
