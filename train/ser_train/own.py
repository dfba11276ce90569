"""Your own recordings: folders or a table say what the names of a known corpus would say.

    recordings/                     recordings.csv
    ├── bored/                      path,label,speaker
    │   ├── anna/1.wav, 2.wav       monday/0017.wav,bored,anna
    │   └── ben/1.wav               monday/0018.wav,bored,ben
    └── engaged/                    tuesday/0001.wav,engaged,anna
        └── anna/1.wav

A label may be anything; a speaker is whoever says it, and has one name everywhere: speakers are what a figure is made
honest by. So what would put one voice under two names is refused. Paths in a table are relative to it.
"""

import csv
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ser_edge.prediction import NO_SPEECH, UNCERTAIN
from ser_train.corpora import CORPORA, OWN
from ser_train.sounds import sounds
from ser_train.utterances import CorpusError, Utterance, duplicates, labels_of, refuse, unique

__all__ = ["check_recordings", "is_own", "read_own"]

_COLUMNS = ("path", "label", "speaker")
_FEWEST = 5  # recordings of a label


def is_own(path: Path) -> bool:
    """Whether this is a table, or a folder whose sounds lie in folders and have no known corpus's names."""
    if path.suffix.lower() == ".csv":
        return True
    if not path.is_dir():
        return False
    found = sounds(path)
    known = any(corpus.parts(sound) for sound in found for corpus in CORPORA.values())
    return not known and any(sound.parent != path for sound in found)


def read_own(path: Path) -> list[Utterance]:
    """Reads a folder or a table.

    Returns:
        Utterances without digests.

    Raises:
        CorpusError: anything that isn't as above; the message has a line of a table, or a path.
    """
    utterances = _of_table(path) if path.suffix.lower() == ".csv" else _of_folders(path)
    refuse(
        [
            f"{path}: {' and '.join(same)} differ in capitals alone; give them one name"
            for names in ({u.emotion for u in utterances}, {f"{u.actor}" for u in utterances})
            for same in _alike(names)
        ]
    )
    labels = labels_of(utterances)
    if len(labels) < 2:
        raise CorpusError(f"{path}: there is one label, {labels[0]}; a network needs two or more to tell apart")
    refuse([f"{path}: {name!a} can't be a label; name it otherwise" for name in labels if not _fit_to_print(name)])
    return utterances


def check_recordings(utterances: Sequence[Utterance]) -> None:
    """Looks at what is heard; wants digests.

    Raises:
        CorpusError: a recording with two labels or two speakers, or a label with too few recordings.
    """
    for first, *others in duplicates(utterances):
        for other in others:
            if (first.emotion, first.speaker) != (other.emotion, other.speaker):
                raise CorpusError(
                    f"{first.path} and {other.path} are the same recording, but {first.emotion} by {first.actor}, and "
                    f"{other.emotion} by {other.actor}; keep one of them"
                )
    counts = Counter(u.emotion for u in unique(utterances))
    refuse([f"{label}: recorded {count} times; a label needs {_FEWEST} or more, of several speakers"
            for label, count in sorted(counts.items()) if count < _FEWEST])  # fmt: skip


def _of_folders(folder: Path) -> list[Utterance]:
    found = [sound.relative_to(folder) for sound in sounds(folder)]
    filled = {sound.parts[0] for sound in found}
    empty = [f"{path}: a label without a sound; record some, or remove the folder" for path in sorted(folder.iterdir())
             if path.is_dir() and not path.name.startswith(".") and path.name not in filled]  # fmt: skip
    refuse(empty)
    refuse([f"{folder / sound}: whose voice is it? put it into {folder}/LABEL/SPEAKER/, or give a CSV file"
            for sound in found if len(sound.parts) < 3])  # fmt: skip
    return [_utterance(folder / sound, *sound.parts[:2], "/".join(sound.parts[2:])) for sound in found]


def _of_table(path: Path) -> list[Utterance]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(file, path))
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise CorpusError(f"{path}: can't be read as a table in UTF-8 ({e})") from e
    if not rows:
        raise CorpusError(f"{path}: no recording in it")
    problems, utterances = [], []
    for line, row in rows:
        given = {column: (row.get(column) or "").strip() for column in _COLUMNS}
        sound = path.parent / given["path"]
        if empty := [column for column in _COLUMNS if not given[column]]:
            problems.append(f"{path}, line {line}: no {' and no '.join(empty)}")
        elif None in row:
            problems.append(f"{path}, line {line}: more than {len(_COLUMNS)} cells")
        elif not sound.is_file():
            problems.append(f"{path}, line {line}: no file {sound}")
        else:
            utterances.append(_utterance(sound, given["label"], given["speaker"], given["path"]))
    refuse(problems)
    return utterances


def _rows(file: Iterable[str], path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Of a CSV file, with the number of its line."""
    reader = csv.DictReader(file)
    if sorted(reader.fieldnames or ()) != sorted(_COLUMNS):
        raise CorpusError(
            f"{path}: its first line is {','.join(reader.fieldnames or ()) or 'empty'}; it must be {','.join(_COLUMNS)}"
        )
    for row in reader:
        yield reader.line_num, row


def _utterance(path: Path, label: str, speaker: str, text: str) -> Utterance:
    return Utterance(path, OWN.name, _clean(label), f"{OWN.name}/{_clean(speaker)}", "", "", text)


def _clean(name: str) -> str:
    """As it is compared: systems store an accent in one character or in two."""
    return unicodedata.normalize("NFC", name.strip())


def _alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of two or more that differ in capitals alone."""
    groups = defaultdict(list)
    for name in sorted(names):
        groups[name.casefold()].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _fit_to_print(label: str) -> bool:
    return label.isprintable() and label not in (NO_SPEECH, UNCERTAIN)  # those two say what no label says
