//! `tumble run`: a coordinator in this process, workers in processes of their own, the real protocol between them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tumble_coordinator::folder::new_run_id;
use tumble_coordinator::journal::Journal;
use tumble_coordinator::{Config, Folders, OwnerSettings, Server, owner};
use tumble_core::RunId;
use tumble_proto::{describe, v1};
use tumble_runfile::Understood;

use crate::args::RunArgs;
use crate::client::{connect_to, exit_of, refused};
use crate::commands::clients::follow;
use crate::commands::processes::serve_failure;
use crate::exit::{Exit, Failure};
use crate::local::{LocalWorkers, cores};
use crate::memory;
use crate::output::Output;
use crate::progress::Progress;
use crate::result;
use crate::runfile;
use crate::signals::{stop_requests, stopped};

/// The state folder within a run's folder while the run is not complete.
const STATE: &str = ".tumble";

pub(crate) async fn run(args: RunArgs, output: Output) -> Result<Exit, Failure> {
    let (understood, folder, id) = if args.resume { resumed(&args, output)? } else { fresh(&args, output)? };
    let state = folder.join(STATE);
    if args.resume && !state.exists() {
        output.note(format!("{} is complete already", folder.display()));
        return result::show(&folder, output);
    }
    let count = args.workers.unwrap_or_else(cores);
    let asked = stop_requests();
    let config = Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        state: state.clone(),
        owner: OwnerSettings::default(),
        folders: Folders::Exactly(folder.clone(), id),
        limits: memory::limits(args.memory),
    };
    let mut server = Server::start(config).await.map_err(serve_failure)?;
    let mut client = connect_to(&server.client_access).await?;
    // One key: after a crash the same run goes on instead of a second one.
    let request = v1::SubmitRequest {
        key: "run".to_owned(),
        run_toml: tumble_runfile::canonical(&understood.spec, &understood.inner),
        pipeline: Some(describe::to_wire(&understood.inner)),
    };
    let mut view = client.submit(request).await.map_err(refused)?.into_inner();
    if view.state() == v1::RunState::Suspended {
        let request = v1::RunRequest { run: view.run.clone() };
        view = client.resume(request).await.map_err(refused)?.into_inner();
    }
    let mut workers =
        LocalWorkers::start(count, args.memory, &state.join("worker.access"), &state.join("workers.log"))?;
    output.note(format!("{}: {count} workers, tables in {}", view.run, folder.display()));

    let mut progress = Progress::new(output);
    let run = view.run.clone();
    let ended = tokio::select! {
        view = follow(&mut client, &run, |view| progress.update(view)) => view.map(Some),
        failed = workers.replace_dead() => failed.map(|()| None),
        ended = server.ended() => ended.map(|()| None).map_err(serve_failure),
        () = stopped(asked) => Ok(None),
    };
    progress.end();
    let resume = format!("tumble run --resume --out {}", folder.display());
    if matches!(ended, Ok(None)) {
        output.note("stopping: workers report what they have finished (once more Ctrl-C stops at once)");
    }
    workers.leave().await;
    let stopped = server.stop().await.map_err(serve_failure);
    // Why the coordinator ended is said before that it cannot be reached any more, which is often noticed first.
    stopped.map_err(|failure| hint(failure, &resume))?;
    let view = ended.map_err(|failure| hint(failure, &resume))?;
    match view {
        Some(view) if view.state() != v1::RunState::Suspended => {
            std::fs::remove_dir_all(&state)
                .map_err(|error| Failure::internal(format!("failed to tidy {}: {error}", state.display())))?;
            result::show(&folder, output)?;
            Ok(exit_of(&view))
        }
        suspended => {
            let why = suspended.map_or("interrupted".to_owned(), |view| view.reason);
            let value = serde_json::json!({ "state": "stopped", "reason": why, "folder": folder, "resume": resume });
            output.result(format!("stopped ({why}); go on with\n  {resume}"), || value);
            Ok(Exit::Stopped)
        }
    }
}

/// A run that had to stop in its middle can go on, and a script may tell that by the exit code.
fn hint(failure: Failure, resume: &str) -> Failure {
    Failure {
        exit: Exit::Stopped,
        message: format!("{failure}\nwhat is acknowledged is kept; when the cause is gone, go on with\n  {resume}"),
    }
}

/// Whether coordinator and workers fit on this machine together.
fn fits(understood: &Understood, args: &RunArgs) -> Result<(), Failure> {
    memory::check(understood, u64::from(args.workers.unwrap_or_else(cores)), args.memory)
}

/// A run that begins: its folder must not hold anything.
fn fresh(args: &RunArgs, output: Output) -> Result<(Understood, PathBuf, RunId), Failure> {
    let file = args.file.as_deref().expect("clap requires it without --resume");
    let understood = runfile::read(file, &args.file_args.overrides, output)?;
    fits(&understood, args)?;
    let id = new_run_id(&understood.spec.name);
    let folder = args.out.clone().unwrap_or_else(|| Path::new("runs").join(&*id.0));
    match std::fs::read_dir(&folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) if holds_nothing_yet(&folder) => {}
        Ok(true) => {
            // Both, for a run that was killed before it was recorded has nothing to go on with.
            let way = if folder.join(STATE).exists() && folder.join("run.toml").exists() {
                format!("complete it with `tumble run --resume --out {}`, or choose another --out", folder.display())
            } else {
                "choose another --out, or remove it".to_owned()
            };
            return Err(Failure::usage(format!("the folder {} exists and is not empty; {way}", folder.display())));
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::usage(format!("the folder {} cannot be used: {error}", folder.display())));
        }
        _ => {}
    }
    let folder = std::path::absolute(&folder)
        .map_err(|error| Failure::usage(format!("the folder {} cannot be used: {error}", folder.display())))?;
    Ok((understood, folder, id))
}

/// Whether a folder holds only what a `tumble run` leaves that was killed before its run was recorded: a state folder
/// whose journal knows no run, and no part. It has nothing that could be lost, so that the same command may be given again.
fn holds_nothing_yet(folder: &Path) -> bool {
    let is_empty = |path: &Path| std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    let only_ours = entries.into_iter().all(|entry| {
        entry.is_ok_and(|entry| match entry.file_name().to_str() {
            Some(STATE) => entry.path().is_dir(),
            Some("trials") => is_empty(&entry.path()),
            _ => false,
        })
    });
    let journal = folder.join(STATE).join("journal.sqlite");
    // Whoever holds the journal is about to record a run in it.
    let is_free = owner::is_free(&folder.join(STATE));
    let knows_no_run =
        || !journal.exists() || is_free && Journal::open(&journal).is_ok_and(|j| j.is_empty().unwrap_or(false));
    only_ours && folder.join(STATE).is_dir() && knows_no_run()
}

/// A run that goes on: the folder has its run file, and one that is given besides must mean the same.
fn resumed(args: &RunArgs, output: Output) -> Result<(Understood, PathBuf, RunId), Failure> {
    let folder = args.out.as_deref().expect("clap requires it with --resume");
    let recorded_path = folder.join("run.toml");
    if !recorded_path.exists() {
        return Err(Failure::usage(format!(
            "{} holds no run to resume (there is no run.toml in it); begin one without --resume",
            folder.display()
        )));
    }
    let recorded = runfile::read(&recorded_path, &[], output)?;
    if args.file.is_some() || !args.file_args.overrides.is_empty() {
        let file = args.file.as_deref().unwrap_or(&recorded_path);
        let given = runfile::read(file, &args.file_args.overrides, output)?;
        let (ours, theirs) = (
            tumble_runfile::canonical(&recorded.spec, &recorded.inner),
            tumble_runfile::canonical(&given.spec, &given.inner),
        );
        if ours != theirs {
            let differing = ours.lines().zip(theirs.lines()).find(|(was, is)| was != is);
            let how = differing.map_or(String::new(), |(was, is)| format!(": there `{was}`, here `{is}`"));
            let (what, leave) = what_differs(args);
            return Err(Failure::usage(format!(
                "{what} is not the run in {}{how}; leave {leave} out to go on with the recorded one",
                folder.display()
            )));
        }
    }
    fits(&recorded, args)?;
    let folder = std::path::absolute(folder)
        .map_err(|error| Failure::usage(format!("the folder {} cannot be used: {error}", folder.display())))?;
    // The id that the run was submitted under stands in the journal; this one serves if it never was.
    let id = new_run_id(&recorded.spec.name);
    Ok((recorded, folder, id))
}

/// What makes a run that is to go on another one, in the words of its command line, and what to leave out.
fn what_differs(args: &RunArgs) -> (String, &'static str) {
    let overrides = &args.file_args.overrides;
    let set: Vec<String> = overrides.iter().map(|o| format!("--set {}={}", o.key, o.value)).collect();
    match (&args.file, set.is_empty()) {
        (Some(file), true) => (file.display().to_string(), "the file"),
        (Some(file), false) => (format!("{} with {}", file.display(), set.join(" ")), "both"),
        (None, _) => (set.join(" "), "--set"),
    }
}
