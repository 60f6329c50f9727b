"""`python -m tumble` is the `tumble` program."""

from __future__ import annotations

import os
import sys

from ._binary import binary
from ._errors import TumbleError


def main() -> None:
    """Becomes the program, with the same arguments."""
    try:
        path = binary()
    except TumbleError as error:
        sys.exit(f"error: {error}")
    os.execv(path, [path, *sys.argv[1:]])


if __name__ == "__main__":
    main()
