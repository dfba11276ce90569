"""Recognises what a `--data` folder holds: known corpora, or a custom corpus in LABEL/SPEAKER/ folders.

A known corpus is recognised by its file names, wherever the files lie; a custom corpus by its folders, whatever the
files are called. If both fit, LABEL/SPEAKER/ wins: see `is_custom_folder`. A layout that most likely means something
else is refused, for a network trains on wrong labels without any error.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ser_train.data.audio_files import find_sounds, is_junk
from ser_train.data.corpus_registry import CORPORA, EMOTIONS
from ser_train.data.utterance import CorpusError, raise_problems

CUSTOM_LAYOUT = "your own recordings go into LABEL/SPEAKER/ folders, or into a table (docs/own-data.md)"

_CODE = "corpus-layout"
_MOST = 0.8  # ratio of the sounds whose names make a known corpus, or whose folders make a layout
_FOLDS = 5  # speakers that a test needs; fewer speakers than labels may be SPEAKER/LABEL
_SPLIT_WORDS = "train training test testing val valid validation dev development eval evaluation holdout"
_SPLITS = frozenset(_SPLIT_WORDS.split())
_EMOTION_WORDS = """
    afraid amused amusement anger annoyed anxiety anxious bored boredom confused confusion contempt content delighted
    depressed disappointed disappointment disgusted disgusting engaged excited excitement fear frustrated frustration
    furious happiness irritated joy joyful mad negative nervous other panic pleasant positive pride proud relaxed relief
    sadness sarcastic scared serious shame stress stressed surprise tense tired unhappy upset worried
"""
_KNOWN_EMOTIONS = frozenset([*EMOTIONS, *_EMOTION_WORDS.split()])
_PERSON = re.compile(
    r"(actor|actress|speaker|spk|spkr|subject|subj|participant|person|patient|client|user|voice|talker)[ _-]*\d+"
)


def is_custom_folder(folder: Path, paths: Sequence[Path]) -> bool:
    """Whether the folders are labels and speakers, so that file names don't count.

    Names make a known corpus if most sounds have one. Even then LABEL/SPEAKER/ folders win, unless they are where
    corpora are kept: one known corpus in each folder, or a folder for each actor, in agreement with the names.

    Args:
        folder: what `--data` names.
        paths: the sounds below it.
    """
    found = [path.relative_to(folder).parts for path in paths]
    if _are_splits({parts[0] for parts in found}):  # train/ and test/: what lies in them counts
        found = [parts[1:] for parts in found]
    corpora = [_corpus_of(path) for path in paths]
    known = sum(map(bool, corpora)) >= _MOST * len(paths)
    if _laid_out(found):
        return not known or not _kept_by_corpus(paths, found, corpora)
    return not known and any(path.parent != folder for path in paths)


def naming_note(folder: Path) -> str:
    """A note for a custom folder with names of a known corpus; "" without any."""
    corpora = [_corpus_of(path) for path in find_sounds(folder)]
    return f"{folder}: {_counted(corpora)}; the LABEL/SPEAKER/ folders count" if any(corpora) else ""


def labelled_sounds(folder: Path) -> list[tuple[Path, str, str]]:
    """(sound, label, speaker) of a LABEL/SPEAKER/ folder.

    Raises:
        CorpusError: sounds outside the layout, or folders that most likely mean something else.
    """
    paths = find_sounds(folder)
    found = [path.relative_to(folder).parts for path in paths]
    _refuse_split(folder, found)
    _refuse_empty(folder, {parts[0] for parts in found})
    loose = [path for path, parts in zip(paths, found, strict=True) if len(parts) < 3]
    corpora = [_corpus_of(path) for path in paths] if loose and not _laid_out(found) else []
    if any(corpora):
        other = "/".join(found[corpora.index("")])
        raise CorpusError(
            f"{folder}: {_counted(corpora)}, the others have not, like {other}; give a known corpus by itself, "
            f"and {CUSTOM_LAYOUT}",
            code=_CODE,
        )
    advice = f"whose voice is it? put it into {folder}/LABEL/SPEAKER/, or give a table (docs/own-data.md)"
    raise_problems(((path, advice) for path in loose), _CODE)
    if len({parts[0] for parts in found}) == 1:
        label = found[0][0]
        raise CorpusError(
            f"{folder}: there is one label, {label}; a network needs two or more; "
            f"if the labels are the folders in it, give --data {folder / label}",
            code="corpus-too-small",
        )
    _refuse_swapped(folder, {parts[:2] for parts in found})
    return [(path, parts[0], parts[1]) for path, parts in zip(paths, found, strict=True)]


_Parts = tuple[str, ...]  # of a path: folders, and the file


def _laid_out(found: Sequence[_Parts]) -> bool:
    """Whether it looks like LABEL/SPEAKER/: most sounds are two folders deep or more, with two labels or more."""
    deep = [parts for parts in found if len(parts) > 2]
    return len(deep) >= _MOST * len(found) and len({parts[0] for parts in deep}) > 1


def _corpus_of(path: Path) -> str:
    """The known corpus that has this file name, or ""."""
    return next((corpus.name for corpus in CORPORA.values() if corpus.names(path)), "")


def _kept_by_corpus(paths: Sequence[Path], found: Sequence[_Parts], corpora: Sequence[str]) -> bool:
    """Whether folders that look like LABEL/SPEAKER/ hold known corpora, or one of them actor by actor.

    That is so if each corpus has its outer folder; if the outer folders have the actors' codes in their names; or if
    the inner ones have, each in one outer folder only. A custom corpus's speakers have several labels.
    """
    held, outer = defaultdict(set), defaultdict(set)
    outer_is_actor = inner_is_actor = True
    for path, parts, corpus in zip(paths, found, corpora, strict=True):
        if corpus and len(parts) > 2:
            code = CORPORA[corpus].parts(path)["speaker"]
            held[parts[0]].add(corpus)
            outer[parts[-2]].add(parts[:-2])
            outer_is_actor = outer_is_actor and code in parts[0]
            inner_is_actor = inner_is_actor and code in parts[-2]
    apart = len(set().union(*held.values())) == sum(map(len, held.values())) == len(held)
    return apart or outer_is_actor or (inner_is_actor and all(len(folders) == 1 for folders in outer.values()))


def _counted(corpora: Sequence[str]) -> str:
    """Like "3 of 40 sounds have names of RAVDESS speech"."""
    titles = ", ".join(CORPORA[name].title for name in dict.fromkeys(corpora) if name)
    count = sum(map(bool, corpora))
    return f"{count} of {len(corpora)} sounds ha{'s a name' if count == 1 else 've names'} of {titles}"


def _are_splits(names: Collection[str]) -> bool:
    return all(name.casefold() in _SPLITS for name in names)


def _refuse_split(folder: Path, found: Sequence[_Parts]) -> None:
    """Folders for training and testing, where labels or speakers should be."""
    for depth, what in enumerate(("label", "speaker")):
        names = sorted({parts[depth] for parts in found if len(parts) > depth + 1})
        splits = [name for name in names if _are_splits([name])]
        if splits and (splits == names or len(splits) > 1):
            raise CorpusError(
                f"{folder}: {' and '.join(splits)} would be the name of a {what}; ser-train itself splits speakers "
                "into training and test: put all into one folder's LABEL/SPEAKER/, or give a table",
                code=_CODE,
            )


def _refuse_empty(folder: Path, filled: Collection[str]) -> None:
    empty = [
        (path, "a label without a sound; record some, or remove the folder")
        for path in sorted(folder.iterdir())
        if path.is_dir()
        and not is_junk(path.name)
        and path.name not in filled
        and not folder.resolve().is_relative_to(path.resolve())  # a link back to here
    ]
    raise_problems(empty, _CODE)


def _refuse_swapped(folder: Path, pairs: Collection[tuple[str, ...]]) -> None:
    """SPEAKER/LABEL/ in place of LABEL/SPEAKER/: by the words, else by many outer folders with all inner ones each."""
    outer, inner = ({pair[place] for pair in pairs} for place in (0, 1))
    emotions, people = ([_ratio(names, kind) for names in (outer, inner)] for kind in (_is_emotion, _is_person))
    each_has_all = len(pairs) >= _MOST * len(outer) * len(inner)
    more_outer = len(outer) >= _FOLDS and len(inner) > 1 and (len(inner) < _FOLDS or 2 * len(inner) <= len(outer))
    first, second = min(pairs)
    if emotions[0] < 0.5 <= emotions[1] or people[1] < 0.5 <= people[0]:
        raise CorpusError(
            f"{folder}: its folders look like SPEAKER/LABEL ({first}/{second}), and are read as LABEL/SPEAKER; "
            f"swap them ({second}/{first}), or give a table (docs/own-data.md)",
            code=_CODE,
        )
    if emotions[0] < 0.5 and people[1] < 0.5 and each_has_all and more_outer:
        # Or many labels of few speakers: who swaps these trains a network on voices, and its figures look good.
        raise CorpusError(
            f"{folder}: its folders could be LABEL/SPEAKER or SPEAKER/LABEL ({first}/{second}), {len(outer)} with the "
            f"same {len(inner)} in each; say in a table which are the labels (docs/own-data.md)",
            code=_CODE,
        )


def _ratio(names: Collection[str], belongs: Callable[[str], bool]) -> float:
    return sum(map(belongs, names)) / len(names)


def _is_emotion(name: str) -> bool:
    return any(word in _KNOWN_EMOTIONS for word in re.findall(r"[^\W\d_]+", name.casefold()))


def _is_person(name: str) -> bool:
    return _PERSON.fullmatch(name.casefold()) is not None
