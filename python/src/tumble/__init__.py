"""Evaluates a Python function at a million points, and puts the results into tables.

    import tumble

    def evaluate(load: float, seed: int) -> float:
        ...

    result = tumble.run(evaluate, axes={"load": tumble.linear(0.5, 2.0, 16)}, replicates=10)
    result.trials        # a pyarrow table, one row for each trial

The same call gives the same table, byte for byte, whatever the number of workers and whatever died on the way. Everything is done
by the `tumble` program that comes with the package; this is its face for Python.
"""

from ._axes import Axis, integers, linear, log, values
from ._binary import binary
from ._client import Client, Run, connect
from ._errors import (
    CoordinatorUnreachable,
    InternalError,
    Interrupted,
    ResultsDisagree,
    RunFailed,
    RunFileError,
    RunStopped,
    TrialsFailedWarning,
    TumbleError,
    TumbleWarning,
)
from ._pool import Evaluated, Pool, pool
from ._result import Champion, Result
from ._result import open_folder as open
from ._run import resume, run

__all__ = [
    "Axis",
    "Champion",
    "Client",
    "CoordinatorUnreachable",
    "Evaluated",
    "InternalError",
    "Interrupted",
    "Pool",
    "Result",
    "ResultsDisagree",
    "Run",
    "RunFailed",
    "RunFileError",
    "RunStopped",
    "TrialsFailedWarning",
    "TumbleError",
    "TumbleWarning",
    "binary",
    "connect",
    "integers",
    "linear",
    "log",
    "open",
    "pool",
    "resume",
    "run",
    "values",
]
