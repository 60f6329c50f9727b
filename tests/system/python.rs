//! `pipeline = "python"`: functions of the user's own, tried with the `python3` that PATH has. Where there is none, each test says
//! so and ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::tally::survived;
use crate::tumble::*;

/// Whether PATH has a Python that can import this.
pub(crate) fn python_has(module: &str) -> bool {
    let import = format!("import sys, {module}; assert sys.version_info >= (3, 9)");
    let status = Command::new("python3").args(["-c", &import]).stderr(Stdio::null()).status();
    let is_there = status.is_ok_and(|status| status.success());
    if !is_there {
        println!("skipped: PATH has no python3 of at least 3.9 with the module {module}");
    }
    is_there
}

/// A place with a module in it.
fn place_with(module: &str) -> Place {
    let place = Place::new();
    place.file("model.py", module);
    place
}

/// A list of `x` for the function `evaluate` with one metric `y`.
fn over(x: &str, more: &str) -> String {
    format!(
        "name = \"own\"\npipeline = \"python\"\n[python]\nentry = \"model.py:evaluate\"\nmetrics = [\"y\"]\n{more}\n\
         [sweep]\ndesign = \"list\"\n[sweep.axes]\nx = {x}\n"
    )
}

/// What the function is given, and a number that depends on all of it.
const SCORES: &str = r#"
import random
from dataclasses import dataclass

@dataclass
class Result:
    value: float
    length: int
    seen: int

def evaluate(x: float, rule, steps=200, flag: bool = True, scale: float = 2, seed: int = 0) -> Result:
    assert type(x) is float and type(rule) is str and type(steps) is int and flag is True, (x, rule, steps, flag)
    assert type(scale) is float and type(seed) is int, (scale, seed)
    print("scoring", x)
    noise = random.Random(seed).random()
    for _ in range(steps):
        x = 3.7 * x * (1 - x)
    return Result(x + noise * scale, len(rule), seed % 1000)
"#;

const SWEEP: &str = r#"
name = "scores"
pipeline = "python"
seed = 3
replicates = 2
[python]
entry = "model.py:evaluate"
[sweep]
design = "grid"
[sweep.axes]
x = { linear = [0.1, 0.9], points = 300 }
rule = ["hebb", "it's \"quoted\" ü"]
"#;
const SWEEP_TRIALS: u64 = 300 * 2 * 2;

#[test]
fn a_sweep_of_a_function_is_the_same_for_one_worker_and_three() {
    if !python_has("random") {
        return;
    }
    let place = place_with(SCORES);
    let (one, three) = (place.results(SWEEP, 1, "one"), place.results(SWEEP, 3, "three"));
    assert_same(&three, &one, "three workers instead of one");
    let folder = place.path().join("three");
    assert_each_trial_once(&folder, SWEEP_TRIALS);
    let quoted = "it's \"quoted\" ü".chars().count() as f64;
    let expected: Vec<f64> = (0..SWEEP_TRIALS).map(|trial| if trial / 2 % 2 == 0 { 4.0 } else { quoted }).collect();
    assert_eq!(numbers(&folder, "length"), expected);
    // What the function said of itself travels: its metrics and its defaults, typed as it takes them.
    let canonical = fs::read_to_string(folder.join("run.toml")).expect("a run has its file");
    let says = "metrics = [\"value\", \"length\", \"seen\"]\nbatch = false\n\n[config]\nsteps = 200\nflag = true\nscale = 2.0\n";
    assert!(canonical.contains(says), "{canonical}");
    place.tumble("verify three --sample 100%").exits(0);
    place.tumble("run --resume --out three").exits(0);
}

/// It was asked in the run's folder, where it is not.
#[test]
fn a_run_of_a_function_is_extended_from_where_the_command_is_given() {
    if !python_has("random") {
        return;
    }
    let place = place_with("def evaluate(x: int, scale: float = 1.5):\n    return {\"y\": x * scale}\n");
    place.results(&over("[1, 2, 3]", ""), 1, "out");
    place.tumble("extend out --quiet --workers 1 --set replicates=2").exits(0);
    assert_eq!(numbers(&place.path().join("out"), "y"), [1.5, 1.5, 3.0, 3.0, 4.5, 4.5]);
    let elsewhere = Place::new();
    let out = place.path().join("out").display().to_string();
    let said = elsewhere.tumble(&format!("extend {out} --quiet --workers 1 --set replicates=3")).exits(2);
    assert!(said.stderr.contains("there is no file model.py"), "{}", said.stderr);
}

/// The function waits for a file that the test makes, so that trials are surely in progress when everything is killed.
const GATE: &str = r#"
import os, time

def evaluate(x: int):
    if x >= 20:
        with open("pid-%d" % x, "w") as file:
            file.write(str(os.getpid()))
        while not os.path.exists("open"):
            time.sleep(0.05)
    return {"y": x * 1.5}
"#;

#[test]
fn a_run_of_a_function_that_is_killed_goes_on_to_the_same_bytes_and_leaves_no_interpreter_behind() {
    if !python_has("ctypes") {
        return;
    }
    let place = place_with(GATE);
    let run_file = over("{ integers = [0, 39] }", "").replace("design = \"list\"", "design = \"grid\"");
    place.file("open", "");
    let quiet = place.results(&run_file, 2, "quiet");
    let entries = || fs::read_dir(place.path()).expect("the place is ours").flatten();
    for entry in entries().filter(|e| e.file_name() == "open" || e.file_name().to_string_lossy().starts_with("pid-")) {
        fs::remove_file(entry.path()).expect("it is there");
    }
    let pids = || -> Vec<u32> {
        let named = entries().filter(|entry| entry.file_name().to_string_lossy().starts_with("pid-"));
        named.filter_map(|entry| fs::read_to_string(entry.path()).ok()?.trim().parse().ok()).collect()
    };
    let mut run = place.start("run run-file.toml --quiet --workers 2 --out killed");
    let interpreters = until("two interpreters wait at the gate", || Some(pids()).filter(|pids| pids.len() == 2));
    let workers = run.workers();
    assert_eq!(workers.len(), 2);
    run.signal(Signal::SIGSTOP);
    workers.iter().for_each(|worker| send(*worker, Signal::SIGKILL));
    run.kill_9();
    until("the interpreters of the killed workers are gone", || {
        interpreters.iter().all(|pid| is_gone(*pid)).then_some(())
    });
    place.file("open", "");
    place.tumble("run --resume --quiet --workers 3 --out killed").exits(0);
    assert_same(&results(&place.path().join("killed")), &quiet, "killed in its middle");
    survived("a worker killed in the middle of a function of yours", 1);
}

#[test]
fn a_worker_whose_function_never_returns_leaves_when_it_is_asked_to_and_takes_its_interpreter_along() {
    if !python_has("ctypes") {
        return;
    }
    let place = place_with(GATE);
    place.file("run-file.toml", &over("[20]", ""));
    let run = place.start("run run-file.toml --quiet --workers 1 --out out");
    let pid: u32 =
        until("the trial has begun", || fs::read_to_string(place.path().join("pid-20")).ok()?.trim().parse().ok());
    run.signal(Signal::SIGINT);
    run.said().exits(4);
    until("the interpreter is gone", || is_gone(pid).then_some(()));
}

#[test]
fn a_function_that_looks_at_the_clock_is_caught_by_verify() {
    if !python_has("time") {
        return;
    }
    let place = place_with("import time\ndef evaluate(x): return {\"y\": time.time_ns() % 1e9 + x}\n");
    place.results(&over("[1, 2, 3]", ""), 1, "out");
    let said = place.tumble("verify out --sample 100% --output json").exits(6).json();
    assert_eq!(said["differing"].as_array().map(Vec::len), Some(3), "{said:#}");
    let said = place.tumble("verify out --sample 100%").exits(6);
    assert!(said.stdout.contains("trial 0: point 0") && said.stdout.contains("RECORDED"), "{}", said.stdout);
    // Where the module is not, nothing is evaluated and nothing is found to differ.
    std::fs::create_dir(place.path().join("elsewhere")).expect("the place is ours");
    for command in ["verify out", "replay out --trial 1"] {
        let said = place.tumble(&format!("{command} --here elsewhere")).exits(2);
        for words in ["this machine cannot evaluate the run: ", "--here"] {
            assert!(said.stderr.contains(words), "{command}: {said:#?}");
        }
    }
}

const FAILS: &str = r#"
import os, signal, sys

class Odd:
    pass

class Like:
    def __float__(self):
        return 13.5

def deeper(x):
    raise ValueError("no such load: %d in %s of %r" % (x, os.getcwd(), Odd()))

def evaluate(x: int):
    if x == 1:
        deeper(x)
    if x == 2:
        os._exit(7)
    if x == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    if x == 4:
        return None
    if x == 5:
        return {"z": 1.0}
    if x == 6:
        return {"y": "high"}
    if x == 7:
        return {"y": float("nan")}
    if x == 8:
        sys.exit("enough")
    if x == 9:
        print("words " * 100000)
        print("more of them", file=sys.stderr)
        os.write(1, b"straight to the channel")
        return 9
    if x == 10:
        return "words"
    if x == 11:
        return 11.0
    if x == 12:
        return input("a question? ")
    if x == 13:
        return {"y": Like()}
    if x == 14:
        return {"y": 10 ** 400}
    if x == 15:
        try:
            return {}["gone"]
        except KeyError as error:
            raise RuntimeError("because") from error
    return {"y": x, "more": 1}
"#;

/// Each kind of failure costs its trial alone and has its text in the table, and the texts are the same whoever evaluates.
#[test]
fn what_goes_wrong_with_a_function_stands_in_the_table_the_same_for_any_workers() {
    if !python_has("signal") {
        return;
    }
    let place = place_with(FAILS);
    place.file("run-file.toml", &over("{ integers = [1, 17] }", "").replace("\"list\"", "\"grid\""));
    let mut both = Vec::new();
    for (workers, out) in [(1, "one"), (3, "three")] {
        place.tumble(&format!("run run-file.toml --quiet --workers {workers} --out {out}")).exits(3);
        both.push(results(&place.path().join(out)));
    }
    assert_same(&both[1], &both[0], "three workers instead of one");
    let folder = place.path().join("one");
    let errors = texts(&folder, "error");
    for (error, expected) in errors.iter().zip([
        "model.py:12 in deeper: raise ValueError(\"no such load: %d in %s of %r\" % (x, os.getcwd(), Odd()))\n\
         ValueError: no such load: 1 in {here} of <model.Odd object at 0x...>",
        "the interpreter exited with code 7 during this trial",
        "the interpreter was killed by signal 11 (SIGSEGV) during this trial",
        "the function returned nothing (None): return {\"y\": number}",
        "the function's result has no metric `y`; it has `z`",
        "the metric `y` is no number but str 'high'",
        "",
        "the function ended Python by sys.exit(enough); return or raise instead",
        "",
        "the function returned str 'words': return {\"y\": number}",
        "",
        "EOFError: EOF when reading a line",
        "",
        "the metric `y` is no number: OverflowError",
        "KeyError: 'gone'\nwhich led to\nmodel.py:",
        "",
        "",
    ]) {
        assert!(error.contains(expected) && error.is_empty() == expected.is_empty(), "{expected}: {error}");
    }
    let values = numbers(&folder, "y");
    assert!(values[6].is_nan(), "{values:?}");
    assert_eq!([values[8], values[10], values[12], values[15], values[16]], [9.0, 11.0, 13.5, 16.0, 17.0]);
}

/// What a long-lived interpreter has gathered is no trial's fault: a trial that falls because of those before it is judged in
/// a fresh one.
#[test]
fn a_function_that_dies_of_what_it_has_gathered_loses_no_trial() {
    if !python_has("os") {
        return;
    }
    let module = "import os\nseen = []\ndef evaluate(x):\n    seen.append(x)\n    if len(seen) > 7:\n        os._exit(1)\n    return {\"y\": x}\n";
    let place = place_with(module);
    let run_file = over("{ integers = [0, 39] }", "").replace("\"list\"", "\"grid\"");
    place.results(&run_file, 2, "out");
    assert_eq!(numbers(&place.path().join("out"), "y"), (0..40).map(f64::from).collect::<Vec<_>>());
    survived("an interpreter of a function of yours dies", 1);
}

#[test]
fn a_trial_that_hangs_costs_itself_alone_and_an_import_that_takes_long_costs_none() {
    if !python_has("time") {
        return;
    }
    let module = "import os, time\ntime.sleep(6)\ndef evaluate(x: int):\n    while x == 2:\n        time.sleep(1)\n    return {\"y\": x}\n";
    let place = place_with(module);
    place.file("run-file.toml", &format!("{}[limits]\ntimeout = \"5s\"\n", over("[1, 2, 3]", "")));
    place.tumble("run run-file.toml --quiet --workers 1 --out out").exits(3);
    let folder = place.path().join("out");
    assert_eq!(texts(&folder, "outcome"), ["scored", "timed_out", "scored"]);
    let y = numbers(&folder, "y");
    assert_eq!((y[0], y[2]), (1.0, 3.0));
    survived("a trial of a function hangs", 1);
}

/// Whoever waits for a module is told what for, again and again, and nothing is given up.
#[test]
fn a_module_that_takes_long_to_import_is_waited_for_and_told_of() {
    if !python_has("time") {
        return;
    }
    let module = "import os, time\nprint('loading')\nwhile not os.path.exists(\"open\"):\n    time.sleep(0.05)\ndef evaluate(x): return {\"y\": x}\n";
    let place = place_with(module);
    place.file("run-file.toml", &over("[1, 2, 3]", ""));
    let run = place.start("run run-file.toml --workers 1 --out out");
    until("it is told that the module is being imported", || run.has_spoken().then_some(()));
    place.file("open", "");
    let said = run.said().exits(0);
    for words in ["still importing the module of model.py:evaluate (", "each slot of a worker imports it once, too"] {
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
    assert_eq!(numbers(&place.path().join("out"), "y"), [1.0, 2.0, 3.0]);
}

#[test]
fn an_evolution_of_a_vector_is_the_same_for_one_worker_and_three() {
    if !python_has("math") {
        return;
    }
    let module = "def evaluate(genome, target=0.25):\n    return {\"cost\": float(sum((x - target) ** 2 for x in genome)), \"length\": len(genome)}\n";
    let place = place_with(module);
    let run_file = r#"
name = "search"
pipeline = "python"
objective = "-cost"
[python]
entry = "model.py:evaluate"
metrics = ["cost", "length"]
genome = 5
[evolve]
strategy = "cma-es"
population = 8
generations = 6
sigma = 0.3
"#;
    let (one, three) = (place.results(run_file, 1, "one"), place.results(run_file, 3, "three"));
    assert_same(&three, &one, "three workers instead of one");
    let folder = place.path().join("one");
    assert!(numbers(&folder, "length").iter().all(|length| *length == 5.0));
    let costs = numbers(&folder, "cost");
    let (first, last) = (&costs[..8], &costs[costs.len() - 8..]);
    let mean = |costs: &[f64]| costs.iter().sum::<f64>() / costs.len() as f64;
    assert!(mean(last) < mean(first), "{costs:?}");
    place.tumble("verify one --sample 100%").exits(0);
}

/// A population at once, with NumPy; what fails in it costs its own trial.
#[test]
fn a_function_that_takes_a_whole_batch_gives_what_one_trial_at_a_time_would() {
    if !python_has("numpy") {
        return;
    }
    let module = r#"
import os
import numpy as np

def batch(genome, scale, rule, seed):
    assert genome.dtype == np.float64 and genome.ndim == 2 and seed.dtype == np.uint64 and len(rule) == len(genome)
    if (scale == 4.0).any():
        raise ValueError("four")
    if (scale == 5.0).any():
        os._exit(5)
    return {"y": (genome ** 2).sum(axis=1) * scale + (seed % np.uint64(7))}

def single(genome, scale, rule, seed):
    assert isinstance(genome, np.ndarray) and genome.flags.writeable
    if scale == 4.0:
        raise ValueError("four")
    if scale == 5.0:
        os._exit(5)
    return {"y": (genome ** 2).sum() * scale + seed % 7}
"#;
    let place = place_with(module);
    let run_file = |function: &str, batch: bool| {
        format!(
            "name = \"b\"\npipeline = \"python\"\n[python]\nentry = \"model.py:{function}\"\nmetrics = [\"y\"]\ngenome = 2\n\
             batch = {batch}\n[config]\nrule = \"hebb\"\n[sweep]\ndesign = \"grid\"\n[sweep.axes]\n\
             scale = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]\ngenome0 = {{ linear = [0.0, 1.0], points = 9 }}\n"
        )
    };
    for (function, batch) in [("batch", true), ("single", false)] {
        place.file("run-file.toml", &run_file(function, batch));
        place.tumble(&format!("run run-file.toml --quiet --workers 2 --out {function}")).exits(3);
    }
    let [batch, single] = ["batch", "single"].map(|out| {
        let folder = place.path().join(out);
        let bits: Vec<u64> = numbers(&folder, "y").iter().map(|y| y.to_bits()).collect();
        (bits, texts(&folder, "outcome"))
    });
    assert_eq!(batch, single);
    assert_eq!(batch.1.iter().filter(|outcome| *outcome == "failed").count(), 2 * 9);
    let errors = texts(&place.path().join("batch"), "error");
    assert!(errors.iter().any(|error| error.ends_with("ValueError: four")), "{errors:?}");
    assert!(errors.iter().any(|error| error.contains("exited with code 5")), "{errors:?}");
}

/// What a batch brings back is held against the number of its trials, and what is wrong with it is said with what to return.
#[test]
fn a_function_that_takes_a_whole_batch_and_gives_something_else_is_told_what_to_give() {
    if !python_has("numpy") {
        return;
    }
    let place = place_with(
        r#"
import numpy as np

def nothing(x): print("on the way")
def misnamed(x): return {"z": x}
def one_for_all(x): return {"y": float(x.sum())}
def table(x): return {"y": np.ones((len(x), 2))}
def words(x): return {"y": ["high"] * len(x)}
def gaps(x): return {"y": np.where(x == 2, np.nan, x)}
"#,
    );
    for (function, expected) in [
        ("nothing", "the function returned nothing (None): return {\"y\": number}"),
        ("misnamed", "the function's result has no metric `y`; it has `z`"),
        (
            "one_for_all",
            "the metric `y` has the shape () for a batch of 1: return one number for each trial, shape (1,)",
        ),
        ("table", "the metric `y` has the shape (1, 2) for a batch of 1: return one number for each trial, shape (1,)"),
        ("words", "the metric `y` is no array of numbers: ValueError: could not convert string to float: 'high'"),
    ] {
        let run_file = over("[1, 2, 3]", "batch = true").replace(":evaluate", &format!(":{function}"));
        place.file("run-file.toml", &run_file);
        place.tumble(&format!("run run-file.toml --quiet --workers 1 --out {function}")).exits(3);
        let errors = texts(&place.path().join(function), "error");
        assert!(errors.len() == 3 && errors.iter().all(|error| error.contains(expected)), "{function}: {errors:?}");
    }
    place.results(&over("[1, 2, 3]", "batch = true").replace(":evaluate", ":gaps"), 1, "gaps");
    let y = numbers(&place.path().join("gaps"), "y");
    assert!(y[0] == 1.0 && y[1].is_nan() && y[2] == 3.0, "{y:?}");
}

/// Whoever has no NumPy is told where to put it; a folder without one stands for that on every machine.
#[test]
fn a_batch_without_numpy_is_told_before_anything_runs() {
    if !python_has("os") {
        return;
    }
    let place = place_with("def evaluate(x): return {\"y\": x}\n");
    let hidden = place.path().join("hidden");
    fs::create_dir(&hidden).expect("the place is ours");
    fs::write(hidden.join("numpy.py"), "raise ImportError('it is hidden')\n").expect("the place is ours");
    interpreter_at(&place.path().join("python"), &format!("PYTHONPATH='{}' ", hidden.display()));
    place.file("run-file.toml", &over("[1]", "batch = true\ninterpreter = \"./python\""));
    let said = place.tumble("run run-file.toml --out out").exits(2);
    for words in ["`batch = true` needs NumPy", "it is hidden", "install it for ", "or TUMBLE_PYTHON"] {
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
    assert!(!place.path().join("out").exists());
}

/// An interpreter at a path: the one of PATH, with variables set in front of it.
fn interpreter_at(path: &Path, variables: &str) {
    fs::write(path, format!("#!/bin/sh\n{variables}exec python3 \"$@\"\n")).expect("the place is ours");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
}

/// A virtual environment that the run file names is looked for beside each worker, and where it is not, that is said with what
/// to do; a worker whose environment has another path names it itself.
#[test]
fn a_virtual_environment_on_another_path_of_a_worker_is_told_and_named_there() {
    if !python_has("os") {
        return;
    }
    let place = place_with("import os\ndef evaluate(x): return {\"y\": x * float(os.environ[\"FACTOR\"])}\n");
    let there = Place::new();
    there.file("model.py", &fs::read_to_string(place.path().join("model.py")).expect("it was written"));
    for (folder, factor) in [(place.path().join(".venv/bin"), 2), (there.path().join("env/bin"), 3)] {
        fs::create_dir_all(&folder).expect("the place is ours");
        interpreter_at(&folder.join("python"), &format!("FACTOR={factor} "));
    }
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let worker = |here: &Path, interpreter: &Path| {
        let mut command = tumble();
        command.args(["worker", "--slots", "1", "--access"]).arg(coordinator.state().join("worker.access"));
        command.arg("--here").arg(here).env("TUMBLE_PYTHON", interpreter);
        Process::start(command)
    };
    let env = there.path().join("env");
    let elsewhere = worker(there.path(), &env);

    place.file("named.toml", &over("[1, 2]", "interpreter = \".venv\""));
    let named = coordinator.submit("named.toml");
    let reason = until("the worker says that it has no such environment", || {
        let view = standing(coordinator.state(), &named)?;
        view["reason"].as_str().filter(|reason| reason.contains("`.venv`")).map(str::to_owned)
    });
    for words in
        ["no virtual environment of that name lies in ", "make it there too", "set TUMBLE_PYTHON where workers"]
    {
        assert!(reason.contains(words), "{reason}");
    }
    // As it says: the run file leaves the interpreter out, and the worker's own is taken.
    place.file("free.toml", &over("[1, 2]", "").replace("name = \"own\"", "name = \"free\""));
    let free = coordinator.submit("free.toml");
    coordinator.client(&format!("wait {free}")).exits(0);
    assert_eq!(numbers(&place.path().join("runs").join(&free), "y"), [3.0, 6.0]);
    let beside = worker(place.path(), &env);
    coordinator.client(&format!("wait {named}")).exits(0);
    assert_eq!(numbers(&place.path().join("runs").join(&named), "y"), [2.0, 4.0]);
    drop((elsewhere, beside));
}

#[test]
fn a_mistake_in_a_run_of_a_function_is_told_before_anything_runs() {
    if !python_has("os") {
        return;
    }
    let place = place_with(SCORES);
    place.file("syntax.py", "def evaluate(x):\n    retrun 3\n");
    place.file("missing.py", "import a_module_that_nobody_has\n");
    place.file("raises.py", "def setup():\n    raise OSError('no data here')\nsetup()\n");
    place.file("dies.py", "import os, sys\nprint('last words', file=sys.stderr)\nos._exit(3)\n");
    place.file("run-file.toml", SWEEP);
    for (set, expected) in [
        ("python.entry=modle.py:evaluate", "there is no file modle.py"),
        ("python.entry=modle.py:evaluate", "did you mean `model.py`?"),
        ("python.entry=model.py:evalute", "model.py has no function `evalute`; did you mean `evaluate`?"),
        ("python.entry=model.py", "write the function's name after a colon: `entry = \"model.py:evaluate\"`"),
        ("python.entry=syntax.py:evaluate", "syntax.py:2: SyntaxError: invalid syntax: retrun 3"),
        ("python.entry=missing.py:evaluate", "No module named 'a_module_that_nobody_has'; install it for /"),
        (
            "python.entry=raises.py:evaluate",
            "raises.py:2 in setup: raise OSError('no data here')\nOSError: no data here",
        ),
        ("python.entry=dies.py:evaluate", "exited with code 3 before it was ready: last words"),
        ("sweep.axes.flga=[true]", "`evaluate` has no parameter `flga`"),
        ("sweep.axes.flga=[true]", "did you mean `flag`?"),
        ("config.stpes=3", "did you mean `steps`?"),
        ("config.steps=3.5", "`evaluate` takes an integer as `steps`, found number"),
        ("sweep.axes.rule=[1]", ""),
        ("sweep.axes.flag=[1]", "`evaluate` takes a boolean as `flag`, found integer"),
        ("config.seed=3", "`seed` is what every function is given anyway"),
        ("python.metrics=[\"valeu\"]", "did you mean `value`?"),
        ("python.interpreter=no-such-python", "is in no folder of PATH ("),
        ("python.interpreter=./venv", "there is no interpreter "),
        ("python.interpreter=./venv", "set TUMBLE_PYTHON where workers start"),
        ("python.genome=3", "has no parameter `genome`"),
    ] {
        let said = run_in(place.path(), ["check", "run-file.toml", "--set", set]);
        let code = if expected.is_empty() { 0 } else { 2 };
        assert!(said.code == Some(code) && said.stderr.contains(expected), "{set}: {expected}: {said:#?}");
    }
    let without_rule = SWEEP.replace("rule = [\"hebb\", \"it's \\\"quoted\\\" ü\"]\n", "");
    assert_ne!(without_rule, SWEEP);
    place.file("run-file.toml", &without_rule);
    let said = place.tumble("check run-file.toml").exits(2);
    assert!(said.stderr.contains("`evaluate` has no default for `rule`, and nothing sets it"), "{}", said.stderr);
}

/// A client without the interpreter checks by the run file alone, if that says what comes back.
#[test]
fn a_run_whose_interpreter_is_elsewhere_is_checked_by_its_file_alone() {
    let place = Place::new();
    place.file("run-file.toml", &over("[1, 2]", "interpreter = \"no-such-python\""));
    let said = place.tumble("check run-file.toml").exits(0);
    assert!(said.stderr.contains("warning: the function could not be asked what it takes"), "{}", said.stderr);
    // What has to run here needs it here.
    let said = place.tumble("run run-file.toml --out out").exits(2);
    assert!(said.stderr.contains("the interpreter `no-such-python`"), "{}", said.stderr);
    assert!(!place.path().join("out").exists());
}

/// The run waits and says why, instead of failing every trial: another worker may have what this one lacks.
#[test]
fn a_worker_without_the_module_or_the_interpreter_evaluates_nothing_and_says_why() {
    if !python_has("os") {
        return;
    }
    let place = place_with("def evaluate(x): return {\"y\": x}\n");
    place.file("run-file.toml", &over("[1, 2]", ""));
    let elsewhere = Place::new();
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let worker = |here: &Path, interpreter: &str| {
        let mut command = tumble();
        command.args(["worker", "--slots", "1", "--access"]).arg(coordinator.state().join("worker.access"));
        command.arg("--here").arg(here).env("TUMBLE_PYTHON", interpreter);
        Process::start(command)
    };
    let run = coordinator.submit("run-file.toml");
    let waits_for = |reason: &str| {
        until(reason, || {
            let view = coordinator.client(&format!("status {run} --output json")).exits(0).json();
            let says = view["reason"].as_str()?.contains(reason);
            (view["state"] == "waiting" && says).then_some(())
        });
    };
    let lacks_module = worker(elsewhere.path(), "python3");
    waits_for("there is no file model.py");
    let lacks_interpreter = worker(place.path(), "/no/such/python");
    drop(lacks_module);
    waits_for("there is no interpreter /no/such/python");
    drop(lacks_interpreter);
    let has_both = worker(place.path(), "python3");
    let view = coordinator.client(&format!("wait {run} --output json")).exits(0).json();
    assert_eq!(view["trials_failed"].as_u64().unwrap_or(0), 0, "{view:#}");
    drop(has_both);
    survived("a worker that lacks the module or the interpreter", 2);
}
