"""An endless sound from a microphone, whatever happens to the microphone.

Whoever iterates takes blocks out of the keeper's queues, mixes and resamples them, and fills in what is missing. That
touches no PortAudio, so nothing that happens to a device can stop it: opening, watching, closing are `keeper`'s.

The clock of what comes out is the device's while there is one, and the machine's (monotonic) while there is none. The
time in which nothing could be heard is zeros, so that speech before it and speech after it stay apart.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from ser_edge.audio.downmix import Downmix
from ser_edge.audio.resampling import Resampler
from ser_edge.audio.sound import Samples
from ser_edge.capture.capture_thread import SILENT, Block, CaptureSession, CaptureThread
from ser_edge.capture.devices import BLOCK, Device, devices
from ser_edge.errors import MicrophoneError

__all__ = ["Device", "Health", "Microphone", "devices"]

BEAT = 0.25  # seconds that one step of the iteration takes at most
STALLED = 1.0  # seconds without a block: nothing is being heard
OPENING = 15.0  # seconds the sound system has to answer at the beginning
CLOSING = 2.0  # seconds it has to answer at the end


@dataclass(frozen=True)
class Health:
    """How listening goes: to be shown, or watched."""

    device: str
    rate: int  # Hz, as the device was opened
    channels: int
    overflows: int  # times that sound was lost because nobody took it in time, here or in the system
    dropped: float  # seconds lost so; the time a device was away isn't counted
    lag: float  # seconds that wait in the queue
    reconnections: int  # times the device was heard again after it had been gone or stuck
    arriving: bool  # blocks come from the device, be they silent
    listening: bool  # and they aren't dead silent


class Microphone:
    """A microphone as an iterator of sound; use it once, in a `with` block.

    What is yielded is mono float32 at `sample_rate`, full scale +-1, in arrays of about 0.1 s: an empty one where
    nothing came for a moment, zeros for as long as the device is away. It ends after `stop` or `close`. Opening a
    device that was lost, or wasn't listed, starts PortAudio anew, which ends every other stream of this process.

    Args:
        sample_rate: Hz of what is yielded. A device that doesn't take it is opened at a rate of its own, and resampled.
        device: its number, its name or a part of it; the system's default where nothing is given.
        channel: the one to listen to, from 1 on; None mixes them (`audio.downmix`).

    Raises:
        MicrophoneError: on entering: no PortAudio, no such device, or one that can't be opened.
    """

    def __init__(self, sample_rate: int, device: int | str | None = None, channel: int | None = None):
        self._sample_rate, self._channel = sample_rate, channel
        self._keeper = CaptureThread(sample_rate, device, channel)
        self._connection: CaptureSession | None = None  # that is read
        self._read = 0  # frames of it
        self._until = 0.0  # monotonic, up to which sound or zeros were given
        self._gap = False  # zeros were given last
        self._signal: tuple[Downmix, Resampler] | None = None  # what makes it of blocks, from gap to gap
        self._overflows, self._dropped = 0, 0.0

    def __enter__(self) -> "Microphone":
        self._keeper.start()
        try:
            answered = self._keeper.opened.wait(OPENING)
        except BaseException:  # Ctrl-C, while the sound system keeps us waiting
            self.stop()
            raise
        self._until = time.monotonic()
        if not answered:
            self.stop()
            raise MicrophoneError(f"the sound system didn't answer for {OPENING:g} s; restart it, or the machine")
        if self._keeper.failure:
            raise self._keeper.failure
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Samples]:
        while not self._keeper.stopping:
            if self._keeper.failure:
                raise self._keeper.failure
            yield from self._step(self._keeper.connections[0])

    def stop(self) -> None:
        """Lets the iteration end soon; from any thread, or a signal handler."""
        self._keeper.stopping = True

    def close(self) -> None:
        """Stops, and closes the device; where that hangs, leaves it to a thread that dies with the process."""
        self.stop()
        self._keeper.join(CLOSING)

    @property
    def health(self) -> Health:
        """How it goes now; from any thread."""
        keeper, now = self._keeper, time.monotonic()
        connections = list(keeper.connections)
        newest = connections[-1] if connections else None
        arriving = (
            newest is not None
            and not (newest.over or newest.finished or keeper.stopping)
            and newest.frames > 0
            and now - newest.heard < STALLED
        )
        return Health(
            device=keeper.device.name if keeper.device else "",
            rate=newest.rate if newest else 0,
            channels=newest.channels if newest else 0,
            overflows=self._overflows,
            dropped=round(self._dropped, 3),
            lag=round(sum(len(connection.blocks) for connection in connections) * BLOCK, 3),
            reconnections=keeper.reconnections,
            arriving=arriving,
            listening=arriving and now - keeper.sounded < SILENT,
        )

    def _step(self, connection: CaptureSession) -> Iterator[Samples]:
        """What there is to give now: the next block and what was lost before it, or zeros, or nothing for a moment."""
        connections, news = self._keeper.connections, self._keeper.news
        if connection is not self._connection:
            if self._connection:
                yield from self._part()
            self._connection, self._read = connection, 0
        news.clear()
        if connection.blocks:
            yield from self._sound(connection, connection.blocks.popleft())
        elif connection.over and len(connections) > 1:
            if connections[0] is connection:  # the oldest goes by itself where many wait
                connections.popleft()
        else:
            news.wait(BLOCK if self._gap or connection.over else BEAT)
            if not connection.blocks:
                yield from self._nothing(connection)

    def _sound(self, connection: CaptureSession, block: Block) -> Iterator[Samples]:
        frames, rate = len(block.sound), connection.rate
        lost = (block.start - self._read) / rate  # seconds that fell out of the queue
        away = block.arrived - frames / rate - self._until  # seconds since what was given last, by the clock
        self._read, self._until = block.start + frames, block.arrived
        # By the clock only where something happened: callbacks come early and late, and that means nothing.
        missing = max(lost, away) if self._gap or block.overflowed or away - lost >= STALLED else lost
        self._overflows += (lost > 0) + block.overflowed
        self._dropped += missing if block.overflowed and not self._gap else lost
        if missing > 0:
            yield from self._zeros(missing)
        self._gap = False
        if self._signal is None:
            self._signal = Downmix(rate, self._channel, "microphone"), Resampler(rate, self._sample_rate)
        downmix, resampler = self._signal
        for mono in downmix.blocks(block.sound):
            yield resampler.process(mono)

    def _nothing(self, connection: CaptureSession) -> Iterator[Samples]:
        now = time.monotonic()
        if not (self._gap or connection.over or now - self._until >= STALLED):
            yield np.zeros(0, np.float32)
            return
        missing = now - BLOCK - self._until  # a block that comes now holds the sound since then
        if missing > 0:
            self._until += missing
            yield from self._zeros(missing)

    def _zeros(self, seconds: float) -> Iterator[Samples]:
        yield from self._part()
        left = round(seconds * self._sample_rate)
        while left > 0 and not self._keeper.stopping:
            piece = np.zeros(min(left, self._sample_rate), np.float32)
            left -= len(piece)
            yield piece

    def _part(self) -> Iterator[Samples]:
        """A gap: what is still held comes before it, and what follows meets a new downmix and resampler."""
        self._gap = True
        if self._signal is not None:
            downmix, resampler = self._signal
            self._signal = None
            for mono in downmix.finish():
                yield resampler.process(mono)
            yield resampler.finish()
