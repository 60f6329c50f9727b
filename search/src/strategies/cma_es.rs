//! CMA-ES: evolution with covariance matrix adaptation, full and active.
//!
//! Source: Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772; equation numbers below are its own. Where
//! its reference implementation differs from it we follow that: pycma 4.5.0, `cma/evolution_strategy.py`, `sampler.py`,
//! `recombination_weights.py`, `sigma_adaptation.py`, `options_parameters.py`. The places are marked "pycma".
//!
//! Coordinates of whole numbers are searched with a margin (Hamano et al., GECCO 2022; see `margin`): the distribution is
//! continuous and learns from continuous steps, a diagonal matrix A widens it where cells call for it, and what is evaluated
//! is the middle of the nearest cell.
//!
//! What is ours: noise is addressed, so `tell` makes the steps again instead of keeping them; a generation without a
//! difference moves nothing but the step size; missing candidates cut the weights.

mod constants;
mod margin;
mod restarts;
mod stops;

use tumble_domain::{Fitness, Seed};

use self::constants::Constants;
use self::restarts::Restarts;
use self::stops::{Stops, Tolerances};
use super::frame::unfolded;
use super::memory::Numbers;
use super::vectors::{add, blend, squares};
use super::{Entry, Order, POPULATION_MAX, SIGMA_BOUNDS, flag, four_plus_three_ln, integer, number, seal, snapshot_of};
use crate::bounds::Bounds;
use crate::codec::{Reader, Writer};
use crate::eigen::{self, Eigen};
use crate::grain::Grain;
use crate::proposal::{Law, Proposal, combine, perturbation, read_space, write_space};
use crate::shaping;
use crate::strategy::{SnapshotError, StateHash, Strategy, StrategyDescription, StrategyError};
use crate::told::ToldAs;

const NAME: &str = "cma-es";

/// The longest candidate: its matrices have 128 MiB each, and an eigendecomposition takes minutes.
const DIMENSION_MAX: usize = 4096;

/// The fewest candidates that can be ranked into better and worse halves (pycma).
const POPULATION_MIN: u32 = 3;

/// Standard deviations stay below this part of the bounds' width (pycma, `maxstd_boundrange`).
const DEVIATION_MAX: f64 = 1.0 / 3.0;

/// Step sizes stay within these, whatever is told: squares of them are still numbers.
const SIGMA_LIMITS: (f64, f64) = (1e-140, 1e140);

pub(super) const ENTRY: Entry = Entry {
    describe,
    population: |dimension, _| four_plus_three_ln(dimension),
    memory: |n, _, _| Numbers { state: 2 * n * n + 4 * n, proposal: n * n + n, scratch: 3 * n * n + 7 * n },
    build: |order| {
        let run = CmaEs::try_new(&order)?;
        Ok(match Restarts::of(&order, run.clone()) {
            Some(restarts) => Box::new(restarts),
            None => Box::new(run),
        })
    },
    restore: |from| {
        let run = CmaEs::restore(from)?;
        Ok(if from.is_empty() { Box::new(run) } else { Box::new(Restarts::restore(run, from)?) })
    },
};

fn describe() -> StrategyDescription {
    StrategyDescription {
        name: NAME,
        summary: "covariance matrix adaptation: learns which directions and step sizes pay",
        advice: "the first choice for up to a few hundred numbers, for rugged, ill-conditioned and non-separable problems; \
                 above a thousand numbers take open-ai-es; noisy objectives want a larger population; whole numbers are \
                 searched with a margin",
        source: "Hansen, arXiv:1604.00772; pycma 4.5.0; Hamano et al., arXiv:2205.13482 (margin)",
        cost: "O(λ n²) time for a generation, O(n³) every n/10 generations or so, O(n²) memory",
        memory: "state 2 n² + 4 n, proposal n² + n, an update 3 n² + 7 n more",
        population: "4 + ⌊3 ln n⌋",
        parameters: [
            vec![
                number(
                    "sigma",
                    None,
                    SIGMA_BOUNDS,
                    "the first step size; by default 0.3 of the width of the bounds, or 1 where there are none",
                ),
                flag("active", true, "whether bad candidates shrink the variance in their direction"),
                number("tolx", Some(1e-11), (0.0, 1e100), "exhausted when no coordinate moves by more than this"),
                number(
                    "tolfun",
                    Some(1e-11),
                    (0.0, 1e100),
                    "exhausted when the fitness of this generation and of the last best ones spans less than this",
                ),
                number(
                    "tolfunhist",
                    Some(1e-12),
                    (0.0, 1e100),
                    "exhausted when the best fitness of the last 10 + 30 n / λ generations spans less than this",
                ),
                integer(
                    "tolflatfitness",
                    Some(1),
                    (0.0, 1e9),
                    "how many generations in a row may have a best quarter without a difference",
                ),
                integer(
                    "tolstagnation",
                    None,
                    (0.0, 1e9),
                    "generations without progress of the median before it is exhausted, 0 for never; by default \
                 100 + 100 n^1.5 / λ",
                ),
            ],
            restarts::parameters().into(),
        ]
        .concat(),
    }
}

#[derive(Clone, Debug)]
struct CmaEs {
    seed: Seed,
    bounds: Option<Bounds>,
    population: u32,
    active: bool,
    tolerances: Tolerances,
    sigma_first: f64,
    constants: Constants,

    generation: u32,
    /// In the space without bounds; see [`Bounds::fold`].
    mean: Vec<f64>,
    sigma: f64,
    /// C, by rows.
    covariance: Vec<f64>,
    /// p_c.
    path: Vec<f64>,
    /// p_σ.
    sigma_path: Vec<f64>,
    /// B, transposed: row `j` is the eigenvector of `deviations[j]`.
    basis: Vec<f64>,
    /// D: roots of the eigenvalues, rising.
    deviations: Vec<f64>,
    /// Generations told when B and D were last made from C.
    decomposed_at: u32,
    stops: Stops,
    /// How each coordinate is divided; empty where all are real.
    grains: Vec<Grain>,
    /// The diagonal of A: 1 for real coordinates; empty where all are real.
    spread: Vec<f64>,
}

impl CmaEs {
    fn try_new(order: &Order) -> Result<CmaEs, StrategyError> {
        let Order { seed, population, bounds, start, settings, grains, .. } = order;
        let (seed, population, bounds) = (*seed, *population, *bounds);
        let n = start.len();
        if n > DIMENSION_MAX {
            let gigabytes = 3.0 * 8.0 * (n as f64) * (n as f64) / 1e9;
            return Err(StrategyError::Setting(format!(
                "cma-es would need {gigabytes:.1} GB for its matrices of {n} × {n}; it takes at most {DIMENSION_MAX} \
                 numbers: use sep-cma-es, lm-ma-es, snes or open-ai-es"
            )));
        }
        if population < POPULATION_MIN {
            return Err(StrategyError::Setting(format!(
                "`population` is {population}, but cma-es needs at least {POPULATION_MIN}"
            )));
        }
        let sigma = settings.number("sigma").unwrap_or_else(|| bounds.map_or(1.0, |b| 0.3 * b.width()));
        let active = settings.flag("active");
        let tolerances = Tolerances::new(settings, n, population);
        Ok(CmaEs::begun(seed, bounds, population, active, tolerances, sigma, start.clone(), grains.clone()))
    }

    /// Before the first generation, from a centre inside the bounds.
    #[allow(clippy::too_many_arguments, reason = "they are the fields, and two callers name them in this order")]
    fn begun(
        seed: Seed,
        bounds: Option<Bounds>,
        population: u32,
        active: bool,
        tolerances: Tolerances,
        sigma: f64,
        start: Vec<f64>,
        grains: Vec<Grain>,
    ) -> CmaEs {
        let n = start.len();
        // C starts as almost the identity, so that no two eigenvalues are equal (pycma).
        let variances: Vec<f64> = (0..n).map(|i| libm::exp(1e-4 * i as f64 / n as f64)).collect();
        let mean = unfolded(&start, bounds, &grains);
        CmaEs {
            seed,
            bounds,
            population,
            active,
            tolerances,
            sigma_first: sigma,
            constants: Constants::new(n, population as usize, active),
            generation: 0,
            sigma,
            covariance: diagonal_matrix(&variances),
            path: vec![0.0; n],
            sigma_path: vec![0.0; n],
            basis: diagonal_matrix(&vec![1.0; n]),
            deviations: variances.iter().map(|v| v.sqrt()).collect(),
            decomposed_at: 0,
            stops: Stops::new(&mean),
            mean,
            spread: vec![1.0; grains.len()],
            grains,
        }
    }

    fn restore(from: &mut Reader<'_>) -> Result<CmaEs, SnapshotError> {
        let seed = Seed(from.u64()?);
        let (bounds, grains) = read_space(from)?;
        let (population, n) = (from.u32()?, from.u32()? as usize);
        if !(POPULATION_MIN..=POPULATION_MAX).contains(&population) || !(1..=DIMENSION_MAX).contains(&n) {
            return Err(SnapshotError::Damaged("the population or the dimension is out of range"));
        }
        if !matches!(grains.len(), length if length == 0 || length == n)
            || grains.iter().any(|grain| matches!(grain, Grain::Category { .. }))
        {
            return Err(SnapshotError::Damaged("there is not one grain that it searches for each element"));
        }
        let active = from.bool()?;
        let strategy = CmaEs {
            seed,
            bounds,
            population,
            active,
            sigma_first: from.finite()?,
            constants: Constants::new(n, population as usize, active),
            generation: from.u32()?,
            sigma: from.finite()?,
            decomposed_at: from.u32()?,
            mean: from.finites(n)?,
            path: from.finites(n)?,
            sigma_path: from.finites(n)?,
            deviations: from.finites(n)?,
            covariance: from.finites(n * n)?,
            basis: from.finites(n * n)?,
            spread: from.finites(grains.len())?,
            grains,
            tolerances: Tolerances::read(from)?,
            stops: Stops::read(from, n)?,
        };
        let times_are_past =
            strategy.decomposed_at <= strategy.generation && strategy.stops.is_past(strategy.generation);
        if strategy.sigma <= 0.0 || !times_are_past || strategy.spread.iter().any(|a| *a <= 0.0) {
            return Err(SnapshotError::Damaged("the step size, the spread or a generation is out of range"));
        }
        Ok(strategy)
    }

    /// Everything that candidates to come depend on.
    fn write(&self) -> Writer {
        let mut out = snapshot_of(NAME);
        out.u64(self.seed.0);
        write_space(&mut out, self.bounds, &self.grains);
        out.u32(self.population);
        out.u32(self.mean.len() as u32);
        out.u8(u8::from(self.active));
        out.f64(self.sigma_first);
        out.u32(self.generation);
        out.f64(self.sigma);
        out.u32(self.decomposed_at);
        for numbers in [&self.mean, &self.path, &self.sigma_path, &self.deviations, &self.covariance, &self.basis] {
            out.f64s(numbers);
        }
        out.f64s(&self.spread);
        out
    }

    /// All of the state, the record of fitness too.
    fn write_whole(&self) -> Writer {
        let mut out = self.write();
        self.tolerances.write(&mut out);
        self.stops.write(&mut out);
        out
    }

    /// B D, as rows: axis `j` is the eigenvector `j` as long as its deviation.
    fn axes(&self) -> Vec<f64> {
        let mut axes = self.basis.clone();
        for (axis, deviation) in axes.chunks_exact_mut(self.mean.len()).zip(&self.deviations) {
            axis.iter_mut().for_each(|x| *x *= deviation);
        }
        axes
    }

    /// The update from candidates in rank order; `None` when a number would leave the floating point range.
    fn step(&mut self, best_first: &[usize]) -> Option<()> {
        let n = self.mean.len();
        let Constants { c_sigma, d_sigma, chi, c_c, c_1, c_mu, .. } = self.constants;
        let weights = self.constants.weights_for(best_first.len());
        let effective = constants::effective(&weights);

        // y_i = B D z_i, eq. 39; sums over candidates run in rank order.
        let axes = self.axes();
        let (mut z, mut y) = (vec![0.0; n], vec![0.0; n]);
        let (mut z_mean, mut y_mean) = (vec![0.0; n], vec![0.0; n]);
        let mut rank_mu = vec![0.0; n * n];
        for (candidate, weight) in best_first.iter().zip(&weights) {
            if *weight == 0.0 {
                continue;
            }
            perturbation(self.seed, self.generation, *candidate as u32, &mut z);
            combine(&axes, &z, &mut y);
            if *weight > 0.0 {
                add(*weight, &z, &mut z_mean);
                add(*weight, &y, &mut y_mean);
            }
            // A bad step counts as if it had the expected length, eq. 46; ‖C^-½ y‖ is ‖z‖.
            let length = squares(&z).sqrt() + 1e-9;
            let scaled = if *weight > 0.0 { *weight } else { weight * n as f64 / (length * length) };
            for (row, yi) in rank_mu.chunks_exact_mut(n).zip(&y) {
                add(c_mu * scaled * yi, &y, row);
            }
        }

        // m ← m + σ y_w, eq. 42.
        let mut mean = self.mean.clone();
        add(self.sigma, &y_mean, &mut mean);

        // p_σ ← (1 − c_σ) p_σ + √(c_σ (2 − c_σ) μ_eff) C^-½ y_w, eq. 43; C^-½ y_w = B z_w.
        let mut sigma_path = vec![0.0; n];
        combine(&self.basis, &z_mean, &mut sigma_path);
        blend(1.0 - c_sigma, &self.sigma_path, (c_sigma * (2.0 - c_sigma) * effective).sqrt(), &mut sigma_path);

        // h_σ stalls p_c while p_σ is long.
        let told = f64::from(self.generation) + 1.0;
        let expected = 1.0 - libm::pow(1.0 - c_sigma, 2.0 * told);
        let steady = squares(&sigma_path) / expected / (n as f64) < 2.0 + 4.0 / (n as f64 + 1.0);
        let h = f64::from(u8::from(steady));

        // p_c, eq. 45.
        let mut path = y_mean;
        blend(1.0 - c_c, &self.path, h * (c_c * (2.0 - c_c) * effective).sqrt(), &mut path);

        // C, eq. 47. The variance that a stalled p_c lacks stays in C.
        let kept = 1.0 + c_1 * (1.0 - h) * c_c * (2.0 - c_c) - c_1 - c_mu * weights.iter().sum::<f64>();
        let mut covariance = self.covariance.clone();
        for (((row, old), extra), pi) in
            covariance.chunks_exact_mut(n).zip(self.covariance.chunks_exact(n)).zip(rank_mu.chunks_exact(n)).zip(&path)
        {
            for (((c, old), extra), pj) in row.iter_mut().zip(old).zip(extra).zip(&path) {
                *c = kept * old + c_1 * (pi * pj) + extra;
            }
        }
        symmetrise(&mut covariance, n);

        // σ, eq. 44, with the exponent held to 1 (pycma).
        let exponent = c_sigma / d_sigma * (squares(&sigma_path).sqrt() / chi - 1.0);
        let sigma = (self.sigma * libm::exp(exponent.min(1.0))).clamp(SIGMA_LIMITS.0, SIGMA_LIMITS.1);

        if [&mean, &path, &sigma_path, &covariance].iter().any(|v| v.iter().any(|x| !x.is_finite())) {
            return None;
        }
        self.mean = mean;
        self.path = path;
        self.sigma_path = sigma_path;
        self.covariance = covariance;
        self.sigma = sigma;
        Some(())
    }

    /// Makes B and D from C, if C has changed enough to be worth it.
    fn decompose(&mut self, told: u32, now: bool) {
        let n = self.mean.len();
        let Constants { c_1, c_mu, .. } = self.constants;
        // A tenth of the generations in which C changes as a whole (pycma).
        let gap = 1.0 / (c_1 + c_mu + 1e-23) / n as f64 / 10.0;
        if !now && f64::from(told) < f64::from(self.decomposed_at) + gap {
            return;
        }
        // A matrix that lost an eigenvalue to rounding gets more on its diagonal until it has none to lose.
        let mut lift = self.deviations[0] * self.deviations[0];
        for _ in 0..60 {
            match eigen::decompose(&self.covariance, n) {
                Some(Eigen { values, vectors }) if values[0] > 0.0 => {
                    self.deviations = values.iter().map(|value| value.sqrt()).collect();
                    self.basis = vectors;
                    self.decomposed_at = told;
                    return;
                }
                _ => {
                    (0..n).for_each(|i| self.covariance[i * n + i] += lift);
                    lift *= 2.0;
                }
            }
        }
        // Beyond repair: C goes back to what is being sampled from.
        let axes = self.axes();
        for i in 0..n {
            for j in 0..n {
                self.covariance[i * n + j] = axes.chunks_exact(n).map(|axis| axis[i] * axis[j]).sum();
            }
        }
    }

    /// How far steps lead in each coordinate: σ A_i √C_ii.
    fn deviation(&self, i: usize) -> f64 {
        let deviation = self.sigma * self.covariance[i * self.mean.len() + i].sqrt();
        self.spread.get(i).map_or(deviation, |a| a * deviation)
    }

    /// Whether a coordinate is not divided.
    fn is_real(&self, i: usize) -> bool {
        self.grains.get(i).is_none_or(|grain| *grain == Grain::Real)
    }

    /// Keeps every cell beside the mean's likely enough.
    fn keep_margin(&mut self) {
        let n = self.mean.len();
        let margin = 1.0 / (n as f64 * f64::from(self.population));
        let deviation = |i: usize| self.sigma * self.covariance[i * n + i].sqrt();
        margin::correct(&self.grains, margin, deviation, &mut self.mean, &mut self.spread);
    }

    /// Keeps the spread of every coordinate below a third of the bounds' width: further out, the fold only repeats.
    /// Tells whether it had to.
    fn hold_in_bounds(&mut self) -> bool {
        let Some(bounds) = self.bounds else { return false };
        let n = self.mean.len();
        let most = DEVIATION_MAX * bounds.width();
        // C starts a little above the identity.
        let slack = 1.0 + 1e-4;
        let factors: Vec<f64> = (0..n)
            .map(|i| self.deviation(i))
            .map(|deviation| if deviation > most * slack { most / deviation } else { 1.0 })
            .collect();
        if factors.iter().all(|factor| *factor == 1.0) {
            return false;
        }
        for (i, row) in self.covariance.chunks_exact_mut(n).enumerate() {
            row.iter_mut().zip(&factors).for_each(|(c, factor)| *c *= factors[i] * factor);
        }
        self.path.iter_mut().zip(&factors).for_each(|(p, factor)| *p *= factor);
        true
    }
}

impl Strategy for CmaEs {
    fn ask(&self) -> Proposal {
        // m + A σ B D z; without A where the steps that are learned from are made, in `step`.
        let mut axes = self.axes();
        for axis in axes.chunks_exact_mut(self.mean.len()) {
            axis.iter_mut().zip(&self.spread).for_each(|(x, a)| *x *= a);
        }
        let law = Law::Full { mean: self.mean.clone(), sigma: self.sigma, axes };
        Proposal { seed: self.seed, generation: self.generation, candidates: self.population, bounds: self.bounds, law }
            .stepped(&self.grains)
    }

    fn tell(&mut self, fitness: &[Fitness]) {
        assert_eq!(fitness.len(), self.population as usize, "there is one fitness for each candidate");
        let told = self.generation + 1;
        if shaping::is_flat(fitness) {
            // Nothing was learned but that the steps were too short to see a difference (arXiv:1604.00772, appendix
            // B.3). No further than where the search counts as diverged, or a storm of failures would have no end.
            let Constants { c_sigma, d_sigma, .. } = self.constants;
            let furthest = (stops::GROWTH_MAX * self.sigma_first).max(self.sigma);
            let mut growth = libm::exp(0.2 + c_sigma / d_sigma);
            if let Some(bounds) = self.bounds.filter(|_| !self.grains.is_empty()) {
                // Between cells no difference is nothing unusual, and steps that span the bounds are long enough.
                let widest = (0..self.mean.len()).map(|i| self.deviation(i)).fold(0.0, f64::max);
                growth = growth.min((DEVIATION_MAX * bounds.width() / widest).max(1.0));
            }
            self.sigma = (self.sigma * growth).min(furthest);
        } else {
            let order = shaping::best_first(fitness);
            // A step out of range is not taken; the next generation tries again with other noise.
            if self.step(&order).is_some() {
                let held = self.hold_in_bounds();
                self.keep_margin();
                self.decompose(told, held);
            }
        }
        self.stops.observe(fitness, told, &self.mean, self.population, !self.grains.is_empty());
        self.generation = told;
    }

    fn generation(&self) -> u32 {
        self.generation
    }

    fn population(&self) -> u32 {
        self.population
    }

    fn snapshot(&self) -> Vec<u8> {
        seal(self.write_whole())
    }

    /// Without the record of fitness values, which only the stops look at: candidates depend on ranks alone.
    fn state_hash(&self) -> StateHash {
        StateHash::of(&self.write().into_bytes())
    }

    fn told_as(&self) -> ToldAs {
        ToldAs::Places
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        let (shortest, longest) = (self.deviations[0], self.deviations[self.deviations.len() - 1]);
        vec![
            ("sigma", self.sigma),
            ("axis_ratio", longest / shortest),
            ("deviation_min", self.sigma * shortest),
            ("deviation_max", self.sigma * longest),
        ]
    }

    fn exhausted(&self) -> Option<&'static str> {
        stops::reason(self)
    }
}

fn diagonal_matrix(diagonal: &[f64]) -> Vec<f64> {
    let n = diagonal.len();
    let mut matrix = vec![0.0; n * n];
    diagonal.iter().enumerate().for_each(|(i, x)| matrix[i * n + i] = *x);
    matrix
}

/// Rounding makes the two halves differ by a digit; the eigensolver wants them equal.
fn symmetrise(matrix: &mut [f64], n: usize) {
    for i in 0..n {
        for j in 0..i {
            let mean = 0.5 * (matrix[i * n + j] + matrix[j * n + i]);
            matrix[i * n + j] = mean;
            matrix[j * n + i] = mean;
        }
    }
}

#[cfg(test)]
mod tests;
