"""A pool as a user has it: candidates of an optimiser of one's own, evaluated by workers.

    pytest tests/python/test_pool.py
"""

import math
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import Executor, wait

import cma
import numpy as np
import pytest
import tumble


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A working folder for each test, and no settings of the person who runs them."""
    for name in [name for name in os.environ if name.startswith("TUMBLE_") and name != "TUMBLE_BINARY"]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bowl(genome) -> float:
    return float(sum((x - 0.3) * (x - 0.3) for x in genome.tolist()))


def model(load: float, units: int, rule: str = "hebb", fast: bool = False, seed: int = 0) -> float:
    if rule == "oja":
        raise ValueError("no oja")
    return load * units + fast


#: Numbers that a rounding somewhere on the way would change.
VECTORS = np.random.default_rng(5).normal(size=(7, 3)) * [[1e-9, 1.0, 1e9]]
MODEL = {"load": float, "units": int, "rule": ["hebb", "delta", "oja"], "fast": bool}


def test_vectors_are_evaluated_in_order_and_to_the_bit_however_they_are_given():
    expected = [bowl(x) for x in VECTORS]
    with tumble.pool(bowl, genome=3, workers=2) as pool:
        assert isinstance(pool, Executor)
        for given in (VECTORS, list(VECTORS), VECTORS.tolist(), (row for row in VECTORS)):
            assert pool.map(given) == expected
        assert pool.map(pool, VECTORS) == expected
        assert pool.map(bowl, VECTORS) == expected
        futures = [pool.submit(x) for x in VECTORS] + [pool.submit(bowl, x) for x in VECTORS]
        wait(futures, timeout=120)
        assert [future.result() for future in futures] == 2 * expected
        assert pool(VECTORS[0]) == expected[0]
    table = pool.result.trials
    assert table.num_rows == 57 and pool.result.complete
    assert [value for value in table["value"].to_pylist() if value in expected] == table["value"].to_pylist()


def test_values_of_axes_are_given_by_name_or_in_order_and_failures_are_nan():
    with tumble.pool(model, axes=MODEL, workers=2, replicates=2) as pool:
        assert pool.axes == list(MODEL)
        found = pool.evaluate([{"units": 3, "load": 0.1, "rule": "delta", "fast": True}, [1.5, 2, "oja", False]])
        assert found.values[0] == 0.1 * 3 + True and math.isnan(found.values[1])
        assert found.outcomes == [["scored"] * 2, ["failed"] * 2] and found.metrics["value"][0] == [found.values[0]] * 2
        assert [(candidate, replicate) for candidate, replicate, _ in found.errors] == [(1, 0), (1, 1)]
        assert "no oja" in found.errors[0][2]
        assert pool.submit(load=0.25, units=4, rule="hebb", fast=False).result(120) == 1.0
        pool.stop()
    with pytest.raises(tumble.RunStopped, match="tumble.pool.resume="):
        pool.close()
    with pytest.warns(tumble.TrialsFailedWarning), tumble.pool(resume=pool.folder, workers=1) as again:
        assert again.generation == 2
    assert again.result.trials["load"].to_pylist() == [0.1, 0.1, 1.5, 1.5, 0.25, 0.25]


def test_what_makes_no_sense_is_an_exception_and_changes_nothing():
    with tumble.pool(model, axes=MODEL, workers=1) as pool:
        for given, says in [
            ([{"lod": 1.0, "units": 1, "rule": "hebb", "fast": False}], "did you mean `load`"),
            ([{"load": 1.0}], "no value for axis `units`"),
            ([[1.0, 2.5, "hebb", False]], "`units` is 2.5, which is no integer"),
            ([[math.nan, 2, "hebb", False]], "not finite"),
            ([3.0], "a value for each axis"),
        ]:
            with pytest.raises(ValueError, match=says):
                pool.map(given)
        with pytest.raises(ValueError, match="this pool evaluates 'model', not 'bowl'"):
            pool.map(bowl, [[1.0, 2, "hebb", False]])
        assert pool.map([]) == []
        futures = [pool.submit([1.0, units, "hebb", False]) for units in (1, 2.5, 3)]
        assert [future.exception(120) is None for future in futures] == [True, False, True]
        assert futures[2].result() == 3.0
    assert pool.result.trials.num_rows == 2
    with pytest.raises(RuntimeError, match="the pool is closed"):
        pool.map([[1.0, 2, "hebb", False]])
    with pytest.raises(TypeError, match="genome=10"):
        tumble.pool(model)
    with pytest.raises(tumble.RunFileError, match="no parameter `lod`"):
        tumble.pool(model, axes={"lod": float})


def test_pycma_goes_the_same_way_as_without_workers():
    def optimise(evaluate):
        strategy = cma.CMAEvolutionStrategy(3 * [0.0], 0.5, {"seed": 3, "verbose": -9, "maxiter": 12})
        proposed = []
        while not strategy.stop():
            candidates = strategy.ask()
            proposed += [x.tobytes() for x in candidates]
            strategy.tell(candidates, evaluate(candidates))
        return proposed, strategy.result.xbest.tobytes(), strategy.result.fbest

    with tumble.pool(bowl, genome=3, objective="-value", workers=2) as pool:
        found = optimise(pool.map)
    assert found == optimise(lambda candidates: [bowl(np.asarray(x)) for x in candidates])
    assert pool.result.champion.value == found[2]


def test_the_objective_of_a_run_ends_it_and_the_next_request_is_told():
    with tumble.pool(bowl, genome=1, objective="-value", stop={"objective": 0.01}, workers=1) as pool:
        assert pool.map([[0.3]]) == [0.0]
        with pytest.raises(tumble.TumbleError, match="objective reached"):
            pool.map([[0.5]])
    assert pool.result.trials.num_rows == 1


def test_an_error_in_the_loop_leaves_the_run_to_go_on():
    with pytest.raises(KeyError):
        with tumble.pool(bowl, genome=3, workers=1) as pool:
            before = pool.map(VECTORS)
            raise KeyError("of the loop")
    with pytest.raises(RuntimeError, match="the pool is open"):
        pool.result
    with tumble.pool(resume=pool.folder, workers=2) as again:
        assert again.generation == 1
        assert again.map(VECTORS) == before
    assert again.result.trials.num_rows == 14


def test_a_process_that_is_killed_leaves_a_run_that_goes_on():
    script = """
        import sys, tumble
        def bowl(genome) -> float:
            return float(sum(genome.tolist()))
        if __name__ == "__main__":
            pool = tumble.pool(bowl, genome=2, workers=1)
            print(pool.map([[1.0, 2.0]]), pool.folder, flush=True)
            sys.stdin.read()
    """
    with open("script.py", "w") as file:
        file.write(textwrap.dedent(script))
    process = subprocess.Popen([sys.executable, "script.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    values, folder = process.stdout.readline().rsplit(" ", 1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # Its workers and its coordinator notice that it is gone, and let go of the folder.
    for attempt in range(1000):
        try:
            again = tumble.pool(resume=folder.strip(), workers=1)
            break
        except tumble.TumbleError as error:
            assert "holds it and lives" in str(error) and attempt < 999, error
    with again:
        assert (values, again.generation) == ("[3.0]", 1)
        assert again.map([[3.0, 4.0]]) == [7.0]
    assert again.result.trials["value"].to_pylist() == [3.0, 7.0]
