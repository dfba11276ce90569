"""Your own recordings: read from folders or a table, and refused in one line where a figure would be worth nothing."""

import zipfile
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_train.cli.app import main
from ser_train.data.corpus_loader import (
    CorpusError,
    Utterance,
    digest,
    duplicates,
    labels_of,
    read_corpora,
    read_corpus,
)
from ser_train.data.custom.custom_corpus import is_custom
from ser_train.data.download import locate
from ser_train.data.splits import PROTOCOLS
from tests import messages
from tests.conftest import make_recordings

SPEAKERS = ("anna", "ben", "carla", "dan", "eva")


def sound(path: Path, value: int) -> Path:
    """A tiny sound; the same recording wherever the value is the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(100, value, np.int16), 16_000, subtype="PCM_16")
    return path


def table(folder: Path, rows: Sequence[str], head: str = "path,label,speaker") -> Path:
    """A CSV file, and a sound for each row of it."""
    for value, row in enumerate(rows, 1):
        if row.partition(",")[0].strip().endswith(".wav"):
            sound(folder / row.partition(",")[0].strip(), value)
    path = folder / "recordings.csv"
    path.write_text("\n".join([head, *rows, ""]), "utf-8")
    return path


GOOD = [
    f"day/{number}{speaker}.wav,{label},{speaker}"
    for label, speaker, number in product(("bored", "engaged"), SPEAKERS, "12")
]
ROWS = [row.replace("day/", f"{place}-") for place, row in enumerate(GOOD)]


def refusal(path: Path, code: str) -> str:
    """The message, one line."""
    with messages.raises(CorpusError, code) as caught:
        read_corpus(path, jobs=1)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_recordings(tmp_path_factory.mktemp("own") / "recordings")


def test_folders_are_label_and_speaker(recordings: Path) -> None:
    utterances = read_corpus(recordings, jobs=1)
    assert Counter((u.emotion, u.actor) for u in utterances) == dict.fromkeys(product(("calm", "lively"), SPEAKERS), 3)
    first = utterances[0]
    assert (first.path, first.name) == (recordings / "calm/anna/1.wav", "calm/anna/1.wav")
    assert (first.corpus, first.speaker, first.sex, first.intensity) == ("own", "own/anna", "", "")
    assert labels_of(utterances) == ("calm", "lively")


def test_files_may_lie_deeper_and_be_called_alike(tmp_path: Path) -> None:
    for place, (label, speaker, day) in enumerate(product(("b", "a"), "xyz", ("monday", "tuesday"))):
        sound(tmp_path / label / speaker / day / "1.wav", place)
    names = [u.name for u in read_corpus(tmp_path, jobs=1)]
    assert names[:2] == ["a/x/monday/1.wav", "a/x/tuesday/1.wav"]
    assert len(set(names)) == 12


def test_a_table_gives_the_same_with_paths_beside_it_and_columns_in_any_order(tmp_path: Path) -> None:
    path = table(tmp_path, ROWS)
    utterances = read_corpus(path, jobs=1)
    assert Counter((u.emotion, u.actor) for u in utterances) == dict.fromkeys(
        product(("bored", "engaged"), SPEAKERS), 2
    )
    assert utterances[0].path == tmp_path / "0-1anna.wav"
    swapped = [",".join(reversed(row.split(","))) for row in ROWS]
    path.write_text("\n".join(["speaker,label,path", *swapped]), "utf-8-sig")  # as spreadsheets save it
    assert read_corpus(path, jobs=1) == utterances


def test_spaces_around_a_name_and_how_an_accent_is_stored_make_no_other_name(tmp_path: Path) -> None:
    rows = [row.replace("eva", name) for row, name in zip(ROWS, ("ren\u00e9 ", " rene\u0301") * 10, strict=True)]
    speakers = {u.actor for u in read_corpus(table(tmp_path, rows), jobs=1)}
    assert speakers == {"anna", "ben", "carla", "dan", "ren\u00e9"}


def test_another_label_or_speaker_makes_other_data(tmp_path: Path) -> None:
    def corpus_digest(rows: Sequence[str]) -> str:
        return digest(read_corpus(table(tmp_path, rows), jobs=1))

    relabelled = [ROWS[0].replace("bored", "engaged"), *ROWS[1:]]
    assert (
        len(
            {corpus_digest(ROWS), corpus_digest(relabelled), corpus_digest([ROWS[0].replace("anna", "ben"), *ROWS[1:]])}
        )
        == 3
    )
    assert corpus_digest(ROWS) == corpus_digest(ROWS)


def test_the_same_recording_twice_is_known(recordings: Path, tmp_path: Path) -> None:
    for path in recordings.rglob("*.wav"):
        copy = tmp_path / path.relative_to(recordings)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (tmp_path / "calm/anna/copy.wav").write_bytes((recordings / "calm/anna/1.wav").read_bytes())
    (group,) = duplicates(read_corpus(tmp_path, jobs=1))
    assert [u.name for u in group] == ["calm/anna/1.wav", "calm/anna/copy.wav"]


@pytest.mark.parametrize(
    ("rows", "head", "code"),
    [
        (ROWS, "path,label", "corpus-table"),
        (ROWS, "file,mood", "corpus-table"),
        (ROWS[1:], ROWS[0], "corpus-table"),
        (ROWS, "file,path,emotion,class,who", "corpus-table"),
        (ROWS, "path,label,label,speaker", "corpus-table"),
        ([], "", "corpus-table"),
        ([], "path,label,speaker", "corpus-table"),
        (["none.flac,bored,anna"], "path,label,speaker", "corpus-table"),
        (["1.wav,bored,anna,3,5"], "path,label,speaker,age", "corpus-table"),
        ([ROWS[0]], "path,label,speaker", "corpus-too-small"),
        ([*ROWS, "x.wav,bored,Anna"], "path,label,speaker", "corpus-conflict"),
        ([*ROWS, "x.wav,Bored,anna"], "path,label,speaker", "corpus-conflict"),
        ([*ROWS, "x.wav,uncertain,anna"], "path,label,speaker", "corpus-layout"),
        ([*ROWS, f"x.wav,{'1' * 101},anna"], "path,label,speaker", "corpus-layout"),
        ([*ROWS, "x.wav,tired\x1b[2J,anna"], "path,label,speaker", "corpus-layout"),
        ([*ROWS, "x.wav,tired,anna"], "path,label,speaker", "corpus-too-small"),
    ],
)
def test_an_incomplete_table_is_refused(rows: Sequence[str], head: str, code: str, tmp_path: Path) -> None:
    refusal(table(tmp_path, rows, head), code)


def test_empty_cells_are_listed_with_their_lines(tmp_path: Path) -> None:
    message = refusal(table(tmp_path, ["1.wav,,anna", "2.wav,bored"], "path,label,speaker"), "corpus-table")
    assert ", line 2: no label; " in message
    assert ", line 3: no speaker" in message


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recordings.csv"
    assert str(path) in refusal(path, "corpus-table")


@pytest.mark.parametrize("other", ["bored/ben/9.wav", "engaged/anna/9.wav"])
def test_one_recording_under_two_names_is_refused(other: str, tmp_path: Path) -> None:
    for value, (label, speaker) in enumerate(product(("bored", "engaged"), SPEAKERS)):
        sound(tmp_path / label / speaker / "1.wav", value)
    sound(tmp_path / other, 0)
    assert f"{tmp_path}/bored/anna/1.wav and {tmp_path}/{other}" in refusal(tmp_path, "corpus-conflict")


def test_many_conflicts_are_counted(tmp_path: Path) -> None:
    for value, speaker in enumerate(SPEAKERS):
        for label in ("bored", "engaged"):
            sound(tmp_path / label / speaker / "1.wav", value)
    assert refusal(tmp_path, "corpus-conflict").endswith("so are 4 more")


def test_a_zip_as_macos_makes_it_is_read_as_the_folder_in_it(recordings: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for path in sorted(recordings.rglob("*.wav")):
            name = path.relative_to(recordings.parent)
            archive.write(path, name)
            archive.writestr(f"__MACOSX/{name.parent}/._{name.name}", "what only macOS reads")
    found = read_corpus(locate(tmp_path / "mine.zip"), jobs=1)
    assert [(u.name, u.digest) for u in found] == [(u.name, u.digest) for u in read_corpus(recordings, jobs=1)]


def test_own_recordings_are_trained_on_alone(recordings: Path, corpus: Path) -> None:
    with messages.raises(CorpusError, "corpus-layout"):
        read_corpora([corpus, recordings], jobs=1)


def test_a_known_corpus_is_no_folder_of_ones_own_whatever_its_folders_are_called(corpus: Path, tmp_path: Path) -> None:
    sorted_by_hand = tmp_path / "angry" / "Actor_01"
    sorted_by_hand.mkdir(parents=True)
    name = "03-01-05-01-01-01-01.wav"
    (sorted_by_hand / name).write_bytes((corpus / "Actor_01" / name).read_bytes())
    assert not is_custom(corpus)
    assert not is_custom(tmp_path)
    assert [u.corpus for u in read_corpus(tmp_path, jobs=1)] == ["ravdess"]


# Splits.


def utterances_of(
    speakers: Sequence[str], labels: Sequence[str] = ("bored", "engaged"), takes: int = 3
) -> list[Utterance]:
    return [
        Utterance(Path(f"{take}"), "own", label, f"own/{speaker}", "", "", f"{take}", f"{label} {speaker} {take}")
        for label, speaker, take in product(labels, speakers, range(takes))
    ]


@pytest.mark.parametrize("count", [5, 6, 13])
def test_every_speaker_is_tested_once_and_is_never_on_both_sides(count: int) -> None:
    names = [f"s{number:02}" for number in range(count)]
    tested: list[str] = []
    for fold in range(5):
        split = PROTOCOLS["speaker"].split(utterances_of(names)[::-1], fold, 0)
        train, validation, test = ({u.speaker for u in part} for part in (split.train, split.validation, split.test))
        assert not test & (train | validation)
        assert not train & validation
        assert train | validation | test == {f"own/{name}" for name in names}
        assert split.extra == ()
        assert split.labels == ("bored", "engaged")
        tested += [str(name) for name in {u.actor for u in split.test}]
    assert sorted(tested) == names


def test_all_trains_on_everybody() -> None:
    split = PROTOCOLS["all"].split(utterances_of(["me"]), 0, 0)
    assert {u.actor for u in split.train} == {u.actor for u in split.test} == {"me"}


@pytest.mark.parametrize("protocol", ["notebook", "utterance", "inner"])
def test_protocols_that_test_known_voices_are_refused(protocol: str) -> None:
    with messages.raises(CorpusError, "corpus-protocol"):
        PROTOCOLS[protocol].split(utterances_of(SPEAKERS), 0, 0)


def test_too_few_speakers_are_refused_by_their_names() -> None:
    with messages.raises(CorpusError, "corpus-too-small") as caught:
        PROTOCOLS["speaker"].split(utterances_of(SPEAKERS[:4]), 0, 0)
    assert "anna, ben, carla, dan" in str(caught.value)


def test_a_label_of_the_test_speaker_alone_is_refused() -> None:
    utterances = [*utterances_of(SPEAKERS), *utterances_of(["ben"], ["furious"])]
    with messages.raises(CorpusError, "corpus-too-small"):
        PROTOCOLS["speaker"].split(utterances, 1, 0)
    assert PROTOCOLS["speaker"].split(utterances, 0, 0).labels == ("bored", "engaged", "furious")


def test_the_command_refuses_a_later_fold_before_it_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = [f"x{number}.wav,furious,eva" for number in range(5)]
    assert main(["--data", str(table(tmp_path, [*ROWS, *alone])), "--out", str(tmp_path / "runs")]) == 1
    found, refused = capsys.readouterr().err.splitlines()
    assert found == "25 files, 25 recordings, 5 speakers; labels: bored 10, engaged 10, furious 5"
    assert messages.codes_in(refused) == ["corpus-too-small"]
    assert not (tmp_path / "runs").exists()
