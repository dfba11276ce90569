"""Robustness of a network: its accuracy on corrupted recordings, and on live windows, of its test speakers.

Each recording is corrupted as a waveform, goes through the network's own front-end, and is classified as `Recognizer`
does it. Folds are pooled as answers, not as percentages. Where the answers are kept is `robustness_cache`'s business.
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
from ser_train.data.feature_cache import front_end_of
from ser_train.data.utterance import CorpusError, Utterance
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

_CHUNK = 8  # utterances in one task; some 200 inputs of the network

Probabilities = npt.NDArray[np.float32]  # (rows, labels)


class Classifier(Protocol):
    """What is measured, like `ser_edge.models.network.Model`."""

    @property
    def metadata(self) -> ModelMetadata:
        """Labels and front-end."""

    def probabilities(self, features: npt.NDArray[np.float32]) -> Probabilities:
        """(n, frames, coefficients), not normalised, to (n, labels)."""


@dataclass(frozen=True, eq=False)
class RobustnessAnswers:
    """A network's answers about n utterances under every corruption, and about their live windows."""

    names: npt.NDArray[np.str_]  # (n,), file names without suffix
    labels: npt.NDArray[np.int64]  # (n,), indices of the metadata's labels
    whole: npt.NDArray[np.float32]  # (corruptions, n, labels), in the order of CORRUPTIONS
    live: npt.NDArray[np.float32]  # (windows, labels)
    seconds: npt.NDArray[np.float64]  # (windows,), how long each is: one of WINDOW_SECONDS
    places: npt.NDArray[np.int64]  # (windows,), index of the utterance each is of

    def windows(self, seconds: float) -> tuple[npt.NDArray[np.int64], Probabilities]:
        """Labels and answers of the live windows of one length."""
        rows = self.seconds == seconds
        return self.labels[self.places[rows]], self.live[rows]

    def voted(self, seconds: float) -> tuple[npt.NDArray[np.int64], Probabilities]:
        """Labels and answers of the utterances: the mean of their live windows of one length."""
        rows = self.seconds == seconds
        total = np.zeros((len(self.labels), self.live.shape[1]), np.float32)
        np.add.at(total, self.places[rows], self.live[rows])
        total /= np.bincount(self.places[rows], minlength=len(total))[:, None]
        return self.labels, total


@dataclass(frozen=True)
class CorruptionResult:
    """Whole recordings under one corruption, in percent."""

    name: str  # a key of CORRUPTIONS
    wa: float
    uar: float
    lost: float  # points of UAR, against the recordings as they are


@dataclass(frozen=True)
class WindowResult:
    """Live windows of clean recordings, in percent: each by itself, and averaged over an utterance."""

    window: float  # seconds
    hop: float  # seconds
    windows: int  # that hold enough speech to count
    window_wa: float
    window_uar: float
    voted_wa: float
    voted_uar: float


@dataclass(frozen=True)
class RobustnessFigures:
    """Of one run, or of several together."""

    utterances: int
    seeds: int
    corrupted: tuple[CorruptionResult, ...]
    live: tuple[WindowResult, ...]


def measure(
    network: Classifier, utterances: Sequence[Utterance], speech: Sequence[Utterance], jobs: int = -1, title: str = ""
) -> RobustnessAnswers:
    """Classifies utterances under every corruption.

    Args:
        network: what is measured.
        utterances: of speakers that the network wasn't trained on.
        speech: recordings that babble is mixed from; never of the utterance's own speaker.
        jobs: processes that extract features; -1 for a process a core.
        title: of the progress bar.

    Raises:
        CorpusError: too few speakers for babble, or a network of another sample rate.
        AudioError: an utterance that can't be used.
    """
    metadata, variants = network.metadata, len(CORRUPTIONS) + len(WINDOW_SECONDS)
    if metadata.features.sample_rate != RATE:
        raise CorpusError(
            f"{metadata.name}: takes {metadata.features.sample_rate} Hz; the corruptions are for {RATE} Hz",
            code="sample-rate-unsupported",
        )
    by_speaker = recordings_by_speaker(speech)
    tasks = [(u, babble_sources(u, by_speaker)) for u in utterances]
    chunks = [tasks[i : i + _CHUNK] for i in range(0, len(tasks), _CHUNK)]
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    answers: list[Probabilities] = []  # of all variants of the first utterance, of the second, ...
    with tqdm(desc=title, total=len(tasks), unit=" utterances", disable=None) as bar:
        for stacks in parallel(joblib.delayed(_inputs)(chunk, metadata.features) for chunk in chunks):
            ends = np.cumsum([len(stack) for stack in stacks])
            answers.extend(np.split(network.probabilities(np.concatenate(stacks)), ends[:-1]))
            bar.update(len(stacks) // variants)
    rows = [answers[i : i + variants] for i in range(0, len(answers), variants)]
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


def pool(seeds: Sequence[Sequence[RobustnessAnswers]]) -> RobustnessFigures:
    """The figures of many runs.

    Args:
        seeds: for each seed the answers of its folds; these are joined before they are scored, and a figure is the mean
            over the seeds.
    """
    joined = [_joined(folds) for folds in seeds]
    corrupted: list[CorruptionResult] = []
    for place, name in enumerate(CORRUPTIONS):
        wa, uar = _mean_scores([(answers.labels, answers.whole[place]) for answers in joined])
        corrupted.append(CorruptionResult(name, wa, uar, round(corrupted[0].uar - uar, 2) if corrupted else 0.0))
    live = [
        WindowResult(
            seconds,
            HOP,
            int((joined[0].seconds == seconds).sum()),
            *_mean_scores([answers.windows(seconds) for answers in joined]),
            *_mean_scores([answers.voted(seconds) for answers in joined]),
        )
        for seconds in WINDOW_SECONDS
    ]
    return RobustnessFigures(len(joined[0].labels), len(joined), tuple(corrupted), tuple(live))


def babble_sources(utterance: Utterance, by_speaker: Mapping[str, Sequence[Path]]) -> list[Path]:
    """A recording each of BABBLE_SPEAKERS other speakers, drawn by the utterance's name.

    Raises:
        CorpusError: too few other speakers.
    """
    others = [speaker for speaker in by_speaker if speaker != utterance.speaker]
    if len(others) < BABBLE_SPEAKERS:
        raise CorpusError(
            f"babble needs {BABBLE_SPEAKERS} other speakers than {utterance.speaker}; found {len(others)}",
            code="corpus-too-small",
        )
    random = _random(utterance.path)
    recordings = [by_speaker[others[i]] for i in random.choice(len(others), BABBLE_SPEAKERS, replace=False)]
    return [paths[int(random.integers(len(paths)))] for paths in recordings]


def recordings_by_speaker(speech: Sequence[Utterance]) -> dict[str, list[Path]]:
    """Paths by speaker, sorted by names, so that nothing depends on where the files are."""
    paths: dict[str, list[Path]] = defaultdict(list)
    for utterance in sorted(speech, key=lambda u: (u.speaker, u.path.stem)):
        paths[utterance.speaker].append(utterance.path)
    return paths


def _inputs(tasks: Sequence[tuple[Utterance, list[Path]]], config: FeatureConfig) -> list[npt.NDArray[np.float32]]:
    """For each utterance, under each corruption and for each window length: (windows, frames, coefficients)."""
    front_end = front_end_of(config)

    def variants(utterance: Utterance, others: list[Path]) -> Iterator[npt.NDArray[np.float32]]:
        recording = Recording.read(utterance.path, others)
        for corrupt in CORRUPTIONS.values():
            yield front_end.windows(corrupt(recording, _random(utterance.path)))
        for seconds in WINDOW_SECONDS:
            yield np.stack([front_end(window) for window in live_windows(recording, seconds)])

    return [stack for task in tasks for stack in variants(*task)]


def _random(path: Path) -> np.random.Generator:
    """Of a recording: the same under every corruption, so that 5 dB is the noise of 20 dB, only louder."""
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(path.stem.encode(), digest_size=8).digest()))


def _mean_scores(answers: Sequence[tuple[npt.NDArray[np.int64], Probabilities]]) -> tuple[float, float]:
    """(WA, UAR), each the mean over some labels and answers."""
    scores = [score(*pair) for pair in answers]
    wa, uar = np.mean([(s.wa, s.uar) for s in scores], axis=0)
    return round(float(wa), 2), round(float(uar), 2)


def _joined(folds: Sequence[RobustnessAnswers]) -> RobustnessAnswers:
    """Several as one; indices of utterances move behind those before them."""
    before = np.cumsum([0, *(len(answers.labels) for answers in folds)])
    fields = {name: [getattr(answers, name) for answers in folds] for name in RobustnessAnswers.__dataclass_fields__}
    whole = np.concatenate(fields.pop("whole"), axis=1)
    fields["places"] = [places + first for places, first in zip(fields["places"], before[:-1], strict=True)]
    return RobustnessAnswers(whole=whole, **{name: np.concatenate(parts) for name, parts in fields.items()})
