"""Your own recordings: folders or a table say what the names of a known corpus would say.

    recordings/                     recordings.csv
    ├── bored/                      path,label,speaker
    │   ├── anna/1.wav, 2.wav       monday/0017.wav,bored,anna
    │   └── ben/1.wav               monday/0018.wav,bored,ben
    └── engaged/                    tuesday/0001.wav,engaged,anna
        └── anna/1.wav

A label may be anything; a speaker is whoever says it, and has one name everywhere: speakers are what a figure is made
honest by. So what would put one voice under two names is refused. Paths in a table are relative to it. `layouts` reads
folders, `tables` the text of a table.
"""

import logging
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PureWindowsPath

from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN
from ser_train.data.audio_files import sounds
from ser_train.data.corpus_registry import CUSTOM
from ser_train.data.custom.folder_layouts import is_custom_folder, labelled_sounds, naming_note
from ser_train.data.custom.label_tables import is_table, read_rows
from ser_train.data.utterance import CorpusError, Utterance, duplicates, labels_of, raise_problems, unique

__all__ = ["check_recordings", "is_custom", "read_custom"]

_log = logging.getLogger(__name__)

_FEWEST = 5  # recordings of a label


def is_custom(path: Path) -> bool:
    """Whether this is a table, or a folder whose folders say what is in it: see `layouts.is_custom_folder`."""
    if is_table(path):
        return True
    return path.is_dir() and is_custom_folder(path, sounds(path))


def read_custom(path: Path) -> list[Utterance]:
    """Reads a folder or a table.

    Returns:
        Utterances without digests.

    Raises:
        CorpusError: anything that isn't as above; the message has a line of a table, or a path.
    """
    if is_table(path):
        utterances = _of_table(path)
    else:
        found = labelled_sounds(path)
        utterances = [_utterance(sound, label, speaker, sound.relative_to(path).parts[2:])
                      for sound, label, speaker in found]  # fmt: skip
    raise_problems(
        (path, f"{' and '.join(same)} differ in capitals alone; give them one name")
        for names in ({u.emotion for u in utterances}, {f"{u.actor}" for u in utterances})
        for same in _alike(names)
    )
    labels = labels_of(utterances)
    if len(labels) < 2:
        raise CorpusError(f"{path}: there is one label, {labels[0]}; a network needs two or more to tell apart")
    raise_problems(
        (path, f"{name!a} can't be a label; name it otherwise") for name in labels if not _fit_to_print(name)
    )
    if path.is_dir() and (note := naming_note(path)):
        _log.warning(note)
    return utterances


def check_recordings(utterances: Sequence[Utterance]) -> None:
    """Looks at what is heard; wants digests.

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
            f"{other.emotion} by {other.actor}; keep one of them{more}"
        )
    counts = Counter(u.emotion for u in unique(utterances))
    raise_problems((label, f"recorded {count} times; a label needs {_FEWEST} or more, of several speakers")
           for label, count in sorted(counts.items()) if count < _FEWEST)  # fmt: skip


def _of_table(path: Path) -> list[Utterance]:
    problems: list[tuple[object, str]] = []
    utterances: dict[Path, Utterance] = {}  # a line that repeats another one says nothing new
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
    raise_problems(problems)
    return list(utterances.values())


def _sound(folder: Path, text: str) -> Path:
    """The file that a table means, beside it or from the root; as it is written if there is none.

    Windows parts folders by backslashes, and systems store an accent in one character or in two.
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
    """As it is compared: systems store an accent in one character or in two, and spreadsheets a space in several."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def _alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of two or more that differ in capitals alone."""
    groups = defaultdict(list)
    for name in sorted(names):
        groups[name.casefold()].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _fit_to_print(label: str) -> bool:
    return label.isprintable() and label not in (NO_SPEECH, UNCERTAIN)  # those two say what no label says
