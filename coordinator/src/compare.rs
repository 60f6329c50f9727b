//! Second evaluations, held against what is recorded: in the journal, or in the part that took it from there.

use tumble_core::{Attempt, DIFFERENCES_NAMED_MAX, Difference, RunId};
use tumble_domain::{Outcomes, Status, TrialRange};

/// A second evaluation, and what is found of it so far.
pub struct Comparison {
    /// Whose.
    pub(crate) run: RunId,
    /// How it came.
    pub(crate) attempt: Box<Attempt>,
    /// How many trials differ.
    pub(crate) differing: u64,
    /// The first of them.
    pub(crate) named: Vec<Difference>,
}

impl Comparison {
    pub(crate) fn new(run: RunId, attempt: Box<Attempt>) -> Comparison {
        Comparison { run, attempt, differing: 0, named: Vec::new() }
    }

    /// Holds what is recorded of `range` against the second evaluation, which begins with trial `first`.
    pub(crate) fn look(
        &mut self,
        columns: &[String],
        range: TrialRange,
        recorded: &Outcomes,
        first: u64,
        second: &Outcomes,
    ) {
        for (offset, trial) in (range.start..range.end).enumerate() {
            let other = (trial - first) as usize;
            let Some((column, was, is)) = difference(columns, recorded, offset, second, other) else { continue };
            self.differing += 1;
            if self.named.len() < DIFFERENCES_NAMED_MAX {
                self.named.push(Difference { trial, column, recorded: was, again: is });
            }
        }
    }
}

/// The first column in which one trial of each differ, and what they have there. Texts of failures are not compared: they
/// may tell where and when, and no number follows from them.
fn difference(
    columns: &[String],
    recorded: &Outcomes,
    at: usize,
    second: &Outcomes,
    other: usize,
) -> Option<(String, String, String)> {
    let (was, is) = (recorded.status(at), second.status(other));
    if was != is {
        return Some(("outcome".to_owned(), was.name().to_owned(), is.name().to_owned()));
    }
    if was != Status::Scored {
        return None;
    }
    (0..recorded.metrics.min(second.metrics) as usize).find_map(|metric| {
        let (was, is) = (recorded.value(metric, at), second.value(metric, other));
        let same = was.to_bits() == is.to_bits() || (was.is_nan() && is.is_nan());
        (!same).then(|| (columns[metric].clone(), was.to_string(), is.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::Arc;
    use tumble_core::{AttemptOutcome, Record, RunRecord, Runs};
    use tumble_domain::TrialError;

    use crate::outlet::{Job, RunTables};

    fn comparison() -> Comparison {
        let attempt = Attempt {
            range: TrialRange::new(0, 1),
            attempt: 0,
            worker: "host/1".into(),
            host: "host".into(),
            granted_unix_ms: 0,
            ended_unix_ms: 0,
            evaluate_ms: 1.0,
            outcome: AttemptOutcome::Duplicate,
            bytes_down: 0,
            bytes_up: 0,
        };
        Comparison::new(RunId("run".into()), Box::new(attempt))
    }

    /// Trials under two metrics: the second is `values`, NaN for one that failed.
    fn outcomes(values: &[f64]) -> Outcomes {
        let failed = values.iter().enumerate().filter(|(_, value)| value.is_nan());
        Outcomes {
            trials: values.len() as u32,
            metrics: 2,
            statuses: values.iter().map(|v| if v.is_nan() { Status::Failed } else { Status::Scored }).collect(),
            values: values.iter().map(|_| f64::NAN).chain(values.iter().copied()).collect(),
            errors: failed
                .map(|(row, _)| TrialError { offset: row as u32, message: format!("no. {row} fell over") })
                .collect(),
        }
    }

    #[test]
    fn trials_that_differ_are_counted_and_the_first_are_named() {
        let columns = ["one".to_owned(), "two".to_owned()];
        let recorded = outcomes(&(0..40).map(f64::from).collect::<Vec<_>>());
        let mut second = outcomes(&(0..50).map(|i| f64::from(i) - 5.0).collect::<Vec<_>>());
        let mut found = comparison();
        found.look(&columns, TrialRange::new(105, 145), &recorded, 100, &second);
        assert_eq!((found.differing, &found.named[..]), (0, &[][..]));
        second.values[50 + 6] = -0.5;
        second.statuses[9] = Status::TimedOut;
        found.look(&columns, TrialRange::new(105, 145), &recorded, 100, &second);
        let named = |trial, column: &str, recorded: &str, again: &str| Difference {
            trial,
            column: column.into(),
            recorded: recorded.into(),
            again: again.into(),
        };
        assert_eq!(found.differing, 2);
        assert_eq!(found.named, [named(106, "two", "1", "-0.5"), named(109, "outcome", "scored", "timed_out")]);
        second.values[50..].iter_mut().for_each(|value| *value += 1.0);
        found.look(&columns, TrialRange::new(105, 145), &recorded, 100, &second);
        assert_eq!((found.differing, found.named.len()), (42, DIFFERENCES_NAMED_MAX));
    }

    /// What a written part gives back is what it was written from, also across the ends of parts and of blocks.
    #[test]
    fn outcomes_are_read_back_from_parts_to_the_bit() {
        let pipeline = tumble_domain::PipelineDescription {
            name: "walk".into(),
            version: 1,
            summary: String::new(),
            source: String::new(),
            parameters: Vec::new(),
            metrics: ["one", "two"]
                .map(|name| tumble_domain::Metric { name: name.into(), unit: String::new(), summary: String::new() })
                .into(),
            objective: tumble_domain::Objective { metric: "two".into(), direction: tumble_domain::Direction::Maximise },
            prolongs: None,
            genome: Some(tumble_domain::Genome {
                name: "x".into(),
                length: tumble_domain::GenomeLength::Fixed(1),
                bounds: None,
                summary: String::new(),
            }),
        };
        let text = "name = \"walk\"\npipeline = \"walk\"\n[sweep]\ndesign = \"random\"\npoints = 9000\n[sweep.axes]\n\
                    x0 = { linear = [0.0, 1.0] }\n";
        let understood = tumble_runfile::parse(text, "it", &[], std::slice::from_ref(&pipeline)).expect("it is valid");
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let id = RunId("walk".into());
        let submitted = Record::Submitted {
            key: "walk".into(),
            run_toml: tumble_runfile::canonical(&understood.spec, &pipeline).into(),
            spec: Arc::new(understood.spec),
            pipeline: Arc::new(pipeline),
            folder: PathBuf::from(folder.path()),
            unix_ms: 0,
        };
        let mut runs = Runs::default();
        runs.apply(&RunRecord { run: id.clone(), record: submitted }).expect("it can be submitted");
        let tables = RunTables::of(runs.get(&id).expect("it is there"));
        let values: Vec<f64> = (0..9000).map(|i| if i % 7 == 3 { f64::NAN } else { f64::from(i) / 3.0 }).collect();
        let all = outcomes(&values);
        for (part, range) in [(0, TrialRange::new(0, 4096)), (1, TrialRange::new(4096, 8192))] {
            let outcomes = vec![all.slice(range.start as u32, range.len() as u32)];
            assert!(Job::Part { tables: tables.clone(), part, range, outcomes }.write().is_ok());
        }
        for range in [(0, 1), (5, 4000), (4000, 4100), (0, 8192), (4095, 4097), (8000, 8192)] {
            let range = TrialRange::new(range.0, range.1);
            let (mut first, mut found) = (range.start, comparison());
            for (piece, recorded) in tables.read_back(range).expect("the parts stand") {
                assert_eq!(piece.start, first);
                let expected = all.slice(piece.start as u32, piece.len() as u32);
                assert_eq!((recorded.errors.clone(), recorded.statuses.clone()), (expected.errors, expected.statuses));
                found.look(&["one".to_owned(), "two".to_owned()], piece, &recorded, 0, &all);
                first = piece.end;
            }
            assert_eq!((first, found.differing), (range.end, 0));
        }
        assert!(tables.read_back(TrialRange::new(8000, 8200)).is_err(), "there is no third part");
    }
}
