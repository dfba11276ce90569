"""Keeps native libraries from chatting on standard error while they load.

LiteRT announces its delegate, TensorFlow that no GPU is there, and neither has a switch for it: they write to file
descriptor 2, not to `sys.stderr`. What they raise is raised as ever.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["hushed"]


@contextmanager
def hushed() -> Iterator[None]:
    """Discards what is written to file descriptor 2 inside the block, by any thread: keep the block short."""
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
