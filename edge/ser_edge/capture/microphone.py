"""An endless stream of sound from a microphone, through every failure of the device.

The iterator takes blocks out of the capture thread's queues, mixes and resamples them, and fills in what is missing. It
makes no call into PortAudio, so no failure of a device can block it: `reconnection` opens, watches and closes.

The output follows the device's clock while there is one, and the machine's (monotonic) while there is none. Time
without sound is filled with zeros, so that speech before it and speech after it stay apart.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from operator import index
from types import TracebackType

import numpy as np

from ser_edge.audio.downmix import Downmix
from ser_edge.audio.resampling import Resampler
from ser_edge.audio.samples.arrays import parse_sample_rate
from ser_edge.audio.sound import Samples
from ser_edge.capture.devices import BLOCK
from ser_edge.capture.reconnection import Block, CaptureSession, CaptureThread, CaptureTimeouts
from ser_edge.errors import MicrophoneError

_MAX_WAIT = 0.25  # seconds that one step of the iteration takes at most


@dataclass(frozen=True)
class Health:
    """State of the capture, for displays and monitoring."""

    device: str
    rate: int  # Hz, as the device was opened
    channels: int
    overflows: int  # times that sound was lost because it wasn't read in time, here or in the system
    dropped: float  # seconds lost so; the time a device was away isn't counted
    lag: float  # seconds that wait in the queue
    reconnections: int  # times that sound came again after the device had been gone or stuck
    arriving: bool  # blocks come from the device, be they silent
    listening: bool  # and they aren't digital silence


class Microphone:
    """A microphone as an iterator of sound; use it once, in a `with` block.

    It yields mono float32 at `sample_rate`, full scale +-1, in arrays of about 0.1 s: an empty one where nothing came
    for a moment, zeros for as long as the device is away. It ends after `stop` or `close`. Opening a device that was
    lost, or wasn't listed, restarts PortAudio, which ends every other stream of this process; while another microphone
    is open it doesn't, and a device that was plugged in since isn't found.

    Args:
        sample_rate: Hz of the output. A device that doesn't take it is opened at a rate of its own, and resampled.
        device: its number, its name or a part of it; by default the system's.
        channel: the one to use, from 1 on; None mixes them (`audio.downmix`).
        timeouts: how long to wait for the device.

    Raises:
        AudioError: a sample rate out of its range.
        MicrophoneError: on entering: no PortAudio, no such device or channel, or one that can't be opened.
        TypeError: a sample rate or a channel that is no number.
        ValueError: entered a second time, or iterated outside its block.
    """

    def __init__(
        self,
        sample_rate: int,
        device: int | str | None = None,
        channel: int | None = None,
        timeouts: CaptureTimeouts = CaptureTimeouts(),  # noqa: B008 - frozen
    ):
        self.sample_rate = parse_sample_rate(sample_rate, "microphone")  # Hz; `Recognizer.stream` compares it
        self._channel, self._timeouts = None if channel is None else index(channel), timeouts
        self._thread = CaptureThread(self.sample_rate, device, self._channel, timeouts)
        self._is_open: bool | None = None  # None before it is entered
        self._session: CaptureSession | None = None  # the one that is read
        self._read = 0  # frames of it
        self._until = 0.0  # monotonic, up to which sound or zeros were given
        self._in_gap = False  # zeros were given last
        self._signal: tuple[Downmix, Resampler] | None = None  # the processing of blocks, from gap to gap
        self._overflows, self._dropped = 0, 0.0

    def __enter__(self) -> "Microphone":
        if self._is_open is not None:
            raise ValueError("this microphone was used already; make another Microphone(...) to open the device again")
        self._is_open = False
        self._thread.start()
        try:
            answered = self._thread.opened.wait(self._timeouts.open)
        except BaseException:  # Ctrl-C, while the sound system doesn't answer
            self.stop()
            raise
        self._until = time.monotonic()
        if not answered:
            self.stop()
            problem = f"the sound system didn't answer for {self._timeouts.open:g} s; restart it, or the machine"
            raise MicrophoneError(problem, code="microphone-stalled")
        if self._thread.failure:
            raise self._thread.failure
        self._is_open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Samples]:
        if not self._is_open:
            raise ValueError("this microphone isn't open; read it inside `with Microphone(...) as microphone:`")
        while not self._thread.stopping:
            if self._thread.failure:
                raise self._thread.failure
            yield from self._step(self._thread.sessions[0])

    def stop(self) -> None:
        """Ends the iteration soon; from any thread, or a signal handler."""
        self._thread.stopping = True

    def close(self) -> None:
        """Stops, and closes the device; where that hangs, leaves it to a thread that dies with the process."""
        self._is_open = False
        self.stop()
        self._thread.join()

    @property
    def health(self) -> Health:
        """The current state; from any thread."""
        thread, now = self._thread, time.monotonic()
        sessions = list(thread.sessions)
        newest = sessions[-1] if sessions else None
        arriving = (
            newest is not None
            and not (newest.abandoned or newest.finished or thread.stopping)
            and newest.frames > 0
            and now - newest.last_callback < self._timeouts.gap
        )
        return Health(
            device=thread.device.name if thread.device else "",
            rate=newest.rate if newest else 0,
            channels=newest.channels if newest else 0,
            overflows=self._overflows,
            dropped=round(self._dropped, 3),
            lag=round(sum(len(session.blocks) for session in sessions) * BLOCK, 3),
            reconnections=thread.reconnections,
            arriving=arriving,
            listening=arriving and now - thread.last_sound < self._timeouts.silent,
        )

    def _step(self, session: CaptureSession) -> Iterator[Samples]:
        """The next block and a substitute for what was lost before it; or zeros; or an empty array for a moment."""
        sessions, changed = self._thread.sessions, self._thread.changed
        if session is not self._session:
            if self._session:
                yield from self._flush()
            self._session, self._read = session, 0
        changed.clear()
        if session.blocks:
            yield from self._block(session, session.blocks.popleft())
        elif session.abandoned and len(sessions) > 1:
            if sessions[0] is session:  # a full deque drops its oldest by itself
                sessions.popleft()
        else:
            changed.wait(BLOCK if self._in_gap or session.abandoned else _MAX_WAIT)
            if not session.blocks:
                yield from self._no_block(session)

    def _block(self, session: CaptureSession, block: Block) -> Iterator[Samples]:
        frames, rate = len(block.sound), session.rate
        lost = (block.start - self._read) / rate  # seconds that were dropped from the queue
        away = block.arrived - frames / rate - self._until  # seconds since the last output, by the clock
        self._read, self._until = block.start + frames, block.arrived
        # The clock decides only after a failure: callbacks are always a little early or late.
        is_failure = self._in_gap or block.overflowed or away - lost >= self._timeouts.gap
        missing = max(lost, away) if is_failure else lost
        self._overflows += (lost > 0) + block.overflowed
        self._dropped += missing if block.overflowed and not self._in_gap else lost
        if missing > 0:
            yield from self._zeros(missing)
        self._in_gap = False
        if self._signal is None:
            self._signal = Downmix(rate, self._channel, "microphone"), Resampler(rate, self.sample_rate)
        downmix, resampler = self._signal
        for mono in downmix.blocks(block.sound):
            yield resampler.process(mono)

    def _no_block(self, session: CaptureSession) -> Iterator[Samples]:
        now = time.monotonic()
        if not (self._in_gap or session.abandoned or now - self._until >= self._timeouts.gap):
            yield np.zeros(0, np.float32)
            return
        missing = now - BLOCK - self._until  # a block that comes now holds the sound since then
        if missing > 0:
            self._until += missing
            yield from self._zeros(missing)

    def _zeros(self, seconds: float) -> Iterator[Samples]:
        yield from self._flush()
        left = round(seconds * self.sample_rate)
        while left > 0 and not self._thread.stopping:
            piece = np.zeros(min(left, self.sample_rate), np.float32)
            left -= len(piece)
            yield piece

    def _flush(self) -> Iterator[Samples]:
        """Before a gap, the rest of the sound; after it a new downmix and resampler begin."""
        self._in_gap = True
        if self._signal is not None:
            downmix, resampler = self._signal
            self._signal = None
            for mono in downmix.finish():
                yield resampler.process(mono)
            yield resampler.finish()
