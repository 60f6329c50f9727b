//! Writes what fuzzing begins with: a folder for each target, a file for each input.
//!
//!     cargo run -p tumble-tests --example fuzz_seeds -- FOLDER

use std::fs;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: fuzz_seeds FOLDER");
        std::process::exit(2);
    };
    for target in &tumble_tests::strangers::TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder)?;
        for (i, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{i:03}")), seed)?;
        }
    }
    Ok(())
}
