//! What is written to an interpreter and read from it: little-endian columns and texts with their lengths.

use tumble_domain::{Kind, Value};

/// Bytes in the making.
#[derive(Default)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn number(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn texts(&mut self, texts: &[String]) {
        self.number(texts.len() as u32);
        texts.iter().for_each(|text| self.text(text));
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Float(x) => self.0.extend(x.to_le_bytes()),
            Value::Integer(i) => self.0.extend(i.to_le_bytes()),
            Value::Boolean(b) => self.byte(u8::from(*b)),
            Value::Text(text) => self.text(text),
            Value::List(items) => {
                self.number(items.len() as u32);
                items.iter().for_each(|item| self.value(item));
            }
        }
    }
}

/// Bytes that are read.
pub(super) struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Words<'a> {
        Words(bytes)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn long(&mut self) -> Option<[u8; 8]> {
        self.take(8)?.try_into().ok()
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let length = self.number()?;
        String::from_utf8(self.take(length as usize)?.to_vec()).ok()
    }

    pub(super) fn texts(&mut self, count: u32) -> Option<Vec<String>> {
        (0..count).map(|_| self.text()).collect()
    }

    pub(super) fn value(&mut self, kind: Kind) -> Option<Value> {
        Some(match kind {
            Kind::Float => Value::Float(f64::from_le_bytes(self.long()?)),
            Kind::Integer => Value::Integer(i64::from_le_bytes(self.long()?)),
            Kind::Boolean => Value::Boolean(self.byte()? != 0),
            Kind::Text => Value::text(&self.text()?),
            Kind::Integers => {
                let count = self.number()?;
                Value::List((0..count).map(|_| self.value(Kind::Integer)).collect::<Option<_>>()?)
            }
        })
    }
}

/// The letter that the bridge knows a kind by.
pub(super) fn letter(kind: Kind) -> u8 {
    match kind {
        Kind::Float => b'f',
        Kind::Integer => b'i',
        Kind::Boolean => b'b',
        Kind::Text => b't',
        Kind::Integers => b'l',
    }
}

/// The kind of a letter.
pub(super) fn kind(letter: u8) -> Option<Kind> {
    [Kind::Float, Kind::Integer, Kind::Boolean, Kind::Text, Kind::Integers]
        .into_iter()
        .find(|k| self::letter(*k) == letter)
}

/// The values of one parameter in the trials of a batch.
pub(super) struct Column {
    kind: Kind,
    /// Of texts and lists: each that there is.
    words: Vec<Value>,
    /// A value for each trial: the bits of a number, or which of the words.
    cells: Vec<u64>,
}

impl Column {
    pub(super) fn new(kind: Kind) -> Column {
        Column { kind, words: Vec::new(), cells: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.cells.clear();
    }

    pub(super) fn push(&mut self, value: &Value) {
        let cell = match (value, self.kind) {
            (Value::Float(x), _) => x.to_bits(),
            // One that stands for a real number, where the run file allows it.
            (Value::Integer(i), Kind::Float) => (*i as f64).to_bits(),
            (Value::Integer(i), _) => i.cast_unsigned(),
            (Value::Boolean(b), _) => u64::from(*b),
            (Value::Text(_) | Value::List(_), _) => {
                // The last one is the likeliest.
                let known = self.words.iter().rposition(|word| word == value);
                known.unwrap_or_else(|| {
                    self.words.push(value.clone());
                    self.words.len() - 1
                }) as u64
            }
        };
        self.cells.push(cell);
    }

    /// Writes some of the trials: one value if all have the same.
    pub(super) fn write(&self, from: usize, to: usize, out: &mut Bytes) {
        let cells = &self.cells[from..to];
        let is_one = cells.iter().all(|cell| *cell == cells[0]);
        out.byte(if is_one { b'c' } else { b'v' });
        if is_one {
            return match self.words.get(cells[0] as usize).filter(|_| self.is_worded()) {
                Some(word) => out.value(word),
                None => self.write_cells(&cells[..1], out),
            };
        }
        if self.is_worded() {
            out.number(self.words.len() as u32);
            self.words.iter().for_each(|word| out.value(word));
        }
        self.write_cells(cells, out);
    }

    fn is_worded(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::Integers)
    }

    fn write_cells(&self, cells: &[u64], out: &mut Bytes) {
        match self.kind {
            Kind::Float | Kind::Integer => cells.iter().for_each(|cell| out.0.extend(cell.to_le_bytes())),
            Kind::Boolean => cells.iter().for_each(|cell| out.byte(*cell as u8)),
            Kind::Text | Kind::Integers => cells.iter().for_each(|cell| out.number(*cell as u32)),
        }
    }
}
