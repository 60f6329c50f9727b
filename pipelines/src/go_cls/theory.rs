//! The student's expected errors when it is large: gradient flow on a linear teacher, averaged over all teachers and
//! examples.
//!
//! Source: Sun, Advani, Spruston, Saxe, Fitzgerald, Nat. Neurosci. 26:1438 (2023), after Advani, Saxe, Sompolinsky,
//! Neural Networks 132:428 (2020). With the time τ = learning rate × epochs, the teacher's variance s² = S/(1 + S), the
//! noise's e² = 1/(1 + S), and eigenvalues λ of the inputs' covariance under the law ρ of Marchenko and Pastur,
//!
//! ```text
//! E_g = s² [∫ρ e^(-2λτ) dλ + max(0, 1-α)] + e² [∫ρ (1 - e^(-λτ))²/λ dλ + 1]
//! E_t = (1/α) [∫ρ (λ s² + e²) e^(-2λτ) dλ + max(0, 1-α) e²] + (1 - 1/α) e²
//! ```
//!
//! ρ has an inverse of λ in it, which is a pole at α = 1. But ∫ρ dλ = min(α, 1), so every exponential may have its value
//! at λ = 0 taken off and added again as a constant: the pole cancels, the constants add up to E(τ = 0) = 1, and what
//! is left is as smooth as its exponentials. With λ = (1 - √α)² + 4√α sin²(θ/2) the midpoint rule over θ is then exact
//! to rounding with few nodes.

use super::teacher::Variances;

/// The theory at one load and signal-to-noise ratio.
pub(super) struct Theory {
    load: f64,
    variances: Variances,
    nodes: Vec<Node>,
}

/// A node of the quadrature.
struct Node {
    eigenvalue: f64,
    /// λ ρ(λ) dλ.
    weight: f64,
}

/// The bisections that find the best time: each halves an interval that begins with the whole training.
const BISECTIONS: u32 = 60;

impl Theory {
    /// The theory for `load` examples per input, with enough nodes for times up to `time_max`.
    pub(super) fn new(load: f64, variances: Variances, time_max: f64) -> Theory {
        let (root, pi) = (load.sqrt(), std::f64::consts::PI);
        // The exponential that is hardest to resolve, e^(-2λτ) over the spectrum's width 4√α, has Chebyshev coefficients
        // that fall as e^(-k²/2s) with s = 4√α τ; the rule with n nodes errs by those beyond 2n.
        let count = 32 + (6.0 * (4.0 * root * time_max).sqrt()) as usize;
        let step = pi / count as f64;
        let node = |i: usize| {
            let theta = (i as f64 + 0.5) * step;
            let (half, whole) = (libm::sin(0.5 * theta), libm::sin(theta));
            Node {
                eigenvalue: (1.0 - root) * (1.0 - root) + 4.0 * root * (half * half),
                weight: 2.0 * load * (whole * whole) / pi * step,
            }
        };
        Theory { load, variances, nodes: (0..count).map(node).collect() }
    }

    /// The generalisation error at time τ.
    pub(super) fn generalisation(&self, time: f64) -> f64 {
        let Variances { signal, noise } = self.variances;
        let change = |n: &Node| {
            let (single, double) = (falls(n, time), falls(n, 2.0 * time));
            noise * (single * single) - signal * double
        };
        signal + noise + self.integral(change)
    }

    /// The memory error, on the examples themselves, at time τ.
    pub(super) fn memory(&self, time: f64) -> f64 {
        let Variances { signal, noise } = self.variances;
        let rest = |n: &Node| signal * libm::exp(-2.0 * n.eigenvalue * time) - noise * falls(n, 2.0 * time);
        noise + self.integral(rest) / self.load
    }

    /// The time up to `time_max` at which to stop: where the generalisation error is least.
    pub(super) fn best_time(&self, time_max: f64) -> f64 {
        let Variances { signal, noise } = self.variances;
        let slope = |time: f64| {
            self.integral(|n| {
                let decay = libm::exp(-n.eigenvalue * time);
                decay * (noise * falls(n, time) - signal * decay)
            })
        };
        if slope(time_max) <= 0.0 {
            return time_max;
        }
        let (mut falling, mut rising) = (0.0, time_max);
        for _ in 0..BISECTIONS {
            let middle = 0.5 * (falling + rising);
            if slope(middle) < 0.0 {
                falling = middle;
            } else {
                rising = middle;
            }
        }
        0.5 * (falling + rising)
    }

    fn integral(&self, f: impl Fn(&Node) -> f64) -> f64 {
        self.nodes.iter().map(|n| n.weight * f(n)).sum()
    }
}

/// (1 - e^(-λτ)) / λ.
fn falls(node: &Node, time: f64) -> f64 {
    -libm::expm1(-node.eigenvalue * time) / node.eigenvalue
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 0.005;

    fn theory(snr: f64, load: f64) -> Theory {
        Theory::new(load, Variances::of(snr), 10_000.0)
    }

    /// Half a unit of the last digit that the reference table states.
    #[track_caller]
    fn agrees(given: f64, stated: f64, digits: i32) {
        let half = 0.5 * libm::exp10(-f64::from(digits)) * (1.0 + 1e-9);
        assert!((given - stated).abs() <= half, "{given} for {stated}");
    }

    /// The reference numbers at α = 1, made by another quadrature: signal-to-noise ratio, best time, best epoch, errors
    /// there and after 2000 epochs.
    #[test]
    fn at_as_many_examples_as_inputs_the_published_curves_come_out() {
        for (snr, time, epoch, [eg, et, eg_late, et_late]) in [
            (0.05, 0.0477, (9.5, 1), [0.99783, 0.90900, 2.50045, 0.11992]),
            (0.5, 0.3782, (75.6, 1), [0.91170, 0.48630, 1.78804, 0.08488]),
            (1.0, 0.6810, (136.2, 1), [0.81229, 0.30380, 1.37247, 0.06444]),
            (4.0, 2.4651, (493.0, 1), [0.52003, 0.06996, 0.62444, 0.02765]),
            (16.0, 9.7025, (1940.0, 0), [0.27241, 0.01059, 0.27243, 0.01034]),
        ] {
            let theory = theory(snr, 1.0);
            let best = theory.best_time(2000.0 * RATE);
            agrees(best, time, 4);
            agrees(best / RATE, epoch.0, epoch.1);
            agrees(theory.generalisation(best), eg, 5);
            agrees(theory.memory(best), et, 5);
            agrees(theory.generalisation(2000.0 * RATE), eg_late, 5);
            agrees(theory.memory(2000.0 * RATE), et_late, 5);
        }
    }

    #[test]
    fn a_student_of_a_teacher_without_noise_never_stops() {
        let theory = theory(f64::INFINITY, 1.0);
        assert_eq!(theory.best_time(10.0), 10.0);
        for (time, eg, et) in [(1.0, 0.38575, 0.08938), (10.0, 0.12576, 0.00312), (30.0, 0.07276, 0.00061)] {
            agrees(theory.generalisation(time), eg, 5);
            agrees(theory.memory(time), et, 5);
        }
    }

    #[test]
    fn a_student_of_noise_alone_never_begins() {
        let theory = theory(0.0, 1.0);
        assert!(theory.best_time(10.0) < 1e-15);
        assert_eq!((theory.generalisation(0.0), theory.memory(0.0)), (1.0, 1.0));
        assert!(theory.generalisation(1.0) > 1.2);
    }

    /// The sweep over the load at S = 4, and what training for ever comes to:
    /// s²[(1-α) + (1 + α/(1-α))/S] below α = 1, e²(1 + 1/(α-1)) above.
    #[test]
    fn overtraining_is_worst_where_examples_are_as_many_as_inputs() {
        let (signal, noise) = (0.8, 0.2);
        let mut excesses = Vec::new();
        for (load, time, eg, eg_for_ever) in [
            (0.25, 1.947, 0.8484, 0.8667),
            (0.5, 2.237, 0.7161, 0.8),
            (1.25, 2.412, 0.4552, 1.0),
            (2.0, 2.002, 0.3457, 0.4),
            (5.0, 0.966, 0.2474, 0.25),
        ] {
            let theory = theory(4.0, load);
            let best = theory.best_time(100.0);
            agrees(best, time, 3);
            agrees(theory.generalisation(best), eg, 4);
            let for_ever = if load < 1.0 {
                signal * (1.0 - load + (1.0 + load / (1.0 - load)) / 4.0)
            } else {
                noise * (1.0 + 1.0 / (load - 1.0))
            };
            agrees(for_ever, eg_for_ever, 4);
            assert!((theory.generalisation(10_000.0) - for_ever).abs() < 1e-9, "{}", theory.generalisation(10_000.0));
            excesses.push(for_ever - eg);
        }
        assert!(excesses[2] > 5.0 * excesses[0] && excesses[2] > 5.0 * excesses[4], "{excesses:?}");
        assert!(theory(4.0, 1.0).generalisation(10_000.0) > 5.0, "at α = 1 it grows without bound");
    }

    /// The weights λρ dλ add up to the mean eigenvalue, α; more nodes than needed change nothing.
    #[test]
    fn the_quadrature_is_exact_to_rounding() {
        for load in [0.01, 0.25, 0.99999, 1.0, 1.00001, 2.0, 50.0] {
            for time in [0.01, 1.0, 10.0, 1000.0] {
                let (few, many) = (
                    Theory::new(load, Variances::of(4.0), time),
                    Theory::new(load, Variances::of(4.0), 50.0 * time + 10.0),
                );
                assert!((few.integral(|_| 1.0) - load).abs() < 1e-13 * load.max(1.0));
                for (a, b) in
                    [(few.generalisation(time), many.generalisation(time)), (few.memory(time), many.memory(time))]
                {
                    assert!((a - b).abs() < 1e-12, "{a} and {b} at α = {load}, τ = {time}");
                }
            }
        }
    }
}
