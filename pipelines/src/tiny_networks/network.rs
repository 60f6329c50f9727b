//! The network: 784 pixels, one hidden layer of rectified units, one sigmoid output; trained by gradient descent on the
//! mean cross-entropy of the whole training set.
//!
//! Source: Kumar 2025, arXiv 2507.16278. All sums run in one order, pixels and images by rising index, and only
//! different hidden units share a vector register: so every x86-64 processor gives the same bits.

use tumble_domain::{Failure, Seed};

use super::digits::PIXELS;
use super::draws::Draw;
use super::task::{Columns, Images, Inked};
use crate::Watch;

/// Standard deviation of the first weights; biases begin at 0.
const INIT_SD: f64 = 0.1;

/// A network whose hidden units are stored in blocks of `LANES`, so that a block's sums stay in registers. The last
/// block is filled up with units whose weights are 0: they stay at 0 and reach nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Network<const LANES: usize> {
    width: usize,
    /// From pixel `p` to block `b`: entry `b * PIXELS + p`.
    hidden: Vec<[f32; LANES]>,
    hidden_bias: Vec<[f32; LANES]>,
    output: Vec<[f32; LANES]>,
    output_bias: f32,
}

impl<const LANES: usize> Network<LANES> {
    /// The network before training. Unit `j` begins alike in a network of any width.
    pub(super) fn init(width: usize, seed: Seed) -> Network<LANES> {
        let blocks = width.div_ceil(LANES);
        let mut network = Network {
            width,
            hidden: vec![[0.0; LANES]; blocks * PIXELS],
            hidden_bias: vec![[0.0; LANES]; blocks],
            output: vec![[0.0; LANES]; blocks],
            output_bias: 0.0,
        };
        let mut draws = vec![0.0; PIXELS];
        for unit in 0..width {
            Draw::Hidden.row(seed, unit as u32).normals(&mut draws);
            for (pixel, draw) in draws.iter().enumerate() {
                network.hidden[unit / LANES * PIXELS + pixel][unit % LANES] = (INIT_SD * draw) as f32;
            }
        }
        let mut draws = vec![0.0; width];
        Draw::Output.row(seed, 0).normals(&mut draws);
        for (unit, draw) in draws.iter().enumerate() {
            network.output[unit / LANES][unit % LANES] = (INIT_SD * draw) as f32;
        }
        network
    }

    /// `epochs` steps down the gradient.
    pub(super) fn train(&mut self, images: &Images, epochs: usize, rate: f64, watch: &Watch) -> Result<(), Failure> {
        let columns = images.columns();
        let step = (rate / images.len() as f64) as f32;
        let mut units = Vec::new();
        let mut errors = Vec::new();
        for _ in 0..epochs {
            watch.check()?;
            self.hidden_units(images, &mut units);
            errors.clear();
            // The slope of the cross-entropy behind a sigmoid is the error itself.
            errors.extend(self.ratings(&units, images.len()).zip(&images.labels).map(|(rating, label)| {
                let target = if *label { 1.0 } else { 0.0 };
                1.0 / (1.0 + libm::expf(-rating)) - target
            }));
            self.descend(&columns, &mut units, &errors, step);
        }
        Ok(())
    }

    /// How surely each image is of the second class: the output before the sigmoid.
    pub(super) fn rate(&self, images: &Images) -> Vec<f32> {
        let mut units = Vec::new();
        self.hidden_units(images, &mut units);
        self.ratings(&units, images.len()).collect()
    }

    /// Hidden units that no image wakes.
    pub(super) fn dead_units(&self, images: &Images) -> usize {
        let mut units = Vec::new();
        self.hidden_units(images, &mut units);
        let woken = |unit: usize| {
            units[unit / LANES * images.len()..][..images.len()].iter().any(|block| block[unit % LANES] > 0.0)
        };
        (0..self.width).filter(|unit| !woken(*unit)).count()
    }

    /// Every hidden unit before its rectifier: block `b` under image `i` is entry `b * images.len() + i`.
    fn hidden_units(&self, images: &Images, units: &mut Vec<[f32; LANES]>) {
        units.clear();
        for (weights, bias) in self.hidden.chunks_exact(PIXELS).zip(&self.hidden_bias) {
            units.extend((0..images.len()).map(|image| weighted(images.image(image), weights, *bias)));
        }
    }

    fn ratings<'a>(&'a self, units: &'a [[f32; LANES]], images: usize) -> impl Iterator<Item = f32> + 'a {
        (0..images).map(move |image| {
            let mut rating = self.output_bias;
            for (block, weights) in self.output.iter().enumerate() {
                let unit = &units[block * images + image];
                for lane in 0..LANES {
                    rating += weights[lane] * unit[lane].max(0.0);
                }
            }
            rating
        })
    }

    /// One step along the gradient; `units` is overwritten with each unit's share of the error.
    fn descend(&mut self, columns: &Columns, units: &mut [[f32; LANES]], errors: &[f32], step: f32) {
        for (block, units) in units.chunks_exact_mut(errors.len()).enumerate() {
            let weights = self.output[block];
            let (mut output_slope, mut bias_slope) = ([0.0; LANES], [0.0; LANES]);
            for (unit, error) in units.iter_mut().zip(errors) {
                for lane in 0..LANES {
                    output_slope[lane] += error * unit[lane].max(0.0);
                    unit[lane] = if unit[lane] > 0.0 { error * weights[lane] } else { 0.0 };
                    bias_slope[lane] += unit[lane];
                }
            }
            let hidden = &mut self.hidden[block * PIXELS..][..PIXELS];
            for (pixel, weights) in hidden.iter_mut().enumerate() {
                let slope = weighted(columns.pixel(pixel), units, [0.0; LANES]);
                for lane in 0..LANES {
                    weights[lane] -= step * slope[lane];
                }
            }
            for lane in 0..LANES {
                self.output[block][lane] -= step * output_slope[lane];
                self.hidden_bias[block][lane] -= step * bias_slope[lane];
            }
        }
        self.output_bias -= step * errors.iter().fold(0.0, |sum, error| sum + error);
    }

    /// The network without the smallest weights of each layer: a layer of n weights loses those that are no larger than
    /// its ⌊`fraction` n⌋-th smallest. Biases stay, and nothing is trained again.
    pub(super) fn pruned(&self, fraction: f64) -> Network<LANES> {
        let mut pruned = self.clone();
        let width = self.width;
        for layer in [&mut pruned.hidden, &mut pruned.output] {
            let rows = layer.len() / width.div_ceil(LANES);
            let mut sizes: Vec<f32> = weights(layer, rows, width).map(f32::abs).collect();
            let removed = ((fraction * sizes.len() as f64) as usize).min(sizes.len());
            if removed > 0 {
                let (_, threshold, _) = sizes.select_nth_unstable_by(removed - 1, f32::total_cmp);
                let threshold = *threshold;
                layer.as_flattened_mut().iter_mut().filter(|w| w.abs() <= threshold).for_each(|w| *w = 0.0);
            }
        }
        pruned
    }

    /// How many weights are 0, and how many there are, biases not counted.
    pub(super) fn weights_removed(&self) -> (usize, usize) {
        let all = || weights(&self.hidden, PIXELS, self.width).chain(weights(&self.output, 1, self.width));
        (all().filter(|w| *w == 0.0).count(), all().count())
    }

    /// Weights that are not 0, and biases.
    pub(super) fn parameters_left(&self) -> usize {
        let (removed, all) = self.weights_removed();
        all - removed + self.width + 1
    }
}

/// Adds up rows of `table`, each times its number, onto `sum`, in their order. Two roundings a term, never a fused one.
#[inline]
fn weighted<const LANES: usize>(terms: &[Inked], table: &[[f32; LANES]], mut sum: [f32; LANES]) -> [f32; LANES] {
    for term in terms {
        let row = &table[term.at as usize];
        for lane in 0..LANES {
            sum[lane] += term.value * row[lane];
        }
    }
    sum
}

/// The weights of a layer, `rows` to each unit, without those of the units that only fill the last block.
fn weights<const LANES: usize>(layer: &[[f32; LANES]], rows: usize, width: usize) -> impl Iterator<Item = f32> + '_ {
    layer.iter().enumerate().flat_map(move |(entry, block)| {
        let units = (width - entry / rows * LANES).min(LANES);
        block[..units].iter().copied()
    })
}

#[cfg(test)]
mod tests {
    use super::super::digits::Digits;
    use super::super::task::Task;
    use super::*;

    /// `epochs` only prolongs a trial: a network that was trained and then trained on is one that was trained for longer.
    #[test]
    fn training_goes_on_where_it_ended() {
        let task = Task::draw(Digits::embedded(), [3, 8], 40, Seed(5)).expect("there are examples");
        let trained = |parts: &[usize]| {
            let mut network = Network::<8>::init(6, Seed(5));
            for epochs in parts {
                network.train(&task.train, *epochs, 0.3, &Watch::unlimited()).expect("nobody interrupts");
            }
            network
        };
        assert_eq!(trained(&[3, 7]), trained(&[10]));
        assert_ne!(trained(&[3]), trained(&[10]));
    }

    /// The same network in the plainest form: double precision, every pixel, formula by formula.
    struct Plain {
        hidden: Vec<Vec<f64>>,
        hidden_bias: Vec<f64>,
        output: Vec<f64>,
        output_bias: f64,
    }

    impl Plain {
        fn of<const LANES: usize>(network: &Network<LANES>) -> Plain {
            let unit = |j: usize| (j / LANES, j % LANES);
            let weight = |j: usize, p: usize| f64::from(network.hidden[unit(j).0 * PIXELS + p][unit(j).1]);
            Plain {
                hidden: (0..network.width).map(|j| (0..PIXELS).map(|p| weight(j, p)).collect()).collect(),
                hidden_bias: (0..network.width).map(|j| f64::from(network.hidden_bias[unit(j).0][unit(j).1])).collect(),
                output: (0..network.width).map(|j| f64::from(network.output[unit(j).0][unit(j).1])).collect(),
                output_bias: f64::from(network.output_bias),
            }
        }

        /// -Σ [y ln p + (1 - y) ln(1 - p)] / n
        fn loss(&self, images: &Images) -> f64 {
            let mut sum = 0.0;
            for image in 0..images.len() {
                let mut rating = self.output_bias;
                for ((weights, bias), output) in self.hidden.iter().zip(&self.hidden_bias).zip(&self.output) {
                    let unit =
                        images.image(image).iter().map(|x| f64::from(x.value) * weights[x.at as usize]).sum::<f64>();
                    rating += output * (unit + bias).max(0.0);
                }
                let p = 1.0 / (1.0 + (-rating).exp());
                sum -= if images.labels[image] { p.ln() } else { (1.0 - p).ln() };
            }
            sum / images.len() as f64
        }
    }

    fn task(examples: usize) -> Task {
        Task::draw(Digits::embedded(), [4, 9], examples, Seed(5)).unwrap()
    }

    /// A step moves every parameter by minus the rate times the slope of the loss; the slope is taken from the loss
    /// alone, by differences. Single precision leaves a move of 1e-3 about four digits.
    #[test]
    fn a_step_goes_down_the_slope_of_the_loss() {
        let images = task(15).train;
        let before = Network::<8>::init(5, Seed(2));
        let mut after = before.clone();
        after.train(&images, 1, 1.0, &Watch::unlimited()).unwrap();
        let (old, new) = (Plain::of(&before), Plain::of(&after));
        let check = |what: &str, poke: &dyn Fn(&mut Plain, f64), moved: f64| {
            let loss = |by: f64| {
                let mut poked = Plain::of(&before);
                poke(&mut poked, by);
                poked.loss(&images)
            };
            let slope = (loss(1e-5) - loss(-1e-5)) / 2e-5;
            assert!((moved + slope).abs() < 1e-6 + 1e-4 * slope.abs(), "{what}: slope {slope}, moved by {moved}");
        };
        for unit in 0..5 {
            for pixel in (203..600).step_by(7) {
                let moved = new.hidden[unit][pixel] - old.hidden[unit][pixel];
                check("a hidden weight", &|p, by| p.hidden[unit][pixel] += by, moved);
            }
            check("a bias", &|p, by| p.hidden_bias[unit] += by, new.hidden_bias[unit] - old.hidden_bias[unit]);
            check("an output weight", &|p, by| p.output[unit] += by, new.output[unit] - old.output[unit]);
        }
        check("the last bias", &|p, by| p.output_bias += by, new.output_bias - old.output_bias);
    }

    #[test]
    fn training_lowers_the_loss_at_every_step() {
        let images = task(50).train;
        let mut network = Network::<8>::init(8, Seed(2));
        let mut loss = Plain::of(&network).loss(&images);
        for step in 0..50 {
            network.train(&images, 1, 0.03, &Watch::unlimited()).unwrap();
            let next = Plain::of(&network).loss(&images);
            assert!(next < loss, "step {step}: from {loss} to {next}");
            loss = next;
        }
        assert!(loss < 0.67, "the loss after 50 steps is {loss}");
    }

    /// How units are packed into registers must not show in a single bit.
    #[test]
    fn the_number_of_lanes_does_not_change_a_bit() {
        fn ratings<const LANES: usize>(width: usize, task: &Task) -> Vec<u32> {
            let mut network = Network::<LANES>::init(width, Seed(2));
            network.train(&task.train, 5, 0.03, &Watch::unlimited()).unwrap();
            let pruned = network.pruned(0.8);
            [network.rate(&task.test), pruned.rate(&task.test)].concat().iter().map(|x| x.to_bits()).collect()
        }
        let task = task(25);
        for width in [1, 7, 8, 20, 33] {
            let one_by_one = ratings::<1>(width, &task);
            assert_eq!(ratings::<8>(width, &task), one_by_one);
            assert_eq!(ratings::<16>(width, &task), one_by_one);
            assert_eq!(ratings::<24>(width, &task), one_by_one);
            assert_eq!(ratings::<32>(width, &task), one_by_one);
        }
    }

    #[test]
    fn pruning_removes_the_smallest_of_each_layer_and_nothing_else() {
        let mut network = Network::<8>::init(10, Seed(2));
        network.train(&task(10).train, 2, 0.03, &Watch::unlimited()).unwrap();
        for (fraction, hidden_left, output_left) in
            [(0.0, 7840, 10), (0.009, 7770, 10), (0.5, 3920, 5), (0.95, 392, 1), (1.0, 0, 0)]
        {
            let pruned = network.pruned(fraction);
            for (before, after, rows, left) in [
                (&network.hidden, &pruned.hidden, PIXELS, hidden_left),
                (&network.output, &pruned.output, 1, output_left),
            ] {
                let pairs: Vec<(f32, f32)> = weights(before, rows, 10).zip(weights(after, rows, 10)).collect();
                let kept = pairs.iter().filter(|(_, after)| *after != 0.0);
                assert_eq!(kept.clone().count(), left);
                assert!(kept.clone().all(|(before, after)| before == after));
                let smallest_kept = kept.map(|(before, _)| before.abs()).fold(f32::INFINITY, f32::min);
                let removed = pairs.iter().filter(|(_, after)| *after == 0.0);
                assert!(removed.map(|(before, _)| before.abs()).fold(0.0, f32::max) < smallest_kept);
            }
            assert_eq!((&pruned.hidden_bias, pruned.output_bias), (&network.hidden_bias, network.output_bias));
            assert_eq!(pruned.weights_removed(), (7850 - hidden_left - output_left, 7850));
            assert_eq!(pruned.parameters_left(), hidden_left + output_left + 11);
        }
    }

    #[test]
    fn a_unit_that_no_image_wakes_is_dead() {
        let images = task(10).train;
        let mut network = Network::<8>::init(10, Seed(2));
        let living = network.dead_units(&images);
        assert!(living < 3, "{living} units begin dead");
        network.hidden_bias[1] = [-100.0; 8];
        network.hidden_bias[0] = [100.0; 8];
        assert_eq!(network.dead_units(&images), 2, "only the second block's two real units count");
    }

    #[test]
    fn a_unit_begins_alike_in_a_network_of_any_width() {
        let (narrow, wide) = (Plain::of(&Network::<8>::init(3, Seed(2))), Plain::of(&Network::<32>::init(64, Seed(2))));
        assert_eq!(narrow.hidden, wide.hidden[..3]);
        assert_eq!(narrow.output, wide.output[..3]);
        let all: Vec<f64> = wide.hidden.concat();
        let sd = (all.iter().map(|x| x * x).sum::<f64>() / all.len() as f64).sqrt();
        // 50,176 draws: the standard error of their sd is 0.0003.
        assert!((sd - 0.1).abs() < 0.0015, "sd {sd}");
    }

    #[test]
    fn training_stops_when_the_worker_leaves() {
        let leaving = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let watch = Watch::new(leaving, None);
        let images = task(10).train;
        assert_eq!(Network::<8>::init(4, Seed(2)).train(&images, 10, 0.03, &watch), Err(Failure::Interrupted));
    }
}
