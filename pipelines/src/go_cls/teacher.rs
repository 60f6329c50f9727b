//! The teacher: a noisy linear rule, and the examples that it gives.

use tumble_domain::Seed;

use crate::draws::Draws;

/// What a trial draws; the tensor in the address of its noise. The numbers are part of what a trial gives: never change
/// one.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Draw {
    Weights = 0,
    Inputs = 1,
    Noise = 2,
    TestInputs = 3,
    TestNoise = 4,
    Patterns = 5,
    ReplaySeeds = 6,
}

impl Draw {
    /// The first row of it under a trial's seed.
    pub(super) fn under(self, seed: Seed) -> Draws {
        Draws::of(seed, self as u32)
    }
}

/// The variances of the teacher's weights and of the noise on its outputs. They add up to 1, so an output has variance
/// 1 and every error is in units of it: 1 is the error of a student that always answers 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variances {
    pub(super) signal: f64,
    pub(super) noise: f64,
}

impl Variances {
    /// Those of a signal-to-noise ratio, which may be infinite.
    pub(super) fn of(snr: f64) -> Variances {
        let noise = 1.0 / (1.0 + snr);
        // Not snr / (1 + snr), which is NaN for an infinite ratio.
        Variances { signal: 1.0 - noise, noise }
    }
}

/// Inputs, by rows, and the outputs that belong to them.
pub(super) struct Examples {
    pub(super) inputs: Vec<f64>,
    pub(super) outputs: Vec<f64>,
    pub(super) width: usize,
}

impl Examples {
    pub(super) fn rows(&self) -> impl Iterator<Item = (&[f64], f64)> {
        self.inputs.chunks_exact(self.width).zip(self.outputs.iter().copied())
    }
}

/// A teacher: y = x·w + e, with inputs x of expected length 1.
pub(super) struct Teacher {
    pub(super) weights: Vec<f64>,
    pub(super) variances: Variances,
    seed: Seed,
}

impl Teacher {
    pub(super) fn drawn(seed: Seed, inputs: usize, variances: Variances) -> Teacher {
        let mut weights = vec![0.0; inputs];
        Draw::Weights.under(seed).normals(&mut weights);
        let scale = variances.signal.sqrt();
        weights.iter_mut().for_each(|w| *w *= scale);
        Teacher { weights, variances, seed }
    }

    /// The examples that the student and the notebook learn.
    pub(super) fn training(&self, count: usize) -> Examples {
        self.examples(count, Draw::Inputs, Draw::Noise)
    }

    /// Fresh examples.
    pub(super) fn test(&self, count: usize) -> Examples {
        self.examples(count, Draw::TestInputs, Draw::TestNoise)
    }

    fn examples(&self, count: usize, inputs_of: Draw, noise_of: Draw) -> Examples {
        let width = self.weights.len();
        let (mut inputs, mut outputs) = (vec![0.0; count * width], vec![0.0; count]);
        noise_of.under(self.seed).normals(&mut outputs);
        let (input_scale, noise_scale) = (1.0 / (width as f64).sqrt(), self.variances.noise.sqrt());
        for (member, (x, y)) in (0..).zip(inputs.chunks_exact_mut(width).zip(&mut outputs)) {
            Draws { member, ..inputs_of.under(self.seed) }.normals(x);
            x.iter_mut().for_each(|x| *x *= input_scale);
            *y = dot(x, &self.weights) + noise_scale * *y;
        }
        Examples { inputs, outputs, width }
    }

    /// The error of a student over all possible inputs and noises: E (y - x·w_s)² = |w - w_s|²/N + e², exactly.
    pub(super) fn generalisation(&self, student: &[f64]) -> f64 {
        let distance: f64 = self.weights.iter().zip(student).map(|(w, s)| (w - s) * (w - s)).sum();
        distance / self.weights.len() as f64 + self.variances.noise
    }
}

/// The sum of products, from the first on.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
