//! Worker binaries of the user's own: asked what they offer, and had evaluate single trials.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use tumble_domain::{Failure as TrialFailure, Outcomes, PipelineDescription};
use tumble_pipelines::{Evaluator, Pipeline, Trial, registry};
use tumble_proto::v1::{from_worker, to_worker};
use tumble_proto::{CHUNK_BYTES, MESSAGE_BYTES_MAX, describe, frames, outcomes, v1};
use tumble_search::Proposal;
use tumble_worker::worker::Grant;

use crate::exit::Failure;

/// The pipelines that a run file may name, and who evaluates them.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    descriptions: Vec<PipelineDescription>,
    worker: Option<PathBuf>,
}

impl Known {
    /// What comes with Tumble, or what this worker binary says that it offers.
    pub(crate) fn of(worker: Option<&Path>) -> Result<Known, Failure> {
        let Some(worker) = worker else {
            let built_in = registry::all().into_iter().map(|pipeline| pipeline.description().clone());
            return Ok(Known {
                descriptions: built_in.chain(tumble_runfile::open_pipelines()).collect(),
                worker: None,
            });
        };
        // A bare name is looked for in PATH, as a shell would; what is remembered holds from any folder.
        let worker = match worker.components().count() {
            1 if !worker.to_string_lossy().contains('/') => worker.to_owned(),
            _ => {
                std::path::absolute(worker).map_err(|error| Failure::usage(format!("{}: {error}", worker.display())))?
            }
        };
        Ok(Known { descriptions: ask(&worker)?, worker: Some(worker) })
    }

    pub(crate) fn descriptions(&self) -> &[PipelineDescription] {
        &self.descriptions
    }

    /// The worker binary, if it is not this one.
    pub(crate) fn worker(&self) -> Option<&Path> {
        self.worker.as_deref()
    }

    /// The pipelines for opening a run whose trials are evaluated again: `here` are those of this binary. Those of another
    /// one only describe themselves, but for code of the user's own, which is run from here all the same.
    pub(crate) fn pipelines(&self, here: Vec<Arc<dyn Pipeline>>) -> Vec<Arc<dyn Pipeline>> {
        if self.worker.is_none() {
            return here;
        }
        let described = self.descriptions.iter().filter(|description| !description.is_open()).cloned();
        let stand_ins = described.map(|description| Arc::new(StandIn(description)) as Arc<dyn Pipeline>);
        stand_ins.chain(here.into_iter().filter(|pipeline| pipeline.description().is_open())).collect()
    }

    /// Adds what workers elsewhere announce, where it has another name than what is known; of several descriptions of one name
    /// that of the highest version. Two of one version are a mistake of who wrote them: a run would be granted to some of the
    /// workers and not to others.
    pub(crate) fn learn(&mut self, announced: Vec<PipelineDescription>) -> Result<(), Failure> {
        let mut more: Vec<PipelineDescription> = Vec::new();
        for new in announced {
            if self.descriptions.iter().any(|known| known.name == new.name) {
                continue;
            }
            match more.iter_mut().find(|other| other.name == new.name) {
                None => more.push(new),
                Some(other) if other.version < new.version => *other = new,
                Some(other) if other.version == new.version && *other != new => {
                    return Err(Failure::usage(format!(
                        "workers announce two different pipelines `{}` of version {}; raise the version of the newer one, or \
                         end the workers with the older one",
                        new.name, new.version
                    )));
                }
                Some(_) => {}
            }
        }
        self.descriptions.append(&mut more);
        Ok(())
    }
}

/// A pipeline of a worker binary, as it describes itself. What it evaluates, a [`Helper`] is asked.
struct StandIn(PipelineDescription);

impl Pipeline for StandIn {
    fn description(&self) -> &PipelineDescription {
        &self.0
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(NotHere)
    }
}

struct NotHere;

impl Evaluator for NotHere {
    fn evaluate(&mut self, _: &Trial<'_>, _: &mut [f64]) -> Result<(), TrialFailure> {
        Err(TrialFailure::Failed("only its worker binary can evaluate this".to_owned()))
    }
}

/// Has a worker binary describe what it offers.
fn ask(worker: &Path) -> Result<Vec<PipelineDescription>, Failure> {
    let name = worker.display();
    let failed = |why: &dyn std::fmt::Display| {
        Failure::usage(format!(
            "{name} is asked for its pipelines and does not answer as a worker would ({why}); a worker binary's main is \
             `tumble_worker::main(…)`"
        ))
    };
    let mut child = Command::new(worker)
        .args(["describe", "--wire"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::usage(format!("the worker {name} cannot be started: {error}")))?;
    let said = child.stdout.take().expect("it is piped").take(MESSAGE_BYTES_MAX as u64 + 16);
    let said = frames::read::<v1::PipelinesResponse>(&mut BufReader::new(said));
    if said.is_err() {
        // It may never end, saying something else.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| failed(&error))?;
    let said = match said {
        Ok(Some(said)) if status.success() => said,
        Ok(_) => return Err(failed(&status)),
        Err(error) => return Err(failed(&error)),
    };
    let ours = env!("CARGO_PKG_VERSION");
    if said.version != ours {
        return Err(Failure::usage(format!(
            "{name} was built with version {} of tumble-worker and this is {ours}; results are the same bytes only within one \
             version",
            said.version
        )));
    }
    said.pipelines.into_iter().map(describe::from_wire).collect::<Result<_, _>>().map_err(|error| failed(&error))
}

/// A process of a worker binary that evaluates what it is asked to, a few trials at a time.
pub(crate) struct Helper {
    child: Child,
    /// `None` once it is to end.
    asked: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The generation whose proposal it was sent last.
    generation: Option<u32>,
}

impl Helper {
    /// Starts one and tells it of a run.
    pub(crate) fn start(worker: &Path, here: &Path, run: &Arc<str>, run_toml: &str) -> std::io::Result<Helper> {
        let mut child = Command::new(worker)
            .args(["evaluate", "--here"])
            .arg(here)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (asked, answers) = (child.stdin.take(), child.stdout.take().expect("it is piped"));
        let mut helper = Helper { child, asked, answers: BufReader::new(answers), generation: None };
        let open = v1::OpenRun { run: run.to_string(), run_toml: run_toml.to_owned() };
        helper.tell(to_worker::Kind::OpenRun(open))?;
        Ok(helper)
    }

    /// Has it evaluate the trials of a grant; the outer error is that it could not be asked, the inner one why it cannot
    /// evaluate the run.
    pub(crate) fn evaluate(
        &mut self,
        grant: &Grant,
        proposal: Option<&Proposal>,
    ) -> std::io::Result<Result<Outcomes, String>> {
        if let Some(proposal) = proposal.filter(|_| self.generation != Some(grant.generation)) {
            self.propose(&grant.run, grant.generation, proposal)?;
        }
        self.tell(to_worker::Kind::Grant(v1::Grant {
            lease: grant.lease,
            run: grant.run.to_string(),
            generation: grant.generation,
            first_trial: grant.range.start,
            trials: grant.range.len(),
            attempt: 0,
            generation_first_trial: grant.generation_start,
        }))?;
        loop {
            let said = frames::read::<v1::FromWorker>(&mut self.answers)?.and_then(|said| said.kind);
            match said {
                Some(from_worker::Kind::CannotRun(cannot)) => return Ok(Err(cannot.reason)),
                // One trial is one report; a report without it says that the trial was given up.
                Some(from_worker::Kind::Report(report)) => {
                    let outcomes = outcomes::unpack(&report.outcomes);
                    return Ok(Ok(outcomes.map_err(std::io::Error::other)?));
                }
                Some(_) => {}
                None => {
                    let ended = self.child.wait()?;
                    return Err(std::io::Error::other(format!("it ended in the middle ({ended})")));
                }
            }
        }
    }

    fn propose(&mut self, run: &Arc<str>, generation: u32, proposal: &Proposal) -> std::io::Result<()> {
        let (whole, hash) = (proposal.encode(), proposal.hash());
        for (index, piece) in whole.chunks(CHUNK_BYTES).enumerate() {
            self.tell(to_worker::Kind::Proposal(v1::Chunk {
                run: run.to_string(),
                generation,
                hash: hash.0.to_vec(),
                length: whole.len() as u64,
                offset: (index * CHUNK_BYTES) as u64,
                bytes: piece.to_vec().into(),
            }))?;
        }
        self.generation = Some(generation);
        Ok(())
    }

    fn tell(&mut self, kind: to_worker::Kind) -> std::io::Result<()> {
        let asked = self.asked.as_mut().expect("it is told to end when it is let go of");
        frames::write(&v1::ToWorker { kind: Some(kind) }, asked)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It leaves when there is nothing more to be asked, and then its programs are gone.
        drop(self.asked.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(name: &str, version: u32, summary: &str) -> PipelineDescription {
        let known = registry::find("go-cls").expect("it is built in").description().clone();
        PipelineDescription { name: name.into(), version, summary: summary.into(), ..known }
    }

    #[test]
    fn what_workers_announce_is_known_by_its_highest_version_and_never_instead_of_what_is_built_in() {
        let mut known = Known::of(None).expect("nobody is asked");
        let before = known.descriptions().len();
        let announced = [
            description("mine", 2, "newer"),
            description("mine", 1, "older"),
            description("mine", 2, "newer"),
            description("go-cls", 9, "strange"),
        ];
        known.learn(announced.into()).expect("it is clear what is meant");
        assert_eq!(known.descriptions()[before..], [description("mine", 2, "newer")]);
        assert_eq!(known.descriptions().iter().find(|p| p.name == "go-cls").map(|p| p.version), Some(1));
    }

    #[test]
    fn two_descriptions_of_one_version_are_refused_with_what_to_do() {
        let mut known = Known::of(None).expect("nobody is asked");
        let refused = known.learn(vec![description("mine", 1, "one"), description("mine", 1, "another")]).unwrap_err();
        assert!(refused.message.contains("`mine` of version 1; raise the version"), "{}", refused.message);
    }
}
