//! Clients that give a run its candidates: a generation at a time, each answered before the next, whatever dies meanwhile.
//!
//! A giver forgets now and then what it was told, as one that was killed does, and gives the same again.

use std::sync::Arc;

use tumble_core::{Refusal, RunId};
use tumble_domain::Outcomes;

use crate::rows::Rows;
use crate::world::{Asked, World};

/// The giver of one run.
#[derive(Default)]
pub(crate) struct Giver {
    /// Whether what it gives next was taken.
    taken: bool,
    /// Nothing more is to be given.
    done: bool,
    /// What it was answered, generation after generation.
    answers: Vec<Arc<Outcomes>>,
}

impl World {
    /// Givers look for their answers, and go on.
    pub(crate) fn givers_look(&mut self) {
        for run in 0..self.runs.len() {
            if !self.runs[run].file.given.is_empty() && !self.runs[run].giver.done && !self.is_asking(run) {
                self.giver_looks(run);
            }
        }
    }

    fn giver_looks(&mut self, run: usize) {
        let Some(id) = self.runs[run].id.clone() else { return };
        let generation = self.runs[run].giver.answers.len();
        let Some(points) = self.runs[run].file.given.get(generation).cloned() else {
            self.runs[run].giver.done = true;
            return self.want(Asked::Finish, run);
        };
        if !self.runs[run].giver.taken {
            return self.want(Asked::Give(generation as u32), run);
        }
        // Where the driver waits for the disk, nobody is told anything.
        let Some(process) = self.process.as_ref().filter(|process| process.is_durable()) else { return };
        match process.core.runs().get(&id).map(|run| run.answer_to(generation as u32, &points)) {
            Some(Ok(Some(outcomes))) => {
                self.look_again(run, &id);
                let giver = &mut self.runs[run].giver;
                giver.answers.push(outcomes);
                giver.taken = false;
            }
            // One that was killed gives the same again.
            Some(Ok(None)) => self.runs[run].giver.taken = !self.chance.one_in(6),
            Some(Err(Refusal::Ended(_))) => self.runs[run].giver.done = true,
            // It is stopped, and will be resumed.
            Some(Err(_)) => {}
            None => panic!("`{id}` was taken and is gone"),
        }
    }

    /// Whoever asks a second time is told the same.
    fn look_again(&mut self, run: usize, id: &RunId) {
        let known = &self.runs[run];
        let generation = known.giver.answers.len();
        let again =
            self.core().runs().get(id).map(|run| run.answer_to(generation as u32, &known.file.given[generation]));
        assert!(matches!(again, Some(Ok(Some(_)))), "`{id}` is answered once more: {again:?}");
    }

    /// A giver was answered that its candidates were taken, or why not.
    pub(crate) fn giver_heard(&mut self, run: usize, generation: u32, result: Result<(), Refusal>) {
        let giver = &mut self.runs[run].giver;
        match result {
            Ok(()) => giver.taken = true,
            Err(Refusal::Ended(_)) => giver.done = true,
            Err(Refusal::Given(why)) if why.contains("resume it first") => {}
            Err(refusal) => panic!("generation {generation} of run {run} is refused: {refusal}"),
        }
    }

    /// What a giver was told, as rows of the table.
    pub(crate) fn answered(&self, run: usize) -> Rows {
        let mut rows = Rows::default();
        self.runs[run].giver.answers.iter().for_each(|outcomes| rows.extend(outcomes));
        rows
    }
}
