//! Children that mutate their own step sizes before they step: the law of self-adaptive strategies.

use tumble_domain::Seed;
use tumble_domain::seed::Stream;

use super::{choice, perturbation};
use crate::codec::{Reader, Writer};
use crate::noise;
use crate::strategy::SnapshotError;

/// Step sizes stay within these, however long they drift: squares of them are still numbers.
pub(crate) const DEVIATION_LIMITS: (f64, f64) = (1e-140, 1e140);

/// The tensor of the normals that mutate step sizes; the steps themselves are tensor 0.
const OF_DEVIATIONS: u32 = 1;

/// Parents and how children come from them. Child `k` takes a parent, or every element from a parent of its own, by
/// draws addressed by `k`; then `σ' = σ exp(τ₀ N₀ + τ N_i)`, then `x' = x + σ' z`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mutants {
    /// Elements of a candidate.
    pub(crate) dimension: usize,
    /// By rows: where each parent stands.
    pub(crate) parents: Vec<f64>,
    /// By rows: the step sizes of each parent, or one row for all of them.
    pub(crate) deviations: Vec<f64>,
    /// Whether every element has a step size of its own; else there is one for all.
    pub(crate) per_element: bool,
    /// Whether every element comes from a parent of its own.
    pub(crate) mixed: bool,
    /// τ₀, the learning rate that all step sizes of a child share.
    pub(crate) tau_shared: f64,
    /// τ, the learning rate of each; unused when there is one step size.
    pub(crate) tau_own: f64,
    /// No step size becomes smaller than this, whatever the largest is.
    pub(crate) deviation_min: f64,
    /// No step size becomes larger than this.
    pub(crate) deviation_max: f64,
}

impl Mutants {
    /// Step sizes of one child.
    pub(crate) fn width(&self) -> usize {
        if self.per_element { self.dimension } else { 1 }
    }

    /// Makes child `index`: where it stands, in the space without bounds, and its step sizes.
    pub(crate) fn child(&self, seed: Seed, generation: u32, index: u32, x: &mut [f64], deviations: &mut [f64]) {
        let (n, width) = (self.dimension, self.width());
        let choose = |element: usize| choice(seed, index, generation, element as u32, self.parents.len() / n);
        let parent = choose(0);
        let row = if self.deviations.len() == width { 0 } else { parent };

        // The step sizes first: a child is judged by a step that its own step sizes made.
        let mut normals = vec![0.0; if self.per_element { 1 + n } else { 1 }];
        noise::normals(seed, Stream::Perturbation, OF_DEVIATIONS, index, generation, &mut normals);
        let shared = self.tau_shared * normals[0];
        deviations.copy_from_slice(&self.deviations[row * width..(row + 1) * width]);
        for (i, deviation) in deviations.iter_mut().enumerate() {
            let own = if self.per_element { self.tau_own * normals[1 + i] } else { 0.0 };
            *deviation = (*deviation * libm::exp(shared + own)).min(self.deviation_max).max(self.deviation_min);
        }

        perturbation(seed, generation, index, x);
        for (i, x) in x.iter_mut().enumerate() {
            let from = if self.mixed { choose(i) } else { parent };
            let deviation = deviations[if self.per_element { i } else { 0 }];
            *x = self.parents[from * n + i] + deviation * *x;
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.u8(u8::from(self.per_element));
        out.u8(u8::from(self.mixed));
        out.f64(self.tau_shared);
        out.f64(self.tau_own);
        out.f64(self.deviation_min);
        out.f64(self.deviation_max);
        out.u32((self.parents.len() / self.dimension) as u32);
        out.u32((self.deviations.len() / self.width()) as u32);
        out.f64s(&self.parents);
        out.f64s(&self.deviations);
    }

    pub(super) fn read(from: &mut Reader<'_>, dimension: usize) -> Result<Mutants, SnapshotError> {
        let (per_element, mixed) = (from.bool()?, from.bool()?);
        let (tau_shared, tau_own) = (from.finite()?, from.finite()?);
        let (deviation_min, deviation_max) = (from.finite()?, from.finite()?);
        let (parents, rows) = (from.u32()? as usize, from.u32()? as usize);
        if parents == 0 || (rows != 1 && rows != parents) {
            return Err(SnapshotError::Damaged("the number of parents is out of range"));
        }
        let width = if per_element { dimension } else { 1 };
        let parents = from.finites(parents * dimension)?;
        let deviations = from.finites(rows * width)?;
        Ok(Mutants {
            dimension,
            parents,
            deviations,
            per_element,
            mixed,
            tau_shared,
            tau_own,
            deviation_min,
            deviation_max,
        })
    }
}
