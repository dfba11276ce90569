"""`Recognizer`: `predict` gives one `Prediction` for a path or an array, `stream` one per window of a signal."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser_edge.audio.downmix import mono_blocks
from ser_edge.audio.resampling import resample
from ser_edge.audio.sound import SILENCE_PEAK, Samples, Sound
from ser_edge.audio.sources import Source, check_chunks, open_source
from ser_edge.errors import RuntimeUnavailable
from ser_edge.errors.user_warnings import deprecated, warn
from ser_edge.models.bundled.names import DEFAULT
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.network import Model
from ser_edge.recognition.prediction import NO_SPEECH, Prediction
from ser_edge.recognition.windows import WindowConfig

if TYPE_CHECKING:
    from ser_edge.recognition.streaming import Stream
    from ser_edge.recognition.voice_activity.utterance_gate import Speech

UTTERANCE = 60.0  # seconds; a longer recording is classified window by window, and those with speech are averaged


class Recognizer:
    """Recognises emotions in speech. Opens its model once; keep it for many sounds.

    It can be used from any number of threads at the same time, and after a fork. A copy shares its model. A pickled one
    is its settings and the place of its model file, which is opened again where it is unpickled.

    Args:
        model: a bundled model's name ("accurate", "small"), the path of an .onnx or .tflite file made by ser-export, or
            an opened model.
        threads: threads for one inference.
        threshold: confidence, 0..1, below which the label is `uncertain`; 0 always names an emotion, None is the
            model file's.
        windowing: how streams, and recordings of over a minute, are cut into windows.
        channel: the one to use, from 1 on; None mixes them (`downmix`).
        labels: those to answer with, in this order; None is all of the model's. Their probabilities are divided by
            their sum (`models.labels`), and the threshold applies to that.
        label_map: labels that count as others, or under new names, like {"calm": "neutral"}, whose probabilities are
            added; `labels` are chosen from what it leaves.

    Raises:
        ModelError: no such model, or one that can't be used.
        TypeError: a model that is none of these, or labels that aren't names.
        ValueError: a window that the model doesn't take, a number out of its range, or a choice of labels that makes no
            sense.
    """

    def __init__(
        self,
        model: str | PathLike[str] | Model = DEFAULT,
        threads: int = 1,
        threshold: float | None = None,
        windowing: WindowConfig | None = None,
        channel: int | None = None,
        labels: Iterable[str] | None = None,
        label_map: Mapping[str, str] | None = None,
    ):
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f"threshold={threshold!r}: must be 0 to 1")
        if channel is not None and (isinstance(channel, bool) or not hasattr(channel, "__index__") or channel < 1):
            raise ValueError(f"channel={channel!r}: must be a whole number, 1 for the first")
        self._model = model if isinstance(model, Model) else open_model(model, threads)
        if labels is not None or label_map:
            from ser_edge.models.labels import ChosenLabels  # not needed for the model's own

            chosen = ChosenLabels.of(self._model.file_metadata.labels, labels, label_map)
            self._model = self._model.with_labels(chosen)
        self._threshold = self.metadata.threshold if threshold is None else threshold
        self._windowing = windowing or WindowConfig()
        self._windowing.frames(self.metadata.features)
        self._channel = channel
        self._gate_unavailable = False

    @property
    def metadata(self) -> ModelMetadata:
        """The model file's metadata: labels (those chosen, if any were), front-end, measured accuracy."""
        return self._model.metadata

    @property
    def description(self) -> ModelMetadata:
        """Deprecated name of `metadata`."""
        deprecated("Recognizer.description", "metadata")
        return self.metadata

    @property
    def path(self) -> Path:
        """The model file."""
        return self._model.path

    def predict(
        self, source: Source, sample_rate: float | None = None, progress: Callable[[float, float], None] | None = None
    ) -> Prediction:
        """Predicts the emotion of one sound.

        Args:
            source: the path of a sound file; a binary file object that holds one; samples, as (samples,), (samples,
                channels) or (channels, samples), in an array, a list or a tensor; or (samples, rate), (rate, samples).
            sample_rate: Hz of samples; not for files.
            progress: called with the seconds done and the seconds of all, while a file of over a minute is classified.

        Returns:
            The prediction, for `start` to `end`: the whole sound if the front-end trims it to the speech, else as much
            of the beginning as the network takes. Its label is `no-speech` if nobody speaks (`utterance_gate`). A
            recording of over a minute is classified window by window, as by `stream`; the prediction is the mean of
            the windows with speech.

        Raises:
            AudioError: no audio that can be classified.
            TypeError: not a sound, or an array without a sample rate.

        >>> import numpy as np
        >>> hum = np.sin(np.arange(16_000) / 20)
        >>> Recognizer().predict(hum, sample_rate=16_000).label
        'no-speech'
        """
        with open_source(source, sample_rate) as sound:
            return self._predict(sound, progress)

    def stream(
        self, chunks: Iterable[npt.ArrayLike], sample_rate: float, path: str | None = None
    ) -> Iterator[Prediction]:
        """Classifies a signal window by window, as it comes.

        Args:
            chunks: samples as `predict` takes them, of any length, all with the same channels; NaN is silence. For a
                microphone: `ser_edge.Microphone`.
            sample_rate: Hz.
            path: goes into the predictions.

        Returns:
            A prediction for each window as soon as it is complete, smoothed with the one before; the last window ends
            where the signal does. Without speech the label is `no-speech`.

        Raises:
            AudioError: a sample rate out of its range, or (later) a chunk that can't be used.
            RuntimeUnavailable: the voice detector's runtime isn't installed.
            TypeError: not chunks, or (later) a chunk without samples.

        >>> import numpy as np
        >>> silence = (np.zeros(1600, np.int16) for _ in range(40))
        >>> [p.label for p in Recognizer().stream(silence, sample_rate=16_000)][:2]
        ['no-speech', 'no-speech']
        """
        check_chunks(chunks)
        return _predictions(self.create_stream(sample_rate, path), chunks)

    def create_stream(self, sample_rate: float, path: str | None = None) -> "Stream":
        """A stream that samples are pushed into: one signal, one thread at a time. There can be any number of them.

        Raises:
            AudioError: a sample rate out of its range.
            RuntimeUnavailable: the voice detector's runtime isn't installed.
            TypeError: a sample rate that isn't a number.
        """
        from ser_edge.recognition.streaming import Stream  # not needed for a file of a few seconds

        return Stream(self._model, sample_rate, self._windowing, self._threshold, path, self._channel)

    def listener(self, sample_rate: float, path: str | None = None) -> "Stream":
        """Deprecated name of `create_stream`."""
        deprecated("Recognizer.listener", "create_stream")
        return self.create_stream(sample_rate, path)

    def _predict(self, sound: Sound, progress: Callable[[float, float], None] | None) -> Prediction:
        config = self.metadata.features
        trims = config.trim_db is not None
        blocks = mono_blocks(sound, self._channel, None if trims else config.seconds)
        most = UTTERANCE * sound.rate
        taken: list[Samples] = []
        count = 0
        for block in blocks:
            taken.append(block)
            count += len(block)
            if trims and count > most:
                return self._predict_long(sound, chain(taken, blocks), progress)
        samples = np.concatenate(taken)
        if sound.rate != config.sample_rate:
            samples = resample(samples, sound.rate, config.sample_rate)
        if np.abs(samples).max(initial=0.0) < SILENCE_PEAK:
            warn(f"{sound.name}: silent, nothing above -80 dBFS; check the microphone or the recording level")
        speech = self._find_speech(samples)
        accepted = speech is None or speech.found or self._windowing.min_speech_ratio == 0
        answer = self._model.predict_proba(samples) if accepted else None
        ratio = None if speech is None else speech.ratio
        end = len(samples) / config.sample_rate
        return Prediction.of(self.metadata.labels, answer, self._threshold, sound.path, 0.0, end, ratio)

    def _find_speech(self, samples: Samples) -> "Speech | None":
        """None without the gate: switched off, or no LiteRT, as on Intel Macs."""
        if self._windowing.min_speech_ratio is None or self._gate_unavailable:
            return None
        from ser_edge.recognition.voice_activity.utterance_gate import find_speech

        try:
            return find_speech(samples, self.metadata.features.sample_rate)
        except RuntimeUnavailable as e:
            self._continue_without_gate(e)
            return None

    def _continue_without_gate(self, reason: RuntimeUnavailable) -> None:
        if not self._gate_unavailable:
            warn(f"every sound gets an emotion, speech or not: {reason}")
        self._gate_unavailable = True

    def _stream_of_file(self, sound: Sound) -> "Stream":
        from ser_edge.recognition.streaming import Stream

        try:
            return self.create_stream(sound.rate, sound.path)
        except RuntimeUnavailable as e:  # as for a short file
            self._continue_without_gate(e)
            ungated = replace(self._windowing, min_speech_ratio=None)
            return Stream(self._model, sound.rate, ungated, self._threshold, sound.path, self._channel)

    def _predict_long(
        self, sound: Sound, blocks: Iterable[Samples], progress: Callable[[float, float], None] | None
    ) -> Prediction:
        """Classifies a recording of over a minute: the mean over its windows with speech."""
        stream = self._stream_of_file(sound)
        predictions: list[Prediction] = []
        for block in blocks:
            predictions += stream.accept_block(block)
            if progress:
                progress(stream.seconds, sound.seconds or 0.0)
        predictions += stream.input_finished()
        with_speech = [list(p.probabilities.values()) for p in predictions if p.label != NO_SPEECH]
        mean = np.array(with_speech, np.float32).mean(axis=0) if with_speech else None
        has_gate = predictions[0].speech is not None
        ratio = float(np.mean([p.speech or 0.0 for p in predictions])) if has_gate else None
        return Prediction.of(self.metadata.labels, mean, self._threshold, sound.path, 0.0, stream.seconds, ratio)


@dataclass(frozen=True)
class RecognizerConfig:
    """The arguments of a `Recognizer`, so that another process or machine can build the same one."""

    model: str
    threads: int
    threshold: float | None
    windows: WindowConfig
    channel: int | None = None
    labels: tuple[str, ...] | None = None
    label_map: tuple[tuple[str, str], ...] = ()  # pairs, so that it can be hashed

    def build(self) -> Recognizer:
        """Opens the model; raises what `Recognizer` does."""
        chosen = self.labels, dict(self.label_map)
        return Recognizer(self.model, self.threads, self.threshold, self.windows, self.channel, *chosen)


def _predictions(stream: "Stream", chunks: Iterable[npt.ArrayLike]) -> Iterator[Prediction]:
    for chunk in chunks:
        yield from stream.accept_waveform(chunk)
    yield from stream.input_finished()
