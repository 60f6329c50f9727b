//! Finds the files that a run file names, and takes down what they are.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::hash::Hash;
use crate::manifest::{File, Manifest, check_path};
use crate::{BYTES_MAX, FILES_MAX};

/// What interpreters write beside modules: it changes by itself, and is made again where it is missing.
const LEFT_OUT: &str = "__pycache__";

/// Why files cannot travel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}; {fix}")]
pub struct PackError {
    /// Which entry of the list leads to what is to blame.
    pub entry: usize,
    /// What is wrong, with the file's name.
    pub why: String,
    /// What would be right.
    pub fix: String,
}

/// The files that these entries lead to, in the folder `here`. Folders stand for all that is in them, but for `__pycache__`;
/// links are followed as long as they stay in `here`.
pub fn pack(here: &Path, entries: &[String]) -> Result<Manifest, PackError> {
    let root = fs::canonicalize(here).map_err(|error| PackError {
        entry: 0,
        why: format!("the folder of the run file cannot be read: {}: {error}", here.display()),
        fix: "name a run file in a folder that can be read".to_owned(),
    })?;
    let mut packing = Packing { root: &root, here, entry: 0, files: BTreeMap::new(), bytes: 0 };
    for (entry, written) in entries.iter().enumerate() {
        packing.entry = entry;
        let mut path = written.as_str();
        while let Some(rest) = path.strip_prefix("./") {
            path = rest;
        }
        let path = path.trim_end_matches('/');
        packing.check(path)?;
        let before = packing.files.len();
        let is_folder = packing.add(path, &mut Vec::new())?;
        if is_folder && packing.files.len() == before && !packing.files.keys().any(|file| file.starts_with(path)) {
            return Err(packing.refusal(format!("`{path}` has no files in it"), "leave it out, or name another folder"));
        }
    }
    let manifest = Manifest::try_new(packing.files.into_values().collect());
    manifest.map_err(|error| PackError {
        entry: 0,
        why: format!("the files make no bundle: {error}"),
        fix: "name fewer files".to_owned(),
    })
}

struct Packing<'a> {
    /// The folder of the run file, by its real name.
    root: &'a Path,
    here: &'a Path,
    /// The entry at hand.
    entry: usize,
    files: BTreeMap<String, File>,
    bytes: u64,
}

impl Packing<'_> {
    fn refusal(&self, why: String, fix: &str) -> PackError {
        PackError { entry: self.entry, why, fix: fix.to_owned() }
    }

    fn check(&self, path: &str) -> Result<(), PackError> {
        check_path(path).map_err(|error| self.refusal(error.to_string(), "give it another name, or leave it out"))
    }

    /// Adds a file, or all files of a folder; `true` for a folder. `within` are the real names of the folders that led here.
    fn add(&mut self, path: &str, within: &mut Vec<PathBuf>) -> Result<bool, PackError> {
        let place = self.here.join(path);
        let real = fs::canonicalize(&place).map_err(|error| match (error.kind(), place.is_symlink()) {
            (_, true) => self.refusal(
                format!("`{path}` is a link that leads nowhere: {error}"),
                "put it right, or leave it out of the bundle",
            ),
            (ErrorKind::NotFound, _) => self.refusal(
                format!("there is no `{path}` in the folder of the run file"),
                "paths in `bundle` are relative to the run file",
            ),
            _ => self.refusal(format!("`{path}` cannot be read: {error}"), "make it readable, or leave it out"),
        })?;
        if !real.starts_with(self.root) {
            return Err(self.refusal(
                format!("`{path}` leads out of the folder of the run file, to {}", real.display()),
                "only what lies beside the run file or below can travel: copy it there",
            ));
        }
        let unreadable = |error: std::io::Error| {
            self.refusal(format!("`{path}` cannot be read: {error}"), "make it readable, or leave it out")
        };
        let about = fs::metadata(&real).map_err(unreadable)?;
        if about.is_dir() {
            if within.contains(&real) {
                return Err(self.refusal(format!("`{path}` is a link that leads in a circle"), "remove the link"));
            }
            let mut names = Vec::new();
            for entry in fs::read_dir(&real).map_err(unreadable)? {
                let name = entry.map_err(unreadable)?.file_name().into_string();
                let name = name.map_err(|name| {
                    let why = format!("the name of `{path}/{}` is no UTF-8", name.to_string_lossy());
                    self.refusal(why, "give it another name, or leave it out")
                })?;
                names.push(name);
            }
            // The first problem is the same each time.
            names.sort_unstable();
            within.push(real);
            for name in names.into_iter().filter(|name| name != LEFT_OUT) {
                let path = format!("{path}/{name}");
                self.check(&path)?;
                self.add(&path, within)?;
            }
            within.pop();
            return Ok(true);
        }
        if !about.is_file() {
            let kind = about.file_type();
            let what = match () {
                () if kind.is_socket() => "a socket",
                () if kind.is_fifo() => "a pipe",
                () => "a device",
            };
            return Err(self.refusal(
                format!("`{path}` is {what}, and only files and folders travel"),
                "leave it out of the bundle",
            ));
        }
        if self.files.contains_key(path) {
            return Ok(false);
        }
        if self.files.len() == FILES_MAX {
            let why = format!("the bundle has more than {FILES_MAX} files: `{path}` is one too many");
            return Err(self.refusal(why, "name fewer, or pack them into one file"));
        }
        // Before it is read: it may be a terabyte.
        let too_large = |packing: &Self| {
            let why = format!("the bundle has more than {BYTES_MAX} bytes: `{path}` is what goes beyond");
            packing.refusal(why, "put large data where workers can read it, and name its path in the run file")
        };
        if self.bytes.saturating_add(about.len()) > BYTES_MAX {
            return Err(too_large(self));
        }
        let (hash, length) = fs::File::open(&real).and_then(Hash::of_all).map_err(unreadable)?;
        self.bytes = self.bytes.saturating_add(length);
        if self.bytes > BYTES_MAX {
            return Err(too_large(self));
        }
        let executable = about.permissions().mode() & 0o111 != 0;
        self.files.insert(path.to_owned(), File { path: path.to_owned(), length, hash, executable });
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn place() -> tempfile::TempDir {
        let place = tempfile::tempdir().expect("there is a temporary folder");
        let here = place.path().join("here");
        for folder in ["here/data/sub", "here/data/__pycache__", "here/empty", "beside"] {
            fs::create_dir_all(place.path().join(folder)).expect("the place is ours");
        }
        for (name, text) in [
            ("model.py", "def f(): pass"),
            ("data/b.csv", "1"),
            ("data/a.csv", "2"),
            ("data/sub/c.csv", "1"),
            ("data/__pycache__/m.pyc", "changes by itself"),
            ("../beside/secret", "not ours to send"),
        ] {
            fs::write(here.join(name), text).expect("the place is ours");
        }
        place
    }

    fn packed(here: &Path, entries: &[&str]) -> Result<Vec<String>, PackError> {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        pack(here, &entries).map(|manifest| manifest.files().iter().map(|file| file.path.clone()).collect())
    }

    #[test]
    fn files_and_folders_are_found_whatever_the_order_and_however_they_are_written() {
        let place = place();
        let here = place.path().join("here");
        let expected = ["data/a.csv", "data/b.csv", "data/sub/c.csv", "model.py"];
        for entries in [
            &["model.py", "data"][..],
            &["data/", "./model.py"],
            &["data/sub/c.csv", "data/sub", "model.py", "data"],
            &["data", "data/sub/c.csv", "model.py"],
        ] {
            assert_eq!(packed(&here, entries).unwrap(), expected, "{entries:?}");
        }
        let manifest = pack(&here, &["data".to_owned(), "model.py".to_owned()]).unwrap();
        let file = &manifest.files()[3];
        assert_eq!((file.length, file.hash, file.executable), (13, Hash::of(b"def f(): pass"), false));
        let hash = manifest.hash();
        fs::set_permissions(here.join("model.py"), fs::Permissions::from_mode(0o755)).unwrap();
        let runs = pack(&here, &["data".to_owned(), "model.py".to_owned()]).unwrap();
        assert!(runs.files()[3].executable && runs.hash() != hash);
    }

    #[test]
    fn a_link_is_followed_within_the_folder_and_refused_where_it_leads_out() {
        let place = place();
        let here = place.path().join("here");
        symlink("../a.csv", here.join("data/sub/link.csv")).unwrap();
        symlink("data", here.join("again")).unwrap();
        let linked = packed(&here, &["again"]).unwrap();
        assert_eq!(linked, ["again/a.csv", "again/b.csv", "again/sub/c.csv", "again/sub/link.csv"]);
        // The folder of the run file may itself be reached by a link.
        symlink("here", place.path().join("elsewhere")).unwrap();
        assert_eq!(packed(&place.path().join("elsewhere"), &["again"]).unwrap(), linked);
        symlink("../beside/secret", here.join("out")).unwrap();
        symlink("../beside", here.join("folder-out")).unwrap();
        symlink("nowhere", here.join("dangling")).unwrap();
        fs::create_dir(here.join("deep")).unwrap();
        symlink("../../beside/secret", here.join("deep/out")).unwrap();
        symlink("..", here.join("data/sub/circle")).unwrap();
        for (entry, why) in [
            ("out", "`out` leads out of the folder of the run file"),
            ("folder-out", "`folder-out` leads out"),
            ("folder-out/secret", "`folder-out/secret` leads out"),
            ("deep", "`deep/out` leads out"),
            ("dangling", "`dangling` is a link that leads nowhere"),
            ("data", "`data/sub/circle` is a link that leads in a circle"),
        ] {
            let error = packed(&here, &["model.py", entry]).expect_err(entry);
            assert!(error.why.contains(why) && error.entry == 1, "{entry}: {error:?}");
        }
    }

    #[test]
    fn what_is_no_file_or_not_there_is_named() {
        let place = place();
        let here = place.path().join("here");
        let _socket = std::os::unix::net::UnixListener::bind(here.join("data/sub/socket")).unwrap();
        fs::create_dir(here.join("odd")).unwrap();
        fs::write(here.join("odd/a\nb"), "").unwrap();
        for (entry, why) in [
            ("data", "`data/sub/socket` is a socket"),
            ("gone.py", "there is no `gone.py` in the folder of the run file"),
            ("model.py/x", "`model.py/x` cannot be read"),
            ("empty", "`empty` has no files in it"),
            ("odd", "control characters"),
            ("../beside/secret", "`.` and `..` lead elsewhere"),
            ("/etc/passwd", "it is absolute"),
        ] {
            let error = packed(&here, &["model.py", entry]).expect_err(entry);
            assert!(error.why.contains(why) && error.entry == 1 && !error.fix.is_empty(), "{entry}: {error:?}");
        }
    }

    #[test]
    fn a_bundle_that_is_too_large_is_refused_with_the_file_that_goes_beyond() {
        let place = place();
        let here = place.path().join("here");
        let sparse = fs::File::create(here.join("data/sub/huge")).unwrap();
        sparse.set_len(BYTES_MAX + 1).unwrap();
        let error = packed(&here, &["data"]).unwrap_err();
        assert!(error.why.contains("more than 1073741824 bytes: `data/sub/huge`"), "{error:?}");
        fs::create_dir(here.join("many")).unwrap();
        for i in 0..=FILES_MAX {
            fs::write(here.join(format!("many/{i:05}")), "").unwrap();
        }
        let error = packed(&here, &["many"]).unwrap_err();
        assert!(error.why.contains("more than 10000 files: `many/10000`"), "{error:?}");
    }
}
