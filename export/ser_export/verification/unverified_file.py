"""A file gets its name only after it was verified."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def unverified_file(target: Path) -> Iterator[Path]:
    """A path for a file, which is renamed to `target` when the block ends, and deleted where that raises.

    The path is this block's alone: another process may be making the same file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(f".unverified-{os.urandom(4).hex()}-{target.name}")
    try:
        yield path
        path.replace(target)
    finally:
        path.unlink(missing_ok=True)
