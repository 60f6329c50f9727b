//! `tumble extend`: more replicates, points or generations for a run that is complete, in its folder.
//!
//! The longer run grows in a folder beside the old one, which nothing is taken from until the new one is complete; then
//! they change places. Whatever kills it on the way, the same command goes on.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use tumble_bundle::kept;
use tumble_coordinator::extend::{ExtendError, begin, check};
use tumble_coordinator::folder::new_run_id;
use tumble_runfile::Understood;
use tumble_worker::process::cores;

use crate::args::ExtendArgs;
use crate::client::exit_of;
use crate::commands::run::{FAILED, Local, OVER, STATE, carry_out, fits, remembered_worker};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::own::Known;
use crate::result;
use crate::runfile;

/// What belongs to a run in its folder; whatever else is there is the user's, and stays.
const OURS: [&str; 12] = [
    "trials",
    "run.toml",
    "generations.parquet",
    "attempts.parquet",
    "champion.json",
    "champion.npy",
    "summary.json",
    kept::FOLDER,
    kept::UNFINISHED,
    FAILED,
    OVER,
    STATE,
];

/// The folders of an extension, side by side, so that a rename moves them.
struct Places {
    /// The run.
    run: PathBuf,
    /// The longer run while it is not complete.
    growing: PathBuf,
    /// The old run while the two change places.
    before: PathBuf,
}

pub(crate) async fn extend(args: ExtendArgs, output: Output) -> Result<Exit, Failure> {
    let places = Places::of(&args.folder)?;
    let remembered = || remembered_worker(&places.growing.join(STATE));
    let known = Known::of(args.own.worker.clone().or_else(remembered).as_deref())?;
    // A swap that was cut off is completed whatever is asked for now.
    let swapped = places.settle()?;
    let _lock = lock(&places.run)?;
    let asks = args.file.is_some() || !args.file_args.overrides.is_empty();
    if swapped && !asks {
        output.note(format!("{} is extended", places.run.display()));
        return result::show(&places.run, &known, output);
    }
    let under_way = places.growing.join(STATE).join("journal.sqlite").exists();
    let was = recorded(&places.run, &known, output)?;
    let is = if under_way {
        goes_on(&places, &args, asks, &known, output)?
    } else {
        begins(&places, &args, asks, &was, &known, output)?
    };
    let count = args.workers.unwrap_or_else(cores);
    fits(&is, count, args.memory)?;
    if !under_way {
        // What a killed extension left before its journal was whole has nothing that could be lost.
        remove(&places.growing)?;
        let state = places.growing.join(STATE);
        if let Err(error) = begin(&places.run, &was, &is, &places.growing, &state) {
            remove(&places.growing)?;
            return Err(failure(error));
        }
    }
    let local = Local {
        id: new_run_id(&is.spec.name),
        understood: is,
        here: match &args.file {
            Some(file) => Some(runfile::folder_of(file).to_owned()),
            None => runfile::begun_from(&places.run),
        },
        leash: false,
        files_of: Some(places.run.clone()),
        folder: places.growing.clone(),
        workers: count,
        worker: known.worker().map(Path::to_owned),
        memory: args.memory,
        go_on: format!("tumble extend {}", places.run.display()),
    };
    let Some(view) = carry_out(local, output).await? else { return Ok(Exit::Stopped) };
    places.settle()?;
    result::show(&places.run, &known, output)?;
    Ok(exit_of(&view))
}

/// What an extension is asked for that begins now.
fn begins(
    places: &Places,
    args: &ExtendArgs,
    asks: bool,
    was: &Understood,
    known: &Known,
    output: Output,
) -> Result<Understood, Failure> {
    let run = places.run.display();
    if places.run.join(STATE).exists() || !places.run.join("summary.json").exists() {
        return Err(Failure::usage(format!(
            "the run in {run} is not complete; complete it first with `tumble run --resume --out {run}`"
        )));
    }
    if !asks {
        return Err(Failure::usage(format!(
            "say what to add, as in `tumble extend {run} --set replicates=8`, `--set sweep.points=2000` or \
             `--set evolve.generations=600`"
        )));
    }
    let is = asked(places, args, known, output)?;
    check(was, &is).map_err(failure)?;
    Ok(is)
}

/// What the extension that is under way was asked for; what is asked now must be the same.
fn goes_on(
    places: &Places,
    args: &ExtendArgs,
    asks: bool,
    known: &Known,
    output: Output,
) -> Result<Understood, Failure> {
    let growing = recorded(&places.growing, known, output)?;
    if asks {
        let is = asked(places, args, known, output)?;
        let text = |understood: &Understood| tumble_runfile::canonical(&understood.spec, &understood.inner);
        if text(&is) != text(&growing) {
            let (run, beside) = (places.run.display(), places.growing.display());
            return Err(Failure::usage(format!(
                "another extension of {run} is under way; complete it with `tumble extend {run}`, or remove {beside}"
            )));
        }
    }
    Ok(growing)
}

fn recorded(folder: &Path, known: &Known, output: Output) -> Result<Understood, Failure> {
    // What it recorded says it all: neither its code nor its files are asked for, which a killed extension may not have yet.
    runfile::read_recorded(&folder.join("run.toml"), &[], known, Output { quiet: true, ..output })
}

fn asked(places: &Places, args: &ExtendArgs, known: &Known, output: Output) -> Result<Understood, Failure> {
    // A function is asked again where the run was begun, as far as that is known, or where the command is given; one that travelled
    // lies in the run's folder.
    let travelled = places.run.join(kept::FOLDER).is_dir();
    let begun_from = match args.file.is_some() || travelled {
        true => None,
        false => Some(runfile::begun_from(&places.run).unwrap_or_else(|| PathBuf::from("."))),
    };
    let file = args.file.clone().unwrap_or_else(|| places.run.join("run.toml"));
    runfile::read(&file, begun_from.as_deref(), &args.file_args.overrides, known, output)
}

fn failure(error: ExtendError) -> Failure {
    match error {
        ExtendError::Refused(_) | ExtendError::Table(_) => Failure::usage(error),
        ExtendError::Journal(_) | ExtendError::File { .. } => {
            Failure { exit: Exit::Stopped, message: error.to_string() }
        }
    }
}

/// Keeps other extensions of the same run away for as long as the file is open.
fn lock(run: &Path) -> Result<File, Failure> {
    let path = run.join("run.toml");
    let file = File::open(&path)
        .map_err(|error| Failure::usage(format!("{} holds no run: {}: {error}", run.display(), path.display())))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(Failure::usage(format!("another process extends {} at the moment", run.display())))
        }
        // Some network file systems know no locks; the journal's own keeps two coordinators apart there.
        _ => Ok(file),
    }
}

fn remove(folder: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unusable(folder, &error)),
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::rename(from, to).map_err(|error| unusable(from, &error))
}

/// What is there stays there, and the same command goes on when the cause is gone.
fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure { exit: Exit::Stopped, message: format!("failed to use {}: {error}", path.display()) }
}

impl Places {
    fn of(folder: &Path) -> Result<Places, Failure> {
        // A link is followed, or the link would be renamed and not the run.
        let run = fs::canonicalize(folder).or_else(|_| std::path::absolute(folder));
        let run = run.map_err(|error| Failure::usage(format!("{} cannot be used: {error}", folder.display())))?;
        let Some(name) = run.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            return Err(Failure::usage(format!("{} is no run's folder", folder.display())));
        };
        let beside = |suffix: &str| run.with_file_name(format!("{name}.{suffix}"));
        Ok(Places { growing: beside("extending"), before: beside("before-extension"), run })
    }

    /// Has a longer run that is complete take the old one's place; `true` if there was one. Each step can be the last
    /// before a kill: the next call goes on from it.
    fn settle(&self) -> Result<bool, Failure> {
        // The journal of a run that is complete is tidied away, and that may have been cut off as well.
        let state = self.growing.join(STATE);
        if self.growing.join("summary.json").exists() && !state.join("journal.sqlite").exists() {
            remove(&state)?;
            if self.run.exists() {
                rename(&self.run, &self.before)?;
            }
            rename(&self.growing, &self.run)?;
        }
        if !self.before.exists() {
            return Ok(false);
        }
        for entry in fs::read_dir(&self.before).map_err(|error| unusable(&self.before, &error))? {
            let entry = entry.map_err(|error| unusable(&self.before, &error))?;
            let kept = self.run.join(entry.file_name());
            if !entry.file_name().to_str().is_some_and(|name| OURS.contains(&name)) && !kept.exists() {
                rename(&entry.path(), &kept)?;
            }
        }
        remove(&self.before)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run's folder, and beside it a complete longer one.
    fn grown() -> (tempfile::TempDir, Places) {
        let place = tempfile::tempdir().expect("there is a temporary folder");
        let run = place.path().join("run");
        fs::create_dir(&run).expect("the place is ours");
        let places = Places::of(&run).expect("it is a folder");
        for (folder, what) in [(&places.run, "old"), (&places.growing, "new")] {
            fs::create_dir_all(folder.join("trials")).expect("the place is ours");
            for name in ["summary.json", "run.toml", "trials/part-00000.parquet"] {
                fs::write(folder.join(name), what).expect("the place is ours");
            }
        }
        fs::write(places.run.join("notes.txt"), "mine").expect("the place is ours");
        fs::write(places.run.join("trials/part-00001.parquet"), "old").expect("the place is ours");
        (place, places)
    }

    fn is_settled(places: &Places) {
        let read = |name: &str| fs::read_to_string(places.run.join(name)).unwrap_or_default();
        for name in ["summary.json", "run.toml", "trials/part-00000.parquet"] {
            assert_eq!(read(name), "new", "{name}");
        }
        assert_eq!((read("notes.txt"), read("trials/part-00001.parquet")), ("mine".into(), String::new()));
        assert!(!places.growing.exists() && !places.before.exists());
    }

    #[test]
    fn a_swap_that_is_cut_off_anywhere_is_completed() {
        let steps: [fn(&Places); 6] = [
            |p| fs::create_dir(p.growing.join(STATE)).unwrap(),
            |p| fs::remove_dir(p.growing.join(STATE)).unwrap(),
            |p| fs::rename(&p.run, &p.before).unwrap(),
            |p| fs::rename(&p.growing, &p.run).unwrap(),
            |p| fs::rename(p.before.join("notes.txt"), p.run.join("notes.txt")).unwrap(),
            |p| fs::remove_file(p.before.join("run.toml")).unwrap(),
        ];
        for cut in 0..steps.len() {
            let (_place, places) = grown();
            steps[..=cut].iter().for_each(|step| step(&places));
            assert!(places.settle().expect("nothing is in the way"));
            is_settled(&places);
            assert!(!places.settle().expect("nothing is in the way"), "there is nothing left to do");
            is_settled(&places);
        }
    }

    #[test]
    fn a_longer_run_that_is_not_complete_takes_no_place() {
        let (_place, places) = grown();
        fs::create_dir(places.growing.join(STATE)).unwrap();
        fs::write(places.growing.join(STATE).join("journal.sqlite"), "records").unwrap();
        assert!(!places.settle().expect("nothing is in the way"));
        fs::remove_dir_all(places.growing.join(STATE)).unwrap();
        fs::remove_file(places.growing.join("summary.json")).unwrap();
        assert!(!places.settle().expect("nothing is in the way"));
        assert_eq!(fs::read_to_string(places.run.join("run.toml")).unwrap(), "old");
    }
}
