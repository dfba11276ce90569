"""`Recognizer`: sounds, lists of sounds, files and signals to `Prediction`s and embeddings."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import numpy as np
import numpy.typing as npt

from ser_edge.audio.sources import Source, check_chunks, for_each, list_of_sounds
from ser_edge.errors import AudioError
from ser_edge.errors.user_warnings import deprecated
from ser_edge.models.metadata import ModelMetadata
from ser_edge.recognition.classifier import SoundClassifier
from ser_edge.recognition.prediction import Prediction
from ser_edge.recognition.windows import WindowConfig

if TYPE_CHECKING:
    from ser_edge.recognition.batch.tasks import FileResult
    from ser_edge.recognition.streaming import Stream

# What a list holds if it is a list of sounds; a list of numbers is one sound.
SoundT = TypeVar("SoundT", bound="str | bytes | PathLike[str] | npt.NDArray[Any] | tuple[npt.ArrayLike, npt.ArrayLike]")


class Recognizer(SoundClassifier):
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

    @overload
    def predict(self, source: list[SoundT], sample_rate: float | None = None) -> list[Prediction]: ...
    @overload
    def predict(
        self,
        source: Source,
        sample_rate: float | None = None,
        progress: Callable[[float, float], None] | None = None,
    ) -> Prediction: ...
    def predict(
        self,
        source: Any,
        sample_rate: float | None = None,
        progress: Callable[[float, float], None] | None = None,
    ) -> Prediction | list[Prediction]:
        """Predicts the emotion of a sound, or of each sound in a list.

        Args:
            source: the path of a sound file; a binary file object that holds one; samples, as (samples,), (samples,
                channels) or (channels, samples), in an array, a list or a tensor; or (samples, rate), (rate, samples).
                Or a list of these, in which samples are arrays: a list of numbers, or of such lists, is one sound.
            sample_rate: Hz of samples; not for files.
            progress: called with the seconds done and the seconds of all, while a file of over a minute is classified;
                not for lists, for which there is `predict_files`.

        Returns:
            The prediction, for `start` to `end`: the whole sound if the front-end trims it to the speech, else as much
            of the beginning as the network takes. Its label is `no-speech` if nobody speaks (`utterance_gate`). A
            recording of over a minute is classified window by window, as by `stream`; the prediction is the mean of
            the windows with speech (`WindowConfig`), `no-speech` without any. For a list a list, in its order.

        Raises:
            AudioError: no audio that can be classified; for a list, its first such sound.
            RuntimeUnavailable: no runtime for the voice detector is installed.
            TypeError: not a sound, or an array without a sample rate.

        >>> import numpy as np
        >>> hum = np.sin(np.arange(16_000) / 20)
        >>> Recognizer().predict(hum, sample_rate=16_000).label
        'no-speech'
        """
        sounds = list_of_sounds(source, sample_rate)
        if sounds is None:
            return self.predict_one(source, sample_rate, progress)
        if progress is not None:
            raise TypeError("progress is for one sound; type predict_files(paths, progress=...) for many")
        return for_each(sounds, lambda sound: self.predict_one(sound, sample_rate))

    def predict_files(
        self,
        paths: Iterable[str | bytes | PathLike[str] | PathLike[bytes]],
        *,
        jobs: int | None = None,
        timeline: bool = False,
        errors: Literal["return", "raise"] = "return",
        progress: Callable[[int, int | None], None] | None = None,
    ) -> "Generator[FileResult, None, None]":
        """Classifies many files on all cores; in order, and in bounded memory however many there are.

        A few short files are classified in this process, others in processes of their own (started by `spawn`, so a
        script does this below `if __name__ == "__main__":`). They end with the iterator, and when it is closed.

        Args:
            paths: of sound files; taken as they are needed, up to a few hundred ahead of the results.
            jobs: processes; None is as many as suit the files and this machine, 1 is this process alone.
            timeline: predict each window of a file, not the file as a whole.
            errors: "return" has the error of a file that can't be classified in its result; "raise" raises the first.
            progress: called with the files done and the number of all, None if `paths` has no length.

        Yields:
            The result of each file, in the order of `paths`: its `prediction`, or its `error`.

        Raises:
            AudioError: a file can't be classified, with `errors="raise"`.
            ModelError: the model can't be used.
            SerEdgeError: processes can't be started here, or one died.
            TypeError: no paths (later: one that isn't a path), or a model that other processes can't have.
            ValueError: an argument out of its range.

        >>> results = Recognizer().predict_files(["tests/sounds/plain.wav", "missing.wav"])
        >>> [result.prediction.label if result.prediction else result.error.code for result in results]
        ['neutral', 'audio-not-found']
        """
        from ser_edge.recognition.batch.files import FilesOptions, check_paths, predict_files

        check_paths(paths)
        return predict_files(self, paths, FilesOptions(jobs, timeline, errors, progress))

    def embed(self, source: Any, sample_rate: float | None = None) -> npt.NDArray[np.float32]:
        """What the network's last layer gets: features of the voice for a classifier of your own, as scikit-learn's.

        Args:
            source: a sound, or a list of sounds, as for `predict`.
            sample_rate: Hz of samples; not for files.

        Returns:
            (units,), for a list (sounds, units): the mean over all windows, whether they hold speech or not. Only those
            of the same model can be compared.

        Raises:
            AudioError: no audio that can be used.
            ModelError: the network fails, or its file was made before there were embeddings.
            TypeError: not a sound, or an array without a sample rate.

        >>> Recognizer("small").embed(["tests/sounds/plain.wav", "tests/sounds/loud-low.wav"]).shape
        (2, 480)
        """
        sounds = list_of_sounds(source, sample_rate)
        if sounds is None:
            return self.embed_one(source, sample_rate)
        if not sounds:
            return np.empty((0, len(self.embed_one((np.zeros(16_000), 16_000)))), np.float32)
        return np.stack(for_each(sounds, lambda sound: self.embed_one(sound, sample_rate)))

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
            AudioError: a sample rate out of its range, or another one than the microphone's, or (later) a chunk that
                can't be used.
            RuntimeUnavailable: no runtime for the voice detector is installed.
            TypeError: not chunks, or (later) a chunk without samples.

        >>> import numpy as np
        >>> silence = (np.zeros(1600, np.int16) for _ in range(40))
        >>> [p.label for p in Recognizer().stream(silence, sample_rate=16_000)][:2]
        ['no-speech', 'no-speech']
        """
        check_chunks(chunks)
        stream = self.create_stream(sample_rate, path)
        given = getattr(chunks, "sample_rate", None)  # a Microphone's
        if given is not None and given != sample_rate:
            problem = f"a microphone of {given} Hz, and sample_rate={sample_rate}; give both the same"
            raise AudioError(f"stream: {problem}", code="audio-sample-rate")
        return _predictions(stream, chunks)

    @property
    def description(self) -> ModelMetadata:
        """Deprecated name of `metadata`."""
        deprecated("Recognizer.description", "metadata")
        return self.metadata

    def listener(self, sample_rate: float, path: str | None = None) -> "Stream":
        """Deprecated name of `create_stream`."""
        deprecated("Recognizer.listener", "create_stream")
        return self.create_stream(sample_rate, path)


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
