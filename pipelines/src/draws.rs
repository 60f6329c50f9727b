//! Numbers drawn under a trial's seed, each row at an address of its own.
//!
//! Normals come from the inverse distribution function rather than from the table of quantiles that perturbations use:
//! an experiment's data should have real tails, and it draws few enough to afford them.

use tumble_domain::Seed;
use tumble_domain::seed::Stream;
use tumble_search::noise;

/// The address of a row of numbers: `tensor` tells what they are for, `member` and `generation` which row of that.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    /// The trial's seed.
    pub seed: Seed,
    /// What the numbers are for; below 2^24.
    pub tensor: u32,
    /// Which row of that.
    pub member: u32,
    /// Which row of that, once more.
    pub generation: u32,
}

impl Draws {
    /// The first row of this tensor.
    pub fn of(seed: Seed, tensor: u32) -> Draws {
        Draws { seed, tensor, member: 0, generation: 0 }
    }

    /// Fills a row with standard normals.
    pub fn normals(self, row: &mut [f64]) {
        self.uniforms(row);
        row.iter_mut().for_each(|u| *u = normal(*u));
    }

    /// Fills a row with numbers from 0 to 1, 1 not among them.
    pub fn uniforms(self, row: &mut [f64]) {
        noise::uniforms(self.seed, Stream::Evaluator, self.tensor, self.member, self.generation, row);
    }

    /// Fills a row with 32-bit words.
    pub fn words(self, row: &mut [u32]) {
        for (block, four) in (0..).zip(row.chunks_mut(4)) {
            let words = self.seed.noise(Stream::Evaluator, self.tensor, self.member, self.generation, block);
            four.copy_from_slice(&words[..four.len()]);
        }
    }
}

/// The normal that a uniform number from [0, 1) stands for.
fn normal(uniform: f64) -> f64 {
    // At 0 the quantile is infinite; half a step above it, it is not.
    noise::inverse_normal(uniform.max(0.5 / (1u64 << 53) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bounds are four standard errors of each moment of 200,000 normals.
    #[test]
    fn normals_have_the_moments_and_tails_of_the_normal_distribution() {
        let mut row = vec![0.0; 200_000];
        Draws::of(Seed(3), 1).normals(&mut row);
        let n = row.len() as f64;
        let moment = |power: i32| row.iter().map(|x| x.powi(power)).sum::<f64>() / n;
        for (power, exact, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let error = 4.0 * f64::sqrt(variance / n);
            assert!((moment(power) - exact).abs() < error, "moment {power}: {}", moment(power));
        }
        let beyond = row.iter().filter(|x| x.abs() > 3.0).count() as f64;
        assert!((beyond - 0.0026998 * n).abs() < 4.0 * f64::sqrt(0.0027 * n), "{beyond} beyond three sigmas");
    }

    #[test]
    fn no_uniform_number_makes_an_infinite_normal() {
        let largest = 1.0 - 1.0 / (1u64 << 53) as f64;
        assert!(normal(0.0).is_finite() && normal(0.0) < -8.0, "{}", normal(0.0));
        assert!(normal(largest).is_finite() && normal(largest) > 8.0, "{}", normal(largest));
    }

    #[test]
    fn a_shorter_row_is_the_beginning_of_a_longer_one() {
        let draws = Draws { seed: Seed(9), tensor: 2, member: 5, generation: 1 };
        let (mut long, mut short) = ([0.0; 8], [0.0; 3]);
        draws.normals(&mut long);
        draws.normals(&mut short);
        assert_eq!(short, long[..3]);
        let (mut long, mut short) = ([0; 8], [0; 6]);
        draws.words(&mut long);
        draws.words(&mut short);
        assert_eq!(short, long[..6]);
    }
}
