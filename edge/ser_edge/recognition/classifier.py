"""`SoundClassifier`: one sound to one `Prediction`, and streams; the settings of both, and the model."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser_edge.audio.downmix import mono_blocks
from ser_edge.audio.resampling import resample
from ser_edge.audio.sound import SILENCE_PEAK, Channels, Samples, Sound
from ser_edge.audio.sources import Source, open_source
from ser_edge.errors.user_warnings import warn_of_silence
from ser_edge.models.bundled.names import DEFAULT
from ser_edge.models.loader import FileModel, open_model
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.network import Model
from ser_edge.recognition.prediction import NO_SPEECH, Prediction
from ser_edge.recognition.windows import WindowConfig

if TYPE_CHECKING:
    from ser_edge.recognition.streaming import Stream
    from ser_edge.recognition.voice_activity.utterance_gate import Speech

OnProgress = Callable[[float, float], None]  # seconds classified, seconds in the file (0 where unknown)

UTTERANCE = 60.0  # seconds; a longer recording is classified window by window, and those with speech are averaged


class SoundClassifier:
    """A model with the settings of a `Recognizer`, which documents them: classifies one sound, or a stream."""

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

    @property
    def metadata(self) -> ModelMetadata:
        """The model file's metadata: labels (those chosen, if any were), front-end, measured accuracy."""
        return self._model.metadata

    @property
    def path(self) -> Path:
        """The model file."""
        return self._model.path

    @property
    def threads(self) -> int:
        """Threads for one inference."""
        return self._model.threads

    @property
    def is_from_file(self) -> bool:
        """Whether its model was opened from a file, so that other processes can open it as well."""
        return isinstance(self._model, FileModel)

    def predict_one(
        self, source: Source, sample_rate: float | None = None, progress: OnProgress | None = None
    ) -> Prediction:
        """`Recognizer.predict` for one sound."""
        with open_source(source, sample_rate) as sound:
            return self._predict(sound, progress)

    def embed_one(self, source: Source, sample_rate: float | None = None) -> npt.NDArray[np.float32]:
        """`Recognizer.embed` for one sound."""
        config = self.metadata.features
        with open_source(source, sample_rate) as sound:
            blocks = mono_blocks(sound, self._channel, None if config.trim_db is not None else config.seconds)
            weighted, seconds = [], []
            for samples in _pieces(blocks, round(UTTERANCE * sound.rate)):
                seconds.append(len(samples) / sound.rate)
                if sound.rate != config.sample_rate:
                    samples = resample(samples, sound.rate, config.sample_rate)
                weighted.append(seconds[-1] * self._model.embed(samples))
        embedding: npt.NDArray[np.float32] = (np.sum(weighted, axis=0) / sum(seconds)).astype(np.float32)
        return embedding

    def file_predictions(
        self, source: str | Sound, timeline: bool, progress: OnProgress | None = None
    ) -> Generator[Prediction, None, None]:
        """Yields one prediction for a file, or with `timeline` one for each window as soon as it is complete.

        Args:
            source: its path, or a sound that is open.
            timeline: a prediction for each window.
            progress: called within a long file.

        Raises:
            AudioError: the file can't be decoded, or not to its end.
        """
        if not timeline:
            yield self.predict_one(source, progress=progress)
            return
        with open_source(source) as sound:
            stream = self.create_stream(sound.rate, sound.path)
            for chunk in sound.chunks:
                yield from stream.accept_channels(chunk)
                if progress:
                    progress(stream.seconds, sound.seconds or 0.0)
            yield from stream.input_finished()
            if stream.is_silent:
                warn_of_silence(sound.name)

    def predict_with_windows(self, source: Source) -> tuple[Prediction, list[Prediction]]:
        """The prediction for a whole sound, and those for its windows, from decoding it once.

        They are what `file_predictions` yields without and with `timeline`. A recording of over a minute is classified
        once: its prediction is the mean of the windows.

        Raises:
            AudioError: it can't be decoded, or not to its end.
            RuntimeUnavailable: the voice detector's runtime isn't installed.
        """
        with open_source(source) as sound:
            stream = self.create_stream(sound.rate, sound.path)
            windows: list[Prediction] = []

            def streamed() -> Iterator[Channels]:
                for chunk in sound.chunks:
                    windows.extend(stream.accept_channels(chunk))
                    yield chunk

            chunks = streamed()
            utterance, recording = self._utterance(replace(sound, chunks=chunks))
            for _ in chunks:  # what is behind the utterance goes to the windows alone
                pass
            windows += stream.input_finished()
            if recording is not None:
                if stream.is_silent:
                    warn_of_silence(sound.name)
                return self._mean(windows, sound.path, stream.seconds), windows
            return self._predict_utterance(sound, utterance), windows

    def create_stream(self, sample_rate: float, path: str | None = None) -> "Stream":
        """A stream that samples are pushed into: one signal, one thread at a time. There can be any number of them.

        Raises:
            AudioError: a sample rate out of its range.
            RuntimeUnavailable: no runtime for the voice detector is installed.
            TypeError: a sample rate that isn't a number.
        """
        from ser_edge.recognition.streaming import Stream  # not needed for a file of a few seconds

        return Stream(self._model, sample_rate, self._windowing, self._threshold, path, self._channel)

    def _predict(self, sound: Sound, progress: OnProgress | None) -> Prediction:
        utterance, recording = self._utterance(sound)
        if recording is not None:
            return self._predict_long(sound, recording, progress)
        return self._predict_utterance(sound, utterance)

    def _utterance(self, sound: Sound) -> tuple[list[Samples], Iterator[Samples] | None]:
        """The mono blocks that are classified as one, and None; of a recording of over a minute none, and all it has.

        A network of a fixed length gets only the beginning of an utterance, as in its training.
        """
        config = self.metadata.features
        taken: list[Channels] = []
        for chunk in sound.chunks:
            taken.append(chunk)
            if sum(map(len, taken)) > UTTERANCE * sound.rate:
                return [], mono_blocks(replace(sound, chunks=chain(taken, sound.chunks)), self._channel)
        begun = replace(sound, chunks=iter(taken))
        return [*mono_blocks(begun, self._channel, None if config.trim_db is not None else config.seconds)], None

    def _predict_utterance(self, sound: Sound, blocks: list[Samples]) -> Prediction:
        config = self.metadata.features
        samples = np.concatenate(blocks)
        if sound.rate != config.sample_rate:
            samples = resample(samples, sound.rate, config.sample_rate)
        if np.abs(samples).max(initial=0.0) < SILENCE_PEAK:
            warn_of_silence(sound.name, None if config.trim_db is not None else config.seconds)
        speech = self._find_speech(samples)
        accepted = speech is None or speech.found or self._windowing.min_speech_ratio == 0
        answer = self._model.predict_proba(samples) if accepted else None
        ratio = None if speech is None else speech.ratio
        end = len(samples) / config.sample_rate
        return Prediction.of(self.metadata.labels, answer, self._threshold, sound.path, 0.0, end, ratio)

    def _find_speech(self, samples: Samples) -> "Speech | None":
        """None without the gate."""
        if self._windowing.min_speech_ratio is None:
            return None
        from ser_edge.recognition.voice_activity.utterance_gate import find_speech

        return find_speech(samples, self.metadata.features.sample_rate)

    def _predict_long(self, sound: Sound, blocks: Iterable[Samples], progress: OnProgress | None) -> Prediction:
        """Classifies a recording of over a minute: the mean over its windows with speech."""
        stream = self.create_stream(sound.rate, sound.path)
        predictions: list[Prediction] = []
        for block in blocks:
            predictions += stream.accept_block(block)
            if progress:
                progress(stream.seconds, sound.seconds or 0.0)
        predictions += stream.input_finished()
        if stream.is_silent:
            warn_of_silence(sound.name)
        return self._mean(predictions, sound.path, stream.seconds)

    def _mean(self, predictions: list[Prediction], path: str | None, seconds: float) -> Prediction:
        """The prediction for a recording, from those for its windows."""
        with_speech = [list(p.probabilities.values()) for p in predictions if p.label != NO_SPEECH]
        mean = np.array(with_speech, np.float32).mean(axis=0) if with_speech else None
        ratio = None
        if predictions[0].speech is not None:  # there is a gate; what is `no-speech` has a ratio of 0
            ratio = float(np.mean([p.speech or 0.0 for p in predictions])) if with_speech else 0.0
        return Prediction.of(self.metadata.labels, mean, self._threshold, path, 0.0, seconds, ratio)


def _pieces(blocks: Iterable[Samples], length: int) -> Iterator[Samples]:
    """Joins blocks to pieces of at least so many samples; the last may be shorter."""
    taken: list[Samples] = []
    for block in blocks:
        taken.append(block)
        if sum(map(len, taken)) >= length:
            yield np.concatenate(taken)
            taken = []
    if taken:
        yield np.concatenate(taken)
