//! `pipeline = "program"`: any program as an evaluator, one process for each trial.
//!
//! `find.rs` looks the program up once, `command.rs` says what a trial is given, `child.rs` runs it within its limits,
//! `answer.rs` reads what it gives back, `folder.rs` lends it a working folder, and `reaper.rs` outlives the worker.

mod answer;
mod child;
mod command;
mod find;
mod folder;
mod reaper;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tumble_domain::code::{Exit, ResultPlace};
use tumble_domain::outcome::ERROR_BYTES_MAX;
use tumble_domain::{Code, Failure, PipelineDescription, Program, RunSpec, TrialAddress};
use tumble_pipelines::{Evaluator, Pipeline, Trial};

pub use find::find;
pub use reaper::reap;

use command::{Given, Words};
use folder::{Scratch, WorkFolder};

/// So much is kept of the front of an error that is too long.
const HEAD_BYTES: usize = 256;

/// Where programs run, and what is around them.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The folder that relative programs and `{here}` mean: that of the run file.
    pub here: PathBuf,
    /// Where the working folders of failed trials are kept; `None` keeps none.
    pub keep_in: Option<PathBuf>,
    /// The command that [reaps](reap) what a worker leaves behind when it is killed; the token and the scratch folder are
    /// added to it. `None` for none.
    pub reaper: Option<Vec<OsString>>,
}

/// The pipeline before a run: any program.
pub struct AnyProgram {
    description: PipelineDescription,
    surroundings: Surroundings,
    /// Made when the first program is run.
    scratch: Arc<OnceLock<Result<Scratch, String>>>,
}

impl AnyProgram {
    /// Programs in these surroundings.
    pub fn new(surroundings: Surroundings) -> Option<AnyProgram> {
        let description = tumble_runfile::open_pipelines().into_iter().find(|p| p.name == "program")?;
        Some(AnyProgram { description, surroundings, scratch: Arc::default() })
    }
}

impl Pipeline for AnyProgram {
    fn description(&self) -> &PipelineDescription {
        &self.description
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(Unbound)
    }

    fn timeout(&self) -> &'static str {
        "a program that outlasts it is asked to end (SIGTERM), and two seconds later killed, with all that it started"
    }

    fn bound(
        &self,
        run: &RunSpec,
        description: &PipelineDescription,
        files: Option<&Path>,
    ) -> Option<Result<Arc<dyn Pipeline>, String>> {
        let Some(Code::Program(program)) = &run.code else {
            return Some(Err("the run file has no [program]".to_owned()));
        };
        let bind = || {
            let here = files.unwrap_or(&self.surroundings.here).to_owned();
            let path = find(program, &here)?;
            let words = Words::try_new(program, description, &here)?;
            let run = Bound {
                description: description.clone(),
                program: program.clone(),
                name: run.name.clone(),
                path,
                words,
                surroundings: Surroundings { here, ..self.surroundings.clone() },
                scratch: self.scratch.clone(),
            };
            Ok(Arc::new(OneProgram(Arc::new(run))) as Arc<dyn Pipeline>)
        };
        Some(bind())
    }
}

/// Stands where no run file has said which program.
struct Unbound;

impl Evaluator for Unbound {
    fn evaluate(&mut self, _: &Trial<'_>, _: &mut [f64]) -> Result<(), Failure> {
        Err(Failure::Failed("no run file has said which program".to_owned()))
    }
}

/// The program of one run.
struct OneProgram(Arc<Bound>);

/// What all slots know of it.
struct Bound {
    description: PipelineDescription,
    program: Program,
    /// The run's name.
    name: String,
    path: PathBuf,
    words: Words,
    surroundings: Surroundings,
    scratch: Arc<OnceLock<Result<Scratch, String>>>,
}

impl Pipeline for OneProgram {
    fn description(&self) -> &PipelineDescription {
        &self.0.description
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        let at = TrialAddress { generation: 0, candidate: 0, replicate: 0 };
        Box::new(ProgramEvaluator {
            run: self.0.clone(),
            folder: None,
            place: (0, at),
            buffer: child::Buffer::default(),
        })
    }
}

/// Runs the program for one slot, one trial after another.
struct ProgramEvaluator {
    run: Arc<Bound>,
    folder: Option<WorkFolder>,
    place: (u64, TrialAddress),
    buffer: child::Buffer,
}

impl Evaluator for ProgramEvaluator {
    fn place(&mut self, trial: u64, at: TrialAddress) {
        self.place = (trial, at);
    }

    fn evaluate(&mut self, trial: &Trial<'_>, metrics: &mut [f64]) -> Result<(), Failure> {
        let run = self.run.clone();
        let folder = self.folder()?;
        folder.begin().map_err(|error| Failure::Failed(format!("no working folder could be made: {error}")))?;
        let given = Given { settings: trial.settings, seed: trial.seed, trial: self.place.0, at: self.place.1 };
        let token = self.token();
        let folder = self.folder.as_ref().expect("it was made a few lines ago");
        let command = run.words.command(&run.path, &given, folder.path(), token.as_deref());
        let mut ended =
            child::run(command, &run.words.stdin(&given), run.program.memory, trial.watch, &mut self.buffer)
                .map_err(|stop| stop.unwrap_or_else(|why| Failure::Failed(run.tamed(&why, folder))))?;
        let result = match ended.failure.take() {
            Some(failure) => Err(failure),
            None => run.judge(&ended, folder, metrics),
        };
        let result = result.map_err(|failure| match failure {
            Failure::Failed(why) => Failure::Failed(run.tamed(&why, folder)),
            other => other,
        });
        if let (Err(Failure::Failed(_) | Failure::TimedOut), Some(keep_in)) = (&result, &run.surroundings.keep_in) {
            let name = format!("{}-trial-", run.name);
            let command = run.words.shown(&run.path, &given);
            let notes = [
                ("tumble-stdout.txt", ended.stdout.bytes()),
                ("tumble-stderr.txt", ended.stderr.bytes()),
                ("tumble-command.txt", command.as_bytes()),
            ];
            folder.keep(keep_in, &name, self.place.0, run.program.keep, &notes);
        }
        result
    }
}

impl ProgramEvaluator {
    fn scratch(&self) -> Result<&Scratch, Failure> {
        let make = || Scratch::try_new(self.run.surroundings.reaper.as_deref());
        self.run.scratch.get_or_init(make).as_ref().map_err(|why| Failure::Failed(why.clone()))
    }

    fn token(&self) -> Option<String> {
        self.scratch().ok().map(|scratch| scratch.token().to_owned())
    }

    fn folder(&mut self) -> Result<&mut WorkFolder, Failure> {
        if self.folder.is_none() {
            self.folder = Some(self.scratch()?.folder());
        }
        Ok(self.folder.as_mut().expect("it was made a line ago"))
    }
}

impl Bound {
    /// What came of a program that ended by itself.
    fn judge(&self, ended: &child::Ended, folder: &WorkFolder, metrics: &mut [f64]) -> Result<(), Failure> {
        if let Some(how) = child::went_wrong(ended.status, self.program.memory) {
            return Err(Failure::Failed(format!("{how}{}", ended.last_words())));
        }
        let answer = match &self.program.result {
            ResultPlace::Stdout => answer::of_lines(ended.stdout.bytes(), "standard output"),
            ResultPlace::File(name) => {
                let bytes = folder.read_tail(name, answer::ANSWER_BYTES_MAX);
                let bytes = bytes.map_err(|error| {
                    format!("the program left no file `{name}` in its working folder ({})", error.kind())
                });
                bytes.and_then(|bytes| answer::of_file(&bytes, name))
            }
        };
        let read = answer.and_then(|answer| answer.metrics(&self.program.metrics, metrics));
        read.map_err(|why| Failure::Failed(format!("{}, but {why}{}", Exit::Code(0), ended.last_words())))
    }

    /// A text for the table, which must not depend on where this worker happens to have its folders.
    fn tamed(&self, text: &str, folder: &WorkFolder) -> String {
        let mut text = text.replace(&*folder.path().to_string_lossy(), "{folder}");
        let here = self.surroundings.here.to_string_lossy();
        if here.len() > 1 {
            text = text.replace(&*here, "{here}");
        }
        shortened(text)
    }
}

/// What is too long for the table is cut at its front there, where it stands how the program ended: here its middle goes.
fn shortened(text: String) -> String {
    if text.len() <= ERROR_BYTES_MAX {
        return text;
    }
    let is_boundary = |at: &usize| text.is_char_boundary(*at);
    let head = (0..=HEAD_BYTES).rev().find(is_boundary).unwrap_or(0);
    let tail = text.len() - (ERROR_BYTES_MAX - HEAD_BYTES - "…".len());
    let tail = (tail..text.len()).find(is_boundary).unwrap_or(text.len());
    format!("{}…{}", &text[..head], &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_keeps_how_the_program_ended_and_what_it_said_last() {
        for filling in ["x", "ü", "—"] {
            let long = shortened(format!("{}; it said:\n{}last", Exit::Code(3), filling.repeat(3000)));
            assert!(long.len() <= ERROR_BYTES_MAX && long.len() > ERROR_BYTES_MAX - 16, "{}", long.len());
            assert_eq!(Exit::of_error(&long), Some(Exit::Code(3)));
            assert!(long.ends_with("last"));
        }
        assert_eq!(shortened("short".to_owned()), "short");
    }
}
