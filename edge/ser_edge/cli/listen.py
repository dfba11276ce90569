"""Listens to what has no end, until it ends after all, a time is up, or somebody stops it; then says what it heard."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TypeVar

import numpy as np

from ser_edge.audio.sound import Channels, first
from ser_edge.output.percentages import percent
from ser_edge.recognition.prediction import Prediction
from ser_edge.recognition.streaming import Stream

__all__ = ["Summary", "level", "listen", "stoppable"]

Item = TypeVar("Item")


@dataclass(frozen=True)
class Summary:
    """What was heard."""

    seconds: float  # of sound
    labels: dict[str, int]  # windows, by what they were called
    busy: float  # CPU seconds that judging it took

    def __str__(self) -> str:
        """One line, for a person."""
        windows = sum(self.labels.values())
        shares = ", ".join(
            f"{label} {percent(n / windows)}" for label, n in sorted(self.labels.items(), key=lambda i: -i[1])
        )
        factor = self.busy / self.seconds if self.seconds else 0.0
        heard = f"{self.seconds:.1f} s heard, {windows} window{'s' * (windows != 1)}"
        return f"{heard}{': ' * bool(shares)}{shares}; real-time factor {factor:.3f}"


def listen(
    pieces: Iterable[Channels],
    rate: int,
    stream: Stream,
    show: Callable[[Prediction], None],
    seconds: float | None = None,
    tick: Callable[[Channels], None] = lambda piece: None,
) -> Summary:
    """Judges pieces of sound as they come. Ctrl-C, SIGTERM and SIGHUP end it as if the sound had ended.

    Args:
        pieces: (samples,) or (samples, channels) each.
        rate: their Hz.
        stream: judges them.
        show: gets each prediction as soon as it is made.
        seconds: of sound after which to stop; None is never.
        tick: gets each piece after it was judged.
    """
    labels: Counter[str] = Counter()
    began = time.thread_time()

    def shown(predictions: Iterable[Prediction]) -> None:
        for prediction in predictions:
            labels[prediction.label] += 1
            show(prediction)

    for piece in first(stoppable(pieces), None if seconds is None else round(seconds * rate)):
        shown(stream.accept_channels(piece if piece.ndim == 2 else piece[:, None]))
        tick(piece)
    shown(stream.input_finished())
    return Summary(stream.seconds, dict(labels), time.thread_time() - began)


def level(piece: Channels) -> float:
    """The loudest sample, in dBFS; -120 is silence."""
    peak = float(np.abs(piece).max(initial=0.0))
    return 20 * float(np.log10(max(peak, 1e-6)))


def stoppable(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, until Ctrl-C, SIGTERM, or SIGHUP where that isn't ignored, as under nohup.

    A signal ends the wait for the next item, and never interrupts what is done with one: no answer is torn.
    """
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield from items
        return
    stopped = waiting = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        if waiting:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in _endings()}
    source = iter(items)
    try:
        while True:
            try:
                waiting = True
                if stopped:
                    return
                item = next(source)
                waiting = False
            except (StopIteration, KeyboardInterrupt):
                waiting = False
                return
            yield item
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _endings() -> Iterator[int]:
    """The signals that end listening."""
    yield from (signal.SIGINT, signal.SIGTERM)
    hangup = getattr(signal, "SIGHUP", None)  # of a terminal that is closed; Windows has none
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
        yield hangup
