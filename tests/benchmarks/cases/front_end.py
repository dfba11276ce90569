"""Features of one window: three seconds at 16 kHz, in memory, on one thread.

The MFCC are the same numbers in librosa and in ser-edge, which is checked before anything is timed. What
python_speech_features and openSMILE compute is something else for the same purpose; they show the order of cost.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
from harness.case import Settings, Table, main
from harness.timing import Figures, in_turn
from peers.notebook import mfcc

from ser_edge.audio.reading import read
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import FrontEnd
from ser_edge.models.loader import open_model

TURNS, CALLS = 15, 5  # for a round
SAMPLES = 48_000

Samples = npt.NDArray[np.float32]
LIBROSA = "librosa.feature.mfcc"


def measure(settings: Settings) -> list[Table]:
    """One table."""
    samples = np.zeros(SAMPLES, np.float32)
    voice = read(settings.some_files(1)[0], 16_000, 3.0)
    samples[: len(voice)] = voice
    makers: dict[str, Callable[[], Callable[[Samples], Any]]] = {
        LIBROSA: lambda: mfcc,
        "ser-edge, NumPy's FFT (base install)": lambda: FrontEnd(FeatureConfig(), np.fft.rfft),
        "ser-edge, SciPy's FFT (training)": lambda: FrontEnd(FeatureConfig(), scipy.fft.rfft),
        "ser-edge, pyFFTW's FFT": lambda: FrontEnd(FeatureConfig(), _fftw()),
        "ser-edge, the log-mel of the accurate model": lambda: open_model("accurate").front_end,
        "ser-edge, the log-mel of the small model": lambda: open_model("small").front_end,
        "python_speech_features.mfcc, as large": lambda: _speech_features(),
        "python_speech_features.mfcc, its defaults": lambda: _speech_features(as_large=False),
        "openSMILE eGeMAPSv02 functionals": _opensmile,
    }
    sides: dict[str, Callable[[], Any]] = {}
    absent: dict[str, Figures | str] = {}
    for name, make in makers.items():
        try:
            call = partial(make(), samples)
            call()
        except ImportError:
            absent[name] = "not installed"
        except Exception as e:  # another's library: what it raises is its own
            absent[name] = f"can't run here: {(str(e).splitlines() or [repr(e)])[0]}"
        else:
            sides[name] = call
    ours = [name for name in sides if "FFT" in name]
    difference = max(float(np.abs(sides[name]() - sides[LIBROSA]()).max()) for name in ours)
    if difference > 0.01:
        raise ValueError(f"ser-edge's MFCC differ from librosa's by {difference:.2g}")
    figures = in_turn(sides, TURNS * settings.rounds, CALLS)
    title = "Features of 3 s in memory, one thread"
    notes = [
        f"ser-edge's MFCC differ from librosa's by at most {difference:.1g}, of values that span hundreds of dB.",
        (
            "`As large`: frames of 2048 every 512 samples, 128 bands, 40 coefficients, as the notebook has them; its "
            "defaults are frames of 400 every 160 samples, 26 bands, 13 coefficients. eGeMAPS are 88 other features."
        ),
    ]
    return [Table("mfcc", title, LIBROSA, "cpu", {name: figures.get(name) or absent[name] for name in makers}, notes)]


def _fftw() -> Callable[..., Any]:
    import pyfftw

    pyfftw.interfaces.cache.enable()
    pyfftw.interfaces.cache.set_keepalive_time(60)
    return partial(pyfftw.interfaces.numpy_fft.rfft, threads=1, planner_effort="FFTW_MEASURE")


def _speech_features(as_large: bool = True) -> Callable[[Samples], Any]:
    import python_speech_features

    theirs: Callable[..., Any] = python_speech_features.mfcc
    if not as_large:
        return theirs
    return partial(
        theirs,
        winlen=2048 / 16_000,
        winstep=512 / 16_000,
        nfft=2048,
        nfilt=128,
        numcep=40,
        winfunc=np.hanning,
    )


def _opensmile() -> Callable[[Samples], Any]:
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    return lambda samples: smile.process_signal(samples, 16_000)


if __name__ == "__main__":
    main(measure)
