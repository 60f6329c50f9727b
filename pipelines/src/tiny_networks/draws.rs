//! What a trial draws under its seed, and where each of those rows of numbers stands.

use tumble_domain::Seed;

use crate::draws::Draws;

/// What is drawn: the tensor in the address of its noise. The numbers are part of what a trial gives; never change one.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Draw {
    /// The order of a class's images; a row for each digit.
    Order = 0,
    /// The first weights of the hidden layer; a row for each unit.
    Hidden = 1,
    /// The first weights of the output.
    Output = 2,
    /// Noise on pixels; a row for each image.
    PixelNoise = 3,
    /// Where a patch stands; a row for each image.
    Patch = 4,
}

impl Draw {
    /// One row of this.
    pub(super) fn row(self, seed: Seed, member: u32) -> Draws {
        Draws { member, ..Draws::of(seed, self as u32) }
    }
}

/// A whole number below `count`; uneven by less than `count` / 2^32.
pub(super) fn below(word: u32, count: usize) -> usize {
    ((u64::from(word) * count as u64) >> 32) as usize
}

/// A random order of `0..count`: each index stands where its own 64 random bits put it.
pub(super) fn order(draws: Draws, count: usize) -> Vec<u32> {
    let mut words = vec![0; 2 * count];
    draws.words(&mut words);
    let mut keyed: Vec<(&[u32], u32)> = words.chunks_exact(2).zip(0..).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_every_index_once_and_favours_none() {
        let mut sum = [0u32; 10];
        for seed in 0..2000 {
            let order = order(Draw::Order.row(Seed(seed), 4), 10);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<u32>>());
            order.iter().enumerate().for_each(|(place, index)| sum[*index as usize] += place as u32);
        }
        // A place is 4.5 in the mean with sd 2.87: over 2000 orders the standard error is 0.064, five of those 0.32.
        assert!(sum.iter().all(|s| (f64::from(*s) / 2000.0 - 4.5).abs() < 0.32), "{sum:?}");
    }

    #[test]
    fn a_word_falls_below_its_count() {
        assert_eq!(
            [below(0, 22), below(u32::MAX, 22), below(u32::MAX / 2 + 1, 22), below(u32::MAX, 1)],
            [0, 21, 11, 0]
        );
    }
}
