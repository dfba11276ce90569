"""What a network was trained on, as its metadata records it: corpora, licences, and the test speakers left out.

A speaker-independent figure counts only speakers that neither the network nor any network it builds on has seen.
"""

from collections.abc import Collection

from ser_edge.models.metadata import ModelMetadata
from ser_train.data.corpus_registry import CORPORA, CUSTOM, Corpus
from ser_train.data.splits import Split
from ser_train.data.utterance import Utterance

# Keys of `ModelMetadata.training`, part of the file format.
DATA = "data"  # titles and licences of the corpora, those of teachers and of the initial network included
ENCODER = "encoder"  # the pretrained encoder, and its licence
INIT = "init"  # the run or network that the training began with
RUN = "run"  # the run's name
TEACHERS = "teachers"  # the runs whose answers it learned from
UNSEEN = "not_heard"  # test speakers that the network wasn't trained on


def source_entries(split: Split) -> list[str]:
    """Title and licence of each corpus that trains, parted by a comma."""
    names = dict.fromkeys(u.corpus for u in (*split.train, *split.extra))
    return [f"{corpus.title}, {corpus.licence}" for corpus in (CORPORA.get(name, CUSTOM) for name in names)]


def lists_training_data(metadata: ModelMetadata) -> bool:
    """Whether a network's metadata is ser-train's, and not that of an older or a foreign file."""
    return {DATA, UNSEEN} <= set(metadata.training)


def training_corpora(metadata: ModelMetadata) -> list[Corpus]:
    """The corpora that a network was trained on."""
    return [corpus for corpus in (*CORPORA.values(), CUSTOM) if f"{corpus.title}, " in metadata.training[DATA]]


def seen_speakers(
    metadata: ModelMetadata, utterances: Collection[Utterance], own: Collection[str] | None = None
) -> set[int | str]:
    """Actors of these utterances that a network may have been trained on.

    Of the corpora that it was trained on, all but those that its metadata excludes.

    Args:
        metadata: of the network.
        utterances: of any corpora.
        own: the speakers of own recordings that it was trained on; None if only its metadata is known.
    """
    families = {corpus.family or corpus.name for corpus in training_corpora(metadata)}
    if own is not None:
        families.discard(CUSTOM.name)
    seen = {u.actor for u in utterances if families & _families(u)}.difference(metadata.training[UNSEEN])
    return seen.union(u.actor for u in utterances if own and u.is_custom and u.actor in own)


def unseen_speakers(split: Split) -> list[int | str]:
    """Test actors that neither train the network nor stop its training, sorted."""
    seen = {u.actor for u in (*split.train, *split.validation)}
    return sorted({u.actor for u in split.test} - seen)


def _families(utterance: Utterance) -> set[str]:
    """Corpora the speaker may be from; a custom corpus can relabel a known corpus's file, but not change its voice."""
    known = [c for c in CORPORA.values() if utterance.is_custom and c.names(utterance.path)]
    return {utterance.speaker.partition("/")[0], *(corpus.family or corpus.name for corpus in known)}
