//! The command line as it is typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum, ValueHint};
use tumble_runfile::Override;
use tumble_worker::process::{WorkerArgs, default_state, parse_duration};

/// Runs a million independent evaluations: evolves a population, or sweeps a model, over worker processes.
///
/// A run file (TOML) names a pipeline and what to try. `tumble run FILE` does everything on this machine; the other
/// commands run the same parts apart. Results are Parquet tables.
///
/// Exit codes: 0 complete, 1 internal error, 2 usage or invalid run file, 3 finished but some trials failed, 4 stopped
/// and can be resumed, 5 coordinator unreachable or refusing, 6 results disagree, 128+n signal n.
///
/// Whatever has an environment variable may also stand in a configuration file, `tumble/config.toml` in
/// `$XDG_CONFIG_HOME` or `~/.config`, or where `TUMBLE_CONFIG` says: `workers = 4` for TUMBLE_WORKERS. A flag goes before
/// the environment, and that before the file.
#[derive(Debug, Parser)]
#[command(name = "tumble", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// How results are printed: text for people, or one JSON value.
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Text, env = "TUMBLE_OUTPUT")]
    pub(crate) output: OutputFormat,

    /// No progress and no notes; results and errors only.
    #[arg(long, short, global = true, env = "TUMBLE_QUIET")]
    pub(crate) quiet: bool,

    /// How progress and notes are shown on stderr: for people, or one JSON object a line for programs.
    #[arg(long, global = true, value_enum, default_value_t = ProgressFormat::Auto, env = "TUMBLE_PROGRESS")]
    pub(crate) progress: ProgressFormat,

    /// What is logged to stderr: error, warn, info, debug, or a filter such as `tumble_coordinator=debug`.
    #[arg(long, global = true, default_value = "warn", env = "TUMBLE_LOG")]
    pub(crate) log: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressFormat {
    /// A bar on a terminal, lines in a log.
    Auto,
    /// One JSON object a line: started, progress, note, error.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a run file on this machine: a coordinator and worker processes, progress, tables, a summary.
    Run(RunArgs),
    /// Evaluate candidates that come on standard input, such as those of an optimiser of your own; answers on standard output.
    Pool(PoolArgs),
    /// Check a run file without running it: every problem with its place; trials, columns and size if there is none.
    Check(CheckArgs),
    /// List the pipelines, or describe one: parameters, metrics, source.
    Pipelines(PipelinesArgs),
    /// List the strategies of `[evolve]`, or describe one: parameters, defaults, cost, source.
    Strategies(NameArgs),
    /// List the designs of `[sweep]`, or describe one.
    Designs(NameArgs),
    /// Start a long-lived coordinator that takes runs from clients and lends them to workers.
    Coordinator(CoordinatorArgs),
    /// Start a worker that serves a coordinator until it is told to stop.
    Worker(WorkerArgs),
    /// Submit a run file to a coordinator; prints the run's id.
    Submit(SubmitArgs),
    /// List a coordinator's runs.
    List(ClientArgs),
    /// Show how one run stands.
    Status(RunNameArgs),
    /// Follow one run until it ends.
    Watch(RunNameArgs),
    /// Wait until a run ends, and exit as it did: 0, 3 or 6; or 4 if it was stopped or goes on after the timeout.
    Wait(WaitArgs),
    /// End a run now. What is complete of its tables stays.
    Cancel(RunNameArgs),
    /// Let a run that was stopped by its wall limit go on.
    Resume(RunNameArgs),
    /// Give a complete run more replicates, points or generations, keeping every row that it has.
    Extend(ExtendArgs),
    /// Show the results in a run's folder: the summary and a plot.
    Show(ShowArgs),
    /// Evaluate a sample of a run's trials again, here, and compare bit for bit; exit code 6 if any differs.
    Verify(VerifyArgs),
    /// Evaluate one trial of a run again, from its seed, and show what comes out beside what is recorded.
    Replay(ReplayArgs),
    /// Measure this machine: noise made, noise made and applied, and candidates evaluated in a second, against its memory.
    Bench(BenchArgs),
    /// Kill what a worker left running and remove its scratch folder, once standard input closes.
    #[command(hide = true)]
    Reap {
        /// What marks the worker's programs.
        token: String,
        /// Its scratch folder.
        scratch: PathBuf,
    },
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct FileArgs {
    /// Override a setting of the run file, as `evolve.sigma=0.5`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_override)]
    pub(crate) overrides: Vec<Override>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HereArgs {
    /// The folder that relative programs and functions mean; by default that of the run file.
    #[arg(long, value_hint = ValueHint::DirPath)]
    pub(crate) here: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OwnArgs {
    /// A worker binary of your own: its pipelines count, and it is what evaluates.
    #[arg(long, value_name = "PROGRAM", value_hint = ValueHint::ExecutablePath)]
    pub(crate) worker: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The run file. With `--resume` it may be left out: the folder has its own.
    #[arg(value_hint = ValueHint::FilePath, required_unless_present = "resume")]
    pub(crate) file: Option<PathBuf>,

    /// How many worker processes; by default one for each core that this process may use.
    #[arg(long, env = "TUMBLE_WORKERS", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) workers: Option<u32>,

    /// The folder for the tables; it must not exist. By default `runs/<name>-<id>`.
    #[arg(long, value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,

    /// Without `--out`: the folder under which the run gets its own.
    #[arg(long, value_hint = ValueHint::DirPath, default_value = "runs", conflicts_with = "out")]
    pub(crate) under: PathBuf,

    #[command(flatten)]
    pub(crate) file_args: FileArgs,

    #[command(flatten)]
    pub(crate) here: HereArgs,

    #[command(flatten)]
    pub(crate) own: OwnArgs,

    /// Stop as after Ctrl-C when standard input closes, so that a run never outlives the process that started it.
    #[arg(long, hide = true)]
    pub(crate) leash: bool,

    /// Complete the run in `--out` that was stopped or killed.
    #[arg(long, requires = "out")]
    pub(crate) resume: bool,

    /// How much memory strategies may need in all, as `16G`; by default what the machine or its cgroup has.
    #[arg(long, value_name = "BYTES", env = "TUMBLE_MEMORY", value_parser = crate::memory::parse)]
    pub(crate) memory: Option<u64>,
}

/// Evaluate candidates that come on standard input, such as those of an optimiser of your own; answers on standard output.
///
/// The run file has `strategy = "given"` in [evolve], and either a pipeline with a genome or [evolve.axes] such as
/// `load = { any = "number" }`. Each line of input is a JSON object and is answered by one line, in order; the first line of
/// output says what the run takes, and which generation is next.
///
///   $ echo '{"candidates": [[0.5, 1.0], [2.0, 3.0]]}' | tumble pool run.toml
///   {"run":"…","folder":"…","generation":0,"columns":2,…}
///   {"generation":0,"values":[1.25,13.0],"metrics":{"value":[[1.25],[13.0]]},"outcomes":[["scored"],["scored"]],"errors":[]}
///
/// With axes, a candidate may be an object: {"load": 0.5, "rule": "hebb"}. Long vectors may come as
/// {"candidates_f64": "<base64 of little-endian rows>", "columns": 1000}. A line that makes no sense is answered by {"error": …}
/// and changes nothing. NaN and infinities are the texts "NaN", "Infinity" and "-Infinity". The end of input, or the line
/// {"finish": true}, completes the run: its tables are written, and a summary goes to stderr.
///
/// What is answered survives any crash: `--resume --out DIR` goes on, and who gives the last generation again (with
/// "generation": N in the line) is answered the same without another evaluation.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct PoolArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// Let a coordinator and its workers evaluate, as `tumble submit` does, instead of starting some here.
    #[arg(long, conflicts_with_all = ["out", "resume"])]
    pub(crate) submit: bool,

    #[command(flatten)]
    pub(crate) client: ClientArgs,

    /// With `--submit`: the same command with the same key goes on with the same run.
    #[arg(long, requires = "submit")]
    pub(crate) key: Option<String>,
}

/// Give a complete run more replicates, points or generations, keeping every row that it has.
///
/// The tables are those of the longer run begun anew, and no trial that the run has is evaluated again. What can grow:
/// `replicates` and the points of a sweep (`--set sweep.points=2000` where the design samples and is no latin-hypercube;
/// rows at the end of a list; values at the end of a grid's first axis), and `evolve.generations` (or
/// `evolve.stop.evaluations`) of an evolution. Whatever would change a row that is there is refused, and so is a run that
/// stopped before its end.
///
/// The longer run grows in the folder `DIR.extending` and takes the old one's place when it is complete. If it is stopped
/// or killed, `tumble extend DIR` goes on.
#[derive(Debug, clap::Args)]
pub(crate) struct ExtendArgs {
    /// The run's folder.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,

    /// The run file of the longer run; by default the run's own, with what `--set` says.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,

    /// How many worker processes; by default one for each core that this process may use.
    #[arg(long, env = "TUMBLE_WORKERS", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) workers: Option<u32>,

    #[command(flatten)]
    pub(crate) file_args: FileArgs,

    #[command(flatten)]
    pub(crate) own: OwnArgs,

    /// How much memory strategies may need in all, as `16G`; by default what the machine or its cgroup has.
    #[arg(long, value_name = "BYTES", env = "TUMBLE_MEMORY", value_parser = crate::memory::parse)]
    pub(crate) memory: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The run file.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) file_args: FileArgs,

    #[command(flatten)]
    pub(crate) here: HereArgs,

    #[command(flatten)]
    pub(crate) own: OwnArgs,

    /// The access file of a coordinator whose workers are asked for a pipeline that does not come with Tumble.
    #[arg(long, value_hint = ValueHint::FilePath, conflicts_with = "worker")]
    pub(crate) access: Option<PathBuf>,

    /// Print the run as it is understood, with every default filled in, instead of the summary.
    #[arg(long)]
    pub(crate) canonical: bool,

    /// How much memory strategies may need on this machine, as `16G`; by default what the machine or its cgroup has.
    #[arg(long, value_name = "BYTES", env = "TUMBLE_MEMORY", value_parser = crate::memory::parse)]
    pub(crate) memory: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// Elements of a candidate.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(4096..=100_000_000))]
    pub(crate) dimension: u32,

    /// Antithetic pairs of a generation.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) pairs: u32,

    /// How often each is measured; the best counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeats: u32,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PipelinesArgs {
    /// Which one; all of them if left out.
    pub(crate) name: Option<String>,

    #[command(flatten)]
    pub(crate) own: OwnArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NameArgs {
    /// Which one; all of them if left out.
    pub(crate) name: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CoordinatorArgs {
    /// Where to listen. Only loopback addresses are taken until connections are encrypted.
    #[arg(long, default_value = "127.0.0.1:4717", env = "TUMBLE_LISTEN")]
    pub(crate) listen: SocketAddr,

    /// The folder of the journal and of the access files `worker.access` and `client.access`.
    #[arg(long, value_hint = ValueHint::DirPath, default_value_os_t = default_state(), env = "TUMBLE_STATE")]
    pub(crate) state: PathBuf,

    /// The folder under which each run gets its own.
    #[arg(long, value_hint = ValueHint::DirPath, default_value = "runs", env = "TUMBLE_OUT")]
    pub(crate) out: PathBuf,

    /// How much memory strategies may need together, as `16G`; by default what the machine or its cgroup has.
    #[arg(long, value_name = "BYTES", env = "TUMBLE_MEMORY", value_parser = crate::memory::parse)]
    pub(crate) memory: Option<u64>,

    /// A coordinator that could not renew its hold on the state folder for so long stops, and another may take over.
    #[arg(long, default_value = "15s", value_parser = parse_lease, env = "TUMBLE_LEASE")]
    pub(crate) lease: Duration,

    /// Use no locks of the state folder's file system, where it has none that work: the lease alone keeps others out.
    #[arg(long)]
    pub(crate) no_file_locks: bool,

    /// What this host is called in the owner file, instead of its host name.
    #[arg(long, value_name = "NAME", env = "TUMBLE_HOST_NAME", hide = true)]
    pub(crate) host_name: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ClientArgs {
    /// The access file that the coordinator wrote for clients.
    #[arg(long, value_hint = ValueHint::FilePath, default_value_os_t = default_state().join("client.access"),
          env = "TUMBLE_CLIENT_ACCESS")]
    pub(crate) access: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SubmitArgs {
    /// The run file.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) file_args: FileArgs,

    #[command(flatten)]
    pub(crate) here: HereArgs,

    #[command(flatten)]
    pub(crate) own: OwnArgs,

    /// Submitting twice under one key gives one run; by default every submission is a new run.
    #[arg(long)]
    pub(crate) key: Option<String>,

    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunNameArgs {
    /// An id, a name (the newest run of that name) or `last`.
    #[arg(default_value = "last")]
    pub(crate) run: String,

    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    pub(crate) run: RunNameArgs,

    /// Give up after so long, as `90s` or `2h`; the run goes on.
    #[arg(long, value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The run's folder.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,

    #[command(flatten)]
    pub(crate) own: OwnArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The run's folder.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,

    #[command(flatten)]
    pub(crate) own: OwnArgs,

    /// The folder of the run file, for a run of code of your own: relative programs, functions and `{here}` mean it. By default
    /// where the Python package began the run, else the working folder. A run with a `bundle`
    /// takes its files from its own folder, and from this one if they are damaged there.
    #[arg(long, value_hint = ValueHint::DirPath, env = "TUMBLE_HERE")]
    pub(crate) here: Option<PathBuf>,

    /// Which share of the trials, as `1%` or `0.01`; the same ones are taken each time.
    #[arg(long, default_value = "1%", value_parser = parse_share)]
    pub(crate) sample: f64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// The run's folder.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,

    #[command(flatten)]
    pub(crate) own: OwnArgs,

    /// The folder of the run file, for a run of code of your own: relative programs, functions and `{here}` mean it. By default
    /// where the Python package began the run, else the working folder. A run with a `bundle`
    /// takes its files from its own folder, and from this one if they are damaged there.
    #[arg(long, value_hint = ValueHint::DirPath, env = "TUMBLE_HERE")]
    pub(crate) here: Option<PathBuf>,

    /// Which trial: its number in the column `trial`.
    #[arg(long)]
    pub(crate) trial: u64,

    /// Write what happens on the way, step by step, into this file (`.parquet` or `.csv`), for a pipeline that can tell
    /// more than metrics (`tumble pipelines NAME` says what), or a trial that is an evolution.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) trace: Option<PathBuf>,
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|p| p / 100.0),
        None => text.parse(),
    };
    share.ok().filter(|s| *s > 0.0 && *s <= 1.0).ok_or_else(|| "expected a share such as `1%` or `0.01`".to_owned())
}

fn parse_override(text: &str) -> Result<Override, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok(Override { key: key.trim().to_owned(), value: value.trim().to_owned() })
        }
        _ => Err("expected KEY=VALUE, such as `evolve.sigma=0.5`".to_owned()),
    }
}

fn parse_lease(text: &str) -> Result<Duration, String> {
    let lease = parse_duration(text)?;
    let sensible = Duration::from_secs(1)..=Duration::from_secs(3600);
    sensible.contains(&lease).then_some(lease).ok_or_else(|| "expected from `1s` to `1h`".to_owned())
}
