//! The network, with its weights written out, or as a shared centre and a candidate's own perturbation of low rank.
//!
//! A hidden unit is tanh of its bias and its pixels' weights, an output that of its bias and the units' weights; the loss is
//! the cross-entropy of the softmax. Every sum has one order: pixels, then the bias.

use tumble_domain::{Failure, Seed};
use tumble_search::proposal::{Factors, Perturbed};

use super::images::Images;
use crate::draws::Draws;
use crate::tiny_networks::digits::PIXELS;

/// What is drawn under the seed of the first weights: the tensor in the address of its noise. Never change one.
const W1: u32 = 1;
const W2: u32 = 2;

/// The weights; matrices by rows, a row for each input.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) w1: Vec<f64>,
    pub(super) b1: Vec<f64>,
    pub(super) w2: Vec<f64>,
    pub(super) b2: Vec<f64>,
}

/// How well a network does on some images.
#[derive(Clone, Copy)]
pub(super) struct Score {
    pub(super) loss: f64,
    pub(super) accuracy: f64,
}

impl Network {
    /// The first weights: normal, with variance 1 over the number of inputs; biases are 0.
    pub(super) fn first(hidden: usize, digits: usize, seed: Seed) -> Network {
        let draw = |tensor, inputs: usize, outputs: usize| {
            let mut weights = vec![0.0; inputs * outputs];
            Draws::of(seed, tensor).normals(&mut weights);
            let width = (inputs as f64).sqrt();
            weights.iter_mut().for_each(|w| *w /= width);
            weights
        };
        Network {
            w1: draw(W1, PIXELS, hidden),
            b1: vec![0.0; hidden],
            w2: draw(W2, hidden, digits),
            b2: vec![0.0; digits],
        }
    }

    /// These weights and `scale` times a genome.
    pub(super) fn moved(&self, scale: f64, genome: &[f64]) -> Result<Network, Failure> {
        let mut moved = self.clone();
        let mut rest = genome;
        for tensor in [&mut moved.w1, &mut moved.b1, &mut moved.w2, &mut moved.b2] {
            let (own, others) = rest.split_at_checked(tensor.len()).ok_or_else(misfit)?;
            tensor.iter_mut().zip(own).for_each(|(w, x)| *w += scale * x);
            rest = others;
        }
        if rest.is_empty() { Ok(moved) } else { Err(misfit()) }
    }

    /// What the first matrix makes of each image, without the bias.
    pub(super) fn first_layer(&self, images: &Images) -> Vec<f64> {
        let hidden = self.b1.len();
        let mut sums = vec![0.0; images.len() * hidden];
        for ((pixels, _), sums) in images.iter().zip(sums.chunks_exact_mut(hidden)) {
            for (pixel, ink) in pixels {
                let row = &self.w1[usize::from(*pixel) * hidden..][..hidden];
                sums.iter_mut().zip(row).for_each(|(sum, w)| *sum += ink * w);
            }
        }
        sums
    }

    /// The score on images of which the first layer's sums are known.
    pub(super) fn score(&self, images: &Images, mut sums: Vec<f64>) -> Score {
        let mut tally = Tally::default();
        let mut outputs = vec![0.0; self.b2.len()];
        for ((_, label), units) in images.iter().zip(sums.chunks_exact_mut(self.b1.len())) {
            activate(units, &self.b1);
            self.second_layer(units, &mut outputs);
            outputs.iter_mut().zip(&self.b2).for_each(|(x, b)| *x += b);
            tally.add(&outputs, label);
        }
        tally.score()
    }

    /// What the second matrix makes of the hidden units, without the bias.
    fn second_layer(&self, units: &[f64], outputs: &mut [f64]) {
        outputs.fill(0.0);
        for (unit, row) in units.iter().zip(self.w2.chunks_exact(outputs.len())) {
            outputs.iter_mut().zip(row).for_each(|(x, w)| *x += unit * w);
        }
    }
}

fn activate(units: &mut [f64], biases: &[f64]) {
    units.iter_mut().zip(biases).for_each(|(x, b)| *x = libm::tanh(*x + b));
}

fn misfit() -> Failure {
    Failure::Failed("the genome has another length than the network has weights".into())
}

/// What the candidates of a generation share.
pub(super) struct Centre {
    /// The mean that it was made from.
    mean: Vec<f64>,
    pub(super) network: Network,
    /// What its first layer makes of the test images.
    pub(super) on_test: Vec<f64>,
}

impl Centre {
    pub(super) fn new(mean: &[f64], network: Network, test: &Images) -> Centre {
        let on_test = network.first_layer(test);
        Centre { mean: mean.to_vec(), network, on_test }
    }

    /// Whether it was made from this mean, to the last bit.
    pub(super) fn is_of(&self, mean: &[f64]) -> bool {
        self.mean.len() == mean.len() && self.mean.iter().zip(mean).all(|(a, b)| a.to_bits() == b.to_bits())
    }
}

/// What is a candidate's own: the factors of its perturbations of both matrices, and its biases.
pub(super) struct Own {
    /// What the products of the factors are multiplied by: the candidate's own scale, and that of the settings.
    scale: f64,
    factors: [Factors; 2],
    b1: Vec<f64>,
    b2: Vec<f64>,
}

impl Own {
    pub(super) fn new(first: &Network, scale: f64, perturbed: &Perturbed<'_>, factors: [Factors; 2]) -> Own {
        let biases = |tensor, first: &[f64]| {
            let mut own = vec![0.0; first.len()];
            perturbed.tensor(tensor, &mut own);
            own.iter_mut().zip(first).for_each(|(b, first)| *b = first + scale * *b);
            own
        };
        Own { scale, b1: biases(1, &first.b1), b2: biases(3, &first.b2), factors }
    }

    /// The score on images of which the centre's sums in the first layer are known: of each matrix only the products with
    /// the factors are made anew, O((inputs + outputs) rank) for an image.
    pub(super) fn score(&self, centre: &Centre, images: &Images, sums: &[f64]) -> Score {
        let [first, second] = &self.factors;
        let mut tally = Tally::default();
        let (mut units, mut outputs) = (vec![0.0; self.b1.len()], vec![0.0; self.b2.len()]);
        let mut between = vec![0.0; first.rank()];
        for ((pixels, label), sums) in images.iter().zip(sums.chunks_exact(units.len())) {
            between.fill(0.0);
            for (pixel, ink) in pixels {
                let row = &first.a()[usize::from(*pixel) * first.rank()..][..first.rank()];
                between.iter_mut().zip(row).for_each(|(t, a)| *t += ink * a);
            }
            units.copy_from_slice(sums);
            self.add(first, &mut between, &mut units);
            activate(&mut units, &self.b1);

            centre.network.second_layer(&units, &mut outputs);
            between.fill(0.0);
            for (unit, row) in units.iter().zip(second.a().chunks_exact(second.rank())) {
                between.iter_mut().zip(row).for_each(|(t, a)| *t += unit * a);
            }
            self.add(second, &mut between, &mut outputs);
            outputs.iter_mut().zip(&self.b2).for_each(|(x, b)| *x += b);
            tally.add(&outputs, label);
        }
        tally.score()
    }

    /// Adds `scale · between Bᵀ`.
    fn add(&self, factors: &Factors, between: &mut [f64], into: &mut [f64]) {
        between.iter_mut().for_each(|t| *t *= self.scale * factors.scale());
        for (x, row) in into.iter_mut().zip(factors.b().chunks_exact(factors.rank())) {
            *x += row.iter().zip(&*between).map(|(b, t)| b * t).sum::<f64>();
        }
    }
}

/// Losses and hits, image after image.
#[derive(Default)]
struct Tally {
    images: usize,
    loss: f64,
    right: usize,
}

impl Tally {
    fn add(&mut self, outputs: &[f64], label: usize) {
        let largest = outputs.iter().fold(f64::NEG_INFINITY, |m, x| m.max(*x));
        let sum: f64 = outputs.iter().map(|x| libm::exp(x - largest)).sum();
        self.images += 1;
        self.loss += libm::log(sum) - (outputs[label] - largest);
        // The first of several that are as large.
        self.right += usize::from(outputs.iter().position(|x| *x == largest) == Some(label));
    }

    fn score(&self) -> Score {
        let count = self.images as f64;
        Score { loss: self.loss / count, accuracy: self.right as f64 / count }
    }
}
