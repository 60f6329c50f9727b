//! Candidates that a client gives (`tumble pool`): whoever evaluates them, and whatever dies meanwhile, each generation is
//! answered once, and in the same way whenever it is asked for again.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use nix::sys::signal::Signal;
use serde_json::{Value as Json, json};

use crate::tally::survived;
use crate::tumble::*;

/// Vectors, at once.
const SPHERE: &str = r#"
pipeline = "benchmark-functions"
name = "sphere"
seed = 7
replicates = 2
[config]
dimension = 3
[evolve]
strategy = "given"
population = 50
"#;

/// Values of axes, evaluated by a program that waits at a gate.
const GATED: &str = r#"
pipeline = "program"
name = "gated"
objective = "-cost"
[program]
command = ["sh", "{here}/gated.sh", "{here}", "{load}", "{rule}"]
metrics = ["cost"]
[evolve]
strategy = "given"
[evolve.axes]
load = { any = "number" }
rule = ["hebb", "delta"]
"#;

/// Says the load once there is a file `gate`; fails for one rule.
const GATED_SH: &str = r#"while [ ! -e "$1/gate" ]; do sleep 0.02; done
if [ "$3" = delta ]; then echo "no delta" >&2; exit 3; fi
printf '{"cost": %s}\n' "$2"
"#;

/// A `tumble pool` that a test talks to.
struct Pool {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Option<std::thread::JoinHandle<String>>,
    /// The first line.
    greeting: Json,
}

impl Pool {
    fn start(place: &Place, line: &str) -> Pool {
        let mut command = tumble();
        command.current_dir(place.path()).arg("pool").args(line.split_whitespace());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let (send, lines) = channel();
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let mut err = child.stderr.take().expect("it is piped");
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = std::io::Read::read_to_end(&mut err, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let stdin = child.stdin.take();
        let mut pool = Pool { child, stdin, lines, stderr: Some(stderr), greeting: Json::Null };
        pool.greeting = pool.read();
        pool
    }

    fn write(&mut self, request: &Json) {
        let stdin = self.stdin.as_mut().expect("it is open");
        writeln!(stdin, "{request}").and_then(|()| stdin.flush()).expect("it reads");
    }

    #[track_caller]
    fn read(&mut self) -> Json {
        let line = until("the pool answers", || match self.lines.try_recv() {
            Ok(line) => Some(Some(line)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(None),
        });
        let line = line.unwrap_or_else(|| panic!("it ended: {}", self.stderr.take().unwrap().join().unwrap()));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"))
    }

    #[track_caller]
    fn ask(&mut self, candidates: &Json) -> Json {
        self.write(&json!({ "candidates": candidates }));
        self.read()
    }

    /// Closes its input, and waits for its end: its exit code and what it said.
    #[track_caller]
    fn ends(mut self) -> (Option<i32>, String) {
        drop(self.stdin.take());
        self.ended()
    }

    #[track_caller]
    fn ended(mut self) -> (Option<i32>, String) {
        let status = until("the pool ends", || self.child.try_wait().expect("it is our child"));
        (status.code(), self.stderr.take().expect("it is asked for once").join().expect("a reader does not panic"))
    }

    fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    fn kill_9(mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Generation after generation of different sizes.
fn batches() -> Vec<Json> {
    let number = |i: u32| f64::from(i * 7919 % 1009) / 97.0 - 5.0;
    let candidate = |i: u32| json!([number(3 * i), number(3 * i + 1), -number(3 * i + 2)]);
    [5u32, 20, 20, 1, 50, 3]
        .iter()
        .zip(0..)
        .map(|(size, batch)| (0..*size).map(|i| candidate(100 * batch + i)).collect::<Vec<_>>().into())
        .collect()
}

/// What a pool of so many workers answers, and its tables.
fn calm(place: &Place, workers: u32) -> (Vec<Json>, Results) {
    place.file("sphere.toml", SPHERE);
    let mut pool = Pool::start(place, &format!("sphere.toml --workers {workers} --out calm-{workers}"));
    let answers = batches().iter().map(|batch| pool.ask(batch)).collect();
    let (code, said) = pool.ends();
    assert_eq!(code, Some(0), "{said}");
    (answers, results(&place.path().join(format!("calm-{workers}"))))
}

#[test]
fn the_same_candidates_give_the_same_answers_and_bytes_with_one_worker_and_three() {
    let place = Place::new();
    let ((one, tables), (three, others)) = (calm(&place, 1), calm(&place, 3));
    assert_eq!(one, three);
    assert_same(&tables, &others, "three workers");
    assert_each_trial_once(&place.path().join("calm-3"), 2 * 99);
    for (generation, (batch, answer)) in batches().iter().zip(&one).enumerate() {
        assert_eq!(answer["generation"], generation);
        for (candidate, value) in batch.as_array().unwrap().iter().zip(answer["values"].as_array().unwrap()) {
            let expected: f64 = candidate.as_array().unwrap().iter().map(|x| x.as_f64().unwrap().powi(2)).sum();
            assert!((value.as_f64().unwrap() - expected).abs() <= 1e-12 * expected, "{candidate}: {value}");
        }
    }
    let summary = summary(&place.path().join("calm-1"));
    assert_eq!((&summary["state"], &summary["trials"]), (&"finished".into(), &198.into()), "{summary:#}");
}

/// The program and its run file; the gate is closed.
fn gated(place: &Place) {
    place.file("gated.toml", GATED);
    place.file("gated.sh", GATED_SH);
}

fn open_gate(place: &Place) {
    place.file("gate", "");
}

fn close_gate(place: &Place) {
    std::fs::remove_file(place.path().join("gate")).expect("it was open");
}

/// Waits until workers evaluate a generation that was given.
#[track_caller]
fn is_evaluated(state: &Path) {
    until("a generation is evaluated", || {
        let view = standing(state, "last")?;
        (view["state"] == "running" && view["trials_done"].as_u64() < view["trials"].as_u64()).then_some(())
    });
}

#[test]
fn axes_reach_a_program_as_they_were_given_and_failures_come_back_in_their_place() {
    let place = Place::new();
    gated(&place);
    open_gate(&place);
    let mut pool = Pool::start(&place, "gated.toml --workers 2 --out out");
    assert_eq!(pool.greeting["axes"], json!(["load", "rule"]));
    let loads: [f64; 4] = [0.1 + 0.2, 5e-324, -1.7976931348623157e308, 1.0 / 3.0];
    let given: Vec<Json> = loads.iter().map(|load| json!({ "rule": "hebb", "load": load })).collect();
    let answer = pool.ask(&given.into());
    for (load, value) in loads.iter().zip(answer["values"].as_array().unwrap()) {
        assert_eq!(value.as_f64().unwrap().to_bits(), load.to_bits(), "{answer}");
    }
    let answer = pool.ask(&json!([[1.5, "delta"], [2.5, "hebb"]]));
    assert_eq!(answer["values"], json!(["NaN", 2.5]));
    assert_eq!(answer["outcomes"], json!([["failed"], ["scored"]]));
    let errors = answer["errors"].as_array().unwrap();
    assert!(errors.len() == 1 && errors[0]["candidate"] == 0, "{answer}");
    assert!(errors[0]["error"].as_str().unwrap().contains("no delta"), "{answer}");
    let (code, said) = pool.ends();
    assert_eq!(code, Some(3), "one trial failed: {said}");
    let folder = place.path().join("out");
    let expected: Vec<u64> = loads.iter().chain(&[1.5, 2.5]).map(|x| x.to_bits()).collect();
    assert_eq!(numbers(&folder, "load").iter().map(|x| x.to_bits()).collect::<Vec<_>>(), expected);
    assert_eq!(texts(&folder, "rule"), ["hebb", "hebb", "hebb", "hebb", "delta", "hebb"]);
}

#[test]
fn a_pool_that_is_killed_between_generations_goes_on_to_the_same_bytes() {
    let place = Place::new();
    let (answers, tables) = calm(&place, 2);
    for (generation, batch) in batches().iter().enumerate() {
        let line = if generation == 0 { "sphere.toml" } else { "--resume" };
        let mut pool = Pool::start(&place, &format!("{line} --workers 2 --out out"));
        assert_eq!((&pool.greeting["generation"], &pool.greeting["given"]), (&generation.into(), &false.into()));
        if generation > 0 {
            // Whoever did not read the last answer asks for it again.
            pool.write(&json!({ "candidates": batches()[generation - 1], "generation": generation - 1 }));
            assert_eq!(pool.read(), answers[generation - 1]);
        }
        assert_eq!(pool.ask(batch), answers[generation]);
        pool.kill_9();
        survived("a pool killed between two generations", 1);
    }
    let (code, said) = Pool::start(&place, "--resume --out out").ends();
    assert_eq!(code, Some(0), "{said}");
    assert_same(&results(&place.path().join("out")), &tables, "after kills between generations");
}

#[test]
fn a_pool_that_is_killed_within_a_generation_answers_it_when_it_is_given_again() {
    let place = Place::new();
    gated(&place);
    let mut pool = Pool::start(&place, "gated.toml --workers 2 --out out");
    let given = json!([[1.5, "hebb"], [2.5, "hebb"], [3.5, "hebb"]]);
    pool.write(&json!({ "candidates": given }));
    is_evaluated(&place.path().join("out/.tumble"));
    pool.kill_9();
    let mut pool = Pool::start(&place, "--resume --workers 2 --out out");
    assert_eq!((&pool.greeting["generation"], &pool.greeting["given"]), (&0.into(), &true.into()));
    let other = pool.ask(&json!([[9.5, "hebb"]]));
    assert!(other["error"].as_str().unwrap().contains("was given other candidates"), "{other}");
    open_gate(&place);
    assert_eq!(pool.ask(&given)["values"], json!([1.5, 2.5, 3.5]));
    let (code, said) = pool.ends();
    assert_eq!(code, Some(0), "{said}");
    assert_each_trial_once(&place.path().join("out"), 3);
    survived("a pool killed within a generation", 1);
}

/// A worker of a coordinator that finds the program.
fn worker(place: &Place, coordinator: &Coordinator) -> Process {
    let mut command = tumble();
    command.current_dir(place.path()).args(["worker", "--slots", "1", "--here", ".", "--access"]);
    command.arg(coordinator.state().join("worker.access"));
    Process::start(command)
}

/// The folder of the one run that a coordinator has.
fn only_run(place: &Place) -> PathBuf {
    let mut runs = std::fs::read_dir(place.path().join("runs")).expect("there is a run");
    runs.next().expect("there is a run").expect("it can be read").path()
}

#[test]
fn a_client_outlives_coordinator_and_workers_and_is_answered_once_and_in_the_same_way() {
    let place = Place::new();
    gated(&place);
    let address = free_address();
    let mut coordinator = Coordinator::start(&place, &address);
    let (mut doomed, _other) = (worker(&place, &coordinator), worker(&place, &coordinator));
    let mut pool = Pool::start(&place, "gated.toml --submit --key mine --access state/client.access");
    for generation in 0..3 {
        let load = f64::from(generation) + 0.5;
        let given: Vec<Json> = (0..6).map(|i| json!([load + f64::from(i), "hebb"])).collect();
        let expected: Vec<f64> = (0..6).map(|i| load + f64::from(i)).collect();
        pool.write(&json!({ "candidates": given }));
        is_evaluated(coordinator.state());
        match generation {
            // Within a generation.
            0 => {
                coordinator.kill_9();
                coordinator = Coordinator::start(&place, &address);
                survived("a coordinator killed while a client waits for an answer", 1);
            }
            1 => {
                doomed.kill_9();
                survived("a worker killed while a client waits for an answer", 1);
            }
            _ => {}
        }
        open_gate(&place);
        let answer = pool.read();
        assert_eq!((&answer["generation"], &answer["values"]), (&generation.into(), &expected.into()), "{answer}");
        close_gate(&place);
        if generation == 1 {
            // Between two.
            coordinator.kill_9();
            coordinator = Coordinator::start(&place, &address);
        }
    }
    let (code, said) = pool.ends();
    assert_eq!(code, Some(0), "{said}");
    let folder = only_run(&place);
    assert_each_trial_once(&folder, 18);
    assert_eq!(summary(&folder)["disagreements"], 0);
    let expected: Vec<f64> = (0..18).map(|i| f64::from(i / 6) + 0.5 + f64::from(i % 6)).collect();
    assert_eq!(numbers(&folder, "cost"), expected);
}

#[test]
fn a_client_that_is_gone_is_waited_for_and_another_goes_on_under_its_key() {
    let place = Place::new();
    gated(&place);
    let coordinator = Coordinator::start(&place, &free_address());
    let _worker = worker(&place, &coordinator);
    let line = "gated.toml --submit --key mine --access state/client.access";
    let mut first = Pool::start(&place, line);
    first.write(&json!({ "candidates": [[1.5, "hebb"]] }));
    is_evaluated(coordinator.state());
    first.kill_9();
    open_gate(&place);
    until("the run waits for candidates", || {
        let view = standing(coordinator.state(), "last")?;
        (view["reason"] == "for candidates" && view["trials_done"] == 1).then_some(())
    });
    let mut second = Pool::start(&place, line);
    assert_eq!(second.greeting["generation"], 1);
    second.write(&json!({ "candidates": [[1.5, "hebb"]], "generation": 0 }));
    assert_eq!(second.read()["values"], json!([1.5]));
    assert_eq!(second.ask(&json!([[2.5, "hebb"]]))["values"], json!([2.5]));
    second.write(&json!({ "finish": true }));
    let (code, said) = second.ended();
    assert_eq!(code, Some(0), "{said}");
    // The run is over, and says so to whoever comes late.
    let mut late = Pool::start(&place, line);
    let answer = late.ask(&json!([[3.5, "hebb"]]));
    assert_eq!(answer["ended"], "complete", "{answer}");
    assert_eq!(late.ended().0, Some(0));
    assert_each_trial_once(&only_run(&place), 2);
}

#[test]
fn what_makes_no_sense_is_answered_in_its_place_and_changes_nothing() {
    let place = Place::new();
    place.file("sphere.toml", SPHERE);
    let mut pool = Pool::start(&place, "sphere.toml --workers 1 --out out");
    assert_eq!((&pool.greeting["columns"], &pool.greeting["population"]), (&3.into(), &50.into()));
    let wrong = [
        (json!({ "candidates": [[1, 2]] }), "it has 2 values, and 3 are needed"),
        (json!({ "candidates": [[1, 2, "x"]] }), "number 2 is \"x\""),
        (json!({ "candidate": [[1, 2, 3]] }), "did you mean `candidates`?"),
        (json!({ "candidates": vec![[0.5; 3]; 51] }), "`population` of 50"),
        (json!({ "candidates": [[1, 2, 3]], "generation": 4 }), "which is 0"),
        (json!([1]), "no object"),
    ];
    for (request, says) in wrong {
        pool.write(&request);
        let answer = pool.read();
        assert!(answer["error"].as_str().is_some_and(|error| error.contains(says)), "{request}: {answer}");
    }
    assert_eq!(pool.ask(&json!([[1, 2, 3]]))["values"], json!([14.0]));
    let (code, said) = pool.ends();
    assert_eq!(code, Some(0), "{said}");
    assert_each_trial_once(&place.path().join("out"), 2);
    let refused = |line: &str, says: &str| {
        let said = place.tumble(line).exits(2);
        assert!(said.stderr.contains(says), "{line}: {said:#?}");
    };
    refused("run sphere.toml --out other", "`tumble pool`");
    refused("verify out", "were given by a client");
    refused("extend out --set evolve.generations=2000000", "whose candidates a client gave");
    place.file("plain.toml", &SPHERE.replace("\"given\"", "\"cma-es\""));
    refused("pool plain.toml --out other", "`tumble run` carries it out");
}

#[test]
fn the_end_of_input_completes_a_run_even_an_empty_one_and_on_a_leash_leaves_it() {
    let place = Place::new();
    place.file("sphere.toml", SPHERE);
    let (code, said) = Pool::start(&place, "sphere.toml --workers 1 --out empty").ends();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(summary(&place.path().join("empty"))["trials"], 0);
    let mut pool = Pool::start(&place, "sphere.toml --workers 1 --out out --leash");
    let answer = pool.ask(&json!([[1, 2, 3]]));
    let (code, said) = pool.ends();
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("tumble pool --resume --out"), "{said}");
    let mut pool = Pool::start(&place, "--resume --workers 1 --out out --leash");
    pool.write(&json!({ "candidates": [[1, 2, 3]], "generation": 0 }));
    assert_eq!(pool.read(), answer);
    pool.write(&json!({ "finish": true }));
    assert_eq!(pool.ended().0, Some(0));
}

#[test]
fn ctrl_c_and_a_reader_that_is_gone_stop_a_pool_and_lose_nothing() {
    let place = Place::new();
    gated(&place);
    let mut pool = Pool::start(&place, "gated.toml --workers 1 --out out");
    pool.write(&json!({ "candidates": [[1.5, "hebb"]] }));
    is_evaluated(&place.path().join("out/.tumble"));
    pool.signal(Signal::SIGINT);
    let (code, said) = pool.ended();
    assert!(code == Some(4) && said.contains("tumble pool --resume --out"), "{code:?}: {said}");
    open_gate(&place);
    // Whoever was to read the answers has gone.
    let mut command = Command::new("sh");
    let script = r#""$0" pool --resume --workers 1 --out out | head -n 1 >/dev/null"#;
    command.args(["-c", script, env!("CARGO_BIN_EXE_tumble")]).current_dir(place.path());
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("there is a shell");
    let mut stdin = child.stdin.take().expect("it is piped");
    // Again and again, for the first answer may be in the pipe before its reader is gone.
    until("the shell ends", || {
        let _ = writeln!(stdin, "{}", json!({ "candidates": [[1.5, "hebb"]], "generation": 0 }));
        child.try_wait().expect("it is our child")
    });
    drop(stdin);
    let mut pool = Pool::start(&place, "--resume --workers 1 --out out");
    pool.write(&json!({ "candidates": [[1.5, "hebb"]], "generation": 0 }));
    assert_eq!(pool.read()["values"], json!([1.5]));
    let (code, said) = pool.ends();
    assert_eq!(code, Some(0), "{said}");
    assert_each_trial_once(&place.path().join("out"), 1);
}

#[test]
fn a_pool_whose_run_stops_by_itself_says_so_to_the_next_request() {
    let place = Place::new();
    place.file("sphere.toml", &format!("{SPHERE}stop = {{ objective = 1.0 }}\n"));
    let mut pool = Pool::start(&place, "sphere.toml --workers 1 --out out");
    assert_eq!(pool.ask(&json!([[1, 2, 3]]))["values"], json!([14.0]));
    assert_eq!(pool.ask(&json!([[0, 0.5, 0]]))["values"], json!([0.25]));
    let answer = pool.ask(&json!([[1, 2, 3]]));
    assert_eq!(answer["ended"], "objective reached", "{answer}");
    let (code, said) = pool.ended();
    assert_eq!(code, Some(0), "{said}");
    assert_each_trial_once(&place.path().join("out"), 4);
}
