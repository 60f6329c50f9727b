//! Latin hypercube sampling: on each axis, one point in each of as many equal cells as there are points.
//!
//! Source: McKay, Beckman, Conover, "A comparison of three methods for selecting values of input variables", Technometrics
//! 21 (1979). Which cell a point has on an axis is a keyed permutation of the points, computed rather than kept: a
//! Feistel network over two digits, after Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002
//! (generalised Feistel, section 6).

use tumble_domain::Seed;
use tumble_domain::seed::Stream;

use crate::noise::{part_of, word64};

/// Rounds of the network; four make it look random, and more cost little.
const ROUNDS: u32 = 8;

#[derive(Clone, Debug)]
pub(super) struct LatinHypercube {
    seed: Seed,
    points: u64,
    /// The digits of a point: `high * low_base + low`, with `high < high_base`.
    high_base: u64,
    low_base: u64,
}

impl LatinHypercube {
    pub(super) fn new(seed: Seed, points: u64) -> LatinHypercube {
        // The smallest square-like table that holds every point: fewer than `high_base` of its places are left over.
        let low_base = points.isqrt().max(1);
        LatinHypercube { seed, points, high_base: points.div_ceil(low_base), low_base }
    }

    /// Where point `point` stands on axis `axis`, in units of 2⁻⁶⁴: somewhere in its cell.
    pub(super) fn fraction(&self, point: u64, axis: usize) -> u64 {
        let cell = self.cell(point % self.points, axis);
        let jitter = super::random(self.seed, point, axis);
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
        let words =
            self.seed.noise(Stream::Design, axis as u32 & 0xFF_FFFF, digit as u32, (digit >> 32) as u32, 1 + round);
        part_of(word64(words, 0), base)
    }
}
