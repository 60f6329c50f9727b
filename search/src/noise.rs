//! Addressed noise: every random number has an address and is made alone, in any order, by any worker.
//!
//! Uniform bits come from Philox (`tumble_domain::Seed::noise`). Normals come from a table of 64 Ki quantiles: entry `i`
//! is Φ⁻¹((i + ½) / 65536), so 16 bits make a normal, and one block makes eight, without a logarithm or a cosine whose
//! last bit would depend on the machine. The law this gives has variance 0.99998, kurtosis 2.9992 and support ±4.32:
//! right for perturbations. Where tails matter, put [`uniform`] through [`inverse_normal`].

use tumble_domain::Seed;
use tumble_domain::seed::Stream;

/// Normals in a block.
const NORMALS: usize = 8;
/// Blocks made side by side. With as many as this the compiler keeps them in vectors even on the oldest processors of a
/// kind; with half as many it unrolls them into single numbers, which takes half as long again.
const LANES: usize = 16;
/// Entries of the upper half of the table; the lower half is its mirror image.
const HALF: usize = 32 * 1024;

/// The bytes of the upper half, made by `cargo xtask quantile-table`.
const QUANTILE_BYTES: &[u8; 4 * HALF] = include_bytes!("../data/normal-quantiles.f32");

static QUANTILES: [f32; HALF] = {
    let mut table = [0.0; HALF];
    let mut k = 0;
    while k < HALF {
        let b = QUANTILE_BYTES;
        table[k] = f32::from_le_bytes([b[4 * k], b[4 * k + 1], b[4 * k + 2], b[4 * k + 3]]);
        k += 1;
    }
    table
};

/// Φ⁻¹((i + ½) / 65536).
#[inline(always)]
fn quantile(i: u16) -> f64 {
    // The top bit is set in the upper half. Below it the index runs backwards and the sign turns: without a branch, for
    // no processor could predict it.
    let mirrored = (i >> 15).wrapping_sub(1);
    let magnitude = QUANTILES[usize::from((i ^ mirrored) & 0x7FFF)];
    f64::from(f32::from_bits(magnitude.to_bits() | u32::from(mirrored & 0x8000) << 16))
}

/// Fills `into` with standard normals: element `e` is lane `e mod 8` of block `e / 8`.
///
/// The stream, tensor, member and generation address the vector; see [`Seed::noise`].
pub fn normals(seed: Seed, stream: Stream, tensor: u32, member: u32, generation: u32, into: &mut [f64]) {
    normals_from(seed, stream, [tensor, member, generation], 0, into);
}

/// As [`normals`] for the elements from `8 * block` on, where `address` is tensor, member and generation: long vectors
/// can be made in pieces that fit a cache.
pub fn normals_from(seed: Seed, stream: Stream, address: [u32; 3], block: u32, into: &mut [f64]) {
    let [tensor, member, generation] = address;
    let mut block = block;
    let mut pieces = into.chunks_exact_mut(NORMALS * LANES);
    for piece in &mut pieces {
        let words = seed.noise_lanes::<LANES>(stream, tensor, member, generation, block);
        for (lane, normals) in piece.chunks_exact_mut(NORMALS).enumerate() {
            for (pair, words) in normals.chunks_exact_mut(2).zip(&words) {
                pair[0] = quantile(words[lane] as u16);
                pair[1] = quantile((words[lane] >> 16) as u16);
            }
        }
        block = block.wrapping_add(LANES as u32);
    }
    for normals in pieces.into_remainder().chunks_mut(NORMALS) {
        let words = seed.noise(stream, tensor, member, generation, block);
        for (lane, normal) in normals.iter_mut().enumerate() {
            *normal = quantile((words[lane / 2] >> (16 * (lane % 2))) as u16);
        }
        block = block.wrapping_add(1);
    }
}

/// As [`normals`] for the elements from `element` on, wherever that is in its block.
pub fn normals_at(seed: Seed, stream: Stream, address: [u32; 3], element: usize, into: &mut [f64]) {
    let (block, within) = ((element / NORMALS) as u32, element % NORMALS);
    if within == 0 {
        return normals_from(seed, stream, address, block, into);
    }
    let mut whole = [0.0; NORMALS];
    normals_from(seed, stream, address, block, &mut whole);
    let (first, rest) = into.split_at_mut(into.len().min(NORMALS - within));
    first.copy_from_slice(&whole[within..within + first.len()]);
    normals_from(seed, stream, address, block.wrapping_add(1), rest);
}

/// Fills `into` with numbers in [0, 1), each a multiple of 2⁻⁵³: element `e` is half `e mod 2` of block `e / 2`.
pub fn uniforms(seed: Seed, stream: Stream, tensor: u32, member: u32, generation: u32, into: &mut [f64]) {
    uniforms_at(seed, stream, [tensor, member, generation], 0, into);
}

/// As [`uniforms`] for the elements from `element` on, where `address` is tensor, member and generation.
pub fn uniforms_at(seed: Seed, stream: Stream, address: [u32; 3], element: usize, into: &mut [f64]) {
    let [tensor, member, generation] = address;
    let mut block = (element / 2) as u32;
    let (odd, into) = into.split_at_mut(into.len().min(element % 2));
    if let [number] = odd {
        *number = uniform(seed, stream, tensor, member, generation, element as u32);
        block = block.wrapping_add(1);
    }
    for pair in into.chunks_mut(2) {
        let words = seed.noise(stream, tensor, member, generation, block);
        for (half, number) in pair.iter_mut().enumerate() {
            *number = unit(word64(words, half));
        }
        block = block.wrapping_add(1);
    }
}

/// Element `element` of [`uniforms`], made alone.
pub fn uniform(seed: Seed, stream: Stream, tensor: u32, member: u32, generation: u32, element: u32) -> f64 {
    unit(word64(seed.noise(stream, tensor, member, generation, element / 2), element as usize % 2))
}

/// The 64-bit half `half` of a block.
#[inline]
pub(crate) fn word64(words: [u32; 4], half: usize) -> u64 {
    u64::from(words[2 * half]) | u64::from(words[2 * half + 1]) << 32
}

/// A 64-bit fraction as a number in [0, 1): its upper 53 bits.
#[inline]
pub(crate) fn unit(fraction: u64) -> f64 {
    (fraction >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// Which of `count` equal parts of the unit interval a 64-bit fraction lies in.
#[inline]
pub(crate) fn part_of(fraction: u64, count: u64) -> u64 {
    ((u128::from(fraction) * u128::from(count)) >> 64) as u64
}

/// The standard normal quantile Φ⁻¹(p), to about 1 part in 10¹⁶; −∞ at 0, ∞ at 1, NaN outside.
///
/// Source: Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988),
/// routine PPND16: rational approximations in the middle, in the shoulders and in the tails.
pub fn inverse_normal(p: f64) -> f64 {
    if p.is_nan() || !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180625 - q * q;
        return q * horner(&MIDDLE.0, r) / horner(&MIDDLE.1, r);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    if tail == 0.0 {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let r = (-libm::log(tail)).sqrt();
    let magnitude = if r <= 5.0 {
        horner(&SHOULDER.0, r - 1.6) / horner(&SHOULDER.1, r - 1.6)
    } else {
        horner(&TAIL.0, r - 5.0) / horner(&TAIL.1, r - 5.0)
    };
    if q < 0.0 { -magnitude } else { magnitude }
}

/// A polynomial, constant coefficient first.
fn horner(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

type Rational = ([f64; 8], [f64; 8]);

/// |p − ½| ≤ 0.425.
const MIDDLE: Rational = (
    [
        3.3871328727963665,
        133.14166789178438,
        1971.5909503065513,
        13731.69376550946,
        45921.95393154987,
        67265.7709270087,
        33430.57558358813,
        2509.0809287301227,
    ],
    [
        1.0,
        42.31333070160091,
        687.1870074920579,
        5394.196021424751,
        21213.794301586597,
        39307.89580009271,
        28729.085735721943,
        5226.495278852854,
    ],
);
/// Out to r = 5, where p is about 1.4e-11.
const SHOULDER: Rational = (
    [
        1.4234371107496835,
        4.630337846156546,
        5.769497221460691,
        3.6478483247632045,
        1.2704582524523684,
        0.2417807251774506,
        0.022723844989269184,
        0.0007745450142783414,
    ],
    [
        1.0,
        2.053191626637759,
        1.6763848301838038,
        0.6897673349851,
        0.14810397642748008,
        0.015198666563616457,
        0.0005475938084995345,
        1.0507500716444169e-09,
    ],
);
/// Beyond.
const TAIL: Rational = (
    [
        6.657904643501103,
        5.463784911164114,
        1.7848265399172913,
        0.29656057182850487,
        0.026532189526576124,
        0.0012426609473880784,
        2.7115555687434876e-05,
        2.0103343992922881e-07,
    ],
    [
        1.0,
        0.599832206555888,
        0.1369298809227358,
        0.014875361290850615,
        0.0007868691311456133,
        1.8463183175100548e-05,
        1.421511758316446e-07,
        2.0442631033899397e-15,
    ],
);

#[cfg(test)]
mod tests {
    use super::*;

    fn whole_table() -> Vec<f64> {
        (0..=u16::MAX).map(quantile).collect()
    }

    /// The bytes are part of every published result: another table is another version of every strategy.
    #[test]
    fn the_quantile_table_is_the_one_that_was_published() {
        assert_eq!(
            blake3::hash(QUANTILE_BYTES).to_hex().as_str(),
            "7d738943cb1e2fc7109909c97ad1315471fb7f04554ac0f6782f22690a7dc9d3"
        );
    }

    #[test]
    fn the_table_is_rising_and_its_halves_mirror_each_other() {
        let table = whole_table();
        assert!(table.windows(2).all(|pair| pair[0] < pair[1]));
        assert!((0..HALF).all(|i| table[i].to_bits() == (-table[2 * HALF - 1 - i]).to_bits()));
    }

    #[test]
    fn the_table_has_the_moments_of_a_normal_law_cut_at_4_32() {
        let table = whole_table();
        let moment = |k: i32| table.iter().map(|x| x.powi(k)).sum::<f64>() / table.len() as f64;
        assert!((moment(2) - 0.99998).abs() < 5e-6, "variance {}", moment(2));
        assert!(
            (moment(4) / (moment(2) * moment(2)) - 2.99925).abs() < 5e-6,
            "kurtosis {}",
            moment(4) / moment(2).powi(2)
        );
        assert!((table[2 * HALF - 1] - 4.32).abs() < 0.01, "support {}", table[2 * HALF - 1]);
    }

    #[test]
    fn every_entry_is_the_quantile_that_the_rational_approximation_gives() {
        for (i, entry) in whole_table().iter().enumerate() {
            let exact = inverse_normal((i as f64 + 0.5) / 65536.0);
            assert!((entry - exact).abs() <= 6e-8 * exact.abs(), "entry {i}: {entry} against {exact}");
        }
    }

    #[test]
    fn a_normal_does_not_depend_on_how_many_are_made_with_it() {
        let mut long = [0.0; 203];
        normals(Seed(3), Stream::Perturbation, 5, 6, 7, &mut long);
        for length in [1, 7, 8, 9, 63, 64, 65, 127, 128, 129, 200] {
            let mut short = vec![0.0; length];
            normals(Seed(3), Stream::Perturbation, 5, 6, 7, &mut short);
            assert_eq!(short, long[..length]);
        }
        let mut rest = [0.0; 203 - 72];
        normals_from(Seed(3), Stream::Perturbation, [5, 6, 7], 9, &mut rest);
        assert_eq!(rest, long[72..]);
        for (element, length) in
            [(0, 203), (1, 3), (3, 5), (3, 4), (7, 1), (7, 196), (9, 194), (64, 139), (202, 1), (203, 0)]
        {
            let mut piece = vec![0.0; length];
            normals_at(Seed(3), Stream::Perturbation, [5, 6, 7], element, &mut piece);
            assert_eq!(piece, long[element..element + length]);
        }
    }

    /// Made from the published Philox answer for a zero counter and key: its first word is 6627e8d5, so the first normal
    /// is entry e8d5 of the table and the second entry 6627.
    #[test]
    fn the_first_normals_of_the_zero_seed_are_known() {
        let mut made = [0.0; 8];
        normals(Seed(0), Stream::Perturbation, 0, 0, 0, &mut made);
        let entries = [0xe8d5, 0x6627, 0xc58d, 0xe169, 0xac4c, 0xbc57, 0xdbd8, 0x9b00];
        assert_eq!(made, entries.map(quantile));
        let expected = entries.map(|i: u16| inverse_normal((f64::from(i) + 0.5) / 65536.0));
        assert!(made.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{made:?}");
        assert!((made[0] - KNOWN[0]).abs() < 1e-6 && (made[1] - KNOWN[1]).abs() < 1e-6, "{made:?}");
    }

    /// Φ⁻¹((0xe8d5 + ½)/65536) and Φ⁻¹((0x6627 + ½)/65536), by the standard library of Python.
    const KNOWN: [f64; 2] = [1.3377299102640023, -0.2558321543460903];

    #[test]
    fn uniforms_are_spread_evenly_and_can_be_made_alone() {
        let mut made = vec![0.0; 40_000];
        uniforms(Seed(1), Stream::Init, 0, 2, 0, &mut made);
        assert!(made.iter().all(|u| (0.0..1.0).contains(u)));
        let mean = made.iter().sum::<f64>() / made.len() as f64;
        assert!((mean - 0.5).abs() < 5.0 * (1.0f64 / 12.0 / 40_000.0).sqrt(), "{mean}");
        for element in [0, 1, 2, 39_999] {
            assert_eq!(uniform(Seed(1), Stream::Init, 0, 2, 0, element), made[element as usize]);
        }
        for (element, length) in [(0, 7), (1, 1), (1, 6), (2, 5), (999, 0), (39_999, 1)] {
            let mut piece = vec![0.0; length];
            uniforms_at(Seed(1), Stream::Init, [0, 2, 0], element, &mut piece);
            assert_eq!(piece, made[element..element + length]);
        }
    }

    /// Reference values of the standard library of Python (`statistics.NormalDist().inv_cdf`).
    #[test]
    fn the_inverse_distribution_function_agrees_with_known_values_out_to_the_tails() {
        let cases = [
            (1e-300, -37.0470962993612),
            (1e-20, -9.262340089798405),
            (1e-11, -6.706023155495136),
            (1e-06, -4.753424308822899),
            (0.025, -1.9599639845400538),
            (0.074, -1.4466320671589785),
            (0.3, -0.5244005127080407),
            (0.9, 1.2815515655446008),
            (0.999, 3.090232306167813),
            (0.9999999999999999, 8.209536151601386),
        ];
        for (p, expected) in cases {
            let x = inverse_normal(p);
            assert!((x - expected).abs() <= 4e-15 * expected.abs(), "p = {p}: {x} against {expected}");
        }
        assert_eq!(inverse_normal(0.5), 0.0);
        assert_eq!(inverse_normal(0.0), f64::NEG_INFINITY);
        assert_eq!(inverse_normal(1.0), f64::INFINITY);
        assert!(inverse_normal(-0.1).is_nan() && inverse_normal(1.1).is_nan() && inverse_normal(f64::NAN).is_nan());
    }
}
