//! What the coordinator wants done, in the order that durability demands.

use std::collections::BTreeMap;
use std::sync::Arc;

use tumble_domain::{Outcomes, TrialRange};
use tumble_search::StateHash;

use crate::event::{LeaseId, RequestId, RunId, WorkerId};
use crate::record::{Attempt, RunRecord};
use crate::view::RunView;

/// The effects of one turn. What leaves the process can be had only by making the records durable first.
#[derive(Debug, Default)]
#[must_use]
pub struct Effects {
    /// Facts to make durable, in this order, all or none.
    records: Vec<RunRecord>,
    held: Outgoing,
}

/// What leaves once the records of the same turn are durable.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// To workers, in order for each.
    pub messages: Vec<(WorkerId, Message)>,
    /// To clients.
    pub replies: Vec<Reply>,
    /// To the tables.
    pub work: Vec<TableWork>,
    /// To workers: so many reports of its session were taken. One word for a whole turn.
    pub acknowledged: BTreeMap<WorkerId, u64>,
}

impl Effects {
    pub(crate) fn record(&mut self, record: RunRecord) {
        self.records.push(record);
    }

    pub(crate) fn send(&mut self, worker: WorkerId, message: Message) {
        self.held.messages.push((worker, message));
    }

    pub(crate) fn reply(&mut self, request: RequestId, result: Result<RunView, Refusal>) {
        self.held.replies.push(Reply { request, result });
    }

    pub(crate) fn work(&mut self, work: TableWork) {
        self.held.work.push(work);
    }

    pub(crate) fn acknowledge(&mut self, worker: WorkerId, reports: u64) {
        self.held.acknowledged.insert(worker, reports);
    }

    /// Adds the effects of a later event of the same turn.
    pub fn append(&mut self, mut later: Effects) {
        self.records.append(&mut later.records);
        self.held.messages.append(&mut later.held.messages);
        self.held.replies.append(&mut later.held.replies);
        self.held.work.append(&mut later.held.work);
        self.held.acknowledged.append(&mut later.held.acknowledged);
    }

    /// The only way to what leaves: `make_durable` must have the records on disk when it returns `Ok`.
    pub fn settle<E>(self, make_durable: impl FnOnce(Vec<RunRecord>) -> Result<(), E>) -> Result<Outgoing, E> {
        if !self.records.is_empty() {
            make_durable(self.records)?;
        }
        Ok(self.held)
    }
}

/// What a worker is told.
#[derive(Clone, Debug)]
pub enum Message {
    /// It is in; the first message.
    Welcome {
        /// How often it is to say that it lives.
        heartbeat_ms: u32,
    },
    /// What a run is, before the first grant of it. Of a run with a bundle it is sent as soon as may be, and grants wait for
    /// [`Event::Ready`](crate::Event::Ready).
    OpenRun {
        /// Which run.
        run: RunId,
        /// The canonical run file.
        run_toml: Arc<str>,
    },
    /// What a generation tries, before the first grant in it.
    Proposal {
        /// Which run.
        run: RunId,
        /// Which generation.
        generation: u32,
        /// The encoded proposal.
        bytes: Arc<[u8]>,
        /// Its hash.
        hash: StateHash,
    },
    /// The strategy's state in a generation, for a replica of it; instead of a proposal.
    Snapshot {
        /// Which run.
        run: RunId,
        /// Which generation.
        generation: u32,
        /// The snapshot; none for the first state, which the run file makes.
        bytes: Arc<[u8]>,
        /// The hash of the state.
        hash: StateHash,
    },
    /// What the strategy was told, for a replica that stands where it stood; instead of a proposal.
    Tell {
        /// Which run.
        run: RunId,
        /// The generation that it was told of.
        generation: u32,
        /// What it was told, encoded.
        bytes: Arc<[u8]>,
        /// The hash of its state after that.
        hash_after: StateHash,
    },
    /// Trials to evaluate.
    Grant(Grant),
    /// The run is over for it.
    CloseRun {
        /// Which run.
        run: RunId,
    },
    /// What it holds from an earlier session is in other hands, or needed by nobody.
    Revoke {
        /// The leases.
        leases: Vec<LeaseId>,
    },
    /// It was heard that it leaves: nothing more is granted to it in this session, and it may go when it has answered all.
    Farewell,
    /// Its session is over.
    Dismiss {
        /// Why, for a person.
        reason: String,
    },
}

/// The right to evaluate a range of trials, all of one generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The lease.
    pub lease: LeaseId,
    /// The run.
    pub run: RunId,
    /// The generation.
    pub generation: u32,
    /// Its first trial, which says what candidates the trials are of.
    pub generation_start: u64,
    /// The trials.
    pub range: TrialRange,
    /// How often they have been leased before.
    pub attempt: u32,
}

/// What a client is told.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Who asked.
    pub request: RequestId,
    /// The run as it is now, or why not.
    pub result: Result<RunView, Refusal>,
}

/// Why a client's request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such run.
    UnknownRun(RunId),
    /// The run has ended, and what was asked makes no sense any more.
    Ended(RunId),
    /// Too many runs are open; the limit.
    TooManyRuns(usize),
    /// The run's strategy does not fit in memory; why.
    TooLarge(String),
    /// What a client gives to a run makes no sense there; why.
    Given(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::UnknownRun(run) => write!(f, "there is no run `{run}`"),
            Refusal::Ended(run) => write!(f, "run `{run}` has ended"),
            Refusal::TooManyRuns(most) => write!(f, "{most} runs are open already; wait for one to end or cancel one"),
            Refusal::TooLarge(why) | Refusal::Given(why) => f.write_str(why),
        }
    }
}

/// What the tables' side of the shell has to do.
#[derive(Clone, Debug)]
pub enum TableWork {
    /// Write a part of the trials table; answered by `PartWritten`.
    Part {
        /// Whose.
        run: RunId,
        /// Which part.
        part: u64,
        /// Its trials, all of them durable.
        range: TrialRange,
    },
    /// Write every other table and the summary; answered by `TablesCompleted`.
    Complete {
        /// Whose.
        run: RunId,
    },
    /// Compare a second evaluation with the recorded one; answered by `Compared`, which the attempt waits for.
    Compare {
        /// Whose.
        run: RunId,
        /// How it came; how it went is known by then only.
        attempt: Box<Attempt>,
        /// The trials that were recorded before.
        known: Vec<TrialRange>,
        /// The first trial of `outcomes`.
        first_trial: u64,
        /// The report, in which those trials are.
        outcomes: Arc<Outcomes>,
    },
}
