"""Features are the front-end's own, a row an utterance, and cached by what they depend on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import ser_train.dataset
from ser_edge.audio import read
from ser_edge.errors import AudioError
from ser_edge.features import FeatureConfig, FrontEnd
from ser_train.corpus import Utterance, read_corpus
from ser_train.dataset import corpus_features, extract

CONFIG = FeatureConfig(n_mels=40, n_mfcc=13, seconds=0.3)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SER_EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture(scope="module")
def utterances(corpus: Path) -> list[Utterance]:
    return read_corpus(corpus / "Actor_01", jobs=1)


@pytest.fixture
def extractions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files each extraction computed."""
    counts: list[int] = []

    def counted(paths: list[Path], config: FeatureConfig, jobs: int = -1) -> np.ndarray:
        counts.append(len(paths))
        return extract(paths, config, jobs)

    monkeypatch.setattr(ser_train.dataset, "extract", counted)
    return counts


def test_features_are_the_front_ends_own(utterances: list[Utterance]) -> None:
    features = corpus_features(utterances, CONFIG, jobs=1)
    assert features.dtype == np.float32
    assert features.shape == (16, CONFIG.frames, 13)
    front_end = FrontEnd(CONFIG)
    for row, utterance in zip(features, utterances, strict=True):
        # Within float32 rounding: here SciPy's FFT is used, on devices NumPy's.
        np.testing.assert_allclose(row, front_end(read(utterance.path, CONFIG.sample_rate)), atol=2e-3)


def test_rows_follow_the_order_asked_and_duplicates_share_one(
    utterances: list[Utterance], extractions: list[int]
) -> None:
    features = corpus_features(utterances, CONFIG, jobs=1)
    order = [5, 0, 5, 3, 15, 3]
    again = corpus_features([utterances[place] for place in order], CONFIG, jobs=1)
    np.testing.assert_array_equal(again, features[order])
    assert extractions == [16, 4]


def test_what_was_computed_is_not_computed_again(utterances: list[Utterance], extractions: list[int]) -> None:
    first = corpus_features(utterances, CONFIG, jobs=1)
    backwards = corpus_features([*reversed(utterances), *utterances], CONFIG, jobs=1)
    np.testing.assert_array_equal(backwards, [*first[::-1], *first])
    assert extractions == [16]


def test_other_settings_other_recordings_and_other_code_are_computed_anew(
    utterances: list[Utterance], extractions: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    corpus_features(utterances, CONFIG, jobs=1)
    corpus_features(utterances, replace(CONFIG, n_mfcc=12), jobs=1)
    corpus_features(utterances[:-1], CONFIG, jobs=1)
    corpus_features([replace(utterances[0], digest="another"), *utterances[1:]], CONFIG, jobs=1)
    code = tmp_path / "features.py"
    code.write_text("another front-end")
    monkeypatch.setattr("ser_edge.features.__file__", str(code))
    corpus_features(utterances, CONFIG, jobs=1)
    assert extractions == [16, 16, 15, 16, 16]


def test_two_processes_compute_what_one_does(corpus: Path) -> None:
    paths = sorted(corpus.rglob("*.wav"))[:60]  # more than two tasks
    np.testing.assert_array_equal(extract(paths, CONFIG, jobs=2), extract(paths, CONFIG, jobs=1))


def test_a_write_that_fails_leaves_nothing_half(
    utterances: list[Utterance], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_in_the_middle(file: Path, array: np.ndarray) -> None:
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(np, "save", fails_in_the_middle)
        with pytest.raises(OSError, match="No space left"):
            corpus_features(utterances, CONFIG, jobs=1)
    assert list(own_cache.iterdir()) == []
    corpus_features(utterances, CONFIG, jobs=1)
    assert len(list(own_cache.iterdir())) == 1


@pytest.mark.parametrize("kept", [0, 5, 100, 1000])  # of bytes: nothing, half a header, a header, some rows
def test_a_damaged_cache_is_computed_again(
    kept: int, utterances: list[Utterance], own_cache: Path, extractions: list[int]
) -> None:
    first = corpus_features(utterances, CONFIG, jobs=1)
    (cached,) = own_cache.iterdir()
    cached.write_bytes(cached.read_bytes()[:kept])
    for _ in range(2):
        np.testing.assert_array_equal(corpus_features(utterances, CONFIG, jobs=1), first)
    assert extractions == [16, 16]


def test_two_trainings_that_compute_the_same_at_a_time_do_not_disturb_each_other(
    utterances: list[Utterance], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = np.save

    def the_other_comes_first(file: Path, array: np.ndarray) -> None:
        monkeypatch.setattr(np, "save", save)
        corpus_features(utterances, CONFIG, jobs=1)
        save(file, array)

    monkeypatch.setattr(np, "save", the_other_comes_first)
    features = corpus_features(utterances, CONFIG, jobs=1)
    np.testing.assert_array_equal(corpus_features(utterances, CONFIG, jobs=1), features)
    assert len(list(own_cache.iterdir())) == 1


def test_a_sound_the_front_end_refuses_is_named(tmp_path: Path, utterances: list[Utterance]) -> None:
    silent = tmp_path / utterances[0].path.name
    soundfile.write(silent, np.zeros(100), 16_000)
    with pytest.raises(AudioError, match=f"^{silent}: silent"):
        corpus_features([replace(utterances[0], path=silent)], CONFIG, jobs=1)
