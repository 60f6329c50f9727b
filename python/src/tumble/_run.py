"""`tumble.run` and `tumble.resume`: a run on this machine, from a Python function or from a run file."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from . import _function
from ._binary import Answer, call
from ._errors import Interrupted, ResultsDisagree, RunFailed, RunStopped, TumbleWarning, of_exit_code
from ._progress import Progress, Wanted
from ._result import CODE, RUN_FILE, STATE, WITHIN, Result, surroundings, warn_of_failed
from ._runfile import name_of, plain, section, text_of
from ._runfile import _value as written

#: What a run evaluates: a function, an entry such as `"model.py:evaluate"`, or the path of a run file.
Evaluate = Union[str, "os.PathLike[str]", Callable[..., Any]]

#: Six of these end a run's id: characters that are hard to mistake.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


@dataclass
class Written:
    """A run file that was made of a function, before it lies anywhere."""

    name: str
    text: str
    travel: _function.Travel

    def here(self, code: Path) -> str:
        """The folder that the entry is relative to, once all is laid into the folder `code`."""
        return str(code) if self.travel.packed is not None else self.travel.here or str(code)


def run(
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
    workers: Optional[int] = None,
    out: Union[str, "os.PathLike[str]"] = "runs",
    progress: Wanted = True,
) -> Result:
    """Evaluates a function at every point of a sweep, or of an evolution, with workers on this machine, and returns the result.

    `evaluate` is a function, an entry such as `"model.py:evaluate"`, or the path of a run file (`.toml`). The function is called
    with each key of `config` and each axis as an argument by its name, `seed` (an integer of 64 bits, another for each trial) if it
    has such a parameter, and `genome` (a NumPy array of float64, shape `(genome,)`) if an evolution searches one. It returns a dict
    of numbers, or a number. A function of a file is imported from there; one of a notebook, of the running script, a closure or a
    lambda is taken along by cloudpickle.

    - `axes`: for each parameter to sweep a list (also a NumPy array or a range), or `tumble.linear`, `log`, `integers`, `values`.
      `design`: how they are laid out, `grid`, `list`, `random`, `latin-hypercube` or `sobol`; the last three need `points`.
      `criterion` and `stopping` are those of `[sweep]`.
    - `evolve`: an evolution, as `{"strategy": "cma-es", "generations": 100}`; what is searched is the vector `genome` of so many
      elements, or the `"axes"` in it. With `axes` beside it, every point of the sweep is an evolution.
    - `batch`: the function takes many trials at once, each parameter as an array of shape `(trials,)`, `genome` of shape
      `(trials, genome)`, and returns an array of shape `(trials,)` for each metric.
    - `config`: fixed arguments. `replicates`: trials at each point, each under its own seed (1). `seed`: the root of all chance (0).
    - `metrics`: the names of what the function returns, where it does not say so itself by its annotation (`-> float` is the metric
      `value`; a TypedDict, a dataclass or a NamedTuple its fields) or by a list `METRICS` beside it. `objective`: the metric that
      steers, with `-` in front to minimise; by default the first, maximised.
    - `limits`: as `{"timeout": "90s", "wall": "2h", "on_failure": "abort"}`; times may be a `timedelta`.
    - `interpreter`: the Python of the workers; by default this one, which is not written into the run.
    - `bundle`: files and folders that travel to the workers beside the function, as `["helpers.py", "data/"]`, relative to the folder
      of the function's file, or to the working folder for one that lies in none. The function then sees these alone, and its working
      folder is theirs.
    - `set`: settings of a run file to override, as `{"evolve.sigma": 0.5}`.
    - `workers`: how many processes; by default one for each core. `out`: the folder in which the run's own is made.
    - `progress`: a bar in a terminal or notebook; or a function that is given every notice of the program as a dict.

    Some trials failed: a `TrialsFailedWarning`, and `result.failed`. Raises `RunFileError` where the run makes no sense (each
    problem is named with what to write instead), `RunFailed` where a failed trial ended it (`on_failure = "abort"`), `RunStopped`
    where `limits.wall` did, `ResultsDisagree` where a trial gave two results, and `Interrupted` (a `KeyboardInterrupt`) after
    Ctrl-C; what was evaluated by then is kept, and `tumble.resume` goes on.
    """
    refuse_within()
    keywords: Dict[str, Any] = dict(
        axes=axes, points=points, criterion=criterion, stopping=stopping, evolve=evolve, genome=genome, config=config,
        replicates=replicates, seed=seed, objective=objective, metrics=metrics, name=name, limits=limits, interpreter=interpreter,
        bundle=bundle,
    )
    overrides = _overrides(set)
    options = [] if workers is None else ["--workers", str(int(workers))]
    if is_run_file(evaluate):
        refuse_keywords(keywords, design, batch)
        arguments = ["run", os.fspath(evaluate), "--leash", "--under", os.fspath(out), *options, *overrides]  # type: ignore[arg-type]
        return _carry_out(arguments, None, surroundings(None, of_file=True), progress)
    made = write(evaluate, design=design, batch=batch, **keywords)
    folder = _begin(made, Path(out))
    code = folder / CODE
    arguments = ["run", str(code / RUN_FILE), "--leash", "--out", str(folder), "--here", made.here(code), *options, *overrides]
    try:
        return _carry_out(arguments, folder, surroundings(folder), progress)
    finally:
        if not (folder / "run.toml").exists():
            # The run never began; nothing is lost that the call does not make again.
            shutil.rmtree(code, ignore_errors=True)
            _remove_if_empty(folder)


def resume(
    folder: Union[str, "os.PathLike[str]"], *, workers: Optional[int] = None, progress: Wanted = True
) -> Result:
    """Goes on with a run that was stopped or killed, with workers on this machine; nothing that was acknowledged is evaluated again.
    Of a run that is complete it returns the result. Raises what `run` raises."""
    place = Result(folder).folder
    options = [] if workers is None else ["--workers", str(int(workers))]
    return _carry_out(["run", "--resume", "--leash", "--out", str(place), *options], place, surroundings(place), progress)


def refuse_within() -> None:
    """Workers import the module of a function; what it does beside must not begin the run once more, in each of them."""
    if os.environ.get(WITHIN):
        raise RuntimeError(
            "a run is begun within a run: workers import this module as well, so put the call under `if __name__ == \"__main__\":`"
        )


def is_run_file(evaluate: Evaluate) -> bool:
    """Whether this is the path of a run file, not a function."""
    return isinstance(evaluate, (str, os.PathLike)) and os.fspath(evaluate).endswith(".toml")


def lies_in_no_file(evaluate: Evaluate) -> bool:
    """Whether this is a function that workers elsewhere can have by a bundle alone."""
    return not isinstance(evaluate, (str, os.PathLike)) and _function.travel(evaluate).here is None


def refuse_keywords(keywords: Mapping[str, Any], design: str, batch: bool) -> None:
    """A run file says itself what these keywords say."""
    given = [key for key, value in keywords.items() if value is not None]
    given += ["design"] * (design != "grid") + ["batch"] * batch
    if given:
        raise TypeError(f"a run file says itself what `{given[0]}` is; override it, as set={{'replicates': 3}}")


def write(
    evaluate: Evaluate,
    *,
    axes: Optional[Mapping[str, Any]],
    design: str,
    points: Optional[int],
    criterion: Optional[str],
    stopping: Optional[Mapping[str, Any]],
    evolve: Optional[Mapping[str, Any]],
    genome: Optional[int],
    batch: bool,
    config: Optional[Mapping[str, Any]],
    replicates: Optional[int],
    seed: Optional[int],
    objective: Optional[str],
    metrics: Optional[Sequence[str]],
    name: Optional[str],
    limits: Optional[Mapping[str, Any]],
    interpreter: Optional[str],
    bundle: Optional[Sequence[str]] = None,
) -> Written:
    """The run file of a function, in the words of the format."""
    if isinstance(evaluate, os.PathLike):
        raise TypeError(f"{os.fspath(evaluate)} is no run file: its name does not end in .toml")
    if isinstance(metrics, str):
        raise TypeError(f"metrics is a list of names, as metrics=[{metrics!r}]")
    if isinstance(bundle, str):
        raise TypeError(f"bundle is a list of files and folders, as bundle=[{bundle!r}]")
    travel = _function.travel(evaluate)
    if bundle is not None:
        travel.pack(list(bundle))
    name = travel.name if name is None else name
    # Without axes the sweep is left out, unless nothing else says what is tried: then the program tells what is missing.
    swept = axes is not None or evolve is None
    text = text_of(
        {
            "name": name,
            "pipeline": "python",
            "seed": seed,
            "replicates": replicates,
            "objective": objective,
            "bundle": travel.packed,
            "python": {
                "entry": travel.entry,
                "interpreter": interpreter,
                "metrics": None if metrics is None else list(metrics),
                "batch": batch or None,
                "genome": genome,
            },
            "config": section(config),
            "evolve": section(evolve),
            "sweep": {
                "design": design,
                "points": points,
                "criterion": criterion,
                "stopping": section(stopping),
                "axes": dict(axes or {}),
            }
            if swept
            else None,
            "limits": section(limits),
        }
    )
    return Written(name, text, travel)


def _begin(made: Written, out: Path) -> Path:
    """Makes the run's folder, with the run file and the function in it."""
    name = name_of(made.name)
    while True:
        folder = out / f"{name}-{''.join(secrets.choice(_ALPHABET) for _ in range(6))}"
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            continue
    lay_code(made, folder / CODE)
    return folder


def lay_code(made: Written, code: Path) -> None:
    """Puts the run file and the function into a folder, and what travels with it."""
    code.mkdir()
    travel = made.travel
    for file, data in travel.files.items():
        (code / file).write_bytes(data)
    travel.lay_bundle(code)
    here = None if travel.packed is not None else travel.here
    again = f"tumble run {RUN_FILE}" + (f" --here {here}" if here else "")
    head = f"# Written by the tumble package. To run it again: {again}\n# with TUMBLE_PYTHON={sys.executable}\n"
    (code / RUN_FILE).write_text(head + made.text, encoding="utf-8")
    origin = dict(_function.origin(), here=here)
    if travel.packed is not None:
        # What is not in the bundle is not there for the workers either.
        origin.update(folder="", path=[])
    (code / _function.ORIGIN).write_text(json.dumps(origin, indent=1), encoding="utf-8")


def _overrides(settings: Optional[Mapping[str, Any]]) -> List[str]:
    given = plain(settings or {}, "`set`")
    return [word for key, value in given.items() for word in ("--set", f"{key}={written(value)}")]


def _carry_out(arguments: List[str], folder: Optional[Path], environment: Mapping[str, str], wanted: Wanted) -> Result:
    """Gives the command, shows its progress, and makes a result or an error of its answer."""
    progress = Progress(wanted)

    def on_notice(notice: Dict[str, Any]) -> None:
        nonlocal folder
        if notice.get("notice") == "started":
            folder = folder or Path(notice["folder"])
        progress(notice)

    try:
        answer = call(arguments, on_notice, environment=environment, leash=True)
    except Interrupted as interrupted:
        raise _interrupted(folder) from interrupted
    finally:
        progress.end()
    for note in answer.notes:
        if note.startswith("warning: "):
            warnings.warn(note[len("warning: ") :], TumbleWarning, stacklevel=3)
    return ended(answer, folder, stacklevel=3)


def ended(answer: Answer, folder: Optional[Path], stacklevel: int) -> Result:
    """The result of a run whose command ended so, or its error."""
    state, reason = answer.value.get("state"), answer.value.get("reason") or answer.error
    if answer.exit_code == 4:
        where = f"; go on with tumble.resume({str(folder)!r})" if folder else ""
        raise RunStopped(f"the run was stopped: {reason}{where}", folder)
    if answer.exit_code not in (0, 3, 6):
        raise of_exit_code(answer.exit_code, answer.error)
    result = Result(folder or Path(answer.value["folder"]))
    if answer.exit_code == 6:
        raise ResultsDisagree(f"trials gave other results when they were evaluated again: {_differing(answer.value)}", result)
    if state == "failed":
        raise RunFailed(f"the run failed: {reason}", result)
    if answer.exit_code == 3:
        warn_of_failed(result, stacklevel + 1)
    return result


def _differing(summary: Mapping[str, Any]) -> str:
    found = [f"trial {one.get('trial')}: {one.get('column')} {one.get('recorded')}, then {one.get('again')}" for one in summary.get("differing", [])]
    return "; ".join(found) or f"{summary.get('disagreements')} of them"


def _interrupted(folder: Optional[Path]) -> Interrupted:
    if folder is None or not (folder / "run.toml").exists():
        return Interrupted("interrupted before the run began")
    if not (folder / STATE).exists():
        return Interrupted(f"interrupted, when the run was complete: tumble.open({str(folder)!r})", folder)
    return Interrupted(f"interrupted; what is evaluated is kept, go on with tumble.resume({str(folder)!r})", folder)


def _remove_if_empty(folder: Path) -> None:
    # A state folder of a run that was never recorded holds nothing.
    shutil.rmtree(folder / STATE, ignore_errors=True)
    for inner in (folder / "trials", folder):
        try:
            inner.rmdir()
        except OSError:
            # It is not there, or it holds something of somebody.
            pass
