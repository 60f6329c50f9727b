//! Disks that are full, folders that cannot be written or are gone, files that are cut or have a flipped bit: what happened
//! is said with its path, nothing acknowledged is lost, and the run goes on to the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::cases::*;
use crate::tally::survived;
use crate::tumble::*;

/// A file system of our own, in memory; gone when the test lets go of it.
struct Disk(PathBuf);

impl Disk {
    /// Of so many KiB, at a folder that is made. `None`, and a word about it, where mounting is not allowed.
    fn mounted(at: PathBuf, kibibytes: u32) -> Option<Disk> {
        fs::create_dir_all(&at).expect("the place is ours");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={kibibytes}k"), "tumble-test"]).arg(&at);
        match mount.output() {
            Ok(said) if said.status.success() => Some(Disk(at)),
            Ok(said) => {
                eprintln!("skipped: mounting is refused: {}", String::from_utf8_lossy(&said.stderr).trim());
                None
            }
            Err(error) => {
                eprintln!("skipped: there is no mount: {error}");
                None
            }
        }
    }

    /// Mounts it with another size, or as read-only; tried again while something is just being written.
    fn changed(&self, option: &str) {
        until("the disk can be changed", || {
            let mut mount = Command::new("mount");
            let said = mount.args(["-o", &format!("remount,{option}")]).arg(&self.0).output().expect("it was there");
            said.status.success().then_some(())
        });
    }

    fn unmounted(self) {}
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A run that had to stop says why and how to go on, and ends as one that can.
#[track_caller]
fn stopped(said: Said, words: &[&str]) {
    let said = said.exits(4);
    for word in words.iter().chain(&["what is acknowledged is kept", "tumble run --resume --out"]) {
        assert!(said.stderr.contains(word), "nothing is said of `{word}`: {said:#?}");
    }
}

/// Resumes and holds the results against those of a run that nothing happened to; gives what was said.
#[track_caller]
fn goes_on(place: &Place, run_file: &'static str, out: &str, when: &str) -> Said {
    let said = place.tumble(&format!("run --resume --workers 2 --out {out}")).exits(0);
    assert_same(&results(&place.path().join(out)), undisturbed(run_file), when);
    said
}

#[test]
fn a_full_disk_under_the_state_folder_stops_the_run_and_costs_nothing() {
    let place = Place::new();
    let folder = place.path().join("out");
    let Some(disk) = Disk::mounted(folder.join(".tumble"), 200) else { return };
    place.file("run-file.toml", LONG_SWEEP);
    let said = place.tumble("run run-file.toml --quiet --workers 2 --out out");
    stopped(said, &["the journal", ".tumble/journal.sqlite", "disk is full"]);
    // Room is made by moving it: what the full disk holds is all there is.
    let status = Command::new("cp").arg("-a").arg(folder.join(".tumble")).arg(folder.join("moved")).status().unwrap();
    assert!(status.success());
    disk.unmounted();
    fs::remove_dir_all(folder.join(".tumble")).unwrap();
    fs::rename(folder.join("moved"), folder.join(".tumble")).unwrap();
    goes_on(&place, LONG_SWEEP, "out", "after a full disk under the journal");
    survived("a full disk under the state folder", 1);
}

#[test]
fn a_full_disk_under_the_tables_stops_the_run_and_costs_nothing() {
    let place = Place::new();
    let folder = place.path().join("out");
    fs::create_dir_all(folder.join(".tumble")).unwrap();
    let Some(disk) = Disk::mounted(folder.join("trials"), 160) else { return };
    place.file("run-file.toml", LONG_SWEEP);
    let said = place.tumble("run run-file.toml --quiet --workers 2 --out out");
    stopped(said, &["trials/part-0", "No space left on device"]);
    disk.changed("size=64m");
    goes_on(&place, LONG_SWEEP, "out", "after a full disk under the tables");
    survived("a full disk under the tables", 1);
}

#[test]
fn a_folder_that_becomes_read_only_stops_the_run_and_costs_nothing() {
    let place = Place::new();
    let folder = place.path().join("out");
    fs::create_dir_all(folder.join(".tumble")).unwrap();
    let Some(disk) = Disk::mounted(folder.join("trials"), 65_536) else { return };
    place.file("run-file.toml", LONG_EVOLVE);
    let run = place.start("run run-file.toml --quiet --workers 2 --out out");
    under_way(&folder.join(".tumble"), "last", 0.0);
    disk.changed("ro");
    stopped(run.said(), &["trials/part-0", "Read-only file system"]);
    disk.changed("rw");
    goes_on(&place, LONG_EVOLVE, "out", "after a read-only folder");
    survived("a folder that becomes read-only", 1);
}

#[test]
fn a_state_folder_that_is_read_only_is_named_before_anything_begins() {
    let place = Place::new();
    let folder = place.path().join("out");
    let Some(disk) = Disk::mounted(folder.join(".tumble"), 1024) else { return };
    disk.changed("ro");
    place.file("run-file.toml", POINTS);
    let said = place.tumble("run run-file.toml --quiet --workers 1 --out out").exits(2);
    assert!(said.stderr.contains("failed to use the state folder"), "{said:#?}");
    assert!(said.stderr.contains("out/.tumble: Read-only file system"), "{said:#?}");
    assert!(!folder.join("run.toml").exists());
    survived("a state folder that is read-only", 1);
}

/// Begins a run, waits until it has two parts, and stops it as a person does: everything is in one journal then.
fn stopped_with_parts(place: &Place, run_file: &str, share: f64) -> PathBuf {
    place.file("run-file.toml", run_file);
    let folder = place.path().join("out");
    let run = place.start("run run-file.toml --quiet --workers 2 --out out");
    under_way(&folder.join(".tumble"), "last", share);
    // What is reported is written a little later.
    until("two parts are written", || (parts(&folder).len() >= 2).then_some(()));
    run.signal(Signal::SIGTERM);
    run.said().exits(4);
    folder
}

fn parts(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("trials")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut parts: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "parquet")).collect();
    parts.sort();
    parts
}

#[test]
fn a_part_that_is_deleted_or_cut_is_named_and_its_trials_are_evaluated_again() {
    for run_file in [LONG_SWEEP, LONG_EVOLVE] {
        let place = Place::new();
        let folder = stopped_with_parts(&place, run_file, 0.55);
        let parts = parts(&folder);
        fs::remove_file(&parts[0]).unwrap();
        let bytes = fs::read(&parts[1]).unwrap();
        fs::write(&parts[1], &bytes[..bytes.len() / 2]).unwrap();
        let said = goes_on(&place, run_file, "out", "a part deleted and one cut");
        for words in
            ["part-00000.parquet is gone", "part-00001.parquet cannot be used", "trials 0..4096", "trials 4096.."]
        {
            assert!(said.stderr.contains(words), "nothing is said of `{words}`: {said:#?}");
        }
        survived("a part deleted, a part cut in half", 2);
    }
}

#[test]
fn a_trials_folder_that_is_deleted_in_mid_run_is_noticed_before_the_tables_are_completed() {
    for run_file in [LONG_SWEEP, LONG_EVOLVE] {
        let place = Place::new();
        place.file("run-file.toml", run_file);
        let folder = place.path().join("out");
        let run = place.start("run run-file.toml --quiet --workers 2 --out out");
        until("a part is written", || parts(&folder).first().map(|_| ()));
        fs::remove_dir_all(folder.join("trials")).unwrap();
        stopped(run.said(), &["the trials 0..4096", "part-00000.parquet` is gone", "they are evaluated again"]);
        assert!(!folder.join("summary.json").exists(), "an incomplete table has no summary");
        let said = goes_on(&place, run_file, "out", "the trials deleted in mid-run");
        assert!(said.stderr.contains("trials 0..4096: they are evaluated again"), "{said:#?}");
        survived("`trials/` deleted in mid-run", 1);
    }
}

/// Wherever a bit flips: either the run goes on to the same bytes, or the journal is named and nothing is written.
#[test]
fn a_bit_that_flips_anywhere_in_the_journal_never_makes_a_wrong_table() {
    for run_file in [LONG_SWEEP, LONG_EVOLVE] {
        let place = Place::new();
        let folder = stopped_with_parts(&place, run_file, 0.5);
        let whole = fs::read(folder.join(".tumble/journal.sqlite")).unwrap();
        let far = whole.len();
        for at in [1, 4096 + 3, far / 4, far / 2, 3 * far / 4, far - 20] {
            let name = format!("flipped-{at}");
            let copy = place.path().join(&name);
            assert!(Command::new("cp").arg("-a").arg(&folder).arg(&copy).status().unwrap().success());
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(copy.join(".tumble/journal.sqlite"), bytes).unwrap();
            let before = results(&copy);
            let said = place.tumble(&format!("run --resume --workers 2 --out {name}"));
            match said.code {
                Some(0) => assert_same(&results(&copy), undisturbed(run_file), &format!("byte {at} of {far}")),
                _ => {
                    for word in [".tumble/journal.sqlite", "damaged", "begin the run anew"] {
                        assert!(said.stderr.contains(word), "byte {at} of {far}: nothing of `{word}`: {said:#?}");
                    }
                    assert_same(&results(&copy), &before, "a journal that cannot be used");
                }
            }
            survived("a bit flipped in the journal's file", 1);
        }
    }
}

/// A run that was killed before it was recorded left a folder that could be neither resumed nor used.
#[test]
fn a_folder_that_a_killed_run_left_before_it_was_recorded_is_taken_again() {
    let place = Place::new();
    place.file("run-file.toml", POINTS);
    let folder = place.path().join("out");
    fs::create_dir_all(folder.join(".tumble")).unwrap();
    fs::create_dir_all(folder.join("trials")).unwrap();
    place.file("out/.tumble/owner", "");
    // SQLite takes an empty file for a new database: so it lies there before the first transaction.
    place.file("out/.tumble/journal.sqlite", "");
    place.tumble("run run-file.toml --quiet --workers 1 --out out").exits(0);
    assert_same(&results(&folder), undisturbed(POINTS), "in a folder that was left behind");
    // Anything else in it is somebody's.
    fs::create_dir_all(place.path().join("taken/.tumble")).unwrap();
    place.file("taken/notes.txt", "three years of work");
    let said = place.tumble("run run-file.toml --quiet --workers 1 --out taken").exits(2);
    assert!(said.stderr.contains("exists and is not empty"), "{said:#?}");
    survived("killed before the run was recorded", 1);
}
