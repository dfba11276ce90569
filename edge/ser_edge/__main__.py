"""`ser-edge`, and `python -m ser_edge`."""

import os
import sys
from typing import NoReturn

__all__ = ["main"]

# The matrices here are small: BLAS threads would take twice the CPU time and be no faster. NumPy reads these variables
# once, at its import, so they are set before anything else; the library leaves them to the program that imports it.
_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def main() -> NoReturn:
    """Runs the command line, and ends the process with its exit code."""
    for name in _BLAS_THREADS:
        os.environ.setdefault(name, "1")
    try:
        from ser_edge.errors.termination import interrupt_once

        interrupt_once()
        from ser_edge.cli.app import main as run

        code = run()
    except KeyboardInterrupt:  # while these are imported; later `run` handles it
        if sys.stderr:
            print("ser-edge: stopped", file=sys.stderr)
        code = 130
    # Everything is written and closed by now. A regular exit would take another seventh of the CPU time of classifying
    # a file, and would wait for threads that hang in a sound system that hangs.
    os._exit(code)


if __name__ == "__main__":
    main()
