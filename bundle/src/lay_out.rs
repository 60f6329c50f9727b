//! Lays the files of a bundle out in a folder, each held against its hash on the way.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::hash::Hashing;
use crate::manifest::{File, Manifest};

/// Why files could not be laid out.
#[derive(Debug, thiserror::Error)]
pub enum LayOutError {
    /// A file is not there, or not what it is to be.
    #[error("`{}` of the bundle {why}", file.path)]
    Source {
        /// Which.
        file: File,
        /// Why, in words.
        why: String,
    },
    /// The system refuses.
    #[error("failed to write {}: {source}", path.display())]
    Target {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Makes the folder `target`, private and with all files of the bundle; `source` says where the bytes of each are. Files are
/// read-only. What is half done when it fails is the caller's to remove.
pub fn lay_out(manifest: &Manifest, source: impl Fn(&File) -> PathBuf, target: &Path) -> Result<(), LayOutError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| LayOutError::Target { path, source }
    };
    let mut folders = fs::DirBuilder::new();
    folders.mode(0o700);
    // Fails if anything is there: a link that was planted would lead elsewhere.
    folders.create(target).map_err(failed(target))?;
    folders.recursive(true);
    let mut buffer = vec![0; 1 << 18];
    for file in manifest.files() {
        let path = target.join(&file.path);
        let folder = path.parent().expect("it is in the target");
        folders.create(folder).map_err(failed(folder))?;
        let refused = |why: String| LayOutError::Source { file: file.clone(), why };
        let mut from = fs::File::open(source(file)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => refused("is missing".to_owned()),
            _ => refused(format!("cannot be read: {error}")),
        })?;
        let mode = if file.executable { 0o500 } else { 0o400 };
        let mut to = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).map_err(failed(&path))?;
        let (mut hashing, mut length) = (Hashing::default(), 0u64);
        loop {
            let read = from.read(&mut buffer).map_err(|error| refused(format!("cannot be read: {error}")))?;
            length += read as u64;
            if read == 0 || length > file.length {
                break;
            }
            hashing.take(&buffer[..read]);
            to.write_all(&buffer[..read]).map_err(failed(&path))?;
        }
        if length != file.length || hashing.end() != file.hash {
            return Err(refused("is damaged: its bytes are not those of its hash".to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::pack;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_laid_out_is_what_was_packed_and_nothing_that_is_damaged_or_missing() {
        let place = tempfile::tempdir().expect("there is a temporary folder");
        let here = place.path().join("here");
        fs::create_dir_all(here.join("data/sub")).unwrap();
        let large: Vec<u8> = (0..600_000u32).map(|i| (i % 251) as u8).collect();
        for (name, bytes) in [("run.sh", &b"#!/bin/sh\n"[..]), ("data/sub/large", &large), ("data/empty", b"")] {
            fs::write(here.join(name), bytes).unwrap();
        }
        fs::set_permissions(here.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        let entries = ["run.sh".to_owned(), "data".to_owned()];
        let manifest = pack(&here, &entries).unwrap();
        let source = |file: &File| here.join(&file.path);
        let target = place.path().join("there");
        lay_out(&manifest, source, &target).unwrap();
        assert_eq!(pack(&target, &entries).unwrap(), manifest);
        let mode = |name: &str| fs::metadata(target.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(["", "data", "data/sub"].map(mode), [0o700; 3]);
        assert_eq!(["run.sh", "data/empty", "data/sub/large"].map(mode), [0o500, 0o400, 0o400]);
        assert!(matches!(lay_out(&manifest, source, &target), Err(LayOutError::Target { .. })), "something is there");
        // One byte changed, one too many, one too few, none at all.
        let mut flipped = large.clone();
        flipped[300_000] ^= 1;
        for (i, bytes) in [&flipped[..], &[&large[..], b"x"].concat(), &large[1..], b""].into_iter().enumerate() {
            fs::write(here.join("data/sub/large"), bytes).unwrap();
            let error = lay_out(&manifest, source, &place.path().join(format!("bad-{i}"))).unwrap_err().to_string();
            assert_eq!(error, "`data/sub/large` of the bundle is damaged: its bytes are not those of its hash");
        }
        fs::remove_file(here.join("data/sub/large")).unwrap();
        let error = lay_out(&manifest, source, &place.path().join("gone")).unwrap_err().to_string();
        assert_eq!(error, "`data/sub/large` of the bundle is missing");
    }
}
