#!/usr/bin/env python3
"""Trials per second of a trivial Python function: `tumble run` against `multiprocessing.Pool.map` at its best chunk size.

    benches/peers/python_trivial.py target/release/tumble --workers 2 --trials 1000000

Both evaluate the same function of the same values with as many processes, and both are measured from their start to their end, tumble
with its tables on disk. Each is measured several times by turns, and the median counts. Standard library alone.
"""

import argparse
import json
import multiprocessing
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

MODULE = """
def evaluate(x: float, n: int = 3):
    return {"y": x * x + n}
"""

RUN_FILE = """
name = "trivial"
pipeline = "python"
[python]
entry = "model.py:evaluate"
metrics = ["y"]
interpreter = {interpreter}
[sweep]
design = "grid"
[sweep.axes]
x = {{ linear = [0.0, 1.0], points = {trials} }}
"""

CHUNKS = [256, 1024, 4096, 16384]


def evaluate(x, n=3):
    return {"y": x * x + n}


def pool(trials, workers, chunk):
    began = time.perf_counter()
    with multiprocessing.Pool(workers) as processes:
        rows = processes.map(evaluate, (i / max(1, trials - 1) for i in range(trials)), chunk)
    assert len(rows) == trials
    return trials / (time.perf_counter() - began)


def tumble(binary, trials, workers, again):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "model.py").write_text(MODULE)
        text = RUN_FILE.format(trials=trials, interpreter=json.dumps(sys.executable))
        (folder / "run.toml").write_text(text)
        out = folder / ("out-%d" % again)
        command = [binary, "run", folder / "run.toml", "--quiet", "--workers", str(workers), "--out", out]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return trials / (time.perf_counter() - began)


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("tumble")
    words.add_argument("--workers", type=int, default=2)
    words.add_argument("--trials", type=int, default=1_000_000)
    words.add_argument("--rounds", type=int, default=3)
    given = words.parse_args()
    binary = str(pathlib.Path(given.tumble).resolve())
    rates = {"tumble run": []}
    for again in range(given.rounds):
        rates["tumble run"].append(tumble(binary, given.trials, given.workers, again))
        for chunk in CHUNKS:
            rates.setdefault("Pool.map, chunks of %d" % chunk, []).append(pool(given.trials, given.workers, chunk))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    best = max(rate for name, rate in medians.items() if name != "tumble run")
    print("| way | trials/s | against the best Pool.map |")
    print("|---|---|---|")
    for name, rate in medians.items():
        print("| %s | %s | %.2f |" % (name, format(round(rate), ",").replace(",", " "), rate / best))


if __name__ == "__main__":
    main()
