"""The functions that everybody evaluates: one that does nothing, and one that computes for about a millisecond."""


def trivial(x: float, n: int = 3):
    return {"y": x * x + n}


def busy(x: float, turns: int = 20000):
    y = 0.5 + 0.4 * x
    for _ in range(turns):
        y = 3.7 * y * (1.0 - y)
    return {"y": y}
