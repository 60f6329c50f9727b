//! Points that stand in a file of their own: `file = "points.csv"` of a `list`.
//!
//! The canonical run is the run wherever it goes, so the values are laid into the tree as listed axes before anything is
//! understood; what is wrong with one is told with its line in that file. Reading files is left to the caller.

use tumble_domain::Value;

use crate::problem::{At, Notes};
use crate::tree::{Entry, Item, Node, Table};
use crate::wording::{instead_of, one_of};

/// The most bytes that the values of such a file take as text: the run file travels whole to every worker, and every part
/// of the table has it.
pub const POINTS_BYTES_MAX: usize = 1 << 20;

/// The points of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    /// The file, as problems call it.
    pub name: String,
    /// The line of the names.
    pub head_line: usize,
    /// The line of each point.
    pub lines: Vec<usize>,
    /// The columns, each with its name and a value for each point.
    pub columns: Vec<(String, Vec<Value>)>,
}

/// Reads the file of this path, as a run file has it; an error says what is wrong with it.
pub type ReadPoints<'a> = &'a dyn Fn(&str) -> Result<Points, String>;

/// Lays the points of the file that the sweep names, if it names one, into the tree as its axes.
pub(crate) fn lay_in(root: &mut Table, read: ReadPoints<'_>, notes: &mut Notes<'_>) {
    let Some(Item::Table(sweep)) = root.entries.iter_mut().find(|e| e.name == "sweep").map(|e| &mut e.node.item) else {
        return;
    };
    let Some(position) = sweep.entries.iter().position(|e| e.name == "file") else { return };
    let file = sweep.entries.remove(position);
    let path = "sweep.file";
    let Item::Text(name) = &file.node.item else {
        let message =
            format!("`file` has the wrong type: expected text in quotes, found {}", file.node.item.kind_name());
        return notes.report(&file.node.at, path, message, "for example `file = \"points.csv\"`");
    };
    if sweep.get("design").is_none_or(|design| design.node.item != Item::Text("list".to_owned())) {
        let message = "`file` has a meaning in design `list` alone";
        return notes.report(&file.at, path, message, "write `design = \"list\"`, or remove it");
    }
    let wanted = match sweep.get("axes") {
        None => None,
        Some(axes) => match names(&axes.node) {
            Some(wanted) => Some(wanted),
            None => {
                let message = "[sweep] has a `file` of points, and axes as well";
                let fix = "remove [sweep.axes], or name the columns to take: `axes = [\"x0\", \"x1\"]`";
                return notes.report(&axes.at, "sweep.axes", message, fix);
            }
        },
    };
    let mut points = match read(name) {
        Ok(points) => points,
        Err(why) => {
            let message = format!("the points of `{name}` cannot be read: {why}");
            return notes.report(&file.node.at, path, message, "the path is relative to the run file's folder");
        }
    };
    let known: Vec<&str> = points.columns.iter().map(|(name, _)| name.as_str()).collect();
    if let Some((place, twice)) = known.iter().enumerate().find(|(i, name)| known[..*i].contains(name)) {
        notes.points_name.clone_from(&points.name);
        let at = At::Points { line: points.head_line, column: place + 1 };
        return notes.report(&at, path, format!("column `{twice}` is there twice"), "give each column its own name");
    }
    let mut columns: Vec<usize> = (0..known.len()).collect();
    if let Some(wanted) = wanted {
        columns.clear();
        for (column, at) in wanted {
            match known.iter().position(|name| *name == column) {
                Some(place) => columns.push(place),
                None => {
                    let message = format!("`{name}` has no column `{column}`");
                    notes.report(&at, "sweep.axes", message, instead_of(&column, &known));
                }
            }
        }
    }
    if points.lines.is_empty() || columns.is_empty() {
        let message = format!("`{name}` has no points");
        let fix = match known.is_empty() {
            true => "the first line names the axes, and each further line is a point".to_owned(),
            false => format!("add a line for each point; the columns: {}", one_of(&known)),
        };
        return notes.report(&file.node.at, path, message, fix);
    }
    let bytes: usize = columns.iter().flat_map(|c| &points.columns[*c].1).map(|v| v.to_string().len() + 2).sum();
    if bytes > POINTS_BYTES_MAX {
        let message = format!("the {} points of `{name}` take {bytes} bytes as text", points.lines.len());
        let fix =
            format!("at most {POINTS_BYTES_MAX} travel with a run: share them among several, or write fewer digits");
        return notes.report(&file.node.at, path, message, fix);
    }
    notes.points_name = std::mem::take(&mut points.name);
    let entries = columns.into_iter().map(|column| {
        let (name, values) = &points.columns[column];
        let at = |line| At::Points { line, column: column + 1 };
        let item = |(value, line): (&Value, &usize)| Node { at: at(*line), item: item_of(value) };
        let node =
            Node { at: at(points.head_line), item: Item::List(values.iter().zip(&points.lines).map(item).collect()) };
        Entry { name: name.clone(), at: at(points.head_line), order: file.order + column, node }
    });
    let axes = Item::Table(Table { entries: entries.collect() });
    let node = Node { at: file.at.clone(), item: axes };
    sweep.entries.retain(|e| e.name != "axes");
    sweep.entries.push(Entry { name: "axes".to_owned(), at: file.at, order: file.order, node });
}

/// The columns that `axes` names, with their places; `None` for anything but a list of words.
fn names(node: &Node) -> Option<Vec<(String, At)>> {
    let Item::List(items) = &node.item else { return None };
    let name = |item: &Node| match &item.item {
        Item::Text(name) => Some((name.clone(), item.at.clone())),
        _ => None,
    };
    items.iter().map(name).collect()
}

fn item_of(value: &Value) -> Item {
    match value {
        Value::Float(x) => Item::Float(*x),
        Value::Integer(i) => Item::Integer(i128::from(*i)),
        Value::Boolean(b) => Item::Boolean(*b),
        Value::Text(word) => Item::Text(word.to_string()),
        Value::List(items) => Item::List(items.iter().map(|v| Node { at: At::Nowhere, item: item_of(v) }).collect()),
    }
}
