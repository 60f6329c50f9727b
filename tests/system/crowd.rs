//! Peers that flood, that never read, and that are many: what they may take of a coordinator is bounded, and the others
//! go on. They speak the real protocol, with the real secret.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_stream::{Stream, StreamExt};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tumble_domain::Outcomes;
use tumble_proto::access::{Access, SECRET_METADATA};
use tumble_proto::v1::from_worker::Kind;
use tumble_proto::v1::runs_client::RunsClient;
use tumble_proto::v1::workers_client::WorkersClient;
use tumble_proto::{outcomes, v1};

use crate::cases::*;
use crate::tally::survived;
use crate::tumble::*;

/// What a coordinator may need with all that these tests do to it. In a debug build it takes some 30 MB by itself.
const MEMORY_MAX: u64 = 300 << 20;
/// Streams of one connection that a server takes unless told otherwise, and some to spare.
const STREAMS_PER_CONNECTION: usize = 100;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads are left")
}

async fn channel(coordinator: &Coordinator) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", coordinator.address)).expect("it is an address");
    endpoint.connect().await.expect("it listens")
}

fn with_secret<T>(coordinator: &Coordinator, file: &str, message: T) -> Request<T> {
    let access = Access::read(&coordinator.state().join(file)).expect("it lies there");
    let mut request = Request::new(message);
    let secret = MetadataValue::try_from(&access.secret).expect("it is hexadecimal");
    request.metadata_mut().insert(SECRET_METADATA, secret);
    request
}

fn say(kind: Kind) -> v1::FromWorker {
    v1::FromWorker { kind: Some(kind) }
}

fn heartbeat() -> v1::FromWorker {
    say(Kind::Heartbeat(v1::Heartbeat {}))
}

/// A worker's session: it says hello, and then `more`. It offers no pipeline, so that nothing is granted to it.
async fn session(
    coordinator: &Coordinator,
    channel: Channel,
    more: impl Stream<Item = v1::FromWorker> + Send + 'static,
) -> Streaming<v1::ToWorker> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let hello = v1::Hello { version, host: "crowd".to_owned(), process: 1, slots: 1, ..v1::Hello::default() };
    let words = tokio_stream::once(say(Kind::Hello(hello))).chain(more);
    let request = with_secret(coordinator, "worker.access", words);
    WorkersClient::new(channel).session(request).await.expect("it is let in").into_inner()
}

/// The same, and it is in. One that floods may be out again before it has read that.
async fn welcome_session(
    coordinator: &Coordinator,
    channel: Channel,
    more: impl Stream<Item = v1::FromWorker> + Send + 'static,
) -> Streaming<v1::ToWorker> {
    let mut messages = session(coordinator, channel, more).await;
    let welcome = messages.message().await.expect("it is welcome").and_then(|message| message.kind);
    assert!(matches!(welcome, Some(v1::to_worker::Kind::Welcome(_))), "{welcome:?}");
    messages
}

/// Reads a session to its end, which must come with a reason.
async fn why_ended(mut messages: Streaming<v1::ToWorker>) -> Status {
    loop {
        match messages.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the session ended without a reason"),
            Err(status) => return status,
        }
    }
}

/// A report that fits no lease and has one metric too many.
fn senseless_report(run: &str, trials: u32) -> v1::FromWorker {
    let metrics = 8;
    let values = vec![0.5; (trials * metrics) as usize];
    let packed = outcomes::pack(&Outcomes { trials, metrics, values, ..Outcomes::default() });
    say(Kind::Report(v1::Report {
        lease: u64::MAX,
        run: run.to_owned(),
        first_trial: 0,
        hash: blake3_16(&packed),
        outcomes: packed.into(),
        evaluate_ms: 1.0,
        last: false,
    }))
}

fn blake3_16(bytes: &[u8]) -> Vec<u8> {
    blake3::hash(bytes).as_bytes()[..16].to_vec()
}

fn begun(place: &Place, coordinator: &Coordinator) -> (String, Process) {
    place.file("run-file.toml", LONG_SWEEP);
    let run = coordinator.submit("run-file.toml");
    let worker = coordinator.worker();
    under_way(coordinator.state(), &run, 0.01);
    (run, worker)
}

fn completes(place: &Place, coordinator: &Coordinator, run: &str, when: &str) {
    coordinator.client(&format!("wait {run} --quiet")).exits(0);
    assert_same(&results(&place.path().join("runs").join(run)), undisturbed(LONG_SWEEP), when);
    let peak = memory_peak(coordinator.id());
    println!("the coordinator's memory was {} MB at most", peak >> 20);
    assert!(peak < MEMORY_MAX, "{peak} bytes {when}");
}

#[test]
fn a_worker_that_floods_is_dismissed_with_a_reason_and_the_run_goes_on() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let (run, _worker) = begun(&place, &coordinator);
    runtime().block_on(async {
        // Heartbeats without end.
        let beats = tokio_stream::iter(std::iter::repeat_with(heartbeat));
        let ended = why_ended(session(&coordinator, channel(&coordinator).await, beats).await).await;
        assert_eq!(ended.code(), Code::ResourceExhausted, "{ended:?}");
        assert!(ended.message().contains("the worker floods"), "{ended:?}");

        // Reports that make no sense: some of a megabyte, then small ones without end.
        let large = senseless_report(&run, 16 * 1024);
        let small = senseless_report(&run, 1);
        let reports = std::iter::repeat_n(large, 200).chain(std::iter::repeat(small));
        let messages = session(&coordinator, channel(&coordinator).await, tokio_stream::iter(reports)).await;
        let ended = why_ended(messages).await;
        assert_eq!(ended.code(), Code::Aborted, "{ended:?}");
        assert!(ended.message().contains("its last 10000 reports brought nothing"), "{ended:?}");

        // What is no message of this protocol ends a session at once.
        let (words, said) = tokio::sync::mpsc::unbounded_channel();
        let said = tokio_stream::wrappers::UnboundedReceiverStream::new(said);
        let messages = welcome_session(&coordinator, channel(&coordinator).await, said).await;
        words.send(v1::FromWorker { kind: None }).expect("the session listens");
        let ended = why_ended(messages).await;
        assert_eq!(ended.code(), Code::InvalidArgument, "{ended:?}");
    });
    completes(&place, &coordinator, &run, "beside workers that flooded");
    survived("a worker that floods", 2);
}

#[test]
fn clients_that_never_read_are_bounded_in_number_and_cost_little() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    place.file("run-file.toml", LONG_SWEEP);
    // Without a worker it does not end, and with it what follows it.
    let run = coordinator.submit("run-file.toml");
    runtime().block_on(async {
        let watch = async |channel: &Channel| {
            let request = with_secret(&coordinator, "client.access", v1::RunRequest { run: run.clone() });
            RunsClient::new(channel.clone()).watch(request).await.map(tonic::Response::into_inner)
        };
        let (mut unread, mut channels) = (Vec::new(), Vec::new());
        let refused = 'all: loop {
            let channel = channel(&coordinator).await;
            channels.push(channel.clone());
            // Few for each: the client's library itself gives a connection up on which very much lies unread.
            for _ in 0..STREAMS_PER_CONNECTION / 4 {
                match watch(&channel).await {
                    Ok(views) => unread.push(views),
                    Err(status) => break 'all status,
                }
            }
            assert!(unread.len() < 2000, "there is no bound");
        };
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
        assert!(refused.message().contains("too many clients that follow runs"), "{refused:?}");
        assert_eq!(unread.len(), 1024);
        // Others are answered all the same, also while the run goes on beside those who do not read.
        let one = channel(&coordinator).await;
        let request = with_secret(&coordinator, "client.access", v1::RunRequest { run: run.clone() });
        RunsClient::new(one.clone()).get(request).await.expect("it is answered");
        // Who goes makes room.
        unread.truncate(1000);
        loop {
            match watch(&one).await {
                Ok(_) => break,
                Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let _worker = coordinator.worker();
        let waited = tokio::task::block_in_place(|| coordinator.client(&format!("wait {run} --quiet")));
        waited.exits(0);
        drop(unread);
    });
    completes(&place, &coordinator, &run, "beside clients that never read");
}

#[test]
fn a_thousand_idle_workers_are_borne_while_others_work() {
    const IDLE: usize = 1000;
    let place = Place::new();
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let runtime = runtime();
    let idle: Vec<_> = runtime.block_on(async {
        let mut idle = Vec::new();
        while idle.len() < IDLE {
            let channel = channel(&coordinator).await;
            for _ in 0..STREAMS_PER_CONNECTION {
                // Often enough that a busy machine does not make them silent.
                let every = tokio::time::interval(Duration::from_secs(1));
                let beats = tokio_stream::wrappers::IntervalStream::new(every).map(|_| heartbeat());
                idle.push(welcome_session(&coordinator, channel.clone(), beats).await);
            }
        }
        idle
    });
    let workers = || coordinator.client("list --output json").exits(0).json()["workers"].as_u64();
    until("all are there", || (workers() == Some(IDLE as u64)).then_some(()));
    let (run, _worker) = begun(&place, &coordinator);
    let _second = coordinator.worker();
    completes(&place, &coordinator, &run, "beside a thousand idle workers");
    drop((idle, runtime));
    until("those who hang up are gone", || (workers() == Some(2)).then_some(()));
}
