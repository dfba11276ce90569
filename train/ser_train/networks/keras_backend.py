"""TensorFlow, Keras's backend here, loaded without its output on standard error."""

import logging
import os
from contextlib import suppress
from types import ModuleType

from ser_edge.errors.native_stderr import suppress_native_stderr


def load(threads: int | None = None) -> ModuleType:
    """Imports TensorFlow, and lists its devices.

    Both report missing drivers on standard error in ways that no setting silences; and its log warns of retracing,
    which several networks in one process need.

    Args:
        threads: of its operations; None keeps the default. Without effect once it has computed in this process.
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
