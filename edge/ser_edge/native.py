"""What native libraries do to the process: they chat on standard error while they load, and give memory back too soon.

LiteRT announces its delegate, TensorFlow that no GPU is there, and neither has a switch for it: they write to file
descriptor 2, not to `sys.stderr`. What they raise is raised as ever.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import RLock

__all__ = ["STANDARD_ERROR", "hushed", "keep_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_... of malloc.h
STANDARD_ERROR = RLock()  # held by who hushes it, and by who has a line for it that must not be lost


@contextmanager
def hushed() -> Iterator[None]:
    """Discards what is written to file descriptor 2 inside the block, by any thread: keep the block short."""
    with STANDARD_ERROR:  # of two threads that hush it, the second would restore what the first has put there
        try:
            kept = os.dup(2)
        except OSError:  # started without a standard error
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(nowhere)
            os.close(kept)


def keep_memory() -> None:
    """Has glibc keep what is freed for what comes next; other C libraries do as they please.

    It would give each file's arrays back to the system, and the next file's would come as pages to be cleared: a fifth
    of the CPU time of many files. The process stays as large as its largest moment.
    """
    import ctypes

    with suppress(AttributeError, OSError, TypeError):  # it isn't glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 1 << 25)  # bytes; larger arrays are still given back, and more it doesn't take
        mallopt(_TRIM_THRESHOLD, 1 << 28)
