//! Scalars only: what travels is counted, and is as little as promised.

use tumble_tables::read_attempts;

use crate::cases::*;
use crate::tumble::*;

#[test]
fn a_sweep_sends_eight_bytes_up_for_each_trial_and_ranges_down() {
    let place = Place::new();
    place.results(POINTS, 2, "out");
    let folder = place.path().join("out");
    let summary = summary(&folder);
    let count = |key: &str| summary[key].as_u64().expect("it counts");
    let (up, down) = (count("bytes_up"), count("bytes_down"));
    assert!((8 * 50_000..10 * 50_000).contains(&up), "{up} bytes up for 50 000 numbers of 8 bytes");
    let attempts = read_attempts(&folder.join("attempts.parquet")).unwrap();
    assert_eq!(count("attempts"), attempts.len() as u64);
    assert!(down > 0 && down < 1000 * attempts.len() as u64, "{down} bytes down for {} attempts", attempts.len());
    // The summary is the sum of the table.
    assert_eq!(attempts.iter().map(|attempt| attempt.bytes_up).sum::<u64>(), up);
    assert_eq!(attempts.iter().map(|attempt| attempt.bytes_down).sum::<u64>(), down);
    assert_eq!(attempts.iter().map(|attempt| attempt.trials).sum::<u64>(), 50_000);
}

/// What goes down for a generation is the strategy's state, or less than two bytes for each candidate.
#[test]
fn an_evolution_sends_no_candidate_down() {
    let place = Place::new();
    let down = |population: u32| {
        let run_file = EVOLVE.replace("population = 40", &format!("population = {population}"));
        let run_file =
            run_file.replace("generations = 150", "generations = 20").replace("stop = { objective = 0.01 }", "");
        let out = format!("of-{population}");
        place.results(&run_file, 1, &out);
        let attempts = read_attempts(&place.path().join(out).join("attempts.parquet")).unwrap();
        assert_eq!(attempts.iter().map(|attempt| attempt.trials).sum::<u64>(), u64::from(population) * 2 * 20);
        let grants = attempts.len() as u64;
        let bytes: u64 = attempts.iter().map(|attempt| attempt.bytes_down).sum();
        // Each grant has its own few bytes.
        bytes - 100.min(bytes / grants) * grants
    };
    for population in [20, 400] {
        let bytes = down(population);
        assert!(bytes < 20 * 2 * u64::from(population), "{bytes} bytes for a population of {population}");
    }
}

/// Workers replay what the strategy was told: however long the vector is, it is sent to nobody.
#[test]
fn a_long_vector_is_sent_to_no_worker() {
    let place = Place::new();
    let run_file = r#"
name = "long"
pipeline = "benchmark-functions"
[config]
function = "sphere"
dimension = 4000
[evolve]
strategy = "open-ai-es"
population = 50
generations = 12
start = 1.0
"#;
    let alone = place.results(run_file, 1, "alone");
    assert_same(&place.results(run_file, 3, "together"), &alone, "three workers");
    for out in ["alone", "together"] {
        let folder = place.path().join(out);
        let summary = summary(&folder);
        let attempts = summary["attempts"].as_u64().expect("it counts");
        let down = summary["bytes_down"].as_u64().expect("it counts");
        // The run file for each worker, some hundred bytes for each grant and each generation; one proposal alone has
        // 32 000.
        assert!(down < 8_000 + 200 * attempts, "{down} bytes down for {attempts} attempts");
        assert_eq!(summary["resyncs"], 0);
    }
}
