//! What fuzzing has found is taken again, and what it begins with is understood: `fuzz/corpus`, a folder for each target.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tumble_tests::strangers::TARGETS;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

#[test]
fn no_input_that_fuzzing_kept_breaks_a_promise() {
    for target in &TARGETS {
        let files = fs::read_dir(corpus(target.name)).expect("each target has a corpus");
        let mut inputs = 0;
        for file in files {
            let path = file.expect("it lists").path();
            // Printed when the test fails: which input it was.
            println!("{}", path.display());
            (target.take)(&fs::read(&path).expect("an input is read"));
            inputs += 1;
        }
        assert!(inputs >= 10, "{} has {inputs} inputs", target.name);
    }
}

#[test]
fn what_fuzzing_begins_with_is_taken_and_cut_and_changed_anywhere() {
    for target in &TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has nothing to begin with", target.name);
        for seed in seeds {
            (target.take)(&seed);
            // A run file is parsed slowly; its beginning is where most of it is decided.
            let places = (0..seed.len()).step_by(seed.len().div_ceil(200).max(1));
            for place in places {
                (target.take)(&seed[..place]);
                let mut changed = seed.clone();
                changed[place] = changed[place].wrapping_add(1);
                (target.take)(&changed);
            }
        }
    }
}

#[test]
fn every_target_is_fuzzed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let names = fs::read_dir(folder).expect("the targets are there").map(|entry| entry.expect("it lists").path());
    let fuzzed: BTreeSet<String> =
        names.map(|path| path.file_stem().expect("it has a name").to_string_lossy().into_owned()).collect();
    assert_eq!(fuzzed, TARGETS.iter().map(|target| target.name.to_owned()).collect());
}
