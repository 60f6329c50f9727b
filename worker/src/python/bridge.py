# What an interpreter of a worker runs: it imports the user's module once, then evaluates batch after batch.
#
# Requests come on what was standard input, answers go to what was standard output; both are moved away first, so that the
# user's own reading and printing cannot meddle. A frame is a length and bytes, numbers are little-endian columns; nothing is
# pickled. The trial in progress and the metrics stand in shared memory, so that a death costs no more than its trial.
# It needs nothing beyond the standard library of Python 3.9; NumPy is used for vectors where it is there.

import array
import difflib
import importlib
import importlib.util
import inspect
import mmap
import os
import re
import signal
import struct
import sys
import traceback
import types
import typing

KINDS = {float: "f", int: "i", bool: "b", str: "t"}
ERROR_BYTES_MAX = 1900
FRAMES_MAX = 8


class CannotRun(Exception):
    """Why the function cannot be called at all; `where` says whether that may be so on this machine alone."""

    def __init__(self, text, elsewhere=False):
        super().__init__(text)
        self.elsewhere = elsewhere


def die_with_worker():
    # A function that never returns sees no closed pipe, so the system is asked to end us with our worker.
    parent = os.getppid()
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    except Exception:
        pass
    if os.getppid() != parent:
        os._exit(1)


class Channel:
    def __init__(self):
        self.requests = os.fdopen(os.dup(0), "rb", 1 << 16)
        self.answers = os.fdopen(os.dup(1), "wb", 1 << 16)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)

    def take(self):
        head = self.requests.read(4)
        if len(head) < 4:
            os._exit(0)
        (length,) = struct.unpack("<I", head)
        body = self.requests.read(length)
        if len(body) < length:
            os._exit(0)
        return Reader(body)

    def say(self, kind, body=b""):
        self.answers.write(kind + struct.pack("<I", len(body)))
        self.answers.write(body)
        self.answers.flush()


class Reader:
    def __init__(self, body):
        self.body, self.at = body, 0

    def bytes(self, count):
        self.at += count
        return self.body[self.at - count : self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.bytes(struct.calcsize("<" + form)))[0]

    def text(self):
        return self.bytes(self.number("I")).decode("utf-8")

    def value(self, kind):
        if kind == "f":
            return self.number("d")
        if kind == "i":
            return self.number("q")
        if kind == "b":
            return self.number("B") != 0
        if kind == "t":
            return self.text()
        return [self.number("q") for _ in range(self.number("I"))]


def packed(text):
    data = text.encode("utf-8", "replace")
    return struct.pack("<I", len(data)) + data


def packed_value(kind, value):
    if kind == "f":
        return struct.pack("<d", value)
    if kind == "i":
        return struct.pack("<q", value)
    if kind == "b":
        return struct.pack("<B", value)
    if kind == "t":
        return packed(value)
    return struct.pack("<I", len(value)) + b"".join(struct.pack("<q", item) for item in value)


# Errors: a text that is the same on every machine.


def place(file):
    inside = os.path.relpath(file, here) if os.path.isabs(file) else file
    if not inside.startswith(".."):
        return inside
    # Of an installed package what is below the folder of packages.
    parts = file.split(os.sep)
    for folder in ("site-packages", "dist-packages"):
        if folder in parts:
            return "/".join(parts[len(parts) - parts[::-1].index(folder) :])
    return os.path.basename(file)


def tamed(text):
    if len(here) > 1:
        text = text.replace(here, "{here}")
    if len(sys.prefix) > 5:
        text = text.replace(sys.prefix, "{python}")
    # Addresses of objects are others in each process.
    return re.sub(r"0x[0-9a-fA-F]{6,16}", "0x...", text)


def named(error):
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else kind.__module__ + "." + kind.__qualname__
    if isinstance(error, SyntaxError) and error.filename:
        line = (error.text or "").strip()
        return "%s:%s: %s: %s: %s" % (place(error.filename), error.lineno, name, error.msg, line)
    if isinstance(error, SystemExit):
        return "the function ended Python by sys.exit(%s); return or raise instead" % (error.code,)
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be made)"
    return name + ": " + text if text else name


def told(error):
    lines = []
    seen = error
    for _ in range(3):
        frames = traceback.extract_tb(seen.__traceback__, -FRAMES_MAX)
        while frames and (frames[0].filename == "<tumble>" or "importlib" in frames[0].filename):
            frames = frames[1:]
        part = ["%s:%s in %s: %s" % (place(f.filename), f.lineno, f.name, (f.line or "").strip()) for f in frames]
        part.append(named(seen))
        lines = part + (["which led to"] + lines if lines else [])
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
        if seen is None:
            break
    data = tamed("\n".join(lines)).encode("utf-8", "replace")
    return data[-ERROR_BYTES_MAX:].decode("utf-8", "ignore")


# The module and its function.


def load(entry):
    module_name, _, function_name = entry.rpartition(":")
    if module_name.endswith(".py") or "/" in module_name:
        path = os.path.normpath(os.path.join(here, module_name))
        if not os.path.isfile(path):
            near = nearest(os.path.basename(path), names_in(os.path.dirname(path)))
            raise CannotRun("there is no file %s (%s); paths are relative to the folder of the run file%s" % (module_name, path, near))
        sys.path.insert(0, os.path.dirname(path))
        stem = os.path.splitext(os.path.basename(path))[0]
        spec = importlib.util.spec_from_file_location(stem, path)
        if spec is None:
            raise CannotRun("%s is no Python module: its name must end in .py" % module_name)
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(stem, module)
        run = lambda: spec.loader.exec_module(module)
    else:
        sys.path.insert(0, here)
        run = lambda: importlib.import_module(module_name)
    try:
        module = run() or module
    except ModuleNotFoundError as error:
        raise CannotRun("%s cannot be imported: %s; %s" % (module_name, told(error), installed()), True)
    except BaseException as error:
        raise CannotRun("%s cannot be imported:\n%s" % (module_name, told(error)))
    found = module
    for part in function_name.split("."):
        if not hasattr(found, part):
            known = [n for n, v in vars(found).items() if not n.startswith("_") and isinstance(v, types.FunctionType)]
            raise CannotRun("%s has no function `%s`%s" % (module_name, part, nearest(part, known)))
        found = getattr(found, part)
    if not callable(found):
        raise CannotRun("`%s` of %s is no function" % (function_name, module_name))
    return module, found


def installed():
    return "install it for %s, or name an interpreter that has it: `interpreter` in [python], or TUMBLE_PYTHON" % sys.executable


def names_in(folder):
    try:
        return [name for name in os.listdir(folder) if name.endswith(".py")]
    except OSError:
        return []


def nearest(word, known):
    close = difflib.get_close_matches(word, known, 1)
    if close:
        return "; did you mean `%s`?" % close[0]
    return "; it has `%s`" % "`, `".join(sorted(known)[:10]) if known else ""


def signature_of(function):
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        raise CannotRun("Python does not know the parameters of `%s`; wrap it in a function of your own" % entry)


def hints_of(function):
    try:
        return typing.get_type_hints(function)
    except Exception:
        return dict(getattr(function, "__annotations__", {}))


def kind_of(parameter, hints):
    hint = hints.get(parameter.name)
    if hint in KINDS:
        return KINDS[hint]
    if typing.get_origin(hint) is list and typing.get_args(hint) == (int,):
        return "l"
    return KINDS.get(type(parameter.default), "?") if hint is None else "?"


def expressible(kind, value):
    if kind == "f":
        return isinstance(value, (int, float)) and abs(value) < float("inf")
    if kind == "i":
        return type(value) is int and -(2**63) <= value < 2**63
    if kind == "l":
        return isinstance(value, list) and all(expressible("i", item) for item in value)
    return type(value) is {"b": bool, "t": str}.get(kind)


def metrics_of(module, function, hints):
    listed = getattr(function, "metrics", None) or getattr(module, "METRICS", None)
    if isinstance(listed, (list, tuple)) and all(isinstance(name, str) for name in listed):
        return list(listed)
    hint = hints.get("return")
    if hint in (float, int, bool):
        return ["value"]
    if not isinstance(hint, type):
        return None
    if hasattr(hint, "__dataclass_fields__"):
        return list(hint.__dataclass_fields__)
    if hasattr(hint, "_fields"):
        return list(hint._fields)
    if hasattr(hint, "__total__"):
        return list(typing.get_type_hints(hint))
    return None


def describe(module, function):
    signature, hints = signature_of(function), hints_of(function)
    has_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    parameters = []
    for p in signature.parameters.values():
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
            continue
        if p.kind is p.POSITIONAL_ONLY:
            raise CannotRun("parameter `%s` of `%s` has no name to be given by: remove the `/`" % (p.name, entry))
        kind, value = kind_of(p, hints), b"\0"
        if p.default is not p.empty:
            value = b"\1" + packed_value(kind, p.default) if expressible(kind, p.default) else b"\2"
        parameters.append(packed(p.name) + kind.encode() + value)
    metrics = metrics_of(module, function, hints)
    body = struct.pack("<BI", has_any, len(parameters)) + b"".join(parameters)
    if metrics is None:
        return body + struct.pack("<I", 0xFFFFFFFF)
    return body + struct.pack("<I", len(metrics)) + b"".join(map(packed, metrics))


# Batches.


class Shared:
    """Memory that the worker reads too: which trial is in progress, then a row of metrics for each trial."""

    def __init__(self, cells):
        size = 8 * (1 + cells)
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("tumble")
        else:
            import tempfile

            self.file = tempfile.TemporaryFile()
            self.fd = self.file.fileno()
        os.ftruncate(self.fd, size)
        memory = memoryview(mmap.mmap(self.fd, size))
        self.now, self.out = memory.cast("Q"), memory.cast("d")


def number_text(value):
    return "%s %s" % (type(value).__name__, repr(value)[:80])


def misfit(result):
    """What is wrong with a result that is not a number for each metric."""
    example = "return {%s}" % ", ".join('"%s": number' % m for m in metrics[:4])
    if result is None:
        return "the function returned nothing (None): " + example
    for metric in metrics:
        try:
            value = member(result, metric)
        except (KeyError, AttributeError, TypeError, IndexError):
            if isinstance(result, dict):
                near = nearest(metric, [key for key in result if isinstance(key, str)])
                return "the function's result has no metric `%s`%s" % (metric, near)
            return "the function returned %s: %s" % (number_text(result), example)
        if isinstance(value, (str, bytes)) or not hasattr(value, "__float__") and not hasattr(value, "__index__"):
            return "the metric `%s` is no number but %s" % (metric, number_text(value))
        try:
            float(value)
        except Exception as error:
            return "the metric `%s` is no number: %s" % (metric, named(error))
    return "the function's result cannot be read: " + example


def member(result, metric):
    if hasattr(result, "keys"):
        return result[metric]
    if hasattr(result, metric):
        return getattr(result, metric)
    if len(metrics) == 1 and hasattr(result, "__float__") and not isinstance(result, (str, bytes)):
        return result
    raise TypeError


def store(number, result):
    """The metrics of a result of another form than a dict or a float."""
    try:
        row = [float(value) for value in (member(result, m) for m in metrics) if not isinstance(value, (str, bytes))]
    except Exception:
        row = []
    if len(row) < len(metrics):
        return fail(number - 1, misfit(result))
    start = (number - 1) * len(metrics) + 1
    for at, value in enumerate(row):
        shared.out[start + at] = value


def fail(trial, text):
    text = tamed(text).encode("utf-8", "replace")[-ERROR_BYTES_MAX:]
    channel.say(b"E", struct.pack("<I", trial) + text)


def loop_of(names):
    """The loop over a batch, made for these arguments: a call with names is much faster than one with a dict."""
    each = "".join(", a%d" % i for i in range(len(names)))
    columns = "".join(", columns[%d]" % i for i in range(len(names)))
    call = ", ".join("%s=a%d" % (name, i) for i, name in enumerate(names))
    m = len(metrics)
    lines = [
        "def loop(count, columns, function, now, out, fail, told, store):",
        "    for number%s in zip(range(1, count + 1)%s):" % (each, columns),
        "        now[0] = number",
        "        try:",
        "            result = function(%s)" % call,
        "        except BaseException as error:",
        "            fail(number - 1, told(error))",
        "            continue",
        "        if result.__class__ is dict:",
        "            try:",
    ]
    lines += ["                out[number * %d + %d] = result[%r]" % (m, 1 - m + i, name) for i, name in enumerate(metrics)]
    lines += ["                continue", "            except Exception:", "                pass"]
    if m == 1:
        lines += ["        elif result.__class__ is float:", "            out[number] = result", "            continue"]
    lines += ["        store(number, result)"]
    if not names:
        lines[1] = "    for number in range(1, count + 1):"
    space = {}
    exec(compile("\n".join(lines), "<tumble>", "exec"), space)
    return space["loop"]


def column_of(request, kind, count):
    """A column of a request: `(True, value)` where all trials have the same."""
    if request.bytes(1) == b"c":
        return True, request.value(kind)
    if kind in "fi":
        data = request.bytes(8 * count)
        if sys.byteorder == "big" or numpy is None or not batch:
            numbers = array.array("d" if kind == "f" else "q", data)
            if sys.byteorder == "big":
                numbers.byteswap()
            return False, numbers.tolist()
        return False, numpy.frombuffer(bytearray(data), "<f8" if kind == "f" else "<i8")
    if kind == "b":
        return False, [byte != 0 for byte in request.bytes(count)]
    words = [request.value(kind) for _ in range(request.number("I"))]
    return False, [words[at] for at in struct.unpack("<%dI" % count, request.bytes(4 * count))]


def evaluate(request):
    count = request.number("I")
    seeds = request.bytes(8 * count)
    given = {}
    for name, kind, is_real in parameters:
        same, values = column_of(request, kind, count)
        if is_real and kind == "i":
            values = float(values) if same else [float(value) for value in values]
        if batch:
            values = numpy.full(count, values) if same and kind != "l" else [values] * count if same else values
            values = numpy.asarray(values)
        elif same:
            # A list may be changed by the function, and the next trial must not see that.
            values = (list(values) for _ in range(count)) if kind == "l" else [values] * count
        given[name] = values
    if takes_seed:
        given["seed"] = numpy.frombuffer(seeds, "<u8") if batch else struct.unpack("<%dQ" % count, seeds)
    if genome:
        data = request.bytes(8 * genome * count)
        if numpy is not None:
            given["genome"] = numpy.frombuffer(bytearray(data), "<f8").reshape(count, genome)
        else:
            given["genome"] = [array.array("d", data[8 * genome * i : 8 * genome * (i + 1)]) for i in range(count)]
    shared.now[0] = 0
    if batch:
        whole(given, 0, count)
    else:
        loop(count, [given[name] for name in names], function, shared.now, shared.out, fail, told, store)
    channel.say(b"D")


def whole(given, start, end):
    """A batch function's turn. What fails is halved until the culprit is alone."""
    count = end - start
    shared.now[0] = start + 1
    try:
        result = function(**{name: values[start:end].copy() for name, values in given.items()})
        rows = []
        if result is None:
            # NumPy would make a NaN of it.
            raise CannotRun(misfit(result))
        for metric in metrics:
            given_back = member(result, metric)
            try:
                values = numpy.asarray(given_back, dtype="float64")
            except (TypeError, ValueError) as error:
                raise CannotRun("the metric `%s` is no array of numbers: %s" % (metric, named(error)))
            if values.shape != (count,):
                raise CannotRun("the metric `%s` has the shape %s for a batch of %d: return one number for each trial, shape (%d,)" % (metric, values.shape, count, count))
            rows.append(values)
    except BaseException as error:
        if count > 1:
            middle = start + count // 2
            whole(given, start, middle)
            return whole(given, middle, end)
        if isinstance(error, CannotRun):
            return fail(start, str(error))
        if isinstance(error, (KeyError, AttributeError, TypeError)) and not any(f.filename != "<tumble>" for f in traceback.extract_tb(error.__traceback__)):
            return fail(start, misfit(result))
        return fail(start, told(error))
    m = len(metrics)
    table = numpy.frombuffer(shared.out, "f8")
    for at, values in enumerate(rows):
        table[1 + start * m + at : 1 + end * m : m] = values


channel = Channel()
first = channel.take()
mode, entry, here = first.bytes(1), first.text(), first.text()
die_with_worker()
batch, genome, rows_max = first.number("B") != 0, first.number("I"), first.number("I")
metrics = [first.text() for _ in range(first.number("I"))]
expected = [(first.text(), chr(first.number("B"))) for _ in range(first.number("I"))]
sys.path[:] = [folder for folder in sys.path if folder]
sys.argv = [entry]
numpy = None
try:
    if genome or batch:
        try:
            import numpy
        except ImportError as error:
            if batch:
                raise CannotRun("`batch = true` needs NumPy, which cannot be imported (%s); %s" % (error, installed()), True)
    module, function = load(entry)
    if mode == b"A":
        channel.say(b"S", describe(module, function))
        sys.stdout.flush()
        os._exit(0)
    signature, hints = signature_of(function), hints_of(function)
    takes_seed = "seed" in signature.parameters
    parameters = [
        (name, kind, name in signature.parameters and kind_of(signature.parameters[name], hints) == "f")
        for name, kind in expected
    ]
    names = [name for name, _ in expected] + ["seed"] * takes_seed + ["genome"] * (genome > 0)
    try:
        signature.bind(**dict.fromkeys(names))
    except TypeError as error:
        raise CannotRun("`%s` cannot be called with what the run file gives (%s): %s" % (entry, ", ".join(names), error))
except CannotRun as error:
    channel.say(b"X", (b"e" if error.elsewhere else b"h") + str(error).encode("utf-8", "replace"))
    sys.stdout.flush()
    os._exit(0)
shared = Shared(rows_max * len(metrics))
loop = None if batch else loop_of(names)
channel.say(b"H", struct.pack("<II", os.getpid(), shared.fd))
while True:
    evaluate(channel.take())
