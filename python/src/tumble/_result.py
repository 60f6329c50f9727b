"""What a run gave: its folder, opened."""

from __future__ import annotations

import html
import json
import os
import struct
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Union

from . import _function
from ._binary import call
from ._errors import ResultsDisagree, RunFileError, of_exit_code
from ._runfile import axes_of

if TYPE_CHECKING:
    import pyarrow

#: The folder within a run's folder that holds the run file and the function, where `tumble.run` began the run.
CODE = "code"
#: The run file in it.
RUN_FILE = "run-file.toml"
#: Where a run's state is while it is not complete.
STATE = ".tumble"
#: Set for whatever a run starts, so that a module that runs something when it is imported does not do so without end.
WITHIN = "TUMBLE_WITHIN_A_RUN"
#: Rows that a notebook shows.
_SHOWN_MAX = 8


@dataclass(frozen=True)
class Champion:
    """The best candidate of a run."""

    #: The trial that scored it, by its number in the column `trial`; with replicates, the first of them.
    trial: int
    #: The metric that steers, and the candidate's value of it: the mean over its replicates.
    metric: str
    value: float
    #: The value turned so that larger is better.
    fitness: float
    #: What each axis was.
    settings: Dict[str, Any]
    #: The vector that the run searched, or of `[evolve.axes]` the coordinates from 0 to 1: a NumPy array of float64 of shape
    #: (elements,), or a list where there is no NumPy. `None` of a sweep.
    genome: Any


class Result:
    """A run's folder. Everything is read when it is asked for, so that a result costs nothing to keep."""

    def __init__(self, folder: Union[str, "os.PathLike[str]"]) -> None:
        #: The run's folder.
        self.folder = Path(folder)
        if not (self.folder / "run.toml").is_file():
            raise FileNotFoundError(
                f"{self.folder} holds no run (there is no run.toml in it); a run on another machine has its folder there: "
                "copy it, or mount it"
            )

    @property
    def complete(self) -> bool:
        """Whether the run is over and all its tables are written."""
        return (self.folder / "summary.json").is_file() and not (self.folder / STATE).exists()

    @property
    def run_file(self) -> Path:
        """The run file: as `tumble.run` wrote it, else the run as it was understood, with every default filled in."""
        written = self.folder / CODE / RUN_FILE
        return written if written.is_file() else self.folder / "run.toml"

    @property
    def summary(self) -> Dict[str, Any]:
        """How the run ended, as in `summary.json`; of a run that is not complete its `state`, `open`, alone."""
        try:
            summary: Dict[str, Any] = json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"state": "open"}
        return summary

    @property
    def failed(self) -> int:
        """How many trials have no score."""
        return int(self.summary.get("trials_failed", 0))

    @property
    def trials(self) -> "pyarrow.Table":
        """A row for each trial: its index, replicate, seed, axes, metrics, outcome and error. Of a run that is not complete, the
        rows that are written so far: the first ones of the table, complete."""
        import pyarrow.dataset

        parts = self._parts()
        if not parts:
            raise FileNotFoundError(f"{self.folder} has no trials yet; its tables appear in parts as the run goes on")
        table: "pyarrow.Table" = pyarrow.dataset.dataset(parts, format="parquet").to_table()
        return table

    @property
    def generations(self) -> "pyarrow.Table":
        """A row for each generation of an evolution, or for each rung of a sweep that stops candidates early."""
        return self._table("generations.parquet", "the run has no generations, or they are not written yet")

    @property
    def attempts(self) -> "pyarrow.Table":
        """Who evaluated what, when, and how long: the one table that differs from run to run."""
        return self._table("attempts.parquet", "it is written when the run is complete")

    def pandas(self, table: str = "trials") -> Any:
        """`trials`, `generations` or `attempts` as a pandas DataFrame."""
        return self._named(table).to_pandas()

    def polars(self, table: str = "trials") -> Any:
        """`trials`, `generations` or `attempts` as a Polars DataFrame."""
        try:
            import polars
        except ImportError as error:
            raise ImportError("this needs Polars: `pip install polars`; `.trials` is a pyarrow table without it") from error
        return polars.from_arrow(self._named(table))

    @property
    def champion(self) -> Optional[Champion]:
        """The best candidate; `None` where no trial scored, or the run is not complete."""
        try:
            best = json.loads((self.folder / "champion.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        genome = _vector(self.folder / best["genome"]["file"]) if best.get("genome") else None
        return Champion(best["trial"], best["metric"], best["value"], best["fitness"], best.get("settings") or {}, genome)

    @property
    def axes(self) -> List[str]:
        """The names of the axes of the sweep, in order; each is a column of the trials."""
        return axes_of((self.folder / "run.toml").read_text(encoding="utf-8"))

    @property
    def objective(self) -> str:
        """The metric that steers, with `-` in front where smaller is better."""
        for line in (self.folder / "run.toml").read_text(encoding="utf-8").splitlines():
            if line.startswith("objective = "):
                return line.split('"')[1]
        return ""

    def errors(self, at_most: int = 10) -> "pyarrow.Table":
        """The first failed trials, with the columns `trial`, `outcome` and `error`."""
        import pyarrow.dataset

        found = pyarrow.dataset.dataset(self._parts(), format="parquet")
        failed = pyarrow.dataset.field("outcome") != "scored"
        table: "pyarrow.Table" = found.scanner(columns=["trial", "outcome", "error"], filter=failed).head(at_most)
        return table

    def verify(self, sample: Union[str, float] = "1%") -> int:
        """Evaluates a share of the trials again, here, compares bit for bit, and returns how many trials it was.

        `sample` is a share such as `0.1` or `"10%"`. Raises `ResultsDisagree` where a number differs: the function looks at the
        clock, draws without its seed, or keeps something from trial to trial; or it is not the function that it was.
        """
        arguments = ["verify", str(self.folder), "--sample", str(sample)]
        answer = call(arguments, environment=surroundings(self.folder))
        if answer.exit_code == 6:
            differing = ", ".join(map(str, answer.value.get("differing", [])[:10]))
            raise ResultsDisagree(f"evaluated again, these trials gave other numbers: {differing}", self)
        if answer.exit_code != 0:
            raise of_exit_code(answer.exit_code, answer.error)
        return int(answer.value.get("verified", 0))

    def plot(self, metric: Optional[str] = None, ax: Any = None) -> Any:
        """Draws the run with matplotlib and returns the axes: of an evolution the objective over generations; of a sweep the
        metric's mean over its first axis, or a heat map over its first two."""
        from ._plot import plot

        return plot(self, metric, ax)

    def _parts(self) -> List[str]:
        return sorted(map(str, (self.folder / "trials").glob("part-*.parquet")))

    def _table(self, name: str, why: str) -> "pyarrow.Table":
        import pyarrow.parquet

        path = self.folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not there: {why}")
        table: "pyarrow.Table" = pyarrow.parquet.read_table(path)
        return table

    def _named(self, table: str) -> "pyarrow.Table":
        if table not in ("trials", "generations", "attempts"):
            raise ValueError(f"there is no table {table!r}; take 'trials', 'generations' or 'attempts'")
        found: "pyarrow.Table" = getattr(self, table)
        return found

    def __repr__(self) -> str:
        summary = self.summary
        if not self.complete:
            return f"<run in {self.folder}, not complete>"
        text = f"<run {summary.get('run')}: {summary.get('reason')}, {summary.get('trials')} trials"
        if summary.get("trials_failed"):
            text += f", {summary['trials_failed']} failed"
        if summary.get("best") is not None:
            text += f", best {self.objective.lstrip('-')} {summary['best']:.6g}"
        return f"{text}, in {self.folder}>"

    def _repr_html_(self) -> str:
        rows = ""
        columns: List[str] = []
        try:
            import pyarrow.dataset

            head = pyarrow.dataset.dataset(self._parts(), format="parquet").head(_SHOWN_MAX)
            columns = [name for name in head.column_names if name not in ("seed", "error")]
            for row in head.select(columns).to_pylist():
                cells = "".join(f"<td>{html.escape(_shown(row[name]))}</td>" for name in columns)
                rows += f"<tr>{cells}</tr>"
        except (FileNotFoundError, ValueError, OSError):
            # No part is written yet.
            pass
        heads = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
        return f"<div>{html.escape(repr(self))}{table}</div>"


def open_folder(folder: Union[str, "os.PathLike[str]"]) -> Result:
    """Opens a run's folder, complete or not. Raises `FileNotFoundError` where it holds no run."""
    return Result(folder)


def origin_of(folder: Path) -> Mapping[str, Any]:
    """Where the run in this folder was begun, if `tumble.run` began it."""
    try:
        found: Mapping[str, Any] = json.loads((folder / CODE / _function.ORIGIN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def surroundings(folder: Optional[Path], of_file: bool = False) -> Dict[str, str]:
    """The environment in which this run's function is found as it was when the run was begun; without a folder, as it is now. A run
    file means what its user's environment says, where that says anything."""
    origin = origin_of(folder) if folder is not None else _function.origin()
    python = origin.get("python", sys.executable)
    found = {"TUMBLE_PYTHON": python if os.path.exists(python) else sys.executable}
    if (of_file or not origin) and os.environ.get("TUMBLE_PYTHON"):
        found = {}
    path = [*origin.get("path", []), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    found[WITHIN] = "1"
    if path:
        found["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path))
    return found


def warn_of_failed(result: Result, stacklevel: int) -> None:
    """Warns of failed trials, with what the first one died of."""
    from ._errors import TrialsFailedWarning

    first = result.errors(1).to_pylist()
    text = f"{result.failed} of {result.summary.get('trials')} trials failed"
    if first:
        text += f"; the first, trial {first[0]['trial']}: {first[0]['error']}"
    warnings.warn(text, TrialsFailedWarning, stacklevel=stacklevel + 1)


def missing_folder(folder: str) -> RunFileError:
    """The error for a result that is on another machine."""
    return RunFileError(
        f"the folder {folder} of the run is not on this machine; open it where the coordinator runs, or copy it here and use "
        "tumble.open(folder)"
    )


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


def _vector(path: Path) -> Any:
    """A vector of float64 in NumPy's format 1.0, read with NumPy where there is one."""
    try:
        import numpy
    except ImportError:
        data = path.read_bytes()
        (header,) = struct.unpack("<H", data[8:10])
        body = data[10 + header :]
        return list(struct.unpack(f"<{len(body) // 8}d", body))
    return numpy.load(path)
