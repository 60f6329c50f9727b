//! A sweep of evolutions: one trial is a whole evolution, run inside the worker.
//!
//! Each point of the sweep may set the pipeline's parameters and the strategy, its settings and its population. The
//! evolution searches under the trial's own seed, so that trials share nothing; what comes of it are the metrics of
//! [`PipelineDescription::nested`].

use tumble_domain::{
    AxisTarget, Direction, Evolve, Failure, Fitness, Objective, OnFailure, PipelineDescription, Seed, Start,
    TrialAddress, Value, fitness_of,
};
use tumble_search::{Problem, Proposal, Space, strategies};

use crate::pipeline::{Evaluator, Pipeline, Trial, Watch};
use crate::trace::Trace;

/// Evaluates one evolution at a time; a slot of a worker has one, as it has one evaluator.
pub struct NestedEvolution {
    pipeline: PipelineDescription,
    evaluator: Box<dyn Evaluator>,
    evolve: Evolve,
    /// Which metric of the pipeline steers.
    objective: usize,
    direction: Direction,
    on_failure: OnFailure,
    /// The trial that it is, and its replicate.
    place: (u64, u32),
}

/// Why a pipeline can't be evolved inside a trial.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NestedError {
    /// It has no vector to search.
    #[error("pipeline `{0}` has nothing that an evolution could search")]
    NoGenome(String),
    /// The objective is none of its metrics.
    #[error("pipeline `{pipeline}` has no metric `{metric}`")]
    UnknownMetric {
        /// The pipeline's name.
        pipeline: String,
        /// The objective's metric.
        metric: String,
    },
}

impl NestedEvolution {
    /// Prepares evolutions of `pipeline` as `evolve` says, steered by `objective`, one of the pipeline's own metrics.
    pub fn try_new(
        pipeline: &dyn Pipeline,
        evolve: &Evolve,
        objective: &Objective,
        on_failure: OnFailure,
    ) -> Result<NestedEvolution, NestedError> {
        let description = pipeline.description();
        if description.genome.is_none() && evolve.axes.is_empty() {
            return Err(NestedError::NoGenome(description.name.clone()));
        }
        let Some(metric) = description.metric_index(&objective.metric) else {
            let (pipeline, metric) = (description.name.clone(), objective.metric.clone());
            return Err(NestedError::UnknownMetric { pipeline, metric });
        };
        Ok(NestedEvolution {
            pipeline: description.clone(),
            evaluator: pipeline.evaluator(),
            evolve: evolve.clone(),
            objective: metric,
            direction: objective.direction,
            on_failure,
            place: (0, 0),
        })
    }

    /// As [`Evaluator::place`], of the trial that the whole evolution is.
    pub fn place(&mut self, trial: u64, at: TrialAddress) {
        self.place = (trial, at.replicate);
    }

    /// As [`Evaluator::refusal`].
    pub fn refusal(&mut self) -> Option<String> {
        self.evaluator.refusal()
    }

    /// Runs one evolution and writes the metrics of [`PipelineDescription::nested`]: `best`, `evaluations`,
    /// `generations`, `reached`.
    ///
    /// `settings` has one value for each parameter of the pipeline, those of the sweep's point among them. `overrides`
    /// are the point's values for the strategy; a target in the pipeline is passed over, for `settings` has it.
    /// `seed` is the trial's: the key of the strategy's noise, and what the seeds of the inner trials derive from.
    ///
    /// An evolution ends with the generation in which a candidate met the stop rule's objective or that spent its last
    /// evaluation; `evaluations` counts that whole generation. `best` is NaN if no candidate scored.
    pub fn evaluate(
        &mut self,
        settings: &[Value],
        overrides: &[(AxisTarget, Value)],
        seed: Seed,
        watch: &Watch,
        metrics: &mut [f64],
    ) -> Result<(), Failure> {
        self.evaluate_traced(settings, overrides, seed, watch, metrics, None)
    }

    /// Runs one evolution as [`NestedEvolution::evaluate`] does, to the bit, and tells of each generation [`TRACE`] and the
    /// strategy's own scalars in the state that proposed it.
    pub fn evaluate_traced(
        &mut self,
        settings: &[Value],
        overrides: &[(AxisTarget, Value)],
        seed: Seed,
        watch: &Watch,
        metrics: &mut [f64],
        mut trace: Option<&mut Trace>,
    ) -> Result<(), Failure> {
        let evolve = overridden(&self.evolve, overrides)?;
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        let problem = Problem::of(&evolve, &self.pipeline, settings, seed).map_err(|error| failed(&error))?;
        let space = if evolve.axes.is_empty() { None } else { Some(Space::try_new(&evolve.axes)) };
        let space = space.transpose().map_err(|error| failed(&error))?;
        if problem.dimension == 0 {
            return Err(Failure::Failed("the candidates have no elements".into()));
        }
        let mut strategy = strategies::build(&evolve, &problem).map_err(|error| failed(&error))?;
        let goal = evolve.stop.objective.map(|x| self.direction.turn(x));
        let budget = evolve.stop.evaluations.unwrap_or(u64::MAX);

        let mut point = vec![0.0; problem.dimension];
        let (mut genome, mut searched) = (Vec::new(), settings.to_vec());
        let mut inner_metrics = vec![f64::NAN; self.pipeline.metrics.len()];
        let mut best: Option<f64> = None;
        let (mut evaluations, mut generations, mut reached) = (0u64, 0u32, false);
        if let Some(trace) = &mut trace {
            trace
                .begin(TRACE.iter().map(|(name, _)| *name).chain(strategy.scalars().into_iter().map(|(name, _)| name)));
        }
        while generations < evolve.generations && evaluations < budget && !reached && strategy.exhausted().is_none() {
            watch.check()?;
            let proposal = strategy.ask();
            let mut fitness = Vec::with_capacity(strategy.population() as usize);
            for candidate in 0..strategy.population() {
                let (trial, replicate) = self.place;
                let (generation, candidate_index) = (strategy.generation(), u64::from(candidate));
                self.evaluator.place(trial, TrialAddress { generation, candidate: candidate_index, replicate });
                let inner = evolve.trial_seeds.seed(seed, strategy.generation(), u64::from(candidate), 0);
                let trial = |genome, settings| Trial { genome, settings, seed: inner, watch };
                let scored = match &space {
                    Some(space) => {
                        proposal.candidate(candidate, &mut point);
                        space.apply(&point, &self.pipeline, &mut searched, &mut genome);
                        self.score(None, trial(&genome, &searched), &mut point, &mut inner_metrics)
                    }
                    None => {
                        let proposed = Some((&proposal, candidate));
                        self.score(proposed, trial(&[], settings), &mut point, &mut inner_metrics)
                    }
                };
                let scored = scored.map_err(|failure| match failure {
                    Failure::Failed(why) => {
                        Failure::Failed(format!("candidate {candidate} of generation {}: {why}", strategy.generation()))
                    }
                    other => other,
                })?;
                if let Fitness::Scored(x) = scored {
                    best = Some(best.map_or(x, |b| b.max(x)));
                }
                fitness.push(scored);
            }
            evaluations += fitness.len() as u64;
            generations += 1;
            reached = best.zip(goal).is_some_and(|(best, goal)| best >= goal);
            if let Some(trace) = &mut trace {
                let number = |x: Option<f64>| x.map_or(f64::NAN, |x| self.direction.turn(x));
                let scores: Vec<f64> = fitness.iter().filter_map(|fitness| fitness.score()).collect();
                let mean = (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64);
                let here = scores.iter().copied().reduce(f64::max);
                let fixed = [f64::from(generations - 1), evaluations as f64, number(best), number(here), number(mean)];
                let scalars = strategy.scalars().into_iter().map(|(_, value)| value);
                trace.push(&fixed.into_iter().chain(scalars).collect::<Vec<_>>());
            }
            strategy.tell(&fitness);
        }

        metrics[0] = best.map_or(f64::NAN, |x| self.direction.turn(x));
        metrics[1] = evaluations as f64;
        metrics[2] = f64::from(generations);
        metrics[3] = if reached { 1.0 } else { 0.0 };
        Ok(())
    }

    /// The fitness of one candidate: one of a proposal, whose vector is put into `point` if the evaluator wants it, or else
    /// the trial's own. What stops the whole trial is passed on; what only spoils the candidate counts as
    /// the run's policy says.
    fn score(
        &mut self,
        proposed: Option<(&Proposal, u32)>,
        trial: Trial<'_>,
        point: &mut [f64],
        metrics: &mut [f64],
    ) -> Result<Fitness, Failure> {
        metrics.fill(f64::NAN);
        let result = match proposed {
            None => self.evaluator.evaluate(&trial, metrics),
            Some((proposal, index)) => {
                self.evaluator.evaluate_proposed(proposal, index, &trial, metrics).unwrap_or_else(|| {
                    proposal.candidate(index, point);
                    self.evaluator.evaluate(&Trial { genome: point, ..trial }, metrics)
                })
            }
        };
        let (value, why) = match result {
            Ok(()) => (Some(metrics[self.objective]), None),
            Err(Failure::Failed(why)) => (None, Some(why)),
            Err(stop @ (Failure::TimedOut | Failure::Interrupted)) => return Err(stop),
        };
        fitness_of([value], self.direction, self.on_failure).map_err(|_| {
            let not_finite = || format!("the objective is {}, not a finite number", metrics[self.objective]);
            Failure::Failed(why.unwrap_or_else(not_finite))
        })
    }
}

/// What is told of each generation of an evolution inside a trial, before the strategy's own scalars. The numbers are of the
/// objective, in its own direction.
pub const TRACE: [(&str, &str); 5] = [
    ("generation", "The generation, from 0."),
    ("evaluations", "Evaluations up to its end."),
    ("best", "The best so far."),
    ("generation_best", "The best of this generation."),
    ("generation_mean", "The mean over its scored candidates."),
];

/// The `[evolve]` section as this point of the sweep has it.
fn overridden(evolve: &Evolve, overrides: &[(AxisTarget, Value)]) -> Result<Evolve, Failure> {
    let mut evolve = evolve.clone();
    for (target, value) in overrides {
        match target {
            AxisTarget::Parameter(_) | AxisTarget::Genome(_) => {}
            AxisTarget::Strategy => match value.as_text() {
                Some(name) => evolve.strategy = name.to_owned(),
                None => return Err(Failure::Failed(format!("no strategy is called {value}"))),
            },
            AxisTarget::Start => match value.as_f64() {
                Some(x) => evolve.start = Start::Everywhere(x),
                None => return Err(Failure::Failed(format!("{value} is no number to start from"))),
            },
            AxisTarget::Population => match value.as_i64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0) {
                Some(population) => evolve.population = Some(population),
                None => return Err(Failure::Failed(format!("{value} is no size of a population"))),
            },
            AxisTarget::StrategySetting(name) => match evolve.settings.iter_mut().find(|(known, _)| known == name) {
                Some((_, setting)) => *setting = value.clone(),
                None => evolve.settings.push((name.clone(), value.clone())),
            },
        }
    }
    Ok(evolve)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::benchmark_functions::BenchmarkFunctions;
    use tumble_domain::{Axis, AxisValues, Genome, GenomeLength, Metric, StopRule, TrialSeeds};

    /// What came of one evolution.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Found {
        best: f64,
        evaluations: f64,
        generations: f64,
        reached: f64,
    }

    fn cma_es(population: u32, generations: u32) -> Evolve {
        Evolve {
            strategy: "cma-es".into(),
            population: Some(population),
            generations,
            settings: vec![("sigma".into(), Value::Float(1.0))],
            start: Start::Everywhere(3.0),
            trial_seeds: TrialSeeds::Fresh,
            stop: StopRule::default(),
            axes: Vec::new(),
        }
    }

    fn run(nested: &mut NestedEvolution, overrides: &[(AxisTarget, Value)], seed: u64) -> Result<Found, Failure> {
        let settings = [Value::text("sphere"), Value::Integer(5)];
        let mut m = [f64::NAN; 4];
        nested.evaluate(&settings, overrides, Seed(seed), &Watch::unlimited(), &mut m)?;
        Ok(Found { best: m[0], evaluations: m[1], generations: m[2], reached: m[3] })
    }

    fn sphere(evolve: &Evolve) -> NestedEvolution {
        let pipeline = BenchmarkFunctions::new();
        let objective = pipeline.description().objective.clone();
        NestedEvolution::try_new(&pipeline, evolve, &objective, OnFailure::Worst).expect("it can be evolved")
    }

    #[test]
    fn an_evolution_ends_with_the_generation_that_reaches_the_objective() {
        let mut evolve = cma_es(8, 1000);
        evolve.stop.objective = Some(1e-8);
        let found = run(&mut sphere(&evolve), &[], 1).expect("it scores");
        assert!(found.best <= 1e-8 && found.best > 0.0, "{found:?}");
        assert_eq!((found.reached, found.evaluations), (1.0, 8.0 * found.generations));
        // One generation less is not there yet, and what it found is worse.
        evolve.generations = found.generations as u32 - 1;
        let before = run(&mut sphere(&evolve), &[], 1).expect("it scores");
        assert_eq!((before.reached, before.generations), (0.0, found.generations - 1.0));
        assert!(before.best > 1e-8, "{before:?}");
    }

    #[test]
    fn no_generation_begins_after_the_evaluations_are_spent() {
        for (budget, generations) in [(1, 1.0), (8, 1.0), (9, 2.0), (16, 2.0), (17, 3.0)] {
            let mut evolve = cma_es(8, 1000);
            evolve.stop.evaluations = Some(budget);
            let found = run(&mut sphere(&evolve), &[], 1).expect("it scores");
            assert_eq!((found.generations, found.evaluations), (generations, 8.0 * generations));
        }
    }

    #[test]
    fn an_evolution_that_is_traced_is_the_same_and_tells_of_its_generations() {
        let (mut nested, watch) = (sphere(&cma_es(8, 30)), Watch::unlimited());
        let settings = [Value::text("sphere"), Value::Integer(5)];
        let (mut trace, mut m) = (Trace::default(), [f64::NAN; 4]);
        nested.evaluate_traced(&settings, &[], Seed(4), &watch, &mut m, Some(&mut trace)).expect("it scores");
        let found = run(&mut nested, &[], 4).expect("it scores");
        assert_eq!(m, [found.best, found.evaluations, found.generations, found.reached]);
        assert_eq!(trace.columns()[..5], TRACE.map(|(name, _)| name.to_owned()));
        assert!(trace.columns().iter().any(|column| column == "sigma"), "{:?}", trace.columns());
        let steps: Vec<&[f64]> = trace.steps().collect();
        assert_eq!(steps.len(), 30);
        for (generation, step) in steps.iter().enumerate() {
            assert_eq!((step[0], step[1]), (generation as f64, 8.0 * (generation + 1) as f64));
            // The sphere is minimised.
            let best = steps[..=generation].iter().map(|step| step[3]).fold(f64::INFINITY, f64::min);
            assert!(step[2] == best && step[3] <= step[4], "{step:?}");
        }
        assert_eq!(steps[29][2], found.best);
    }

    #[test]
    fn an_exhausted_strategy_ends_its_evolution() {
        let found = run(&mut sphere(&cma_es(8, 100_000)), &[], 1).expect("it scores");
        assert!(found.generations < 10_000.0 && found.best < 1e-8, "{found:?}");
    }

    #[test]
    fn an_evolution_depends_on_its_seed_and_not_on_those_before_it() {
        let mut nested = sphere(&cma_es(6, 20));
        let alone: Vec<Found> = (0..3).map(|s| run(&mut sphere(&cma_es(6, 20)), &[], s).expect("it scores")).collect();
        assert!(alone[0] != alone[1] && alone[1] != alone[2]);
        for seed in [2, 0, 0, 1, 2] {
            assert_eq!(run(&mut nested, &[], seed), Ok(alone[seed as usize]));
        }
    }

    #[test]
    fn a_point_of_the_sweep_overrides_what_the_strategy_is() {
        let mut nested = sphere(&cma_es(6, 5));
        let plain = run(&mut nested, &[], 1).expect("it scores");
        let population = (AxisTarget::Population, Value::Integer(10));
        assert_eq!(run(&mut nested, std::slice::from_ref(&population), 1).map(|f| f.evaluations), Ok(50.0));
        assert_eq!(run(&mut nested, &[population], 1), run(&mut sphere(&cma_es(10, 5)), &[], 1));

        let mut narrow = cma_es(6, 5);
        narrow.settings[0].1 = Value::Float(0.1);
        let sigma = |x| (AxisTarget::StrategySetting("sigma".into()), Value::Float(x));
        assert_eq!(run(&mut nested, &[sigma(0.1)], 1), run(&mut sphere(&narrow), &[], 1));
        let elsewhere = Evolve { start: Start::Everywhere(-1.5), ..cma_es(6, 5) };
        let start = (AxisTarget::Start, Value::Float(-1.5));
        assert_eq!(run(&mut nested, &[start], 1), run(&mut sphere(&elsewhere), &[], 1));
        assert_ne!(run(&mut sphere(&elsewhere), &[], 1), Ok(plain));
        narrow.settings.clear();
        assert_eq!(run(&mut sphere(&narrow), &[sigma(1.0)], 1), Ok(plain));
        assert_ne!(run(&mut nested, &[sigma(0.1)], 1), Ok(plain));

        let mut random = cma_es(6, 5);
        random.strategy = "random".into();
        random.settings.clear();
        let given = run(&mut sphere(&narrow), &[(AxisTarget::Strategy, Value::text("random"))], 1);
        assert_eq!(given, run(&mut sphere(&random), &[], 1));
        // The pipeline's own axes are in the settings already.
        assert_eq!(run(&mut nested, &[(AxisTarget::Parameter(1), Value::Integer(9))], 1), Ok(plain));
    }

    #[test]
    fn an_evolution_inside_a_trial_may_search_settings_too() {
        let words = ["rosenbrock", "sphere", "rastrigin"].map(Value::text).to_vec();
        let interval = |from, to| AxisValues::Linear { from, to, points: None };
        let axis = |name: &str, target, values| Axis { name: name.into(), target, values };
        let axes = vec![
            axis("x1", AxisTarget::Genome(1), interval(-1.0, 2.0)),
            axis("dimension", AxisTarget::Parameter(1), AxisValues::Integers { from: 2, to: 6 }),
        ];
        let evolve = Evolve { start: Start::Middle, settings: vec![], axes, ..cma_es(8, 60) };
        // Elements without an axis are 0, so the sphere is x1², whatever its dimension.
        let found = run(&mut sphere(&evolve), &[], 1).expect("it scores");
        assert!(found.best < 1e-6 && found.best > 0.0, "{found:?}");
        let mut worded = evolve;
        worded.strategy = "ga".into();
        worded.axes.push(axis("function", AxisTarget::Parameter(0), AxisValues::List(words)));
        assert!(run(&mut sphere(&worded), &[], 1).expect("it scores").best < 0.01);
        // What a strategy cannot search is a failed trial, as any other it cannot be built from.
        worded.strategy = "cma-es".into();
        let outcome = run(&mut sphere(&worded), &[], 1);
        assert!(matches!(&outcome, Err(Failure::Failed(why)) if why.contains("category")), "{outcome:?}");
    }

    #[test]
    fn a_point_that_no_strategy_can_be_built_from_is_a_failed_trial() {
        let mut nested = sphere(&cma_es(6, 5));
        for (target, value) in [
            (AxisTarget::Strategy, Value::text("cma-eel")),
            (AxisTarget::Strategy, Value::Integer(1)),
            (AxisTarget::Population, Value::Integer(0)),
            (AxisTarget::Population, Value::Integer(1 << 40)),
            (AxisTarget::StrategySetting("sigma".into()), Value::Float(-1.0)),
            (AxisTarget::StrategySetting("sigmund".into()), Value::Float(1.0)),
        ] {
            let outcome = run(&mut nested, &[(target.clone(), value)], 1);
            assert!(matches!(outcome, Err(Failure::Failed(_))), "{target:?}: {outcome:?}");
        }
    }

    /// What a trial gives, or `None` to leave the metric as it was: from how many were scored before it, and the
    /// candidate's first element.
    type Answer = fn(usize, f64) -> Result<Option<f64>, Failure>;

    /// A pipeline that does as it is told and keeps a list of what it was given.
    struct Scripted {
        description: PipelineDescription,
        seen: Arc<Mutex<Vec<(Seed, f64)>>>,
        answer: Answer,
    }

    impl Scripted {
        fn new(direction: Direction, answer: Answer) -> Scripted {
            let metric = |name: &str| Metric { name: name.into(), unit: String::new(), summary: String::new() };
            let description = PipelineDescription {
                name: "scripted".into(),
                version: 1,
                summary: String::new(),
                source: String::new(),
                parameters: Vec::new(),
                metrics: vec![metric("other"), metric("score")],
                objective: Objective { metric: "score".into(), direction },
                prolongs: None,
                genome: Some(Genome {
                    name: "x".into(),
                    length: GenomeLength::Fixed(2),
                    bounds: Some((-1.0, 1.0)),
                    summary: String::new(),
                }),
            };
            Scripted { description, seen: Arc::default(), answer }
        }

        fn run(&self, evolve: &Evolve, on_failure: OnFailure, watch: &Watch) -> Result<Found, Failure> {
            let mut nested = NestedEvolution::try_new(self, evolve, &self.description.objective, on_failure)
                .expect("it can be evolved");
            let mut m = [f64::NAN; 4];
            nested.evaluate(&[], &[], Seed(9), watch, &mut m)?;
            Ok(Found { best: m[0], evaluations: m[1], generations: m[2], reached: m[3] })
        }
    }

    impl Pipeline for Scripted {
        fn description(&self) -> &PipelineDescription {
            &self.description
        }

        fn evaluator(&self) -> Box<dyn Evaluator> {
            Box::new(ScriptedEvaluator { seen: self.seen.clone(), answer: self.answer })
        }
    }

    struct ScriptedEvaluator {
        seen: Arc<Mutex<Vec<(Seed, f64)>>>,
        answer: Answer,
    }

    impl Evaluator for ScriptedEvaluator {
        fn evaluate(&mut self, trial: &Trial<'_>, metrics: &mut [f64]) -> Result<(), Failure> {
            let mut seen = self.seen.lock().expect("no test panics in here");
            if let Some(score) = (self.answer)(seen.len(), trial.genome[0])? {
                metrics[1] = score;
            }
            seen.push((trial.seed, trial.genome[0]));
            Ok(())
        }
    }

    fn within_bounds(population: u32, generations: u32) -> Evolve {
        Evolve { start: Start::Middle, ..cma_es(population, generations) }
    }

    #[test]
    fn inner_trials_derive_their_seeds_from_the_outer_one() {
        for (trial_seeds, expected) in [
            (TrialSeeds::Fresh, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]),
            (TrialSeeds::PerGeneration, [(0, 0), (0, 0), (0, 0), (1, 0), (1, 0), (1, 0)]),
            (TrialSeeds::Fixed, [(0, 0); 6]),
        ] {
            let pipeline = Scripted::new(Direction::Maximise, |_, x| Ok(Some(x)));
            let evolve = Evolve { trial_seeds, ..within_bounds(3, 2) };
            pipeline.run(&evolve, OnFailure::Worst, &Watch::unlimited()).expect("it scores");
            let seen = pipeline.seen.lock().expect("no test panics in here");
            let seeds: Vec<Seed> = seen.iter().map(|(seed, _)| *seed).collect();
            assert_eq!(seeds, expected.map(|(generation, candidate)| Seed(9).derive(generation, candidate, 0)));
        }
    }

    #[test]
    fn the_best_is_in_the_direction_of_the_objective() {
        for direction in [Direction::Maximise, Direction::Minimise] {
            let pipeline = Scripted::new(direction, |_, x| Ok(Some(x)));
            let evolve = within_bounds(6, 10);
            let found = pipeline.run(&evolve, OnFailure::Worst, &Watch::unlimited()).expect("it scores");
            let seen = pipeline.seen.lock().expect("no test panics in here");
            let turned = seen.iter().map(|(_, x)| direction.turn(*x)).fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(found.best, direction.turn(turned));
            assert!(seen.iter().all(|(_, x)| (-1.0..=1.0).contains(x)), "a candidate left the bounds");
        }
    }

    #[test]
    fn an_inner_failure_counts_as_the_run_says() {
        // Candidates on one side of 0 fail, in one way or the other.
        let answers: [Answer; 2] = [
            |_, x| if x < 0.0 { Err(Failure::Failed("it fell over".into())) } else { Ok(Some(x)) },
            |_, x| Ok(Some(if x < 0.0 { f64::NAN } else { x })),
        ];
        for (answer, reason) in answers.into_iter().zip(["it fell over", "NaN"]) {
            for on_failure in [OnFailure::Worst, OnFailure::Drop] {
                let pipeline = Scripted::new(Direction::Maximise, answer);
                let found = pipeline.run(&within_bounds(8, 3), on_failure, &Watch::unlimited()).expect("it goes on");
                assert_eq!((found.evaluations, found.generations), (24.0, 3.0));
                assert!(found.best > 0.0, "{found:?}");
            }
            let pipeline = Scripted::new(Direction::Maximise, answer);
            match pipeline.run(&within_bounds(8, 3), OnFailure::Abort, &Watch::unlimited()) {
                Err(Failure::Failed(why)) => {
                    assert!(why.starts_with("candidate ") && why.contains(" of generation 0: "), "{why}");
                    assert!(why.contains(reason), "{why}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_metric_that_an_evaluator_forgets_is_not_that_of_the_candidate_before() {
        let pipeline = Scripted::new(Direction::Maximise, |n, x| Ok((n % 2 == 0).then_some(x)));
        match pipeline.run(&within_bounds(8, 3), OnFailure::Abort, &Watch::unlimited()) {
            Err(Failure::Failed(why)) => assert!(why.starts_with("candidate 1 of generation 0"), "{why}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_evolution_without_a_single_score_has_no_best() {
        let pipeline = Scripted::new(Direction::Minimise, |_, _| Err(Failure::Failed("never".into())));
        let evolve = Evolve { stop: StopRule { objective: Some(0.5), evaluations: None }, ..within_bounds(4, 2) };
        let found = pipeline.run(&evolve, OnFailure::Worst, &Watch::unlimited()).expect("it goes on");
        assert!(found.best.is_nan() && found.reached == 0.0, "{found:?}");
    }

    #[test]
    fn a_trial_that_is_stopped_inside_is_stopped_outside() {
        for stop in [Failure::TimedOut, Failure::Interrupted] {
            let answer: Answer = match stop {
                Failure::TimedOut => |n, x| if n == 5 { Err(Failure::TimedOut) } else { Ok(Some(x)) },
                _ => |n, x| if n == 5 { Err(Failure::Interrupted) } else { Ok(Some(x)) },
            };
            for on_failure in [OnFailure::Worst, OnFailure::Drop, OnFailure::Abort] {
                let pipeline = Scripted::new(Direction::Maximise, answer);
                assert_eq!(pipeline.run(&within_bounds(4, 3), on_failure, &Watch::unlimited()), Err(stop.clone()));
            }
        }
        let leaving = Watch::new(Arc::new(AtomicBool::new(true)), None);
        let pipeline = Scripted::new(Direction::Maximise, |_, x| Ok(Some(x)));
        assert_eq!(pipeline.run(&within_bounds(4, 3), OnFailure::Worst, &leaving), Err(Failure::Interrupted));
        assert!(pipeline.seen.lock().expect("no test panics in here").is_empty());
    }

    #[test]
    fn what_cannot_be_evolved_is_refused() {
        let mut pipeline = Scripted::new(Direction::Maximise, |_, x| Ok(Some(x)));
        let unknown = Objective { metric: "scare".into(), direction: Direction::Maximise };
        let refused = |pipeline: &Scripted, objective: &Objective| {
            NestedEvolution::try_new(pipeline, &cma_es(4, 1), objective, OnFailure::Worst).err()
        };
        assert!(matches!(refused(&pipeline, &unknown), Some(NestedError::UnknownMetric { .. })));
        let objective = pipeline.description.objective.clone();
        assert_eq!(refused(&pipeline, &objective), None);
        pipeline.description.genome = None;
        assert_eq!(refused(&pipeline, &objective), Some(NestedError::NoGenome("scripted".into())));
    }
}
