//! What a strategy was told of one generation, in the fewest bytes that lead a replica of it the same way.
//!
//! A proposal grows with the dimension, and this with the population alone. Where only the order of the fitness counts,
//! a candidate's place takes log₂ of the population in bits. (Salimans, Ho, Chen, Sidor, Sutskever, "Evolution strategies
//! as a scalable alternative to reinforcement learning", arXiv:1703.03864, algorithm 2: workers exchange returns, never
//! parameters.)

use tumble_domain::Fitness;

use crate::codec::{Reader, Writer};
use crate::shaping;
use crate::strategy::SnapshotError;

/// The version of the bytes.
const VERSION: u16 = 1;

/// What a strategy looks at in the fitness it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldAs {
    /// Which candidate is better than which, which tie, and which failed; it keeps nothing else of them.
    Places,
    /// Which of the candidates `2p` and `2p + 1` is better; it keeps nothing else of them.
    Signs,
    /// The numbers themselves: it computes with them, or keeps them for later generations.
    Values,
}

impl ToldAs {
    /// About how many bytes a generation of so many candidates takes; no fewer than it really does.
    pub fn bytes(self, population: u32) -> u64 {
        let codes = u64::from(population);
        let body = match self {
            ToldAs::Places => (codes * u64::from(width(population.saturating_add(2)))).div_ceil(8),
            ToldAs::Signs => codes.div_ceil(2).div_ceil(4),
            ToldAs::Values => 8 * codes,
        };
        HEAD_BYTES + body
    }
}

/// Version, kind, count, and how many codes there are.
const HEAD_BYTES: u64 = 2 + 1 + 4 + 4;

/// The fitness of one generation's candidates, as far as their strategy looks at it.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// For each candidate 0 if it was dropped, 1 if it counts as worst, else 2 and how many different fitnesses are better
    /// than its own.
    Places(Vec<u32>),
    /// For each pair 0 if neither is better, 1 if the first is, 2 if the second is, 3 if either was dropped.
    Signs {
        /// How many candidates there are; the last of an odd number is in no pair, and tells nothing.
        candidates: u32,
        /// One for each pair, the broken one included.
        pairs: Vec<u32>,
    },
    /// As it was told.
    Values(Vec<Fitness>),
}

impl Told {
    /// What this fitness comes down to for a strategy that looks at it so.
    pub fn of(told_as: ToldAs, fitness: &[Fitness]) -> Told {
        match told_as {
            ToldAs::Places => Told::Places(places(fitness)),
            ToldAs::Signs => Told::Signs {
                candidates: fitness.len() as u32,
                pairs: fitness.chunks(2).map(|pair| sign(pair).unwrap_or(DROPPED_PAIR)).collect(),
            },
            ToldAs::Values => Told::Values(fitness.to_vec()),
        }
    }

    /// How many candidates there are.
    pub fn candidates(&self) -> usize {
        match self {
            Told::Places(places) => places.len(),
            Told::Signs { candidates, .. } => *candidates as usize,
            Told::Values(fitness) => fitness.len(),
        }
    }

    /// Fitness that leads the strategy as the one that was told did.
    pub fn fitness(&self) -> Vec<Fitness> {
        match self {
            Told::Places(places) => places
                .iter()
                .map(|place| match place {
                    0 => Fitness::Dropped,
                    1 => Fitness::Worst,
                    place => Fitness::Scored(-f64::from(place - 2)),
                })
                .collect(),
            Told::Signs { candidates, pairs } => pairs
                .iter()
                .flat_map(|sign| match sign {
                    0 => [0.0, 0.0].map(Fitness::Scored),
                    1 => [1.0, 0.0].map(Fitness::Scored),
                    2 => [0.0, 1.0].map(Fitness::Scored),
                    _ => [Fitness::Dropped; 2],
                })
                .take(*candidates as usize)
                .collect(),
            Told::Values(fitness) => fitness.clone(),
        }
    }

    /// The bytes that [`Told::decode`] reads back exactly; little-endian and versioned.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u16(VERSION);
        match self {
            Told::Places(places) => {
                out.u8(0);
                out.u32(places.len() as u32);
                let codes = places.iter().max().map_or(0, |most| most + 1);
                out.u32(codes);
                out.raw(&pack(places, width(codes)));
            }
            Told::Signs { candidates, pairs } => {
                out.u8(1);
                out.u32(*candidates);
                out.raw(&pack(pairs, 2));
            }
            Told::Values(fitness) => {
                out.u8(2);
                out.u32(fitness.len() as u32);
                for fitness in fitness {
                    out.u64(match fitness {
                        Fitness::Scored(x) => x.to_bits(),
                        Fitness::Worst => WORST,
                        Fitness::Dropped => DROPPED,
                    });
                }
            }
        }
        out.into_bytes()
    }

    /// Reads what came from elsewhere. Whatever the bytes, this allocates no more than follows from how many they are.
    pub fn decode(bytes: &[u8]) -> Result<Told, SnapshotError> {
        let mut from = Reader::new(bytes);
        let version = from.u16()?;
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        let (kind, candidates) = (from.u8()?, from.u32()?);
        let told = match kind {
            0 => {
                let codes = from.u32()?;
                Told::Places(unpack(&mut from, candidates, codes)?)
            }
            1 => Told::Signs { candidates, pairs: unpack(&mut from, candidates.div_ceil(2), 4)? },
            2 => {
                let numbers = from.raw((candidates as usize).checked_mul(8).ok_or(OUT_OF_RANGE)?)?;
                let (numbers, _) = numbers.as_chunks::<8>();
                let fitness = |bits: u64| match bits {
                    WORST => Ok(Fitness::Worst),
                    DROPPED => Ok(Fitness::Dropped),
                    bits if f64::from_bits(bits).is_finite() => Ok(Fitness::Scored(f64::from_bits(bits))),
                    _ => Err(SnapshotError::Damaged("a number is not finite")),
                };
                Told::Values(numbers.iter().map(|n| fitness(u64::from_le_bytes(*n))).collect::<Result<_, _>>()?)
            }
            _ => return Err(SnapshotError::Damaged("the kind of what was told is unknown")),
        };
        from.end()?;
        Ok(told)
    }
}

/// Two of the many NaNs stand for what is no number.
const WORST: u64 = 0x7FF8_0000_0000_0001;
const DROPPED: u64 = 0x7FF8_0000_0000_0002;

const DROPPED_PAIR: u32 = 3;

const OUT_OF_RANGE: SnapshotError = SnapshotError::Damaged("a length is out of range");

fn places(fitness: &[Fitness]) -> Vec<u32> {
    let mut places: Vec<u32> = fitness.iter().map(|f| u32::from(*f == Fitness::Worst)).collect();
    let order = shaping::best_first(fitness);
    let scored = order.iter().take_while(|i| fitness[**i].score().is_some());
    let (mut place, mut last) = (2, None);
    for i in scored {
        if last.is_some_and(|last| shaping::beats(last, fitness[*i])) {
            place += 1;
        }
        places[*i] = place;
        last = Some(fitness[*i]);
    }
    places
}

fn sign(pair: &[Fitness]) -> Option<u32> {
    let [first, second] = *pair else { return None };
    if first == Fitness::Dropped || second == Fitness::Dropped {
        return None;
    }
    Some(if shaping::beats(first, second) { 1 } else { 2 * u32::from(shaping::beats(second, first)) })
}

/// Bits that tell so many codes apart; at least one, so that a count is never larger than the bits that follow it.
fn width(codes: u32) -> u32 {
    (u32::BITS - codes.saturating_sub(1).leading_zeros()).max(1)
}

/// The codes in so many bits each, the lowest bits of a byte first.
fn pack(codes: &[u32], width: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity((codes.len() * width as usize).div_ceil(8));
    let (mut held, mut bits) = (0u64, 0);
    for code in codes {
        held |= u64::from(*code) << bits;
        bits += width;
        while bits >= 8 {
            bytes.push(held as u8);
            held >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        bytes.push(held as u8);
    }
    bytes
}

fn unpack(from: &mut Reader<'_>, count: u32, codes: u32) -> Result<Vec<u32>, SnapshotError> {
    let width = width(codes);
    let bits = (count as usize).checked_mul(width as usize).ok_or(OUT_OF_RANGE)?;
    let mut bytes = from.raw(bits.div_ceil(8))?.iter();
    let mut unpacked = Vec::with_capacity(count as usize);
    let (mut held, mut bits) = (0u64, 0);
    for _ in 0..count {
        while bits < width {
            held |= u64::from(*bytes.next().expect("so many were taken")) << bits;
            bits += 8;
        }
        let code = (held & ((1 << width) - 1)) as u32;
        if code >= codes {
            return Err(SnapshotError::Damaged("a place is out of range"));
        }
        unpacked.push(code);
        held >>= width;
        bits -= width;
    }
    if held != 0 {
        return Err(SnapshotError::Damaged("there are bits after its end"));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fitness::{Dropped, Scored, Worst};

    fn fitness() -> Vec<Fitness> {
        vec![Scored(2.5), Worst, Scored(-1e300), Dropped, Scored(2.5), Scored(7.0), Scored(-0.0), Scored(0.0), Worst]
    }

    #[test]
    fn places_keep_the_order_the_ties_and_the_failures() {
        let told = Told::of(ToldAs::Places, &fitness());
        assert_eq!(told, Told::Places(vec![3, 1, 5, 0, 3, 2, 4, 4, 1]));
        let again = told.fitness();
        assert_eq!(shaping::best_first(&again), shaping::best_first(&fitness()));
        assert_eq!(shaping::centred_ranks(&again), shaping::centred_ranks(&fitness()));
        assert_eq!(Told::of(ToldAs::Places, &again), told);
    }

    #[test]
    fn signs_keep_which_of_a_pair_is_better() {
        let told = Told::of(ToldAs::Signs, &fitness());
        assert_eq!(told, Told::Signs { candidates: 9, pairs: vec![1, 3, 2, 0, 3] });
        assert_eq!(told.fitness().len(), 9);
        assert_eq!(Told::of(ToldAs::Signs, &told.fitness()), told);
        assert_eq!(Told::of(ToldAs::Signs, &[Worst, Worst, Worst, Scored(-9.0)]).fitness()[..2], [Scored(0.0); 2]);
    }

    #[test]
    fn values_are_kept_to_the_bit() {
        let told = Told::of(ToldAs::Values, &fitness());
        let again = Told::decode(&told.encode()).unwrap().fitness();
        assert_eq!(again, fitness());
        let bits = |fitness: &[Fitness]| fitness[6].score().map(f64::to_bits);
        assert_eq!(bits(&again), Some((-0.0f64).to_bits()));
    }

    #[test]
    fn what_is_read_back_is_what_was_written_in_no_more_bytes_than_promised() {
        for told_as in [ToldAs::Places, ToldAs::Signs, ToldAs::Values] {
            for population in [0u32, 1, 2, 3, 8, 9, 100, 1000] {
                for ties in [1, 3, 100_000] {
                    let score = |i: u32| match i % 11 {
                        5 => Worst,
                        7 => Dropped,
                        _ => Scored(f64::from(i.wrapping_mul(7919) % 1009 % ties)),
                    };
                    let fitness: Vec<Fitness> = (0..population).map(score).collect();
                    let told = Told::of(told_as, &fitness);
                    let bytes = told.encode();
                    assert_eq!(Told::decode(&bytes).as_ref(), Ok(&told));
                    assert!(bytes.len() as u64 <= told_as.bytes(population), "{told_as:?} of {population}");
                    assert_eq!(told.candidates(), population as usize);
                }
            }
        }
        // Ten thousand places, all unlike, in 14 bits each.
        let unlike: Vec<Fitness> = (0..10_000).map(|i| Scored(f64::from(i))).collect();
        assert_eq!(Told::of(ToldAs::Places, &unlike).encode().len(), 11 + 17_500);
    }

    #[test]
    fn hostile_bytes_are_refused_and_cost_no_memory() {
        for told_as in [ToldAs::Places, ToldAs::Signs, ToldAs::Values] {
            let bytes = Told::of(told_as, &fitness()).encode();
            for cut in 0..bytes.len() {
                assert!(Told::decode(&bytes[..cut]).is_err(), "{told_as:?} cut at {cut}");
            }
            assert!(Told::decode(&[&bytes[..], &[0]].concat()).is_err());
            for at in 0..bytes.len() {
                for flip in [1, 0x80, 0xFF] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= flip;
                    // Either refused, or something that can be told.
                    if let Ok(told) = Told::decode(&damaged) {
                        assert_eq!(told.fitness().len(), told.candidates());
                        assert_eq!(Told::decode(&told.encode()).map(|t| t.fitness()), Ok(told.fitness()));
                    }
                }
            }
            // A claim of four thousand million candidates.
            let mut claim = bytes.clone();
            claim[3..7].copy_from_slice(&u32::MAX.to_le_bytes());
            assert_eq!(Told::decode(&claim), Err(SnapshotError::Damaged("it ends too early")));
        }
        assert_eq!(Told::decode(&[9, 0]), Err(SnapshotError::Version(9)));
    }
}
