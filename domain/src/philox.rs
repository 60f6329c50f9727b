//! Philox4x32-10, the counter-based generator under every random number of a run.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3. A block of
//! noise depends on a key and a counter alone, so any worker makes any number without making those before it.

const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Four words of noise at one address.
#[inline(always)]
pub fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let a = u64::from(MULTIPLIER[0]) * u64::from(counter[0]);
        let b = u64::from(MULTIPLIER[1]) * u64::from(counter[2]);
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
    }
    counter
}

/// [`philox4x32_10`] at `LANES` counters that differ in their first word, which counts up from `counter[0]`: word `w` of
/// block `lane` is `[w][lane]`. Each operation is on a whole array, so the compiler can put a block in each lane of a
/// vector of the processor, whatever its width.
#[inline(always)]
pub fn philox4x32_10_lanes<const LANES: usize>(counter: [u32; 4], mut key: [u32; 2]) -> [[u32; LANES]; 4] {
    let mut words = counter.map(|word| [word; LANES]);
    for (lane, word) in words[0].iter_mut().enumerate() {
        *word = word.wrapping_add(lane as u32);
    }
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        #[allow(clippy::needless_range_loop, reason = "the lane indexes four arrays at once")]
        for lane in 0..LANES {
            let a = u64::from(MULTIPLIER[0]) * u64::from(words[0][lane]);
            let b = u64::from(MULTIPLIER[1]) * u64::from(words[2][lane]);
            words[0][lane] = (b >> 32) as u32 ^ words[1][lane] ^ key[0];
            words[1][lane] = b as u32;
            words[2][lane] = (a >> 32) as u32 ^ words[3][lane] ^ key[1];
            words[3][lane] = a as u32;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{philox4x32_10, philox4x32_10_lanes};

    #[test]
    fn blocks_made_side_by_side_are_those_made_alone() {
        for counter in [[0; 4], [7, 1, 2, 3], [!0 - 4, !0, 0, 9]] {
            let key = [0xa409_3822, 0x299f_31d0];
            let words = philox4x32_10_lanes::<16>(counter, key);
            for lane in 0..16 {
                let [first, rest @ ..] = counter;
                let alone = philox4x32_10([first.wrapping_add(lane), rest[0], rest[1], rest[2]], key);
                assert_eq!([0, 1, 2, 3].map(|w| words[w][lane as usize]), alone);
            }
        }
    }

    /// The known answers of Random123's `kat_vectors` for philox4x32-10: all zero, all ones, digits of pi.
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox4x32_10([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox4x32_10([!0; 4], [!0; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox4x32_10([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }
}
