//! The random numbers of BBOB 2009: where the optimum of an instance lies, and how its space is turned.
//!
//! The functions of 2009 are published as numbers, so their generator is a part of their definition: the multiplicative
//! congruential generator of Park and Miller, Commun. ACM 31:1192 (1988), shuffled through 32 places after Bays and
//! Durham, ACM Trans. Math. Softw. 2:59 (1976), and the normals of Box and Muller, Ann. Math. Stat. 29:610 (1958).
//! Nothing else in this program draws from it.

use tumble_domain::Failure;

use super::matrix::Matrix;
use crate::pipeline::Watch;

const MULTIPLIER: u64 = 16_807;
const MODULUS: u64 = (1 << 31) - 1;
const PLACES: usize = 32;

/// How many numbers share a place: a 32nd of the modulus, rounded up, and one more, as it was in 2009.
const PLACE_WIDTH: u64 = 67_108_865;

/// What stands in for a draw of exactly 0, whose logarithm is infinite.
const ALMOST_ZERO: f64 = 1e-99;

/// The generator: an endless row of numbers between 0 and 1.
struct Uniforms {
    state: u64,
    places: [u64; PLACES],
    last: u64,
}

impl Uniforms {
    fn of(seed: u64) -> Uniforms {
        assert!((1..MODULUS).contains(&seed), "the generator stands still at {seed}");
        let mut uniforms = Uniforms { state: seed, places: [0; PLACES], last: 0 };
        // Eight numbers are thrown away, then the places are filled from the last to the first.
        (0..8).for_each(|_| _ = uniforms.step());
        for place in (0..PLACES).rev() {
            uniforms.places[place] = uniforms.step();
        }
        uniforms.last = uniforms.places[0];
        uniforms
    }

    fn step(&mut self) -> u64 {
        self.state = self.state * MULTIPLIER % MODULUS;
        self.state
    }
}

impl Iterator for Uniforms {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        // The last number chooses the place of the next one.
        let place = (self.last / PLACE_WIDTH) as usize;
        let fresh = self.step();
        self.last = std::mem::replace(&mut self.places[place], fresh);
        let uniform = self.last as f64 / MODULUS as f64;
        Some(if uniform == 0.0 { ALMOST_ZERO } else { uniform })
    }
}

/// The first numbers of a seed.
pub(super) fn uniforms(seed: u64, count: usize) -> Vec<f64> {
    Uniforms::of(seed).take(count).collect()
}

/// The first normals of a seed: each takes one number of the first half of the row and one of the second.
pub(super) fn normals(seed: u64, count: usize) -> Vec<f64> {
    let row = uniforms(seed, 2 * count);
    let (radii, angles) = row.split_at(count);
    let normal = |(radius, angle): (&f64, &f64)| {
        let normal = (-2.0 * libm::log(*radius)).sqrt() * libm::cos(2.0 * std::f64::consts::PI * angle);
        if normal == 0.0 { ALMOST_ZERO } else { normal }
    };
    radii.iter().zip(angles).map(normal).collect()
}

/// A point of the grid of step 0.0008 over [-4, 4): where most functions have their optimum.
pub(super) fn optimum(seed: u64, n: usize) -> Vec<f64> {
    let element = |uniform: f64| {
        let element = 8.0 * (1e4 * uniform).floor() / 1e4 - 4.0;
        if element == 0.0 { -1e-5 } else { element }
    };
    uniforms(seed, n).into_iter().map(element).collect()
}

/// A random rotation (or reflection): Gram–Schmidt on columns of normals, each taken once through those before it.
pub(super) fn rotation(seed: u64, n: usize, watch: &Watch) -> Result<Matrix, Failure> {
    let mut columns = normals(seed, n * n);
    for i in 0..n {
        watch.check()?;
        let (done, rest) = columns.split_at_mut(i * n);
        let column = &mut rest[..n];
        for earlier in done.chunks_exact(n) {
            let along: f64 = column.iter().zip(earlier).map(|(c, e)| c * e).sum();
            column.iter_mut().zip(earlier).for_each(|(c, e)| *c -= along * e);
        }
        let length = column.iter().map(|c| c * c).sum::<f64>().sqrt();
        column.iter_mut().for_each(|c| *c /= length);
    }
    Ok(Matrix { n, columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check that Park and Miller give for an implementation: from 1, the number after ten thousand steps.
    #[test]
    fn ten_thousand_steps_from_one_end_where_the_paper_says() {
        let mut uniforms = Uniforms { state: 1, places: [0; PLACES], last: 0 };
        let last = (0..10_000).map(|_| uniforms.step()).last();
        assert_eq!(last, Some(1_043_618_065));
    }

    #[test]
    fn the_largest_number_still_has_its_place() {
        assert_eq!((MODULUS - 1) / PLACE_WIDTH, PLACES as u64 - 1);
    }

    #[test]
    fn rotations_are_orthogonal_and_each_seed_has_its_own() {
        for n in [2, 10, 40, 150] {
            let q = rotation(10_001, n, &Watch::unlimited()).expect("nobody stops it");
            for (i, a) in q.columns.chunks_exact(n).enumerate() {
                for (j, b) in q.columns.chunks_exact(n).enumerate() {
                    let unit = if i == j { 1.0 } else { 0.0 };
                    let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                    assert!((product - unit).abs() < 1e-12, "columns {i} and {j} of {n}: {product}");
                }
            }
            let other = rotation(10_002, n, &Watch::unlimited()).expect("nobody stops it");
            assert!((q.columns[0] - other.columns[0]).abs() > 1e-6, "two seeds begin alike in {n} dimensions");
        }
    }
}
