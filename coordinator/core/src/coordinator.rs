//! The coordinator itself: events in, effects out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tumble_domain::{Outcomes, RangeSet, Status, TrialError, TrialRange};
use tumble_search::memory::{Need, Place, TooLarge};

use crate::effects::{Effects, Grant, Message, Refusal, TableWork};
use crate::event::{Event, Held, Hello, LeaseId, Report, RequestId, RunId, Submission, Timestamp, WorkerId};
use crate::given::{self, Standing};
use crate::grants;
use crate::leases::{Backlog, Lease, Leases, Suspect};
use crate::lessons::Known;
use crate::limits::Limits;
use crate::record::{Attempt, AttemptOutcome, Difference, Reason, Record, RunRecord};
use crate::roster::{Roster, Worker};
use crate::run::{Phase, Run};
use crate::runs::{ReplayError, Runs};
use crate::view::{RunView, ViewState};

/// How many bytes a message takes on the wire: the protocol's to say, the core's to add up.
pub type WireLength = fn(&Message) -> u64;

/// The deciding machine. See the crate's head for what it does not have.
pub struct Coordinator {
    limits: Limits,
    wire_length: WireLength,
    runs: Runs,
    roster: Roster,
    leases: Leases,
    backlogs: BTreeMap<RunId, Backlog>,
    next_lease: u64,
    served: u64,
    refused_reports: u64,
    /// Until then workers of before the restart may come back with what they hold.
    returning_until_mono_ms: u64,
    /// Slots of the workers that offer a run, as far as asked since the roster changed last.
    slots: BTreeMap<RunId, u64>,
    stragglers_sought_mono_ms: u64,
}

/// How often stragglers are looked for, in milliseconds: each time all leases are.
const STRAGGLERS_EVERY_MS: u64 = 50;

impl Coordinator {
    /// A coordinator that has just restarted with these records; a new one has none. `epoch` is higher at each restart,
    /// so that leases of an earlier life are never taken for new ones.
    pub fn replay(
        limits: Limits,
        wire_length: WireLength,
        epoch: u32,
        now: Timestamp,
        records: impl IntoIterator<Item = RunRecord>,
    ) -> Result<Coordinator, ReplayError> {
        let mut runs = Runs::default();
        for record in records {
            runs.apply(&record)?;
        }
        let mut coordinator = Coordinator {
            limits,
            wire_length,
            runs,
            roster: Roster::new(),
            leases: Leases::default(),
            backlogs: BTreeMap::new(),
            next_lease: u64::from(epoch) << 40,
            served: 0,
            refused_reports: 0,
            returning_until_mono_ms: 0,
            slots: BTreeMap::new(),
            stragglers_sought_mono_ms: 0,
        };
        let open: Vec<RunId> =
            coordinator.runs.iter().filter(|run| is_live(&run.phase)).map(|r| r.id.clone()).collect();
        if !open.is_empty() {
            coordinator.returning_until_mono_ms = now.mono_ms + coordinator.limits.return_ms;
        }
        for id in open {
            coordinator.take_up(&id, now);
        }
        Ok(coordinator)
    }

    /// Takes one event. The only way in.
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Effects {
        let mut effects = Effects::default();
        if !matches!(event, Event::Reported { .. } | Event::Heartbeat { .. }) {
            self.slots.clear(); // who is here and takes grants may be about to change
        }
        match event {
            Event::WorkerJoined { worker, hello } => self.worker_joined(now, worker, hello, &mut effects),
            Event::WorkerLeft { worker } => self.worker_left(now, worker, AttemptOutcome::Lost, &mut effects),
            Event::Heartbeat { worker } => {
                self.heard(now, worker);
                return effects; // nothing that could be handed out has changed
            }
            Event::Leaving { worker } => {
                self.heard(now, worker);
                if let Some(leaving) = self.roster.get_mut(&worker) {
                    leaving.leaving = true;
                    effects.send(worker, Message::Farewell);
                }
            }
            Event::CannotRun { worker, run, reason } => self.cannot_run(now, worker, run, reason),
            Event::Ready { worker, run } => {
                self.heard(now, worker);
                if let Some(worker) = self.roster.get_mut(&worker) {
                    worker.fetching.remove(&run);
                }
            }
            Event::Drifted { worker, run, generation } => self.drifted(now, worker, run, generation, &mut effects),
            Event::Reported { worker, report } => {
                let before = self.scored_trials(&report.run);
                let run = report.run.clone();
                self.reported(now, worker, report, &mut effects);
                self.weigh_report(now, worker, self.scored_trials(&run) != before, &mut effects);
            }
            Event::Submitted { request, submission } => self.submitted(now, request, *submission, &mut effects),
            Event::CancelRequested { request, run } => self.cancel(now, request, run, &mut effects),
            Event::ResumeRequested { request, run } => self.resume(now, request, run, &mut effects),
            Event::Given { request, run, generation, points } => {
                self.given(now, request, &run, generation, points, &mut effects);
            }
            Event::FinishRequested { request, run } => self.finish(now, request, run, &mut effects),
            Event::PartWritten { run, part, rows, bytes } => {
                self.part_written(&run, part, rows, bytes, &mut effects);
            }
            Event::TablesCompleted { run } => self.tables_completed(now, &run, &mut effects),
            Event::Compared { run, attempt, differing, named } => {
                self.compared(&run, *attempt, differing, named, &mut effects);
            }
            Event::Tick => self.tick(now, &mut effects),
        }
        self.hand_out(now, &mut effects);
        effects
    }

    /// When [`Event::Tick`] is next needed, on the monotonic clock.
    pub fn next_wakeup(&self) -> Option<u64> {
        let silences = self.roster.values().map(|worker| worker.heard_mono_ms + self.limits.silence_ms_max);
        let walls = self.backlogs.iter().filter_map(|(id, backlog)| self.wall_mono_ms(id, backlog));
        // The oldest lease has the lowest id. One that was taken up again after a restart is younger than it looks, and hides
        // stragglers behind it for as long as it is young itself.
        let oldest = self.leases.values().next();
        let stragglers = oldest.map(|lease| {
            let late = lease.granted_mono_ms + self.limits.straggler_ms_min;
            late.max(self.stragglers_sought_mono_ms + STRAGGLERS_EVERY_MS)
        });
        let idle = self.roster.values().any(|w| w.leases.is_empty() && !w.leaving);
        silences.chain(walls).chain(stragglers.into_iter().filter(|_| idle)).min()
    }

    /// The runs.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// The workers.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The leases that are out.
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// What is open of a run.
    pub fn backlog(&self, run: &RunId) -> Option<&Backlog> {
        self.backlogs.get(run)
    }

    /// Reports that made no sense and were dropped.
    pub fn refused_reports(&self) -> u64 {
        self.refused_reports
    }

    /// A run as a client sees it.
    pub fn view(&self, id: &RunId, now: Timestamp) -> Option<RunView> {
        let run = self.runs.get(id)?;
        let backlog = self.backlogs.get(id);
        let workers = self.leases.workers(id);
        let (state, reason) = match &run.phase {
            Phase::Open if workers > 0 => (ViewState::Running, String::new()),
            Phase::Open if run.waits() => (ViewState::Waiting, given::WAITS.to_owned()),
            Phase::Open => (ViewState::Waiting, self.why_waiting(run)),
            Phase::Ending(reason) => (ViewState::Finishing, reason.to_string()),
            Phase::Finished(reason @ Reason::Cancelled) => (ViewState::Cancelled, reason.to_string()),
            Phase::Finished(reason @ Reason::Aborted(_)) => (ViewState::Failed, reason.to_string()),
            Phase::Finished(reason) => (ViewState::Finished, reason.to_string()),
            Phase::Suspended(why) => (ViewState::Suspended, why.clone()),
        };
        Some(RunView {
            run: id.clone(),
            name: run.spec.name.clone(),
            pipeline: run.spec.pipeline.clone(),
            state,
            reason,
            // Where a client gives candidates, nobody knows how many will come.
            trials: if run.is_given() { run.scope().end } else { run.layout.trials_expected() },
            trials_done: run.done.len(),
            trials_evaluated: run.done.len() - backlog.map_or(run.done.len(), |b| b.done_before),
            trials_failed: run.failed,
            generation: run.generation(),
            generations: if run.evolution.is_some() { run.layout.generations as u32 } else { 0 },
            objective: run.spec.objective.as_written(),
            best: run.best,
            folder: run.folder.clone(),
            elapsed_ms: backlog.map_or(0, |b| b.until_mono_ms.unwrap_or(now.mono_ms).saturating_sub(b.since_mono_ms)),
            workers: workers as u32,
            bytes_down: run.bytes_down,
            bytes_up: run.bytes_up,
            disagreements: run.disagreements,
            differing: run.differing.clone(),
            resyncs: run.resyncs,
            parts: run.parts,
        })
    }

    fn why_waiting(&self, run: &Run) -> String {
        let refused = self.backlogs.get(&run.id).and_then(|backlog| backlog.refused.clone());
        if self.roster.is_empty() {
            "no worker has joined".to_owned()
        } else if let Some(refused) = refused {
            refused
        } else if !self.roster.values().any(|worker| worker.offers(run)) {
            format!("no worker offers pipeline `{}` version {}", run.pipeline.name, run.pipeline.version)
        } else if !self.roster.values().any(|worker| worker.is_ready_for(run)) {
            "workers fetch the files of its bundle".to_owned()
        } else {
            String::new()
        }
    }

    /// Makes a fact: changes the state by it and sends it to the journal.
    fn record(&mut self, run: &RunId, record: Record, effects: &mut Effects) {
        let record = RunRecord { run: run.clone(), record };
        self.runs.apply(&record).expect("a record made now applies to the state it was made from");
        effects.record(record);
    }

    fn take_up(&mut self, id: &RunId, now: Timestamp) {
        let run = self.runs.get(id).expect("the caller has just seen it");
        let (fresh, done_before) = (run.open_trials(), run.done.len());
        // A part may be being written since before a suspension; one at a time.
        let writing = self.backlogs.get(id).is_some_and(|backlog| backlog.writing);
        let comparing = self.backlogs.get(id).map_or(0, |backlog| backlog.comparing);
        let since_mono_ms = now.mono_ms;
        let backlog = Backlog { fresh, done_before, writing, comparing, since_mono_ms, ..Backlog::default() };
        self.backlogs.insert(id.clone(), backlog);
    }

    // Workers ---------------------------------------------------------------------------------------------------------

    fn worker_joined(&mut self, now: Timestamp, id: WorkerId, mut hello: Hello, effects: &mut Effects) {
        let held = std::mem::take(&mut hello.held);
        let before = self.supersede(hello.instance, effects);
        if self.roster.len() >= self.limits.workers_max {
            let reason = format!("{} workers are here already", self.limits.workers_max);
            return effects.send(id, Message::Dismiss { reason });
        }
        self.roster.insert(id, Worker::new(hello, now.mono_ms));
        effects.send(id, Message::Welcome { heartbeat_ms: self.limits.heartbeat_ms as u32 });
        self.resume_leases(now, id, held, &before, effects);
        let with_files = self.runs.iter().filter(|run| run.spec.bundle.is_some() && run.phase == Phase::Open);
        for run in with_files.map(|run| run.id.clone()).collect::<Vec<_>>() {
            self.open_with_files(&run, id, effects);
        }
    }

    /// Tells a worker of a run whose files it does not have, so that it fetches them before anything is granted to it.
    fn open_with_files(&mut self, run: &RunId, id: WorkerId, effects: &mut Effects) {
        let (Some(run), Some(worker)) = (self.runs.get(run), self.roster.get_mut(&id)) else { return };
        if run.spec.bundle.is_none() || !worker.offers(run) || worker.leaving || worker.known.contains_key(&run.id) {
            return;
        }
        worker.known.insert(run.id.clone(), Known::default());
        worker.fetching.insert(run.id.clone());
        effects.send(id, Message::OpenRun { run: run.id.clone(), run_toml: run.run_toml.clone() });
    }

    /// The same for every worker.
    fn open_with_files_everywhere(&mut self, run: &RunId, effects: &mut Effects) {
        if self.runs.get(run).is_some_and(|run| run.spec.bundle.is_some()) {
            let workers: Vec<WorkerId> = self.roster.keys().copied().collect();
            workers.into_iter().for_each(|worker| self.open_with_files(run, worker, effects));
        }
    }

    /// Ends the earlier session of a process that is back before its end was noticed. Nobody died: what it held is open
    /// again as it was, and given as it stood.
    fn supersede(&mut self, instance: u64, effects: &mut Effects) -> BTreeMap<LeaseId, Lease> {
        let is_same = |worker: &Worker| instance != 0 && worker.hello.instance == instance;
        let Some(earlier) = self.roster.iter().find(|(_, w)| is_same(w)).map(|(id, _)| *id) else {
            return BTreeMap::new();
        };
        effects.send(earlier, Message::Dismiss { reason: "it has come back in another session".to_owned() });
        let held = self.roster[&earlier].leases.clone();
        let leases = held.iter().filter_map(|id| Some((*id, self.leases.get(id)?.clone()))).collect();
        held.into_iter().for_each(|lease| self.release(lease));
        self.roster.remove(&earlier);
        leases
    }

    /// Makes leases of what a worker still holds, under their old names, as far as nobody else has its trials; it goes on
    /// with them. It is told of those that it holds in vain.
    fn resume_leases(
        &mut self,
        now: Timestamp,
        id: WorkerId,
        held: Vec<Held>,
        before: &BTreeMap<LeaseId, Lease>,
        effects: &mut Effects,
    ) {
        let most = self.roster[&id].hello.slots as usize * self.limits.leases_per_slot;
        let alone = held.len() == 1;
        let mut revoked = Vec::new();
        let mut over = BTreeSet::new();
        for held in held {
            let Some(run) = self.runs.get(&held.run).filter(|run| run.phase == Phase::Open) else {
                if over.insert(held.run.clone()) {
                    effects.send(id, Message::CloseRun { run: held.run });
                }
                continue;
            };
            let generation = run.generation();
            let has_room = self.roster[&id].leases.len() < most;
            let lease = has_room.then(|| self.lease_again(now, id, &held, before, alone)).flatten();
            let worker = self.roster.get_mut(&id).expect("it has just joined");
            // It knows what the run is. Where its replica stands it does not say, so it has none.
            let known = worker.known.entry(held.run.clone()).or_default();
            let Some(lease) = lease else {
                revoked.push(held.lease);
                continue;
            };
            // Nobody evaluates without the proposal.
            known.generation = Some(generation);
            worker.leases.push(held.lease);
            worker.quarantined |= lease.deaths > 0;
            self.backlogs.get_mut(&held.run).expect("an open run has a backlog").leases += 1;
            if let Some(twin) = lease.twin.and_then(|twin| self.leases.get_mut(&twin)) {
                twin.twin = Some(held.lease);
            }
            self.leases.insert(held.lease, lease);
        }
        if !revoked.is_empty() {
            effects.send(id, Message::Revoke { leases: revoked });
        }
    }

    /// The lease that a worker says it holds, if its trials are open and either nobody has them or one other worker has
    /// exactly them, which then is its twin. Takes them out of the backlog.
    fn lease_again(
        &mut self,
        now: Timestamp,
        worker: WorkerId,
        held: &Held,
        before: &BTreeMap<LeaseId, Lease>,
        alone: bool,
    ) -> Option<Lease> {
        let run = self.runs.get(&held.run)?;
        let generation = run.layout.generation(run.generation());
        let is_of_now = held.generation == run.generation() && held.generation_start == generation.start;
        let is_known = held.lease.0 < self.next_lease && !self.leases.contains_key(&held.lease);
        let is_shard = generation.contains(held.range) && held.range.len() <= self.limits.shard_trials_max;
        let open = open_of(run, held.range);
        if !is_of_now || !is_known || !is_shard || open.is_empty() {
            return None;
        }
        let earlier = before.get(&held.lease);
        let backlog = self.backlogs.get_mut(&held.run).expect("an open run has a backlog");
        let (mut deaths, mut twin) = (0, None);
        if open.iter().all(|range| backlog.fresh.contains(range)) {
            open.iter().for_each(|range| backlog.fresh.remove(range));
        } else if let Some(at) = backlog.suspects.iter().position(|s| open.first() == Some(s.range)) {
            // The death that was laid to them was none: here is who died. An earlier one may have been.
            deaths = earlier.map_or(backlog.suspects[at].deaths - 1, |lease| lease.deaths);
            if open.pieces() > 1 || (deaths > 0 && !alone) {
                return None;
            }
            backlog.suspects.remove(at);
        } else {
            let is_twin = |lease: &Lease| {
                lease.run == held.run && lease.worker != worker && lease.twin.is_none() && lease.deaths == 0
            };
            let same = |lease: &Lease| is_twin(lease) && open_of(run, lease.range) == open;
            twin = Some(self.leases.iter().find(|(_, lease)| same(lease)).map(|(id, _)| *id)?);
        }
        Some(Lease {
            worker,
            run: held.run.clone(),
            range: held.range,
            attempt: earlier.map_or(deaths + u32::from(twin.is_some()), |lease| lease.attempt),
            granted_mono_ms: now.mono_ms,
            granted_unix_ms: earlier.map_or(now.unix_ms, |lease| lease.granted_unix_ms),
            heard_unix_ms: earlier.map_or(now.unix_ms, |lease| lease.heard_unix_ms),
            bytes_down: earlier.map_or(0, |lease| lease.bytes_down),
            twin,
            deaths,
        })
    }

    fn heard(&mut self, now: Timestamp, worker: WorkerId) {
        if let Some(worker) = self.roster.get_mut(&worker) {
            worker.heard_mono_ms = now.mono_ms;
        }
    }

    fn cannot_run(&mut self, now: Timestamp, id: WorkerId, run: RunId, reason: String) {
        let Some(worker) = self.roster.get_mut(&id) else { return };
        worker.heard_mono_ms = now.mono_ms;
        if !self.runs.get(&run).is_some_and(|run| run.phase == Phase::Open) {
            return; // nobody will ask for it, so there is nothing to remember
        }
        let is_news = worker.refused.insert(run.clone());
        worker.fetching.remove(&run);
        let of_run = |lease: &&LeaseId| self.leases.get(lease).is_some_and(|l| l.run == run);
        let held: Vec<LeaseId> = worker.leases.iter().filter(of_run).copied().collect();
        for lease in held {
            self.release(lease);
        }
        // What it says of grants that were under way is only that it does not know the run.
        if let Some(backlog) = self.backlogs.get_mut(&run).filter(|_| is_news) {
            backlog.refused = Some(reason);
        }
    }

    /// A replica is not what it should be: it is made anew, for what the worker holds of the run waits for it.
    fn drifted(&mut self, now: Timestamp, id: WorkerId, run_id: RunId, generation: u32, effects: &mut Effects) {
        let Some(worker) = self.roster.get_mut(&id) else { return };
        worker.heard_mono_ms = now.mono_ms;
        let name = worker.name();
        let Some(known) = worker.known.get_mut(&run_id).filter(|known| known.replica.is_some()) else {
            return; // it has been sent a proposal since, or the run is over for it
        };
        *known = Known { drifts: known.drifts + 1, ..Known::default() };
        self.record(&run_id, Record::Resynced { worker: name, generation }, effects);
        let worker = self.roster.get_mut(&id).expect("it was there");
        let held = worker.leases.iter().find(|lease| self.leases.get(lease).is_some_and(|l| l.run == run_id));
        // One that holds nothing of the run is brought up with its next lease.
        let Some(lease) = held.and_then(|lease| self.leases.get_mut(lease)) else { return };
        let run = self.runs.get(&run_id).expect("a lease has a run");
        let known = worker.known.get_mut(&run_id).expect("it was there");
        let evolution = run.evolution.as_ref().expect("only an evolution has replicas");
        for message in evolution.lessons(&run_id, known, run.generations_left()) {
            lease.bytes_down += (self.wire_length)(&message);
            effects.send(id, message);
        }
    }

    /// A worker is gone; `how` is what becomes of the attempts that it leaves behind.
    fn worker_left(&mut self, now: Timestamp, id: WorkerId, how: AttemptOutcome, effects: &mut Effects) {
        let Some(worker) = self.roster.remove(&id) else { return };
        for (position, lease_id) in worker.leases.iter().enumerate() {
            let Some(lease) = self.leases.remove(lease_id) else { continue };
            self.unlink_twin(&lease);
            let Some(backlog) = self.backlogs.get_mut(&lease.run) else { continue };
            backlog.leases -= 1;
            // Those behind the first `slots` were waiting, so they cannot have done it.
            let was_running = position < worker.hello.slots as usize;
            let deaths = lease.deaths + u32::from(was_running && !worker.leaving);
            let attempt = Attempt {
                range: lease.range,
                attempt: lease.attempt,
                worker: worker.name(),
                host: worker.hello.host.clone(),
                granted_unix_ms: lease.granted_unix_ms,
                ended_unix_ms: now.unix_ms,
                evaluate_ms: 0.0,
                outcome: how,
                bytes_down: lease.bytes_down,
                bytes_up: 0,
            };
            self.record(&lease.run, Record::Attempted(attempt), effects);
            self.give_back(&lease, deaths, worker.quarantined, effects);
        }
    }

    /// Puts what is left of a lease back into its run's backlog; `deaths` says how many workers it took down.
    fn give_back(&mut self, lease: &Lease, deaths: u32, was_alone: bool, effects: &mut Effects) {
        let Some(run) = self.runs.get(&lease.run) else { return };
        if run.phase != Phase::Open {
            return;
        }
        let range = lease.range.intersection(run.scope());
        if range.is_empty() || lease.twin.is_some_and(|twin| self.leases.contains_key(&twin)) {
            return; // nothing left, or the twin still evaluates it
        }
        let attempts = run.spec.limits.attempts;
        let metrics = run.recorded.metrics.len() as u32;
        let open = open_of(run, range);
        let backlog = self.backlogs.get_mut(&lease.run).expect("an open run has a backlog");
        for range in open.iter() {
            if deaths == 0 {
                backlog.fresh.insert(range);
            } else if deaths < 2 {
                backlog.suspects.push(Suspect { range, deaths });
            } else if range.len() > 1 {
                let middle = range.start + range.len() / 2;
                for half in [TrialRange::new(range.start, middle), TrialRange::new(middle, range.end)] {
                    // Each half must take a worker down once more, alone, to be halved again.
                    backlog.suspects.push(Suspect { range: half, deaths: 1 });
                }
            } else if deaths < attempts.max(2) || !was_alone {
                backlog.suspects.push(Suspect { range, deaths });
            } else {
                let message = format!("the worker died {deaths} times while it evaluated this trial alone");
                let outcomes = Outcomes {
                    trials: 1,
                    metrics,
                    statuses: vec![Status::Failed],
                    values: run.unscored(range.start),
                    errors: vec![TrialError { offset: 0, message }],
                };
                let scored = Record::Scored { range, outcomes: Arc::new(outcomes) };
                self.record(&lease.run, scored, effects);
                self.progress(&lease.run, effects);
                return;
            }
        }
    }

    fn unlink_twin(&mut self, lease: &Lease) {
        if let Some(twin) = lease.twin.and_then(|twin| self.leases.get_mut(&twin)) {
            twin.twin = None;
        }
    }

    /// Ends a lease if it is this worker's.
    fn release_from(&mut self, worker: WorkerId, id: LeaseId) {
        if self.leases.get(&id).is_some_and(|lease| lease.worker == worker) {
            self.release(id);
        }
    }

    /// Ends a lease whose trials go back, if any are left. Nobody died of them, so they are blamed for no more than before.
    fn release(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.remove(&id) else { return };
        if let Some(backlog) = self.backlogs.get_mut(&lease.run) {
            backlog.leases -= 1;
        }
        if let Some(worker) = self.roster.get_mut(&lease.worker) {
            worker.leases.retain(|l| *l != id);
            worker.quarantined &= !worker.leases.is_empty();
        }
        // Only a death is recorded: the effects stay empty.
        let mut none = Effects::default();
        self.give_back(&lease, lease.deaths, false, &mut none);
        self.unlink_twin(&lease);
    }

    // Reports ---------------------------------------------------------------------------------------------------------

    fn reported(&mut self, now: Timestamp, id: WorkerId, report: Report, effects: &mut Effects) {
        self.heard(now, id);
        let Some(worker) = self.roster.get_mut(&id) else { return };
        worker.reports += 1;
        effects.acknowledge(id, worker.reports);
        let (name, host) = (worker.name(), worker.hello.host.clone());
        let Some(run) = self.runs.get(&report.run).filter(|run| run.phase == Phase::Open) else {
            return self.release_from(id, report.lease);
        };
        let metrics_match = report.range.is_empty() || report.outcomes.metrics as usize == run.recorded.metrics.len();
        // Not the scope's end: an abort may have brought that forward while these trials were being evaluated.
        let within = TrialRange::new(0, run.layout.generation(run.generation()).end).contains(report.range);
        // What comes under a lease that is over is welcome; what does not fit a lease that is out would lose its trials.
        let fits = self.leases.get(&report.lease).is_none_or(|lease| {
            let from_front = lease.range.contains(report.range) && lease.range.start == report.range.start;
            lease.worker == id && lease.run == report.run && (report.range.is_empty() || from_front)
        });
        if u64::from(report.outcomes.trials) != report.range.len() || !metrics_match || !within || !fits {
            self.refused_reports += 1;
            return self.release_from(id, report.lease);
        }
        let fresh: Vec<TrialRange> = run.done.gaps(report.range.intersection(run.scope())).iter().collect();
        let lease = self.leases.get_mut(&report.lease);
        let attempt = Attempt {
            range: lease.as_ref().filter(|_| report.range.is_empty()).map_or(report.range, |l| l.range),
            attempt: lease.as_ref().map_or(0, |l| l.attempt),
            worker: name,
            host,
            granted_unix_ms: lease.as_ref().map_or(now.unix_ms, |l| l.heard_unix_ms),
            ended_unix_ms: now.unix_ms,
            evaluate_ms: report.evaluate_ms,
            outcome: match (fresh.is_empty(), report.range.is_empty()) {
                (_, true) => AttemptOutcome::Returned,
                (true, _) => AttemptOutcome::Duplicate,
                _ => AttemptOutcome::Reported,
            },
            bytes_down: lease.as_ref().map_or(0, |l| l.bytes_down),
            bytes_up: report.bytes,
        };
        if let Some(lease) = lease {
            lease.range.start += report.range.len();
            lease.bytes_down = 0;
            lease.heard_unix_ms = now.unix_ms;
        }
        self.score(&report, attempt, &fresh, effects);
        let backlog = self.backlogs.get_mut(&report.run).expect("an open run has a backlog");
        if !report.range.is_empty() {
            let measured = (report.evaluate_ms / report.range.len() as f64).max(1e-9);
            backlog.trial_ms = Some(backlog.trial_ms.map_or(measured, |before| 0.5 * (before + measured)));
            backlog.shard_trials = backlog.shard_trials.max(report.range.len());
            backlog.remove(report.range);
        }
        if report.last || self.leases.get(&report.lease).is_some_and(|lease| lease.range.is_empty()) {
            self.release_from(id, report.lease);
        }
        self.progress(&report.run, effects);
    }

    fn scored_trials(&self, run: &RunId) -> u64 {
        self.runs.get(run).map_or(0, |run| run.done.len())
    }

    /// Counts reports that bring nothing: a few are in the nature of things, a flood of them is a worker gone wrong.
    fn weigh_report(&mut self, now: Timestamp, id: WorkerId, brought: bool, effects: &mut Effects) {
        let Some(worker) = self.roster.get_mut(&id) else { return };
        worker.reports_idle = if brought { 0 } else { worker.reports_idle + 1 };
        if worker.reports_idle > self.limits.reports_idle_max {
            let reason = format!("its last {} reports brought nothing", self.limits.reports_idle_max);
            effects.send(id, Message::Dismiss { reason });
            self.worker_left(now, id, AttemptOutcome::Lost, effects);
            self.slots.clear();
        }
    }

    /// Records what is new of a report and has the rest compared with what is recorded. How an attempt went that brought
    /// something for the second time is known when that is compared.
    fn score(&mut self, report: &Report, attempt: Attempt, fresh: &[TrialRange], effects: &mut Effects) {
        let slice = |range: TrialRange| {
            if range == report.range {
                return report.outcomes.clone();
            }
            Arc::new(report.outcomes.slice((range.start - report.range.start) as u32, range.len() as u32))
        };
        // Trials behind the end of a table that an abort cut short are neither new nor known.
        let run = self.runs.get(&report.run).expect("the caller has just seen it");
        let known: Vec<TrialRange> = run.done.within(report.range).collect();
        if known.is_empty() {
            self.record(&report.run, Record::Attempted(attempt), effects);
        } else {
            self.backlogs.get_mut(&report.run).expect("an open run has a backlog").comparing += 1;
            effects.work(TableWork::Compare {
                run: report.run.clone(),
                attempt: Box::new(attempt),
                known,
                first_trial: report.range.start,
                outcomes: report.outcomes.clone(),
            });
        }
        for range in fresh {
            self.record(&report.run, Record::Scored { range: *range, outcomes: slice(*range) }, effects);
        }
    }

    fn compared(
        &mut self,
        id: &RunId,
        attempt: Attempt,
        differing: u64,
        named: Vec<Difference>,
        effects: &mut Effects,
    ) {
        let Some(backlog) = self.backlogs.get_mut(id) else { return };
        backlog.comparing = backlog.comparing.saturating_sub(1);
        let outcome = if differing > 0 { AttemptOutcome::Disagreed } else { attempt.outcome };
        self.record(id, Record::Attempted(Attempt { outcome, ..attempt }), effects);
        if differing > 0 {
            self.record(id, Record::Disagreed { trials: differing, named }, effects);
        }
        self.write_tables(id, effects);
    }

    // Runs ------------------------------------------------------------------------------------------------------------

    fn submitted(&mut self, now: Timestamp, request: RequestId, submission: Submission, effects: &mut Effects) {
        if let Some(run) = self.runs.by_key(&submission.key) {
            let view = self.view(&run.id, now).expect("a run that is there has a view");
            return effects.reply(request, Ok(view));
        }
        if self.runs.iter().filter(|run| is_live(&run.phase)).count() >= self.limits.runs_open_max {
            return effects.reply(request, Err(Refusal::TooManyRuns(self.limits.runs_open_max)));
        }
        if let Err(too_large) = self.fits(&submission) {
            return effects.reply(request, Err(Refusal::TooLarge(too_large.to_string())));
        }
        let Submission { run, key, spec, pipeline, run_toml, folder } = submission;
        let record = Record::Submitted { key, spec, pipeline, run_toml, folder, unix_ms: now.unix_ms };
        self.record(&run, record, effects);
        self.take_up(&run, now);
        self.open_with_files_everywhere(&run, effects);
        effects.reply(request, Ok(self.view(&run, now).expect("a run just submitted has a view")));
    }

    /// Whether the strategy of a new run fits in the memory that those of the open runs leave.
    fn fits(&self, new: &Submission) -> Result<(), TooLarge> {
        let Some(need) = Need::of(&new.spec, &new.pipeline) else { return Ok(()) };
        let open = self.runs.iter().filter(|run| is_live(&run.phase) && run.evolution.is_some());
        let taken: u64 = open
            .filter_map(|run| Need::of(&run.spec, &run.pipeline))
            .map(|need| need.bytes(Place::Coordinator))
            .fold(0, u64::saturating_add);
        need.check(Place::Coordinator, self.limits.memory_bytes_max.saturating_sub(taken))
    }

    fn cancel(&mut self, now: Timestamp, request: RequestId, id: RunId, effects: &mut Effects) {
        let Some(run) = self.runs.get(&id) else {
            return effects.reply(request, Err(Refusal::UnknownRun(id)));
        };
        if !matches!(run.phase, Phase::Open | Phase::Suspended(_)) {
            return effects.reply(request, Err(Refusal::Ended(id)));
        }
        if !self.backlogs.contains_key(&id) {
            self.take_up(&id, now);
        }
        // The table keeps the prefix that is scored: whatever part is being written lies within it.
        let run = self.runs.get(&id).expect("it was there");
        let kept = run.done.first().filter(|first| first.start == 0).map_or(0, |first| first.end);
        self.end(&id, Reason::Cancelled, kept, effects);
        self.write_tables(&id, effects);
        effects.reply(request, Ok(self.view(&id, now).expect("it was there")));
    }

    fn resume(&mut self, now: Timestamp, request: RequestId, id: RunId, effects: &mut Effects) {
        match self.runs.get(&id).map(|run| &run.phase) {
            None => return effects.reply(request, Err(Refusal::UnknownRun(id))),
            Some(Phase::Suspended(_)) => {
                self.record(&id, Record::Resumed, effects);
                self.take_up(&id, now);
                self.open_with_files_everywhere(&id, effects);
            }
            Some(Phase::Open) => {}
            Some(_) => return effects.reply(request, Err(Refusal::Ended(id))),
        }
        effects.reply(request, Ok(self.view(&id, now).expect("it was there")));
    }

    /// Takes the candidates of the generation that a run waits for; what was given before is known again.
    fn given(
        &mut self,
        now: Timestamp,
        request: RequestId,
        id: &RunId,
        generation: u32,
        points: Arc<[f64]>,
        effects: &mut Effects,
    ) {
        let Some(run) = self.runs.get(id) else {
            return effects.reply(request, Err(Refusal::UnknownRun(id.clone())));
        };
        match run.standing(generation, &points) {
            Err(refusal) => return effects.reply(request, Err(refusal)),
            Ok(Standing::Known) => {}
            Ok(Standing::Wanted) => {
                self.record(id, Record::Given { generation, points }, effects);
                let open = self.runs.get(id).expect("it was there").open_trials();
                self.backlogs.get_mut(id).expect("an open run has a backlog").fresh = open;
            }
        }
        effects.reply(request, Ok(self.view(id, now).expect("it was there")));
    }

    /// Ends a run whose client gives no more candidates.
    fn finish(&mut self, now: Timestamp, request: RequestId, id: RunId, effects: &mut Effects) {
        let Some(run) = self.runs.get(&id) else {
            return effects.reply(request, Err(Refusal::UnknownRun(id)));
        };
        // Who asks again has not heard that it is over.
        if !run.is_given() || matches!(run.phase, Phase::Open | Phase::Suspended(_)) {
            if let Err(refusal) = run.may_finish() {
                return effects.reply(request, Err(refusal));
            }
            let end = run.scope().start;
            if !self.backlogs.contains_key(&id) {
                self.take_up(&id, now);
            }
            self.end(&id, Reason::Complete, end, effects);
            self.write_tables(&id, effects);
        }
        effects.reply(request, Ok(self.view(&id, now).expect("it was there")));
    }

    /// What follows from trials having been scored: generations close, the run ends, parts are written.
    fn progress(&mut self, id: &RunId, effects: &mut Effects) {
        loop {
            let run = self.runs.get(id).expect("the caller has just seen it");
            if run.phase != Phase::Open || !run.generation_is_complete() {
                break;
            }
            if run.evolution.is_none() {
                let end = run.trials_end;
                let reason = if run.aborted { self.aborted(id, end - 1) } else { Reason::Complete };
                self.end(id, reason, end, effects);
                break;
            }
            match run.generation_row() {
                Ok(row) => {
                    self.record(id, Record::GenerationClosed { row }, effects);
                    let run = self.runs.get(id).expect("it was there");
                    let closed_end = run.layout.generation(run.generation()).start;
                    if let Some(reason) = run.stop_reason() {
                        self.end(id, reason, closed_end, effects);
                    } else {
                        let open = run.open_trials();
                        if run.generation() >= run.checkpoint_generation + self.limits.checkpoint_generations {
                            self.checkpoint(id, effects);
                        }
                        self.backlogs.get_mut(id).expect("an open run has a backlog").fresh = open;
                    }
                }
                Err(trial) => {
                    let end = run.scope().end;
                    let reason = self.aborted(id, trial);
                    self.end(id, reason, end, effects);
                }
            }
        }
        let run = self.runs.get(id).expect("it was there");
        let (end, open) = (run.trials_end, run.phase == Phase::Open);
        if let Some(backlog) = self.backlogs.get_mut(id).filter(|_| open) {
            // An abort may have shortened the table while trials behind its new end were open.
            backlog.remove(TrialRange::new(end, u64::MAX));
        }
        self.write_tables(id, effects);
    }

    fn aborted(&self, id: &RunId, trial: u64) -> Reason {
        let at = self.runs.get(id).expect("the caller has just seen it").layout.address(trial);
        let place = if self.runs.get(id).is_some_and(|run| run.evolution.is_some()) {
            format!("trial {trial} (generation {}, candidate {}) failed", at.generation, at.candidate)
        } else {
            format!("trial {trial} failed")
        };
        Reason::Aborted(format!("{place} and on_failure is \"abort\""))
    }

    fn checkpoint(&mut self, id: &RunId, effects: &mut Effects) {
        let checkpoint = self.runs.get(id).expect("the caller has just seen it").checkpoint();
        self.record(id, Record::Checkpoint(Box::new(checkpoint)), effects);
    }

    /// Nothing more is evaluated; workers let go of the run.
    fn end(&mut self, id: &RunId, reason: Reason, trials_end: u64, effects: &mut Effects) {
        self.record(id, Record::Ending { reason, trials_end }, effects);
        self.withdraw(id, effects);
    }

    /// Takes a run back from every worker.
    fn withdraw(&mut self, id: &RunId, effects: &mut Effects) {
        let held: Vec<LeaseId> = if self.leases.workers(id) == 0 {
            Vec::new()
        } else {
            self.leases.iter().filter(|(_, l)| l.run == *id).map(|(lease, _)| *lease).collect()
        };
        for lease in held {
            let lease_was = self.leases.remove(&lease).expect("it was listed a line ago");
            if let Some(worker) = self.roster.get_mut(&lease_was.worker) {
                worker.leases.retain(|l| *l != lease);
                worker.quarantined &= !worker.leases.is_empty();
            }
        }
        if let Some(backlog) = self.backlogs.get_mut(id) {
            backlog.leases = 0;
            backlog.fresh = RangeSet::new();
            backlog.suspects.clear();
        }
        for (worker_id, worker) in &mut self.roster {
            worker.refused.remove(id);
            worker.fetching.remove(id);
            if worker.known.remove(id).is_some() {
                effects.send(*worker_id, Message::CloseRun { run: id.clone() });
            }
        }
    }

    // Tables ----------------------------------------------------------------------------------------------------------

    /// Has the next part written, or the last tables when all parts stand. One at a time for each run, in order.
    fn write_tables(&mut self, id: &RunId, effects: &mut Effects) {
        let run = self.runs.get(id).expect("the caller has just seen it");
        let Some(backlog) = self.backlogs.get_mut(id) else { return };
        if backlog.writing || backlog.completing {
            return;
        }
        if let Some((part, range)) = run.part_ready() {
            backlog.writing = true;
            effects.work(TableWork::Part { run: id.clone(), part, range });
        } else if matches!(run.phase, Phase::Ending(_)) && backlog.comparing == 0 {
            backlog.completing = true;
            effects.work(TableWork::Complete { run: id.clone() });
        }
    }

    fn part_written(&mut self, id: &RunId, part: u64, rows: u64, bytes: u64, effects: &mut Effects) {
        let Some(backlog) = self.backlogs.get_mut(id) else { return };
        backlog.writing = false;
        self.record(id, Record::PartWritten { part, rows, bytes }, effects);
        let run = self.runs.get(id).expect("a run with a backlog is there");
        // Between two generations of an evolution its strategy's snapshot is the whole state; a sweep has none.
        // An aborted sweep has one thing more, the failure that ends it, which its record keeps until the end.
        let between = run.evolution.is_none() || !run.done.overlaps(run.scope()) || run.scope().is_empty();
        if between && !run.aborted && !matches!(run.phase, Phase::Ending(_)) {
            self.checkpoint(id, effects);
        }
        self.write_tables(id, effects);
    }

    fn tables_completed(&mut self, now: Timestamp, id: &RunId, effects: &mut Effects) {
        let Some(backlog) = self.backlogs.get_mut(id) else { return };
        backlog.completing = false;
        backlog.until_mono_ms = Some(now.mono_ms);
        // The checkpoint is what stays of the run in the journal, so that it can still be listed.
        self.checkpoint(id, effects);
        self.record(id, Record::Finished, effects);
    }

    // Time and grants -------------------------------------------------------------------------------------------------

    fn wall_mono_ms(&self, id: &RunId, backlog: &Backlog) -> Option<u64> {
        let run = self.runs.get(id).filter(|run| run.phase == Phase::Open)?;
        Some(backlog.since_mono_ms + run.spec.limits.wall?.as_millis() as u64)
    }

    fn tick(&mut self, now: Timestamp, effects: &mut Effects) {
        let silent = |worker: &Worker| worker.heard_mono_ms + self.limits.silence_ms_max <= now.mono_ms;
        let lost: Vec<WorkerId> = self.roster.iter().filter(|(_, w)| silent(w)).map(|(id, _)| *id).collect();
        for worker in lost {
            let reason = format!("nothing was heard from it for {} s", self.limits.silence_ms_max / 1000);
            effects.send(worker, Message::Dismiss { reason });
            self.worker_left(now, worker, AttemptOutcome::Expired, effects);
        }
        // After a restart nothing else would move a run whose trials are all scored.
        let live: Vec<RunId> = self.runs.iter().filter(|run| is_live(&run.phase)).map(|run| run.id.clone()).collect();
        live.iter().for_each(|run| self.progress(run, effects));
        let over = |(id, backlog): (&RunId, &Backlog)| {
            self.wall_mono_ms(id, backlog).is_some_and(|wall| wall <= now.mono_ms).then(|| id.clone())
        };
        let over: Vec<RunId> = self.backlogs.iter().filter_map(over).collect();
        for run in over {
            self.record(&run, Record::Suspended { why: "the wall limit is reached".to_owned() }, effects);
            self.withdraw(&run, effects);
            if let Some(backlog) = self.backlogs.get_mut(&run) {
                backlog.until_mono_ms = Some(now.mono_ms);
            }
        }
    }

    fn hand_out(&mut self, now: Timestamp, effects: &mut Effects) {
        while let Some((worker, run)) = grants::choose(&self.roster, &self.runs, &self.backlogs, &self.limits) {
            let (range, deaths) = self.take_shard(now, worker, &run);
            self.lend(now, worker, &run, range, deaths, None, effects);
        }
        if now.mono_ms < self.stragglers_sought_mono_ms + STRAGGLERS_EVERY_MS {
            return;
        }
        while let Some((worker, straggler)) = self.straggler(now) {
            let lease = &self.leases[&straggler];
            let (run, range, deaths) = (lease.run.clone(), lease.range, lease.deaths);
            self.lend(now, worker, &run, range, deaths, Some(straggler), effects);
        }
    }

    fn take_shard(&mut self, now: Timestamp, worker: WorkerId, run_id: &RunId) -> (TrialRange, u32) {
        let run = self.runs.get(run_id).expect("it was chosen");
        let offered =
            || self.roster.values().filter(|w| !w.leaving && w.offers(run)).map(|w| u64::from(w.hello.slots)).sum();
        let slots = *self.slots.entry(run_id.clone()).or_insert_with(offered);
        let backlog = self.backlogs.get_mut(run_id).expect("it was chosen");
        // Suspects go to a worker that holds nothing else, and keep it for themselves once they killed twice.
        if self.roster[&worker].leases.is_empty() && !backlog.suspects.is_empty() {
            let suspect = backlog.suspects.remove(0);
            return (suspect.range, suspect.deaths);
        }
        let most = grants::shard_trials(backlog, run, slots, &self.limits);
        // Workers of before a restart hold what was granted last, which is the front of what is open.
        let taken = match now.mono_ms < self.returning_until_mono_ms {
            true => backlog.fresh.take_back(most),
            false => backlog.fresh.take_front(most),
        };
        let range = taken.expect("it was chosen because it has open trials");
        (range, 0)
    }

    /// A lease that takes much longer than expected, and an idle worker that could evaluate the same trials.
    fn straggler(&mut self, now: Timestamp) -> Option<(WorkerId, LeaseId)> {
        let mut idle = self.roster.iter().filter(|(_, w)| w.leases.is_empty() && !w.leaving).peekable();
        idle.peek()?;
        let is_old = |lease: &Lease| lease.granted_mono_ms + self.limits.straggler_ms_min <= now.mono_ms;
        if !self.leases.values().next().is_some_and(is_old) {
            return None;
        }
        self.stragglers_sought_mono_ms = now.mono_ms;
        let late = |lease: &Lease| {
            // Its trials may be scored already, by a twin that is gone; the run may even be in another generation.
            let Some(run) = self.runs.get(&lease.run) else { return false };
            if run.done.contains(lease.range.intersection(run.scope())) {
                return false;
            }
            let expected = self.backlogs.get(&lease.run).and_then(|b| b.trial_ms).unwrap_or(f64::INFINITY);
            let patience = (self.limits.straggler_factor * expected * lease.range.len() as f64)
                .max(self.limits.straggler_ms_min as f64);
            lease.twin.is_none() && lease.deaths == 0 && (now.mono_ms - lease.granted_mono_ms) as f64 >= patience
        };
        let (id, lease) = self.leases.iter().take_while(|(_, lease)| is_old(lease)).find(|(_, lease)| late(lease))?;
        let run = self.runs.get(&lease.run)?;
        let (worker, _) = idle.find(|(_, worker)| worker.is_ready_for(run))?;
        Some((*worker, *id))
    }

    #[allow(clippy::too_many_arguments, reason = "one lease has these facts, and they are all known here alone")]
    fn lend(
        &mut self,
        now: Timestamp,
        worker_id: WorkerId,
        run_id: &RunId,
        range: TrialRange,
        deaths: u32,
        twin: Option<LeaseId>,
        effects: &mut Effects,
    ) {
        let id = LeaseId(self.next_lease);
        self.next_lease += 1;
        self.served += 1;
        let run = self.runs.get(run_id).expect("it was chosen");
        let worker = self.roster.get_mut(&worker_id).expect("it was chosen");
        let backlog = self.backlogs.get_mut(run_id).expect("it was chosen");
        let generation = run.generation();
        let mut bytes_down = 0;
        let mut send = |message: Message| {
            bytes_down += (self.wire_length)(&message);
            effects.send(worker_id, message);
        };
        let known = worker.known.entry(run_id.clone()).or_insert_with(|| {
            send(Message::OpenRun { run: run_id.clone(), run_toml: run.run_toml.clone() });
            Known::default()
        });
        if let Some(evolution) = run.evolution.as_ref().filter(|_| known.generation != Some(generation)) {
            evolution.lessons(run_id, known, run.generations_left()).into_iter().for_each(&mut send);
        }
        let attempt = deaths + u32::from(twin.is_some());
        let generation_start = run.layout.generation(generation).start;
        send(Message::Grant(Grant { lease: id, run: run_id.clone(), generation, generation_start, range, attempt }));
        worker.leases.push(id);
        worker.quarantined |= deaths > 0;
        backlog.leases += 1;
        backlog.served = self.served;
        if let Some(lease) = twin.and_then(|twin| self.leases.get_mut(&twin)) {
            lease.twin = Some(id);
        }
        let lease = Lease {
            worker: worker_id,
            run: run_id.clone(),
            range,
            attempt,
            granted_mono_ms: now.mono_ms,
            granted_unix_ms: now.unix_ms,
            heard_unix_ms: now.unix_ms,
            bytes_down,
            twin,
            deaths,
        };
        self.leases.insert(id, lease);
    }
}

/// What is open of a range of a run's trials.
fn open_of(run: &Run, range: TrialRange) -> RangeSet {
    run.done.gaps(range.intersection(run.scope()))
}

/// Whether the coordinator has anything left to do for a run in this phase.
fn is_live(phase: &Phase) -> bool {
    matches!(phase, Phase::Open | Phase::Ending(_))
}
