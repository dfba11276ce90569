"""The way into PortAudio, and its manners: loaded when asked for, and started anew.

It comes through sounddevice, which needs a library that may be missing, and which talks to the sound system as it is
imported: nothing imports it before a microphone is wanted.
"""

import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

from ser_edge.errors import MicrophoneError
from ser_edge.errors.install_hints import pip_install

__all__ = ["on_this_system", "portaudio", "refresh"]

_INSTALL = {
    "linux": "sudo apt install libportaudio2 (Fedora: portaudio, Alpine: portaudio-dev)",
    "darwin": pip_install("--force-reinstall", "sounddevice>=0.5"),
    "win32": pip_install("--force-reinstall", "sounddevice>=0.5"),
}


def portaudio() -> Any:
    """The module sounddevice, loaded.

    Raises:
        MicrophoneError: it, or the PortAudio library it needs, isn't installed.
    """
    try:
        return import_module("sounddevice")
    except ImportError as e:
        raise MicrophoneError(f"no microphone without sounddevice ({e}); run: {pip_install('sounddevice>=0.5')}") from e
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


def on_this_system(advice: dict[str, str]) -> str:
    """The line for this `sys.platform`; unixes that nobody listed are like Linux."""
    return advice.get(sys.platform, advice["linux"])
