"""Self-test: whether a model file is the one that was shipped, and still gives the same answer here.

Beside the bundled models lies the answer of each for one sound, which is synthesised, and so the same on every machine.
A broken file, front-end or runtime answers differently.
"""

import json
from pathlib import Path
from typing import TypedDict

import numpy as np

from ser_edge.audio.sound import Samples
from ser_edge.errors import ModelError
from ser_edge.errors.install_hints import reinstall
from ser_edge.models.bundled.names import BUNDLED
from ser_edge.models.container import digest_of, model_bytes
from ser_edge.models.loader import FileModel, open_model
from ser_edge.models.runtimes.base import RUNTIMES
from ser_edge.models.tolerances import tolerance

SELF_TEST = BUNDLED / "self_test.json"


class SelfTestAnswer(TypedDict):
    """A model file's answer for the synthesised sound."""

    digest: str  # BLAKE2b of the file, 128 bits
    probabilities: dict[str, float]


def self_test(path: Path, stored: Path = SELF_TEST) -> float:
    """The largest difference of a probability between a model file's answer and the stored one.

    Raises:
        ModelError: the file can't be used, isn't the one that was shipped, or answers differently.
    """
    try:
        expected: SelfTestAnswer = json.loads(stored.read_text(encoding="utf-8"))[path.name]
    except (OSError, ValueError, KeyError) as e:
        raise ModelError(f"no answer is stored to compare it with; {reinstall()}", code="model-self-test") from e
    if digest_of(model_bytes(path)) != expected["digest"]:  # first: one that is damaged can't be opened
        raise ModelError(f"isn't the file that was shipped; {reinstall()}", code="model-changed")
    model = open_model(path)
    a, b = self_test_answer(model)["probabilities"], expected["probabilities"]
    difference = max(abs(a.get(label, 0.0) - b.get(label, 0.0)) for label in a | b)
    if difference > tolerance(path.suffix, model.metadata.precision).kernels:
        message = f"answers differently from where it was made, by {difference:.4f}; {reinstall()}"
        raise ModelError(message, code="model-self-test")
    return difference


def self_test_answer(model: FileModel) -> SelfTestAnswer:
    """A model's answer for the synthesised sound on this machine."""
    probabilities = model.predict_proba(synthetic_voice(model.metadata.features.sample_rate))
    named = zip(model.metadata.labels, probabilities, strict=True)
    return SelfTestAnswer(digest=model.digest(), probabilities={label: round(float(p), 6) for label, p in named})


def write_self_test(path: Path = SELF_TEST) -> None:
    """Stores the answers of all model files in the same folder, after new ones were made."""
    answers = {file.name: self_test_answer(open_model(file)) for file in model_files(path.parent)}
    path.write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")


def model_files(folder: Path = BUNDLED) -> list[Path]:
    """The model files in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix in RUNTIMES)


def synthetic_voice(sample_rate: int) -> Samples:
    """(3 * sample_rate,) float32: three seconds like a voice, a gliding pitch with its harmonics, in syllables."""
    seconds = np.arange(3 * sample_rate) / sample_rate
    phase = 2 * np.pi * np.cumsum(150 + 40 * np.sin(2 * np.pi * 0.7 * seconds)) / sample_rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 13))
    syllables = np.sin(2 * np.pi * 2.5 * seconds).clip(min=0)
    return (0.1 * voice * syllables).astype(np.float32)
