//! Sobol' sequences: points that cover every axis, and most pairs of axes, more evenly than chance does.
//!
//! Sources: direction numbers by Joe and Kuo, "Constructing Sobol' sequences with better two-dimensional projections",
//! SIAM J. Sci. Comput. 30 (2008); the recurrence in their "Notes on generating Sobol' sequences", equation 1; Gray code
//! order after Antonov and Saleev (1979). Scrambling by a random lower triangular matrix and a digital shift: Matoušek,
//! "On the L2-discrepancy for anchored boxes", J. Complexity 14 (1998). It keeps the net property and makes averages
//! over seeds unbiased.

use tumble_domain::Seed;
use tumble_domain::seed::Stream;

use crate::noise::word64;

/// So many dimensions are on board.
pub(super) const AXES_MAX: usize = 1024;

/// Binary digits of a coordinate, and of a point's number.
const BITS: usize = 64;

/// For each dimension its primitive polynomial and as many initial numbers as its degree; see `data/README.md`.
const NUMBERS: &[u8] = include_bytes!("../../data/sobol-joe-kuo-6.u16");

#[derive(Clone, Debug)]
pub(super) struct Sobol {
    axes: Vec<Directions>,
}

/// What turns a point's number into its place on one axis: bit `j` of the number flips the digits `columns[j]`.
#[derive(Clone, Debug)]
struct Directions {
    columns: [u64; BITS],
    shift: u64,
}

impl Sobol {
    /// The sequence as published.
    fn plain(axes: usize) -> Sobol {
        let mut numbers = NUMBERS.chunks_exact(2).map(|pair| u64::from(u16::from_le_bytes([pair[0], pair[1]])));
        Sobol { axes: (0..axes).map(|_| Directions::next(&mut numbers)).collect() }
    }

    /// The sequence under a seed, scrambled on each axis for itself.
    pub(super) fn scrambled(seed: Seed, axes: usize) -> Sobol {
        let mut sobol = Sobol::plain(axes);
        for (axis, directions) in sobol.axes.iter_mut().enumerate() {
            directions.scramble(seed, axis);
        }
        sobol
    }

    /// Where point `point` stands on axis `axis`, in units of 2⁻⁶⁴.
    pub(super) fn fraction(&self, point: u64, axis: usize) -> u64 {
        let Directions { columns, shift } = &self.axes[axis];
        let mut gray = point ^ (point >> 1);
        let mut digits = *shift;
        while gray != 0 {
            digits ^= columns[gray.trailing_zeros() as usize];
            gray &= gray - 1;
        }
        digits
    }
}

impl Directions {
    /// Reads the numbers of the next dimension and continues them by the recurrence of its polynomial.
    fn next(numbers: &mut impl Iterator<Item = u64>) -> Directions {
        let mut read = || numbers.next().expect("the file has numbers for AXES_MAX dimensions, as a test sees");
        let polynomial = read();
        let degree = polynomial.ilog2() as usize;
        let mut columns = [0u64; BITS];
        for (j, column) in columns.iter_mut().enumerate().take(degree) {
            *column = read() << (BITS - 1 - j);
        }
        for j in degree..BITS {
            columns[j] = if degree == 0 {
                // The first dimension has no polynomial: the digits of the number, mirrored (van der Corput).
                1 << (BITS - 1 - j)
            } else {
                (1..degree)
                    .filter(|k| polynomial >> (degree - k) & 1 == 1)
                    .fold(columns[j - degree] ^ columns[j - degree] >> degree, |digits, k| digits ^ columns[j - k])
            };
        }
        Directions { columns, shift: 0 }
    }

    fn scramble(&mut self, seed: Seed, axis: usize) {
        let random = |row: usize| word64(seed.noise(Stream::Design, axis as u32 & 0xFF_FFFF, row as u32, 0, 0), 0);
        let plain = self.columns;
        self.columns = [0; BITS];
        for row in 0..BITS {
            // Digit `row`, counted from the most significant, keeps itself and takes on earlier ones at random.
            let own = 1 << (BITS - 1 - row);
            let earlier = !(u64::MAX >> row);
            let mask = random(row) & earlier | own;
            for (column, digits) in self.columns.iter_mut().zip(&plain) {
                if (mask & digits).count_ones() % 2 == 1 {
                    *column |= own;
                }
            }
        }
        self.shift = random(BITS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direction_numbers_are_those_that_were_published() {
        assert_eq!(
            blake3::hash(NUMBERS).to_hex().as_str(),
            "74028034ac431581dc48e6d27921a0b1675bea240c83e696d5678a6445ed2d74"
        );
        let mut numbers = NUMBERS.chunks_exact(2).map(|pair| u64::from(u16::from_le_bytes([pair[0], pair[1]])));
        for _ in 0..AXES_MAX {
            let directions = Directions::next(&mut numbers);
            // Each column brings in a digit of its own, so the matrix can be inverted.
            assert!((0..BITS).all(|j| directions.columns[j].trailing_zeros() as usize == BITS - 1 - j));
        }
        assert_eq!(numbers.next(), None);
    }

    /// The first points of the published sequence, in eighths.
    #[test]
    fn the_plain_sequence_begins_as_published() {
        let eighths = [
            [0, 0, 0, 0, 0, 0],
            [4, 4, 4, 4, 4, 4],
            [6, 2, 2, 2, 6, 6],
            [2, 6, 6, 6, 2, 2],
            [3, 3, 5, 7, 3, 1],
            [7, 7, 1, 3, 7, 5],
            [5, 1, 7, 5, 5, 7],
            [1, 5, 3, 1, 1, 3],
        ];
        let sobol = Sobol::plain(6);
        for (point, row) in eighths.iter().enumerate() {
            for (axis, expected) in row.iter().enumerate() {
                assert_eq!(sobol.fraction(point as u64, axis), expected << 61, "point {point}, axis {axis}");
            }
        }
    }

    /// Made by SciPy 1.17.1, `qmc.Sobol(1024, scramble=False, bits=52)`, in units of 2⁻⁵².
    #[test]
    fn far_points_and_high_dimensions_agree_with_scipy() {
        let sobol = Sobol::plain(AXES_MAX);
        let axes = [0, 1, 2, 40, 499, 1023];
        let cases: [(u64, [u64; 6]); 2] = [
            (
                1000,
                [
                    989560464998400,
                    435406604599296,
                    2335362697396224,
                    4112173487882240,
                    1147890139398144,
                    3214971999617024,
                ],
            ),
            (
                4095,
                [
                    1099511627776,
                    4238617325076480,
                    1505231418425344,
                    904898069659648,
                    4227622208798720,
                    1597590395158528,
                ],
            ),
        ];
        for (point, row) in cases {
            for (axis, expected) in axes.into_iter().zip(row) {
                assert_eq!(sobol.fraction(point, axis), expected << 12, "point {point}, axis {axis}");
            }
        }
    }

    /// The first two dimensions are a (0, m, 2)-net: of the first 2^m points, each of the 2^m rectangles of sides 2^-a
    /// and 2^-(m-a) holds exactly one. Scrambling must not change that, nor that every axis alone is stratified.
    #[test]
    fn scrambled_points_lie_one_in_each_elementary_interval() {
        for seed in 0..5 {
            let sobol = Sobol::scrambled(Seed(seed), 30);
            for m in [1u32, 4, 9] {
                for a in 0..=m {
                    let mut taken = vec![false; 1 << m];
                    for point in 0..1u64 << m {
                        let column = sobol.fraction(point, 0).checked_shr(64 - a).unwrap_or(0);
                        let row = sobol.fraction(point, 1).checked_shr(64 - (m - a)).unwrap_or(0);
                        let place = (column << (m - a) | row) as usize;
                        assert!(!std::mem::replace(&mut taken[place], true), "seed {seed}, 2^{m} points, side 2^-{a}");
                    }
                }
                for axis in 0..30 {
                    let mut cells: Vec<u64> = (0..1u64 << m).map(|p| sobol.fraction(p, axis) >> (64 - m)).collect();
                    cells.sort_unstable();
                    assert!(cells.into_iter().eq(0..1u64 << m), "axis {axis}");
                }
            }
        }
    }

    #[test]
    fn another_seed_gives_another_sequence_with_the_same_mean() {
        let mean = |seed| {
            let sobol = Sobol::scrambled(Seed(seed), 3);
            (0..256).map(|p| sobol.fraction(p, 2) as f64 / 2f64.powi(64)).sum::<f64>() / 256.0
        };
        assert_ne!(mean(1), mean(2));
        assert!((mean(1) - 0.5).abs() < 1.0 / 256.0);
    }
}
