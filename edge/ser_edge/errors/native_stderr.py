"""What native libraries do to the process: they chat on standard error while they load, and give memory back too soon.

LiteRT announces its delegate, TensorFlow that no GPU is there, and neither has a switch for it: they write to file
descriptor 2, not to `sys.stderr`. What they raise is raised as ever.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import RLock

__all__ = ["STDERR_LOCK", "isolate_stderr", "keep_freed_memory", "suppress_native_stderr"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_... of malloc.h
STDERR_LOCK = RLock()  # held by who hushes it, and by who has a line for it that must not be lost
if hasattr(os, "register_at_fork"):  # or a child that is forked while another thread hushes it would stay silent
    os.register_at_fork(
        before=STDERR_LOCK.acquire, after_in_parent=STDERR_LOCK.release, after_in_child=STDERR_LOCK.release
    )


@contextmanager
def suppress_native_stderr() -> Iterator[None]:
    """Discards what is written to file descriptor 2 inside the block, by any thread: keep the block short."""
    with STDERR_LOCK:  # of two threads that hush it, the second would restore what the first has put there
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


@contextmanager
def isolate_stderr() -> Iterator[None]:
    """Keeps `sys.stderr` for Python, and discards what native libraries write to file descriptor 2 meanwhile.

    libsndfile's MP3 decoder prints what it thinks of a damaged file; PortAudio and ALSA what happens to a device,
    whenever it happens and from threads of their own, across a line or picture that is being drawn. For a program,
    around everything it does; a library must not do this.
    """
    ours = sys.stderr
    try:
        if ours.fileno() != 2:
            raise OSError("redirected already, by a test or a notebook")
        kept = os.dup(2)
    except (AttributeError, OSError, ValueError):  # None, no file, or closed
        yield
        return
    ours.flush()
    with os.fdopen(kept, "w", encoding=ours.encoding, errors=ours.errors, buffering=1) as apart:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        sys.stderr = apart
        try:
            yield
        finally:
            sys.stderr = ours
            apart.flush()
            os.dup2(kept, 2)


def keep_freed_memory() -> None:
    """Has glibc keep what is freed for what comes next; other C libraries do as they please.

    It would give each file's arrays back to the system, and the next file's would come as pages to be cleared: a fifth
    of the CPU time of many files. The process stays as large as its largest moment.
    """
    import ctypes

    with suppress(AttributeError, OSError, TypeError):  # it isn't glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 1 << 25)  # bytes; larger arrays are still given back, and more it doesn't take
        mallopt(_TRIM_THRESHOLD, 1 << 28)
