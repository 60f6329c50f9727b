"""Hopfield's memory: neurons of +1 and -1 that settle into the stored pattern nearest to where they began.

J. J. Hopfield, Neural networks and physical systems with emergent collective computational abilities, PNAS 79 (1982).
`load` is how many patterns are stored for each neuron, `temperature` how noisy the neurons are. The network begins in one of its
patterns; `overlap` is how much of that is left, 1 for all of it, and `spread` how much that varies while it runs.
"""

from typing import TypedDict

import numpy as np


class Result(TypedDict):
    overlap: float
    spread: float


def evaluate(size: int, load: float, temperature: float, sweeps: int = 40, seed: int = 0) -> Result:
    chance = np.random.default_rng(seed)
    count = max(1, round(load * size))
    # A row for each neuron. All is whole numbers in doubles, so that no sum depends on its order, on any machine.
    patterns = chance.choice([-1.0, 1.0], size=(size, count))
    state = patterns[:, 0].copy()
    overlaps = patterns.T @ state
    seen = []
    for sweep in range(sweeps):
        order = chance.permutation(size)
        # Heat-bath dynamics: a neuron is +1 with probability 1 / (1 + exp(-2 field / temperature)).
        even = chance.random(size)
        thresholds = size * temperature / 2 * np.log(even / (1 - even))
        for neuron, threshold in zip(order.tolist(), thresholds.tolist()):
            mine = patterns[neuron]
            # Of Hebb's weights only the overlaps are needed; a neuron has no weight to itself.
            field = mine @ overlaps - count * state[neuron]
            new = 1.0 if field > threshold else -1.0
            if new != state[neuron]:
                state[neuron] = new
                overlaps += 2 * new * mine
        if sweep >= sweeps // 2:
            seen.append(overlaps[0] / size)
    return {"overlap": float(np.mean(seen)), "spread": float(np.std(seen))}
