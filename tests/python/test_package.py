"""The package as a user has it: installed with pip, the program beside it.

    pytest tests/python/test_package.py

Functions of a notebook are those of a script here: both are `__main__`, and lie in no module that a worker could import.
"""

import functools
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import pytest
import tumble

# Guards against hanging alone: nothing here is expected to take a tenth of it.
HANGS_AFTER = 120.0
# Scripts of the test at hand, which must not outlive it.
STARTED = []


def until(what, look):
    """Looks until something is there."""
    since = time.monotonic()
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() - since < HANGS_AFTER, f"waited in vain until {what}"
        time.sleep(0.02)


def tables(folder):
    """What follows from the run file and the function alone."""
    folder = Path(folder)
    files = [*sorted((folder / "trials").iterdir()), folder / "run.toml"]
    files += [path for path in (folder / "generations.parquet", folder / "champion.json") if path.exists()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def is_gone(process):
    """Whether a process has ended; one that nobody asks for leaves a zombie behind, which does nothing any more."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def only_run(runs="runs"):
    """The folder of the one run that there is."""
    (folder,) = Path(runs).iterdir()
    return folder


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A working folder for each test, and no settings of the person who runs them."""
    for name in [name for name in os.environ if name.startswith("TUMBLE_") and name != "TUMBLE_BINARY"]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for process in STARTED:
        process.kill()
        process.communicate()
    STARTED.clear()


def start(text, *arguments, name="script.py", **more):
    """Starts a script of these lines."""
    Path(name).write_text(textwrap.dedent(text), encoding="utf-8")
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", **more}
    # A shell that starts the tests in the background lets them ignore Ctrl-C, and so would this script.
    hears = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    STARTED.append(subprocess.Popen([sys.executable, name, *arguments], preexec_fn=hears, **more))
    return STARTED[-1]


def script(text, *arguments, **more):
    """Runs a script to its end, which must be good; gives what it printed."""
    process = start(text, *arguments, **more)
    out, err = process.communicate(timeout=HANGS_AFTER)
    assert process.returncode == 0, f"{out}\n{err}"
    return out


SCRIPT = """
from __future__ import annotations

import json, random, sys
from typing import TypedDict

import beside
import tumble

SCALE = 3.0

class Result(TypedDict):
    energy: float
    length: int

def weight(load):
    return SCALE * load

def evaluate(load: float, rule: str, steps: int = 20, *, flag: bool = True, seed: int) -> Result:
    assert type(load) is float and type(rule) is str and type(steps) is int and flag is True
    print("scoring", load)
    chance = random.Random(seed)
    with open("data.txt") as file:
        offset = float(file.read())
    energy = offset + beside.bonus(rule) + sum(weight(load) * chance.random() for _ in range(steps))
    return {"energy": energy, "length": len(rule)}

workers, out = int(sys.argv[1]), sys.argv[2]
result = tumble.run(
    evaluate, axes={"load": tumble.linear(0.5, 2, 6), "rule": ["hebb", "it's \\"quoted\\" ü"]}, replicates=3, seed=7,
    objective="-energy", workers=workers, out=out,
)
print(json.dumps({"folder": str(result.folder), "rows": result.trials.num_rows, "failed": result.failed}))
"""


def test_a_function_of_the_running_script_gives_the_same_bytes_for_one_worker_and_three():
    Path("beside.py").write_text("def bonus(rule):\n    return len(rule)\n")
    Path("data.txt").write_text("0.25")
    said = [json.loads(script(SCRIPT, workers, out)) for workers, out in (("1", "one"), ("3", "three"))]
    assert [(one["rows"], one["failed"]) for one in said] == [(36, 0), (36, 0)]
    one, three = [tables(one["folder"]) for one in said]
    assert one == three
    result = tumble.open(said[0]["folder"])
    # Its signature describes the pipeline: kinds and defaults stand in the run.
    canonical = (result.folder / "run.toml").read_text()
    assert 'metrics = ["energy", "length"]' in canonical
    assert "[config]\nsteps = 20\nflag = true\n" in canonical
    assert "load = { linear = [0.5, 2.0], points = 6 }" in canonical
    # No path of this machine is part of the run.
    assert str(Path.cwd()) not in canonical and sys.prefix not in canonical
    first = result.trials.slice(0, 1).to_pylist()[0]
    assert (first["load"], first["rule"], first["length"], first["outcome"]) == (0.5, "hebb", 4, "scored")
    # The run can be looked at and evaluated again from elsewhere, by the package and by the program.
    os.makedirs("elsewhere")
    os.chdir("elsewhere")
    again = tumble.open(Path("..") / said[0]["folder"])
    assert again.verify("100%") == 36
    verify = ["verify", str(again.folder), "--sample", "100%"]
    environment = dict(os.environ, TUMBLE_PYTHON=sys.executable)
    subprocess.run([tumble.binary(), *verify, "--quiet"], check=True, env=environment, stdout=subprocess.DEVNULL)
    # And begun again from its run file.
    line = [tumble.binary(), "run", str(again.run_file), "--out", "again", "--quiet"]
    subprocess.run(line, check=True, env=environment, stdout=subprocess.DEVNULL)
    assert tables("again") == one
    # Or made longer.
    extend = [tumble.binary(), "extend", str(again.folder), "--set", "replicates=4", "--quiet"]
    subprocess.run(extend, check=True, env=environment, stdout=subprocess.DEVNULL)
    assert again.trials.num_rows == 48 and again.verify(1.0) == 48


def test_a_closure_and_a_lambda_are_taken_along():
    def scaled_by(scale):
        def evaluate(x, seed):
            return {"y": scale * x + seed % 7}

        return evaluate

    closures = [tumble.run(scaled_by(2.5), axes={"x": [1.0, 2.0]}, metrics=["y"], workers=n, out=f"out{n}") for n in (1, 2)]
    assert tables(closures[0].folder) == tables(closures[1].folder)
    other = tumble.run(scaled_by(3.5), axes={"x": [1.0, 2.0]}, metrics=["y"], workers=1)
    differences = [b - a for a, b in zip(closures[0].trials["y"].to_pylist(), other.trials["y"].to_pylist())]
    assert differences == [1.0, 2.0]
    squares = tumble.run(lambda x: x * x, axes={"x": [1, 2, 3]}, metrics=["square"], workers=1)
    assert squares.trials["square"].to_pylist() == [1.0, 4.0, 9.0]
    assert squares.folder.name.startswith("function-")


def test_a_function_of_a_file_is_imported_from_there(place, monkeypatch):
    package = place / "lab" / "models"
    package.mkdir(parents=True)
    (place / "lab" / "model_at_top.py").write_text(
        "import besides\nMETRICS = ['y']\n"
        "def evaluate(x: float):\n    return {'y': x + besides.ONE}\n"
    )
    (place / "more").mkdir()
    (place / "more" / "besides.py").write_text("ONE = 1\n")
    (package / "__init__.py").write_text("")
    (package / "shared.py").write_text("OFFSET = 10\n")
    (package / "inner.py").write_text(
        "from .shared import OFFSET\nclass Model:\n    @staticmethod\n    def score(x: float) -> float:\n        return x + OFFSET\n"
    )
    monkeypatch.syspath_prepend(place / "lab")
    # Where this Python finds a module, workers do.
    monkeypatch.syspath_prepend(place / "more")
    import model_at_top
    import models.inner

    top = tumble.run(model_at_top.evaluate, axes={"x": [1.0]}, workers=1)
    assert 'entry = "model_at_top.py:evaluate"' in top.run_file.read_text()
    assert top.trials["y"].to_pylist() == [2.0]
    inner = tumble.run(models.inner.Model.score, axes={"x": [1.0]}, workers=1)
    assert 'entry = "models.inner:Model.score"' in inner.run_file.read_text()
    assert inner.trials["value"].to_pylist() == [11.0]
    # What goes by the name of another is not taken for it.
    plain = model_at_top.evaluate
    monkeypatch.setattr(model_at_top, "evaluate", lambda x: {"y": 2 * plain(x)["y"]})
    hidden = tumble.run(plain, axes={"x": [1.0]}, workers=1)
    assert hidden.trials["y"].to_pylist() == [2.0]
    assert "function.py:evaluate" in hidden.run_file.read_text()
    named = tumble.run("lab/model_at_top.py:evaluate", axes={"x": [1.0]}, workers=1)
    assert tables(named.folder) == tables(top.folder)
    assert top.verify(1.0) == inner.verify(1.0) == 1


def test_a_run_file_is_run_with_settings_overridden(place):
    (place / "model.py").write_text("def evaluate(x: float, scale: float = 1.0) -> float:\n    return x * scale\n")
    (place / "model.toml").write_text(
        'name = "filed"\npipeline = "python"\n[python]\nentry = "model.py:evaluate"\n'
        '[sweep]\ndesign = "list"\n[sweep.axes]\nx = [1.0, 2.0]\n'
    )
    result = tumble.run("model.toml", set={"config.scale": 4, "replicates": 2, "sweep.axes.x": [0.5]}, workers=1, out="all")
    assert result.trials["value"].to_pylist() == [2.0, 2.0]
    assert result.folder.parent.name == "all" and result.folder.name.startswith("filed-")
    assert result.verify(1.0) == 2
    # A run file takes the Python that the environment names, if it names one.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUMBLE_PYTHON", "/no/such/python")
        with pytest.raises(tumble.RunFileError, match="there is no interpreter /no/such/python"):
            tumble.run("model.toml", workers=1)
    with pytest.raises(TypeError, match="a run file says itself what `replicates` is"):
        tumble.run(Path("model.toml"), replicates=2)


def test_wrong_names_and_kinds_are_told_with_what_is_right():
    def evaluate(load: float, rule: str = "hebb") -> float:
        return load

    with pytest.raises(tumble.RunFileError) as told:
        tumble.run(evaluate, axes={"lod": [1.0]})
    assert "`evaluate` has no parameter `lod`" in str(told.value) and "did you mean `load`?" in str(told.value)
    with pytest.raises(tumble.RunFileError, match="takes text as `rule`, found integer"):
        tumble.run(evaluate, axes={"load": [1.0]}, config={"rule": 3})
    with pytest.raises(tumble.RunFileError, match="missing `metrics`"):
        tumble.run(lambda x: {"y": x}, axes={"x": [1.0]})
    with pytest.raises(tumble.RunFileError, match=r"\[sweep\] has no axes"):
        tumble.run(evaluate, config={"load": 1.0})
    with pytest.raises(tumble.RunFileError, match="unknown strategy `cma`"):
        tumble.run(lambda genome: 1.0, evolve={"strategy": "cma"}, genome=3, metrics=["y"])
    with pytest.raises(TypeError, match="`axes`.*|the run, `sweep`, `axes`, `load` is a set"):
        tumble.run(evaluate, axes={"load": {1.0, 2.0}})
    with pytest.raises(TypeError, match="is nan, which no run file can have"):
        tumble.run(evaluate, axes={"load": [math.nan]})
    with pytest.raises(TypeError, match=r"metrics is a list of names, as metrics=\['y'\]"):
        tumble.run(evaluate, axes={"load": [1.0]}, metrics="y")
    with pytest.raises(TypeError, match="is no function"):
        tumble.run(3, axes={"load": [1.0]})
    # What never began leaves nothing behind.
    assert not list(Path("runs").iterdir())


def test_what_cannot_be_taken_along_is_told():
    file = open(os.devnull, "wb")

    def evaluate(x: float) -> float:
        file.write(b"x")
        return x

    with pytest.raises(TypeError, match="the function cannot be taken along: .*make it inside the function"):
        tumble.run(evaluate, axes={"x": [1.0]})
    file.close()


def test_trials_that_raise_are_counted_and_told_and_the_others_stand():
    def evaluate(x: int) -> float:
        if x % 2:
            raise ValueError(f"{x} is odd")
        return x / 2

    with pytest.warns(tumble.TrialsFailedWarning, match="(?s)2 of 4 trials failed; the first, trial 1: .*1 is odd"):
        result = tumble.run(evaluate, axes={"x": tumble.integers(0, 3)}, workers=2)
    assert result.failed == 2 and result.complete
    assert result.trials["outcome"].to_pylist() == ["scored", "failed", "scored", "failed"]
    first, second = result.errors().to_pylist()
    assert (first["trial"], second["trial"]) == (1, 3)
    # The line is there although no worker has this file under that name.
    assert 'raise ValueError(f"{x} is odd")' in first["error"] and "<test_package.py>:" in first["error"]
    with pytest.raises(tumble.RunFailed) as failed:
        tumble.run(evaluate, axes={"x": [0, 2, 3]}, limits={"on_failure": "abort"}, workers=1)
    assert failed.value.exit_code == 3 and failed.value.result.summary["state"] == "failed"


def test_an_evolution_gives_generations_and_a_champion_as_an_array(monkeypatch):
    numpy = pytest.importorskip("numpy")

    def evaluate(genome, shift: float) -> float:
        assert genome.dtype == "float64" and genome.shape == (5,)
        return float(((genome - shift) ** 2).sum())

    def whole(genome, shift: float) -> float:
        return ((genome - shift) ** 2).sum(axis=1)

    evolve = {"strategy": "cma-es", "generations": 40, "sigma": 0.5, "start": numpy.zeros(5)}
    keywords = {"evolve": evolve, "genome": 5, "config": {"shift": 2}, "objective": "-value", "seed": numpy.int64(3), "workers": 2}
    one, all_at_once = tumble.run(evaluate, **keywords), tumble.run(whole, batch=True, **keywords)
    for result in (one, all_at_once):
        assert result.generations.num_rows == 40
        champion = result.champion
        assert champion.genome.shape == (5,) and champion.genome.dtype == "float64"
        assert champion.metric == "value" and champion.value == -champion.fitness < 0.1
        assert numpy.allclose(champion.genome, 2, atol=0.2)
    settings = tumble.run(
        lambda rate, width: {"cost": (math.log10(rate) + 2) ** 2 + abs(width - 3)},
        evolve={"strategy": "cma-es", "generations": 5, "axes": {"rate": tumble.log(1e-4, 1.0), "width": tumble.integers(1, 8)}},
        metrics=["cost"],
        objective="-cost",
        workers=1,
    )
    assert set(settings.champion.settings) == {"rate", "width"} and settings.champion.genome.shape == (2,)
    vector = one.champion.genome.tolist()
    # Without NumPy it is a list.
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert one.champion.genome == vector


def test_arrays_scalars_ranges_and_tuples_are_axes(place):
    numpy = pytest.importorskip("numpy")

    def evaluate(a: float, b: int, c: str, d: bool, e: float = 0.0) -> float:
        return a + b

    axes = {
        "a": numpy.linspace(0, 1, 3),
        "b": range(2),
        "c": numpy.array(["x", "y"]),
        "d": (numpy.bool_(True), False),
        "e": tumble.values([0.5], when={"c": "x"}),
    }
    result = tumble.run(evaluate, axes=axes, workers=1)
    assert result.axes == ["a", "b", "c", "d", "e"]
    assert result.trials.num_rows == 3 * 2 * 2 * 2
    lists = tumble.run(evaluate, design="list", axes={"a": [1, 2], "b": [3, 4], "c": ["x", "y"], "d": [True, False]}, workers=1)
    assert lists.trials["value"].to_pylist() == [4.0, 6.0]
    sampled = tumble.run(evaluate, design="sobol", points=8, axes={"a": tumble.linear(0, 1), "b": tumble.integers(0, 9)},
                         config={"c": "x", "d": True}, workers=1)
    assert sampled.trials.num_rows == 8


GATED = """
import os, sys, time
import tumble

def evaluate(x: int) -> float:
    # Trials wait for a file that the test makes, so that some are surely in progress.
    if x >= 5:
        open("pid-%d" % x, "w").close()
        while not os.path.exists("open"):
            time.sleep(0.02)
    return x * 1.5

def progress(notice):
    if notice.get("text", "").startswith("stopping"):
        open("stopping", "w").close()

try:
    tumble.run(evaluate, axes={"x": tumble.integers(0, 19)}, workers=2, progress=progress)
except tumble.Interrupted as interrupted:
    print(interrupted)
    sys.exit(42)
"""


def gated(**more):
    """A run whose trials wait, as soon as some of them do."""
    process = start(GATED, **more)
    until("trials wait at the gate", lambda: list(Path().glob("pid-*")) or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    return process


def test_ctrl_c_stops_a_run_that_a_resume_completes():
    process = gated()
    process.send_signal(signal.SIGINT)
    # Workers stop when they have reported the trials that they are at.
    until("the run stops", lambda: Path("stopping").exists())
    Path("open").touch()
    out, err = process.communicate(timeout=HANGS_AFTER)
    folder = only_run()
    assert process.returncode == 42, (out, err)
    assert out.strip() == f"interrupted; what is evaluated is kept, go on with tumble.resume('{folder}')"
    assert not tumble.open(folder).complete and tumble.open(folder).summary == {"state": "open"}
    result = tumble.resume(folder, workers=1)
    assert result.complete and result.trials["value"].to_pylist() == [x * 1.5 for x in range(20)]
    # What is complete is given as it is.
    assert tumble.resume(folder).summary == result.summary
    calm = script(GATED.replace("workers=2", "workers=1, out='calm'"))
    assert tables(only_run("calm")) == tables(folder), calm


def test_a_run_does_not_outlive_the_python_that_began_it():
    process = gated()
    children = [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert len(children) == 1
    process.kill()
    process.communicate(timeout=HANGS_AFTER)
    # Its trials still wait, so that it has not ended because all is done.
    until("the program has ended", lambda: is_gone(children[0]))
    Path("open").touch()
    result = tumble.resume(only_run(), workers=1)
    assert result.trials["value"].to_pylist() == [x * 1.5 for x in range(20)]


def test_a_run_that_its_wall_limit_stops_says_how_to_go_on():
    def evaluate(x: int) -> float:
        import os
        import time

        while x and not os.path.exists("open"):
            time.sleep(0.02)
        return 1.0

    with pytest.raises(tumble.RunStopped, match=r"go on with tumble.resume\('runs/evaluate-......'\)") as stopped:
        tumble.run(evaluate, axes={"x": [0, 1]}, limits={"wall": "1s"}, workers=1)
    Path("open").touch()
    assert stopped.value.exit_code == 4
    assert tumble.open(stopped.value.folder).complete is False


def test_a_function_that_looks_at_the_clock_is_caught():
    def evaluate(x: float) -> float:
        import time

        return x + time.time_ns() % 1_000_003

    result = tumble.run(evaluate, axes={"x": [1.0, 2.0]}, workers=1)
    with pytest.raises(tumble.ResultsDisagree, match="these trials gave other numbers: 0, 1"):
        result.verify(1.0)


def test_every_notice_of_a_run_is_given_to_who_asks():
    seen = []
    tumble.run(lambda x: x, axes={"x": [1.0]}, metrics=["y"], workers=1, progress=seen.append)
    assert seen[0]["notice"] == "started" and seen[-1]["notice"] == "progress"
    assert (seen[-1]["trials_done"], seen[-1]["state"]) == (1, "finished")

    def stumbles(notice):
        raise ZeroDivisionError("in the middle")

    with pytest.raises(ZeroDivisionError):
        tumble.run(lambda x: x, axes={"x": [1.0]}, metrics=["y"], workers=1, progress=stumbles)


def test_frames_pages_and_errors_of_a_result(place, monkeypatch):
    result = tumble.run(lambda x, c: {"y": x}, axes={"x": [1.0, 2.0], "c": ["a", "<b>"]}, metrics=["y"], replicates=2, workers=1)
    assert result.objective == "y" and result.summary["trials"] == 8
    assert result.attempts.num_rows >= 1
    assert "&lt;b&gt;" in result._repr_html_() and "<b>" not in result._repr_html_()
    assert "complete, 8 trials, best y 2" in repr(result)
    with pytest.raises(FileNotFoundError, match="the run has no generations"):
        result.generations
    with pytest.raises(ValueError, match="there is no table 'trial'"):
        result.pandas("trial")
    for frame, module in ((result.pandas, "pandas"), (result.polars, "polars")):
        if pytest.importorskip(module):
            assert frame().shape == (8, len(result.trials.column_names))
    with pytest.raises(FileNotFoundError, match="holds no run"):
        tumble.open(place / "nowhere")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        result.plot()


def test_results_are_drawn(place):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    sweep = tumble.run(lambda x, c: {"y": x}, axes={"x": [1.0, 2.0], "c": ["a", "b"]}, metrics=["y"], workers=1)
    assert sweep.plot().get_xlabel() == "x"
    curve = tumble.run(lambda x: {"y": x}, axes={"x": [1.0, 2.0]}, metrics=["y"], workers=1)
    assert list(curve.plot().lines[0].get_ydata()) == [1.0, 2.0]
    evolution = tumble.run(lambda genome: {"y": sum(genome)}, evolve={"strategy": "ga", "generations": 3}, genome=2,
                           metrics=["y"], workers=1)
    assert evolution.plot().get_xlabel() == "generation"
    with pytest.raises(ValueError, match="there is no column 'z'"):
        sweep.plot("z")


def test_the_program_is_found_beside_the_package_or_named(monkeypatch):
    module = [sys.executable, "-m", "tumble"]
    version = subprocess.run([*module, "--version"], check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    assert version.startswith("tumble ")
    assert subprocess.run([*module, "check"], stderr=subprocess.DEVNULL).returncode == 2
    monkeypatch.setenv("TUMBLE_BINARY", "/no/such/program")
    with pytest.raises(tumble.TumbleError, match="TUMBLE_BINARY names /no/such/program, which is no program"):
        tumble.run(lambda x: x, axes={"x": [1.0]}, metrics=["y"])


@pytest.fixture
def coordinator(place):
    """A coordinator of its own, and a way to start workers for it."""
    processes = []

    def begin(*arguments, **more):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([tumble.binary(), *arguments], **quiet, **more)
        processes.append(process)
        return process

    begin("coordinator", "--state", "state", "--out", "served", "--listen", "127.0.0.1:0")

    def answers():
        try:
            return tumble.connect("state/client.access")
        except tumble.CoordinatorUnreachable:
            return None

    client = until("the coordinator answers", answers)
    client.worker = lambda **more: begin("worker", "--access", str(place / "state" / "worker.access"), "--slots", "1", **more)
    yield client
    for process in processes:
        process.kill()
        process.wait()


def test_runs_of_a_coordinator_are_submitted_watched_waited_for_and_cancelled(coordinator, place):
    (place / "model.py").write_text(
        "import os, time\n"
        "def evaluate(x: int) -> float:\n"
        "    while x > 2 and not os.path.exists('open'):\n        time.sleep(0.02)\n"
        "    return x * 2.0\n"
    )
    with coordinator as client:
        run = client.submit("model.py:evaluate", axes={"x": [1, 2]}, name="first", interpreter=sys.executable)
        assert run.id.startswith("first-") and run.name == "first" and run.state == "waiting"
        with pytest.raises(TimeoutError, match=f"the run {run.id} is waiting"):
            run.wait(timeout=0.2)
        client.worker()
        seen = []
        result = run.watch(seen.append)
        assert seen[-1]["state"] == "finished" and result.complete
        assert result.trials["value"].to_pylist() == [2.0, 4.0]
        assert run.wait().summary == result.summary and run.result().folder == result.folder == run.folder
        long = client.submit("model.py:evaluate", axes={"x": [1, 2, 3]}, name="long", interpreter=sys.executable)
        until("two trials are done", lambda: long.status["trials_done"] == 2)
        assert {one.id for one in client.runs()} == {run.id, long.id}
        assert client.run("last").id == long.id and client.run("first").id == run.id
        long.cancel()
        assert long.state == "cancelled"
        with pytest.raises(tumble.RunFileError, match="no run"):
            client.run("nothing")
        with pytest.raises(tumble.RunFileError, match="has no parameter `y`"):
            client.submit("model.py:evaluate", axes={"x": [1], "y": [1]}, interpreter=sys.executable)
    (place / "open").touch()


def test_a_coordinator_that_is_not_there_is_told(place):
    with pytest.raises(tumble.CoordinatorUnreachable, match="client.access"):
        tumble.connect(place / "client.access")


def test_a_module_that_begins_a_run_when_it_is_imported_is_told_what_to_do(place, monkeypatch):
    monkeypatch.syspath_prepend(place)
    (place / "hasty.py").write_text(
        "import os, tumble\n"
        "def evaluate(x: float) -> float:\n    return x\n"
        "if os.path.exists('go'):\n    tumble.run(evaluate, axes={'x': [1.0]}, workers=1)\n"
    )
    import hasty

    # A module that is run without the guard is imported by its workers, which come to the same line.
    (place / "go").touch()
    with pytest.raises(tumble.RunFileError, match='put the call under `if __name__ == "__main__":`'):
        tumble.run(hasty.evaluate, axes={"x": [1.0]}, workers=1)


def test_a_terminal_has_a_bar_and_a_log_has_none(place):
    import pty

    text = "import tumble\ntumble.run(lambda x: x, axes={'x': [1.0, 2.0]}, metrics=['y'], workers=1)\nprint('done')\n"
    ours, theirs = pty.openpty()
    process = start(text, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:
            # The other end is closed.
            break
        if not data:
            break
        shown += data
    os.close(ours)
    out, _ = process.communicate(timeout=HANGS_AFTER)
    assert (process.returncode, out) == (0, "done\n"), shown
    assert "\r" in shown.decode() and "100% 2 / 2 trials" in shown.decode()
    quiet = start(text)
    assert quiet.communicate(timeout=HANGS_AFTER) == ("done\n", "")


def test_a_notebook_has_one_display_that_is_brought_up_to_date(monkeypatch):
    shown = []

    class Handle:
        def update(self, page):
            shown.append(page)

    def display(page, display_id):
        assert display_id is True
        shown.append(page)
        return Handle()

    notebook = types.ModuleType("IPython")
    notebook.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    pages = types.ModuleType("IPython.display")
    pages.HTML, pages.display = str, display
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", pages)
    tumble.run(lambda x: x, axes={"x": [1.0, 2.0]}, metrics=["y"], workers=1)
    assert 'value="1.0000"' in shown[-1] and "100% 2 / 2 trials" in shown[-1] and "best y 2" in shown[-1]


def test_a_run_file_has_what_was_given(place):
    tomllib = pytest.importorskip("tomllib")
    from tumble._runfile import text_of

    run = {
        "name": "it's",
        "config": {"quoted \"key\"": 'back\\slash "and" \n\t\x01 ü', "list": [1, -2], "tiny": 1e-300, "big": 1e22, "no": None, "yes": True},
        "sweep": {"axes": {"evolve.sigma": {"log": [0.1, 1], "when": {"rule": "hebb"}}}},
    }
    read = tomllib.loads(text_of(run))
    del run["config"]["no"]
    assert read == run


def test_a_function_has_the_same_bytes_wherever_its_script_lies(place):
    text = """
    import sys, tumble
    SCALE = 2.0
    def helper(x, *more, **others):
        return [SCALE * y for y in (x, *more)]
    def evaluate(x: float, rule: str = "hebb") -> float:
        return helper(x)[0] + len(rule)
    tumble.run(evaluate, axes={"x": [1.0]}, workers=1)
    """
    pickles = []
    for folder in ("here", "there"):
        (place / folder).mkdir()
        os.chdir(place / folder)
        script(text)
        pickles.append((only_run() / "code" / "function.pickle").read_bytes())
    assert pickles[0] == pickles[1]


PACKED = """
import sys
import tumble

def evaluate(x: float, seed: int) -> float:
    import os
    import helpers
    assert not os.path.exists("left_at_home.py"), "the bundle alone is there"
    try:
        import left_at_home
    except ImportError:
        pass
    else:
        raise AssertionError("what is no part of the bundle can be imported")
    with open("data/offset.txt") as file:
        return helpers.double(x) + float(file.read())

result = tumble.run(
    evaluate, axes={"x": [1.0, 2.0]}, replicates=2, workers=int(sys.argv[1]), out=sys.argv[2], bundle=["helpers.py", "data/"]
)
print(result.folder)
"""


def lay_what_is_packed(place):
    (place / "helpers.py").write_text("def double(x):\n    return 2 * x\n")
    (place / "data").mkdir()
    (place / "data" / "offset.txt").write_text("0.5")
    (place / "left_at_home.py").write_text("")


def test_a_function_with_a_bundle_sees_that_alone_and_gives_the_same_bytes(place):
    lay_what_is_packed(place)
    one, three = [script(PACKED, n, out).strip() for n, out in (("1", "one"), ("3", "three"))]
    assert tables(one) == tables(three)
    # What the run keeps is enough, wherever it is and whatever became of the files.
    for path in (place / "helpers.py", place / "data" / "offset.txt"):
        path.unlink()
    os.makedirs("elsewhere")
    os.rename(one, "elsewhere/moved")
    moved = tumble.open("elsewhere/moved")
    assert moved.trials["value"].to_pylist() == [2.5, 2.5, 4.5, 4.5]
    assert moved.verify(1.0) == 4


def test_a_bundle_that_is_not_there_or_lies_elsewhere_is_told(place):
    def evaluate(x: float) -> float:
        return x

    for bundle, kind, told in (
        (["no.py"], FileNotFoundError, "'no.py' in `bundle` is not there; paths are relative to"),
        (["../x.py"], ValueError, "'../x.py' in `bundle` does not lie under"),
        ("x.py", TypeError, r"bundle is a list of files and folders, as bundle=\['x.py'\]"),
    ):
        with pytest.raises(kind, match=told):
            tumble.run(evaluate, axes={"x": [1.0]}, bundle=bundle)
    assert not Path("runs").exists()


def test_functions_travel_to_the_workers_of_a_coordinator(coordinator, place):
    lay_what_is_packed(place)
    (place / "model.py").write_text("import helpers\ndef evaluate(x: float) -> float:\n    return helpers.double(x)\n")
    away = place / "away"
    away.mkdir()
    environment = dict(os.environ, TUMBLE_PYTHON=sys.executable, TUMBLE_CACHE=str(place / "cache"))
    coordinator.worker(cwd=away, env=environment)
    scale = 4.0
    closure = coordinator.submit(lambda x: {"y": scale * x}, axes={"x": [1.0, 2.0]}, metrics=["y"])
    assert closure.wait().trials["y"].to_pylist() == [4.0, 8.0]
    filed = coordinator.submit("model.py:evaluate", axes={"x": [1.0, 2.0]}, bundle=["helpers.py"])
    result = filed.watch(progress=False)
    assert result.trials["value"].to_pylist() == [2.0, 4.0]
    (place / "helpers.py").unlink()
    assert result.verify(1.0) == 2


def test_candidates_of_ones_own_are_evaluated_by_the_workers_of_a_coordinator(coordinator, place):
    away = place / "away"
    away.mkdir()
    environment = dict(os.environ, TUMBLE_PYTHON=sys.executable, TUMBLE_CACHE=str(place / "cache"))
    coordinator.worker(cwd=away, env=environment)
    scale = 4.0

    def evaluate(x: float, rule: str = "hebb") -> float:
        return scale * x + len(rule)

    settings = {"axes": {"x": float, "rule": ["hebb", "delta"]}, "seed": 3, "name": "mine"}
    with coordinator.pool(evaluate, key="mine", **settings) as pool:
        assert pool.map([{"x": 1.0, "rule": "delta"}, {"x": 0.5, "rule": "hebb"}]) == [9.0, 6.0]
        pool.stop()
    # The same key is the same run, where it stood.
    with coordinator.pool(evaluate, key="mine", **settings) as pool:
        assert pool.generation == 1
        assert pool.map([(2.0, "hebb")]) == [12.0]
    table = coordinator.run("mine").wait().trials
    assert table["value"].to_pylist() == [9.0, 6.0, 12.0] and table["generation"].to_pylist() == [0, 0, 1]
    with pytest.raises(TypeError, match="a client's pool has no keyword `workers`"):
        coordinator.pool(evaluate, workers=2, **settings)
