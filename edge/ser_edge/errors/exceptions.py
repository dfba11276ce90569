"""Everything ser-edge raises on purpose, in one tree.

    SerEdgeError              exit code
    ├── AudioError                1   this sound can't be judged; the next one may be fine
    ├── MicrophoneError           3   no microphone that can be used
    └── ModelError                4   the model file can't be used
        └── RuntimeUnavailable    4   the library that would run it is missing or can't load

Each message is one line: what is wrong, then what to do about it (docs/errors.md). The command line prints it and exits
with `exit_code`; a traceback is always a bug.
"""

__all__ = ["AudioError", "MicrophoneError", "ModelError", "RuntimeUnavailable", "SerEdgeError", "printable"]


class SerEdgeError(Exception):
    """Base of the tree; catch it to catch everything that is not a bug."""

    exit_code = 1

    def __str__(self) -> str:
        """One line that moves no cursor, whatever the name of a file holds: the rest is escaped."""
        return printable(super().__str__())


class AudioError(SerEdgeError):
    """A file, stream or array that holds no sound which can be judged."""

    exit_code = 1


class MicrophoneError(SerEdgeError):
    """No PortAudio, no such device, or one that can't be opened."""

    exit_code = 3


class ModelError(SerEdgeError):
    """A model file that is missing, damaged, foreign, or newer than this version of ser-edge."""

    exit_code = 4


class RuntimeUnavailable(ModelError):
    """The runtime that a model file needs isn't installed or doesn't load."""


def printable(text: str) -> str:
    r"""The same text, with escapes for what a terminal would obey.

    >>> printable("a\nb\x1b[2J.wav")
    'a\\nb\\x1b[2J.wav'
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
