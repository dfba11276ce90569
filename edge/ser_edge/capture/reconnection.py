"""A thread that keeps a microphone open: opens it, watches it, closes it, and reopens it when it is back.

Every call into PortAudio is made by this thread, because each can hang when a device or a sound server does: then this
thread waits, and dies with the process. PortAudio's own thread only copies each block into a bounded queue, which
`microphone` reads.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from threading import Event, Thread
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ser_edge.capture.devices import BLOCK, Device, choose, choose_again, open_input_stream
from ser_edge.capture.portaudio import hold, portaudio, refresh, release
from ser_edge.errors import MicrophoneError

_QUEUE = 10.0  # seconds of sound that wait to be read; older blocks are dropped
_MAX_UNREAD = 8  # sessions that wait to be read


@dataclass(frozen=True)
class CaptureTimeouts:
    """Seconds that a microphone is waited for."""

    open: float = 15.0  # until the sound system answers at the beginning
    close: float = 2.0  # until it answers at the end
    gap: float = 1.0  # without a block, until silence is given
    stall: float = 2.0  # without a callback, until the device is reopened
    silent: float = 10.0  # of digital silence, until it is reopened: a microphone is muted or dead, never that quiet
    max_silent: float = 320.0  # between two attempts to wake a device that stays silent
    retry: float = 0.5  # before the first reopening
    max_retry: float = 10.0  # before another one, after many
    poll: float = 0.05  # between two looks at the device


class Block(NamedTuple):
    """The content of one callback."""

    start: int  # frames before it, since the device was opened
    arrived: float  # monotonic
    overflowed: bool  # PortAudio lost some sound before it
    sound: npt.NDArray[np.float32]  # (frames, channels)


class CaptureSession:
    """One opening of a device: its stream, and the captured blocks that aren't read yet; every event sets `changed`."""

    stream: Any  # sounddevice's, which knows the device's rate and channels
    rate: int  # Hz
    channels: int

    def __init__(self, changed: Event):
        self.blocks: deque[Block] = deque(maxlen=round(_QUEUE / BLOCK))  # full: the oldest is dropped
        self.last: npt.NDArray[np.float32] | None = None  # sound, read or not
        self.last_callback = time.monotonic()
        self.frames = 0  # captured
        self.finished = False  # PortAudio's stream has ended
        self.abandoned = False  # no more will come
        self._changed = changed

    def on_audio(self, sound: npt.NDArray[np.float32], frames: int, _: Any, flags: Any) -> None:
        """PortAudio's callback: copies, and does nothing that could take long."""
        self.last, self.last_callback = sound.copy(), time.monotonic()
        self.blocks.append(Block(self.frames, self.last_callback, bool(flags and flags.input_overflow), self.last))
        self.frames += frames
        self._changed.set()

    def on_finished(self) -> None:
        """PortAudio's other callback: the device is gone, or the stream was closed."""
        self.finished = True
        self._changed.set()


class _End(Enum):
    """Why a session ended."""

    LOST = auto()  # the device is gone, or capturing was stopped
    STALLED = auto()  # no more callbacks
    SILENT = auto()  # callbacks bring nothing but zeros


class CaptureThread:
    """Keeps a device open, from `start` until `stopping` is set; its arguments are those of `microphone.Microphone`."""

    def __init__(
        self,
        sample_rate: int,
        device: int | str | None,
        channel: int | None = None,
        timeouts: CaptureTimeouts = CaptureTimeouts(),
    ):
        self.sessions: deque[CaptureSession] = deque(maxlen=_MAX_UNREAD)  # oldest first; the reader removes read ones
        self.device: Device | None = None  # as it was listed when it was opened last
        self.failure: Exception | None = None  # it couldn't be opened at all; or a bug
        self.changed, self.opened = Event(), Event()  # `opened` is set also by a failure
        self.reconnections = 0  # times that sound came again
        self.last_sound = 0.0  # monotonic: the last block that wasn't digital silence
        self.stopping = False  # no Event: setting one in a signal handler can meet its own lock
        self._sample_rate, self._timeouts = sample_rate, timeouts
        self._wanted, self._channel = device, channel
        self._thread = Thread(target=self._run, name="ser-edge microphone", daemon=True)

    def start(self) -> None:
        """Begins to open the device; `opened` is set when that is done."""
        self._thread.start()

    def join(self) -> None:
        """Waits until the device is closed, but no longer than `timeouts.close`."""
        if self._thread.is_alive():
            self._thread.join(self._timeouts.close)

    def _run(self) -> None:
        try:
            self._capture()
        except Exception as error:  # raised where the sound is read
            self.failure = error
        finally:
            release(self)
            self.opened.set()

    def _capture(self) -> None:
        timeouts = self._timeouts
        session: CaptureSession | None = self._open_first()
        returning, delay, silent = False, timeouts.retry, timeouts.silent
        while session:
            self.sessions.append(session)
            self.opened.set()
            end = self._watch(session, returning, max(timeouts.stall, delay), silent)
            session.abandoned = True  # before it is closed: that may hang, and the reader mustn't wait for it
            session.stream.close()
            release(self)
            # A device that opens and brings nothing is tried ever more rarely.
            delay = timeouts.retry if session.frames else min(2 * delay, timeouts.max_retry)
            silent = min(2 * silent, timeouts.max_silent) if end is _End.SILENT else timeouts.silent
            returning = end is not _End.SILENT or (returning and not session.frames)
            session = self._reopen(delay if end is _End.LOST else 0.0)

    def _open_first(self) -> CaptureSession:
        try:
            return self._open(partial(choose, self._wanted))
        except MicrophoneError:
            refresh()  # it may have been plugged in since PortAudio listed the devices
            return self._open(partial(choose, self._wanted))

    def _reopen(self, delay: float) -> CaptureSession | None:
        """Waits until the device is back; None if capturing was stopped."""
        assert self.device
        self._wait(delay)
        while not self.stopping:
            with suppress(MicrophoneError):  # not yet
                refresh()
                return self._open(partial(choose_again, self._wanted, self.device))
            delay = min(max(2 * delay, self._timeouts.retry), self._timeouts.max_retry)
            self._wait(delay)
        return None

    def _open(self, find: Callable[[], Device]) -> CaptureSession:
        """Opens the device that is found; holds PortAudio from then on, for another microphone may restart it."""
        hold(self)
        try:
            device, session = find(), CaptureSession(self.changed)
            session.stream, session.rate, session.channels = open_input_stream(
                device, self._sample_rate, session.on_audio, session.on_finished, self._channel
            )
        except MicrophoneError:
            release(self)
            raise
        if self.device is None:
            self.last_sound = time.monotonic()
        self.device = device
        return session

    def _watch(self, session: CaptureSession, returning: bool, stall: float, silent: float) -> _End:
        """Waits until the device is gone, stalled, or silent for too long (seconds); or until capturing is stopped.

        `returning`: the device was away before, and its first sound is a reconnection.
        """
        began = time.monotonic()
        while not self.stopping and not session.finished and _is_active(session.stream):
            time.sleep(self._timeouts.poll)
            now = time.monotonic()
            if session.last is not None:
                self.reconnections += returning
                if returning or session.last.any():
                    self.last_sound = now
                returning = False
            if now - session.last_callback > stall:
                return _End.STALLED
            if now - max(self.last_sound, began) > silent:
                return _End.SILENT
        return _End.LOST

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < end:
            time.sleep(self._timeouts.poll)


def _is_active(stream: Any) -> bool:
    try:
        return bool(stream.active)
    except portaudio().PortAudioError:  # not even that is known
        return False
