//! Memory follows ranges, not trials.

use tumble_tables::Column;

use crate::tumble::*;

const HUGE: &str = r#"
name = "huge"
pipeline = "benchmark-functions"
[config]
function = "sphere"
dimension = 2
[sweep]
design = "grid"
[sweep.axes]
x0 = { linear = [-1.0, 1.0], points = 10_000 }
x1 = { linear = [-2.0, 2.0], points = 10_000 }
"#;

#[test]
fn a_sweep_of_a_hundred_million_trials_is_begun_and_cancelled_in_little_memory() {
    let place = Place::new();
    place.file("huge.toml", HUGE);
    let shape = place.tumble("check huge.toml --output json").exits(0).json();
    assert_eq!(shape["trials"], 100_000_000);

    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let run = coordinator.submit("huge.toml");
    let workers = [coordinator.worker(), coordinator.worker()];
    let view = until("a part stands on disk", || {
        let view = standing(coordinator.state(), &run)?;
        (view["parts"].as_u64() > Some(0)).then_some(view)
    });
    assert_eq!(view["state"], "running");
    let view = coordinator.client(&format!("cancel {run} --output json")).exits(0).json();
    assert_eq!(view["state"], "cancelled");
    let peak = memory_peak(coordinator.id());
    assert!(peak < 300_000_000, "the coordinator took {peak} bytes");
    for worker in &workers {
        let peak = memory_peak(worker.id());
        assert!(peak < 300_000_000, "a worker took {peak} bytes");
    }

    let folder = place.path().join("runs").join(&run);
    let rows = summary(&folder)["trials"].as_u64().expect("it counts");
    assert!(rows >= shape["part_rows"].as_u64().unwrap() && rows < 100_000_000, "{rows} rows");
    let mut next = 0;
    for block in tumble_tables::scan(&folder.join("trials"), &["trial", "x0", "x1", "value"]).unwrap() {
        let columns = block.unwrap().columns;
        let [Column::Unsigned(trials), Column::Float(x0), Column::Float(x1), Column::Float(values)] = &columns[..]
        else {
            panic!("other columns than expected");
        };
        for row in 0..trials.len() {
            assert_eq!(trials[row], next);
            assert!(values[row] == x0[row] * x0[row] + x1[row] * x1[row], "trial {next} has another trial's value");
            next += 1;
        }
    }
    assert_eq!(next, rows);
}
