//! Durations as people write them: `1h30m`, `90s`, `500ms`, or `HH:MM:SS` as batch systems do.

use std::time::Duration;

/// Units with their length in nanoseconds, from the longest to the shortest: the order in which they are written.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Why a text is not a duration; the message is a fragment that fits after the key's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// There is nothing.
    #[error("is empty")]
    Empty,
    /// It begins with a minus sign.
    #[error("cannot be negative")]
    Negative,
    /// A number without a unit.
    #[error("has a number without a unit")]
    NoUnit,
    /// Neither of the two forms.
    #[error("is no duration")]
    Malformed,
    /// A unit twice, or a longer one after a shorter.
    #[error("has its units out of order")]
    Order,
    /// More digits than a nanosecond has, or more hours than fit.
    #[error("is too long or too fine")]
    Range,
}

/// Reads a duration: `1h30m`, `1.5s`, `500ms`, `2d`, or `HH:MM:SS`.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text.starts_with('-') {
        return Err(DurationError::Negative);
    }
    let nanos = if text.contains(':') { clock_nanos(text)? } else { units_nanos(text)? };
    let seconds = u64::try_from(nanos / 1_000_000_000).map_err(|_| DurationError::Range)?;
    Ok(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
}

/// Writes a duration in the one form that reads back as the same, such as `1h30m`; the longest unit is the hour.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut out = String::new();
    for (unit, length) in &UNITS[1..] {
        if rest >= *length {
            out.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

fn clock_nanos(text: &str) -> Result<u128, DurationError> {
    let fields: Vec<&str> = text.split(':').collect();
    let [hours, minutes, seconds] = fields[..] else { return Err(DurationError::Malformed) };
    let whole = |field: &str, width: Option<usize>| {
        let fits = !field.is_empty() && width.is_none_or(|w| field.len() == w);
        if !fits || !field.bytes().all(|b| b.is_ascii_digit()) {
            return Err(DurationError::Malformed);
        }
        field.parse::<u64>().map(u128::from).map_err(|_| DurationError::Range)
    };
    let (hours, minutes, seconds) = (whole(hours, None)?, whole(minutes, Some(2))?, whole(seconds, Some(2))?);
    if minutes > 59 || seconds > 59 {
        return Err(DurationError::Malformed);
    }
    Ok((hours * 3600 + minutes * 60 + seconds) * 1_000_000_000)
}

fn units_nanos(text: &str) -> Result<u128, DurationError> {
    let mut total = 0u128;
    let mut rest = text;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(DurationError::NoUnit)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        if number.is_empty() || unit.is_empty() {
            return Err(DurationError::Malformed);
        }
        let at = UNITS.iter().position(|(name, _)| *name == unit).ok_or(DurationError::Malformed)?;
        if at < next_unit {
            return Err(DurationError::Order);
        }
        next_unit = at + 1;
        let nanos = decimal_times(number, UNITS[at].1)?;
        total = total.checked_add(nanos).ok_or(DurationError::Range)?;
        rest = tail;
    }
    Ok(total)
}

/// `number × length`, exactly: a duration is never rounded.
fn decimal_times(number: &str, length: u128) -> Result<u128, DurationError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(DurationError::Malformed);
    }
    // Eighteen digits keep every product below 2^128, and no unit needs as many.
    let fraction = fraction.trim_end_matches('0');
    if whole.len() > 18 || fraction.len() > 18 {
        return Err(DurationError::Range);
    }
    let whole: u128 = whole.parse().map_err(|_| DurationError::Malformed)?;
    let scale = 10u128.pow(fraction.len() as u32);
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| DurationError::Malformed)? };
    let scaled = parts * length;
    if !scaled.is_multiple_of(scale) {
        return Err(DurationError::Range);
    }
    Ok(whole * length + scaled / scale)
}

#[cfg(test)]
mod tests {
    use tumble_domain::Seed;
    use tumble_domain::seed::Stream;

    use super::*;

    #[test]
    fn both_forms_are_read() {
        for (text, millis) in [
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("2d", 172_800_000),
            ("01:30:00", 5_400_000),
            ("100:00:01", 360_001_000),
            ("0.25h", 900_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_why() {
        for (text, why) in [
            ("", DurationError::Empty),
            ("-5m", DurationError::Negative),
            ("90", DurationError::NoUnit),
            ("1h30", DurationError::NoUnit),
            ("soon", DurationError::Malformed),
            ("1:30", DurationError::Malformed),
            ("01:60:00", DurationError::Malformed),
            ("1..5s", DurationError::Malformed),
            (".5s", DurationError::Malformed),
            ("5 s", DurationError::Malformed),
            ("5µs", DurationError::Malformed),
            ("30m1h", DurationError::Order),
            ("1m1m", DurationError::Order),
            ("0.5ns", DurationError::Range),
            ("999999999999999999d", DurationError::Range),
            ("9999999999999999999999h", DurationError::Range),
        ] {
            assert_eq!(parse_duration(text), Err(why), "{text}");
        }
    }

    #[test]
    fn every_duration_reads_back_as_it_was_written() {
        assert_eq!(format_duration(Duration::from_secs(5_400)), "1h30m");
        assert_eq!(format_duration(Duration::from_millis(1_500)), "1s500ms");
        assert_eq!(format_duration(Duration::ZERO), "0s");
        for i in 0..2_000 {
            let words = Seed(3).noise(Stream::Evaluator, 0, 0, 0, i);
            // Shifts of all sizes, so that long and short durations both come up.
            let seconds = (u64::from(words[0]) | u64::from(words[1]) << 32) >> (words[3] % 64);
            let duration = Duration::new(seconds, words[2] % 1_000_000_000);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
        assert_eq!(parse_duration(&format_duration(Duration::MAX)), Ok(Duration::MAX));
    }
}
