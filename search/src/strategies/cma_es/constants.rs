//! The constants of CMA-ES: weights, learning rates, damping. They follow from dimension and population alone.

/// Table 1 of arXiv:1604.00772 in the variants of pycma 4.5.0.
#[derive(Clone, Debug)]
pub(super) struct Constants {
    /// One for each candidate, best first: positive ones add up to 1, negative ones shrink the variance.
    pub(super) weights: Vec<f64>,
    pub(super) c_sigma: f64,
    pub(super) d_sigma: f64,
    /// The expected length of a standard normal vector.
    pub(super) chi: f64,
    pub(super) c_c: f64,
    pub(super) c_1: f64,
    pub(super) c_mu: f64,
}

impl Constants {
    pub(super) fn new(dimension: usize, population: usize, active: bool) -> Constants {
        let (n, lambda) = (dimension as f64, population as f64);
        // Eq. 49; then eq. 53 with the positive ones adding up to 1.
        let middle = libm::log((lambda + 1.0) / 2.0);
        let mut weights: Vec<f64> = (1..=population).map(|i| middle - libm::log(i as f64)).collect();
        let positive: f64 = weights.iter().filter(|w| **w > 0.0).sum();
        let negative: f64 = -weights.iter().filter(|w| **w < 0.0).sum::<f64>();
        weights.iter_mut().for_each(|w| *w /= if *w > 0.0 { positive } else { negative });
        let mu_eff = effective(&weights);
        let mu_eff_negative = 1.0 / weights.iter().filter(|w| **w < 0.0).map(|w| w * w).sum::<f64>();

        // Eq. 55, with +3 and at most ½ (pycma; the tutorial has +5 and no cap).
        let c_sigma = ((mu_eff + 2.0) / (n + mu_eff + 3.0)).min(0.5);
        // Eq. 55; large populations in many dimensions are damped up to three times as much (pycma).
        let attenuation = (3.0 * (1.0 - libm::exp2(-n / 9.0))).max(1.0);
        let d_sigma = 1.0 + 2.0 * (attenuation * ((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma;
        // Eq. 56.
        let c_c = (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n);
        // Eq. 57, less for a population under six (pycma).
        let c_1 = (lambda / 6.0).min(1.0) * 2.0 / ((n + 1.3) * (n + 1.3) + mu_eff);
        // Eq. 58.
        let c_mu = (2.0 * (0.25 + mu_eff + 1.0 / mu_eff - 2.0) / ((n + 2.0) * (n + 2.0) + mu_eff)).min(1.0 - c_1);

        // Eq. 50 to 53: the negative ones add up to no more than what leaves C as it is on average, what their own number
        // supports, and what keeps C positive definite.
        let most = if active {
            (1.0 + c_1 / c_mu)
                .min(1.0 + 2.0 * mu_eff_negative / (mu_eff + 2.0))
                .min((1.0 - c_1 - c_mu) / (n * c_mu))
                .max(0.0)
        } else {
            0.0
        };
        weights.iter_mut().filter(|w| **w < 0.0).for_each(|w| *w *= most);

        Constants { weights, c_sigma, d_sigma, chi: expected_length(dimension), c_c, c_1, c_mu }
    }

    /// The weights when only `present` of the candidates count.
    ///
    /// What is missing is cut from the middle, where weights are smallest, so the best stay best and the worst worst
    /// (pycma, `RecombinationWeights.__call__` and `trim_middle`). With fewer than a parent's share left, the upper
    /// half of those are the parents, and their weights add up to 1 again.
    pub(super) fn weights_for(&self, present: usize) -> Vec<f64> {
        let all = self.weights.len();
        let parents = self.weights.iter().filter(|w| **w > 0.0).count();
        if present >= parents {
            let kept_behind = present - parents;
            return [&self.weights[..parents], &self.weights[all - kept_behind..]].concat();
        }
        let half = (present / 2).max(1).min(present);
        let total: f64 = self.weights[..half].iter().sum();
        let mut weights: Vec<f64> = self.weights[..half].iter().map(|w| w / total).collect();
        weights.resize(present - present / 2, 0.0);
        weights.extend_from_slice(&self.weights[all - present / 2..]);
        weights.truncate(present);
        weights
    }
}

/// E‖N(0, I)‖ = √2 Γ((n+1)/2) / Γ(n/2), by its recurrence from two dimensions to the next (pycma; the tutorial has a
/// series of which two terms are used).
fn expected_length(dimension: usize) -> f64 {
    let first = if dimension % 2 == 1 { std::f64::consts::FRAC_2_PI } else { std::f64::consts::FRAC_PI_2 };
    let start = 2 - dimension % 2;
    (start..dimension).step_by(2).fold(first.sqrt(), |length, n| length * (n as f64 + 1.0) / n as f64)
}

/// μ_eff, the variance effective selection mass, eq. 8: of how many equal parents the positive weights are worth.
pub(super) fn effective(weights: &[f64]) -> f64 {
    1.0 / weights.iter().filter(|w| **w > 0.0).map(|w| w * w).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(actual: f64, expected: f64, relative: f64) {
        assert!((actual - expected).abs() <= relative * expected.abs(), "{actual} against {expected}");
    }

    /// The numbers of pycma's own doctest, n = 20 and λ = 12.
    #[test]
    fn the_constants_are_those_of_the_reference() {
        let constants = Constants::new(20, 12, true);
        close(constants.c_1, 0.00437235, 1e-5);
        close(constants.c_mu, 0.00921656, 1e-5);
        close(constants.c_c, 0.171767, 1e-5);
        let expected = [
            0.40240, 0.25339, 0.16622, 0.10438, 0.05640, 0.01721, -0.05019, -0.14062, -0.22038, -0.29173, -0.35628,
            -0.41520,
        ];
        assert_eq!(constants.weights.len(), 12);
        for (weight, expected) in constants.weights.iter().zip(expected) {
            assert!((weight - expected).abs() < 6e-6, "{weight} against {expected}");
        }
    }

    /// (n, λ, d_σ, c_σ, c_1, c_μ, c_c, sum of negative weights), made by pycma 4.5.0.
    #[test]
    fn small_and_large_populations_have_the_references_constants() {
        let cases = [
            (
                10,
                10,
                1.3196142529106334,
                0.3196142529106334,
                0.015283824524751714,
                0.02355177665041747,
                0.29499038303562225,
                -1.648945714440647,
            ),
            (
                4,
                8,
                1.479176368423509,
                0.47917636842350914,
                0.06516742738228268,
                0.06397730769814636,
                0.5,
                -2.018602215800507,
            ),
            (
                10,
                200,
                6.479288271556601,
                0.5,
                0.011093144617544863,
                0.5174989209027093,
                0.3776524226724808,
                -0.09109351062171032,
            ),
            (
                40,
                500,
                9.600070408236311,
                0.5,
                0.0010903194722454727,
                0.13409088007253472,
                0.1430819007355582,
                -0.1612374383678083,
            ),
        ];
        for (n, lambda, d_sigma, c_sigma, c_1, c_mu, c_c, negative) in cases {
            let constants = Constants::new(n, lambda, true);
            close(constants.d_sigma, d_sigma, 1e-13);
            close(constants.c_sigma, c_sigma, 1e-13);
            close(constants.c_1, c_1, 1e-13);
            close(constants.c_mu, c_mu, 1e-12);
            close(constants.c_c, c_c, 1e-13);
            close(constants.weights.iter().filter(|w| **w < 0.0).sum(), negative, 1e-11);
        }
    }

    /// Values of the gamma function's ratio, as pycma tabulates them.
    #[test]
    fn the_expected_length_of_a_normal_vector_is_exact() {
        let cases = [
            (1, 0.7978845608028655),
            (2, 1.2533141373155003),
            (3, 1.595769121605731),
            (10, 3.084327759799864),
            (100, 9.97503163955105),
        ];
        for (n, expected) in cases {
            close(expected_length(n), expected, 1e-14);
        }
    }

    #[test]
    fn weights_are_cut_in_the_middle() {
        let constants = Constants::new(20, 12, true);
        for present in 1..=12 {
            let weights = constants.weights_for(present);
            assert_eq!(weights.len(), present);
            assert!(weights.windows(2).all(|pair| pair[0] >= pair[1]), "{weights:?}");
            close(weights.iter().filter(|w| **w > 0.0).sum(), 1.0, 1e-14);
            // With half of them left, all are parents and none is bad.
            if present != 1 && present != 6 {
                assert_eq!(weights[present - 1], constants.weights[11]);
            }
        }
        assert_eq!(constants.weights_for(12), constants.weights);
    }
}
