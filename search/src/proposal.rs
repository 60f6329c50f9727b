//! What a strategy proposes: a law from which any worker makes any candidate, by its index alone.

use tumble_domain::Seed;
use tumble_domain::seed::Stream;

use crate::bounds::Bounds;
use crate::codec::{Reader, Writer};
use crate::noise;
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
}

impl Proposal {
    /// How many candidates there are.
    pub fn candidates(&self) -> u32 {
        self.candidates
    }

    /// Elements of each.
    pub fn dimension(&self) -> usize {
        match &self.law {
            Law::Full { mean, .. } | Law::Isotropic { mean, .. } | Law::Antithetic { mean, .. } => mean.len(),
            Law::Uniform { dimension } => *dimension,
        }
    }

    /// Writes candidate `index` into `into`.
    ///
    /// # Panics
    /// If `into` has another length than [`Proposal::dimension`].
    pub fn candidate(&self, index: u32, into: &mut [f64]) {
        assert_eq!(into.len(), self.dimension(), "a candidate has one number for each dimension");
        match &self.law {
            Law::Full { mean, sigma, axes } => {
                let mut z = vec![0.0; into.len()];
                perturbation(self.seed, self.generation, index, &mut z);
                combine(axes, &z, into);
                scale_and_shift(into, *sigma, mean);
            }
            Law::Isotropic { mean, sigma } => {
                perturbation(self.seed, self.generation, index, into);
                scale_and_shift(into, *sigma, mean);
            }
            Law::Antithetic { mean, sigma } => {
                perturbation(self.seed, self.generation, index / 2, into);
                scale_and_shift(into, if index.is_multiple_of(2) { *sigma } else { -sigma }, mean);
            }
            Law::Uniform { .. } => {
                noise::uniforms(self.seed, Stream::Perturbation, 0, index, self.generation, into);
                if let Some(bounds) = self.bounds {
                    into.iter_mut().for_each(|x| *x = bounds.low() + bounds.width() * *x);
                }
            }
        }
        if let Some(bounds) = self.bounds {
            match self.law {
                // Inside already, but for the last bit; a fold would bend the even spread at the ends.
                Law::Uniform { .. } => into.iter_mut().for_each(|x| *x = x.clamp(bounds.low(), bounds.high())),
                _ => into.iter_mut().for_each(|x| *x = bounds.fold(*x)),
            }
        }
    }

    /// The bytes that [`Proposal::decode`] reads back exactly; little-endian and versioned.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u16(VERSION);
        out.u8(match self.law {
            Law::Full { .. } => 0,
            Law::Isotropic { .. } => 1,
            Law::Antithetic { .. } => 2,
            Law::Uniform { .. } => 3,
        });
        out.u64(self.seed.0);
        out.u32(self.generation);
        out.u32(self.candidates);
        write_bounds(&mut out, self.bounds);
        out.u32(self.dimension() as u32);
        match &self.law {
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
        let bounds = read_bounds(&mut from)?;
        let dimension = from.u32()? as usize;
        if dimension == 0 || dimension > DIMENSION_MAX {
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
            _ => return Err(SnapshotError::Damaged("the kind of proposal is unknown")),
        };
        from.end()?;
        Ok(Proposal { seed, generation, candidates, bounds, law })
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

/// `Σ_j weights_j row_j`: every element is summed in the order of the rows, so vectors of any width give the same bits.
pub(crate) fn combine(rows: &[f64], weights: &[f64], into: &mut [f64]) {
    into.fill(0.0);
    for (row, weight) in rows.chunks_exact(into.len()).zip(weights) {
        for (x, r) in into.iter_mut().zip(row) {
            *x += weight * r;
        }
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
            Law::Antithetic { mean, sigma: 0.3 },
            Law::Uniform { dimension: 3 },
        ];
        let bounds = Some(Bounds::try_new(-1.5, 2.0).unwrap());
        laws.into_iter().map(|law| Proposal { seed: Seed(9), generation: 4, candidates: 6, bounds, law }).collect()
    }

    fn candidate(proposal: &Proposal, index: u32) -> Vec<f64> {
        let mut x = vec![0.0; proposal.dimension()];
        proposal.candidate(index, &mut x);
        x
    }

    #[test]
    fn a_decoded_proposal_makes_the_same_candidates() {
        for proposal in proposals() {
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
    fn the_two_of_an_antithetic_pair_stand_on_opposite_sides_of_the_mean() {
        let law = Law::Antithetic { mean: vec![0.0; 5], sigma: 0.25 };
        let proposal = Proposal { seed: Seed(1), generation: 0, candidates: 4, bounds: None, law };
        for pair in 0..2 {
            let (a, b) = (candidate(&proposal, 2 * pair), candidate(&proposal, 2 * pair + 1));
            assert!(a.iter().zip(&b).all(|(a, b)| *a == -b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn hostile_bytes_are_refused_and_cost_no_memory() {
        for proposal in proposals() {
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
                        assert_eq!(candidate(&decoded, u32::MAX).len(), 3);
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
