"""Native objects that a fork doesn't survive: the child opens its own when it first needs one.

The thread pools of LiteRT, XNNPACK and ONNX Runtime have no threads in a forked child: to run them can hang there, and
so can to free them. A lock that another thread held at that moment stays locked, and a network that another thread was
running stays half run. So the child begins with a new lock and without the object, and never frees the one it got.
"""

import ctypes  # NumPy has imported it
import os
from collections.abc import Callable
from contextlib import suppress
from threading import RLock
from typing import Any, Generic, TypeVar
from weakref import WeakSet

__all__ = ["ForkSafe"]

T = TypeVar("T")


class ForkSafe(Generic[T]):
    """An object that is opened now, and once more in each process that is forked from this one and uses it.

    Args:
        open_one: opens it; called again in a child.

    Raises:
        Exception: whatever `open_one` raises.

    >>> numbers = ForkSafe(lambda: [1, 2])
    >>> with numbers.lock:
    ...     numbers.get().append(3)
    >>> numbers.get()
    [1, 2, 3]
    """

    def __init__(self, open_one: Callable[[], T]):
        self.lock = RLock()  # for those whose object takes one thread at a time
        self._open_one = open_one
        self._opened: T | None = open_one()
        with _LIVE_LOCK:
            _LIVE.add(self)

    def get(self) -> T:
        """The object of this process."""
        if (opened := self._opened) is not None:
            return opened
        with self.lock:
            if self._opened is None:
                self._opened = self._open_one()
            return self._opened

    def _leave(self) -> None:
        """In a child that was just forked, whose only thread this is."""
        self.lock = RLock()
        if self._opened is not None:
            with suppress(AttributeError):  # not CPython
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._opened))  # or it would be freed
            self._opened = None


_LIVE: "WeakSet[ForkSafe[Any]]" = WeakSet()
_LIVE_LOCK = RLock()


def _after_fork() -> None:
    for reopening in list(_LIVE):
        reopening._leave()
    _LIVE_LOCK.release()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(before=_LIVE_LOCK.acquire, after_in_parent=_LIVE_LOCK.release, after_in_child=_after_fork)
