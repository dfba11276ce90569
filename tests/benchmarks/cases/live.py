"""A live minute: a voice in pieces of 0.1 s, classified every half second; CPU time on one thread.

The voices are the project's own sounds, repeated. `anew` computes a window's features each time from its samples, as
one would with librosa; ser-edge computes each frame once.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from harness.case import Settings, Table, main
from harness.models import MODEL_FILES
from harness.timing import Figures, in_turn

from ser_edge import Recognizer, WindowConfig
from ser_edge.features.frontend import FrontEnd
from ser_edge.features.online import IncrementalLogMel

SOUNDS = Path(__file__).parents[2] / "sounds"
SECONDS, PIECE, HOP = 60, 0.1, 0.5


def measure(settings: Settings) -> list[Table]:
    """A table for the features, and one for everything: gate, features and network."""
    config = Recognizer("small").metadata.features
    rate, hop_length = config.sample_rate, config.hop_length
    window, hop = WindowConfig(hop_seconds=HOP).frames(config)
    minute = np.resize(_voices(rate), SECONDS * rate)
    front_end = FrontEnd(config)

    def anew() -> None:
        for start in range(0, len(minute) - window * hop_length, hop * hop_length):
            front_end(minute[start : start + window * hop_length])

    def incremental() -> None:
        frames, spectrum = IncrementalLogMel(front_end), np.empty((0, config.n_mels), np.float32)
        for piece in np.split(minute, round(SECONDS / HOP)):
            spectrum = np.concatenate((spectrum, frames.accept_waveform(piece)))
            while len(spectrum) >= window:
                front_end.utterance(spectrum[:window])
                spectrum = spectrum[hop:]

    pieces = np.split(minute, round(SECONDS / PIECE))

    def everything(model: Recognizer) -> Callable[[], Any]:
        return lambda: [
            list(stream.accept_waveform(piece)) for stream in [model.create_stream(rate)] for piece in pieces
        ]

    features = in_turn({"computed anew": anew, "ser-edge, new frames only": incremental}, 2 * settings.rounds)
    figures: dict[str, Figures | str] = {
        "the minute": {"cpu": float(SECONDS)},
        **in_turn(
            {f"ser-edge, {file}": everything(Recognizer(file)) for file in MODEL_FILES},
            2 * settings.rounds,
        ),
    }
    return [
        Table(
            "features",
            f"Features of a minute for the small model, a window every {HOP} s, one thread",
            "computed anew",
            "cpu",
            features,
        ),
        Table("minute", f"A live minute in pieces of {PIECE} s: gate, features, network", "the minute", "cpu", figures),
    ]


def _voices(rate: int) -> Any:
    """The project's sounds in a row; they have the model's rate."""
    sounds = [soundfile.read(path, dtype="float32") for path in sorted(SOUNDS.glob("*.wav"))]
    if any(other != rate for _, other in sounds):
        raise ValueError(f"the sounds must have {rate} Hz")
    return np.concatenate([samples for samples, _ in sounds])


if __name__ == "__main__":
    main(measure)
