"""The recordings that a network classifies wrongly: what to listen to when a figure disappoints."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ser_train.runs.run_directory import Answers


@dataclass(frozen=True)
class Mistake:
    """A recording, and the surest of the wrong answers about it."""

    name: str  # of the recording, as `Answers` has it
    label: str  # what it is
    predicted: str
    confidence: float  # probability of `predicted`, 0..1
    wrong: int  # answers, over all seeds
    answers: int


def mistakes(seeds: Sequence[Answers], labels: Sequence[str]) -> list[Mistake]:
    """Every recording with a wrong answer, the surest of them first.

    Args:
        seeds: for each seed the answers of its test.
        labels: in the order of the probabilities.
    """
    answered: Counter[str] = Counter()
    wrong: dict[str, list[tuple[float, str, str]]] = defaultdict(list)
    for seed in seeds:
        columns = (seed.names, seed.labels, seed.probabilities.argmax(1), seed.probabilities.max(1))
        for name, label, guess, confidence in zip(*(column.tolist() for column in columns), strict=True):
            answered[name] += 1
            if guess != label:
                wrong[name].append((confidence, labels[label], labels[guess]))
    found = []
    for name, answers in wrong.items():
        confidence, label, predicted = max(answers)
        found.append(Mistake(name, label, predicted, confidence, len(answers), answered[name]))
    return sorted(found, key=lambda mistake: (-mistake.confidence, mistake.name))
