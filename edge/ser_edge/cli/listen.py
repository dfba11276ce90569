"""Classifies a stream, from a microphone or standard input, until it ends, a duration is over, or a signal stops it."""

import io
import os
import signal
import stat
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import numpy as np

from ser_edge.audio.sound import Channels, limit
from ser_edge.cli.arguments.rules import STDIN
from ser_edge.errors import AudioError
from ser_edge.errors.user_warnings import warn_of_silence
from ser_edge.output.progress import Log, log_line
from ser_edge.output.writers import percent
from ser_edge.recognition.prediction import Prediction
from ser_edge.recognition.recognizer import Recognizer

if TYPE_CHECKING:
    from ser_edge.audio.decoding.standard_input import RawFormat
    from ser_edge.capture.microphone import Health
    from ser_edge.output.live_view import LiveView
    from ser_edge.service.systemd_notify import SystemdNotifier

Item = TypeVar("Item")


@dataclass(frozen=True)
class ListenOptions:
    """How a stream is classified."""

    duration: float | None = None  # seconds of audio after which to stop
    raw: "RawFormat | None" = None  # of standard input without a header
    channel: int | None = None  # of the microphone; None mixes them
    view: "LiveView | None" = None  # shows the source's level and status
    log: Log = field(default_factory=Log)
    clock: Callable[[], float] = time.time  # seconds since the epoch
    on_health: "Callable[[Health, float], None] | None" = None  # gets a microphone's state, and its level in dBFS
    on_open: Callable[[], None] | None = None  # called when a microphone is open
    stopped: threading.Event | None = None  # ends a stream that isn't in the main thread, which gets no signals


@dataclass(frozen=True)
class StreamSummary:
    """What a stream contained."""

    seconds: float  # of audio
    labels: dict[str, int]  # windows, by their label
    cpu_seconds: float  # that classifying it took

    def __str__(self) -> str:
        """One line, for a person."""
        windows = sum(self.labels.values())
        ratios = ", ".join(f"{label} {percent(n / windows)}" for label, n in Counter(self.labels).most_common())
        factor = self.cpu_seconds / self.seconds if self.seconds else 0.0
        counts = f"{self.seconds:.1f} s of audio, {windows} window{'s' * (windows != 1)}"
        return f"{counts}{': ' * bool(ratios)}{ratios}; real-time factor {factor:.3f}"


@dataclass(frozen=True)
class _Source:
    """An audio source without a known end."""

    path: str  # of its predictions
    chunks: Iterable[Channels]  # (samples,) or (samples, channels) each
    rate: int  # Hz
    status: Callable[[], str]  # one line for a person
    alive: Callable[[], bool] = lambda: True  # whether audio arrives, not silence that replaces it
    lag: Callable[[], float] | None = None  # seconds from a sound to its chunk; None where it isn't live
    on_level: Callable[[float], None] | None = None  # gets the level of each chunk, in dBFS


def listen_to_microphone(
    recognizer: Recognizer, device: int | str | None, options: ListenOptions
) -> Generator[Prediction, None, None]:
    """Yields a microphone's predictions, window by window, and logs a summary at the end.

    Raises:
        MicrophoneError: no usable one.
    """
    from ser_edge.capture.microphone import Microphone

    rate = recognizer.metadata.features.sample_rate
    with Microphone(rate, device, options.channel) as microphone:
        if options.on_open:
            options.on_open()
        health = microphone.health
        channels = f"{health.channels} channel{'s' * (health.channels != 1)}"
        options.log.detail(f"microphone {health.device}: {health.rate} Hz, {channels}")
        status, alive = lambda: _capture_status(microphone.health), lambda: microphone.health.arriving
        report, lag = options.on_health, lambda: microphone.health.lag
        on_level = None if report is None else lambda level: report(microphone.health, level)
        source = _Source("microphone", microphone, rate, status, alive, lag, on_level)
        yield from _listen(recognizer, source, options)
        health = microphone.health
    if incidents := capture_incidents(health):
        log_line(f"ser-edge: {incidents}")


def _capture_status(health: "Health") -> str:
    state = "" if health.listening else "  no audio"
    reconnections = f"  reopened {health.reconnections} x" if health.reconnections else ""
    dropped = f"  dropped {health.dropped:.1f} s" if health.dropped else ""
    return f"{health.device}  {health.rate / 1000:g} kHz  lag {health.lag:.1f} s{dropped}{reconnections}{state}"


def capture_incidents(health: "Health") -> str:
    """Losses and reconnections of a microphone, in a line; empty if there were none."""
    dropped = f"{health.dropped:.2f} s dropped" if health.dropped else ""
    times = f"{health.reconnections} time{'s' * (health.reconnections != 1)}"
    return ", ".join(filter(None, (dropped, f"reopened {times}" if health.reconnections else "")))


def listen_to_stdin(recognizer: Recognizer, options: ListenOptions) -> Generator[Prediction, None, None]:
    """Yields the predictions of standard input, window by window, and logs a summary at the end.

    Raises:
        AudioError: it can't be decoded.
    """
    from ser_edge.audio.decoding.standard_input import pipe_sound, raw_sound

    stdin = _standard_input()
    with raw_sound(stdin, options.raw) if options.raw else pipe_sound(stdin, STDIN) as sound:
        status = f"standard input  {sound.rate / 1000:g} kHz"
        options.log.detail(status)
        lag = None if _is_file(stdin) else lambda: 0.0
        yield from _listen(recognizer, _Source(STDIN, sound.chunks, sound.rate, lambda: status, lag=lag), options)


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise AudioError("-: standard input is closed", code="audio-not-found")
    if not isinstance(sys.stdin.buffer, io.BufferedReader):
        return sys.stdin.buffer
    if sys.platform != "win32":  # where another program left it so, a read would end at each pause
        os.set_blocking(sys.stdin.fileno(), True)
    # A reader of our own: at exit Python closes sys.stdin, and aborts if a thread still waits in it.
    return open(sys.stdin.fileno(), "rb", closefd=False)


def _is_file(stdin: BinaryIO) -> bool:
    """Whether it was recorded before, as with `< talk.wav`; a pipe may be live."""
    try:
        return stat.S_ISREG(os.fstat(stdin.fileno()).st_mode)
    except (AttributeError, OSError, ValueError):  # no file of the system
        return True


def _listen(recognizer: Recognizer, source: _Source, options: ListenOptions) -> Iterator[Prediction]:
    view, systemd = options.view, notifier()
    labels: Counter[str] = Counter()
    began = time.thread_time()
    stream = recognizer.create_stream(source.rate, source.path)
    stopped = options.stopped
    chunks = _until_signal(source.chunks) if stopped is None else _until_set(source.chunks, stopped)
    samples = None if options.duration is None else max(1, round(options.duration * source.rate))

    def timed(prediction: Prediction) -> Prediction:
        if source.lag is None:
            return prediction
        return prediction.at_time(options.clock() - source.lag() - (stream.seconds - prediction.end))

    if systemd:
        systemd.ready()
    try:
        for chunk in limit(chunks, samples):
            for prediction in stream.accept_channels(chunk if chunk.ndim == 2 else chunk[:, None]):
                labels[prediction.label] += 1
                yield timed(prediction)
            if view:
                view.update(_level(chunk), source.status())
            if source.on_level:
                source.on_level(_level(chunk))
            if systemd:
                systemd.tick(source.alive, source.status)
        for prediction in stream.input_finished():
            labels[prediction.label] += 1
            yield timed(prediction)
        if stream.is_silent and stream.seconds:
            warn_of_silence(source.path)
    finally:
        if view:
            view.close()  # before the summary is printed
        if systemd:
            systemd.close()
    options.log.notice(f"ser-edge: {StreamSummary(stream.seconds, dict(labels), time.thread_time() - began)}")


def notifier() -> "SystemdNotifier | None":
    """A notifier of the service manager; None where there is none."""
    if "NOTIFY_SOCKET" not in os.environ:
        return None
    from ser_edge.service.systemd_notify import SystemdNotifier

    return SystemdNotifier()


def _level(chunk: Channels) -> float:
    return decibels(float(np.abs(chunk).max(initial=0.0)))


def decibels(amplitude: float) -> float:
    """DBFS of an amplitude, 0..1; -120 is silence."""
    return 20 * float(np.log10(max(amplitude, 1e-6)))


def _until_set(items: Iterable[Item], stopped: threading.Event) -> Iterator[Item]:
    """The same items, until the event is set."""
    for item in items:
        if stopped.is_set():
            return
        yield item


def _until_signal(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, until Ctrl-C, SIGTERM, or SIGHUP where that isn't ignored, as under nohup.

    A signal interrupts waiting for the next item, and never the work on one: no line is cut short.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield from items
        return
    stopped = waiting = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        if waiting:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in _stop_signals()}
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


def _stop_signals() -> Iterator[int]:
    yield from (signal.SIGINT, signal.SIGTERM)
    hangup = getattr(signal, "SIGHUP", None)  # of a terminal that is closed; Windows has none
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
        yield hangup
