"""Damages do what they say, live windows cover a recording, and figures are made of the answers together."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from keras import layers

import ser_train.cli.robustness
from ser_edge.audio.reading import read
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import FrontEnd
from ser_edge.models.metadata import ModelMetadata, Normalization
from ser_train.cli.args import parse_robustness
from ser_train.cli.robustness import KerasModel, conditions, of_test
from ser_train.data.corpus_loader import EMOTIONS, CorpusError, Utterance, read_corpus
from ser_train.data.splits import SPEAKER_FOLDS
from ser_train.evaluation.corruptions import (
    BABBLE_SPEAKERS,
    CORRUPTIONS,
    RATE,
    WINDOW_SECONDS,
    Recording,
    live_windows,
    speech_span,
)
from ser_train.evaluation.robustness import RobustnessAnswers, _by_speaker, _talkers, markdown, measure, pool
from ser_train.runs.run_directory import Answers, RunDirectory
from ser_train.runs.settings import Settings

SPEECH = FeatureConfig(
    n_fft=512,
    win_length=400,
    hop_length=160,
    n_mels=20,
    n_mfcc=None,
    top_db=None,
    trim_db=20,
    dynamic_range_db=56,
    seconds=0.5,
)
MFCC = FeatureConfig(n_fft=512, n_mels=20, n_mfcc=8, seconds=0.5)
MakeRun = Callable[..., RunDirectory]


def tone(hertz: float, seconds: float, level: float = 0.1) -> npt.NDArray[np.float32]:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def spoken(before: float, speech: float, after: float) -> Recording:
    """Somebody hums between two silences, among six others, each at a pitch of their own."""
    hum = sum(tone(150 * k, speech, 0.1 / k) for k in range(1, 30))
    samples = np.pad(hum, (round(before * RATE), round(after * RATE))).astype(np.float32)
    span = slice(round(before * RATE), round((before + speech) * RATE))
    others = tuple(tone(1000 * (k + 1), 0.5, 0.01 * (k + 1)) for k in range(BABBLE_SPEAKERS))
    return Recording(samples, span, others)


def damaged(name: str, recording: Recording, seed: int = 0) -> npt.NDArray[np.float32]:
    return CORRUPTIONS[name](recording, np.random.default_rng(seed))


def decibels(samples: npt.NDArray[np.floating]) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def band(samples: npt.NDArray[np.floating], low: float, high: float) -> float:
    """dB of what is between two frequencies."""
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(10 * np.log10(spectrum[(hertz >= low) & (hertz < high)].sum()))


@pytest.fixture(scope="module")
def recording() -> Recording:
    return spoken(0.5, 1.5, 0.8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_damage_is_repeatable_and_as_long_as_the_recording(name: str, recording: Recording) -> None:
    samples = damaged(name, recording)
    assert samples.dtype == np.float32
    assert samples.shape == recording.samples.shape
    assert np.isfinite(samples).all()
    np.testing.assert_array_equal(samples, damaged(name, recording))
    assert np.array_equal(samples, recording.samples) == (name == "as recorded")


@pytest.mark.parametrize("ratio", [20, 10, 5])
@pytest.mark.parametrize("kind", ["white noise", "six others talk"])
def test_noise_is_as_loud_as_it_says_and_everywhere(kind: str, ratio: int, recording: Recording) -> None:
    noise = damaged(f"{kind}, {ratio} dB", recording) - recording.samples
    speech = recording.speech
    assert decibels(recording.samples[speech]) - decibels(noise[speech]) == pytest.approx(ratio, abs=0.01)
    for part in (noise[: speech.start], noise[speech.stop :]):
        assert decibels(part) == pytest.approx(decibels(noise[speech]), abs=0.5)


def test_the_noise_of_every_ratio_is_the_same_noise(recording: Recording) -> None:
    loud, soft = (damaged(f"white noise, {ratio} dB", recording) - recording.samples for ratio in (5, 20))
    np.testing.assert_allclose(loud, soft * 10 ** (15 / 20), atol=1e-5)


def test_a_babble_is_what_all_the_others_say_equally_loud(recording: Recording) -> None:
    babble = damaged("six others talk, 5 dB", recording) - recording.samples
    levels = [band(babble, 1000 * (k + 1) - 50, 1000 * (k + 1) + 50) for k in range(BABBLE_SPEAKERS)]
    assert max(levels) - min(levels) < 1
    assert band(babble, 1200, 1800) < min(levels) - 15


def test_gain_rounds_and_clips_as_a_converter_does(recording: Recording) -> None:
    steps = damaged("20 dB louder, clipped", recording) * 32768
    assert (steps.min(), steps.max()) == (-32768, 32767)
    inside = np.abs(recording.samples) < 0.09
    np.testing.assert_allclose(steps[inside], recording.samples[inside] * 327_680, atol=0.51)
    softer = damaged("20 dB softer, 16 bits", recording) * 32768
    np.testing.assert_array_equal(softer, np.round(softer))
    assert np.abs(softer - recording.samples * 3276.8).max() <= 0.51


def test_a_telephone_has_a_band(recording: Recording) -> None:
    hiss = replace(recording, samples=np.float32(0.05) * np.random.default_rng(0).standard_normal(RATE, np.float32))
    heard = damaged("telephone", hiss)
    middle = band(heard, 1000, 1100)
    assert middle == pytest.approx(band(hiss.samples, 1000, 1100), abs=0.5)
    for low in (50, 4500, 6000):
        assert band(heard, low, low + 100) < middle - 20
    quantized = damaged("telephone", replace(recording, samples=tone(1000, 1.0)))[RATE // 2 :]
    assert band(quantized, 1100, 3400) > band(quantized, 995, 1005) - 60  # the steps of mu-law, some 38 dB below


@pytest.mark.parametrize(("name", "kilobits"), [("MP3, 24 kbit/s", 24), ("Opus, 16 kbit/s", 16)])
def test_codecs_keep_to_their_bit_rate_and_come_back_in_time(
    name: str, kilobits: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, write = [], soundfile.write

    def weighed(memory: Any, *arguments: Any, **settings: Any) -> None:
        write(memory, *arguments, **settings)
        sizes.append(len(memory.getbuffer()))

    monkeypatch.setattr(soundfile, "write", weighed)
    recording = spoken(0.1, 3.0, 0.1)
    heard = damaged(name, recording)
    assert sizes[0] * 8 / 1000 / 3.2 == pytest.approx(kilobits, rel=0.4)
    spectra = np.fft.rfft([recording.samples, heard], 1 << 17)
    assert np.fft.irfft(spectra[0].conj() * spectra[1]).argmax() in (0, 1)  # samples late
    assert decibels(heard) == pytest.approx(decibels(recording.samples), abs=2)


def test_a_room_adds_a_tail_that_decays(recording: Recording) -> None:
    click = np.zeros(RATE, np.float32)
    click[1000] = 0.5
    heard = damaged("small room", replace(recording, samples=click))[1000:]
    assert heard[0] == pytest.approx(0.5, abs=1e-5)
    assert 10 * np.log10(0.25 / np.square(heard[1:], dtype=np.float64).sum()) == pytest.approx(5, abs=0.1)
    at_once, later = heard[1:1601], heard[3201:4801]  # 0.2 s apart, half of RT60
    assert decibels(at_once) - decibels(later) == pytest.approx(30, abs=2)


def test_speech_is_found_between_silences(recording: Recording) -> None:
    found = speech_span(recording.samples)
    assert abs(found.start - recording.speech.start) < 0.03 * RATE
    assert abs(found.stop - recording.speech.stop) < 0.03 * RATE


@pytest.mark.parametrize(
    ("seconds", "starts"),
    [(3.0, [0, 0.5, 1.0]), (2.0, [0, 0.5, 1.0, 1.5, 2.0]), (1.5, [0.5, 1.0, 1.5, 2.0])],
)
def test_live_windows_that_hold_enough_speech_count(seconds: float, starts: list[float]) -> None:
    recording = spoken(1.0, 2.0, 1.0)
    recording = replace(recording, samples=np.arange(4 * RATE, dtype=np.float32))  # each tells where it is
    windows = live_windows(recording, seconds)
    assert [round(float(window[0]) / RATE, 3) for window in windows] == starts
    assert {len(window) for window in windows} == {round(seconds * RATE)}


def test_little_speech_is_judged_by_the_window_that_has_most() -> None:
    recording = spoken(2.6, 0.3, 0.1)
    (window,) = live_windows(recording, 1.5)
    np.testing.assert_array_equal(window, recording.samples[-round(1.5 * RATE) :])


@pytest.mark.parametrize("seconds", WINDOW_SECONDS)
def test_a_recording_shorter_than_a_window_is_one(seconds: float) -> None:
    recording = spoken(0.1, 0.9, 0.1)
    (window,) = live_windows(recording, seconds)
    np.testing.assert_array_equal(window, recording.samples)


@pytest.fixture(scope="module")
def utterances(corpus: Path) -> list[Utterance]:
    return read_corpus(corpus, jobs=1)


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(settings: Settings, config: FeatureConfig = SPEECH, actors: tuple[int, ...] = ()) -> RunDirectory:
        """A run of an untrained network, tested on one take of each emotion by two voices."""
        run = RunDirectory(tmp_path / settings.name)
        run.path.mkdir()
        actors = actors or SPEAKER_FOLDS[settings.fold][:2]
        names = [f"03-01-{emotion:02}-01-01-01-{actor:02}" for actor in actors for emotion in range(1, 9)]
        keras.utils.set_random_seed(settings.seed)
        shape = (config.frames or 0, config.coefficients)
        network = [layers.Flatten(), layers.Dense(len(EMOTIONS), activation="softmax")]
        keras.Sequential([keras.Input(shape), *network]).save(run.path / "model.keras")
        mean, std = (-20.0,) * config.coefficients, (20.0,) * config.coefficients
        metadata = ModelMetadata("tiny", EMOTIONS, config, Normalization(mean, std), temperature=2.0)
        run.write("description.json", metadata.to_json())
        n = len(names) + 1
        run.write_answers(
            Answers(
                np.zeros((n, *shape), np.float32),
                np.append(np.tile(np.arange(8), len(actors)), 0),
                np.array([*names, "03-01-01-01-01-01-24"]),
                np.append(np.repeat(actors, 8), 24),
                np.full((n, 8), 1 / 8, np.float32),
                np.arange(n) < n - 1,  # the last is there to check numbers
            )
        )
        run.write("run.json", {"settings": vars(settings)})
        return run

    return make


@pytest.mark.parametrize("config", [SPEECH, MFCC])
def test_untouched_recordings_are_judged_as_ever(
    config: FeatureConfig, make_run: MakeRun, utterances: list[Utterance]
) -> None:
    run = make_run(Settings("tiny", "speaker"), config)
    asked = of_test(run, utterances)[4:12]
    model = KerasModel(run)
    heard = measure(model, asked, utterances, jobs=1)
    assert heard.names.tolist() == [u.path.stem for u in asked]
    assert heard.labels.tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    assert heard.whole.shape == (len(CORRUPTIONS), 8, 8)
    np.testing.assert_allclose(heard.whole.sum(axis=2), 1, atol=1e-5)
    front_end = FrontEnd(config)
    alone = model.probabilities(np.stack([front_end(read(u.path, RATE)) for u in asked]))
    np.testing.assert_allclose(heard.whole[0], alone, atol=1e-5)
    for seconds in WINDOW_SECONDS:  # these recordings are shorter than any window
        np.testing.assert_allclose(heard.windows(seconds)[1], alone, atol=1e-5)
        np.testing.assert_allclose(heard.voted(seconds)[1], alone, atol=1e-5)
    assert not np.allclose(heard.whole[list(CORRUPTIONS).index("white noise, 5 dB")], alone, atol=1e-3)


def test_two_processes_and_another_order_hear_the_same(make_run: MakeRun, utterances: list[Utterance]) -> None:
    run = make_run(Settings("tiny", "speaker"))
    model, asked = KerasModel(run), of_test(run, utterances)[:10]  # more than one task
    one, two = measure(model, asked, utterances, jobs=1), measure(model, asked[::-1], utterances[::-1], jobs=2)
    np.testing.assert_allclose(one.whole, two.whole[:, ::-1], atol=1e-5)


def test_babblers_are_six_other_speakers(utterances: list[Utterance]) -> None:
    for utterance in utterances[::50]:
        actors = {path.parent.name for path in _talkers(utterance, _by_speaker(utterances))}
        assert len(actors) == BABBLE_SPEAKERS
        assert utterance.path.parent.name not in actors


def test_too_few_speakers_for_a_babble_are_refused(utterances: list[Utterance]) -> None:
    few = [u for u in utterances if u.actor <= 6]
    with pytest.raises(CorpusError, match="a babble needs 6 other speakers than ravdess/01; found 5"):
        _talkers(few[0], _by_speaker(few))


def test_a_network_of_another_sample_rate_is_refused(make_run: MakeRun, utterances: list[Utterance]) -> None:
    model = KerasModel(make_run(Settings("tiny", "speaker"), replace(MFCC, sample_rate=8000)))
    with pytest.raises(CorpusError, match="tiny: hears 8000 Hz"):
        measure(model, utterances[:1], utterances, jobs=1)


def heard(
    labels: list[int], guesses: list[int], windows: list[tuple[float, int, int]] | None = None
) -> RobustnessAnswers:
    """Answers by hand: the guesses as recorded, and always 0 under all other conditions.

    Windows are (seconds, place, guess); without them each utterance has one of each length, with its own guess.
    """
    sure = np.eye(2, dtype=np.float32)
    windows = windows or [(s, place, guess) for s in WINDOW_SECONDS for place, guess in enumerate(guesses)]
    seconds, places, live = zip(*windows, strict=True)
    return RobustnessAnswers(
        np.array([f"{place}" for place in range(len(labels))]),
        np.array(labels),
        np.stack([sure[guesses], *[sure[[0] * len(labels)]] * (len(CORRUPTIONS) - 1)]),
        0.2 + 0.6 * sure[list(live)],
        np.array(seconds),
        np.array(places),
    )


def test_folds_are_put_together_and_seeds_averaged() -> None:
    first, second = heard([0, 1], [0, 1]), heard([0, 0, 0], [0, 1, 1])
    figures = pool([[first, second], [second, first], [heard([0, 0, 0, 0, 1], [1, 1, 1, 1, 1])]])
    assert figures.utterances == 5
    recorded, noisy, *_ = figures.conditions
    assert (recorded.name, recorded.lost) == ("as recorded", 0)
    assert (recorded.wa, recorded.uar) == (46.67, 66.67)  # of 60, 60 and 20; of 75, 75 and 50
    assert (noisy.wa, noisy.uar, noisy.lost) == (80, 50, 16.67)
    assert {(live.windows, live.window_wa, live.voted_uar) for live in figures.live} == {(5, 46.67, 66.67)}


def test_windows_count_alone_and_vote_together() -> None:
    windows = [(3.0, 0, 0), (3.0, 1, 1), (3.0, 1, 1), (3.0, 1, 0), (2.0, 0, 1), (2.0, 1, 0), (1.5, 0, 0), (1.5, 1, 1)]
    three, two, _ = pool([[heard([0, 0], [0, 0]), heard([0, 1], [0, 1], windows)]]).live
    assert (three.window, three.hop, three.windows) == (3.0, 0.5, 6)
    assert (three.window_wa, three.window_uar) == (83.33, 83.33)  # 5 of 6; the mean of 3 of 3 and 2 of 3
    assert (three.voted_wa, three.voted_uar) == (100, 100)
    assert (two.windows, two.window_wa, two.voted_wa, two.voted_uar) == (4, 50, 50, 33.33)


def test_a_run_keeps_what_was_measured_and_is_not_measured_again(
    make_run: MakeRun, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(Settings("tiny", "speaker", fold)) for fold in (0, 1)]
    command = [*(str(run.path) for run in runs), "--data", str(corpus), "--jobs", "1"]
    assert conditions(parse_robustness([*command, "--markdown", str(tmp_path / "table.md")])) == 0
    table = capsys.readouterr().out
    assert table == (tmp_path / "table.md").read_text("utf-8")
    assert table.startswith("`tiny`, protocol `speaker`, 2 folds x 1 seed, 32 utterances; percent.\n")
    assert table.count("\n| ") == 2 + len(CORRUPTIONS) + 1 + len(WINDOW_SECONDS)
    kept = runs[1].read("conditions.json")
    about = {name: kept[name] for name in ("protocol", "fold", "seed", "file", "utterances")}
    assert about == {"protocol": "speaker", "fold": 1, "seed": 0, "file": "keras", "utterances": 16}
    assert [condition["name"] for condition in kept["conditions"]] == list(CORRUPTIONS)
    assert set(kept["conditions"][0]) == {"name", "wa", "uar", "lost"}
    assert [(live["window"], live["windows"]) for live in kept["live"]] == [(seconds, 16) for seconds in WINDOW_SECONDS]

    asked = []
    monkeypatch.setattr(ser_train.cli.robustness, "measure", lambda *arguments: asked.append(arguments[-1]))
    assert conditions(parse_robustness(command[:2])) == 0  # no corpus is needed either
    assert capsys.readouterr().out == table
    make_other = keras.Sequential([keras.Input((SPEECH.frames, 20)), layers.Flatten(), layers.Dense(8, "softmax")])
    make_other.save(runs[1].path / "model.keras")
    with pytest.raises(TypeError):  # what `measure` gives here can't be kept
        conditions(parse_robustness(command))
    assert asked == ["tiny-speaker-fold1-seed0"]


def test_a_corpus_without_the_test_voices_is_refused(make_run: MakeRun, corpus: Path) -> None:
    run = make_run(Settings("tiny", "speaker"), actors=(2, 5))
    with pytest.raises(CorpusError, match=f"^{run.path}: 8 of the 16 utterances .* like 03-01-01-01-01-01-05; give"):
        conditions(parse_robustness([str(run.path), "--data", str(corpus / "Actor_02"), "--jobs", "1"]))


def test_only_runs_that_make_one_figure_are_pooled(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(Settings("tiny", "speaker"))
    refused = {
        "several networks, protocols or recipes": [run, make_run(Settings("other", "speaker", 1))],
        r"seeds \[0, 1\] have different folds": [run, make_run(Settings("tiny", "speaker", 1, 1))],
        "there is another run of this fold and seed": [
            run,
            make_run(Settings("tiny", "speaker", epochs=3, seed=0, changes=("a=1",))),
        ],
        "none of these is a finished run": [RunDirectory(tmp_path / "nothing")],
    }
    for message, runs in refused.items():
        with pytest.raises(CorpusError, match=message):
            conditions(parse_robustness([str(run.path) for run in runs]))
    assert capsys.readouterr().err == f"ser-train: {tmp_path / 'nothing'}: not a finished run, left out\n"


def test_a_file_is_asked_only_about_the_run_it_was_exported_from(
    make_run: MakeRun, corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = (make_run(Settings("tiny", "speaker", fold), actors=(2 + fold,)) for fold in (0, 1))
    file = run.path / "tiny.onnx"
    file.write_bytes(b"stands for a model")
    source = run

    def opened(path: Path) -> KerasModel:
        model = KerasModel(run)
        model.metadata = replace(model.metadata, training={"run": source.path.name})
        return model

    monkeypatch.setattr(ser_train.cli.robustness, "open_model", opened)
    command = [str(run.path), "--model", str(file), "--data", str(corpus), "--jobs", "1"]
    assert conditions(parse_robustness(command)) == 0
    said = capsys.readouterr().out
    assert said.startswith("`tiny.onnx`, protocol `speaker`, 1 fold x 1 seed, 8 utterances")
    assert said.endswith("\n\nThese figures say little: of one voice alone.\n")
    assert run.read("conditions.json")["file"] == "tiny.onnx"
    source = other
    file.write_bytes(b"stands for another")
    with pytest.raises(CorpusError, match="exported from tiny-speaker-fold1-seed0, which may have heard"):
        conditions(parse_robustness(command))
    with pytest.raises(SystemExit, match="2"):
        conditions(parse_robustness([str(run.path), str(other.path), "--model", str(file)]))
    assert "--model is exported from one run" in capsys.readouterr().err


def test_the_table_is_markdown() -> None:
    figures = pool([[heard([0, 1], [0, 1])]])
    lines = markdown(figures, "`crnn`").splitlines()
    assert lines[:6] == [
        "`crnn`, 2 utterances; percent.",
        "",
        "| whole recordings | WA | UAR | UAR lost |",
        "|---|---|---|---|",
        "| as recorded | 100.0 | 100.0 | 0.0 |",
        "| white noise, 20 dB | 50.0 | 50.0 | 50.0 |",
    ]
    assert lines[-5:] == [
        "|---|---|---|---|",
        "| whole recording | | | 100.0 / 100.0 |",
        "| windows of 3 s | 2 | 100.0 / 100.0 | 100.0 / 100.0 |",
        "| windows of 2 s | 2 | 100.0 / 100.0 | 100.0 / 100.0 |",
        "| windows of 1.5 s | 2 | 100.0 / 100.0 | 100.0 / 100.0 |",
    ]
