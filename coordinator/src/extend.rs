//! Extending a finished run: what is recorded of it becomes the beginning of a longer run's journal, as if that run had
//! come so far by itself. Nothing of it is evaluated again, and the tables are those of the longer run begun anew.
//!
//! That holds because a trial's seed and candidate depend on its place, never on how many others there are. Where they do,
//! or where a longer run would have decided otherwise, the extension is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;
use tumble_core::{Attempt, AttemptOutcome, Difference, GenerationRow, Record, ReplayError, RunId, RunRecord, Runs};
use tumble_domain::{Outcomes, Plan, RunSpec, Sweep, TrialRange};
use tumble_runfile::Understood;
use tumble_search::{Design, StateHash};
use tumble_tables::TableError;

use crate::folder;
use crate::journal::{Journal, JournalError};
use crate::outlet::RunTables;
use crate::readback::ReadBack;

/// The most candidates of a sweep that gets more replicates: the old ones leave a gap behind each, and the coordinator
/// remembers gaps one by one.
pub const CANDIDATES_WITH_GAPS_MAX: u64 = 1 << 20;

/// So many records, or trials, share a commit.
const RECORDS_AT_ONCE: usize = 1024;
const TRIALS_AT_ONCE: u64 = 1 << 20;

/// Why a run is not extended.
#[derive(Debug, thiserror::Error)]
pub enum ExtendError {
    /// It cannot be; why, and what can be done instead.
    #[error("{0}")]
    Refused(String),
    /// A table of it cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The journal of the longer run cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A folder or file cannot be used.
    #[error("failed to use {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn refused<T>(why: impl Into<String>) -> Result<T, ExtendError> {
    Err(ExtendError::Refused(why.into()))
}

/// Whether a run that was `was` can go on as `is`, with every row that it has; if not, why not.
pub fn check(was: &Understood, is: &Understood) -> Result<(), ExtendError> {
    let (old, new) = (&was.spec, &is.spec);
    if old.plan.stopping().is_some() {
        return refused(
            "a sweep that stops candidates early cannot be extended: who goes on depends on all candidates of a rung; \
             begin another run",
        );
    }
    if old.plan.is_given() {
        return refused("a run whose candidates a client gave cannot be extended; give them to another run");
    }
    if old.replicates != new.replicates && matches!(old.plan, Plan::Evolve(_)) {
        return refused(
            "an evolution cannot be given other `replicates`: every candidate's fitness would be another, and with it \
             every generation; begin another run",
        );
    }
    let mut meant = old.clone();
    meant.limits.wall = new.limits.wall;
    match (&mut meant.plan, &new.plan) {
        (Plan::Evolve(old), Plan::Evolve(new)) => {
            at_least("evolve.generations", old.generations.into(), new.generations.into())?;
            if let Some(new) = new.stop.evaluations {
                at_least("evolve.stop.evaluations", old.stop.evaluations.unwrap_or(u64::MAX), new)?;
            }
            (old.generations, old.stop.evaluations) = (new.generations, new.stop.evaluations);
        }
        (Plan::Sweep(old_sweep), Plan::Sweep(new_sweep))
        | (Plan::SweepOfEvolutions(old_sweep, _), Plan::SweepOfEvolutions(new_sweep, _)) => {
            at_least("replicates", old.replicates.into(), new.replicates.into())?;
            meant.replicates = new.replicates;
            points_stay(old, old_sweep, new, new_sweep)?;
            old_sweep.points = new_sweep.points;
            old_sweep.axes.clone_from(&new_sweep.axes);
        }
        _ => {}
    }
    let toml = |spec: &RunSpec| tumble_runfile::canonical(spec, &was.inner);
    if meant != *new {
        let (ours, theirs) = (toml(&meant), tumble_runfile::canonical(new, &is.inner));
        let differing = ours.lines().zip(theirs.lines()).find(|(was, is)| was != is);
        let how = differing.map_or(String::new(), |(was, is)| format!(": it has `{was}`, not `{is}`"));
        return refused(format!(
            "this would change the rows that the run has{how}; an extension takes more `replicates`, more points of a sweep, \
             or more `evolve.generations`"
        ));
    }
    if old == new {
        return refused("the run has all of that already; ask for more, as with `--set replicates=8`");
    }
    Ok(())
}

fn at_least(what: &str, was: u64, is: u64) -> Result<(), ExtendError> {
    if is < was {
        return refused(format!("`{what}` is {was} in the run, and {is} is less: an extension only adds"));
    }
    Ok(())
}

/// Whether every point of the old design is where it was in the new one.
fn points_stay(old: &RunSpec, old_sweep: &Sweep, new: &RunSpec, new_sweep: &Sweep) -> Result<(), ExtendError> {
    let names =
        |sweep: &Sweep| sweep.axes.iter().map(|axis| (axis.name.clone(), axis.target.clone())).collect::<Vec<_>>();
    if names(old_sweep) != names(new_sweep) || old_sweep.design != new_sweep.design {
        return refused("a run keeps its design and its axes; begin another run to sweep others");
    }
    if old_sweep == new_sweep {
        return Ok(());
    }
    let design =
        |sweep, spec: &RunSpec| Design::try_new(sweep, spec.seed).map_err(|why| ExtendError::Refused(why.to_string()));
    let (old_design, new_design) = (design(old_sweep, old)?, design(new_sweep, new)?);
    at_least("points", old_design.points(), new_design.points())?;
    for point in 0..old_design.points() {
        for (axis, description) in old_sweep.axes.iter().enumerate() {
            let (was, is) = (old_design.value(point, axis), new_design.value(point, axis));
            if was == is {
                continue;
            }
            let shown = |value: Option<tumble_domain::Value>| value.map_or("nothing".to_owned(), |v| v.to_string());
            let why = match &*old_sweep.design {
                "latin-hypercube" => "the points of a latin-hypercube depend on how many there are",
                "grid" => "a grid can grow by more values at the end of its first axis alone",
                "list" => "the points of a list stay at its front, and new ones follow",
                _ => "points of this design would move",
            };
            return refused(format!(
                "{why}: `{}` of point {point} would be {}, and is {}; begin another run",
                description.name,
                shown(is),
                shown(was)
            ));
        }
    }
    Ok(())
}

/// What the summary of a finished run says that a longer one goes on from.
struct Summary {
    run: RunId,
    disagreements: u64,
    differing: Vec<Difference>,
    resyncs: u64,
}

impl Summary {
    fn read(folder: &Path) -> Result<Summary, ExtendError> {
        let path = folder.join("summary.json");
        let text = std::fs::read_to_string(&path).map_err(|source| ExtendError::File { path: path.clone(), source })?;
        let summary: Json = serde_json::from_str(&text)
            .map_err(|error| ExtendError::Refused(format!("{} is not a summary: {error}", path.display())))?;
        let word = |value: &Json, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let count = |key: &str| summary[key].as_u64().unwrap_or(0);
        let (state, reason) = (word(&summary, "state"), word(&summary, "reason"));
        if state != "finished" {
            return refused(format!("the run did not come to its end ({reason}), so there is nothing to go on from"));
        }
        let differing = summary["differing"].as_array().into_iter().flatten();
        Ok(Summary {
            run: RunId(word(&summary, "run").into()),
            disagreements: count("disagreements"),
            differing: differing
                .map(|found| Difference {
                    trial: found["trial"].as_u64().unwrap_or(0),
                    column: word(found, "column"),
                    recorded: word(found, "recorded"),
                    again: word(found, "again"),
                })
                .collect(),
            resyncs: count("resyncs"),
        })
    }
}

/// The journal of a longer run as it is made: nobody takes it for one before it is whole.
struct Beginning {
    journal: Journal,
    runs: Runs,
    run: RunId,
    waiting: Vec<RunRecord>,
    trials_waiting: u64,
}

impl Beginning {
    fn add(&mut self, record: Record) -> Result<(), ExtendError> {
        let record = RunRecord { run: self.run.clone(), record };
        self.runs.apply(&record).map_err(|error| match error {
            ReplayError::Drifted { generation, .. } => ExtendError::Refused(format!(
                "generation {generation} is not what this version of Tumble makes of the generations before it: the \
                 tables were written by another version, or changed since; begin another run"
            )),
            other => ExtendError::Refused(other.to_string()),
        })?;
        if let Record::Scored { range, .. } = &record.record {
            self.trials_waiting += range.len();
        }
        self.waiting.push(record);
        if self.waiting.len() >= RECORDS_AT_ONCE || self.trials_waiting >= TRIALS_AT_ONCE {
            self.commit()
        } else {
            Ok(())
        }
    }

    fn commit(&mut self) -> Result<(), ExtendError> {
        self.journal.append(&self.waiting)?;
        self.waiting.clear();
        self.trials_waiting = 0;
        Ok(())
    }

    fn it(&self) -> &tumble_core::Run {
        self.runs.get(&self.run).expect("it was submitted first")
    }
}

/// Begins the longer run in `folder`, with a journal in `state` that has every row of the run in `old`. The journal
/// appears by a rename when it is whole. Nothing is written to `old`.
pub fn begin(old: &Path, was: &Understood, is: &Understood, folder: &Path, state: &Path) -> Result<RunId, ExtendError> {
    check(was, is)?;
    let summary = Summary::read(old)?;
    let run_toml: Arc<str> = tumble_runfile::canonical(&is.spec, &is.inner).into();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ExtendError::File { path, source }
    };
    folder::prepare(folder, &run_toml).map_err(failed(folder))?;
    std::fs::create_dir_all(state).map_err(failed(state))?;
    let path = state.join("journal.beginning");
    let mut beginning = Beginning {
        journal: Journal::open(&path)?,
        runs: Runs::default(),
        run: summary.run.clone(),
        waiting: Vec::new(),
        trials_waiting: 0,
    };
    let submitted = |understood: &Understood, run_toml: Arc<str>, folder: &Path| Record::Submitted {
        // The key under which `tumble run` submits the one run of a folder.
        key: "run".to_owned(),
        spec: Arc::new(understood.spec.clone()),
        pipeline: Arc::new(understood.inner.clone()),
        run_toml,
        folder: folder.to_owned(),
        unix_ms: 0,
    };
    beginning.add(submitted(is, run_toml, folder))?;
    let mut recorded = Runs::default();
    let record = submitted(was, tumble_runfile::canonical(&was.spec, &was.inner).into(), old);
    recorded
        .apply(&RunRecord { run: summary.run.clone(), record })
        .map_err(|error| ExtendError::Refused(error.to_string()))?;
    let tables = RunTables::of(recorded.get(&summary.run).expect("it was just submitted"));
    same_version(&tables)?;
    let back = tables.read_all_back()?;
    let (old_replicates, replicates) = (u64::from(was.spec.replicates), u64::from(is.spec.replicates));
    let moved = |trial: u64| trial / old_replicates * replicates + trial % old_replicates;
    match &is.spec.plan {
        Plan::Evolve(_) => generations(&mut beginning, back, old)?,
        Plan::Sweep(_) | Plan::SweepOfEvolutions(..) => {
            let candidates = tumble_tables::trial_count(&tables.trials_folder())? / old_replicates;
            if replicates != old_replicates && candidates > CANDIDATES_WITH_GAPS_MAX {
                return refused(format!(
                    "a sweep of {candidates} points cannot be given more replicates, of more than \
                     {CANDIDATES_WITH_GAPS_MAX} that is; begin another run under another `seed`"
                ));
            }
            rows(&mut beginning, back, old_replicates, replicates)?;
        }
    }
    for row in tumble_tables::read_attempts(&old.join("attempts.parquet"))? {
        beginning.add(Record::Attempted(attempt(row, moved)))?;
    }
    if summary.disagreements > 0 {
        let named = summary.differing.into_iter().map(|found| Difference { trial: moved(found.trial), ..found });
        beginning.add(Record::Disagreed { trials: summary.disagreements, named: named.collect() })?;
    }
    let checkpoint = beginning.it().checkpoint();
    let resyncs = checkpoint.resyncs + summary.resyncs;
    beginning.add(Record::Checkpoint(Box::new(tumble_core::Checkpoint { resyncs, ..checkpoint })))?;
    beginning.commit()?;
    drop(beginning);
    let whole = state.join("journal.sqlite");
    std::fs::rename(&path, &whole).map_err(failed(&whole))?;
    std::fs::File::open(state).and_then(|folder| folder.sync_all()).map_err(failed(state))?;
    Ok(summary.run)
}

/// Results are the same bytes within one version only.
fn same_version(tables: &RunTables) -> Result<(), ExtendError> {
    let Some(first) = tumble_tables::part_paths(&tables.trials_folder())?.into_iter().next() else { return Ok(()) };
    let (wrote, ours) = (tumble_tables::read_metadata(&first)?.version, env!("CARGO_PKG_VERSION"));
    if wrote != ours {
        return refused(format!(
            "the tables were written by version {wrote} and this is {ours}; results are the same only within one version"
        ));
    }
    Ok(())
}

/// The rows of a sweep, each where it stands in the longer one.
fn rows(
    beginning: &mut Beginning,
    back: ReadBack<'_>,
    old_replicates: u64,
    replicates: u64,
) -> Result<(), ExtendError> {
    let mut trial = 0;
    for outcomes in back {
        let outcomes = outcomes?;
        let end = trial + u64::from(outcomes.trials);
        let (first, mut from) = (trial, trial);
        while from < end {
            // With as many replicates as before all stay neighbours; otherwise those of one candidate do.
            let to =
                if replicates == old_replicates { end } else { end.min((from / old_replicates + 1) * old_replicates) };
            let start = from / old_replicates * replicates + from % old_replicates;
            let range = TrialRange::new(start, start + (to - from));
            let piece = outcomes.slice((from - first) as u32, (to - from) as u32);
            beginning.add(Record::Scored { range, outcomes: Arc::new(piece) })?;
            from = to;
        }
        trial = end;
    }
    Ok(())
}

/// The generations of an evolution, one after another: the strategy is told again what it was told, and comes to the states
/// whose hashes are recorded.
fn generations(beginning: &mut Beginning, back: ReadBack<'_>, old: &Path) -> Result<(), ExtendError> {
    let path = old.join("generations.parquet");
    let mut back = back;
    let mut open = Outcomes::default();
    for row in tumble_tables::read_generations(&path)?.rows {
        let scope = beginning.it().scope();
        let mut start = scope.start;
        while start < scope.end {
            if open.trials == 0 {
                let Some(block) = back.next() else {
                    return refused(format!("the trials of generation {} are not all in the table", row.generation));
                };
                open = block?;
            }
            let take = u64::from(open.trials).min(scope.end - start) as u32;
            let piece = open.slice(0, take);
            open = open.slice(take, open.trials - take);
            let range = TrialRange::new(start, start + u64::from(take));
            beginning.add(Record::Scored { range, outcomes: Arc::new(piece) })?;
            start = range.end;
        }
        beginning.add(Record::GenerationClosed { row: generation(row, &path)? })?;
    }
    if open.trials > 0 || back.next().is_some() {
        return refused(format!("{} has fewer generations than the trials are of", path.display()));
    }
    match beginning.it().stop_reason() {
        Some(reason) => refused(format!("the longer run would end where this one did ({reason})")),
        None => Ok(()),
    }
}

fn generation(row: tumble_tables::GenerationRow, path: &Path) -> Result<GenerationRow, ExtendError> {
    let Some(state_hash) = StateHash::parse(&row.state_hash) else {
        return refused(format!("`{}` in {} is no state hash", row.state_hash, path.display()));
    };
    Ok(GenerationRow {
        generation: row.generation,
        evaluations: row.evaluations,
        failed: row.failed,
        best: row.best,
        mean: row.mean,
        quantiles: [row.q05, row.q25, row.median, row.q75, row.q95],
        best_candidate: row.best_candidate,
        state_hash,
        scalars: row.scalars,
    })
}

/// An old attempt, at the new place of its first trial. Behind more replicates its trials are no neighbours any more; how
/// many they were stays.
fn attempt(row: tumble_tables::AttemptRow, moved: impl Fn(u64) -> u64) -> Attempt {
    use tumble_tables::AttemptOutcome as From;
    let first = moved(row.first_trial);
    Attempt {
        range: TrialRange::new(first, first + row.trials),
        attempt: row.attempt,
        worker: row.worker,
        host: row.host,
        granted_unix_ms: row.granted_at_ms.max(0) as u64,
        ended_unix_ms: row.ended_at_ms.max(0) as u64,
        evaluate_ms: if row.evaluate_ms.is_nan() { 0.0 } else { row.evaluate_ms },
        outcome: match row.outcome {
            From::Reported => AttemptOutcome::Reported,
            From::Returned => AttemptOutcome::Returned,
            From::Lost => AttemptOutcome::Lost,
            From::Expired => AttemptOutcome::Expired,
            From::Duplicate => AttemptOutcome::Duplicate,
            From::Disagreed => AttemptOutcome::Disagreed,
        },
        bytes_down: row.bytes_down,
        bytes_up: row.bytes_up,
    }
}
