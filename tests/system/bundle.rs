//! Bundles: code and data that workers lack travel with a run, are held against their hashes, and are gone afterwards.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};
use tumble_bundle::{Hash, Manifest};
use tumble_proto::access::{Access, SECRET_METADATA};
use tumble_proto::v1;
use tumble_proto::v1::blobs_client::BlobsClient;

use crate::tally::survived;
use crate::tumble::*;

/// Who submits has the code in `here`; workers start in `empty`, where nothing is.
struct Scene {
    place: Place,
}

/// One number of a file beside it, times what it is given, and a bit of the seed.
const PROGRAM: &str = "#!/bin/sh\n\
    awk -v x=\"$1\" -v seed=\"$2\" '{ printf \"{\\\"y\\\": %.17g}\\n\", x * $1 + seed % 1000 }' \"$TUMBLE_HERE/data/k.txt\"\n";

const RUN_FILE: &str = r#"
name = "own"
pipeline = "program"
replicates = 2
bundle = ["model.sh", "data/"]
[program]
command = ["./model.sh", "{x}", "{seed31}"]
metrics = ["y"]
[sweep]
design = "grid"
[sweep.axes]
x = { integers = [0, 9] }
"#;

impl Scene {
    fn new() -> Scene {
        let scene = Scene { place: Place::new() };
        for folder in ["here/data", "empty"] {
            fs::create_dir_all(scene.at(folder)).expect("the place is ours");
        }
        scene.executable("here/model.sh", PROGRAM);
        scene.place.file("here/data/k.txt", "2.5\n");
        scene.place.file("here/run.toml", RUN_FILE);
        scene
    }

    fn at(&self, path: &str) -> PathBuf {
        self.place.path().join(path)
    }

    fn executable(&self, name: &str, text: &str) {
        let path = self.place.file(name, text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    }

    /// Starts a command in a folder, with a cache of this name.
    fn start(&self, folder: &str, cache: &str, line: &str) -> Process {
        let mut command = tumble();
        command.current_dir(self.at(folder)).env("TUMBLE_CACHE", self.at(cache)).args(line.split_whitespace());
        Process::start(command)
    }

    /// Runs it to its end, with a cache of its own.
    fn run(&self, folder: &str, line: &str) -> Said {
        self.start(folder, "cache-of-clients", line).said()
    }

    /// What a run on this machine gives.
    fn local(&self) -> Results {
        self.run("here", "run run.toml --quiet --workers 2 --out ../local").exits(0);
        results(&self.at("local"))
    }

    /// A worker in the empty folder, which tells what it fetches.
    fn worker(&self, cache: &str) -> Process {
        self.worker_with("state/worker.access", cache)
    }

    fn worker_with(&self, access: &str, cache: &str) -> Process {
        let access = self.at(access).display().to_string();
        self.start("empty", cache, &format!("worker --log info --slots 1 --access {access}"))
    }

    /// The names in a folder; none where there is no folder.
    fn names(&self, folder: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.at(folder)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// The names of the folders in which the workers of a cache have laid files out.
    fn laid_out(&self, cache: &str) -> BTreeSet<String> {
        let of_workers = self.names(&format!("{cache}/laid-out"));
        of_workers
            .iter()
            .flat_map(|worker| self.names(&format!("{cache}/laid-out/{worker}")))
            .filter(|n| n != "lock")
            .collect()
    }
}

/// Asks a worker to leave; how many files and bytes it fetched for each run that was opened to it.
fn fetched(worker: Process) -> Vec<(u64, u64)> {
    worker.signal(Signal::SIGTERM);
    let said = worker.said().exits(0);
    let number = |line: &str, name: &str| -> u64 {
        let rest = line.split(&format!(" {name}=")).nth(1).unwrap_or_else(|| panic!("no {name} in {line}"));
        rest.split_whitespace().next().and_then(|number| number.parse().ok()).expect("it is a number")
    };
    let lines = said.stderr.lines().filter(|line| line.contains("the files of a run are here"));
    lines.map(|line| (number(line, "fetched"), number(line, "bytes"))).collect()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// Flips a bit in the middle of a file, whoever may write to it.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    fs::write(path, bytes).expect("it is ours");
}

#[test]
fn code_and_data_travel_to_workers_that_have_neither_and_give_the_table_of_a_local_run() {
    let scene = Scene::new();
    let local = scene.local();
    assert_each_trial_once(&scene.at("local"), 20);
    let coordinator = Coordinator::start(&scene.place, "127.0.0.1:0");
    let worker = scene.worker("cache");
    let first = coordinator.submit("here/run.toml");
    coordinator.client(&format!("wait {first}")).exits(0);
    assert_same(&results(&scene.at("runs").join(&first)), &local, "by a worker that has nothing");
    // The same files again: nothing is fetched, by this worker or by one that has just started.
    let second = coordinator.submit("here/run.toml");
    coordinator.client(&format!("wait {second}")).exits(0);
    let manifest = fs::metadata(scene.at("local/bundle/manifest.txt")).expect("a run keeps it").len();
    let all = manifest + PROGRAM.len() as u64 + "2.5\n".len() as u64;
    assert_eq!(fetched(worker), [(2, all), (0, 0)]);
    let (another, stranger) = (scene.worker("cache"), scene.worker("another-cache"));
    until("the third run is over", || {
        let third = coordinator.submit("here/run.toml --key third");
        (coordinator.client(&format!("status {third} --output json")).json()["state"] == "finished").then_some(())
    });
    assert_eq!(fetched(another), [(0, 0)]);
    assert!(fetched(stranger).iter().all(|(files, bytes)| (*files, *bytes) == (2, all)));
    // Nothing is left of what was laid out, and everything that stays is its owner's alone.
    assert!(scene.laid_out("cache").is_empty() && scene.names("cache/laid-out").is_empty());
    for (folder, files) in [("state/blobs", 3), ("cache/blobs", 3)] {
        assert_eq!((mode(&scene.at(folder)), scene.names(folder).len()), (0o700, files), "{folder}");
        for name in scene.names(folder) {
            assert_eq!(mode(&scene.at(folder).join(&name)), 0o600, "{folder}/{name}");
        }
    }
    let kept = scene.at("runs").join(&first).join("bundle/files");
    assert_eq!((mode(&kept), mode(&kept.join("model.sh")), mode(&kept.join("data/k.txt"))), (0o700, 0o500, 0o400));
    // With the next start the coordinator lets go of what no run needs any more.
    coordinator.stop();
    let _coordinator = Coordinator::start(&scene.place, "127.0.0.1:0");
    until("the files are gone", || scene.names("state/blobs").is_empty().then_some(()));
    // A run's folder has all that it takes to evaluate it again, wherever that is done.
    fs::remove_dir_all(scene.at("here")).expect("it is ours");
    for folder in ["local".to_owned(), format!("runs/{second}")] {
        let said = scene.run("empty", &format!("verify ../{folder} --sample 100%")).exits(0);
        assert!(said.stdout.contains("20 of 20 trials evaluated again, all the same"), "{said:?}");
        scene.run("empty", &format!("replay ../{folder} --trial 3")).exits(0);
    }
    assert!(scene.names("cache-of-clients/laid-out").is_empty() && scene.names("empty").is_empty());
}

#[test]
fn a_function_travels_with_the_modules_and_the_data_that_it_reads() {
    if !crate::python::python_has("ctypes") {
        return;
    }
    let scene = Scene::new();
    scene.place.file(
        "here/model.py",
        "import os, helper\n\ndef evaluate(x: float, seed: int = 0):\n    \
         with open(os.path.join(\"data\", \"k.txt\")) as file:\n        k = float(file.read())\n    \
         return {\"y\": helper.scaled(x, k) + seed % 1000}\n\nMETRICS = [\"y\"]\n",
    );
    scene.place.file("here/helper.py", "def scaled(x, k):\n    return x * k\n");
    let run_file = RUN_FILE.replace("program", "python").replace("\"model.sh\"", "\"model.py\", \"helper.py\"");
    let run_file =
        run_file.replace("command = [\"./model.sh\", \"{x}\", \"{seed31}\"]", "entry = \"model.py:evaluate\"");
    scene.place.file("here/run.toml", &run_file);
    let local = scene.local();
    let coordinator = Coordinator::start(&scene.place, "127.0.0.1:0");
    let _worker = scene.worker("cache");
    let run = coordinator.submit("here/run.toml");
    coordinator.client(&format!("wait {run}")).exits(0);
    assert_same(&results(&scene.at("runs").join(&run)), &local, "by a worker that has nothing");
    scene.run("empty", "verify ../local --sample 100%").exits(0);
    // What was left out of the bundle is missing here as it would be there.
    scene.place.file("here/run.toml", &run_file.replace(", \"helper.py\"", ""));
    let mut alone = scene.start("here", "cache", "run run.toml --quiet --workers 1 --out ../alone");
    until("the worker says what is missing", || {
        let view = standing(&scene.at("alone/.tumble"), "last")?;
        view["reason"].as_str().filter(|reason| reason.contains("No module named 'helper'")).map(drop)
    });
    alone.kill_9();
}

/// A wire between a worker and its coordinator that lets so many bytes down to the worker, and no more.
struct Wire {
    address: String,
    bytes_left: Arc<AtomicU64>,
}

impl Wire {
    fn to(coordinator: &str, bytes: u64) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it listens").to_string();
        let (bytes_left, far) = (Arc::new(AtomicU64::new(bytes)), coordinator.to_owned());
        let left = bytes_left.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(&far) else { continue };
                let (mut up, mut down) = (near.try_clone().expect("it is open"), far.try_clone().expect("it is open"));
                let (mut near, mut far, left) = (near, far, left.clone());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut up, &mut far);
                    let _ = far.shutdown(std::net::Shutdown::Both);
                });
                std::thread::spawn(move || {
                    let mut buffer = vec![0; 16 * 1024];
                    loop {
                        let most = left.load(Ordering::SeqCst).min(buffer.len() as u64) as usize;
                        if most == 0 {
                            std::thread::sleep(Duration::from_millis(5));
                            continue;
                        }
                        let Ok(read @ 1..) = down.read(&mut buffer[..most]) else { break };
                        left.fetch_sub(read as u64, Ordering::SeqCst);
                        if near.write_all(&buffer[..read]).is_err() {
                            break;
                        }
                    }
                    let _ = near.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        Wire { address, bytes_left }
    }
}

/// Bytes that nothing packs.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn a_worker_and_a_coordinator_killed_while_files_are_fetched_go_on_where_they_were() {
    let scene = Scene::new();
    let large = 3 << 20;
    let bytes = noise(large);
    fs::write(scene.at("here/data/large"), &bytes).expect("the place is ours");
    // Small files grow as well, for a moment.
    let growing = scene.at("cache/blobs").join(format!("{}.part", Hash::of(&bytes)));
    // It goes first, and its end is needed.
    scene.executable(
        "here/model.sh",
        &PROGRAM.replace("awk", "tail -c 1 \"$TUMBLE_HERE/data/large\" >&2 || exit 1\nawk"),
    );
    let local = scene.local();
    let listen = free_address();
    let mut coordinator = Coordinator::start(&scene.place, &listen);
    let wire = Wire::to(&listen, 1 << 20);
    let access = fs::read_to_string(scene.at("state/worker.access")).expect("it is there");
    let access = scene.place.file("wire.access", &access.replace(&listen, &wire.address));
    fs::set_permissions(&access, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let run = coordinator.submit("here/run.toml");
    let mut worker = scene.worker_with("wire.access", "cache");
    let part = until("some of the large file has come", || {
        fs::metadata(&growing).ok().map(|about| about.len()).filter(|length| *length > 0)
    });
    assert!(part < large as u64);
    // It has said so, and it goes on to say that it lives.
    until("the run waits for files", || {
        let view = standing(coordinator.state(), &run)?;
        (view["reason"] == "workers fetch the files of its bundle").then_some(())
    });
    worker.kill_9();
    coordinator.kill_9();
    // As a put that was cut off leaves it.
    let unfinished = scene.at("state/blobs").join(format!("{}.1-0000000000000000.new", Hash::of(b"x")));
    fs::write(&unfinished, "half").expect("it is ours");
    let coordinator = Coordinator::start(&scene.place, &listen);
    assert!(!unfinished.exists(), "half a file is none");
    wire.bytes_left.store(1 << 40, Ordering::SeqCst);
    let worker = scene.worker_with("wire.access", "cache");
    coordinator.client(&format!("wait {run}")).exits(0);
    assert_same(&results(&scene.at("runs").join(&run)), &local, "killed while files were fetched");
    let fetched = fetched(worker);
    assert!(matches!(fetched[..], [(1..=3, bytes)] if bytes > 0 && bytes < large as u64), "{fetched:?} after {part}");
    // Nobody's death is blamed on a trial.
    assert!(texts(&scene.at("runs").join(&run), "outcome").iter().all(|outcome| outcome == "scored"));
    survived("a worker killed while it fetches files", 1);
    survived("a coordinator killed while files are fetched", 1);
}

/// As [`PROGRAM`], but it waits at a gate, and says that it is there.
fn gated(scene: &Scene) {
    let gate = scene.at("gate").display().to_string();
    let wait = format!(
        "[ \"$1\" -ge 5 ] && touch '{gate}-reached'\nwhile [ \"$1\" -ge 5 ] && [ ! -e '{gate}' ]; do sleep 0.05; done\nawk"
    );
    scene.executable("here/model.sh", &PROGRAM.replace("awk", &wait));
}

#[test]
fn a_run_with_files_that_is_killed_in_its_middle_goes_on_to_the_same_bytes() {
    let scene = Scene::new();
    gated(&scene);
    scene.place.file("gate", "");
    let calm = scene.local();
    let mut coordinator = Coordinator::start(&scene.place, "127.0.0.1:0");
    let at_gate = || {
        let _ = fs::remove_file(scene.at("gate"));
        let _ = fs::remove_file(scene.at("gate-reached"));
    };
    at_gate();
    let run = coordinator.submit("here/run.toml");
    let mut worker = scene.worker("cache");
    until("a trial waits at the gate", || scene.at("gate-reached").exists().then_some(()));
    assert_eq!(scene.laid_out("cache").len(), 1);
    worker.kill_9();
    coordinator.kill_9();
    assert_eq!(scene.laid_out("cache").len(), 1, "nobody was there to remove it");
    // The code may be gone where it was submitted: the run has its own.
    fs::remove_file(scene.at("here/model.sh")).expect("it is ours");
    let coordinator = Coordinator::start(&scene.place, "127.0.0.1:0");
    scene.place.file("gate", "");
    let worker = scene.worker("cache");
    coordinator.client(&format!("wait {run}")).exits(0);
    assert_same(&results(&scene.at("runs").join(&run)), &calm, "killed in its middle");
    assert_eq!(fetched(worker), [(0, 0)]);
    assert!(scene.names("cache/laid-out").is_empty(), "what the killed worker left is gone as well");
    // The same for a run on one machine, which is gone on with from its own folder.
    at_gate();
    gated(&scene);
    let mut local = scene.start("here", "cache", "run run.toml --quiet --workers 2 --out ../killed");
    until("a trial waits at the gate", || scene.at("gate-reached").exists().then_some(()));
    let workers = local.workers();
    local.signal(Signal::SIGSTOP);
    workers.iter().for_each(|worker| send(*worker, Signal::SIGKILL));
    local.kill_9();
    scene.place.file("gate", "");
    scene.place.file("here/data/k.txt", "7\n");
    // Other files would make another run.
    let said = scene.run("here", "run run.toml --quiet --resume --out ../killed").exits(2);
    assert!(said.stderr.contains("`data/k.txt` has changed"), "{said:?}");
    fs::remove_dir_all(scene.at("here/data")).expect("it is ours");
    scene.run("empty", "run --quiet --resume --out ../killed").exits(0);
    assert_same(&results(&scene.at("killed")), &calm, "killed with all that belongs to it");
    // And for one that grows.
    scene.run("empty", "extend ../killed --quiet --set replicates=3").exits(0);
    assert_each_trial_once(&scene.at("killed"), 30);
    scene.run("empty", "verify ../killed --sample 100%").exits(0);
    survived("a run with files killed in its middle", 2);
}

#[test]
fn files_that_are_damaged_where_they_are_kept_are_noticed_and_nothing_is_made_of_them() {
    let scene = Scene::new();
    let local = scene.local();
    let coordinator = Coordinator::start(&scene.place, "127.0.0.1:0");
    let code = Hash::of(PROGRAM.as_bytes()).to_string();
    // In the coordinator's folder: it is put back from the run's.
    let run = coordinator.submit("here/run.toml");
    damage(&scene.at("state/blobs").join(&code));
    let worker = scene.worker("cache");
    coordinator.client(&format!("wait {run}")).exits(0);
    assert_same(&results(&scene.at("runs").join(&run)), &local, "damaged at the coordinator");
    // In the worker's cache: it is fetched again.
    damage(&scene.at("cache/blobs").join(&code));
    let run = coordinator.submit("here/run.toml");
    coordinator.client(&format!("wait {run}")).exits(0);
    assert_same(&results(&scene.at("runs").join(&run)), &local, "damaged at the worker");
    assert_eq!(fetched(worker).iter().map(|(files, _)| *files).collect::<Vec<_>>(), [2, 1]);
    // Wherever the coordinator has it: nobody evaluates, and the run says why.
    let run = coordinator.submit("here/run.toml");
    damage(&scene.at("state/blobs").join(&code));
    damage(&scene.at("runs").join(&run).join("bundle/files/model.sh"));
    let worker = scene.worker("fresh-cache");
    until("the run says what is damaged", || {
        let view = standing(coordinator.state(), &run)?;
        let reason = view["reason"].as_str().unwrap_or_default();
        (reason.contains("`model.sh` of the bundle") && reason.contains("damaged")).then(|| {
            assert_eq!(view["trials_done"], 0, "{view:#}");
        })
    });
    coordinator.client(&format!("cancel {run}")).exits(0);
    // Who submits again puts it again, though its name is there.
    let run = coordinator.submit("here/run.toml");
    coordinator.client(&format!("wait {run}")).exits(0);
    assert_same(&results(&scene.at("runs").join(&run)), &local, "submitted again");
    drop(worker);
    // In a run's folder: it is named.
    damage(&scene.at("runs").join(&run).join("bundle/files/data/k.txt"));
    let said = scene.run("empty", &format!("verify ../runs/{run} --sample 100%")).exits(2);
    assert!(said.stderr.contains("`data/k.txt` of the bundle has changed"), "{said:?}");
    scene.run("empty", &format!("verify ../runs/{run} --sample 100% --here ../here")).exits(0);
    let said = scene.run("empty", &format!("check ../runs/{run}/run.toml")).exits(2);
    assert!(said.stderr.contains("`data/k.txt` of the bundle has changed"), "{said:?}");
    // Where it was: a run file that has its hash is refused with the file that changed.
    fs::copy(scene.at("local/run.toml"), scene.at("here/recorded.toml")).expect("it is there");
    scene.run("here", "check recorded.toml").exits(0);
    scene.place.file("here/data/k.txt", "2.6\n");
    let said = scene.start("here", "cache", "check recorded.toml").said().exits(2);
    assert!(said.stderr.contains("`data/k.txt` has changed") && said.stderr.contains("remove the line"), "{said:?}");
    survived("a file of a bundle damaged where it is kept", 4);
}

/// A client of the protocol itself.
struct Caller {
    client: BlobsClient<tonic::transport::Channel>,
    secret: String,
}

impl Caller {
    async fn with(access: &Path) -> Caller {
        let Access { address, secret } = Access::read(access).expect("the coordinator wrote it");
        Caller { client: BlobsClient::connect(address).await.expect("it listens"), secret }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert(SECRET_METADATA, MetadataValue::try_from(&self.secret).expect("it is text"));
        request
    }

    async fn put(&mut self, hash: Hash, length: u64, bytes: &[u8]) -> Result<(), Status> {
        let blob = Some(v1::Blob { hash: hash.bytes().to_vec(), length });
        let piece = v1::PutPiece { blob, bytes: bytes.to_vec().into() };
        let request = self.request(tokio_stream::iter([piece]));
        self.client.put(request).await.map(drop)
    }

    async fn get(&mut self, run: &str, hash: Hash, offset: u64) -> Result<Vec<u8>, Status> {
        let hash = hash.bytes().to_vec();
        let request = self.request(v1::GetRequest { run: run.to_owned(), hash, offset });
        let mut pieces = self.client.get(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.message().await? {
            bytes.extend_from_slice(&piece.bytes);
        }
        Ok(bytes)
    }
}

#[test]
fn who_may_put_gets_nothing_and_who_may_get_puts_nothing_and_nobody_gets_more_than_a_run_names() {
    let scene = Scene::new();
    let coordinator = Coordinator::start(&scene.place, "127.0.0.1:0");
    // Without a bundle nothing travels, and no folder is made for it.
    let without = RUN_FILE.replace("bundle = [\"model.sh\", \"data/\"]", "");
    scene.place.file("here/without.toml", &without);
    let mut there = tumble();
    there.current_dir(scene.at("here")).env("TUMBLE_CACHE", scene.at("cache"));
    there.args([OsStr::new("worker"), OsStr::new("--slots"), OsStr::new("1"), OsStr::new("--access")]);
    let there = Process::start({
        there.arg(scene.at("state/worker.access"));
        there
    });
    let run = coordinator.submit("here/without.toml");
    coordinator.client(&format!("wait {run}")).exits(0);
    assert!(!scene.at("state/blobs").exists() && !scene.at("cache").exists());
    assert!(!scene.at("runs").join(&run).join("bundle").exists());
    drop(there);

    let run = coordinator.submit("here/run.toml");
    let code = Hash::of(PROGRAM.as_bytes());
    let manifest = fs::read(scene.at("runs").join(&run).join("bundle/manifest.txt")).expect("a run keeps it");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(async {
        let mut worker = Caller::with(&scene.at("state/worker.access")).await;
        let mut client = Caller::with(&scene.at("state/client.access")).await;
        let mut nobody = Caller { secret: "0".repeat(64), client: client.client.clone() };
        let evil = Hash::of(b"evil");
        let denied = |result: Result<Vec<u8>, Status>, code: Code, why: &str| {
            let status = result.expect_err(why);
            assert!(status.code() == code && status.message().contains(why), "{status:?} instead of {why}");
        };
        let nothing = |()| Vec::new();
        denied(worker.put(evil, 4, b"evil").await.map(nothing), Code::PermissionDenied, "only a client may put files");
        denied(nobody.put(evil, 4, b"evil").await.map(nothing), Code::Unauthenticated, "does not know you");
        let lack = worker.request(v1::LackRequest { blobs: Vec::new() });
        assert_eq!(worker.client.lack(lack).await.expect_err("it may not").code(), Code::PermissionDenied);
        denied(client.get(&run, code, 0).await, Code::PermissionDenied, "only a worker gets files");
        denied(nobody.get(&run, code, 0).await, Code::Unauthenticated, "does not know you");
        assert_eq!(worker.get(&run, code, 0).await.expect("the run names it"), PROGRAM.as_bytes());
        assert_eq!(worker.get(&run, code, 10).await.expect("the run names it"), PROGRAM.as_bytes()[10..]);
        assert_eq!(worker.get(&run, Hash::of(&manifest), 0).await.expect("it is the run's"), manifest);
        denied(worker.get(&run, code, 1 << 20).await, Code::InvalidArgument, "offset");
        denied(worker.get("own-nobody", code, 0).await, Code::FailedPrecondition, "is not open");
        // There, but no file of this run.
        client.put(evil, 4, b"evil").await.expect("a client may");
        denied(worker.get(&run, evil, 0).await, Code::PermissionDenied, "no file of the run's bundle");
        // What is other than its hash or its length, or too long, is not kept.
        let before = scene.names("state/blobs");
        let right = Hash::of(b"right");
        for (length, bytes, why) in [
            (5, &b"wrong"[..], "another hash"),
            (5, b"righter", "another length"),
            (5, b"rig", "another length"),
            (u64::MAX, b"", "more than"),
        ] {
            denied(client.put(right, length, bytes).await.map(nothing), Code::InvalidArgument, why);
        }
        let request = client.request(tokio_stream::iter([v1::PutPiece { blob: None, bytes: b"x".to_vec().into() }]));
        assert_eq!(client.client.put(request).await.expect_err("of no file").code(), Code::InvalidArgument);
        until("nothing of them is left", || (scene.names("state/blobs") == before).then_some(()));
        // A run is taken only when its files are there, and make a bundle.
        for (files, why) in [
            (format!("{evil} 4 - ../x\n"), "makes no sense"),
            (format!("{evil} 4 - /x\n"), "makes no sense"),
            (format!("{evil} 4 - x\n{evil} 4 - x\n"), "makes no sense"),
            (format!("{evil} 4 - model.sh\n{right} 5 - x\n"), "lacks `x` of the bundle"),
        ] {
            let list = format!("tumble-bundle 1\n{files}");
            let hash = Hash::of(list.as_bytes());
            client.put(hash, list.len() as u64, list.as_bytes()).await.expect("a client may");
            denied(
                submit(&scene, &hash.to_string()).await,
                if why == "makes no sense" { Code::InvalidArgument } else { Code::FailedPrecondition },
                why,
            );
        }
        denied(
            submit(&scene, &right.to_string()).await,
            Code::FailedPrecondition,
            "lacks the list of the bundle's files",
        );
        assert!(Manifest::parse(&manifest).is_ok());
    });
    coordinator.client(&format!("cancel {run}")).exits(0);
    runtime.block_on(async {
        let mut worker = Caller::with(&scene.at("state/worker.access")).await;
        until("the run is over for workers", || {
            let view = standing(coordinator.state(), &run)?;
            (view["state"] == "cancelled").then_some(())
        });
        let status = worker.get(&run, code, 0).await.expect_err("the run is over");
        assert_eq!(status.code(), Code::FailedPrecondition);
    });
}

/// Submits a run file of this bundle by the protocol itself.
async fn submit(scene: &Scene, hash: &str) -> Result<Vec<u8>, Status> {
    let Access { address, secret } = Access::read(&scene.at("state/client.access")).expect("it is there");
    let run_toml = RUN_FILE.replace("data/\"]", &format!("data/\"]\nbundle_hash = \"{hash}\""));
    let pipeline = tumble_runfile::open_pipelines().into_iter().find(|pipeline| pipeline.name == "program");
    let pipeline = Some(tumble_proto::describe::to_wire(&pipeline.expect("it is there")));
    let mut request = Request::new(v1::SubmitRequest { key: hash.to_owned(), run_toml, pipeline });
    request.metadata_mut().insert(SECRET_METADATA, MetadataValue::try_from(&secret).expect("it is text"));
    let mut client = v1::runs_client::RunsClient::connect(address).await.expect("it listens");
    client.submit(request).await.map(|_| Vec::new())
}

#[test]
fn what_cannot_travel_is_told_before_anything_runs() {
    let scene = Scene::new();
    std::os::unix::fs::symlink("/etc/hosts", scene.at("here/data/out")).expect("the place is ours");
    for command in ["check run.toml", "run run.toml --out ../out"] {
        let said = scene.run("here", command).exits(2);
        assert!(said.stderr.contains("`data/out` leads out of the folder of the run file, to /etc/hosts"), "{said:?}");
        assert!(said.stderr.contains("run.toml:5:23"), "{said:?}");
    }
    assert!(!scene.at("out").exists() && !scene.at("cache-of-clients").exists());
    fs::remove_file(scene.at("here/data/out")).expect("it is ours");
    fs::set_permissions(scene.at("here/model.sh"), fs::Permissions::from_mode(0o644)).expect("it is ours");
    let said = scene.run("here", "run run.toml --out ../out").exits(2);
    assert!(said.stderr.contains("is not executable; make it so with `chmod +x"), "{said:?}");
}
