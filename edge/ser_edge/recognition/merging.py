"""Windows of the same label, one after the other, as one: what `--merge` writes.

Windows overlap, so what comes out does too: where the label changes, the last window of the one and the first of the
other share what both were computed from. `Merger` keeps one prediction and its sums, however long a label lasts.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ser_edge.recognition.prediction import Prediction


def merge(predictions: Iterable[Prediction]) -> Iterator[Prediction]:
    """Yields equal neighbouring windows as one, as soon as another label follows, or the predictions end.

    Neighbours are of one path, and overlap or touch. The merged one lasts from the start of the first to the end of the
    last, whose `time` it has. Its probabilities and speech ratio are the windows' means, and its confidence is the
    largest of these probabilities. What came before an error of `predictions` is yielded before it is raised.

    >>> windows = [Prediction("a.wav", s, s + 3, "sad", p, {"sad": p, "calm": 1 - p}) for s, p in ((0, 0.5), (0.5, 1))]
    >>> [(p.start, p.end, p.label, p.confidence) for p in merge(windows)]
    [(0, 3.5, 'sad', 0.75)]
    """
    merger = Merger()
    try:
        for prediction in predictions:
            yield from merger.accept(prediction)
    except Exception:
        yield from merger.finish()
        raise
    yield from merger.finish()


class Merger:
    """Takes predictions one by one, and returns each merged one when it is complete."""

    def __init__(self) -> None:
        self._run: _Run | None = None

    def accept(self, prediction: Prediction) -> list[Prediction]:
        """Takes a prediction; returns the merged one that it doesn't belong to, if any."""
        if self._run is not None and self._run.is_continued_by(prediction):
            self._run.add(prediction)
            return []
        complete = self.finish()
        self._run = _Run(prediction)
        return complete

    def finish(self) -> list[Prediction]:
        """Returns what is left, if anything."""
        run, self._run = self._run, None
        return [] if run is None else [run.merged()]


class _Run:
    """Equal neighbours: the ends, and the sums of what is averaged."""

    def __init__(self, prediction: Prediction):
        self._first = self._last = prediction
        self._count, self._speech = 1, prediction.speech or 0.0
        self._sums = dict(prediction.probabilities)

    def is_continued_by(self, prediction: Prediction) -> bool:
        last = self._last
        same = (last.path, last.label) == (prediction.path, prediction.label)
        return same and last.start < prediction.start <= last.end  # not the same file once more, and without a gap

    def add(self, prediction: Prediction) -> None:
        self._last = prediction
        self._count += 1
        self._speech += prediction.speech or 0.0
        for label, probability in prediction.probabilities.items():
            self._sums[label] += probability

    def merged(self) -> Prediction:
        if self._count == 1:
            return self._last
        means = {label: total / self._count for label, total in self._sums.items()}
        speech = None if self._last.speech is None else round(self._speech / self._count, 3)
        confidence = max(means.values(), default=0.0)
        return replace(self._last, start=self._first.start, confidence=confidence, probabilities=means, speech=speech)
