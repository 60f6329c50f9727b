//! Results that differ when trials are evaluated again: they stop nothing, and are not to be overlooked.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedSender};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Request;
use tonic::transport::Endpoint;
use tumble_domain::Outcomes;
use tumble_pipelines::registry;
use tumble_proto::access::{Access, SECRET_METADATA};
use tumble_proto::v1::workers_client::WorkersClient;
use tumble_proto::{describe, outcomes, v1};
use tumble_tables::{AttemptOutcome, Column, read_attempts, read_column};

use crate::tally::survived;
use crate::tumble::*;

/// More trials than the first part of the table has.
const RUN: &str = r#"
name = "differing"
pipeline = "benchmark-functions"
[sweep]
design = "random"
points = 9000
[sweep.axes]
x0 = { linear = [-1.0, 1.0] }
"#;

/// What this worker says of a trial: its number and a half, so that nobody takes it for an evaluation.
fn value_of(trial: u64) -> f64 {
    trial as f64 + 0.5
}

/// A worker that says what it is told to: the real protocol, and no evaluator behind it.
struct Mouth {
    say: UnboundedSender<v1::FromWorker>,
    metrics: u32,
}

impl Mouth {
    fn say(&self, kind: v1::from_worker::Kind) {
        self.say.send(v1::FromWorker { kind: Some(kind) }).expect("the session goes on");
    }

    fn report(&self, grant: &v1::Grant, value: impl Fn(u64) -> f64) {
        let trials = grant.first_trial..grant.first_trial + grant.trials;
        let values = (0..self.metrics).flat_map(|_| trials.clone().map(&value)).collect();
        let (count, metrics) = (grant.trials as u32, self.metrics);
        let columns = Outcomes { trials: count, metrics, values, ..Outcomes::default() };
        let bytes = outcomes::pack(&columns);
        let hash = blake3::hash(&bytes).as_bytes()[..16].to_vec();
        self.say(v1::from_worker::Kind::Report(v1::Report {
            lease: grant.lease,
            run: grant.run.clone(),
            first_trial: grant.first_trial,
            outcomes: bytes.into(),
            // As if it were slow, so that shards stay small.
            evaluate_ms: 10.0 * grant.trials as f64,
            last: true,
            hash,
        }));
    }
}

/// Evaluates a run alone, one of its first shards twice: the second time when a part holds it, and with another number
/// for its third trial, which is what this gives.
async fn evaluate_twice(state: &Path, run: &str) -> (u64, u64) {
    let access = Access::read(&state.join("worker.access")).expect("the coordinator wrote it");
    let channel = Endpoint::from_shared(access.address).unwrap().connect().await.expect("it listens");
    let (say, said) = mpsc::unbounded_channel();
    let pipelines = registry::all();
    let metrics = pipelines.iter().find(|p| p.description().name == "benchmark-functions").expect("it is on board");
    let mouth = Mouth { metrics: metrics.description().metrics.len() as u32, say };
    mouth.say(v1::from_worker::Kind::Hello(v1::Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: "here".to_owned(),
        process: 1,
        slots: 1,
        pipelines: pipelines.iter().map(|pipeline| describe::to_wire(pipeline.description())).collect(),
        ..v1::Hello::default()
    }));
    let mut request = Request::new(UnboundedReceiverStream::new(said));
    request.metadata_mut().insert(SECRET_METADATA, access.secret.parse().unwrap());
    let mut told = WorkersClient::new(channel).session(request).await.expect("it is let in").into_inner();
    // A worker that is waited for must not be taken for one that is gone.
    let alive = mouth.say.clone();
    tokio::spawn(async move {
        let beat = || v1::FromWorker { kind: Some(v1::from_worker::Kind::Heartbeat(v1::Heartbeat {})) };
        while alive.send(beat()).is_ok() {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    let (mut twice, mut waiting, mut reported) = (None::<v1::Grant>, VecDeque::new(), 0);
    let (mut shard, mut differing) = (u64::MAX, u64::MAX);
    loop {
        match told.message().await.expect("the session goes on").expect("it does").kind.expect("it is a message") {
            v1::to_worker::Kind::Grant(grant) => waiting.push_back(grant),
            v1::to_worker::Kind::CloseRun(_) => return (shard, differing),
            _ => {}
        }
        while let Some(grant) = waiting.pop_front() {
            if reported >= 4096
                && let Some(grant) = twice.take()
            {
                let seen = |key: &'static str| {
                    tokio::task::block_in_place(|| {
                        until("the coordinator has come so far", || {
                            (standing(state, run)?[key].as_u64()? >= 1).then_some(())
                        });
                    });
                };
                seen("parts");
                (shard, differing) = (grant.first_trial, grant.first_trial + 2);
                mouth.report(&grant, |trial| if trial == differing { -1.25 } else { value_of(trial) });
                seen("disagreements");
            }
            mouth.report(&grant, value_of);
            reported += grant.trials;
            // The first shards are small, for nobody knows yet how long a trial takes.
            if twice.is_none() && shard == u64::MAX && grant.trials > 2 && grant.first_trial + grant.trials <= 4096 {
                twice = Some(grant);
            }
        }
    }
}

/// What stood in a part was once not looked at any more.
#[test]
fn results_that_differ_from_a_written_part_are_named_and_give_exit_code_6() {
    let place = Place::new();
    place.file("run.toml", RUN);
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let run = coordinator.submit("run.toml");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (shard, differing) = runtime.block_on(evaluate_twice(coordinator.state(), &run));
    assert!(differing < 4096, "no shard was evaluated twice");
    coordinator.client(&format!("wait {run}")).exits(6);
    let folder = place.path().join("runs").join(&run);
    // The first report stands, and nothing was stopped.
    assert_each_trial_once(&folder, 9000);
    let Column::Float(values) = read_column(&folder.join("trials"), "value").unwrap() else { panic!("numbers") };
    assert!(values.iter().copied().eq((0..9000).map(value_of)));
    let summary = summary(&folder);
    assert_eq!((&summary["state"], &summary["reason"]), (&"finished".into(), &"complete".into()));
    assert_eq!(summary["disagreements"], 1);
    let named = serde_json::json!([{
        "trial": differing, "column": "value", "recorded": value_of(differing).to_string(), "again": "-1.25"
    }]);
    assert_eq!(summary["differing"], named);
    let attempts = read_attempts(&folder.join("attempts.parquet")).unwrap();
    let disagreed: Vec<_> = attempts.iter().filter(|row| row.outcome == AttemptOutcome::Disagreed).collect();
    assert_eq!(
        disagreed.iter().map(|row| (row.first_trial, row.worker.as_str())).collect::<Vec<_>>(),
        [(shard, "here/1")]
    );
    let shown = place.tumble(&format!("show runs/{run}")).exits(0).stdout;
    assert!(shown.contains("\nDISAGREE  1 trials gave different results when evaluated again"), "{shown}");
    let line = format!("\n          trial {differing}: value {}, then -1.25\n", value_of(differing));
    assert!(shown.contains(&line), "{shown}");
    // A run that grows from this one does not forget it.
    place.tumble(&format!("extend runs/{run} --set sweep.points=9001 --quiet --workers 1")).exits(6);
    survived("two evaluations of a trial that differ", 1);
}
