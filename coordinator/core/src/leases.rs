//! Who evaluates what, until when. Leases are not journalled: after a restart every open trial is granted anew.

use std::collections::BTreeMap;

use tumble_domain::{RangeSet, TrialRange};

use crate::event::{LeaseId, RunId, WorkerId};

/// A worker's right to a range of trials.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Whose right.
    pub worker: WorkerId,
    /// Of which run.
    pub run: RunId,
    /// What is left of the range: reports come from its front.
    pub range: TrialRange,
    /// How often these trials were leased before.
    pub attempt: u32,
    /// When it was granted.
    pub granted_mono_ms: u64,
    /// The same for people.
    pub granted_unix_ms: u64,
    /// When its last report came, or it was granted.
    pub heard_unix_ms: u64,
    /// Bytes sent for it that no attempt row has counted yet.
    pub bytes_down: u64,
    /// Another lease holds the same trials: the straggler and its second.
    pub twin: Option<LeaseId>,
    /// How many workers these trials have taken down.
    pub deaths: u32,
}

/// Trials that were being evaluated when their worker died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The trials.
    pub range: TrialRange,
    /// How many workers they have taken down.
    pub deaths: u32,
}

/// What is open of one run and what it costs; volatile.
#[derive(Clone, Debug, Default)]
pub struct Backlog {
    /// Trials that nobody evaluates.
    pub fresh: RangeSet,
    /// Trials that have taken workers down; evaluated with care.
    pub suspects: Vec<Suspect>,
    /// Milliseconds that a trial takes, smoothed over reports.
    pub trial_ms: Option<f64>,
    /// Trials of the last shard: shards grow by a factor at a time.
    pub shard_trials: u64,
    /// How many leases of it are out.
    pub leases: usize,
    /// Raised with each grant: who was served longest ago is served next among equals.
    pub served: u64,
    /// When this process took the run up.
    pub since_mono_ms: u64,
    /// Trials that were scored by then.
    pub done_before: u64,
    /// When it ended, as far as this process has seen.
    pub until_mono_ms: Option<u64>,
    /// A part is being written.
    pub writing: bool,
    /// The other tables are being written.
    pub completing: bool,
    /// Second evaluations that are being compared; the other tables wait for what comes of it.
    pub comparing: u32,
    /// Why no worker can evaluate it, from the worker that said so last.
    pub refused: Option<String>,
}

impl Backlog {
    /// Trials that could be granted now.
    pub fn trials(&self) -> u64 {
        self.fresh.len() + self.suspects.iter().map(|s| s.range.len()).sum::<u64>()
    }

    /// Takes trials out that have been scored meanwhile.
    pub(crate) fn remove(&mut self, range: TrialRange) {
        self.fresh.remove(range);
        if self.suspects.iter().any(|s| !s.range.intersection(range).is_empty()) {
            let suspects = std::mem::take(&mut self.suspects);
            for Suspect { range: suspect, deaths } in suspects {
                let before = TrialRange::new(suspect.start, suspect.end.min(range.start));
                let after = TrialRange::new(suspect.start.max(range.end), suspect.end);
                let rest = if suspect.intersection(range).is_empty() { vec![suspect] } else { vec![before, after] };
                self.suspects.extend(rest.into_iter().filter(|r| !r.is_empty()).map(|range| Suspect { range, deaths }));
            }
        }
    }
}

/// The leases that are out, oldest first, and how many each worker holds of each run.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    by_id: BTreeMap<LeaseId, Lease>,
    held: BTreeMap<RunId, BTreeMap<WorkerId, usize>>,
}

impl Leases {
    /// How many workers hold leases of a run.
    pub fn workers(&self, run: &RunId) -> usize {
        self.held.get(run).map_or(0, BTreeMap::len)
    }

    /// One of them, to change what is left of it. Whose it is, and of which run, does not change.
    pub(crate) fn get_mut(&mut self, id: &LeaseId) -> Option<&mut Lease> {
        self.by_id.get_mut(id)
    }

    pub(crate) fn insert(&mut self, id: LeaseId, lease: Lease) {
        if !self.held.contains_key(&lease.run) {
            self.held.insert(lease.run.clone(), BTreeMap::new());
        }
        *self.held.get_mut(&lease.run).expect("it was put there").entry(lease.worker).or_insert(0) += 1;
        self.by_id.insert(id, lease);
    }

    pub(crate) fn remove(&mut self, id: &LeaseId) -> Option<Lease> {
        let lease = self.by_id.remove(id)?;
        let of_run = self.held.get_mut(&lease.run).expect("each lease is counted");
        let of_worker = of_run.get_mut(&lease.worker).expect("each lease is counted");
        *of_worker -= 1;
        if *of_worker == 0 {
            of_run.remove(&lease.worker);
        }
        if of_run.is_empty() {
            self.held.remove(&lease.run);
        }
        Some(lease)
    }
}

/// Looking at them is looking at the map.
impl std::ops::Deref for Leases {
    type Target = BTreeMap<LeaseId, Lease>;

    fn deref(&self) -> &BTreeMap<LeaseId, Lease> {
        &self.by_id
    }
}
