//! The chance of one story: a sequence of numbers that follows from its seed alone.

use tumble_domain::philox::philox4x32_10;

pub(crate) struct Chance {
    key: [u32; 2],
    drawn: u64,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance { key: [seed as u32, (seed >> 32) as u32], drawn: 0 }
    }

    fn word(&mut self) -> u64 {
        self.drawn += 1;
        let words = philox4x32_10([self.drawn as u32, (self.drawn >> 32) as u32, 0, 0], self.key);
        u64::from(words[0]) | u64::from(words[1]) << 32
    }

    /// A number of `0..n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.word() % n
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }
}
