"""The `tumble` program that came with this package: where it is, and how it is spoken to.

Everything goes through its command line: results are one JSON value on its standard output, what happens on the way is one JSON
object a line on its standard error (`--progress json`).
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, TextIO, Tuple

from ._errors import Interrupted, TumbleError

Notice = Dict[str, Any]

#: What the program wrote that was no notice, of which the end is kept for when it dies without saying why.
_LINES_KEPT = 20
#: Names the program where the one that came along is not wanted.
_VARIABLE = "TUMBLE_BINARY"


def binary() -> str:
    """The path of the `tumble` program: what `TUMBLE_BINARY` says, else the one that was installed with this package, else the one
    in `PATH`. Raises `TumbleError` where there is none."""
    named = os.environ.get(_VARIABLE)
    if named:
        if not _is_executable(named):
            raise TumbleError(f"{_VARIABLE} names {named}, which is no program; correct it, or unset it")
        return os.path.abspath(named)
    for folder in _folders():
        path = os.path.join(folder, "tumble")
        if _is_executable(path):
            return path
    found = shutil.which("tumble")
    if found is None:
        raise TumbleError(
            "the program `tumble` is not where the package was installed, nor in PATH; install the package again, "
            f"or let {_VARIABLE} name the program"
        )
    return os.path.abspath(found)


def _folders() -> Iterator[str]:
    """Where installers put programs, the likeliest first."""
    yield sysconfig.get_path("scripts")
    # As `pip install --user` and `pip install --target` do.
    if os.name + "_user" in sysconfig.get_scheme_names():
        yield sysconfig.get_path("scripts", scheme=os.name + "_user")
    packages = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    yield os.path.join(packages, "bin")
    yield os.path.dirname(sys.executable)


def _is_executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


@dataclass
class Answer:
    """How a command ended."""

    #: The program's exit code; 128 + n where signal n ended it.
    exit_code: int
    #: The value on standard output; empty if there was none.
    value: Dict[str, Any]
    #: Its notes, in order.
    notes: List[str] = field(default_factory=list)
    #: Why it failed.
    error: str = ""


def call(
    arguments: List[str],
    on_notice: Optional[Callable[[Notice], None]] = None,
    *,
    environment: Optional[Mapping[str, str]] = None,
    leash: bool = False,
) -> Answer:
    """Runs a command to its end. Ctrl-C is passed on, and `Interrupted` raised when the program has ended; a second one ends it at
    once. With `leash` the program has a pipe as its standard input, which closes however this process ends."""
    surroundings = dict(os.environ, **(environment or {}))
    # What a person has chosen for the terminal must not keep notices from us.
    surroundings.pop("TUMBLE_QUIET", None)
    with _Interrupts() as interrupts:
        answer = _answer([binary(), *arguments, "--output", "json", "--progress", "json"], on_notice, surroundings, leash, interrupts)
    if interrupts.count:
        raise Interrupted("interrupted")
    return answer


class _Interrupts:
    """While this is entered, Ctrl-C is counted and passed on to the process, and raises nothing: an exception may come between any
    two steps, and what the process had just said would be lost."""

    def __init__(self) -> None:
        self.count = 0
        self._process: Optional["subprocess.Popen[str]"] = None
        self._before: Any = None

    def __enter__(self) -> "_Interrupts":
        # Other threads are not interrupted, and who ignores the signal goes on ignoring it.
        if threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT)):
            self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(self, *_: Any) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def pass_on_to(self, process: "subprocess.Popen[str]") -> None:
        """Has the process told of every interrupt, those before as well."""
        self._process = process
        if self.count:
            process.send_signal(signal.SIGINT)

    def _take(self, *_: Any) -> None:
        self.count += 1
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)


def _answer(
    command: List[str],
    on_notice: Optional[Callable[[Notice], None]],
    surroundings: Mapping[str, str],
    leash: bool,
    interrupts: _Interrupts,
) -> Answer:
    process = start(command, surroundings, subprocess.PIPE if leash else subprocess.DEVNULL)
    assert process.stdout is not None and process.stderr is not None
    lines: "queue.SimpleQueue[Tuple[str, Optional[str]]]" = queue.SimpleQueue()
    readers = [
        threading.Thread(target=_read, args=(name, stream, lines), daemon=True)
        for name, stream in (("out", process.stdout), ("err", process.stderr))
    ]
    answer = Answer(0, {})
    out: List[str] = []
    rest: List[str] = []
    open_streams = len(readers)
    try:
        interrupts.pass_on_to(process)
        for reader in readers:
            reader.start()
        while open_streams:
            name, line = lines.get()
            if line is None:
                open_streams -= 1
            elif name == "out":
                out.append(line)
            else:
                _take(line, answer, rest, on_notice)
        code = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    answer.exit_code = code if code >= 0 else 128 - code
    try:
        value = json.loads("".join(out) or "{}")
        answer.value = value if isinstance(value, dict) else {"value": value}
    except ValueError:
        rest.append("".join(out)[-2000:])
    answer.error = answer.error or answer.value.get("error", "") or "\n".join(rest)
    answer.error = answer.error or f"the program ended with exit code {answer.exit_code} and said nothing"
    return answer


def _read(name: str, stream: TextIO, lines: "queue.SimpleQueue[Tuple[str, Optional[str]]]") -> None:
    try:
        for line in stream:
            lines.put((name, line))
    except ValueError:
        # The stream was closed under us, for the call was given up.
        pass
    finally:
        lines.put((name, None))


def start(command: List[str], environment: Mapping[str, str], stdin: int) -> "subprocess.Popen[str]":
    """The program with these arguments, both its streams read by us."""
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        # Ctrl-C reaches the whole group of a terminal; the program is to hear of it from us, once.
        start_new_session=True,
        encoding="utf-8",
        errors="replace",
    )


def _take(line: str, answer: Answer, rest: List[str], on_notice: Optional[Callable[[Notice], None]]) -> None:
    try:
        notice = json.loads(line)
        kind = notice["notice"]
    except (ValueError, TypeError, KeyError):
        # A line of the program's log.
        rest.append(line.rstrip("\n"))
        del rest[:-_LINES_KEPT]
        return
    if kind == "note":
        answer.notes.append(notice.get("text", ""))
    elif kind == "error":
        answer.error = notice.get("text", "")
    if on_notice is not None:
        on_notice(notice)
