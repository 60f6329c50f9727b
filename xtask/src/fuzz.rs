//! `cargo xtask fuzz`: libFuzzer on each target of `fuzz/`, then what it found in few inputs.
//!
//! Needs a nightly compiler, a C++ compiler and cargo-fuzz. A target that breaks a promise ends it: libFuzzer names the input,
//! which belongs into `fuzz/corpus` once the fault is mended.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGETS: &str = "fuzz/fuzz_targets";
/// An input that takes longer is a fault, in seconds.
const TIMEOUT_S: u32 = 20;
/// The most that one allocation may ask for, in MiB: what arrives is a few KiB.
const ALLOCATION_MIB: u32 = 512;
/// So many inputs are put to those that stand in the repository.
const KEPT_NEW_MAX: usize = 150;

/// `cargo xtask fuzz [--seconds N] [TARGET …]`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let (seconds, chosen) = match arguments {
        [flag, seconds, rest @ ..] if flag == "--seconds" => (seconds.parse::<u32>()?, rest),
        rest => (60, rest),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let mut targets: Vec<String> = fs::read_dir(root.join(TARGETS))?
        .map(|entry| Ok(entry?.path().file_stem().unwrap_or_default().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    targets.sort();
    if let Some(unknown) = chosen.iter().find(|target| !targets.contains(target)) {
        return Err(format!("there is no target `{unknown}`; there are {}", targets.join(", ")).into());
    }
    if !chosen.is_empty() {
        targets.retain(|target| chosen.contains(target));
    }
    let nest = root.join("target/fuzz");
    let mut seeds = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    seeds.args(["run", "--quiet", "-p", "tumble-tests", "--example", "fuzz_seeds", "--"]).arg(nest.join("seeds"));
    done(seeds.current_dir(&root), "the seeds could not be made")?;
    for target in &targets {
        let (found, seeds, kept) =
            (nest.join("found").join(target), nest.join("seeds").join(target), root.join("fuzz/corpus").join(target));
        fs::create_dir_all(&found)?;
        fs::create_dir_all(&kept)?;
        let fuzz = |folders: &[&PathBuf], options: &[String]| {
            let mut cargo = Command::new("cargo");
            cargo.args(["+nightly", "fuzz", "run", target, "--target-dir"]).arg(nest.join("build")).args(folders);
            cargo.arg("--").args(options).current_dir(root.join("fuzz"));
            // libFuzzer wants the names of lints and flags to itself.
            cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
            // SQLite in one file has one name for several tables.
            cargo.env("ASAN_OPTIONS", "detect_odr_violation=0");
            cargo
        };
        println!("{target}: {seconds} s");
        let limits = [
            format!("-max_total_time={seconds}"),
            format!("-timeout={TIMEOUT_S}"),
            format!("-malloc_limit_mb={ALLOCATION_MIB}"),
            "-print_final_stats=1".to_owned(),
            "-verbosity=0".to_owned(),
        ];
        done(&mut fuzz(&[&found, &kept, &seeds], &limits), &format!("{target} breaks a promise"))?;
        // Few inputs that reach as far as all of them do; and of those some, for everybody has them in every clone.
        let few = nest.join("few").join(target);
        let _ = fs::remove_dir_all(&few);
        fs::create_dir_all(&few)?;
        let options = ["-set_cover_merge=1".to_owned(), "-verbosity=0".to_owned()];
        done(&mut fuzz(&[&few, &found, &kept, &seeds], &options), "the inputs could not be merged")?;
        let mut inputs: Vec<PathBuf> =
            fs::read_dir(&few)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        // They are named by hashes, so that the first are any.
        inputs.sort();
        for input in inputs.iter().take(KEPT_NEW_MAX) {
            fs::copy(input, kept.join(input.file_name().expect("a file has a name")))?;
        }
        println!("{target}: {} inputs in {}", fs::read_dir(&kept)?.count(), kept.display());
    }
    Ok(())
}

fn done(command: &mut Command, otherwise: &str) -> Result<(), Box<dyn Error>> {
    match command.status()?.success() {
        true => Ok(()),
        false => Err(otherwise.into()),
    }
}
