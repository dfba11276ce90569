"""Streams: results don't depend on the chunks, noise has no emotion, and memory doesn't grow."""

import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge.errors import AudioError
from ser_edge.errors.user_warnings import capture_warnings
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import FrontEnd
from ser_edge.features.online import IncrementalLogMel
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.network import Model
from ser_edge.models.tolerances import tolerance
from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN, Prediction
from ser_edge.recognition.recognizer import Recognizer
from ser_edge.recognition.streaming import Stream
from ser_edge.recognition.voice_activity.stream_gate import Gate
from ser_edge.recognition.windows import WindowConfig
from tests import messages
from tests.conftest import is_clear
from tests.doubles import FakeRuntime

RATE = 16_000
SPECTRA = {
    "mfcc": FeatureConfig(seconds=None),
    "log-mel": FeatureConfig(
        n_fft=512, win_length=400, hop_length=160, n_mels=64, n_mfcc=None, top_db=None, seconds=None
    ),
}
Samples = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def talk(sounds: list[Path]) -> Samples:
    """Fourteen seconds of speech with a pause in it, at 16 kHz."""
    read = [soundfile.read(path, dtype="float32")[0] for path in sounds]
    return np.concatenate([*read, np.zeros(3 * RATE, np.float32), read[0]])


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    """The bundled model."""
    return Recognizer()


def cut(samples: Samples, sizes: list[int]) -> Iterator[Samples]:
    """Chunks of these sizes, over and over."""
    i = turn = 0
    while i < len(samples):
        size = sizes[turn % len(sizes)]
        yield samples[i : i + size]
        i, turn = i + size, turn + 1


@pytest.mark.parametrize("kind", SPECTRA)
@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=6), length=st.integers(1, 20_000))
@settings(deadline=None, max_examples=30)
def test_frames_do_not_depend_on_the_chunks(kind: str, sizes: list[int], length: int) -> None:
    front_end = FrontEnd(SPECTRA[kind])
    samples = np.random.default_rng(length).normal(0, 0.1, length).astype(np.float32)
    incremental = IncrementalLogMel(front_end)
    parts = [incremental.accept_waveform(chunk) for chunk in cut(samples, sizes)]
    streamed = np.concatenate([*parts, incremental.input_finished()])
    whole = front_end.log_mel(samples)
    assert streamed.shape == whole.shape
    assert np.abs(streamed - whole).max() <= 1e-4


@given(sizes=st.lists(st.integers(1, 40_000), min_size=1, max_size=6))
@settings(deadline=None, max_examples=8)
def test_answers_do_not_depend_on_the_chunks(sizes: list[int], recognizer: Recognizer, talk: Samples) -> None:
    sizes[0] = max(sizes[0], 200)  # or it takes a minute
    whole = list(recognizer.stream([talk], RATE))
    streamed = list(recognizer.stream(cut(talk, sizes), RATE))
    assert streamed == whole  # to the bit: a stream computes in blocks of its size


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_a_resampled_stream_equals_a_resampled_whole(rate: int, recognizer: Recognizer, talk: Samples) -> None:
    import soxr

    other = soxr.resample(talk, RATE, rate)
    streamed = list(recognizer.stream(cut(other, [1, 777, 4321]), rate))
    whole = list(recognizer.stream([soxr.resample(other, rate, RATE, quality="HQ")], RATE))
    assert [(p.start, p.end) for p in streamed] == [(p.start, p.end) for p in whole]
    # Two ways to resample move features a little further than two processors do. So do probabilities, and with them a
    # label that leads by less.
    bound = tolerance(recognizer.path.suffix, recognizer.metadata.precision).kernels
    for a, b in zip(streamed, whole, strict=True):
        assert list(a.probabilities.values()) == pytest.approx(list(b.probabilities.values()), rel=0, abs=bound)
        assert a.label == b.label or not is_clear(b, bound, recognizer.metadata.threshold)


def test_windows_begin_every_hop_and_the_last_ends_with_the_sound(recognizer: Recognizer, talk: Samples) -> None:
    config = recognizer.metadata.features
    hop = WindowConfig().frames(config)[1]
    seconds = [12.0, 12.01, 12.09, 12.11, 12.4]  # the last window ends with the sound, if it adds a tenth of a second
    for end, last in zip(seconds, [0, 0, 0, 12, 41], strict=True):
        starts = [
            round(p.start * RATE / config.hop_length) for p in recognizer.stream([talk[: round(end * RATE)]], RATE)
        ]
        assert starts[:-1] == list(range(0, 901 if last else 900, hop))
        assert starts[-1] == 900 + last


@pytest.mark.parametrize("seconds", [0.01, 0.7, 2.9])
def test_less_than_a_window_is_one_window(seconds: float, recognizer: Recognizer, talk: Samples) -> None:
    (prediction,) = recognizer.stream([talk[: round(seconds * RATE)]], RATE)
    assert (prediction.start, prediction.end) == (0.0, pytest.approx(seconds, abs=1e-3))


def test_an_empty_stream_has_no_window(recognizer: Recognizer) -> None:
    assert list(recognizer.stream([], RATE)) == []


def test_less_than_a_sample_is_one_window_without_speech(recognizer: Recognizer) -> None:
    (prediction,) = recognizer.stream([np.ones(1, np.float32)], 3 * RATE)
    assert (prediction.label, prediction.start, round(prediction.end, 3)) == (NO_SPEECH, 0, 0)


def noises() -> dict[str, Samples]:
    """Half a minute each of what is no voice."""
    time = np.arange(30 * RATE) / RATE
    random = np.random.default_rng(0)
    notes = np.repeat(220 * 2 ** (random.integers(0, 24, 120) / 12), RATE // 4)
    phase = 2 * np.pi * np.cumsum(notes) / RATE
    struck = np.tile(np.exp(-np.arange(RATE // 4) / 1500), 120)
    made = {
        "silence": np.zeros_like(time),
        "offset": np.full_like(time, 0.5),
        "white noise": random.normal(0, 0.1, time.size),
        "soft noise": random.normal(0, 0.001, time.size),
        "hum": sum(0.1 / k * np.sin(2 * np.pi * 50 * k * time) for k in range(1, 6)),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * time),
        "melody": 0.3 * struck * (np.sin(phase) + 0.5 * np.sin(2 * phase)),
        "not a number": np.full_like(time, np.nan),
    }
    return {name: np.asarray(samples, np.float32) for name, samples in made.items()}


@pytest.mark.parametrize("name", noises())
def test_noise_is_no_speech(name: str, recognizer: Recognizer) -> None:
    answers = list(recognizer.stream(cut(noises()[name], [RATE]), RATE))
    assert {p.label for p in answers} == {NO_SPEECH}
    assert {p.confidence for p in answers} == {0.0}
    assert {sum(p.probabilities.values()) for p in answers} == {0.0}


def test_a_pause_is_no_speech_and_what_is_around_it_is(recognizer: Recognizer, talk: Samples) -> None:
    quiet = np.zeros(6 * RATE, np.float32)
    answers = list(recognizer.stream([np.concatenate([talk[: 4 * RATE], quiet, talk[: 4 * RATE]])], RATE))
    pattern = "".join("." if p.label == NO_SPEECH else "x" for p in answers)
    assert re.fullmatch(r"x+\.+x+", pattern)


@pytest.mark.parametrize("gain", [0.1, 1.0, 3.0])
def test_soft_and_loud_speech_passes_the_gate(gain: float, talk: Samples) -> None:
    gate = Gate(RATE)
    gate.accept_waveform(np.clip(talk[: 3 * RATE] * gain, -1, 1))
    assert gate.speech_ratio(0.0, 3.0) > 0.5


def test_an_offset_does_not_open_or_close_the_gate(talk: Samples) -> None:
    plain, shifted = Gate(RATE), Gate(RATE)
    plain.accept_waveform(talk[: 3 * RATE])
    shifted.accept_waveform(talk[: 3 * RATE] + np.float32(0.3))
    assert shifted.speech_ratio(0.0, 3.0) == pytest.approx(plain.speech_ratio(0.0, 3.0), abs=0.15)


def test_clipped_speech_is_speech(recognizer: Recognizer, talk: Samples) -> None:
    answers = list(recognizer.stream([np.clip(talk[: 3 * RATE] * 50, -1, 1)], RATE))
    assert NO_SPEECH not in {p.label for p in answers}


def test_without_the_gate_every_window_is_classified() -> None:
    open_gate = Recognizer(windowing=WindowConfig(min_speech_ratio=None))
    answers = list(open_gate.stream([np.random.default_rng(0).normal(0, 0.1, 5 * RATE)], RATE))
    assert NO_SPEECH not in {p.label for p in answers}
    assert {p.speech for p in answers} == {None}


def test_a_threshold_makes_windows_uncertain(talk: Samples) -> None:
    answers = list(Recognizer(threshold=1.0).stream([talk], RATE))
    assert {p.label for p in answers} <= {UNCERTAIN, NO_SPEECH}


def predictions(labels: list[int], samples: Samples) -> list[Prediction]:
    """A stream's predictions, if these are the network's labels for its windows."""
    metadata = open_model().metadata
    following = iter([0, *labels])
    runtime = FakeRuntime(lambda _: np.eye(len(metadata.labels))[next(following)] * 0.9 + 0.0125)
    stream = Stream(Model(metadata, runtime), RATE, WindowConfig(min_speech_ratio=None))
    return [*stream.accept_waveform(samples), *stream.input_finished()]


def test_smoothing_hides_a_flicker_and_delays_a_change_by_at_most_a_window() -> None:
    samples = np.zeros(8 * RATE, np.float32)
    count = len(predictions([0] * 50, samples))
    change = count // 2
    names = open_model().metadata.labels
    found = [p.label for p in predictions([0] * change + [1] * count, samples)]
    assert found[:change] == [names[0]] * change
    assert found[change + 1 :] == [names[1]] * (count - change - 1)


@pytest.mark.slow
def test_memory_does_not_grow(recognizer: Recognizer) -> None:
    stream = recognizer.create_stream(RATE)
    minute = np.random.default_rng(0).normal(0, 0.01, 60 * RATE).astype(np.float32)
    sizes = []
    tracemalloc.start()
    for _ in range(3):
        stream.accept_waveform(minute)
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[-1] <= sizes[0] * 1.1


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"window_seconds": 0.0}, "window"),
        ({"hop_seconds": 0.0}, "hop"),
        ({"min_speech_ratio": 2.0}, "speech ratio"),
    ],
)
def test_windows_out_of_their_range_are_refused(settings: dict[str, float], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        WindowConfig(**settings)


@pytest.mark.parametrize("rate", [-5, 0, 1, 10**9])
def test_a_sample_rate_out_of_range_is_refused(rate: int, recognizer: Recognizer) -> None:
    with messages.raises(AudioError, "audio-sample-rate"):
        recognizer.create_stream(rate)


def test_a_window_longer_than_the_models_input_is_refused() -> None:
    with pytest.raises(ValueError, match="window"):
        Recognizer(windowing=WindowConfig(window_seconds=20.0))


def test_a_long_file_is_the_mean_of_its_windows_with_speech(tmp_path: Path, talk: Samples) -> None:
    recognizer = Recognizer()
    long = np.concatenate([talk, np.zeros(50 * RATE, np.float32), talk])
    soundfile.write(tmp_path / "long.wav", long, RATE)
    done: list[float] = []
    answer = recognizer.predict(tmp_path / "long.wav", progress=lambda now, _: done.append(now))
    windows = [p for p in recognizer.stream([long], RATE) if p.label != NO_SPEECH]
    mean = np.mean([list(p.probabilities.values()) for p in windows], axis=0)
    assert list(answer.probabilities.values()) == pytest.approx(mean.tolist(), abs=1e-3)
    assert answer.end == pytest.approx(len(long) / RATE, abs=1e-3)
    assert done == sorted(done)
    assert len(done) > 3


def test_a_long_file_without_speech_is_no_speech(tmp_path: Path) -> None:
    recognizer = Recognizer()
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, 70 * RATE), RATE)
    assert recognizer.predict(tmp_path / "noise.wav").label == NO_SPEECH


def test_a_network_of_a_fixed_length_gets_the_windows_of_a_long_file_too(talk: Samples) -> None:
    labels = open_model().metadata.labels
    metadata = ModelMetadata("fixed", labels, FeatureConfig(seconds=3.0))
    recognizer = Recognizer(Model(metadata, FakeRuntime(lambda _: np.eye(len(labels))[1])))
    late = np.concatenate([np.zeros(4 * RATE, np.float32), *[talk] * 5])
    warnings: list[str] = []
    with capture_warnings(warnings.append):
        whole, windows = recognizer.predict_with_windows((late, RATE))
        assert recognizer.predict((late, RATE)) == whole
    assert (whole.label, whole.end) == (labels[1], pytest.approx(len(late) / RATE, abs=1e-3))
    assert {p.label for p in windows} == {NO_SPEECH, labels[1]}
    assert warnings == []
    with capture_warnings(warnings.append):
        short = recognizer.predict((late[: 10 * RATE], RATE))
    assert (short.label, short.end) == (NO_SPEECH, 3.0)
    assert " silent, nothing above -80 dBFS in its first 3 s;" in warnings[0]


def test_a_stream_that_has_ended_takes_no_more(recognizer: Recognizer, talk: Samples) -> None:
    stream = recognizer.create_stream(RATE)
    assert stream.accept_waveform(talk[: 4 * RATE])
    assert stream.input_finished()
    assert stream.input_finished() == []
    with pytest.raises(ValueError, match="this stream is finished"):
        stream.accept_waveform(talk[:RATE])
