"""`predict` and `embed` with lists: what is a list of sounds, and what is one sound."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_edge import AudioError, Recognizer, WindowConfig
from tests import messages
from tests.conftest import RATE, voice

VOICES = [voice(emotion, 2, 1, 0.4 + 0.1 * emotion) for emotion in range(1, 4)]  # of different lengths


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    ungated = WindowConfig(min_speech_ratio=None)  # else the voices, which are made, are no-speech
    return Recognizer("small", threshold=0.0, windowing=ungated)


MANY: dict[str, Callable[[list[Path]], tuple[Any, float | None]]] = {
    "paths": lambda sounds: (sounds, None),
    "names": lambda sounds: (list(map(str, sounds)), None),
    "bytes": lambda sounds: ([bytes(path) for path in sounds], None),
    "a tuple of paths": lambda sounds: (tuple(sounds), None),
    "files": lambda sounds: ([io.BytesIO(path.read_bytes()) for path in sounds], None),
    "one path": lambda sounds: (sounds[:1], None),
    "paths, and a rate that they don't need": lambda sounds: (sounds, 8_000),
}


@pytest.mark.parametrize("name", MANY)
def test_a_list_of_files_gets_a_list_of_predictions(name: str, recognizer: Recognizer, sounds: list[Path]) -> None:
    given, rate = MANY[name](sounds)
    expected = [recognizer.predict(path) for path in sounds[: len(given)]]
    found = recognizer.predict(given, rate)
    assert [(p.label, p.probabilities) for p in found] == [(p.label, p.probabilities) for p in expected]


ARRAYS: dict[str, tuple[Any, float | None]] = {
    "arrays": (VOICES, RATE),
    "a tuple of three": (tuple(VOICES), RATE),
    "with their rates": ([(samples, RATE) for samples in VOICES], None),
    "with their rates first": ([(RATE, samples) for samples in VOICES], None),
    "lists with their rates": ([(samples.tolist(), RATE) for samples in VOICES], None),
    "channels": ([np.stack([samples, samples]) for samples in VOICES], RATE),
    "some with a rate": ([VOICES[0], (VOICES[1], RATE), VOICES[2]], RATE),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_list_of_arrays_gets_a_list_of_predictions(name: str, recognizer: Recognizer) -> None:
    given, rate = ARRAYS[name]
    expected = [recognizer.predict(samples, RATE) for samples in VOICES]
    assert len({prediction.confidence for prediction in expected}) == len(VOICES)
    assert recognizer.predict(given, rate) == expected


def test_arrays_of_one_length_are_sounds_as_those_of_several_are(recognizer: Recognizer) -> None:
    same = [samples[:6_000] for samples in VOICES[:2]]
    assert recognizer.predict(same, RATE) == [recognizer.predict(samples, RATE) for samples in same]
    assert recognizer.predict(VOICES[:1], RATE) == [recognizer.predict(VOICES[0], RATE)]


ONE: dict[str, Any] = {
    "numbers": VOICES[0].tolist(),
    "NumPy's numbers": list(VOICES[0]),
    "arrays of a number": [np.array(sample) for sample in VOICES[0]],
    "lists of a number": VOICES[0][:, None].tolist(),
    "a list of numbers in a list": [VOICES[0].tolist()],
    "tuples of two channels": [(sample, sample) for sample in VOICES[0].tolist()],
}


@pytest.mark.parametrize("name", ONE)
def test_a_list_of_numbers_is_one_sound(name: str, recognizer: Recognizer) -> None:
    assert recognizer.predict(ONE[name], RATE) == recognizer.predict(VOICES[0], RATE)


def test_samples_with_their_rate_are_one_sound(recognizer: Recognizer) -> None:
    for pair in ((VOICES[0], RATE), (RATE, VOICES[0]), (VOICES[0].tolist(), float(RATE))):
        assert recognizer.predict(pair) == recognizer.predict(VOICES[0], RATE)


def test_no_sounds_get_no_predictions_and_no_samples_are_an_error(recognizer: Recognizer) -> None:
    assert recognizer.predict([]) == recognizer.predict(()) == []
    with messages.raises(AudioError, "audio-empty"):
        recognizer.predict([], RATE)


MIXED: dict[str, Any] = {
    "samples and their rate in a list": [VOICES[0], RATE],
    "the rate first": [RATE, VOICES[0]],
    "a path and its rate in a list": ["a.wav", RATE],
    "a path and samples": ["a.wav", [0.1, 0.2]],
    "samples and a path": [[0.1, 0.2], "a.wav"],
    "a number between": [VOICES[0], 0.5, VOICES[1]],
    "lists of paths": [["a.wav"], ["b.wav"]],
    "lists of arrays": [VOICES[:2], VOICES[1:]],
    "None": [None],
    "a dictionary": [{"array": VOICES[0]}],
}


@pytest.mark.parametrize("name", MIXED)
def test_a_list_that_could_mean_either_is_a_type_error(name: str, recognizer: Recognizer) -> None:
    for classify in (recognizer.predict, recognizer.embed):
        with pytest.raises(TypeError):
            classify(MIXED[name], RATE)


@pytest.mark.parametrize(
    "collection", [lambda sounds: iter(sounds), lambda sounds: set(sounds), lambda sounds: (p for p in sounds)]
)
def test_other_collections_of_paths_are_type_errors(
    collection: Callable[[list[Path]], Any], recognizer: Recognizer, sounds: list[Path]
) -> None:
    with pytest.raises(TypeError, match="path"):
        recognizer.predict(collection(sounds))


def test_an_array_of_paths_is_an_error_with_the_line_to_type(recognizer: Recognizer, sounds: list[Path]) -> None:
    for paths in (np.array(list(map(str, sounds))), np.array(list(map(str, sounds)), object)):
        with messages.raises(AudioError, "audio-array") as caught:
            recognizer.predict(paths)
        assert str(caught.value).endswith("type predict(array.tolist())")
        assert len(recognizer.predict(paths.tolist())) == len(sounds)


def test_an_error_says_in_a_note_which_of_the_sounds_it_is(recognizer: Recognizer, sounds: list[Path]) -> None:
    for given, error in (([sounds[0], "missing.wav"], AudioError), ([VOICES[0], np.array([])], AudioError)):
        with pytest.raises(error) as caught:
            recognizer.predict(given, RATE)
        assert caught.value.__notes__ == ["in the list of sounds: [1]"]


def test_progress_is_for_one_sound(recognizer: Recognizer, sounds: list[Path]) -> None:
    with pytest.raises(TypeError, match="predict_files"):
        recognizer.predict(sounds, progress=print)
