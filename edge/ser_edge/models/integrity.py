"""Whether a model file is what it was where it was made, and answers here as it did there.

Beside the bundled models lies what each of them answered for one sound. The sound isn't stored: it is computed, the
same on every machine. A broken file, front-end or runtime answers otherwise.
"""

import hashlib
import json
from pathlib import Path
from typing import TypedDict

import numpy as np

from ser_edge.audio.sound import Samples
from ser_edge.errors import ModelError
from ser_edge.errors.install_hints import reinstall
from ser_edge.models.network import BUNDLED, Model
from ser_edge.models.runtimes.base import RUNTIMES
from ser_edge.models.tolerances import tolerance

__all__ = ["SELF_TEST", "Answer", "model_files", "self_test", "self_test_answer", "store"]

SELF_TEST = BUNDLED / "self_test.json"


class Answer(TypedDict):
    """What a model file said of the sound."""

    digest: str  # BLAKE2b of the file, 128 bits
    probabilities: dict[str, float]


def self_test(model: Path, stored: Path = SELF_TEST) -> float:
    """Compares a model's answer with the stored one.

    Returns:
        The largest difference of a probability.

    Raises:
        ModelError: it can't be used, isn't the file that was stored, or answers otherwise.
    """
    try:
        then: Answer = json.loads(stored.read_text(encoding="utf-8"))[model.name]
    except (OSError, ValueError, KeyError) as e:
        raise ModelError(f"no answer is stored to compare it with; {reinstall()}") from e
    opened = Model(model)
    now = _answer(opened)
    if now["digest"] != then["digest"]:
        raise ModelError(f"isn't the file that was shipped; {reinstall()}")
    a, b = now["probabilities"], then["probabilities"]
    off = max(abs(a.get(label, 0.0) - b.get(label, 0.0)) for label in a | b)
    if off > tolerance(model.suffix, opened.metadata.precision).kernels:  # what is broken is far off
        raise ModelError(f"answers otherwise than where it was made, by {off:.4f}; {reinstall()}")
    return off


def self_test_answer(model: str | Path) -> Answer:
    """What a model says of the sound, here and now.

    Args:
        model: a bundled model's name, or the path of a model file.

    Raises:
        ModelError: it can't be used.
    """
    return _answer(Model(model))


def _answer(opened: Model) -> Answer:
    labels, probabilities = opened.metadata.labels, opened.predict_proba(_sound(opened.metadata.features.sample_rate))
    return Answer(
        digest=hashlib.blake2b(opened.path.read_bytes(), digest_size=16).hexdigest(),
        probabilities={label: round(float(p), 6) for label, p in zip(labels, probabilities, strict=True)},
    )


def store(path: Path = SELF_TEST) -> None:
    """Writes the answers of all model files in the same folder: for whoever makes a bundle, on a machine that is well.

    Raises:
        ModelError: one of them can't be used.
    """
    answers = {model.name: self_test_answer(model) for model in model_files(path.parent)}
    path.write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")


def model_files(folder: Path = BUNDLED) -> list[Path]:
    """The model files in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix in RUNTIMES)


def _sound(sample_rate: int) -> Samples:
    """Three seconds like a voice: a gliding pitch with its harmonics, in syllables."""
    seconds = np.arange(3 * sample_rate) / sample_rate
    phase = 2 * np.pi * np.cumsum(150 + 40 * np.sin(2 * np.pi * 0.7 * seconds)) / sample_rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 13))
    syllables = np.sin(2 * np.pi * 2.5 * seconds).clip(min=0)
    return (0.1 * voice * syllables).astype(np.float32)
