"""What `ser-edge` does with each kind of source: files, standard input, the microphone."""

import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ser_edge.audio.sound import Channels
from ser_edge.cli.args import STDIN
from ser_edge.errors import AudioError, printable
from ser_edge.errors.native_stderr import keep_freed_memory
from ser_edge.errors.user_warnings import capture_warnings
from ser_edge.output.progress import Progress, log_line
from ser_edge.recognition.batch.tasks import OnPrediction, RecognizerConfig, default_jobs, predictions, worth_processes
from ser_edge.recognition.prediction import Prediction
from ser_edge.recognition.recognizer import Recognizer

if TYPE_CHECKING:
    from distributed import Client

    from ser_edge.audio.decoding.standard_input import RawFormat
    from ser_edge.capture.microphone import Health
    from ser_edge.service.systemd_notify import SystemdNotifier

__all__ = [
    "ListenOptions",
    "PredictOptions",
    "View",
    "capture_incidents",
    "listen_to_microphone",
    "predict_files",
    "sounds",
]

_LOOK = 64  # files that are looked at before it is decided who judges; so many are worth starting processes for
_MICROPHONE = "microphone"  # the path of its predictions


class View(Protocol):
    """A picture of what is heard."""

    def update(self, prediction: Prediction | None, level: float, status: str) -> None:
        """A new answer or None, dBFS, and how the source is."""

    def close(self) -> None:
        """Leaves the last picture, and the terminal to others."""


@dataclass(frozen=True)
class ListenOptions:
    """How what has no end is listened to."""

    view: View | None = None  # a picture instead of lines
    publish: OnPrediction = lambda prediction: None  # gets what the view shows
    seconds: float | None = None  # of sound after which to stop
    raw: "RawFormat | None" = None  # of standard input without a header
    channel: int | None = None  # of the microphone; None mixes them


@dataclass(frozen=True)
class PredictOptions:
    """How files are judged."""

    timeline: bool = False  # an answer for each window, not one for the file
    jobs: int | None = None  # files at the same time; None is as many as suit this machine
    client: "Client | None" = None  # of a Dask cluster that does it


def predict_files(
    setup: RecognizerConfig,
    recognizer: Recognizer,
    paths: Sequence[str],
    show: OnPrediction,
    listening: ListenOptions,
    way: PredictOptions,
) -> tuple[int, int]:
    """Judges files, the sounds in folders, and `-`; one that can't be judged gets a line, and the others go on.

    Args:
        setup: of the recognizer, so that more like it can be made.
        recognizer: what judges here.
        paths: as they were given.
        show: gets the predictions, in the order of the paths.
        listening: to standard input.
        way: how files are judged.

    Returns:
        (judged, failed)

    Raises:
        SerEdgeError: nothing more can be judged.
    """
    judged = failed = 0
    passed_over: Counter[str] = Counter()
    found = sounds(paths, passed_over)
    with (
        capture_warnings(_say),
        closing(Progress(lambda: sum(1 for _ in sounds(paths, Counter())))) as progress,
        closing(_attempts(setup, recognizer, paths, found, listening, way, progress)) as attempts,
    ):
        for attempt in attempts:
            try:
                attempt(show)
                judged += 1
            except AudioError as error:
                _say(str(error))
                failed += 1
    return judged, failed + _say_passed_over(passed_over)


def listen_to_microphone(
    recognizer: Recognizer, device: int | str | None, show: OnPrediction, listening: ListenOptions
) -> None:
    """Listens until somebody stops it, or the time is up.

    Raises:
        MicrophoneError: none that can be used.
    """
    from ser_edge.capture.microphone import Microphone

    rate = recognizer.metadata.features.sample_rate
    with Microphone(rate, device, listening.channel) as microphone:

        def status() -> str:
            h = microphone.health
            state = "" if h.listening else "  nothing comes"
            again = f"  reopened {h.reconnections} x" if h.reconnections else ""
            lost = f"  dropped {h.dropped:.1f} s" if h.dropped else ""
            return f"{h.device}  {h.rate / 1000:g} kHz  lag {h.lag:.1f} s{lost}{again}{state}"

        source = _Source(_MICROPHONE, microphone, rate, status, lambda: microphone.health.arriving)
        _listen(recognizer, source, show, listening)
        health = microphone.health
    if happened := capture_incidents(health):
        log_line(f"ser-edge: {happened}")


def capture_incidents(health: "Health") -> str:
    """What happened to a microphone while it was listened to, in a line; empty where nothing did."""
    lost = f"{health.dropped:.2f} s dropped" if health.dropped else ""
    again = f"reopened {health.reconnections} time{'s' * (health.reconnections != 1)}" if health.reconnections else ""
    return ", ".join(filter(None, (lost, again)))


def sounds(paths: Iterable[str], passed_over: Counter[str] | None = None) -> Iterator[str]:
    """Files as given, folders as the sounds below them in order; what isn't there fails when it is read.

    Args:
        paths: of files and folders.
        passed_over: counts, by suffix, the sounds in folders that can't be decoded here; see `find_sound_files`.
    """
    for given in paths:
        folder = Path(given)
        try:
            is_folder = folder.is_dir()
        except OSError:  # too long to be a name; reading it says so
            is_folder = False
        if not is_folder:
            yield given
            continue
        from ser_edge.audio.folders import find_sound_files

        before = sum(passed_over.values()) if passed_over else 0
        below = find_sound_files(folder, passed_over)
        if first := next(below, None):
            yield from map(str, chain([first], below))
        elif not passed_over or sum(passed_over.values()) == before:
            yield given


def _attempts(
    setup: RecognizerConfig,
    recognizer: Recognizer,
    given: Sequence[str],
    paths: Iterator[str],
    listening: ListenOptions,
    way: PredictOptions,
    progress: Progress,
) -> Generator[Callable[[OnPrediction], None], None, None]:
    """For each sound what shows its predictions, or raises AudioError. Many are judged ahead, a single one isn't."""
    if way.client is not None:
        from ser_edge.recognition.batch.dask_backend import predict_in_cluster

        outcomes = predict_in_cluster(way.client, setup, recognizer.metadata, paths, way.timeline, progress)
    else:
        first = list(islice(paths, _LOOK))
        paths = chain(first, paths)
        if len(first) > 1:
            keep_freed_memory()
        jobs = way.jobs or (default_jobs(setup.threads) if len(first) == _LOOK or worth_processes(first) else 1)
        if len(first) == 1 or jobs == 1 or STDIN in given:
            for path in paths:
                yield partial(_judge, recognizer, path, listening, way.timeline, progress)
            return
        from ser_edge.recognition.batch.process_pool import predict_in_processes

        same = replace(setup, model=str(recognizer.path))  # what was found here isn't searched for again
        outcomes = predict_in_processes(same, paths, jobs, way.timeline, progress)
    with closing(outcomes):
        for outcome in outcomes:
            yield outcome.tell


def _say(line: str) -> None:
    log_line(f"ser-edge: {printable(line)}")


def _say_passed_over(passed_over: Counter[str]) -> int:
    """How many sounds this installation can't decode."""
    count = passed_over.total()
    if count:
        from ser_edge.audio.decoding.ffmpeg import install_command

        files = "file" if count == 1 else "files"
        kinds = ", ".join(sorted(passed_over))
        _say(f"{count} {files} passed over ({kinds}), which need PyAV or ffmpeg; try: {install_command()}")
    return count


def _judge(
    recognizer: Recognizer, path: str, listening: ListenOptions, timeline: bool, progress: Progress, show: OnPrediction
) -> None:
    try:
        if path == STDIN:
            _judge_stdin(recognizer, show, listening)
        else:
            for prediction in predictions(recognizer, path, timeline, progress.within):
                show(prediction)
    finally:
        progress.next()


def _judge_stdin(recognizer: Recognizer, show: OnPrediction, listening: ListenOptions) -> None:
    from ser_edge.audio.decoding.standard_input import pipe_sound, raw_sound

    source = _standard_input()
    with raw_sound(source, listening.raw) if listening.raw else pipe_sound(source, STDIN) as sound:
        status = f"standard input  {sound.rate / 1000:g} kHz"
        _listen(recognizer, _Source(STDIN, sound.chunks, sound.rate, lambda: status), show, listening)


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise AudioError("-: standard input is closed")
    if not isinstance(sys.stdin.buffer, io.BufferedReader):
        return sys.stdin.buffer
    # A reader of our own: Python closes its as it ends, and aborts if a thread still waits in it.
    return open(sys.stdin.fileno(), "rb", closefd=False)


@dataclass(frozen=True)
class _Source:
    """What has no end."""

    path: str  # of its predictions
    pieces: Iterable[Channels]
    rate: int  # Hz
    status: Callable[[], str]  # how it is, in a line
    arriving: Callable[[], bool] = lambda: True  # the pieces are sound that comes, no stopgap


def _listen(recognizer: Recognizer, source: _Source, show: OnPrediction, listening: ListenOptions) -> None:
    from ser_edge.cli.listen import level, listen

    supervisor = _supervisor()
    loudness = 0.0

    def tick(piece: Channels) -> None:
        nonlocal loudness
        loudness = level(piece)
        if listening.view:
            listening.view.update(None, loudness, source.status())
        if supervisor:
            supervisor.tick(source.arriving, source.status)

    def seen(prediction: Prediction) -> None:
        if listening.view:
            listening.view.update(prediction, loudness, source.status())
        listening.publish(prediction)

    stream = recognizer.create_stream(source.rate, source.path)
    if supervisor:
        supervisor.ready()
    try:
        summary = listen(source.pieces, source.rate, stream, seen if listening.view else show, listening.seconds, tick)
    finally:
        if listening.view:
            listening.view.close()
        if supervisor:
            supervisor.stopping()
    log_line(f"ser-edge: {summary}")


def _supervisor() -> "SystemdNotifier | None":
    """Who watches over this process; None where nobody does."""
    if "NOTIFY_SOCKET" not in os.environ:
        return None
    from ser_edge.service.systemd_notify import SystemdNotifier

    return SystemdNotifier()
