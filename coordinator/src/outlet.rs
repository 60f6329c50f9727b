//! Writes tables, on a thread of its own, so that compressing a part never delays a grant.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tumble_core::{Attempt, Difference, GenerationRow, Run, RunId, RunView};
use tumble_domain::{
    AxisTarget, Direction, Fitness, Kind, Layout, OnFailure, Outcomes, Plan, RunSpec, Stopping, TrialRange, Value,
    fitness_of,
};
use tumble_search::{Design, Space, strategies};
use tumble_tables::{AxisColumn, Champion, Column, ColumnKind, Metadata, TableError, TrialsPart, TrialsSchema};

use crate::compare::Comparison;

/// What the tables of a run follow from.
#[derive(Clone)]
pub struct RunTables {
    id: RunId,
    spec: Arc<RunSpec>,
    folder: PathBuf,
    layout: Layout,
    schema: Arc<TrialsSchema>,
    metadata: Arc<Metadata>,
    objective_metric: String,
    direction: Direction,
    /// The axes that an evolution searches: their values are recorded, before the metrics.
    space: Option<Arc<Space>>,
}

impl RunTables {
    /// The tables of this run.
    pub fn of(run: &Run) -> RunTables {
        let evolved = run.spec.plan.evolved_axes();
        let stopping = run.spec.plan.stopping();
        let steps = stopping.map(|stopping| run.pipeline.parameters[stopping.steps].name.clone());
        let axes = run.spec.plan.sweep().map_or(evolved, |sweep| &sweep.axes);
        let conditions = run.spec.plan.sweep().map_or(&[][..], |sweep| &sweep.conditions);
        let kind = |target: &AxisTarget| match target {
            AxisTarget::Parameter(index) => column_kind(run.pipeline.parameters[*index].kind),
            AxisTarget::Genome(_) | AxisTarget::Start => ColumnKind::Float,
            AxisTarget::Population => ColumnKind::Integer,
            AxisTarget::Strategy => ColumnKind::Text,
            AxisTarget::StrategySetting(name) => setting_kind(&run.spec, name),
        };
        let objective = match &run.spec.plan {
            Plan::SweepOfEvolutions(..) => &run.recorded.objective,
            _ => &run.spec.objective,
        };
        RunTables {
            id: run.id.clone(),
            spec: run.spec.clone(),
            folder: run.folder.clone(),
            layout: run.layout.clone(),
            schema: Arc::new(TrialsSchema {
                evolves: run.evolution.is_some(),
                rungs: stopping.is_some(),
                exits: run.spec.tells_of_exits(),
                axes: axes
                    .iter()
                    .map(|axis| (axis.name.clone(), kind(&axis.target)))
                    .chain(steps.map(|steps| (steps, ColumnKind::Integer)))
                    .collect(),
                conditional: conditions.iter().map(|condition| axes[condition.axis].name.clone()).collect(),
                metrics: run.recorded.metrics[run.spec.plan.reported().len()..]
                    .iter()
                    .map(|m| m.name.clone())
                    .collect(),
            }),
            metadata: Arc::new(Metadata {
                run_toml: run.run_toml.to_string(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
            objective_metric: objective.metric.clone(),
            direction: objective.direction,
            space: (!evolved.is_empty())
                .then(|| Arc::new(Space::try_new(evolved).expect("a validated evolution has a space to search"))),
        }
    }

    /// Whether a part with these trials stands on disk, and if not, what is wrong with it.
    pub(crate) fn part_stands(&self, part: u64, range: TrialRange) -> Result<(), String> {
        tumble_tables::part_stands(&self.folder.join("trials"), part, range.len(), &self.metadata.run_toml)
    }

    /// The name of a part's file, for people.
    pub(crate) fn part_path(&self, part: u64) -> PathBuf {
        self.folder.join("trials").join(tumble_tables::part_name(part))
    }

    pub(crate) fn trials_folder(&self) -> PathBuf {
        self.folder.join("trials")
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn space(&self) -> Option<&Space> {
        self.space.as_deref()
    }

    /// The columns of what workers report of a trial, in the order in which they do.
    pub(crate) fn reported_columns(&self) -> impl Iterator<Item = &str> {
        self.spec.plan.reported().into_iter().chain(self.schema.metrics.iter().map(String::as_str))
    }

    fn design(&self) -> Option<Design> {
        let sweep = self.spec.plan.sweep()?;
        Some(Design::try_new(sweep, self.spec.seed).expect("a validated sweep has a design that stands"))
    }
}

fn column_kind(kind: Kind) -> ColumnKind {
    ColumnKind::of(kind).expect("a validated axis sets a parameter that fits in a column")
}

/// The kind of a strategy's setting; where the strategy is an axis itself, every strategy knows the setting.
fn setting_kind(spec: &RunSpec, name: &str) -> ColumnKind {
    let named = match &spec.plan {
        Plan::SweepOfEvolutions(_, evolve) => strategies::describe(&evolve.strategy),
        _ => None,
    };
    let mut known = named.into_iter().chain(strategies::all().iter());
    let parameter = known.find_map(|strategy| strategy.parameters.iter().find(|p| p.name == name));
    column_kind(parameter.expect("a validated axis sets a parameter of the strategy").kind)
}

/// What there is to write.
pub enum Job {
    /// A part of the trials table.
    Part {
        /// Of which run.
        tables: RunTables,
        /// Which part.
        part: u64,
        /// Its trials.
        range: TrialRange,
        /// Their outcomes, in order and complete.
        outcomes: Vec<Outcomes>,
    },
    /// Compare a second evaluation with what stands in parts.
    Compare {
        /// Of which run.
        tables: RunTables,
        /// What is found so far.
        found: Comparison,
        /// The trials whose outcomes parts alone have.
        written: Vec<TrialRange>,
        /// The first trial of `second`.
        first_trial: u64,
        /// The second evaluation.
        second: Arc<Outcomes>,
    },
    /// Everything else of a run that has ended.
    Complete {
        /// Of which run.
        tables: RunTables,
        /// The trials table ends before this trial.
        trials_end: u64,
        /// The generations, if it evolved.
        generations: Option<(Vec<String>, Vec<GenerationRow>)>,
        /// How it went.
        attempts: Vec<Attempt>,
        /// The champion of an evolution; that of a sweep is read from its table.
        champion: Option<tumble_core::Champion>,
        /// The run as it is now.
        view: Box<RunView>,
    },
}

/// What has been written.
pub enum Done {
    /// A part stands on disk.
    Part {
        /// Whose.
        run: RunId,
        /// Which.
        part: u64,
        /// Its rows.
        rows: u64,
        /// Its bytes.
        bytes: u64,
    },
    /// All tables stand on disk.
    Complete {
        /// Whose.
        run: RunId,
    },
    /// A second evaluation is compared.
    Compared(Comparison),
}

impl Job {
    /// Writes it; what is there when this returns is complete.
    pub fn write(self) -> Result<Done, TableError> {
        match self {
            Job::Part { tables, part, range, outcomes } => {
                let data = match tables.spec.plan.stopping() {
                    Some(stopping) => rung_part(&tables, stopping, range, &outcomes)?,
                    None => {
                        let (axes, outcomes) = match &tables.space {
                            Some(space) => recorded_axes(&tables, space, &outcomes)?,
                            None => (axis_columns(&tables, range)?, outcomes),
                        };
                        TrialsPart { layout: tables.layout.clone(), range, axes, points: Vec::new(), outcomes }
                    }
                };
                let folder = tables.folder.join("trials");
                let receipt = tumble_tables::write_trials_part(&folder, part, &tables.schema, &tables.metadata, &data)?;
                Ok(Done::Part { run: tables.id, part, rows: receipt.rows, bytes: receipt.bytes })
            }
            Job::Compare { tables, mut found, written, first_trial, second } => {
                let columns: Vec<String> = tables.reported_columns().map(str::to_owned).collect();
                for range in written {
                    match tables.read_back(range) {
                        Ok(pieces) => {
                            let mut look = |(piece, recorded): &(TrialRange, Outcomes)| {
                                found.look(&columns, *piece, recorded, first_trial, &second);
                            };
                            pieces.iter().for_each(&mut look);
                        }
                        // A part that is lost is noticed by who needs it; nothing follows from a comparison.
                        Err(error) => {
                            tracing::warn!(run = %tables.id, "trials {range} that came twice cannot be compared: {error}");
                        }
                    }
                }
                Ok(Done::Compared(found))
            }
            Job::Complete { tables, trials_end, generations, attempts, champion, view } => {
                all_parts_stand(&tables, trials_end)?;
                complete(&tables, generations, attempts, champion, &view)?;
                Ok(Done::Complete { run: tables.id })
            }
        }
    }
}

/// The axes' values for each trial: they follow from the design and the index.
fn axis_columns(tables: &RunTables, range: TrialRange) -> Result<Vec<AxisColumn>, TableError> {
    let Some(design) = tables.design() else { return Ok(Vec::new()) };
    let axes = tables.schema.axes.iter().enumerate();
    axes.map(|(axis, (name, kind))| {
        let mut column = match tables.schema.conditional.contains(name) {
            true => AxisColumn::conditional(*kind, range.len() as usize),
            false => AxisColumn::with_capacity(*kind, range.len() as usize),
        };
        for trial in range.start..range.end {
            column.push_point(design.value(tables.layout.address(trial).candidate, axis).as_ref())?;
        }
        Ok(column)
    })
    .collect()
}

/// The axes' values that were recorded in front of the metrics, and the outcomes without them. The proposals that made
/// them are gone by the time a part is written.
fn recorded_axes(
    tables: &RunTables,
    space: &Space,
    outcomes: &[Outcomes],
) -> Result<(Vec<AxisColumn>, Vec<Outcomes>), TableError> {
    let rows = outcomes.iter().map(|piece| piece.trials as usize).sum();
    let axes = tables.schema.axes.iter().enumerate();
    let columns = axes.map(|(axis, (_, kind))| {
        let mut column = AxisColumn::with_capacity(*kind, rows);
        for piece in outcomes {
            (0..piece.trials as usize)
                .try_for_each(|trial| column.push(&space.read(axis, piece.value(axis, trial))))?;
        }
        Ok(column)
    });
    let columns = columns.collect::<Result<Vec<_>, TableError>>()?;
    Ok((columns, outcomes.iter().map(|piece| piece.without_first(space.dimension() as u32)).collect()))
}

/// A part of a sweep with rungs: the axes' values, the steps, and the points, which were recorded in front of the metrics.
/// Who went on is not known any more when a part is written.
fn rung_part(
    tables: &RunTables,
    stopping: &Stopping,
    range: TrialRange,
    outcomes: &[Outcomes],
) -> Result<TrialsPart, TableError> {
    let design = tables.design().expect("a sweep has a design");
    let mut points = Vec::with_capacity(range.len() as usize);
    for value in outcomes.iter().flat_map(|piece| (0..piece.trials as usize).map(|trial| piece.value(0, trial))) {
        let point = value as u32;
        if f64::from(point) != value || u64::from(point) >= design.points() {
            let points = design.points();
            return Err(TableError::Unfit(format!("{value} was reported as a point of a design of {points} points")));
        }
        points.push(point);
    }
    let (steps, swept) = tables.schema.axes.split_last().expect("the steps of a rung have a column");
    let mut columns = Vec::with_capacity(tables.schema.axes.len());
    for (axis, (name, kind)) in swept.iter().enumerate() {
        let mut column = match tables.schema.conditional.contains(name) {
            true => AxisColumn::conditional(*kind, points.len()),
            false => AxisColumn::with_capacity(*kind, points.len()),
        };
        points.iter().try_for_each(|point| column.push_point(design.value(u64::from(*point), axis).as_ref()))?;
        columns.push(column);
    }
    let mut column = AxisColumn::with_capacity(steps.1, points.len());
    for trial in range.start..range.end {
        column.push(&Value::Integer(stopping.rungs[tables.layout.address(trial).generation as usize]))?;
    }
    columns.push(column);
    let outcomes = outcomes.iter().map(|piece| piece.without_first(1)).collect();
    Ok(TrialsPart { layout: tables.layout.clone(), range, axes: columns, points, outcomes })
}

/// Parts may have been deleted or cut since they were written. Whoever reads the table is not to find that out.
fn all_parts_stand(tables: &RunTables, trials_end: u64) -> Result<(), TableError> {
    let dir = tables.folder.join("trials");
    for part in 0.. {
        let range = tables.layout.part(part, trials_end);
        if range.is_empty() {
            break;
        }
        tables.part_stands(part, range).map_err(|what| TableError::PartLost {
            path: tables.part_path(part),
            what,
            trials: (range.start, range.end),
        })?;
    }
    // No part there may be is left out: a table of no trial has none.
    if trials_end > 0 { tumble_tables::trial_count(&dir).map(|_| ()) } else { Ok(()) }
}

fn complete(
    tables: &RunTables,
    generations: Option<(Vec<String>, Vec<GenerationRow>)>,
    attempts: Vec<Attempt>,
    champion: Option<tumble_core::Champion>,
    view: &RunView,
) -> Result<(), TableError> {
    let folder = &tables.folder;
    let mut generation_count = 0;
    if let Some((scalar_names, rows)) = generations {
        generation_count = rows.len();
        let rows = rows.into_iter().map(generation_row);
        tumble_tables::write_generations(&folder.join("generations.parquet"), &tables.metadata, &scalar_names, rows)?;
    }
    let attempt_count = attempts.len();
    let rows = attempts.into_iter().map(attempt_row);
    tumble_tables::write_attempts(&folder.join("attempts.parquet"), &tables.metadata, rows)?;
    let champion = match champion {
        Some(champion) => Some(champion_of_evolution(tables, champion)),
        None if tables.schema.evolves => None,
        None => champion_of_sweep(tables)?,
    };
    if let Some(champion) = &champion {
        tumble_tables::write_champion(folder, champion)?;
    }
    let seconds = view.elapsed_ms as f64 / 1000.0;
    let rows = tumble_tables::trial_count(&folder.join("trials"))?;
    let failed = if view.trials_failed == 0 { 0 } else { failed_rows(tables)? };
    let summary = json!({
        "run": view.run.to_string(),
        "name": view.name,
        "pipeline": view.pipeline,
        "version": tables.metadata.version,
        "state": state_name(tables, view),
        "reason": view.reason,
        "trials": rows,
        "trials_failed": failed,
        "generations": generation_count,
        "objective": view.objective,
        "best": champion.as_ref().map(|c| c.value).filter(|v| v.is_finite()),
        "champion": champion.as_ref().map(|c| c.trial),
        "seconds": seconds,
        "trials_per_second": if seconds > 0.0 { Some(view.trials_evaluated as f64 / seconds) } else { None },
        "attempts": attempt_count,
        "bytes_down": view.bytes_down,
        "bytes_up": view.bytes_up,
        "disagreements": view.disagreements,
        "differing": view.differing.iter().map(differing).collect::<Vec<_>>(),
        "resyncs": view.resyncs,
    });
    let mut text = serde_json::to_string_pretty(&summary).expect("a tree of plain values is JSON");
    text.push('\n');
    tumble_tables::write_atomically(&folder.join("summary.json"), |file| file.write_all(text.as_bytes()))
}

fn differing(difference: &Difference) -> serde_json::Value {
    json!({
        "trial": difference.trial,
        "column": difference.column,
        "recorded": difference.recorded,
        "again": difference.again,
    })
}

/// The rows that did not score. The view counts what was evaluated, and a run that ends early leaves some of that out of
/// its table.
fn failed_rows(tables: &RunTables) -> Result<u64, TableError> {
    let mut failed = 0;
    for block in tumble_tables::scan(&tables.folder.join("trials"), &["outcome"])? {
        let Some(Column::Text(words)) = block?.columns.pop() else { continue };
        failed += words.iter().filter(|word| word.as_deref() != Some("scored")).count() as u64;
    }
    Ok(failed)
}

/// The view still says `finishing` while the summary is written; what follows is known.
fn state_name(tables: &RunTables, view: &RunView) -> &'static str {
    if view.reason == "cancelled" {
        "cancelled"
    } else if view.reason.starts_with("aborted") && tables.spec.limits.on_failure == OnFailure::Abort {
        "failed"
    } else {
        "finished"
    }
}

fn generation_row(row: GenerationRow) -> tumble_tables::GenerationRow {
    let [q05, q25, median, q75, q95] = row.quantiles;
    tumble_tables::GenerationRow {
        generation: row.generation,
        evaluations: row.evaluations,
        failed: row.failed,
        best: row.best,
        mean: row.mean,
        median,
        q05,
        q25,
        q75,
        q95,
        best_candidate: row.best_candidate,
        state_hash: row.state_hash.to_string(),
        scalars: row.scalars,
    }
}

fn attempt_row(attempt: Attempt) -> tumble_tables::AttemptRow {
    use tumble_core::AttemptOutcome as From;
    use tumble_tables::AttemptOutcome as To;
    tumble_tables::AttemptRow {
        first_trial: attempt.range.start,
        trials: attempt.range.len(),
        attempt: attempt.attempt,
        worker: attempt.worker,
        host: attempt.host,
        granted_at_ms: attempt.granted_unix_ms as i64,
        ended_at_ms: attempt.ended_unix_ms as i64,
        evaluate_ms: if attempt.outcome.is_lost() { f64::NAN } else { attempt.evaluate_ms },
        outcome: match attempt.outcome {
            From::Reported => To::Reported,
            From::Returned => To::Returned,
            From::Lost => To::Lost,
            From::Duplicate => To::Duplicate,
            From::Expired => To::Expired,
            From::Disagreed => To::Disagreed,
        },
        bytes_down: attempt.bytes_down,
        bytes_up: attempt.bytes_up,
    }
}

fn champion_of_evolution(tables: &RunTables, champion: tumble_core::Champion) -> Champion {
    let first = tables.layout.generation(champion.generation).start;
    let trial = first + u64::from(champion.candidate) * u64::from(tables.layout.replicates);
    if let (Some(stopping), [point]) = (tables.spec.plan.stopping(), &champion.genome[..]) {
        let (point, design) = (*point as u64, tables.design().expect("a sweep has a design"));
        let (steps, swept) = tables.schema.axes.split_last().expect("the steps of a rung have a column");
        let settings = swept.iter().enumerate();
        let steps = (steps.0.clone(), Value::Integer(stopping.rungs[champion.generation as usize]));
        return Champion {
            trial,
            generation: Some(champion.generation),
            candidate: point,
            fitness: champion.fitness,
            metric: tables.objective_metric.clone(),
            value: tables.direction.turn(champion.fitness),
            settings: settings
                .filter_map(|(axis, (name, _))| Some((name.clone(), design.value(point, axis)?)))
                .chain([steps])
                .collect(),
            genome: Vec::new(),
        };
    }
    Champion {
        trial,
        generation: Some(champion.generation),
        candidate: u64::from(champion.candidate),
        fitness: champion.fitness,
        metric: tables.objective_metric.clone(),
        value: tables.direction.turn(champion.fitness),
        settings: tables.space.as_ref().map_or(Vec::new(), |space| space.values(&champion.genome)),
        genome: champion.genome,
    }
}

/// The best point of a sweep by the mean over its replicates, read from the finished table: replicates stand side by
/// side, so one pass in constant memory tells. The first of equals wins; points that failed do not take part.
fn champion_of_sweep(tables: &RunTables) -> Result<Option<Champion>, TableError> {
    let replicates = tables.layout.replicates as usize;
    let mut best: Option<(u64, f64)> = None;
    let (mut tally, mut trial) = (Vec::with_capacity(replicates), 0u64);
    let policy = match tables.spec.limits.on_failure {
        OnFailure::Abort => OnFailure::Worst,
        policy => policy,
    };
    for block in tumble_tables::scan(&tables.folder.join("trials"), &[&tables.objective_metric])? {
        let Some(Column::Float(values)) = block?.columns.pop() else { continue };
        for value in values {
            tally.push(Some(value));
            trial += 1;
            if tally.len() == replicates {
                let fitness = fitness_of(tally.drain(..), tables.direction, policy);
                if let Ok(Fitness::Scored(fitness)) = fitness
                    && best.is_none_or(|(_, b)| fitness > b)
                {
                    best = Some((trial - replicates as u64, fitness));
                }
            }
        }
    }
    let Some((trial, fitness)) = best else { return Ok(None) };
    let candidate = tables.layout.address(trial).candidate;
    let design = tables.design().expect("a run without generations has a design");
    let settings = tables.schema.axes.iter().enumerate();
    Ok(Some(Champion {
        trial,
        generation: None,
        candidate,
        fitness,
        metric: tables.objective_metric.clone(),
        value: tables.direction.turn(fitness),
        settings: settings
            .filter_map(|(axis, (name, _))| Some((name.clone(), design.value(candidate, axis)?)))
            .collect(),
        genome: Vec::new(),
    }))
}
