"""The way into PortAudio, and its manners: loaded when asked for, started anew, kept from chatting.

It comes through sounddevice, which needs a library that may be missing, and which talks to the sound system as it is
imported: nothing imports it before a microphone is wanted.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from ser_edge.errors import MicrophoneError

__all__ = ["on_this_system", "portaudio", "refresh", "stderr_apart"]

_INSTALL = {
    "linux": "sudo apt install libportaudio2 (Fedora: portaudio, Alpine: portaudio-dev)",
    "darwin": "pip install --force-reinstall sounddevice",
    "win32": "pip install --force-reinstall sounddevice",
}


def portaudio() -> Any:
    """The module sounddevice, loaded.

    Raises:
        MicrophoneError: it, or the PortAudio library it needs, isn't installed.
    """
    try:
        return import_module("sounddevice")
    except ImportError as e:
        raise MicrophoneError(f"no microphone without sounddevice ({e}); run: pip install sounddevice") from e
    except OSError as e:
        raise MicrophoneError(f"no microphone without PortAudio ({e}); run: {on_this_system(_INSTALL)}") from e
    except Exception as e:  # its own PortAudioError can't be named while its import fails
        raise MicrophoneError(f"PortAudio doesn't start ({e}); restart the sound server, or the machine") from e


def refresh() -> None:
    """Starts PortAudio anew, which lists devices only as it starts. Ends all streams of this process.

    Raises:
        MicrophoneError: it doesn't start.
    """
    sd = portaudio()
    with suppress(sd.PortAudioError):  # it wasn't running
        sd._terminate()
    try:
        sd._initialize()
    except sd.PortAudioError as e:
        raise MicrophoneError(f"PortAudio doesn't start ({e}); restart the sound server, or the machine") from e


@contextmanager
def stderr_apart() -> Iterator[None]:
    """Keeps `sys.stderr` for Python, and discards what native libraries write to file descriptor 2 meanwhile.

    PortAudio and ALSA print what happens to a device, whenever it happens and from threads of their own, across a
    line or picture that is being drawn. For a program, around everything it does; a library must not do this.
    """
    ours = sys.stderr
    try:
        if ours.fileno() != 2:
            raise OSError("redirected already, by a test or a notebook")
        kept = os.dup(2)
    except (AttributeError, OSError, ValueError):  # None, no file, or closed
        yield
        return
    ours.flush()
    with os.fdopen(kept, "w", encoding=ours.encoding, errors=ours.errors, buffering=1) as apart:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        sys.stderr = apart
        try:
            yield
        finally:
            sys.stderr = ours
            apart.flush()
            os.dup2(kept, 2)


def on_this_system(advice: dict[str, str]) -> str:
    """The line for this `sys.platform`; unixes that nobody listed are like Linux."""
    return advice.get(sys.platform, advice["linux"])
