"""pycma proposes, workers evaluate: CMA-ES of your own on Tumble's workers, and the same to the bit as without them.

    pip install tumble cma
    python examples/pycma_pool.py

The function is noisy: each evaluation of a candidate adds noise drawn from the trial's `seed`, and four replicates are averaged.
`pool.map` gives the values in the order of the candidates, so pycma needs to know nothing of workers. At the end pycma is run
once more, alone in this process, on the values that the table has: its candidates and what it comes to are the same, bit for bit.
"""

import sys

import cma
import numpy as np
import tumble

DIMENSION = 8
REPLICATES = 4
OPTIONS = {"seed": 7, "verbose": -9, "maxiter": 60}


def noisy_rosenbrock(genome, seed: int) -> float:
    steps = 100.0 * (genome[1:] - genome[:-1] ** 2) ** 2 + (1.0 - genome[:-1]) ** 2
    noise = np.random.default_rng(seed).normal()
    return float(steps.sum() + 1e-3 * noise)


def optimise(evaluate):
    """CMA-ES by pycma, whose candidates `evaluate` scores; all that it proposed, and what it came to."""
    strategy = cma.CMAEvolutionStrategy(DIMENSION * [0.1], 0.3, dict(OPTIONS))
    proposed = []
    while not strategy.stop():
        candidates = strategy.ask()
        proposed.append(np.array(candidates))
        strategy.tell(candidates, evaluate(candidates))
    return np.concatenate(proposed), strategy.result


def alone(table):
    """What the table says of each candidate, in order: the same function, called in this process under the trials' seeds."""
    seeds = iter(table["seed"].to_pylist())

    def evaluate(candidates):
        replicates = [[noisy_rosenbrock(np.asarray(x), next(seeds)) for _ in range(REPLICATES)] for x in candidates]
        # As the pool does it: one after another.
        return [sum(values) / REPLICATES for values in replicates]

    return evaluate


def main(out="runs"):
    settings = {"objective": "-value", "replicates": REPLICATES, "seed": 1, "out": out}
    with tumble.pool(noisy_rosenbrock, genome=DIMENSION, workers=2, **settings) as pool:
        proposed, found = optimise(pool.map)
    table = pool.result.trials
    again, expected = optimise(alone(table))
    same = proposed.tobytes() == again.tobytes() and found.xbest.tobytes() == expected.xbest.tobytes()
    print(f"{len(proposed)} candidates in {pool.result.generations.num_rows} generations, {table.num_rows} trials")
    print(f"best value {found.fbest:.6f}, and {expected.fbest:.6f} without workers: {'the same' if same else 'DIFFERENT'}")
    return 0 if same and found.fbest == expected.fbest else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
