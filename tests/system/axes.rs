//! Evolutions that search settings: tables with a column for each axis, the same bytes every time, and no row without them.

use tumble_tables::{Column, read_column};

use crate::cases::*;
use crate::tumble::*;

/// The values of a column, as text.
fn column(folder: &std::path::Path, name: &str) -> Vec<String> {
    match read_column(&folder.join("trials"), name).expect("the table is complete") {
        Column::Float(values) => values.iter().map(f64::to_string).collect(),
        Column::Integer(values) => values.iter().map(i64::to_string).collect(),
        Column::Boolean(values) => values.iter().map(bool::to_string).collect(),
        Column::Text(values) => values.iter().map(|word| word.as_deref().unwrap_or("").to_owned()).collect(),
        Column::Unsigned(values) => values.iter().map(u64::to_string).collect(),
    }
}

#[test]
fn an_evolution_of_settings_is_the_same_for_one_worker_and_three_and_is_verified() {
    for (run_file, trials) in [(EVOLVE_SETTINGS, 120), (EVOLVE_STEPS, 800)] {
        let place = Place::new();
        let (one, three) = (place.results(run_file, 1, "one"), place.results(run_file, 3, "three"));
        assert_same(&three, &one, "three workers instead of one");
        assert_each_trial_once(&place.path().join("one"), trials);
        let verified = place.tumble("verify one --sample 100%").exits(0);
        assert!(verified.stdout.contains("all the same"), "{}", verified.stdout);
        place.tumble(&format!("replay three --trial {}", trials / 2)).exits(0);
    }
}

#[test]
fn each_axis_is_a_column_of_its_kind_with_values_of_the_axis_alone() {
    let place = Place::new();
    place.results(EVOLVE_SETTINGS, 2, "out");
    let folder = place.path().join("out");
    let checked = place.tumble("check run-file.toml").exits(0).stdout;
    assert!(
        checked.contains("learning_rate 0.001 to 1.0 (log); width 1 to 6; pair \"0v1\", \"4v9\" or \"3v8\""),
        "{checked}"
    );
    assert!(checked.contains("learning_rate f64, width i64, pair dictionary, "), "{checked}");
    let rates: Vec<f64> = column(&folder, "learning_rate").iter().map(|x| x.parse().expect("a number")).collect();
    assert!(rates.iter().all(|rate| (1e-3..=1.0).contains(rate)), "{rates:?}");
    assert!(column(&folder, "width").iter().all(|width| ["1", "2", "3", "4", "5", "6"].contains(&width.as_str())));
    let pairs = column(&folder, "pair");
    assert!(["0v1", "4v9", "3v8"].iter().all(|pair| pairs.iter().any(|p| p == pair)), "{pairs:?}");
    // Replicates of a candidate have its values; the best row has those of the champion.
    assert!(pairs.chunks(2).all(|pair| pair[0] == pair[1]));
    let text = std::fs::read_to_string(folder.join("champion.json")).expect("a run has a champion");
    let champion: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let best = champion["trial"].as_u64().expect("an index") as usize;
    assert_eq!(champion["settings"]["pair"], pairs[best]);
    assert_eq!(champion["settings"]["learning_rate"].as_f64(), Some(rates[best]));
    assert_eq!(champion["genome"]["elements"], 3);
    let replayed = place.tumble(&format!("replay out --trial {best} --output json")).exits(0).json();
    assert_eq!(replayed["axes"]["pair"], pairs[best]);
    assert!(replayed["recorded"]["metrics"]["pair"].is_null() && replayed["recorded"]["metrics"]["f1"].is_f64());
}

/// Whoever looks for what went wrong needs to see what was tried.
#[test]
fn a_trial_that_failed_has_the_values_of_its_axes() {
    let place = Place::new();
    place.file("failing.toml", EVOLVE_FAILING);
    place.tumble("run failing.toml --quiet --workers 2 --out out").exits(3);
    let folder = place.path().join("out");
    let (dimensions, outcomes) = (column(&folder, "dimension"), column(&folder, "outcome"));
    let mut failed = 0;
    for (dimension, outcome) in dimensions.iter().zip(&outcomes) {
        let dimension: u32 = dimension.parse().expect("a whole number");
        assert!((1000..=1048).contains(&dimension));
        assert_eq!(outcome == "failed", dimension > 1024, "{dimension} {outcome}");
        failed += u32::from(outcome == "failed");
    }
    assert!(failed > 0 && failed < outcomes.len() as u32, "{failed} of {}", outcomes.len());
    place.tumble("verify out --sample 100%").exits(0);
}
