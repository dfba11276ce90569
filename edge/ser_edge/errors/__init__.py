"""What a user is told when something is wrong: exceptions with exit codes, warnings, and commands that mend it."""

from ser_edge.errors.exceptions import (
    AudioError,
    MicrophoneError,
    ModelError,
    RuntimeUnavailable,
    SerEdgeError,
    printable,
)

__all__ = ["AudioError", "MicrophoneError", "ModelError", "RuntimeUnavailable", "SerEdgeError", "printable"]
