//! Cumulative step-size adaptation: steps that agree with those before lengthen σ, steps that undo them shorten it.
//!
//! Source: Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772, eq. 43, 44 and 55, with +3 instead of +5
//! in c_σ and with the exponent held to 1, both as pycma 4.5.0 does.

use super::vectors::{blend, squares};

/// What it is made of: the constants that follow from the dimension and μ_eff.
#[derive(Clone, Debug)]
pub(super) struct Cumulation {
    /// c_σ: how much a step counts in the path.
    pub(super) rate: f64,
    /// d_σ.
    damping: f64,
    /// The expected length of a standard normal vector, by its series.
    pub(super) chi: f64,
}

impl Cumulation {
    pub(super) fn new(dimension: usize, effective: f64) -> Cumulation {
        let n = dimension as f64;
        let rate = (effective + 2.0) / (n + effective + 3.0);
        let damping = 1.0 + 2.0 * (((effective - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + rate;
        let chi = n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n));
        Cumulation { rate, damping, chi }
    }

    /// Eq. 43: turns the mean step, as long as if nothing were selected times 1/√μ_eff, into the next path.
    pub(super) fn advance(&self, path: &[f64], effective: f64, step: &mut [f64]) {
        blend(1.0 - self.rate, path, (self.rate * (2.0 - self.rate) * effective).sqrt(), step);
    }

    /// Eq. 44: by how much σ grows after this path.
    pub(super) fn growth(&self, path: &[f64]) -> f64 {
        let exponent = self.rate / self.damping * (squares(path).sqrt() / self.chi - 1.0);
        libm::exp(exponent.min(1.0))
    }

    /// By how much σ grows after a generation without a difference: the steps were too short to see one (appendix B.3).
    pub(super) fn growth_when_flat(&self) -> f64 {
        libm::exp(0.2 + self.rate / self.damping)
    }
}
