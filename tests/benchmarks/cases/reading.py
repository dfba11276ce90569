"""What comes before features: decoding a file, and resampling it from 48 to 16 kHz, on one thread."""

import tempfile
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
import soxr
from harness.case import Settings, Table, main
from harness.timing import in_turn

TURNS, CALLS = 20, 5  # for a round
RATE, TARGET = 48_000, 16_000
SECONDS = 3


def measure(settings: Settings) -> list[Table]:
    """A table for each."""
    given, rate = soundfile.read(settings.some_files(1)[0], dtype="float32", always_2d=True)
    voice = soxr.resample(given[:, 0], rate, RATE)
    voice = np.resize(voice, SECONDS * RATE).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        wav, flac = Path(folder, "voice.wav"), Path(folder, "voice.flac")
        for path in (wav, flac):
            soundfile.write(path, voice, RATE, subtype="PCM_16")
        decoding = in_turn(
            {
                "FLAC": lambda: soundfile.read(flac, dtype="float32"),
                "WAV": lambda: soundfile.read(wav, dtype="float32"),
            },
            TURNS * settings.rounds,
            CALLS,
        )
    resampling = in_turn(
        {
            'soxr "HQ" (librosa and ser-edge)': lambda: soxr.resample(voice, RATE, TARGET, "HQ"),
            'soxr "MQ"': lambda: soxr.resample(voice, RATE, TARGET, "MQ"),
            "scipy.signal.resample_poly": lambda: scipy.signal.resample_poly(voice, 1, RATE // TARGET),
        },
        TURNS * settings.rounds,
        CALLS,
    )
    return [
        Table(
            "decoding", f"Decoding {SECONDS} s of 48 kHz, 16 bit, by libsndfile, one thread", "FLAC", "cpu", decoding
        ),
        Table(
            "resampling",
            f"Resampling {SECONDS} s from 48 to 16 kHz, one thread",
            'soxr "HQ" (librosa and ser-edge)',
            "cpu",
            resampling,
            ["A network hears what it was trained on: ser-edge keeps to HQ, as librosa does."],
        ),
    ]


if __name__ == "__main__":
    main(measure)
