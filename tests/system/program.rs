//! `pipeline = "program"`: programs of the user's own, tried with shell scripts and awk.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serde_json::Value as Json;
use tumble_tables::Column;

use crate::tally::survived;
use crate::tumble::*;

/// Scores a point with awk, from its words alone. It says more than its answer, on both streams.
const SCORE: &str = r#"#!/bin/sh
echo "scoring $1"
echo "a word to the wise" >&2
awk -v x="$1" -v rule="$2" -v seed="$3" 'BEGIN {
    for (i = 0; i < 200; i++) x = 3.7 * x * (1 - x)
    printf "{\"value\": %.17g, \"length\": %d, \"seen\": %d}\n", x, length(rule), seed % 1000
}'
"#;

const SWEEP: &str = r#"
name = "scores"
pipeline = "program"
seed = 3
replicates = 2
[program]
command = ["./score.sh", "{x}", "{rule}", "{seed31}"]
metrics = ["value", "length", "seen"]
[sweep]
design = "grid"
[sweep.axes]
x = { linear = [0.1, 0.9], points = 20 }
rule = ["hebb", "it's \"quoted\" $HOME `pwd` \\ * two  spaces"]
"#;
const SWEEP_TRIALS: u64 = 20 * 2 * 2;

/// A place with a script in it that can be executed.
fn place_with(name: &str, script: &str) -> Place {
    let place = Place::new();
    executable(&place, name, script);
    place
}

fn executable(place: &Place, name: &str, script: &str) {
    let path = place.file(name, script);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
}

/// A sweep over one axis `x` of whole numbers, by a script of its own.
fn over(x: &str, program: &str) -> String {
    format!(
        "name = \"own\"\npipeline = \"program\"\n[program]\nmetrics = [\"y\"]\n{program}\n[sweep]\ndesign = \"list\"\n\
         [sweep.axes]\nx = {x}\n"
    )
}

#[test]
fn a_sweep_of_a_program_is_the_same_for_one_worker_and_three_and_every_word_arrives_as_it_is() {
    let place = place_with("score.sh", SCORE);
    let (one, three) = (place.results(SWEEP, 1, "one"), place.results(SWEEP, 3, "three"));
    assert_same(&three, &one, "three workers instead of one");
    let folder = place.path().join("three");
    assert_each_trial_once(&folder, SWEEP_TRIALS);
    // The axis whose words a shell would take apart arrived in one piece.
    let quoted = "it's \"quoted\" $HOME `pwd` \\ * two  spaces".len() as f64;
    let expected: Vec<f64> = (0..SWEEP_TRIALS).map(|trial| if trial / 2 % 2 == 0 { 4.0 } else { quoted }).collect();
    assert_eq!(numbers(&folder, "length"), expected);
    place.tumble("verify three --sample 100%").exits(0);
    place.tumble("run --resume --out three").exits(0);
}

/// Killed in its middle with all that belongs to it; the programs wait for a file that the test makes, so that some are
/// surely running then.
#[test]
fn a_run_of_a_program_that_is_killed_goes_on_to_the_same_bytes_and_leaves_no_program_behind() {
    let gate = "#!/bin/sh\nif [ \"$1\" -ge 20 ]; then echo $$ > \"$2/pid-$1\"; while [ ! -e \"$2/open\" ]; do sleep 0.05; done; fi\n\
                echo \"{\\\"y\\\": $1$1}\"\n";
    let place = place_with("gate.sh", gate);
    let run_file = over("{ integers = [0, 39] }", "command = [\"./gate.sh\", \"{x}\", \"{here}\"]")
        .replace("design = \"list\"", "design = \"grid\"");
    place.file("open", "");
    let quiet = place.results(&run_file, 2, "quiet");
    fs::remove_file(place.path().join("open")).expect("it is there");
    let pids = || -> Vec<u32> {
        let entries = fs::read_dir(place.path()).expect("the place is ours").flatten();
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("pid-"));
        named.filter_map(|entry| fs::read_to_string(entry.path()).ok()?.trim().parse().ok()).collect()
    };
    for entry in fs::read_dir(place.path()).expect("the place is ours").flatten() {
        if entry.file_name().to_string_lossy().starts_with("pid-") {
            fs::remove_file(entry.path()).expect("it is there");
        }
    }

    let mut run = place.start("run run-file.toml --quiet --workers 2 --out killed");
    let programs = until("two programs wait at the gate", || Some(pids()).filter(|pids| pids.len() == 2));
    let workers = run.workers();
    assert_eq!(workers.len(), 2);
    run.signal(Signal::SIGSTOP);
    workers.iter().for_each(|worker| send(*worker, Signal::SIGKILL));
    run.kill_9();
    until("the programs of the killed workers are gone", || programs.iter().all(|pid| is_gone(*pid)).then_some(()));

    place.file("open", "");
    place.tumble("run --resume --quiet --workers 3 --out killed").exits(0);
    assert_same(&results(&place.path().join("killed")), &quiet, "killed in its middle");
    survived("a worker killed in the middle of a program of yours", 1);
}

#[test]
fn an_evolution_of_a_program_is_the_same_for_one_worker_and_three() {
    let script = "#!/bin/sh\nread -r line\necho \"$line\" | awk -F'[:,}]' '{ x = $2 - 0.25; y = $4 - 3; printf \"{\\\"cost\\\": %.17g}\\n\", x * x + y * y }'\n";
    let place = place_with("cost.sh", script);
    let run_file = r#"
name = "search"
pipeline = "program"
objective = "-cost"
[program]
command = ["./cost.sh"]
metrics = ["cost"]
stdin = "json"
[evolve]
strategy = "cma-es"
population = 8
generations = 4
[evolve.axes]
x = { linear = [-1.0, 1.0] }
steps = { integers = [1, 9] }
"#;
    let (one, three) = (place.results(run_file, 1, "one"), place.results(run_file, 3, "three"));
    assert_same(&three, &one, "three workers instead of one");
    let costs = numbers(&place.path().join("one"), "cost");
    let x = numbers(&place.path().join("one"), "x");
    let steps = numbers(&place.path().join("one"), "steps");
    for ((x, steps), cost) in x.iter().zip(&steps).zip(&costs) {
        let expected = (x - 0.25) * (x - 0.25) + (steps - 3.0) * (steps - 3.0);
        assert!((cost - expected).abs() <= 1e-12 * expected.max(1.0), "x {x}, steps {steps}: {cost}");
    }
}

#[test]
fn a_program_that_looks_at_the_clock_is_caught_by_verify() {
    let place = place_with("clock.sh", "#!/bin/sh\necho \"{\\\"y\\\": $(date +%s%N)}\"\n");
    let run_file = over("[1, 2, 3]", "command = [\"./clock.sh\"]");
    place.results(&run_file, 1, "out");
    let said = place.tumble("verify out --sample 100% --output json").exits(6).json();
    assert_eq!(said["differing"].as_array().map(Vec::len), Some(3), "{said:#}");
    let said = place.tumble("verify out --sample 100%").exits(6);
    assert!(said.stdout.contains("trial 0: point 0") && said.stdout.contains("RECORDED"), "{}", said.stdout);
}

/// Each kind of failure has its text in the table, and the texts are the same whoever evaluates.
#[test]
fn what_goes_wrong_with_a_program_stands_in_the_table_the_same_for_any_workers() {
    let script = r#"#!/bin/sh
case $1 in
1) echo "about to fail" >&2; pwd >&2; exit 3 ;;
2) kill -SEGV $$ ;;
3) echo hello ;;
4) echo '{"z": 1}' ;;
5) echo '{"y": "high"}' ;;
6) echo "{'y': 1}" ;;
7) echo '{"y": NaN}' ;;
8) : ;;
9) echo '{"y": 9}'; echo trailing; echo words ;;
10) echo '{"y": 10}'; exit 1 ;;
esac
"#;
    let place = place_with("fails.sh", script);
    let run_file = over("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]", "command = [\"./fails.sh\", \"{x}\"]\nkeep = 2");
    place.file("run-file.toml", &run_file);
    let mut both = Vec::new();
    for (workers, out) in [(1, "one"), (3, "three")] {
        place.tumble(&format!("run run-file.toml --quiet --workers {workers} --out {out}")).exits(3);
        both.push(results(&place.path().join(out)));
    }
    assert_same(&both[1], &both[0], "three workers instead of one");
    let folder = place.path().join("one");
    let errors = texts(&folder, "error");
    for (error, expected) in errors.iter().zip([
        "the program exited with code 3; the end of its standard error:\nabout to fail\n{folder}",
        "the program was killed by signal 11 (SIGSEGV); it said nothing",
        "printed no line of JSON on its standard output, and last `hello`",
        "has no metric `y`; it has `z`",
        "the metric `y` is `\"high\"`, not a number",
        "names stand in double quotes",
        "",
        "the program printed nothing on its standard output",
        "",
        "the program exited with code 1; the end of its standard output:\n{\"y\": 10}",
    ]) {
        assert!(error.contains(expected) && error.is_empty() == expected.is_empty(), "{expected}: {error}");
    }
    let ended = [Some(3), None, Some(0), Some(0), Some(0), Some(0), Some(0), Some(0), Some(0), Some(1)];
    let column = |name: &str| -> Vec<Option<i64>> {
        numbers(&folder, name).into_iter().map(|n| (!n.is_nan()).then_some(n as i64)).collect()
    };
    assert_eq!(column("exit_code"), ended.map(|code| code.map(i64::from)));
    assert_eq!(column("signal"), (0..10).map(|trial| (trial == 1).then_some(11)).collect::<Vec<_>>());
    let shown = place.tumble("show one").exits(0).stdout;
    assert!(shown.contains("programs  1 with exit code 1, 1 with exit code 3, 1 with signal 11\n"), "{shown}");
    let values = numbers(&folder, "y");
    assert!(values[6].is_nan() && values[8] == 9.0, "{values:?}");
    // As many working folders as are to be kept, each with what its program said.
    let kept: Vec<_> = fs::read_dir(folder.join("failed")).expect("some failed").flatten().collect();
    assert_eq!(kept.len(), 2);
    let said = fs::read_to_string(folder.join("failed/own-trial-0/tumble-stderr.txt")).expect("the first is kept");
    assert!(said.starts_with("about to fail\n"), "{said}");
    let command = fs::read_to_string(folder.join("failed/own-trial-0/tumble-command.txt")).expect("the first is kept");
    assert!(command.contains("/fails.sh' '1'"), "{command}");
}

#[test]
fn a_program_that_outlasts_its_limit_is_killed_with_all_that_it_started() {
    let script = "#!/bin/sh\ntrap '' TERM\nsleep 1000 &\necho $! > \"$1/sleeper\"\necho $$ > \"$1/script\"\nwait\nwait\nwait\nsleep 1000\n";
    let place = place_with("hangs.sh", script);
    let run_file = format!("{}[limits]\ntimeout = \"1s\"\n", over("[1]", "command = [\"./hangs.sh\", \"{here}\"]"));
    place.file("run-file.toml", &run_file);
    place.tumble("run run-file.toml --quiet --workers 1 --out out").exits(3);
    assert_eq!(texts(&place.path().join("out"), "outcome"), ["timed_out"]);
    // It was we who ended it.
    assert!(numbers(&place.path().join("out"), "exit_code")[0].is_nan());
    assert!(numbers(&place.path().join("out"), "signal")[0].is_nan());
    for name in ["sleeper", "script"] {
        // On a machine that is very busy the script may have been killed before it said who it is.
        let Some(pid) = fs::read_to_string(place.path().join(name)).ok().and_then(|text| text.trim().parse().ok())
        else {
            continue;
        };
        until("what it started is gone", || is_gone(pid).then_some(()));
    }
}

#[test]
fn a_program_that_floods_its_output_takes_no_memory_and_its_answer_is_found() {
    let script = "#!/bin/sh\nyes 'a line that says nothing, again and again, for as long as anyone listens' | head -c 100000000\necho\necho '{\"y\": 7}'\n";
    let place = place_with("floods.sh", script);
    place.file("run-file.toml", &over("[1]", "command = [\"./floods.sh\"]"));
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let mut command = tumble();
    command
        .current_dir(place.path())
        .args(["worker", "--slots", "1", "--access"])
        .arg(coordinator.state().join("worker.access"));
    let worker = Process::start(command);
    let run = coordinator.submit("run-file.toml");
    let view: Json = coordinator.client(&format!("wait {run} --output json")).exits(0).json();
    assert_eq!(view["trials_failed"].as_u64().unwrap_or(0), 0, "{view:#}");
    assert!(memory_peak(worker.id()) < 60 << 20, "the worker held {} bytes", memory_peak(worker.id()));
    let folder =
        fs::read_dir(place.path().join("runs")).expect("there is a run").flatten().next().expect("there is one");
    assert_eq!(numbers(&folder.path(), "y"), [7.0]);
}

#[test]
fn a_program_is_given_its_trial_in_words_variables_and_json() {
    let script = r#"#!/bin/sh
read -r line
echo "$line" > "$1"
env | grep '^TUMBLE_' | sort > "$2"
echo "$3" >> "$2"
[ "$LIBRARY" = "here=$TUMBLE_HERE" ] || exit 9
echo '{"y": 1}' > out.json
"#;
    let place = place_with("tells.sh", script);
    let run_file = r#"
name = "told"
pipeline = "program"
seed = 5
replicates = 2
[program]
command = ["./tells.sh", "{here}/json-{trial}", "{here}/env-{trial}", "{{{rate}}} {slow} {seed}"]
metrics = ["y"]
result = "file:out.json"
stdin = "json"
environment = { LIBRARY = "here={here}" }
[config]
slow = false
[sweep]
design = "list"
[sweep.axes]
rate = [1e-7, 0.30000000000000004]
"#;
    place.results(run_file, 1, "out");
    let seeds = tumble_tables::read_column(&place.path().join("out/trials"), "seed").expect("the table is complete");
    let Column::Unsigned(seeds) = seeds else { panic!("seeds are counts") };
    for (trial, rate) in [(0, "1e-7"), (1, "1e-7"), (2, "0.30000000000000004"), (3, "0.30000000000000004")] {
        let (seed, candidate, replicate) = (seeds[trial], trial / 2, trial % 2);
        let seed31 = seed & 0x7FFF_FFFF;
        let json = fs::read_to_string(place.path().join(format!("json-{trial}"))).expect("it wrote it");
        let expected = format!(
            "{{\"slow\": false, \"rate\": {rate}, \"seed\": {seed}, \"seed31\": {seed31}, \"trial\": {trial}, \
             \"generation\": 0, \"candidate\": {candidate}, \"replicate\": {replicate}}}\n"
        );
        assert_eq!(json, expected);
        let env = fs::read_to_string(place.path().join(format!("env-{trial}"))).expect("it wrote it");
        for line in [
            format!("TUMBLE_SETTING_RATE={rate}"),
            "TUMBLE_SETTING_SLOW=false".to_owned(),
            format!("TUMBLE_SEED={seed}"),
            format!("TUMBLE_TRIAL={trial}"),
            format!("TUMBLE_CANDIDATE={candidate}"),
            format!("TUMBLE_REPLICATE={replicate}"),
            format!("{{{rate}}} false {seed}"),
        ] {
            assert!(env.lines().any(|l| l == line), "{line} is not in\n{env}");
        }
    }
}

/// Nobody waits for a million trials to fail: what can be known before is told before.
#[test]
fn a_program_that_is_not_there_is_told_before_anything_runs() {
    let place = Place::new();
    for (file, script, mode, expected) in [
        ("gone.sh", None, 0, "there is no file"),
        ("plain.sh", Some("#!/bin/sh\n"), 0o644, "is not executable; make it so with `chmod +x"),
        ("bare.sh", Some("echo '{}'\n"), 0o755, "add a first line such as `#!/bin/sh`"),
        ("windows.sh", Some("#!/bin/sh\r\necho '{}'\r\n"), 0o755, "end as on Windows"),
    ] {
        if let Some(script) = script {
            let path = place.file(file, script);
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the file is ours");
        }
        place.file("run-file.toml", &over("[1]", &format!("command = [\"./{file}\"]")));
        let said = place.tumble("run run-file.toml --out out").exits(2);
        assert!(said.stderr.contains(expected), "{}", said.stderr);
        assert!(!place.path().join("out").exists(), "nothing was begun");
        // Workers may be elsewhere, so the file itself is right.
        let said = place.tumble("check run-file.toml").exits(0);
        assert!(said.stderr.contains("warning") && said.stderr.contains(expected), "{}", said.stderr);
    }
    place.file("run-file.toml", &over("[1]", "command = \"./gone.sh --fast {x}\""));
    let said = place.tumble("check run-file.toml").exits(2);
    assert!(said.stderr.contains("write `command = [\"./gone.sh\", \"--fast\", \"{x}\"]`"), "{}", said.stderr);
}

/// Words arrive as they are; whoever asks a shell for it all the same is told what it would make of them, and what to write.
#[test]
fn an_axis_that_a_shell_would_take_apart_is_told_and_what_is_advised_is_right() {
    let place = Place::new();
    let axis = r#"["it's", "two  words", "$(touch caught)"]"#;
    let by = |shell: &str, script: &str| {
        let command = format!("command = ['{shell}', '-ec', '''{script}''']");
        over(axis, &command).replace("\nx = ", "\nrule = ")
    };
    place.file("run-file.toml", &by("/bin/sh", r#"rule="{rule}"; echo "{{\"y\": ${{#rule}}}}""#));
    let said = place.tumble("check run-file.toml").exits(0);
    for words in ["warning: the shell of `command` reads what `{rule}`", "write \"$TUMBLE_SETTING_RULE\" there instead"]
    {
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
    place.file("run-file.toml", &by("sh", r#"rule="$TUMBLE_SETTING_RULE"; echo "{{\"y\": ${{#rule}}}}""#));
    let said = place.tumble("run run-file.toml --workers 1 --out out").exits(0);
    assert!(!said.stderr.contains("warning"), "{}", said.stderr);
    assert_eq!(numbers(&place.path().join("out"), "y"), [4.0, 10.0, 15.0]);
    // Numbers are taken apart by nobody.
    place.file("run-file.toml", &over("[1, 2]", r#"command = ["bash", "-c", "echo '{{\"y\": {x}}}'"]"#));
    assert!(!place.tumble("check run-file.toml").exits(0).stderr.contains("warning"));
}

/// A worker that has not the program says so, and the run waits for one that has.
#[test]
fn a_run_waits_for_a_worker_that_has_its_program() {
    let place = Place::new();
    fs::create_dir(place.path().join("here")).expect("the place is ours");
    place.file("run-file.toml", &over("[1, 2]", "command = [\"./one.sh\"]"));
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let worker = |here: &str| {
        let mut command = tumble();
        command.current_dir(place.path()).args(["worker", "--slots", "1", "--here", here, "--access"]);
        command.arg(coordinator.state().join("worker.access"));
        Process::start(command)
    };
    let _without = worker(".");
    let run = coordinator.submit("run-file.toml");
    until("the worker says that it has no such program", || {
        let view = standing(coordinator.state(), &run)?;
        view["reason"].as_str().filter(|reason| reason.contains("there is no file")).map(str::to_owned)
    });
    executable(&place, "here/one.sh", "#!/bin/sh\necho '{\"y\": 1}'\n");
    let _with = worker("here");
    coordinator.client(&format!("wait {run}")).exits(0);
}

#[test]
fn a_program_that_asks_for_more_memory_than_it_may_fails_alone() {
    let script = "#!/bin/sh\n[ \"$1\" = 1 ] && exec awk 'BEGIN { s = \"x\"; while (length(s) < 1000000000) s = s s; print \"{\\\"y\\\": 0}\" }'\n\
                  echo '{\"y\": 2}'\n";
    let place = place_with("greedy.sh", script);
    place.file("run-file.toml", &over("[1, 2]", "command = [\"./greedy.sh\", \"{x}\"]\nmemory = \"200MiB\""));
    place.tumble("run run-file.toml --quiet --workers 1 --out out").exits(3);
    let folder = place.path().join("out");
    assert_eq!(texts(&folder, "outcome"), ["failed", "scored"]);
    let error = &texts(&folder, "error")[0];
    assert!(error.contains("(program.memory allows it 209715200 bytes)"), "{error}");
}
