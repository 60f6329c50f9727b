//! Crowds: a thousand workers, a hundred thousand shards out at once. What is held is held against what there should be;
//! how long it took is printed for whoever asks: `cargo test -p tumble-core --test crowd -- --nocapture`.

#![allow(dead_code, reason = "the desk and its checks serve the stories as well, which use the rest")]

mod check;
mod desk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tumble_core::{Coordinator, Event, Grant, Hello, Limits, Message, Report, RequestId, RunId, Submission, Timestamp};
use tumble_core::{TableWork, WorkerId};
use tumble_domain::PipelineDescription;

use crate::desk::{outcomes, sweep, worker};

const WORKERS: u64 = 1000;
const SLOTS: u32 = 50;
const LEASES: u64 = WORKERS * SLOTS as u64 * 2;
/// Pipelines that a worker offers besides: who looks for one looks among them.
const OTHERS: usize = 20;

struct Crowd {
    core: Coordinator,
    granted: BTreeMap<WorkerId, Vec<Grant>>,
    now_ms: u64,
}

impl Crowd {
    fn event(&mut self, event: Event) {
        let mut next = vec![event];
        while let Some(event) = next.pop() {
            let now = Timestamp { mono_ms: self.now_ms, unix_ms: self.now_ms };
            let effects = self.core.handle(now, event);
            let done = effects.settle(|_| Ok::<_, std::convert::Infallible>(()));
            let outgoing = done.unwrap_or_else(|never| match never {});
            for (to, message) in outgoing.messages {
                match message {
                    Message::Grant(grant) => self.granted.entry(to).or_default().push(grant),
                    Message::Dismiss { reason } => panic!("{to:?} is dismissed: {reason}"),
                    _ => {}
                }
            }
            for work in outgoing.work {
                next.push(match work {
                    TableWork::Part { run, part, range } => {
                        Event::PartWritten { run, part, rows: range.len(), bytes: 1 }
                    }
                    TableWork::Complete { run } => Event::TablesCompleted { run },
                    TableWork::Compare { .. } => panic!("nothing was evaluated twice"),
                });
            }
            // What the driver asks before it waits.
            self.core.next_wakeup();
        }
    }

    fn join(&mut self, number: u64, pipelines: Vec<PipelineDescription>) {
        let hello = Hello {
            instance: 0,
            held: Vec::new(),
            host: format!("host-{number}"),
            process: 1,
            slots: SLOTS,
            pipelines,
        };
        self.event(Event::WorkerJoined { worker: worker(number), hello });
    }

    fn submit(&mut self, points: u64) -> RunId {
        let run = RunId("walk-1".into());
        let submission = Submission {
            run: run.clone(),
            key: "walk".into(),
            spec: Arc::new(sweep(points)),
            pipeline: Arc::new(desk::pipeline()),
            run_toml: "".into(),
            folder: "walk".into(),
        };
        self.event(Event::Submitted { request: RequestId(0), submission: Box::new(submission) });
        run
    }

    fn report(&mut self, from: WorkerId, grant: &Grant) {
        let report = Report {
            lease: grant.lease,
            run: grant.run.clone(),
            range: grant.range,
            outcomes: Arc::new(outcomes(grant.range)),
            // So long that nobody is late.
            evaluate_ms: 1e5,
            last: true,
            bytes: 1,
        };
        self.event(Event::Reported { worker: from, report });
    }
}

fn pipelines() -> Vec<PipelineDescription> {
    let other = |i: usize| PipelineDescription { name: format!("other-{i}"), ..desk::pipeline() };
    (0..OTHERS).map(other).chain([desk::pipeline()]).collect()
}

fn crowd() -> Crowd {
    let limits = Limits::default();
    Crowd { core: desk::replay(&limits, 1, 0, &[]), granted: BTreeMap::new(), now_ms: 0 }
}

fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

fn each(what: &str, times: u64, since: Instant) {
    println!("{what}: {:.1} us each of {times}", since.elapsed().as_secs_f64() * 1e6 / times as f64);
}

#[test]
fn a_hundred_thousand_shards_are_out_at_once_and_come_back_in_any_order() {
    let mut crowd = crowd();
    let run = crowd.submit(LEASES);
    let (since, before) = (Instant::now(), memory());
    (0..WORKERS).for_each(|number| crowd.join(number, pipelines()));
    each("grants", LEASES, since);
    assert_eq!(crowd.core.leases().len() as u64, LEASES, "every trial is out, in a shard of its own");
    println!("memory: {} bytes for each lease, with what the test keeps of it", (memory() - before) / LEASES);
    // One who can do nothing of it, so that there is always an idle worker to look for stragglers for.
    crowd.join(WORKERS, Vec::new());
    crowd.now_ms = 9_000;

    let since = Instant::now();
    (0..1000).for_each(|number| crowd.event(Event::Heartbeat { worker: worker(number % WORKERS) }));
    each("heartbeats", 1000, since);
    let since = Instant::now();
    for _ in 0..100 {
        assert_eq!(crowd.core.view(&run, Timestamp::default()).expect("it is there").workers, WORKERS as u32);
    }
    each("views", 100, since);
    // Each second one from the front and each other from behind: gaps all over the table.
    let mut grants: Vec<(WorkerId, Grant)> =
        std::mem::take(&mut crowd.granted).into_iter().flat_map(|(w, g)| g.into_iter().map(move |g| (w, g))).collect();
    grants.sort_by_key(|(_, grant)| (grant.range.start % 2, grant.range.start));
    let half = grants.len() / 2;
    grants[half..].reverse();
    let since = Instant::now();
    grants.iter().for_each(|(from, grant)| crowd.report(*from, grant));
    each("reports", LEASES, since);
    let view = crowd.core.view(&run, Timestamp::default()).expect("it is there");
    assert_eq!((view.trials_done, view.workers, view.state.is_over()), (LEASES, 0, true));
    assert!(crowd.core.leases().is_empty() && crowd.granted.is_empty(), "nothing was granted twice");
}

#[test]
fn a_thousand_idle_workers_are_no_work() {
    let mut crowd = crowd();
    (0..WORKERS).for_each(|number| crowd.join(number, pipelines()));
    let since = Instant::now();
    for beat in 0..100_000 {
        crowd.now_ms = beat / 100;
        crowd.event(Event::Heartbeat { worker: worker(beat % WORKERS) });
    }
    each("heartbeats", 100_000, since);
    assert_eq!(crowd.core.roster().len() as u64, WORKERS);
}
