"""Checks that a Keras layer has only the settings that a conversion supports."""

import keras

from ser_export.errors import ExportError

__all__ = ["require_settings"]


def require_settings(layer: keras.Layer, **supported: object) -> None:
    """Refuses a setting that would silently change the outputs.

    Raises:
        ExportError: the first setting whose value isn't the supported one.
    """
    config = layer.get_config()
    for name, value in supported.items():
        if config[name] != value:
            raise ExportError(
                f"{type(layer).__name__} ({layer.name}) with {name}={config[name]!r} can't be exported, "
                f"only with {name}={value!r}",
                code="export-unsupported-layer",
            )
