//! The run file as a tree of values, each with its place, and the overrides laid over it.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::Override;
use crate::problem::{At, Notes};

/// A table: its entries in the order of the file, then those that overrides added.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Where the key stands; for an entry that an override replaced, that override.
    pub(crate) at: At,
    /// Where the key stands among all keys of the file; an override keeps the place of what it replaces.
    pub(crate) order: usize,
    pub(crate) node: Node,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) item: Item,
}

/// What TOML knows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Boolean(bool),
    /// Wider than TOML's own integers, so that a seed may use all of its 64 bits.
    Integer(i128),
    /// An integer too long for any use, as written.
    HugeInteger(String),
    Float(f64),
    Text(String),
    /// A date or a time, as written: no key takes one.
    Time(String),
    List(Vec<Node>),
    Table(Table),
}

impl Item {
    /// The word for it in messages.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            Item::Boolean(_) => "boolean",
            Item::Integer(_) | Item::HugeInteger(_) => "integer",
            Item::Float(_) => "number",
            Item::Text(_) => "text",
            Item::Time(_) => "date or time",
            Item::List(_) => "list",
            Item::Table(_) => "section",
        }
    }
}

impl Table {
    /// The entry of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.name == name)
    }
}

/// Reads the text and lays the overrides over it. What is not TOML is noted, and then there is no tree: half a tree
/// would only lead to problems that are none.
pub(crate) fn read(text: &str, overrides: &[Override], notes: &mut Notes<'_>) -> Option<Table> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut last_line = None;
    for error in errors {
        let at = error.span().map_or(At::File(text.len()..text.len()), At::File);
        // After its first error in a line the parser mostly stumbles over its own recovery.
        let line = notes.name_of(&at);
        if last_line.as_ref() != Some(&line) {
            let message = format!("no TOML: {}", error.message());
            notes.report(&at, "", message, "a line is `key = value`, with text in quotes, or `[section]`");
        }
        last_line = Some(line);
    }
    let mut root = table_of(document.get_ref(), text);
    for (index, given) in overrides.iter().enumerate() {
        lay_over(&mut root, given, index, text.len(), notes);
    }
    notes.is_clean().then_some(root)
}

fn table_of(table: &DeTable<'_>, text: &str) -> Table {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            name: key.get_ref().to_string(),
            at: At::File(key.span()),
            order: key.span().start,
            node: node_of(value, text),
        })
        .collect();
    entries.sort_by_key(|e| e.order);
    Table { entries }
}

fn node_of(value: &Spanned<DeValue<'_>>, text: &str) -> Node {
    let span = value.span();
    let item = match value.get_ref() {
        DeValue::Boolean(b) => Item::Boolean(*b),
        DeValue::Integer(i) => match i128::from_str_radix(i.as_str(), i.radix()) {
            Ok(integer) => Item::Integer(integer),
            Err(_) => Item::HugeInteger(i.as_str().to_owned()),
        },
        // Too large a number becomes infinite here, and is refused later as every infinity is.
        DeValue::Float(x) => Item::Float(x.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::String(s) => Item::Text(s.to_string()),
        DeValue::Datetime(_) => Item::Time(text.get(span.clone()).unwrap_or_default().to_owned()),
        DeValue::Array(items) => Item::List(items.iter().map(|item| node_of(item, text)).collect()),
        DeValue::Table(table) => Item::Table(table_of(table, text)),
    };
    Node { at: At::File(span), item }
}

/// Lays one override over the tree.
fn lay_over(root: &mut Table, given: &Override, index: usize, file_bytes: usize, notes: &mut Notes<'_>) {
    let at = At::Override(index);
    let Some(path) = path_of(&given.key) else {
        let message = format!("`{}` is not the path of a key", given.key);
        return notes.report(&at, &given.key, message, "write it with dots, as in `evolve.sigma=0.5`");
    };
    let Some(mut node) = override_value(&given.value, &at, notes, &given.key) else { return };
    place_everywhere(&mut node, &at);
    let order = file_bytes + 1 + index;
    let mut table = root;
    for (depth, name) in path.iter().enumerate() {
        // A quoted key such as "evolve.sigma" may stand for all the rest of the path.
        let whole = path[depth..].join(".");
        let is_last = depth + 1 == path.len();
        let wanted = if !is_last && table.get(&whole).is_some() { &whole } else { name };
        let found = table.entries.iter().position(|e| e.name == *wanted);
        if is_last || *wanted == whole {
            match found {
                Some(i) => {
                    table.entries[i].node = node;
                    table.entries[i].at = at;
                }
                None => table.entries.push(Entry { name: wanted.clone(), at, order, node }),
            }
            return;
        }
        let next = found.unwrap_or_else(|| {
            let empty = Node { at: at.clone(), item: Item::Table(Table::default()) };
            table.entries.push(Entry { name: name.clone(), at: at.clone(), order, node: empty });
            table.entries.len() - 1
        });
        let Item::Table(inner) = &mut table.entries[next].node.item else {
            let message = format!("`{}` is no section", path[..=depth].join("."));
            let fix = format!("override it whole: `--set {}=…`", path[..=depth].join("."));
            return notes.report(&at, &given.key, message, fix);
        };
        table = inner;
    }
}

/// The parts of a dotted path; parts may be quoted as in TOML.
fn path_of(key: &str) -> Option<Vec<String>> {
    if key.contains(['\n', '\r', '=', '[', '#']) {
        return None;
    }
    // TOML's own parser reads the key, so that quoting means here what it means in a file.
    let line = format!("{key} = 0");
    let document = DeTable::parse(&line).ok()?;
    let mut path = Vec::new();
    let mut table = document.get_ref();
    loop {
        let (name, value) = table.iter().next()?;
        path.push(name.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return Some(path),
        }
    }
}

/// The value of an override: TOML if it is that, else the bare words as text, so that a shell needs no second quotes.
fn override_value(value: &str, at: &At, notes: &mut Notes<'_>, key: &str) -> Option<Node> {
    let value = value.trim();
    match DeValue::parse(value) {
        Ok(parsed) => {
            let mut node = node_of(&parsed, value);
            // `--set limits.wall=02:00:00` is a time of day to TOML; whoever types it means the text.
            if let Item::Time(written) = node.item {
                node.item = Item::Text(written);
            }
            Some(node)
        }
        Err(error) if value.is_empty() || value.starts_with(['[', '{', '"', '\'']) => {
            let message = format!("the value is no TOML: {}", error.message());
            notes.report(at, key, message, "write a number, true, false, a word, or a list such as [1, 2]");
            None
        }
        Err(_) => Some(Node { at: at.clone(), item: Item::Text(value.to_owned()) }),
    }
}

/// Everything in an override has the override as its place.
fn place_everywhere(node: &mut Node, at: &At) {
    node.at = at.clone();
    match &mut node.item {
        Item::List(items) => items.iter_mut().for_each(|item| place_everywhere(item, at)),
        Item::Table(table) => {
            for (i, entry) in table.entries.iter_mut().enumerate() {
                entry.at = at.clone();
                entry.order = i;
                place_everywhere(&mut entry.node, at);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str, overrides: &[(&str, &str)]) -> Result<Table, String> {
        let overrides: Vec<Override> =
            overrides.iter().map(|(k, v)| Override { key: (*k).to_owned(), value: (*v).to_owned() }).collect();
        let mut notes = Notes::new(text, "a.toml", &overrides);
        read(text, &overrides, &mut notes).ok_or_else(|| notes.into_problems().to_string())
    }

    /// The tree as nested text, names and values only.
    fn shape(table: &Table) -> String {
        let entry = |e: &Entry| format!("{}: {}", e.name, item(&e.node.item));
        return format!("{{{}}}", table.entries.iter().map(entry).collect::<Vec<_>>().join(", "));
        fn item(i: &Item) -> String {
            match i {
                Item::Boolean(b) => b.to_string(),
                Item::Integer(n) => n.to_string(),
                Item::HugeInteger(s) | Item::Time(s) => format!("<{s}>"),
                Item::Float(x) => format!("{x:?}"),
                Item::Text(s) => format!("{s:?}"),
                Item::List(items) => {
                    format!("[{}]", items.iter().map(|n| item(&n.item)).collect::<Vec<_>>().join(", "))
                }
                Item::Table(t) => shape(t),
            }
        }
    }

    #[test]
    fn entries_keep_the_order_of_the_file() {
        let text = "z = 1\na = 0xff\n[s.b]\nq = 1e999\n[s.a]\nt = 1_000.5\n";
        assert_eq!(shape(&tree(text, &[]).unwrap()), "{z: 1, a: 255, s: {b: {q: inf}, a: {t: 1000.5}}}");
    }

    #[test]
    fn an_override_replaces_adds_and_descends() {
        let text = "seed = 1\n[sweep.axes]\n\"evolve.sigma\" = [1]\nx = { linear = [0, 1], points = 3 }\n";
        let overrides = [
            ("seed", "2"),
            ("sweep.axes.evolve.sigma", "[1, 2.5]"),
            ("sweep.axes.x.points", "5"),
            ("limits.wall", "02:00:00"),
            ("evolve.strategy", "cma-es"),
            ("config.name", "\"two words\""),
        ];
        assert_eq!(
            shape(&tree(text, &overrides).unwrap()),
            "{seed: 2, sweep: {axes: {evolve.sigma: [1, 2.5], x: {linear: [0, 1], points: 5}}}, \
             limits: {wall: \"02:00:00\"}, evolve: {strategy: \"cma-es\"}, config: {name: \"two words\"}}"
        );
    }

    #[test]
    fn an_override_that_makes_no_sense_is_told_apart() {
        assert_eq!(
            tree("seed = 1", &[("seed.x", "1"), ("a b", "1"), ("seed", "[1"), ("", "1")]).unwrap_err(),
            "--set seed.x=1: `seed` is no section\n    override it whole: `--set seed=…`\n\
             --set a b=1: `a b` is not the path of a key\n    write it with dots, as in `evolve.sigma=0.5`\n\
             --set seed=[1: the value is no TOML: unclosed array, expected `]`\n    \
             write a number, true, false, a word, or a list such as [1, 2]\n\
             --set =1: `` is not the path of a key\n    write it with dots, as in `evolve.sigma=0.5`"
        );
    }
}
