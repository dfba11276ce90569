"""Cross-corpus tests: accuracy on corpora that a network wasn't trained on.

Other actors, other microphones, often another language: the accuracy that remains is what generalises. A prediction is
the likeliest of the emotions that the corpus has. Left out are corpora that the network was trained on, and speakers it
knows from other corpora: RAVDESS's actors speak and sing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from sklearn.metrics import accuracy_score, recall_score

from ser_edge.models.network import Model
from ser_train.data.corpus_registry import CORPORA, CUSTOM
from ser_train.data.feature_cache import corpus_features
from ser_train.data.utterance import CorpusError, Utterance, labels_of, unique
from ser_train.runs.provenance import seen_speakers, training_corpora

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


def score_corpora(model: Model, name: str, utterances: Sequence[Utterance]) -> list[CrossCorpusResult]:
    """Tests a network on the utterances it wasn't trained on, corpus by corpus.

    Args:
        model: the network.
        name: what the results call it.
        utterances: of any corpora.

    Raises:
        CorpusError: a corpus that has none of the network's labels.
        AudioError: an utterance that can't be used.
    """
    trained_on = ", ".join(corpus.title for corpus in training_corpora(model.metadata))
    labels, results = model.metadata.labels, []
    for corpus in dict.fromkeys(u.corpus for u in utterances):
        unseen = _unseen(model, [u for u in utterances if u.corpus == corpus])
        if not unseen:
            continue
        known = labels_of(unseen) if corpus == CUSTOM.name else CORPORA[corpus].emotions
        columns = [place for place, label in enumerate(labels) if label in known]
        if not columns:
            raise CorpusError(
                f"{name}: knows {', '.join(labels)}; there are {', '.join(sorted(known))}", code="corpus-labels"
            )
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


def _unseen(model: Model, utterances: Sequence[Utterance]) -> list[Utterance]:
    """Of one corpus, each recording once. Speakers of custom recordings aren't known, so all of these count."""
    if utterances[0].is_custom:
        return unique(utterances)
    if utterances[0].corpus in {corpus.name for corpus in training_corpora(model.metadata)}:
        return []
    seen = seen_speakers(model.metadata, utterances)
    return unique(u for u in utterances if u.actor not in seen)
