"""Draws a result with matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional

if TYPE_CHECKING:
    from ._result import Result

#: Values of an axis that get a curve or a label each.
_VALUES_MAX = 64


def plot(result: "Result", metric: Optional[str], ax: Any) -> Any:
    """An evolution over its generations; a sweep over its first axis, or its first two."""
    try:
        import matplotlib.pyplot as pyplot
    except ImportError as error:
        raise ImportError("plot() needs matplotlib: `pip install matplotlib`") from error
    if ax is None:
        _, ax = pyplot.subplots(layout="constrained")
    axes = result.axes
    if not axes:
        return _evolution(result, ax)
    trials = result.trials
    if metric is None:
        # A sweep of evolutions has their best in the table.
        metric = result.objective.lstrip("-")
        metric = metric if metric in trials.column_names else "best"
    if metric not in trials.column_names:
        known = ", ".join(trials.column_names)
        raise ValueError(f"there is no column {metric!r} in the trials; there are {known}")
    return _curve(trials, axes[0], metric, ax) if len(axes) == 1 else _heat_map(trials, axes[:2], metric, ax)


def _evolution(result: "Result", ax: Any) -> Any:
    table = result.generations
    generation = table["generation"].to_pylist()
    ax.plot(generation, table["best"].to_pylist(), label="best")
    (line,) = ax.plot(generation, table["median"].to_pylist(), label="median")
    ax.fill_between(generation, table["q25"].to_pylist(), table["q75"].to_pylist(), alpha=0.25, color=line.get_color())
    ax.set(xlabel="generation", ylabel=result.objective.lstrip("-"))
    ax.legend()
    return ax


def _means(trials: Any, axes: List[str], metric: str) -> List[Any]:
    """The metric's mean at each point of these axes, over replicates and all other axes."""
    groups = trials.select([*axes, metric]).group_by(axes).aggregate([(metric, "mean")])
    rows = groups.to_pylist()
    return [(*(row[axis] for axis in axes), row[f"{metric}_mean"]) for row in rows]


def _curve(trials: Any, axis: str, metric: str, ax: Any) -> Any:
    means = [pair for pair in _means(trials, [axis], metric) if pair[0] is not None]
    if means and isinstance(means[0][0], str):
        ax.bar([word for word, _ in means], [mean for _, mean in means])
    else:
        means.sort()
        ax.plot([x for x, _ in means], [mean for _, mean in means], marker="." if len(means) <= _VALUES_MAX else None)
    ax.set(xlabel=axis, ylabel=f"mean {metric}")
    return ax


def _heat_map(trials: Any, axes: List[str], metric: str, ax: Any) -> Any:
    means = [row for row in _means(trials, axes, metric) if row[0] is not None and row[1] is not None]
    across, up = [_order([row[at] for row in means]) for at in (0, 1)]
    if max(len(across), len(up)) > _VALUES_MAX:
        # A design that samples has each value once.
        drawn = ax.scatter([row[0] for row in means], [row[1] for row in means], c=[row[2] for row in means], s=12)
    else:
        cells = [[float("nan")] * len(across) for _ in up]
        for x, y, mean in means:
            cells[up.index(y)][across.index(x)] = float("nan") if mean is None else mean
        drawn = ax.imshow(cells, origin="lower", aspect="auto")
        ax.set_xticks(range(len(across)), [_label(x) for x in across], rotation=45)
        ax.set_yticks(range(len(up)), [_label(y) for y in up])
    ax.figure.colorbar(drawn, ax=ax, label=f"mean {metric}")
    ax.set(xlabel=axes[0], ylabel=axes[1])
    return ax


def _order(values: List[Any]) -> List[Any]:
    """The distinct values: numbers by size, words in the order in which they come."""
    distinct = list(dict.fromkeys(values))
    return distinct if any(isinstance(value, str) for value in distinct) else sorted(distinct)


def _label(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
