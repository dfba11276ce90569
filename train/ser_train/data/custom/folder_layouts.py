"""What the folders of a `--data` folder mean: a known corpus, or LABEL/SPEAKER/ of your own.

A known corpus is known by its files' names, wherever they lie; your own recordings by their folders, whatever their
files are called. Where names and folders both say something, LABEL/SPEAKER/ wins: see `is_custom_folder`. A layout that
most likely means something else is refused with what to do, for a network of wrong labels trains as well as any.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ser_train.data.audio_files import is_junk, sounds
from ser_train.data.corpus_registry import CORPORA, EMOTIONS
from ser_train.data.utterance import CorpusError, raise_problems

__all__ = ["CUSTOM_LAYOUT", "is_custom_folder", "labelled_sounds", "naming_note"]

CUSTOM_LAYOUT = "your own recordings go into LABEL/SPEAKER/ folders, or into a table (docs/own-data.md)"

_MOST = 0.8  # of the sounds: so many names make a known corpus, so many folders a layout
_FOLDS = 5  # speakers that a figure needs; who has fewer and more labels may have written SPEAKER/LABEL
_SPLIT_WORDS = "train training test testing val valid validation dev development eval evaluation holdout"
_SPLITS = frozenset(_SPLIT_WORDS.split())
_FEELING_WORDS = """
    afraid amused amusement anger annoyed anxiety anxious bored boredom confused confusion contempt content delighted
    depressed disappointed disappointment disgusted disgusting engaged excited excitement fear frustrated frustration
    furious happiness irritated joy joyful mad negative nervous other panic pleasant positive pride proud relaxed relief
    sadness sarcastic scared serious shame stress stressed surprise tense tired unhappy upset worried
"""
_FEELINGS = frozenset([*EMOTIONS, *_FEELING_WORDS.split()])
_PERSON = re.compile(
    r"(actor|actress|speaker|spk|spkr|subject|subj|participant|person|patient|client|user|voice|talker)[ _-]*\d+"
)


def is_custom_folder(folder: Path, paths: Sequence[Path]) -> bool:
    """Whether the folders say what these sounds are, and not their names.

    Names make a known corpus where most sounds have one. Even then LABEL/SPEAKER/ folders win, unless they are plainly
    where corpora are kept: one known corpus in each folder, or a folder for each actor, as the names say too.

    Args:
        folder: what `--data` names.
        paths: the sounds below it.
    """
    found = [path.relative_to(folder).parts for path in paths]
    if _are_splits({parts[0] for parts in found}):  # train/ and test/: what lies in them tells
        found = [parts[1:] for parts in found]
    corpora = [_corpus_of(path) for path in paths]
    known = sum(map(bool, corpora)) >= _MOST * len(paths)
    if _laid_out(found):
        return not known or not _kept_by_corpus(paths, found, corpora)
    return not known and any(path.parent != folder for path in paths)


def naming_note(folder: Path) -> str:
    """What to say where some of one's own sounds have a known corpus's names; "" where none has."""
    corpora = [_corpus_of(path) for path in sounds(folder)]
    return f"{folder}: {_counted(corpora)}; believed are the LABEL/SPEAKER/ folders" if any(corpora) else ""


def labelled_sounds(folder: Path) -> list[tuple[Path, str, str]]:
    """(sound, label, speaker) of a LABEL/SPEAKER/ folder.

    Raises:
        CorpusError: sounds beside the layout, or folders that most likely mean something else.
    """
    paths = sounds(folder)
    found = [path.relative_to(folder).parts for path in paths]
    _refuse_split(folder, found)
    _refuse_empty(folder, {parts[0] for parts in found})
    loose = [path for path, parts in zip(paths, found, strict=True) if len(parts) < 3]
    corpora = [_corpus_of(path) for path in paths] if loose and not _laid_out(found) else []
    if any(corpora):
        other = "/".join(found[corpora.index("")])
        raise CorpusError(
            f"{folder}: {_counted(corpora)}, the others have not, like {other}; give a known corpus by itself, "
            f"and {CUSTOM_LAYOUT}"
        )
    raise_problems((path, f"whose voice is it? put it into {folder}/LABEL/SPEAKER/, or give a table (docs/own-data.md)")
           for path in loose)  # fmt: skip
    if len({parts[0] for parts in found}) == 1:
        label = found[0][0]
        raise CorpusError(
            f"{folder}: there is one label, {label}; a network needs two or more to tell apart; "
            f"if the labels are the folders in it, give --data {folder / label}"
        )
    _refuse_swapped(folder, {parts[:2] for parts in found})
    return [(path, parts[0], parts[1]) for path, parts in zip(paths, found, strict=True)]


_Parts = tuple[str, ...]  # of a path: folders, and the file


def _laid_out(found: Sequence[_Parts]) -> bool:
    """Whether it looks like LABEL/SPEAKER/: most sounds lie in two folders or more, of two labels or more."""
    deep = [parts for parts in found if len(parts) > 2]
    return len(deep) >= _MOST * len(found) and len({parts[0] for parts in deep}) > 1


def _corpus_of(path: Path) -> str:
    """The known corpus that this is a name of, or ""."""
    return next((corpus.name for corpus in CORPORA.values() if corpus.names(path)), "")


def _kept_by_corpus(paths: Sequence[Path], found: Sequence[_Parts], corpora: Sequence[str]) -> bool:
    """Whether folders that look like LABEL/SPEAKER/ hold known corpora, or one of them actor by actor.

    So they do where each corpus has an outer folder of its own; where the outer folders have the actors' codes in their
    names; or where the inner ones have, each in one outer folder alone. Speakers of your own say more than one label.
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
                f"{folder}: {' and '.join(splits)} would be the name of a {what}; ser-train itself parts speakers for "
                "training and test: put all into one folder's LABEL/SPEAKER/, or give a table"
            )


def _refuse_empty(folder: Path, filled: Collection[str]) -> None:
    raise_problems(
        (path, "a label without a sound; record some, or remove the folder")
        for path in sorted(folder.iterdir())
        if path.is_dir()
        and not is_junk(path.name)
        and path.name not in filled
        and not folder.resolve().is_relative_to(path.resolve())  # a link back to here
    )


def _refuse_swapped(folder: Path, pairs: Collection[tuple[str, ...]]) -> None:
    """SPEAKER/LABEL/ instead of LABEL/SPEAKER/: by the words, else by there being many outer folders, each with all."""
    outer, inner = ({pair[place] for pair in pairs} for place in (0, 1))
    feelings, people = ([_share(names, kind) for names in (outer, inner)] for kind in (_is_feeling, _is_person))
    each_has_all = len(pairs) >= _MOST * len(outer) * len(inner)
    more_outer = len(outer) >= _FOLDS and len(inner) > 1 and (len(inner) < _FOLDS or 2 * len(inner) <= len(outer))
    if (
        feelings[0] < 0.5 <= feelings[1]
        or people[1] < 0.5 <= people[0]
        or (feelings[0] < 0.5 and people[1] < 0.5 and each_has_all and more_outer)
    ):
        first, second = min(pairs)
        raise CorpusError(
            f"{folder}: its folders look like SPEAKER/LABEL ({first}/{second}), and are read as LABEL/SPEAKER; "
            f"turn them round ({second}/{first}), or give a table (docs/own-data.md)"
        )


def _share(names: Collection[str], belongs: Callable[[str], bool]) -> float:
    return sum(map(belongs, names)) / len(names)


def _is_feeling(name: str) -> bool:
    return any(word in _FEELINGS for word in re.findall(r"[^\W\d_]+", name.casefold()))


def _is_person(name: str) -> bool:
    return _PERSON.fullmatch(name.casefold()) is not None
