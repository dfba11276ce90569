"""Converts a `tf.Module` to TFLite: float32, float16, int8 with a scale for each row or tensor, or int8 throughout."""

import tempfile

import numpy as np
import tensorflow as tf


def convert_module(network: tf.Module, precision: str = "float32", representative: str = "") -> bytes:
    """The content of a TFLite file with builtin operators only.

    Args:
        network: its `call` is a `tf.function` with an input signature.
        precision: of the weights, one of `verify.PRECISIONS`.
        representative: a NumPy file of (n, frames, coefficients) inputs, which calibrate the ranges for "int8-full".
    """
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(network, folder, signatures=network.call.get_concrete_function())
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]  # int8 weights
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8-per-tensor":
            # A scale for each row needs FULLY_CONNECTED version 12, which tflite-runtime 2.14 doesn't have.
            converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        if precision == "int8-full":
            converter.representative_dataset = lambda: ([item[None]] for item in np.load(representative))
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        content: bytes = converter.convert()
    return content
