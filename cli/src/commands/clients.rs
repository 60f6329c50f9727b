//! What a client asks of a coordinator: submit, list, status, watch, wait, cancel, resume.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tumble_proto::{describe, v1};
use tumble_runfile::Understood;

use crate::args::{ClientArgs, FileArgs, RunNameArgs, SubmitArgs, WaitArgs};
use crate::bundle;
use crate::client::{self, Client, connect, connect_to, exit_of, is_over, refused};
use crate::exit::{Exit, Failure};
use crate::output::{Output, duration, grouped, number, size};
use crate::own::Known;
use crate::progress::Progress;
use crate::runfile;

pub(crate) async fn submit(args: SubmitArgs, output: Output) -> Result<Exit, Failure> {
    let here = args.here.here.as_deref();
    let mut known = Known::of(args.own.worker.as_deref())?;
    ask_workers(&mut known, &args.file, &args.file_args, &args.client.access, output).await?;
    let understood = runfile::read(&args.file, here, &args.file_args.overrides, &known, output)?;
    let access = client::read_access(&args.client.access)?;
    let mut client = connect_to(&access).await?;
    let request = submission(&understood, args.key.unwrap_or_else(fresh_key));
    let folder = here.unwrap_or(runfile::folder_of(&args.file));
    let view = bundle::submit(&mut client, &access, request, &understood, &[folder], output).await?;
    output.result(&view.run, || view_json(&view));
    Ok(Exit::Complete)
}

/// What is submitted of a run: its canonical text, and the pipeline that it was checked against.
pub(crate) fn submission(understood: &Understood, key: String) -> v1::SubmitRequest {
    v1::SubmitRequest {
        key,
        run_toml: tumble_runfile::canonical(&understood.spec, &understood.inner),
        pipeline: Some(describe::to_wire(&understood.inner)),
    }
}

/// Where a run file names a pipeline that is not known here, asks the coordinator which ones its workers announce.
pub(crate) async fn ask_workers(
    known: &mut Known,
    file: &Path,
    file_args: &FileArgs,
    access: &Path,
    output: Output,
) -> Result<(), Failure> {
    // Without an access file there is no coordinator to ask, and what is wrong with the run file is all there is to say.
    if !access.exists() || !runfile::lacks_pipeline(file, None, &file_args.overrides, known)? {
        return Ok(());
    }
    let asking = async {
        let mut client = connect(access).await?;
        client.pipelines(v1::PipelinesRequest {}).await.map_err(refused)
    };
    let announced = match asking.await {
        Ok(response) => response.into_inner().pipelines,
        // What is wrong with the run file is told all the same.
        Err(failure) => {
            output.note(format!("which pipelines workers announce is not known: {failure}"));
            return Ok(());
        }
    };
    let announced = announced.into_iter().map(describe::from_wire).collect::<Result<_, _>>();
    known.learn(announced.map_err(|error| Failure::unreachable(format!("the coordinator's answer: {error}")))?)
}

/// A key that no other submission has.
pub(crate) fn fresh_key() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.as_nanos());
    format!("{}-{now}", std::process::id())
}

pub(crate) async fn list(args: ClientArgs, output: Output) -> Result<Exit, Failure> {
    let mut client = connect(&args.access).await?;
    let listing = client.list(v1::ListRequest {}).await.map_err(refused)?.into_inner();
    let width = listing.runs.iter().map(|v| v.run.len()).max().unwrap_or(3).max(3);
    let mut text = format!("{:width$}  {:10}  {:>6}  {:>15}  best\n", "run", "state", "done", "trials");
    for view in &listing.runs {
        let done = 100.0 * view.trials_done as f64 / view.trials.max(1) as f64;
        let best = view.best.map_or("-".to_owned(), number);
        let _ = writeln!(
            text,
            "{:width$}  {:10}  {done:>5.1}%  {:>15}  {best}",
            view.run,
            state_name(view.state()),
            grouped(view.trials)
        );
    }
    let _ = writeln!(text, "{} workers, {} slots", listing.workers, listing.slots);
    output.result(text, || {
        json!({
            "runs": listing.runs.iter().map(view_json).collect::<Vec<_>>(),
            "workers": listing.workers,
            "slots": listing.slots,
        })
    });
    Ok(Exit::Complete)
}

pub(crate) async fn status(args: RunNameArgs, output: Output) -> Result<Exit, Failure> {
    let mut client = connect(&args.client.access).await?;
    let view = client.get(v1::RunRequest { run: args.run }).await.map_err(refused)?.into_inner();
    output.result(view_text(&view), || view_json(&view));
    Ok(Exit::Complete)
}

pub(crate) async fn watch(args: RunNameArgs, output: Output) -> Result<Exit, Failure> {
    let mut client = connect(&args.client.access).await?;
    let mut progress = Progress::new(output);
    // By its id from here on: `last` and a name may come to mean another run meanwhile.
    let run = client.get(v1::RunRequest { run: args.run }).await.map_err(refused)?.into_inner().run;
    let view = follow(&mut client, &run, |view| progress.update(view)).await;
    progress.end();
    let view = view?;
    output.result(view_text(&view), || view_json(&view));
    Ok(exit_of(&view))
}

pub(crate) async fn wait(args: WaitArgs, output: Output) -> Result<Exit, Failure> {
    let mut client = connect(&args.run.client.access).await?;
    let mut latest = client.get(v1::RunRequest { run: args.run.run.clone() }).await.map_err(refused)?.into_inner();
    let run = latest.run.clone();
    // Whoever waits is a script, and is told nothing on the way unless it asks for notices.
    let mut progress = Progress::new(Output { quiet: output.quiet || !output.notices, ..output });
    let waiting = follow(&mut client, &run, |view| {
        progress.update(view);
        latest = view.clone();
    });
    let ended = match args.timeout {
        Some(timeout) => tokio::time::timeout(timeout, waiting).await.ok().transpose()?,
        None => Some(waiting.await?),
    };
    progress.end();
    let exit = ended.as_ref().map_or(Exit::Stopped, exit_of);
    let view = ended.unwrap_or(latest);
    output.result(view_text(&view), || view_json(&view));
    Ok(exit)
}

pub(crate) async fn cancel(args: RunNameArgs, output: Output) -> Result<Exit, Failure> {
    let mut client = connect(&args.client.access).await?;
    let cancelled = client.cancel(v1::RunRequest { run: args.run }).await.map_err(refused)?.into_inner();
    // What is complete is still written, which takes its time after many trials.
    let mut progress = Progress::new(output);
    let view = follow(&mut client, &cancelled.run, |view| progress.update(view)).await;
    progress.end();
    let view = view?;
    output.result(view_text(&view), || view_json(&view));
    Ok(Exit::Complete)
}

pub(crate) async fn resume(args: RunNameArgs, output: Output) -> Result<Exit, Failure> {
    let mut client = connect(&args.client.access).await?;
    let view = client.resume(v1::RunRequest { run: args.run }).await.map_err(refused)?.into_inner();
    output.result(view_text(&view), || view_json(&view));
    Ok(Exit::Complete)
}

/// Follows a run to its end; `each` sees every view. A coordinator that restarts is found again.
pub(crate) async fn follow(
    client: &mut Client,
    run: &str,
    mut each: impl FnMut(&v1::RunView),
) -> Result<v1::RunView, Failure> {
    let mut failures = 0;
    loop {
        let lost = match client.watch(v1::RunRequest { run: run.to_owned() }).await {
            Ok(stream) => {
                let mut views = stream.into_inner();
                loop {
                    match views.message().await {
                        Ok(Some(view)) => {
                            failures = 0;
                            each(&view);
                            if is_over(&view) {
                                return Ok(view);
                            }
                        }
                        Ok(None) => break tonic::Status::unavailable("the coordinator closed the stream"),
                        Err(status) => break status,
                    }
                }
            }
            Err(status) => status,
        };
        failures += 1;
        if failures > 60 || client::refused(lost.clone()).exit == Exit::Usage {
            return Err(refused(lost));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

pub(crate) fn state_name(state: v1::RunState) -> &'static str {
    match state {
        v1::RunState::Unspecified => "unknown",
        v1::RunState::Waiting => "waiting",
        v1::RunState::Running => "running",
        v1::RunState::Finishing => "finishing",
        v1::RunState::Finished => "finished",
        v1::RunState::Cancelled => "cancelled",
        v1::RunState::Suspended => "suspended",
        v1::RunState::Failed => "failed",
    }
}

pub(crate) fn view_text(view: &v1::RunView) -> String {
    let mut text = format!("{}  {}", view.run, state_name(view.state()));
    if !view.reason.is_empty() && view.reason != state_name(view.state()) {
        let _ = write!(text, ": {}", view.reason);
    }
    let _ = write!(text, "\ntrials   {} / {}", grouped(view.trials_done), grouped(view.trials));
    if view.trials_failed > 0 {
        let _ = write!(text, ", {} failed", grouped(view.trials_failed));
    }
    if view.generations > 0 {
        let _ = write!(text, "\ngeneration {} / {}", grouped(view.generation.into()), grouped(view.generations.into()));
    }
    if let Some(best) = view.best {
        let _ = write!(text, "\nbest     {} {}", view.objective.trim_start_matches('-'), number(best));
    }
    if view.disagreements > 0 {
        let _ = write!(text, "\nDISAGREE {} trials gave different results when evaluated again", view.disagreements);
    }
    let _ = write!(
        text,
        "\ntime     {} with {} workers at the moment\nwire     {} down, {} up\ntables   {}\n",
        duration(view.elapsed_ms as f64 / 1000.0),
        view.workers,
        size(view.bytes_down),
        size(view.bytes_up),
        view.folder
    );
    text
}

pub(crate) fn view_json(view: &v1::RunView) -> Json {
    json!({
        "run": view.run,
        "name": view.name,
        "pipeline": view.pipeline,
        "state": state_name(view.state()),
        "reason": view.reason,
        "trials": view.trials,
        "trials_done": view.trials_done,
        "trials_evaluated": view.trials_evaluated,
        "trials_failed": view.trials_failed,
        "generation": view.generation,
        "generations": view.generations,
        "objective": view.objective,
        "best": view.best,
        "folder": view.folder,
        "seconds": view.elapsed_ms as f64 / 1000.0,
        "workers": view.workers,
        "bytes_down": view.bytes_down,
        "bytes_up": view.bytes_up,
        "disagreements": view.disagreements,
        "resyncs": view.resyncs,
        "parts": view.parts,
    })
}
