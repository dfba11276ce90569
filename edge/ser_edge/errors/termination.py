"""SIGTERM ends a command as Ctrl-C does: what is unfinished is removed, and worker processes end too."""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_CLOSING = 3.0  # seconds in which a command that was interrupted closes what is open


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


def interrupt_once() -> None:
    """Has Ctrl-C raise KeyboardInterrupt, but not again while what is open is closed: it would cut that short.

    From then on, in a process of its own. After `_CLOSING` it raises again, and SIGTERM always does.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # ignored, as in a shell's background
        return
    last = -math.inf

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() - last > _CLOSING:
            last = time.monotonic()
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)


def exit_code(stop: KeyboardInterrupt) -> int:
    """The exit code of a command that was stopped, by which shells and services know the signal."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
