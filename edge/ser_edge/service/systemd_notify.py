"""Tells systemd how a service is: ready, alive, stopping. sd_notify's protocol: datagrams to $NOTIFY_SOCKET.

Imported only where that is set, which systemd does for `Type=notify`. See `unit` for the unit that uses it.
"""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress

__all__ = ["SystemdNotifier"]

_AGAIN = 1.0  # s, until it is looked again whether sound comes
_STATUS = 30.0  # s from status to status where there is no watchdog


class SystemdNotifier:
    """What the service manager is told. That it can't be reached is no error: listening goes on."""

    def __init__(self) -> None:
        address = os.environ["NOTIFY_SOCKET"]
        self._address = f"\0{address[1:]}" if address.startswith("@") else address  # an abstract socket
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._limit = int(os.environ.get("WATCHDOG_USEC", 0)) / 1e6 if ours else 0.0  # s; 0 is no watchdog
        self._interval = self._limit / 2 or _STATUS
        self._due = 0.0  # monotonic

    def ready(self) -> None:
        """Listening has begun."""
        self._tell("READY=1")

    def tick(self, alive: Callable[[], bool], status: Callable[[], str]) -> None:
        """Call it after each piece of sound; it asks and tells no more than is needed.

        Args:
            alive: whether sound comes. Where it doesn't for `WatchdogSec`, systemd ends the service and starts it anew.
            status: for `systemctl status`.
        """
        now = time.monotonic()
        if now < self._due:
            return
        well = alive()
        self._due = now + (self._interval if well else min(self._interval, _AGAIN))
        self._tell(*["WATCHDOG=1"] * bool(well and self._limit), f"STATUS={' '.join(status().split())}")

    def stopping(self) -> None:
        """Listening has ended, and the process soon will."""
        self._tell("STOPPING=1")

    def _tell(self, *lines: str) -> None:
        with suppress(OSError):
            self._socket.sendto("\n".join(lines).encode(), self._address)
