//! Files of points: CSV (RFC 4180) and Parquet, a column for each axis and a row for each point.

use std::path::Path;

use tumble_domain::Value;
use tumble_runfile::Points;

/// The largest CSV file that is read: many times what a run may take of it.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Reads a file of points. An error is a fragment that says what is wrong and where.
pub(crate) fn read(path: &Path) -> Result<Points, String> {
    let name = path.display().to_string();
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => {
            let bytes = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
            if bytes > FILE_BYTES_MAX {
                return Err(format!("it has {bytes} bytes, more than {FILE_BYTES_MAX}"));
            }
            let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
            of_csv(&text, name)
        }
        Some("parquet") => of_parquet(path, name),
        _ => Err("its name ends neither in .csv nor in .parquet".to_owned()),
    }
}

fn of_parquet(path: &Path, name: String) -> Result<Points, String> {
    let read = tumble_tables::read_points(path).map_err(|error| error.to_string())?;
    let rows = read.first().map_or(0, |(_, values)| values.len());
    let mut columns = Vec::with_capacity(read.len());
    for (column, values) in read {
        let empty = values.iter().position(Option::is_none);
        if let Some(row) = empty {
            return Err(format!("row {} of column `{column}` is empty", row + 1));
        }
        columns.push((column, values.into_iter().flatten().collect()));
    }
    // Rows count from 1; the names stand before them.
    Ok(Points { name, head_line: 0, lines: (1..=rows).collect(), columns })
}

fn of_csv(text: &str, name: String) -> Result<Points, String> {
    // Spreadsheets put a byte order mark in front.
    let mut records = Records { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let Some((head_line, head)) = records.next().transpose()? else { return Err("it is empty".to_owned()) };
    let mut columns: Vec<(String, Vec<Value>)> = head.into_iter().map(|name| (name, Vec::new())).collect();
    if let Some(column) = columns.iter().position(|(name, _)| name.is_empty()) {
        return Err(format!("line {head_line}: column {} has no name", column + 1));
    }
    let mut lines = Vec::new();
    for record in records {
        let (line, cells) = record?;
        if cells.len() != columns.len() {
            return Err(format!("line {line} has {} cells, but there are {} columns", cells.len(), columns.len()));
        }
        for ((name, values), cell) in columns.iter_mut().zip(cells) {
            if cell.is_empty() {
                return Err(format!("line {line}: the cell of column `{name}` is empty"));
            }
            values.push(value(&cell));
        }
        lines.push(line);
    }
    Ok(Points { name, head_line, lines, columns })
}

/// An integer, a number, `true` or `false`, or else a word; what the axis takes is held against it later.
fn value(cell: &str) -> Value {
    if let Ok(integer) = cell.parse() {
        return Value::Integer(integer);
    }
    match (cell.parse::<f64>(), cell) {
        (_, "true" | "True" | "TRUE") => Value::Boolean(true),
        (_, "false" | "False" | "FALSE") => Value::Boolean(false),
        // `nan` and `inf` read as numbers, and are refused as such.
        (Ok(number), _) => Value::Float(number),
        (Err(_), word) => Value::text(word),
    }
}

/// The records of a CSV text, each with its first line; blank lines are none.
struct Records<'t> {
    rest: &'t str,
    line: usize,
}

impl Iterator for Records<'_> {
    type Item = Result<(usize, Vec<String>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(rest) = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n')) {
            (self.rest, self.line) = (rest, self.line + 1);
        }
        if self.rest.is_empty() {
            return None;
        }
        let first_line = self.line;
        let record = self.record().map(|cells| (first_line, cells));
        if record.is_err() {
            self.rest = "";
        }
        Some(record)
    }
}

impl Records<'_> {
    fn record(&mut self) -> Result<Vec<String>, String> {
        let mut cells = Vec::new();
        loop {
            let blanks = self.rest.len() - self.rest.trim_start_matches([' ', '\t']).len();
            let is_quoted = self.rest[blanks..].starts_with('"');
            let cell = if is_quoted { self.quoted(blanks + 1)? } else { self.plain() };
            cells.push(cell);
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest;
                continue;
            }
            self.rest = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n')).unwrap_or(self.rest);
            self.line += 1;
            return Ok(cells);
        }
    }

    /// A cell up to the next comma or the end of its line, without the blanks around it.
    fn plain(&mut self) -> String {
        let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
        let cell = self.rest[..end].trim().to_owned();
        let carriage_return = usize::from(self.rest[..end].ends_with('\r') && self.rest[end..].starts_with('\n'));
        self.rest = &self.rest[end - carriage_return..];
        cell
    }

    /// A cell in quotes, which begins at this byte; two quotes in it are one.
    fn quoted(&mut self, from: usize) -> Result<String, String> {
        let line = self.line;
        let mut cell = String::new();
        let mut rest = &self.rest[from..];
        loop {
            let Some(end) = rest.find('"') else { return Err(format!("line {line}: a quote is not closed")) };
            cell.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('"') {
                Some(further) => {
                    cell.push('"');
                    rest = further;
                }
                None => break,
            }
        }
        self.line += cell.matches('\n').count();
        let rest = rest.trim_start_matches([' ', '\t']);
        if !(rest.is_empty() || rest.starts_with([',', '\n']) || rest.starts_with("\r\n")) {
            return Err(format!("line {line}: there is text behind a closed quote"));
        }
        self.rest = rest;
        Ok(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &str) -> Result<Vec<(String, String)>, String> {
        let points = of_csv(text, "points.csv".to_owned())?;
        let shown = |(name, values): (String, Vec<Value>)| {
            let values: Vec<String> = values.iter().map(|value| format!("{}={value}", value.kind_name())).collect();
            (name, values.join(" "))
        };
        Ok(points.columns.into_iter().map(shown).collect())
    }

    #[test]
    fn a_csv_file_is_read_whatever_wrote_it() {
        let expected = [
            ("rule", "text=\"hebb\" text=\"a \\\"b\\\", c\" text=\"two\\nlines\""),
            ("rate", "number=0.5 integer=-2 number=1e-6"),
            ("on", "boolean=true boolean=false boolean=true"),
        ];
        let expected: Vec<_> = expected.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let text = "rule,rate,on\nhebb,0.5,true\n\"a \"\"b\"\", c\",-2,False\n\n\"two\nlines\",1e-6,TRUE\n";
        assert_eq!(columns(text).unwrap(), expected);
        // From a spreadsheet: a mark in front, carriage returns, blanks, quotes around everything, no last line break.
        let text = "\u{feff}\"rule\", rate ,\"on\"\r\nhebb , 0.5 ,true\r\n\"a \"\"b\"\", c\" ,-2,\"false\"\r\n\r\n\"two\nlines\",1e-6,true";
        assert_eq!(columns(text).unwrap(), expected);
        let points = of_csv("a\n1\n\n\"2\"\n3", "points.csv".to_owned()).unwrap();
        assert_eq!((points.head_line, points.lines), (1, vec![2, 4, 5]));
    }

    #[test]
    fn a_csv_file_that_is_broken_is_told_with_its_line() {
        for (text, why) in [
            ("", "it is empty"),
            ("\n\n", "it is empty"),
            ("a,,b\n1,2,3", "line 1: column 2 has no name"),
            ("a,b\n1,2\n\n3\n", "line 4 has 1 cells, but there are 2 columns"),
            ("a,b\n1,2,\n", "line 2 has 3 cells, but there are 2 columns"),
            ("a,b\n1,2\n3,\n", "line 3: the cell of column `b` is empty"),
            ("a,b\n1,\"2\n3,4\n", "line 2: a quote is not closed"),
            ("a\n\"1\"2\n", "line 2: there is text behind a closed quote"),
        ] {
            assert_eq!(columns(text).unwrap_err(), why, "{text:?}");
        }
    }
}
