//! Latin hypercube sampling: on each axis, one point in each of as many equal cells as there are points.
//!
//! Source: McKay, Beckman, Conover, "A comparison of three methods for selecting values of input variables", Technometrics
//! 21 (1979). Which cell a point has on an axis is a keyed permutation of the points, computed rather than kept: a
//! Feistel network over two digits, after Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002
//! (generalised Feistel, section 6).
//!
//! With the criterion `maximin` (Johnson, Moore, Ylvisaker, "Minimax and maximin distance designs", J. Statist. Plann.
//! Inference 26, 1990; of Latin hypercubes Morris and Mitchell, ibid. 43, 1995) several hypercubes are keyed and the one
//! whose closest two points are farthest apart is taken. Every pair is compared, so the number of points is bounded; what
//! is kept is the number of the hypercube, and a point is still computed from its index alone.

use tumble_domain::Seed;
use tumble_domain::seed::Stream;

use crate::noise::{part_of, unit, word64};

/// Rounds of the network; four make it look random, and more cost little.
const ROUNDS: u32 = 8;

/// Hypercubes that `maximin` chooses from. The first is the one that would be taken without the criterion, so the closest
/// two points are never closer than its are.
const VARIANTS: u32 = 64;
/// Blocks of addresses for each of them: the jitter's, and one for each round.
const VARIANT_BLOCKS: u32 = 16;

/// The most points that `maximin` compares, pair by pair: with ten axes that takes a fraction of a second.
pub(super) const MAXIMIN_POINTS_MAX: u64 = 2048;

#[derive(Clone, Debug)]
pub(super) struct LatinHypercube {
    seed: Seed,
    points: u64,
    /// The digits of a point: `high * low_base + low`, with `high < high_base`.
    high_base: u64,
    low_base: u64,
    /// Which of the hypercubes of this seed.
    variant: u32,
}

impl LatinHypercube {
    pub(super) fn new(seed: Seed, points: u64) -> LatinHypercube {
        // The smallest square-like table that holds every point: fewer than `high_base` of its places are left over.
        let low_base = points.isqrt().max(1);
        LatinHypercube { seed, points, high_base: points.div_ceil(low_base), low_base, variant: 0 }
    }

    /// Of several hypercubes the one whose closest two points are farthest apart, measured in the unit cube.
    pub(super) fn maximin(seed: Seed, points: u64, axes: usize) -> LatinHypercube {
        let mut best = LatinHypercube::new(seed, points);
        let mut best_distance = best.least_distance(axes, 0.0);
        for variant in 1..VARIANTS {
            let other = LatinHypercube { variant, ..best.clone() };
            let distance = other.least_distance(axes, best_distance);
            if distance > best_distance {
                (best, best_distance) = (other, distance);
            }
        }
        best
    }

    /// The square of the distance of the two closest points, or, once two are no farther apart than `enough`, theirs.
    pub(super) fn least_distance(&self, axes: usize, enough: f64) -> f64 {
        let place = |point| (0..axes).map(|axis| unit(self.fraction(point, axis))).collect::<Vec<f64>>();
        let mut places: Vec<Vec<f64>> = (0..self.points).map(place).collect();
        // By their first axis, on which no two points share a cell: only neighbours on it can be close.
        places.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let mut least = f64::INFINITY;
        for (i, a) in places.iter().enumerate() {
            for b in &places[i + 1..] {
                if (b[0] - a[0]) * (b[0] - a[0]) >= least {
                    break;
                }
                least = least.min(a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum());
                if least <= enough {
                    return least;
                }
            }
        }
        least
    }

    /// Where point `point` stands on axis `axis`, in units of 2⁻⁶⁴: somewhere in its cell.
    pub(super) fn fraction(&self, point: u64, axis: usize) -> u64 {
        let cell = self.cell(point % self.points, axis);
        let jitter = super::random(self.seed, point, axis, self.variant * VARIANT_BLOCKS);
        ((u128::from(cell) << 64 | u128::from(jitter)) / u128::from(self.points)) as u64
    }

    /// The cell of a point on an axis: a permutation of `0..points`, another for each axis.
    pub(super) fn cell(&self, point: u64, axis: usize) -> u64 {
        let mut place = point;
        // A place that no point has is sent on until it reaches one that is taken: the cycle it is on has one.
        loop {
            place = self.shuffle(place, axis);
            if place < self.points {
                return place;
            }
        }
    }

    /// A permutation of the whole table.
    fn shuffle(&self, place: u64, axis: usize) -> u64 {
        let (mut high, mut low) = (place / self.low_base, place % self.low_base);
        for round in 0..ROUNDS {
            if round % 2 == 0 {
                high = (high + self.shift(axis, round, low, self.high_base)) % self.high_base;
            } else {
                low = (low + self.shift(axis, round, high, self.low_base)) % self.low_base;
            }
        }
        high * self.low_base + low
    }

    /// How far one digit moves when the other is `digit`. Block 0 of these addresses belongs to the jitter.
    fn shift(&self, axis: usize, round: u32, digit: u64, base: u64) -> u64 {
        // A digit of at most 2^32 points a side: its high word is 0 or, at the very edge, 1.
        let block = self.variant * VARIANT_BLOCKS + 1 + round;
        let words = self.seed.noise(Stream::Design, axis as u32 & 0xFF_FFFF, digit as u32, (digit >> 32) as u32, block);
        part_of(word64(words, 0), base)
    }
}
