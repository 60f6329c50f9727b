"""One measurement of one peer, in a process of its own: `python ways.py '{"way": ..., ...}'` prints what it took as JSON.

Every way gets the same list of numbers and must leave a list of the same results, in the same order, in this process. The clock
runs from when its processes are up and have evaluated something until that list is there. Nothing of ours is in the way: each peer
is used as its own manual does for many short calls, with a chunk size that is given; measure.py finds out which is best.
"""

import array
import functools
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time

import model


def values(trials):
    return [trial / max(1, trials - 1) for trial in range(trials)]


def chunks(items, size):
    return [items[at : at + size] for at in range(0, len(items), size)]


def of_chunk(function, chunk):
    return [function(x) for x in chunk]


def bytes_of_chunk(function, chunk):
    return pickle.dumps(of_chunk(function, chunk))


def flat(parts):
    return [row for part in parts for row in part]


def clocked(xs, cores, sizes, evaluate):
    """How long it takes with each chunk size, and the last results. Something is evaluated first, for the processes to be up."""
    evaluate(xs[: 10 * cores], 1)
    seconds = []
    for chunk in sizes:
        began = time.perf_counter()
        rows = evaluate(xs, chunk)
        seconds.append(time.perf_counter() - began)
    return seconds, rows


# Functions. Each has the function, the values, the number of processes and the chunk sizes to try.


def by_hand(function, xs, cores, sizes):
    """A list comprehension in one process: what a core can do when nothing is handed over."""
    return clocked(xs, cores, sizes, lambda xs, chunk: of_chunk(function, xs))


def pool(function, xs, cores, sizes):
    import multiprocessing

    with multiprocessing.Pool(cores) as processes:
        return clocked(xs, cores, sizes, lambda xs, chunk: processes.map(function, xs, chunk))


def joblib(function, xs, cores, sizes):
    from joblib import Parallel, delayed

    def every(xs, chunk):
        return Parallel(n_jobs=cores, batch_size=chunk)(delayed(function)(x) for x in xs)

    return clocked(xs, cores, sizes, every)


def joblib_chunks(function, xs, cores, sizes):
    """joblib with the chunks made by hand."""
    from joblib import Parallel, delayed

    def every(xs, chunk):
        return flat(Parallel(n_jobs=cores, batch_size=1)(delayed(of_chunk)(function, part) for part in chunks(xs, chunk)))

    return clocked(xs, cores, sizes, every)


def dask(function, xs, cores, sizes):
    """Dask's futures with the chunks made by hand; a bag of single numbers takes ten times as long."""
    from distributed import Client

    call = functools.partial(bytes_of_chunk, function)

    def every(xs, chunk):
        # Through lists of numbers or of results Dask looks one by one, which takes longer than all else: arrays and bytes are spared.
        parts = [array.array("d", part) for part in chunks(xs, chunk)]
        return flat(map(pickle.loads, client.gather(client.map(call, parts, pure=False))))

    with Client(n_workers=cores, threads_per_worker=1, dashboard_address=None) as client:
        return clocked(xs, cores, sizes, every)


def ray(function, xs, cores, sizes):
    """Ray's remote functions with the chunks made by hand, as its manual advises for short calls."""
    import ray

    ray.init(num_cpus=cores, include_dashboard=False, logging_level="error", log_to_driver=False)
    call = ray.remote(of_chunk)
    found = clocked(xs, cores, sizes, lambda xs, chunk: flat(ray.get([call.remote(function, part) for part in chunks(xs, chunk)])))
    ray.shutdown()
    return found


def ray_pool(function, xs, cores, sizes):
    """Ray's own Pool."""
    import ray
    from ray.util.multiprocessing import Pool

    ray.init(num_cpus=cores, include_dashboard=False, logging_level="error", log_to_driver=False)
    with Pool(cores) as processes:
        found = clocked(xs, cores, sizes, lambda xs, chunk: processes.map(function, xs, chunk))
    ray.shutdown()
    return found


# Programs: `/bin/echo` with one argument, so many times.

ECHO = "/bin/echo"
SAYS = '{"y": 1}'


def spawn_loop(programs, cores):
    """A loop in each of so many processes that starts the program, waits for it, and starts it again. Nothing is read."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, nothing, 1)]
    children = []
    for core in range(cores):
        child = os.fork()
        if child == 0:
            for _ in range(core, programs, cores):
                os.waitpid(os.posix_spawn(ECHO, [ECHO, SAYS], {}, file_actions=actions), 0)
            os._exit(0)
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)


def piped(command, programs):
    """A command that reads numbers, a line each, and whose programs' output lands in one file."""
    lines = "".join("%d\n" % number for number in range(programs)).encode()
    with tempfile.TemporaryFile() as out:
        subprocess.run(command, input=lines, stdout=out, check=True)
        out.seek(0)
        assert len(out.read().splitlines()) == programs


def xargs(programs, cores):
    piped(["xargs", "-P", str(cores), "-I", "{}", ECHO, SAYS], programs)


def parallel(programs, cores):
    # It asks to be cited each time, unless it is told that this is known.
    piped(["parallel", "--will-cite", "-j", str(cores), ECHO, "'" + SAYS + "'", "'#' {}"], programs)


def hyperqueue(programs, cores):
    """A server and a worker in this process, its output thrown away, which is what it is fastest with."""
    from hyperqueue import Job, LocalCluster
    from hyperqueue.cluster import WorkerConfig

    with tempfile.TemporaryDirectory() as folder, LocalCluster(folder, WorkerConfig(cores)) as cluster:
        client = cluster.client()

        def every(numbers, _):
            work = Job(default_workdir=folder)
            for _ in numbers:
                work.program([ECHO, SAYS], stdout=None, stderr=None)
            assert client.wait_for_jobs([client.submit(work)])

        (seconds,), _ = clocked(range(programs), cores, [0], every)
        return seconds


FUNCTIONS = {way.__name__: way for way in (by_hand, pool, joblib, joblib_chunks, dask, ray, ray_pool)}
PROGRAMS = {way.__name__: way for way in (spawn_loop, xargs, parallel, hyperqueue)}


def main(asked):
    if asked["way"] in PROGRAMS:
        began = time.perf_counter()
        took = PROGRAMS[asked["way"]](asked["trials"], asked["cores"])
        return {"seconds": [took or time.perf_counter() - began]}
    function = getattr(model, asked["function"])
    if asked["function"] == "busy":
        function = functools.partial(function, turns=asked["turns"])
    xs = values(asked["trials"])
    took, rows = FUNCTIONS[asked["way"]](function, xs, asked["cores"], asked["chunks"])
    # Every result is there, and in its place.
    assert len(rows) == len(xs)
    for at in range(0, len(xs), max(1, len(xs) // 7)):
        assert rows[at] == function(xs[at])
    return {"seconds": took}


if __name__ == "__main__":
    print("\n" + json.dumps(main(json.loads(sys.argv[1]))))
