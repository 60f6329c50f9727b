//! How much memory a strategy takes, told without building it.

/// Numbers of 8 bytes that a strategy holds. Populations and dimensions are bounded, so no product of two overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    /// From generation to generation.
    pub(super) state: u64,
    /// In a proposal.
    pub(super) proposal: u64,
    /// Beside the state while it is told.
    pub(super) scratch: u64,
}

impl Numbers {
    pub(super) fn bytes(self, dimension: u64) -> Memory {
        let bytes = |numbers: u64| numbers.saturating_mul(8);
        Memory {
            state: bytes(self.state),
            proposal: bytes(self.proposal),
            scratch: bytes(self.scratch),
            candidate: bytes(dimension),
        }
    }
}

/// What a strategy takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What it keeps from generation to generation; a snapshot is as large.
    pub state: u64,
    /// A proposal; encoded it is as large.
    pub proposal: u64,
    /// What it needs beside the state while it is told.
    pub scratch: u64,
    /// One candidate's vector.
    pub candidate: u64,
}

impl Memory {
    /// The most that a coordinator holds for an evolution: its state, the proposal as it is and encoded, and beside them
    /// whichever is largest: an update, the next proposal before the last is dropped, a checkpoint on its way to disk.
    pub fn coordinator(&self) -> u64 {
        let twice = |bytes: u64| bytes.saturating_mul(2);
        let beside = self.scratch.max(twice(self.proposal)).max(twice(self.state));
        self.state.saturating_add(twice(self.proposal)).saturating_add(beside)
    }

    /// The most that a worker holds for an evolution: the proposal at work, the next one as it arrives and decoded, and a
    /// candidate for each slot.
    pub fn worker(&self, slots: u64) -> u64 {
        self.proposal.saturating_mul(3).saturating_add(self.candidate.saturating_mul(slots))
    }

    /// The most that each slot of a worker holds for an evolution within a trial.
    pub fn nested(&self) -> u64 {
        [self.state, self.proposal, self.scratch.max(self.proposal), self.candidate]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}
