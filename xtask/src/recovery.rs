//! How long a coordinator that was killed takes until somebody holds trials again: a sweep of many trials, half of them done, by real
//! processes. Prints the row of docs/performance.md.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

type Error = Box<dyn std::error::Error>;

/// How often it is looked how things stand.
const LOOK_EVERY: Duration = Duration::from_millis(2);
const WORKERS: usize = 2;

/// Takes `[--trials N] [--binary PATH]`; without a binary, builds a release.
pub(crate) fn run(arguments: &[String]) -> Result<(), Error> {
    let (mut trials, mut binary) = (10_000_000, None);
    for pair in arguments.chunks(2) {
        match pair {
            [flag, value] if flag == "--trials" => trials = value.parse()?,
            [flag, value] if flag == "--binary" => binary = Some(std::path::absolute(value)?),
            _ => return Err("usage: cargo xtask recovery [--trials N] [--binary PATH]".into()),
        }
    }
    let binary = binary.map_or_else(built, Ok)?;
    println!("| plan | trials | done | journal | to listening | to the next lease |");
    println!("|---|---|---|---|---|---|");
    for (plan, file) in [("sweep", sweep(trials)), ("evolution", evolution(trials))] {
        let place = std::env::temp_dir().join(format!("tumble-recovery-{plan}-{}", std::process::id()));
        std::fs::create_dir_all(&place)?;
        let row = Place { folder: place.clone(), binary: binary.clone() }.measure(plan, trials, &file);
        std::fs::remove_dir_all(&place)?;
        println!("{}", row?);
    }
    Ok(())
}

fn built() -> Result<PathBuf, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = ["build", "--release", "--quiet", "-p", "tumble-cli", "--message-format", "json"];
    let output = Command::new(cargo).args(build).stderr(Stdio::inherit()).output()?;
    let messages = String::from_utf8(output.stdout)?;
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let path = artifacts.filter_map(|message| Some(message["executable"].as_str()?.to_owned())).next_back();
    path.map(PathBuf::from).ok_or_else(|| "the release cannot be built".into())
}

fn sweep(trials: u64) -> String {
    format!(
        "name = \"recovery\"\npipeline = \"benchmark-functions\"\n[config]\nfunction = \"sphere\"\ndimension = 2\n\
         [sweep]\ndesign = \"random\"\npoints = {trials}\n[sweep.axes]\nx1 = {{ linear = [-5.0, 5.0] }}\n"
    )
}

fn evolution(trials: u64) -> String {
    format!(
        "name = \"recovery\"\npipeline = \"benchmark-functions\"\n[config]\nfunction = \"sphere\"\ndimension = 10\n\
         [evolve]\nstrategy = \"open-ai-es\"\npopulation = 10000\ngenerations = {}\nstart = 1.0\n",
        trials.div_ceil(10_000)
    )
}

/// Processes that are killed when they are let go.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Place {
    folder: PathBuf,
    binary: PathBuf,
}

impl Place {
    fn tumble(&self, line: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.folder).args(line.split_whitespace()).stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Starts a coordinator and waits until it says that it listens; gives its address.
    fn coordinator(&self, listen: &str) -> Result<(Killed, String), Error> {
        let line = format!("coordinator --state state --out runs --output json --listen {listen}");
        let mut child = self.tumble(&line).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("its output is piped")?);
        let (coordinator, mut text) = (Killed(child), String::new());
        loop {
            if lines.read_line(&mut text)? == 0 {
                return Err("the coordinator ended".into());
            }
            if let Ok(said) = serde_json::from_str::<Value>(&text) {
                let address = said["address"].as_str().ok_or("it names its address")?;
                return Ok((coordinator, address.to_owned()));
            }
        }
    }

    fn status(&self) -> Result<Value, Error> {
        let line = "status last --output json --access state/client.access";
        let output = self.tumble(line).output()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// How the run stands while it goes on.
    fn going_on(&self) -> Result<Value, Error> {
        let status = self.status()?;
        match status["state"].as_str() {
            Some("finishing" | "finished") => Err("the run was over too soon; take more --trials".into()),
            _ => Ok(status),
        }
    }

    fn measure(&self, plan: &str, trials: u64, file: &str) -> Result<String, Error> {
        std::fs::write(self.folder.join("run.toml"), file)?;
        let (coordinator, address) = self.coordinator("127.0.0.1:0")?;
        let submit = self.tumble("submit run.toml --access state/client.access").stdout(Stdio::null()).status()?;
        if !submit.success() {
            return Err("the run is not taken".into());
        }
        let worker = || self.tumble("worker --slots 1 --access state/worker.access").stdout(Stdio::null()).spawn();
        let workers: Vec<Killed> = (0..WORKERS).map(|_| worker().map(Killed)).collect::<Result<_, _>>()?;
        while self.going_on()?["trials_done"].as_u64().ok_or("it counts")? < trials / 2 {
            std::thread::sleep(Duration::from_millis(100));
        }
        drop(coordinator);
        let journal = bytes_under(&self.folder.join("state"), "journal")?;
        let since = Instant::now();
        let (_coordinator, _) = self.coordinator(&address)?;
        let listening = since.elapsed();
        let done = self.status()?["trials_done"].as_u64().ok_or("it counts")?;
        // A run is `running` when somebody holds a lease of it: who came back with it, or was granted it.
        while self.going_on()?["state"] != "running" {
            std::thread::sleep(LOOK_EVERY);
        }
        let granted = since.elapsed();
        drop(workers);
        Ok(format!(
            "| {plan} | {trials} | {done} | {:.1} MB | {:.2} s | {:.2} s |",
            journal as f64 / 1e6,
            listening.as_secs_f64(),
            granted.as_secs_f64(),
        ))
    }
}

fn bytes_under(folder: &Path, prefix: &str) -> Result<u64, Error> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
