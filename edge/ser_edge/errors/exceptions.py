"""The exceptions that ser-edge raises on purpose, in one tree.

    SerEdgeError              exit code
    ├── AudioError                1   this file, stream or array can't be classified; the next one may be fine
    ├── OutputError               1   an output file that can't be written; the next one may be fine
    ├── MicrophoneError           3   no usable microphone
    └── ModelError                4   the model file can't be used
        └── RuntimeUnavailable    4   the library that runs it is missing or doesn't load

Each message is one line: what is wrong, then what to do about it (docs/errors.md). Its `code` is stable and meant for
programs; the wording may change. The command line prints the message and exits with `exit_code`.
"""


class SerEdgeError(Exception):
    """Base class; catch it to catch everything that isn't a bug.

    Args:
        message: one line.
        code: stable identifier of the kind of error, one of `ser_edge.errors.codes.CODES`.
    """

    exit_code = 1
    code = "error"

    def __init__(self, message: str = "", *, code: str | None = None):
        super().__init__(message)
        if code is not None:
            self.code = code  # in __dict__, so it survives pickling

    def __str__(self) -> str:
        """One line without control characters, whatever a file name holds."""
        return printable(super().__str__())


class AudioError(SerEdgeError):
    """A file, stream or array without audio that can be classified."""

    code = "audio"


class OutputError(SerEdgeError):
    """A file of `--output-dir` that can't be written."""

    code = "output-unwritable"


class MicrophoneError(SerEdgeError):
    """No PortAudio, no such device, or one that can't be opened."""

    exit_code = 3
    code = "microphone"


class ModelError(SerEdgeError):
    """A model file that is missing, damaged, not made by ser-export, or newer than this version of ser-edge."""

    exit_code = 4
    code = "model"


class RuntimeUnavailable(ModelError):
    """The runtime that a model file needs isn't installed or doesn't load."""

    code = "runtime-unavailable"


def printable(text: str) -> str:
    r"""Escapes control characters.

    >>> printable("a\nb\x1b[2J.wav")
    'a\\nb\\x1b[2J.wav'
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
