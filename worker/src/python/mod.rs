//! `pipeline = "python"`: a Python function as an evaluator, in an interpreter that stays.
//!
//! `find.rs` looks the interpreter up and asks the function what it takes, `interpreter.rs` keeps one process, `frames.rs` has
//! the bytes that go to and fro, and `bridge.py` is what runs at the other end.

mod find;
mod frames;
mod interpreter;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tumble_domain::{Code, Failure, Kind, PipelineDescription, Python, RunSpec};
use tumble_pipelines::{BatchEvaluator, BatchResults, Evaluator, Pipeline, Trial, Watch};

pub use find::{ask, find};

use frames::{Bytes, Column, letter};
use interpreter::{Answer, Interpreter, NotReady, Turn};

/// The most trials of a batch.
const TRIALS_MAX: usize = 8192;
/// The most numbers of the vectors of a batch.
const NUMBERS_MAX: usize = 1 << 21;
/// What a batch is to take: long enough that asking costs nothing, short enough that pieces are reported in time.
const BATCH_TAKES: Duration = Duration::from_millis(100);
/// The most by which a batch is longer than the one before.
const GROWTH_MAX: f64 = 4.0;
/// How often in a row an interpreter may die between trials.
const IDLE_DEATHS_MAX: u32 = 3;

/// The pipeline before a run: any function.
pub struct AnyPython {
    description: PipelineDescription,
    here: PathBuf,
}

impl AnyPython {
    /// Functions whose run file lies in `here`.
    pub fn new(here: PathBuf) -> Option<AnyPython> {
        let description = tumble_runfile::open_pipelines().into_iter().find(|p| p.name == "python")?;
        Some(AnyPython { description, here })
    }
}

impl Pipeline for AnyPython {
    fn description(&self) -> &PipelineDescription {
        &self.description
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(Unbound)
    }

    fn timeout(&self) -> &'static str {
        "it begins with the trial, not with the import; a function that outlasts it loses its interpreter, and another is started"
    }

    fn bound(
        &self,
        run: &RunSpec,
        description: &PipelineDescription,
        files: Option<&Path>,
    ) -> Option<Result<Arc<dyn Pipeline>, String>> {
        let Some(Code::Python(python)) = &run.code else {
            return Some(Err("the run file has no [python]".to_owned()));
        };
        // An interpreter does not travel: a relative one lies where the worker is.
        let interpreter = match find(python.interpreter.as_deref(), &self.here) {
            Ok(interpreter) => interpreter,
            Err(why) => return Some(Err(why)),
        };
        let here = files.unwrap_or(&self.here).to_owned();
        let bound = Bound { description: description.clone(), python: python.clone(), interpreter, here };
        Some(Ok(Arc::new(OneFunction(Arc::new(bound)))))
    }
}

/// Stands where no run file has said which function.
struct Unbound;

impl Evaluator for Unbound {
    fn evaluate(&mut self, _: &Trial<'_>, _: &mut [f64]) -> Result<(), Failure> {
        Err(Failure::Failed("no run file has said which function".to_owned()))
    }
}

/// The function of one run.
struct OneFunction(Arc<Bound>);

/// What all slots know of it.
struct Bound {
    description: PipelineDescription,
    python: Python,
    interpreter: PathBuf,
    here: PathBuf,
}

impl Pipeline for OneFunction {
    fn description(&self) -> &PipelineDescription {
        &self.0.description
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        let kinds = self.0.description.parameters.iter().map(|parameter| parameter.kind);
        Box::new(PythonEvaluator {
            columns: kinds.map(Column::new).collect(),
            run: self.0.clone(),
            interpreter: None,
            seeds: Vec::new(),
            genomes: Vec::new(),
            wanted: 1,
            refusal: None,
        })
    }
}

/// Asks one interpreter, for one slot.
struct PythonEvaluator {
    run: Arc<Bound>,
    /// `None` before the first trial and after a death.
    interpreter: Option<Interpreter>,
    /// The batch at hand: the seed of each trial, a column for each parameter, and the vectors.
    seeds: Vec<u64>,
    columns: Vec<Column>,
    genomes: Vec<f64>,
    wanted: usize,
    refusal: Option<String>,
}

/// The first frame: everything that stays the same.
fn first_frame(
    mode: u8,
    entry: &str,
    here: &Path,
    batch: bool,
    genome: u32,
    metrics: &[String],
    parameters: &[(String, Kind)],
) -> Vec<u8> {
    let mut first = Bytes::default();
    first.byte(mode);
    first.text(entry);
    first.text(&here.to_string_lossy());
    first.byte(u8::from(batch));
    first.number(genome);
    first.number(TRIALS_MAX as u32);
    first.texts(metrics);
    first.number(parameters.len() as u32);
    for (name, kind) in parameters {
        first.text(name);
        first.byte(letter(*kind));
    }
    first.0
}

impl Evaluator for PythonEvaluator {
    fn evaluate(&mut self, trial: &Trial<'_>, metrics: &mut [f64]) -> Result<(), Failure> {
        self.add(trial);
        let BatchResults { mut results, metrics: row } = BatchEvaluator::evaluate(self, trial.watch, None);
        let result = results.pop().unwrap_or(Err(Failure::Interrupted));
        if row.len() == metrics.len() {
            metrics.copy_from_slice(&row);
        }
        result
    }

    fn batch(&mut self) -> Option<&mut dyn BatchEvaluator> {
        Some(self)
    }

    fn refusal(&mut self) -> Option<String> {
        self.refusal.take()
    }
}

impl BatchEvaluator for PythonEvaluator {
    fn wanted(&self) -> usize {
        let genome = self.run.python.genome.unwrap_or(0).max(1) as usize;
        self.wanted.min(TRIALS_MAX).min(NUMBERS_MAX / genome).max(1)
    }

    fn add(&mut self, trial: &Trial<'_>) {
        self.seeds.push(trial.seed.0);
        self.columns.iter_mut().zip(trial.settings).for_each(|(column, value)| column.push(value));
        self.genomes.extend_from_slice(trial.genome);
    }

    fn evaluate(&mut self, watch: &Watch, timeout: Option<Duration>) -> BatchResults {
        let mut came = BatchResults::default();
        if let Err(NotReady::Cannot { why, .. }) = self.work_off(watch, timeout, &mut came) {
            self.refusal = Some(why);
        }
        self.seeds.clear();
        self.columns.iter_mut().for_each(Column::clear);
        self.genomes.clear();
        came
    }
}

impl PythonEvaluator {
    /// Has the batch evaluated, part after part, in the order of its trials.
    fn work_off(&mut self, watch: &Watch, timeout: Option<Duration>, came: &mut BatchResults) -> Result<(), NotReady> {
        let is_batch = self.run.python.batch;
        // The part whose turn is next stands last.
        let mut parts = vec![(0, self.seeds.len())];
        let mut idle_deaths = 0;
        while let Some((from, to)) = parts.pop().filter(|(from, to)| from < to) {
            let mut interpreter = match self.interpreter.take() {
                Some(interpreter) => interpreter,
                None => self.start(watch)?,
            };
            let (was_fresh, trials, began) = (interpreter.is_fresh, to - from, Instant::now());
            let at_once = if is_batch { trials as u32 } else { 1 };
            let Answer { turn, errors, at } = interpreter.evaluate(&self.request(from, to), at_once, watch, timeout);
            let done = match (&turn, at) {
                (Turn::Done, _) => trials,
                // Metrics of a function that takes many at once are there when it has returned.
                (_, Some(at)) if !is_batch => at.min(trials - 1),
                _ => 0,
            };
            self.take_rows(&interpreter, done, &errors, came)?;
            let culprit = from + done;
            let failure = match turn {
                Turn::Done => {
                    self.interpreter = Some(interpreter);
                    self.adapt(trials, began.elapsed());
                    idle_deaths = 0;
                    continue;
                }
                Turn::Stopped(Failure::Interrupted) => return Err(NotReady::Stopped(Failure::Interrupted)),
                Turn::Stopped(failure) => failure,
                Turn::Died(how) => {
                    let said = interpreter.said();
                    tracing::warn!(how, said, "an interpreter has died");
                    if at.is_none() {
                        idle_deaths += 1;
                        if idle_deaths == IDLE_DEATHS_MAX {
                            let why = format!(
                                "the interpreter {how} {idle_deaths} times before any trial began; it said: {said}"
                            );
                            return Err(NotReady::Cannot { why, elsewhere: false });
                        }
                        parts.push((from, to));
                        continue;
                    }
                    // What came before it in this process may be to blame, and would not be elsewhere: it is judged alone.
                    if (is_batch && trials == 1 || !is_batch && done == 0) && !was_fresh {
                        parts.push((from, to));
                        continue;
                    }
                    if !is_batch && done > 0 {
                        parts.push((culprit, to));
                        continue;
                    }
                    Failure::Failed(format!(
                        "the interpreter {how} during this trial; what it printed is in the log of its worker"
                    ))
                }
            };
            if is_batch && trials > 1 {
                let middle = from + trials / 2;
                parts.extend([(middle, to), (from, middle)]);
                continue;
            }
            came.results.push(Err(failure));
            came.metrics.extend(std::iter::repeat_n(f64::NAN, self.run.python.metrics.len()));
            parts.push((culprit + 1, to));
        }
        Ok(())
    }

    fn start(&self, watch: &Watch) -> Result<Interpreter, NotReady> {
        let Bound { description, python, interpreter, here } = &*self.run;
        let parameters: Vec<(String, Kind)> =
            description.parameters.iter().map(|parameter| (parameter.name.clone(), parameter.kind)).collect();
        let genome = python.genome.unwrap_or(0);
        let first = first_frame(b'R', &python.entry, here, python.batch, genome, &python.metrics, &parameters);
        Interpreter::start(interpreter, here, &first, watch)
    }

    /// Some trials of the batch, as the bridge reads them.
    fn request(&self, from: usize, to: usize) -> Vec<u8> {
        let mut request = Bytes::default();
        request.number((to - from) as u32);
        self.seeds[from..to].iter().for_each(|seed| request.0.extend(seed.to_le_bytes()));
        self.columns.iter().for_each(|column| column.write(from, to, &mut request));
        let length = self.run.python.genome.unwrap_or(0) as usize;
        if length > 0 {
            self.genomes[from * length..to * length].iter().for_each(|x| request.0.extend(x.to_le_bytes()));
        }
        request.0
    }

    /// The first trials of a part, which are done.
    fn take_rows(
        &mut self,
        interpreter: &Interpreter,
        done: usize,
        errors: &[(usize, String)],
        came: &mut BatchResults,
    ) -> Result<(), NotReady> {
        let metrics = self.run.python.metrics.len();
        let rows = interpreter.rows(done, metrics).map_err(|error| NotReady::Cannot {
            why: format!("the metrics cannot be read from the interpreter's memory: {error}"),
            elsewhere: false,
        })?;
        let (first, row) = (came.results.len(), came.metrics.len());
        came.results.extend(std::iter::repeat_n(Ok(()), done));
        came.metrics.extend(rows);
        for (at, why) in errors.iter().filter(|(at, _)| *at < done) {
            came.results[first + at] = Err(Failure::Failed(why.clone()));
            came.metrics[row + at * metrics..row + (at + 1) * metrics].fill(f64::NAN);
        }
        Ok(())
    }

    fn adapt(&mut self, trials: usize, took: Duration) {
        let factor = BATCH_TAKES.as_secs_f64() / took.as_secs_f64().max(1e-6);
        self.wanted = ((trials as f64 * factor.min(GROWTH_MAX)) as usize).clamp(1, TRIALS_MAX);
    }
}
