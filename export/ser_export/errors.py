"""The errors of ser-export, in one tree with those of `ser_edge.errors`; the exit code is 4."""

from ser_edge.errors import SerEdgeError


class ExportError(SerEdgeError):
    """A run directory that can't be read, or a network that can't be converted."""

    exit_code = 4


class VerificationError(ExportError):
    """A converted file that doesn't answer as Keras does, or needs operators that its runtimes lack."""
