"""Access to PortAudio: loaded on demand, restarted to list devices again, and given up where it doesn't answer.

It comes through sounddevice, which needs a library that may be missing, and which connects to the sound system as it is
imported: it is imported when a microphone is used, and not before. Tests put a double of it into `sys.modules`.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from threading import Lock, Thread
from typing import Any, TypeVar

from ser_edge.errors import MicrophoneError
from ser_edge.errors.install_hints import pip_install

Result = TypeVar("Result")
_restart = Lock()
_users: set[object] = set()  # those that need PortAudio as it is
_INSTALL = {
    "linux": "sudo apt install libportaudio2 (Fedora: portaudio, Alpine: portaudio-dev)",
    "darwin": pip_install("--force-reinstall", "sounddevice>=0.5"),
    "win32": pip_install("--force-reinstall", "sounddevice>=0.5"),
}


def portaudio() -> Any:
    """The module sounddevice; raises MicrophoneError where it, or the PortAudio library it needs, isn't installed."""
    try:
        return import_module("sounddevice")
    except ImportError as e:
        problem = f"no microphone without sounddevice ({e}); run: {pip_install('sounddevice>=0.5')}"
        raise MicrophoneError(problem, code="microphone-portaudio") from e
    except OSError as e:
        problem = f"no microphone without PortAudio ({e}); run: {on_this_system(_INSTALL)}"
        raise MicrophoneError(problem, code="microphone-portaudio") from e
    except Exception as e:  # its PortAudioError can't be named while its import fails
        raise _not_started(e) from e


def hold(user: object) -> None:
    """Keeps `refresh` from restarting PortAudio, until `release(user)`; waits for the end of a restart."""
    with _restart:
        _users.add(user)


def release(user: object) -> None:
    """After `hold`; a second time it does nothing."""
    _users.discard(user)


def refresh() -> None:
    """Restarts PortAudio, which lists devices only as it starts; not while somebody holds it.

    Ends the streams of all who don't. Raises MicrophoneError where it doesn't start.
    """
    sd = portaudio()
    with _restart:
        if _users:
            return
        with suppress(sd.PortAudioError):  # it wasn't running
            sd._terminate()
        try:
            sd._initialize()
        except sd.PortAudioError as e:
            raise _not_started(e) from e


def with_timeout(call: Callable[[], Result], seconds: float) -> Result:
    """The result of a call into the sound system, which may never return.

    Raises:
        MicrophoneError: it didn't return in time, or what it raised itself.
    """
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:
            results.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not results:
        message = f"the sound system didn't answer for {seconds:g} s; restart it, or the machine"
        raise MicrophoneError(message, code="microphone-stalled")
    result: Result = results[0]
    if isinstance(result, Exception):
        raise result
    return result


def _not_started(error: Exception) -> MicrophoneError:
    problem = f"PortAudio doesn't start ({error}); restart the sound server, or the machine"
    return MicrophoneError(problem, code="microphone-portaudio")


def on_this_system(advice: dict[str, str]) -> str:
    """The line for this `sys.platform`; other unixes get that of Linux."""
    return advice.get(sys.platform, advice["linux"])
