"""A bar in a terminal or a notebook, fed by the program's notices."""

from __future__ import annotations

import html
import shutil
import sys
from typing import Any, Callable, Optional, Union

from ._binary import Notice

#: `True`: a bar where somebody looks; `False`: none; or a function that is given every notice of the program as a dict.
Wanted = Union[bool, Callable[[Notice], None]]

_WIDTH = 32


class Progress:
    """Shows how one run comes along, until `end`."""

    def __init__(self, wanted: Wanted) -> None:
        self._tell = wanted if callable(wanted) else None
        self._shown: Any = None
        if wanted is True:
            self._shown = _notebook() or _terminal()

    def __call__(self, notice: Notice) -> None:
        """Takes a notice of the program."""
        if self._tell is not None:
            self._tell(notice)
        if self._shown is not None and notice.get("notice") == "progress":
            self._shown.show(notice)

    def end(self) -> None:
        """Leaves the last line in a notebook, and a clear line in a terminal."""
        if self._shown is not None:
            self._shown.end()


class _Terminal:
    def __init__(self) -> None:
        self._used = 0

    def show(self, notice: Notice) -> None:
        width = shutil.get_terminal_size().columns - 1
        filled = int(_WIDTH * share(notice))
        line = f"{'█' * filled}{'░' * (_WIDTH - filled)} {words(notice)}"
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

    def show(self, notice: Notice) -> None:
        bar = (
            f'<progress value="{share(notice):.4f}" max="1" style="width:16em;vertical-align:middle"></progress> '
            f"{html.escape(words(notice))}"
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


def share(notice: Notice) -> float:
    """How much of the run is done, from 0 to 1."""
    trials = notice.get("trials") or 1
    return min(1.0, (notice.get("trials_done") or 0) / trials)


def words(notice: Notice) -> str:
    """What the bar says beside itself."""
    text = f"{100 * share(notice):3.0f}% {_count(notice.get('trials_done'))} / {_count(notice.get('trials'))} trials"
    rate = notice.get("trials_per_second")
    if rate:
        text += f", {_count(int(rate)) if rate >= 100 else f'{rate:.1f}'}/s"
        left = notice.get("seconds_left")
        if left:
            text += f", {_duration(left)} left"
    if notice.get("generations"):
        text += f", generation {notice.get('generation')} / {notice.get('generations')}"
    if notice.get("best") is not None:
        text += f", best {str(notice.get('objective', '')).lstrip('-')} {notice['best']:.5g}"
    if notice.get("trials_failed"):
        text += f", {_count(notice['trials_failed'])} failed"
    if notice.get("state") == "waiting" and notice.get("reason"):
        text += f", waiting: {notice['reason']}"
    elif notice.get("state") == "finishing":
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
