//! `tumble pool`: candidates are read from standard input, evaluated by workers, and answered on standard output.

use std::io::{BufRead, Read, Write};

use serde_json::{Value as Json, json};
use tokio::sync::mpsc;
use tumble_proto::v1;

use crate::args::PoolArgs;
use crate::bundle;
use crate::client::{self, Client, connect_to, exit_of, is_over, refused};
use crate::commands::clients::{ask_workers, follow, fresh_key, submission, view_json, view_text};
use crate::commands::run;
use crate::exit::{Exit, Failure};
use crate::given::{Form, Request};
use crate::output::Output;
use crate::own::Known;
use crate::result;
use crate::runfile;

/// The longest line that is read, in bytes: as many numbers as may be given at once, with all their digits.
const LINE_BYTES_MAX: u64 = 512 << 20;

pub(crate) async fn pool(args: PoolArgs, output: Output) -> Result<Exit, Failure> {
    if args.submit {
        return elsewhere(args, output).await;
    }
    let args = args.run;
    let leash = args.leash;
    let known = Known::of(run::worker_of(&args).as_deref())?;
    let (understood, folder, id) = run::begun(&args, &known, output)?;
    let form = Form::of(&understood).map_err(Failure::usage)?;
    if args.resume && run::is_complete(&folder) {
        output.note(format!("{} is complete already", folder.display()));
        return result::show(&folder, &known, output);
    }
    let local = run::Local {
        // Standard input is the requests'.
        leash: false,
        ..run::Local::of(&args, &known, (understood, folder.clone(), id), "pool")
    };
    let drive = async |client: &mut Client, view: v1::RunView| serve(client, &form, view, leash).await;
    match run::carry_out_by(local, output, drive).await? {
        Some(view) => {
            result::show(&folder, &known, output)?;
            Ok(exit_of(&view))
        }
        None => Ok(Exit::Stopped),
    }
}

/// The same with a coordinator that is there already, and the workers that it has.
async fn elsewhere(args: PoolArgs, output: Output) -> Result<Exit, Failure> {
    let file = args.run.file.as_deref().ok_or_else(|| Failure::usage("name the run file"))?;
    let here = args.run.here.here.as_deref();
    let mut known = Known::of(args.run.own.worker.as_deref())?;
    ask_workers(&mut known, file, &args.run.file_args, &args.client.access, output).await?;
    let understood = runfile::read(file, here, &args.run.file_args.overrides, &known, output)?;
    let form = Form::of(&understood).map_err(Failure::usage)?;
    let access = client::read_access(&args.client.access)?;
    let mut client = connect_to(&access).await?;
    let key = args.key.clone().unwrap_or_else(fresh_key);
    let request = submission(&understood, key.clone());
    let folder = here.unwrap_or(runfile::folder_of(file));
    let mut view = bundle::submit(&mut client, &access, request, &understood, &[folder], output).await?;
    if view.state() == v1::RunState::Suspended {
        let request = v1::RunRequest { run: view.run.clone() };
        view = client.resume(request).await.map_err(refused)?.into_inner();
    }
    match output.notices {
        true => output.notice("started", json!({ "run": view.run, "folder": view.folder })),
        false => output.note(format!("{}: go on with the same command and --key {key} if this is stopped", view.run)),
    }
    match serve(&mut client, &form, view, args.run.leash).await? {
        Some(view) => {
            output.result(view_text(&view), || view_json(&view));
            Ok(exit_of(&view))
        }
        None => Ok(Exit::Stopped),
    }
}

/// Answers one line after another until the input ends, or the run. `None` where the run waits to be resumed: on a leash, when
/// the input ends without a word that all is done.
async fn serve(
    client: &mut Client,
    form: &Form,
    view: v1::RunView,
    leash: bool,
) -> Result<Option<v1::RunView>, Failure> {
    let run = view.run;
    let mut next = view.generation;
    // Only while a generation is evaluated there are trials without an outcome.
    say(&form.greeting(&run, &view.folder, next, view.trials_done < view.trials))?;
    let mut lines = read_lines();
    while let Some(line) = lines.recv().await {
        let line = line.map_err(|error| stopped(format!("standard input cannot be read: {error}")))?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (generation, points) = match form.request(&line) {
            Ok(Request::Evaluate { generation, points }) => (generation.unwrap_or(next), points),
            Ok(Request::Finish) => return end(client, &run).await.map(Some),
            Err(why) => {
                say(&json!({ "generation": next, "error": why }))?;
                continue;
            }
        };
        match client::give(client, &run, generation, &points).await {
            Ok(outcomes) => {
                say(&form.answer(generation, &outcomes))?;
                next = next.max(generation.saturating_add(1));
            }
            Err(failure) if failure.exit == Exit::Usage => {
                let view = client.get(v1::RunRequest { run: run.clone() }).await.map_err(refused)?.into_inner();
                let has_ended = is_over(&view) || view.state() == v1::RunState::Finishing;
                if !has_ended {
                    say(&json!({ "generation": generation, "error": failure.message }))?;
                    continue;
                }
                say(&json!({ "generation": generation, "error": failure.message, "ended": view.reason }))?;
                return follow(client, &run, |_| {}).await.map(Some);
            }
            Err(failure) => return Err(failure),
        }
    }
    if leash {
        return Ok(None);
    }
    end(client, &run).await.map(Some)
}

/// No more candidates are given. A coordinator that restarts is found again.
async fn end(client: &mut Client, run: &str) -> Result<v1::RunView, Failure> {
    client::finish(client, run).await?;
    follow(client, run, |_| {}).await
}

/// One line on standard output. Whoever reads it has gone where it cannot be written; the run waits for another.
fn say(line: &Json) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| stopped(format!("standard output cannot be written: {error}; nobody reads the answers")))
}

fn stopped(message: String) -> Failure {
    Failure { exit: Exit::Stopped, message }
}

/// The lines of standard input, one ahead. By a thread, for a read of it cannot be called off; it ends with the process.
fn read_lines() -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (send, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = match (&mut input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) if line.len() as u64 == LINE_BYTES_MAX => Err(std::io::Error::other(format!(
                    "a line is longer than {} MiB; give fewer candidates at once",
                    LINE_BYTES_MAX >> 20
                ))),
                Ok(_) => Ok(line),
                Err(error) => Err(error),
            };
            let is_last = read.is_err();
            if send.blocking_send(read).is_err() || is_last {
                return;
            }
        }
    });
    lines
}
