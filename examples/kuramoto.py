"""Kuramoto's oscillators: each wants to go at its own speed, and is drawn towards the others by `coupling`.

Y. Kuramoto, Chemical Oscillations, Waves, and Turbulence, Springer 1984. Beyond a critical coupling they fall into step; for the
speeds used here, of a Cauchy distribution of width 1/2, that is at coupling 1.
"""

import cmath
import math
import random
from typing import TypedDict


class Result(TypedDict):
    order: float
    locked: float


def evaluate(coupling: float, oscillators: int = 60, time: float = 20.0, step: float = 0.05, seed: int = 0) -> Result:
    chance = random.Random(seed)
    # A Cauchy draw is the tangent of an even one.
    speeds = [0.5 * math.tan(math.pi * (chance.random() - 0.5)) for _ in range(oscillators)]
    phases = [2 * math.pi * chance.random() for _ in range(oscillators)]
    orders = []
    steps = round(time / step)
    for number in range(steps):
        mean = sum(cmath.exp(1j * phase) for phase in phases) / oscillators
        size, angle = abs(mean), cmath.phase(mean)
        phases = [p + step * (w + coupling * size * math.sin(angle - p)) for p, w in zip(phases, speeds)]
        if number >= steps // 2:
            orders.append(size)
    order = sum(orders) / len(orders)
    return {"order": order, "locked": sum(abs(w) < coupling * order for w in speeds) / oscillators}
