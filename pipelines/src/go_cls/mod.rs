//! `go-cls`: when should a memory be allowed to teach? Generalisation-optimised complementary learning systems.
//!
//! Source: Sun, Advani, Spruston, Saxe, Fitzgerald, "Organizing memories for generalization in complementary learning
//! systems", Nat. Neurosci. 26:1438 (2023). A teacher with noise gives examples, a notebook stores them, a student
//! learns them; past some epoch learning improves the student's memory and spoils its generalisation. README.md has the
//! model, the formulas and the reference numbers.

mod notebook;
mod student;
mod teacher;
mod theory;

use tumble_domain::{Direction, Failure, Objective, PipelineDescription};

use self::notebook::Notebook;
use self::student::Course;
use self::teacher::{Teacher, Variances};
use self::theory::Theory;
use crate::declare::{Metrics, Parameters, described};
use crate::pipeline::{Evaluator, Pipeline, Trial};
use crate::trace::Trace;

/// The most examples of a trial; inputs and patterns of that many still fit a worker's memory.
const EXAMPLES_MAX: usize = 100_000;

/// What a trial takes.
#[derive(Parameters)]
#[tumble(crate = crate)]
struct Settings {
    /// The teacher's signal-to-noise ratio; `inf` for no noise.
    #[parameter(default = 1.0, min = 0, max = f64::INFINITY)]
    snr: f64,
    /// Examples per input; the number of examples is rounded, at least 1.
    #[parameter(default = 1.0, min = 0.001, max = 1000)]
    load: f64,
    /// Inputs of the teacher and the student.
    #[parameter(default = 100, min = 1, max = 10_000)]
    inputs: usize,
    /// Epochs of the student, each over all examples.
    #[parameter(default = 2000, min = 1, max = 1_000_000)]
    epochs: usize,
    /// The student's step along the gradient.
    #[parameter(default = 0.005, min = 1e-9, max = 1)]
    learning_rate: f64,
    /// What the student learns from: the examples themselves, or as many reactivations of the notebook.
    #[parameter(choices = ["examples", "notebook"])]
    replay: String,
    /// Units of the notebook; 0 for none, which leaves its metrics empty (NaN).
    #[parameter(default = 2000, min = 0, max = 1_000_000)]
    notebook_units: usize,
    /// The fraction of a pattern's units that are active.
    #[parameter(default = 0.05, min = 0, max = 1)]
    activity: f64,
    /// Fresh examples that the notebook alone is asked; the student's error needs none, it is exact.
    #[parameter(default = 100, min = 1, max = 100_000)]
    test_examples: usize,
}

/// What a trial gives back.
#[derive(Metrics)]
#[tumble(crate = crate)]
struct Scores {
    /// The epoch after which this student generalises best.
    stop_epoch: usize,
    /// Error on all possible examples after `stop_epoch`; 1 is to answer 0.
    generalisation_early: f64,
    /// Error on the training examples after `stop_epoch`.
    memory_early: f64,
    /// Error on all possible examples after the last epoch.
    generalisation_late: f64,
    /// Error on the training examples after the last epoch.
    memory_late: f64,
    /// How far `generalisation_early` lies below that after one epoch, of 1.
    generalisation_score: f64,
    /// How far `memory_early` lies below that after one epoch, of 1.
    memory_score: f64,
    /// The notebook's own error on the training examples.
    notebook_memory: f64,
    /// The notebook's own error on `test_examples` fresh examples.
    notebook_generalisation: f64,
    /// The epoch at which the expected generalisation error is least.
    theory_stop_epoch: f64,
    /// The expected generalisation error there.
    theory_generalisation_early: f64,
    /// The expected memory error there.
    theory_memory_early: f64,
    /// The expected generalisation error after the last epoch.
    theory_generalisation_late: f64,
    /// The expected memory error after the last epoch.
    theory_memory_late: f64,
}

/// The pipeline.
pub struct GoCls {
    description: PipelineDescription,
}

impl GoCls {
    /// The pipeline; there is nothing to configure.
    #[allow(clippy::new_without_default, reason = "a pipeline is made by the registry, never filled in by default")]
    pub fn new() -> GoCls {
        let summary = "A teacher, a notebook and a student: when learning from memory serves generalisation.";
        let description = PipelineDescription {
            source: "Sun, Advani, Spruston, Saxe, Fitzgerald, Nat. Neurosci. 26:1438 (2023).".into(),
            objective: Objective { metric: "generalisation_early".into(), direction: Direction::Minimise },
            prolongs: Some("epochs".into()),
            ..described::<Settings, Scores>("go-cls", 1, summary)
        };
        GoCls { description }
    }
}

impl Pipeline for GoCls {
    fn description(&self) -> &PipelineDescription {
        &self.description
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(Experiment)
    }

    fn traces(&self) -> &'static [(&'static str, &'static str)] {
        &TRACE
    }
}

/// What can be told of a student's way.
const TRACE: [(&str, &str); 3] = [
    ("epoch", "Epochs of the student so far, from 0."),
    ("generalisation", "Its error on all possible examples."),
    ("memory", "Its error on the training examples."),
];

/// One teacher and its pupils. Nothing is kept from trial to trial.
struct Experiment;

impl Evaluator for Experiment {
    fn evaluate(&mut self, trial: &Trial<'_>, metrics: &mut [f64]) -> Result<(), Failure> {
        self.carry_out(trial, metrics, &mut Course::default())
    }

    fn evaluate_traced(
        &mut self,
        trial: &Trial<'_>,
        metrics: &mut [f64],
        trace: &mut Trace,
    ) -> Option<Result<(), Failure>> {
        // Both errors are kept for every epoch in any case, up to the one in which a student diverges.
        let mut course = Course::default();
        let result = self.carry_out(trial, metrics, &mut course);
        trace.begin(TRACE.map(|(name, _)| name));
        for (epoch, (generalisation, memory)) in course.generalisation.iter().zip(&course.memory).enumerate() {
            trace.push(&[epoch as f64, *generalisation, *memory]);
        }
        Some(result)
    }
}

impl Experiment {
    fn carry_out(&self, trial: &Trial<'_>, metrics: &mut [f64], course: &mut Course) -> Result<(), Failure> {
        let Settings {
            snr,
            load,
            inputs,
            epochs,
            learning_rate: rate,
            replay,
            notebook_units: units,
            activity,
            test_examples,
        } = Settings::read(trial.settings)?;
        let variances = Variances::of(snr);
        let count = libm::round(load * inputs as f64).max(1.0) as usize;
        if count > EXAMPLES_MAX {
            let reason = format!("{count} examples (`load` times `inputs`) are more than {EXAMPLES_MAX}");
            return Err(Failure::Failed(reason));
        }

        let teacher = Teacher::drawn(trial.seed, inputs, variances);
        let examples = teacher.training(count);
        let mut notebook = match units {
            0 => None,
            _ => Some(Notebook::drawn(trial.seed, units, activity, count).ok_or_else(|| {
                Failure::Failed(format!("an `activity` of {activity} makes all {units} units silent or all active"))
            })?),
        };
        let (mut notebook_memory, mut notebook_generalisation) = (f64::NAN, f64::NAN);
        if let Some(notebook) = &mut notebook {
            let test = teacher.test(test_examples);
            notebook_memory = notebook.error(&examples, &examples, || trial.watch.check())?;
            notebook_generalisation = notebook.error(&examples, &test, || trial.watch.check())?;
        }
        let source = match (replay.as_str(), &mut notebook) {
            ("examples", _) => None,
            ("notebook", Some(notebook)) => Some((notebook, trial.seed)),
            ("notebook", None) => return Err(Failure::Failed("`replay` needs `notebook_units`".into())),
            _ => return Err(Failure::Failed(format!("there is no replay of `{replay}`"))),
        };
        student::learn(course, &teacher, &examples, (rate, epochs), source, trial.watch)?;
        let (stop, last) = (course.best(), epochs);
        let score = |errors: &[f64]| (errors[1] - errors[stop]) / errors[1];

        let time = rate * epochs as f64;
        let theory = Theory::new(count as f64 / inputs as f64, variances, time);
        let theory_stop = theory.best_time(time);

        let scores = Scores {
            stop_epoch: stop,
            generalisation_early: course.generalisation[stop],
            memory_early: course.memory[stop],
            generalisation_late: course.generalisation[last],
            memory_late: course.memory[last],
            generalisation_score: score(&course.generalisation),
            memory_score: score(&course.memory),
            notebook_memory,
            notebook_generalisation,
            theory_stop_epoch: theory_stop / rate,
            theory_generalisation_early: theory.generalisation(theory_stop),
            theory_memory_early: theory.memory(theory_stop),
            theory_generalisation_late: theory.generalisation(time),
            theory_memory_late: theory.memory(time),
        };
        scores.write(metrics);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Watch;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use tumble_domain::{Seed, Value};

    /// Runs one trial with some settings changed; metrics by name.
    fn trial(changes: &[(&str, Value)], seed: u64, watch: &Watch) -> Result<impl Fn(&str) -> f64 + use<>, Failure> {
        let pipeline = GoCls::new();
        let description = pipeline.description().clone();
        let mut settings: Vec<Value> =
            description.parameters.iter().map(|p| p.default.clone().expect("has one")).collect();
        for (name, value) in changes {
            settings[description.parameter_index(name).expect("a parameter")] = value.clone();
        }
        let mut metrics = vec![f64::NAN; description.metrics.len()];
        let trial = Trial { genome: &[], settings: &settings, seed: Seed(seed), watch };
        pipeline.evaluator().evaluate(&trial, &mut metrics)?;
        Ok(move |name: &str| metrics[description.metric_index(name).expect("a metric")])
    }

    fn small(more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
        let mut changes = vec![("inputs", Value::Integer(20)), ("notebook_units", Value::Integer(200))];
        changes.extend_from_slice(more);
        changes
    }

    #[test]
    fn past_the_best_epoch_memory_improves_and_generalisation_does_not() {
        let metric = trial(&[], 1, &Watch::unlimited()).expect("defaults can be scored");
        assert!(metric("generalisation_early") < metric("generalisation_late"));
        assert!(metric("memory_early") > metric("memory_late"));
        assert!(metric("generalisation_score") > 0.0 && metric("memory_score") > metric("generalisation_score"));
        assert!((metric("theory_stop_epoch") - 136.2).abs() < 0.05, "{}", metric("theory_stop_epoch"));
        assert!((metric("theory_generalisation_early") - 0.81229).abs() < 5e-6);
        assert!((metric("theory_memory_late") - 0.06444).abs() < 5e-6);
        // The notebook remembers, and in a hundred dimensions answers fresh inputs worse than silence would.
        assert!(metric("notebook_memory") < 0.1 && metric("notebook_generalisation") > 1.0);
    }

    #[test]
    fn without_noise_the_last_epoch_is_the_best() {
        let metric =
            trial(&small(&[("snr", Value::Float(f64::INFINITY))]), 1, &Watch::unlimited()).expect("no noise is fine");
        assert_eq!((metric("stop_epoch"), metric("theory_stop_epoch")), (2000.0, 2000.0));
        assert_eq!(metric("generalisation_early"), metric("generalisation_late"));
    }

    /// Each reactivation carries the crosstalk of other patterns, but another one every time: the student averages it
    /// out and ends up remembering the examples better than the notebook that taught it (Sun et al., Fig. 2).
    #[test]
    fn a_student_of_replay_comes_to_remember_better_than_the_notebook() {
        let taught_by = |replay: &str| {
            let changes = small(&[
                ("snr", Value::Float(f64::INFINITY)),
                ("epochs", Value::Integer(600)),
                ("learning_rate", Value::Float(0.05)),
                ("replay", Value::text(replay)),
            ]);
            trial(&changes, 2, &Watch::unlimited()).expect("it converges")
        };
        let (examples, notebook) = (taught_by("examples"), taught_by("notebook"));
        assert_ne!(examples("memory_late"), notebook("memory_late"));
        let (student, teacher) = (notebook("memory_late"), notebook("notebook_memory"));
        assert!(student < 0.5 * teacher, "{student} against the notebook's own {teacher}");
    }

    #[test]
    fn what_makes_no_sense_is_a_failure_with_a_reason() {
        for (changes, reason) in [
            (
                vec![("replay", Value::text("notebook")), ("notebook_units", Value::Integer(0))],
                "needs `notebook_units`",
            ),
            (vec![("replay", Value::text("dreams"))], "dreams"),
            (vec![("activity", Value::Float(0.001))], "silent"),
            (vec![("learning_rate", Value::Float(1.0))], "diverged"),
            (vec![("load", Value::Float(1000.0)), ("inputs", Value::Integer(10_000))], "more than"),
        ] {
            match trial(&small(&changes), 0, &Watch::unlimited()) {
                Err(Failure::Failed(why)) => assert!(why.contains(reason), "{why}"),
                other => panic!("{reason}: {:?}", other.map(|_| "scored")),
            }
        }
        let metric =
            trial(&small(&[("notebook_units", Value::Integer(0))]), 0, &Watch::unlimited()).expect("no notebook");
        assert!(metric("notebook_memory").is_nan() && metric("generalisation_early").is_finite());
    }

    #[test]
    fn a_trial_ends_when_the_worker_leaves() {
        let leaving = Watch::new(Arc::new(AtomicBool::new(true)), None);
        assert!(matches!(trial(&[], 0, &leaving), Err(Failure::Interrupted)));
    }
}
