"""A pole on a cart, balanced by a small network whose weights evolve: a whole population at once, in NumPy.

    python cart_pole.py RUN_DIR

plays a hundred new starts with the champion of a run of cart-pole.toml, and exits 1 when it lets the pole fall in more than ten.

The dynamics are those of A. G. Barto, R. S. Sutton, C. W. Anderson, Neuronlike adaptive elements that can solve difficult learning
control problems, IEEE Transactions on Systems, Man, and Cybernetics 13 (1983), without friction, in Euler steps of 0.02 s.
"""

import sys
from pathlib import Path

import numpy as np

METRICS = ["score", "steps"]

GRAVITY, CART, POLE = 9.8, 1.0, 0.1  # m/s^2, kg, kg
HALF_LENGTH = 0.5  # of the pole, m
FORCE = 10.0  # N, to the left or to the right
STEP = 0.02  # s
TRACK, LEAN = 2.4, np.radians(12)  # beyond this it has failed: m, radians

HIDDEN = 4
WEIGHTS = 6 * HIDDEN  # four inputs, a threshold and one output for each hidden unit


def evaluate(genome, steps: int = 500, spread: float = 0.05, seed: int = 0):
    """Balances with every row of `genome` for `steps`, from a start within `spread` that `seed` draws.

    A step counts 1 for `steps` while the pole stands, and for `score` the less, the farther the cart is from the middle.
    """
    count, steps, spread = len(genome), int(steps[0]), spread[0]
    starts = np.array([np.random.default_rng(int(s)).uniform(-1.0, 1.0, 4) for s in seed]).reshape(count, 4) * spread
    x, speed, angle, turning = starts.T.copy()
    weights = genome.reshape(count, HIDDEN, 6)
    balanced = np.zeros(count)
    score = np.zeros(count)
    stands = np.ones(count, dtype=bool)
    for _ in range(steps):
        push = np.where(output(weights, x, speed, angle, turning) > 0, FORCE, -FORCE)
        # Equations of the appendix, the pole's first.
        sine, cosine = sine_and_cosine(angle)
        shove = (push + POLE * HALF_LENGTH * turning * turning * sine) / (CART + POLE)
        angular = (GRAVITY * sine - cosine * shove) / (HALF_LENGTH * (4 / 3 - POLE * cosine * cosine / (CART + POLE)))
        linear = shove - POLE * HALF_LENGTH * angular * cosine / (CART + POLE)
        # What has fallen stays where it fell.
        x, speed = np.where(stands, x + STEP * speed, x), np.where(stands, speed + STEP * linear, speed)
        angle, turning = np.where(stands, angle + STEP * turning, angle), np.where(stands, turning + STEP * angular, turning)
        stands &= (np.abs(x) <= TRACK) & (np.abs(angle) <= LEAN)
        balanced += stands
        score += np.where(stands, 1.0 - np.abs(x) / TRACK, 0.0)
        if not stands.any():
            break
    return {"score": score / steps, "steps": balanced}


# A row's numbers must not depend on the rows beside it, so nothing here leaves the order of a sum to a library, and nothing is
# computed but by + - * /, whose results are the same on every machine.


def output(weights, *inputs):
    """What the network of each row says: positive for a push to the right."""
    said = 0.0
    for unit in range(HIDDEN):
        w = weights[:, unit]
        drive = w[:, 4]
        for at, given in enumerate(inputs):
            drive = drive + w[:, at] * given
        said = said + w[:, 5] * (drive / (1.0 + np.abs(drive)))
    return said


def sine_and_cosine(angle):
    """Of angles below a quarter, by their series: exact to the last digits."""
    square = angle * angle
    sine = angle * (1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72 * (1 - square / 110)))))
    cosine = 1 - square / 2 * (1 - square / 12 * (1 - square / 30 * (1 - square / 56 * (1 - square / 90 * (1 - square / 132)))))
    return sine, cosine


STARTS = 100
FALLS_MAX = 10


def main(folders):
    if len(folders) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    champion = np.load(Path(folders[0]) / "champion.npy")
    same = np.ones(STARTS)
    # Seeds that are small numbers: no trial of a run has one.
    played = evaluate(np.tile(champion, (STARTS, 1)), 500 * same, 0.05 * same, np.arange(STARTS))
    falls = int((played["steps"] < 500).sum())
    print(f"of {STARTS} new starts the champion balances {STARTS - falls} for all 500 steps, {played['steps'].mean():.0f} in the mean")
    return 1 if falls > FALLS_MAX else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
