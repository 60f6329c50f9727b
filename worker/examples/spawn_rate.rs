//! How fast trials of a trivial program go, against the bare spawning of it: `cargo run --release -p tumble-worker --example
//! spawn_rate [THREADS] [TRIALS]`.
//!
//! Both start `/bin/echo '{"y": 1}'` so many times on each thread. The bare loop starts it with nothing to read it, waits, and
//! starts the next. A slot of a worker makes a working folder, starts it in a process group of its own, reads both its
//! streams, waits, and reads its answer. They take turns, and the best of each counts.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use tumble_domain::{Seed, TrialAddress};
use tumble_pipelines::{Pipeline, Trial, Watch};
use tumble_worker::{Surroundings, pipelines};

const TURNS: u32 = 7;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads: usize = arguments.next().map_or(Ok(cores), |text| text.parse())?;
    let trials: u32 = arguments.next().map_or(Ok(1000), |text| text.parse())?;
    let run_file = "pipeline = \"program\"\n[program]\ncommand = [\"/bin/echo\", '{{\"y\": {x}}}']\nmetrics = [\"y\"]\n\
                    [sweep]\ndesign = \"list\"\n[sweep.axes]\nx = [1]\n";
    let understood = tumble_runfile::parse(run_file, "the benchmark", &[], &[])?;
    let surroundings = Surroundings { here: ".".into(), keep_in: None, reaper: None };
    let bound = pipelines(&surroundings).iter().find_map(|p| p.bound(&understood.spec, &understood.inner, None));
    let pipeline = bound.ok_or("no pipeline runs programs")??;

    let (mut bare, mut slots) = (0.0f64, 0.0f64);
    for _ in 0..TURNS {
        bare = bare.max(rate(threads, trials, || spawn_bare(trials)));
        slots = slots.max(rate(threads, trials, || evaluate(&pipeline, &understood.spec.config, trials)));
    }
    println!("{threads} threads: bare {bare:.0} a second, trials {slots:.0} a second, ratio {:.3}", slots / bare);
    Ok(())
}

/// How often a second the work is done, when each thread does it so often.
fn rate(threads: usize, trials: u32, work: impl Fn() + Sync) -> f64 {
    let since = Instant::now();
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(&work))));
    threads as f64 * f64::from(trials) / since.elapsed().as_secs_f64()
}

fn spawn_bare(trials: u32) {
    for _ in 0..trials {
        let mut command = Command::new("/bin/echo");
        command.arg("{\"y\": 1}").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().expect("it is on every machine").success());
    }
}

fn evaluate(pipeline: &Arc<dyn Pipeline>, settings: &[tumble_domain::Value], trials: u32) {
    let (mut evaluator, watch) = (pipeline.evaluator(), Watch::unlimited());
    let mut metrics = [f64::NAN];
    for trial in 0..trials {
        evaluator.place(u64::from(trial), TrialAddress { generation: 0, candidate: u64::from(trial), replicate: 0 });
        let given = Trial { genome: &[], settings, seed: Seed(7), watch: &watch };
        evaluator.evaluate(&given, &mut metrics).expect("echo does not fail");
        assert_eq!(metrics, [1.0]);
    }
}
