"""Compares the evaluations that our CMA-ES needs with pycma's.

    python cma_es_reference.py RUN_DIR...

The folders are those of runs of cma-es-reference.toml. One line for each function and dimension; exits 1 when a median is
more than a tenth off, or too few evolutions reached their end.
"""

import sys
from pathlib import Path

import duckdb

# Medians of pycma 4.5.0 with its defaults (active CMA-ES), counted at the end of a generation: evaluations to 1e-8 from 3 in
# every element (0 for rosenbrock) with a first step of 1.
PYCMA = {
    ("sphere", 10): 1500,
    ("sphere", 20): 2796,
    ("ellipsoid", 10): 4150,
    ("ellipsoid", 20): 13152,
    ("rotated-ellipsoid", 10): 4080,
    ("rotated-ellipsoid", 20): 13068,
    ("rosenbrock", 10): 5085,
    ("rosenbrock", 20): 16812,
}
TOLERANCE = 0.10

# Rosenbrock's function has a second, local optimum, in which about a tenth of the runs of any CMA-ES end.
REACHED_MIN = {"rosenbrock": 0.75}

MEDIANS = """
    SELECT function, dimension, count(*) AS evolutions, sum(reached)::INTEGER AS reached,
           median(evaluations) FILTER (WHERE reached = 1) AS evaluations
    FROM read_parquet(?) GROUP BY ALL ORDER BY function, dimension
"""


def main(folders):
    if not folders:
        print(__doc__, file=sys.stderr)
        return 2
    parts = [str(part) for folder in folders for part in sorted((Path(folder) / "trials").glob("part-*.parquet"))]
    rows = duckdb.execute(MEDIANS, [parts]).fetchall()
    print(f"{'function':<18} {'n':>3} {'reached':>8} {'evaluations':>12} {'pycma':>7} {'ratio':>6}")
    wrong = []
    for function, dimension, evolutions, reached, evaluations in rows:
        reference = PYCMA[function, dimension]
        ratio = (evaluations or float("nan")) / reference
        ends = f"{reached}/{evolutions}"
        print(f"{function:<18} {dimension:>3} {ends:>8} {evaluations or 0:>12.0f} {reference:>7} {ratio:>6.3f}")
        if not abs(ratio - 1) <= TOLERANCE:
            wrong.append(f"{function} in {dimension} dimensions: {ratio:.3f} of pycma's evaluations")
        if reached < REACHED_MIN.get(function, 1.0) * evolutions:
            wrong.append(f"{function} in {dimension} dimensions: only {ends} evolutions reached the objective")
    missing = PYCMA.keys() - {(function, dimension) for function, dimension, *_ in rows}
    wrong += [f"{function} in {dimension} dimensions: there is no run of it" for function, dimension in sorted(missing)]
    for problem in wrong:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
