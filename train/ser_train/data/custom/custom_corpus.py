"""Custom corpora: recordings whose labels and speakers are given by folders or a table.

    recordings/                     recordings.csv
    ├── bored/                      path,label,speaker
    │   ├── anna/1.wav, 2.wav       monday/0017.wav,bored,anna
    │   └── ben/1.wav               monday/0018.wav,bored,ben
    └── engaged/                    tuesday/0001.wav,engaged,anna
        └── anna/1.wav

A label may be any text. A speaker has one name everywhere, for accuracy is measured speaker-independently: what would
put one voice under two names is refused. Paths in a table are relative to it. `folder_layouts` reads folders,
`label_tables` the text of a table.
"""

import logging
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PureWindowsPath

from ser_edge.models.metadata import MAX_LABEL
from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN
from ser_train.data.audio_files import find_sounds
from ser_train.data.corpus_registry import CUSTOM
from ser_train.data.custom.folder_layouts import is_custom_folder, labelled_sounds, naming_note
from ser_train.data.custom.label_tables import is_table, read_rows
from ser_train.data.utterance import CorpusError, Utterance, duplicates, labels_of, raise_problems, unique

_log = logging.getLogger(__name__)

_MIN_RECORDINGS = 5  # of a label


def is_custom(path: Path) -> bool:
    """Whether this is a table, or a folder whose folders are labels and speakers: see `is_custom_folder`."""
    if is_table(path):
        return True
    return path.is_dir() and is_custom_folder(path, find_sounds(path))


def read_custom(path: Path) -> list[Utterance]:
    """Reads a custom corpus from a folder or a table.

    Returns:
        Utterances without digests.

    Raises:
        CorpusError: anything that isn't as above; the message names a line of the table, or a path.
    """
    if is_table(path):
        utterances = _of_table(path)
    else:
        found = labelled_sounds(path)
        utterances = [_utterance(sound, label, speaker, sound.relative_to(path).parts[2:])
                      for sound, label, speaker in found]  # fmt: skip
    similar = [
        (path, f"{' and '.join(same)} differ in capitals alone; give them one name")
        for names in ({u.emotion for u in utterances}, {f"{u.actor}" for u in utterances})
        for same in _differ_in_case(names)
    ]
    raise_problems(similar, "corpus-conflict")
    labels = labels_of(utterances)
    if len(labels) < 2:
        message = f"{path}: there is one label, {labels[0]}; a network needs two or more"
        raise CorpusError(message, code="corpus-too-small")
    invalid = [(path, f"{name!a} can't be a label; rename it") for name in labels if not _is_valid_label(name)]
    raise_problems(invalid, "corpus-layout")
    if path.is_dir() and (note := naming_note(path)):
        _log.warning(note)
    return utterances


def check_recordings(utterances: Sequence[Utterance]) -> None:
    """Checks the recordings by their digests.

    Raises:
        CorpusError: a recording with two labels or two speakers, or a label with too few recordings.
    """
    conflicts = [
        (first, other)
        for first, *others in duplicates(utterances)
        for other in others
        if (first.emotion, first.speaker) != (other.emotion, other.speaker)
    ]
    if conflicts:
        first, other = conflicts[0]
        more = f"; so are {len(conflicts) - 1} more" if len(conflicts) > 1 else ""
        raise CorpusError(
            f"{first.path} and {other.path} are the same recording, but {first.emotion} by {first.actor}, and "
            f"{other.emotion} by {other.actor}; keep one of them{more}",
            code="corpus-conflict",
        )
    counts = Counter(u.emotion for u in unique(utterances))
    rare = [
        (label, f"recorded {count} times; a label needs {_MIN_RECORDINGS} or more, of several speakers")
        for label, count in sorted(counts.items())
        if count < _MIN_RECORDINGS
    ]
    raise_problems(rare, "corpus-too-small")


def _of_table(path: Path) -> list[Utterance]:
    problems: list[tuple[object, str]] = []
    utterances: dict[Path, Utterance] = {}  # a repeated line is ignored
    for row in read_rows(path):
        where = f"{path}, line {row.line} ({row.path})"
        sound = _sound(path.parent, row.path)
        if not _is_file(sound):
            problems.append((where, _why_missing(path.parent, row.path)))
            continue
        parts = PureWindowsPath(row.path).parts if sound != path.parent / row.path else (row.path,)
        utterance = _utterance(sound, row.label, row.speaker, parts)
        known = utterances.setdefault(sound.resolve(), utterance)
        if (known.emotion, known.speaker) != (utterance.emotion, utterance.speaker):
            problems.append((where, "another label or speaker than the same file has in a line before; keep one"))
    raise_problems(problems, "corpus-table")
    return list(utterances.values())


def _sound(folder: Path, text: str) -> Path:
    """The file that a table names, relative to it or absolute; the path as written if there is none.

    Backslashes may separate folders, and systems store an accent in one character or in two.
    """
    for path in (text, text.replace("\\", "/")):
        for form in (path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path)):
            if _is_file(folder / form):
                return folder / form
    return folder / text


def _is_file(path: Path) -> bool:
    with suppress(OSError):  # longer than a name can be
        return path.is_file()
    return False


def _why_missing(folder: Path, text: str) -> str:
    with suppress(OSError):
        if (folder / text).is_dir():
            return "a folder; a line is for one file"
    if os.name != "nt" and PureWindowsPath(text).drive:
        return f"a path on a Windows drive, which isn't here; write it relative to {folder.absolute()}"
    return f"no such file; paths are relative to {folder.absolute()}"


def _utterance(path: Path, label: str, speaker: str, text: Sequence[str]) -> Utterance:
    return Utterance(path, CUSTOM.name, _clean(label), f"{CUSTOM.name}/{_clean(speaker)}", "", "", "/".join(text))


def _clean(name: str) -> str:
    """A name normalised for comparison: accents composed, spaces collapsed."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def _differ_in_case(names: Iterable[str]) -> list[list[str]]:
    """Groups of two or more names that differ in case only."""
    groups = defaultdict(list)
    for name in sorted(names):
        groups[name.casefold()].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _is_valid_label(label: str) -> bool:
    fits = 0 < len(label) <= MAX_LABEL
    return fits and label.isprintable() and label not in (NO_SPEECH, UNCERTAIN)  # these mean that there is no label
