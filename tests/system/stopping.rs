//! Sweeps that stop candidates early: who goes on is what counting says, and the tables are the same however it came.

use std::collections::BTreeMap;
use std::path::Path;

use tumble_tables::{Column, read_column};

use crate::tumble::*;

/// Small networks that learn for some epochs; those that are given one example fail.
const NETWORKS: &str = "pipeline = \"tiny-networks\"\nseed = 3\nreplicates = 2\n[config]\npair = \"3v8\"\n\
                        [sweep]\ndesign = \"random\"\npoints = 40\n";
const AXES: &str = "[sweep.axes]\nlearning_rate = { log = [0.01, 10.0] }\nexamples = [1, 12, 20, 28, 36]\n";
const RUNGS: [i64; 3] = [2, 5, 12];

fn stopping(rule: &str) -> String {
    let more = if rule == "median" { "" } else { "factor = 2\n" };
    format!("name = \"stopping\"\n{NETWORKS}[sweep.stopping]\nrule = \"{rule}\"\nrungs = [2, 5, 12]\n{more}{AXES}")
}

/// What such a run leaves behind; some of its trials fail, which its exit code says.
fn rungs(place: &Place, rule: &str, workers: u32, out: &str) -> Results {
    place.file("run-file.toml", &stopping(rule));
    place.tumble(&format!("run run-file.toml --quiet --workers {workers} --out {out}")).exits(3);
    results(&place.path().join(out))
}

/// The values of a column, as text; numbers to the last bit.
fn column(folder: &Path, name: &str) -> Vec<String> {
    match read_column(&folder.join("trials"), name).expect("the table is complete") {
        Column::Float(values) => values.iter().map(f64::to_string).collect(),
        Column::Integer(values) => values.iter().map(i64::to_string).collect(),
        Column::Boolean(values) => values.iter().map(bool::to_string).collect(),
        Column::Text(values) => values.iter().map(|word| word.as_deref().unwrap_or("").to_owned()).collect(),
        Column::Unsigned(values) => values.iter().map(u64::to_string).collect(),
    }
}

/// Of these columns, the rows.
fn rows(folder: &Path, names: &[&str]) -> Vec<Vec<String>> {
    let columns: Vec<Vec<String>> = names.iter().map(|name| column(folder, name)).collect();
    (0..columns[0].len()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect()
}

/// Whether the candidate at `i` goes on among these scores, found by comparing it with each other one.
fn goes_on(rule: &str, scores: &[Option<f64>], i: usize) -> bool {
    let Some(own) = scores[i] else { return false };
    let ahead = |j: &usize| scores[*j].is_some_and(|other| other > own || (other == own && *j < i));
    match rule {
        "successive-halving" => (0..scores.len()).filter(ahead).count() < scores.len().div_ceil(2),
        "asha" => {
            let so_far = i + 1;
            (0..i).filter(ahead).count() < (so_far / 2).max(1)
        }
        _ => {
            let mut before: Vec<f64> = scores[..i].iter().copied().flatten().collect();
            before.sort_by(f64::total_cmp);
            let count = before.len();
            count < 5 || own >= (before[(count - 1) / 2] + before[count / 2]) / 2.0
        }
    }
}

/// Every candidate is evaluated at every rung here, by sweeps without rungs; what the rule keeps of that is the table.
#[test]
fn a_table_with_rungs_is_what_counting_keeps_of_full_sweeps() {
    let place = Place::new();
    let names = ["replicate", "seed", "learning_rate", "examples", "accuracy", "f1", "pruned_auc", "outcome", "error"];
    let mut full = BTreeMap::new();
    for epochs in RUNGS {
        let out = format!("full-{epochs}");
        let sweep = NETWORKS.replace("[sweep]", &format!("epochs = {epochs}\n[sweep]"));
        place.file("full.toml", &format!("name = \"full\"\n{sweep}{AXES}"));
        place.tumble(&format!("run full.toml --quiet --workers 2 --out {out}"));
        full.insert(epochs, rows(&place.path().join(&out), &names));
    }
    for rule in ["successive-halving", "asha", "median"] {
        rungs(&place, rule, 3, rule);
        let folder = place.path().join(rule);
        let mut expected: Vec<Vec<String>> = Vec::new();
        let mut candidates: Vec<usize> = (0..40).collect();
        let mut winner = None;
        for (rung, epochs) in RUNGS.into_iter().enumerate() {
            let full = &full[&epochs];
            let mut scores = Vec::new();
            for candidate in &candidates {
                let mut sum = Some(0.0);
                for row in &full[2 * candidate..2 * candidate + 2] {
                    let f1: f64 = row[5].parse().expect("a number");
                    sum = sum.filter(|_| row[7] == "scored").map(|sum: f64| sum + f1);
                    let head =
                        [expected.len().to_string(), rung.to_string(), candidate.to_string(), epochs.to_string()];
                    expected.push(head.into_iter().chain(row.iter().cloned()).collect());
                }
                scores.push(sum.map(|sum| sum / 2.0));
            }
            let best = (0..scores.len()).filter(|i| scores[*i].is_some());
            winner = best.reduce(|a, b| if scores[b] > scores[a] { b } else { a }).map(|i| candidates[i]);
            let kept = (0..candidates.len()).filter(|i| goes_on(rule, &scores, *i));
            candidates = kept.map(|i| candidates[i]).collect();
        }
        let failed = expected.iter().filter(|row| row[11] != "scored").count();
        assert!(failed > 0 && expected.len() < 240 && !candidates.is_empty(), "{rule}: the case is worth a look");
        let table = rows(&folder, &[&["trial", "rung", "candidate", "epochs"][..], &names[..]].concat());
        assert_eq!(table, expected, "{rule}");
        let champion: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(folder.join("champion.json")).unwrap()).unwrap();
        assert_eq!(champion["candidate"].as_u64(), winner.map(|point| point as u64), "{rule}");
        assert_eq!(champion["settings"]["epochs"], 12, "{rule}");
        let trial = champion["trial"].as_u64().expect("an index") as usize;
        assert_eq!((&table[trial][1], &table[trial][2]), (&"2".to_owned(), &champion["candidate"].to_string()));
        let verified = place.tumble(&format!("verify {rule} --sample 100%")).exits(0);
        assert!(verified.stdout.contains("all the same"), "{}", verified.stdout);
        let replayed = place.tumble(&format!("replay {rule} --trial {trial} --output json")).exits(0).json();
        assert_eq!((&replayed["candidate"], &replayed["seed"].to_string()), (&champion["candidate"], &table[trial][5]));
    }
}

#[test]
fn a_sweep_with_rungs_is_the_same_for_one_worker_and_three() {
    for rule in ["successive-halving", "median"] {
        let place = Place::new();
        let (one, three) = (rungs(&place, rule, 1, "one"), rungs(&place, rule, 3, "three"));
        assert_same(&three, &one, "three workers instead of one");
        assert!(one.contains_key("generations.parquet") && one.contains_key("champion.json"));
        let trials = summary(&place.path().join("three"))["trials"].as_u64().expect("it counts");
        assert_each_trial_once(&place.path().join("three"), trials);
    }
}

#[test]
fn a_sweep_with_rungs_that_is_killed_goes_on_to_the_same_bytes() {
    let place = Place::new();
    let run_file = "name = \"rungs\"\npipeline = \"tiny-networks\"\n[sweep]\ndesign = \"random\"\npoints = 90\n\
                    [sweep.stopping]\nrule = \"successive-halving\"\nrungs = [5, 15, 45]\n\
                    [sweep.axes]\nlearning_rate = { log = [0.003, 3.0] }\n";
    let quiet = place.results(run_file, 2, "quiet");
    let folder = place.path().join("killed");
    let mut run = place.start("run run-file.toml --quiet --workers 2 --out killed");
    until("the first rung was told", || {
        standing(&folder.join(".tumble"), "last")?["generation"].as_u64().filter(|rung| *rung > 0)
    });
    let workers = run.workers();
    run.kill_9();
    workers.into_iter().for_each(|worker| send(worker, nix::sys::signal::Signal::SIGKILL));
    place.tumble("run --resume --quiet --workers 3 --out killed").exits(0);
    assert_same(&results(&folder), &quiet, "killed after the first rung");
    assert_each_trial_once(&folder, 90 + 30 + 10);
}

#[test]
fn a_failure_with_abort_ends_the_table_with_its_rung_for_any_workers() {
    let place = Place::new();
    let run_file = stopping("asha") + "[limits]\non_failure = \"abort\"\n";
    place.file("run-file.toml", &run_file);
    let mut tables = Vec::new();
    for workers in [1, 3] {
        let out = format!("out-{workers}");
        let said = place.tumble(&format!("run run-file.toml --quiet --workers {workers} --out {out}"));
        assert!(said.stdout.contains("on_failure is \"abort\""), "{}{}", said.stdout, said.stderr);
        tables.push(rows(&place.path().join(&out), &["trial", "rung", "candidate", "f1", "outcome"]));
    }
    assert_eq!(tables[0], tables[1]);
    // As an evolution ends with its generation, so does this with its rung.
    assert_eq!(tables[0].len(), 80);
    assert!(tables[0].iter().any(|row| row[4] == "failed"));
}

#[test]
fn check_says_what_the_rungs_cost() {
    let place = Place::new();
    place.file("run-file.toml", &stopping("successive-halving"));
    let said = place.tumble("check run-file.toml").exits(0).stdout;
    let rungs = "rungs     80 trials of 2 steps, 40 trials of 5 steps, 20 trials of 12 steps; 62.5 % of the steps of the \
                 full sweep\n";
    assert!(said.contains(rungs) && said.contains("trials    140 = 3 rungs of at most 40 candidates"), "{said}");
    assert!(said.contains("trial u64, rung u32, candidate u32, replicate u32, seed u64, learning_rate f64"), "{said}");
    place.file("run-file.toml", &stopping("median"));
    let said = place.tumble("check run-file.toml").exits(0).stdout;
    assert!(said.contains("at most 158.3 % of the steps of the full sweep, as the fitness says"), "{said}");
}
