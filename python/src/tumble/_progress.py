"""A bar in a terminal or a notebook, fed by the program's events."""

from __future__ import annotations

import html
import shutil
import sys
from typing import Any, Callable, Optional, Union

from ._binary import Event

#: `True`: a bar where somebody looks; `False`: none; or a function that is given every event of the program as a dict.
Wanted = Union[bool, Callable[[Event], None]]

_WIDTH = 32


class Progress:
    """Shows how one run comes along, until `end`."""

    def __init__(self, wanted: Wanted) -> None:
        self._tell = wanted if callable(wanted) else None
        self._shown: Any = None
        if wanted is True:
            self._shown = _notebook() or _terminal()

    def __call__(self, event: Event) -> None:
        """Takes an event of the program."""
        if self._tell is not None:
            self._tell(event)
        if self._shown is not None and event.get("event") == "progress":
            self._shown.show(event)

    def end(self) -> None:
        """Leaves the last line in a notebook, and a clear line in a terminal."""
        if self._shown is not None:
            self._shown.end()


class _Terminal:
    def __init__(self) -> None:
        self._used = 0

    def show(self, event: Event) -> None:
        width = shutil.get_terminal_size().columns - 1
        filled = int(_WIDTH * share(event))
        line = f"{'█' * filled}{'░' * (_WIDTH - filled)} {words(event)}"
        try:
            line.encode(sys.stderr.encoding or "ascii")
        except UnicodeEncodeError:
            line = line.replace("█", "#").replace("░", ".")
        line = line[:width]
        sys.stderr.write("\r" + line + " " * max(0, self._used - len(line)))
        sys.stderr.flush()
        self._used = len(line)

    def end(self) -> None:
        if self._used:
            sys.stderr.write("\r" + " " * self._used + "\r")
            sys.stderr.flush()


class _Notebook:
    def __init__(self, display: Any, html_of: Any) -> None:
        self._display, self._html = display, html_of
        self._handle: Any = None

    def show(self, event: Event) -> None:
        bar = (
            f'<progress value="{share(event):.4f}" max="1" style="width:16em;vertical-align:middle"></progress> '
            f"{html.escape(words(event))}"
        )
        if self._handle is None:
            self._handle = self._display(self._html(bar), display_id=True)
        elif self._handle is not True:
            self._handle.update(self._html(bar))

    def end(self) -> None:
        pass


def _terminal() -> Optional[_Terminal]:
    stream = sys.stderr
    return _Terminal() if stream is not None and stream.isatty() else None


def _notebook() -> Optional[_Notebook]:
    # Who runs in IPython has imported it; importing it here would cost everybody else a second.
    if "IPython" not in sys.modules:
        return None
    try:
        from IPython import get_ipython
        from IPython.display import HTML, display

        shell = get_ipython()
    except ImportError:
        return None
    # IPython in a terminal has no kernel, and shows no HTML.
    return _Notebook(display, HTML) if shell is not None and hasattr(shell, "kernel") else None


def share(event: Event) -> float:
    """How much of the run is done, from 0 to 1."""
    trials = event.get("trials") or 1
    return min(1.0, (event.get("trials_done") or 0) / trials)


def words(event: Event) -> str:
    """What the bar says beside itself."""
    text = f"{100 * share(event):3.0f}% {_count(event.get('trials_done'))} / {_count(event.get('trials'))} trials"
    rate = event.get("trials_per_second")
    if rate:
        text += f", {_count(int(rate)) if rate >= 100 else f'{rate:.1f}'}/s"
        left = event.get("seconds_left")
        if left:
            text += f", {_duration(left)} left"
    if event.get("generations"):
        text += f", generation {event.get('generation')} / {event.get('generations')}"
    if event.get("best") is not None:
        text += f", best {str(event.get('objective', '')).lstrip('-')} {event['best']:.5g}"
    if event.get("trials_failed"):
        text += f", {_count(event['trials_failed'])} failed"
    if event.get("state") == "waiting" and event.get("reason"):
        text += f", waiting: {event['reason']}"
    elif event.get("state") == "finishing":
        text += ", completing the tables"
    return text


def _count(number: Any) -> str:
    return f"{int(number or 0):,}".replace(",", " ")


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.0f} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m"
