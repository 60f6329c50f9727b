//! The manifest: every file of a bundle with its path, length and hash, as one text.
//!
//! ```text
//! tumble-bundle 1
//! <64 hexadecimal digits> <bytes> <x or -> <path>
//! ```
//!
//! A line for each file, by rising path, `x` for one that may be executed. One bundle has one text, so that the hash of the text is
//! the bundle's identity. It comes from outside wherever it is read: what could lead out of a folder, or into another file, is no manifest.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::hash::Hash;
use crate::{BYTES_MAX, FILES_MAX, MANIFEST_BYTES_MAX, PATH_BYTES_MAX};

/// Raised when a line means something else.
const VERSION: u32 = 1;
/// The longest name of a file or folder that file systems agree on, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Relative, with `/` between names.
    pub path: String,
    /// Its length in bytes.
    pub length: u64,
    /// The hash of its bytes.
    pub hash: Hash,
    /// Whether it may be executed.
    pub executable: bool,
}

/// The files of a bundle, by rising path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    files: Vec<File>,
}

/// Why something is no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A path that no file of a bundle has.
    #[error("{0:?} can be no path of a bundle: {1}")]
    Path(String, &'static str),
    /// It has no files.
    #[error("it has no files")]
    Empty,
    /// It is too large.
    #[error(
        "it has more than {FILES_MAX} files, or they have more than {BYTES_MAX} bytes, or their list more than {MANIFEST_BYTES_MAX}"
    )]
    TooLarge,
    /// A line makes no sense, or stands at the wrong place.
    #[error("line {0} of it is not as it should be")]
    Malformed(usize),
}

impl Manifest {
    /// The manifest of these files, in whatever order they come.
    pub fn try_new(mut files: Vec<File>) -> Result<Manifest, ManifestError> {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        check(&files)?;
        let manifest = Manifest { files };
        if manifest.text().len() as u64 > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge);
        }
        Ok(manifest)
    }

    /// Reads a manifest; only the very text that [`Manifest::text`] gives is one.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        if bytes.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge);
        }
        let valid = std::str::from_utf8(bytes).map_err(|error| {
            let lines = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            ManifestError::Malformed(lines + 1)
        })?;
        let mut lines = valid.split_inclusive('\n').zip(1..);
        if lines.next().is_none_or(|(line, _)| line.strip_suffix('\n') != Some(&*head())) {
            return Err(ManifestError::Malformed(1));
        }
        let mut files = Vec::new();
        for (line, number) in lines {
            if files.len() == FILES_MAX {
                return Err(ManifestError::TooLarge);
            }
            let file = file_of(line).ok_or(ManifestError::Malformed(number))?;
            if files.last().is_some_and(|before: &File| before.path >= file.path) {
                return Err(ManifestError::Malformed(number));
            }
            files.push(file);
        }
        check(&files)?;
        Ok(Manifest { files })
    }

    /// The text of it.
    pub fn text(&self) -> String {
        let mut text = head() + "\n";
        for File { path, length, hash, executable } in &self.files {
            let executable = if *executable { 'x' } else { '-' };
            writeln!(text, "{hash} {length} {executable} {path}").expect("writing to a string never fails");
        }
        text
    }

    /// The hash of the text: the bundle's identity.
    pub fn hash(&self) -> Hash {
        Hash::of(self.text().as_bytes())
    }

    /// The files, by rising path.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// How many bytes the files have together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }

    /// What the other one has that differs, in words: `model.py has changed`. The other is how things are now.
    pub fn differences(&self, now: &Manifest) -> Vec<String> {
        let find = |files: &'_ [File], path: &str| files.binary_search_by(|file| file.path.as_str().cmp(path)).ok();
        let mut found = Vec::new();
        for was in &self.files {
            match find(&now.files, &was.path).map(|at| &now.files[at]) {
                None => found.push(format!("`{}` is gone", was.path)),
                Some(is) if is.hash != was.hash => found.push(format!("`{}` has changed", was.path)),
                Some(is) if is.executable && !was.executable => {
                    found.push(format!("`{}` may be executed now", was.path));
                }
                Some(is) if is.executable != was.executable => {
                    found.push(format!("`{}` may not be executed any more", was.path));
                }
                Some(_) => {}
            }
        }
        let new = now.files.iter().filter(|file| find(&self.files, &file.path).is_none());
        found.extend(new.map(|file| format!("`{}` is new", file.path)));
        found
    }
}

/// The first line.
fn head() -> String {
    format!("tumble-bundle {VERSION}")
}

fn file_of(line: &str) -> Option<File> {
    let mut words = line.strip_suffix('\n')?.splitn(4, ' ');
    let (hash, length, executable, path) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let number: u64 = length.parse().ok()?;
    // `+1` and `01` are numbers as well, but not as they are written here.
    if number.to_string() != length {
        return None;
    }
    let executable = match executable {
        "x" => true,
        "-" => false,
        _ => return None,
    };
    Some(File { path: path.to_owned(), length: number, hash: Hash::parse(hash)?, executable })
}

/// Whether files by rising path are those of a bundle.
fn check(files: &[File]) -> Result<(), ManifestError> {
    if files.is_empty() {
        return Err(ManifestError::Empty);
    }
    let mut bytes = 0u64;
    for file in files {
        check_path(&file.path)?;
        bytes = bytes.checked_add(file.length).ok_or(ManifestError::TooLarge)?;
    }
    if files.len() > FILES_MAX || bytes > BYTES_MAX {
        return Err(ManifestError::TooLarge);
    }
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    if paths.len() < files.len() {
        let twice = files.windows(2).find(|pair| pair[0].path == pair[1].path);
        let path = twice.map_or(String::new(), |pair| pair[0].path.clone());
        return Err(ManifestError::Path(path, "it is there twice"));
    }
    for file in files {
        let folders = file.path.match_indices('/').map(|(at, _)| &file.path[..at]);
        if let Some(folder) = folders.into_iter().find(|folder| paths.contains(folder)) {
            return Err(ManifestError::Path(folder.to_owned(), "it is a file and a folder"));
        }
    }
    Ok(())
}

/// Whether a path leads to a file within a folder, whatever stands there.
pub(crate) fn check_path(path: &str) -> Result<(), ManifestError> {
    let wrong = |why| Err(ManifestError::Path(path.to_owned(), why));
    if path.is_empty() || path.len() > PATH_BYTES_MAX {
        return wrong("it is empty or longer than 1024 bytes");
    }
    if path.chars().any(char::is_control) {
        return wrong("it has control characters");
    }
    for name in path.split('/') {
        match name {
            // An absolute path begins with an empty name.
            "" => return wrong("it is absolute, or a name in it is empty"),
            "." | ".." => return wrong("`.` and `..` lead elsewhere"),
            name if name.len() > NAME_BYTES_MAX => return wrong("a name in it is longer than 255 bytes"),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> File {
        File { path: path.to_owned(), length: path.len() as u64, hash: Hash::of(path.as_bytes()), executable: false }
    }

    #[test]
    fn a_manifest_reads_back_as_itself_in_whatever_order_its_files_come() {
        let names = ["model.py", "data/b c.csv", "data/ä.csv", "a", "a-b", "data/sub/x"];
        let mut files: Vec<File> = names.map(file).to_vec();
        files[0].executable = true;
        let manifest = Manifest::try_new(files.clone()).unwrap();
        files.reverse();
        assert_eq!(Manifest::try_new(files), Ok(manifest.clone()));
        assert_eq!(Manifest::parse(manifest.text().as_bytes()), Ok(manifest.clone()));
        assert_eq!(manifest.hash(), Hash::of(manifest.text().as_bytes()));
        assert_eq!(manifest.bytes(), names.iter().map(|name| name.len() as u64).sum::<u64>());
    }

    #[test]
    fn what_leads_out_of_a_folder_or_stands_twice_is_no_manifest() {
        for (path, why) in [
            ("../x", "lead elsewhere"),
            ("a/../../x", "lead elsewhere"),
            ("a/..", "lead elsewhere"),
            ("./x", "lead elsewhere"),
            ("/etc/passwd", "absolute"),
            ("//x", "absolute"),
            ("a//x", "empty"),
            ("a/", "empty"),
            ("", "empty"),
            ("a\nb", "control"),
            ("a\0b", "control"),
        ] {
            let error = Manifest::try_new(vec![file(path)]).expect_err(path).to_string();
            assert!(error.contains(why), "{path:?}: {error}");
            let line = format!("{}\n{} 3 - {path}\n", head(), Hash::of(b"x"));
            Manifest::parse(line.as_bytes()).expect_err(path);
        }
        assert!(Manifest::try_new(vec![file(&"x".repeat(256))]).is_err());
        assert!(Manifest::try_new(vec![file(&"x/".repeat(512)), file("x")]).is_err());
        let error = Manifest::try_new(vec![file("a"), file("b"), file("a")]).unwrap_err().to_string();
        assert!(error.contains("there twice"), "{error}");
        // Between them stands one that sorts before `/`.
        let error = Manifest::try_new(vec![file("a"), file("a-b"), file("a/b")]).unwrap_err().to_string();
        assert!(error.contains("a file and a folder"), "{error}");
        assert_eq!(Manifest::try_new(Vec::new()), Err(ManifestError::Empty));
    }

    #[test]
    fn a_manifest_of_too_many_files_or_bytes_is_refused_however_its_numbers_add_up() {
        let many = (0..=FILES_MAX).map(|i| file(&format!("{i}"))).collect();
        assert_eq!(Manifest::try_new(many), Err(ManifestError::TooLarge));
        let large = |lengths: &[u64]| {
            lengths.iter().enumerate().map(|(i, length)| File { length: *length, ..file(&i.to_string()) }).collect()
        };
        assert_eq!(Manifest::try_new(large(&[BYTES_MAX, 1])), Err(ManifestError::TooLarge));
        // Their sum is 1 if it is allowed to wrap.
        assert_eq!(Manifest::try_new(large(&[u64::MAX, 2])), Err(ManifestError::TooLarge));
        assert!(Manifest::try_new(large(&[BYTES_MAX])).is_ok());
        let long = (0..FILES_MAX).map(|i| file(&format!("{}/{i:05}", "x".repeat(200)).repeat(2))).collect();
        assert_eq!(Manifest::try_new(long), Err(ManifestError::TooLarge));
        assert_eq!(Manifest::parse(&vec![b'\n'; MANIFEST_BYTES_MAX as usize + 1]), Err(ManifestError::TooLarge));
        let mut text = head() + "\n";
        for i in 0..=FILES_MAX {
            text += &format!("{} 0 - {i:05}\n", Hash::of(b""));
        }
        assert_eq!(Manifest::parse(text.as_bytes()), Err(ManifestError::TooLarge));
    }

    #[test]
    fn a_text_that_is_changed_anywhere_is_another_manifest_or_none() {
        let manifest = Manifest::try_new(vec![file("a"), file("b/c"), File { executable: true, ..file("d") }]).unwrap();
        let text = manifest.text().into_bytes();
        // Every byte replaced, left out, and doubled.
        for at in 0..text.len() {
            let mut changed: Vec<Vec<u8>> =
                (0..=255u8).map(|byte| [&text[..at], &[byte], &text[at + 1..]].concat()).collect();
            changed.push([&text[..at], &text[at + 1..]].concat());
            changed.push([&text[..=at], &text[at..]].concat());
            for bytes in changed.into_iter().filter(|bytes| *bytes != text) {
                if let Ok(read) = Manifest::parse(&bytes) {
                    assert_ne!(read, manifest, "at {at}");
                    assert_eq!(read.text().into_bytes(), bytes, "one manifest has one text; at {at}");
                }
            }
        }
        for cut in 0..text.len() {
            assert_ne!(Manifest::parse(&text[..cut]), Ok(manifest.clone()));
        }
    }

    #[test]
    fn what_differs_is_told_by_name() {
        let was = Manifest::try_new(["a", "b", "c", "d"].map(file).to_vec()).unwrap();
        let changed = File { hash: Hash::of(b"new"), ..file("b") };
        let runs = File { executable: true, ..file("c") };
        let now = Manifest::try_new(vec![file("a"), changed, runs, file("e")]).unwrap();
        assert_eq!(was.differences(&now), ["`b` has changed", "`c` may be executed now", "`d` is gone", "`e` is new"]);
        assert_eq!(now.differences(&was)[1], "`c` may not be executed any more");
        assert!(was.differences(&was).is_empty());
    }
}
