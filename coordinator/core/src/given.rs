//! Runs whose candidates a client gives: a generation at a time, each answered with its outcomes.
//!
//! The run waits between two generations. What is given is durable before anything of it is granted, and the outcomes of the
//! last generation that closed stay until the next one has: whoever gives the same again, for it does not know what became of
//! it, is told the same.

use std::sync::Arc;

use tumble_domain::{Outcomes, TrialRange};
use tumble_search::proposal::given;
use tumble_search::strategies::check_given_size;
use tumble_search::{Space, StateHash};

use crate::effects::Refusal;
use crate::event::RunId;
use crate::run::{Phase, Run};

/// The outcomes of a generation whose candidates were given.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Which generation.
    pub generation: u32,
    /// What was given, as [`hash_of`] has it.
    pub hash: StateHash,
    /// The outcomes of its trials, in order.
    pub outcomes: Arc<Outcomes>,
}

/// The hash of the candidates of a generation, by which the same are known when they are given again.
pub(crate) fn hash_of(generation: u32, dimension: usize, points: &[f64]) -> StateHash {
    given(generation, dimension, points).hash()
}

/// What becomes of candidates that a client gives.
pub(crate) enum Standing {
    /// The run waits for them.
    Wanted,
    /// They were given before, and are evaluated or answered.
    Known,
}

impl Run {
    /// Whether a client gives its candidates.
    pub fn is_given(&self) -> bool {
        self.spec.plan.is_given()
    }

    /// Whether it waits for a client to give the candidates of the open generation.
    pub fn waits(&self) -> bool {
        self.evolution.as_ref().is_some_and(|evolution| evolution.strategy.is_given() && evolution.candidates() == 0)
    }

    /// Where candidates stand that a client gives for a generation.
    pub(crate) fn standing(&self, generation: u32, points: &[f64]) -> Result<Standing, Refusal> {
        let refused = |why: String| Err(Refusal::Given(format!("run `{}`: {why}", self.id)));
        let Some(evolution) = self.evolution.as_ref().filter(|_| self.is_given()) else {
            return refused("its strategy proposes its own candidates; it takes none from a client".to_owned());
        };
        let dimension = evolution.proposal.dimension();
        if points.is_empty() || !points.len().is_multiple_of(dimension) {
            let numbers = points.len();
            return refused(format!("{numbers} numbers are no candidates of {dimension} numbers each"));
        }
        let hash = hash_of(generation, dimension, points);
        if let Some(answer) = self.answer.as_ref().filter(|answer| answer.generation == generation) {
            return match answer.hash == hash {
                true => Ok(Standing::Known),
                false => refused(format!("generation {generation} was given other candidates, and is over")),
            };
        }
        match &self.phase {
            Phase::Open => {}
            Phase::Suspended(why) => return refused(format!("it is stopped ({why}); resume it first")),
            Phase::Ending(_) | Phase::Finished(_) => return Err(Refusal::Ended(self.id.clone())),
        }
        let open = evolution.generation();
        if generation != open {
            return refused(format!("generation {generation} is not the one that it waits for, which is {open}"));
        }
        if !self.waits() {
            return match evolution.proposal().1 == hash {
                true => Ok(Standing::Known),
                false => refused(format!("generation {generation} was given other candidates, and is being evaluated")),
            };
        }
        match self.refuse_points(dimension, points) {
            Some(why) => refused(why),
            None => Ok(Standing::Wanted),
        }
    }

    /// Why these candidates cannot be evaluated, if they cannot.
    fn refuse_points(&self, dimension: usize, points: &[f64]) -> Option<String> {
        let candidates = (points.len() / dimension) as u64;
        if candidates > self.layout.candidates {
            let most = self.layout.candidates;
            return Some(format!("{candidates} candidates are more than its `population` of {most} allows at once"));
        }
        if let Err(why) = check_given_size(candidates, dimension) {
            return Some(why);
        }
        let axes = self.spec.plan.evolved_axes();
        let space = (!axes.is_empty()).then(|| Space::try_new(axes).expect("a validated evolution has a space"));
        points.chunks_exact(dimension).enumerate().find_map(|(candidate, point)| {
            let why = match point.iter().position(|x| !x.is_finite()) {
                Some(at) => Some(format!("number {at} is {:?}, which is not finite", point[at])),
                None => space.as_ref()?.refusal(point, &self.pipeline),
            };
            why.map(|why| format!("candidate {candidate}: {why}"))
        })
    }

    /// The outcomes of a generation that was given these candidates; `None` while it is evaluated.
    pub fn answer_to(&self, generation: u32, points: &[f64]) -> Result<Option<Arc<Outcomes>>, Refusal> {
        // Only where it is open, it may be answered later; hashing much each time that it is looked is for nothing.
        if self.phase == Phase::Open && self.generation() == generation && !self.waits() {
            return Ok(None);
        }
        match self.standing(generation, points)? {
            Standing::Known => Ok(self.answer.as_ref().map(|answer| answer.outcomes.clone())),
            Standing::Wanted => Ok(None),
        }
    }

    pub(crate) fn apply_given(&mut self, generation: u32, points: &[f64]) -> bool {
        let replicates = self.layout.replicates;
        let is_wanted = self.waits() && self.generation() == generation;
        let Some(evolution) = self.evolution.as_mut().filter(|_| is_wanted) else { return false };
        evolution.give(points, replicates);
        self.layout.begin(generation, u64::from(evolution.candidates()));
        true
    }

    /// Keeps outcomes of the open generation for whoever gave its candidates.
    pub(crate) fn keep_for_answer(&mut self, range: TrialRange, outcomes: &Arc<Outcomes>) {
        if let Some(evolution) = self.evolution.as_mut().filter(|evolution| evolution.strategy.is_given()) {
            evolution.pieces.push((range, outcomes.clone()));
        }
    }

    /// The answer of the open generation, whose trials are all scored.
    pub(crate) fn make_answer(&mut self) {
        let Some(evolution) = self.evolution.as_mut().filter(|evolution| evolution.strategy.is_given()) else { return };
        let (generation, (_, hash)) = (evolution.generation(), evolution.proposal());
        let mut pieces = std::mem::take(&mut evolution.pieces);
        pieces.sort_by_key(|(range, _)| range.start);
        let outcomes = Outcomes::joined(pieces.iter().map(|(_, outcomes)| &**outcomes));
        self.answer = Some(Answer { generation, hash, outcomes: Arc::new(outcomes) });
    }

    /// Whether a client may say that it gives no more; if not, why not.
    pub(crate) fn may_finish(&self) -> Result<(), Refusal> {
        let refused = |why: String| Err(Refusal::Given(format!("run `{}`: {why}", self.id)));
        if !self.is_given() {
            return refused("it ends by itself; to end it now, cancel it".to_owned());
        }
        match self.waits() {
            true => Ok(()),
            false => {
                let generation = self.generation();
                refused(format!("generation {generation} is still being evaluated; wait for it, or cancel the run"))
            }
        }
    }
}

/// The reason that a run shows while it waits.
pub(crate) const WAITS: &str = "for candidates";

/// That a journal's record gives candidates to a run that does not wait for them.
pub(crate) fn drifted(run: &RunId, generation: u32) -> crate::runs::ReplayError {
    crate::runs::ReplayError::Drifted { run: run.clone(), generation }
}
