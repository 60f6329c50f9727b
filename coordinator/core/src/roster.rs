//! The workers of the moment. Nothing here is journalled: a restarted coordinator learns them anew.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Hello, LeaseId, RunId, WorkerId};
use crate::lessons::Known;
use crate::run::Run;

/// One worker's session.
#[derive(Clone, Debug)]
pub struct Worker {
    /// What it said of itself.
    pub hello: Hello,
    /// When it was last heard of.
    pub heard_mono_ms: u64,
    /// Its leases, oldest first: the first `slots` of them are being evaluated, the rest wait.
    pub leases: Vec<LeaseId>,
    /// Reports that came in this session.
    pub reports: u64,
    /// It takes no more grants.
    pub leaving: bool,
    /// It holds trials that have taken workers down, and is given nothing beside them, so that nothing else is blamed.
    pub quarantined: bool,
    /// Reports in a row that brought nothing.
    pub reports_idle: u32,
    /// Runs it has been told of, and what it knows of each.
    pub known: BTreeMap<RunId, Known>,
    /// Runs it has been told of whose files it does not have yet: nothing is granted of them, so that its death is blamed on no trial.
    pub fetching: BTreeSet<RunId>,
    /// Runs it cannot evaluate.
    pub refused: BTreeSet<RunId>,
}

impl Worker {
    pub(crate) fn new(hello: Hello, now_mono_ms: u64) -> Worker {
        Worker {
            hello,
            heard_mono_ms: now_mono_ms,
            leases: Vec::new(),
            reports: 0,
            leaving: false,
            quarantined: false,
            reports_idle: 0,
            known: BTreeMap::new(),
            fetching: BTreeSet::new(),
            refused: BTreeSet::new(),
        }
    }

    /// As the attempts table names it.
    pub fn name(&self) -> String {
        format!("{}/{}", self.hello.host, self.hello.process)
    }

    /// Whether it can evaluate the run: it offers the very pipeline that the run was checked against, or code of the
    /// user's own, of which the run file says all.
    pub fn offers(&self, run: &Run) -> bool {
        !self.refused.contains(&run.id) && self.hello.pipelines.iter().any(|p| p.covers(&run.pipeline))
    }

    /// Whether it can evaluate the run now: it has the files that travel with it, if any do.
    pub fn is_ready_for(&self, run: &Run) -> bool {
        let has_files = || self.known.contains_key(&run.id) && !self.fetching.contains(&run.id);
        self.offers(run) && (run.spec.bundle.is_none() || has_files())
    }
}

/// The workers by session.
pub type Roster = BTreeMap<WorkerId, Worker>;
