"""What `ser-edge` does with each kind of source: files, standard input, the microphone."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ser_edge.audio import AUDIO_SUFFIXES, Samples
from ser_edge.blocks import RawFormat, file_blocks, pipe_blocks, raw_blocks
from ser_edge.errors import AudioError
from ser_edge.listen import level, listen
from ser_edge.prediction import Prediction
from ser_edge.progress import Progress, say
from ser_edge.recognizer import Recognizer

__all__ = ["STDIN", "Listening", "View", "judge_files", "judge_microphone", "sounds"]

STDIN = "-"
_MICROPHONE = "microphone"  # the path of its predictions

Show = Callable[[Prediction], None]


class View(Protocol):
    """A picture of what is heard."""

    def update(self, prediction: Prediction | None, level: float, status: str) -> None:
        """A new answer or None, dBFS, and how the source is."""

    def close(self) -> None:
        """Leaves the last picture, and the terminal to others."""


@dataclass(frozen=True)
class Listening:
    """How what has no end is listened to."""

    view: View | None = None  # a picture instead of lines
    seconds: float | None = None  # of sound after which to stop
    raw: RawFormat | None = None  # of standard input without a header


def judge_files(
    recognizer: Recognizer, paths: Sequence[str], show: Show, listening: Listening, timeline: bool
) -> tuple[int, int]:
    """Judges each path; one that can't be judged gets a line, and the others go on.

    Returns:
        (judged, failed)
    """
    judged = failed = 0
    with closing(Progress(len(paths))) as progress:
        for path in paths:
            try:
                if path == STDIN:
                    _judge_stdin(recognizer, show, listening)
                elif timeline:
                    _judge_timeline(recognizer, path, show, progress)
                else:
                    show(recognizer.predict(path, progress=progress.within))
                judged += 1
            except AudioError as error:
                say(f"ser-edge: {error}")
                failed += 1
            progress.next()
    return judged, failed


def judge_microphone(recognizer: Recognizer, device: int | str | None, show: Show, listening: Listening) -> None:
    """Listens until somebody stops it, or the time is up.

    Raises:
        MicrophoneError: none that can be used.
    """
    from ser_edge.microphone import Microphone

    rate = recognizer.description.features.sample_rate
    with Microphone(rate, device) as microphone:

        def status() -> str:
            h = microphone.health
            state = "" if h.listening else "  nothing comes"
            again = f"  reopened {h.reconnections} x" if h.reconnections else ""
            return f"{h.device}  {h.rate / 1000:g} kHz  lag {h.lag:.1f} s  dropped {h.dropped:.1f} s{again}{state}"

        _listen(recognizer, _MICROPHONE, microphone, rate, show, listening, status)
        health = microphone.health
    say(f"ser-edge: {health.dropped:.1f} s dropped, reopened {health.reconnections} times")


def sounds(paths: Sequence[str]) -> Iterator[str]:
    """Files as given, folders as the sounds below them in order; what isn't there fails when it is read."""
    for given in paths:
        try:
            is_folder = Path(given).is_dir()
        except OSError:  # too long to be a name; reading it says so
            is_folder = False
        if not is_folder:
            yield given
            continue
        found = sorted(p for p in Path(given).rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())
        yield from map(str, found) if found else [given]


def _judge_timeline(recognizer: Recognizer, path: str, show: Show, progress: Progress) -> None:
    with file_blocks(path) as blocks:
        stream = recognizer.listener(blocks.rate, path)
        for piece in blocks.pieces:
            for prediction in stream.feed(piece):
                show(prediction)
            progress.within(stream.seconds, blocks.seconds or 0.0)
        for prediction in stream.finish():
            show(prediction)


def _judge_stdin(recognizer: Recognizer, show: Show, listening: Listening) -> None:
    if sys.stdin is None:
        raise AudioError("-: standard input is closed")
    source = sys.stdin.buffer
    with raw_blocks(source, listening.raw) if listening.raw else pipe_blocks(source, STDIN) as blocks:
        status = f"standard input  {blocks.rate / 1000:g} kHz"
        _listen(recognizer, STDIN, blocks.pieces, blocks.rate, show, listening, lambda: status)


def _listen(
    recognizer: Recognizer,
    path: str,
    pieces: Iterable[Samples],
    rate: int,
    show: Show,
    listening: Listening,
    status: Callable[[], str],
) -> None:
    loudness = 0.0

    def tick(piece: Samples) -> None:
        nonlocal loudness
        loudness = level(piece)
        if listening.view:
            listening.view.update(None, loudness, status())

    def seen(prediction: Prediction) -> None:
        if listening.view:
            listening.view.update(prediction, loudness, status())

    stream = recognizer.listener(rate, path)
    try:
        summary = listen(pieces, rate, stream, seen if listening.view else show, listening.seconds, tick)
    finally:
        if listening.view:
            listening.view.close()
    say(f"ser-edge: {summary}")
