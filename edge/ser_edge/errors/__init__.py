"""Exceptions with exit codes, warnings, and hints for their messages."""

from ser_edge.errors.exceptions import (
    AudioError,
    MicrophoneError,
    ModelError,
    OutputError,
    RuntimeUnavailable,
    SerEdgeError,
    printable,
)

__all__ = [
    "AudioError",
    "MicrophoneError",
    "ModelError",
    "OutputError",
    "RuntimeUnavailable",
    "SerEdgeError",
    "printable",
]
