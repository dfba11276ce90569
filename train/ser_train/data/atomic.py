"""Atomic writes: a file appears complete or not at all, even if the program is killed or others write it too.

What takes long, and is kept when it is interrupted, is written by one process at a time.
"""

import errno
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_POLL = 0.5  # seconds between two looks at a lock that somebody else has
_TAKEN = (errno.EACCES, errno.EAGAIN)  # what the systems answer of a lock that somebody else has


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary file beside `path`, with its suffix; it replaces `path` when the block succeeds.

    An OSError of the block names `path`.
    """
    path = path.resolve()  # a link stays one, and what it points to is replaced
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".unfinished-{os.urandom(4).hex()}-{path.name}")
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL, 0o666))  # who may read it is the user's choice: umask
    try:
        if path.exists():
            shutil.copymode(path, unfinished)
        yield unfinished
        unfinished.replace(path)
    except OSError as e:
        if e.filename is None:  # of writing, where libraries don't say to what
            raise OSError(e.errno or errno.EIO, e.strerror or f"{e}", f"{path}") from e
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file atomically."""
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, "utf-8")


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Waits until no other process or thread is in such a block for `path`; says so on standard error.

    The lock is the system's, on a file beside a file, and in a folder, so that it ends with the process that has it,
    however that ends.

    Raises:
        OSError: the folder can't be written.
    """
    lock = path / "lock" if path.is_dir() else path.with_name(f"{path.name}.lock")
    file = _lock(lock)
    if file is None:
        print(f"ser-train: another process is making {path}; waiting for it", file=sys.stderr, flush=True)
    while file is None:
        time.sleep(_POLL)
        file = _lock(lock)
    with file:
        try:
            yield
        finally:
            if sys.platform != "win32":  # which removes no open file; there an empty one stays
                lock.unlink(missing_ok=True)  # while it is locked, so that it is nobody else's


def _lock(path: Path) -> BinaryIO | None:
    """The file, locked until it is closed; None while somebody else has it."""
    file = path.open("ab")
    try:
        _lock_now(file)
    except OSError as e:
        if e.errno in _TAKEN:
            file.close()
            return None
        return file  # a file system without locks: as good as it gets
    if sys.platform == "win32" or _is_at(path, file):
        return file
    file.close()
    return None


def _lock_now(file: BinaryIO) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Whether a file is still there: who had it locked has removed it, and another may have taken its place."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
