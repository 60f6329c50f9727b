//! Seeds: the root of all randomness, and how a trial's own seed derives from it.

use crate::philox::{philox4x32_10, philox4x32_10_lanes};

/// A 64-bit seed. It is the Philox key of everything drawn under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seed(pub u64);

/// What a block of noise is for. Streams never overlap: the stream is part of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stream {
    /// A strategy's perturbations.
    Perturbation = 0,
    /// Starting points.
    Init = 1,
    /// The seeds of trials.
    TrialSeed = 2,
    /// Designs of sweeps.
    Design = 3,
    /// A strategy's choices other than perturbations: masks, partners, restarts.
    Choice = 4,
    /// What an evaluator draws under its trial's seed.
    Evaluator = 5,
}

impl Seed {
    /// The Philox key.
    #[inline]
    pub fn key(self) -> [u32; 2] {
        [self.0 as u32, (self.0 >> 32) as u32]
    }

    /// Four words of noise: `block` counts within (`tensor`, `member`, `generation`).
    ///
    /// `tensor` has 24 bits; the stream stands above it in the same counter word.
    #[inline]
    pub fn noise(self, stream: Stream, tensor: u32, member: u32, generation: u32, block: u32) -> [u32; 4] {
        debug_assert!(tensor < 1 << 24, "a tensor id has 24 bits");
        philox4x32_10([block, tensor | (stream as u32) << 24, member, generation], self.key())
    }

    /// [`Seed::noise`] of so many blocks from `block` on, side by side: word `w` of the `i`-th is `[w][i]`.
    #[inline(always)]
    pub fn noise_lanes<const LANES: usize>(
        self,
        stream: Stream,
        tensor: u32,
        member: u32,
        generation: u32,
        block: u32,
    ) -> [[u32; LANES]; 4] {
        debug_assert!(tensor < 1 << 24, "a tensor id has 24 bits");
        philox4x32_10_lanes([block, tensor | (stream as u32) << 24, member, generation], self.key())
    }

    /// The seed of one trial. It depends on the run's seed and the trial's place alone, so any worker, any order and
    /// any restart give the same. `candidate` may exceed 32 bits in a sweep.
    pub fn derive(self, generation: u32, candidate: u64, replicate: u32) -> Seed {
        // 24 bits of the candidate's high half are enough for 2^56 candidates.
        let words = self.noise(
            Stream::TrialSeed,
            (candidate >> 32) as u32 & 0xFF_FFFF,
            candidate as u32,
            generation,
            replicate,
        );
        Seed(u64::from(words[0]) | u64::from(words[1]) << 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn neighbouring_trials_have_unlike_seeds() {
        let mut seen = HashSet::new();
        for generation in 0..20 {
            for candidate in (0..20).chain((1 << 32)..(1 << 32) + 20) {
                for replicate in 0..5 {
                    assert!(seen.insert(Seed(7).derive(generation, candidate, replicate)));
                }
            }
        }
    }

    #[test]
    fn streams_do_not_overlap() {
        assert_ne!(Seed(1).noise(Stream::Perturbation, 0, 0, 0, 0), Seed(1).noise(Stream::Init, 0, 0, 0, 0));
    }
}
