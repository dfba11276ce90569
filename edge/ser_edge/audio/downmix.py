"""Downmix of all channels to one signal without a DC offset.

It works on blocks of a tenth of a second, counted from the sound's beginning: so the result doesn't depend, to the bit,
on how a sound is cut into chunks, and a file, a pipe, an array and a stream have the same.

DC: cheap sound cards add a constant, which would be the loudest thing in a quiet recording, and a click at both ends.
Each channel's mean is followed (over the last second) and subtracted; between blocks it moves in a straight line.

Channels: their mean, as `librosa.load(mono=True)` has it, unless they cancel in it (a balanced microphone on a stereo
jack has the voice once upright and once inverted): then the strongest one.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ser_edge.audio.sound import MAX_AMPLITUDE, Channels, Samples, Sound
from ser_edge.errors import AudioError

BLOCK_SECONDS = 0.1
MEMORY = 10  # blocks over which the mean is followed: 1 s
# Power of the mean, relative to the strongest channel's: below it that channel is taken, above it the mean again.
_CANCELLED, _RESTORED = 0.1, 0.3
_LOUDER = 2.0  # times the power of the channel that is taken: another replaces it


class Downmix:
    """Mixes the channels of a sound down to one signal, block by block; `channel`, from 1 on, takes that one alone."""

    def __init__(self, sample_rate: int, channel: int | None = None, name: str = "stream"):
        self._length = max(1, round(BLOCK_SECONDS * sample_rate))
        self._channel, self._name = channel, name
        self._line = np.linspace(0, 1, self._length, endpoint=False, dtype=np.float32)[:, None]
        self._begin(1)

    def _begin(self, channels: int) -> None:
        self._waiting: list[Channels] = []  # less than a block
        self._count = 0  # samples in it
        self._followed = 0.0  # blocks in the mean, `MEMORY` at most
        self._dc: npt.NDArray[np.float64] | None = None  # (channels,), at the end of the block before
        self._power = np.zeros(channels)  # of each, so far
        self._mean_power = 0.0
        self._strongest: int | None = None  # the channel that is taken; None takes their mean

    def blocks(self, chunk: Channels) -> Iterator[Samples]:
        """Takes (samples, channels) float32, any number of them; yields the (samples,) of each completed block.

        Samples that aren't finite, or are beyond `MAX_AMPLITUDE`, become silence. Raises AudioError: no such channel.
        """
        if chunk.shape[1] != len(self._power):  # the first, or recordings of several kinds joined together
            yield from self.finish()
            self._begin(chunk.shape[1])
        self._count += len(chunk)
        if self._count < self._length:
            self._waiting.append(chunk.copy())  # callers may fill the same array again
            return
        data = np.concatenate([*self._waiting, chunk])
        whole = len(data) // self._length * self._length
        self._waiting, self._count = [data[whole:]], len(data) - whole
        for i in range(0, whole, self._length):
            yield self._mixed(self._without_dc(data[i : i + self._length]))

    def finish(self) -> Iterator[Samples]:
        """The last samples, less than a block; nothing where none are left."""
        if self._count:
            yield self._mixed(self._without_dc(np.concatenate(self._waiting)))
        self._waiting, self._count = [], 0

    def _without_dc(self, block: Channels) -> Channels:
        if not max(block.max(), -block.min()) <= MAX_AMPLITUDE:  # NaN where there is one
            block = np.where(np.abs(block) <= MAX_AMPLITUDE, block, np.float32(0))
        mean = block.mean(axis=0, dtype=np.float64)
        before = mean if self._dc is None else self._dc
        self._followed = min(self._followed + len(block) / self._length, MEMORY)
        self._dc = before + (mean - before) * (len(block) / self._length / self._followed)
        line = before.astype(np.float32) + (self._dc - before).astype(np.float32) * self._line[: len(block)]
        return block - line

    def _mixed(self, block: Channels) -> Samples:
        channels = block.shape[1]
        if self._channel is not None:
            if self._channel > channels:
                raise AudioError(f"{self._name}: no channel {self._channel}; it has {channels}", code="audio-channels")
            return block[:, self._channel - 1]
        if channels == 1:
            return block[:, 0]
        mean: Samples = block.mean(axis=1)
        self._power = self._power + np.square(block, dtype=np.float64).sum(axis=0)
        self._mean_power += float(np.square(mean, dtype=np.float64).sum())
        self._choose()
        return mean if self._strongest is None else block[:, self._strongest]

    def _choose(self) -> None:
        """Chooses the mean or a channel, by their power from the beginning on; the choice hardly ever changes."""
        most = self._power.max()
        if self._strongest is None:
            if self._mean_power < _CANCELLED * most:
                self._strongest = int(self._power.argmax())
        elif self._mean_power > _RESTORED * most:
            self._strongest = None
        elif most > _LOUDER * self._power[self._strongest]:
            self._strongest = int(self._power.argmax())


def mono_blocks(sound: Sound, channel: int | None = None, seconds: float | None = None) -> Iterator[Samples]:
    """The mono blocks of a sound, or of its first seconds; raises what its chunks raise."""
    downmix = Downmix(sound.rate, channel, sound.name)
    left = None if seconds is None else round(seconds * sound.rate)
    for chunk in sound.chunks:
        yield from downmix.blocks(chunk[:left])
        if left is not None and (left := left - len(chunk)) <= 0:
            break
    yield from downmix.finish()
