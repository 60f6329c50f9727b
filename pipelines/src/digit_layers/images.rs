//! Digits as the network meets them: their inked pixels alone.

use tumble_domain::Seed;

use crate::draws::Draws;
use crate::tiny_networks::digits::Digits;

/// Images one after another, each a list of its inked pixels.
pub(super) struct Images {
    /// Where each image's pixels begin, and where the last one's end.
    starts: Vec<usize>,
    /// Pixel, by rows of the image, and its ink from 0 to 1; the pixels of an image rise.
    inked: Vec<(u16, f64)>,
    labels: Vec<u8>,
}

/// What is drawn under a trial's seed: the tensor in the address of its noise. Never change one.
const BATCH: u32 = 0;

impl Images {
    /// Training images: each of a class drawn evenly, and one of its first four fifths drawn evenly, with replacement.
    pub(super) fn batch(digits: usize, count: usize, seed: Seed) -> Images {
        let all = Digits::embedded();
        let mut words = vec![0; 2 * count];
        Draws::of(seed, BATCH).words(&mut words);
        let mut images = Images::none();
        for pair in words.chunks_exact(2) {
            let digit = below(pair[0], digits);
            images.push(all, digit, below(pair[1], train(all, digit)));
        }
        images
    }

    /// Test images, class after class in turn, of the last fifth of each: as many as asked for, or as there are.
    pub(super) fn test(digits: usize, count: usize) -> Images {
        let all = Digits::embedded();
        let each = (0..digits).map(|digit| all.count(digit) - train(all, digit)).min().unwrap_or(0);
        let mut images = Images::none();
        for turn in 0..count.min(each * digits) {
            let digit = turn % digits;
            images.push(all, digit, train(all, digit) + turn / digits);
        }
        images
    }

    fn none() -> Images {
        Images { starts: vec![0], inked: Vec::new(), labels: Vec::new() }
    }

    fn push(&mut self, all: &Digits, digit: usize, index: usize) {
        let pixels = (0u16..).zip(all.image(digit, index)).filter(|(_, byte)| **byte > 0);
        self.inked.extend(pixels.map(|(pixel, byte)| (pixel, f64::from(*byte) / 255.0)));
        self.starts.push(self.inked.len());
        self.labels.push(digit as u8);
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The inked pixels of each image, and its class.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[(u16, f64)], usize)> {
        let pixels = self.starts.windows(2).map(|ends| &self.inked[ends[0]..ends[1]]);
        pixels.zip(self.labels.iter().map(|label| usize::from(*label)))
    }
}

/// Images of a class that are for training.
fn train(all: &Digits, digit: usize) -> usize {
    all.count(digit) * 4 / 5
}

/// A whole number below `count`; uneven by less than `count` / 2^32.
fn below(word: u32, count: usize) -> usize {
    ((u64::from(word) * count as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny_networks::digits::PIXELS;
    use std::collections::BTreeSet;

    fn dense(images: &Images) -> Vec<(usize, Vec<u8>)> {
        images
            .iter()
            .map(|(pixels, label)| {
                assert!(pixels.is_sorted_by_key(|(pixel, _)| *pixel));
                let mut image = vec![0; PIXELS];
                pixels.iter().for_each(|(pixel, ink)| image[usize::from(*pixel)] = (ink * 255.0).round() as u8);
                (label, image)
            })
            .collect()
    }

    #[test]
    fn a_test_image_is_never_trained_on_and_classes_are_even() {
        let all = Digits::embedded();
        let test: BTreeSet<_> = dense(&Images::test(10, 10_000)).into_iter().collect();
        assert_eq!(test.len(), 10 * 173, "the rarest digit has 863 images, of which 690 are for training");
        let mut classes = [0; 10];
        test.iter().for_each(|(label, image)| {
            classes[*label] += 1;
            assert!((train(all, *label)..all.count(*label)).any(|i| all.image(*label, i)[..] == image[..]));
        });
        assert_eq!(classes, [173; 10]);
        let batches = (0..40).flat_map(|seed| dense(&Images::batch(10, 100, Seed(seed))));
        assert!(batches.into_iter().all(|image| !test.contains(&image)));
        assert_eq!(Images::test(10, 25).len(), 25);
        assert_eq!(Images::test(3, 9000).len(), 3 * (991 - 792), "twos are the rarest of three");
    }

    /// A class is one in four: 1000 of 4000, with a standard deviation of 27.
    #[test]
    fn a_batch_is_drawn_evenly_under_its_seed() {
        let batch = dense(&Images::batch(4, 4000, Seed(1)));
        assert_eq!(batch, dense(&Images::batch(4, 4000, Seed(1))));
        assert_ne!(batch, dense(&Images::batch(4, 4000, Seed(2))));
        let counts = (0..4).map(|digit| batch.iter().filter(|(label, _)| *label == digit).count());
        assert!(counts.into_iter().all(|count| count.abs_diff(1000) < 110));
        let unlike: BTreeSet<_> = batch.into_iter().collect();
        // 4000 draws of 3319 images leave 30 % out: 1 − e^(−4000/3319) is 70 %.
        assert!((2250..2400).contains(&unlike.len()), "{}", unlike.len());
    }
}
