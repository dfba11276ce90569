"""Features are the front-end's own, a row an utterance, and cached by what they depend on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import ser_train.data.feature_cache
from ser_edge.audio.reading import read
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import FrontEnd
from ser_train.data.corpus_loader import CorpusError, Utterance, read_corpus
from ser_train.data.feature_cache import corpus_features, corpus_spectra, extract
from ser_train.data.splits import SPEAKER_FOLDS
from tests import messages
from tests.conftest import voice

CONFIG = FeatureConfig(n_mels=40, n_mfcc=13, seconds=0.3)
SPECTRA = FeatureConfig(  # of any length, cut to the speech
    n_fft=512,
    win_length=400,
    hop_length=160,
    n_mels=20,
    n_mfcc=None,
    top_db=None,
    trim_db=20.0,
    dynamic_range_db=56.0,
    seconds=1.0,
)


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

    def counted(paths: list[Path], *rest: Any) -> list[np.ndarray]:
        counts.append(len(paths))
        return extract(paths, *rest)

    monkeypatch.setattr(ser_train.data.feature_cache, "extract", counted)
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
    monkeypatch.setattr("ser_edge.features.__path__", [str(tmp_path)])
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
        with pytest.raises(CorpusError, match=r"\.npy: can't be written \(No space left on device\); free some") as e:
            corpus_features(utterances, CONFIG, jobs=1)
    assert e.value.code == "cache-unwritable"
    assert list(own_cache.iterdir()) == []
    corpus_features(utterances, CONFIG, jobs=1)
    assert len(list(own_cache.iterdir())) == 2


def test_an_unusable_cache_is_said_before_anything_is_computed(
    utterances: list[Utterance], extractions: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SER_EDGE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CorpusError, match=r"can't be written .*SER_EDGE_CACHE"):
        corpus_features(utterances, CONFIG, jobs=1)
    assert extractions == []


def test_speakers_that_another_fold_leaves_out_make_nobody_compute_again(corpus: Path, extractions: list[int]) -> None:
    actors = read_corpus(corpus, jobs=1)
    corpus_features(actors, CONFIG, jobs=1)
    for left_out in SPEAKER_FOLDS:
        corpus_features([u for u in actors if u.actor not in left_out], CONFIG, jobs=1)
    assert extractions == [len(actors)]


def cache_file(cache: Path, lengths: bool) -> Path:
    """One of the two files that hold a corpus: all frames, and how many of them are each recording's."""
    (path,) = [path for path in cache.iterdir() if path.name.endswith(".lengths.npy") == lengths]
    return path


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("kept", [0, 5, 100, 200])  # of bytes: nothing, half a header, a header, some rows
def test_a_damaged_cache_is_computed_again(
    kept: int, lengths: bool, utterances: list[Utterance], own_cache: Path, extractions: list[int]
) -> None:
    first = corpus_features(utterances, CONFIG, jobs=1)
    cached = cache_file(own_cache, lengths)
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
    assert len(list(own_cache.iterdir())) == 2


def test_a_cache_whose_lengths_are_another_corpus_s_is_computed_again(
    utterances: list[Utterance], own_cache: Path, extractions: list[int]
) -> None:
    first = corpus_features(utterances, CONFIG, jobs=1)
    np.save(cache_file(own_cache, lengths=True), np.array([9, 9]))
    np.testing.assert_array_equal(corpus_features(utterances, CONFIG, jobs=1), first)
    assert extractions == [16, 16]


def test_another_corpus_beside_it_does_not_make_one_compute_again(
    utterances: list[Utterance], others: Path, extractions: list[int]
) -> None:
    alone = corpus_features(utterances, CONFIG, jobs=1)
    both = sorted([*read_corpus(others, jobs=1), *utterances], key=lambda u: u.digest)
    features = corpus_features(both, CONFIG, jobs=1)
    assert extractions == [16, 48]  # nEMO and song
    for utterance, row in zip(utterances, alone, strict=True):
        np.testing.assert_array_equal(features[both.index(utterance)], row)


def test_spectra_are_the_front_ends_own_of_whole_recordings_and_cached_beside_features(
    utterances: list[Utterance], others: Path, extractions: list[int]
) -> None:
    both = [*utterances, *read_corpus(others, jobs=1)]
    first = corpus_spectra(both, SPECTRA, jobs=1)
    assert {len(spectrum) for spectrum in first} == {41, 51, 71}  # of 0.4, 0.5 and 0.7 s: every recording's own
    front_end = FrontEnd(SPECTRA)
    for utterance, spectrum in zip(both, first, strict=True):
        assert spectrum.dtype == np.float32
        np.testing.assert_allclose(spectrum, front_end.log_mel(read(utterance.path, 16_000)), atol=2e-3)
    corpus_features(utterances, SPECTRA, jobs=1)
    for again, spectrum in zip(corpus_spectra(both, SPECTRA, jobs=1), first, strict=True):
        np.testing.assert_array_equal(again, spectrum)
    assert extractions == [64, 16]


def test_a_front_end_that_finds_the_speech_hears_the_whole_recording(
    tmp_path: Path, utterances: list[Utterance]
) -> None:
    late = tmp_path / utterances[0].path.name
    samples = np.concatenate([1e-4 * voice(1, 1, 1, 2.0), voice(1, 1, 2, 0.4)])  # what is loud comes last
    soundfile.write(late, samples, 16_000, subtype="FLOAT")
    (features,) = corpus_features([replace(utterances[0], path=late, digest="late")], SPECTRA, jobs=1)
    np.testing.assert_allclose(features, FrontEnd(SPECTRA)(read(late, 16_000)), atol=2e-3)
    assert np.isfinite(features[:40]).all()
    assert np.isnan(features[60:]).all()


def test_all_sounds_that_the_front_end_refuses_are_named(tmp_path: Path, utterances: list[Utterance]) -> None:
    bad = [replace(u, path=tmp_path / u.path.name, digest=f"bad {u.digest}") for u in utterances[:3]]
    soundfile.write(bad[0].path, np.zeros(100), 16_000)
    soundfile.write(bad[1].path, np.zeros(200), 16_000)
    bad[2].path.write_bytes(b"no sound")
    with messages.raises(CorpusError, "corpus-unreadable") as caught:
        corpus_features([*utterances, *bad], CONFIG, jobs=1)
    message = str(caught.value)
    silent = sorted((bad[0].path, bad[1].path))[0]
    assert f"{silent} and 1 more: silent" in message
    assert f"{bad[2].path}: not a sound file" in message
