"""TensorFlow, loaded so that it says nothing on standard error: what is behind Keras here."""

import logging
import os
from contextlib import suppress
from types import ModuleType

from ser_edge.errors.native_stderr import suppress_native_stderr

__all__ = ["load"]


def load(threads: int | None = None) -> ModuleType:
    """Imports TensorFlow, and has it look for its devices.

    It announces drivers and devices that aren't there in ways that no setting silences, as it is imported and once more
    as it looks for them; and its log warns of tracing a function anew, which several networks in one process need.

    Args:
        threads: for its arithmetic; None leaves them as they are. In a process that has computed with it before they
            stay what they were.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # nothing below fatal errors
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with suppress_native_stderr():
        import tensorflow as tf

        if threads is not None:
            with suppress(RuntimeError):
                tf.config.threading.set_intra_op_parallelism_threads(threads)
                tf.config.threading.set_inter_op_parallelism_threads(threads)
        tf.config.list_logical_devices()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    module: ModuleType = tf
    return module
