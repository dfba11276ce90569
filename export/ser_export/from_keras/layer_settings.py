"""Errors of Keras layers that can't be converted, or have settings that can't."""

import keras

from ser_export.errors import ExportError


def unsupported_layer(layer: keras.Operation, reason: str) -> ExportError:
    """An error that names the layer, for the caller to raise."""
    return ExportError(f"{type(layer).__name__} ({layer.name}) {reason}", code="export-unsupported-layer")


def require_settings(layer: keras.Layer, **supported: object) -> None:
    """Refuses a setting that would silently change the outputs.

    Raises:
        ExportError: the first setting whose value isn't the supported one.
    """
    config = layer.get_config()
    for name, value in supported.items():
        if config[name] != value:
            reason = f"with {name}={config[name]!r} can't be exported, only with {name}={value!r}"
            raise unsupported_layer(layer, reason)
