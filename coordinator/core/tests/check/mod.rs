//! What holds of a coordinator after every event, whatever happened; shared by the core's stories and the simulation.

use std::collections::BTreeMap;

use tumble_core::{Coordinator, LeaseId, Phase, Run, RunId};
use tumble_domain::{RangeSet, TrialRange};

/// Panics, saying what does not hold.
pub(crate) fn invariants(coordinator: &Coordinator) {
    leases_and_workers_agree(coordinator);
    for run in coordinator.runs().iter() {
        every_open_trial_is_somewhere_once(coordinator, run);
        a_run_that_is_not_open_holds_nothing(coordinator, run);
    }
}

fn leases_and_workers_agree(coordinator: &Coordinator) {
    let leases = coordinator.leases();
    let mut counted: BTreeMap<&RunId, usize> = BTreeMap::new();
    for (id, lease) in leases.iter() {
        *counted.entry(&lease.run).or_default() += 1;
        let worker =
            coordinator.roster().get(&lease.worker).unwrap_or_else(|| panic!("{id:?} has no worker: {lease:?}"));
        let held = worker.leases.iter().filter(|held| *held == id).count();
        assert_eq!(held, 1, "worker {:?} holds {id:?} so often", lease.worker);
        let run = coordinator.runs().get(&lease.run).unwrap_or_else(|| panic!("{id:?} has no run: {lease:?}"));
        assert_eq!(run.phase, Phase::Open, "{id:?} is a lease of a run that is not open");
        if let Some(twin) = lease.twin {
            let other = leases.get(&twin).unwrap_or_else(|| panic!("the twin {twin:?} of {id:?} is gone"));
            assert_eq!((other.twin, &other.run), (Some(*id), &lease.run), "twins know each other");
        }
        assert!(lease.deaths == 0 || worker.quarantined, "{id:?} is suspect and not alone: {lease:?}");
    }
    for (id, worker) in coordinator.roster() {
        for lease in &worker.leases {
            assert_eq!(
                leases.get(lease).map(|l| l.worker),
                Some(*id),
                "worker {id:?} holds a lease that is not its own"
            );
        }
        assert!(!worker.quarantined || worker.leases.len() == 1, "{id:?} is to hold its suspect alone: {worker:?}");
        let open = |run: &RunId| coordinator.runs().get(run).is_some_and(|run| run.phase == Phase::Open);
        assert!(worker.known.keys().all(open), "{id:?} remembers runs that are not open: {:?}", worker.known);
    }
    for run in coordinator.runs().iter() {
        let backlog = coordinator.backlog(&run.id).map_or(0, |backlog| backlog.leases);
        assert_eq!(
            backlog,
            counted.get(&run.id).copied().unwrap_or(0),
            "the leases of `{}` are counted wrongly",
            run.id
        );
    }
}

/// Scored, fresh, suspect or leased: each trial of the open generation is one of these, and leased twice only to twins.
fn every_open_trial_is_somewhere_once(coordinator: &Coordinator, run: &Run) {
    if run.phase != Phase::Open {
        return;
    }
    let id = &run.id;
    let backlog = coordinator.backlog(id).unwrap_or_else(|| panic!("open run `{id}` has no backlog"));
    let mut missing = RangeSet::new();
    missing.insert(run.scope());
    run.done.iter().for_each(|done| missing.remove(done));
    let mut seen = RangeSet::new();
    let mut take = |range: TrialRange, whose: &dyn Fn() -> String| {
        assert!(!seen.overlaps(range), "trials {range} of `{id}` are held twice, once by {}", whose());
        seen.insert(range);
    };
    for range in backlog.fresh.iter() {
        assert!(run.scope().contains(range) && !run.done.overlaps(range), "fresh {range} of `{id}` is not open");
        take(range, &|| "nobody".to_owned());
    }
    for suspect in &backlog.suspects {
        let range = suspect.range;
        assert!(suspect.deaths > 0 && !range.is_empty(), "{suspect:?} of `{id}` is no suspect");
        assert!(run.scope().contains(range) && !run.done.overlaps(range), "suspect {range} of `{id}` is not open");
        take(range, &|| format!("{suspect:?}"));
    }
    let mut twins = Vec::new();
    for (lease_id, lease) in coordinator.leases().iter().filter(|(_, lease)| lease.run == *id) {
        let of_twins = |twin: &LeaseId| twin < lease_id;
        for range in open_trials(run, lease.range) {
            if lease.twin.as_ref().is_some_and(of_twins) {
                twins.push(range);
            } else {
                take(range, &|| format!("{lease_id:?}: {lease:?}"));
            }
        }
    }
    seen.iter().chain(twins).for_each(|range| missing.remove(range));
    assert!(missing.is_empty(), "nobody will ever evaluate {missing:?} of `{id}`");
}

/// What memory follows: two scored ranges have a gap between them only where something is still open, or where a worker
/// of the moment has reported late. Panics where more ranges are kept. Workers that lie can make any number of gaps.
pub(crate) fn memory(coordinator: &Coordinator) {
    let slots: usize = coordinator.roster().values().map(|worker| worker.hello.slots as usize).sum();
    for run in coordinator.runs().iter().filter(|run| run.phase == Phase::Open) {
        let Some(backlog) = coordinator.backlog(&run.id) else { continue };
        let holders = backlog.fresh.pieces() + backlog.suspects.len() + backlog.leases;
        let pieces = run.done.iter().filter(|done| done.start < run.scope().end).count();
        assert!(pieces <= holders + slots + 1, "`{}` keeps {pieces} ranges for {holders} holders", run.id);
        if let Some(evolution) = &run.evolution {
            let (told, proposal) = (evolution.told_bytes(), evolution.proposal().0.len());
            assert!(told <= proposal, "`{}` keeps {told} bytes of what was told for a proposal of {proposal}", run.id);
        }
    }
}

fn open_trials(run: &Run, range: TrialRange) -> Vec<TrialRange> {
    let mut open = RangeSet::new();
    open.insert(range.intersection(run.scope()));
    run.done.iter().for_each(|done| open.remove(done));
    open.iter().collect()
}

fn a_run_that_is_not_open_holds_nothing(coordinator: &Coordinator, run: &Run) {
    let Some(backlog) = coordinator.backlog(&run.id).filter(|_| run.phase != Phase::Open) else { return };
    let idle = backlog.fresh.is_empty() && backlog.suspects.is_empty() && backlog.leases == 0;
    assert!(idle, "`{}` is {:?} and holds {backlog:?}", run.id, run.phase);
}
