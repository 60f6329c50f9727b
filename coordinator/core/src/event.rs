//! Everything that can happen to the coordinator.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tumble_domain::{Outcomes, PipelineDescription, RunSpec, TrialRange};

use crate::record::{Attempt, Difference};

/// A moment: milliseconds of a clock that never goes back, for deciding, and of the wall clock, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp {
    /// Since some fixed moment before this process's first event.
    pub mono_ms: u64,
    /// Since 1970, as the wall clock has it. Nothing is decided by it.
    pub unix_ms: u64,
}

/// A session of a worker; a worker that reconnects gets another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

/// A client's question that waits for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A lease, unique over all restarts of a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

/// A run's id: its name and a few characters that make it unique.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub Arc<str>);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What happens. A new trigger is a new variant, and the compiler shows every place that must answer.
#[derive(Clone, Debug)]
pub enum Event {
    /// A worker has opened a session and said what it offers.
    WorkerJoined {
        /// Its session.
        worker: WorkerId,
        /// What it said.
        hello: Hello,
    },
    /// The session is over: the worker closed it, died, or the network did.
    WorkerLeft {
        /// Whose.
        worker: WorkerId,
    },
    /// The worker lives.
    Heartbeat {
        /// Which one.
        worker: WorkerId,
    },
    /// The worker wants no more grants; it reports what it has, then leaves.
    Leaving {
        /// Which one.
        worker: WorkerId,
    },
    /// The worker cannot evaluate this run, though it offers the pipeline.
    CannotRun {
        /// Which worker.
        worker: WorkerId,
        /// Which run.
        run: RunId,
        /// Why, for a person.
        reason: String,
    },
    /// A worker has the files that travel with a run: it can be granted trials of it.
    Ready {
        /// Which worker.
        worker: WorkerId,
        /// Which run.
        run: RunId,
    },
    /// A worker's replica of a strategy is not what it should be. The worker has forgotten it, and waits.
    Drifted {
        /// Which worker.
        worker: WorkerId,
        /// Which run.
        run: RunId,
        /// In which generation.
        generation: u32,
    },
    /// Outcomes have arrived.
    Reported {
        /// From whom.
        worker: WorkerId,
        /// What they are.
        report: Report,
    },
    /// A client submits a run. The shell has validated it.
    Submitted {
        /// Who waits for the reply.
        request: RequestId,
        /// The run.
        submission: Box<Submission>,
    },
    /// A client wants a run to end now.
    CancelRequested {
        /// Who waits.
        request: RequestId,
        /// Which run.
        run: RunId,
    },
    /// A client wants a suspended run to go on.
    ResumeRequested {
        /// Who waits.
        request: RequestId,
        /// Which run.
        run: RunId,
    },
    /// A client gives the candidates of a generation to a run that waits for them.
    Given {
        /// Who waits for the reply; how they are scored is looked up later ([`Run::answer_to`](crate::Run::answer_to)).
        request: RequestId,
        /// Which run.
        run: RunId,
        /// Which generation.
        generation: u32,
        /// The candidates, by rows.
        points: Arc<[f64]>,
    },
    /// A client gives no more candidates: the run is complete.
    FinishRequested {
        /// Who waits.
        request: RequestId,
        /// Which run.
        run: RunId,
    },
    /// A part of a trials table stands on disk, complete.
    PartWritten {
        /// Whose.
        run: RunId,
        /// Which part.
        part: u64,
        /// Its rows.
        rows: u64,
        /// Its size on disk.
        bytes: u64,
    },
    /// Every other table of the run and its summary stand on disk.
    TablesCompleted {
        /// Whose.
        run: RunId,
    },
    /// A second evaluation of trials has been compared with the recorded one.
    Compared {
        /// Whose trials.
        run: RunId,
        /// How they came, as [`TableWork::Compare`](crate::TableWork::Compare) had it.
        attempt: Box<Attempt>,
        /// How many trials differ.
        differing: u64,
        /// The first of them, at most [`DIFFERENCES_NAMED_MAX`](crate::DIFFERENCES_NAMED_MAX).
        named: Vec<Difference>,
    },
    /// Time has passed.
    Tick,
}

/// What a worker says of itself when it joins.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    /// Its host.
    pub host: String,
    /// Its process id there.
    pub process: u32,
    /// Shards it evaluates at once.
    pub slots: u32,
    /// What it can evaluate.
    pub pipelines: Vec<PipelineDescription>,
    /// Drawn when its process started, so that another session of it is known; 0 of one that says nothing of it.
    pub instance: u64,
    /// What it holds from an earlier session, what it evaluates before what waits.
    pub held: Vec<Held>,
}

/// A lease of an earlier session, as the worker that holds it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The lease.
    pub lease: LeaseId,
    /// Its run.
    pub run: RunId,
    /// The generation of its trials.
    pub generation: u32,
    /// The first trial of that.
    pub generation_start: u64,
    /// The trials whose outcomes were not acknowledged.
    pub range: TrialRange,
}

/// Outcomes of trials of a lease.
#[derive(Clone, Debug)]
pub struct Report {
    /// The lease, which may be over by now.
    pub lease: LeaseId,
    /// The run.
    pub run: RunId,
    /// The trials.
    pub range: TrialRange,
    /// Their outcomes, columns consistent in themselves.
    pub outcomes: Arc<Outcomes>,
    /// How long their evaluation took, in milliseconds.
    pub evaluate_ms: f64,
    /// Whether the worker is done with the lease; what is left of it goes back.
    pub last: bool,
    /// Size of the message on the wire.
    pub bytes: u64,
}

/// A run as it is submitted.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its id, made by the shell.
    pub run: RunId,
    /// The client's key: submitting twice under one key gives one run.
    pub key: String,
    /// The run, validated against `pipeline`.
    pub spec: Arc<RunSpec>,
    /// The pipeline that evaluates.
    pub pipeline: Arc<PipelineDescription>,
    /// The canonical run file.
    pub run_toml: Arc<str>,
    /// Where its tables go.
    pub folder: PathBuf,
}
