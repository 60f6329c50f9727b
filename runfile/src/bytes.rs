//! Amounts of memory: `2GiB`, `16G`, `512MiB` or a number of bytes.

/// The text is no amount of memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no amount of memory: write one as `16G`, `512MiB` or `1000000`")]
pub struct BytesError(pub String);

/// Units whose amounts are written back.
const BINARY: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// A number of bytes as people write it: `16G`, `512MiB`, `1000000`.
pub fn parse_bytes(text: &str) -> Result<u64, BytesError> {
    let wrong = || BytesError(text.to_owned());
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.trim().to_ascii_lowercase();
    let binary = BINARY.iter().find(|(name, _)| name.to_ascii_lowercase() == unit).map(|(_, bytes)| *bytes as f64);
    let factor = match (unit.as_str(), binary) {
        (_, Some(factor)) => factor,
        ("" | "b", _) => 1.0,
        ("k" | "kb", _) => 1e3,
        ("m" | "mb", _) => 1e6,
        ("g" | "gb", _) => 1e9,
        ("t" | "tb", _) => 1e12,
        _ => return Err(wrong()),
    };
    Ok((number * factor) as u64)
}

/// The one text for an amount: in the largest unit of which it is a whole number.
pub(crate) fn format_bytes(bytes: u64) -> String {
    match BINARY.iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory_are_read_as_people_write_them() {
        let read = ["16G", "1.5 GB", "512MiB", "1000", "2k", "0"].map(|text| parse_bytes(text).unwrap());
        assert_eq!(read, [16_000_000_000, 1_500_000_000, 536_870_912, 1000, 2000, 0]);
        for wrong in ["", "G", "-1", "16X", "1e400G", "NaN"] {
            assert!(parse_bytes(wrong).unwrap_err().to_string().contains("no amount of memory"), "{wrong}");
        }
    }

    #[test]
    fn an_amount_that_is_written_back_is_the_same_amount() {
        for (bytes, text) in [(0, "0"), (1000, "1000"), (1024, "1KiB"), (3 << 30, "3GiB"), (1536 << 20, "1536MiB")] {
            assert_eq!(format_bytes(bytes), text);
            assert_eq!(parse_bytes(text), Ok(bytes));
        }
    }
}
