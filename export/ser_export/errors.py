"""The errors of ser-export, with those of `ser_edge.errors` in one tree.

SerEdgeError                  exit code
└── ExportError                   4   a run that can't be read, or a network that can't be converted
└── VerificationError         4   a converted file whose answers differ from Keras's
"""

from ser_edge.errors import SerEdgeError

__all__ = ["ExportError", "VerificationError"]


class ExportError(SerEdgeError):
    """A run directory that can't be read, or a network that can't be converted."""

    exit_code = 4


class VerificationError(ExportError):
    """A converted file that doesn't answer as Keras does, or needs operators that its runtimes lack."""
