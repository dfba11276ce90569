"""Keeps a microphone open: opens it, watches it, closes it, opens it again when it is back.

All that in one thread, and nothing of it anywhere else, because everything in PortAudio can hang when a device or a
sound server does: then it is this thread that waits, and dies with the process. PortAudio's own thread only copies
each block into a bounded queue. Reading the queues is `microphone`'s.
"""

import time
from collections import deque
from contextlib import suppress
from enum import Enum, auto
from threading import Event, Thread
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ser_edge.capture.devices import BLOCK, Device, choose, choose_again, open_input_stream
from ser_edge.capture.portaudio import portaudio, refresh
from ser_edge.errors import MicrophoneError

__all__ = ["Block", "CaptureSession", "CaptureThread"]

QUEUE = 10.0  # seconds of sound that wait for whoever reads; older ones are dropped
STALL_TIMEOUT = 2.0  # seconds without a callback: open it anew
SILENT = 10.0  # seconds of digital silence: no microphone is that quiet, unless it is muted or dead
MAX_SILENT = 320.0  # seconds between two attempts to wake a device that stays silent
BACK_OFF, MAX_BACK_OFF = 0.5, 10.0  # seconds before opening again: the first time, and after many
_POLL = 0.05  # seconds between two looks
_UNREAD = 8  # connections that wait to be read; more only pile up where nobody reads


class Block(NamedTuple):
    """What one callback brought."""

    start: int  # frames before it, since the device was opened
    arrived: float  # monotonic
    overflowed: bool  # PortAudio says that some was lost before it
    sound: npt.NDArray[np.float32]  # (frames, channels)


class CaptureSession:
    """One opening of a device: its stream, and what was heard and isn't read yet.

    Args:
        news: set whenever something happens.
    """

    stream: Any  # sounddevice's, which knows the device's rate and channels
    rate: int  # Hz
    channels: int

    def __init__(self, news: Event):
        self.blocks: deque[Block] = deque(maxlen=round(QUEUE / BLOCK))  # full: the oldest goes
        self.last: npt.NDArray[np.float32] | None = None  # sound, read or not
        self.heard = time.monotonic()  # the last callback
        self.frames = 0  # that came
        self.finished = False  # PortAudio says that it ended
        self.over = False  # given up: no more will come
        self._news = news

    def hear(self, sound: npt.NDArray[np.float32], frames: int, _: Any, flags: Any) -> None:
        """PortAudio's callback: a copy, and nothing that could take long."""
        self.last, self.heard = sound.copy(), time.monotonic()
        self.blocks.append(Block(self.frames, self.heard, bool(flags and flags.input_overflow), self.last))
        self.frames += frames
        self._news.set()

    def finish(self) -> None:
        """PortAudio's other callback: the device is gone, or the stream was closed."""
        self.finished = True
        self._news.set()


class _End(Enum):
    """Why a connection was given up."""

    LOST = auto()  # the device is gone, or nobody wants it any more
    STALLED = auto()  # it stopped calling
    SILENT = auto()  # it calls, and brings nothing but zeros


class CaptureThread:
    """A device that is kept open, in a thread of its own, from `start` until `stopping` is set.

    Args:
        sample_rate: Hz that are wanted.
        wanted: the device, as `devices.choose` takes it.
        channel: of it that is wanted, from 1 on; None is any.
    """

    def __init__(self, sample_rate: int, wanted: int | str | None, channel: int | None = None):
        self.connections: deque[CaptureSession] = deque(maxlen=_UNREAD)  # oldest first; whoever has read one removes it
        self.device: Device | None = None  # as it was listed when it was opened last
        self.failure: Exception | None = None  # it couldn't be opened at all; or a bug
        self.news, self.opened = Event(), Event()  # `opened` is set also by a failure
        self.reconnections = 0  # times it was heard again
        self.sounded = 0.0  # monotonic: when it last was anything but digital silence
        self.stopping = False  # no Event: setting one in a signal handler can meet its own lock
        self._sample_rate = sample_rate
        self._wanted, self._channel = wanted, channel
        self._thread = Thread(target=self._run, name="ser-edge microphone", daemon=True)

    def start(self) -> None:
        """Begins to open the device; `opened` is set when that is done."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Waits until the device is closed, but no longer than so many seconds."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._keep()
        except Exception as error:  # raised where the sound is read
            self.failure = error
        finally:
            self.opened.set()

    def _keep(self) -> None:
        connection: CaptureSession | None = self._first()
        returning, delay, silent = False, BACK_OFF, SILENT
        while connection:
            self.connections.append(connection)
            self.opened.set()
            end = self._watch(connection, returning, max(STALL_TIMEOUT, delay), silent)
            connection.over = True  # before it is closed: that may hang, and the reader mustn't wait for it
            connection.stream.close()
            # What opens and brings nothing is tried ever more rarely.
            delay = BACK_OFF if connection.frames else min(2 * delay, MAX_BACK_OFF)
            silent = min(2 * silent, MAX_SILENT) if end is _End.SILENT else SILENT
            returning = end is not _End.SILENT or (returning and not connection.frames)
            connection = self._again(delay if end is _End.LOST else 0.0)

    def _first(self) -> CaptureSession:
        try:
            return self._connect(choose(self._wanted))
        except MicrophoneError:
            refresh()  # it may have been plugged in since PortAudio looked
            return self._connect(choose(self._wanted))

    def _again(self, delay: float) -> CaptureSession | None:
        """Waits until the device is back; None if that is no longer wanted."""
        assert self.device
        self._wait(delay)
        while not self.stopping:
            with suppress(MicrophoneError):  # not yet
                refresh()
                return self._connect(choose_again(self._wanted, self.device))
            delay = min(max(2 * delay, BACK_OFF), MAX_BACK_OFF)
            self._wait(delay)
        return None

    def _connect(self, device: Device) -> CaptureSession:
        connection = CaptureSession(self.news)
        connection.stream, connection.rate, connection.channels = open_input_stream(
            device, self._sample_rate, connection.hear, connection.finish, self._channel
        )
        if self.device is None:
            self.sounded = time.monotonic()
        self.device = device
        return connection

    def _watch(self, connection: CaptureSession, returning: bool, patience: float, silent: float) -> _End:
        """Waits until the device is gone, or stopped calling, or is silent for too long; or until the end.

        Args:
            connection: what to watch.
            returning: it was away before: count it, once it is heard.
            patience: seconds without a callback.
            silent: seconds of digital silence.
        """
        began = time.monotonic()
        while not self.stopping and not connection.finished and _active(connection.stream):
            time.sleep(_POLL)
            now = time.monotonic()
            if connection.last is not None:
                self.reconnections += returning
                if returning or connection.last.any():
                    self.sounded = now
                returning = False
            if now - connection.heard > patience:
                return _End.STALLED
            if now - max(self.sounded, began) > silent:
                return _End.SILENT
        return _End.LOST

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < end:
            time.sleep(_POLL)


def _active(stream: Any) -> bool:
    try:
        return bool(stream.active)
    except portaudio().PortAudioError:  # not even that is known
        return False
