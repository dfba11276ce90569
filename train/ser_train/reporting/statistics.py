"""What finished runs of one network and protocol found, folds and seeds together: the figures of a page, not its words.

The folds of a seed are put together before anything is scored, as `scores.pooled` does; a figure is then the mean over
the seeds, with their spread.
"""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_fscore_support

from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.network import apply_temperature
from ser_train.data.corpus_loader import CorpusError
from ser_train.data.corpus_registry import CORPORA
from ser_train.data.splits import PROTOCOLS
from ser_train.evaluation.corruptions import CORRUPTIONS
from ser_train.evaluation.metrics import Interval, Scores, pooled, score
from ser_train.evaluation.robustness import Figures, RobustnessAnswers, pool
from ser_train.reporting.plots import Bar, Curve
from ser_train.runs.run_directory import Answers, RunDirectory
from ser_train.runs.settings import Settings

__all__ = ["Emotion", "Group", "LoadedRun", "ResultSummary", "Spread", "gather"]

_RAVDESS = CORPORA["ravdess"]


@dataclass(frozen=True)
class Spread:
    """A figure over seeds."""

    mean: float
    std: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of one value a seed."""
        return cls(float(np.mean(values)), float(np.std(values)))


@dataclass(frozen=True)
class Emotion:
    """How well one emotion is heard, in percent."""

    name: str
    support: int  # utterances, in all folds
    recall: Spread
    precision: Spread
    f1: Spread
    top_confusion: str  # what it is taken for most often, where it isn't heard
    share: float  # how often, in percent of the spoken


@dataclass(frozen=True)
class Group:
    """How well some of the utterances are heard, in percent."""

    name: str
    support: int  # utterances, in all folds
    wa: Spread
    uar: Spread  # of the emotions that all groups speak


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """What one run left behind."""

    path: Path
    settings: Settings
    metadata: ModelMetadata
    answers: Answers  # of the test, without features: those of many folds would fill the memory
    history: tuple[dict[str, float], ...]
    facts: dict[str, Any]  # run.json
    robustness: RobustnessAnswers | None  # under real conditions; None if that wasn't measured

    @cached_property
    def calibrated_answers(self) -> Answers:
        """With the probabilities that a user sees."""
        return replace(
            self.answers, probabilities=apply_temperature(self.answers.probabilities, self.metadata.temperature)
        )


@dataclass(frozen=True, eq=False)
class ResultSummary:
    """All runs together."""

    seeds: tuple[tuple[LoadedRun, ...], ...]  # for each seed its folds; every seed has the same

    @property
    def runs(self) -> list[LoadedRun]:
        """By seed, then by fold."""
        return [run for folds in self.seeds for run in folds]

    @property
    def settings(self) -> Settings:
        """Of the first run; the others differ in fold, seed and recordings alone."""
        return self.seeds[0][0].settings

    @property
    def labels(self) -> tuple[str, ...]:
        """That are told apart; of all runs the same."""
        return self.seeds[0][0].metadata.labels

    @property
    def own(self) -> bool:
        """Whether it is about one's own recordings: RAVDESS's actors are numbers."""
        return self.answers[0].actors.dtype.kind == "U"

    @property
    def chance(self) -> float:
        """Of a guess to be right, in percent."""
        return 100 / len(self.labels)

    @property
    def name(self) -> str:
        """For files: the run's, or what the runs' names have in common."""
        s = self.settings
        common = f"{s.network}-{s.protocol}{s.name.partition(f'-seed{s.seed}')[2]}"
        return common if len(self.runs) > 1 else s.name

    @property
    def counts(self) -> str:
        """Like "5 folds, 3 seeds", and which folds if some are missing."""
        folds, total = [run.settings.fold for run in self.seeds[0]], PROTOCOLS[self.settings.protocol].folds
        some = f"fold{'s' * (len(folds) > 1)} {', '.join(map(str, folds))} of {total}"
        named = some if len(folds) < total else _counted(total, "fold")
        return f"{named}, {_counted(len(self.seeds), 'seed')}"

    def format(self, figure: Spread) -> str:
        """With one decimal, and how much seeds differ if there are several."""
        return f"{figure.mean:.1f} ± {figure.std:.1f}" if len(self.seeds) > 1 else f"{figure.mean:.1f}"

    @cached_property
    def answers(self) -> list[Answers]:
        """For each seed those of its folds."""
        return [_joined([run.answers for run in folds]) for folds in self.seeds]

    @cached_property
    def calibrated_answers(self) -> list[Answers]:
        """The same, with the probabilities that a user sees."""
        return [_joined([run.calibrated_answers for run in folds]) for folds in self.seeds]

    @property
    def pooled_answers(self) -> Answers:
        """Of all seeds."""
        return _joined(self.answers)

    @property
    def pooled_calibrated_answers(self) -> Answers:
        """The same, with the probabilities that a user sees."""
        return _joined(self.calibrated_answers)

    @cached_property
    def headline(self) -> dict[str, Interval]:
        """By metric."""
        return pooled([[run.answers for run in folds] for folds in self.seeds])

    @property
    def is_calibrated(self) -> bool:
        """Whether a user sees other probabilities than the network's."""
        return any(run.metadata.temperature != 1 for run in self.runs)

    @property
    def calibrated_ece(self) -> float:
        """Expected calibration error of what a user sees."""
        return float(np.mean([score(a.labels, a.probabilities).ece for a in self.calibrated_answers]))

    @property
    def at_threshold(self) -> tuple[float, float] | None:
        """Share of utterances answered at the runs' thresholds, and how many of these right, in percent."""
        if not any(run.metadata.threshold for run in self.runs):
            return None
        sure = np.concatenate(
            [run.calibrated_answers.probabilities.max(1) >= run.metadata.threshold for run in self.runs]
        )
        right = np.concatenate(
            [run.calibrated_answers.probabilities.argmax(1) == run.calibrated_answers.labels for run in self.runs]
        )
        return 100 * float(sure.mean()), 100 * float(right[sure].mean()) if sure.any() else 0.0

    @property
    def emotions(self) -> list[Emotion]:
        """Each, in the order of the labels."""
        parts = np.array([100 * _of_emotions(answers) for answers in self.answers])  # (seeds, 3, emotions)
        labels, guesses = np.concatenate([(a.labels, a.probabilities.argmax(1)) for a in self.answers], axis=1)
        found = []
        for place, name in enumerate(self.labels):
            precision, recall, f1 = (Spread.of(values) for values in parts[:, :, place].T)
            wrong = np.bincount(guesses[(labels == place) & (guesses != place)], minlength=len(self.labels))
            spoken = int((labels == place).sum())
            instead = self.labels[int(wrong.argmax())] if wrong.any() else ""
            share = 100 * float(wrong.max()) / max(spoken, 1)
            found.append(Emotion(name, spoken // len(self.seeds), recall, precision, f1, instead, share))
        return found

    @property
    def sexes(self) -> list[Group]:
        """Of the speakers; none for voices that aren't RAVDESS's."""
        return self._groups(lambda answers: [_sex(actor) for actor in answers.actors])

    @property
    def intensities(self) -> list[Group]:
        """Normal and strong; none for names that don't tell."""

        def told(answers: Answers) -> list[str]:
            codes = [_RAVDESS.parts(Path(f"{name}")).get("intensity") or "" for name in answers.names]
            return [_RAVDESS.intensities.get(code, "") for code in codes]

        return [] if self.own else self._groups(told)

    @property
    def actors(self) -> list[Bar]:
        """Accuracy of each, over the seeds that were tested on them."""
        by_actor: dict[int | str, list[float]] = {}
        for answers in self.answers:
            right = answers.probabilities.argmax(1) == answers.labels
            for actor in np.unique(answers.actors).tolist():
                by_actor.setdefault(actor, []).append(100 * float(right[answers.actors == actor].mean()))
        return [
            Bar(actor, _sex(actor), float(np.mean(values)), min(values), max(values))
            for actor, values in sorted(by_actor.items())
        ]

    @property
    def curves(self) -> list[Curve]:
        """Of the runs that have one."""
        return [Curve(run.history, run.facts.get("best_epoch", len(run.history))) for run in self.runs if run.history]

    @property
    def conditions(self) -> Figures | None:
        """Under real conditions; None if a run wasn't measured."""
        heard = [[run.robustness for run in folds if run.robustness] for folds in self.seeds]
        return pool(heard) if sum(map(len, heard)) == len(self.runs) else None

    def _groups(self, told: Callable[[Answers], list[str]]) -> list[Group]:
        """By what is told of each answer; nothing where it isn't told of all, or where all are one group."""
        names = [np.array(told(answers)) for answers in self.answers]
        groups = sorted({str(name) for seed in names for name in seed})
        spoken = [set(a.labels[n == group]) for a, n in zip(self.answers, names, strict=True) for group in groups]
        shared = sorted(set.intersection(*spoken))
        if len(groups) < 2 or "" in groups or not shared:
            return []
        found = []
        for group in groups:
            rows = [n == group for n in names]
            wa = [_score(a, row).wa for a, row in zip(self.answers, rows, strict=True)]
            uar = [_score(a, row & np.isin(a.labels, shared)).uar for a, row in zip(self.answers, rows, strict=True)]
            found.append(Group(group, round(np.mean([row.sum() for row in rows])), Spread.of(wa), Spread.of(uar)))
        return found


def gather(runs: Sequence[RunDirectory]) -> ResultSummary:
    """Reads finished runs, and checks that one figure can be made of them.

    Raises:
        CorpusError: a run that isn't finished or is damaged, or runs that don't belong together.
        ModelError: a description that this ser-edge doesn't read.
    """
    read = sorted(map(_read, runs), key=lambda run: (run.settings.seed, run.settings.fold))
    kinds = {replace(run.settings, fold=0, seed=0, corpus="") for run in read}
    if len(kinds) != 1:
        named = sorted(f"{kind.label} by {kind.protocol} with recipe {kind.recipe or '-'}" for kind in kinds)
        raise CorpusError(f"a page is of one network, protocol and recipe; these are {len(kinds)}: {', '.join(named)}")
    seeds: dict[int, dict[int, LoadedRun]] = {}
    for run in read:
        if seeds.setdefault(run.settings.seed, {}).setdefault(run.settings.fold, run) is not run:
            raise CorpusError(f"{run.path}: there is another run of {run.settings.name}; give one of them")
    if len({run.metadata.labels for run in read}) > 1:
        raise CorpusError("these runs have different labels; a page is of one set of them")
    if len({tuple(folds) for folds in seeds.values()}) > 1:
        raise CorpusError(f"seeds {sorted(seeds)} have different folds; their mean would compare different voices")
    return ResultSummary(tuple(tuple(folds.values()) for folds in seeds.values()))


def _read(run: RunDirectory) -> LoadedRun:
    if not run.finished:
        raise CorpusError(f"{run.path}: not a finished run; train it with ser-train, or leave it out")
    try:
        test = run.answers.of_test()
        return LoadedRun(
            run.path,
            run.settings,
            run.metadata,
            replace(test, features=np.empty((len(test.labels), 0, 0), np.float32)),
            tuple(run.read("history.json")) if (run.path / "history.json").exists() else (),
            run.read("run.json"),
            _heard(run) if (run.path / "conditions.json").exists() else None,
        )
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as e:
        reason = " ".join(f"{type(e).__name__}: {e}".split())  # some are several lines
        raise CorpusError(f"{run.path}: a damaged run ({reason}); train it again") from e


def _sex(actor: int | str) -> str:
    """Of RAVDESS's actors, who are numbers; of others it isn't told."""
    return "" if isinstance(actor, str) else _RAVDESS.sexes.get(f"{actor:02}", "")


def _heard(run: RunDirectory) -> RobustnessAnswers:
    if [condition["name"] for condition in run.read("conditions.json")["conditions"]] != list(CORRUPTIONS):
        raise CorpusError(f"{run.path}: measured under other conditions than today's; run ser-train conditions again")
    with np.load(run.path / "conditions.npz") as arrays:
        return RobustnessAnswers(**arrays)


def _joined(parts: Sequence[Answers]) -> Answers:
    return Answers(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in Answers.__dataclass_fields__})


def _of_emotions(answers: Answers) -> npt.NDArray[np.float64]:
    """(3, emotions): precision, recall, F1; 0 to 1."""
    guesses, every = answers.probabilities.argmax(1), range(answers.probabilities.shape[1])
    return np.array(precision_recall_fscore_support(answers.labels, guesses, labels=every, zero_division=0)[:3])


def _score(answers: Answers, rows: npt.NDArray[np.bool_]) -> Scores:
    return score(answers.labels[rows], answers.probabilities[rows])


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count > 1)}"
