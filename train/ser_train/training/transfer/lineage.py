"""The finished networks that a training builds on: its teachers, and the network it starts from.

Speaker independence includes them: a test speaker whom one of them was trained on is refused. Their corpora and
licences are recorded as the new network's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser_edge.errors import SerEdgeError
from ser_edge.models.metadata import ModelMetadata
from ser_train.data.corpus_registry import CUSTOM
from ser_train.data.splits import Split
from ser_train.networks.config import EncoderConfig, with_changes
from ser_train.networks.zoo import NETWORKS, Network
from ser_train.runs.provenance import (
    DATA,
    ENCODER,
    INIT,
    RUN,
    TEACHERS,
    UNSEEN,
    seen_speakers,
    source_entries,
    training_corpora,
    unseen_speakers,
)
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings
from ser_train.training.transfer.warm_start import WarmStart, find_warm_start


class TrainingError(SerEdgeError):
    """A training that can't start, or that failed."""

    code = "training"


@dataclass(frozen=True)
class Lineage:
    """The teachers and the initial network of one training."""

    teachers: Sequence[RunDirectory]
    warm_start: WarmStart | None

    @classmethod
    def of(cls, settings: Settings, out: Path) -> "Lineage":
        """Those that the settings name; teachers are runs in `out`. The initial network isn't the run that is made."""
        warm_start = find_warm_start(settings.init, settings.fold) if settings.init else None
        if warm_start and warm_start.file.resolve().parent == (out / settings.name).resolve():
            raise TrainingError(
                f"{settings.name}: would overwrite the network that it starts from; give another --out",
                code="warm-start-unusable",
            )
        return cls([RunDirectory(out / _run_name(teacher, settings)) for teacher in settings.teachers], warm_start)

    def check(self, settings: Settings, network: Network, split: Split) -> None:
        """Checks that the training may build on them.

        Raises:
            TrainingError: one that isn't finished, doesn't fit, or was trained on a test speaker.
        """

        def refused(reason: str, code: str) -> TrainingError:
            return TrainingError(f"{settings.name}: {reason}", code=code)

        for teacher in self.teachers:
            if not teacher.finished:
                raise refused(f"no finished run to learn from: {teacher.path}; train it first", "teacher-unusable")
            metadata = teacher.metadata
            if metadata.labels != split.labels:
                raise refused(f"{teacher.path} has other labels, so it can't teach", "teacher-unusable")
            own, theirs = settings, teacher.settings
            by_recording = settings.protocol != "all" and not unseen_speakers(split)
            if by_recording and (own.protocol, own.seed) != (theirs.protocol, theirs.seed):
                raise refused(
                    f"{teacher.path} was trained on recordings that are tested here; "
                    "take teachers of the same protocol and seed",
                    "speakers-seen",
                )
            if seen := sorted(set(unseen_speakers(split)).difference(metadata.training[UNSEEN])):
                raise refused(
                    f"{teacher.path} was trained on actors {seen}, who are test speakers here; "
                    "take teachers of the same protocol and fold",
                    "speakers-seen",
                )
        if self.warm_start is None:
            return
        name, metadata = self.warm_start.name, self.warm_start.metadata
        if metadata.features != network.features:
            raise refused(f"--init {name} has another front-end than {settings.network}", "warm-start-unusable")
        if isinstance(network.recipe, EncoderConfig) and (problem := _encoder_problem(self.warm_start, settings)):
            raise refused(f"--init {name} {problem}", "warm-start-unusable")
        if settings.protocol != "all" and (seen := sorted(seen_speakers(metadata, split.test))):
            raise refused(
                f"--init {name} was trained on actors {seen}, who are test speakers here; "
                "begin with a run of the same protocol and fold, or use --protocol all",
                "speakers-seen",
            )

    def own_speakers(self, split: Split) -> list[str] | None:
        """The speakers of own recordings that train the network, or trained one of these; None if they aren't known."""
        speakers = {str(u.actor) for u in (*split.train, *split.validation) if u.is_custom}
        runs = [*self.teachers, *([self.warm_start.run] if self.warm_start else [])]
        for metadata, run in zip(self._metadata(), runs, strict=True):
            if CUSTOM not in training_corpora(metadata):
                continue
            inherited = run.own_speakers if run else None
            if inherited is None:
                return None
            speakers |= inherited
        return sorted(speakers)

    def training(self, split: Split) -> dict[str, Any]:
        """Entries of `ModelMetadata.training`: corpora with licences, unseen speakers, and what was built upon."""
        before = self._metadata()
        inherited = [entry for metadata in before for entry in metadata.training[DATA].split("; ")]
        data = "; ".join(dict.fromkeys([*source_entries(split), *inherited]))
        initial = {INIT: before[-1].training.get(RUN, before[-1].name)} if self.warm_start else {}
        teachers = {TEACHERS: ", ".join(map(_named, self.teachers))} if self.teachers else {}
        return {DATA: data, UNSEEN: unseen_speakers(split), **initial, **teachers}

    def _metadata(self) -> list[ModelMetadata]:
        """The teachers', then the initial network's."""
        return [run.metadata for run in self.teachers] + ([self.warm_start.metadata] if self.warm_start else [])


def _named(teacher: RunDirectory) -> str:
    """A teacher's name, with its pretrained encoder and that one's licence."""
    encoder = teacher.metadata.training.get(ENCODER)
    return teacher.path.name + (f" (on {encoder})" if encoder else "")


def _run_name(teacher: str, settings: Settings) -> str:
    """Of a teacher that is given as a network, or as a run's name with * for the fold.

    >>> _run_name("whisper-gru", Settings("crnn", "speaker", fold=2, seed=1))
    'whisper-gru-speaker-fold2-seed0'
    >>> _run_name("whisper-gru", Settings("crnn", "all"))
    'whisper-gru-all-seed0'
    """
    if teacher in NETWORKS:
        return Settings(teacher, settings.protocol, settings.fold).name
    return teacher.replace("*", str(settings.fold))


def _encoder_problem(warm_start: WarmStart, settings: Settings) -> str:
    """Why classifiers on a frozen encoder can't start from a network with the same front-end; "" if they can."""
    run, recipe = warm_start.run, with_changes(NETWORKS[settings.network].recipe, settings.changes)
    if run is None:
        return (
            f"is a model file, and {settings.network} starts from runs alone; "
            "give the run directory that it was exported from, or leave out --init"
        )
    # The encoder's digest is what `plans.prepare` put last.
    encoders = {s.corpus.rpartition(" ")[2] for s in (settings, run.settings)}
    if len(encoders) > 1 or run.read("run.json")["recipe"]["classifiers"] != [*recipe.sizes["classifiers"]]:
        return "has another encoder or other classifiers; give the --encoder and the classifiers (--set) that it has"
    return ""
