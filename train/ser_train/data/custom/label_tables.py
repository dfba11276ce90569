"""Tables that say of recordings whose they are and what is in them: text, as spreadsheets and people save it.

Cells are parted by commas, semicolons, tabs or bars, whichever makes columns of the first line. Text is UTF-8 or
UTF-16, with or without a mark at its beginning, else Windows-1252. Columns have their names in any case, and others may
stand beside them. Nothing here looks at the sounds: `own` does.
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

__all__ = ["Row", "is_table", "read_rows"]

_log = logging.getLogger(__name__)

_TEXTS = frozenset({".csv", ".tab", ".tsv", ".txt"})
_SPREADSHEETS = frozenset({".numbers", ".ods", ".xls", ".xlsb", ".xlsm", ".xlsx"})
_ARCHIVES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # how files of spreadsheets begin, whatever they are called
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}  # the first of equals
_MARKS = (  # longest first: UTF-32's begins as UTF-16's
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
    """What a line says of a recording; no cell is empty."""

    line: int  # of the file, from 1
    path: str  # as it is written
    label: str
    speaker: str


def is_table(path: Path) -> bool:
    """Whether it is called like a table, or like a spreadsheet, which `read_rows` refuses with what to do."""
    return path.suffix.lower() in _TEXTS | _SPREADSHEETS and not path.is_dir()


def read_rows(path: Path) -> list[Row]:
    """Reads a table.

    Raises:
        CorpusError: no text, one without the three columns, or lines with a hole.
    """
    text = _text(path)
    first = _first_line(text)
    delimiter = max(_DELIMITERS, key=lambda each: len(_known_columns(_split(first, each))))
    if asked := re.fullmatch(r'"?sep=(.?)"?', first.strip()):  # a line for Excel alone
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
    raise_problems(problems)
    if not rows:
        raise CorpusError(f"{path}: no recording in it")
    return rows


def _text(path: Path) -> str:
    """What is in the file, whatever it is encoded in; lines end as on Unix."""
    try:
        data = path.read_bytes()
    except OSError as e:
        raise CorpusError(f"{path}: can't be read as a table ({e.strerror})") from e
    if path.suffix.lower() in _SPREADSHEETS or data.startswith(_ARCHIVES):
        raise CorpusError(f"{path}: a spreadsheet; save it as CSV (UTF-8), and give that file")
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    if not encoding and b"\0" in data:  # half of most letters in UTF-16, none in other text
        encoding = "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError as e:
        try:
            text = data.decode(encoding or "windows-1252")
        except UnicodeDecodeError:
            raise CorpusError(f"{path}: can't be read as a table in UTF-8 ({e}); save it as CSV (UTF-8)") from e
        _log.warning("%s: not in UTF-8, so read as Windows-1252; where letters are wrong, save it as UTF-8", path)
    if "\0" in text:
        raise CorpusError(f"{path}: can't be read as a table: it is no text; save it as CSV (UTF-8)")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _first_line(text: str) -> str:
    """The first that isn't empty, or nothing but delimiters."""
    nothing = "".join(_DELIMITERS)
    return next((line for line in text.split("\n") if _stripped(line).strip(nothing).strip(nothing + " ")), "")


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])


def _lines(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(number of the line, its cells, stripped), without those that are empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            stripped = [_stripped(cell) for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as e:
        raise CorpusError(f"{path}, line {reader.line_num}: quotation marks don't pair ({e}); save it again") from e


def _stripped(cell: str) -> str:
    """Without spaces around it, those that don't break a line and those without a width among them."""
    return cell.strip().strip("\ufeff\u200b").strip()


def _known_columns(header: Sequence[str]) -> dict[str, list[int]]:
    """For path, label and speaker, as far as they are there, the places of all columns that may be meant."""
    names = [re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFKC", _stripped(cell)).casefold()) for cell in header]
    found = {}
    for column, others in _COLUMNS.items():
        exact = [place for place, name in enumerate(names) if name == column]
        if places := exact or [place for place, name in enumerate(names) if name in others.split()]:
            found[column] = places
    return found


def _places(path: Path, header: Sequence[str], line: str) -> dict[str, int]:
    """Where the columns stand."""
    known = _known_columns(header)
    for column, places in known.items():
        if len(places) > 1:
            named = " and ".join(header[place] for place in places)
            raise CorpusError(f"{path}: its columns {named} may each be the {column}; call one of them {column}")
    if missing := [column for column in _COLUMNS if column not in known]:
        shown = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
        raise CorpusError(
            f"{path}: no column for the {' and the '.join(missing)}: its first line is {shown.strip() or 'empty'}; "
            f"it must name the columns {','.join(_COLUMNS)}"
        )
    return {column: places[0] for column, places in known.items()}
