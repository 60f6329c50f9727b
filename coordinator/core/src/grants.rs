//! Which run a worker serves next, and with how many trials: pure functions that can be read alone.

use std::collections::BTreeMap;

use crate::event::{RunId, WorkerId};
use crate::leases::Backlog;
use crate::limits::Limits;
use crate::roster::{Roster, Worker};
use crate::run::{Phase, Run};
use crate::runs::Runs;

/// The most that a shard may grow over the last one of its run.
const GROWTH: u64 = 16;

/// The worker that should get the next grant, with the run: every slot gets its first lease before any gets its second,
/// and among runs the one with the fewest leases out, then the one served longest ago, comes first.
pub fn choose(
    roster: &Roster,
    runs: &Runs,
    backlogs: &BTreeMap<RunId, Backlog>,
    limits: &Limits,
) -> Option<(WorkerId, RunId)> {
    if backlogs.values().all(|backlog| backlog.fresh.is_empty() && backlog.suspects.is_empty()) {
        return None; // which is most of the time, and not worth asking every worker
    }
    (1..=limits.leases_per_slot).find_map(|depth| {
        roster
            .iter()
            .filter(|(_, worker)| takes_more(worker, depth))
            .find_map(|(id, worker)| Some((*id, run_for(worker, runs, backlogs)?)))
    })
}

fn takes_more(worker: &Worker, depth: usize) -> bool {
    !worker.leaving && !worker.quarantined && worker.leases.len() < worker.hello.slots as usize * depth
}

fn run_for(worker: &Worker, runs: &Runs, backlogs: &BTreeMap<RunId, Backlog>) -> Option<RunId> {
    backlogs
        .iter()
        .filter_map(|(id, backlog)| Some((runs.get(id)?, backlog)))
        .filter(|(run, backlog)| {
            let alone = worker.leases.is_empty();
            run.phase == Phase::Open && (!backlog.fresh.is_empty() || (alone && !backlog.suspects.is_empty()))
        })
        .filter(|(run, _)| worker.is_ready_for(run))
        .min_by_key(|(_, backlog)| (backlog.leases, backlog.served))
        .map(|(run, _)| run.id.clone())
}

/// How many trials the next shard of a run has, when `slots` slots serve it.
///
/// It aims at [`Limits::shard_ms`] of work; near the end of a generation it shrinks so that the slots end together, yet
/// not below [`Limits::shard_ms_min`], where the grant would cost more than the balance gains.
pub fn shard_trials(backlog: &Backlog, run: &Run, slots: u64, limits: &Limits) -> u64 {
    let bytes_per_trial = 8 * run.recorded.metrics.len() as u64 + 1;
    let most = limits.shard_trials_max.min(limits.report_bytes_max / bytes_per_trial).max(1);
    let Some(trial_ms) = backlog.trial_ms else {
        return 1; // nothing is known yet: one trial tells
    };
    let trials_in = |ms: f64| if trial_ms * most as f64 <= ms { most } else { (ms / trial_ms) as u64 };
    let balanced = backlog.trials().div_ceil(2 * slots.max(1));
    trials_in(limits.shard_ms)
        .min(balanced.max(trials_in(limits.shard_ms_min)))
        .min(backlog.shard_trials.saturating_mul(GROWTH))
        .clamp(1, most)
}
