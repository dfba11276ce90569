"""`ser-edge`, and `python -m ser_edge`."""

import os
from typing import NoReturn

__all__ = ["main"]

# The matrices here are small: BLAS threads would take twice the CPU time and be no faster. NumPy reads these variables
# once, at its import, so they are set before anything else; the library leaves them to the program that imports it.
_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def main() -> NoReturn:
    """Runs the command line, and ends the process with its exit code."""
    for name in _BLAS_THREADS:
        os.environ.setdefault(name, "1")
    from ser_edge.cli.app import main as run

    # Everything is written and closed by now. A regular exit would take another seventh of the CPU time of classifying
    # a file, and would wait for threads that hang in a sound system that hangs.
    os._exit(run())


if __name__ == "__main__":
    main()
