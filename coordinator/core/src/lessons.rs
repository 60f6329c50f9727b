//! How a worker comes by the candidates of a generation: it is sent the proposal, or what the strategy was told since,
//! from which the worker's own replica of the strategy goes the same way. Whichever is smaller.
//!
//! A proposal grows with the dimension, what was told with the population alone. A worker that comes late is sent a
//! snapshot, never the history; before anything was told, the run file is all that a replica needs.

use std::collections::VecDeque;
use std::sync::Arc;

use tumble_search::{StateHash, Told};

use crate::effects::Message;
use crate::event::RunId;
use crate::run::Evolution;

/// A worker whose replica has drifted so often is sent proposals: its machine seems to compute otherwise than ours.
pub const DRIFTS_MAX: u32 = 2;

/// What a worker knows of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The generation whose candidates it can make.
    pub generation: Option<u32>,
    /// Where its replica of the strategy stands, if it has one.
    pub replica: Option<u32>,
    /// How often its replica has drifted.
    pub drifts: u32,
}

/// What the strategy was told last, generation after generation without a gap, up to the open one. It never takes more
/// bytes than a proposal: beyond that the proposal is the smaller way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    generation: u32,
    bytes: Arc<[u8]>,
    hash_after: StateHash,
}

impl Log {
    /// Adds what the strategy was told and what came of it, and forgets what is not worth sending any more.
    pub(crate) fn push(&mut self, generation: u32, told: Told, hash_after: StateHash, bytes_max: usize) {
        let bytes: Arc<[u8]> = told.encode().into();
        self.bytes += bytes.len();
        self.entries.push_back(Entry { generation, bytes, hash_after });
        while self.bytes > bytes_max {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.bytes.len();
        }
    }

    /// Bytes that it keeps.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What leads from `generation` to `to`, if all of it is here.
    fn since(&self, generation: u32, to: u32) -> Option<impl Iterator<Item = &Entry>> {
        let entries = || self.entries.iter().filter(move |entry| entry.generation >= generation);
        (entries().count() == to.checked_sub(generation)? as usize).then(entries)
    }
}

impl Evolution {
    /// What brings a worker to the open generation, of which it is the first of `generations_left`; `known` is what it
    /// knows once it has it.
    pub(crate) fn lessons(&self, run: &RunId, known: &mut Known, generations_left: u64) -> Vec<Message> {
        let generation = self.generation();
        let (proposal, hash) = self.proposal();
        let before = std::mem::replace(known, Known { generation: Some(generation), replica: None, ..known.clone() });
        let of_proposal = || vec![Message::Proposal { run: run.clone(), generation, bytes: proposal.clone(), hash }];
        // What a client gives follows from nothing that a strategy was told.
        if before.drifts >= DRIFTS_MAX || self.strategy.is_given() {
            return of_proposal();
        }
        if let Some(entries) = before.replica.and_then(|at| self.log.since(at, generation)) {
            known.replica = Some(generation);
            let tell = |entry: &Entry| {
                let Entry { generation, bytes, hash_after } = entry.clone();
                Message::Tell { run: run.clone(), generation, bytes, hash_after }
            };
            return entries.map(tell).collect();
        }
        let of_proposals = generations_left.saturating_mul(proposal.len() as u64);
        let of_tells = self.strategy.told_as().bytes(self.strategy.population()).saturating_mul(generations_left - 1);
        // Before it is made: where even a snapshot of no bytes would not do.
        if of_tells >= of_proposals {
            return of_proposal();
        }
        let bytes = if generation == 0 { Arc::from([]) } else { self.snapshot() };
        if of_tells.saturating_add(bytes.len() as u64) >= of_proposals {
            return of_proposal();
        }
        known.replica = Some(generation);
        vec![Message::Snapshot { run: run.clone(), generation, bytes, hash: self.state_hash() }]
    }
}
