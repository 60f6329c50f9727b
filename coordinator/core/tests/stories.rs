//! What the core does, told by talking to it: no clock, no network, no disk.

mod check;
mod desk;

use std::collections::BTreeMap;

use desk::{
    Desk, aborting, difference, durable, evolution, given, open_trials, outcomes, outcomes_but, replay, sweep,
    value_of, with_files, with_wall, worker,
};
use tumble_core::{
    AttemptOutcome, DIFFERENCES_NAMED_MAX, Event, Grant, Held, LeaseId, Limits, Message, Phase, Reason, Record, RunId,
    RunRecord, TableWork, ViewState,
};
use tumble_domain::{Outcomes, Status, TrialRange};

fn all(trials: u64) -> Vec<u64> {
    (0..trials).collect()
}

// Losses --------------------------------------------------------------------------------------------------------------

#[test]
fn a_shard_whose_worker_vanishes_is_scored_by_another() {
    let mut desk = Desk::new();
    desk.join(1);
    desk.join(2);
    let run = desk.submit(sweep(10));
    let (lost, held) = (desk.grant(1), desk.grant(2));
    desk.vanish(1);
    desk.report(2, &held);
    desk.work_off(2);
    assert_eq!(desk.outcome(&run, lost.range.start), (Status::Scored, value_of(lost.range.start), Vec::new()));
    assert_eq!(desk.recorded(&run), all(10));
}

#[test]
fn a_worker_that_says_nothing_is_taken_for_lost_and_dismissed() {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(sweep(1));
    desk.grant(1);
    desk.pass(9_000);
    desk.join(2);
    assert!(desk.grants(2).is_empty());
    desk.pass(1_500);
    assert!(matches!(desk.told(1)[..], [.., Message::Dismiss { .. }]));
    assert_eq!(desk.attempts(&run), [AttemptOutcome::Expired]);
    desk.work_off(2);
    assert_eq!(desk.recorded(&run), all(1));
}

#[test]
fn a_late_report_of_a_lost_lease_is_compared_and_not_counted_twice() {
    let mut desk = Desk::new();
    desk.join(1);
    desk.join(2);
    let run = desk.submit(sweep(3));
    let (lost, held) = (desk.grant(1), desk.grant(2));
    desk.event(Event::CannotRun { worker: worker(1), run: run.clone(), reason: "it changed its mind".into() });
    desk.report(2, &held);
    let again = desk.grant(2);
    assert_eq!(again.range, lost.range);
    desk.report(2, &again);
    assert!(desk.comparisons().is_empty());

    desk.report(1, &lost);
    assert_eq!(desk.comparisons(), [(lost.range.start, outcomes(lost.range))]);
    assert_eq!(desk.attempts(&run).last(), Some(&AttemptOutcome::Duplicate));
    desk.work_off(2);
    assert_eq!(desk.recorded(&run), all(3));
}

#[test]
fn what_a_late_report_brings_first_counts() {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(sweep(1));
    let lost = desk.grant(1);
    desk.event(Event::CannotRun { worker: worker(1), run: run.clone(), reason: "it changed its mind".into() });
    desk.report(1, &lost);
    assert_eq!(desk.recorded(&run), all(1));
}

#[test]
fn a_differing_duplicate_is_a_disagreement() {
    let mut desk = Desk::new();
    desk.join(1);
    desk.join(2);
    let run = desk.submit(sweep(3));
    let (lost, held) = (desk.grant(1), desk.grant(2));
    desk.event(Event::CannotRun { worker: worker(1), run: run.clone(), reason: "it changed its mind".into() });
    desk.report(2, &held);
    let again = desk.grant(2);
    desk.report(2, &again);

    let other = Outcomes { values: vec![-1.0], ..outcomes(lost.range) };
    desk.report_as(1, &lost, lost.range, other.clone(), true);
    assert_eq!(desk.view(&run).disagreements, 0);
    assert_eq!(desk.compared_with(&[0]), [(0, other)]);
    assert_eq!((desk.view(&run).disagreements, desk.view(&run).differing), (1, vec![difference(0)]));
    assert_eq!(desk.outcome(&run, 0).1, value_of(0));
    assert_eq!(desk.attempts(&run).last(), Some(&AttemptOutcome::Disagreed));
    desk.restart();
    assert_eq!((desk.view(&run).disagreements, desk.view(&run).differing), (1, vec![difference(0)]));
}

/// What differs belongs into the summary, and a comparison may take longer than all that is left of the run.
#[test]
fn a_run_is_not_completed_before_its_comparisons_are_done() {
    let mut desk = Desk::new();
    desk.join(1);
    desk.join(2);
    let run = desk.submit(sweep(2));
    let (lost, held) = (desk.grant(1), desk.grant(2));
    desk.event(Event::CannotRun { worker: worker(1), run: run.clone(), reason: "it changed its mind".into() });
    desk.report(1, &lost);
    desk.report(1, &lost);
    desk.report(2, &held);
    desk.write_tables();
    assert!(matches!(desk.run(&run).phase, Phase::Ending(_)), "{:?}", desk.run(&run).phase);
    assert_eq!(desk.compared_with(&[0]).len(), 1);
    desk.write_tables();
    assert!(matches!(desk.run(&run).phase, Phase::Finished(_)), "{:?}", desk.run(&run).phase);
    assert_eq!(desk.view(&run).disagreements, 1);
    assert_eq!(desk.recorded(&run), all(2));
}

#[test]
fn no_more_differing_trials_are_named_than_there_is_room_for() {
    let mut desk = Desk::new();
    desk.join(1);
    desk.join(2);
    let run = desk.submit(sweep(3));
    let lost = desk.grant(1);
    desk.event(Event::CannotRun { worker: worker(1), run: run.clone(), reason: "it changed its mind".into() });
    desk.report(1, &lost);
    for trial in 0..DIFFERENCES_NAMED_MAX as u64 + 5 {
        desk.report(1, &lost);
        desk.compared_with(&[trial]);
    }
    let view = desk.view(&run);
    assert_eq!((view.disagreements, view.differing.len()), (DIFFERENCES_NAMED_MAX as u64 + 5, DIFFERENCES_NAMED_MAX));
    assert_eq!(view.differing[9], difference(9));
}

#[test]
fn a_straggler_is_lent_twice_and_the_first_report_wins() {
    let mut desk = Desk::with(|limits| limits.straggler_ms_min = 1_000);
    desk.join(1);
    let run = desk.submit(evolution(4, 2));
    let slow = desk.grant(1);
    desk.join(2);
    desk.work_off(2);
    desk.pass(900);
    assert!(desk.grants(2).is_empty(), "nothing is late yet");
    desk.pass(200);
    let twin = desk.grant(2);
    assert_eq!((twin.range, twin.generation), (slow.range, 0));
    assert_ne!(twin.lease, slow.lease);

    desk.join(3);
    desk.pass(5_000);
    assert!(desk.grants(3).is_empty(), "two are enough");

    desk.report(2, &twin);
    assert_eq!(desk.run(&run).generation(), 1);
    let late = Outcomes { values: vec![-1.0], ..outcomes(slow.range) };
    desk.report_as(1, &slow, slow.range, late.clone(), true);
    assert_eq!(desk.comparisons(), [(slow.range.start, late)]);
    assert_eq!(desk.outcome(&run, slow.range.start).1, value_of(slow.range.start));
}

#[test]
fn a_lease_that_a_generation_has_overtaken_is_not_lent_again() {
    // It was: its trials, granted in the generation after theirs, made every idle worker refuse the run.
    let mut desk = Desk::with(|limits| limits.straggler_ms_min = 1_000);
    desk.join(1);
    let run = desk.submit(evolution(4, 3));
    desk.grant(1);
    desk.join(2);
    desk.work_off(2);
    desk.pass(1_100);
    let twin = desk.grant(2);
    desk.report(2, &twin);
    assert_eq!(desk.run(&run).generation(), 1);

    let mut held = desk.grant(2);
    while open_trials(desk.run(&run)).len() > held.range.len() {
        desk.report(2, &held);
        held = desk.grant(2);
    }
    desk.join(3);
    desk.pass(1_100);
    assert_eq!(desk.grant(3).range, held.range);
}

#[test]
fn a_returned_range_goes_to_somebody_else_at_once() {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(sweep(2));
    let first = desk.grant(1);
    desk.report(1, &first);
    let returned = desk.grant(1);
    desk.join(2);
    desk.event(Event::Leaving { worker: worker(1) });
    assert!(desk.grants(2).is_empty());
    desk.hand_back(1, &returned);
    let taken = desk.grant(2);
    assert_eq!((taken.range, taken.attempt), (returned.range, 0));
    desk.vanish(1);
    desk.report(2, &taken);
    assert_eq!(desk.recorded(&run), all(2));
}

#[test]
fn a_worker_that_leaves_is_bidden_farewell_after_its_last_grant() {
    let mut desk = Desk::with(|limits| limits.leases_per_slot = 2);
    desk.join(1);
    let run = desk.submit(sweep(3));
    desk.event(Event::Leaving { worker: worker(1) });
    let told = desk.told(1);
    let [.., Message::Grant(first), Message::Grant(second), Message::Farewell] = &told[..] else { panic!("{told:?}") };
    // What goes back is not granted to it again, nor is anything that it lent.
    desk.hand_back(1, second);
    desk.report(1, first);
    desk.pass(5_000);
    assert!(desk.told(1).is_empty());
    desk.vanish(1);
    desk.join(2);
    desk.work_off(2);
    assert_eq!(desk.recorded(&run), all(3));
    let lost = |record: &RunRecord| matches!(&record.record, Record::Attempted(a) if a.outcome == AttemptOutcome::Lost);
    assert!(!desk.records.iter().any(lost), "who leaves in order loses nothing");
}

#[test]
fn nothing_is_blamed_for_a_worker_that_left_in_order() {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(sweep(5));
    for number in 1..20 {
        desk.grant(number);
        desk.event(Event::Leaving { worker: worker(number) });
        desk.join(number + 1);
        desk.vanish(number);
    }
    desk.work_off(20);
    assert_eq!(desk.view(&run).trials_failed, 0);
}

#[test]
fn a_lease_of_an_earlier_life_is_never_taken_for_a_new_one() {
    let mut desk = Desk::with(|limits| limits.return_ms = 0);
    desk.join_with(1, 2);
    desk.submit(sweep(2));
    let mut before = desk.grants(1);
    for _ in 0..3 {
        desk.restart();
        desk.join_with(1, 2);
        let now = desk.grants(1);
        assert!(now[0].lease > before[1].lease && now[0].range == before[0].range, "{before:?} {now:?}");
        before = now;
    }
}

// Workers that come back ------------------------------------------------------------------------------------------------

/// What a worker says of a grant that it still holds, from so many trials on.
fn held(grant: &Grant, from: u64) -> Held {
    let Grant { lease, run, generation, generation_start, range, .. } = grant.clone();
    Held { lease, run, generation, generation_start, range: TrialRange::new(range.start + from, range.end) }
}

/// A worker whose shards have more than one trial, with one of six trials.
fn a_worker_with_six_trials() -> (Desk, RunId, Grant) {
    let mut desk = Desk::with(|limits| limits.shard_trials_max = 6);
    desk.join(1);
    let run = desk.submit(sweep(40));
    let first = desk.grant(1);
    desk.report(1, &first);
    let grant = desk.grant(1);
    assert_eq!(grant.range.len(), 6);
    (desk, run, grant)
}

fn revoked(told: &[Message]) -> Vec<LeaseId> {
    let of = |message: &Message| if let Message::Revoke { leases } = message { leases.clone() } else { Vec::new() };
    told.iter().flat_map(of).collect()
}

#[test]
fn a_worker_goes_on_with_what_it_holds_after_a_restart() {
    let (mut desk, run, grant) = a_worker_with_six_trials();
    let half = TrialRange::new(grant.range.start, grant.range.start + 3);
    desk.report_as(1, &grant, half, outcomes(half), false);
    desk.restart();
    // It does not know that its report was taken, and says it again.
    desk.come_back(7, 1, vec![held(&grant, 0)]);
    assert_eq!(desk.core.leases()[&grant.lease].range, grant.range);
    assert!(
        desk.told(7).iter().all(|message| matches!(message, Message::Welcome { .. })),
        "it is asked for nothing else"
    );
    desk.report_as(7, &grant, half, outcomes(half), false);
    assert_eq!(desk.comparisons(), [(half.start, outcomes(half))]);
    let rest = TrialRange::new(half.end, grant.range.end);
    desk.report_as(7, &grant, rest, outcomes(rest), true);
    assert_eq!(desk.core.refused_reports(), 0);
    assert!(!desk.core.leases().contains_key(&grant.lease));
    // It knows the run, and is not told of it again.
    let told = desk.told(7);
    assert!(matches!(told[..], [Message::Grant(_)]), "{told:?}");
    desk.work_off_of(7, &told);
    assert_eq!(desk.recorded(&run), all(40));
}

#[test]
fn a_second_session_of_a_process_ends_its_first_and_nobody_has_died() {
    let mut desk = Desk::with(|limits| limits.shard_trials_max = 6);
    desk.come_back(1, 5, Vec::new());
    let run = desk.submit(sweep(40));
    let grant = desk.grant(1);
    desk.come_back(2, 5, vec![held(&grant, 0)]);
    assert!(matches!(desk.told(1)[..], [Message::Dismiss { .. }]));
    assert_eq!(desk.core.leases()[&grant.lease].worker, worker(2));
    assert!(!desk.core.roster().contains_key(&worker(1)));
    // What the first session said comes late, and its end as well.
    desk.report(1, &grant);
    desk.vanish(1);
    assert_eq!(desk.core.leases()[&grant.lease].worker, worker(2));
    desk.report(2, &grant);
    desk.work_off(2);
    assert_eq!(desk.recorded(&run), all(40));
    let lost = |record: &RunRecord| matches!(&record.record, Record::Attempted(a) if a.outcome == AttemptOutcome::Lost);
    assert!(!desk.records.iter().any(lost), "nothing was lost");
}

#[test]
fn who_was_given_up_and_is_back_is_not_blamed_for_its_death() {
    let (mut desk, run, grant) = a_worker_with_six_trials();
    desk.vanish(1);
    assert_eq!(desk.core.backlog(&run).unwrap().suspects.len(), 1);
    desk.come_back(2, 1, vec![held(&grant, 0)]);
    let lease = &desk.core.leases()[&grant.lease];
    assert_eq!((lease.worker, lease.deaths, lease.range), (worker(2), 0, grant.range));
    assert!(desk.core.backlog(&run).unwrap().suspects.is_empty());
    assert!(!desk.core.roster()[&worker(2)].quarantined);
    desk.report(2, &grant);
    desk.work_off(2);
    assert_eq!(desk.recorded(&run), all(40));
}

#[test]
fn what_somebody_else_has_by_now_is_evaluated_by_both_if_it_is_the_same_and_let_go_if_not() {
    let (mut desk, run, grant) = a_worker_with_six_trials();
    desk.event(Event::CannotRun { worker: worker(1), run: run.clone(), reason: "it changed its mind".into() });
    desk.join(2);
    let other = desk.grant(2);
    assert_eq!(other.range, grant.range);
    desk.come_back(3, 1, vec![held(&grant, 0)]);
    assert_eq!(desk.core.leases()[&grant.lease].twin, Some(other.lease));
    desk.report(3, &grant);
    assert!(desk.comparisons().is_empty());
    desk.report(2, &other);
    assert_eq!(desk.comparisons(), [(grant.range.start, outcomes(grant.range))]);

    // Of another shard, half is done and half is somebody else's.
    let next = desk.grant(2);
    let half = Held { lease: grant.lease, ..held(&next, 2) };
    desk.come_back(4, 1, vec![half]);
    assert_eq!(revoked(&desk.told(4)), [grant.lease]);
    assert!(!desk.core.leases().contains_key(&grant.lease));
}

#[test]
fn what_nobody_needs_any_more_is_let_go() {
    let (mut desk, run, grant) = a_worker_with_six_trials();
    desk.join(2);
    let evolving = desk.submit(evolution(4, 3));
    let overtaken = desk.grants(2).into_iter().find(|grant| grant.run == evolving);
    desk.cancel(&run);
    desk.vanish(1);
    // A run that is over and one that nobody knows are closed, each once.
    let nobody = Held { run: RunId("nobody-knows".into()), ..held(&grant, 0) };
    desk.come_back(3, 1, vec![held(&grant, 0), held(&grant, 2), nobody.clone(), nobody]);
    let told = desk.told(3);
    let closed = told.iter().filter(|message| matches!(message, Message::CloseRun { .. })).count();
    assert_eq!((closed, revoked(&told)), (2, Vec::new()), "{told:?}");
    // Of a run that goes on, what is of another generation is revoked, and its proposal is not taken for known.
    let lease = overtaken.map_or(LeaseId(0), |grant| grant.lease);
    let early =
        Held { lease, run: evolving.clone(), generation: 7, generation_start: 28, range: TrialRange::new(28, 30) };
    desk.come_back(4, 2, vec![early]);
    let told = desk.told(4);
    let lesson = |message: &Message| matches!(message, Message::Proposal { .. } | Message::Snapshot { .. });
    assert_eq!((revoked(&told), told.iter().filter(|m| lesson(m)).count()), (vec![lease], 1), "{told:?}");
}

#[test]
fn a_worker_holds_nothing_that_it_only_says_it_holds() {
    let (desk, _, grant) = a_worker_with_six_trials();
    drop(desk);
    let sound = held(&grant, 0);
    let lies = [
        Held { lease: LeaseId(u64::MAX), ..sound.clone() },
        Held { generation: 1, ..sound.clone() },
        Held { generation_start: 1, ..sound.clone() },
        Held { range: TrialRange::new(0, 40), ..sound.clone() },
        Held { range: TrialRange::new(38, 44), ..sound.clone() },
        Held { range: TrialRange::new(9, 9), ..sound.clone() },
        Held { range: TrialRange::new(0, 1), ..sound.clone() },
    ];
    for lie in lies {
        let (mut desk, run, _) = a_worker_with_six_trials();
        desk.restart();
        desk.come_back(2, 1, vec![lie.clone()]);
        assert_eq!(revoked(&desk.told(2)), [lie.lease], "{lie:?}");
        assert_eq!(desk.core.leases().keys().filter(|lease| **lease == lie.lease).count(), 0);
        assert_eq!(desk.run(&run).done.len(), 1);
    }
    // More than its slots take: what waits stays in the backlog.
    let (mut desk, _, grant) = a_worker_with_six_trials();
    desk.restart();
    let second = Held { lease: LeaseId(grant.lease.0 - 1), range: TrialRange::new(20, 24), ..held(&grant, 0) };
    desk.come_back(2, 1, vec![held(&grant, 0), second.clone()]);
    assert_eq!(revoked(&desk.told(2)), [second.lease]);
}

#[test]
fn nobody_takes_the_lease_of_another_over_by_its_name() {
    let (mut desk, run, grant) = a_worker_with_six_trials();
    // Trials that are open, under a name that is in use.
    let theirs = Held { range: TrialRange::new(20, 24), ..held(&grant, 0) };
    desk.come_back(2, 9, vec![theirs]);
    assert_eq!(revoked(&desk.told(2)), [grant.lease]);
    assert_eq!(desk.core.leases()[&grant.lease].worker, worker(1));
    desk.report(1, &grant);
    assert!(desk.run(&run).done.contains(grant.range));
}

#[test]
fn what_took_a_worker_down_is_kept_alone_or_not_at_all() {
    let a_second_worker_with_it = || {
        let (mut desk, run, grant) = a_worker_with_six_trials();
        desk.vanish(1);
        desk.come_back(2, 5, Vec::new());
        let again = desk.grant(2);
        assert_eq!((again.range, desk.core.leases()[&again.lease].deaths), (grant.range, 1));
        (desk, run, again)
    };
    let (mut desk, _, suspect) = a_second_worker_with_it();
    desk.come_back(3, 5, vec![held(&suspect, 0)]);
    assert_eq!(desk.core.leases()[&suspect.lease].deaths, 1, "who comes back has not died, but somebody had");
    assert!(desk.core.roster()[&worker(3)].quarantined);

    let (mut desk, run, suspect) = a_second_worker_with_it();
    let other = Held { lease: LeaseId(suspect.lease.0 - 1), range: TrialRange::new(30, 32), ..held(&suspect, 0) };
    desk.come_back(3, 5, vec![held(&suspect, 0), other.clone()]);
    assert_eq!(revoked(&desk.told(3)), [suspect.lease]);
    assert_eq!(desk.core.roster()[&worker(3)].leases, [other.lease]);
    assert_eq!(desk.core.backlog(&run).unwrap().suspects.len(), 1);
}

#[test]
fn for_a_while_after_a_restart_others_are_granted_what_nobody_has_begun() {
    let (mut desk, run, grant) = a_worker_with_six_trials();
    desk.restart();
    desk.join(2);
    assert_eq!(desk.grant(2).range, TrialRange::new(39, 40));
    desk.come_back(3, 1, vec![held(&grant, 0)]);
    assert_eq!(desk.core.leases()[&grant.lease].worker, worker(3));
    desk.vanish(3);
    desk.pass(8_000);
    desk.join(4);
    let next = desk.grants(4);
    assert!(next.iter().all(|grant| grant.range.start < 20), "{next:?}");
    assert_eq!(desk.run(&run).phase, Phase::Open);
}

#[test]
fn reports_are_acknowledged_when_they_are_durable_and_once_in_a_turn() {
    let (mut desk, _, grant) = a_worker_with_six_trials();
    let at = |from: u64| TrialRange::new(grant.range.start + from, grant.range.start + from + 1);
    let report = |at: TrialRange| tumble_core::Report {
        lease: grant.lease,
        run: grant.run.clone(),
        range: at,
        outcomes: outcomes(at).into(),
        evaluate_ms: 1.0,
        last: false,
        bytes: 10,
    };
    let mut effects = tumble_core::Effects::default();
    for from in 0..3 {
        let event = Event::Reported { worker: worker(1), report: report(at(from)) };
        effects.append(desk.core.handle(tumble_core::Timestamp::default(), event));
    }
    let mut durable = 0;
    let outgoing = effects.settle(|records| {
        durable += records.len();
        Ok::<_, std::convert::Infallible>(())
    });
    let acknowledged = outgoing.unwrap_or_else(|never| match never {}).acknowledged;
    // The first one of the session was that of its first grant.
    assert_eq!((acknowledged.into_iter().collect::<Vec<_>>(), durable), (vec![(worker(1), 4)], 6));
}

// Trials that kill ----------------------------------------------------------------------------------------------------

/// Has workers evaluate everything; whoever meets the killer dies. Gives how many did.
fn work_off_with_a_killer(desk: &mut Desk, run: &RunId, killer: u64, slots: u32) -> u64 {
    let (mut number, mut deaths) = (1_000, 0);
    desk.join_with(number, slots);
    while desk.run(run).phase == Phase::Open {
        let grants = desk.grants(number);
        assert!(!grants.is_empty(), "an idle worker is to be granted something");
        // Its slots begin together: the killer takes down the others with it.
        if grants.iter().any(|grant| (grant.range.start..grant.range.end).contains(&killer)) {
            desk.vanish(number);
            (number, deaths) = (number + 1, deaths + 1);
            desk.join_with(number, slots);
        } else {
            grants.iter().for_each(|grant| desk.report(number, grant));
        }
    }
    deaths
}

#[test]
fn a_killer_trial_is_found_by_halving() {
    for killer in [0, 37, 199] {
        for slots in [1, 3] {
            let mut desk = Desk::new();
            let run = desk.submit(sweep(200));
            let deaths = work_off_with_a_killer(&mut desk, &run, killer, slots);
            assert!((3..=10).contains(&deaths), "{deaths} workers died to find one trial of 200");
            for trial in 0..200 {
                let (status, value, errors) = desk.outcome(&run, trial);
                if trial == killer {
                    let why = "the worker died 3 times while it evaluated this trial alone";
                    assert_eq!((status, errors[0].message.as_str()), (Status::Failed, why));
                } else {
                    assert_eq!((status, value), (Status::Scored, value_of(trial)));
                }
            }
            assert_eq!(desk.recorded(&run), all(200));
        }
    }
}

#[test]
fn a_suspect_that_is_handed_back_stays_a_suspect() {
    // It was forgotten, and merged with its neighbours: the search for the killer began anew.
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(sweep(1));
    desk.grant(1);
    desk.vanish(1);
    desk.join(2);
    let suspect = desk.grant(2);
    assert_eq!(suspect.attempt, 1);
    desk.event(Event::Leaving { worker: worker(2) });
    desk.hand_back(2, &suspect);
    desk.join(3);
    assert_eq!(desk.grant(3).attempt, 1);
    assert_eq!(desk.core.backlog(&run).map(|backlog| backlog.trials()), Some(0));
}

// Runs ----------------------------------------------------------------------------------------------------------------

#[test]
fn runs_share_workers_fairly() {
    let mut desk = Desk::new();
    let runs: Vec<RunId> = (0..3).map(|_| desk.submit(sweep(100_000))).collect();
    let mut grants: BTreeMap<RunId, u64> = BTreeMap::new();
    let mut held = Vec::new();
    for number in 1..=6 {
        desk.join(number);
        held.push((number, desk.grant(number)));
    }
    for _ in 0..20 {
        for (number, grant) in &mut held {
            *grants.entry(grant.run.clone()).or_default() += 1;
            desk.report(*number, grant);
            *grant = desk.grant(*number);
        }
        let out = |run: &RunId| desk.core.backlog(run).expect("it is open").leases;
        assert_eq!(runs.iter().map(out).collect::<Vec<_>>(), [2, 2, 2]);
    }
    assert_eq!(grants.into_values().collect::<Vec<_>>(), [40, 40, 40]);
}

#[test]
fn a_suspended_run_takes_no_grants_and_resumes() {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(with_wall(sweep(10), 2));
    let held = desk.grant(1);
    desk.pass(2_000);
    assert!(matches!(desk.run(&run).phase, Phase::Suspended(_)));
    assert!(matches!(&desk.told(1)[..], [Message::CloseRun { run: closed }] if *closed == run));
    desk.report(1, &held);
    desk.join(2);
    assert!(desk.grants(1).is_empty() && desk.grants(2).is_empty() && desk.recorded(&run).is_empty());

    desk.restart();
    desk.join(3);
    assert!(desk.grants(3).is_empty());
    desk.resume(&run);
    desk.work_off(3);
    desk.write_tables();
    assert_eq!(desk.run(&run).phase, Phase::Finished(Reason::Complete));
    assert_eq!(desk.recorded(&run), all(10));
}

#[test]
fn a_part_that_is_being_written_when_a_run_is_suspended_is_not_begun_again() {
    // It was, by the resume, and then every part after it twice.
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(with_wall(sweep(3 * 4_096), 2));
    while desk.work.is_empty() {
        let grants = desk.grants(1);
        grants.iter().for_each(|grant| desk.report(1, grant));
    }
    desk.pass(2_000);
    assert!(matches!(desk.run(&run).phase, Phase::Suspended(_)));
    desk.resume(&run);
    desk.pass(1);
    assert!(matches!(desk.work[..], [TableWork::Part { part: 0, .. }]), "{:?}", desk.work);
    desk.work_off(1);
    desk.write_tables();
    let parts = desk.records.iter().filter_map(|record| match record.record {
        Record::PartWritten { part, .. } => Some(part),
        _ => None,
    });
    assert_eq!(parts.collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn an_aborted_sweep_ends_with_its_first_failed_trial_whoever_meets_it_first() {
    let mut desk = Desk::new();
    desk.join_with(1, 8);
    let run = desk.submit(aborting(sweep(100)));
    let grants = desk.grants(1);
    let ranges: Vec<TrialRange> = grants.iter().map(|grant| grant.range).collect();
    assert_eq!(ranges, (0..8).map(|trial| TrialRange::new(trial, trial + 1)).collect::<Vec<_>>());
    // The later failure is met first; what lies between the two is on its way.
    desk.report_as(1, &grants[5], ranges[5], outcomes_but(ranges[5], 5), true);
    assert!(desk.grants(1).is_empty(), "nothing behind the failure is granted");
    desk.report_as(1, &grants[2], ranges[2], outcomes_but(ranges[2], 2), true);
    for at in [7, 4, 1] {
        desk.report(1, &grants[at]);
        assert_eq!(desk.run(&run).phase, Phase::Open);
    }
    desk.report(1, &grants[0]);
    assert_eq!(desk.core.refused_reports(), 0, "no worker did anything wrong");
    desk.write_tables();
    let why = "trial 2 failed and on_failure is \"abort\"".to_owned();
    assert_eq!(desk.run(&run).phase, Phase::Finished(Reason::Aborted(why)));
    assert_eq!((desk.run(&run).trials_end, desk.run(&run).parts), (3, 1));
}

#[test]
fn a_sweep_is_aborted_by_its_last_trial_as_well() {
    // It was complete instead. The failure is met before the rest, and the restart comes between.
    for failure in [outcomes_but, |range, _| Outcomes { values: vec![f64::INFINITY], ..outcomes(range) }] {
        let mut desk = Desk::new();
        desk.join_with(1, 2);
        let run = desk.submit(aborting(sweep(2)));
        let grants = desk.grants(1);
        desk.report_as(1, &grants[1], grants[1].range, failure(grants[1].range, 1), true);
        desk.restart();
        desk.join(2);
        desk.work_off(2);
        desk.write_tables();
        let why = "trial 1 failed and on_failure is \"abort\"".to_owned();
        assert_eq!(desk.run(&run).phase, Phase::Finished(Reason::Aborted(why)));
    }
}

#[test]
fn a_failure_that_aborts_a_sweep_outlives_the_checkpoints_of_its_parts() {
    let mut desk = Desk::new();
    desk.join_with(1, 3);
    let run = desk.submit(aborting(sweep(2 * 4_096)));
    let last = 2 * 4_096 - 1;
    // The failure that ends the table is met while the second part still lacks a trial; the first part is written then.
    let mut kept = 0;
    loop {
        let grants = desk.grants(1);
        if grants.is_empty() {
            break;
        }
        for grant in grants {
            match grant.range {
                range if (range.start..range.end).contains(&5_000) => kept += 1,
                range if range.end > last => desk.report_as(1, &grant, range, outcomes_but(range, last), true),
                _ => desk.report(1, &grant),
            }
        }
    }
    assert_eq!(kept, 1);
    desk.write_tables();
    assert_eq!((desk.run(&run).phase.clone(), desk.run(&run).parts), (Phase::Open, 1));

    // As the journal has it: what a checkpoint covers is not replayed.
    let checkpoint = desk.records.iter().rposition(|record| matches!(record.record, Record::Checkpoint(_)));
    let records = desk.records.split_off(checkpoint.unwrap_or(1));
    desk.records.truncate(1);
    assert!(matches!(desk.records[0].record, Record::Submitted { .. }));
    desk.records.extend(records);
    desk.restart();
    desk.join(2);
    desk.work_off(2);
    desk.write_tables();
    let why = format!("trial {last} failed and on_failure is \"abort\"");
    assert_eq!(desk.run(&run).phase, Phase::Finished(Reason::Aborted(why)));
}

#[test]
fn a_cancelled_run_keeps_the_prefix_that_is_scored() {
    let mut desk = Desk::new();
    desk.join_with(1, 4);
    let run = desk.submit(sweep(100));
    let grants = desk.grants(1);
    for at in [0, 1, 3] {
        desk.report(1, &grants[at]);
    }
    desk.cancel(&run);
    assert_eq!(desk.run(&run).trials_end, 2);
    desk.write_tables();
    assert_eq!(desk.run(&run).phase, Phase::Finished(Reason::Cancelled));
    assert_eq!(desk.run(&run).parts, 1);
}

#[test]
fn a_run_that_is_cancelled_while_a_part_is_being_written_keeps_that_part() {
    for restarted in [false, true] {
        let mut desk = Desk::with(|limits| limits.shard_trials_max = 4_096);
        desk.join(1);
        // The part ends in the middle of a generation.
        let run = desk.submit(evolution(70, 200));
        while desk.work.is_empty() {
            let grants = desk.grants(1);
            grants.iter().for_each(|grant| desk.report(1, grant));
        }
        let TableWork::Part { part: 0, range, .. } = desk.work[0] else { panic!("{:?}", desk.work) };
        desk.cancel(&run);
        if restarted {
            desk.restart();
        }
        assert!(desk.run(&run).trials_end >= range.end, "a part on disk is longer than its table");
        desk.write_tables();
        assert_eq!(desk.run(&run).phase, Phase::Finished(Reason::Cancelled));
        assert!(desk.core.leases().is_empty());
    }
}

// Peers that say what makes no sense ----------------------------------------------------------------------------------

/// A worker with a shard of at least three trials, and another worker to take over.
fn a_worker_with_a_shard() -> (Desk, RunId, tumble_core::Grant) {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(sweep(20));
    let first = desk.grant(1);
    desk.report(1, &first);
    let grant = desk.grant(1);
    assert!(grant.range.len() >= 3, "{grant:?}");
    desk.join(2);
    (desk, run, grant)
}

#[test]
fn a_report_that_skips_the_front_of_its_lease_loses_no_trial() {
    // It did: the trials before it were neither scored nor granted until the next restart.
    let (mut desk, run, grant) = a_worker_with_a_shard();
    let later = TrialRange::new(grant.range.start + 1, grant.range.end);
    desk.report_as(1, &grant, later, outcomes(later), true);
    assert_eq!(desk.core.refused_reports(), 1);
    desk.work_off(2);
    desk.work_off(1);
    desk.work_off(2);
    assert_eq!(desk.recorded(&run), all(20));
}

#[test]
fn a_report_without_trials_moves_nothing() {
    // It moved the front of the lease to wherever it said that nothing was evaluated.
    let (mut desk, run, grant) = a_worker_with_a_shard();
    let nothing = TrialRange::new(grant.range.end, grant.range.end);
    desk.report_as(1, &grant, nothing, Outcomes::default(), false);
    assert_eq!(desk.core.leases()[&grant.lease].range, grant.range);
    desk.report(1, &grant);
    desk.work_off(1);
    desk.work_off(2);
    desk.work_off(1);
    assert_eq!(desk.recorded(&run), all(20));
}

#[test]
fn a_worker_cannot_give_up_the_lease_of_another() {
    let (mut desk, run, grant) = a_worker_with_a_shard();
    let nothing = TrialRange::new(0, 0);
    desk.report_as(2, &grant, nothing, Outcomes::default(), true);
    desk.report_under(2, grant.lease, RunId("nobody-knows".into()), nothing, Outcomes::default(), true);
    desk.report_as(2, &grant, grant.range, outcomes(grant.range), true);
    assert_eq!(desk.core.leases()[&grant.lease].worker, worker(1));
    assert!(!desk.recorded(&run).contains(&grant.range.start));
}

#[test]
fn a_report_says_the_run_of_its_lease() {
    // A report of another run moved the front of the lease past trials that nobody evaluated then.
    let (mut desk, run, grant) = a_worker_with_a_shard();
    let other = desk.submit(sweep(20));
    desk.report_under(1, grant.lease, other.clone(), grant.range, outcomes(grant.range), true);
    assert_eq!((desk.core.refused_reports(), desk.recorded(&other)), (1, Vec::new()));
    for _ in 0..3 {
        desk.work_off(1);
        desk.work_off(2);
    }
    assert_eq!((desk.recorded(&run), desk.recorded(&other)), (all(20), all(20)));
}

#[test]
fn reports_that_make_no_sense_are_counted_and_dropped() {
    let (mut desk, run, grant) = a_worker_with_a_shard();
    let wide = Outcomes { metrics: 2, values: vec![0.5; 2 * grant.range.len() as usize], ..outcomes(grant.range) };
    let beyond = TrialRange::new(1_000, 1_003);
    let short = outcomes(TrialRange::new(0, 1));
    let nonsense = [(grant.range, wide), (beyond, outcomes(beyond)), (grant.range, short)];
    for (refused, (range, outcomes)) in (1..).zip(nonsense) {
        desk.report_under(1, LeaseId(u64::MAX), run.clone(), range, outcomes, true);
        assert_eq!(desk.core.refused_reports(), refused);
    }
    assert_eq!(desk.recorded(&run), [0]);
}

#[test]
fn what_a_worker_cannot_run_is_remembered_for_open_runs_alone() {
    // Any name was, and after a run's end: a worker's session could fill the memory.
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(sweep(2));
    for name in ["nobody-knows", "nor-this"] {
        desk.event(Event::CannotRun { worker: worker(1), run: RunId(name.into()), reason: "it is new".into() });
    }
    assert!(desk.core.roster()[&worker(1)].refused.is_empty());
    desk.event(Event::CannotRun { worker: worker(1), run: run.clone(), reason: "it is heavy".into() });
    assert!(desk.core.leases().is_empty() && desk.core.roster()[&worker(1)].refused.contains(&run));
    assert_eq!(desk.view(&run).reason, "it is heavy");
    desk.cancel(&run);
    assert!(desk.core.roster()[&worker(1)].refused.is_empty());
}

/// A worker that is killed while it fetches is killed for nothing that it evaluates.
#[test]
fn nothing_is_granted_to_who_fetches_files_and_no_trial_is_blamed_for_its_death() {
    let mut desk = Desk::new();
    let is_open = |message: &Message, run: &RunId| matches!(message, Message::OpenRun { run: of, .. } if of == run);
    desk.join(1);
    let run = desk.submit(with_files(sweep(1)));
    for number in 1..=5 {
        let told = desk.told(number);
        assert_eq!(told.iter().filter(|message| is_open(message, &run)).count(), 1, "{told:?}");
        assert!(!told.iter().any(|message| matches!(message, Message::Grant(_))), "{told:?}");
        assert_eq!(desk.view(&run).reason, "workers fetch the files of its bundle");
        desk.vanish(number);
        desk.join(number + 1);
    }
    assert!(desk.attempts(&run).is_empty());
    // It has them: the run is not opened again.
    desk.told(6);
    desk.event(Event::Ready { worker: worker(6), run: run.clone() });
    let told = desk.told(6);
    assert!(matches!(&told[..], [Message::Grant(_)]), "{told:?}");
    desk.work_off_of(6, &told);
    assert_eq!((desk.recorded(&run), desk.outcome(&run, 0).0), (all(1), Status::Scored));
}

#[test]
fn files_are_fetched_again_after_a_run_was_stopped_and_by_none_who_refused_it() {
    let mut desk = Desk::new();
    desk.join(1);
    desk.join(2);
    let run = desk.submit(with_files(with_wall(sweep(100_000), 2)));
    let other = desk.submit(sweep(100_000));
    desk.event(Event::CannotRun { worker: worker(2), run: run.clone(), reason: "its disk is full".into() });
    desk.event(Event::Ready { worker: worker(2), run: run.clone() });
    desk.event(Event::Ready { worker: worker(1), run: run.clone() });
    let held = desk.grants(2);
    assert!(held.iter().all(|grant| grant.run == other), "{held:?}");
    // A worker that is not there, and a run that nobody knows.
    desk.event(Event::Ready { worker: worker(9), run: run.clone() });
    desk.event(Event::Ready { worker: worker(1), run: RunId("nobody-knows".into()) });
    desk.told(1);
    desk.pass(3_000);
    assert_eq!(desk.view(&run).state, ViewState::Suspended);
    assert!(desk.told(1).iter().any(|message| matches!(message, Message::CloseRun { run: of } if *of == run)));
    desk.resume(&run);
    let told = desk.told(1);
    assert!(told.iter().any(|message| matches!(message, Message::OpenRun { run: of, .. } if *of == run)), "{told:?}");
    assert!(desk.core.roster().values().all(|worker| worker.fetching.contains(&run)));
}

// Records -------------------------------------------------------------------------------------------------------------

/// A story with a bit of everything.
fn an_eventful_story(checkpoint_generations: u32) -> Desk {
    let mut desk = Desk::with(|limits| limits.checkpoint_generations = checkpoint_generations);
    desk.join_with(1, 2);
    let evolving = desk.submit(evolution(6, 9));
    let aborted = desk.submit(aborting(sweep(30)));
    let walled = desk.submit(with_wall(sweep(20_000), 2));
    let cancelled = desk.submit(evolution(70, 100));
    desk.join(2);
    for turn in 0..60 {
        for number in [1, 2] {
            for grant in desk.grants(number) {
                match grant.range {
                    range if grant.run == aborted && (range.start..range.end).contains(&9) => {
                        desk.report_as(number, &grant, range, outcomes_but(range, 9), true);
                    }
                    range if turn % 7 == 3 && range.len() > 1 => {
                        let front = TrialRange::new(range.start, range.start + 1);
                        desk.report_as(number, &grant, front, outcomes(front), true);
                    }
                    _ => desk.report(number, &grant),
                }
            }
        }
        desk.pass(100);
        match turn {
            20 => desk.vanish(2),
            21 => desk.join(2),
            40 => desk.cancel(&cancelled),
            _ => {}
        }
        (1..=2).for_each(|number| desk.heartbeat(number));
    }
    assert!(matches!(desk.run(&walled).phase, Phase::Suspended(_)));
    desk.write_tables();
    desk.resume(&walled);
    for _ in 0..5 {
        desk.work_off(1);
        desk.work_off(2);
        desk.write_tables();
    }
    let phases = [&evolving, &aborted, &walled, &cancelled].map(|run| desk.run(run).phase.clone());
    let why = "trial 9 failed and on_failure is \"abort\"".to_owned();
    let reasons = [Reason::Complete, Reason::Aborted(why), Reason::Complete, Reason::Cancelled];
    assert_eq!(phases, reasons.map(Phase::Finished));
    desk
}

#[test]
fn any_prefix_of_the_records_makes_the_state_that_was() {
    let limits = Limits::default();
    for checkpoint_generations in [2, 1_000] {
        let desk = an_eventful_story(checkpoint_generations);
        for (records, was) in &desk.moments {
            let core = replay(&limits, 2, 0, &desk.records[..*records]);
            check::invariants(&core);
            assert_eq!(durable(&core), *was, "after {records} records");
        }
        // Between two records of one turn nobody ever was, but it can be replayed as well.
        for records in 0..desk.records.len() {
            check::invariants(&replay(&limits, 2, 0, &desk.records[..records]));
        }
    }
}

#[test]
fn checkpoints_make_no_difference() {
    let told = |checkpoint_generations| {
        let desk = an_eventful_story(checkpoint_generations);
        let records = desk.records.iter().filter(|record| !matches!(record.record, Record::Checkpoint(_)));
        let told: Vec<String> = records.map(|record| format!("{record:?}")).collect();
        let checkpoints = desk.records.len() - told.len();
        (told, checkpoints)
    };
    let (often, seldom) = (told(1), told(1_000));
    assert!(often.1 > seldom.1);
    assert_eq!(often.0, seldom.0);
}

/// CMA-ES of two dimensions holds 16 numbers, its proposal 6, twice, and a checkpoint another 32: 480 bytes.
#[test]
fn a_strategy_that_does_not_fit_beside_those_of_open_runs_is_refused() {
    let mut desk = Desk::with(|limits| limits.memory_bytes_max = 900);
    desk.submit(evolution(10, 5));
    let refusal = desk.refusal(evolution(10, 5));
    for word in ["`cma-es` needs about 0.5 kB in the coordinator", "0.4 kB is the limit", "would fit"] {
        assert!(refusal.contains(word), "{refusal}");
    }
    // A sweep keeps no strategy.
    desk.submit(sweep(100));
}

// Replicas ------------------------------------------------------------------------------------------------------------

/// What a worker was sent, in a word each; the grants among it.
fn lessons(told: Vec<Message>) -> (Vec<String>, Vec<tumble_core::Grant>) {
    let mut grants = Vec::new();
    let word = |message| match message {
        Message::Proposal { generation, .. } => Some(format!("proposal {generation}")),
        Message::Snapshot { generation, bytes, .. } if bytes.is_empty() => Some(format!("begin {generation}")),
        Message::Snapshot { generation, .. } => Some(format!("snapshot {generation}")),
        Message::Tell { generation, .. } => Some(format!("tell {generation}")),
        Message::Grant(grant) => {
            grants.push(grant);
            None
        }
        _ => None,
    };
    (told.into_iter().filter_map(word).collect(), grants)
}

/// Worker `number` evaluates until the run has come to `generation`; what it was sent for that.
fn until_generation(desk: &mut Desk, number: u64, run: &RunId, generation: u32) -> Vec<String> {
    let mut all = Vec::new();
    while desk.run(run).generation() < generation {
        let (words, grants) = lessons(desk.told(number));
        assert!(!grants.is_empty(), "worker {number} is to be granted something");
        all.extend(words);
        grants.iter().for_each(|grant| desk.report(number, grant));
    }
    all
}

#[test]
fn a_worker_begins_with_the_run_file_then_replays_what_the_strategy_was_told() {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(evolution(6, 30));
    assert_eq!(until_generation(&mut desk, 1, &run, 3), ["begin 0", "tell 0", "tell 1"]);
    // Who comes late is sent no history.
    desk.join(2);
    assert_eq!(lessons(desk.told(1)).0, ["tell 2"]);
    let (words, held) = lessons(desk.told(2));
    assert_eq!((words, held.len()), (vec!["snapshot 3".to_owned()], 1));
}

#[test]
fn a_worker_that_had_no_part_in_some_generations_is_told_of_each() {
    let mut desk = Desk::with(|limits| limits.shard_trials_max = 2);
    desk.join(1);
    let run = desk.submit(evolution(6, 30));
    assert_eq!(until_generation(&mut desk, 1, &run, 1), ["begin 0"]);
    // It is busy with another run while somebody else goes on with this one.
    let (_, held) = lessons(desk.told(1));
    let other = desk.submit(sweep(1));
    held.iter().for_each(|grant| desk.report(1, grant));
    let busy = desk.grant(1);
    assert_eq!(busy.run, other);
    desk.join(2);
    assert_eq!(until_generation(&mut desk, 2, &run, 4), ["snapshot 1", "tell 1", "tell 2"]);
    desk.report(1, &busy);
    assert_eq!(lessons(desk.told(1)).0, ["tell 1", "tell 2", "tell 3"]);
}

#[test]
fn a_snapshot_is_not_sent_for_the_little_that_is_left() {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(evolution(6, 10));
    until_generation(&mut desk, 1, &run, 9);
    desk.join(2);
    assert_eq!(lessons(desk.told(2)).0, ["proposal 9"]);
}

#[test]
fn where_the_population_is_large_and_the_vector_short_the_proposal_is_sent() {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(evolution(400, 10));
    assert_eq!(until_generation(&mut desk, 1, &run, 2), ["proposal 0", "proposal 1"]);
    let evolution = desk.run(&run).evolution.as_ref().expect("it evolves");
    assert_eq!(evolution.told_bytes(), 0, "what nobody will be sent is not kept");
}

#[test]
fn a_replica_that_drifted_is_counted_and_made_anew_and_given_up_if_it_drifts_again() {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(evolution(6, 30));
    until_generation(&mut desk, 1, &run, 3);
    let (words, grants) = lessons(desk.told(1));
    assert_eq!((words, grants.len()), (vec!["tell 2".to_owned()], 1));
    let drifted = |desk: &mut Desk| {
        desk.event(Event::Drifted { worker: worker(1), run: run.clone(), generation: 2 });
        lessons(desk.told(1)).0
    };
    let down = desk.view(&run).bytes_down;
    assert_eq!(drifted(&mut desk), ["snapshot 3"]);
    assert_eq!(drifted(&mut desk), ["proposal 3"]);
    // It has no replica any more, so nothing more can drift.
    assert_eq!(drifted(&mut desk), [""; 0]);
    assert_eq!(desk.view(&run).resyncs, 2);
    // What its grant waited for is counted with its grant.
    desk.report(1, &grants[0]);
    assert_eq!(desk.view(&run).bytes_down - down, 10 * (2 + 2));
    assert_eq!(until_generation(&mut desk, 1, &run, 5), ["proposal 4"]);
    desk.restart();
    assert_eq!(desk.view(&run).resyncs, 2);
}

#[test]
fn who_holds_nothing_of_a_run_is_made_anew_with_its_next_grant() {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(evolution(6, 30));
    until_generation(&mut desk, 1, &run, 1);
    let (_, grants) = lessons(desk.told(1));
    desk.event(Event::Leaving { worker: worker(1) });
    grants.iter().for_each(|grant| desk.hand_back(1, grant));
    desk.event(Event::Drifted { worker: worker(1), run: run.clone(), generation: 1 });
    assert!(matches!(desk.told(1)[..], [Message::Farewell]));
    assert_eq!(desk.core.roster()[&worker(1)].known[&run], tumble_core::Known { drifts: 1, ..Default::default() });
    // Of runs and workers that nobody knows, nothing is counted.
    desk.event(Event::Drifted { worker: worker(9), run: run.clone(), generation: 1 });
    desk.event(Event::Drifted { worker: worker(1), run: RunId("nobody-knows".into()), generation: 1 });
    assert_eq!(desk.view(&run).resyncs, 1);
}

// Candidates from a client --------------------------------------------------------------------------------------------

/// Two candidates of two numbers.
const PAIR: [f64; 4] = [0.1 + 0.2, -0.0, 1e300, 7.5];
/// Three.
const THREE: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

/// The values that a client is answered with.
fn answer(desk: &Desk, run: &RunId, generation: u32, points: &[f64]) -> Option<Vec<f64>> {
    let answer = desk.run(run).answer_to(generation, points).unwrap_or_else(|why| panic!("{why}"));
    answer.map(|outcomes| outcomes.values.clone())
}

#[test]
fn a_run_waits_for_candidates_and_answers_with_their_outcomes_in_order() {
    let mut desk = Desk::new();
    desk.join(1);
    desk.join(2);
    let run = desk.submit(given(4, 10));
    assert_eq!(desk.view(&run).reason, "for candidates");
    assert!(desk.grants(1).is_empty() && desk.run(&run).scope().is_empty());

    desk.give(&run, 0, &THREE).unwrap();
    assert_eq!(answer(&desk, &run, 0, &THREE), None);
    // The last of them comes back first.
    let (first, second) = (desk.grant(1), desk.grant(2));
    desk.report(2, &second);
    desk.work_off(2);
    desk.report(1, &first);
    assert_eq!(answer(&desk, &run, 0, &THREE), Some((0..3).map(value_of).collect()));
    assert_eq!((desk.view(&run).generation, desk.view(&run).reason.as_str()), (1, "for candidates"));

    // Another number of candidates is an era of its own.
    desk.give(&run, 1, &PAIR).unwrap();
    desk.work_off(1);
    desk.work_off(2);
    assert_eq!(answer(&desk, &run, 1, &PAIR), Some((3..5).map(value_of).collect()));
    assert_eq!(desk.recorded(&run), all(5));
    desk.finish(&run).unwrap();
    desk.write_tables();
    assert_eq!(desk.run(&run).phase, Phase::Finished(Reason::Complete));
    assert_eq!((desk.run(&run).trials_end, desk.run(&run).layout.address(4).generation), (5, 1));
    // Who did not hear of it asks again.
    desk.finish(&run).unwrap();
}

#[test]
fn what_is_given_reaches_a_worker_to_the_bit_and_never_as_what_a_strategy_was_told() {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(given(4, 100));
    for generation in 0..40 {
        desk.give(&run, generation, &PAIR).unwrap();
        let told = desk.told(1);
        let proposals: Vec<_> = told
            .iter()
            .filter_map(|message| match message {
                Message::Proposal { bytes, .. } => Some(tumble_search::Proposal::decode(bytes).unwrap()),
                Message::Snapshot { .. } | Message::Tell { .. } => panic!("{message:?}"),
                _ => None,
            })
            .collect();
        let [proposal] = &proposals[..] else { panic!("{told:?}") };
        let mut candidate = [0.0; 2];
        for (i, expected) in PAIR.chunks(2).enumerate() {
            proposal.candidate(i as u32, &mut candidate);
            assert_eq!(candidate.map(f64::to_bits).to_vec(), expected.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
        }
        desk.work_off_of(1, &told);
    }
}

#[test]
fn who_gives_the_same_again_is_told_the_same_and_something_else_is_refused() {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(given(3, 10));
    assert!(desk.give(&run, 1, &PAIR).unwrap_err().contains("which is 0"));
    assert!(desk.give(&run, 0, &[1.0; 8]).unwrap_err().contains("`population` of 3"));
    assert!(desk.give(&run, 0, &[1.0; 3]).unwrap_err().contains("3 numbers are no candidates of 2"));
    assert!(desk.give(&run, 0, &[1.0, f64::NAN]).unwrap_err().contains("candidate 0: number 1 is NaN"));
    desk.give(&run, 0, &PAIR).unwrap();
    let records = desk.records.len();
    desk.give(&run, 0, &PAIR).unwrap();
    assert_eq!(desk.records.len(), records, "nothing is given twice");
    assert!(desk.give(&run, 0, &THREE).unwrap_err().contains("is being evaluated"));
    assert!(desk.finish(&run).unwrap_err().contains("generation 0 is still being evaluated"));
    desk.work_off(1);
    desk.give(&run, 0, &PAIR).unwrap();
    assert!(desk.give(&run, 0, &THREE).unwrap_err().contains("and is over"));
    // A zero of the other sign is another candidate.
    let mut other = PAIR;
    other[1] = 0.0;
    assert!(desk.give(&run, 0, &other).unwrap_err().contains("and is over"));
    let proposing = desk.submit(evolution(4, 2));
    assert!(desk.give(&proposing, 0, &PAIR).unwrap_err().contains("proposes its own"));
    assert!(desk.finish(&proposing).unwrap_err().contains("cancel"));
    assert!(desk.give(&RunId("walk-9".into()), 0, &PAIR).unwrap_err().contains("no run"));
}

/// Killed after every single record, the coordinator knows what it was given and what became of it.
#[test]
fn a_coordinator_that_is_killed_at_any_moment_answers_as_if_it_had_lived() {
    for checkpoint_generations in [1, 3, 200] {
        let mut desk = Desk::with(|limits| limits.checkpoint_generations = checkpoint_generations);
        desk.join(1);
        let run = desk.submit(given(3, 10));
        for (generation, points) in (0..6).zip([&PAIR[..], &THREE, &THREE, &PAIR, &PAIR, &THREE]) {
            desk.give(&run, generation, points).unwrap();
            desk.work_off(1);
        }
        for end in 1..=desk.records.len() {
            let mut again = Desk::with(|limits| limits.checkpoint_generations = checkpoint_generations);
            again.records = desk.records[..end].to_vec();
            again.restart();
            again.join(1);
            again.work_off(1);
            let open = again.view(&run).generation;
            // The client has heard of all generations but perhaps the last, and gives that one again.
            for (generation, points) in (0..6).zip([&PAIR[..], &THREE, &THREE, &PAIR, &PAIR, &THREE]) {
                if generation + 1 < open {
                    continue;
                }
                again.give(&run, generation, points).unwrap();
                again.work_off(1);
                assert_eq!(
                    answer(&again, &run, generation, points),
                    Some(desk.run(&run).layout.generation(generation))
                        .map(|range| (range.start..range.end).map(value_of).collect()),
                    "generation {generation} after {end} records"
                );
            }
            assert_eq!(again.recorded(&run), all(15), "after {end} records");
            again.finish(&run).unwrap();
        }
    }
}

#[test]
fn a_run_that_is_given_candidates_can_be_cancelled_stopped_and_resumed_while_it_waits() {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(with_wall(given(3, 10), 60));
    desk.give(&run, 0, &PAIR).unwrap();
    desk.work_off(1);
    desk.heartbeat(1);
    desk.pass(61_000);
    assert!(matches!(desk.run(&run).phase, Phase::Suspended(_)));
    assert!(desk.give(&run, 1, &PAIR).unwrap_err().contains("resume it first"));
    assert_eq!(answer(&desk, &run, 0, &PAIR), Some(vec![value_of(0), value_of(1)]));
    desk.resume(&run);
    desk.join(2);
    desk.give(&run, 1, &THREE).unwrap();
    desk.work_off(2);
    assert_eq!(answer(&desk, &run, 1, &THREE), Some((2..5).map(value_of).collect()));
    desk.cancel(&run);
    desk.write_tables();
    assert_eq!(desk.run(&run).phase, Phase::Finished(Reason::Cancelled));
    assert_eq!(desk.run(&run).trials_end, 5);
    assert!(desk.give(&run, 2, &PAIR).unwrap_err().contains("has ended"));
    desk.restart();
    assert_eq!(answer(&desk, &run, 1, &THREE), Some((2..5).map(value_of).collect()), "what was acknowledged stays");
}

#[test]
fn a_run_ends_by_itself_after_its_last_generation_and_at_the_first_failure_where_that_aborts_it() {
    let mut desk = Desk::new();
    desk.join(1);
    let run = desk.submit(given(3, 2));
    for generation in 0..2 {
        desk.give(&run, generation, &PAIR).unwrap();
        desk.work_off(1);
    }
    assert_eq!(answer(&desk, &run, 1, &PAIR), Some((2..4).map(value_of).collect()));
    desk.write_tables();
    assert_eq!(desk.run(&run).phase, Phase::Finished(Reason::Complete));
    assert!(desk.give(&run, 2, &PAIR).unwrap_err().contains("has ended"));

    let run = desk.submit(aborting(given(3, 9)));
    desk.give(&run, 0, &PAIR).unwrap();
    let grant = desk.grant(1);
    desk.report_as(1, &grant, grant.range, outcomes_but(grant.range, 0), true);
    desk.work_off(1);
    assert!(matches!(desk.run(&run).phase, Phase::Ending(Reason::Aborted(_))));
    assert!(desk.run(&run).answer_to(0, &PAIR).is_err());
}
