"""How a trained network does under real conditions: the damages of `damage`, and live windows, on its test voices.

Every recording is damaged as a sound, goes through the network's own front-end, and is judged as `Recognizer` judges
it. Figures of several folds are made of their answers together, not of their percentages. Which network, which
utterances, and where the figures go, is the business of `conditions`.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import joblib
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import ModelMetadata
from ser_train.data.corpus_loader import CorpusError, Utterance
from ser_train.data.feature_cache import front_end_of
from ser_train.evaluation.corruptions import (
    BABBLE_SPEAKERS,
    CORRUPTIONS,
    HOP,
    RATE,
    WINDOW_SECONDS,
    Recording,
    live_windows,
)
from ser_train.evaluation.metrics import score

__all__ = ["Answerer", "Condition", "Figures", "Live", "RobustnessAnswers", "markdown", "measure", "pool"]

_CHUNK = 8  # utterances in one task; some 200 inputs of the network

Answer = npt.NDArray[np.float32]  # (rows, labels), probabilities


class Answerer(Protocol):
    """What is measured, like `ser_edge.models.network.Model`."""

    @property
    def metadata(self) -> ModelMetadata:
        """Labels and front-end."""

    def probabilities(self, features: npt.NDArray[np.float32]) -> Answer:
        """(n, frames, coefficients), not normalised, to (n, labels)."""


@dataclass(frozen=True, eq=False)
class RobustnessAnswers:
    """What a network answered to n utterances under every condition, and to the live windows of them."""

    names: npt.NDArray[np.str_]  # (n,), file names without suffix
    labels: npt.NDArray[np.int64]  # (n,), places in the description's labels
    whole: npt.NDArray[np.float32]  # (conditions, n, labels), in the order of CORRUPTIONS
    live: npt.NDArray[np.float32]  # (windows, labels)
    seconds: npt.NDArray[np.float64]  # (windows,), how long each is: one of WINDOW_SECONDS
    places: npt.NDArray[np.int64]  # (windows,), the utterance that each is of

    def windows(self, seconds: float) -> tuple[npt.NDArray[np.int64], Answer]:
        """Labels and answers of the live windows of one length."""
        rows = self.seconds == seconds
        return self.labels[self.places[rows]], self.live[rows]

    def voted(self, seconds: float) -> tuple[npt.NDArray[np.int64], Answer]:
        """Labels and answers of the utterances: the mean of their live windows of one length."""
        rows = self.seconds == seconds
        total = np.zeros((len(self.labels), self.live.shape[1]), np.float32)
        np.add.at(total, self.places[rows], self.live[rows])
        total /= np.bincount(self.places[rows], minlength=len(total))[:, None]
        return self.labels, total


@dataclass(frozen=True)
class Condition:
    """Whole recordings under one condition, in percent."""

    name: str  # a key of CORRUPTIONS
    wa: float
    uar: float
    lost: float  # points of UAR, against the recordings as they are


@dataclass(frozen=True)
class Live:
    """Windows of untouched recordings, in percent: each by itself, and those of an utterance together."""

    window: float  # seconds
    hop: float  # seconds
    windows: int  # that hold enough speech to count
    window_wa: float
    window_uar: float
    voted_wa: float
    voted_uar: float


@dataclass(frozen=True)
class Figures:
    """Of one run, or of several together."""

    utterances: int
    conditions: tuple[Condition, ...]
    live: tuple[Live, ...]


def measure(
    answerer: Answerer, utterances: Sequence[Utterance], speech: Sequence[Utterance], jobs: int = -1, title: str = ""
) -> RobustnessAnswers:
    """Asks a network about utterances under every condition.

    Args:
        answerer: the network.
        utterances: of voices it never heard, or the figures flatter it.
        speech: what others say in a babble is drawn from these; never from the utterance's own speaker.
        jobs: processes that make features; -1 for a process a core.
        title: of the progress bar.

    Raises:
        CorpusError: too few speakers for a babble, or a network that hears another sample rate.
        AudioError: an utterance that can't be used.
    """
    metadata, ways = answerer.metadata, len(CORRUPTIONS) + len(WINDOW_SECONDS)
    if metadata.features.sample_rate != RATE:
        raise CorpusError(f"{metadata.name}: hears {metadata.features.sample_rate} Hz; conditions are for {RATE}")
    spoken = _by_speaker(speech)
    tasks = [(u, _talkers(u, spoken)) for u in utterances]
    chunks = [tasks[i : i + _CHUNK] for i in range(0, len(tasks), _CHUNK)]
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    answers: list[Answer] = []  # of the first utterance in all ways, of the second, ...
    with tqdm(desc=title, total=len(tasks), unit=" utterances", disable=None) as bar:
        for stacks in parallel(joblib.delayed(_hearings)(chunk, metadata.features) for chunk in chunks):
            ends = np.cumsum([len(stack) for stack in stacks])
            answers.extend(np.split(answerer.probabilities(np.concatenate(stacks)), ends[:-1]))
            bar.update(len(stacks) // ways)
    rows = [answers[i : i + ways] for i in range(0, len(answers), ways)]
    live = [
        (seconds, place, answer)
        for place, row in enumerate(rows)
        for seconds, stack in zip(WINDOW_SECONDS, row[len(CORRUPTIONS) :], strict=True)
        for answer in stack
    ]
    return RobustnessAnswers(
        np.array([u.name for u in utterances]),
        np.array([metadata.labels.index(u.emotion) for u in utterances], np.int64),
        np.array([[stack.mean(axis=0) for stack in row[: len(CORRUPTIONS)]] for row in rows]).swapaxes(0, 1),
        np.array([answer for _, _, answer in live]),
        np.array([seconds for seconds, _, _ in live]),
        np.array([place for _, place, _ in live]),
    )


def pool(seeds: Sequence[Sequence[RobustnessAnswers]]) -> Figures:
    """The figures of many runs.

    Args:
        seeds: for each seed what its folds heard; these are put together before they are scored, and the figure is
            the mean over the seeds.
    """
    joined = [_joined(folds) for folds in seeds]
    whole: list[Condition] = []
    for place, name in enumerate(CORRUPTIONS):
        wa, uar = _mean_scores([(heard.labels, heard.whole[place]) for heard in joined])
        whole.append(Condition(name, wa, uar, round(whole[0].uar - uar, 2) if whole else 0.0))
    live = [
        Live(
            seconds,
            HOP,
            int((joined[0].seconds == seconds).sum()),
            *_mean_scores([heard.windows(seconds) for heard in joined]),
            *_mean_scores([heard.voted(seconds) for heard in joined]),
        )
        for seconds in WINDOW_SECONDS
    ]
    return Figures(len(joined[0].labels), tuple(whole), tuple(live))


def markdown(figures: Figures, title: str) -> str:
    """The two tables of a page: conditions, and live windows beside the whole recordings."""
    recorded = figures.conditions[0]
    lines = [
        f"{title}, {figures.utterances} utterances; percent.",
        "",
        "| whole recordings | WA | UAR | UAR lost |",
        "|---|---|---|---|",
        *(f"| {c.name} | {c.wa:.1f} | {c.uar:.1f} | {c.lost:.1f} |" for c in figures.conditions),
        "",
        f"| live, every {HOP:g} s | windows | WA / UAR, each window | WA / UAR, voted over the utterance |",
        "|---|---|---|---|",
        f"| whole recording | | | {recorded.wa:.1f} / {recorded.uar:.1f} |",
    ]
    lines += [
        f"| windows of {live.window:g} s | {live.windows} | {live.window_wa:.1f} / {live.window_uar:.1f} "
        f"| {live.voted_wa:.1f} / {live.voted_uar:.1f} |"
        for live in figures.live
    ]
    return "\n".join(lines) + "\n"


def _by_speaker(speech: Sequence[Utterance]) -> dict[str, list[Path]]:
    """Sorted by names, so that nothing depends on where the files are."""
    paths: dict[str, list[Path]] = defaultdict(list)
    for utterance in sorted(speech, key=lambda u: (u.speaker, u.path.stem)):
        paths[utterance.speaker].append(utterance.path)
    return paths


def _talkers(utterance: Utterance, spoken: Mapping[str, Sequence[Path]]) -> list[Path]:
    """Something that others say: of as many speakers as a babble has."""
    others = [speaker for speaker in spoken if speaker != utterance.speaker]
    if len(others) < BABBLE_SPEAKERS:
        raise CorpusError(
            f"a babble needs {BABBLE_SPEAKERS} other speakers than {utterance.speaker}; found {len(others)}"
        )
    random = _random(utterance.path)
    chosen = [spoken[others[place]] for place in random.choice(len(others), BABBLE_SPEAKERS, replace=False)]
    return [paths[int(random.integers(len(paths)))] for paths in chosen]


def _hearings(tasks: Sequence[tuple[Utterance, list[Path]]], config: FeatureConfig) -> list[npt.NDArray[np.float32]]:
    """For each utterance, under each condition and for each window length: (windows, frames, coefficients)."""
    front_end = front_end_of(config)

    def heard(utterance: Utterance, others: list[Path]) -> Iterator[npt.NDArray[np.float32]]:
        recording = Recording.read(utterance.path, others)
        for damage in CORRUPTIONS.values():
            yield front_end.windows(damage(recording, _random(utterance.path)))
        for seconds in WINDOW_SECONDS:
            yield np.stack([front_end(window) for window in live_windows(recording, seconds)])

    return [stack for task in tasks for stack in heard(*task)]


def _random(path: Path) -> np.random.Generator:
    """Of a recording: under every condition the same, so that 5 dB is the noise of 20 dB, only louder."""
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(path.stem.encode(), digest_size=8).digest()))


def _mean_scores(answers: Sequence[tuple[npt.NDArray[np.int64], Answer]]) -> tuple[float, float]:
    """(WA, UAR), each the mean over some labels and answers."""
    scores = [score(*pair) for pair in answers]
    wa, uar = np.mean([(s.wa, s.uar) for s in scores], axis=0)
    return round(float(wa), 2), round(float(uar), 2)


def _joined(folds: Sequence[RobustnessAnswers]) -> RobustnessAnswers:
    """Several as one; the windows' places move behind the utterances before them."""
    before = np.cumsum([0, *(len(heard.labels) for heard in folds)])
    return RobustnessAnswers(
        np.concatenate([heard.names for heard in folds]),
        np.concatenate([heard.labels for heard in folds]),
        np.concatenate([heard.whole for heard in folds], axis=1),
        np.concatenate([heard.live for heard in folds]),
        np.concatenate([heard.seconds for heard in folds]),
        np.concatenate([heard.places + first for heard, first in zip(folds, before[:-1], strict=True)]),
    )
