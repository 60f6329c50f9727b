"""Measures other packages under the protocol of benchmark-strategies.toml, and reads the published data of BBOB-2009.

    pip install cma==4.5.0 cmaes==0.13.1 cocopp==2.9.1 numpy
    python benchmark_references.py > benchmark-references.csv
    python benchmark_references.py sphere bbob-f1

One row for each algorithm, function and dimension: how many of its runs came to 1e-8, and the median of the evaluations of
those that did, counted at the end of a generation. Takes a quarter of an hour. With functions named, it measures these
alone and exits 1 if a median is further than a twentieth from that in the file.
"""

import csv
import gzip
import pickle
import sys
import warnings
from importlib.metadata import distribution
from multiprocessing import Pool
from pathlib import Path
from statistics import median

import cma
import cmaes
import numpy as np

TARGET = 1e-8
BUDGET = 500_000
SEEDS = 31
DIMENSIONS = [10, 20]

# What the algorithms of BBOB-2009 that are set beside ours are called here. Their runs are 15 trials on the instances of that year.
PUBLISHED = {"BIPOP-CMA-ES": "cma-es, bipop"}
PUBLISHED_FUNCTIONS = [1, 2, 8, 9, 10, 15]


def sphere(x):
    return float(x @ x)


def ellipsoid(x):
    return float(10.0 ** (6.0 * np.arange(len(x)) / (len(x) - 1)) @ (x * x))


def rosenbrock(x):
    return float(np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2))


def rotated_ellipsoid(n):
    q = np.linalg.qr(np.random.RandomState(77).randn(n, n))[0]
    return lambda x: ellipsoid(q @ x)


def functions(n):
    """Name, function, start."""
    yield "sphere", sphere, 3.0
    yield "ellipsoid", ellipsoid, 3.0
    yield "rotated-ellipsoid", rotated_ellipsoid(n), 3.0
    yield "rosenbrock", rosenbrock, 0.0


def pycma(f, start, n, seed, **options):
    """Evaluations to the target, or None."""
    es = cma.CMAEvolutionStrategy([start] * n, 1.0, {"seed": seed, "verbose": -9, "maxfevals": BUDGET, **options})
    while not es.stop():
        candidates = es.ask()
        values = [f(np.asarray(x)) for x in candidates]
        es.tell(candidates, values)
        if min(values) <= TARGET:
            return es.countevals
    return None


def cyberagent(kind, f, start, n, seed):
    """Evaluations to the target, or None."""
    es = kind(mean=np.full(n, start), sigma=1.0, seed=seed)
    spent = 0
    while spent < BUDGET and not es.should_stop():
        told = []
        for _ in range(es.population_size):
            x = es.ask()
            told.append((x, f(x)))
        es.tell(told)
        spent += len(told)
        if min(value for _, value in told) <= TARGET:
            return spent
    return None


def search(n, seed, start, population, f, begin, step):
    """Evaluations to the target, or None: a search whose generations are rows of candidates."""
    rng = np.random.RandomState(seed)
    state = begin(n)
    mean, sigma = np.full(n, start), 1.0
    for spent in range(population, BUDGET + 1, population):
        z = rng.randn(population, n)
        mean, sigma, best = step(state, mean, sigma, z, f)
        if best <= TARGET:
            return spent
    return None


def log_weights(population):
    """Positive weights of the better half, adding up to one, and their effective number."""
    w = np.log((population + 1) / 2) - np.log(np.arange(1, population // 2 + 1))
    w /= w.sum()
    return w, 1 / (w @ w)


def one_plus_one(f, start, n, seed):
    """(1+1)-ES with the 1/5 rule: 1.5 after a success, 1.5^(-1/4) after a failure."""
    rng = np.random.RandomState(seed)
    x, sigma = np.full(n, start), 1.0
    value = f(x)
    for spent in range(2, BUDGET + 1):
        y = x + sigma * rng.randn(n)
        if (new := f(y)) <= value:
            x, value, sigma = y, new, sigma * 1.5
            if value <= TARGET:
                return spent
        else:
            sigma *= 1.5**-0.25
    return None


def csa_es(f, start, n, seed):
    """(mu/mu_w, lambda)-CSA-ES: CMA-ES whose covariance stays the identity."""
    population = 4 + int(3 * np.log(n))
    w, effective = log_weights(population)
    c = (effective + 2) / (n + effective + 3)
    d = 1 + 2 * max(0, np.sqrt((effective - 1) / (n + 1)) - 1) + c
    chi = np.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))

    def step(state, mean, sigma, z, f):
        values = np.array([f(mean + sigma * row) for row in z])
        z_mean = w @ z[np.argsort(values)[: len(w)]]
        state["path"] = (1 - c) * state["path"] + np.sqrt(c * (2 - c) * effective) * z_mean
        mean = mean + sigma * z_mean
        return mean, sigma * np.exp(min(1, c / d * (np.linalg.norm(state["path"]) / chi - 1))), values.min()

    return search(n, seed, start, population, f, lambda n: {"path": np.zeros(n)}, step)


def snes(f, start, n, seed):
    """Separable natural evolution strategy (Wierstra et al., JMLR 15, 2014)."""
    population = 4 + int(3 * np.log(n))
    u = np.maximum(0, np.log(population / 2 + 1) - np.log(np.arange(1, population + 1)))
    u = u / u.sum() - 1 / population
    eta = (3 + np.log(n)) / (5 * np.sqrt(n))

    def step(state, mean, sigma, z, f):
        values = np.array([f(mean + sigma * row) for row in z])
        z = z[np.argsort(values)]
        return mean + sigma * (u @ z), sigma * np.exp(eta / 2 * (u @ (z * z - 1))), values.min()

    return search(n, seed, start, population, f, lambda n: {}, step)


def lm_ma_es(f, start, n, seed):
    """LM-MA-ES (Loshchilov, Glasmachers, Beyer, IEEE Trans. Evol. Comput. 23, 2019), population and memory 4 + 3 ln n."""
    population = 4 + int(3 * np.log(n))
    w = np.log(population / 2 + 0.5) - np.log(np.arange(1, population // 2 + 1))
    w /= w.sum()
    effective = 1 / (w @ w)
    j = np.arange(population)
    c_sigma, c_d, c_c = min(1, 2 * population / n), 1 / (1.5**j * n), np.minimum(1, population / (4.0**j * n))

    def step(state, mean, sigma, z, f):
        d = z.copy()
        for i in range(min(state["told"], population)):
            m = state["rows"][i]
            d = (1 - c_d[i]) * d + c_d[i] * np.outer(d @ m, m)
        values = np.array([f(mean + sigma * row) for row in d])
        best = np.argsort(values)[: len(w)]
        z_mean, d_mean = w @ z[best], w @ d[best]
        state["path"] = (1 - c_sigma) * state["path"] + np.sqrt(effective * c_sigma * (2 - c_sigma)) * z_mean
        for i in range(population):
            state["rows"][i] = (1 - c_c[i]) * state["rows"][i] + np.sqrt(effective * c_c[i] * (2 - c_c[i])) * z_mean
        state["told"] += 1
        factor = np.exp(c_sigma / 2 * (state["path"] @ state["path"] / n - 1))
        return mean + sigma * d_mean, sigma * factor, values.min()

    begin = lambda n: {"told": 0, "path": np.zeros(n), "rows": np.zeros((population, n))}  # noqa: E731
    return search(n, seed, start, population, f, begin, step)


ALL = ["sphere", "ellipsoid", "rotated-ellipsoid", "rosenbrock"]
MEASURED = [
    ("pycma 4.5.0", "cma-es", pycma, ALL),
    ("cmaes 0.13.1, CMA", "cma-es", lambda *run: cyberagent(cmaes.CMA, *run), ALL),
    # Where an algorithm cannot arrive, as with one step size on an ellipsoid, it is not asked to.
    ("cmaes 0.13.1, SepCMA", "sep-cma-es", lambda *run: cyberagent(cmaes.SepCMA, *run), ["sphere", "ellipsoid"]),
    ("pycma 4.5.0, CMA_diagonal", "sep-cma-es", lambda *run: pycma(*run, CMA_diagonal=True), ["sphere", "ellipsoid"]),
    ("cmaes 0.13.1, XNES", "xnes", lambda *run: cyberagent(cmaes.XNES, *run), ALL),
    ("NumPy, from the paper", "one-plus-one", one_plus_one, ["sphere"]),
    ("NumPy, from the paper", "csa-es", csa_es, ["sphere"]),
    ("NumPy, from the paper", "snes", snes, ["sphere", "ellipsoid"]),
    ("NumPy, from the paper", "lm-ma-es", lm_ma_es, ALL),
]


def measure(which, name, n, seed):
    """One search of `MEASURED[which]` on the function of this name."""
    warnings.simplefilter("ignore")
    f, start = next((f, start) for other, f, start in functions(n) if other == name)
    return MEASURED[which][2](f, start, n, seed)


def rows(chosen):
    """One after another; of these functions alone, if any are named."""

    def row(source, strategy, function, n, spent):
        reached = [x for x in spent if x is not None]
        return [source, strategy, function, n, len(spent), len(reached), median(reached) if reached else ""]

    with Pool() as pool:
        for which, (source, strategy, _, names) in enumerate(MEASURED):
            for n in DIMENSIONS:
                for name in [name for name in names if name in (chosen or names)]:
                    searches = [(which, name, n, seed) for seed in range(1, SEEDS + 1)]
                    yield row(source, strategy, name, n, pool.starmap(measure, searches, chunksize=1))

    # The file alone: the package itself wants to draw.
    data = distribution("cocopp").locate_file("cocopp/pprldistr2009_1e-8.pickle.gz").read_bytes()
    published = pickle.loads(gzip.decompress(data), encoding="latin1")
    for algorithm, strategy in PUBLISHED.items():
        for function in PUBLISHED_FUNCTIONS:
            name = f"bbob-f{function}"
            for n in DIMENSIONS:
                if n in published[algorithm].get(function, {}) and name in (chosen or [name]):
                    # Behind the target stand the evaluations of each run, NaN where it did not arrive.
                    spent = published[algorithm][function][n][0][1:]
                    spent = [None if np.isnan(x) else float(x) for x in spent]
                    yield row(f"BBOB-2009, {algorithm}", strategy, name, n, spent)


def main(chosen):
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["source", "strategy", "function", "dimension", "runs", "reached", "median"])
    with open(Path(__file__).parent / "benchmark-references.csv", newline="") as file:
        known = {tuple(row[:4]): row[6] for row in csv.reader(file)} if chosen else {}
    differ = False
    for row in rows(chosen):
        out.writerow(row)
        sys.stdout.flush()
        before = known.get(tuple(map(str, row[:4])))
        if chosen and (before is None or (before == "") != (row[6] == "") or before and abs(row[6] / float(before) - 1) > 0.05):
            print(f"error: the file has {before}", file=sys.stderr)
            differ = True
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
