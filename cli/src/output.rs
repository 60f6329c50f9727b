//! Results go to stdout, everything else to stderr; with `--output json` stdout has exactly one value.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};

/// How the user wants to be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    /// What goes to stderr are notices, one JSON object a line, for a program that reads along.
    pub(crate) notices: bool,
    /// Standard output is for something else, so that results go to stderr as well.
    pub(crate) aside: bool,
}

impl Output {
    /// The result of a command: as text, or as one JSON value.
    pub(crate) fn result(self, text: impl AsRef<str>, value: impl FnOnce() -> Value) {
        if self.aside {
            return match self.notices {
                true => self.notice("result", value()),
                false => drop(writeln!(anstream::stderr(), "{}", text.as_ref().trim_end())),
            };
        }
        let mut out = anstream::stdout();
        // A reader that has gone (`| head`) is no error of ours.
        let _ = if self.json {
            writeln!(out, "{:#}", value())
        } else {
            let text = text.as_ref();
            write!(out, "{text}{}", if text.is_empty() || text.ends_with('\n') { "" } else { "\n" })
        };
    }

    /// Something worth knowing on the way.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        if self.quiet {
            return;
        }
        if self.notices {
            return self.notice("note", json!({ "text": text.as_ref() }));
        }
        let _ = writeln!(anstream::stderr(), "{}", text.as_ref());
    }

    /// Something that happened, on one line of stderr, for who asked for `--progress json`. Fields are only ever added.
    pub(crate) fn notice(self, name: &str, fields: Value) {
        if !self.notices || self.quiet {
            return;
        }
        let mut notice = json!({ "notice": name });
        if let (Value::Object(notice), Value::Object(fields)) = (&mut notice, fields) {
            notice.extend(fields);
        }
        let _ = writeln!(std::io::stderr(), "{notice}");
    }

    /// Why the command failed.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.notices {
            self.notice("error", json!({ "text": failure.message, "exit_code": failure.exit as u8 }));
        } else {
            let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
            let _ = writeln!(anstream::stderr(), "{red}error{red:#}: {failure}");
        }
        if self.json && !self.aside {
            failure_value(&failure.message, failure.exit);
        }
    }
}

/// A failure as the one value on stdout.
pub(crate) fn failure_value(message: &str, exit: Exit) {
    let value = json!({ "error": message, "exit_code": exit as u8 });
    let _ = writeln!(anstream::stdout(), "{value:#}");
}

/// A count with thin groups of three, as `1 000 000`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let first = digits.len() % 3;
    let mut text = digits[..first].to_owned();
    for (i, c) in digits[first..].chars().enumerate() {
        if i % 3 == 0 && !text.is_empty() {
            text.push(' ');
        }
        text.push(c);
    }
    text
}

/// A size, as `3.4 MB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if size < 999.5 || unit == "TB" {
            return if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1000.0;
    }
    unreachable!("the last unit returns")
}

/// A duration, as `1h 02m`, `3m 20s` or `4.2 s`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
    }
}

/// A measured number in few digits.
pub(crate) fn number(x: f64) -> String {
    let magnitude = x.abs();
    if x == 0.0 || (1e-3..1e6).contains(&magnitude) {
        let text = format!("{x:.5}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        text.to_owned()
    } else {
        format!("{x:.3e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_sizes_and_times_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
        assert_eq!([0, 999, 3_400_000].map(size), ["0 B", "999 B", "3.4 MB"]);
        assert_eq!([0.42, 61.0, 3723.0].map(duration), ["0.4 s", "1m 01s", "1h 02m"]);
        assert_eq!([0.0, 1.5, 1e-9, 0.1 + 0.2].map(number), ["0", "1.5", "1.000e-9", "0.3"]);
    }
}
