"""Run files, in the words of the format: from Python values to TOML."""

from __future__ import annotations

import datetime
import math
import re
from typing import Any, Dict, List, Mapping, Optional

#: Sections of a run file that are written as such; all other mappings are written on one line.
_SECTIONS = {
    "program",
    "python",
    "config",
    "evolve",
    "evolve.axes",
    "evolve.stop",
    "sweep",
    "sweep.axes",
    "sweep.stopping",
    "limits",
}


def text_of(run: Mapping[str, Any]) -> str:
    """The run file's text. Raises `TypeError` for a value that no run file can have, naming where it stands."""
    lines: List[str] = []
    _section(plain(run, "the run"), "", lines)
    return "\n".join(lines) + "\n"


def _section(table: Mapping[str, Any], path: str, lines: List[str]) -> None:
    inner = {key: f"{path}.{key}" if path else key for key in table}
    is_section = {key: inner[key] in _SECTIONS and isinstance(value, dict) for key, value in table.items()}
    for key, value in table.items():
        if not is_section[key]:
            lines.append(f"{_key(key)} = {_value(value)}")
    for key, value in table.items():
        if is_section[key]:
            lines += ["", f"[{inner[key]}]"]
            _section(value, inner[key], lines)


def plain(value: Any, place: str) -> Any:
    """The value as None, booleans, numbers, texts, lists and dicts: NumPy's arrays and scalars, tuples and ranges become those."""
    if value is None or isinstance(value, (bool, int, str)):
        # A subclass such as an enum's member is written as what it is.
        return value if type(value) in (type(None), bool, int, str) else _base(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{place} is {value}, which no run file can have; write a finite number")
        return float(value)
    if isinstance(value, datetime.timedelta):
        return f"{round(value.total_seconds() * 1000)}ms"
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{place} has the key {key!r}; keys are text")
        return {key: plain(item, f"{place}, `{key}`") for key, item in value.items() if item is not None}
    if hasattr(value, "tolist"):
        # An array or a scalar of NumPy, and of what is made after it.
        return plain(value.tolist(), place)
    if isinstance(value, (list, tuple, range)):
        return [plain(item, f"{place}, element {at}") for at, item in enumerate(value)]
    raise TypeError(f"{place} is a {type(value).__name__}, which no run file can have: {value!r:.80}")


def _base(value: Any) -> Any:
    for kind in (int, str):
        if isinstance(value, kind):
            return kind(value) if kind is int else str.__str__(value)
    return value


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = repr(value)
        # TOML wants digits on both sides of a point, or an exponent.
        return text if "." in text or "e" in text else text + ".0"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    entries = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
    return "{ " + entries + " }" if entries else "{}"


def _text(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(c, c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}") for c in text) + '"'


def name_of(word: str) -> str:
    """A run's name made of a function's: a-z, 0-9 and `-`."""
    name = re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")
    return name[:40].strip("-") or "function"


def section(given: Optional[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    """A section that is left out where nothing is given."""
    return dict(given) if given else None


def axes_of(run_toml: str) -> List[str]:
    """The names of the axes in `[sweep.axes]` of a canonical run file, in order."""
    names: List[str] = []
    inside = False
    for line in run_toml.splitlines():
        if line.startswith("["):
            inside = line.strip() == "[sweep.axes]"
        elif inside and " = " in line:
            names.append(line.split(" = ", 1)[0].strip().strip('"'))
    return names
