"""The finished networks that a training builds on: its teachers, and the one that it begins as.

They hear what the learner hears, but a figure is about voices that nobody heard: neither the learner nor they. And what
they learned from, the learner has learned from too, on the same terms.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser_edge.errors import SerEdgeError
from ser_edge.models.metadata import ModelMetadata
from ser_train.data.corpus_loader import Utterance
from ser_train.data.corpus_registry import CORPORA, CUSTOM, Corpus
from ser_train.data.splits import Split
from ser_train.networks.zoo import Network
from ser_train.runs.run_directory import RunDirectory, Settings
from ser_train.training.transfer.warm_start import WarmStart, find_warm_start

__all__ = ["Lineage", "TrainingError", "seen_speakers", "training_corpora"]


class TrainingError(SerEdgeError):
    """A training that came to nothing."""


@dataclass(frozen=True)
class Lineage:
    """Of one training."""

    teachers: Sequence[RunDirectory]
    warm_start: WarmStart | None

    @classmethod
    def of(cls, settings: Settings, out: Path) -> "Lineage":
        """What the settings name; teachers are runs in `out`."""
        return cls(
            [RunDirectory(out / name.replace("*", str(settings.fold))) for name in settings.teachers],
            find_warm_start(settings.init, settings.fold) if settings.init else None,
        )

    def check(self, settings: Settings, network: Network, split: Split) -> None:
        """Whether the training may build on them.

        Raises:
            TrainingError: one that isn't finished, doesn't fit, or has heard the voices of the test.
        """
        for teacher in self.teachers:
            if not teacher.finished:
                raise TrainingError(f"{settings.name}: no finished run to learn from: {teacher.path}; train it first")
            metadata = teacher.metadata
            if metadata.features != network.features or metadata.labels != split.labels:
                raise TrainingError(
                    f"{settings.name}: {teacher.path} has another front-end or other labels: no teacher for it"
                )
            if known := sorted(set(_not_heard(split)).difference(metadata.training["not_heard"])):
                raise TrainingError(
                    f"{settings.name}: {teacher.path} has heard actors {known}, who are to be new voices; "
                    "take teachers of the same protocol and fold"
                )
        if self.warm_start is None:
            return
        name, metadata = self.warm_start.name, self.warm_start.metadata
        if metadata.features != network.features:
            raise TrainingError(f"{settings.name}: --init {name} has another front-end than {settings.network}")
        if settings.protocol != "all" and (known := sorted(seen_speakers(metadata, split.test))):
            raise TrainingError(
                f"{settings.name}: --init {name} has heard actors {known}, who are to be new voices; "
                "begin with a run of the same protocol and fold, or use --protocol all"
            )

    def training(self, split: Split) -> dict[str, Any]:
        """For the metadata: `data` and licences, theirs included; voices `not_heard`; and the `init` it began as."""
        corpora = [CORPORA.get(name, CUSTOM) for name in dict.fromkeys(u.corpus for u in (*split.train, *split.extra))]
        own = [f"{corpus.title}, {corpus.licence}" for corpus in corpora]
        before = [run.metadata for run in self.teachers] + ([self.warm_start.metadata] if self.warm_start else [])
        theirs = [data for metadata in before for data in metadata.training["data"].split("; ")]
        told = {"data": "; ".join(dict.fromkeys([*own, *theirs])), "not_heard": _not_heard(split)}
        return told | ({"init": before[-1].training.get("run", before[-1].name)} if self.warm_start else {})


def training_corpora(metadata: ModelMetadata) -> list[Corpus]:
    """The corpora that a network learned from."""
    return [c for c in (*CORPORA.values(), CUSTOM) if f"{c.title}, " in metadata.training["data"]]


def seen_speakers(metadata: ModelMetadata, utterances: Collection[Utterance]) -> set[int | str]:
    """Whose voices a network may have heard: of corpora that it learned from, all but those that it says it hasn't."""
    families = {corpus.family or corpus.name for corpus in training_corpora(metadata)}
    return {u.actor for u in utterances if families & _families(u)}.difference(metadata.training["not_heard"])


def _not_heard(split: Split) -> list[int | str]:
    """Actors of the test that neither trained the network nor stopped its training."""
    heard = {u.actor for u in (*split.train, *split.validation)}
    return sorted({u.actor for u in split.test} - heard)


def _families(utterance: Utterance) -> set[str]:
    """Whose voice it is; one's own table can give a file of a known corpus another label, but not another voice."""
    named = {
        corpus.family or corpus.name
        for corpus in CORPORA.values()
        if utterance.is_custom and corpus.names(utterance.path)
    }
    return {utterance.speaker.partition("/")[0]} | named
