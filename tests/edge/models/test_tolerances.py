"""The table of tolerances holds for the bundled models."""

import re
from dataclasses import astuple
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_edge.models.integrity import model_files
from ser_edge.models.loader import open_model
from ser_edge.models.network import Model
from ser_edge.models.tolerances import TOLERANCES, tolerance

PAGE = Path(__file__).parents[3] / "export" / "MODEL_FILE.md"
STREAMED = 2e-5  # dB between a stream's features and a whole file's


def features(model: Model, sounds: list[Path]) -> npt.NDArray[np.float32]:
    """(windows, frames, coefficients) of the sounds, in pieces as long as a syllable."""
    samples = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in sounds])
    return np.stack([model.features(piece) for piece in np.array_split(samples, 16)])


def moved(values: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    """The same features a few times, rounded differently."""
    random = np.random.default_rng(0)
    return [values + random.uniform(-STREAMED, STREAMED, values.shape).astype(np.float32) for _ in range(5)]


@pytest.mark.parametrize("path", model_files(), ids=lambda path: path.name)
def test_rounded_features_change_probabilities_within_the_tolerance(path: Path, sounds: list[Path]) -> None:
    model = open_model(path)
    once = features(model, sounds)
    answers = model.probabilities(once)
    bound = tolerance(path.suffix, model.metadata.precision).inputs
    assert max(np.abs(model.probabilities(again) - answers).max() for again in moved(once)) <= bound


def test_int8_in_litert_needs_a_larger_tolerance_than_float32(
    sounds: list[Path],
) -> None:
    model = open_model("small.tflite")
    once = features(model, sounds)
    answers = model.probabilities(once)
    furthest = max(np.abs(model.probabilities(again) - answers).max() for again in moved(once))
    assert furthest > TOLERANCES[".tflite", "float32"].inputs


@pytest.mark.parametrize("path", model_files(), ids=lambda path: path.name)
def test_the_same_bits_give_the_same_probabilities(path: Path, sounds: list[Path]) -> None:
    once, again = open_model(path), open_model(path)
    inputs = features(once, sounds)
    np.testing.assert_array_equal(once.probabilities(inputs), again.probabilities(inputs.copy()))


def test_the_page_has_the_table() -> None:
    rows = re.findall(
        r"^\| `(\.\w+)` \| `([\w-]+)` \| [^|]+ \| (\S+) \| (\S+) \| (\S+) \|$", PAGE.read_text("utf-8"), re.M
    )
    shown = {(suffix, precision): tuple(map(float, bounds)) for suffix, precision, *bounds in rows}
    assert shown == {file: astuple(line) for file, line in TOLERANCES.items()}
