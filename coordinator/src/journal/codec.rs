//! Records to bytes and back: `tumble/v1/journal.proto`.

use std::path::PathBuf;
use std::sync::Arc;

use prost::Message;
use tumble_core::{Answer, Attempt, AttemptOutcome, Champion, Checkpoint, Difference, GenerationRow, Reason, Record};
use tumble_domain::{Era, TrialRange};
use tumble_proto::v1::{self, journal_record::Kind as Wire};
use tumble_proto::{WireError, describe, outcomes};
use tumble_search::StateHash;

/// What a record is, as the journal's `kind` column has it. The numbers are the fields of `JournalRecord`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub(crate) enum Kind {
    Submitted = 1,
    Scored = 2,
    Attempted = 3,
    GenerationClosed = 4,
    PartWritten = 5,
    Checkpoint = 6,
    Ending = 7,
    Finished = 8,
    Suspended = 9,
    Resumed = 10,
    Disagreed = 11,
    Resynced = 12,
    Given = 13,
}

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// They are no message at all.
    #[error("{0}")]
    Bytes(#[from] prost::DecodeError),
    /// They are a message that makes no sense.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// They are not what was written: a bit has flipped, or it was put to another run.
    #[error("its checksum is not that of its bytes")]
    Check,
    /// The run file in it is not understood any more.
    #[error("its run file is not understood: {0}")]
    RunFile(String),
}

pub(crate) fn kind(record: &Record) -> Kind {
    match record {
        Record::Submitted { .. } => Kind::Submitted,
        Record::Scored { .. } => Kind::Scored,
        Record::Attempted(_) => Kind::Attempted,
        Record::GenerationClosed { .. } => Kind::GenerationClosed,
        Record::PartWritten { .. } => Kind::PartWritten,
        Record::Checkpoint(_) => Kind::Checkpoint,
        Record::Ending { .. } => Kind::Ending,
        Record::Finished => Kind::Finished,
        Record::Suspended { .. } => Kind::Suspended,
        Record::Resumed => Kind::Resumed,
        Record::Disagreed { .. } => Kind::Disagreed,
        Record::Resynced { .. } => Kind::Resynced,
        Record::Given { .. } => Kind::Given,
    }
}

/// The trials that a record is about, by which it is found again; a generation stands for itself.
pub(crate) fn place(record: &Record) -> TrialRange {
    match record {
        Record::Scored { range, .. } => *range,
        Record::Attempted(attempt) => {
            TrialRange::new(attempt.range.start, attempt.range.end.max(attempt.range.start + 1))
        }
        Record::GenerationClosed { row, .. } => {
            TrialRange::new(u64::from(row.generation), u64::from(row.generation) + 1)
        }
        Record::Disagreed { named, .. } => {
            let first = named.first().map_or(0, |difference| difference.trial);
            TrialRange::new(first, first + 1)
        }
        _ => TrialRange::new(0, 1),
    }
}

/// The bytes that the check takes at the end of a record: its field's tag and the number.
const CHECK_BYTES: usize = 9;
/// Field 15, 64 bits.
const CHECK_TAG: u8 = 15 << 3 | 1;

/// What tells a record of this run from one with a flipped bit.
fn check(run: &str, bytes: &[u8]) -> u64 {
    let StateHash(hash) = StateHash::of(&[run.as_bytes(), &[0], bytes].concat());
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_le_bytes(first)
}

/// The bytes of a record of this run, with their check.
pub fn encode(run: &str, record: &Record) -> Vec<u8> {
    let kind = match record {
        Record::Submitted { key, pipeline, run_toml, folder, unix_ms, spec: _ } => Wire::Submitted(v1::Submitted {
            key: key.clone(),
            run_toml: run_toml.to_string(),
            pipeline: Some(describe::to_wire(pipeline)),
            folder: folder.to_string_lossy().into_owned(),
            unix_ms: *unix_ms,
        }),
        Record::Scored { range, outcomes: columns } => {
            Wire::Scored(v1::Scored { first_trial: range.start, outcomes: outcomes::pack(columns).into() })
        }
        Record::Attempted(attempt) => Wire::Attempted(v1::Attempted {
            first_trial: attempt.range.start,
            trials: attempt.range.len(),
            attempt: attempt.attempt,
            worker: attempt.worker.clone(),
            host: attempt.host.clone(),
            granted_unix_ms: attempt.granted_unix_ms,
            ended_unix_ms: attempt.ended_unix_ms,
            evaluate_ms: attempt.evaluate_ms,
            outcome: attempt.outcome as u32,
            bytes_down: attempt.bytes_down,
            bytes_up: attempt.bytes_up,
        }),
        Record::GenerationClosed { row } => Wire::GenerationClosed(v1::GenerationClosed {
            generation: row.generation,
            evaluations: row.evaluations,
            failed: row.failed,
            best: row.best,
            mean: row.mean,
            quantiles: row.quantiles.to_vec(),
            best_candidate: row.best_candidate,
            state_hash: row.state_hash.0.to_vec(),
            scalars: row.scalars.clone(),
        }),
        Record::PartWritten { part, rows, bytes } => {
            Wire::PartWritten(v1::PartWritten { part: *part, rows: *rows, bytes: *bytes })
        }
        Record::Checkpoint(checkpoint) => Wire::Checkpoint(v1::Checkpoint {
            done: checkpoint.done.iter().flat_map(|range| [range.start, range.end]).collect(),
            failed: checkpoint.failed,
            parts: checkpoint.parts,
            strategy: checkpoint.strategy.clone(),
            champion: checkpoint.champion.as_ref().map(champion_to_wire),
            best: checkpoint.best,
            bytes_down: checkpoint.bytes_down,
            bytes_up: checkpoint.bytes_up,
            disagreements: checkpoint.disagreements,
            differing: checkpoint.differing.iter().map(difference_to_wire).collect(),
            resyncs: checkpoint.resyncs,
            answer: checkpoint.answer.as_ref().map(answer_to_wire),
            trials_end: checkpoint.trials_end,
            eras: checkpoint.eras.iter().flat_map(|e| [u64::from(e.generation), e.first_trial, e.candidates]).collect(),
        }),
        Record::Ending { reason, trials_end } => {
            let (reason, detail) = reason_to_wire(reason);
            Wire::Ending(v1::Ending { reason, detail, trials_end: *trials_end })
        }
        Record::Finished => Wire::Finished(v1::Finished {}),
        Record::Suspended { why } => Wire::Suspended(v1::Suspended { why: why.clone() }),
        Record::Resumed => Wire::Resumed(v1::Resumed {}),
        Record::Disagreed { trials, named } => Wire::Disagreed(v1::Disagreed {
            trial: named.first().map_or(0, |difference| difference.trial),
            trials: *trials,
            named: named.iter().map(difference_to_wire).collect(),
        }),
        Record::Resynced { worker, generation } => {
            Wire::Resynced(v1::Resynced { worker: worker.clone(), generation: *generation })
        }
        Record::Given { generation, points } => {
            Wire::Given(v1::Given { generation: *generation, points: numbers_to_wire(points) })
        }
    };
    sealed(run, v1::JournalRecord { kind: Some(kind), check: None }.encode_to_vec())
}

/// The bytes with their check behind them, whatever they are.
pub fn sealed(run: &str, mut bytes: Vec<u8>) -> Vec<u8> {
    let check = check(run, &bytes);
    bytes.push(CHECK_TAG);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

/// The record of this run that these bytes are.
pub fn decode(run: &str, body: &[u8]) -> Result<Record, CodecError> {
    let wire = v1::JournalRecord::decode(body)?;
    if wire.check.is_some_and(|found| found != check(run, &body[..body.len().saturating_sub(CHECK_BYTES)])) {
        return Err(CodecError::Check);
    }
    Ok(match wire.kind.ok_or(WireError::Missing("kind"))? {
        Wire::Submitted(submitted) => {
            let pipeline = describe::from_wire(submitted.pipeline.ok_or(WireError::Missing("pipeline"))?)?;
            let understood = tumble_runfile::parse(
                &submitted.run_toml,
                "the journal's run file",
                &[],
                std::slice::from_ref(&pipeline),
            )
            .map_err(|problems| CodecError::RunFile(problems.to_string()))?;
            Record::Submitted {
                key: submitted.key,
                spec: Arc::new(understood.spec),
                pipeline: Arc::new(understood.inner),
                run_toml: submitted.run_toml.into(),
                folder: PathBuf::from(submitted.folder),
                unix_ms: submitted.unix_ms,
            }
        }
        Wire::Scored(scored) => {
            let columns = outcomes::unpack(&scored.outcomes)?;
            let end =
                scored.first_trial.checked_add(u64::from(columns.trials)).ok_or(WireError::Malformed("trials"))?;
            Record::Scored { range: TrialRange::new(scored.first_trial, end), outcomes: Arc::new(columns) }
        }
        Wire::Attempted(attempt) => Record::Attempted(Attempt {
            range: TrialRange::new(attempt.first_trial, attempt.first_trial.saturating_add(attempt.trials)),
            attempt: attempt.attempt,
            worker: attempt.worker,
            host: attempt.host,
            granted_unix_ms: attempt.granted_unix_ms,
            ended_unix_ms: attempt.ended_unix_ms,
            evaluate_ms: attempt.evaluate_ms,
            outcome: AttemptOutcome::from_u32(attempt.outcome).ok_or(WireError::Malformed("outcome"))?,
            bytes_down: attempt.bytes_down,
            bytes_up: attempt.bytes_up,
        }),
        Wire::GenerationClosed(closed) => Record::GenerationClosed {
            row: GenerationRow {
                generation: closed.generation,
                evaluations: closed.evaluations,
                failed: closed.failed,
                best: closed.best,
                mean: closed.mean,
                quantiles: closed.quantiles.try_into().map_err(|_| WireError::Malformed("quantiles"))?,
                best_candidate: closed.best_candidate,
                state_hash: StateHash(closed.state_hash.try_into().map_err(|_| WireError::Malformed("state_hash"))?),
                scalars: closed.scalars,
            },
        },
        Wire::PartWritten(part) => Record::PartWritten { part: part.part, rows: part.rows, bytes: part.bytes },
        Wire::Checkpoint(checkpoint) => Record::Checkpoint(Box::new(Checkpoint {
            done: checkpoint.done.chunks_exact(2).map(|pair| TrialRange::new(pair[0], pair[1])).collect(),
            failed: checkpoint.failed,
            parts: checkpoint.parts,
            trials_end: checkpoint.trials_end,
            eras: eras_from_wire(&checkpoint.eras)?,
            strategy: checkpoint.strategy,
            champion: checkpoint.champion.map(champion_from_wire).transpose()?,
            best: checkpoint.best,
            bytes_down: checkpoint.bytes_down,
            bytes_up: checkpoint.bytes_up,
            disagreements: checkpoint.disagreements,
            differing: checkpoint.differing.into_iter().map(difference_from_wire).collect(),
            resyncs: checkpoint.resyncs,
            answer: checkpoint.answer.map(answer_from_wire).transpose()?,
        })),
        Wire::Ending(ending) => {
            Record::Ending { reason: reason_from_wire(ending.reason, ending.detail)?, trials_end: ending.trials_end }
        }
        Wire::Finished(_) => Record::Finished,
        Wire::Suspended(suspended) => Record::Suspended { why: suspended.why },
        Wire::Resumed(_) => Record::Resumed,
        Wire::Disagreed(disagreed) if disagreed.named.is_empty() => Record::Disagreed {
            trials: disagreed.trials.max(1),
            named: vec![difference_from_wire(v1::Difference { trial: disagreed.trial, ..v1::Difference::default() })],
        },
        Wire::Disagreed(disagreed) => Record::Disagreed {
            trials: disagreed.trials,
            named: disagreed.named.into_iter().map(difference_from_wire).collect(),
        },
        Wire::Resynced(resynced) => Record::Resynced { worker: resynced.worker, generation: resynced.generation },
        Wire::Given(given) => Record::Given {
            generation: given.generation,
            points: numbers_from_wire(&given.points).ok_or(WireError::Malformed("points"))?.into(),
        },
    })
}

fn eras_from_wire(numbers: &[u64]) -> Result<Vec<Era>, WireError> {
    let malformed = WireError::Malformed("eras");
    let (triples, []) = numbers.as_chunks::<3>() else { return Err(malformed) };
    let eras: Option<Vec<Era>> = triples
        .iter()
        .map(|[generation, first_trial, candidates]| {
            let generation = u32::try_from(*generation).ok()?;
            Some(Era { generation, first_trial: *first_trial, candidates: *candidates })
        })
        .collect();
    let starts_at_0 = |eras: &[Era]| eras.first().is_none_or(|era| (era.generation, era.first_trial) == (0, 0));
    let rise = |eras: &[Era]| {
        eras.is_sorted_by(|a, b| a.generation < b.generation && a.first_trial < b.first_trial && a.candidates > 0)
    };
    eras.filter(|eras| starts_at_0(eras) && rise(eras)).ok_or(malformed)
}

fn difference_to_wire(difference: &Difference) -> v1::Difference {
    v1::Difference {
        trial: difference.trial,
        column: difference.column.clone(),
        recorded: difference.recorded.clone(),
        again: difference.again.clone(),
    }
}

fn difference_from_wire(wire: v1::Difference) -> Difference {
    Difference { trial: wire.trial, column: wire.column, recorded: wire.recorded, again: wire.again }
}

/// Numbers as little-endian bytes.
pub(crate) fn numbers_to_wire(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The numbers of these bytes, if they are whole.
pub(crate) fn numbers_from_wire(bytes: &[u8]) -> Option<Vec<f64>> {
    let (numbers, []) = bytes.as_chunks::<8>() else { return None };
    Some(numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
}

fn answer_to_wire(answer: &Answer) -> v1::Answer {
    v1::Answer {
        generation: answer.generation,
        hash: answer.hash.0.to_vec(),
        outcomes: outcomes::pack(&answer.outcomes),
    }
}

fn answer_from_wire(wire: v1::Answer) -> Result<Answer, WireError> {
    Ok(Answer {
        generation: wire.generation,
        hash: StateHash(wire.hash.try_into().map_err(|_| WireError::Malformed("hash"))?),
        outcomes: Arc::new(outcomes::unpack(&wire.outcomes)?),
    })
}

fn champion_to_wire(champion: &Champion) -> v1::Champion {
    v1::Champion {
        generation: champion.generation,
        candidate: champion.candidate,
        fitness: champion.fitness,
        genome: champion.genome.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

fn champion_from_wire(wire: v1::Champion) -> Result<Champion, WireError> {
    let (numbers, []) = wire.genome.as_chunks::<8>() else {
        return Err(WireError::Malformed("genome"));
    };
    Ok(Champion {
        generation: wire.generation,
        candidate: wire.candidate,
        fitness: wire.fitness,
        genome: numbers.iter().map(|b| f64::from_le_bytes(*b)).collect(),
    })
}

fn reason_to_wire(reason: &Reason) -> (u32, String) {
    match reason {
        Reason::Complete => (0, String::new()),
        Reason::ObjectiveReached => (1, String::new()),
        Reason::BudgetSpent => (2, String::new()),
        Reason::Exhausted(why) => (3, why.clone()),
        Reason::Aborted(why) => (4, why.clone()),
        Reason::Cancelled => (5, String::new()),
    }
}

fn reason_from_wire(number: u32, detail: String) -> Result<Reason, WireError> {
    Ok(match number {
        0 => Reason::Complete,
        1 => Reason::ObjectiveReached,
        2 => Reason::BudgetSpent,
        3 => Reason::Exhausted(detail),
        4 => Reason::Aborted(detail),
        5 => Reason::Cancelled,
        _ => return Err(WireError::Malformed("reason")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_any_one_flipped_bit_is_either_refused_or_the_record_itself() {
        let outcomes = tumble_domain::Outcomes {
            trials: 3,
            metrics: 1,
            statuses: vec![tumble_domain::Status::Scored; 3],
            values: vec![0.5, -2.0, 1e300],
            errors: Vec::new(),
        };
        let record = Record::Scored { range: TrialRange::new(7, 10), outcomes: Arc::new(outcomes) };
        let whole = encode("run", &record);
        let read = |bytes: &[u8]| decode("run", bytes).map(|record| encode("run", &record));
        assert_eq!(read(&whole).unwrap(), whole);
        let mut refused = 0;
        for bit in 0..8 * whole.len() {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            match read(&flipped) {
                // A flip in the tag of the check hides the check, and what it is of is whole.
                Ok(bytes) => assert_eq!(bytes, whole, "bit {bit}"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused >= 8 * (whole.len() - 1), "{refused} of {} flips were refused", 8 * whole.len());
        assert!(matches!(decode("another", &whole), Err(CodecError::Check)));
    }

    #[test]
    fn eras_come_back_as_they_were_and_what_cannot_be_eras_is_refused() {
        let era = |generation, first_trial, candidates| Era { generation, first_trial, candidates };
        let eras = vec![era(0, 0, 10), era(7, 70, 20), era(9, 110, 5)];
        let checkpoint = Checkpoint {
            done: Vec::new(),
            failed: 0,
            parts: 0,
            trials_end: u64::MAX,
            eras,
            strategy: Vec::new(),
            champion: None,
            best: None,
            bytes_down: 0,
            bytes_up: 0,
            disagreements: 1,
            differing: vec![Difference {
                trial: 7,
                column: "height".into(),
                recorded: "0.5".into(),
                again: "NaN".into(),
            }],
            resyncs: 3,
            answer: Some(Answer {
                generation: 8,
                hash: StateHash([7; 16]),
                outcomes: Arc::new(tumble_domain::Outcomes {
                    trials: 2,
                    metrics: 1,
                    statuses: vec![tumble_domain::Status::Scored, tumble_domain::Status::TimedOut],
                    values: vec![-0.0, 1.0],
                    errors: vec![tumble_domain::TrialError { offset: 1, message: "late".into() }],
                }),
            }),
        };
        let record = Record::Checkpoint(Box::new(checkpoint.clone()));
        match decode("run", &encode("run", &record)) {
            Ok(Record::Checkpoint(read)) => assert_eq!(*read, checkpoint),
            other => panic!("{other:?}"),
        }
        assert_eq!(eras_from_wire(&[]).unwrap(), []);
        for bad in [
            &[0, 0][..],
            &[1, 0, 10],
            &[0, 5, 10],
            &[0, 0, 10, 0, 50, 10],
            &[0, 0, 10, 5, 0, 10],
            &[0, 0, 0, 5, 50, 10],
            &[0, 0, 10, 1 << 32, 50, 10],
        ] {
            assert!(eras_from_wire(bad).is_err(), "{bad:?}");
        }
    }
}
