//! Where a run's tables go.

use std::io;
use std::path::{Path, PathBuf};

use tumble_core::RunId;

/// How the coordinator chooses a run's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folders {
    /// `<this>/<run>` for each run.
    Under(PathBuf),
    /// This one, for the only run there is.
    Exactly(PathBuf, RunId),
}

impl Folders {
    /// The folder of a run.
    pub fn of(&self, run: &RunId) -> PathBuf {
        match self {
            Folders::Under(folder) => folder.join(&*run.0),
            Folders::Exactly(folder, _) => folder.clone(),
        }
    }

    /// The id of a new run of this name.
    pub(crate) fn new_id(&self, name: &str) -> RunId {
        match self {
            Folders::Under(_) => new_run_id(name),
            Folders::Exactly(_, run) => run.clone(),
        }
    }
}

/// Makes a run's folder and puts its run file in.
pub(crate) fn prepare(folder: &Path, run_toml: &str) -> io::Result<()> {
    std::fs::create_dir_all(folder.join("trials"))?;
    tumble_tables::write_atomically(&folder.join("run.toml"), |file| io::Write::write_all(file, run_toml.as_bytes()))
        .map_err(io::Error::other)?;
    Ok(())
}

/// A new run's id: its name and six characters of 32 that are hard to mistake, from 30 random bits.
pub fn new_run_id(name: &str) -> RunId {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bits = getrandom::u32().expect("the system has a source of random numbers");
    let suffix: String = (0..6).map(|i| char::from(ALPHABET[(bits >> (5 * i)) as usize & 31])).collect();
    RunId(format!("{name}-{suffix}").into())
}

/// A secret that nobody guesses: 32 random bytes in hexadecimal.
pub(crate) fn new_secret() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has a source of random numbers");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
