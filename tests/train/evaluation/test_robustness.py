"""Robustness: answers under corruptions, pooled figures, and what a run keeps of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import ser_train.evaluation.robustness_cache
from ser_edge.audio.reading import read
from ser_edge.errors import SerEdgeError
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import FrontEnd
from ser_edge.models.metadata import ModelMetadata, Normalization
from ser_edge.models.network import Model
from ser_train.cli.app import main, parse
from ser_train.data.corpus_loader import EMOTIONS, CorpusError, Utterance, read_corpus
from ser_train.data.splits import SPEAKER_FOLDS
from ser_train.evaluation.corruptions import (
    BABBLE_SPEAKERS,
    CORRUPTIONS,
    RATE,
    WINDOW_SECONDS,
)
from ser_train.evaluation.keras_model import open_run
from ser_train.evaluation.robustness import RobustnessAnswers, babble_sources, measure, pool, recordings_by_speaker
from ser_train.evaluation.robustness_cache import evaluated_utterances, network_answers
from ser_train.reporting.tables import robustness_table
from ser_train.runs.run_directory import Answers, RunDirectory
from ser_train.runs.settings import Settings
from tests import messages

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
def test_clean_recordings_are_classified_as_by_the_recognizer(
    config: FeatureConfig, make_run: MakeRun, utterances: list[Utterance]
) -> None:
    run = make_run(Settings("tiny", "speaker"), config)
    asked = evaluated_utterances(run, utterances)[4:12]
    model = open_run(run)
    answers = measure(model, asked, utterances, jobs=1)
    assert answers.names.tolist() == [u.path.stem for u in asked]
    assert answers.labels.tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    assert answers.whole.shape == (len(CORRUPTIONS), 8, 8)
    np.testing.assert_allclose(answers.whole.sum(axis=2), 1, atol=1e-5)
    front_end = FrontEnd(config)
    alone = model.probabilities(np.stack([front_end(read(u.path, RATE)) for u in asked]))
    np.testing.assert_allclose(answers.whole[0], alone, atol=1e-5)
    for seconds in WINDOW_SECONDS:  # these recordings are shorter than any window
        np.testing.assert_allclose(answers.windows(seconds)[1], alone, atol=1e-5)
        np.testing.assert_allclose(answers.voted(seconds)[1], alone, atol=1e-5)
    assert not np.allclose(answers.whole[list(CORRUPTIONS).index("white noise, 5 dB")], alone, atol=1e-3)


@pytest.mark.slow
def test_two_processes_and_another_order_give_the_same_answers(make_run: MakeRun, utterances: list[Utterance]) -> None:
    run = make_run(Settings("tiny", "speaker"))
    model, asked = open_run(run), evaluated_utterances(run, utterances)[:10]  # more than one task
    one, two = measure(model, asked, utterances, jobs=1), measure(model, asked[::-1], utterances[::-1], jobs=2)
    np.testing.assert_allclose(one.whole, two.whole[:, ::-1], atol=1e-5)


def test_babble_is_of_six_other_speakers(utterances: list[Utterance]) -> None:
    for utterance in utterances[::50]:
        actors = {path.parent.name for path in babble_sources(utterance, recordings_by_speaker(utterances))}
        assert len(actors) == BABBLE_SPEAKERS
        assert utterance.path.parent.name not in actors


def test_too_few_speakers_for_a_babble_are_refused(utterances: list[Utterance]) -> None:
    few = [u for u in utterances if u.actor <= 6]
    with messages.raises(CorpusError, "corpus-too-small"):
        babble_sources(few[0], recordings_by_speaker(few))


def test_a_network_of_another_sample_rate_is_refused(make_run: MakeRun, utterances: list[Utterance]) -> None:
    model = open_run(make_run(Settings("tiny", "speaker"), replace(MFCC, sample_rate=8000)))
    with messages.raises(CorpusError, "sample-rate-unsupported"):
        measure(model, utterances[:1], utterances, jobs=1)


def answers(
    labels: list[int], guesses: list[int], windows: list[tuple[float, int, int]] | None = None
) -> RobustnessAnswers:
    """Answers by hand: the guesses as recorded, and always 0 under all corruptions.

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
    first, second = answers([0, 1], [0, 1]), answers([0, 0, 0], [0, 1, 1])
    figures = pool([[first, second], [second, first], [answers([0, 0, 0, 0, 1], [1, 1, 1, 1, 1])]])
    assert figures.utterances == 5
    recorded, noisy, *_ = figures.corrupted
    assert (recorded.name, recorded.lost) == ("as recorded", 0)
    assert (recorded.wa, recorded.uar) == (46.67, 66.67)  # of 60, 60 and 20; of 75, 75 and 50
    assert (noisy.wa, noisy.uar, noisy.lost) == (80, 50, 16.67)
    assert {(live.windows, live.window_wa, live.voted_uar) for live in figures.live} == {(5, 46.67, 66.67)}


def test_windows_count_alone_and_vote_together() -> None:
    windows = [(3.0, 0, 0), (3.0, 1, 1), (3.0, 1, 1), (3.0, 1, 0), (2.0, 0, 1), (2.0, 1, 0), (1.5, 0, 0), (1.5, 1, 1)]
    three, two, _ = pool([[answers([0, 0], [0, 0]), answers([0, 1], [0, 1], windows)]]).live
    assert (three.window, three.hop, three.windows) == (3.0, 0.5, 6)
    assert (three.window_wa, three.window_uar) == (83.33, 83.33)  # 5 of 6; the mean of 3 of 3 and 2 of 3
    assert (three.voted_wa, three.voted_uar) == (100, 100)
    assert (two.windows, two.window_wa, two.voted_wa, two.voted_uar) == (4, 50, 50, 33.33)


@pytest.mark.slow
def test_a_run_keeps_what_was_measured_and_is_not_measured_again(
    make_run: MakeRun, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(Settings("tiny", "speaker", fold)) for fold in (0, 1)]
    command = [*(str(run.path) for run in runs), "--data", str(corpus), "--jobs", "1"]
    assert main(["robustness", *command, "--markdown", str(tmp_path / "table.md")]) == 0
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
    monkeypatch.setattr(
        ser_train.evaluation.robustness_cache, "measure", lambda *arguments: asked.append(arguments[-1])
    )
    assert main(["conditions", *command[:2]]) == 0  # no corpus is needed either
    assert capsys.readouterr().out == table
    make_other = keras.Sequential([keras.Input((SPEECH.frames, 20)), layers.Flatten(), layers.Dense(8, "softmax")])
    make_other.save(runs[1].path / "model.keras")
    with pytest.raises(TypeError):  # what `measure` gives here can't be kept
        main(["robustness", *command])
    assert asked == ["tiny-speaker-fold1-seed0"]


def test_a_corpus_without_the_test_voices_is_refused(make_run: MakeRun, corpus: Path) -> None:
    run = make_run(Settings("tiny", "speaker"), actors=(2, 5))
    options = parse(["robustness", str(run.path), "--data", str(corpus / "Actor_02"), "--jobs", "1"])
    with messages.raises(CorpusError, "corpus-not-found"):
        options.run(options)


def test_only_runs_that_make_one_figure_are_pooled(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(Settings("tiny", "speaker"))
    for code, path in (
        ("runs-mismatched", make_run(Settings("other", "speaker", 1)).path),
        ("runs-mismatched", make_run(Settings("tiny", "speaker", 1, 1)).path),  # another seed, other folds
        ("runs-mismatched", run.path),
        ("runs-incomplete", None),
    ):
        options = parse(["robustness", *([str(run.path), str(path)] if path else [str(tmp_path / "nothing")])])
        with messages.raises(SerEdgeError, code):
            options.run(options)
    assert capsys.readouterr().err == f"ser-train: {tmp_path / 'nothing'}: not a finished run, left out\n"


def test_a_file_is_asked_only_about_the_run_it_was_exported_from(
    make_run: MakeRun, corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = (make_run(Settings("tiny", "speaker", fold), actors=(2 + fold,)) for fold in (0, 1))
    file = run.path / "tiny.onnx"
    file.write_bytes(b"stands for a model")
    source = run

    def opened(path: Path) -> Model:
        model = open_run(run)
        model.metadata = replace(model.metadata, training={"run": source.path.name})
        return model

    monkeypatch.setattr(ser_train.evaluation.robustness_cache, "open_model", opened)
    command = [str(run.path), "--model", str(file), "--data", str(corpus), "--jobs", "1"]
    assert main(["robustness", *command]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("`tiny.onnx`, protocol `speaker`, 1 fold x 1 seed, 8 utterances")
    assert printed.endswith("\n\nThese figures say little: of one speaker alone.\n")
    assert run.read("conditions-tiny.onnx.json")["file"] == "tiny.onnx"
    assert network_answers(run) is None  # the file's figures aren't the network's
    for suffix in ("json", "npz"):  # where older versions kept them
        (run.path / f"conditions-tiny.onnx.{suffix}").rename(run.path / f"conditions.{suffix}")
    assert network_answers(run) is None
    assert main(["robustness", str(run.path), "--data", str(corpus), "--jobs", "1"]) == 0
    assert network_answers(run) is not None
    assert main(["robustness", *command]) == 0
    assert {path.name for path in run.path.glob("conditions*.json")} == {"conditions.json", "conditions-tiny.onnx.json"}
    capsys.readouterr()
    source = other
    file.write_bytes(b"stands for another")
    options = parse(["robustness", *command])
    with messages.raises(CorpusError, "runs-mismatched"):
        options.run(options)
    with pytest.raises(SystemExit, match="2"):
        main(["robustness", str(run.path), str(other.path), "--model", str(file)])
    assert "--model is exported from one run" in capsys.readouterr().err


def test_the_table_is_markdown() -> None:
    figures = pool([[answers([0, 1], [0, 1])]])
    lines = robustness_table(figures, "`crnn`").splitlines()
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
