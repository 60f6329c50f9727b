"""How a function gets to the workers' interpreters.

One that lies in a file is imported from there. One that lies in none (of a notebook, a script that is running, a closure, a
lambda) is put into the run's `code` folder: pickled by value, with a small module beside it that takes it out again.
"""

from __future__ import annotations

import copy
import dis
import io
import json
import linecache
import os
import shutil
import sys
import sysconfig
import types
import typing
from collections import ChainMap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Union

from ._runfile import name_of

#: The module that takes a pickled function out, and the name that it has there.
MODULE = "function.py"
NAME = "evaluate"
#: The pickled function.
PICKLE = "function.pickle"
#: Where the run was begun: read by the module on this machine, never part of a bundle.
ORIGIN = "origin.json"

_MODULE_TEXT = '''"""Takes the function out that `tumble.run` was given. Written by the tumble package for Python {version}."""

import json
import linecache
import os
import pickle
import sys

if sys.version_info[:2] != ({major}, {minor}):
    # Bytecode of one version means something else in another.
    raise ImportError(
        "the function was pickled by Python {version}, and %s is Python %d.%d; "
        "name an interpreter of that version, or put the function into a file of its own" % (sys.executable, *sys.version_info[:2])
    )
_here = os.path.dirname(os.path.abspath(__file__))
_origin = os.path.join(_here, "origin.json")
if os.path.exists(_origin):
    # The machine and folder that the run was begun in: modules and data beside the notebook are found as they are there.
    with open(_origin, encoding="utf-8") as _file:
        _begun = json.load(_file)
    sys.path[1:1] = [_folder for _folder in _begun["path"] if _folder not in sys.path]
    if _begun["folder"] and os.path.isdir(_begun["folder"]):
        os.chdir(_begun["folder"])
with open(os.path.join(_here, "function.pickle"), "rb") as _file:
    {name}, _sources = pickle.load(_file)
for _name, _lines in _sources.items():
    # Tracebacks show the lines on machines that do not have the notebook.
    linecache.cache[_name] = (sum(map(len, _lines)), None, _lines, _name)
METRICS = {metrics!r}
'''


@dataclass
class Travel:
    """How one function travels."""

    #: What `[python]` says as `entry`.
    entry: str
    #: The folder that the entry is relative to; `None` for the run's `code` folder.
    here: Optional[str]
    #: A run's name made of the function's.
    name: str
    #: What goes into the `code` folder.
    files: Dict[str, bytes] = field(default_factory=dict)
    #: What `bundle` says in the run file, if anything travels.
    packed: Optional[List[str]] = None

    def pack(self, given: List[str]) -> None:
        """Lets these files and folders travel with the function, and the function's own file."""
        self.packed = list(dict.fromkeys([*self._own(), *(os.path.normpath(path).replace(os.sep, "/") for path in given)]))
        for path in self.packed:
            if os.path.isabs(path) or path.split("/")[0] == "..":
                raise ValueError(f"{path!r} in `bundle` does not lie under {self._base()}, which its paths are relative to")
            if path not in self.files and not os.path.exists(os.path.join(self._base(), path)):
                raise FileNotFoundError(f"{path!r} in `bundle` is not there; paths are relative to {self._base()}")

    def _own(self) -> List[str]:
        """What the entry itself needs: its file, or the package that it lies in, unless that is installed."""
        module = self.entry.rpartition(":")[0]
        if self.files:
            return list(self.files)
        if module.endswith(".py"):
            return [module]
        top = module.split(".")[0]
        if os.path.realpath(self._base()) in {os.path.realpath(folder) for folder in _installed()}:
            return []
        return [path for path in (top, top + ".py") if os.path.exists(os.path.join(self._base(), path))][:1]

    def _base(self) -> str:
        return self.here or os.getcwd()

    def lay_bundle(self, code: Path) -> None:
        """Puts what travels into the folder, beside the function."""
        for path in self.packed or []:
            source, target = os.path.join(self._base(), path), code / path
            if path in self.files:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.isdir(source):
                skipped = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, target, copy_function=_link_or_copy, ignore=skipped, dirs_exist_ok=True)
            elif not target.exists():
                _link_or_copy(source, str(target))


def _link_or_copy(source: str, target: str) -> str:
    """Data may be large, and a second name for it costs nothing."""
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without links.
        shutil.copy2(source, target)
    return target


def travel(evaluate: Union[str, Callable[..., Any]]) -> Travel:
    """Looks how a function can travel. A text is an entry as in the run file, relative to the working folder."""
    if isinstance(evaluate, str):
        module, _, name = evaluate.rpartition(":")
        return _of_entry(module, name, evaluate)
    if not callable(evaluate):
        raise TypeError(f"{evaluate!r:.80} is no function, no run file and no entry such as 'model.py:evaluate'")
    return _of_file(evaluate) or _pickled(evaluate)


def _of_entry(module: str, name: str, entry: str) -> Travel:
    word = name_of(name or entry)
    if module.endswith(".py"):
        return Travel(f"{os.path.basename(module)}:{name}", os.path.dirname(os.path.abspath(module)), word)
    return Travel(entry, os.getcwd(), word)


def _of_file(function: Callable[..., Any]) -> Optional[Travel]:
    """A function that anyone gets by importing its module and looking its name up."""
    module_name, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module_name or not name or module_name == "__main__" or "<" in name:
        return None
    module = sys.modules.get(module_name)
    path = getattr(module, "__file__", None)
    if module is None or not path or not path.endswith(".py") or not os.path.isfile(path):
        return None
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not function:
        return None
    path = os.path.abspath(path)
    folder = os.path.dirname(path)
    parts = module_name.split(".")
    if len(parts) == 1:
        return Travel(f"{os.path.basename(path)}:{name}", folder, name_of(name.rpartition(".")[2]))
    # A module of a package is imported from the folder that the package lies in.
    above = len(parts) if os.path.basename(path) == "__init__.py" else len(parts) - 1
    for _ in range(above):
        folder = os.path.dirname(folder)
    return Travel(f"{module_name}:{name}", folder, name_of(name.rpartition(".")[2]))


def _pickled(function: Callable[..., Any]) -> Travel:
    name = getattr(function, "__name__", type(function).__name__)
    name = "function" if "<" in name else name
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    text = _MODULE_TEXT.format(
        version=version, major=sys.version_info[0], minor=sys.version_info[1], name=NAME, metrics=_metrics_of(function)
    )
    files = {MODULE: text.encode(), PICKLE: pickled(_resolved(function))}
    return Travel(f"{MODULE}:{NAME}", None, name_of(name), files)


def _metrics_of(function: Callable[..., Any]) -> Optional[List[str]]:
    """The list METRICS beside the function, as a module of its own would have it."""
    listed = getattr(function, "__globals__", {}).get("METRICS")
    if isinstance(listed, (list, tuple)) and all(isinstance(name, str) for name in listed):
        return list(listed)
    return None


def _resolved(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its annotations as what they mean: as texts they name what a pickle does not take along."""
    annotations = getattr(function, "__annotations__", None)
    if not isinstance(function, types.FunctionType) or not annotations:
        return function
    if not any(isinstance(hint, str) for hint in annotations.values()):
        return function
    try:
        hints = typing.get_type_hints(function)
    except Exception:
        # Whoever asks the function takes such annotations for none.
        return function
    twin = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    twin.__kwdefaults__ = copy.copy(function.__kwdefaults__)
    twin.__qualname__, twin.__module__, twin.__doc__ = function.__qualname__, function.__module__, function.__doc__
    twin.__dict__.update(function.__dict__)
    twin.__annotations__ = hints
    return twin


def pickled(value: Any) -> bytes:
    """The value with the lines of its code, pickled so that the same code gives the same bytes wherever it lies."""
    try:
        import cloudpickle
    except ImportError as error:
        raise ImportError(
            "a function that lies in no file travels by cloudpickle: `pip install cloudpickle`, or put the function into a file"
        ) from error

    sources: Dict[str, Dict[int, str]] = {}

    def reduce_code(code: types.CodeType) -> Any:
        name = _name_of_source(code.co_filename)
        lines = sources.setdefault(name, {})
        for _, line in dis.findlinestarts(code):
            if line is not None:
                lines[line] = linecache.getline(code.co_filename, line)
        # A path, or the number of a notebook's process, would make another run of the same code.
        return cloudpickle.CloudPickler.dispatch_table[types.CodeType](code.replace(co_filename=name))

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
        dispatch_table = ChainMap({types.CodeType: reduce_code}, cloudpickle.CloudPickler.dispatch_table)

        def _function_getnewargs(self, function: Any) -> Any:
            # The path of the script goes along with every function, whether it uses it or not; where it does, it has it beside.
            made = super()._function_getnewargs(function)
            if isinstance(made[1], dict) and "__file__" in made[1]:
                made[1]["__file__"] = _name_of_source(made[1]["__file__"])
            return made

    buffer = io.BytesIO()
    try:
        # Twice, for the lines are known once the code has been seen.
        Pickler(io.BytesIO(), protocol=4).dump(value)
        texts = {name: [lines.get(at, "\n") or "\n" for at in range(1, max(lines) + 1)] for name, lines in sources.items() if lines}
        Pickler(buffer, protocol=4).dump((value, texts))
    except Exception as error:
        raise TypeError(
            f"the function cannot be taken along: {type(error).__name__}: {error}; something that it uses from outside (an open file, "
            "a lock, a connection) stays where it is: make it inside the function, or put the function into a file of its own"
        ) from error
    return buffer.getvalue()


def _name_of_source(file: str) -> str:
    """What tracebacks call the file: `<script.py>`. The brackets tell that no such file need be there."""
    return file if file.startswith("<") and file.endswith(">") else f"<{os.path.basename(file)}>"


def origin() -> Dict[str, Any]:
    """Where this process is: its working folder, its interpreter, and the folders of its own that it imports from."""
    own: List[str] = []
    foreign = {os.path.realpath(path) for path in _installed()}
    for entry in sys.path:
        folder = os.path.abspath(entry or os.getcwd())
        if os.path.isdir(folder) and os.path.realpath(folder) not in foreign and folder not in own:
            own.append(folder)
    return {"folder": os.getcwd(), "path": own, "python": sys.executable}


def _installed() -> Iterator[str]:
    """The folders that this Python imports from by itself."""
    import site

    for name in ("stdlib", "platstdlib", "purelib", "platlib"):
        yield sysconfig.get_path(name)
    stdlib = sysconfig.get_path("stdlib")
    yield os.path.join(stdlib, "lib-dynload")
    yield os.path.join(os.path.dirname(stdlib), f"python{sys.version_info[0]}{sys.version_info[1]}.zip")
    yield site.getusersitepackages()
    yield from site.getsitepackages()
