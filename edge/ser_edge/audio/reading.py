"""Reads a whole sound file into an array, for training and evaluation."""

from pathlib import Path
from typing import BinaryIO

import numpy as np

from ser_edge.audio.decoding.decoder import open_sound
from ser_edge.audio.downmix import mono_blocks
from ser_edge.audio.resampling import resample
from ser_edge.audio.sound import SILENCE_PEAK, Samples
from ser_edge.errors import AudioError


def read(source: str | Path | BinaryIO, sample_rate: int, seconds: float | None = None) -> Samples:
    """Decodes a sound file, or its first seconds, to (samples,) float32 at `sample_rate` Hz, mixed by `downmix`.

    Raises AudioError where it isn't a sound, unreadable, empty, silent, or not finite.
    """
    with open_sound(source) as sound:
        mono = np.concatenate([*mono_blocks(sound, seconds=seconds)])
        if np.abs(mono).max() < SILENCE_PEAK:
            where = "" if seconds is None else f" in its first {seconds:g} s"
            problem = f"silent, nothing above -80 dBFS{where}; check the microphone or the recording level"
            raise AudioError(f"{sound.name}: {problem}", code="audio-silent")
        return resample(mono, sound.rate, sample_rate)
