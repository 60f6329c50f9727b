//! `tumble run`: a coordinator in this process, workers in processes of their own, the real protocol between them.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde_json::json;
use tumble_bundle::kept;
use tumble_coordinator::folder::new_run_id;
use tumble_coordinator::journal::Journal;
use tumble_coordinator::{Config, Folders, OwnerSettings, Server, owner};
use tumble_core::RunId;
use tumble_proto::v1;
use tumble_runfile::Understood;
use tumble_worker::process::cores;

use crate::args::RunArgs;
use crate::bundle;
use crate::client::{Client, connect_to, exit_of, refused};
use crate::commands::clients::{follow, submission};
use crate::commands::processes::serve_failure;
use crate::exit::{Exit, Failure};
use crate::local::LocalWorkers;
use crate::memory;
use crate::output::Output;
use crate::own::Known;
use crate::progress::Progress;
use crate::result;
use crate::runfile;
use tumble_worker::signals::{stop_requests, stop_requests_or_end_of_input, stopped};

/// The state folder within a run's folder while the run is not complete.
pub(crate) const STATE: &str = ".tumble";
/// The same while it is being removed.
pub(crate) const OVER: &str = ".tumble-over";
/// Within the state folder: which binary evaluates.
const WORKER: &str = "worker";
/// What is kept of failed trials of programs, within a run's folder.
pub(crate) const FAILED: &str = "failed";

pub(crate) async fn run(args: RunArgs, output: Output) -> Result<Exit, Failure> {
    let known = Known::of(worker_of(&args).as_deref())?;
    let (understood, folder, id) = begun(&args, &known, output)?;
    if understood.spec.plan.is_given() {
        return Err(Failure::usage(
            "the candidates of this run are given by a client: `tumble pool`, with the same arguments, reads them from \
             standard input",
        ));
    }
    if args.resume && is_complete(&folder) {
        output.note(format!("{} is complete already", folder.display()));
        return result::show(&folder, &known, output);
    }
    let local = Local::of(&args, &known, (understood, folder.clone(), id), "run");
    match carry_out(local, output).await? {
        Some(view) => {
            result::show(&folder, &known, output)?;
            Ok(exit_of(&view))
        }
        None => Ok(Exit::Stopped),
    }
}

/// The run that the arguments mean, its folder and its id: one that begins or one that goes on.
pub(crate) fn begun(args: &RunArgs, known: &Known, output: Output) -> Result<(Understood, PathBuf, RunId), Failure> {
    if args.resume { resumed(args, known, output) } else { fresh(args, known, output) }
}

/// Whether nothing of a run that is to go on is left to be done.
pub(crate) fn is_complete(folder: &Path) -> bool {
    let is_complete = !folder.join(STATE).exists();
    if is_complete {
        // Of a process that was killed while it tidied up.
        let _ = std::fs::remove_dir_all(folder.join(OVER));
    }
    is_complete
}

/// A run to carry out on this machine.
pub(crate) struct Local {
    pub(crate) understood: Understood,
    /// The folder that its programs and functions are relative to, if the command says so.
    pub(crate) here: Option<PathBuf>,
    /// Another run's folder that has the files which travel with it, if one has.
    pub(crate) files_of: Option<PathBuf>,
    /// Where its tables go, and its state while it is not complete.
    pub(crate) folder: PathBuf,
    /// Its id, unless its journal knows it by another already.
    pub(crate) id: RunId,
    pub(crate) workers: u32,
    /// The binary that evaluates it, if it is not this one.
    pub(crate) worker: Option<PathBuf>,
    pub(crate) memory: Option<u64>,
    /// Whether it stops when standard input closes.
    pub(crate) leash: bool,
    /// The command that goes on with it if it is stopped.
    pub(crate) go_on: String,
}

impl Local {
    /// What the arguments mean; `command` is the one that goes on with it.
    pub(crate) fn of(
        args: &RunArgs,
        known: &Known,
        (understood, folder, id): (Understood, PathBuf, RunId),
        command: &str,
    ) -> Local {
        let beside = || args.file.as_deref().map(|file| runfile::folder_of(file).to_owned());
        Local {
            understood,
            here: args.here.here.clone().or_else(beside),
            files_of: None,
            go_on: format!("tumble {command} --resume --out {}", folder.display()),
            folder,
            id,
            workers: args.workers.unwrap_or_else(cores),
            worker: known.worker().map(Path::to_owned),
            memory: args.memory,
            leash: args.leash,
        }
    }
}

/// Carries a run out from where it stands; what is given is how it ended. `None` if it was stopped before, which has been
/// said then.
pub(crate) async fn carry_out(local: Local, output: Output) -> Result<Option<v1::RunView>, Failure> {
    let mut progress = Progress::new(output);
    let watch = async move |client: &mut Client, view: v1::RunView| {
        let ended = follow(client, &view.run, |view| progress.update(view)).await;
        progress.end();
        ended.map(Some)
    };
    carry_out_by(local, output, watch).await
}

/// As [`carry_out`], with something else to do meanwhile than to watch the run: it gives how the run ended, or nothing where
/// it is to be stopped.
pub(crate) async fn carry_out_by(
    local: Local,
    output: Output,
    drive: impl AsyncFnOnce(&mut Client, v1::RunView) -> Result<Option<v1::RunView>, Failure>,
) -> Result<Option<v1::RunView>, Failure> {
    let Local { understood, here, files_of, folder, id, workers: count, worker, memory, leash, go_on: resume } = local;
    let state = folder.join(STATE);
    let asked = if leash { stop_requests_or_end_of_input() } else { stop_requests() };
    let config = Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        state: state.clone(),
        owner: OwnerSettings::default(),
        folders: Folders::Exactly(folder.clone(), id),
        limits: memory::limits(memory),
    };
    let mut server = Server::start(config).await.map_err(serve_failure)?;
    let mut client = connect_to(&server.client_access).await?;
    // One key: after a crash the same run goes on instead of a second one.
    let request = submission(&understood, "run".to_owned());
    let folders: Vec<&Path> = here.as_deref().into_iter().chain([&*folder]).chain(files_of.as_deref()).collect();
    let mut view = bundle::submit(
        &mut client,
        &server.client_access,
        request,
        &understood,
        &folders,
        Output { quiet: true, ..output },
    )
    .await?;
    if view.state() == v1::RunState::Suspended {
        let request = v1::RunRequest { run: view.run.clone() };
        view = client.resume(request).await.map_err(refused)?.into_inner();
    }
    let surroundings = runfile::surroundings(&noted(here.as_deref(), &understood, &state)?, Some(folder.join(FAILED)))?;
    let (access, log) = (state.join("worker.access"), state.join("workers.log"));
    remember_worker(worker.as_deref(), &state)?;
    let mut workers = LocalWorkers::start(count, worker, memory, surroundings, &access, &log)?;
    match output.notices {
        true => output.notice("started", json!({ "run": view.run, "folder": folder, "workers": count })),
        false => output.note(format!("{}: {count} workers, tables in {}", view.run, folder.display())),
    }

    let ended = tokio::select! {
        view = drive(&mut client, view) => view,
        failed = workers.replace_dead() => failed.map(|()| None),
        ended = server.ended() => ended.map(|()| None).map_err(serve_failure),
        () = stopped(asked) => Ok(None),
    };
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
            tidy(&state)?;
            Ok(Some(view))
        }
        suspended => {
            let why = suspended.map_or("interrupted".to_owned(), |view| view.reason);
            let value = json!({ "state": "stopped", "reason": why, "folder": folder, "resume": resume });
            output.result(format!("stopped ({why}); go on with\n  {resume}"), || value);
            Ok(None)
        }
    }
}

/// Removes the state folder of a run that is complete. At once, by its name: where this is killed in the middle, what is left
/// must not be taken for the state of a run that has done nothing yet.
fn tidy(state: &Path) -> Result<(), Failure> {
    let over = state.with_file_name(OVER);
    let _ = std::fs::remove_dir_all(&over);
    std::fs::rename(state, &over)
        .and_then(|()| std::fs::remove_dir_all(&over))
        .map_err(|error| Failure::internal(format!("failed to tidy {}: {error}", state.display())))
}

/// The folder that relative programs mean, noted down. A run that goes on without being told has it from its state folder,
/// for the canonical run file names no folder: it would be another on every machine.
fn noted(given: Option<&Path>, understood: &Understood, state: &Path) -> Result<PathBuf, Failure> {
    let note = state.join("here");
    let failed = |error: std::io::Error| Failure::internal(format!("failed to use {}: {error}", note.display()));
    let here = match given {
        Some(here) => std::path::absolute(here).map_err(failed)?,
        None => std::fs::read(&note).map_or_else(|_| PathBuf::from("."), |bytes| OsString::from_vec(bytes).into()),
    };
    // Code that travels with the run is looked for where it is laid out.
    if given.is_some() || understood.spec.bundle.is_none() {
        runfile::find_program(understood, &here).map_err(Failure::usage)?;
    }
    std::fs::write(&note, here.as_os_str().as_bytes()).map_err(failed)?;
    Ok(here)
}

/// The binary that evaluates a run, if it is not this one: a run that goes on has it from its state folder, unless another is
/// named.
pub(crate) fn worker_of(args: &RunArgs) -> Option<PathBuf> {
    let folder = args.out.as_deref().filter(|_| args.resume);
    args.own.worker.clone().or_else(|| remembered_worker(&folder?.join(STATE)))
}

/// The binary that this state folder knows.
pub(crate) fn remembered_worker(state: &Path) -> Option<PathBuf> {
    std::fs::read(state.join(WORKER)).ok().map(|bytes| OsString::from_vec(bytes).into())
}

fn remember_worker(worker: Option<&Path>, state: &Path) -> Result<(), Failure> {
    let note = state.join(WORKER);
    let done = match worker {
        Some(worker) => std::fs::write(&note, worker.as_os_str().as_bytes()),
        None if note.exists() => std::fs::remove_file(&note),
        None => Ok(()),
    };
    done.map_err(|error| Failure::internal(format!("failed to use {}: {error}", note.display())))
}

/// A run that had to stop in its middle can go on, and a script may tell that by the exit code.
fn hint(failure: Failure, resume: &str) -> Failure {
    Failure {
        exit: Exit::Stopped,
        message: format!("{failure}\nwhat is acknowledged is kept; when the cause is gone, go on with\n  {resume}"),
    }
}

/// Whether coordinator and workers fit on this machine together.
pub(crate) fn fits(understood: &Understood, workers: u32, memory: Option<u64>) -> Result<(), Failure> {
    memory::check(understood, u64::from(workers), memory)
}

/// A run that begins: its folder must not hold anything.
fn fresh(args: &RunArgs, known: &Known, output: Output) -> Result<(Understood, PathBuf, RunId), Failure> {
    let file = args.file.as_deref().expect("clap requires it without --resume");
    let here = args.here.here.as_deref();
    let understood = runfile::read_here(file, here, &args.file_args.overrides, known, output)?;
    runfile::find_program(&understood, here.unwrap_or(runfile::folder_of(file))).map_err(Failure::usage)?;
    fits(&understood, args.workers.unwrap_or_else(cores), args.memory)?;
    let id = args.out.as_deref().and_then(|out| id_of(out, &understood.spec.name));
    let id = id.unwrap_or_else(|| new_run_id(&understood.spec.name));
    let folder = args.out.clone().unwrap_or_else(|| args.under.join(&*id.0));
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

/// The id of a run whose folder is called as runs are: its name and six characters.
fn id_of(folder: &Path, name: &str) -> Option<RunId> {
    let called = folder.file_name()?.to_str()?;
    let suffix = called.strip_prefix(name)?.strip_prefix('-')?;
    let is_ours = suffix.len() == 6 && suffix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    is_ours.then(|| RunId(called.into()))
}

/// Whether a folder holds only what a `tumble run` leaves that was killed before its run was recorded: a state folder
/// whose journal knows no run, and no part. It has nothing that could be lost, so that the same command may be given again.
/// The function that the run evaluates may lie there before.
fn holds_nothing_yet(folder: &Path) -> bool {
    let is_empty = |path: &Path| std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    if entries.flatten().all(|entry| entry.file_name() == runfile::CODE) {
        return true;
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    let only_ours = entries.into_iter().all(|entry| {
        entry.is_ok_and(|entry| match entry.file_name().to_str() {
            Some(STATE) => entry.path().is_dir(),
            Some("trials") => is_empty(&entry.path()),
            Some(runfile::CODE) => true,
            // Files that were to travel with it come first of all.
            Some(kept::FOLDER | kept::UNFINISHED) => true,
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
fn resumed(args: &RunArgs, known: &Known, output: Output) -> Result<(Understood, PathBuf, RunId), Failure> {
    let folder = args.out.as_deref().expect("clap requires it with --resume");
    let recorded_path = folder.join("run.toml");
    if !recorded_path.exists() {
        return Err(Failure::usage(format!(
            "{} holds no run to resume (there is no run.toml in it); begin one without --resume",
            folder.display()
        )));
    }
    let recorded = runfile::read_recorded(&recorded_path, &[], known, output)?;
    if args.file.is_some() || !args.file_args.overrides.is_empty() {
        let given = match &args.file {
            Some(file) => {
                runfile::read_here(file, args.here.here.as_deref(), &args.file_args.overrides, known, output)?
            }
            None => runfile::read_recorded(&recorded_path, &args.file_args.overrides, known, output)?,
        };
        let (ours, theirs) = (
            tumble_runfile::canonical(&recorded.spec, &recorded.inner),
            tumble_runfile::canonical(&given.spec, &given.inner),
        );
        if ours != theirs {
            let differing = ours.lines().zip(theirs.lines()).find(|(was, is)| was != is);
            let beside = args.file.as_deref().map_or(folder, runfile::folder_of);
            let files = bundle::differing(folder, recorded.spec.bundle.as_ref(), beside, given.spec.bundle.as_ref());
            let how = match (files, differing) {
                // Hashes say nothing to a person.
                (Some(files), Some((was, _))) if was.starts_with("bundle_hash") => format!(": {files} since"),
                (_, Some((was, is))) => format!(": there `{was}`, here `{is}`"),
                (_, None) => String::new(),
            };
            let (what, leave) = what_differs(args);
            return Err(Failure::usage(format!(
                "{what} is not the run in {}{how}; leave {leave} out to go on with the recorded one",
                folder.display()
            )));
        }
    }
    fits(&recorded, args.workers.unwrap_or_else(cores), args.memory)?;
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
