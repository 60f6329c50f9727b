"""What goes wrong, a class for each exit code of the program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from ._result import Result


class TumbleError(Exception):
    """What the program said when it failed; the text names the thing and what to do."""

    #: The program's exit code, or `None` where it was not even started.
    exit_code: Optional[int] = None

    def __init__(self, message: str, *, exit_code: Optional[int] = None) -> None:
        super().__init__(message)
        if exit_code is not None:
            self.exit_code = exit_code


class InternalError(TumbleError):
    """Something happened that should not (exit code 1)."""

    exit_code = 1


class RunFileError(TumbleError):
    """The run makes no sense as it was written (exit code 2): an unknown parameter, an axis without points, a missing metric."""

    exit_code = 2


class RunFailed(TumbleError):
    """The run ended early, because a trial failed and `on_failure` is `abort` (exit code 3). What is complete is in `result`."""

    exit_code = 3

    def __init__(self, message: str, result: "Result") -> None:
        super().__init__(message)
        #: What there is of the run.
        self.result = result


class RunStopped(TumbleError):
    """The run was stopped, and `tumble.resume(folder)` goes on with it (exit code 4)."""

    exit_code = 4

    def __init__(self, message: str, folder: Optional[Path] = None) -> None:
        super().__init__(message)
        #: The run's folder.
        self.folder = folder


class CoordinatorUnreachable(TumbleError):
    """No coordinator answers, or it refuses (exit code 5)."""

    exit_code = 5


class ResultsDisagree(TumbleError):
    """A trial that was evaluated again gave other numbers (exit code 6): the function looks at the clock, draws without its
    seed, or keeps something from trial to trial. The first numbers stand, in `result`."""

    exit_code = 6

    def __init__(self, message: str, result: "Result") -> None:
        super().__init__(message)
        #: The run, complete.
        self.result = result


class Interrupted(KeyboardInterrupt):
    """Ctrl-C: the run was stopped cleanly, and `tumble.resume(folder)` goes on with it."""

    def __init__(self, message: str, folder: Optional[Path] = None) -> None:
        super().__init__(message)
        #: The run's folder, if there was a run.
        self.folder = folder


class TumbleWarning(UserWarning):
    """Something worth knowing that stops nothing."""


class TrialsFailedWarning(TumbleWarning):
    """The run is complete, and some of its trials failed (exit code 3)."""


def of_exit_code(exit_code: int, message: str) -> TumbleError:
    """The error for an exit code at which there is no result."""
    kinds = {2: RunFileError, 4: RunStopped, 5: CoordinatorUnreachable}
    return kinds.get(exit_code, InternalError)(message) if exit_code in (1, 2, 4, 5) else InternalError(message, exit_code=exit_code)
