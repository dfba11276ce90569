"""Statistics of finished runs of one network and protocol, folds and seeds together: figures, not their wording.

The folds of a seed are joined before anything is scored, as `ser_train.evaluation.metrics.pooled` does; a figure is
then the mean over the seeds, with their deviation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_fscore_support

from ser_train.data.corpus_registry import CORPORA
from ser_train.data.splits import PROTOCOLS
from ser_train.evaluation.metrics import Interval, Scores, pooled, score
from ser_train.evaluation.robustness import RobustnessFigures, pool
from ser_train.reporting.loaded_runs import LoadedRun, load_runs
from ser_train.runs.run_directory import Answers, RunDirectory
from ser_train.runs.settings import Settings

_RAVDESS = CORPORA["ravdess"]


@dataclass(frozen=True)
class Spread:
    """A figure's mean and deviation over seeds."""

    mean: float
    std: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of one value for each seed."""
        return cls(float(np.mean(values)), float(np.std(values)))


@dataclass(frozen=True)
class EmotionScores:
    """How well one emotion is recognised, in percent."""

    name: str
    support: int  # utterances, in all folds
    recall: Spread
    precision: Spread
    f1: Spread
    top_confusion: str  # the emotion most often predicted in its place; "" if none is
    share: float  # how often, in percent of its utterances


@dataclass(frozen=True)
class GroupScores:
    """How well the emotions of some utterances are recognised, in percent."""

    name: str
    support: int  # utterances, in all folds
    wa: Spread
    uar: Spread  # of the emotions that all groups have


@dataclass(frozen=True)
class SpeakerAccuracy:
    """One speaker's accuracy, in percent."""

    actor: int | str
    sex: str  # "female" or "male"; "" if unknown
    mean: float  # over seeds
    low: float  # the worst seed
    high: float


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
        """Of every run."""
        return self.seeds[0][0].metadata.labels

    @property
    def is_custom(self) -> bool:
        """Whether the recordings are custom ones: RAVDESS's actors are numbers."""
        return self.answers[0].actors.dtype.kind == "U"

    @property
    def chance(self) -> float:
        """Accuracy of a guess, in percent."""
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
        return self.counts_of(len(self.seeds))

    def counts_of(self, seeds: int) -> str:
        """The same for so many of the seeds."""
        folds, total = [run.settings.fold for run in self.seeds[0]], PROTOCOLS[self.settings.protocol].folds
        some = f"fold{'s' * (len(folds) > 1)} {', '.join(map(str, folds))} of {total}"
        named = some if len(folds) < total else _counted(total, "fold")
        return f"{named}, {_counted(seeds, 'seed')}"

    def format(self, figure: Spread) -> str:
        """With one decimal, and the deviation over seeds if there are several."""
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
        """Whether a temperature changes the network's probabilities."""
        return any(run.metadata.temperature != 1 for run in self.runs)

    @property
    def calibrated_ece(self) -> float:
        """Expected calibration error after calibration."""
        return float(np.mean([score(a.labels, a.probabilities).ece for a in self.calibrated_answers]))

    @property
    def at_threshold(self) -> tuple[float, float] | None:
        """Percent of utterances that get a label at the runs' thresholds, and accuracy of these labels, in percent."""
        if not any(run.metadata.threshold for run in self.runs):
            return None
        answers = [(run.metadata.threshold, run.calibrated_answers) for run in self.runs]
        sure = np.concatenate([a.probabilities.max(1) >= threshold for threshold, a in answers])
        right = np.concatenate([a.probabilities.argmax(1) == a.labels for _, a in answers])
        return 100 * float(sure.mean()), 100 * float(right[sure].mean()) if sure.any() else 0.0

    @property
    def emotions(self) -> list[EmotionScores]:
        """Each, in the order of the labels."""
        parts = np.array([100 * _emotion_scores(answers) for answers in self.answers])  # (seeds, 3, emotions)
        labels, guesses = np.concatenate([(a.labels, a.probabilities.argmax(1)) for a in self.answers], axis=1)
        found = []
        for place, name in enumerate(self.labels):
            precision, recall, f1 = (Spread.of(values) for values in parts[:, :, place].T)
            wrong = np.bincount(guesses[(labels == place) & (guesses != place)], minlength=len(self.labels))
            support = int((labels == place).sum())
            confusion = self.labels[int(wrong.argmax())] if wrong.any() else ""
            share = 100 * float(wrong.max()) / max(support, 1)
            found.append(EmotionScores(name, support // len(self.seeds), recall, precision, f1, confusion, share))
        return found

    @property
    def sexes(self) -> list[GroupScores]:
        """Women and men; none where sexes aren't known."""
        return self._groups(lambda answers: [_sex(actor) for actor in answers.actors])

    @property
    def intensities(self) -> list[GroupScores]:
        """Normal and strong; none where file names don't state it."""

        def intensities(answers: Answers) -> list[str]:
            codes = [_RAVDESS.parts(Path(f"{name}")).get("intensity") or "" for name in answers.names]
            return [_RAVDESS.intensities.get(code, "") for code in codes]

        return [] if self.is_custom else self._groups(intensities)

    @property
    def actors(self) -> list[SpeakerAccuracy]:
        """Accuracy of each, over the seeds that were tested on them."""
        by_actor: dict[int | str, list[float]] = {}
        for answers in self.answers:
            right = answers.probabilities.argmax(1) == answers.labels
            for actor in np.unique(answers.actors).tolist():
                by_actor.setdefault(actor, []).append(100 * float(right[answers.actors == actor].mean()))
        return [
            SpeakerAccuracy(actor, _sex(actor), float(np.mean(values)), min(values), max(values))
            for actor, values in sorted(by_actor.items())
        ]

    @property
    def histories(self) -> list[LoadedRun]:
        """The runs that kept their training history."""
        return [run for run in self.runs if run.history]

    @property
    def robustness(self) -> RobustnessFigures | None:
        """On corruptions and live windows, of the seeds whose runs were all measured; None without one."""
        measured = [[run.robustness for run in folds if run.robustness] for folds in self.seeds]
        whole = [answers for answers, folds in zip(measured, self.seeds, strict=True) if len(answers) == len(folds)]
        return pool(whole) if whole else None

    def _groups(self, name_of: Callable[[Answers], list[str]]) -> list[GroupScores]:
        """By the name of each answer's group; nothing if a name is missing, or all are one group."""
        names = [np.array(name_of(answers)) for answers in self.answers]
        groups = sorted({str(name) for seed in names for name in seed})
        labels = [set(a.labels[n == group]) for a, n in zip(self.answers, names, strict=True) for group in groups]
        shared = sorted(set.intersection(*labels))
        if len(groups) < 2 or "" in groups or not shared:
            return []
        found = []
        for group in groups:
            rows = [n == group for n in names]
            wa = [_score(a, row).wa for a, row in zip(self.answers, rows, strict=True)]
            uar = [_score(a, row & np.isin(a.labels, shared)).uar for a, row in zip(self.answers, rows, strict=True)]
            found.append(GroupScores(group, round(np.mean([row.sum() for row in rows])), Spread.of(wa), Spread.of(uar)))
        return found


def gather(runs: Sequence[RunDirectory]) -> ResultSummary:
    """Loads finished runs of one network and protocol; raises as `load_runs`."""
    return ResultSummary(load_runs(runs))


def _sex(actor: int | str) -> str:
    """Of RAVDESS's actors, who are numbers; "" for others."""
    return "" if isinstance(actor, str) else _RAVDESS.sexes.get(f"{actor:02}", "")


def _joined(parts: Sequence[Answers]) -> Answers:
    return Answers(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in Answers.__dataclass_fields__})


def _emotion_scores(answers: Answers) -> npt.NDArray[np.float64]:
    """(3, emotions): precision, recall, F1; 0 to 1."""
    guesses, every = answers.probabilities.argmax(1), range(answers.probabilities.shape[1])
    return np.array(precision_recall_fscore_support(answers.labels, guesses, labels=every, zero_division=0)[:3])


def _score(answers: Answers, rows: npt.NDArray[np.bool_]) -> Scores:
    return score(answers.labels[rows], answers.probabilities[rows])


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count > 1)}"
