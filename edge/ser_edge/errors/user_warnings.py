"""Warnings about a sound that could be classified nevertheless: logged, unless captured for a thread or task.

The command line captures and prints them; its worker processes return them with their predictions.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


def _log(message: str) -> None:
    import logging  # 5 ms, seldom needed

    logging.getLogger("ser_edge").warning(message)


_receiver: ContextVar[Callable[[str], None]] = ContextVar("receiver", default=_log)


def warn(message: str) -> None:
    """Issues a warning of one line, which begins with the name of the sound."""
    _receiver.get()(message)


def warn_of_silence(name: str, seconds: float | None = None) -> None:
    """Warns that a sound, or its first seconds, has nothing above `audio.sound.SILENCE_PEAK`."""
    where = "" if seconds is None else f" in its first {seconds:g} s"
    warn(f"{name}: silent, nothing above -80 dBFS{where}; check the microphone or the recording level")


@contextmanager
def capture_warnings(receiver: Callable[[str], None]) -> Iterator[None]:
    """Passes the warnings inside the block to `receiver`, not to the log.

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
