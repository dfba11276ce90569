"""Native objects and forks: a forked child opens new ones when it needs them.

The thread pools of LiteRT, XNNPACK and ONNX Runtime have no threads in a forked child: running them can hang there, and
so can freeing them. A lock that another thread held at the fork stays locked, and a network that was running stays half
run. So a child starts with a new lock and without the object, and never frees the one it inherited.
"""

import ctypes  # NumPy has imported it
import os
from collections.abc import Callable
from contextlib import suppress
from threading import RLock
from typing import Any, Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")


class ForkSafe(Generic[T]):
    """Holds a native object as `value`, which is opened anew in each forked process that uses it.

    Args:
        value: the object.
        reopen: opens another one, in a child; what it raises is raised when `value` is read.

    >>> numbers = ForkSafe([1, 2], lambda: [1, 2])
    >>> with numbers.lock:
    ...     numbers.value.append(3)
    >>> numbers.value
    [1, 2, 3]
    """

    value: T

    def __init__(self, value: T, reopen: Callable[[], T]):
        self.lock = RLock()  # for objects that take one thread at a time
        self.value = value
        self._reopen = reopen
        with _INSTANCES_LOCK:
            _INSTANCES.add(self)

    def __getattr__(self, name: str) -> Any:
        """Called only when an attribute is missing, as `value` is in a forked child."""
        if name != "value":
            raise AttributeError(name)
        with self.lock:
            if "value" not in self.__dict__:
                self.value = self._reopen()
            return self.__dict__["value"]

    def _forget(self) -> None:
        """In a child that was just forked, whose only thread this is."""
        self.lock = RLock()
        value = self.__dict__.pop("value", None)
        with suppress(AttributeError):  # not CPython
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))  # so that it is never freed


_INSTANCES: "WeakSet[ForkSafe[Any]]" = WeakSet()
_INSTANCES_LOCK = RLock()


def _after_fork() -> None:
    for instance in list(_INSTANCES):
        instance._forget()
    _INSTANCES_LOCK.release()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(
        before=_INSTANCES_LOCK.acquire, after_in_parent=_INSTANCES_LOCK.release, after_in_child=_after_fork
    )
