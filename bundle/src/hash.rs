//! The hash by which a file is known: BLAKE3, 32 bytes, written as 64 hexadecimal digits in lower case.

use std::fmt;
use std::io::Read;

/// The hash of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Hash {
        Hash(*blake3::hash(bytes).as_bytes())
    }

    /// The hash that is these 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Hash> {
        bytes.try_into().ok().map(Hash)
    }

    /// Its 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits in lower case: one hash has one spelling.
    pub fn parse(text: &str) -> Option<Hash> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if !text.bytes().all(is_digit) {
            return None;
        }
        Some(Hash(*blake3::Hash::from_hex(text).ok()?.as_bytes()))
    }

    /// The hash and the length of all that is left to read.
    pub fn of_all(mut from: impl Read) -> std::io::Result<(Hash, u64)> {
        let (mut hashing, mut length, mut buffer) = (Hashing::default(), 0, vec![0; 1 << 16]);
        loop {
            match from.read(&mut buffer)? {
                0 => return Ok((hashing.end(), length)),
                read => {
                    hashing.take(&buffer[..read]);
                    length += read as u64;
                }
            }
        }
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A hash in the making.
#[derive(Clone, Debug, Default)]
pub struct Hashing(blake3::Hasher);

impl Hashing {
    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all that was taken.
    pub fn end(&self) -> Hash {
        Hash(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_one_spelling() {
        let hash = Hash::of(b"");
        // The hash of nothing, as the specification of BLAKE3 has it.
        let text = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!((hash.to_string().as_str(), Hash::parse(text)), (text, Some(hash)));
        assert_eq!((Hash::from_bytes(hash.bytes()), Hash::from_bytes(&[0; 31])), (Some(hash), None));
        for wrong in ["", "af", &text.to_uppercase(), &format!("{text}0"), &text.replace('a', "g")] {
            assert_eq!(Hash::parse(wrong), None, "{wrong}");
        }
        let bytes: Vec<u8> = (0..200_000u32).map(|i| i as u8).collect();
        assert_eq!(Hash::of_all(&*bytes).unwrap(), (Hash::of(&bytes), 200_000));
    }
}
