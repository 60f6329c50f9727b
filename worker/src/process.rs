//! A worker as a process: its arguments, its log, the signals that it hears, and how it ends. `tumble worker` and worker
//! binaries of the user's own are the same here.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueHint;
use tokio::io::AsyncReadExt;
use tumble_proto::access::{Access, AccessError};

use crate::offer::{Offer, OfferError};
use crate::session::{Config, Ended, WorkerError};
use crate::signals::{stop_requests, stopped};
use crate::{Surroundings, memory};

/// What a worker is told on its command line.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkerArgs {
    /// The access file that the coordinator wrote for workers.
    #[arg(long, value_hint = ValueHint::FilePath, default_value_os_t = default_state().join("worker.access"),
          env = "TUMBLE_WORKER_ACCESS")]
    pub access: PathBuf,

    /// Shards evaluated at once; by default one for each core that this process may use.
    #[arg(long, env = "TUMBLE_SLOTS", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub slots: Option<u32>,

    /// How much memory strategies may need of a run, as `16G`; by default what the machine or its cgroup has.
    #[arg(long, value_name = "BYTES", env = "TUMBLE_MEMORY", value_parser = memory::parse)]
    pub memory: Option<u64>,

    /// How long to go on trying to reach a coordinator that does not answer.
    #[arg(long, default_value = "10m", value_parser = parse_duration)]
    pub patience: Duration,

    /// The folder that relative programs and `{here}` of `pipeline = "program"` mean.
    #[arg(long, value_hint = ValueHint::DirPath, default_value = ".", env = "TUMBLE_HERE")]
    pub here: PathBuf,

    /// Where the working folders of failed trials of programs are kept; by default nowhere.
    #[arg(long, value_hint = ValueHint::DirPath, env = "TUMBLE_KEEP_FAILED")]
    pub keep_failed: Option<PathBuf>,

    /// Leave when standard input closes, so that a worker never outlives the process that started it.
    #[arg(long, hide = true)]
    pub leash: bool,
}

/// Why a worker process cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its access file is of no use.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// What it offers is of no use.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// A folder that it was given is of no use.
    #[error("{}: {source}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system gives it no threads, or its pipes break.
    #[error("the process cannot go on: {0}")]
    System(std::io::Error),
    /// Its coordinator cannot be served.
    #[error(transparent)]
    Session(#[from] WorkerError),
}

impl ServeError {
    /// Whether something was asked for that makes no sense, rather than that a coordinator is out of reach or refuses.
    pub fn is_usage(&self) -> bool {
        match self {
            ServeError::Offer(_) | ServeError::Folder { .. } => true,
            ServeError::Session(error) => matches!(error, WorkerError::Address(_) | WorkerError::Offer(_)),
            ServeError::Access(_) | ServeError::System(_) => false,
        }
    }
}

/// Serves a coordinator until the process is asked to stop. `note` is told what is worth knowing on the way.
pub async fn serve(args: WorkerArgs, offer: Offer, note: impl FnOnce(String)) -> Result<(), ServeError> {
    let asked = stop_requests();
    let access = Access::read(&args.access)?;
    let slots = args.slots.unwrap_or_else(cores) as usize;
    // What a slot evolves by itself takes threads of the other slots while they are idle, and no core beyond.
    tumble_search::set_threads(slots);
    note(format!("serving {} with {slots} slots", access.address));
    let leave = async {
        tokio::select! {
            () = stopped(asked) => {}
            () = leash_lets_go(), if args.leash => {}
        }
    };
    let config = Config {
        access,
        slots,
        memory_bytes_max: memory::limit(args.memory),
        surroundings: surroundings(&args.here, args.keep_failed)?,
        offer,
        patience: args.patience,
    };
    let (Ended::Left | Ended::LeftInHaste) = crate::session::run(config, leave).await?;
    Ok(())
}

/// Where programs of the user's own run, whose run file lies in `here`.
pub fn surroundings(here: &Path, keep_in: Option<PathBuf>) -> Result<Surroundings, ServeError> {
    let absolute =
        |path: &Path| std::path::absolute(path).map_err(|source| ServeError::Folder { path: path.to_owned(), source });
    // A worker whose own file cannot be found runs programs all the same; nobody tidies up after it if it is killed.
    let reaper = std::env::current_exe().ok().map(|own| vec![own.into_os_string(), "reap".into()]);
    Ok(Surroundings { here: absolute(here)?, keep_in: keep_in.map(|path| absolute(&path)).transpose()?, reaper })
}

/// Runs the future of a process to its end; threads that still work then (a slot in the middle of a trial) are left behind.
pub fn wait_for<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}

/// Logs go to stderr: text for people, or JSON for a log collector (`TUMBLE_LOG_FORMAT=json`).
pub fn start_logging(filter: &str) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("warn"));
    // Colours are for eyes, not for files.
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match std::env::var("TUMBLE_LOG_FORMAT").as_deref() {
        Ok("json") => builder.json().init(),
        _ => builder.with_target(false).init(),
    }
}

/// Where a coordinator keeps its state unless told otherwise: the folder that the XDG base directory specification names
/// for state.
pub fn default_state() -> PathBuf {
    user_folder("XDG_STATE_HOME", ".local/state").unwrap_or_else(|| PathBuf::from(".")).join("tumble")
}

/// A folder of the XDG base directory specification: the one that the variable names, else this one in the user's home. `None`
/// where neither is an absolute path.
pub fn user_folder(variable: &str, in_home: &str) -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    named(variable).or_else(|| Some(named("HOME")?.join(in_home)))
}

/// A duration as people write it, `90s` or `2h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    tumble_runfile::parse_duration(text).map_err(|error| error.to_string())
}

/// The exit codes of a worker binary, which are those of `tumble`.
pub(crate) fn exit_code(ended: &Result<(), ServeError>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_usage() => ExitCode::from(2),
        Err(ServeError::System(_)) => ExitCode::from(1),
        Err(_) => ExitCode::from(5),
    }
}

/// How many cores this process may use: affinity and cgroup limits counted in.
pub fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u32)
}

/// Resolves when standard input closes.
async fn leash_lets_go() {
    let mut byte = [0];
    while matches!(tokio::io::stdin().read(&mut byte).await, Ok(n) if n > 0) {}
}
