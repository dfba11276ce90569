"""Reads tables of recordings with their labels and speakers: CSV and similar text, as spreadsheets save it.

Cells are separated by commas, semicolons, tabs or bars, whichever makes columns of the first line. Text is UTF-8 or
UTF-16, with or without a byte-order mark, else Windows-1252. Column names are case-insensitive, and other columns are
ignored. Nothing here opens sounds: `custom_corpus` does.
"""

import codecs
import csv
import io
import logging
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ser_train.data.utterance import CorpusError, raise_problems

_log = logging.getLogger(__name__)

_CODE = "corpus-table"
_TEXTS = frozenset({".csv", ".tab", ".tsv", ".txt"})
_SPREADSHEETS = frozenset({".numbers", ".ods", ".xls", ".xlsb", ".xlsm", ".xlsx"})
_ARCHIVES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # the first bytes of spreadsheets, whatever their suffix
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}  # in order of preference
_BYTE_ORDER_MARKS = (  # longest first: UTF-32's begins as UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COLUMNS = {  # other names that a column may have
    "path": "file filename file_name filepath file_path fname audio audio_file audio_path wav wav_file wav_path sound "
    "recording clip",
    "label": "labels emotion emotions emotion_label class category target mood",
    "speaker": "speakers speaker_id speaker_name spk actor actor_id actor_name subject subject_id participant "
    "participant_id person voice talker",
}
_SHOWN = 80  # characters of a first line in a message


@dataclass(frozen=True)
class Row:
    """One line of a table; no cell is empty."""

    line: int  # of the file, from 1
    path: str  # as it is written
    label: str
    speaker: str


def is_table(path: Path) -> bool:
    """Whether the suffix is a table's, or a spreadsheet's, which `read_rows` refuses with advice."""
    return path.suffix.lower() in _TEXTS | _SPREADSHEETS and not path.is_dir()


def read_rows(path: Path) -> list[Row]:
    """Reads a table.

    Raises:
        CorpusError: not text, without the three columns, or with empty cells.
    """
    text = _text(path)
    first = _first_line(text)
    delimiter = max(_DELIMITERS, key=lambda each: len(_known_columns(_split(first, each))))
    if asked := re.fullmatch(r'"?sep=(.?)"?', first.strip()):  # Excel's separator line
        delimiter, text = asked[1] or "\t", text.replace(first, "", 1)
        first = _first_line(text)
    lines = _lines(path, text, delimiter)
    _, header = next(lines, (0, []))
    places = _places(path, header, first)
    rows, problems = [], []
    for line, cells in lines:
        where = f"{path}, line {line}"
        given = {column: cells[place] if place < len(cells) else "" for column, place in places.items()}
        if empty := [column for column, cell in given.items() if not cell]:
            problems.append((where, f"no {' and no '.join(empty)}"))
        elif any(cells[len(header) :]):
            what = _DELIMITERS.get(delimiter, delimiter)
            problems.append((where, f"more cells than the first line; put quotation marks around a {what} in a cell"))
        else:
            rows.append(Row(line, **given))
    raise_problems(problems, _CODE)
    if not rows:
        raise CorpusError(f"{path}: no recording in it", code=_CODE)
    return rows


def _text(path: Path) -> str:
    """The decoded text with Unix line ends."""
    try:
        data = path.read_bytes()
    except OSError as e:
        raise CorpusError(f"{path}: can't be read as a table ({e.strerror})", code=_CODE) from e
    if path.suffix.lower() in _SPREADSHEETS or data.startswith(_ARCHIVES):
        raise CorpusError(f"{path}: a spreadsheet; save it as CSV (UTF-8), and give that file", code=_CODE)
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "")
    if not encoding and b"\0" in data:  # half of most letters in UTF-16, none in other text
        encoding = "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError as e:
        try:
            text = data.decode(encoding or "windows-1252")
        except UnicodeDecodeError:
            message = f"{path}: can't be read as a table in UTF-8 ({e}); save it as CSV (UTF-8)"
            raise CorpusError(message, code=_CODE) from e
        _log.warning("%s: not in UTF-8, so read as Windows-1252; where letters are wrong, save it as UTF-8", path)
    if "\0" in text:
        raise CorpusError(f"{path}: can't be read as a table: not text; save it as CSV (UTF-8)", code=_CODE)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _first_line(text: str) -> str:
    """The first line with more than delimiters."""
    nothing = "".join(_DELIMITERS)
    return next((line for line in text.split("\n") if _stripped(line).strip(nothing).strip(nothing + " ")), "")


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])


def _lines(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, stripped cells) of each line that isn't empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            stripped = [_stripped(cell) for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as e:
        message = f"{path}, line {reader.line_num}: quotation marks don't pair ({e}); save it again"
        raise CorpusError(message, code=_CODE) from e


def _stripped(cell: str) -> str:
    """A cell without surrounding white space, non-breaking and zero-width spaces included."""
    return cell.strip().strip("\ufeff\u200b").strip()


def _known_columns(header: Sequence[str]) -> dict[str, list[int]]:
    """The indices of all columns that may be path, label or speaker."""
    names = [re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFKC", _stripped(cell)).casefold()) for cell in header]
    found = {}
    for column, others in _COLUMNS.items():
        exact = [place for place, name in enumerate(names) if name == column]
        if places := exact or [place for place, name in enumerate(names) if name in others.split()]:
            found[column] = places
    return found


def _places(path: Path, header: Sequence[str], line: str) -> dict[str, int]:
    """The index of each column."""
    known = _known_columns(header)
    for column, places in known.items():
        if len(places) > 1:
            named = " and ".join(header[place] for place in places)
            message = f"{path}: its columns {named} may each be the {column}; call one of them {column}"
            raise CorpusError(message, code=_CODE)
    if missing := [column for column in _COLUMNS if column not in known]:
        shown = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
        raise CorpusError(
            f"{path}: no column for the {' and the '.join(missing)}: its first line is {shown.strip() or 'empty'}; "
            f"it must name the columns {','.join(_COLUMNS)}",
            code=_CODE,
        )
    return {column: places[0] for column, places in known.items()}
