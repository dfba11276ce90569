"""ser-edge: speech emotion recognition that runs on the device.

The names below are imported when they are first used: `ser-edge --help` needs neither them nor NumPy.

>>> from ser_edge import Recognizer
>>> prediction = Recognizer().predict("tests/sounds/fast-high.wav")
>>> 0 < prediction.confidence <= 1
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ser_edge.capture.microphone import Microphone
    from ser_edge.errors import AudioError, MicrophoneError, ModelError, RuntimeUnavailable, SerEdgeError
    from ser_edge.recognition.batch.tasks import FileResult
    from ser_edge.recognition.merging import merge
    from ser_edge.recognition.prediction import Prediction, predictions_to_frame
    from ser_edge.recognition.recognizer import Recognizer
    from ser_edge.recognition.windows import WindowConfig, Windowing

__version__ = "0.2.0.dev0"

__all__ = [
    "AudioError",
    "FileResult",
    "Microphone",
    "MicrophoneError",
    "ModelError",
    "Prediction",
    "Recognizer",
    "RuntimeUnavailable",
    "SerEdgeError",
    "WindowConfig",
    "Windowing",
    "__version__",
    "merge",
    "predictions_to_frame",
]

_MODULES = {
    "FileResult": "recognition.batch.tasks",
    "Microphone": "capture.microphone",
    "predictions_to_frame": "recognition.prediction",
    "Prediction": "recognition.prediction",
    "Recognizer": "recognition.recognizer",
    "WindowConfig": "recognition.windows",
    "Windowing": "recognition.windows",
    "merge": "recognition.merging",
}  # the others are in `errors`


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"ser_edge.{_MODULES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return __all__
