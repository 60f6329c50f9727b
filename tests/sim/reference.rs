//! What the tables of a run have to be, found by one loop over everything: no coordinator, worker, shard or record.

use tumble_core::run::QUANTILES;
use tumble_core::{Champion, GenerationRow, Reason};
use tumble_domain::{
    AxisTarget, Direction, Evolve, Failure, Fitness, Layout, OnFailure, Plan, RunSpec, Status, Sweep, TrialRange,
    Value, fitness_of,
};
use tumble_pipelines::{NestedEvolution, Pipeline, Trial, Watch};
use tumble_search::{Design, Problem, strategies};

use crate::rows::Rows;
use crate::run_file::{RunFile, pipelines};

#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) trials: Rows,
    pub(crate) generations: Vec<GenerationRow>,
    pub(crate) champion: Option<Champion>,
    pub(crate) reason: Reason,
}

/// The tables of a run file.
pub(crate) fn reference(file: &RunFile) -> Tables {
    let spec = file.understood("reference").spec;
    let pipeline = pipelines().into_iter().find(|p| p.description().name == spec.pipeline);
    let pipeline = pipeline.expect("the run file was understood");
    let scorer = Scorer { spec: &spec, killers: &file.killers, given: &file.given, watch: Watch::unlimited() };
    match &spec.plan {
        Plan::Evolve(evolve) => scorer.evolve(&*pipeline, evolve),
        Plan::Sweep(sweep) if sweep.stopping.is_some() => scorer.rungs(&*pipeline, sweep),
        _ => scorer.sweep(&*pipeline),
    }
}

struct Scorer<'a> {
    spec: &'a RunSpec,
    killers: &'a [u64],
    given: &'a [Vec<f64>],
    watch: Watch,
}

impl Scorer<'_> {
    /// Writes a trial's row; gives its objective if it scored.
    fn score(
        &self,
        rows: &mut Rows,
        metrics: &mut [f64],
        objective: usize,
        evaluate: impl FnOnce(&mut [f64]) -> Result<(), Failure>,
    ) -> Option<f64> {
        metrics.fill(f64::NAN);
        let killed = self.killers.contains(&rows.len());
        let deaths = self.spec.limits.attempts.max(2);
        let outcome = match killed {
            true => Err(format!("the worker died {deaths} times while it evaluated this trial alone")),
            false => evaluate(metrics).map_err(|failure| match failure {
                Failure::Failed(why) => why,
                other => panic!("nothing stops a reference, and yet: {other:?}"),
            }),
        };
        match outcome {
            Ok(()) => {
                rows.push(Status::Scored, metrics.iter().copied(), None);
                Some(metrics[objective])
            }
            Err(why) => {
                rows.push(Status::Failed, metrics.iter().map(|_| f64::NAN), Some(&why));
                None
            }
        }
    }

    fn evolve(&self, pipeline: &dyn Pipeline, evolve: &Evolve) -> Tables {
        let spec = self.spec;
        let description = pipeline.description();
        let problem = Problem::of(evolve, description, &spec.config, spec.seed).expect("the run file was understood");
        let mut strategy = strategies::build(evolve, &problem).expect("the run file was understood");
        let mut evaluator = pipeline.evaluator();
        let direction = spec.objective.direction;
        let objective = description.metric_index(&spec.objective.metric).expect("the run file was understood");
        let mut genome = vec![0.0; problem.dimension];
        let mut metrics = vec![f64::NAN; description.metrics.len()];
        let mut tables =
            Tables { trials: Rows::default(), generations: Vec::new(), champion: None, reason: Reason::Complete };
        loop {
            let generation = strategy.generation();
            if strategy.is_given() {
                match self.given.get(generation as usize) {
                    Some(points) => assert!(strategy.take(points)),
                    None => return tables,
                }
            }
            let proposal = strategy.ask();
            let (mut fitness, mut failed, mut aborted) = (Vec::new(), 0, None);
            for candidate in 0..strategy.population() {
                proposal.candidate(candidate, &mut genome);
                let first = tables.trials.len();
                let scores: Vec<Option<f64>> = (0..spec.replicates)
                    .map(|replicate| {
                        let seed = evolve.trial_seeds.seed(spec.seed, generation, u64::from(candidate), replicate);
                        let trial = Trial { genome: &genome, settings: &spec.config, seed, watch: &self.watch };
                        self.score(&mut tables.trials, &mut metrics, objective, |m| evaluator.evaluate(&trial, m))
                    })
                    .collect();
                failed += scores.iter().filter(|score| score.is_none()).count() as u64;
                match fitness_of(scores, direction, spec.limits.on_failure) {
                    Ok(score) => fitness.push(score),
                    Err(at) => aborted = aborted.or(Some((first + u64::from(at.replicate), candidate))),
                }
            }
            if let Some((trial, candidate)) = aborted {
                let place = format!("trial {trial} (generation {generation}, candidate {candidate}) failed");
                tables.reason = Reason::Aborted(format!("{place} and on_failure is \"abort\""));
                return tables;
            }
            let mut best: Option<(u32, f64)> = None;
            for (candidate, score) in (0..).zip(&fitness) {
                let Fitness::Scored(score) = *score else { continue };
                if best.is_none_or(|(_, before)| score > before) {
                    best = Some((candidate, score));
                }
            }
            tables.generations.push(row_of(&*strategy, &tables.trials, failed, &fitness, best, direction));
            let before = tables.champion.as_ref().map_or(f64::NEG_INFINITY, |champion| champion.fitness);
            if let Some((candidate, fitness)) = best.filter(|(_, fitness)| *fitness > before) {
                proposal.candidate(candidate, &mut genome);
                tables.champion = Some(Champion { generation, candidate, fitness, genome: genome.clone() });
            }
            strategy.tell(&fitness);
            let goal = evolve.stop.objective.map_or(f64::INFINITY, |goal| direction.turn(goal));
            let reached = tables.champion.as_ref().is_some_and(|champion| champion.fitness >= goal);
            let reason = if reached {
                Some(Reason::ObjectiveReached)
            } else if strategy.generation() >= evolve.generations {
                Some(Reason::Complete)
            } else if evolve.stop.evaluations.is_some_and(|budget| tables.trials.len() >= budget) {
                Some(Reason::BudgetSpent)
            } else {
                strategy.exhausted().map(|why| Reason::Exhausted(why.to_owned()))
            };
            if let Some(reason) = reason {
                tables.reason = reason;
                return tables;
            }
        }
    }

    /// Every rung of a sweep by successive halving: who goes on is found by counting who is better.
    fn rungs(&self, pipeline: &dyn Pipeline, sweep: &Sweep) -> Tables {
        let spec = self.spec;
        let description = pipeline.description();
        let stopping = sweep.stopping.as_ref().expect("it has rungs");
        let design = Design::try_new(sweep, spec.seed).expect("the run file was understood");
        let direction = spec.objective.direction;
        let metric = description.metric_index(&spec.objective.metric).expect("the run file was understood");
        // In front of the metrics stands the point.
        let (mut recorded, mut settings) = (vec![f64::NAN; 1 + description.metrics.len()], spec.config.clone());
        let mut genome = vec![0.0; description.dimension(&spec.config) as usize];
        let mut evaluator = pipeline.evaluator();
        // Its hashes stand in the table; who goes on is not asked of it.
        let mut strategy = strategies::rungs(stopping, design.points()).expect("the run file was understood");
        let mut points: Vec<u64> = (0..design.points()).collect();
        let mut tables =
            Tables { trials: Rows::default(), generations: Vec::new(), champion: None, reason: Reason::Complete };
        for (rung, steps) in (0..).zip(&stopping.rungs) {
            settings[stopping.steps] = Value::Integer(*steps);
            let (mut fitness, mut failed, mut aborted) = (Vec::new(), 0, None);
            for (candidate, point) in (0u32..).zip(&points) {
                genome.fill(0.0);
                for (axis, description) in sweep.axes.iter().enumerate() {
                    let AxisTarget::Genome(element) = description.target else {
                        panic!("our sweeps are of the vector")
                    };
                    let value = design.value(*point, axis).and_then(|value| value.as_f64());
                    genome[element] = value.expect("a number, at every point");
                }
                let first = tables.trials.len();
                let scores: Vec<Option<f64>> = (0..spec.replicates)
                    .map(|replicate| {
                        let seed = spec.seed.derive(0, *point, replicate);
                        let trial = Trial { genome: &genome, settings: &settings, seed, watch: &self.watch };
                        let mut score = None;
                        recorded[0] = *point as f64;
                        let outcome = match self.killers.contains(&tables.trials.len()) {
                            true => Err(format!(
                                "the worker died {} times while it evaluated this trial alone",
                                spec.limits.attempts.max(2)
                            )),
                            false => evaluator.evaluate(&trial, &mut recorded[1..]).map_err(|failure| match failure {
                                Failure::Failed(why) => why,
                                other => panic!("nothing stops a reference, and yet: {other:?}"),
                            }),
                        };
                        match outcome {
                            Ok(()) => {
                                tables.trials.push(Status::Scored, recorded.iter().copied(), None);
                                score = Some(recorded[1 + metric]);
                            }
                            Err(why) => {
                                recorded[1..].fill(f64::NAN);
                                tables.trials.push(Status::Failed, recorded.iter().copied(), Some(&why));
                            }
                        }
                        score
                    })
                    .collect();
                failed += scores.iter().filter(|score| score.is_none()).count() as u64;
                match fitness_of(scores, direction, spec.limits.on_failure) {
                    Ok(score) => fitness.push(score),
                    Err(at) => aborted = aborted.or(Some((first + u64::from(at.replicate), candidate))),
                }
            }
            if let Some((trial, candidate)) = aborted {
                let place = format!("trial {trial} (generation {rung}, candidate {candidate}) failed");
                tables.reason = Reason::Aborted(format!("{place} and on_failure is \"abort\""));
                return tables;
            }
            let better = |i: usize| {
                let score = fitness[i].score()?;
                let others = fitness.iter().enumerate().filter_map(|(j, other)| Some((j, other.score()?)));
                Some(others.filter(|(j, other)| *other > score || (*other == score && *j < i)).count())
            };
            let best = (0..fitness.len()).find(|i| better(*i) == Some(0));
            let best = best.map(|i| (i as u32, fitness[i].score().expect("it is the best")));
            let mut row = row_of(&*strategy, &tables.trials, failed, &fitness, best, direction);
            row.best_candidate = best.map(|(i, _)| points[i as usize] as u32);
            tables.generations.push(row);
            tables.champion = best.map(|(candidate, fitness)| Champion {
                generation: rung,
                candidate,
                fitness,
                genome: vec![points[candidate as usize] as f64],
            });
            strategy.tell(&fitness);
            let quota = fitness.len().div_ceil(stopping.factor as usize);
            let goes_on = |i: &usize| better(*i).is_some_and(|better| better < quota);
            points = (0..fitness.len()).filter(goes_on).map(|i| points[i]).collect();
            if points.is_empty() && rung as usize + 1 < stopping.rungs.len() {
                let why = strategy.exhausted().expect("nobody goes on");
                tables.reason = Reason::Exhausted(why.to_owned());
                return tables;
            }
        }
        tables
    }

    fn sweep(&self, pipeline: &dyn Pipeline) -> Tables {
        let spec = self.spec;
        let description = pipeline.description();
        let sweep = spec.plan.sweep().expect("it is a sweep");
        let design = Design::try_new(sweep, spec.seed).expect("the run file was understood");
        let layout = Layout::of(spec, design.points());
        let mut nested = match &spec.plan {
            Plan::SweepOfEvolutions(_, evolve) => Some(
                NestedEvolution::try_new(pipeline, evolve, &spec.objective, spec.limits.on_failure)
                    .expect("the run file was understood"),
            ),
            _ => None,
        };
        let mut evaluator = pipeline.evaluator();
        // The first metric of a sweep of evolutions is the best of each.
        let objective = match nested {
            Some(_) => 0,
            None => description.metric_index(&spec.objective.metric).expect("the run file was understood"),
        };
        let mut metrics = vec![f64::NAN; if nested.is_some() { 4 } else { description.metrics.len() }];
        let mut genome = vec![0.0; description.dimension(&spec.config) as usize];
        let mut rows = Rows::default();
        let mut reason = Reason::Complete;
        for trial in 0..layout.trials() {
            let address = layout.address(trial);
            let point = (0..design.axes()).map(|axis| design.value(address.candidate, axis));
            let point = sweep.axes.iter().map(|axis| axis.target.clone()).zip(point);
            let point: Vec<_> = point.filter_map(|(target, value)| Some((target, value?))).collect();
            let seed = spec.seed.derive(0, address.candidate, address.replicate);
            let score = self.score(&mut rows, &mut metrics, objective, |metrics| match &mut nested {
                Some(nested) => nested.evaluate(&spec.config, &point, seed, &self.watch, metrics),
                None => {
                    // The axes of our sweeps are elements of the vector; one that is not there is 0.
                    genome.fill(0.0);
                    for (target, value) in &point {
                        let AxisTarget::Genome(element) = target else { panic!("our sweeps are of the vector") };
                        genome[*element] = value.as_f64().expect("a number");
                    }
                    let trial = Trial { genome: &genome, settings: &spec.config, seed, watch: &self.watch };
                    evaluator.evaluate(&trial, metrics)
                }
            });
            if spec.limits.on_failure == OnFailure::Abort && !score.is_some_and(f64::is_finite) {
                reason = Reason::Aborted(format!("trial {trial} failed and on_failure is \"abort\""));
                break;
            }
        }
        Tables { trials: rows, generations: Vec::new(), champion: None, reason }
    }
}

fn row_of(
    strategy: &dyn tumble_search::Strategy,
    trials: &Rows,
    failed: u64,
    fitness: &[Fitness],
    best: Option<(u32, f64)>,
    direction: Direction,
) -> GenerationRow {
    let mut values: Vec<f64> =
        fitness.iter().filter_map(|fitness| fitness.score()).map(|x| direction.turn(x)).collect();
    let count = values.len() as f64;
    let mean = if values.is_empty() { f64::NAN } else { values.iter().sum::<f64>() / count };
    values.sort_by(f64::total_cmp);
    let quantile = |q: f64| match values.len() {
        0 => f64::NAN,
        _ => {
            let position = q * (count - 1.0);
            let below = position as usize;
            let above = (below + 1).min(values.len() - 1);
            values[below] + (values[above] - values[below]) * (position - below as f64)
        }
    };
    GenerationRow {
        generation: strategy.generation(),
        evaluations: trials.len(),
        failed,
        best: best.map_or(f64::NAN, |(_, fitness)| direction.turn(fitness)),
        mean,
        quantiles: QUANTILES.map(quantile),
        best_candidate: best.map(|(candidate, _)| candidate),
        state_hash: strategy.state_hash(),
        scalars: strategy.scalars().into_iter().map(|(_, value)| value).collect(),
    }
}

/// The parts that a table of so many rows has.
pub(crate) fn parts(file: &RunFile, rows: u64) -> Vec<TrialRange> {
    let spec = file.understood("reference").spec;
    let points = spec.plan.sweep().map_or(0, |sweep| Design::try_new(sweep, spec.seed).expect("it stands").points());
    let layout = Layout::of(&spec, points);
    (0..rows.div_ceil(layout.part_rows())).map(|part| layout.part(part, rows)).collect()
}
