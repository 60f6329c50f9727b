//! Files that travel with a run: `bundle = ["model.py", "data/"]`, and the hash that says which they were.
//!
//! This room reads no files. Whoever submits has them looked at ([`lay_in`]); the hash is laid into the tree, so that the canonical
//! text says which code ran. Whoever reads that text elsewhere takes its word for it, and holds the files against it.

use tumble_domain::code::{HERE, Template};
use tumble_domain::{Bundle, Code};

use crate::problem::{At, Notes};
use crate::tree::{Entry, Item, Node, Table};
use crate::typed::{Typed, Written};

const BUNDLE: &str = "bundle";
const BUNDLE_HASH: &str = "bundle_hash";
/// The most entries of the list; a folder is one.
const ENTRIES_MAX: usize = 256;
/// The longest entry, in bytes.
const ENTRY_BYTES_MAX: usize = 1024;
/// Hexadecimal digits of a hash.
const HASH_DIGITS: usize = 64;

/// Why files cannot travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackError {
    /// Which entry of the list is to blame; `None` if the files are not those of the hash that the run file has.
    pub entry: Option<usize>,
    /// What is wrong.
    pub why: String,
    /// What would be right.
    pub fix: String,
}

/// Looks at the files of a bundle and gives its hash. The second argument is the hash that the run file has already.
pub type Pack<'a> = &'a dyn Fn(&[String], Option<&str>) -> Result<String, PackError>;

/// Has the files looked at that the tree names, and lays their hash in. What is of the wrong type is left to who reads types.
pub(crate) fn lay_in(root: &mut Table, pack: Pack<'_>, notes: &mut Notes<'_>) {
    let Some(Item::List(items)) = root.get(BUNDLE).map(|entry| &entry.node.item) else { return };
    let text = |node: &Node| match &node.item {
        Item::Text(value) => Some(Written { at: node.at.clone(), value: value.clone() }),
        _ => None,
    };
    let Some(entries) = items.iter().map(text).collect::<Option<Vec<_>>>() else { return };
    let list_at = root.get(BUNDLE).map_or(At::Nowhere, |entry| entry.at.clone());
    // Files are looked at under names that make sense alone.
    if !check_entries(&entries, &list_at, notes) {
        return;
    }
    let written = root.get(BUNDLE_HASH).and_then(|entry| text(&entry.node));
    let paths: Vec<String> = entries.iter().map(|entry| entry.value.clone()).collect();
    match pack(&paths, written.as_ref().map(|hash| hash.value.as_str())) {
        Ok(hash) if written.is_none() => {
            let node = Node { at: At::Nowhere, item: Item::Text(hash) };
            root.entries.push(Entry { name: BUNDLE_HASH.to_owned(), at: At::Nowhere, order: usize::MAX, node });
        }
        Ok(_) => {}
        Err(PackError { entry, why, fix }) => match entry.and_then(|entry| entries.get(entry)) {
            Some(entry) => notes.report(&entry.at, BUNDLE, why, fix),
            None => notes.report(&written.map_or(list_at, |hash| hash.at), BUNDLE_HASH, why, fix),
        },
    }
}

/// The bundle of the run, if it has one.
pub(crate) fn of(typed: &Typed<'_>, code: Option<&Code>, notes: &mut Notes<'_>) -> Option<Bundle> {
    let hash = typed.bundle_hash.written();
    let Some(list) = typed.bundle.written() else {
        if let (Some(hash), true) = (hash, typed.bundle.is_absent()) {
            let fix = "name the files, as in `bundle = [\"model.py\"]`, or remove it";
            notes.report(&hash.at, BUNDLE_HASH, "`bundle_hash` without a `bundle`", fix);
        }
        return None;
    };
    if let Some(pipeline) = typed.pipeline.value().filter(|name| !["program", "python"].contains(&name.as_str())) {
        let message = format!("`bundle` has no meaning for pipeline `{pipeline}`, which workers have built in");
        let fix = "remove it, or let code of your own evaluate: `pipeline = \"python\"` or `pipeline = \"program\"`";
        notes.report(&list.at, BUNDLE, message, fix);
        return None;
    }
    if !check_entries(&list.value, &list.at, notes) {
        return None;
    }
    if let Some(code) = code {
        check_code(code, &list.value, &list.at, notes);
    }
    let Some(hash) = hash else {
        if typed.bundle_hash.is_absent() {
            let fix = "commands that take the run file beside its files look at them: `tumble check --canonical FILE`";
            notes.report(&list.at, BUNDLE, "nobody has looked at the files of the bundle: no `bundle_hash`", fix);
        }
        return None;
    };
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if hash.value.len() != HASH_DIGITS || !hash.value.bytes().all(is_digit) {
        let message = format!("`bundle_hash` is no hash: {HASH_DIGITS} hexadecimal digits in lower case are expected");
        notes.report(&hash.at, BUNDLE_HASH, message, "remove the line, and Tumble writes the hash of the files");
        return None;
    }
    let paths = list.value.iter().map(|entry| entry.value.clone()).collect();
    Some(Bundle { paths, hash: hash.value.clone() })
}

/// The `bundle_hash` of a run file that is read for nothing else; `None` if it has none.
pub fn bundle_hash_of(run_toml: &str) -> Option<String> {
    let mut notes = Notes::new(run_toml, "", &[]);
    match crate::tree::read(run_toml, &[], &mut notes)?.get(BUNDLE_HASH)?.node.item.clone() {
        Item::Text(hash) => Some(hash),
        _ => None,
    }
}

/// An entry without what may be written or not: `./` in front and `/` behind.
fn plain(entry: &str) -> &str {
    let mut plain = entry;
    while let Some(rest) = plain.strip_prefix("./") {
        plain = rest.trim_start_matches('/');
    }
    plain.trim_end_matches('/')
}

/// Whether the entries make sense as they stand, without a look at the files.
fn check_entries(entries: &[Written<String>], list_at: &At, notes: &mut Notes<'_>) -> bool {
    if entries.is_empty() {
        let fix = "name files and folders, as in `bundle = [\"model.py\", \"data/\"]`, or remove the line";
        notes.report(list_at, BUNDLE, "`bundle` is empty", fix);
        return false;
    }
    if entries.len() > ENTRIES_MAX {
        let message = format!("`bundle` has {} entries, more than {ENTRIES_MAX}", entries.len());
        notes.report(list_at, BUNDLE, message, "put the files into folders, and name the folders");
        return false;
    }
    let mut is_right = true;
    for (position, entry) in entries.iter().enumerate() {
        let shown = &entry.value;
        let wrong = if shown.is_empty() {
            Some(("an entry of `bundle` is empty".to_owned(), "write the name of a file or folder"))
        } else if shown.len() > ENTRY_BYTES_MAX || shown.chars().any(char::is_control) {
            Some((
                format!("{shown:?} can be no path of a bundle"),
                "write a path without line breaks, of at most 1024 bytes",
            ))
        } else if shown.starts_with('/') {
            Some((
                format!("{shown:?} is an absolute path, which leads elsewhere on every machine"),
                "write it relative to the folder of the run file; what lies elsewhere is copied or linked to there first",
            ))
        } else if shown.split('/').any(|part| part == "..") {
            Some((
                format!("{shown:?} leads out of the folder of the run file"),
                "only what lies beside the run file or below can travel: move the run file up, or copy the files",
            ))
        } else if plain(shown).split('/').any(|part| part.is_empty() || part == ".") {
            Some((
                format!("{shown:?} names the folder of the run file itself, or no file"),
                "name what workers need, file by file or folder by folder: results may lie there as well",
            ))
        } else if entries[..position].iter().any(|earlier| plain(&earlier.value) == plain(shown)) {
            Some((format!("{shown:?} is there twice"), "remove one of the two"))
        } else {
            None
        };
        if let Some((message, fix)) = wrong {
            notes.report(&entry.at, BUNDLE, message, fix);
            is_right = false;
        }
    }
    is_right
}

/// Code that is named by a path relative to the run file comes from the bundle, so the bundle must have it.
fn check_code(code: &Code, entries: &[Written<String>], at: &At, notes: &mut Notes<'_>) {
    let file = match code {
        Code::Python(python) => {
            let (module, _) = python.entry.rsplit_once(':').unwrap_or((&python.entry, ""));
            Some(module.to_owned()).filter(|module| module.ends_with(".py"))
        }
        Code::Program(program) => {
            let word = program.command.first().and_then(|word| Template::parse(word).ok());
            // `{here}` is the folder of the bundle, which relative paths begin in as well.
            let word = word.map(|word| word.fill(|name, text| text.push_str(if name == HERE { "." } else { "" })));
            word.filter(|word| word.contains('/'))
        }
    };
    let Some(file) = file.filter(|file| !file.starts_with('/')) else { return };
    let names: Vec<&str> = entries.iter().map(|entry| plain(&entry.value)).collect();
    let wanted = plain(&file);
    let is_in = |name: &&str| wanted.strip_prefix(*name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    // What is no plain path is told when it is looked for.
    if wanted.split('/').any(|part| part == ".." || part == ".") || names.iter().any(is_in) {
        return;
    }
    let message = format!("the bundle lacks `{wanted}`, which is to evaluate: it has `{}`", names.join("`, `"));
    notes.report(at, BUNDLE, message, format!("add {wanted:?} to the list"));
}
