//! How the better half of a generation becomes one parent: weights by rank.
//!
//! Source: Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772, section 2 and eq. 49 to 53, with weights
//! for the better half alone.

/// Weights of the μ best, best first; they fall and add up to 1.
#[derive(Clone, Debug)]
pub(super) struct Weights(Vec<f64>);

impl Weights {
    /// `ln head − ln i` for the ranks `i` from 1 to `parents`, made to add up to 1.
    pub(super) fn logarithmic(head: f64, parents: usize) -> Weights {
        Weights::of((1..=parents).map(|i| libm::log(head) - libm::log(i as f64)).collect())
    }

    /// The same for each of the `parents` best.
    pub(super) fn equal(parents: usize) -> Weights {
        Weights::of(vec![1.0; parents])
    }

    fn of(mut weights: Vec<f64>) -> Weights {
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= total);
        Weights(weights)
    }

    /// The weights when only `present` candidates count. As long as there are μ, the μ best are parents; of fewer, the
    /// upper half, for to take all of them would be to select nothing.
    pub(super) fn for_present(&self, present: usize) -> Weights {
        if present >= self.0.len() {
            return self.clone();
        }
        Weights::of(self.0[..(present / 2).max(1)].to_vec())
    }

    /// One for each parent, best first.
    pub(super) fn values(&self) -> &[f64] {
        &self.0
    }

    /// μ_eff, eq. 8: of how many equal parents they are worth.
    pub(super) fn effective(&self) -> f64 {
        1.0 / self.0.iter().map(|w| w * w).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_fall_and_add_up_to_one_however_many_candidates_count() {
        for weights in [Weights::logarithmic(6.5, 6), Weights::equal(5), Weights::logarithmic(2.0, 1)] {
            for present in 1..=8 {
                let cut = weights.for_present(present);
                assert!((cut.values().iter().sum::<f64>() - 1.0).abs() < 1e-15, "{cut:?}");
                assert!(cut.values().windows(2).all(|pair| pair[0] >= pair[1]), "{cut:?}");
                assert!(cut.values().len() <= present.max(1));
            }
        }
        assert_eq!(Weights::logarithmic(6.5, 6).for_present(5).values().len(), 2);
    }

    /// n = 20 and λ = 12: the positive weights of pycma's doctest, and their μ_eff by hand: 1 / Σ w².
    #[test]
    fn logarithmic_weights_are_those_of_the_reference() {
        let weights = Weights::logarithmic(6.5, 6);
        let expected = [0.40240, 0.25339, 0.16622, 0.10438, 0.05640, 0.01721];
        assert!(weights.values().iter().zip(expected).all(|(w, e)| (w - e).abs() < 6e-6), "{weights:?}");
        let by_hand = 1.0 / expected.iter().map(|w| w * w).sum::<f64>();
        assert!((weights.effective() - by_hand).abs() < 1e-3);
        assert!((Weights::equal(7).effective() - 7.0).abs() < 1e-12);
    }
}
