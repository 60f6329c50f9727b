"""What an axis runs over, in the words of the run file's `[sweep.axes]` and `[evolve.axes]`.

A list of values is an axis as it is; the functions here make the other forms. Each gives a plain dict, as it will stand in the run
file, so `{"linear": [0.5, 2.0], "points": 16}` may be written as well.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, Mapping, Optional

#: An axis that is not a plain list.
Axis = Dict[str, Any]


def linear(low: float, high: float, points: Optional[int] = None, *, when: Optional[Mapping[str, Any]] = None) -> Axis:
    """Real numbers from `low` to `high`, both included, at even steps.

    `points` is how many a grid takes; designs that sample, and evolutions, need none. `when={"rule": "hebb"}`: the axis is there
    only where the axis `rule` has that value.
    """
    return _form("linear", low, high, points, when)


def log(low: float, high: float, points: Optional[int] = None, *, when: Optional[Mapping[str, Any]] = None) -> Axis:
    """Positive numbers from `low` to `high`, both included, at even ratios; the rest is as for `linear`."""
    return _form("log", low, high, points, when)


def integers(low: int, high: int, *, when: Optional[Mapping[str, Any]] = None) -> Axis:
    """Every integer from `low` to `high`, both included."""
    return _form("integers", low, high, None, when)


def values(items: Iterable[Any], *, when: Optional[Mapping[str, Any]] = None) -> Axis:
    """These values: numbers, words or booleans. Without `when` a plain list says the same."""
    return _with_when({"values": list(items)}, when)


def _form(form: str, low: float, high: float, points: Optional[int], when: Optional[Mapping[str, Any]]) -> Axis:
    axis: Axis = {form: [low, high]}
    if points is not None:
        axis["points"] = points
    return _with_when(axis, when)


def _with_when(axis: Axis, when: Optional[Mapping[str, Any]]) -> Axis:
    if when is not None:
        axis["when"] = dict(when)
    return axis
