//! What is wrong with a run file, said so that the reader can put it right at once.

use std::fmt;
use std::ops::Range;

use crate::Override;

/// Everything that one pass over a run file found wrong, in file order; overrides come last.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Where in the file; `None` for what is missing altogether and for what an override says.
    pub place: Option<Place>,
    /// The dotted path of the key, such as `evolve.sigma`; empty where no key is to blame.
    pub key: String,
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// What would be right.
    pub fix: Option<String>,
    origin: String,
    excerpt: Option<Excerpt>,
}

/// A place in a run file; both count from 1, and a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character within it.
    pub column: usize,
}

/// How the message begins that says that a pipeline is not known.
pub(crate) const UNKNOWN_PIPELINE: &str = "unknown pipeline";

/// The line of the file that a problem shows, with what is marked in it.
#[derive(Clone, Debug, PartialEq)]
struct Excerpt {
    line: String,
    before: usize,
    marked: usize,
}

/// The most problems of one pass; what comes after is only counted.
const PROBLEMS_MAX: usize = 100;
/// The most characters of a line that a problem shows: a list of a thousand numbers is no help to anyone.
const EXCERPT_CHARS_MAX: usize = 100;
/// The most characters of an override that a problem repeats.
const OVERRIDE_CHARS_MAX: usize = 60;

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl Problem {
    /// Whether it is that the run file names a pipeline that nobody here knows.
    pub fn is_of_unknown_pipeline(&self) -> bool {
        self.key == "pipeline" && self.message.starts_with(UNKNOWN_PIPELINE)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if let Some(place) = self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {}", self.message)?;
        if let (Some(place), Some(excerpt)) = (self.place, &self.excerpt) {
            let number = place.line.to_string();
            write!(f, "\n    {number} | {}", excerpt.line)?;
            let (gutter, before) = (" ".repeat(number.len()), " ".repeat(excerpt.before));
            write!(f, "\n    {gutter} | {before}{}", "^".repeat(excerpt.marked))?;
        }
        if let Some(fix) = &self.fix {
            write!(f, "\n    {fix}")?;
        }
        Ok(())
    }
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum At {
    /// Nowhere: it is missing.
    Nowhere,
    /// These bytes of the file.
    File(Range<usize>),
    /// The override at this position.
    Override(usize),
    /// A cell of the file of points; both count from 1.
    Points {
        /// The line.
        line: usize,
        /// The column of the table.
        column: usize,
    },
}

impl At {
    fn order(&self) -> (u8, usize) {
        match self {
            At::Nowhere => (0, 0),
            At::File(bytes) => (1, bytes.start),
            At::Override(index) => (2, *index),
            At::Points { line, .. } => (3, *line),
        }
    }
}

/// Collects problems during one pass.
pub(crate) struct Notes<'a> {
    text: &'a str,
    file_name: &'a str,
    overrides: &'a [Override],
    found: Vec<(At, Problem)>,
    unsaid: usize,
    /// What the file of points is called, if there is one.
    pub(crate) points_name: String,
    /// What deserves a word and is not wrong.
    pub(crate) warnings: Vec<String>,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(text: &'a str, file_name: &'a str, overrides: &'a [Override]) -> Notes<'a> {
        Notes {
            text,
            file_name,
            overrides,
            found: Vec::new(),
            unsaid: 0,
            points_name: String::new(),
            warnings: Vec::new(),
        }
    }

    /// Notes a problem: what is wrong, and what would be right.
    pub(crate) fn report(&mut self, at: &At, key: &str, message: impl Into<String>, fix: impl Into<String>) {
        if self.found.len() == PROBLEMS_MAX {
            self.unsaid += 1;
            return;
        }
        let (origin, place, excerpt) = match at {
            At::Nowhere => (self.file_name.to_owned(), None, None),
            At::File(bytes) => {
                let (place, excerpt) = locate(self.text, bytes);
                (self.file_name.to_owned(), Some(place), Some(excerpt))
            }
            At::Override(index) => (self.override_as_written(*index), None, None),
            At::Points { line, column } => {
                (self.points_name.clone(), Some(Place { line: *line, column: *column }), None)
            }
        };
        let (message, fix) = (message.into(), Some(fix.into()));
        let problem = Problem { place, key: key.to_owned(), message, fix, origin, excerpt };
        self.found.push((at.clone(), problem));
    }

    fn override_as_written(&self, index: usize) -> String {
        let Some(given) = self.overrides.get(index) else { return "--set".to_owned() };
        let written = one_line(&format!("{}={}", given.key, given.value));
        match written.char_indices().nth(OVERRIDE_CHARS_MAX) {
            Some((cut, _)) => format!("--set {}…", &written[..cut]),
            None => format!("--set {written}"),
        }
    }

    /// `line 12` or the override, for problems that speak of a second place.
    pub(crate) fn name_of(&self, at: &At) -> String {
        match at {
            At::Nowhere => "the default".to_owned(),
            At::File(bytes) => format!("line {}", locate(self.text, bytes).0.line),
            At::Override(index) => format!("`{}`", self.override_as_written(*index)),
            At::Points { line, column } => format!("{}:{line}:{column}", self.points_name),
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn into_problems(mut self) -> Problems {
        self.found.sort_by_key(|(at, _)| at.order());
        let mut problems: Vec<Problem> = self.found.into_iter().map(|(_, problem)| problem).collect();
        if self.unsaid > 0 {
            problems.push(Problem {
                place: None,
                key: String::new(),
                message: format!("{} more problems", self.unsaid),
                fix: Some("put these right first".to_owned()),
                origin: self.file_name.to_owned(),
                excerpt: None,
            });
        }
        Problems(problems)
    }
}

/// The place of some bytes, and the line to show with it. Spans that run over several lines are marked in the first.
fn locate(text: &str, bytes: &Range<usize>) -> (Place, Excerpt) {
    let start = floor_to_char(text, bytes.start);
    let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
    let line_number = text[..line_start].matches('\n').count() + 1;
    let end = floor_to_char(text, bytes.end).clamp(start, line_end);
    let before = text[line_start..start].chars().count();
    let marked = text[start..end].trim_end().chars().count().max(1);
    let line = one_line(text[line_start..line_end].trim_end());
    (Place { line: line_number, column: before + 1 }, cut(line, before, marked))
}

/// Cuts a long line down to a window around what is marked.
fn cut(line: String, before: usize, marked: usize) -> Excerpt {
    let chars: Vec<char> = line.chars().collect();
    if chars.len() <= EXCERPT_CHARS_MAX {
        return Excerpt { line, before, marked };
    }
    let from = before.saturating_sub(EXCERPT_CHARS_MAX / 4).min(chars.len() - EXCERPT_CHARS_MAX);
    let to = from + EXCERPT_CHARS_MAX;
    let (head, tail) = (if from > 0 { "…" } else { "" }, if to < chars.len() { "…" } else { "" });
    let window: String = chars[from..to].iter().collect();
    let before = before - from + head.chars().count();
    let marked = marked.min((EXCERPT_CHARS_MAX + 1).saturating_sub(before)).max(1);
    Excerpt { line: format!("{head}{window}{tail}"), before, marked }
}

/// Each control character as a space, so that what is marked stays under its mark.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn floor_to_char(text: &str, mut index: usize) -> usize {
    index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, bytes: Range<usize>) -> String {
        let mut notes = Notes::new(text, "a.toml", &[]);
        notes.report(&At::File(bytes), "key", "is wrong", "put it right");
        notes.into_problems().to_string()
    }

    #[test]
    fn a_mark_stands_under_its_word_whatever_the_line_holds() {
        assert_eq!(
            rendered("é = 1\n\tβγ = \"δ\" # tab\n", 10..14),
            "a.toml:2:4: is wrong\n    2 |  βγ = \"δ\" # tab\n      |   ^^^\n    put it right".replace("2:4", "2:3"),
        );
    }

    #[test]
    fn a_long_line_is_shown_around_the_mark() {
        let text = format!("start = [{}]", vec!["1.25"; 100].join(", "));
        let shown = rendered(&text, 309..313);
        let lines: Vec<&str> = shown.lines().collect();
        let mark = lines[2].find('^').unwrap() - lines[2].find('|').unwrap();
        let line: Vec<char> = lines[1].chars().collect();
        let bar = line.iter().position(|c| *c == '|').unwrap();
        assert_eq!(line[bar + mark..bar + mark + 4].iter().collect::<String>(), "1.25");
        assert!(line.len() < 120, "{shown}");
        assert!(lines[1].contains("| …") && lines[1].ends_with('…'), "{shown}");
    }

    #[test]
    fn a_span_over_several_lines_is_marked_in_the_first() {
        assert_eq!(
            rendered("x = [\n1,\n]\n", 4..10),
            "a.toml:1:5: is wrong\n    1 | x = [\n      |     ^\n    put it right"
        );
    }

    #[test]
    fn a_flood_of_problems_is_cut_and_counted() {
        let mut notes = Notes::new("", "a.toml", &[]);
        for _ in 0..PROBLEMS_MAX + 7 {
            notes.report(&At::Nowhere, "", "is wrong", "");
        }
        let problems = notes.into_problems();
        assert_eq!(problems.0.len(), PROBLEMS_MAX + 1);
        assert!(problems.to_string().ends_with("a.toml: 7 more problems\n    put these right first"));
    }

    #[test]
    fn problems_come_in_file_order_and_overrides_last() {
        let overrides = [Override { key: "seed".into(), value: "x".repeat(100) }];
        let mut notes = Notes::new("a = 1\nb = 2\n", "a.toml", &overrides);
        notes.report(&At::Override(0), "seed", "third", "");
        notes.report(&At::File(6..7), "b", "second", "");
        notes.report(&At::File(0..1), "a", "first", "");
        notes.report(&At::Nowhere, "c", "missing", "");
        let problems = notes.into_problems();
        let said: Vec<&str> = problems.0.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(said, ["missing", "first", "second", "third"]);
        assert!(problems.0[3].to_string().starts_with(&format!("--set seed={}…: third", "x".repeat(55))));
    }
}
