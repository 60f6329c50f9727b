//! What the state of a strategy that steps begins with: seed, bounds, counts; and how such a strategy starts.

use tumble_domain::{Fitness, Parameter, Seed};

use super::{Order, POPULATION_MAX, SIGMA_BOUNDS, number};
use crate::bounds::Bounds;
use crate::codec::{Reader, Writer};
use crate::grain::Grain;
use crate::proposal::{DEVIATION_LIMITS, DIMENSION_MAX, Law, Proposal, read_space, write_space};
use crate::strategy::{SnapshotError, StrategyError};

/// The part of a state that says what is searched, and how far the search is.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) seed: Seed,
    pub(super) bounds: Option<Bounds>,
    pub(super) population: u32,
    pub(super) dimension: usize,
    /// Generations told.
    pub(super) generation: u32,
    /// How each element is divided; empty where all are real.
    pub(super) grains: Vec<Grain>,
}

impl Frame {
    /// This generation's proposal.
    pub(super) fn proposal(&self, law: Law) -> Proposal {
        Proposal { seed: self.seed, generation: self.generation, candidates: self.population, bounds: self.bounds, law }
            .stepped(&self.grains)
    }

    /// Panics unless there is one fitness for each candidate.
    pub(super) fn check(&self, fitness: &[Fitness]) {
        assert_eq!(fitness.len(), self.population as usize, "there is one fitness for each candidate");
    }

    /// The largest step size that makes sense: a third of the bounds' width (pycma, `maxstd_boundrange`), for further
    /// out the fold only repeats.
    pub(super) fn deviation_max(&self) -> f64 {
        self.bounds.map_or(f64::INFINITY, |bounds| bounds.width() / 3.0)
    }

    /// `deviation` held to what makes sense: numbers whose squares are numbers, and within the bounds.
    pub(super) fn held(&self, deviation: f64) -> f64 {
        deviation.min(DEVIATION_LIMITS.1).min(self.deviation_max()).max(DEVIATION_LIMITS.0)
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.u64(self.seed.0);
        write_space(out, self.bounds, &self.grains);
        out.u32(self.population);
        out.u32(self.dimension as u32);
        out.u32(self.generation);
    }

    pub(super) fn read(from: &mut Reader<'_>, population_min: u32) -> Result<Frame, SnapshotError> {
        let seed = Seed(from.u64()?);
        let (bounds, grains) = read_space(from)?;
        let (population, dimension, generation) = (from.u32()?, from.u32()? as usize, from.u32()?);
        if !(population_min..=POPULATION_MAX).contains(&population) || !(1..=DIMENSION_MAX).contains(&dimension) {
            return Err(SnapshotError::Damaged("the population or the dimension is out of range"));
        }
        if !grains.is_empty() && grains.len() != dimension {
            return Err(SnapshotError::Damaged("there is not one grain for each element"));
        }
        Ok(Frame { seed, bounds, population, dimension, generation, grains })
    }
}

impl Order {
    /// The frame before the first generation, if the population is large enough for the strategy `name`.
    pub(super) fn frame(&self, name: &str, population_min: u32) -> Result<Frame, StrategyError> {
        let Order { seed, population, bounds, .. } = *self;
        if population < population_min {
            return Err(StrategyError::Setting(format!(
                "`population` is {population}, but {name} needs at least {population_min}"
            )));
        }
        let grains = self.grains.clone();
        Ok(Frame { seed, bounds, population, dimension: self.start.len(), generation: 0, grains })
    }

    /// The first step size: what the run file says, else 0.3 of the bounds' width, or 1 where there are none.
    pub(super) fn first_sigma(&self) -> f64 {
        self.settings.number("sigma").unwrap_or_else(|| self.bounds.map_or(1.0, |bounds| 0.3 * bounds.width()))
    }

    /// The start in the space without bounds.
    pub(super) fn unfolded_start(&self) -> Vec<f64> {
        unfolded(&self.start, self.bounds, &self.grains)
    }
}

/// A point in the space without bounds. Divided coordinates are never folded.
pub(super) fn unfolded(point: &[f64], bounds: Option<Bounds>, grains: &[Grain]) -> Vec<f64> {
    let unfold = |(i, x): (usize, &f64)| match (grains.get(i).copied().unwrap_or(Grain::Real), bounds) {
        (Grain::Real, Some(bounds)) => bounds.unfold(*x),
        _ => *x,
    };
    point.iter().enumerate().map(unfold).collect()
}

/// The setting that [`Order::first_sigma`] reads.
pub(super) fn sigma_parameter() -> Parameter {
    let summary = "the first step size; by default 0.3 of the width of the bounds, or 1 where there are none";
    number("sigma", None, SIGMA_BOUNDS, summary)
}

/// A step size of a snapshot.
pub(super) fn read_deviation(from: &mut Reader<'_>) -> Result<f64, SnapshotError> {
    let deviation = from.finite()?;
    if (DEVIATION_LIMITS.0..=DEVIATION_LIMITS.1).contains(&deviation) {
        Ok(deviation)
    } else {
        Err(SnapshotError::Damaged("a step size is out of range"))
    }
}
