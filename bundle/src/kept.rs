//! A bundle that a run's folder keeps in the open: `bundle/manifest.txt`, and the files below `bundle/files`.
//!
//! It appears as a whole, by a rename. Whoever uses it holds every file against the manifest, and the manifest against the hash that
//! the run file has.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::MANIFEST_BYTES_MAX;
use crate::hash::Hash;
use crate::lay_out::{LayOutError, lay_out};
use crate::manifest::{File, Manifest};

/// The folder within that of a run.
pub const FOLDER: &str = "bundle";
/// The same while it is being made.
pub const UNFINISHED: &str = "bundle.new";
const MANIFEST: &str = "manifest.txt";
const FILES: &str = "files";

/// Where the files of the bundle that this run's folder keeps are.
pub fn files(run: &Path) -> PathBuf {
    run.join(FOLDER).join(FILES)
}

/// Keeps a bundle in a run's folder, in place of what is there.
pub fn keep(run: &Path, manifest: &Manifest, source: impl Fn(&File) -> PathBuf) -> Result<(), LayOutError> {
    let (unfinished, folder) = (run.join(UNFINISHED), run.join(FOLDER));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| LayOutError::Target { path, source }
    };
    remove(&unfinished).map_err(failed(&unfinished))?;
    let mut make = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
    make.recursive(true).create(&unfinished).map_err(failed(&unfinished))?;
    lay_out(manifest, source, &unfinished.join(FILES))?;
    fs::write(unfinished.join(MANIFEST), manifest.text()).map_err(failed(&unfinished))?;
    remove(&folder).map_err(failed(&folder))?;
    fs::rename(&unfinished, &folder).map_err(failed(&folder))
}

/// The bundle of this hash that a run's folder keeps, if it is sound; else what is wrong with it.
pub fn read(run: &Path, hash: Hash) -> Result<Manifest, String> {
    let path = run.join(FOLDER).join(MANIFEST);
    let shown = path.display();
    let mut bytes = Vec::new();
    fs::File::open(&path)
        .and_then(|file| file.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let manifest = Manifest::parse(&bytes).map_err(|error| format!("{shown} is no list of a bundle: {error}"))?;
    if manifest.hash() != hash {
        return Err(format!("{shown} lists the files of another bundle than the run file names"));
    }
    let files = files(run);
    for file in manifest.files() {
        let (place, name) = (files.join(&file.path), &file.path);
        let found = fs::File::open(&place).and_then(Hash::of_all);
        let (is, _) =
            found.map_err(|error| format!("`{name}` of the bundle cannot be read: {}: {error}", place.display()))?;
        if is != file.hash {
            return Err(format!(
                "`{name}` of the bundle has changed: {} is not what the run evaluated",
                place.display()
            ));
        }
    }
    Ok(manifest)
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::pack;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_a_run_keeps_is_used_only_as_it_was_kept() {
        let place = tempfile::tempdir().expect("there is a temporary folder");
        let (here, run) = (place.path().join("here"), place.path().join("run"));
        fs::create_dir_all(here.join("data")).unwrap();
        fs::create_dir(&run).unwrap();
        for name in ["model.py", "data/x.csv"] {
            fs::write(here.join(name), name).unwrap();
        }
        let manifest = pack(&here, &["model.py".to_owned(), "data".to_owned()]).unwrap();
        let source = |file: &File| here.join(&file.path);
        // A kill in the middle leaves what is begun again.
        fs::create_dir_all(run.join(UNFINISHED).join(FILES)).unwrap();
        assert!(read(&run, manifest.hash()).unwrap_err().contains("manifest.txt cannot be read"));
        keep(&run, &manifest, source).unwrap();
        keep(&run, &manifest, source).unwrap();
        assert!(!run.join(UNFINISHED).exists());
        assert_eq!(read(&run, manifest.hash()), Ok(manifest.clone()));
        assert!(read(&run, Hash::of(b"")).unwrap_err().contains("of another bundle"));
        let kept = files(&run).join("data/x.csv");
        fs::set_permissions(&kept, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&kept, "changed").unwrap();
        assert!(read(&run, manifest.hash()).unwrap_err().contains("`data/x.csv` of the bundle has changed"));
        fs::remove_file(&kept).unwrap();
        assert!(read(&run, manifest.hash()).unwrap_err().contains("`data/x.csv` of the bundle cannot be read"));
        fs::write(run.join(FOLDER).join(MANIFEST), "tumble-bundle 2\n").unwrap();
        assert!(read(&run, manifest.hash()).unwrap_err().contains("is no list of a bundle"));
    }
}
