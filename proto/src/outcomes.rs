//! Packed outcomes: the columns of a report as little-endian bytes, the same on the wire and in the journal.
//!
//! Layout: `trials` u32, `metrics` u32, a flag byte (1: statuses follow), then one status byte per trial if flagged, then
//! `metrics` columns of `trials` f64, then the number of errors u32 and for each its offset u32, length u32 and UTF-8 text.

use tumble_domain::outcome::ERROR_BYTES_MAX;
use tumble_domain::{Outcomes, Status, TrialError};

use crate::WireError;

/// Packs outcomes. NaN leaves in one form, so that equal results have equal bytes.
pub fn pack(outcomes: &Outcomes) -> Vec<u8> {
    let errors: usize = outcomes.errors.iter().map(|e| 8 + e.message.len()).sum();
    let mut bytes = Vec::with_capacity(13 + outcomes.statuses.len() + 8 * outcomes.values.len() + errors);
    bytes.extend(outcomes.trials.to_le_bytes());
    bytes.extend(outcomes.metrics.to_le_bytes());
    bytes.push(u8::from(!outcomes.statuses.is_empty()));
    bytes.extend(outcomes.statuses.iter().map(|s| *s as u8));
    for value in &outcomes.values {
        let value = if value.is_nan() { f64::NAN } else { *value };
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend((outcomes.errors.len() as u32).to_le_bytes());
    for error in &outcomes.errors {
        bytes.extend(error.offset.to_le_bytes());
        bytes.extend((error.message.len() as u32).to_le_bytes());
        bytes.extend(error.message.as_bytes());
    }
    bytes
}

/// The number of bytes that a report of `trials` scored trials takes.
pub fn packed_len(trials: u64, metrics: u64) -> u64 {
    13 + trials * metrics * 8
}

/// Unpacks what [`pack`] made; anything else is refused.
pub fn unpack(bytes: &[u8]) -> Result<Outcomes, WireError> {
    let mut reader = Reader(bytes);
    let trials = reader.u32()?;
    let metrics = reader.u32()?;
    let flagged = reader.take(1)?[0];
    let statuses = match flagged {
        0 => Vec::new(),
        1 => reader.take(trials as usize)?.iter().map(|b| Status::from_u8(*b)).collect::<Option<_>>().ok_or(BAD)?,
        _ => return Err(BAD),
    };
    let numbers = (trials as usize).checked_mul(metrics as usize).and_then(|n| n.checked_mul(8)).ok_or(BAD)?;
    let values = reader.take(numbers)?.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
    let mut errors = Vec::new();
    for _ in 0..reader.u32()? {
        let offset = reader.u32()?;
        let length = reader.u32()? as usize;
        if length > ERROR_BYTES_MAX {
            return Err(BAD);
        }
        let message = String::from_utf8(reader.take(length)?.to_vec()).map_err(|_| BAD)?;
        errors.push(TrialError { offset, message });
    }
    let outcomes = Outcomes { trials, metrics, statuses, values, errors };
    if reader.0.is_empty() && outcomes.is_consistent() { Ok(outcomes) } else { Err(BAD) }
}

const BAD: WireError = WireError::Malformed("outcomes");

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(BAD)?;
        self.0 = rest;
        Ok(head)
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes were taken")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Outcomes {
        Outcomes {
            trials: 3,
            metrics: 2,
            statuses: vec![Status::Scored, Status::Failed, Status::TimedOut],
            values: vec![1.0, f64::NAN, f64::NAN, -0.0, f64::INFINITY, 2.5],
            errors: vec![TrialError { offset: 1, message: "no — such".into() }],
        }
    }

    #[test]
    fn outcomes_come_back_as_they_left() {
        let packed = pack(&sample());
        assert_eq!(pack(&unpack(&packed).unwrap()), packed);
        let scored = Outcomes { trials: 2, metrics: 1, values: vec![1.0, 2.0], ..Outcomes::default() };
        assert_eq!(unpack(&pack(&scored)).unwrap(), scored);
        assert_eq!(pack(&scored).len() as u64, packed_len(2, 1));
    }

    #[test]
    fn bytes_cut_short_or_padded_are_refused() {
        let packed = pack(&sample());
        for cut in 0..packed.len() {
            assert!(unpack(&packed[..cut]).is_err(), "cut at {cut}");
        }
        let mut padded = packed.clone();
        padded.push(0);
        assert!(unpack(&padded).is_err());
        let mut hostile = packed;
        hostile[0..8].fill(0xFF);
        assert!(unpack(&hostile).is_err(), "four billion trials in thirty bytes");
    }
}
