//! Low-rank perturbations: the noise of a matrix is a product of two thin ones, so an evaluator need not write it out.
//!
//! Source: Sarkar et al., "Evolution strategies at the hyperscale", arXiv:2511.16652, equations 4 to 6 and appendices G to I
//! for whole numbers.
//!
//! A member of a generation perturbs each matrix of m × n numbers by σ E, E = A Bᵀ / √r, where A has m × r and B has n × r
//! standard normal numbers; a vector is perturbed by full normal noise. Where noise is of whole numbers, A and B hold normals
//! times 16 with the fraction cut off, E = A Bᵀ, and a vector's noise is the product of two of them, element by element.
//!
//! Tensor `t` of the genome draws A (or a vector's normals) as tensor `2 t` of the noise's address, and B as `2 t + 1`; both
//! by rows. The address's member is the pair, or the candidate where there are no pairs; its generation is
//! [`LowRank::noise_generation`]. So a genome that is one vector meets the noise that `open-ai-es` gives it.

use std::ops::Range;

use tumble_domain::seed::Stream;
use tumble_domain::{Seed, Shape};

use super::DIMENSION_MAX;
use crate::codec::{Reader, Writer};
use crate::noise;
use crate::parallel;
use crate::strategy::SnapshotError;

/// The highest rank: more than this is no longer low, and the addresses of its noise stay within their 32 bits.
pub(crate) const RANK_MAX: u32 = 512;

/// Tensors have 24 bits in an address, and each takes two.
pub(crate) const TENSORS_MAX: usize = 1 << 23;

/// Rows of a matrix whose sums are made at a time: B is made anew for each such piece. A multiple of eight, so that each
/// piece of A begins with a block of noise.
const ROWS: usize = 128;

/// How many products are added in the time that one normal takes to make.
const PRODUCTS: usize = 4;

/// Products of a column of A and one of B that are added in one pass over the sums.
const TERMS: usize = 8;

/// What whole numbers stand for: sixteenths of a normal's deviation.
pub(crate) const WHOLE: f64 = 16.0;

/// What noise is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoiseKind {
    /// Standard normal numbers.
    Normal,
    /// Sixteen times that, the fraction cut off: −69 to 69.
    Whole,
}

/// How a generation is spread around its mean.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LowRank {
    pub(crate) mean: Vec<f64>,
    /// Of the tensors that the mean is made of, in order. Their elements are as many as the mean's.
    pub(crate) shapes: Vec<Shape>,
    /// r.
    pub(crate) rank: u32,
    pub(crate) sigma: f64,
    pub(crate) noise_kind: NoiseKind,
    /// Candidates `2 p` and `2 p + 1` are the two signs of pair `p`.
    pub(crate) antithetic: bool,
    /// Vectors stay where they are.
    pub(crate) freeze_vectors: bool,
    /// The generation in the noise's address, which generations may share.
    pub(crate) noise_generation: u32,
}

/// Which of the two thin matrices, or a vector's two factors.
#[derive(Clone, Copy)]
enum Side {
    A = 0,
    B = 1,
}

impl LowRank {
    /// Whose noise a candidate has, and its sign.
    fn member(&self, index: u32) -> (u32, f64) {
        match self.antithetic {
            true => (index / 2, if index.is_multiple_of(2) { 1.0 } else { -1.0 }),
            false => (index, 1.0),
        }
    }

    /// What A Bᵀ is multiplied by to be E.
    fn shrink(&self, shape: Shape) -> f64 {
        match self.noise_kind {
            NoiseKind::Normal if shape.is_matrix() => 1.0 / f64::from(self.rank).sqrt(),
            _ => 1.0,
        }
    }

    /// Whether this tensor stays where it is. A genome without a matrix is searched all the same.
    pub(crate) fn is_frozen(&self, shape: Shape) -> bool {
        self.freeze_vectors && !shape.is_matrix() && self.shapes.iter().any(|other| other.is_matrix())
    }

    /// Where each tensor's numbers are, with its index and shape.
    pub(crate) fn places(&self) -> impl Iterator<Item = (u32, Shape, Range<usize>)> {
        let mut end = 0;
        (0..).zip(&self.shapes).map(move |(tensor, shape)| {
            let start = end;
            end += shape.elements() as usize;
            (tensor, *shape, start..end)
        })
    }

    /// Numbers of one side from element `first` on, a multiple of eight.
    fn draw(&self, seed: Seed, tensor: u32, side: Side, member: u32, first: usize, into: &mut [f64]) {
        let address = [2 * tensor + side as u32, member, self.noise_generation];
        noise::normals_at(seed, Stream::Perturbation, address, first, into);
        if self.noise_kind == NoiseKind::Whole {
            into.iter_mut().for_each(|x| *x = (WHOLE * *x).trunc());
        }
    }

    /// The noise of a vector from element `first` on, a multiple of eight.
    fn draw_vector(&self, seed: Seed, tensor: u32, member: u32, first: usize, into: &mut [f64]) {
        self.draw(seed, tensor, Side::A, member, first, into);
        if self.noise_kind == NoiseKind::Whole {
            let mut other = vec![0.0; into.len()];
            self.draw(seed, tensor, Side::B, member, first, &mut other);
            into.iter_mut().zip(&other).for_each(|(x, y)| *x *= y);
        }
    }

    /// Writes a candidate's numbers of one tensor, whose numbers in the mean are `mean`.
    fn write_tensor(&self, seed: Seed, index: u32, tensor: u32, mean: &[f64], into: &mut [f64]) {
        let shape = self.shapes[tensor as usize];
        let (member, sign) = self.member(index);
        if self.is_frozen(shape) {
            into.copy_from_slice(mean);
        } else if shape.is_matrix() {
            let factors = self.factors(seed, member, sign, tensor);
            let (rank, columns) = (self.rank as usize, shape.columns as usize);
            let rows = into.chunks_exact_mut(columns).zip(mean.chunks_exact(columns)).zip(factors.a.chunks_exact(rank));
            for ((row, mean), a) in rows {
                for ((x, m), b) in row.iter_mut().zip(mean).zip(factors.b.chunks_exact(rank)) {
                    let e: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                    *x = m + factors.scale * e;
                }
            }
        } else {
            self.draw_vector(seed, tensor, member, 0, into);
            let scale = sign * self.sigma;
            into.iter_mut().zip(mean).for_each(|(x, m)| *x = m + scale * *x);
        }
    }

    fn factors(&self, seed: Seed, member: u32, sign: f64, tensor: u32) -> Factors {
        let shape = self.shapes[tensor as usize];
        let rank = self.rank as usize;
        let mut a = vec![0.0; shape.rows as usize * rank];
        let mut b = vec![0.0; shape.columns as usize * rank];
        self.draw(seed, tensor, Side::A, member, 0, &mut a);
        self.draw(seed, tensor, Side::B, member, 0, &mut b);
        Factors { rank, scale: sign * (self.sigma * self.shrink(shape)), a, b }
    }

    /// Candidate `index`.
    pub(crate) fn candidate(&self, seed: Seed, index: u32, into: &mut [f64]) {
        for (tensor, _, place) in self.places() {
            self.write_tensor(seed, index, tensor, &self.mean[place.clone()], &mut into[place]);
        }
    }

    /// `Σ_p weights_p E_p` over the members of the noise, in place of what is in `into`.
    ///
    /// Every element is summed over members in their order, and within one over the columns of A and B, whatever piece it
    /// lies in. Of whole numbers the sums are exact: each is less than 2^53, which `the_sums_of_whole_noise_stay_exact` holds.
    pub(crate) fn weighted_sum(&self, seed: Seed, weights: &[f64], into: &mut [f64]) {
        into.fill(0.0);
        for (tensor, shape, place) in self.places() {
            let into = &mut into[place];
            if into.is_empty() || self.is_frozen(shape) {
                continue;
            }
            let terms = weights.len() * self.rank as usize;
            if shape.is_matrix() {
                let columns = shape.columns as usize;
                parallel::pieces_of(ROWS * columns, [into], terms.div_ceil(PRODUCTS), |start, [sums]| {
                    self.sum_rows(seed, weights, tensor, start / columns, sums);
                });
            } else {
                parallel::pieces([into], weights.len(), |start, [sums]| {
                    self.sum_vector(seed, weights, tensor, start, sums);
                });
            }
        }
    }

    /// The sums of whole rows of a matrix from row `first` on.
    fn sum_rows(&self, seed: Seed, weights: &[f64], tensor: u32, first: usize, sums: &mut [f64]) {
        let shape = self.shapes[tensor as usize];
        let (rank, columns) = (self.rank as usize, shape.columns as usize);
        let rows = sums.len() / columns;
        let (mut a, mut b) = (vec![0.0; rows * rank], vec![0.0; columns * rank]);
        // Each term is a column of A, times the weight, and one of B.
        let (mut left, mut right) = (vec![0.0; TERMS * rows], vec![0.0; TERMS * columns]);
        let mut terms = 0;
        for (member, weight) in (0..).zip(weights).filter(|(_, weight)| **weight != 0.0) {
            self.draw(seed, tensor, Side::A, member, first * rank, &mut a);
            self.draw(seed, tensor, Side::B, member, 0, &mut b);
            for k in 0..rank {
                let column = left[terms * rows..][..rows].iter_mut();
                column.zip(a.iter().skip(k).step_by(rank)).for_each(|(c, a)| *c = weight * a);
                let column = right[terms * columns..][..columns].iter_mut();
                column.zip(b.iter().skip(k).step_by(rank)).for_each(|(c, b)| *c = *b);
                terms += 1;
                if terms == TERMS {
                    add_all_terms(&left, &right, columns, sums);
                    terms = 0;
                }
            }
        }
        for (left, right) in left.chunks_exact(rows).zip(right.chunks_exact(columns)).take(terms) {
            for (row, l) in sums.chunks_exact_mut(columns).zip(left) {
                row.iter_mut().zip(right).for_each(|(sum, r)| *sum += l * r);
            }
        }
        let shrink = self.shrink(shape);
        sums.iter_mut().for_each(|sum| *sum *= shrink);
    }

    /// The sums of a vector from element `first` on.
    fn sum_vector(&self, seed: Seed, weights: &[f64], tensor: u32, first: usize, sums: &mut [f64]) {
        let mut z = vec![0.0; sums.len()];
        for (member, weight) in (0..).zip(weights).filter(|(_, weight)| **weight != 0.0) {
            self.draw_vector(seed, tensor, member, first, &mut z);
            sums.iter_mut().zip(&z).for_each(|(sum, z)| *sum += weight * z);
        }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u8(match self.noise_kind {
            NoiseKind::Normal => 0,
            NoiseKind::Whole => 1,
        });
        out.u32(self.rank);
        out.f64(self.sigma);
        out.u8(u8::from(self.antithetic));
        out.u8(u8::from(self.freeze_vectors));
        out.u32(self.noise_generation);
        out.u32(self.shapes.len() as u32);
        for shape in &self.shapes {
            out.u32(shape.rows);
            out.u32(shape.columns);
        }
        match self.noise_kind {
            NoiseKind::Normal => out.f64s(&self.mean),
            // One byte a weight, and so on its way to every worker.
            NoiseKind::Whole => self.mean.iter().for_each(|x| out.u8(*x as i8 as u8)),
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>, dimension: usize) -> Result<LowRank, SnapshotError> {
        let noise_kind = match from.u8()? {
            0 => NoiseKind::Normal,
            1 => NoiseKind::Whole,
            _ => return Err(SnapshotError::Damaged("the kind of noise is unknown")),
        };
        let rank = from.u32()?;
        let sigma = from.finite()?;
        let (antithetic, freeze_vectors, noise_generation) = (from.bool()?, from.bool()?, from.u32()?);
        let count = from.u32()? as usize;
        let mut shapes = Vec::new();
        for _ in 0..count {
            shapes.push(Shape { rows: from.u32()?, columns: from.u32()? });
        }
        let elements = shapes.iter().map(|shape| shape.elements()).fold(0u64, u64::saturating_add);
        if !(1..=RANK_MAX).contains(&rank)
            || shapes.len() > TENSORS_MAX
            || dimension == 0
            || dimension > DIMENSION_MAX
            || elements != dimension as u64
        {
            return Err(SnapshotError::Damaged("the rank or the tensors are out of range"));
        }
        let mean = match noise_kind {
            NoiseKind::Normal => from.finites(dimension)?,
            NoiseKind::Whole => from.raw(dimension)?.iter().map(|byte| f64::from(*byte as i8)).collect(),
        };
        Ok(LowRank { mean, shapes, rank, sigma, noise_kind, antithetic, freeze_vectors, noise_generation })
    }
}

/// Adds `TERMS` products in one pass: element (i, j) takes `left_t[i] right_t[j]`, term after term.
fn add_all_terms(left: &[f64], right: &[f64], columns: usize, sums: &mut [f64]) {
    let rows = sums.len() / columns;
    let column = |t: usize| &right[t * columns..][..columns];
    let [b0, b1, b2, b3, b4, b5, b6, b7]: [&[f64]; TERMS] = std::array::from_fn(column);
    for (i, row) in sums.chunks_exact_mut(columns).enumerate() {
        let c: [f64; TERMS] = std::array::from_fn(|t| left[t * rows + i]);
        let row = &mut row[..columns];
        for j in 0..columns {
            // One order for the sum, and a vector of columns for the processor.
            let sum = row[j] + c[0] * b0[j] + c[1] * b1[j] + c[2] * b2[j] + c[3] * b3[j];
            row[j] = sum + c[4] * b4[j] + c[5] * b5[j] + c[6] * b6[j] + c[7] * b7[j];
        }
    }
}

/// A candidate that is a shared mean and a low-rank perturbation of its own, for evaluators that never write it out.
#[derive(Clone, Copy, Debug)]
pub struct Perturbed<'a> {
    pub(super) law: &'a LowRank,
    pub(super) seed: Seed,
    pub(super) index: u32,
}

impl<'a> Perturbed<'a> {
    /// What all candidates of the generation share, one number for each element.
    pub fn mean(&self) -> &'a [f64] {
        &self.law.mean
    }

    /// The tensors that a candidate is made of, in order.
    pub fn shapes(&self) -> &'a [Shape] {
        &self.law.shapes
    }

    /// Where a tensor's numbers are.
    ///
    /// # Panics
    /// If there is no such tensor; so do the other methods that take one.
    pub fn place(&self, tensor: usize) -> Range<usize> {
        let start = self.law.shapes[..tensor].iter().map(|shape| shape.elements() as usize).sum();
        start..start + self.law.shapes[tensor].elements() as usize
    }

    /// The perturbation of a matrix; `None` for a vector, which [`Perturbed::tensor`] writes in full.
    pub fn low_rank(&self, tensor: usize) -> Option<Factors> {
        let (member, sign) = self.law.member(self.index);
        self.law.shapes[tensor].is_matrix().then(|| self.law.factors(self.seed, member, sign, tensor as u32))
    }

    /// Writes the candidate's own numbers of one tensor, the same that [`super::Proposal::candidate`] writes.
    ///
    /// # Panics
    /// If `into` has another length than the tensor.
    pub fn tensor(&self, tensor: usize, into: &mut [f64]) {
        self.law.write_tensor(self.seed, self.index, tensor as u32, &self.law.mean[self.place(tensor)], into);
    }
}

/// A perturbation `scale · A Bᵀ` of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    rank: usize,
    scale: f64,
    a: Vec<f64>,
    b: Vec<f64>,
}

impl Factors {
    /// Columns of A and B.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// What the product is multiplied by: ±σ/√r, the sign being that of the candidate within its pair.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// A, by rows: `rank` numbers for each row of the matrix.
    pub fn a(&self) -> &[f64] {
        &self.a
    }

    /// B, by rows: `rank` numbers for each column of the matrix.
    pub fn b(&self) -> &[f64] {
        &self.b
    }

    /// Adds `scale · A (Bᵀ x)` to `y`: what the perturbation adds to the product of the matrix and a column `x`.
    pub fn add_product(&self, x: &[f64], y: &mut [f64]) {
        add_through(self.scale, &self.b, &self.a, self.rank, x, y);
    }

    /// Adds `scale · (x A) Bᵀ` to `y`: what the perturbation adds to the product of a row `x` and the matrix.
    pub fn add_row_product(&self, x: &[f64], y: &mut [f64]) {
        add_through(self.scale, &self.a, &self.b, self.rank, x, y);
    }
}

/// `y += scale · out (inᵀ x)`, where `into` and `out` have `rank` numbers in a row.
fn add_through(scale: f64, into: &[f64], out: &[f64], rank: usize, x: &[f64], y: &mut [f64]) {
    let mut between = vec![0.0; rank];
    for (x, row) in x.iter().zip(into.chunks_exact(rank)) {
        between.iter_mut().zip(row).for_each(|(t, b)| *t += b * x);
    }
    between.iter_mut().for_each(|t| *t *= scale);
    for (y, row) in y.iter_mut().zip(out.chunks_exact(rank)) {
        *y += row.iter().zip(&between).map(|(a, t)| a * t).sum::<f64>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Proposal;
    use crate::proposal::Law;

    const SHAPES: [Shape; 4] = [
        Shape { rows: 300, columns: 7 },
        Shape { rows: 11, columns: 1 },
        Shape { rows: 1, columns: 2100 },
        Shape { rows: 2, columns: 65 },
    ];

    fn law(rank: u32, noise_kind: NoiseKind) -> LowRank {
        let n = SHAPES.iter().map(|shape| shape.elements()).sum::<u64>() as usize;
        LowRank {
            mean: (0..n).map(|i| (i % 5) as f64 - 2.0).collect(),
            shapes: SHAPES.to_vec(),
            rank,
            sigma: 0.25,
            noise_kind,
            antithetic: true,
            freeze_vectors: false,
            noise_generation: 3,
        }
    }

    fn proposal(law: LowRank) -> Proposal {
        Proposal { seed: Seed(8), generation: 9, candidates: 6, bounds: None, law: Law::LowRank(law) }
    }

    fn candidate(proposal: &Proposal, index: u32) -> Vec<f64> {
        let mut x = vec![0.0; proposal.dimension()];
        proposal.candidate(index, &mut x);
        x
    }

    /// Numbers straight from the addresses that the head tells of.
    fn drawn(tensor: u32, member: u32, count: usize, noise_kind: NoiseKind) -> Vec<f64> {
        let mut made = vec![0.0; count];
        noise::normals(Seed(8), Stream::Perturbation, tensor, member, 3, &mut made);
        match noise_kind {
            NoiseKind::Normal => made,
            NoiseKind::Whole => made.into_iter().map(|z| f64::from((16.0 * z) as i8)).collect(),
        }
    }

    /// E of one member, element by element as its definition reads.
    fn perturbation(rank: usize, noise_kind: NoiseKind, member: u32) -> Vec<f64> {
        let mut e = Vec::new();
        for (t, shape) in (0..).zip(SHAPES) {
            let (rows, columns) = (shape.rows as usize, shape.columns as usize);
            if shape.is_matrix() {
                let (a, b) = (
                    drawn(2 * t, member, rows * rank, noise_kind),
                    drawn(2 * t + 1, member, columns * rank, noise_kind),
                );
                let shrink = if noise_kind == NoiseKind::Normal { (rank as f64).sqrt() } else { 1.0 };
                for i in 0..rows {
                    e.extend(
                        (0..columns)
                            .map(|j| (0..rank).map(|k| a[i * rank + k] * b[j * rank + k]).sum::<f64>() / shrink),
                    );
                }
            } else {
                let (a, b) = (
                    drawn(2 * t, member, rows * columns, noise_kind),
                    drawn(2 * t + 1, member, rows * columns, noise_kind),
                );
                e.extend(a.iter().zip(&b).map(|(a, b)| if noise_kind == NoiseKind::Normal { *a } else { a * b }));
            }
        }
        e
    }

    #[track_caller]
    fn near(made: &[f64], expected: &[f64]) {
        assert_eq!(made.len(), expected.len());
        let size = expected.iter().fold(1.0f64, |m, x| m.max(x.abs()));
        let furthest = made.iter().zip(expected).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(furthest <= 1e-13 * size, "{furthest} apart, of {size}");
    }

    #[test]
    fn a_candidate_is_its_mean_and_its_signed_noise_and_the_side_path_gives_the_same() {
        for (rank, noise_kind) in [(1, NoiseKind::Normal), (4, NoiseKind::Normal), (3, NoiseKind::Whole)] {
            let proposal = proposal(law(rank, noise_kind));
            let Law::LowRank(law) = &proposal.law else { unreachable!() };
            for index in [0, 1, 5] {
                let e = perturbation(rank as usize, noise_kind, index / 2);
                let sign = if index % 2 == 0 { 1.0 } else { -1.0 };
                let expected: Vec<f64> = law.mean.iter().zip(&e).map(|(m, e)| m + sign * 0.25 * e).collect();
                let made = candidate(&proposal, index);
                near(&made, &expected);

                let perturbed = proposal.perturbed(index).unwrap();
                assert_eq!((perturbed.mean(), perturbed.shapes()), (&*law.mean, &SHAPES[..]));
                for (t, shape) in SHAPES.iter().enumerate() {
                    let place = perturbed.place(t);
                    let mut alone = vec![f64::NAN; place.len()];
                    perturbed.tensor(t, &mut alone);
                    assert_eq!(alone, made[place.clone()]);
                    assert_eq!(perturbed.low_rank(t).is_some(), shape.is_matrix());
                    let Some(factors) = perturbed.low_rank(t) else { continue };
                    // W x and x W, with the matrix written out and without.
                    let (rows, columns) = (shape.rows as usize, shape.columns as usize);
                    let x: Vec<f64> = (0..rows.max(columns)).map(|i| (i % 7) as f64 - 3.0).collect();
                    let product = |w: &[f64]| -> Vec<f64> {
                        w.chunks_exact(columns).map(|row| row.iter().zip(&x).map(|(w, x)| w * x).sum()).collect()
                    };
                    let row_product = |w: &[f64]| -> Vec<f64> {
                        (0..columns).map(|j| (0..rows).map(|i| x[i] * w[i * columns + j]).sum()).collect()
                    };
                    let (mut y, mut z) = (product(&law.mean[place.clone()]), row_product(&law.mean[place.clone()]));
                    factors.add_product(&x[..columns], &mut y);
                    factors.add_row_product(&x[..rows], &mut z);
                    near(&y, &product(&made[place.clone()]));
                    near(&z, &row_product(&made[place]));
                }
            }
        }
    }

    #[test]
    fn a_weighted_sum_is_that_of_the_members_written_out() {
        for (rank, noise_kind) in [
            (1, NoiseKind::Normal),
            (3, NoiseKind::Normal),
            (16, NoiseKind::Normal),
            (1, NoiseKind::Whole),
            (2, NoiseKind::Whole),
        ] {
            let law = law(rank, noise_kind);
            let weights: Vec<f64> = match noise_kind {
                NoiseKind::Normal => (0..21).map(|p| libm::sin(f64::from(p))).collect(),
                NoiseKind::Whole => (0..21).map(|p| f64::from(p % 3 - 1)).collect(),
            };
            let mut expected = vec![0.0; law.mean.len()];
            for (member, weight) in (0..).zip(&weights) {
                let e = perturbation(rank as usize, noise_kind, member);
                expected.iter_mut().zip(&e).for_each(|(sum, e)| *sum += weight * e);
            }
            let mut made = vec![f64::NAN; law.mean.len()];
            law.weighted_sum(Seed(8), &weights, &mut made);
            match noise_kind {
                NoiseKind::Normal => near(&made, &expected),
                NoiseKind::Whole => assert_eq!(made, expected, "sums of whole numbers are exact"),
            }
        }
    }

    /// Whatever the pieces: a sum over the rows of one piece is that over all rows.
    #[test]
    fn the_bits_of_a_sum_do_not_depend_on_the_piece_it_lies_in() {
        let law = law(3, NoiseKind::Normal);
        let weights: Vec<f64> = (0..13).map(|p| libm::cos(f64::from(p))).collect();
        let mut whole = vec![0.0; 300 * 7];
        law.sum_rows(Seed(8), &weights, 0, 0, &mut whole);
        for (first, rows) in [(0, 300), (8, 1), (128, 128), (256, 44), (296, 4)] {
            let mut piece = vec![0.0; rows * 7];
            law.sum_rows(Seed(8), &weights, 0, first, &mut piece);
            assert_eq!(piece, whole[first * 7..][..rows * 7]);
        }
    }

    /// 16 times the end of the table's support, cut off; the most terms that a sum can have.
    #[test]
    fn the_sums_of_whole_noise_stay_exact() {
        let mut most = 0.0f64;
        for member in 0..2000 {
            most = drawn(0, member, 1000, NoiseKind::Whole).into_iter().fold(most, |m, x| m.max(x.abs()));
        }
        assert_eq!(most, 69.0);
        let terms = f64::from(crate::strategies::POPULATION_MAX / 2) * f64::from(RANK_MAX);
        assert!(most * most * terms < (1u64 << 53) as f64);
    }

    #[test]
    fn frozen_vectors_stay_unless_there_is_nothing_else() {
        let mut law = LowRank { freeze_vectors: true, ..law(1, NoiseKind::Normal) };
        let made = candidate(&proposal(law.clone()), 2);
        let moved = |range: Range<usize>| made[range.clone()].iter().zip(&law.mean[range]).any(|(x, m)| x != m);
        let ends = [2100, 2111, 4211, 4341];
        assert_eq!(
            [moved(0..ends[0]), moved(ends[0]..ends[1]), moved(ends[1]..ends[2]), moved(ends[2]..ends[3])],
            [true, false, false, true]
        );
        let mut sum = vec![f64::NAN; law.mean.len()];
        law.weighted_sum(Seed(1), &[1.0], &mut sum);
        assert!(sum[ends[0]..ends[2]].iter().all(|x| *x == 0.0));

        (law.shapes, law.mean) = (vec![Shape::vector(5)], vec![0.0; 5]);
        assert!(candidate(&proposal(law), 2).iter().all(|x| *x != 0.0));
    }

    #[test]
    fn the_side_path_is_there_for_this_law_without_bounds_alone() {
        let mut proposal = proposal(law(1, NoiseKind::Normal));
        assert!(proposal.perturbed(0).is_some());
        proposal.bounds = Some(crate::Bounds::try_new(-1.0, 1.0).unwrap());
        assert!(proposal.perturbed(0).is_none(), "a fold is not linear");
        let law = Law::Isotropic { mean: vec![0.0], sigma: 1.0 };
        assert!(Proposal { bounds: None, law, ..proposal }.perturbed(0).is_none());
    }
}
