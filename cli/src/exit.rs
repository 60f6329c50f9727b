//! Exit codes, and errors that know theirs.

use std::fmt;
use std::process::ExitCode;

/// How the program ends. The numbers are a promise to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for is done.
    Complete = 0,
    /// Something that should not happen.
    Internal = 1,
    /// The command or the run file makes no sense.
    Usage = 2,
    /// The run finished, some trials failed.
    TrialsFailed = 3,
    /// Stopped, can be resumed.
    Stopped = 4,
    /// The coordinator is unreachable, or refuses.
    Unreachable = 5,
    /// Two evaluations of one trial differed.
    Disagreed = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error and the exit code that goes with it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Failure {
    pub(crate) fn usage(message: impl fmt::Display) -> Failure {
        Failure { exit: Exit::Usage, message: message.to_string() }
    }

    pub(crate) fn internal(message: impl fmt::Display) -> Failure {
        Failure { exit: Exit::Internal, message: message.to_string() }
    }

    pub(crate) fn unreachable(message: impl fmt::Display) -> Failure {
        Failure { exit: Exit::Unreachable, message: message.to_string() }
    }
}
