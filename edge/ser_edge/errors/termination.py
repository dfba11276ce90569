"""SIGTERM ends a command as Ctrl-C does: what is unfinished is removed, and worker processes end too."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def raise_on_sigterm() -> Iterator[None]:
    """Has SIGTERM raise `Terminated` in the block; without effect in threads, which receive no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)  # None: a handler that isn't Python's


def exit_code(stop: KeyboardInterrupt) -> int:
    """The exit code of a command that was stopped, by which shells and services know the signal."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
