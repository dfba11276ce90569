"""Cross-corpus tests: corpus by corpus, among the emotions that each has."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_edge.models.loader import open_model
from ser_train.cli.app import main, parse
from ser_train.data.corpus_loader import CorpusError, read_corpora
from ser_train.evaluation.cross_corpus import CrossCorpusResult, score_corpora
from ser_train.reporting.tables import cross_corpus_table
from ser_train.runs.provenance import UNSEEN
from tests import messages
from tests.conftest import RATE, voice


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two utterances of SAVEE, one of TESS."""
    for place, name in enumerate(("DC_a01.wav", "DC_sa01.wav", "OAF_back_disgust.wav")):
        soundfile.write(tmp_path / name, voice(place, 1, 1), RATE)
    return tmp_path


class Calm:
    """A network that always predicts calm first, angry next."""

    def __init__(self, data: str = "", unseen: Sequence[int] = ()) -> None:
        metadata = open_model("crnn").metadata
        training = {**metadata.training, "data": data, UNSEEN: list(unseen)} if data else metadata.training
        self.metadata = replace(metadata, training=training)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        answer = [0.5 if label == "calm" else 0.3 if label == "angry" else 0.2 / 6 for label in self.metadata.labels]
        return np.tile(np.array(answer, np.float32), (len(features), 1))


def test_an_emotion_that_a_corpus_lacks_is_no_answer(folder: Path) -> None:
    savee, tess = sorted(score_corpora(Calm(), "calm", read_corpora([folder], 1)), key=lambda figure: figure.corpus)
    trained_on = "RAVDESS speech, RAVDESS song, nEMO"
    assert savee == CrossCorpusResult("calm", trained_on, "savee", 2, 7, 50.0, 50.0)  # angry twice: SAVEE has no calm
    assert tess == CrossCorpusResult("calm", trained_on, "tess", 1, 7, 0.0, 0.0)


def test_utterances_of_emotions_that_a_network_lacks_do_not_count(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = Calm()
    network.metadata = replace(network.metadata, labels=("calm", "angry"))
    (savee,) = score_corpora(network, "calm", [u for u in read_corpora([folder], 1) if u.corpus == "savee"])
    assert (savee.utterances, savee.emotions, savee.uar) == (1, 1, 100.0)
    assert caplog.messages == ["calm: has no label sad; 1 recordings left out"]


def test_corpora_and_speakers_of_its_training_are_left_out(folder: Path) -> None:
    for name in ("EB0_anger_1.wav", "03-02-05-01-01-01-07.wav", "03-02-05-01-01-01-08.wav"):  # nEMO, two singers
        soundfile.write(folder / name, voice(len(name), 2, int(name[-5])), RATE)
    network = Calm("RAVDESS speech, CC BY-NC-SA 4.0; nEMO, CC BY-NC-SA 4.0", [8])
    counts = {figure.corpus: figure.utterances for figure in score_corpora(network, "calm", read_corpora([folder], 1))}
    assert counts == {"ravdess_song": 1, "savee": 2, "tess": 1}


def test_a_known_corpuss_recording_in_a_folder_of_own_ones_is_still_of_that_corpus(folder: Path) -> None:
    (folder / "03-01-05-01-01-01-08.wav").write_bytes((folder / "DC_a01.wav").read_bytes())
    own = [replace(u, corpus="own", speaker=f"own/{u.path.stem}") for u in read_corpora([folder], 1)]
    (figure,) = score_corpora(Calm("RAVDESS speech, CC BY-NC-SA 4.0"), "calm", own, frozenset())
    assert (figure.corpus, figure.utterances) == ("own", len(own) - 1)


def test_a_network_that_lists_no_training_data_is_refused(folder: Path) -> None:
    network = Calm()
    network.metadata = replace(network.metadata, training={})
    with messages.raises(CorpusError, "corpus-seen"):
        score_corpora(network, "calm", read_corpora([folder], 1))


def test_the_command_tests_files_and_leaves_out_what_is_no_run(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bundled = Path(__file__).parents[3] / "edge/ser_edge/models/bundled/crnn.onnx"
    page = tmp_path / "table.md"
    command = ["cross-corpus", str(bundled), str(tmp_path / "none"), "--data", str(folder), "--markdown", str(page)]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert printed.err == f"ser-train: {tmp_path / 'none'}: not a finished run, left out\n"
    assert printed.out == page.read_text()
    assert "`crnn.onnx`" in printed.out
    assert "SAVEE (chance 14.3)" in printed.out


def test_each_corpus_is_a_column_and_runs_of_one_kind_are_a_row() -> None:
    seeds = [CrossCorpusResult("a", "RAVDESS speech", "nemo", 9, 6, 50, uar) for uar in (40, 42)]
    table = cross_corpus_table([*seeds, CrossCorpusResult("a", "SAVEE", "tess", 8, 7, 50, 30)])
    assert table.splitlines()[2:] == [
        "| `a` | RAVDESS speech | 41.0 ± 1.4 (2 runs), 9 utterances |  |",
        "| `a` | SAVEE |  | 30.0, 8 utterances |",
    ]


def test_networks_of_other_labels_have_other_levels_of_chance() -> None:
    results = [CrossCorpusResult(name, "SAVEE", "own", 8, labels, 50, 30) for name, labels in (("a", 2), ("b", 8))]
    head, _, *rows = cross_corpus_table(results).splitlines()
    assert head == "| UAR, % | trained on | own recordings |"
    assert [row.split(" | ")[-1] for row in rows] == [
        "30.0 (chance 50.0), 8 utterances |",
        "30.0 (chance 12.5), 8 utterances |",
    ]


def test_two_speakers_say_little() -> None:
    table = cross_corpus_table([CrossCorpusResult("a", "SAVEE", "tess", 8, 7, 50, 30, speakers=2)])
    assert table.splitlines()[2] == "| `a` | SAVEE | 30.0, 8 utterances (say little: of 2 speakers alone) |"


def test_a_network_trained_on_all_of_the_data_is_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundled = Path(__file__).parents[3] / "edge/ser_edge/models/bundled/crnn.onnx"
    songs = folder / "songs"
    songs.mkdir()
    soundfile.write(songs / "03-02-05-01-01-01-08.wav", voice(1, 1, 1), RATE)
    options = parse(["across", str(bundled), "--data", str(songs)])  # the name of 0.1
    with messages.raises(CorpusError, "corpus-seen"):
        options.run(options)
    assert capsys.readouterr().err == f"ser-train: {bundled}: trained on all of this data, left out\n"
