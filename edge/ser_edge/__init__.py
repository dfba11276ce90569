"""ser-edge: hears which emotion a voice carries, on the device where the voice is.

>>> from ser_edge import Recognizer
>>> prediction = Recognizer().predict("tests/sounds/fast-high.wav")
>>> 0 < prediction.confidence <= 1
True
"""

from ser_edge.errors import AudioError, MicrophoneError, ModelError, RuntimeUnavailable, SerEdgeError
from ser_edge.prediction import Prediction
from ser_edge.recognizer import Recognizer
from ser_edge.stream import Windowing

__version__ = "0.1.0"

__all__ = [
    "AudioError",
    "MicrophoneError",
    "ModelError",
    "Prediction",
    "Recognizer",
    "RuntimeUnavailable",
    "SerEdgeError",
    "Windowing",
    "__version__",
]
