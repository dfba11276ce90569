"""Known corpora are known by their names, one's own by LABEL/SPEAKER/; what may be meant otherwise is asked."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_train.data.corpus_loader import CorpusError, read_corpus
from ser_train.data.custom.custom_corpus import is_custom
from tests import messages

LABELS, SPEAKERS = ("bored", "engaged"), ("anna", "ben", "carla", "dan", "eva")
COINCIDENCES = ("03a01Wa.wav", "AB1_angry_1.wav", "DC_a01.wav", "1001_DFA_ANG_XX.wav", "OAF_back_angry.wav")
RAVDESS = [
    f"Actor_{actor:02}/03-01-{emotion:02}-01-01-01-{actor:02}.wav" for emotion in (3, 5) for actor in range(1, 6)
]
NEMO = [f"{speaker}_{emotion}_1.wav" for speaker in ("EB0", "KS0") for emotion in ("anger", "fear", "sadness")]


SPEECH_AND_SONG = (("Speech", "-01-"), ("Song", "-02-"))


def fill(folder: Path, names: Iterable[str]) -> Path:
    """A tiny sound for each name, another one in each."""
    for value, name in enumerate(names, 1):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, np.full(100, value, np.int16), 16_000)
    return folder


def own(
    labels: Sequence[str] = LABELS, speakers: Sequence[str] = SPEAKERS, files: Sequence[str] = ("1", "2")
) -> list[str]:
    return [f"{label}/{speaker}/{file}.wav" for label, speaker, file in product(labels, speakers, files)]


def refusal(folder: Path, code: str = "corpus-layout") -> str:
    with messages.raises(CorpusError, code) as caught:
        read_corpus(folder, jobs=1)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def labelled(folder: Path) -> Counter[tuple[str, str]]:
    utterances = read_corpus(folder, jobs=1)
    assert {u.corpus for u in utterances} == {"own"}
    return Counter((u.emotion, str(u.actor)) for u in utterances)


@pytest.mark.parametrize("name", COINCIDENCES)
def test_a_name_of_a_known_corpus_changes_no_folder_of_ones_own(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path, [*own(), f"bored/anna/{name}"])
    assert is_custom(tmp_path)
    assert labelled(tmp_path) == Counter(dict.fromkeys(product(LABELS, SPEAKERS), 2)) + Counter({("bored", "anna"): 1})
    notes = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert all(note.startswith(f"{tmp_path}: 1 of 21 sounds has a name of ") for note in notes)
    assert len(notes) == (name != "AB1_angry_1.wav")  # which only looks like one


@pytest.mark.parametrize("speaker", ["JK", "DC", "KL"])
def test_a_speaker_may_be_called_as_one_of_a_known_corpus(speaker: str, tmp_path: Path) -> None:
    fill(tmp_path, own(speakers=(speaker, *SPEAKERS), files=("take01", "a01", "n12")))
    assert labelled(tmp_path) == dict.fromkeys(product(LABELS, (speaker, *SPEAKERS)), 3)


@pytest.mark.parametrize("speakers", [SPEAKERS, ("Actor_01", "Actor_02", "Actor_03")])
def test_ones_own_labels_and_speakers_win_over_names_that_all_sounds_have(
    speakers: Sequence[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = [f"03-01-{emotion:02}-01-01-0{take}-01" for emotion in (3, 5) for take in (1, 2)]
    fill(tmp_path, own(speakers=speakers, files=files))
    assert labelled(tmp_path) == dict.fromkeys(product(LABELS, speakers), 4)
    count = 8 * len(speakers)
    assert [record.message for record in caplog.records] == [
        f"{tmp_path}: {count} of {count} sounds have names of RAVDESS speech; the LABEL/SPEAKER/ folders count"
    ]


KEPT = {
    "as it is": RAVDESS,
    "in a folder": [f"corpora/{name}" for name in RAVDESS],
    "without folders": [name.partition("/")[2] for name in RAVDESS],
    "two corpora": [*(f"ravdess/{name}" for name in RAVDESS), *(f"nemo/samples/{name}" for name in NEMO)],
    "speech and song": [f"{a}/{name.replace('-01-', b, 1)}" for a, b in SPEECH_AND_SONG for name in RAVDESS],
    "parts": [f"part{1 + (name[:8] > 'Actor_03')}/{name}" for name in RAVDESS],
    "train and test": [f"{'train' if name[:8] > 'Actor_03' else 'test'}/{name}" for name in RAVDESS],
    "sorted below the actor": [name.replace("/", "/angry/" if "-05-" in name else "/happy/") for name in RAVDESS],
    "one emotion": [f"angry/{name}" for name in RAVDESS if "-05-" in name],
    "TESS": [f"TESS/{s}_{e}/{s}_back_{e}.wav" for s in ("OAF", "YAF") for e in ("angry", "sad")],
    "SAVEE": [f"SAVEE/AudioData/{s}/{e}0{n}.wav" for s in ("DC", "JK") for e in ("a", "su") for n in (1, 2)],
}  # fmt: skip


@pytest.mark.parametrize("names", KEPT.values(), ids=KEPT)
def test_known_corpora_are_known_wherever_they_are_kept(
    names: Sequence[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path, names)
    assert not is_custom(tmp_path)
    utterances = read_corpus(tmp_path, jobs=1)
    assert len(utterances) == len(names)
    assert "own" not in {u.corpus for u in utterances}
    assert caplog.records == []


def test_a_known_corpus_is_known_though_every_file_is_there_twice_as_on_kaggle(tmp_path: Path) -> None:
    fill(tmp_path, RAVDESS)
    fill(tmp_path / "audio_speech_actors_01-24", RAVDESS)
    assert not is_custom(tmp_path)
    assert len(read_corpus(tmp_path, jobs=1)) == 2 * len(RAVDESS)


def test_a_folder_of_both_is_explained(tmp_path: Path) -> None:
    fill(tmp_path, [*RAVDESS, *(f"mine/{number}.wav" for number in range(9))])
    message = refusal(tmp_path)
    assert "10 of 19 sounds have names of RAVDESS speech" in message
    assert "like mine/0.wav" in message


def test_sounds_without_a_speaker_are_listed_once(tmp_path: Path) -> None:
    fill(tmp_path, [f"{label}/{number}.wav" for label in LABELS for number in range(150)])
    assert refusal(tmp_path).startswith(f"{tmp_path}/bored/0.wav and 299 more: ")


def test_an_empty_label_is_refused_but_junk_and_links_back_are_none(tmp_path: Path) -> None:
    fill(tmp_path, own())
    (tmp_path / "__MACOSX" / "bored").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "bored" / "._1.wav").touch()
    (tmp_path / "bored" / "anna" / "._1.wav").touch()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "back").symlink_to(tmp_path, target_is_directory=True)
    assert sum(labelled(tmp_path).values()) == 20
    (tmp_path / "tired").mkdir()
    assert refusal(tmp_path).startswith(f"{tmp_path}/tired: ")


def test_labels_and_speakers_may_be_links(tmp_path: Path) -> None:
    kept = fill(tmp_path / "kept", own())
    folder = tmp_path / "recordings"
    (folder / "engaged").mkdir(parents=True)
    (folder / "bored").symlink_to(kept / "bored", target_is_directory=True)
    for speaker in SPEAKERS:
        (folder / "engaged" / speaker).symlink_to(kept / "engaged" / speaker, target_is_directory=True)
    assert labelled(folder) == dict.fromkeys(product(LABELS, SPEAKERS), 2)


@pytest.mark.parametrize(
    ("names", "named"),
    [
        ([f"{part}/{name}" for part in ("train", "test") for name in own()], "test and train"),
        ([f"{part}/{label}/1.wav" for part in ("Train", "Val") for label in LABELS], "Train and Val"),
        ([f"train/{name}" for name in own()], "train"),
        (own(speakers=("train", "test")), "test and train"),
        (own(SPEAKERS, ("happy", "sad")), "anna/happy"),
        (own(SPEAKERS[:3], ("01_anger", "02_fear")), "01_anger/anna"),
        (own(("speaker1", "speaker2"), ("red", "blue")), "speaker1/blue"),
    ],
)
def test_a_layout_that_probably_means_something_else_is_refused(
    names: Sequence[str], named: str, tmp_path: Path
) -> None:
    assert named in refusal(fill(tmp_path, names))


@pytest.mark.parametrize(
    ("labels", "speakers"),
    [
        (("ängstlich", "froh", "wütend", "traurig", "müde", "ruhig", "stolz", "eifrig", "heiter", "still"), SPEAKERS),
        (SPEAKERS, ("red", "blue")),
    ],
)
def test_where_only_the_numbers_speak_it_is_not_advised_to_swap(
    labels: Sequence[str], speakers: Sequence[str], tmp_path: Path
) -> None:
    """Whoever swaps a right layout trains a network on voices; a table settles it."""
    folder = fill(tmp_path / "recordings", own(labels, speakers, "123"))
    message = refusal(folder)
    assert f"{min(labels)}/{min(speakers)}" in message
    assert f"{min(speakers)}/{min(labels)}" not in message
    rows = [f"recordings/{name},{','.join(name.split('/')[:2])}" for name in own(labels, speakers, "123")]
    (tmp_path / "recordings.csv").write_text("\n".join(["path,label,speaker", *rows]), "utf-8")
    assert labelled(tmp_path / "recordings.csv") == dict.fromkeys(product(labels, speakers), 3)


def test_a_single_label_is_refused(tmp_path: Path) -> None:
    assert "data" in refusal(fill(tmp_path, [f"data/{name}" for name in own()]), "corpus-too-small")


@pytest.mark.parametrize(
    ("labels", "speakers"),
    [
        (LABELS, ("anna", "ben")),
        (("happy", "sad", "angry", "calm", "tired"), ("me", "you")),
        (("red", "green", "blue", "white", "black", "brown"), ("me",)),
        (("red", "green", "blue", "white", "black", "brown"), SPEAKERS),
        (("1", "2", "3", "4", "5"), ("speaker 1", "speaker 2")),
        (("happy", "sad"), ("Joy", "Val", *SPEAKERS)),
    ],
)
def test_a_plausible_layout_is_accepted(labels: Sequence[str], speakers: Sequence[str], tmp_path: Path) -> None:
    fill(tmp_path, own(labels, speakers, "12345"))
    assert labelled(tmp_path) == dict.fromkeys(product(labels, speakers), 5)
