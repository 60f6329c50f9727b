//! `tumble verify` and `tumble replay`: evaluate trials of a finished run again, here, and compare with what is recorded.
//!
//! Everything that a trial depends on is in the run's folder: the run file, and for an evolution the fitness of the
//! generations before, from which the strategy is replayed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value as Json, json};
use tumble_domain::philox::philox4x32_10;
use tumble_domain::{Layout, Objective, Outcomes, Plan, TrialAddress, TrialRange, Value, fitness_of};
use tumble_pipelines::{Trace, registry};
use tumble_search::{Problem, Proposal, Strategy, strategies};
use tumble_tables::{Column, Metadata, TraceFormat};
use tumble_worker::evaluate::Slot;
use tumble_worker::files::{Cache, LaidOut};
use tumble_worker::process::cores;
use tumble_worker::worker::{Grant, Job, OpenRun, Piece};

use crate::args::{OwnArgs, ReplayArgs, VerifyArgs};
use crate::bundle::{self, Files};
use crate::commands::describe::value_json;
use crate::exit::{Exit, Failure};
use crate::output::{Output, grouped};
use crate::own::{Helper, Known};
use crate::runfile;

/// A run's folder, opened for evaluating its trials again.
struct Recorded {
    run: Arc<OpenRun>,
    /// Keeps the files that travelled with the run laid out; they go with it, and the run before.
    _cache: Option<Cache>,
    /// The names of what is recorded, in the order of an outcome's columns: evolved axes, then metrics.
    metrics: Vec<String>,
    objective: Objective,
    trials: u64,
    folder: std::path::PathBuf,
    /// What happens inside the trial that is evaluated again, if that is wanted.
    trace: Option<Mutex<Trace>>,
    /// Who evaluates, if it is another binary than this one.
    helpers: Option<Helpers>,
    /// Why a trial could not be evaluated here.
    refused: Mutex<Option<String>>,
}

/// One trial as it is recorded.
#[derive(Clone, Debug)]
struct Row {
    outcome: String,
    metrics: Vec<f64>,
}

/// One trial, recorded and evaluated again.
struct Compared {
    trial: u64,
    at: TrialAddress,
    recorded: Row,
    again: Row,
}

impl Compared {
    fn agrees(&self) -> bool {
        let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        self.recorded.outcome == self.again.outcome && self.recorded.metrics.iter().zip(&self.again.metrics).all(same)
    }
}

pub(crate) fn verify(args: &VerifyArgs, output: Output) -> Result<Exit, Failure> {
    let recorded = Recorded::open(&args.folder, args.here.as_deref(), &args.own)?;
    let wanted = recorded.sample(args.sample);
    output.note(format!("evaluating {} of {} trials again", grouped(wanted.len() as u64), grouped(recorded.trials)));
    let compared = recorded.evaluate_again(&wanted)?;
    let differing: Vec<&Compared> = compared.iter().filter(|c| !c.agrees()).collect();
    let mut text = format!(
        "{} of {} trials evaluated again, {}\n",
        grouped(compared.len() as u64),
        grouped(recorded.trials),
        if differing.is_empty() {
            "all the same".to_owned()
        } else {
            format!("{} DIFFER", grouped(differing.len() as u64))
        }
    );
    for compared in differing.iter().take(10) {
        text += &recorded.describe(compared);
    }
    output.result(text, || {
        json!({
            "trials": recorded.trials,
            "verified": compared.len(),
            "differing": differing.iter().map(|c| c.trial).collect::<Vec<_>>(),
        })
    });
    Ok(if differing.is_empty() { Exit::Complete } else { Exit::Disagreed })
}

pub(crate) fn replay(args: &ReplayArgs, output: Output) -> Result<Exit, Failure> {
    let mut recorded = Recorded::open(&args.folder, args.here.as_deref(), &args.own)?;
    if args.trial >= recorded.trials {
        let most = grouped(recorded.trials);
        return Err(Failure::usage(format!("there is no trial {}; the table has {most}, from 0", args.trial)));
    }
    let wanted = args.trace.as_deref().map(|path| recorded.can_trace(path).map(|format| (path, format))).transpose()?;
    recorded.trace = wanted.map(|_| Mutex::default());
    let compared = recorded.evaluate_again(&[args.trial])?.remove(0);
    let steps = wanted.map(|(path, format)| recorded.write_trace(path, format)).transpose()?;
    let mut text = recorded.describe(&compared);
    if let (Some(path), Some(steps)) = (&args.trace, steps) {
        text += &format!("  trace: {} steps in {}\n", grouped(steps), path.display());
    }
    output.result(text, || {
        let mut json = recorded.describe_json(&compared);
        if let (Some(path), Some(steps)) = (&args.trace, steps) {
            json["trace"] = json!({ "file": path, "steps": steps });
        }
        json
    });
    Ok(if compared.agrees() { Exit::Complete } else { Exit::Disagreed })
}

/// Processes of a worker binary that evaluate; as many as there are threads that ask.
struct Helpers {
    worker: PathBuf,
    here: PathBuf,
    run: Arc<str>,
    run_toml: String,
    idle: Mutex<Vec<Helper>>,
}

impl Helpers {
    fn of(known: &Known, run: &OpenRun, here: &Path, run_toml: String) -> Option<Helpers> {
        // Code of the user's own is run from here.
        let worker = known.worker().filter(|_| run.spec.code.is_none())?.to_owned();
        Some(Helpers { worker, here: here.to_owned(), run: run.id.clone(), run_toml, idle: Mutex::default() })
    }

    /// Has a trial evaluated, or says why that cannot be.
    fn evaluate(&self, grant: &Grant, proposal: Option<&Proposal>) -> Result<Outcomes, String> {
        let idle = || self.idle.lock().expect("nobody panics with it");
        let kept = idle().pop();
        let helper = kept.map_or_else(|| Helper::start(&self.worker, &self.here, &self.run, &self.run_toml), Ok);
        let evaluated = helper.and_then(|mut helper| {
            let outcomes = helper.evaluate(grant, proposal)?;
            idle().push(helper);
            Ok(outcomes)
        });
        evaluated.map_err(|error| format!("{}: {error}", self.worker.display()))?
    }
}

fn table(error: tumble_tables::TableError) -> Failure {
    Failure::usage(error)
}

/// Lays the files out that travelled with a run, as a worker does: those that its folder keeps, or those in the folder `here`.
fn lay_out(folder: &Path, here: &Path, run_toml: &str) -> Result<Option<(Arc<LaidOut>, Cache)>, Failure> {
    if tumble_runfile::bundle_hash_of(run_toml).is_none() {
        return Ok(None);
    }
    let understood = tumble_runfile::parse(run_toml, "run.toml", &[], &[]).map_err(Failure::usage)?;
    let Some(bundle) = &understood.spec.bundle else { return Ok(None) };
    let Files { manifest, root } = bundle::find(bundle, &[folder, here]).map_err(|why| {
        Failure::usage(format!(
            "{why}\n  put the file back as it was, or name the folder that has all of them as they were with --here"
        ))
    })?;
    let cache = Cache::open().map_err(Failure::usage)?;
    let laid_out = cache.lay_out(&manifest, |file| root.join(&file.path)).map_err(Failure::usage)?;
    Ok(Some((Arc::new(laid_out), cache)))
}

impl Recorded {
    fn open(folder: &Path, here: Option<&Path>, own: &OwnArgs) -> Result<Recorded, Failure> {
        let known = Known::of(own.worker.as_deref())?;
        let begun_from = runfile::begun_from(folder);
        let here = here.or(begun_from.as_deref()).unwrap_or(Path::new("."));
        let path = folder.join("run.toml");
        let run_toml = std::fs::read_to_string(&path)
            .map_err(|error| Failure::usage(format!("failed to read {}: {error}", path.display())))?;
        let pipelines = known.pipelines(tumble_worker::pipelines(&runfile::surroundings(here, None)?));
        let name: Arc<str> = path.display().to_string().into();
        let hint = match runfile::lacks_pipeline(&path, None, &[], &known)? {
            true => "\n  `--worker PROGRAM` names a worker binary of your own",
            false => "",
        };
        let (files, cache) = lay_out(folder, here, &run_toml)?.unzip();
        let run = OpenRun::with_files(&name, &run_toml, &pipelines, files)
            .map_err(|why| Failure::usage(format!("{why}{hint}")))?;
        if run.spec.plan.is_given() {
            return Err(Failure::usage(
                "the candidates of this run were given by a client, and stand in no table but as values of their axes: give \
                 them again (`tumble pool`) and compare the tables",
            ));
        }
        let description = run.pipeline.description();
        let description = description.recorded(&run.spec.plan, &run.spec.objective);
        let objective = match &run.spec.plan {
            Plan::SweepOfEvolutions(..) => description.objective.clone(),
            _ => run.spec.objective.clone(),
        };
        let trials_folder = folder.join("trials");
        let first = tumble_tables::part_paths(&trials_folder).map_err(table)?.into_iter().next();
        if let Some(first) = first {
            let (wrote, ours) =
                (tumble_tables::read_metadata(&first).map_err(table)?.version, env!("CARGO_PKG_VERSION"));
            if wrote != ours {
                return Err(Failure::usage(format!(
                    "the tables were written by version {wrote} and this is {ours}; results are the same only within one version"
                )));
            }
        }
        Ok(Recorded {
            metrics: description.metrics.into_iter().map(|m| m.name).collect(),
            objective,
            trials: tumble_tables::trial_count(&trials_folder).map_err(table)?,
            folder: folder.to_owned(),
            helpers: Helpers::of(&known, &run, here, run_toml),
            run: Arc::new(run),
            _cache: cache,
            trace: None,
            refused: Mutex::default(),
        })
    }

    /// The format that a trace is to be written in; an error if there is nothing to trace, or no such format.
    fn can_trace(&self, path: &Path) -> Result<TraceFormat, Failure> {
        if self.helpers.is_some() {
            return Err(Failure::usage("a trial that another worker binary evaluates has no trace; leave --trace out"));
        }
        let is_evolution = matches!(self.run.spec.plan, Plan::SweepOfEvolutions(..));
        if self.run.pipeline.traces().is_empty() && !is_evolution {
            let can: Vec<String> = registry::all()
                .iter()
                .filter(|pipeline| !pipeline.traces().is_empty())
                .map(|pipeline| format!("`{}`", pipeline.description().name))
                .collect();
            return Err(Failure::usage(format!(
                "a trial of `{}` has nothing to tell beside its metrics; those of {} have, and any that is an evolution",
                self.run.spec.pipeline,
                can.join(" and ")
            )));
        }
        TraceFormat::of(path).ok_or_else(|| {
            Failure::usage(format!("{} is no name of a trace; let it end with .parquet or .csv", path.display()))
        })
    }

    /// Writes the trace, and says how many steps it has.
    fn write_trace(&self, path: &Path, format: TraceFormat) -> Result<u64, Failure> {
        let trace = self.trace.as_ref().expect("the caller wanted one").lock().expect("nobody panics with it");
        let (run_toml, version) = (
            std::fs::read_to_string(self.folder.join("run.toml")).map_err(Failure::usage)?,
            env!("CARGO_PKG_VERSION").to_owned(),
        );
        if trace.columns().is_empty() {
            return Err(Failure::usage("the trial failed before its first step, so there is nothing to trace"));
        }
        let metadata = Metadata { run_toml, version };
        tumble_tables::write_trace(path, format, &metadata, trace.columns(), trace.steps()).map_err(table)?;
        Ok(trace.steps().len() as u64)
    }

    /// A share of the trials, the same ones each time: those whose noise, under a key of its own, is lowest.
    fn sample(&self, share: f64) -> Vec<u64> {
        let limit = (share * f64::from(u32::MAX)) as u32;
        let key = self.run.spec.seed.key().map(|word| !word);
        let chosen = |trial: &u64| philox4x32_10([*trial as u32, (*trial >> 32) as u32, 0, 0], key)[0] <= limit;
        let sample: Vec<u64> = (0..self.trials).filter(chosen).collect();
        // However small the share, something is verified.
        if sample.is_empty() && self.trials > 0 { vec![0] } else { sample }
    }

    /// Evaluates the trials (by rising index) again.
    fn evaluate_again(&self, wanted: &[u64]) -> Result<Vec<Compared>, Failure> {
        let rows = self.recorded_rows(wanted)?;
        let mut compared = Vec::with_capacity(wanted.len());
        let mut evaluate = |trials: &[u64], layout: &Layout, proposal: Option<Arc<Proposal>>| {
            for (trial, again) in trials.iter().zip(self.evaluate(trials, layout, proposal.as_ref())) {
                let at = layout.address(*trial);
                compared.push(Compared { trial: *trial, at, recorded: rows[trial].clone(), again });
            }
        };
        match self.run.spec.plan.has_generations() {
            true => self.replay_generations(wanted, &mut evaluate)?,
            false => evaluate(wanted, &self.run.layout, None),
        }
        match self.refused.lock().expect("nobody panics with it").take() {
            Some(reason) => Err(Failure::usage(format!(
                "this machine cannot evaluate the run: {reason}\n  code of your own is looked for in the folder that --here names"
            ))),
            None => Ok(compared),
        }
    }

    /// How many of the recorded numbers tell what a trial was given: its values of evolved axes, or its point at a rung.
    fn axes_recorded(&self) -> usize {
        self.run.spec.plan.reported().len()
    }

    /// Which point of the design a trial is of, and its seed; at a rung it is the recorded point.
    fn point_and_seed(&self, compared: &Compared) -> (u64, u64) {
        let at = compared.at;
        match self.run.spec.plan.stopping() {
            Some(_) => {
                let point = compared.again.metrics[0] as u64;
                (point, self.run.layout.rung_seed(point, at.replicate).0)
            }
            None => (at.candidate, self.run.layout.trial_seed(at).0),
        }
    }

    fn recorded_rows(&self, wanted: &[u64]) -> Result<BTreeMap<u64, Row>, Failure> {
        let mut columns: Vec<&str> = self.metrics.iter().map(String::as_str).collect();
        columns.push("outcome");
        let (mut rows, mut first, mut wanted) = (BTreeMap::new(), 0u64, wanted.iter().copied().peekable());
        for block in tumble_tables::scan(&self.folder.join("trials"), &columns).map_err(table)? {
            let block = block.map_err(table)?;
            let end = first + block.rows as u64;
            while let Some(trial) = wanted.next_if(|trial| *trial < end) {
                let row = (trial - first) as usize;
                let number = |(i, column): (usize, &Column)| match self.run.space.as_ref().filter(|s| i < s.dimension())
                {
                    Some(space) => cell(column, row).map_or(f64::NAN, |value| space.report_of(i, &value)),
                    None => match column {
                        Column::Float(values) => values[row],
                        // The point of a trial of a rung.
                        Column::Unsigned(values) => values[row] as f64,
                        _ => f64::NAN,
                    },
                };
                let outcome = match block.columns.last() {
                    Some(Column::Text(words)) => words[row].as_deref().unwrap_or_default().to_owned(),
                    _ => String::new(),
                };
                let metrics = block.columns[..self.metrics.len()].iter().enumerate().map(number).collect();
                rows.insert(trial, Row { outcome, metrics });
            }
            first = end;
        }
        Ok(rows)
    }

    /// Replays the strategy from the recorded fitness, and has the wanted trials of each generation evaluated under the
    /// proposal that it makes there.
    fn replay_generations(
        &self,
        wanted: &[u64],
        evaluate: &mut impl FnMut(&[u64], &Layout, Option<Arc<Proposal>>),
    ) -> Result<(), Failure> {
        let mut layout = self.run.layout.clone();
        let mut strategy = self.strategy()?;
        let mut wanted = wanted;
        let mut objective = Values::of(&self.folder.join("trials"), &self.objective.metric)?;
        while !wanted.is_empty() {
            // How many candidates a generation has, the strategy alone knows.
            layout.begin(strategy.generation(), u64::from(strategy.population()));
            let end = layout.generation(strategy.generation()).end;
            let (trials, later) = wanted.split_at(wanted.partition_point(|trial| *trial < end));
            if !trials.is_empty() {
                evaluate(trials, &layout, Some(Arc::new(strategy.ask())));
                wanted = later;
            }
            let mut fitness = Vec::with_capacity(strategy.population() as usize);
            for _ in 0..strategy.population() {
                let replicates: Vec<Option<f64>> =
                    (0..layout.replicates).map(|_| objective.next()).collect::<Result<_, _>>()?;
                let policy = self.run.spec.limits.on_failure;
                // A generation that aborted the run is its last, so nothing is told of it.
                let Ok(score) = fitness_of(replicates, self.objective.direction, policy) else { return Ok(()) };
                fitness.push(score);
            }
            strategy.tell(&fitness);
        }
        Ok(())
    }

    fn strategy(&self) -> Result<Box<dyn Strategy>, Failure> {
        if let (Some(stopping), Some(design)) = (self.run.spec.plan.stopping(), &self.run.design) {
            return strategies::rungs(stopping, design.points()).map_err(Failure::usage);
        }
        let Plan::Evolve(evolve) = &self.run.spec.plan else { unreachable!("only what has generations is replayed") };
        let description = self.run.pipeline.description();
        let problem = Problem::of(evolve, description, &self.run.spec.config, self.run.spec.seed);
        let problem = problem.map_err(Failure::usage)?;
        strategies::build(evolve, &problem).map_err(Failure::usage)
    }

    /// Evaluates single trials on all cores; the results are in the trials' order.
    fn evaluate(&self, trials: &[u64], layout: &Layout, proposal: Option<&Arc<Proposal>>) -> Vec<Row> {
        let next = AtomicUsize::new(0);
        let serve = || {
            let (mut slot, mut rows) = (Slot::default(), Vec::new());
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(trial) = trials.get(index) else { return rows };
                rows.push((index, self.evaluate_one(&mut slot, *trial, layout, proposal)));
            }
        };
        let threads = (cores() as usize).min(trials.len());
        let mut rows: Vec<(usize, Row)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(serve)).collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().expect("a slot catches its evaluator's panics"))
                .collect()
        });
        rows.sort_by_key(|(index, _)| *index);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    fn evaluate_one(&self, slot: &mut Slot, trial: u64, layout: &Layout, proposal: Option<&Arc<Proposal>>) -> Row {
        let generation = layout.address(trial).generation;
        let grant = Grant {
            lease: 0,
            run: self.run.id.clone(),
            generation,
            generation_start: layout.generation(generation).start,
            range: TrialRange::new(trial, trial + 1),
        };
        let (mut outcomes, mut refused) = (Outcomes::default(), None);
        let mut take = |piece: Piece| (outcomes, refused) = (piece.outcomes, piece.refused);
        let job = || Job {
            grant: grant.clone(),
            run: self.run.clone(),
            proposal: proposal.cloned(),
            abandon: Arc::default(),
        };
        match (&self.trace, &self.helpers) {
            (_, Some(helpers)) => match helpers.evaluate(&grant, proposal.map(|proposal| &**proposal)) {
                Ok(given) => outcomes = given,
                Err(why) => refused = Some(why),
            },
            (None, None) => slot.evaluate(&job(), take),
            (Some(trace), None) => {
                let mut trace = trace.lock().expect("one trial is traced, by one thread");
                slot.trace(&job(), &mut trace, &mut take);
            }
        }
        if outcomes.trials == 0 {
            let reason = refused.unwrap_or_else(|| "the trial was interrupted".to_owned());
            *self.refused.lock().expect("nobody panics with it") = Some(reason);
            return Row { outcome: String::new(), metrics: Vec::new() };
        }
        Row {
            outcome: outcomes.status(0).name().to_owned(),
            metrics: (0..self.metrics.len()).map(|metric| outcomes.value(metric, 0)).collect(),
        }
    }

    fn describe(&self, compared: &Compared) -> String {
        let at = compared.at;
        let (point, seed) = self.point_and_seed(compared);
        let place = match &self.run.spec.plan {
            Plan::Evolve(_) => format!("generation {}, candidate {}", at.generation, at.candidate),
            plan if plan.stopping().is_some() => format!("rung {}, candidate {point}", at.generation),
            _ => format!("point {}", at.candidate),
        };
        let mut text = format!("trial {}: {place}, replicate {}, seed {seed}\n", compared.trial, at.replicate);
        for (name, value) in self.axes(point, at.generation) {
            text += &format!("  {name} = {value}\n");
        }
        let mut line = |name: &str, was: &dyn std::fmt::Display, is: &dyn std::fmt::Display| {
            let (was, is) = (was.to_string(), is.to_string());
            text +=
                &if was == is { format!("  {name}: {is}\n") } else { format!("  {name}: {is}, but RECORDED {was}\n") };
        };
        if let Some(space) = &self.run.space {
            for (axis, name) in self.metrics[..space.dimension()].iter().enumerate() {
                let value = |row: &Row| space.read(axis, row.metrics[axis]);
                line(name, &value(&compared.recorded), &value(&compared.again));
            }
        }
        line("outcome", &compared.recorded.outcome, &compared.again.outcome);
        for (metric, name) in self.metrics.iter().enumerate().skip(self.axes_recorded()) {
            line(name, &compared.recorded.metrics[metric], &compared.again.metrics[metric]);
        }
        text
    }

    fn describe_json(&self, compared: &Compared) -> Json {
        let at = compared.at;
        let (point, seed) = self.point_and_seed(compared);
        let row = |row: &Row| {
            let metrics: Map<String, Json> = self
                .metrics
                .iter()
                .cloned()
                .zip(row.metrics.iter().map(|x| json!(x)))
                .skip(self.axes_recorded())
                .collect();
            json!({ "outcome": row.outcome, "metrics": metrics })
        };
        let axes: Map<String, Json> =
            self.axes(point, at.generation).iter().map(|(name, value)| (name.clone(), value_json(value))).collect();
        let evolved = self.run.space.iter().flat_map(|space| {
            let value = |axis: usize| value_json(&space.read(axis, compared.again.metrics[axis]));
            (0..space.dimension()).map(move |axis| (self.metrics[axis].clone(), value(axis)))
        });
        let axes: Map<String, Json> = axes.into_iter().chain(evolved).collect();
        json!({
            "trial": compared.trial,
            "generation": at.generation,
            "candidate": point,
            "replicate": at.replicate,
            "seed": seed,
            "axes": axes,
            "recorded": row(&compared.recorded),
            "evaluated": row(&compared.again),
            "same": compared.agrees(),
        })
    }

    /// The swept settings of a point, with the steps of the rung if there are rungs.
    fn axes(&self, point: u64, rung: u32) -> Vec<(String, Value)> {
        let (Some(sweep), Some(design)) = (self.run.spec.plan.sweep(), &self.run.design) else { return Vec::new() };
        let there = |(i, axis): (usize, &tumble_domain::Axis)| Some((axis.name.clone(), design.value(point, i)?));
        let steps = sweep.stopping.as_ref().and_then(|stopping| {
            let name = self.run.pipeline.description().parameters.get(stopping.steps)?.name.clone();
            Some((name, Value::Integer(*stopping.rungs.get(rung as usize)?)))
        });
        sweep.axes.iter().enumerate().filter_map(there).chain(steps).collect()
    }
}

/// One cell of a table, as a value.
fn cell(column: &Column, row: usize) -> Option<Value> {
    match column {
        Column::Float(values) => Some(Value::Float(values[row])),
        Column::Integer(values) => Some(Value::Integer(values[row])),
        Column::Boolean(values) => Some(Value::Boolean(values[row])),
        Column::Text(values) => values[row].clone().map(Value::Text),
        Column::Unsigned(_) => None,
    }
}

/// One metric of a trials table, a value at a time; `None` where the trial has no number.
struct Values {
    scan: tumble_tables::Scan,
    block: std::vec::IntoIter<f64>,
}

impl Values {
    fn of(trials: &Path, metric: &str) -> Result<Values, Failure> {
        let scan = tumble_tables::scan(trials, &[metric]).map_err(table)?;
        Ok(Values { scan, block: Vec::new().into_iter() })
    }

    fn next(&mut self) -> Result<Option<f64>, Failure> {
        loop {
            if let Some(value) = self.block.next() {
                return Ok(Some(value));
            }
            match self.scan.next() {
                Some(block) => {
                    self.block = block.map_err(table)?.columns.remove(0).numbers().unwrap_or_default().into_iter()
                }
                // The table ends within this generation, which the strategy was never told of.
                None => return Ok(None),
            }
        }
    }
}
