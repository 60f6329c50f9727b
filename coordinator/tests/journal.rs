//! The journal: what it promises of records once they are appended, and that journals of earlier days are read.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{given_points, outcomes, submission, submitted};
use tumble_coordinator::journal::{Journal, JournalError};
use tumble_core::{
    Attempt, AttemptOutcome, Checkpoint, Coordinator, Limits, Phase, Reason, Record, Run, RunId, RunRecord, Runs,
    Timestamp,
};
use tumble_domain::TrialRange;
use tumble_search::Proposal;

const SWEEP: &str = "[sweep]\ndesign = \"grid\"\n[sweep.axes]\nx0 = { linear = [0.0, 1.0], points = 10_000 }";

/// A journal in a folder of its own, and the run that its records are of.
struct Kept {
    folder: tempfile::TempDir,
    run: RunId,
}

impl Kept {
    fn new() -> (Kept, Journal) {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept { folder, run: submission("run", SWEEP).run };
        let mut journal = kept.open();
        journal.append(&[kept.of(submitted(submission("run", SWEEP)))]).unwrap();
        (kept, journal)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("journal.sqlite")
    }

    fn open(&self) -> Journal {
        Journal::open(&self.path()).unwrap()
    }

    fn of(&self, record: Record) -> RunRecord {
        RunRecord { run: self.run.clone(), record }
    }

    fn scored(&self, start: u64, end: u64) -> RunRecord {
        let range = TrialRange::new(start, end);
        self.of(Record::Scored { range, outcomes: Arc::new(outcomes(range)) })
    }

    /// What a coordinator that starts with a copy of the files finds, as after `kill -9` at this moment.
    fn after_a_crash(&self) -> (tempfile::TempDir, Journal) {
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(self.folder.path()).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        let journal = Journal::open(&copy.path().join("journal.sqlite")).unwrap();
        (copy, journal)
    }
}

/// The trials that a replay of the journal knows as scored.
fn done(journal: &Journal, run: &RunId) -> Vec<TrialRange> {
    restored(journal).get(run).expect("the run is there").done.iter().collect()
}

fn restored(journal: &Journal) -> Runs {
    let mut runs = Runs::default();
    journal.replay().unwrap().iter().for_each(|record| runs.apply(record).unwrap());
    runs
}

fn ranges<const N: usize>(pairs: [(u64, u64); N]) -> Vec<TrialRange> {
    pairs.map(|(start, end)| TrialRange::new(start, end)).into()
}

fn checkpoint(done: Vec<TrialRange>, parts: u64) -> Record {
    Record::Checkpoint(Box::new(Checkpoint {
        done,
        failed: 0,
        parts,
        trials_end: 10_000,
        eras: Vec::new(),
        strategy: Vec::new(),
        champion: None,
        best: Some(0.5),
        bytes_down: 70,
        bytes_up: 80,
        disagreements: 1,
        differing: Vec::new(),
        resyncs: 1,
        answer: None,
    }))
}

#[test]
fn what_is_appended_is_there_after_a_crash() {
    let (kept, mut journal) = Kept::new();
    journal.append(&[kept.scored(0, 100), kept.scored(500, 600)]).unwrap();
    let (_copy, crashed) = kept.after_a_crash();
    assert_eq!(done(&crashed, &kept.run), ranges([(0, 100), (500, 600)]));
    journal.append(&[kept.scored(100, 500)]).unwrap();
    let (_copy, crashed) = kept.after_a_crash();
    assert_eq!(done(&crashed, &kept.run), ranges([(0, 600)]));
    assert_eq!(done(&crashed, &kept.run), done(&journal, &kept.run));
}

/// The end of the file may be half a write when the power goes: the transaction that it belongs to is gone, all of it,
/// and those before it are all there.
#[test]
fn a_torn_end_costs_the_last_turn_and_nothing_before_it() {
    let (kept, mut journal) = Kept::new();
    journal.append(&[kept.scored(0, 100), kept.scored(100, 200)]).unwrap();
    let wal = kept.folder.path().join("journal.sqlite-wal");
    let before = fs::metadata(&wal).unwrap().len();
    journal.append(&[kept.scored(200, 300), kept.scored(300, 1300), kept.scored(5000, 5001)]).unwrap();
    let after = fs::metadata(&wal).unwrap().len();
    assert!(after > before + 8192, "the last turn is several pages long, or tearing it proves little");
    let whole = fs::read(&wal).unwrap();
    for torn in [before + 1, (before + after) / 2, after - 4096, after - 1] {
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join("journal.sqlite");
        fs::copy(kept.path(), &path).unwrap();
        fs::write(copy.path().join("journal.sqlite-wal"), &whole[..torn as usize]).unwrap();
        let torn_journal = Journal::open(&path).unwrap();
        assert_eq!(done(&torn_journal, &kept.run), ranges([(0, 200)]), "torn at {torn} of {after} bytes");
    }
}

#[test]
fn a_journal_that_is_open_is_held() {
    let (kept, journal) = Kept::new();
    let second = Journal::open(&kept.path());
    assert!(matches!(&second, Err(JournalError::Held { path }) if *path == kept.path()), "{:?}", second.err());
    drop(journal);
    kept.open();
}

#[test]
fn a_journal_of_a_later_format_is_refused_and_left_as_it_is() {
    let (kept, journal) = Kept::new();
    drop(journal);
    let raw = rusqlite::Connection::open(kept.path()).unwrap();
    raw.execute_batch("PRAGMA journal_mode=DELETE; PRAGMA user_version=2").unwrap();
    drop(raw);
    let refused = Journal::open(&kept.path()).err().expect("it is of another format");
    let expected = format!("{} has journal format 2, but this version of Tumble reads format 1", kept.path().display());
    assert_eq!(refused.to_string(), expected);
    let raw = rusqlite::Connection::open(kept.path()).unwrap();
    let epoch: i64 = raw.query_row("SELECT number FROM epoch", [], |row| row.get(0)).unwrap();
    assert_eq!(epoch, 1, "only the first opening counts");
}

#[test]
fn what_is_no_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    fs::File::create(&path).unwrap().write_all(&[b'x'; 5000]).unwrap();
    let refused = Journal::open(&path).err().expect("it is no database").to_string();
    let expected = format!("the journal {} is damaged (file is not a database); it is left as it is", path.display());
    assert!(refused.starts_with(&expected), "{refused}");
}

#[test]
fn a_damaged_record_is_named() {
    let (kept, mut journal) = Kept::new();
    journal.append(&[kept.scored(0, 100)]).unwrap();
    drop(journal);
    let raw = rusqlite::Connection::open(kept.path()).unwrap();
    assert_eq!(
        raw.execute("UPDATE records SET body = substr(body, 1, length(body) - 3) WHERE seq = 2", []).unwrap(),
        1
    );
    drop(raw);
    let refused = kept.open().replay().expect_err("a record is damaged").to_string();
    let expected = format!("record 2 of the journal {} is damaged: ", kept.path().display());
    assert!(refused.starts_with(&expected), "{refused}");
}

/// Flips a bit in the middle of a record's body, behind the journal's back.
fn flip(kept: &Kept, seq: i64) {
    let raw = rusqlite::Connection::open(kept.path()).unwrap();
    let mut body: Vec<u8> = raw.query_row("SELECT body FROM records WHERE seq = ?1", [seq], |row| row.get(0)).unwrap();
    let middle = body.len() / 2;
    body[middle] ^= 0x04;
    assert_eq!(raw.execute("UPDATE records SET body = ?2 WHERE seq = ?1", rusqlite::params![seq, body]).unwrap(), 1);
}

/// The trials whose outcomes a journal holds after it was repaired, and what was said.
fn repaired(kept: &Kept) -> (Vec<TrialRange>, String) {
    let mut journal = kept.open();
    let said = journal.repair().unwrap().into_iter().map(|repair| repair.what).collect::<Vec<_>>().join("\n");
    assert_eq!(journal.repair().unwrap(), [], "what is repaired is in order");
    (journal.covered(&kept.run).unwrap().iter().collect(), said)
}

#[test]
fn outcomes_of_a_sweep_with_a_flipped_bit_are_named_and_open_again_and_the_others_stay() {
    let (kept, mut journal) = Kept::new();
    journal.append(&[kept.scored(0, 100), kept.scored(100, 150), kept.scored(150, 200)]).unwrap();
    drop(journal);
    flip(&kept, 3);
    let (left, said) = repaired(&kept);
    assert_eq!(left, ranges([(0, 100), (150, 200)]));
    let path = kept.path();
    let expected =
        "the recorded outcomes of trials 100..150 were damaged; those that no part holds are evaluated again";
    assert_eq!(said, format!("record 3 of the journal {}: {expected}", path.display()));
    assert_eq!(done(&kept.open(), &kept.run), ranges([(0, 100), (150, 200)]));
}

#[test]
fn a_column_that_its_record_contradicts_is_set_right() {
    let (kept, mut journal) = Kept::new();
    journal.append(&[kept.scored(0, 100), kept.scored(100, 150)]).unwrap();
    drop(journal);
    let raw = rusqlite::Connection::open(kept.path()).unwrap();
    raw.execute("UPDATE records SET first = first + 4096, kind = 66 WHERE seq = 2", []).unwrap();
    drop(raw);
    assert_eq!(repaired(&kept), (ranges([(0, 150)]), String::new()));
}

/// A generation is told what its trials scored: without one of them nothing that follows can be told.
#[test]
fn what_an_evolution_decided_after_a_damaged_record_is_decided_again() {
    let plan = "[evolve]\nstrategy = \"random\"\npopulation = 50\ngenerations = 9\n";
    let (mut kept, mut journal) = Kept::new();
    kept.run = submission("evolved", plan).run;
    journal.append(&[kept.of(submitted(submission("evolved", plan)))]).unwrap();
    journal.append(&[kept.scored(0, 20), kept.scored(20, 50), kept.scored(50, 60)]).unwrap();
    drop(journal);
    flip(&kept, 4);
    let (left, said) = repaired(&kept);
    assert_eq!(left, ranges([(0, 20)]));
    assert!(said.contains("what followed it is evaluated again"), "{said}");
    // Its checkpoint is where all that follows begins.
    kept.open().append(&[kept.of(checkpoint(ranges([(0, 20)]), 0)), kept.scored(20, 50)]).unwrap();
    flip(&kept, 4);
    let (left, said) = repaired(&kept);
    assert_eq!(left, []);
    assert!(said.contains("every trial is evaluated again"), "{said}");
}

#[test]
fn a_journal_whose_submission_is_damaged_is_refused_and_says_what_to_do() {
    let (kept, journal) = Kept::new();
    drop(journal);
    flip(&kept, 1);
    let refused = kept.open().repair().expect_err("nobody knows what the run is").to_string();
    assert!(
        refused.starts_with(&format!("record 1 of the journal {} is damaged: ", kept.path().display())),
        "{refused}"
    );
    assert!(refused.ends_with("begin the run anew with its run file in another folder, which gives the same tables"));
}

#[test]
fn the_epoch_is_higher_each_time() {
    let (kept, journal) = Kept::new();
    assert_eq!(journal.epoch(), 1);
    drop(journal);
    assert_eq!(kept.open().epoch(), 2);
    assert_eq!(kept.open().epoch(), 3);
}

#[test]
fn outcomes_come_in_order_cut_to_what_is_asked_for() {
    let (kept, mut journal) = Kept::new();
    journal.append(&[kept.scored(500, 600), kept.scored(0, 100), kept.scored(100, 150)]).unwrap();
    let asked = |start: u64, end: u64| journal.outcomes(&kept.run, TrialRange::new(start, end)).unwrap();
    let found: Vec<TrialRange> = asked(0, 10_000).into_iter().map(|(range, _)| range).collect();
    assert_eq!(found, ranges([(0, 100), (100, 150), (500, 600)]), "the gap stays a gap");
    for (range, piece) in asked(40, 560) {
        let expected = outcomes(range);
        assert_eq!((piece.trials, &piece.errors), (expected.trials, &expected.errors), "{range}");
        for offset in 0..piece.trials as usize {
            assert_eq!(piece.status(offset), expected.status(offset));
            for metric in [0, 1] {
                assert_eq!(piece.value(metric, offset).to_bits(), expected.value(metric, offset).to_bits(), "{range}");
            }
        }
    }
    let found: Vec<TrialRange> = asked(40, 560).into_iter().map(|(range, _)| range).collect();
    assert_eq!(found, ranges([(40, 100), (100, 150), (500, 560)]));
    let other = RunId("other".into());
    assert!(journal.outcomes(&other, TrialRange::new(0, 100)).unwrap().is_empty());
}

/// What a part and a checkpoint cover goes; what only one of them covers stays.
#[test]
fn retiring_keeps_every_outcome_that_no_part_holds() {
    let (kept, mut journal) = Kept::new();
    journal.append(&[kept.scored(0, 4000), kept.scored(4000, 4200), kept.scored(6000, 6100)]).unwrap();
    let part = Record::PartWritten { part: 0, rows: 4096, bytes: 1 };
    let covered = checkpoint(ranges([(0, 4200), (6000, 6100)]), 1);
    journal.append(&[kept.of(part), kept.of(covered), kept.scored(4200, 4300)]).unwrap();
    let before = restored(&journal);
    journal.retire(&kept.run, 4096).unwrap();

    let left: Vec<TrialRange> =
        journal.outcomes(&kept.run, TrialRange::new(0, 10_000)).unwrap().into_iter().map(|(range, _)| range).collect();
    assert_eq!(left, ranges([(4000, 4200), (4200, 4300), (6000, 6100)]));
    let (before, after) = (before.get(&kept.run).unwrap(), restored(&journal));
    assert_eq!(standing(before), standing(after.get(&kept.run).unwrap()));
    assert_eq!(before.done.iter().collect::<Vec<_>>(), ranges([(0, 4300), (6000, 6100)]));
    assert_eq!(before.written_end(), 4096);
}

#[test]
fn a_finished_run_is_forgotten_but_for_how_it_stands() {
    let (kept, mut journal) = Kept::new();
    let attempt = Attempt {
        range: TrialRange::new(0, 10_000),
        attempt: 0,
        worker: "somewhere/1".into(),
        host: "somewhere".into(),
        granted_unix_ms: 1,
        ended_unix_ms: 2,
        evaluate_ms: 0.5,
        outcome: AttemptOutcome::Reported,
        bytes_down: 70,
        bytes_up: 80,
    };
    journal.append(&[kept.of(Record::Attempted(attempt)), kept.scored(0, 10_000)]).unwrap();
    assert_eq!(journal.attempts(&kept.run).unwrap().len(), 1);
    journal.append(&[kept.of(Record::Ending { reason: Reason::Complete, trials_end: 10_000 })]).unwrap();
    journal.append(&[kept.of(checkpoint(ranges([(0, 10_000)]), 3)), kept.of(Record::Finished)]).unwrap();
    let before = restored(&journal);
    journal.forget(&kept.run).unwrap();
    assert_eq!(journal.len().unwrap(), 4, "its submission, its checkpoint and its end");
    let after = restored(&journal);
    assert_eq!(standing(before.get(&kept.run).unwrap()), standing(after.get(&kept.run).unwrap()));
    assert_eq!(after.get(&kept.run).unwrap().phase, Phase::Finished(Reason::Complete));
    assert!(journal.outcomes(&kept.run, TrialRange::new(0, 10_000)).unwrap().is_empty());
}

/// Everything durable of a run, in words.
fn standing(run: &Run) -> String {
    let ranges: Vec<String> = run.done.iter().map(|range| range.to_string()).collect();
    let mut text = format!("{} ({}): {:?}\n", run.id, run.key, run.phase);
    let _ = writeln!(text, "  scored {}, {} failed", ranges.join(" "), run.failed);
    let _ = writeln!(text, "  table ends before {}, {} parts", run.trials_end, run.parts);
    let _ = writeln!(text, "  best {:?}, {} down, {} up", run.best, run.bytes_down, run.bytes_up);
    let _ = writeln!(text, "  {} disagree, folder {}", run.disagreements, run.folder.display());
    if let Some(evolution) = &run.evolution {
        // A candidate of the open generation stands for the strategy's state, from which it is made.
        let proposal = Proposal::decode(&evolution.proposal().0).expect("it was just encoded");
        let mut candidate = vec![0.0; proposal.dimension()];
        proposal.candidate(5, &mut candidate);
        let _ = writeln!(text, "  generation {}, candidate 5 {candidate:?}", evolution.generation());
        let _ = writeln!(text, "  champion {:?}", evolution.champion);
    }
    text
}

/// A copy of a frozen journal: to open it is to write its epoch.
fn thawed(version: &str, file: &str) -> (tempfile::TempDir, Journal) {
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/history").join(version).join(file);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    fs::copy(frozen, &path).unwrap();
    let journal = Journal::open(&path).unwrap();
    (folder, journal)
}

#[test]
fn a_journal_of_format_1_is_replayed_to_its_end() {
    let (_folder, journal) = thawed("v1", "journal.sqlite");
    assert_eq!(journal.epoch(), 2);
    let now = Timestamp::default();
    let core = Coordinator::replay(Limits::default(), |_| 0, journal.epoch(), now, journal.replay().unwrap()).unwrap();
    let text: String = core.runs().iter().map(standing).collect();
    assert_eq!(format!("\n{text}"), FROZEN_V1);

    // What no part holds yet is there to the bit.
    for (name, start, end) in [("swept", 4096, 4200), ("evolved", 0, 101), ("cancelled", 0, 40), ("suspended", 0, 20)] {
        let run = RunId(format!("{name}-222222").into());
        let mut next = start;
        for (range, piece) in journal.outcomes(&run, TrialRange::new(start, end)).unwrap() {
            assert_eq!(range.start, next, "{name}");
            next = range.end;
            let expected = outcomes(range);
            for offset in 0..piece.trials as usize {
                assert_eq!(piece.status(offset), expected.status(offset), "{name} {range}");
                assert_eq!(piece.value(1, offset).to_bits(), expected.value(1, offset).to_bits(), "{name} {range}");
            }
        }
        let known = core.runs().get(&run).unwrap();
        assert_eq!(next, end.min(known.done.iter().last().unwrap().end), "{name}");
    }
    let evolved = RunId("evolved-222222".into());
    let generations = journal.generations(&evolved).unwrap();
    assert!(generations.iter().map(|row| row.generation).eq(0..6), "{generations:?}");
    let attempts = journal.attempts(&RunId("swept-222222".into())).unwrap();
    assert!(attempts.iter().any(|attempt| attempt.outcome == AttemptOutcome::Lost));
}

#[test]
fn a_journal_of_format_1_with_candidates_from_a_client_is_replayed_and_answers() {
    let (_folder, journal) = thawed("v1", "given.sqlite");
    let now = Timestamp::default();
    let core = Coordinator::replay(Limits::default(), |_| 0, journal.epoch(), now, journal.replay().unwrap()).unwrap();
    let id = RunId("given-222222".into());
    let run = core.runs().get(&id).unwrap();
    let generations = journal.generations(&id).unwrap();
    assert!(generations.iter().map(|row| row.generation).eq(0..6), "{generations:?}");
    // The last generation is half evaluated; the one before is answered, and nobody else's candidates are.
    assert_eq!((run.generation(), run.waits(), run.scope(), run.done.len()), (6, false, TrialRange::new(20, 23), 22));
    let answer = run.answer_to(5, &given_points(5)).unwrap().expect("it is over");
    assert_eq!(*answer, outcomes(TrialRange::new(18, 20)));
    assert_eq!(run.answer_to(6, &given_points(6)).unwrap(), None);
    assert!(run.answer_to(5, &given_points(6)).is_err());
    let (proposal, _) = run.evolution.as_ref().unwrap().proposal();
    let mut candidate = [0.0; 4];
    Proposal::decode(&proposal).unwrap().candidate(2, &mut candidate);
    assert_eq!(candidate, given_points(6)[8..]);
}

#[test]
fn what_a_client_gave_is_kept_until_a_checkpoint_has_it_and_what_is_damaged_is_waited_for_again() {
    let plan = "[evolve]\nstrategy = \"given\"\n";
    let (mut kept, mut journal) = Kept::new();
    kept.run = submission("given", plan).run;
    let given = |generation| kept.of(Record::Given { generation, points: given_points(generation).into() });
    journal.append(&[kept.of(submitted(submission("given", plan))), given(0), kept.scored(0, 3)]).unwrap();
    let open = |journal: &Journal| {
        let runs = restored(journal);
        let run = runs.get(&kept.run).unwrap();
        (run.generation(), run.waits(), run.scope(), run.done.len())
    };
    assert_eq!(open(&journal), (0, false, TrialRange::new(0, 3), 3));
    let row = restored(&journal).get(&kept.run).unwrap().checkpoint();
    let closed = {
        let now = Timestamp::default();
        let replayed = journal.replay().unwrap();
        let mut core = Coordinator::replay(Limits::default(), |_| 0, 9, now, replayed).unwrap();
        let mut records = Vec::new();
        let effects = core.handle(now, tumble_core::Event::Tick);
        let kept = effects.settle(|new| {
            records.extend(new);
            Ok::<_, std::convert::Infallible>(())
        });
        assert!(kept.is_ok());
        records
    };
    assert!(row.answer.is_none() && closed.len() == 1, "{closed:?}");
    journal.append(&closed).unwrap();
    assert_eq!(open(&journal), (1, true, TrialRange::new(3, 3), 3));
    let checkpoint = restored(&journal).get(&kept.run).unwrap().checkpoint();
    assert!(checkpoint.answer.is_some());
    let before = journal.len().unwrap();
    journal.append(&[kept.of(Record::Checkpoint(Box::new(checkpoint)))]).unwrap();
    journal.retire(&kept.run, 0).unwrap();
    assert_eq!(journal.len().unwrap(), before, "the checkpoint is there, and what was given is not");
    journal.append(&[given(1), kept.scored(3, 6)]).unwrap();
    assert_eq!(open(&journal), (1, false, TrialRange::new(3, 8), 6));
    let last: i64 = {
        drop(journal);
        let connection = rusqlite::Connection::open(kept.path()).unwrap();
        connection.query_row("SELECT max(seq) FROM records WHERE kind = 13", [], |row| row.get(0)).unwrap()
    };
    flip(&kept, last);
    let mut journal = kept.open();
    let said = journal.repair().unwrap();
    assert!(said.len() == 1 && said[0].what.contains("what followed it is evaluated again"), "{said:?}");
    assert_eq!(open(&journal), (1, true, TrialRange::new(3, 3), 3));
}

const FROZEN_V1: &str = r#"
finished-222222 (key of finished): Finished(Complete)
  scored 0..3, 0 failed
  table ends before 3, 1 parts
  best Some(0.4721359549995794), 240 down, 348 up
  0 disagree, folder runs/finished
swept-222222 (key of swept): Open
  scored 0..4141, 134 failed
  table ends before 4200, 1 parts
  best Some(0.9998269297282876), 2640 down, 70056 up
  2 disagree, folder runs/swept
evolved-222222 (key of evolved): Open
  scored 0..107, 3 failed
  table ends before 16000, 0 parts
  best Some(0.8657047737385384), 2664 down, 3712 up
  0 disagree, folder runs/evolved
  generation 6, candidate 5 [0.25852066014916314, 0.5155709928278787, 0.24961216605965386, 0.9032574520959236]
  champion Some(Champion { generation: 3, candidate: 3, fitness: 0.8657047737385384, genome: [0.5682262989159835, 0.13130767023896728, 0.5913781143424464, 0.8585648003822788] })
cancelled-222222 (key of cancelled): Ending(Cancelled)
  scored 0..40, 0 failed
  table ends before 40, 1 parts
  best Some(0.9705831449920084), 240 down, 940 up
  0 disagree, folder runs/cancelled
suspended-222222 (key of suspended): Suspended("the wall limit is reached")
  scored 0..20, 0 failed
  table ends before 4200, 0 parts
  best Some(0.9442719099991588), 240 down, 620 up
  0 disagree, folder runs/suspended
untouched-222222 (key of untouched): Open
  scored , 0 failed
  table ends before 4200, 0 parts
  best None, 0 down, 0 up
  0 disagree, folder runs/untouched
"#;
