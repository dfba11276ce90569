"""Effects of native libraries on the process: what they print on standard error, and how glibc reuses memory.

LiteRT announces its delegate, TensorFlow a missing GPU, and neither has a switch for it: they write to file descriptor
2, not to `sys.stderr`. Python's exceptions aren't affected.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import RLock

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_... of malloc.h
STDERR_LOCK = RLock()  # held while file descriptor 2 is redirected, and while a line is written that mustn't be lost
if hasattr(os, "register_at_fork"):  # else a child that is forked while another thread redirects it would stay silent
    os.register_at_fork(
        before=STDERR_LOCK.acquire, after_in_parent=STDERR_LOCK.release, after_in_child=STDERR_LOCK.release
    )


def _discard() -> None:
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    os.close(devnull)


@contextmanager
def suppress_native_stderr() -> Iterator[None]:
    """Discards what any thread writes to file descriptor 2 inside the block: keep the block short."""
    with STDERR_LOCK:  # of two threads, the second would restore the redirection of the first
        try:
            original = os.dup(2)
        except OSError:  # the process has no standard error
            yield
            return
        _discard()
        try:
            yield
        finally:
            os.dup2(original, 2)
            os.close(original)


@contextmanager
def isolate_stderr() -> Iterator[None]:
    """Keeps `sys.stderr` for Python, and discards what native libraries write to file descriptor 2 inside the block.

    libsndfile's MP3 decoder prints remarks about damaged files; PortAudio and ALSA print from their own threads, into
    a line or picture that is being drawn. For a command, around everything it does; not for a library.
    """
    stderr = sys.stderr
    try:
        if stderr.fileno() != 2:
            raise OSError("redirected already, by a test or a notebook")
        original = os.dup(2)
    except (AttributeError, OSError, ValueError):  # None, no file, or closed
        yield
        return
    stderr.flush()
    with os.fdopen(original, "w", encoding=stderr.encoding, errors=stderr.errors, buffering=1) as isolated:
        _discard()
        sys.stderr = isolated
        try:
            yield
        finally:
            sys.stderr = stderr
            isolated.flush()
            os.dup2(original, 2)


def keep_freed_memory() -> None:
    """Lets glibc keep freed memory for later arrays; has no effect with other C libraries.

    By default each file's arrays go back to the system, and the next file's come as pages to be cleared: a fifth of the
    CPU time of many files. The process stays as large as its largest moment.
    """
    import ctypes

    with suppress(AttributeError, OSError, TypeError):  # it isn't glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 1 << 25)  # bytes, the maximum; larger arrays are still given back
        mallopt(_TRIM_THRESHOLD, 1 << 28)
