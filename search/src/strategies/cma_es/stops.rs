//! When CMA-ES is exhausted: the stop criteria of pycma, and the record of fitness that they look at.
//!
//! Source: pycma 4.5.0, `cma/evolution_strategy.py` (`_CMAStopDict`, `_StopTolXStagnation`), with its default
//! thresholds. Fitness is larger-is-better here, so what pycma minimises is its negative; failures count as −∞.
//!
//! Where coordinates are divided, equal fitness and a mean at rest are the rule near every optimum, while the margin goes on
//! trying: there the search ends when its real coordinates rest, when it stagnates, or when generation after generation
//! shows no difference at all.

use std::collections::VecDeque;

use tumble_domain::Fitness;

use super::CmaEs;
use crate::codec::{Reader, Writer};
use crate::shaping;
use crate::strategies::Settings;
use crate::strategy::SnapshotError;

/// `tolfacupx`: a step size that has grown this much began far too small, or the search diverges.
pub(super) const GROWTH_MAX: f64 = 1e3;
/// `tolupsigma`: growth of the step size beyond that of the longest axis.
const CREEP_MAX: f64 = 1e20;
/// `tolconditioncov`.
const CONDITION_MAX: f64 = 1e14;
/// `tolxstagnation`: the mean's least movement, over so many generations and that part of all.
const MEAN_MOVES_MIN: f64 = 1e-9;
const MEAN_RESTS_MAX: f64 = 20.0;
const MEAN_RESTS_PART: f64 = 0.1;
/// The most entries of the long record, which takes one every fifth generation.
const RECORD_MAX: usize = 20_000;
const RECORD_EVERY: u32 = 5;
/// The fewest generations without any difference that end a search whose coordinates are divided: after each of them steps
/// are longer, so by then they have reached every cell.
const FLAT_WHEN_DIVIDED_MIN: u32 = 20;

/// What a user may set.
#[derive(Clone, Debug)]
pub(super) struct Tolerances {
    x: f64,
    fitness: f64,
    fitness_history: f64,
    flat_generations: u32,
    /// 0 for never.
    stagnation: u32,
}

impl Tolerances {
    pub(super) fn new(settings: &Settings, dimension: usize, population: u32) -> Tolerances {
        Tolerances {
            x: settings.default_number("tolx"),
            fitness: settings.default_number("tolfun"),
            fitness_history: settings.default_number("tolfunhist"),
            flat_generations: settings.default_number("tolflatfitness") as u32,
            stagnation: settings.number("tolstagnation").map_or(stagnation(dimension, population), |x| x as u32),
        }
    }

    /// For another population: `tolstagnation` as it was set, else as its formula has it.
    pub(super) fn set_stagnation(&mut self, given: Option<u32>, dimension: usize, population: u32) {
        self.stagnation = given.unwrap_or_else(|| stagnation(dimension, population));
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.f64s(&[self.x, self.fitness, self.fitness_history]);
        out.u32(self.flat_generations);
        out.u32(self.stagnation);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Tolerances, SnapshotError> {
        Ok(Tolerances {
            x: from.finite()?,
            fitness: from.finite()?,
            fitness_history: from.finite()?,
            flat_generations: from.u32()?,
            stagnation: from.u32()?,
        })
    }
}

/// `tolstagnation` where it is not set.
fn stagnation(dimension: usize, population: u32) -> u32 {
    let n = dimension as f64;
    (100.0 + 100.0 * (n * n.sqrt()) / f64::from(population)).floor() as u32
}

/// The record. Candidates never depend on it, but restarts do.
#[derive(Clone, Debug)]
pub(super) struct Stops {
    /// Best and worst fitness of the last generation.
    best: f64,
    worst: f64,
    /// The fittest ever, and the generations told when it was found.
    record: f64,
    record_at: u32,
    /// Best fitness of the last 10 + 30 n / λ generations, the latest first.
    recent: VecDeque<f64>,
    /// Best and median of every fifth generation, the latest first.
    bests: VecDeque<f64>,
    medians: VecDeque<f64>,
    /// Generations in a row whose best quarter had no difference.
    flat: u32,
    /// Where the mean was when it last moved, and the generations told then.
    resting: Vec<f64>,
    resting_since: u32,
}

impl Stops {
    pub(super) fn new(mean: &[f64]) -> Stops {
        Stops {
            best: f64::NEG_INFINITY,
            worst: f64::NEG_INFINITY,
            record: f64::NEG_INFINITY,
            record_at: 0,
            recent: VecDeque::new(),
            bests: VecDeque::new(),
            medians: VecDeque::new(),
            flat: 0,
            resting: mean.to_vec(),
            resting_since: 0,
        }
    }

    /// Takes one generation down, the `told`-th.
    pub(super) fn observe(&mut self, fitness: &[Fitness], told: u32, mean: &[f64], population: u32, divided: bool) {
        let ranked: Vec<f64> =
            shaping::best_first(fitness).into_iter().map(|i| fitness[i].score().unwrap_or(f64::NEG_INFINITY)).collect();
        let at = |i: usize| ranked.get(i).copied().unwrap_or(f64::NEG_INFINITY);
        self.best = at(0);
        self.worst = at(ranked.len().saturating_sub(1));
        if self.best > self.record {
            (self.record, self.record_at) = (self.best, told);
        }
        let half = ranked.len() / 2;
        // Two infinities of one sign: their mean is theirs.
        let median = if ranked.len() % 2 == 1 { at(half) } else { 0.5 * at(half.saturating_sub(1)) + 0.5 * at(half) };
        let recent_max = 10 + 30 * mean.len() / population as usize;
        keep(&mut self.recent, self.best, recent_max);
        if told.is_multiple_of(RECORD_EVERY) {
            keep(&mut self.bests, self.best, RECORD_MAX);
            keep(&mut self.medians, median, RECORD_MAX);
        }
        // The best against the one at three quarters.
        let differs = if divided { self.best > self.worst } else { at(0) > at(ranked.len() * 3 / 4) };
        self.flat = if differs { 0 } else { self.flat.saturating_add(1) };

        let moved: f64 = mean.iter().zip(&self.resting).map(|(a, b)| (a - b) * (a - b)).sum();
        let rests = f64::from(told - self.resting_since) / rests_max(told);
        if moved.sqrt() > MEAN_MOVES_MIN * rests.max(1.0).sqrt() {
            self.resting.copy_from_slice(mean);
            self.resting_since = told;
        }
    }

    /// Whether all that it remembers happened by the `told`-th generation.
    pub(super) fn is_past(&self, told: u32) -> bool {
        self.record_at <= told && self.resting_since <= told
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.f64s(&[self.best, self.worst, self.record]);
        out.u32(self.record_at);
        for record in [&self.recent, &self.bests, &self.medians] {
            out.counted_f64s(&record.iter().copied().collect::<Vec<_>>());
        }
        out.u32(self.flat);
        out.f64s(&self.resting);
        out.u32(self.resting_since);
    }

    pub(super) fn read(from: &mut Reader<'_>, dimension: usize) -> Result<Stops, SnapshotError> {
        Ok(Stops {
            best: from.f64()?,
            worst: from.f64()?,
            record: from.f64()?,
            record_at: from.u32()?,
            recent: from.counted_f64s()?.into(),
            bests: from.counted_f64s()?.into(),
            medians: from.counted_f64s()?.into(),
            flat: from.u32()?,
            resting: from.finites(dimension)?,
            resting_since: from.u32()?,
        })
    }
}

/// The first criterion that is met.
pub(super) fn reason(es: &CmaEs) -> Option<&'static str> {
    let told = es.generation;
    if told == 0 {
        return None;
    }
    let n = es.mean.len();
    let (stops, tolerances) = (&es.stops, &es.tolerances);
    let deviation = |i: usize| es.deviation(i);
    let (divided, reals) = (!es.grains.is_empty(), || (0..n).filter(|i| es.is_real(*i)));

    if (0..n).any(|i| deviation(i) > GROWTH_MAX * es.sigma_first) {
        return Some("tolfacupx: the step size grew a thousandfold: it began far too small, or the search diverges");
    }
    let rests = |i: usize| deviation(i) < tolerances.x && es.sigma * es.path[i] < tolerances.x;
    if reals().next().is_some() && reals().all(rests) {
        return Some("tolx: no coordinate moves any more");
    }
    let spread_now = stops.best - stops.worst;
    let spread_recent = spread(&stops.recent);
    if !divided && spread_now < tolerances.fitness && spread_recent < tolerances.fitness {
        return Some("tolfun: the fitness hardly differs any more");
    }
    if !divided && stops.recent.len() > 9 && spread_recent < tolerances.fitness_history {
        return Some("tolfunhist: the best fitness hardly changes any more");
    }
    if stagnates(es) {
        return Some("tolstagnation: best and median have not become better for long");
    }
    if !divided && f64::from(told - stops.resting_since) > rests_max(told) {
        return Some("tolxstagnation: the mean has not moved for long");
    }
    let (shortest, longest) = (es.deviations[0], es.deviations[n - 1]);
    if es.sigma / longest > CREEP_MAX * es.sigma_first {
        return Some("tolupsigma: the step size grew much more than the longest axis: progress is creeping");
    }
    if reals().any(|i| es.mean[i] == es.mean[i] + 0.2 * deviation(i)) {
        return Some("noeffectcoord: a step in some coordinate no longer changes the mean");
    }
    let axis = told as usize % n;
    let stride = 0.1 * es.sigma * es.deviations[axis];
    if !divided && es.mean.iter().zip(&es.basis[axis * n..(axis + 1) * n]).all(|(m, b)| *m == m + stride * b) {
        return Some("noeffectaxis: a step along some axis no longer changes the mean");
    }
    if longest > CONDITION_MAX.sqrt() * shortest {
        return Some("tolconditioncov: the axes' lengths differ too much to be told apart from rounding");
    }
    let flat_max = if divided { FLAT_WHEN_DIVIDED_MIN } else { 0 };
    if stops.flat > tolerances.flat_generations.max(flat_max) {
        return Some("tolflatfitness: candidates do not differ in fitness, or none could be scored");
    }
    None
}

/// Whether the later half of the last generations was no better than the earlier half, in best and in median.
fn stagnates(es: &CmaEs) -> bool {
    let (stops, patience) = (&es.stops, es.tolerances.stagnation);
    let (n, told) = (es.mean.len() as f64, es.generation);
    if patience == 0 || f64::from(told) <= n * (5.0 + 100.0 / f64::from(es.population)) {
        return false;
    }
    let kept = stops.bests.len();
    let half = (patience as usize / 10).max(kept / 10);
    if u64::from(told - stops.record_at) * 2 <= u64::from(patience) || kept <= 100 || 2 * half >= kept || half == 0 {
        return false;
    }
    let worse = |record: &VecDeque<f64>| median(record, 0, half) <= median(record, half, 2 * half);
    worse(&stops.medians) && worse(&stops.bests)
}

fn median(record: &VecDeque<f64>, from: usize, to: usize) -> f64 {
    let mut part: Vec<f64> = record.range(from..to).copied().collect();
    part.sort_by(f64::total_cmp);
    let half = part.len() / 2;
    if part.len() % 2 == 1 { part[half] } else { 0.5 * part[half - 1] + 0.5 * part[half] }
}

fn rests_max(told: u32) -> f64 {
    MEAN_RESTS_MAX + MEAN_RESTS_PART * f64::from(told)
}

/// Largest less smallest; NaN, which is below nothing, when all are infinite.
fn spread(record: &VecDeque<f64>) -> f64 {
    let largest = record.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let smallest = record.iter().copied().fold(f64::INFINITY, f64::min);
    largest - smallest
}

fn keep(record: &mut VecDeque<f64>, latest: f64, most: usize) {
    record.push_front(latest);
    record.truncate(most);
}
