"""Corruptions of a recording's samples: noise, babble, gain, telephone, codecs, a room; and live windows.

Training augments spectra (`ser_train.training.augmentation`); here the waveform is corrupted, by other code than a
network was trained with. All that is random comes from a generator that the caller seeds.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

from ser_edge.audio.reading import read
from ser_edge.audio.sound import Samples
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import window_starts
from ser_train.data.feature_cache import front_end_of

RATE = 16_000  # Hz, of all samples here
BABBLE_SPEAKERS = 6
WINDOW_SECONDS = (3.0, 2.0, 1.5)  # of live windows
HOP = 0.5  # seconds from one live prediction to the next
_MIN_SPEECH = 0.75  # seconds of speech in a window that counts; half the window, if that is shorter
_FULL_SCALE = 32_768  # of a 16-bit converter
_MU = 255  # of G.711's mu-law
_RT60 = 0.4  # seconds in which a small room's tail falls by 60 dB
_DIRECT = 5.0  # dB, direct to reverberant energy: some two metres away

# What counts as speech, whatever the network's own front-end: 10 ms steps at most 20 dB below the loudest.
_SPEECH_FEATURES = FeatureConfig(
    RATE, n_fft=512, win_length=400, hop_length=160, n_mels=64, n_mfcc=None, f_min=50.0, trim_db=20.0, trim_margin=0
)


@dataclass(frozen=True, eq=False)
class Recording:
    """An utterance, and what is needed to corrupt it."""

    samples: Samples  # (samples,) at RATE
    speech: slice  # of these: from the first loud frame to the last
    others: tuple[Samples, ...]  # other speakers for babble, without the silence before and after their speech

    @classmethod
    def read(cls, path: Path, others: Sequence[Path]) -> "Recording":
        """Decodes the utterance and the recordings of other speakers.

        Raises:
            AudioError: a file that can't be used.
        """
        samples = read(path, RATE)
        talk = [read(other, RATE) for other in others]
        return cls(samples, speech_span(samples), tuple(sound[speech_span(sound)] for sound in talk))


Corruption = Callable[[Recording, np.random.Generator], Samples]  # as many samples as the recording has


def speech_span(samples: Samples) -> slice:
    """The speech in (samples,) at RATE: from the first loud frame to the last."""
    front_end, hop = front_end_of(_SPEECH_FEATURES), _SPEECH_FEATURES.hop_length
    first, last = front_end.span(front_end.log_mel(samples))
    return slice(max(0, first * hop - hop // 2), min(len(samples), last * hop - hop // 2))  # frames are centred


def live_windows(recording: Recording, seconds: float) -> list[Samples]:
    """The windows of a recording that hold speech, each (samples,) at RATE.

    They begin every HOP over the whole recording with its silence, and the last one ends where it ends. A window counts
    if it holds enough speech; if none does, the one with most speech counts.
    """
    length = round(seconds * RATE)
    starts = window_starts(len(recording.samples), length, round(HOP * RATE))
    speech = recording.speech
    lengths = [min(start + length, speech.stop) - max(start, speech.start) for start in starts]
    enough = min(_MIN_SPEECH * RATE, length / 2)
    counted = [start for start, samples in zip(starts, lengths, strict=True) if samples >= enough]
    return [recording.samples[i : i + length] for i in counted or [starts[int(np.argmax(lengths))]]]


def _as_recorded(recording: Recording, random: np.random.Generator) -> Samples:
    return recording.samples


def _white(recording: Recording, random: np.random.Generator, ratio: float) -> Samples:
    return _noisy(recording, random.standard_normal(len(recording.samples)), ratio)


def _babble(recording: Recording, random: np.random.Generator, ratio: float) -> Samples:
    """Other speakers, equally loud, each from a random place of a recording that repeats."""
    length, noise = len(recording.samples), np.zeros(len(recording.samples))
    for talk in recording.others:
        noise += np.resize(np.roll(talk / _level(talk), random.integers(len(talk))), length)
    return _noisy(recording, noise, ratio)


def _gain(recording: Recording, random: np.random.Generator, decibels: float) -> Samples:
    """Another level at a 16-bit converter: rounded, and clipped at full scale."""
    steps = np.round(recording.samples * (_FULL_SCALE * 10 ** (decibels / 20)))
    return _float32(np.clip(steps, -_FULL_SCALE, _FULL_SCALE - 1) / _FULL_SCALE)


def _telephone(recording: Recording, random: np.random.Generator) -> Samples:
    """300 to 3400 Hz, 8 kHz, and the 8 bits of G.711's mu-law."""
    band = butter(4, (300, 3400), "bandpass", fs=RATE, output="sos")
    narrow = np.clip(resample_poly(sosfilt(band, recording.samples), 1, 2), -1, 1)
    pressed = np.sign(narrow) * np.log1p(_MU * np.abs(narrow)) / np.log1p(_MU)
    coded = np.round(pressed * 127) / 127
    decoded = np.sign(coded) * np.expm1(np.abs(coded) * np.log1p(_MU)) / _MU
    return _float32(resample_poly(decoded, 2, 1)[: len(recording.samples)])


def _coded(
    recording: Recording, random: np.random.Generator, container: str, codec: str, mode: str | None, effort: float
) -> Samples:
    """Through libsndfile's encoder and back; `effort`, its compression level, stands for the bit rate."""
    memory = io.BytesIO()
    settings = {"format": container, "subtype": codec, "bitrate_mode": mode, "compression_level": effort}
    soundfile.write(memory, recording.samples, RATE, **settings)
    memory.seek(0)
    decoded = soundfile.read(memory, dtype="float32")[0][: len(recording.samples)]
    return _float32(np.pad(decoded, (0, len(recording.samples) - len(decoded))))


def _room(recording: Recording, random: np.random.Generator) -> Samples:
    """The direct sound, and a tail of noise that decays."""
    time = np.arange(1, round(_RT60 * RATE)) / RATE
    tail = random.standard_normal(len(time)) * 10 ** (-3 * time / _RT60)  # -60 dB is a thousandth
    tail *= 10 ** (-_DIRECT / 20) / np.linalg.norm(tail)
    return _float32(fftconvolve(recording.samples, np.append(1.0, tail))[: len(recording.samples)])


def _noisy(recording: Recording, noise: npt.NDArray[np.float64], ratio: float) -> Samples:
    """Adds noise at a speech-to-noise ratio in dB, measured over the speech. Clipping is another corruption."""
    levels = _level(recording.samples[recording.speech]) / _level(noise[recording.speech])
    return _float32(recording.samples + noise * levels * 10 ** (-ratio / 20))


def _level(samples: npt.NDArray[np.floating]) -> float:
    """RMS, never 0."""
    return max(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))), 1e-9)


def _float32(samples: npt.NDArray[np.floating]) -> Samples:
    return np.ascontiguousarray(samples, dtype=np.float32)


CORRUPTIONS: dict[str, Corruption] = {
    "as recorded": _as_recorded,
    "white noise, 20 dB": partial(_white, ratio=20),
    "white noise, 10 dB": partial(_white, ratio=10),
    "white noise, 5 dB": partial(_white, ratio=5),
    "six others talk, 20 dB": partial(_babble, ratio=20),
    "six others talk, 10 dB": partial(_babble, ratio=10),
    "six others talk, 5 dB": partial(_babble, ratio=5),
    "20 dB louder, clipped": partial(_gain, decibels=20),
    "20 dB softer, 16 bits": partial(_gain, decibels=-20),
    "telephone": _telephone,
    # LAME averages: what it encodes at a constant rate comes back 69 ms late. The level for B kbit/s at this rate is
    # (160 - B) / 152, LAME's highest and lowest rates.
    "MP3, 24 kbit/s": partial(_coded, container="MP3", codec="MPEG_LAYER_III", mode="AVERAGE", effort=0.9),
    "Opus, 16 kbit/s": partial(_coded, container="OGG", codec="OPUS", mode=None, effort=0.96),  # (256 - B) / 250
    "small room": _room,
}
