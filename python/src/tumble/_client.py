"""Runs on a coordinator: submitted, watched, waited for, cancelled."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, List, Mapping, Optional, Sequence, Type, Union

from ._binary import Answer, call
from ._errors import Interrupted, of_exit_code
from ._pool import Pool, pool_of
from ._progress import Progress, Wanted
from ._result import CODE, RUN_FILE, Result, missing_folder, surroundings
from ._run import Evaluate, _overrides, ended, is_run_file, lay_code, lies_in_no_file, refuse_keywords, refuse_within, write


def connect(access: Optional[Union[str, "os.PathLike[str]"]] = None) -> "Client":
    """A client of a coordinator. `access` is the file `client.access` of its state folder; by default what `TUMBLE_CLIENT_ACCESS`
    says, else the one in the state folder that a coordinator uses by default. Raises `CoordinatorUnreachable` where none answers."""
    client = Client(access)
    client.runs()
    return client


class Client:
    """Asks one coordinator. Nothing stays open between two calls, so it may be kept, copied and used by several threads."""

    def __init__(self, access: Optional[Union[str, "os.PathLike[str]"]] = None) -> None:
        self._access = [] if access is None else ["--access", os.fspath(access)]

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        pass

    def submit(
        self,
        evaluate: Evaluate,
        *,
        axes: Optional[Mapping[str, Any]] = None,
        design: str = "grid",
        points: Optional[int] = None,
        criterion: Optional[str] = None,
        stopping: Optional[Mapping[str, Any]] = None,
        evolve: Optional[Mapping[str, Any]] = None,
        genome: Optional[int] = None,
        batch: bool = False,
        config: Optional[Mapping[str, Any]] = None,
        replicates: Optional[int] = None,
        seed: Optional[int] = None,
        objective: Optional[str] = None,
        metrics: Optional[Sequence[str]] = None,
        name: Optional[str] = None,
        limits: Optional[Mapping[str, Any]] = None,
        interpreter: Optional[str] = None,
        bundle: Optional[Sequence[str]] = None,
        set: Optional[Mapping[str, Any]] = None,
        key: Optional[str] = None,
    ) -> "Run":
        """Submits a function, an entry or a run file; the keywords are those of `tumble.run`. Submitting twice under one `key` gives
        one run. Without `interpreter` the workers take their own Python. Without `bundle` a function of a file stays where it is, and the
        workers have it; one that lies in no file travels as a bundle. Raises `RunFileError` and `CoordinatorUnreachable`."""
        refuse_within()
        keywords: Dict[str, Any] = dict(
            axes=axes, points=points, criterion=criterion, stopping=stopping, evolve=evolve, genome=genome, config=config,
            replicates=replicates, seed=seed, objective=objective, metrics=metrics, name=name, limits=limits,
            interpreter=interpreter, bundle=bundle,
        )
        options = [*_overrides(set), *(["--key", key] if key is not None else []), *self._access]
        if is_run_file(evaluate):
            refuse_keywords(keywords, design, batch)
            return self._submitted(["submit", os.fspath(evaluate), *options], of_file=True)  # type: ignore[arg-type]
        if bundle is None and lies_in_no_file(evaluate):
            keywords["bundle"] = []
        made = write(evaluate, design=design, batch=batch, **keywords)
        with tempfile.TemporaryDirectory(prefix="tumble-") as scratch:
            code = Path(scratch) / CODE
            lay_code(made, code)
            return self._submitted(["submit", str(code / RUN_FILE), "--here", made.here(code), *options])

    def pool(self, evaluate: Evaluate, *, key: Optional[str] = None, **settings: Any) -> "Pool":
        """The coordinator's workers for candidates of an optimiser of your own; the keywords are those of `tumble.pool`, but for
        `workers`, `out` and `resume`: the same call with the same `key` goes on with the same run."""
        return pool_of(self._access, evaluate, key, settings)

    def runs(self) -> List["Run"]:
        """The coordinator's runs."""
        return [Run(self, view) for view in self._ask(["list"]).value.get("runs", [])]

    def run(self, run: str = "last") -> "Run":
        """One run: its id, its name (the newest run of that name) or `last`. Raises `RunFileError` where there is none."""
        return Run(self, self._ask(["status", run]).value)

    def _submitted(self, arguments: List[str], of_file: bool = False) -> "Run":
        answer = call(arguments, environment=surroundings(None, of_file))
        if answer.exit_code != 0:
            raise of_exit_code(answer.exit_code, answer.error)
        return Run(self, answer.value)

    def _ask(self, arguments: List[str]) -> Answer:
        answer = call([*arguments, *self._access])
        if answer.exit_code != 0:
            raise of_exit_code(answer.exit_code, answer.error)
        return answer


class Run:
    """A run of a coordinator."""

    def __init__(self, client: Client, view: Mapping[str, Any]) -> None:
        self._client = client
        #: The run's id: its name and six characters.
        self.id = str(view["run"])
        #: Its name.
        self.name = str(view["name"])

    @property
    def status(self) -> Dict[str, Any]:
        """How the run stands now, as `tumble status --output json` has it."""
        return self._client._ask(["status", self.id]).value

    @property
    def state(self) -> str:
        """`waiting`, `running`, `finishing`, `finished`, `cancelled`, `suspended` or `failed`."""
        return str(self.status["state"])

    @property
    def folder(self) -> Path:
        """Where its tables are, on the coordinator's machine."""
        return Path(self.status["folder"])

    def watch(self, progress: Wanted = True) -> Result:
        """Shows how the run comes along until it ends, and returns its result. Ctrl-C ends the watching; the run goes on. Raises
        what `tumble.run` raises, and `RunFileError` where the run's folder is on another machine."""
        return self._follow(["watch", self.id], progress)

    def wait(self, timeout: Optional[float] = None) -> Result:
        """Waits until the run ends, and returns its result. Raises `TimeoutError` when `timeout` seconds have passed, and else what
        `watch` raises; the run goes on."""
        limit = [] if timeout is None else ["--timeout", f"{max(1, round(timeout * 1000))}ms"]
        return self._follow(["wait", self.id, *limit], False)

    def cancel(self) -> None:
        """Ends the run now. What is complete of its tables stays."""
        self._client._ask(["cancel", self.id])

    def resume(self) -> None:
        """Lets a run go on that its wall limit has stopped."""
        self._client._ask(["resume", self.id])

    def result(self) -> Result:
        """The run's folder, as far as it is written. Raises `RunFileError` where it is on another machine."""
        return _result(self.status)

    def _follow(self, arguments: List[str], wanted: Wanted) -> Result:
        progress = Progress(wanted)
        try:
            answer = call([*arguments, *self._client._access], progress)
        except Interrupted as interrupted:
            raise Interrupted(f"interrupted; the run {self.id} goes on") from interrupted
        finally:
            progress.end()
        state = answer.value.get("state")
        if state in ("waiting", "running", "finishing"):
            raise TimeoutError(f"the run {self.id} is {state} after the time that was to be waited, and goes on")
        if state == "cancelled":
            return _result(answer.value)
        folder = _result(answer.value).folder if answer.exit_code in (0, 3, 6) else None
        return ended(answer, folder, stacklevel=3)

    def __repr__(self) -> str:
        return f"<run {self.id}>"


def _result(view: Mapping[str, Any]) -> Result:
    folder = str(view["folder"])
    if not os.path.isdir(folder):
        raise missing_folder(folder)
    return Result(folder)
