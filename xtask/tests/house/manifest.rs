//! TOML as these rules read it.

use toml::de::{DeTable, DeValue};

use crate::sources::read;

/// A TOML file, read.
pub(crate) struct Manifest {
    table: DeTable<'static>,
}

impl Manifest {
    /// Reads a file; the path is relative to the root.
    pub(crate) fn of(path: &str) -> Manifest {
        // The tree borrows from its text; tests end soon enough to let the text live as long.
        let text: &'static str = read(path).leak();
        let table = DeTable::parse(text).unwrap_or_else(|error| panic!("{path} is no TOML: {error}"));
        Manifest { table: table.into_inner() }
    }

    /// What stands at a dotted path.
    pub(crate) fn get(&self, path: &str) -> Option<&DeValue<'static>> {
        let mut keys = path.split('.');
        let mut value = self.table.get(keys.next()?)?.get_ref();
        for key in keys {
            let DeValue::Table(table) = value else { return None };
            value = table.get(key)?.get_ref();
        }
        Some(value)
    }

    /// The names in a section; none if it is not there.
    pub(crate) fn names(&self, section: &str) -> Vec<String> {
        match self.get(section) {
            Some(DeValue::Table(table)) => table.keys().map(|key| key.get_ref().to_string()).collect(),
            _ => Vec::new(),
        }
    }

    /// The texts of a list; of a list of tables, what each has under `key`.
    pub(crate) fn texts(&self, path: &str, key: &str) -> Vec<String> {
        let Some(DeValue::Array(items)) = self.get(path) else { return Vec::new() };
        let text = |value: &DeValue<'static>| match value {
            DeValue::String(text) => Some(text.to_string()),
            _ => None,
        };
        items
            .iter()
            .filter_map(|item| match item.get_ref() {
                DeValue::Table(table) => text(table.get(key)?.get_ref()),
                plain => text(plain),
            })
            .collect()
    }

    /// Whether this very boolean stands there.
    pub(crate) fn says(&self, path: &str, expected: bool) -> bool {
        matches!(self.get(path), Some(DeValue::Boolean(said)) if *said == expected)
    }
}
