"""Quantisation of TFLite weights: float16, int8 with a scale for each row or tensor, or int8 activations as well."""

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["set_precision"]


def set_precision(converter: Any, precision: str, representative: Path) -> None:
    """Makes a `tf.lite.TFLiteConverter` quantise.

    Args:
        converter: changed in place.
        precision: one of `verify.PRECISIONS`; "float32" changes nothing.
        representative: a NumPy file of (n, frames, coefficients) inputs, which calibrate the ranges for "int8-full".
    """
    import tensorflow as tf

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
