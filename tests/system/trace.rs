//! `tumble replay --trace`: what happens inside a trial, and that looking at it changes nothing.

use std::fs;

use tumble_tables::{Column, column_names, scan_file};

use crate::cases::*;
use crate::tumble::*;

/// A trace as it was written: the names of its columns, and its steps as numbers.
fn parquet(place: &Place, name: &str) -> (Vec<String>, Vec<Vec<f64>>) {
    let path = place.path().join(name);
    let names = column_names(&path).expect("it is a Parquet file");
    let columns: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut steps = Vec::new();
    for block in scan_file(&path, &columns) {
        let block = block.expect("it is whole");
        assert!(matches!(block.columns[0], Column::Unsigned(_)), "the first column counts");
        let columns: Vec<Vec<f64>> = block.columns.iter().map(|column| column.numbers().expect("numbers")).collect();
        steps.extend((0..block.rows).map(|row| columns.iter().map(|column| column[row]).collect::<Vec<f64>>()));
    }
    (names, steps)
}

/// A trace as text.
fn csv(place: &Place, name: &str) -> (Vec<String>, Vec<Vec<f64>>) {
    let text = fs::read_to_string(place.path().join(name)).expect("it was written");
    let mut lines = text.lines();
    let names = lines.next().expect("it has a line of names").split(',').map(str::to_owned).collect();
    let number = |word: &str| word.parse::<f64>().expect("it is a number");
    (names, lines.map(|line| line.split(',').map(number).collect()).collect())
}

#[test]
fn a_trial_tells_its_way_and_comes_to_what_is_recorded() {
    let evolutions = EVOLUTIONS.replace("replicates = 5", "replicates = 1");
    for (run_file, trial, first, last_of) in [
        (GO_CLS, 5, "epoch", "generalisation_late"),
        (TINY_NETWORKS, 3, "epoch", "train_accuracy"),
        (&evolutions, 6, "generation", "best"),
    ] {
        let place = Place::new();
        place.results(run_file, 2, "run");
        let line = format!("replay run --trial {trial} --output json --trace");
        // That it exits with 0 says that its metrics are those recorded, to the bit.
        let said = place.tumble(&format!("{line} way.parquet")).exits(0).json();
        let (names, steps) = parquet(&place, "way.parquet");
        assert_eq!((said["trace"]["steps"].as_u64(), names[0].as_str()), (Some(steps.len() as u64), first));
        assert!(steps.iter().enumerate().all(|(step, row)| row[0] == step as f64) && steps.len() > 5, "{steps:?}");
        let column = match last_of {
            "train_accuracy" | "best" => last_of,
            _ => "generalisation",
        };
        let place_of = names.iter().position(|name| name == column).expect("it has that column");
        let last = steps.last().expect("there are steps")[place_of];
        assert_eq!(Some(last), said["recorded"]["metrics"][last_of].as_f64(), "{last_of}");
        place.tumble(&format!("{line} way.csv")).exits(0);
        assert_eq!(csv(&place, "way.csv"), (names, steps), "the same as CSV");
        // As text it says where the trace is.
        let said = place.tumble(&format!("replay run --trial {trial} --trace way.csv")).exits(0).stdout;
        assert!(said.contains(" steps in way.csv\n"), "{said}");
    }
}

#[test]
fn what_cannot_be_traced_says_so_and_writes_nothing() {
    let place = Place::new();
    place.results(POINTS, 2, "points");
    place.results(GO_CLS, 2, "students");
    let said = place.tumble("replay points --trial 0 --trace way.csv").exits(2).stderr;
    let can = "a trial of `benchmark-functions` has nothing to tell beside its metrics; those of `go-cls` and \
               `tiny-networks` have, and any that is an evolution";
    assert!(said.contains(can), "{said}");
    let said = place.tumble("replay students --trial 0 --trace way.txt").exits(2).stderr;
    assert!(said.contains("way.txt is no name of a trace; let it end with .parquet or .csv"), "{said}");
    assert!(!place.path().join("way.csv").exists() && !place.path().join("way.txt").exists());
    // A page says what a trace has.
    let page = place.tumble("pipelines go-cls").exits(0).stdout;
    assert!(page.contains("\ntrace of a trial, `tumble replay DIR --trial N --trace FILE`\n  epoch "), "{page}");
    assert!(!place.tumble("pipelines benchmark-functions").exits(0).stdout.contains("trace of a trial"));
}
