//! What a strategy proposes: a law from which any worker makes any candidate, by its index alone.

mod low_rank;
mod mutants;
mod offspring;

use tumble_domain::Seed;
use tumble_domain::seed::Stream;

pub use self::low_rank::{Factors, Perturbed};
pub(crate) use self::low_rank::{LowRank, NoiseKind, RANK_MAX, TENSORS_MAX, WHOLE};
pub(crate) use self::mutants::{DEVIATION_LIMITS, Mutants};
pub(crate) use self::offspring::Offspring;
use crate::bounds::Bounds;
use crate::codec::{Reader, Writer};
use crate::grain::{Grain, all_real, read_grains, settled, write_grains};
use crate::noise;
use crate::strategies::{read_points, write_points};
use crate::strategy::{SnapshotError, StateHash};

/// The version of the bytes.
const VERSION: u16 = 1;

/// The most elements of a candidate: a vector of them has 1 GiB. What is longer can only be damage.
pub const DIMENSION_MAX: usize = 1 << 27;

/// One generation's candidates. A candidate depends on the proposal and its index, so workers need no other state.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    pub(crate) seed: Seed,
    pub(crate) generation: u32,
    pub(crate) candidates: u32,
    /// Folded into these after the law has spoken.
    pub(crate) bounds: Option<Bounds>,
    pub(crate) law: Law,
}

/// How candidates are spread. `z` is the candidate's own standard normal vector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Law {
    /// `mean + σ Σ_j z_j axis_j`: axis `j`, the row `j` of `axes`, is an eigenvector of the covariance as long as the
    /// square root of its eigenvalue.
    Full { mean: Vec<f64>, sigma: f64, axes: Vec<f64> },
    /// `mean + σ z`.
    Isotropic { mean: Vec<f64>, sigma: f64 },
    /// `mean ± σ z`: candidates `2p` and `2p + 1` share the `z` of pair `p`.
    Antithetic { mean: Vec<f64>, sigma: f64 },
    /// Evenly over the bounds.
    Uniform { dimension: usize },
    /// `mean + deviations ∘ z`.
    Diagonal { mean: Vec<f64>, deviations: Vec<f64> },
    /// `mean + σ d`, where `d` begins as `z` and each row of `rows` in turn stretches it; see [`chain`].
    Chain { mean: Vec<f64>, sigma: f64, rates: Vec<f64>, rows: Vec<f64> },
    /// `mean_g + σ_g z`: the candidates are split evenly, in order, over the groups, of which there is at least one.
    Groups { groups: Vec<Group> },
    /// Children that mutate their own step sizes.
    Mutants(Mutants),
    /// `mean ± deviations ∘ z`: candidates `2p` and `2p + 1` share the `z` of pair `p`.
    Mirrored { mean: Vec<f64>, deviations: Vec<f64> },
    /// Candidate `i` is row `i` of `points`, clamped to the bounds.
    Explicit { dimension: usize, points: Vec<f64> },
    /// Children of a genetic algorithm.
    Offspring(Offspring),
    /// A mean made of tensors, and perturbations of low rank.
    LowRank(LowRank),
    /// Candidate `i` is one number: the `i`-th of these points of a design, which rise.
    Points { points: Vec<u32> },
    /// Another law whose coordinates are divided: those that are stand in the middle of the cell that the law leads to, or
    /// of the nearest. Never inside another of its kind; the proposal has bounds.
    Stepped { law: Box<Law>, grains: Vec<Grain> },
}

/// One group of [`Law::Groups`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    pub(crate) mean: Vec<f64>,
    pub(crate) sigma: f64,
}

/// The candidates of a generation as they are given, by rows of `dimension` numbers.
pub fn given(generation: u32, dimension: usize, points: &[f64]) -> Proposal {
    Proposal {
        // Nothing is drawn.
        seed: Seed(0),
        generation,
        candidates: (points.len() / dimension) as u32,
        bounds: None,
        law: Law::Explicit { dimension, points: points.to_vec() },
    }
}

impl Proposal {
    /// How many candidates there are.
    pub fn candidates(&self) -> u32 {
        self.candidates
    }

    /// Elements of each.
    pub fn dimension(&self) -> usize {
        match self.parts().0 {
            Law::Full { mean, .. }
            | Law::Isotropic { mean, .. }
            | Law::Antithetic { mean, .. }
            | Law::Diagonal { mean, .. }
            | Law::Chain { mean, .. }
            | Law::Mirrored { mean, .. } => mean.len(),
            Law::Uniform { dimension } | Law::Explicit { dimension, .. } => *dimension,
            Law::Groups { groups } => groups[0].mean.len(),
            Law::Mutants(mutants) => mutants.dimension,
            Law::Offspring(offspring) => offspring.dimension,
            Law::LowRank(law) => law.mean.len(),
            Law::Points { .. } => 1,
            Law::Stepped { .. } => unreachable!("a stepped law holds another"),
        }
    }

    /// This proposal with divided coordinates, if any of them is.
    pub(crate) fn stepped(mut self, grains: &[Grain]) -> Proposal {
        if !all_real(grains) {
            self.law = Law::Stepped { law: Box::new(self.law), grains: grains.to_vec() };
        }
        self
    }

    /// The law, and how its coordinates are divided: nothing where all are real.
    fn parts(&self) -> (&Law, &[Grain]) {
        match &self.law {
            Law::Stepped { law, grains } => (law, grains),
            law => (law, &[]),
        }
    }

    /// Writes candidate `index` into `into`.
    ///
    /// # Panics
    /// If `into` has another length than [`Proposal::dimension`], or if candidates are listed and `index` is not below
    /// [`Proposal::candidates`].
    pub fn candidate(&self, index: u32, into: &mut [f64]) {
        assert_eq!(into.len(), self.dimension(), "a candidate has one number for each dimension");
        let (law, grains) = self.parts();
        match law {
            Law::Full { mean, sigma, axes } => {
                let mut z = vec![0.0; into.len()];
                perturbation(self.seed, self.generation, index, &mut z);
                combine(axes, &z, into);
                scale_and_shift(into, *sigma, mean);
            }
            Law::Isotropic { .. }
            | Law::Antithetic { .. }
            | Law::Uniform { .. }
            | Law::Diagonal { .. }
            | Law::Mirrored { .. } => return self.piece(index, 0, into),
            Law::Chain { mean, sigma, rates, rows } => {
                perturbation(self.seed, self.generation, index, into);
                chain(rows, rates, into);
                scale_and_shift(into, *sigma, mean);
            }
            Law::Groups { groups } => {
                let each = (self.candidates / groups.len() as u32).max(1);
                let group = &groups[((index / each) as usize).min(groups.len() - 1)];
                perturbation(self.seed, self.generation, index, into);
                scale_and_shift(into, group.sigma, &group.mean);
            }
            Law::Mutants(mutants) => {
                let mut deviations = vec![0.0; mutants.width()];
                mutants.child(self.seed, self.generation, index, into, &mut deviations);
            }
            Law::Explicit { dimension, points } => {
                into.copy_from_slice(&points[index as usize * dimension..][..*dimension]);
            }
            Law::Offspring(offspring) => offspring.child(self.seed, self.generation, index, grains, into),
            Law::Points { points } => into[0] = f64::from(points[index as usize]),
            Law::LowRank(law) => law.candidate(self.seed, index, into),
            Law::Stepped { .. } => unreachable!("a stepped law holds another"),
        }
        self.hold_in_bounds(into);
    }

    /// Whether [`Proposal::piece`] makes pieces: whether every element follows from its own noise alone.
    pub fn has_pieces(&self) -> bool {
        match self.law {
            Law::Isotropic { .. }
            | Law::Antithetic { .. }
            | Law::Uniform { .. }
            | Law::Diagonal { .. }
            | Law::Mirrored { .. } => true,
            Law::Full { .. }
            | Law::Chain { .. }
            | Law::Groups { .. }
            | Law::Mutants(_)
            | Law::Explicit { .. }
            | Law::Offspring(_)
            | Law::LowRank(_)
            | Law::Points { .. }
            | Law::Stepped { .. } => false,
        }
    }

    /// Writes the elements of candidate `index` from element `from` on into `into`, to the bit what
    /// [`Proposal::candidate`] writes there, so that an evaluator may use a long candidate without ever holding it.
    ///
    /// # Panics
    /// Unless [`Proposal::has_pieces`] and the piece lies within the candidate.
    pub fn piece(&self, index: u32, from: usize, into: &mut [f64]) {
        let within = from..from + into.len();
        assert!(within.end <= self.dimension(), "a piece lies within its candidate");
        // Of a stepped law as well, for `candidate`: coordinates of such laws are divided where they are held in bounds.
        match self.parts().0 {
            Law::Isotropic { mean, sigma } => {
                perturbation_from(self.seed, self.generation, index, from, into);
                scale_and_shift(into, *sigma, &mean[within]);
            }
            Law::Antithetic { mean, sigma } => {
                perturbation_from(self.seed, self.generation, index / 2, from, into);
                scale_and_shift(into, if index.is_multiple_of(2) { *sigma } else { -sigma }, &mean[within]);
            }
            Law::Uniform { .. } => {
                noise::uniforms_at(self.seed, Stream::Perturbation, [0, index, self.generation], from, into);
                if let Some(bounds) = self.bounds {
                    into.iter_mut().for_each(|x| *x = bounds.low() + bounds.width() * *x);
                }
            }
            Law::Diagonal { mean, deviations } => {
                perturbation_from(self.seed, self.generation, index, from, into);
                let (mean, deviations) = (&mean[within.clone()], &deviations[within]);
                into.iter_mut().zip(mean).zip(deviations).for_each(|((x, m), d)| *x = m + d * *x);
            }
            Law::Mirrored { mean, deviations } => {
                perturbation_from(self.seed, self.generation, index / 2, from, into);
                let sign = if index.is_multiple_of(2) { 1.0 } else { -1.0 };
                let (mean, deviations) = (&mean[within.clone()], &deviations[within]);
                into.iter_mut().zip(mean).zip(deviations).for_each(|((x, m), d)| *x = m + sign * (d * *x));
            }
            Law::Full { .. }
            | Law::Chain { .. }
            | Law::Groups { .. }
            | Law::Mutants(_)
            | Law::Explicit { .. }
            | Law::Offspring(_)
            | Law::LowRank(_)
            | Law::Points { .. }
            | Law::Stepped { .. } => panic!("candidates of this law are made whole; ask `has_pieces` first"),
        }
        self.hold_in_bounds(into);
    }

    /// What is done to every element after the law has spoken.
    fn hold_in_bounds(&self, into: &mut [f64]) {
        if let Some(bounds) = self.bounds {
            let (law, grains) = self.parts();
            let hold = match law {
                // Inside already, but for the last bit; a fold would bend the even spread at the ends, and move a point
                // that a strategy placed there.
                Law::Uniform { .. } | Law::Explicit { .. } => {
                    |bounds: Bounds, x: f64| x.clamp(bounds.low(), bounds.high())
                }
                _ => Bounds::fold,
            };
            for (i, x) in into.iter_mut().enumerate() {
                *x = match grains.get(i).copied().unwrap_or(Grain::Real) {
                    Grain::Real => hold(bounds, *x),
                    grain => settled(*x, grain),
                };
            }
        }
    }

    /// Which point of a design candidate `index` is, if this is a rung of a sweep.
    ///
    /// # Panics
    /// If points are listed and `index` is not below [`Proposal::candidates`].
    pub fn point(&self, index: u32) -> Option<u32> {
        match &self.law {
            Law::Points { points } => Some(points[index as usize]),
            _ => None,
        }
    }

    /// Candidate `index` as a shared mean and a perturbation of low rank, where the strategy perturbs so and nothing is
    /// folded into bounds: whether it is there depends on the law alone, and is the same for every candidate.
    pub fn perturbed(&self, index: u32) -> Option<Perturbed<'_>> {
        match &self.law {
            Law::LowRank(law) if self.bounds.is_none() => Some(Perturbed { law, seed: self.seed, index }),
            _ => None,
        }
    }

    /// The bytes that [`Proposal::decode`] reads back exactly; little-endian and versioned.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u16(VERSION);
        let (law, grains) = self.parts();
        out.u8(match law {
            Law::Full { .. } => 0,
            Law::Isotropic { .. } => 1,
            Law::Antithetic { .. } => 2,
            Law::Uniform { .. } => 3,
            Law::Diagonal { .. } => 4,
            Law::Chain { .. } => 5,
            Law::Groups { .. } => 6,
            Law::Mutants(_) => 7,
            Law::Mirrored { .. } => 8,
            Law::Explicit { .. } => 9,
            Law::Offspring(_) => 10,
            Law::LowRank(_) => 11,
            Law::Points { .. } => 12,
            Law::Stepped { .. } => unreachable!("a stepped law holds another"),
        });
        out.u64(self.seed.0);
        out.u32(self.generation);
        out.u32(self.candidates);
        write_space(&mut out, self.bounds, grains);
        out.u32(self.dimension() as u32);
        match law {
            Law::Full { mean, sigma, axes } => {
                out.f64(*sigma);
                out.f64s(mean);
                out.f64s(axes);
            }
            Law::Isotropic { mean, sigma } | Law::Antithetic { mean, sigma } => {
                out.f64(*sigma);
                out.f64s(mean);
            }
            Law::Uniform { .. } => {}
            Law::Diagonal { mean, deviations } | Law::Mirrored { mean, deviations } => {
                out.f64s(mean);
                out.f64s(deviations);
            }
            Law::Chain { mean, sigma, rates, rows } => {
                out.f64(*sigma);
                out.f64s(mean);
                out.counted_f64s(rates);
                out.f64s(rows);
            }
            Law::Groups { groups } => {
                out.u32(groups.len() as u32);
                for group in groups {
                    out.f64(group.sigma);
                    out.f64s(&group.mean);
                }
            }
            Law::Mutants(mutants) => mutants.write(&mut out),
            Law::Explicit { points, .. } => out.f64s(points),
            Law::Offspring(offspring) => offspring.write(&mut out),
            Law::LowRank(law) => law.write(&mut out),
            Law::Points { points } => write_points(&mut out, points),
            Law::Stepped { .. } => unreachable!("a stepped law holds another"),
        }
        out.into_bytes()
    }

    /// Reads a proposal that came from elsewhere. Whatever the bytes, this allocates no more than they hold.
    pub fn decode(bytes: &[u8]) -> Result<Proposal, SnapshotError> {
        let mut from = Reader::new(bytes);
        let version = from.u16()?;
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        let kind = from.u8()?;
        let seed = Seed(from.u64()?);
        let generation = from.u32()?;
        let candidates = from.u32()?;
        let (bounds, grains) = read_space(&mut from)?;
        let dimension = from.u32()? as usize;
        if dimension == 0 || dimension > DIMENSION_MAX || !(grains.is_empty() || grains.len() == dimension) {
            return Err(SnapshotError::Damaged("the dimension is out of range"));
        }
        let law = match kind {
            0 => {
                let sigma = from.finite()?;
                let mean = from.finites(dimension)?;
                Law::Full { sigma, mean, axes: from.finites(dimension * dimension)? }
            }
            1 => Law::Isotropic { sigma: from.finite()?, mean: from.finites(dimension)? },
            2 => Law::Antithetic { sigma: from.finite()?, mean: from.finites(dimension)? },
            3 if bounds.is_some() => Law::Uniform { dimension },
            4 => Law::Diagonal { mean: from.finites(dimension)?, deviations: from.finites(dimension)? },
            5 => {
                let (sigma, mean) = (from.finite()?, from.finites(dimension)?);
                let count = from.u32()? as usize;
                let rates = from.finites(count)?;
                Law::Chain { mean, sigma, rates, rows: from.finites(count * dimension)? }
            }
            6 => {
                let count = from.u32()?;
                if count == 0 {
                    return Err(SnapshotError::Damaged("there is no group"));
                }
                let mut groups = Vec::new();
                for _ in 0..count {
                    groups.push(Group { sigma: from.finite()?, mean: from.finites(dimension)? });
                }
                Law::Groups { groups }
            }
            7 => Law::Mutants(Mutants::read(&mut from, dimension)?),
            8 => Law::Mirrored { mean: from.finites(dimension)?, deviations: from.finites(dimension)? },
            9 => Law::Explicit { dimension, points: from.finites(candidates as usize * dimension)? },
            10 => Law::Offspring(Offspring::read(&mut from, dimension)?),
            11 => Law::LowRank(LowRank::read(&mut from, dimension)?),
            12 if dimension == 1 => Law::Points { points: read_points(&mut from, candidates as usize)? },
            _ => return Err(SnapshotError::Damaged("the kind of proposal is unknown")),
        };
        from.end()?;
        Ok(Proposal { seed, generation, candidates, bounds, law }.stepped(&grains))
    }

    /// The hash of [`Proposal::encode`].
    pub fn hash(&self) -> StateHash {
        StateHash::of(&self.encode())
    }
}

/// The normal vector of one member of a generation.
pub(crate) fn perturbation(seed: Seed, generation: u32, member: u32, into: &mut [f64]) {
    noise::normals(seed, Stream::Perturbation, 0, member, generation, into);
}

/// As [`perturbation`] for the elements from `from` on.
pub(crate) fn perturbation_from(seed: Seed, generation: u32, member: u32, from: usize, into: &mut [f64]) {
    noise::normals_at(seed, Stream::Perturbation, [0, member, generation], from, into);
}

/// One of `count`, each as likely: choice number `element` of a member of a generation.
pub(crate) fn choice(seed: Seed, member: u32, generation: u32, element: u32, count: usize) -> usize {
    let words = seed.noise(Stream::Choice, 0, member, generation, element / 2);
    noise::part_of(noise::word64(words, element as usize % 2), count as u64) as usize
}

/// `Σ_j weights_j row_j`: every element is summed in the order of the rows, so vectors of any width give the same bits.
pub(crate) fn combine(rows: &[f64], weights: &[f64], into: &mut [f64]) {
    into.fill(0.0);
    for (row, weight) in rows.chunks_exact(into.len()).zip(weights) {
        for (x, r) in into.iter_mut().zip(row) {
            *x += weight * r;
        }
    }
}

/// Stretches `d` along one row after another, `d ← (1 − c_j) d + c_j row_j (row_jᵀ d)` with `c_j` from `rates`: what a
/// product of n × n matrices would do, at the cost of its rows.
pub(crate) fn chain(rows: &[f64], rates: &[f64], d: &mut [f64]) {
    for (row, rate) in rows.chunks_exact(d.len()).zip(rates) {
        let along: f64 = row.iter().zip(&*d).map(|(r, d)| r * d).sum();
        d.iter_mut().zip(row).for_each(|(d, r)| *d = (1.0 - rate) * *d + rate * (along * r));
    }
}

pub(crate) fn write_bounds(out: &mut Writer, bounds: Option<Bounds>) {
    out.u8(u8::from(bounds.is_some()));
    if let Some(bounds) = bounds {
        out.f64(bounds.low());
        out.f64(bounds.high());
    }
}

pub(crate) fn read_bounds(from: &mut Reader<'_>) -> Result<Option<Bounds>, SnapshotError> {
    if !from.bool()? {
        return Ok(None);
    }
    let (low, high) = (from.finite()?, from.finite()?);
    Bounds::try_new(low, high).map(Some).map_err(|_| SnapshotError::Damaged("the bounds are not an interval"))
}

/// Bounds, and the grains of a search whose coordinates are divided.
pub(crate) fn write_space(out: &mut Writer, bounds: Option<Bounds>, grains: &[Grain]) {
    let Some(bounds) = bounds.filter(|_| !all_real(grains)) else { return write_bounds(out, bounds) };
    // The flag of bounds is 0 or 1 where all is real, as it was before anything was divided.
    out.u8(2);
    out.f64(bounds.low());
    out.f64(bounds.high());
    out.u32(grains.len() as u32);
    write_grains(out, grains);
}

/// What [`write_space`] wrote. There are no grains where all is real.
pub(crate) fn read_space(from: &mut Reader<'_>) -> Result<(Option<Bounds>, Vec<Grain>), SnapshotError> {
    let flag = from.u8()?;
    if flag > 2 {
        return Err(SnapshotError::Damaged("the kind of bounds is unknown"));
    }
    if flag == 0 {
        return Ok((None, Vec::new()));
    }
    let (low, high) = (from.finite()?, from.finite()?);
    let bounds = Bounds::try_new(low, high).map_err(|_| SnapshotError::Damaged("the bounds are not an interval"))?;
    if flag == 1 {
        return Ok((Some(bounds), Vec::new()));
    }
    let count = from.u32()? as usize;
    let grains = read_grains(from, count)?;
    if all_real(&grains) {
        return Err(SnapshotError::Damaged("no coordinate is divided"));
    }
    Ok((Some(bounds), grains))
}

fn scale_and_shift(x: &mut [f64], sigma: f64, mean: &[f64]) {
    x.iter_mut().zip(mean).for_each(|(x, m)| *x = m + sigma * *x);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposals() -> Vec<Proposal> {
        let mean = vec![0.5, -1.0, 2.0];
        let laws = [
            Law::Full { mean: mean.clone(), sigma: 0.3, axes: (0..9).map(|i| f64::from(i) * 0.1).collect() },
            Law::Isotropic { mean: mean.clone(), sigma: 0.3 },
            Law::Antithetic { mean: mean.clone(), sigma: 0.3 },
            Law::Uniform { dimension: 3 },
            Law::Diagonal { mean: mean.clone(), deviations: vec![0.1, 0.2, 0.3] },
            Law::Chain { mean: mean.clone(), sigma: 0.3, rates: vec![0.5, 0.25], rows: vec![0.5; 6] },
            Law::Groups { groups: [0.1, 0.4].map(|sigma| Group { mean: mean.clone(), sigma }).to_vec() },
            Law::Mutants(Mutants {
                dimension: 3,
                parents: [mean.clone(), vec![0.0; 3]].concat(),
                deviations: vec![0.1, 0.2],
                per_element: false,
                mixed: false,
                tau_shared: 0.3,
                tau_own: 0.0,
                deviation_min: 0.01,
                deviation_max: 10.0,
            }),
            Law::Mutants(Mutants {
                dimension: 3,
                parents: [mean.clone(), vec![0.0; 3]].concat(),
                deviations: vec![0.1, 0.2, 0.3],
                per_element: true,
                mixed: true,
                tau_shared: 0.3,
                tau_own: 0.2,
                deviation_min: 0.01,
                deviation_max: 10.0,
            }),
            Law::Mirrored { mean: mean.clone(), deviations: vec![0.1, 0.2, 0.3] },
            Law::Explicit { dimension: 3, points: (0..18).map(|i| f64::from(i) * 0.2 - 1.5).collect() },
            Law::Offspring(Offspring {
                dimension: 3,
                parents: [mean, vec![0.0; 3]].concat(),
                elite: 1,
                crossover: 0.5,
                sigma: 0.3,
            }),
        ];
        let bounds = Some(Bounds::try_new(-1.5, 2.0).unwrap());
        laws.into_iter().map(|law| Proposal { seed: Seed(9), generation: 4, candidates: 6, bounds, law }).collect()
    }

    /// The laws that strategies on divided coordinates use.
    fn stepped() -> Vec<Proposal> {
        let laws = [
            Law::Full { mean: vec![0.5, 0.4, 0.6], sigma: 0.3, axes: (1..10).map(|i| f64::from(i) * 0.1).collect() },
            Law::Uniform { dimension: 3 },
            Law::Explicit { dimension: 3, points: (0..18).map(|i| f64::from(i) * 0.07 - 0.1).collect() },
            Law::Offspring(Offspring {
                dimension: 3,
                parents: vec![0.5, 0.05, 0.5, 0.2, 0.95, 0.875],
                elite: 1,
                crossover: 0.5,
                sigma: 0.3,
            }),
        ];
        let bounds = Some(Bounds::try_new(0.0, 1.0).unwrap());
        let grains = [Grain::Real, Grain::Integer { steps: 10 }, Grain::Category { choices: 4 }];
        laws.into_iter()
            .map(|law| Proposal { seed: Seed(9), generation: 4, candidates: 6, bounds, law }.stepped(&grains))
            .collect()
    }

    #[test]
    fn a_divided_coordinate_stands_in_the_middle_of_a_cell_and_a_real_one_anywhere() {
        for proposal in stepped() {
            let reals: Vec<f64> = (0..6)
                .map(|i| {
                    let x = candidate(&proposal, i);
                    assert!(
                        (0.0..=1.0).contains(&x[0]) && (0..10).any(|k| x[1] == (f64::from(k) + 0.5) / 10.0),
                        "{x:?}"
                    );
                    assert!([0.125, 0.375, 0.625, 0.875].contains(&x[2]), "{x:?}");
                    x[0]
                })
                .collect();
            assert!(reals.windows(2).all(|pair| pair[0] != pair[1]), "{reals:?}");
        }
    }

    fn candidate(proposal: &Proposal, index: u32) -> Vec<f64> {
        let mut x = vec![0.0; proposal.dimension()];
        proposal.candidate(index, &mut x);
        x
    }

    #[test]
    fn a_decoded_proposal_makes_the_same_candidates() {
        for proposal in proposals().into_iter().chain(stepped()) {
            let copy = Proposal::decode(&proposal.encode()).unwrap();
            assert_eq!(copy, proposal);
            assert_eq!(copy.hash(), proposal.hash());
            assert!((0..6).all(|i| candidate(&copy, i) == candidate(&proposal, i)));
        }
    }

    #[test]
    fn candidates_stay_in_bounds_and_differ() {
        for proposal in proposals() {
            for i in 0..6 {
                let x = candidate(&proposal, i);
                assert!(x.iter().all(|x| (-1.5..=2.0).contains(x)), "{x:?}");
                assert!((0..i).all(|j| candidate(&proposal, j) != x));
            }
        }
    }

    #[test]
    fn a_candidate_put_together_from_pieces_is_the_candidate_to_the_bit() {
        let n = 203;
        let row = |offset: f64| (0..n).map(|i| offset + 0.01 * f64::from(i)).collect::<Vec<f64>>();
        let laws = [
            Law::Isotropic { mean: row(-1.0), sigma: 0.3 },
            Law::Antithetic { mean: row(-1.0), sigma: 0.3 },
            Law::Uniform { dimension: n as usize },
            Law::Diagonal { mean: row(-1.0), deviations: row(0.1) },
            Law::Mirrored { mean: row(-1.0), deviations: row(0.1) },
        ];
        for law in laws {
            for bounds in [None, Some(Bounds::try_new(-1.0, 0.5).unwrap())] {
                let proposal = Proposal { seed: Seed(9), generation: 4, candidates: 6, bounds, law: law.clone() };
                assert!(proposal.has_pieces());
                for index in [0, 1, 5] {
                    let whole = candidate(&proposal, index);
                    // Pieces of every length, so they begin and end anywhere within a block of noise.
                    let (mut made, mut from) = (Vec::new(), 0);
                    for length in (1..).take_while(|length| length * (length - 1) / 2 < n as usize) {
                        let mut piece = vec![0.0; length.min(n as usize - from)];
                        proposal.piece(index, from, &mut piece);
                        from += piece.len();
                        made.extend(piece);
                    }
                    assert_eq!(made, whole);
                }
            }
        }
        assert!(proposals().iter().filter(|proposal| proposal.has_pieces()).count() == 5);
    }

    #[test]
    fn the_two_of_an_antithetic_pair_stand_on_opposite_sides_of_the_mean() {
        let law = Law::Antithetic { mean: vec![0.0; 5], sigma: 0.25 };
        let proposal = Proposal { seed: Seed(1), generation: 0, candidates: 4, bounds: None, law };
        for pair in 0..2 {
            let (a, b) = (candidate(&proposal, 2 * pair), candidate(&proposal, 2 * pair + 1));
            assert!(a.iter().zip(&b).all(|(a, b)| *a == -b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_mirrored_pair_stands_on_opposite_sides_and_every_element_has_its_own_width() {
        let law = Law::Mirrored { mean: vec![0.0; 3], deviations: vec![0.0, 1.0, 8.0] };
        let proposal = Proposal { seed: Seed(1), generation: 0, candidates: 4, bounds: None, law };
        for pair in 0..2 {
            let (a, b) = (candidate(&proposal, 2 * pair), candidate(&proposal, 2 * pair + 1));
            assert!(a.iter().zip(&b).all(|(a, b)| *a == -b), "{a:?} {b:?}");
            let mut z = [0.0; 3];
            perturbation(Seed(1), 0, pair, &mut z);
            assert_eq!(a, [0.0, z[1], 8.0 * z[2]]);
        }
    }

    #[test]
    fn listed_points_are_candidates_to_the_bit_even_on_the_bounds() {
        let points = vec![-1.5, 2.0, -1.4999, 1.999, 0.1, 0.3];
        let bounds = Some(Bounds::try_new(-1.5, 2.0).unwrap());
        let law = Law::Explicit { dimension: 2, points: points.clone() };
        let proposal = Proposal { seed: Seed(1), generation: 3, candidates: 3, bounds, law };
        assert_eq!((0..3).flat_map(|i| candidate(&proposal, i)).collect::<Vec<_>>(), points);
    }

    #[test]
    fn hostile_bytes_are_refused_and_cost_no_memory() {
        for proposal in proposals().into_iter().chain(stepped()) {
            let bytes = proposal.encode();
            for cut in 0..bytes.len() {
                assert!(Proposal::decode(&bytes[..cut]).is_err());
            }
            for at in 0..bytes.len() {
                for flip in [1, 0x80, 0xFF] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= flip;
                    // Either refused, or a proposal that can be used.
                    if let Ok(decoded) = Proposal::decode(&damaged)
                        && decoded.dimension() == 3
                    {
                        let last = match decoded.parts().0 {
                            Law::Explicit { .. } => decoded.candidates - 1,
                            _ => u32::MAX,
                        };
                        assert_eq!(candidate(&decoded, last).len(), 3);
                    }
                }
            }
            assert!(Proposal::decode(&[bytes, vec![0]].concat()).is_err());
        }
        // A full law that claims 2^27 dimensions.
        let mut claim = proposals()[0].encode();
        let at = 2 + 1 + 8 + 4 + 4 + 17;
        claim[at..at + 4].copy_from_slice(&(1u32 << 27).to_le_bytes());
        assert_eq!(Proposal::decode(&claim), Err(SnapshotError::Damaged("it ends too early")));
        assert_eq!(Proposal::decode(&[9, 0]), Err(SnapshotError::Version(9)));
    }
}
