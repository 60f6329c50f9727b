//! Members: points that a strategy keeps from generation to generation, and how well each did.
//!
//! What differential evolution, particle swarms and TLBO have in common. A new point is only ever compared with an old
//! one, so members remember fitness; the hash of a state takes their ranks instead.

use tumble_domain::seed::Stream;
use tumble_domain::{Fitness, Parameter};

use super::frame::Frame;
use super::{Order, SIGMA_BOUNDS, number};
use crate::bounds::Bounds;
use crate::codec::{Reader, Writer};
use crate::noise;
use crate::proposal::choice;
use crate::shaping;
use crate::strategy::{SnapshotError, StrategyError};

/// The most numbers of all members together: 128 MiB, which is also what a proposal of so many weighs on its way to every
/// worker.
pub(super) const NUMBERS_MAX: usize = 1 << 24;

/// Points by rows. A fitness of `Dropped` is one that is not known.
#[derive(Clone, Debug)]
pub(super) struct Members {
    dimension: usize,
    points: Vec<f64>,
    fitness: Vec<Fitness>,
}

impl Members {
    /// `points` by rows, of which nothing is known yet.
    pub(super) fn new(dimension: usize, points: Vec<f64>) -> Members {
        let fitness = vec![Fitness::Dropped; points.len() / dimension];
        Members { dimension, points, fitness }
    }

    pub(super) fn len(&self) -> usize {
        self.fitness.len()
    }

    /// All points, by rows.
    pub(super) fn points(&self) -> &[f64] {
        &self.points
    }

    pub(super) fn point(&self, i: usize) -> &[f64] {
        &self.points[i * self.dimension..(i + 1) * self.dimension]
    }

    pub(super) fn fitness(&self) -> &[Fitness] {
        &self.fitness
    }

    /// Puts another point in the place of member `i`.
    pub(super) fn replace(&mut self, i: usize, point: &[f64], fitness: Fitness) {
        self.points[i * self.dimension..(i + 1) * self.dimension].copy_from_slice(point);
        self.fitness[i] = fitness;
    }

    /// Takes the first word on the points that are there already.
    pub(super) fn learn(&mut self, fitness: &[Fitness]) {
        self.fitness.copy_from_slice(fitness);
    }

    /// The fittest member; the first of several, and of those that nothing is known of.
    pub(super) fn best(&self) -> usize {
        shaping::best_first(&self.fitness).first().copied().unwrap_or(0)
    }

    /// The mean of all points, summed in the order of members.
    pub(super) fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.dimension];
        for point in self.points.chunks_exact(self.dimension) {
            mean.iter_mut().zip(point).for_each(|(m, x)| *m += x);
        }
        mean.iter_mut().for_each(|m| *m /= self.len() as f64);
        mean
    }

    /// How far the members lie apart: the widest range of an element.
    pub(super) fn spread(&self) -> f64 {
        let first = self.point(0).to_vec();
        let (mut low, mut high) = (first.clone(), first);
        for point in self.points.chunks_exact(self.dimension) {
            for ((low, high), x) in low.iter_mut().zip(&mut high).zip(point) {
                *low = low.min(*x);
                *high = high.max(*x);
            }
        }
        low.iter().zip(&high).fold(0.0, |widest, (low, high)| f64::max(widest, high - low))
    }

    /// Points and fitness, from which [`Members::read`] makes the same members.
    pub(super) fn write(&self, out: &mut Writer) {
        out.f64s(&self.points);
        for fitness in &self.fitness {
            match fitness {
                Fitness::Dropped => out.u8(0),
                Fitness::Worst => out.u8(1),
                Fitness::Scored(score) => {
                    out.u8(2);
                    out.f64(*score);
                }
            }
        }
    }

    /// Points and ranks: what the next candidates depend on, without the scores.
    pub(super) fn write_ranks(&self, out: &mut Writer) {
        out.f64s(&self.points);
        self.fitness.iter().for_each(|f| out.u8(u8::from(*f != Fitness::Dropped)));
        out.f64s(&shaping::centred_ranks(&self.fitness));
    }

    /// The members of a frame.
    pub(super) fn read(from: &mut Reader<'_>, frame: &Frame) -> Result<Members, SnapshotError> {
        let (count, dimension) = (frame.population as usize, frame.dimension);
        if count * dimension > NUMBERS_MAX {
            return Err(SnapshotError::Damaged("the population or the dimension is out of range"));
        }
        let points = from.finites(count * dimension)?;
        let fitness = (0..count).map(|_| match from.u8()? {
            0 => Ok(Fitness::Dropped),
            1 => Ok(Fitness::Worst),
            2 => Ok(Fitness::Scored(from.finite()?)),
            _ => Err(SnapshotError::Damaged("the kind of fitness is unknown")),
        });
        Ok(Members { dimension, fitness: fitness.collect::<Result<_, _>>()?, points })
    }
}

impl Order {
    /// The frame of a strategy that keeps its members, if they are enough and not too many numbers.
    pub(super) fn frame_of_members(&self, name: &str, population_min: u32) -> Result<Frame, StrategyError> {
        let frame = self.frame(name, population_min)?;
        check_size(name, frame.population, frame.dimension)?;
        Ok(frame)
    }
}

/// The strategies whose whole population is members.
pub(super) const KEEPERS: [&str; 4] = ["differential-evolution", "pso", "tlbo", "tlbo-pso"];

/// Whether one of them takes so many members of so many numbers.
pub(super) fn check_size(name: &str, population: u32, dimension: usize) -> Result<(), StrategyError> {
    if (population as usize).saturating_mul(dimension) <= NUMBERS_MAX {
        return Ok(());
    }
    let gigabytes = 8.0 * f64::from(population) * dimension as f64 / 1e9;
    Err(StrategyError::Setting(format!(
        "{name} would keep and send {gigabytes:.1} GB for a `population` of {population} members of {dimension} numbers; it \
         takes at most {NUMBERS_MAX} numbers in all: use open-ai-es"
    )))
}

/// The setting that says where the first members lie.
pub(super) fn sigma() -> Parameter {
    number(
        "sigma",
        None,
        SIGMA_BOUNDS,
        "width of the first population, a normal law around the start; by default it is spread evenly over the interval that \
         `start` is drawn from or over the bounds, and where there are none the width is 1",
    )
}

/// The setting that says when members are as good as one point.
pub(super) fn tolx() -> Parameter {
    number("tolx", Some(1e-11), (0.0, 1e100), "exhausted when no element differs by more than this between two members")
}

/// The first points of an order, by rows. Draws under another `tensor` are independent of these.
pub(super) fn first_points(order: &Order, tensor: u32) -> Vec<f64> {
    let Order { seed, population, bounds, start, redraw, settings, .. } = order;
    let interval = redraw.or(bounds.map(|bounds| (bounds.low(), bounds.high())));
    let mut points = vec![0.0; *population as usize * start.len()];
    for (i, point) in points.chunks_exact_mut(start.len()).enumerate() {
        match (settings.number("sigma"), interval) {
            (None, Some((low, high))) => {
                noise::uniforms(*seed, Stream::Init, tensor, i as u32, 0, point);
                point.iter_mut().for_each(|x| *x = low + (high - low) * *x);
            }
            (sigma, _) => {
                noise::normals(*seed, Stream::Init, tensor, i as u32, 0, point);
                let sigma = sigma.unwrap_or(1.0);
                point.iter_mut().zip(start).for_each(|(x, middle)| *x = middle + sigma * *x);
            }
        }
        point.iter_mut().zip(start).for_each(|(x, middle)| *x = inside(*x, *middle, *bounds));
    }
    points
}

/// `x` clamped to the bounds, or `old` if it left the floating point range.
pub(super) fn inside(x: f64, old: f64, bounds: Option<Bounds>) -> f64 {
    let x = if x.is_finite() { x } else { old };
    bounds.map_or(x, |bounds| x.clamp(bounds.low(), bounds.high()))
}

/// Uniform numbers in [0, 1) for one member of a generation, one for each element.
pub(super) fn dice(frame: &Frame, tensor: u32, member: usize) -> Vec<f64> {
    let mut dice = vec![0.0; frame.dimension];
    noise::uniforms(frame.seed, Stream::Perturbation, tensor, member as u32, frame.generation, &mut dice);
    dice
}

/// One of `count`, each as likely: choice number `element` of one member of a generation.
pub(super) fn choose(frame: &Frame, member: usize, element: u32, count: usize) -> usize {
    choice(frame.seed, member as u32, frame.generation, element, count)
}
