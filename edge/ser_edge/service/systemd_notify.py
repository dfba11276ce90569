"""Notifies systemd that a service is ready, alive or stopping: sd_notify's datagrams to $NOTIFY_SOCKET.

Imported only where that is set, which systemd does for `Type=notify`. See `systemd_unit` for the unit that uses it.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

_RECHECK = 1.0  # seconds, until a source that is not alive is asked again
_STATUS_INTERVAL = 30.0  # seconds between two statuses where there is no watchdog


class SystemdNotifier:
    """Sends notifications; that the service manager can't be reached is no error.

    Args:
        environment: has NOTIFY_SOCKET, and WATCHDOG_USEC and WATCHDOG_PID where there is a watchdog.
        clock: monotonic, in seconds.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic):
        address = environment["NOTIFY_SOCKET"]
        self._address = f"\0{address[1:]}" if address.startswith("@") else address  # an abstract socket
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._limit = int(environment.get("WATCHDOG_USEC", 0)) / 1e6 if ours else 0.0  # seconds; 0 is no watchdog
        self._clock = clock
        self._interval = self._limit / 2 or _STATUS_INTERVAL
        self._due = 0.0  # monotonic

    def ready(self) -> None:
        """Listening has started."""
        self._send("READY=1")

    def tick(self, alive: Callable[[], bool], status: Callable[[], str]) -> None:
        """Call it after each chunk of audio; it notifies only as often as the watchdog needs.

        Args:
            alive: whether audio arrives. If it doesn't for `WatchdogSec`, systemd restarts the service.
            status: for `systemctl status`.
        """
        now = self._clock()
        if now < self._due:
            return
        arriving = alive()
        self._due = now + (self._interval if arriving else min(self._interval, _RECHECK))
        self._send(*["WATCHDOG=1"] * bool(arriving and self._limit), f"STATUS={' '.join(status().split())}")

    def close(self) -> None:
        """Listening has ended, and the process soon will."""
        self._send("STOPPING=1")
        self._socket.close()

    def _send(self, *lines: str) -> None:
        with suppress(OSError):
            self._socket.sendto("\n".join(lines).encode(), self._address)
