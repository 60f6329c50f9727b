//! A worker binary of one's own, from outside: with `tumble run`, with a coordinator that knows nothing of it, and as the
//! document that it is the example of shows it.

#[allow(dead_code, reason = "shared with the system tests, which use more of it")]
#[path = "../../../tests/system/tumble.rs"]
mod tumble;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tumble::*;

/// The worker binary.
const WORKER: &str = env!("CARGO_BIN_EXE_rust-worker");
const RUN_FILE: &str = include_str!("../noisy-neuron.toml");
const TRIALS: u64 = 11 * 5 * 5;

/// A place with the run file in it; `None`, with why, where `tumble` is not built beside these tests.
fn place() -> Option<Place> {
    if !tumble_binary().exists() {
        eprintln!("skipped: there is no {}; `cargo test --workspace` builds it", tumble_binary().display());
        return None;
    }
    let place = Place::new();
    place.file("neuron.toml", RUN_FILE);
    Some(place)
}

/// What the run file gives.
fn expected(place: &Place) -> Results {
    place.tumble(&format!("run neuron.toml --quiet --workers 1 --out expected --worker {WORKER}")).exits(0);
    results(&place.path().join("expected"))
}

/// A worker of the example for this coordinator.
fn join(coordinator: &Coordinator) -> Process {
    let mut command = tumble();
    command = {
        let mut own = std::process::Command::new(WORKER);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => own.env(name, value),
                None => own.env_remove(name),
            };
        }
        own.stdin(std::process::Stdio::null());
        own
    };
    command.args(["worker", "--slots", "1", "--access"]).arg(coordinator.state().join("worker.access"));
    Process::start(command)
}

#[test]
fn a_run_of_a_pipeline_of_ones_own_is_the_same_for_one_worker_and_three() {
    let Some(place) = place() else { return };
    let one = expected(&place);
    place.tumble(&format!("run neuron.toml --quiet --workers 3 --out three --worker {WORKER}")).exits(0);
    assert_same(&results(&place.path().join("three")), &one, "three workers instead of one");
    assert_each_trial_once(&place.path().join("three"), TRIALS);
    let rates = numbers(&place.path().join("three"), "rate");
    assert!(rates.iter().any(|rate| *rate > 0.5) && rates.contains(&0.0), "some fire and some do not: {rates:?}");

    let verified = place.tumble(&format!("verify three --sample 100% --output json --worker {WORKER}")).exits(0);
    assert_eq!(verified.json()["verified"], TRIALS);
    let replayed = place.tumble(&format!("replay three --trial 7 --worker {WORKER}")).exits(0);
    assert!(replayed.stdout.contains("current = 0.5\n"), "{}", replayed.stdout);
    // Who has not the worker is told what is missing, and sees the summary all the same.
    let verified = place.tumble("verify three").exits(2);
    assert!(verified.stderr.contains("`--worker PROGRAM` names a worker binary of your own"), "{}", verified.stderr);
    let shown = place.tumble("show three").exits(0);
    assert!(shown.stdout.contains("none failed") && shown.stderr.contains("--worker PROGRAM"), "{shown:?}");
    let shown = place.tumble(&format!("show three --worker {WORKER}")).exits(0);
    assert!(shown.stdout.contains("rate"), "a plot: {}", shown.stdout);
}

#[test]
fn an_evolution_of_a_pipeline_of_ones_own_is_evaluated_again_by_its_worker() {
    let Some(place) = place() else { return };
    place.file(
        "search.toml",
        "name = \"search\"\npipeline = \"noisy-neuron\"\nobjective = \"irregularity\"\nreplicates = 2\n\
         [config]\nsteps = 5000\n[evolve]\nstrategy = \"cma-es\"\ngenerations = 6\npopulation = 8\n\
         [evolve.axes]\ncurrent = { linear = [1.0, 2.0] }\nnoise = { log = [0.1, 1.0] }\n",
    );
    for (workers, out) in [(1, "one"), (3, "three")] {
        place.tumble(&format!("run search.toml --quiet --workers {workers} --out {out} --worker {WORKER}")).exits(0);
    }
    let [one, three] = ["one", "three"].map(|out| results(&place.path().join(out)));
    assert_same(&three, &one, "three workers instead of one");
    let verified = place.tumble(&format!("verify one --sample 100% --output json --worker {WORKER}")).exits(0);
    assert_eq!(verified.json()["verified"], 6 * 8 * 2);
    place.tumble(&format!("extend one --set evolve.generations=9 --quiet --workers 2 --worker {WORKER}")).exits(0);
    assert_each_trial_once(&place.path().join("one"), 9 * 8 * 2);
}

/// The coordinator was started before anybody knew of the pipeline, and whoever submits has only `tumble`.
#[test]
fn a_worker_of_ones_own_joins_any_coordinator_and_who_submits_finds_its_pipeline_there() {
    let Some(place) = place() else { return };
    let expected = expected(&place);
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let unknown = coordinator.client("submit neuron.toml").exits(2);
    assert!(unknown.stderr.contains("unknown pipeline `noisy-neuron`"), "{}", unknown.stderr);

    let (_one, _another, _plain) = (join(&coordinator), join(&coordinator), coordinator.worker());
    until("a worker has announced the pipeline", || {
        (coordinator.client("check neuron.toml --quiet").code == Some(0)).then_some(())
    });
    place.file("wrong.toml", &RUN_FILE.replace("current =", "curent ="));
    let wrong = coordinator.client("submit wrong.toml").exits(2);
    assert!(wrong.stderr.contains("`curent`") && wrong.stderr.contains("`current`"), "{}", wrong.stderr);

    let run = coordinator.submit("neuron.toml");
    coordinator.client(&format!("wait {run} --timeout 100s")).exits(0);
    assert_same(&results(&place.path().join("runs").join(&run)), &expected, "beside a coordinator");
}

/// Its worker processes wait until the file `open` is there, so that the run is surely not over when it is killed.
#[test]
fn a_run_that_goes_on_remembers_which_worker_evaluates_it() {
    let Some(place) = place() else { return };
    let expected = expected(&place);
    let slow = place.file(
        "slow-worker",
        &format!(
            "#!/bin/sh\nwhile [ \"$1\" = worker ] && [ ! -e '{}/open' ]; do sleep 0.05; done\nexec '{WORKER}' \"$@\"\n",
            place.path().display()
        ),
    );
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    let mut run = place.start("run neuron.toml --quiet --workers 2 --out killed --worker ./slow-worker");
    let state = place.path().join("killed/.tumble");
    until("it knows its worker and its run", || standing(&state, "last").filter(|_| state.join("worker").exists()));
    run.kill_9();
    place.file("open", "");
    let refused = place.tumble("run --resume --quiet --out killed --worker /bin/false").exits(2);
    assert!(refused.stderr.contains("/bin/false is asked for its pipelines"), "{}", refused.stderr);
    place.tumble("run --resume --quiet --workers 3 --out killed").exits(0);
    assert_same(&results(&place.path().join("killed")), &expected, "killed before its first trial");
}

#[test]
fn what_is_no_worker_is_told_so_before_anything_is_run() {
    let Some(place) = place() else { return };
    for (worker, expected) in [
        ("./nothing", "cannot be started"),
        ("/bin/echo", "does not answer as a worker would"),
        ("/bin/true", "does not answer as a worker would"),
    ] {
        for command in ["check", "run"] {
            let refused = place.tumble(&format!("{command} neuron.toml --worker {worker}")).exits(2);
            assert!(refused.stderr.contains(expected), "{worker}: {}", refused.stderr);
        }
    }
    assert!(!place.path().join("runs").exists(), "nothing was begun");
}

#[test]
fn a_pipeline_of_ones_own_is_described_by_its_fields() {
    let Some(place) = place() else { return };
    let said = place.tumble(&format!("pipelines noisy-neuron --output json --worker {WORKER}")).exits(0).json();
    let names = |list: &str| -> Vec<String> {
        let items = said[list].as_array().expect("a list").iter();
        items.map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names("parameters"), ["current", "noise", "steps"]);
    assert_eq!(names("metrics"), ["rate", "irregularity"]);
    assert_eq!(said["parameters"][0]["default"], 0.9);
    // What comes with Tumble is there, too.
    place.tumble(&format!("pipelines go-cls --worker {WORKER}")).exits(0);
}

/// What is to be typed stands in the document as it stands here, where it is compiled and run.
#[test]
fn the_document_shows_the_example_as_it_is() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let document = fs::read_to_string(format!("{root}/docs/your-own-rust.md")).expect("the document is there");
    for file in ["examples/rust-worker/src/main.rs", "examples/rust-worker/noisy-neuron.toml"] {
        let text = fs::read_to_string(format!("{root}/{file}")).expect("the example is there");
        assert!(document.contains(&text), "docs/your-own-rust.md does not show {file} as it is");
    }
}
