"""Holds the functions `bbob-f1` to `bbob-f24` of the pipeline benchmark-functions against COCO's own, point by point.

    python check_bbob.py TUMBLE [FIRST LAST]    sweeps the points with this binary, for these instances (1 to 5)
    python check_bbob.py --golden               prints the values that the unit tests hold, as Rust

One line for each dimension; exits 1 with a message when a value differs.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cocoex
import numpy
import pyarrow
import pyarrow.parquet

FUNCTIONS = range(1, 25)
DIMENSIONS = (2, 3, 5, 10, 20, 40)
SEED = 20090

# Of the value above the optimum. Logarithms and sines come from libm here and from the C library there, so rotations
# differ in their last digits; f19 takes cosines of numbers in the millions, which brings those to the front.
TOLERANCE = 1e-9
TOLERANCES = {19: 1e-8}

# Of f_opt, which COCO's values carry: what differs below its last digits is lost there.
F_OPT_TOLERANCE = 1e-13


class Disagreement(Exception):
    """What is wrong, for a person."""


class Reference:
    """COCO's functions, less their values at the optimum."""

    def __init__(self, instances, dimensions):
        instances, dimensions = (",".join(map(str, numbers)) for numbers in (instances, dimensions))
        self.suite = cocoex.Suite("bbob", f"instances:{instances}", f"dimensions:{dimensions}")
        self.known = {}

    def problem(self, function, instance, dimension):
        key = (function, instance, dimension)
        if key not in self.known:
            problem = self.suite.get_problem_by_function_dimension_instance(function, dimension, instance)
            optimum = best_parameter(problem)
            # f_opt has two digits after the point, by its definition.
            best = float(problem(optimum))
            f_opt = round(best, 2)
            require(abs(best - f_opt) < 1e-6, f"{problem.id}: COCO's own optimum has the value {best!r}")
            self.known[key] = (problem, optimum, f_opt)
        return self.known[key]

    def optimum(self, function, instance, dimension):
        return self.problem(function, instance, dimension)[1]

    def value(self, function, instance, x):
        """f(x) - f_opt, and f_opt."""
        problem, _, f_opt = self.problem(function, instance, len(x))
        return float(problem(x)) - f_opt, f_opt


def main(arguments):
    if arguments == ["--golden"]:
        print(golden(), end="")
        return 0
    if len(arguments) not in (1, 3):
        print(__doc__, file=sys.stderr)
        return 2
    tumble = Path(arguments[0]).resolve()
    first, last = map(int, arguments[1:]) if arguments[1:] else (1, 5)
    try:
        for dimension in DIMENSIONS:
            check(tumble, range(first, last + 1), dimension)
    except Disagreement as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


def check(tumble, instances, dimension):
    reference = Reference(instances, [dimension])
    rows = [
        (f"bbob-f{function}", instance, *map(float, x))
        for function in FUNCTIONS
        for instance in instances
        for x in points(reference.optimum(function, instance, dimension), function, instance)
    ]
    trials = sweep(tumble, dimension, rows)
    require(len(trials) == len(rows), f"{len(trials)} trials came of {len(rows)} points")
    worst = 0.0
    for row, trial in zip(rows, trials):
        name, instance, *x = row
        require(trial["outcome"] == "scored", f"{name}, instance {instance}: {trial['outcome']}: {trial['error']}")
        given = (trial["function"], trial["instance"], *(trial[f"x{i}"] for i in range(dimension)))
        require(given == row, f"trial {trial['trial']} has the point {given}, not {row}")
        function = int(name.removeprefix("bbob-f"))
        expected, f_opt = reference.value(function, instance, x)
        allowed = TOLERANCES.get(function, TOLERANCE) * abs(expected) + F_OPT_TOLERANCE * max(1.0, abs(f_opt))
        worst = max(worst, abs(trial["value"] - expected) / allowed)
        require(
            abs(trial["value"] - expected) <= allowed,
            f"{name}, instance {instance}, at {x}: {trial['value']!r}, COCO has {expected!r}",
        )
    spread = f"instances {instances.start} to {instances.stop - 1}"
    print(f"{dimension} dimensions, {spread}: {len(rows)} values agree, the worst at {worst:.2g} of the tolerance")


def points(optimum, function, instance):
    """The middle, two points in the box, two beside the optimum, the optimum, and two points outside the box."""
    random, n = numpy.random.default_rng([SEED, function, instance, len(optimum)]), len(optimum)
    yield numpy.zeros(n)
    yield random.uniform(-5, 5, n)
    yield random.uniform(-5, 5, n)
    yield optimum + random.normal(0, 0.1, n)
    yield optimum + random.normal(0, 1e-4, n)
    yield optimum
    yield random.uniform(-8, 8, n)
    yield numpy.where(random.uniform(size=n) < 0.5, 5.5, -7.0) + random.uniform(-0.2, 0.2, n)


def sweep(tumble, dimension, rows):
    """The rows of the table that a run over these points leaves."""
    names = ["function", "instance", *(f"x{i}" for i in range(dimension))]
    columns = ["[" + ", ".join(map(literal, column)) + "]" for column in zip(*rows)]
    axes = "\n".join(f"{name} = {column}" for name, column in zip(names, columns))
    with tempfile.TemporaryDirectory() as folder:
        run_file = Path(folder, "bbob.toml")
        run_file.write_text(
            'name = "bbob"\npipeline = "benchmark-functions"\n'
            f"[config]\ndimension = {dimension}\n"
            f'[sweep]\ndesign = "list"\n[sweep.axes]\n{axes}\n'
        )
        out = Path(folder, "run")
        command = [tumble, "run", run_file, "--workers", "1", "--out", out]
        run = subprocess.run(command, capture_output=True, text=True)
        require(run.returncode == 0, f"{tumble.name} run ended with {run.returncode}: {run.stderr}")
        parts = sorted((out / "trials").glob("part-*.parquet"))
        return pyarrow.concat_tables([pyarrow.parquet.read_table(part) for part in parts]).to_pylist()


def literal(value):
    # Python's shortest form of a float is one that TOML reads back to the same bits.
    return f'"{value}"' if isinstance(value, str) else repr(value)


def best_parameter(problem):
    """COCO tells where the optimum is by leaving a file in the working folder."""
    home = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            problem._best_parameter("print")
            (file,) = Path(folder).iterdir()
            return numpy.array([float(word) for word in file.read_text().split()])
        finally:
            os.chdir(home)


# The middle, three points in the box, one outside it on both sides.
GOLDEN_POINTS = (
    (0.0, 0.0, 0.0, 0.0, 0.0),
    (1.0, -2.0, 3.0, -4.0, 0.5),
    (-4.25, 0.75, 2.5, 3.875, -1.125),
    (0.1, 0.2, -0.3, 0.4, -0.5),
    (6.0, -5.5, 1.0, -7.25, 3.0),
)
GOLDEN_INSTANCES = (1, 7)


def golden():
    """The file pipelines/src/benchmark_functions/bbob/golden.rs."""
    reference = Reference(GOLDEN_INSTANCES, [5])
    each = [(function, instance) for function in FUNCTIONS for instance in GOLDEN_INSTANCES]
    values = [[reference.value(*one, numpy.array(x))[0] for x in GOLDEN_POINTS] for one in each]
    optima = [reference.optimum(*one, 5) for one in each]
    return (
        "//! What coco-experiment " + cocoex.__version__ + " computes in five dimensions, less f_opt: printed by\n"
        "//! `tests/python/check_bbob.py --golden`, which CI also runs over other instances, dimensions and points.\n\n"
        + f"pub(super) const INSTANCES: [usize; 2] = {list(GOLDEN_INSTANCES)};\n\n"
        + "/// The middle, three points in the box, one outside it on both sides.\n"
        + rust("POINTS", "[[f64; 5]; 5]", [rust_row(point) for point in GOLDEN_POINTS])
        + "\n/// By function, instance and point.\n"
        + rust("VALUES", "[[[f64; 5]; 2]; 24]", pairs(values))
        + "\n/// Where the optimum is, by function and instance; to 16 digits after the point, as COCO prints it.\n"
        + rust("OPTIMA", "[[[f64; 5]; 2]; 24]", pairs(optima))
    )


def rust(name, kind, rows):
    # Left as printed: the formatter would give each number a line of its own.
    rows = "".join(f"    {row},\n" for row in rows)
    return f"#[rustfmt::skip]\npub(super) const {name}: {kind} = [\n{rows}];\n"


def pairs(rows):
    rows = [rust_row(row) for row in rows]
    return [f"[\n        {one},\n        {other},\n    ]" for one, other in zip(rows[::2], rows[1::2])]


def rust_row(numbers):
    return "[" + ", ".join(repr(float(number)) for number in numbers) + "]"


def require(condition, message):
    if not condition:
        raise Disagreement(message)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
