"""Verifies a file that takes samples: it must answer as the front-end and the network do that are in it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from ser_edge.audio.downmix import mono_blocks
from ser_edge.audio.sound import Samples, Sound
from ser_edge.features.config import FeatureConfig
from ser_edge.models.integrity import synthetic_voice
from ser_edge.models.runtimes.base import EMBEDDING, SAMPLES
from ser_export.errors import VerificationError

_VOICES = 24  # of different length, level and pitch
_OUTPUTS = ("probabilities", EMBEDDING)


@dataclass(frozen=True)
class WaveformReport:
    """The measurements of a file that passed."""

    inputs: int
    max_difference: float  # of a probability
    labels_changed: int


def waveform_inputs(rate: int) -> list[Samples]:
    """Sounds to verify with, each (samples,) float32: voices, then edge cases."""
    random = np.random.default_rng(0)
    voice = synthetic_voice(rate)
    noise = random.uniform(-1, 1, 2 * rate).astype(np.float32)
    voices = []
    for _ in range(_VOICES):
        speed, level, seconds, share = random.uniform([0.6, -50, 0.3, 0], [1.6, 0, 4, 0.1])
        places = np.arange(round(seconds * rate)) * speed % (len(voice) - 1)
        background = share * random.standard_normal(len(places))
        voices.append(10 ** (level / 20) * (np.interp(places, np.arange(len(voice)), voice) + background))
    silence, click, step = np.zeros((3, rate))
    click[rate // 2] = 1
    step[rate // 3 :] = 0.5
    damaged = voice.copy()
    damaged[::1000], damaged[1::1000] = np.nan, np.inf
    short = [voice[:count] for count in (0, 1, rate // 50, rate // 10, rate // 10 + 1)]
    # Levels that are no trimming threshold below each other, where rounding would decide what is kept.
    pauses = np.concatenate([silence, 0.317 * voice, silence, silence, voice, 0.0123 * voice])
    edge_cases = [silence, silence + 0.3, click, step, noise, voice + 0.2, 1e-3 * voice, damaged, pauses, *short]
    return [sound.astype(np.float32) for sound in (*voices, *edge_cases)]


def without_dc(samples: Samples, config: FeatureConfig) -> Samples:
    """(samples,) as `Recognizer.predict` gives those of a mono sound to the model: without a DC offset."""
    sound = Sound(config.sample_rate, iter([samples[:, None]]), "sound")
    blocks = mono_blocks(sound, seconds=config.seconds if config.trim_db is None else None)
    return np.concatenate([samples[:0], *blocks])


def open_waveform(path: Path) -> Callable[[Samples], list[npt.NDArray[np.float32]]]:
    """A function of samples that gives the outputs of a file, as programs without ser-edge have them."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    if [given.name for given in session.get_inputs()] != [SAMPLES] or outputs != list(_OUTPUTS[: len(outputs)]):
        raise VerificationError("its inputs or outputs have other names", code="export-verification-failed")
    return lambda samples: session.run(outputs, {SAMPLES: samples})


def verify_waveform(
    path: Path, predict_proba: Callable[[Samples], npt.NDArray[np.float32]], config: FeatureConfig, allowed: float
) -> WaveformReport:
    """Compares a file with another computation of the same answers.

    Args:
        path: the file.
        predict_proba: (samples,) without a DC offset to (labels,) probabilities.
        config: of the front-end.
        allowed: the largest difference of a probability.

    Raises:
        VerificationError: an answer differs by more, or the same sound gets another one the second time.
    """
    run, inputs = open_waveform(path), waveform_inputs(config.sample_rate)
    answers = [run(samples)[0] for samples in inputs]
    expected = np.stack([predict_proba(without_dc(samples, config)) for samples in inputs])
    if not all(np.array_equal(run(samples)[0], answer) for samples, answer in zip(inputs, answers, strict=True)):
        raise VerificationError("the same sound gets another answer the second time", code="export-stateful")
    difference = float(np.abs(np.stack(answers) - expected).max())
    if not difference <= allowed:  # NaN is not
        why = f"a probability differs by more than allowed ({difference:.2g} > {allowed:.2g})"
        raise VerificationError(why, code="export-verification-failed")
    changed = np.stack(answers).argmax(1) != expected.argmax(1)
    return WaveformReport(len(inputs), difference, int(changed.sum()))
