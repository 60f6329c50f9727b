//! What turns gradients into steps: Adam, or plain steps with momentum.
//!
//! Adam: Kingma and Ba, arXiv:1412.6980, algorithm 1 with the efficient order of section 2.

use tumble_domain::Parameter;

use super::{Settings, number, word};
use crate::codec::{Reader, Writer};
use crate::strategy::SnapshotError;

/// Adam's guard against a division by zero.
const EPSILON: f64 = 1e-8;

/// An optimiser and what it remembers of past gradients.
#[derive(Clone, Debug)]
pub(super) enum Optimiser {
    Adam {
        beta1: f64,
        beta2: f64,
        /// Steps taken.
        steps: u32,
        mean: Vec<f64>,
        square: Vec<f64>,
    },
    Sgd {
        momentum: f64,
        velocity: Vec<f64>,
    },
}

impl Optimiser {
    /// The settings that [`Optimiser::new`] reads; how much of the last step `sgd` keeps is the strategy's choice.
    pub(super) fn parameters(momentum: f64) -> [Parameter; 4] {
        [
            word("optimiser", &["adam", "sgd"], "what turns gradients into steps"),
            number("momentum", Some(momentum), (0.0, 1.0), "how much of the last step sgd keeps"),
            number("beta1", Some(0.9), (0.0, 0.999_999), "how much of the mean gradient Adam keeps"),
            number("beta2", Some(0.999), (0.0, 0.999_999), "how much of the mean squared gradient Adam keeps"),
        ]
    }

    /// The optimiser of `n` numbers, before its first step.
    pub(super) fn new(settings: &Settings, n: usize) -> Optimiser {
        match settings.word("optimiser") {
            "sgd" => Optimiser::Sgd { momentum: settings.default_number("momentum"), velocity: vec![0.0; n] },
            _ => Optimiser::Adam {
                beta1: settings.default_number("beta1"),
                beta2: settings.default_number("beta2"),
                steps: 0,
                mean: vec![0.0; n],
                square: vec![0.0; n],
            },
        }
    }

    pub(super) fn read(from: &mut Reader<'_>, n: usize) -> Result<Optimiser, SnapshotError> {
        Ok(match from.u8()? {
            0 => Optimiser::Adam {
                beta1: from.finite()?,
                beta2: from.finite()?,
                steps: from.u32()?,
                mean: from.finites(n)?,
                square: from.finites(n)?,
            },
            1 => Optimiser::Sgd { momentum: from.finite()?, velocity: from.finites(n)? },
            _ => return Err(SnapshotError::Damaged("the optimiser is unknown")),
        })
    }

    pub(super) fn write(&self, out: &mut Writer) {
        match self {
            Optimiser::Adam { beta1, beta2, steps, mean, square } => {
                out.u8(0);
                out.f64s(&[*beta1, *beta2]);
                out.u32(*steps);
                out.f64s(mean);
                out.f64s(square);
            }
            Optimiser::Sgd { momentum, velocity } => {
                out.u8(1);
                out.f64(*momentum);
                out.f64s(velocity);
            }
        }
    }

    /// One step against `slope`, added to `centre`. Where the slope has always been 0, nothing moves.
    pub(super) fn step(&mut self, learning_rate: f64, slope: &[f64], centre: &mut [f64]) {
        match self {
            Optimiser::Adam { beta1, beta2, steps, mean, square } => {
                *steps = steps.saturating_add(1);
                let t = f64::from(*steps);
                let rate = learning_rate * (1.0 - libm::pow(*beta2, t)).sqrt() / (1.0 - libm::pow(*beta1, t));
                for (((x, g), m), v) in centre.iter_mut().zip(slope).zip(mean).zip(square) {
                    *m = *beta1 * *m + (1.0 - *beta1) * g;
                    *v = *beta2 * *v + (1.0 - *beta2) * (g * g);
                    *x -= rate * *m / (v.sqrt() + EPSILON);
                }
            }
            Optimiser::Sgd { momentum, velocity } => {
                for ((x, g), v) in centre.iter_mut().zip(slope).zip(velocity) {
                    *v = *momentum * *v + (1.0 - *momentum) * g;
                    *x -= learning_rate * *v;
                }
            }
        }
    }

    /// The mean of past gradients that the next step begins with.
    pub(super) fn mean_gradient(&self) -> &[f64] {
        match self {
            Optimiser::Adam { mean, .. } => mean,
            Optimiser::Sgd { velocity, .. } => velocity,
        }
    }

    pub(super) fn is_finite(&self) -> bool {
        let finite = |numbers: &[f64]| numbers.iter().all(|x| x.is_finite());
        match self {
            Optimiser::Adam { mean, square, .. } => finite(mean) && finite(square),
            Optimiser::Sgd { velocity, .. } => finite(velocity),
        }
    }
}
