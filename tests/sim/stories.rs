//! Stories that people tell, and those of chance that once went wrong.

use std::sync::Arc;

use tumble_core::{Phase, Reason};
use tumble_domain::{Outcomes, TrialRange};
use tumble_worker::worker::{Action, Event, Grant, Lesson, Piece, Say, Worker};

use crate::run_file::{RunFile, brittle, pipelines, sphere};
use crate::seeds::tell;
use crate::tally::survived;
use crate::world::{Happening, World};

/// Small shards, so that there is something to lose at any moment.
fn world(seed: u64, workers: usize) -> World {
    World::seeded(seed).limits(|limits| limits.shard_trials_max = 7).workers(workers)
}

fn evolution() -> RunFile {
    sphere().strategy("cma-es").evolve("start", "2.0").population(12).generations(5)
}

#[test]
fn a_shard_whose_worker_vanishes_is_scored_by_another() {
    let mut world = World::seeded(7).workers(2);
    let run = world.submit(sphere().strategy("cma-es").population(64).generations(3));
    world.run_until(|world| world.done(run) > 10);
    world.worker(0).vanish();
    world.run_until_idle();
    world.verify();
}

#[test]
fn a_worker_that_is_gone_is_noticed_by_its_silence_alone() {
    let mut world = world(3, 2);
    let run = world.submit(sphere().points(2_000));
    world.run_until(|world| world.done(run) > 10);
    world.worker(0).fall_silent();
    world.run_until_idle();
    world.verify();
}

#[test]
fn a_worker_that_stands_still_and_goes_on_does_no_harm() {
    for ms in [100, 1_000, 2_900, 3_100, 60_000] {
        let mut world = world(ms, 3);
        let run = world.submit(evolution());
        world.run_until(|world| world.done(run) > 20);
        world.worker(1).stand_still(ms);
        world.run_until_idle();
        world.verify();
    }
}

/// Only the monotonic clock decides: one seed gives the same story, to the millisecond, whatever the wall clock does.
#[test]
fn a_wall_clock_that_jumps_back_and_forth_changes_nothing() {
    let story = |jumps: bool| {
        let mut world = world(17, 3);
        let runs = [world.submit(evolution()), world.submit(sphere().points(500))];
        for (done, wall_clock_ms) in [(5, 0), (20, -1 << 50), (30, 4_000_000_000_000), (45, 1_000)] {
            world.run_until(|world| world.done(runs[0]) > done);
            if jumps {
                world.wall_clock_ms = wall_clock_ms;
            }
            if done == 30 {
                // What was granted before a crash is looked at by the clock after it.
                world.crash();
                world.start_coordinator();
            }
        }
        world.run_until_idle();
        world.verify();
        world.now_ms
    };
    assert_eq!(story(true), story(false));
    survived("a wall clock that goes back, or far ahead", 4);
}

#[test]
fn everybody_may_leave_and_somebody_else_goes_on() {
    let mut world = world(5, 3);
    let run = world.submit(evolution());
    world.run_until(|world| world.done(run) > 20);
    (0..3).for_each(|host| world.leave(host));
    world.run_until(|world| world.core().roster().is_empty());
    assert_eq!(world.run(run).phase, Phase::Open);
    assert!(world.core().leases().is_empty());
    world.add_worker(2, 500);
    world.run_until_idle();
    world.verify();
}

#[test]
fn a_coordinator_may_die_at_any_step() {
    let mut died = 0;
    for step in 0.. {
        let mut world = world(11, 2);
        world.submit(evolution());
        world.submit(brittle(0.1).grid(5, 9));
        world.run_until(|world| world.epoch == 2);
        world.dies_in = Some(step);
        world.run_until_idle();
        world.verify();
        if world.epoch == 2 {
            break; // the story was over before
        }
        died += 1;
    }
    assert!(died > 100, "the story has only {died} steps");
}

#[test]
fn a_coordinator_that_dies_again_and_again_still_ends() {
    let mut world = world(12, 2);
    world.submit(evolution());
    world.submit(sphere().points(600));
    while world.runs.iter().any(|run| run.id.is_none()) || (0..2).any(|run| !world.is_over(run)) {
        let lives = world.chance.between(30, 200);
        for _ in 0..lives {
            world.happen();
        }
        world.crash();
        world.now(Happening::Restart);
        world.run_until(|world| world.process.is_some());
    }
    world.run_until_idle();
    assert!(world.epoch > 5, "it died {} times", world.epoch);
    world.verify();
}

// Candidates from a client --------------------------------------------------------------------------------------------

#[test]
fn a_client_that_gives_candidates_is_answered_as_its_reference_is_whatever_dies() {
    for moment in 0..60 {
        let mut world = slow_world(moment, 2);
        let generation = |i: u64| (0..3 * (1 + i % 5)).map(|x| (x * 7 + i) as f64 / 9.0 - 1.0).collect();
        let run = world.submit(sphere().replicates(2).given((0..8).map(generation).collect()));
        let all_are_here = |world: &World| world.hosts.iter().all(|host| host.session.is_some());
        world.run_until(|world| world.done(run) > moment / 2 && all_are_here(world));
        if moment % 3 == 0 {
            world.worker(1).vanish();
        }
        world.dies_in = Some(moment % 7);
        world.run_until_idle();
        world.verify();
        assert_eq!(world.answered(run).len(), world.done(run), "every outcome was told");
    }
    survived("a coordinator killed while a client gives candidates", 60);
}

// Sessions that are lost, and workers that go on ------------------------------------------------------------------------

/// Shards of several trials that take a while, so that there is always something half done.
fn slow_world(seed: u64, workers: usize) -> World {
    let mut world = World::seeded(seed).limits(|limits| {
        limits.shard_trials_max = 6;
        limits.shard_ms = 200.0;
        limits.straggler_ms_min = 60_000;
    });
    (0..workers).for_each(|_| world.add_worker(2, 15_000));
    world
}

#[test]
fn who_loses_its_session_goes_on_and_evaluates_nothing_twice() {
    for moment in 0..40 {
        for noticed in [None, Some(0), Some(40), Some(1_000)] {
            for (file, trials) in [(sphere().points(120), 120), (evolution(), 60)] {
                let mut world = slow_world(moment, 1);
                let run = world.submit(file);
                world.run_until(|world| world.done(run) > moment);
                world.worker(0).lose_its_session(noticed, 20 * moment + 1);
                world.run_until_idle();
                world.verify();
                assert!(world.held > 0, "it held something");
                assert_eq!(world.evaluated, trials, "at {moment}, noticed {noticed:?}");
            }
        }
    }
    survived("a connection lost, noticed or not", 320);
}

#[test]
fn workers_of_a_coordinator_that_is_killed_go_on_and_evaluate_nothing_twice() {
    for moment in 0..40 {
        let mut world = slow_world(moment, 3);
        let run = world.submit(sphere().points(600));
        world.run_until(|world| world.done(run) > 8 * moment);
        world.crash();
        world.in_ms(5 * moment, Happening::Restart);
        world.run_until_idle();
        world.verify();
        assert!(world.held > 0, "they held something");
        assert_eq!(world.evaluated, 600, "killed at {moment}");
    }
    survived("a coordinator killed while trials take long", 40);
}

#[test]
fn what_was_lent_to_another_meanwhile_is_evaluated_by_both_or_let_go() {
    for moment in 0..60 {
        let mut world = slow_world(moment, 2);
        let run = world.submit(evolution());
        world.run_until(|world| world.done(run) > moment / 2);
        // The other takes what it can before the one that was cut off is back.
        world.worker(0).lose_its_session(Some(0), 10 * (moment % 20) + 1);
        world.run_until_idle();
        world.verify();
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_nothing() {
    for moment in 0..20 {
        let mut world = world(moment, 2);
        let runs = [world.submit(evolution()), world.submit(brittle(0.1).grid(5, 9))];
        world.run_until(|world| world.done(runs[0]) > moment);
        world.full_until_ms = world.now_ms + 700;
        world.run_until_idle();
        world.verify();
        assert!(world.refused_commits > 0 && world.epoch > 2, "the disk was asked");
    }
}

#[test]
fn a_slow_disk_holds_everything_back_and_changes_nothing() {
    for seed in 0..10 {
        let mut world = world(seed, 3);
        world.commit_ms = 500;
        let runs = [world.submit(evolution()), world.submit(sphere().points(200))];
        world.run_until(|world| world.done(runs[1]) > 50);
        world.worker(1).lose_its_session(Some(100), 50);
        world.dies_in = Some(20);
        world.run_until_idle();
        world.verify();
    }
}

#[test]
fn an_abort_gives_the_same_table_for_any_number_of_workers() {
    for workers in 1..=6 {
        let mut world = world(workers as u64, workers);
        let sweep = world.submit(brittle(0.02).points(400).on_failure("abort"));
        let evolution = world
            .submit(brittle(0.01).strategy("cma-es").population(20).generations(30).replicates(2).on_failure("abort"));
        world.run_until_idle();
        // The reference is one; whatever the number of workers, the tables are those.
        world.verify();
        for run in [sweep, evolution] {
            assert!(matches!(world.reason(run), Reason::Aborted(_)), "{:?}", world.reason(run));
        }
    }
}

#[test]
fn trials_that_kill_their_workers_are_the_only_ones_to_fail() {
    for file in [sphere().points(300), evolution().replicates(5)] {
        let mut world = World::seeded(21).workers(3);
        let run = world.submit(file.killers(&[40, 41, 299]));
        world.run_until_idle();
        world.verify();
        assert_eq!(world.run(run).failed, 3);
        let sessions = world.next_session;
        assert!(sessions <= 3 + 40, "{sessions} workers were needed to find 3 killers");
    }
}

#[test]
fn several_parts_are_cut_where_the_run_file_says() {
    let mut world = World::seeded(31).limits(|limits| limits.shard_trials_max = 300).workers(3);
    let run = world.submit(brittle(0.01).points(11_000));
    let other = world.submit(sphere().strategy("random").population(100).generations(90));
    world.run_until(|world| world.done(run) > 6_000);
    world.worker(2).vanish();
    world.crash();
    world.now(Happening::Restart);
    world.run_until_idle();
    world.verify();
    assert_eq!((world.run(run).parts, world.run(other).parts), (3, 3));
}

#[test]
fn a_run_stops_at_its_wall_and_goes_on_from_there() {
    let mut world = World::seeded(41).workers(1);
    world.add_worker(1, 40_000);
    let run = world.submit(sphere().points(5_000).limit("wall", "\"1s\""));
    world.run_until(|world| world.done(run) > 0 && matches!(world.run(run).phase, Phase::Suspended(_)));
    assert!(world.done(run) < 5_000);
    world.run_until_idle();
    world.verify();
}

#[test]
fn a_run_may_be_cancelled_at_any_moment() {
    for moment in 0..60 {
        let mut world = world(51, 2);
        let cancelled = world.submit(sphere().strategy("random").population(70).generations(100));
        let other = world.submit(evolution());
        world.run_until(|world| world.done(cancelled) >= moment * 110);
        world.cancel(cancelled);
        world.run_until_idle();
        world.verify();
        assert_eq!((world.reason(cancelled), world.reason(other)), (Reason::Cancelled, Reason::Complete));
    }
}

#[test]
fn a_worker_that_evaluates_something_else_is_caught() {
    let mut world = World::seeded(61).limits(|limits| limits.straggler_ms_min = 100).workers(1);
    // Wrong numbers of a slow worker: whoever is quicker is asked as well, and the two are compared.
    world.add_worker(1, 400_000);
    world.hosts[1].wrong_numbers = true;
    let run = world.submit(sphere().strategy("random").population(12).generations(300));
    world.run_until(|world| world.disk.journal.disagreements > 0);
    assert!(world.run(run).disagreements > 0);
}

#[test]
fn a_replica_in_bad_memory_is_caught_before_anything_is_evaluated() {
    let (mut flipped, mut drifted) = (0, 0);
    for seed in 0..40 {
        let mut world = world(seed, 2);
        let strategies = ["cma-es", "open-ai-es", "ga"];
        let file = sphere().evolve("start", "2.0").strategy(strategies[seed as usize % 3]);
        let file = file.population(12).generations(14);
        let run = world.submit(file);
        world.hosts[0].flips = 2;
        world.update_ms = 20;
        world.run_until_idle();
        // The tables are those of a run whose memory is good.
        world.verify();
        assert_eq!((world.run(run).resyncs, world.run(run).disagreements), (world.drifted, 0));
        flipped += world.flipped;
        drifted += world.drifted;
    }
    // A step may overwrite what a flip has spoilt, and then nothing is wrong with it.
    assert!(flipped >= 70 && 2 * drifted >= flipped, "{drifted} of {flipped} flips were caught");
}

#[test]
fn a_worker_whose_replica_drifts_again_and_again_is_sent_proposals() {
    let mut world = world(3, 1);
    let run = world.submit(sphere().strategy("open-ai-es").evolve("start", "2.0").population(12).generations(40));
    world.hosts[0].flips = 1_000;
    world.run_until_idle();
    world.verify();
    assert_eq!(world.run(run).resyncs, u64::from(tumble_core::lessons::DRIFTS_MAX));
}

#[test]
fn a_population_that_doubles_at_each_restart_has_the_tables_of_its_run_file() {
    let mut world = world(8, 3);
    let file = sphere().evolve("start", "2.0").strategy("cma-es").population(40).generations(9);
    // Steps that are always too short end every run of the search at once.
    let file = file.evolve("restarts", "\"ipop\"").evolve("restarts_max", 6).evolve("tolx", "1e9");
    let run = world.submit(file);
    world.run_until(|world| world.done(run) > 1_000);
    world.worker(2).vanish();
    world.crash();
    world.now(Happening::Restart);
    world.run_until_idle();
    world.verify();
    let populations: Vec<u64> = world.run(run).layout.eras().iter().map(|era| era.candidates).collect();
    assert!(populations.starts_with(&[40, 80, 160, 320]) && world.run(run).parts > 1, "{populations:?}");
}

#[test]
fn a_grant_that_its_generation_has_overtaken_is_handed_back() {
    // A worker that found such a grant in its queue said that it could not evaluate the run, and was not asked again.
    let file = evolution().toml("overtaken");
    let run: Arc<str> = "overtaken".into();
    let mut strategy = {
        let spec = evolution().understood("overtaken").spec;
        let tumble_domain::Plan::Evolve(evolve) = &spec.plan else { panic!("it evolves") };
        let (start, seed) = (evolve.start.clone(), spec.seed);
        let problem =
            tumble_search::Problem { dimension: 3, shapes: Vec::new(), bounds: None, start, seed, grains: Vec::new() };
        tumble_search::strategies::build(evolve, &problem).expect("the run file was understood")
    };
    let mut worker = Worker::new(pipelines(), 1);
    let propose = |worker: &mut Worker, strategy: &dyn tumble_search::Strategy| {
        let bytes = strategy.ask().encode();
        let hash = tumble_search::StateHash::of(&bytes).0.to_vec();
        let (generation, length) = (strategy.generation(), bytes.len() as u64);
        let lesson = Lesson::Proposal;
        worker.handle(Event::LessonPiece { lesson, run: run.clone(), generation, hash, length, offset: 0, bytes })
    };
    assert!(worker.handle(Event::Opened { run: run.clone(), run_toml: file }).is_empty());
    assert!(propose(&mut worker, &*strategy).is_empty());
    let grant = |lease: u64, generation: u32, first: u64| {
        let range = TrialRange::new(first, first + 2);
        let generation_start = u64::from(generation) * 12;
        Event::Granted(Grant { lease, run: run.clone(), generation, generation_start, range })
    };
    assert!(matches!(worker.handle(grant(1, 0, 0))[..], [Action::Start { .. }]));
    assert!(worker.handle(grant(2, 0, 2)).is_empty());
    strategy.tell(&[tumble_domain::Fitness::Scored(0.5); 12]);
    assert!(propose(&mut worker, &*strategy).is_empty());
    assert!(worker.handle(grant(3, 1, 12)).is_empty());

    let range = TrialRange::new(0, 2);
    let piece = Piece { range, outcomes: Outcomes::default(), evaluate_ms: 1.0, last: true, refused: None };
    let actions = worker.handle(Event::Evaluated { slot: 0, piece });
    match &actions[..] {
        [
            Action::Say(Say::Report { lease: 1, .. }),
            Action::Say(Say::Report { lease: 2, piece, .. }),
            Action::Start { job, .. },
        ] => {
            assert!(piece.range.is_empty() && piece.last);
            assert_eq!(job.grant.lease, 3);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_worker_refuses_a_run_whose_proposals_it_could_not_hold() {
    let (file, run): (_, Arc<str>) = (evolution().toml("narrow"), "narrow".into());
    let opened = || Event::Opened { run: run.clone(), run_toml: file.clone() };
    // Three proposals of 3 × 4 numbers, and a candidate of 3 in each of two slots: 336 bytes.
    assert!(Worker::new(pipelines(), 2).with_memory(336).handle(opened()).is_empty());
    match &Worker::new(pipelines(), 2).with_memory(335).handle(opened())[..] {
        [Action::Say(Say::CannotRun { reason, .. })] => {
            assert!(reason.contains("`cma-es` needs about 0.3 kB in a worker with 2 slots"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn stories_that_once_went_wrong_go_right() {
    FOUND.iter().for_each(|(seed, _)| tell(*seed));
}

/// Seeds, and what went wrong in their stories. What each taught has a story of its own in the core's tests, or above:
/// these are what chance made of it, as long as chance draws the same.
const FOUND: [(u64, &str); 5] = [
    (33, "a lease whose generation was over was lent again, and every idle worker refused the run"),
    (37, "a report that skipped the front of its lease left a trial that nobody would ever evaluate"),
    (53, "an honest report was refused because an abort had shortened the table meanwhile"),
    (171, "a worker refused a run because a grant in its queue was of the generation before"),
    (194, "a sweep whose last trial failed was complete and not aborted"),
];
