"""Executes notebooks, each in its own folder, and says how many cells and pictures each has.

    python run_notebooks.py NOTEBOOK...

Exits 1 with the cell and its traceback when one fails, or a notebook draws nothing. The notebooks themselves are left as they are.
"""

import sys
from pathlib import Path

import nbclient
import nbformat

# Of one cell, on a busy machine.
SECONDS_MAX = 600


def main(paths):
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    for path in map(Path, paths):
        notebook = nbformat.read(path, as_version=4)
        client = nbclient.NotebookClient(notebook, timeout=SECONDS_MAX, resources={"metadata": {"path": str(path.parent)}})
        try:
            client.execute()
        except nbclient.exceptions.CellExecutionError as problem:
            print(f"error: {path}: {problem}", file=sys.stderr)
            return 1
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        outputs = [output for cell in cells for output in cell.outputs]
        pictures = sum("image/png" in output.get("data", {}) for output in outputs)
        print(f"{path}: {len(cells)} cells executed, {pictures} pictures")
        if not pictures:
            print(f"error: {path} draws nothing", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
