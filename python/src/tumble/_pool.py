"""`tumble.pool`: an optimiser of your own proposes candidates, workers evaluate them.

    with tumble.pool(evaluate, genome=10) as pool:
        while not optimiser.stop():
            candidates = optimiser.ask()
            optimiser.tell(candidates, pool.map(candidates))
    pool.result.trials       # every candidate's trials, in a table

Behind it is `tumble pool`, one process for as long as the pool is open: a line for each generation, and a line back.
"""

from __future__ import annotations

import array
import base64
import json
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Type, Union

from ._binary import Answer, binary, start
from ._binary import _take as take_notice
from ._errors import RunStopped, TumbleError, TumbleWarning, of_exit_code
from ._result import CODE, RUN_FILE, Result, surroundings
from ._function import travel
from ._run import Evaluate, Written, _begin, _overrides, ended, is_run_file, lay_code, refuse_keywords, refuse_within, write

#: What an axis may be: `float` or `int` for any number, `bool`, or a list of all that it may be.
AxisKind = Union[type, Sequence[Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Evaluated:
    """What became of some candidates, in their order."""

    #: The generations that they were, in the tables: one, or several where they were more than are evaluated at once.
    generations: List[int]
    #: The objective of each candidate: the mean over its replicates, NaN where one of them has no number.
    values: List[float]
    #: Of each metric a list for each candidate: a number for each replicate.
    metrics: Dict[str, List[List[float]]]
    #: For each candidate a word for each replicate: `scored`, `failed` or `timed_out`.
    outcomes: List[List[str]]
    #: Why trials have no score: candidate, replicate and text.
    errors: List[Tuple[int, int, str]]


class Pool(Executor):
    """Workers that evaluate one function at candidates that come from outside. Made by `tumble.pool` or `Client.pool`.

    All methods may be called from several threads. What is given while workers are busy is the next generation.
    """

    def __init__(self, command: List[str], function: Any, folder: Optional[Path], environment: Mapping[str, str]) -> None:
        self._function = function
        self._folder = folder
        self._result: Optional[Result] = None
        self._answer = Answer(0, {})
        self._rest: List[str] = []
        self._jobs: "queue.SimpleQueue[Optional[_Job]]" = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closing = False
        self._stopped = False
        self._scratch: Optional["tempfile.TemporaryDirectory[str]"] = None
        around = dict(os.environ, **environment)
        around.pop("TUMBLE_QUIET", None)
        self._process = start([binary(), *command, "--leash", "--progress", "json"], around, subprocess.PIPE)
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._notices = threading.Thread(target=self._read_notices, daemon=True)
        self._notices.start()
        greeting = self._read()
        if greeting is None:
            raise self._failure()
        #: The run's id.
        self.id = str(greeting["run"])
        #: The next generation: 0, unless the run goes on.
        self.generation = int(greeting["generation"])
        #: The names of the axes, in the order of vectors; `None` where candidates are vectors of a genome.
        self.axes: Optional[List[str]] = greeting["axes"]
        #: Numbers of a candidate.
        self.columns = int(greeting["columns"])
        #: The names of the metrics.
        self.metrics: List[str] = list(greeting["metrics"])
        #: The metric that steers, with `-` in front where smaller is better.
        self.objective = str(greeting["objective"])
        #: How many candidates are evaluated at once, at most.
        self.population = int(greeting["population"])
        self._folder = self._folder or Path(greeting["folder"])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    # Candidates ------------------------------------------------------------------------------------------------------

    def evaluate(self, candidates: Iterable[Any]) -> Evaluated:
        """Evaluates candidates and waits for all of them: a two-dimensional array, or a list of vectors, or of dicts with a value
        for each axis. Raises `ValueError` for candidates that make no sense; a trial that fails raises nothing."""
        given = _listed(candidates)
        parts = [given[at : at + self.population] for at in range(0, len(given), self.population)]
        futures = [self._put(part, alone=False) for part in parts]
        answers = [future.result() for future in futures]
        joined = Evaluated([], [], {name: [] for name in self.metrics}, [], [])
        for answer in answers:
            before = len(joined.values)
            joined.generations.append(answer["generation"])
            joined.values.extend(map(float, answer["values"]))
            for name in self.metrics:
                joined.metrics[name].extend([list(map(float, row)) for row in answer["metrics"][name]])
            joined.outcomes.extend(answer["outcomes"])
            joined.errors.extend((before + one["candidate"], one["replicate"], one["error"]) for one in answer["errors"])
        return joined

    def map(self, *given: Any, timeout: Optional[float] = None, chunksize: int = 1) -> Any:
        """The objective of each candidate, as a list in their order; NaN for one that failed.

        `pool.map(candidates)`, or as an executor's: `pool.map(pool, candidates)`. So it is what SciPy takes as `workers`:
        `differential_evolution(pool, bounds, workers=pool.map, updating="deferred")`."""
        del timeout, chunksize
        if given and callable(given[0]):
            self._check_function(given[0])
            given = given[1:]
        if len(given) != 1:
            raise TypeError("pool.map takes the candidates: one array, or one list of vectors or dicts")
        return self.evaluate(given[0]).values

    def submit(self, *given: Any, **named: Any) -> "Future[float]":  # type: ignore[override]
        """A future of one candidate's objective; NaN if it fails.

        `pool.submit(vector)`, `pool.submit({"load": 0.5})`, or as an executor's: `pool.submit(pool, vector)`,
        `pool.submit(pool, load=0.5)`. So a pool is an `executor` for Nevergrad's `minimize`."""
        if given and callable(given[0]):
            self._check_function(given[0])
            given = given[1:]
        if named and not given:
            candidate: Any = named
        elif len(given) == 1 and not named:
            candidate = given[0]
        elif given and not named:
            candidate = list(given)
        else:
            raise TypeError("pool.submit takes one candidate: a vector, or a dict with a value for each axis")
        # A single number is a vector of one.
        return self._put([candidate if _is_many(candidate) else [candidate]], alone=True)

    def __call__(self, *given: Any, **named: Any) -> float:
        """The objective of one candidate: for code that wants a function, such as an optimiser's last polish."""
        return self.submit(*given, **named).result()

    def _check_function(self, function: Any) -> None:
        # SciPy hands its own wrapper on, which has the function in it.
        inner = getattr(function, "f", None)
        if not any(one is self or (one is not None and one is self._function) for one in (function, inner)):
            raise ValueError(
                f"this pool evaluates {_name(self._function)}, not {_name(function)}: pass the pool itself as the function, "
                "or make another pool"
            )

    # The end ---------------------------------------------------------------------------------------------------------

    def close(self) -> Result:
        """Completes the run: waits for what was submitted, writes the tables, and gives the result. Raises what `tumble.run`
        raises of a run that did not end well."""
        self._close(finish=True)
        if self._answer.exit_code == 4:
            reason = self._answer.value.get("reason") or self._answer.error
            raise RunStopped(f"the run was stopped: {reason}; go on with tumble.pool(resume={str(self._folder)!r})", self._folder)
        if self._result is None:
            self._result = ended(self._answer, self._folder, stacklevel=3)
        return self._result

    def stop(self) -> None:
        """Leaves the run as it is, to go on with `tumble.pool(resume=folder)`; what was submitted and not answered is not."""
        self._stopped = True
        self._close(finish=False)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As of any executor: `close`."""
        del wait, cancel_futures
        self.close()

    @property
    def folder(self) -> Path:
        """The run's folder, on the coordinator's machine."""
        assert self._folder is not None
        return self._folder

    @property
    def result(self) -> Result:
        """The result of a pool that is closed."""
        if self._result is None:
            raise RuntimeError("the pool is open; its result is there when it is closed")
        return self._result

    def __enter__(self) -> "Pool":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        # After an error the run waits, so that nothing that was evaluated is lost.
        if kind is not None:
            self.stop()
        elif not self._stopped:
            self.close()

    def __repr__(self) -> str:
        return f"<pool {self.id}>"

    def _close(self, finish: bool) -> None:
        with self._lock:
            first, self._closing = not self._closing, True
        if first:
            if not finish:
                # It may be waiting for an answer that is far away.
                self._process.send_signal(signal.SIGTERM)
            self._jobs.put(_Job([], None, finish=finish))
        self._thread.join()

    # The other side --------------------------------------------------------------------------------------------------

    def _put(self, candidates: List[Any], alone: bool) -> "Future[Any]":
        future: "Future[Any]" = Future()
        if not candidates:
            future.set_exception(ValueError("there are no candidates"))
            return future
        job = _Job(candidates, future, alone=alone)
        job.request(self)
        with self._lock:
            if self._closing:
                raise RuntimeError("the pool is closed")
            self._jobs.put(job)
        return future

    def _serve(self) -> None:
        """One request after another, until there are no more."""
        held: Optional[_Job] = None
        try:
            while True:
                job = held or self._jobs.get()
                held = None
                assert job is not None
                if job.finish is not None:
                    if job.finish:
                        self._write({"finish": True})
                    return
                jobs = [job]
                # What was submitted one by one while workers were busy goes together.
                while job.alone and len(jobs) < self.population and not self._jobs.empty():
                    held = self._jobs.get()
                    if held is None or not held.alone:
                        break
                    jobs.append(held)
                    held = None
                jobs = [job for job in jobs if job.future is not None and job.future.set_running_or_notify_cancel()]
                if jobs:
                    self._answer_all(jobs)
        except BaseException as error:  # noqa: BLE001
            failure = error
        else:
            failure = RuntimeError("the pool was closed before this was evaluated")
        finally:
            self._end()
            while not self._jobs.empty():
                left = self._jobs.get()
                if left is not None and left.future is not None and not left.future.done():
                    left.future.set_exception(failure)
            if held is not None and held.future is not None and not held.future.done():
                held.future.set_exception(failure)

    def _answer_all(self, jobs: List["_Job"]) -> None:
        try:
            answer = self._ask([candidate for job in jobs for candidate in job.candidates])
        except ValueError as error:
            # One of them is to blame; nothing was evaluated, so each is tried by itself.
            for job in jobs:
                assert job.future is not None
                try:
                    if len(jobs) == 1:
                        raise error
                    alone = self._ask(job.candidates)
                    job.future.set_result(float(alone["values"][0]))
                except ValueError as its_own:
                    job.future.set_exception(its_own)
            return
        except BaseException as error:
            for job in jobs:
                assert job.future is not None
                job.future.set_exception(error)
            raise
        for at, job in enumerate(jobs):
            assert job.future is not None
            job.future.set_result(float(answer["values"][at]) if job.alone else answer)

    def _ask(self, candidates: List[Any]) -> Dict[str, Any]:
        self._write(request_of(candidates, self.columns, self.axes))
        answer = self._read()
        if answer is None:
            raise self._failure()
        if "ended" in answer:
            raise TumbleError(f"the run has ended: {answer['ended']}")
        if "error" in answer:
            raise ValueError(answer["error"])
        self.generation = max(self.generation, int(answer["generation"]) + 1)
        return answer

    def _write(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request, allow_nan=False) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, OSError):
            # Why, it has said on the other stream.
            pass

    def _read(self) -> Optional[Dict[str, Any]]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            return None
        answer: Dict[str, Any] = json.loads(line)
        return answer

    def _read_notices(self) -> None:
        assert self._process.stderr is not None

        def on_notice(notice: Dict[str, Any]) -> None:
            if notice.get("notice") == "result":
                self._answer.value = notice

        for line in self._process.stderr:
            take_notice(line, self._answer, self._rest, on_notice)

    def _end(self) -> None:
        """Waits for the program's end, once."""
        process = self._process
        if process.stdout is not None and process.stdout.closed:
            return
        assert process.stdin and process.stdout and process.stderr
        try:
            process.stdin.close()
        except (BrokenPipeError, OSError):
            pass
        process.stdout.read()
        code = process.wait()
        self._notices.join()
        process.stdout.close()
        process.stderr.close()
        self._answer.exit_code = code if code >= 0 else 128 - code
        silent = f"the program ended with exit code {self._answer.exit_code} and said nothing"
        self._answer.error = self._answer.error or "\n".join(self._rest) or silent
        if self._scratch is not None:
            self._scratch.cleanup()
        for note in self._answer.notes:
            if note.startswith("warning: "):
                warnings.warn(note[len("warning: ") :], TumbleWarning, stacklevel=2)

    def _failure(self) -> TumbleError:
        """Why the program answers no more."""
        self._end()
        if self._answer.exit_code in (0, 3, 4, 6):
            return TumbleError(f"the run was stopped: {self._answer.error}")
        return of_exit_code(self._answer.exit_code, self._answer.error)


class _Job:
    """Candidates that wait to be evaluated, or the end."""

    def __init__(
        self, candidates: List[Any], future: Optional["Future[Any]"], *, alone: bool = False, finish: Optional[bool] = None
    ) -> None:
        self.candidates = candidates
        self.future = future
        #: One that goes together with others like it.
        self.alone = alone
        #: The end: whether the run is complete.
        self.finish = finish

    def request(self, pool: Pool) -> None:
        """Raises `ValueError` for what can be no candidates, where they are given."""
        request_of(self.candidates, pool.columns, pool.axes)


def pool(
    evaluate: Optional[Evaluate] = None,
    *,
    axes: Optional[Mapping[str, AxisKind]] = None,
    genome: Optional[int] = None,
    batch: bool = False,
    config: Optional[Mapping[str, Any]] = None,
    population: Optional[int] = None,
    generations: Optional[int] = None,
    stop: Optional[Mapping[str, Any]] = None,
    trial_seeds: Optional[str] = None,
    replicates: Optional[int] = None,
    seed: Optional[int] = None,
    objective: Optional[str] = None,
    metrics: Optional[Sequence[str]] = None,
    name: Optional[str] = None,
    limits: Optional[Mapping[str, Any]] = None,
    interpreter: Optional[str] = None,
    bundle: Optional[Sequence[str]] = None,
    set: Optional[Mapping[str, Any]] = None,
    workers: Optional[int] = None,
    out: Union[str, "os.PathLike[str]"] = "runs",
    resume: Optional[Union[str, "os.PathLike[str]"]] = None,
) -> Pool:
    """Workers on this machine for candidates of an optimiser of your own: pycma, Optuna, Nevergrad, SciPy, or any loop.

    `evaluate` is a function, an entry or a run file with `strategy = "given"`, as for `tumble.run`. What a candidate is:

    - `genome=10`: a vector of so many numbers, which the function takes as `genome`;
    - `axes={"load": float, "units": int, "rule": ["hebb", "delta"], "fast": bool}`: a value for each parameter, given as a dict,
      or as a list in this order.

    `population` is how many candidates are evaluated at once, at most (4096, or fewer where they are long); `generations` how often,
    at most. `stop` ends the run early, as `{"objective": 1e-9}`. `trial_seeds` is `fresh`, `per-generation` or `fixed`. The other
    keywords are those of `tumble.run`.

    `resume` goes on with the pool of that folder, which was stopped or killed: `pool.generation` is the next one.
    """
    settings = dict(locals())
    refuse_within()
    options = [] if workers is None else ["--workers", str(int(workers))]
    if resume is not None:
        if evaluate is not None:
            raise TypeError("a pool that goes on has its function: leave it out, as tumble.pool(resume=folder)")
        folder = Result(resume).folder
        return Pool(["pool", "--resume", "--out", str(folder), *options], None, folder, surroundings(folder))
    made = _written(evaluate, settings)
    overrides = _overrides(set)
    if made is None:
        command = ["pool", os.fspath(evaluate), "--under", os.fspath(out), *options, *overrides]  # type: ignore[arg-type]
        return Pool(command, evaluate, None, surroundings(None))
    folder = _begin(made, Path(out))
    code = folder / CODE
    here = str(code) if bundle is not None else made.travel.here or str(code)
    command = ["pool", str(code / RUN_FILE), "--out", str(folder), "--here", here, *options, *overrides]
    return Pool(command, evaluate, folder, surroundings(folder))


def pool_of(access: List[str], evaluate: Evaluate, key: Optional[str], settings: Mapping[str, Any]) -> Pool:
    """The pool of a coordinator's workers."""
    refuse_within()
    settings = dict(settings)
    unknown = [key for key in settings if key not in _KEYWORDS]
    if unknown:
        raise TypeError(f"a client's pool has no keyword `{unknown[0]}`; it has {', '.join(_KEYWORDS)}")
    if settings.get("bundle") is None and not isinstance(evaluate, (str, os.PathLike)) and travel(evaluate).here is None:
        # It lies in no file that workers could have.
        settings["bundle"] = []
    made = _written(evaluate, settings)
    options = ["--submit", *_overrides(settings.get("set")), *(["--key", key] if key is not None else []), *access]
    if made is None:
        return Pool(["pool", os.fspath(evaluate), *options], evaluate, None, surroundings(None))  # type: ignore[arg-type]
    scratch = tempfile.TemporaryDirectory(prefix="tumble-")
    try:
        code = Path(scratch.name) / CODE
        lay_code(made, code)
        here = str(code) if made.travel.packed is not None else made.travel.here or str(code)
        opened = Pool(["pool", str(code / RUN_FILE), "--here", here, *options], evaluate, None, surroundings(None))
    except BaseException:
        scratch.cleanup()
        raise
    opened._scratch = scratch
    return opened


#: Keywords of a pool that stand in the run file as they are.
_PLAIN = ("config", "replicates", "seed", "objective", "metrics", "name", "limits", "interpreter", "bundle")
_OF_EVOLVE = ("population", "generations", "stop", "trial_seeds")
#: Those of `Client.pool`.
_KEYWORDS = ("axes", "genome", "batch", *_OF_EVOLVE, *_PLAIN, "set")


def _written(evaluate: Optional[Evaluate], settings: Mapping[str, Any]) -> Optional[Written]:
    """The run file of a function; `None` where it is one already."""
    if evaluate is None:
        raise TypeError("tumble.pool takes the function to evaluate, or resume=folder")
    of_evolve = {key: settings.get(key) for key in _OF_EVOLVE}
    plain = {key: settings.get(key) for key in _PLAIN}
    if is_run_file(evaluate):
        keywords = dict(plain, axes=settings.get("axes"), genome=settings.get("genome"), **of_evolve)
        refuse_keywords(keywords, "grid", bool(settings.get("batch")))
        return None
    axes = settings.get("axes")
    if (axes is None) == (settings.get("genome") is None):
        raise TypeError(
            "a pool's candidates are vectors or values of axes: give genome=10, or axes={'load': float, 'rule': ['hebb', 'delta']}"
        )
    evolve: Dict[str, Any] = dict({"strategy": "given"}, **of_evolve)
    if axes is not None:
        evolve["axes"] = {key: _axis(key, axis) for key, axis in axes.items()}
    return write(
        evaluate, axes=None, design="grid", points=None, criterion=None, stopping=None, evolve=evolve,
        genome=settings.get("genome"), batch=bool(settings.get("batch")), **plain,
    )


def _axis(name: str, axis: Any) -> Any:
    kinds: Dict[Any, Any] = {float: {"any": "number"}, int: {"any": "integer"}, bool: [False, True]}
    if isinstance(axis, type):
        if axis not in kinds:
            raise TypeError(f"axis `{name}` is {axis.__name__}; it may be float, int, bool, or a list of all that it may be")
        return kinds[axis]
    return axis


def request_of(candidates: List[Any], columns: int, axes: Optional[List[str]]) -> Dict[str, Any]:
    """The line that gives these candidates. Raises `ValueError` for what can be none."""
    if axes is None:
        rows = array.array("d")
        for index, candidate in enumerate(candidates):
            vector = _plain(candidate)
            if not isinstance(vector, list) or len(vector) != columns:
                found = f"has {len(vector)} elements" if isinstance(vector, list) else f"is a {type(vector).__name__}"
                raise ValueError(f"candidate {index} {found}; it is a vector of {columns} numbers")
            try:
                rows.extend(map(float, vector))
            except (TypeError, ValueError) as error:
                raise ValueError(f"candidate {index} is no vector of numbers: {error}") from None
        wrong = next((at for at, x in enumerate(rows) if not math.isfinite(x)), None)
        if wrong is not None:
            raise ValueError(f"candidate {wrong // columns}: element {wrong % columns} is {rows[wrong]}, which is not finite")
        if sys.byteorder == "big":
            rows.byteswap()
        return {"candidates_f64": base64.b64encode(rows.tobytes()).decode("ascii"), "columns": columns}
    plain = []
    for index, candidate in enumerate(candidates):
        point = _plain(candidate)
        values = point.values() if isinstance(point, dict) else point if isinstance(point, list) else None
        if values is None:
            raise ValueError(f"candidate {index} is a {type(candidate).__name__}; it is a dict or a list with a value for each axis")
        for value in values:
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"candidate {index} has {value}, which is not finite")
        plain.append(point)
    return {"candidates": plain}


def _plain(value: Any) -> Any:
    """A candidate as Python's own lists, dicts and scalars."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _listed(candidates: Iterable[Any]) -> List[Any]:
    if isinstance(candidates, (str, bytes, Mapping)):
        raise ValueError("candidates are a list or an array of them; for a single one see pool.submit")
    return list(candidates)


def _is_many(candidate: Any) -> bool:
    if isinstance(candidate, (Mapping, list, tuple)):
        return True
    return getattr(candidate, "ndim", 0) > 0


def _name(function: Any) -> str:
    return repr(getattr(function, "__qualname__", function))
