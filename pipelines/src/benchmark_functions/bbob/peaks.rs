//! Gallagher's Gaussian peaks, f21 and f22: 101 or 21 hills of random place, shape and height in a turned space.

use super::generator::uniforms;
use super::matrix::Matrix;
use super::warps::ramp;

/// How much sharper the narrowest hill is than the widest.
const CONDITION_MAX: f64 = 1000.0;

/// The heights that the local optima have in even steps; the global one has 10.
const HEIGHTS: (f64, f64) = (1.1, 9.1);

/// The hills. Tables are by element and then by hill, so that the sums of all hills go on side by side.
pub(super) struct Peaks {
    heights: Vec<f64>,
    centres: Vec<f64>,
    sharpness: Vec<f64>,
}

impl Peaks {
    /// The hills of a seed in the space that `rotation` turns to. `sharpness` is the first hill's condition, and the
    /// centres of the others are spread over a cube with sides of `side` around 0.
    pub(super) fn of(seed: u64, count: usize, sharpness: f64, side: f64, rotation: &Matrix) -> Peaks {
        let n = rotation.n;
        let mut heights = vec![10.0];
        heights.extend(ramp(count - 1).map(|step| step * (HEIGHTS.1 - HEIGHTS.0) + HEIGHTS.0));
        let mut conditions = vec![sharpness];
        let levels = order(&uniforms(seed, count - 1));
        conditions.extend(levels.into_iter().map(|level| libm::pow(CONDITION_MAX, level as f64 / (count - 2) as f64)));

        let (mut centres, mut table) = (vec![0.0; n * count], vec![0.0; n * count]);
        let places = uniforms(seed, n * count);
        let mut turned = vec![0.0; n];
        for (hill, (place, condition)) in places.chunks_exact(n).zip(conditions).enumerate() {
            let place: Vec<f64> = place.iter().map(|uniform| side * uniform - side / 2.0).collect();
            rotation.times(&place, &mut turned);
            // The global optimum is kept away from the walls.
            let inwards = if hill == 0 { 0.8 } else { 1.0 };
            let axes = order(&uniforms(seed + 1000 * hill as u64, n));
            for (element, (centre, axis)) in turned.iter().zip(axes).enumerate() {
                centres[element * count + hill] = inwards * centre;
                let exponent = axis as f64 / (n - 1) as f64 - 0.5;
                table[element * count + hill] = libm::pow(condition, exponent);
            }
        }
        Peaks { heights, centres, sharpness: table }
    }

    /// The highest hill's height above a turned point.
    pub(super) fn height(&self, z: &[f64], distances: &mut Vec<f64>) -> f64 {
        let count = self.heights.len();
        distances.clear();
        distances.resize(count, 0.0);
        let tables = self.centres.chunks_exact(count).zip(self.sharpness.chunks_exact(count));
        for (z, (centres, sharpness)) in z.iter().zip(tables) {
            for (distance, (centre, sharpness)) in distances.iter_mut().zip(centres.iter().zip(sharpness)) {
                let away = z - centre;
                *distance += sharpness * (away * away);
            }
        }
        let scale = -0.5 / z.len() as f64;
        let heights = self.heights.iter().zip(&*distances).map(|(h, distance)| h * libm::exp(scale * distance));
        heights.fold(0.0, f64::max)
    }

    /// How many numbers the tables hold.
    pub(super) fn numbers(&self) -> usize {
        self.heights.len() + self.centres.len() + self.sharpness.len()
    }
}

/// The positions of the numbers from the smallest to the largest: a random permutation, if the numbers are random.
fn order(numbers: &[f64]) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..numbers.len()).collect();
    positions.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_ordered_by_their_numbers() {
        assert_eq!(order(&[0.5, 0.1, 0.9, 0.3]), [1, 3, 0, 2]);
    }
}
