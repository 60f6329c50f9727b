"""Opens the tables of runs with DuckDB, Polars, pandas and pyarrow, and checks that they see the same.

    python read_tables.py RUN_DIR...

One line for each table; exits 1 with a message when the libraries disagree or a table breaks a promise.
"""

import json
import math
import sys
import tomllib
from pathlib import Path

import duckdb
import numpy
import pandas
import polars
import pyarrow
import pyarrow.compute
import pyarrow.parquet

# Sums of floats may differ in the order of their terms, and so in the last digits; nothing else may differ.
SUM_TOLERANCE = 1e-9


class Disagreement(Exception):
    """What is wrong, for a person."""


def main(folders):
    if not folders:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        for folder in folders:
            check_run(Path(folder))
    except Disagreement as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


def check_run(run):
    parts = sorted((run / "trials").glob("part-*.parquet"))
    require(parts, f"{run}: there is no trials/part-*.parquet")
    rows = check_table(f"{run.name}/trials", parts)
    check_trials_are_complete(run, parts)
    if (run / "generations.parquet").exists():
        check_table(f"{run.name}/generations", [run / "generations.parquet"])
    require((run / "attempts.parquet").exists(), f"{run}: there is no attempts.parquet")
    check_table(f"{run.name}/attempts", [run / "attempts.parquet"])
    check_endings(run, parts)
    check_champion(run, rows)


def check_table(name, paths):
    check_metadata(paths)
    summaries = {library: summarise([str(p) for p in paths]) for library, summarise in LIBRARIES.items()}
    reference = summaries["pyarrow"]
    for library, summary in summaries.items():
        require(
            summary["rows"] == reference["rows"],
            f"{name}: {library} sees {summary['rows']} rows, pyarrow {reference['rows']}",
        )
        require(
            list(summary["columns"]) == list(reference["columns"]),
            f"{name}: {library} sees the columns {list(summary['columns'])}, pyarrow {list(reference['columns'])}",
        )
        for column, facts in summary["columns"].items():
            expected = reference["columns"][column]
            require(same(facts, expected), f"{name}: column {column}: {library} sees {facts}, pyarrow {expected}")
    files = f"{len(paths)} file{'s' if len(paths) > 1 else ''}"
    columns = len(reference["columns"])
    print(f"{name}: {reference['rows']} rows, {columns} columns, {files}: {', '.join(LIBRARIES)} agree")
    return reference["rows"]


def check_metadata(paths):
    for path in paths:
        metadata = pyarrow.parquet.read_metadata(path)
        pairs = metadata.metadata or {}
        require(b"tumble.run" in pairs and b"tumble.version" in pairs, f"{path}: the metadata do not name the run")
        try:
            run = tomllib.loads(pairs[b"tumble.run"].decode())
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
            raise Disagreement(f"{path}: tumble.run is not TOML: {problem}") from problem
        require("name" in run and "pipeline" in run, f"{path}: tumble.run names no run and no pipeline")
        version = pairs[b"tumble.version"].decode()
        require(metadata.created_by == f"tumble {version}", f"{path}: created by {metadata.created_by}, not {version}")


def check_trials_are_complete(run, parts):
    trials = pyarrow.concat_tables([pyarrow.parquet.read_table(p, columns=["trial"]) for p in parts])["trial"].to_numpy()
    require(
        numpy.array_equal(trials, numpy.arange(len(trials), dtype=numpy.uint64)),
        f"{run}: the trials are not 0, 1, 2, ... without gaps and doubles",
    )


def check_endings(run, parts):
    """Of a program it is told how it ended: by a code or a signal, never both, and by code 0 where it scored."""
    if "exit_code" not in pyarrow.parquet.read_schema(parts[0]).names:
        return
    columns = ["outcome", "exit_code", "signal"]
    for part in parts:
        for row in pyarrow.parquet.read_table(part, columns=columns).to_pylist():
            require(row["exit_code"] is None or row["signal"] is None, f"{part}: a program ended in two ways: {row}")
            require(row["outcome"] != "scored" or row["exit_code"] == 0, f"{part}: scored without exit code 0: {row}")


def check_champion(run, trials):
    description = run / "champion.json"
    if not description.exists():
        return
    champion = json.loads(description.read_text())
    require(champion["trial"] < trials, f"{description}: the table has no trial {champion['trial']}")
    if champion["genome"] is None:
        require(not (run / "champion.npy").exists(), f"{run}: champion.npy is there, but champion.json names no vector")
        return
    vector = numpy.load(run / champion["genome"]["file"])
    elements = champion["genome"]["elements"]
    require(
        vector.dtype == numpy.float64 and vector.shape == (elements,),
        f"{run}: champion.npy has {vector.dtype} {vector.shape}, not {elements} doubles",
    )
    print(f"{run.name}/champion: trial {champion['trial']}, a vector of {elements}")


def with_pyarrow(paths):
    # Parts one by one: a part's words are a dictionary of its own, which concatenation unifies.
    table = pyarrow.concat_tables([pyarrow.parquet.read_table(path) for path in paths])
    compute, columns = pyarrow.compute, {}
    for field in table.schema:
        values = table[field.name]
        if pyarrow.types.is_dictionary(field.type):
            values = values.cast(field.type.value_type)
        kind = kind_of(str(values.type))
        facts = {"kind": kind, "nulls": values.null_count}
        if kind == "number":
            finite = values.filter(compute.fill_null(compute.is_finite(values), False))
            nans = compute.sum(compute.is_nan(values)).as_py() or 0
            facts |= {"nans": nans, "sum": compute.sum(finite).as_py() or 0.0}
            facts |= {"min": compute.min(finite).as_py(), "max": compute.max(finite).as_py()}
        elif kind == "time":
            values = values.cast(pyarrow.int64())
            facts |= {"min": compute.min(values).as_py(), "max": compute.max(values).as_py()}
        elif kind == "boolean":
            facts |= {"true": compute.sum(values).as_py() or 0}
        elif kind == "text":
            facts |= {"distinct": compute.count_distinct(values).as_py()}
            facts |= {"characters": compute.sum(compute.utf8_length(values)).as_py() or 0}
        else:
            facts |= {"min": compute.min(values).as_py(), "max": compute.max(values).as_py()}
        columns[field.name] = facts
    return {"rows": table.num_rows, "columns": columns}


def with_duckdb(paths):
    connection = duckdb.connect()
    relation = connection.read_parquet(paths)
    columns = {}
    for name, type_name in zip(relation.columns, relation.types):
        column, kind = '"' + name.replace('"', '""') + '"', kind_of(str(type_name))
        ask = {"nulls": f"count(*) - count({column})"}
        if kind == "number":
            finite = f"filter (where isfinite({column}))"
            ask |= {"nans": f"count(*) filter (where isnan({column}))", "sum": f"coalesce(sum({column}) {finite}, 0.0)"}
            ask |= {"min": f"min({column}) {finite}", "max": f"max({column}) {finite}"}
        elif kind == "time":
            ask |= {"min": f"epoch_ms(min({column}))", "max": f"epoch_ms(max({column}))"}
        elif kind == "boolean":
            ask |= {"true": f"count(*) filter (where {column})"}
        elif kind == "text":
            ask |= {"distinct": f"count(distinct {column})", "characters": f"coalesce(sum(length({column})), 0)"}
        else:
            ask |= {"min": f"min({column})", "max": f"max({column})"}
        answers = relation.aggregate(", ".join(ask.values())).fetchall()[0]
        columns[name] = {"kind": kind} | dict(zip(ask, answers))
    return {"rows": relation.count("*").fetchall()[0][0], "columns": columns}


def with_polars(paths):
    frame, columns = polars.read_parquet(paths), {}
    for values in frame.iter_columns():
        kind = kind_of(str(values.dtype))
        facts = {"kind": kind, "nulls": values.null_count()}
        if kind == "number":
            finite = values.filter(values.is_finite())
            facts |= {"nans": int(values.is_nan().sum()), "sum": finite.sum()}
            facts |= {"min": finite.min(), "max": finite.max()}
        elif kind == "time":
            values = values.dt.epoch("ms")
            facts |= {"min": values.min(), "max": values.max()}
        elif kind == "boolean":
            facts |= {"true": int(values.sum())}
        elif kind == "text":
            words = values.cast(polars.String).drop_nulls()
            facts |= {"distinct": words.n_unique(), "characters": int(words.str.len_chars().sum())}
        else:
            facts |= {"min": values.min(), "max": values.max()}
        columns[values.name] = facts
    return {"rows": frame.height, "columns": columns}


def with_pandas(paths):
    # Types of Arrow below: with NumPy's, pandas would make a missing number and a NaN the same.
    frames = [pandas.read_parquet(path, dtype_backend="pyarrow") for path in paths]
    frame, columns = pandas.concat(frames, ignore_index=True), {}
    for name in frame.columns:
        values = frame[name]
        dtype = values.dtype.pyarrow_dtype
        if pyarrow.types.is_dictionary(dtype):
            values = values.astype(pandas.ArrowDtype(dtype.value_type))
        kind = kind_of(str(values.dtype.pyarrow_dtype))
        present = values[~numpy.asarray(pyarrow.array(values).is_null())]
        facts = {"kind": kind, "nulls": len(values) - len(present)}
        if kind == "number":
            numbers = present.to_numpy(dtype=float)
            finite = numbers[numpy.isfinite(numbers)]
            facts |= {"nans": int(numpy.isnan(numbers).sum()), "sum": float(finite.sum())}
            facts |= {"min": min(finite, default=None), "max": max(finite, default=None)}
        elif kind == "time":
            milliseconds = [round(time.timestamp() * 1000) for time in present]
            facts |= {"min": min(milliseconds, default=None), "max": max(milliseconds, default=None)}
        elif kind == "boolean":
            facts |= {"true": int(present.sum())}
        elif kind == "text":
            facts |= {"distinct": present.nunique(), "characters": int(present.str.len().sum())}
        else:
            facts |= {"min": min(present, default=None), "max": max(present, default=None)}
        columns[name] = facts
    return {"rows": len(frame), "columns": columns}


LIBRARIES = {"DuckDB": with_duckdb, "Polars": with_polars, "pandas": with_pandas, "pyarrow": with_pyarrow}

# The libraries' names of the types that our tables have.
KINDS = {
    "u64": ("uint64", "UBIGINT", "UInt64"),
    "u32": ("uint32", "UINTEGER", "UInt32"),
    "i64": ("int64", "BIGINT", "Int64"),
    "number": ("double", "DOUBLE", "Float64"),
    "boolean": ("bool", "BOOLEAN", "Boolean"),
    "text": ("string", "large_string", "VARCHAR", "String", "Categorical"),
    "time": (
        "timestamp[ms, tz=UTC]",
        "TIMESTAMP WITH TIME ZONE",
        "Datetime(time_unit='ms', time_zone='UTC')",
    ),
}


def kind_of(type_name):
    for kind, names in KINDS.items():
        if type_name in names:
            return kind
    raise Disagreement(f"no table of ours has a column of type {type_name}")


def same(facts, expected):
    if facts.keys() != expected.keys():
        return False
    for key, value in facts.items():
        if key == "sum":
            if not math.isclose(value, expected[key], rel_tol=SUM_TOLERANCE, abs_tol=SUM_TOLERANCE):
                return False
        elif value != expected[key]:
            return False
    return True


def require(condition, message):
    if not condition:
        raise Disagreement(message)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
