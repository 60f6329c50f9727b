//! One task: telling one digit from another. The images of two classes, balanced, split and drawn under a trial's seed.

use std::ops::Range;

use tumble_domain::Seed;

use super::digits::{Digits, PIXELS, SIDE};
use super::draws::{self, Draw};

/// Images of two classes, each pixel from 0 to 1, without the zeros: a pixel that is exactly 0 adds nothing to any sum,
/// and four pixels of five are.
#[derive(Clone, Debug, Default)]
pub(super) struct Images {
    /// Where each image begins in `inked`, and one more for the end.
    starts: Vec<usize>,
    /// The pixels above 0, by rising position within each image.
    inked: Vec<Inked>,
    /// Whether each image is of the second class.
    pub(super) labels: Vec<bool>,
}

/// A number above 0, and where it stands: the pixel within its image, or the image within its pixel's column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Inked {
    pub(super) at: u32,
    pub(super) value: f32,
}

impl Images {
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The pixels above 0 of one image.
    #[inline]
    pub(super) fn image(&self, index: usize) -> &[Inked] {
        &self.inked[self.starts[index]..self.starts[index + 1]]
    }

    pub(super) fn push(&mut self, pixels: &[f32; PIXELS], label: bool) {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        let above = pixels.iter().enumerate().filter(|(_, value)| **value > 0.0);
        self.inked.extend(above.map(|(at, &value)| Inked { at: at as u32, value }));
        self.starts.push(self.inked.len());
        self.labels.push(label);
    }

    /// The same numbers by pixel: for each pixel the images that have ink there, in their order.
    pub(super) fn columns(&self) -> Columns {
        let mut starts = vec![0; PIXELS + 1];
        for inked in &self.inked {
            starts[inked.at as usize + 1] += 1;
        }
        for pixel in 0..PIXELS {
            starts[pixel + 1] += starts[pixel];
        }
        let mut next = starts.clone();
        let mut inked = vec![Inked { at: 0, value: 0.0 }; self.inked.len()];
        for image in 0..self.len() {
            for &Inked { at, value } in self.image(image) {
                inked[next[at as usize]] = Inked { at: image as u32, value };
                next[at as usize] += 1;
            }
        }
        Columns { starts, inked }
    }

    fn dense(&self, index: usize) -> [f32; PIXELS] {
        let mut pixels = [0.0; PIXELS];
        for inked in self.image(index) {
            pixels[inked.at as usize] = inked.value;
        }
        pixels
    }

    /// Each image changed by `change`, which is told the image's index.
    fn changed(&self, mut change: impl FnMut(u32, &mut [f32; PIXELS])) -> Images {
        let mut images = Images::default();
        for index in 0..self.len() {
            let mut pixels = self.dense(index);
            change(index as u32, &mut pixels);
            images.push(&pixels, self.labels[index]);
        }
        images
    }

    /// Normal noise of this standard deviation on every pixel, then clipped to [0, 1].
    pub(super) fn noisy(&self, sigma: f64, seed: Seed) -> Images {
        let mut noise = [0.0; PIXELS];
        self.changed(|index, pixels| {
            Draw::PixelNoise.row(seed, index).normals(&mut noise);
            for (pixel, noise) in pixels.iter_mut().zip(&noise) {
                *pixel = (*pixel + (sigma * noise) as f32).clamp(0.0, 1.0);
            }
        })
    }

    /// A square of `side` pixels wiped to 0 at a random place within each image.
    pub(super) fn occluded(&self, side: usize, seed: Seed) -> Images {
        let side = side.min(SIDE);
        self.changed(|index, pixels| {
            let mut words = [0; 2];
            Draw::Patch.row(seed, index).words(&mut words);
            let top = draws::below(words[0], SIDE - side + 1);
            let left = draws::below(words[1], SIDE - side + 1);
            for row in pixels.chunks_exact_mut(SIDE).skip(top).take(side) {
                row[left..left + side].fill(0.0);
            }
        })
    }
}

/// [`Images`] by pixel.
#[derive(Debug)]
pub(super) struct Columns {
    starts: Vec<usize>,
    inked: Vec<Inked>,
}

impl Columns {
    /// The images that have ink at this pixel.
    #[inline]
    pub(super) fn pixel(&self, index: usize) -> &[Inked] {
        &self.inked[self.starts[index]..self.starts[index + 1]]
    }
}

/// What a network is trained on and what it is tested on.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) train: Images,
    pub(super) test: Images,
}

impl Task {
    /// Both classes cut to the size of the smaller one (and to `examples`, unless that is 0), a fifth of each for the
    /// test. `None` when a class has fewer than two images, for then one of the sets is empty.
    pub(super) fn draw(digits: &Digits, pair: [usize; 2], examples: usize, seed: Seed) -> Option<Task> {
        let smaller = pair.map(|digit| digits.count(digit)).into_iter().min()?;
        let each = if examples == 0 { smaller } else { examples.min(smaller) };
        if each < 2 {
            return None;
        }
        let tests = ((each + 2) / 5).max(1);
        // One random order serves both: its first images are kept, and the first of those are the test. A smaller
        // `examples` under the same seed is so a part of the larger one.
        let orders = pair.map(|digit| draws::order(Draw::Order.row(seed, digit as u32), digits.count(digit)));
        let images = |range: Range<usize>| {
            let mut images = Images::default();
            for (label, (digit, order)) in pair.iter().zip(&orders).enumerate() {
                for &index in &order[range.clone()] {
                    let pixels = digits.image(*digit, index as usize).map(|byte| f32::from(byte) / 255.0);
                    images.push(&pixels, label == 1);
                }
            }
            images
        };
        Some(Task { test: images(0..tests), train: images(tests..each) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn bits(images: &Images) -> Vec<Vec<u32>> {
        (0..images.len()).map(|i| images.dense(i).iter().map(|x| x.to_bits()).collect()).collect()
    }

    #[test]
    fn classes_are_balanced_and_a_fifth_of_each_is_the_test() {
        let digits = Digits::embedded();
        let task = Task::draw(digits, [4, 9], 0, Seed(1)).unwrap();
        // The smaller class has 978 images; a fifth of that is 195.6.
        let of = |images: &Images, label: bool| images.labels.iter().filter(|l| **l == label).count();
        assert_eq!([of(&task.train, false), of(&task.train, true)], [782, 782]);
        assert_eq!([of(&task.test, false), of(&task.test, true)], [196, 196]);
        let all: HashSet<Vec<u32>> = bits(&task.train).into_iter().chain(bits(&task.test)).collect();
        assert_eq!(all.len(), 4 * 489, "an image stands in one set, once");
    }

    #[test]
    fn a_cap_takes_a_part_of_what_no_cap_takes() {
        let digits = Digits::embedded();
        let whole = Task::draw(digits, [0, 1], 0, Seed(1)).unwrap();
        let part = Task::draw(digits, [0, 1], 50, Seed(1)).unwrap();
        assert_eq!((part.train.len(), part.test.len()), (80, 20));
        let all: HashSet<Vec<u32>> = bits(&whole.train).into_iter().chain(bits(&whole.test)).collect();
        assert!(bits(&part.train).iter().chain(&bits(&part.test)).all(|image| all.contains(image)));
        assert!(Task::draw(digits, [0, 1], 1, Seed(1)).is_none(), "one image cannot be both trained on and tested");
        assert_eq!(Task::draw(digits, [0, 1], 2, Seed(1)).unwrap().test.len(), 2);
    }

    #[test]
    fn another_seed_splits_otherwise_and_the_same_seed_alike() {
        let digits = Digits::embedded();
        let of = |seed| bits(&Task::draw(digits, [3, 8], 0, Seed(seed)).unwrap().test);
        assert_eq!(of(1), of(1));
        let (one, two): (HashSet<_>, HashSet<_>) = (of(1).into_iter().collect(), of(2).into_iter().collect());
        // Test sets of a fifth share a fifth of their images, 75 of 378, with a standard deviation of about 7.
        let shared = one.intersection(&two).count();
        assert!((47..=105).contains(&shared), "{shared} shared images");
    }

    #[test]
    fn columns_hold_the_numbers_of_the_images() {
        let images = Task::draw(Digits::embedded(), [0, 1], 20, Seed(1)).unwrap().train;
        let columns = images.columns();
        let mut rebuilt = vec![0.0f32; images.len() * PIXELS];
        for pixel in 0..PIXELS {
            let column = columns.pixel(pixel);
            assert!(column.is_sorted_by_key(|inked| inked.at));
            column.iter().for_each(|inked| rebuilt[inked.at as usize * PIXELS + pixel] = inked.value);
        }
        assert!((0..images.len()).all(|i| rebuilt[i * PIXELS..][..PIXELS] == images.dense(i)));
    }

    /// The mean of a grey pixel stays, its spread is sigma; at the ends half of the noise is cut off, which leaves a
    /// mean of sigma / sqrt(2 pi). A million draws give both to three digits; the tolerance is about six standard
    /// errors.
    #[test]
    fn noise_has_its_width_and_stays_between_nought_and_one() {
        let mut grey = Images::default();
        for _ in 0..1250 {
            grey.push(&[0.5; PIXELS], false);
        }
        let noisy = grey.noisy(0.1, Seed(1));
        let all: Vec<f64> = (0..noisy.len()).flat_map(|i| noisy.dense(i)).map(f64::from).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let sd = (all.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / all.len() as f64).sqrt();
        assert!((mean - 0.5).abs() < 6e-4 && (sd - 0.1).abs() < 5e-4, "mean {mean}, sd {sd}");

        let mut ends = Images::default();
        for index in 0..1000 {
            ends.push(&[if index < 500 { 0.0 } else { 1.0 }; PIXELS], index >= 500);
        }
        let noisy = ends.noisy(0.3, Seed(1));
        for (half, ink) in [(0..500, 0.0), (500..1000, 1.0)] {
            let all: Vec<f64> = half.flat_map(|i| noisy.dense(i)).map(f64::from).collect();
            assert!(all.iter().all(|x| (0.0..=1.0).contains(x)));
            let away = all.iter().map(|x| (x - ink).abs()).sum::<f64>() / all.len() as f64;
            assert!((away - 0.3 * 0.398_942).abs() < 2e-3, "mean distance {away}");
        }
        assert_eq!(bits(&ends.noisy(0.0, Seed(1))), bits(&ends), "no noise changes nothing");
    }

    #[test]
    fn a_patch_wipes_one_square_and_reaches_every_place() {
        let mut ink = Images::default();
        for _ in 0..3000 {
            ink.push(&[1.0; PIXELS], true);
        }
        let wiped = ink.occluded(7, Seed(1));
        let mut corners = HashSet::new();
        for index in 0..wiped.len() {
            let pixels = wiped.dense(index);
            let corner = pixels.iter().position(|x| *x == 0.0).unwrap();
            let (top, left) = (corner / SIDE, corner % SIDE);
            let inside = |at: usize| (top..top + 7).contains(&(at / SIDE)) && (left..left + 7).contains(&(at % SIDE));
            assert!(pixels.iter().enumerate().all(|(at, x)| *x == if inside(at) { 0.0 } else { 1.0 }));
            corners.insert((top, left));
        }
        // 3000 draws miss one of 22 × 22 places with probability 0.002 each: about one is missed.
        assert!(corners.len() > 475, "{} places of 484", corners.len());
        assert_eq!(bits(&ink.occluded(0, Seed(1))), bits(&ink), "no patch changes nothing");
        assert!(ink.occluded(28, Seed(1)).inked.is_empty(), "a patch of the image's size wipes all of it");
    }
}
