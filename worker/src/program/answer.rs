//! What a program gives back: one JSON object with a number for each metric.
//!
//! Read here by hand for two reasons: numbers must be the very ones that were printed, to the last bit, and many programs
//! print `NaN` and `Infinity`, which JSON does not have and a metric may be.

use tumble_domain::nearest::nearest;

/// The longest answer, in bytes; of longer output the end is looked at.
pub(super) const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How deep lists and objects of no interest to us may lie in one another.
const DEPTH_MAX: u32 = 64;
/// The most characters that an error shows of what was printed.
const SHOWN_CHARS_MAX: usize = 120;

/// One JSON object: its members, by name.
#[derive(Debug, PartialEq)]
pub(super) struct Answer(Vec<(String, Member)>);

/// A member of the object.
#[derive(Debug, PartialEq)]
enum Member {
    Number(f64),
    /// Anything else, as it was printed.
    Other(String),
}

/// The last line that is a JSON object.
pub(super) fn of_lines(said: &[u8], place: &str) -> Result<Answer, String> {
    let text = String::from_utf8_lossy(said);
    let mut last = None;
    let mut broken = None;
    for line in text.lines().rev().map(str::trim).filter(|line| !line.is_empty()) {
        last = last.or(Some(line));
        if !line.starts_with('{') {
            continue;
        }
        match object(line) {
            Some(answer) => return Ok(answer),
            None => broken = broken.or(Some(line)),
        }
    }
    let example = "print one such as {\"energy\": 0.5} as the last line";
    Err(match (broken, last) {
        (Some(line), _) if line.contains('\'') => format!(
            "the program's answer is no JSON: {}; names stand in double quotes (in Python, print(json.dumps(…)))",
            shown(line)
        ),
        (Some(line), _) => format!("the program's answer is no JSON: {}; {example}", shown(line)),
        (None, Some(line)) => {
            format!("the program printed no line of JSON on its {place}, and last {}; {example}", shown(line))
        }
        (None, None) => format!("the program printed nothing on its {place}; {example}"),
    })
}

/// A whole file that is a JSON object, on however many lines, or its last line that is one.
pub(super) fn of_file(bytes: &[u8], name: &str) -> Result<Answer, String> {
    match object(String::from_utf8_lossy(bytes).trim()) {
        Some(answer) => Ok(answer),
        None => of_lines(bytes, &format!("file `{name}`")),
    }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((cut, _)) => format!("`{}…`", &text[..cut]),
        None => format!("`{text}`"),
    }
}

impl Answer {
    /// Writes the metrics of these names, in their order.
    pub(super) fn metrics(&self, names: &[String], into: &mut [f64]) -> Result<(), String> {
        for (name, metric) in names.iter().zip(into) {
            // Of two members of one name the last holds, as everywhere.
            match self.0.iter().rev().find(|(member, _)| member == name) {
                Some((_, Member::Number(x))) => *metric = *x,
                Some((_, Member::Other(found))) => {
                    return Err(format!("the metric `{name}` is {}, not a number", shown(found)));
                }
                None => {
                    let members: Vec<&str> = self.0.iter().map(|(member, _)| member.as_str()).collect();
                    let hint = match nearest(name, members.iter().copied()) {
                        Some(near) => format!("; it has `{near}`"),
                        None if members.is_empty() => "; it is empty".to_owned(),
                        None => format!("; it has {}", shown(&members.join(", "))),
                    };
                    return Err(format!("the program's answer has no metric `{name}`{hint}"));
                }
            }
        }
        Ok(())
    }
}

/// The text as one JSON object and nothing else.
fn object(text: &str) -> Option<Answer> {
    let mut reader = Reader { text, at: 0 };
    let answer = reader.members()?;
    reader.space();
    (reader.at == text.len()).then_some(answer)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// Goes on past this character, after spaces, if it is there.
    fn take(&mut self, c: char) -> bool {
        self.space();
        let is_there = self.rest().starts_with(c);
        self.at += if is_there { c.len_utf8() } else { 0 };
        is_there
    }

    fn members(&mut self) -> Option<Answer> {
        let mut members = Vec::new();
        if !self.take('{') {
            return None;
        }
        if self.take('}') {
            return Some(Answer(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            if !self.take(':') {
                return None;
            }
            self.space();
            let from = self.at;
            let number = self.value(0)?;
            let member = number.map_or_else(|| Member::Other(self.text[from..self.at].to_owned()), Member::Number);
            members.push((name, member));
            if self.take('}') {
                return Some(Answer(members));
            }
            if !self.take(',') {
                return None;
            }
        }
    }

    /// A string, with its escapes taken as they are meant.
    fn string(&mut self) -> Option<String> {
        let inner = self.rest().strip_prefix('"')?;
        let (mut out, mut characters) = (String::new(), inner.char_indices());
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.at += 1 + at + 1;
                    return Some(out);
                }
                '\\' => match characters.next()?.1 {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    'r' => out.push('\r'),
                    'b' => out.push('\u{8}'),
                    'f' => out.push('\u{c}'),
                    c @ ('"' | '\\' | '/') => out.push(c),
                    'u' => {
                        let digits: String = (0..4).map_while(|_| characters.next()).map(|(_, c)| c).collect();
                        let unit = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4)?;
                        // No metric's name needs a pair of surrogates.
                        out.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    _ => return None,
                },
                c => out.push(c),
            }
        }
        None
    }

    /// Any value; its number, if it is one.
    fn value(&mut self, depth: u32) -> Option<Option<f64>> {
        self.space();
        if depth > DEPTH_MAX {
            return None;
        }
        match self.rest().chars().next()? {
            '"' => self.string().map(|_| None),
            '{' => {
                self.at += 1;
                self.list('}', |reader| {
                    reader.space();
                    reader.string().filter(|_| reader.take(':'))?;
                    reader.value(depth + 1).map(drop)
                })
            }
            '[' => {
                self.at += 1;
                self.list(']', |reader| reader.value(depth + 1).map(drop))
            }
            _ => self.word(),
        }
    }

    /// What stands up to the closing bracket, with commas between.
    fn list(&mut self, close: char, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<Option<f64>> {
        if self.take(close) {
            return Some(None);
        }
        loop {
            item(self)?;
            if self.take(close) {
                return Some(None);
            }
            if !self.take(',') {
                return None;
            }
        }
    }

    /// A number, `true`, `false`, `null`, or what programs print for what JSON does not have.
    fn word(&mut self) -> Option<Option<f64>> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(rest.len());
        let word = &rest[..end];
        let number = match word.trim_start_matches(['+', '-']).to_ascii_lowercase().as_str() {
            "true" | "false" | "null" => Some(None),
            "nan" => Some(Some(f64::NAN)),
            "inf" | "infinity" => Some(Some(if word.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY })),
            _ => word.parse().ok().map(Some),
        };
        self.at += end;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(said: &str) -> Result<[f64; 2], String> {
        let mut metrics = [0.0; 2];
        let names = ["energy".to_owned(), "steps".to_owned()];
        of_lines(said.as_bytes(), "standard output")?.metrics(&names, &mut metrics)?;
        Ok(metrics)
    }

    #[test]
    fn the_last_line_of_json_is_the_answer() {
        for (said, expected) in [
            ("{\"energy\": 1, \"steps\": 2}", [1.0, 2.0]),
            ("{\"energy\": 9, \"steps\": 9}\nmore\n  {\"steps\":2,\"energy\":1}  \ngood bye\n{ not JSON\n", [1.0, 2.0]),
            ("{\"energy\": 1e-7, \"steps\": -0.1, \"x\": [1, {\"a\": \"}\"}], \"ok\": true}\r\n", [1e-7, -0.1]),
            (
                "{\"energy\": 0.1234567890123456789, \"steps\": 9007199254740993}",
                [0.123_456_789_012_345_68, 9007199254740992.0],
            ),
            ("{\"energy\": 5, \"steps\": 1, \"energy\": 6}", [6.0, 1.0]),
            ("{\"\\u0065nergy\": Infinity, \"steps\": -inf}", [f64::INFINITY, f64::NEG_INFINITY]),
        ] {
            assert_eq!(metrics(said), Ok(expected), "{said}");
        }
        assert!(metrics("{\"energy\": NaN, \"steps\": -nan}").unwrap().iter().all(|x| x.is_nan()));
    }

    #[test]
    fn what_is_wrong_with_an_answer_is_told_with_what_was_seen() {
        for (said, expected) in [
            ("", "printed nothing on its standard output; print one such as"),
            ("hello\n\n", "printed no line of JSON on its standard output, and last `hello`"),
            ("{'energy': 1}", "names stand in double quotes (in Python, print(json.dumps("),
            ("{\"energy\": 1,}", "is no JSON: `{\"energy\": 1,}`"),
            ("{\"energy\": 1, \"steps\": 1} and", "is no JSON"),
            ("{\"energy\": 1, \"stepz\": 1}", "has no metric `steps`; it has `stepz`"),
            ("{}", "has no metric `energy`; it is empty"),
            ("{\"energy\": \"high\", \"steps\": 1}", "the metric `energy` is `\"high\"`, not a number"),
            ("{\"energy\": null, \"steps\": 1}", "is `null`, not a number"),
            ("{\"energy\": true, \"steps\": 1}", "is `true`, not a number"),
            ("{\"energy\": 1.2.3, \"steps\": 1}", "is no JSON"),
        ] {
            let why = metrics(said).expect_err(said);
            assert!(why.contains(expected), "{said}: {why}");
        }
        let deep = format!("{{\"a\": {}", "[".repeat(100_000));
        assert!(metrics(&deep).is_err());
    }

    #[test]
    fn a_file_may_hold_its_object_on_many_lines() {
        let read = |text: &str| {
            let mut metrics = [0.0];
            of_file(text.as_bytes(), "out.json")?.metrics(&["x".to_owned()], &mut metrics)?;
            Ok::<f64, String>(metrics[0])
        };
        assert_eq!(read("{\n  \"x\": 1\n}\n"), Ok(1.0));
        assert_eq!(read("log\n{\"x\": 2}\n"), Ok(2.0));
        assert!(read("").unwrap_err().contains("file `out.json`"));
    }
}
