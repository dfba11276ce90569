"""Warnings: what a user should know although there is an answer.

A library logs them; the command line prints them, and its worker processes send them home with their answers. Whoever
wants them redirects them for a while, in its own thread or task alone.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["capture_warnings", "deprecated", "warn"]


def _log(message: str) -> None:
    import logging  # 5 ms that hardly anybody needs

    logging.getLogger("ser_edge").warning(message)


_receiver: ContextVar[Callable[[str], None]] = ContextVar("receiver", default=_log)


def warn(message: str) -> None:
    """One line, beginning with the name of the sound it is about."""
    _receiver.get()(message)


@contextmanager
def capture_warnings(receiver: Callable[[str], None]) -> Iterator[None]:
    """Warnings go to `receiver`, not into the log.

    >>> lines = []
    >>> with capture_warnings(lines.append):
    ...     warn("a.wav: truncated")
    >>> lines
    ['a.wav: truncated']
    """
    token = _receiver.set(receiver)
    try:
        yield
    finally:
        _receiver.reset(token)


def deprecated(old: str, new: str) -> None:
    """Warns the caller of the function that calls this one: a name of ours has another one now."""
    import warnings

    warnings.warn(f"{old} is deprecated; use {new}", DeprecationWarning, stacklevel=3)
