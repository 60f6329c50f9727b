//! Messages one after another in a pipe: each stands behind its length, as Protocol Buffers write lengths.

use std::io::{BufRead, Error, ErrorKind, Result, Write};

use prost::Message;

use crate::MESSAGE_BYTES_MAX;

/// The most bytes that a length has: seven bits in each.
const LENGTH_BYTES_MAX: usize = 10;

/// Reads the next message; `None` where the pipe ends before it begins.
pub fn read<M: Message + Default>(from: &mut impl BufRead) -> Result<Option<M>> {
    let (mut length, mut shift) = (0u64, 0);
    loop {
        let mut byte = [0];
        if from.read(&mut byte)? == 0 {
            return if shift == 0 { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
        }
        length |= u64::from(byte[0] & 0x7F).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
        if shift as usize >= 7 * LENGTH_BYTES_MAX {
            return Err(malformed("a message's length does not end"));
        }
    }
    if length > MESSAGE_BYTES_MAX as u64 {
        return Err(malformed("a message is longer than any may be"));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes)?;
    M::decode(&*bytes).map(Some).map_err(|error| malformed(&error.to_string()))
}

/// Writes a message and sends it off.
pub fn write(message: &impl Message, to: &mut impl Write) -> Result<()> {
    to.write_all(&message.encode_length_delimited_to_vec())?;
    to.flush()
}

fn malformed(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;

    #[test]
    fn messages_come_back_one_after_another_and_what_is_cut_is_an_error() {
        let messages = [300, 0, 7].map(|length| v1::RunRequest { run: "r".repeat(length) });
        let (mut pipe, mut ends) = (Vec::new(), Vec::new());
        for message in &messages {
            write(message, &mut pipe).expect("memory takes it");
            ends.push(pipe.len());
        }
        for cut in 1..=pipe.len() {
            let mut from = &pipe[..cut];
            let all: Result<Vec<v1::RunRequest>> = std::iter::from_fn(|| read(&mut from).transpose()).collect();
            match ends.iter().position(|end| *end == cut) {
                Some(last) => assert_eq!(all.expect("it is whole"), messages[..=last]),
                None => assert!(all.is_err(), "cut at {cut}"),
            }
        }
    }

    #[test]
    fn no_length_makes_anybody_reserve_what_was_never_sent() {
        for endless in [&[0xFF; 32][..], &[0xFF, 0xFF, 0xFF, 0xFF, 0x7F]] {
            assert_eq!(read::<v1::RunRequest>(&mut &*endless).unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }
}
