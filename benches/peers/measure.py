"""Tumble beside its peers: `benches/peers/run` installs them and starts this.

    python measure.py TUMBLE [--quick] [--write]

Three things are evaluated: a Python function that does nothing, one that computes for a millisecond, and a program that prints a line.
In a first round each peer tries its chunk sizes, and its best one counts; in the rounds after that all take turns, Tumble without any
setting among them. Medians of these rounds make the table. Two clocks: one runs while trials are evaluated (of the others, from when
all their processes have answered; of Tumble, from the first answer of any worker to its last report), the other from the start of a
command to its end (of Tumble, with its tables on disk).
"""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet

import model

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- benches/peers/run --write: begin -->", "<!-- benches/peers/run --write: end -->"

CORES = len(os.sched_getaffinity(0))
ROUNDS = 3
SECONDS_MAX = 120
TRIVIAL_TRIALS, BUSY_TRIALS, PROGRAMS = 1_000_000, 1500 * CORES, 1500 * CORES
TRIVIAL_CHUNKS, BUSY_CHUNKS = (1000, 8000, 64_000), (1, 20, 100)
# These need some milliseconds for each program: a rate is a rate.
FEWER = {"parallel": 5, "hyperqueue": 3}

NAMES = {
    "tumble": "`tumble run`",
    "pool": "`multiprocessing.Pool.map`",
    "joblib": "joblib",
    "joblib_chunks": "joblib",
    "dask": "Dask",
    "ray": "Ray",
    "ray_pool": "Ray's Pool",
    "by_hand": "a plain loop in one process",
    "spawn_loop": "`posix_spawn` in a loop, nothing read",
    "xargs": "`xargs -P`",
    "parallel": "GNU parallel",
    "hyperqueue": "HyperQueue",
}
# Ways that are one peer: the best of them counts.
PEERS = [("pool",), ("joblib", "joblib_chunks"), ("dask",), ("ray", "ray_pool")]
VERSIONS = {"joblib": "joblib", "dask": "dask", "ray": "ray", "hyperqueue": "hyperqueue"}

FUNCTION_RUN = """
name = "{function}"
pipeline = "python"
[python]
entry = {entry}
metrics = ["y"]
interpreter = {interpreter}
{config}
[sweep]
design = "grid"
[sweep.axes]
x = {{ linear = [0.0, 1.0], points = {trials} }}
"""

PROGRAM_RUN = """
name = "echo"
pipeline = "program"
[program]
command = ["/bin/echo", '{{{{"y": 1}}}}']
metrics = ["y"]
[sweep]
design = "grid"
[sweep.axes]
x = {{ linear = [0.0, 1.0], points = {trials} }}
"""


class Missing(Exception):
    """Why something could not be measured."""


def tumble(binary, asked):
    text = PROGRAM_RUN if asked["function"] == "echo" else FUNCTION_RUN
    text = text.format(
        function=asked["function"],
        entry=json.dumps("%s:%s" % (HERE / "model.py", asked["function"])),
        interpreter=json.dumps(sys.executable),
        config="[config]\nturns = %d" % asked["turns"] if asked["function"] == "busy" else "",
        trials=asked["trials"],
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        Path(folder, "run.toml").write_text(text)
        began = time.perf_counter()
        command = [binary, "run", Path(folder, "run.toml"), "--quiet", "--out", out]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=SECONDS_MAX)
        whole = time.perf_counter() - began
        parts = sorted((out / "trials").glob("part-*.parquet"))
        rows = pyarrow.concat_tables([pyarrow.parquet.read_table(part, columns=["x", "y"]) for part in parts])
        assert rows.num_rows == asked["trials"]
        for x, y in (rows.slice(at, 1).to_pylist()[0].values() for at in range(0, rows.num_rows, rows.num_rows // 7)):
            assert y == expected(asked, x), (x, y)
        attempts = pyarrow.parquet.read_table(out / "attempts.parquet")
        ended = attempts["ended_at"].to_pylist()
        # What the first answer brought is part of neither.
        first = sum(trials for trials, at in zip(attempts["trials"].to_pylist(), ended) if at == min(ended))
        evaluated = (max(ended) - min(ended)).total_seconds()
        return [evaluated * asked["trials"] / (asked["trials"] - first)], whole


def expected(asked, x):
    if asked["function"] == "echo":
        return 1.0
    return getattr(model, asked["function"])(x, **({"turns": asked["turns"]} if asked["function"] == "busy" else {}))["y"]


def peer(asked):
    began = time.perf_counter()
    command = [sys.executable, HERE / "ways.py", json.dumps(asked)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        raise Missing(f"not done within {SECONDS_MAX} s")
    whole = time.perf_counter() - began
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Missing("not to be had: " + last if re.search("ModuleNotFound|ImportError|FileNotFound", last) else "failed: " + last)
    return json.loads(done.stdout.splitlines()[-1])["seconds"], whole


def measure(binary, asked):
    """The rates while evaluating, one for each chunk size, and of the whole command."""
    seconds, whole = tumble(binary, asked) if asked["way"] == "tumble" else peer(asked)
    rates, of_whole = [asked["trials"] / one for one in seconds], asked["trials"] / whole
    for chunk, rate in zip(asked.get("chunks") or [0], rates):
        chunks = f", chunks of {chunk}" if chunk else ""
        # A command that tried several is no measure of the whole.
        whole_too = f", whole {of_whole:.0f}/s" if len(rates) == 1 else ""
        print(f"{asked['function']}: {NAMES[asked['way']]}{chunks}: {rate:.0f}/s{whole_too}", file=sys.stderr)
    return rates, of_whole


def best_ways(binary, function, trials, chunks, common):
    """A first round: the best chunk size of each peer, or why there is none."""
    found, missing = [], {}
    for ways in PEERS:
        tried = []
        for way in ways:
            asked = common | {"way": way, "function": function, "trials": trials, "chunks": chunks}
            try:
                rates, _ = measure(binary, asked)
                tried += [(rate, asked | {"chunks": [chunk]}) for rate, chunk in zip(rates, chunks)]
            except Missing as why:
                missing[ways[0]] = str(why)
        if tried:
            found.append(max(tried, key=lambda one: one[0])[1])
            missing.pop(ways[0], None)
    return found, missing


def rounds(binary, contenders, missing):
    """All take turns, each round begun by another."""
    rates = {}
    for number in range(ROUNDS):
        for at in range(len(contenders)):
            asked = contenders[(at + number) % len(contenders)]
            if asked["way"] in missing:
                continue
            try:
                (rate,), whole = measure(binary, asked)
                rates.setdefault(asked["way"], []).append((rate, whole))
            except Missing as why:
                missing[asked["way"]] = str(why)
    return {way: [statistics.median(column) for column in zip(*found)] for way, found in rates.items() if way not in missing}


def calibrated():
    """How many turns of the loop take a millisecond here."""
    turns = 20_000
    best = min(clock(lambda: model.busy(0.5, turns)) for _ in range(50))
    return round(turns * 1e-3 / best)


def clock(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def table(groups):
    lines = ["| evaluated | by | trials/s | Tumble is | start and end counted | Tumble is |", "|---|---|---|---|---|---|"]
    for what, contenders, medians, missing in groups:
        ours = medians["tumble"]
        for asked in contenders:
            way = asked["way"]
            name = NAMES[way] + version(way) + (f", chunks of {spaced(asked['chunks'][0])}" if any(asked.get("chunks", [])) else "")
            if way in medians:
                cells = [spaced(medians[way][0]), times(ours[0], medians[way][0]), spaced(medians[way][1]), times(ours[1], medians[way][1])]
                cells = [cells[0], "", cells[2], ""] if way == "tumble" else cells
            else:
                cells = [missing[way], "", "", ""]
            lines.append(f"| {what} | {name} | " + " | ".join(cells) + " |")
        for way, why in missing.items():
            if all(asked["way"] != way for asked in contenders):
                lines.append(f"| {what} | {NAMES[way]} | {why} | | | |")
    return "\n".join(lines)


def version(way):
    package = VERSIONS.get(way.split("_")[0])
    try:
        return f" {importlib.metadata.version(package)}" if package else ""
    except importlib.metadata.PackageNotFoundError:
        return ""


def times(ours, theirs):
    return f"{ours / theirs:.2f} × as fast"


def spaced(number):
    return format(round(number), ",").replace(",", " ")


def machine():
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{CORES} cores of {models[0].strip() if models else platform.machine()}, Python {platform.python_version()}"


def write(text):
    document = DOCUMENT.read_text()
    before, _, rest = document.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        sys.exit(f"error: {DOCUMENT} lacks the lines {BEGIN} and {END}")
    DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("tumble")
    words.add_argument("--quick", action="store_true", help="measure a tenth as much: for a look, not for a table")
    words.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    given = words.parse_args()
    binary = str(Path(given.tumble).resolve())
    less = 10 if given.quick else 1
    load = os.getloadavg()[0]
    began = time.monotonic()
    common = {"cores": CORES, "turns": calibrated()}
    groups = []
    for what, function, trials, chunks in (
        ("function that does nothing", "trivial", TRIVIAL_TRIALS // less, TRIVIAL_CHUNKS),
        ("function of 1 ms", "busy", BUSY_TRIALS // less, BUSY_CHUNKS),
    ):
        found, missing = best_ways(binary, function, trials, chunks, common)
        of = common | {"function": function, "trials": trials}
        contenders = [of | {"way": "tumble"}, *found, of | {"way": "by_hand", "chunks": [0]}]
        groups.append((what, contenders, rounds(binary, contenders, missing), missing))
    of, missing = common | {"function": "echo"}, {}
    ways = ("tumble", "spawn_loop", "xargs", "parallel", "hyperqueue")
    contenders = [of | {"way": way, "trials": PROGRAMS // less // FEWER.get(way, 1)} for way in ways]
    groups.append(("program that does nothing", contenders, rounds(binary, contenders, missing), missing))
    about = f"{machine()}; medians of {ROUNDS} rounds; other work on the machine before it began: a load of {load:.1f}."
    text = f"{about}\n\n{table(groups)}"
    print(text)
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)
    if given.write:
        write(text)


if __name__ == "__main__":
    main()
