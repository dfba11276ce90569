"""Tables as spreadsheets and people write them are read; what can't be read says what to do, once."""

import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_train.data.corpus_loader import CorpusError, Utterance, read_corpus
from ser_train.data.custom.custom_corpus import read_custom
from ser_train.data.download import locate
from tests import messages

LABELS, SPEAKERS = ("fröhlich", "wütend"), ("Jürgen 1", "Zoë 2", "Ann 3")
ROWS = [(f"rec/{a}{b}{n}.wav", LABELS[a], SPEAKERS[b]) for a, b, n in product(range(2), range(3), range(5))]
PLAIN = "\n".join(["path,label,speaker", *map(",".join, ROWS)]) + "\n"
SEMICOLONS = PLAIN.replace(",", ";")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the sounds that the tables name, each another recording."""
    place = tmp_path_factory.mktemp("tables")
    (place / "rec").mkdir()
    for value, (name, _, _) in enumerate(ROWS, 1):
        soundfile.write(place / name, np.full(100, value, np.int16), 16_000)
    return place


@pytest.fixture(scope="module")
def expected(folder: Path) -> list[Utterance]:
    """What every way to write the table says."""
    return read(folder, PLAIN)


def write(folder: Path, content: str | bytes, name: str = "recordings.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(folder: Path, content: str | bytes, name: str = "recordings.csv") -> list[Utterance]:
    path = write(folder, content, name)
    assert locate(path) == path
    return read_corpus(path, jobs=1)


def refusal(folder: Path, content: str | bytes, name: str = "recordings.csv", code: str = "corpus-table") -> str:
    with messages.raises(CorpusError, code) as caught:
        read(folder, content, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_column(place: int, head: str, cells: Sequence[str], delimiter: str = ";") -> str:
    """The table with one column more."""
    lines = [["path", "label", "speaker"], *map(list, ROWS)]
    for number, line in enumerate(lines):
        line.insert(place, head if number == 0 else cells[number % len(cells)])
    return "\n".join(map(delimiter.join, lines))


def lines(change: str) -> str:
    """Of the table, its other lines changed."""
    head, *others = PLAIN.splitlines()
    return "\n".join([head, *(change.format(*line.split(",")) for line in others)])


TABLES = {
    "semicolons": SEMICOLONS,
    "tabs": PLAIN.replace(",", "\t"),
    "bars": PLAIN.replace(",", "|"),
    "mark": b"\xef\xbb\xbf" + SEMICOLONS.encode(),
    "utf-16 little": "\ufeff".encode("utf-16-le") + PLAIN.replace(",", "\t").encode("utf-16-le"),
    "utf-16 big": "\ufeff".encode("utf-16-be") + SEMICOLONS.encode("utf-16-be"),
    "utf-16 little without mark": PLAIN.encode("utf-16-le"),
    "utf-16 big without mark": PLAIN.encode("utf-16-be"),
    "utf-32": PLAIN.encode("utf-32"),
    "windows-1252": SEMICOLONS.encode("windows-1252"),
    "windows line ends": PLAIN.replace("\n", "\r\n"),
    "old macintosh line ends": PLAIN.replace("\n", "\r"),
    "no last line end": PLAIN.rstrip(),
    "capitals": PLAIN.replace("path,label,speaker", "PATH,Label,SPEAKER"),
    "other names": PLAIN.replace("path,label,speaker", "File Name,Emotion,Actor-ID"),
    "quoted": lines('"{0}","{1}","{2}"').replace("path,label,speaker", '"path","label","speaker"'),
    "empty lines": PLAIN.replace("\n", "\n,,\n\n  , \t,\u00a0\n"),
    "empty lines above": "\n;;\n" + SEMICOLONS,
    "empty columns": PLAIN.replace("\n", ",,\n"),
    "spaces": lines("  {0} , {1}\u00a0,{2}  "),
    "spaces before quotes": lines('{0}, "{1}", "{2}"'),
    "spaces that do not break": PLAIN.replace("Jürgen 1", "Jürgen\u00a01"),
    "backslashes": lines("{0},{1},{2}").replace("rec/", ".\\rec\\"),
    "separator line of Excel": "sep=;\n" + SEMICOLONS,
    "repeated lines": PLAIN + PLAIN.partition("\n")[2],
    "decimal commas": with_column(3, "seconds", ["3,25", "12,5"]),
    "column in front": with_column(0, "nr", ["1", "2"]),
    "column between": with_column(1, "", ["", "x"], ","),
    "delimiters in quotes": with_column(3, "what", ['"well, well; so"', '"a ""b"""'], ","),
    "lines in quotes": with_column(3, "what", ['"one\ntwo"'], ","),
    "exact name beside another one": with_column(0, "emotion", ["a", "b"], ","),
}  # fmt: skip


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_is_read_as_it_was_written(table: str | bytes, folder: Path, expected: list[Utterance]) -> None:
    found = read(folder, table)
    assert [(u.emotion, u.speaker, u.digest) for u in found] == [(u.emotion, u.speaker, u.digest) for u in expected]
    assert {(u.emotion, u.actor) for u in found} == set(product(LABELS, SPEAKERS))


@pytest.mark.parametrize("name", ["a.tsv", "a.txt", "a.TAB", "A.CSV"])
def test_a_table_may_be_called_otherwise(name: str, folder: Path, expected: list[Utterance]) -> None:
    assert read(folder, PLAIN.replace(",", "\t"), name) == expected


def test_paths_may_be_absolute(folder: Path, expected: list[Utterance], tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN.replace("rec/", f"{folder}/rec/"))
    assert [u.digest for u in found] == [u.digest for u in expected]


def test_an_accent_in_a_path_may_be_stored_either_way(folder: Path, tmp_path: Path) -> None:
    for name, _, _ in ROWS:
        (tmp_path / name.replace("rec/", "u\u0308ber ")).write_bytes((folder / name).read_bytes())
    assert len(read(tmp_path, PLAIN.replace("rec/", "\u00fcber "))) == len(ROWS)


def test_reading_as_windows_text_is_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(folder, PLAIN)
    assert caplog.records == []
    path = write(folder, PLAIN.encode("windows-1252"))
    read_custom(path)
    assert [record.message for record in caplog.records] == [
        f"{path}: not in UTF-8, so read as Windows-1252; where letters are wrong, save it as UTF-8"
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xlsx", b"PK\x03\x04..."),
        ("a.csv", b"PK\x03\x04..."),
        ("a.xls", b"\xd0\xcf\x11\xe0..."),
        ("a.ods", b"PK\x03\x04..."),
    ],
)
def test_a_spreadsheet_is_to_be_saved_as_csv(name: str, content: bytes, folder: Path) -> None:
    refusal(folder, content, name)


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\xd8",
        b"\0" * 100,
        PLAIN.encode("utf-8") + b"\x81\x8d",
        PLAIN + '"rec/x.wav,a,b\n',
        PLAIN.replace("rec/", "C:\\rec\\"),
        PLAIN.replace("rec/", "\\\\nas\\rec\\"),
        PLAIN + f"{'x' * 5000}.wav,a,b",
        PLAIN + "rec/000.wav,wütend,Jürgen 1",
        PLAIN + ".\\rec\\000.wav,wütend,Zoë 2",
        with_column(3, "seconds", ["3,25"], ","),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="has drives")
def test_an_unusable_table_is_refused_in_one_line(content: str | bytes, folder: Path) -> None:
    refusal(folder, content)


def test_an_empty_file_is_refused(folder: Path) -> None:
    refusal(folder, b"", code="corpus-unreadable")


@pytest.mark.parametrize(
    ("content", "places"),
    [
        (PLAIN.replace("rec/", "none/"), "line 2 (none/000.wav) and 29 more: "),
        (PLAIN.replace(",wütend", ","), "line 17 and 14 more: "),
        (PLAIN + "rec,a,b\nrec/,a,b\n", "line 32 (rec) and 1 more: "),
    ],
)
def test_a_problem_of_several_lines_is_listed_once(content: str, places: str, folder: Path) -> None:
    assert places in refusal(folder, content)


def test_neither_a_zip_nor_a_table_is_refused_by_what_it_is(folder: Path) -> None:
    with messages.raises(CorpusError, "corpus-layout"):
        locate(folder / ROWS[0][0])
