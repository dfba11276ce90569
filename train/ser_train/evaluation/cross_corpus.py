"""Cross-corpus tests: accuracy on corpora that a network wasn't trained on.

Other actors, other microphones, often another language: the accuracy that remains is what generalises. A prediction is
the likeliest of the emotions that the corpus has. Left out are corpora that the network was trained on, and speakers it
knows from other corpora: RAVDESS's actors speak and sing. Own recordings are all one corpus by name, so of these only
speakers that trained the network are left out, as far as that is known.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from sklearn.metrics import accuracy_score, recall_score

from ser_edge.models.network import Model
from ser_train.data.corpus_registry import CORPORA, CUSTOM
from ser_train.data.feature_cache import corpus_features
from ser_train.data.utterance import CorpusError, Utterance, labels_of, unique
from ser_train.runs.provenance import lists_training_data, seen_speakers, training_corpora

_log = logging.getLogger(__name__)

_BATCH = 64  # utterances


@dataclass(frozen=True)
class CrossCorpusResult:
    """One network's accuracy on one corpus, in percent."""

    network: str  # the file's name, or the run's label
    trained_on: str  # titles of corpora
    corpus: str
    utterances: int
    emotions: int  # of the network's, that the corpus has
    wa: float
    uar: float  # by chance 100 / emotions
    speakers: int = field(default=0, compare=False)  # 0 if unknown


def score_corpora(
    model: Model, name: str, utterances: Sequence[Utterance], own: Collection[str] | None = None
) -> list[CrossCorpusResult]:
    """Tests a network on the utterances it wasn't trained on, corpus by corpus.

    Args:
        model: the network.
        name: what the results call it.
        utterances: of any corpora.
        own: the speakers of own recordings that it was trained on; None if only its metadata is known: then of own
            recordings only those count whose speakers the metadata excludes.

    Raises:
        CorpusError: a corpus that has none of the network's labels, utterances that can't be used, or a network without
            a list of its training data.
    """
    if not lists_training_data(model.metadata):
        raise CorpusError(
            f"{name}: its metadata doesn't list its training data, which can't be left out then; export it again",
            code="corpus-seen",
        )
    trained_on = ", ".join(corpus.title for corpus in training_corpora(model.metadata))
    labels, results = model.metadata.labels, []
    for corpus in dict.fromkeys(u.corpus for u in utterances):
        unseen = _unseen(model, [u for u in utterances if u.corpus == corpus], own)
        if not unseen:
            continue
        known = labels_of(unseen) if corpus == CUSTOM.name else CORPORA[corpus].emotions
        columns = [place for place, label in enumerate(labels) if label in known]
        if not columns:
            raise CorpusError(
                f"{name}: knows {', '.join(labels)}; there are {', '.join(sorted(known))}", code="corpus-labels"
            )
        if foreign := [u.emotion for u in unseen if u.emotion not in labels]:
            _log.warning(f"{name}: has no label {', '.join(sorted(set(foreign)))}; {len(foreign)} recordings left out")
        unseen = [u for u in unseen if u.emotion in labels]
        features = corpus_features(unseen, model.metadata.features)
        batches = [model.probabilities(features[i : i + _BATCH]) for i in range(0, len(unseen), _BATCH)]
        predicted = [labels[columns[best]] for best in np.concatenate(batches)[:, columns].argmax(axis=1)]
        true = [u.emotion for u in unseen]
        wa = 100 * float(accuracy_score(true, predicted))
        uar = 100 * float(recall_score(true, predicted, average="macro", labels=sorted(set(true)), zero_division=0))
        speakers = len({u.speaker for u in unseen})
        results.append(CrossCorpusResult(name, trained_on, corpus, len(unseen), len(columns), wa, uar, speakers))
    return results


def _unseen(model: Model, utterances: Sequence[Utterance], own: Collection[str] | None) -> list[Utterance]:
    """Of one corpus, each recording once."""
    trained_on = {corpus.name for corpus in training_corpora(model.metadata)}
    if utterances[0].corpus in trained_on and not utterances[0].is_custom:
        return []
    seen = seen_speakers(model.metadata, utterances, own)
    return unique(u for u in utterances if u.actor not in seen)
