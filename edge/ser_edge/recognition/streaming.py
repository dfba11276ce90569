"""`Stream`: classifies a signal window by window, be it a file, a pipe or a microphone.

    samples ─► resampler ─┬─► log-mel, new frames only ─► windows ─► network ─► mean with the one before ─► prediction
                          └─► speech gate ────────────────┘

Memory doesn't grow with the signal: frames and the gate's results are kept for one window. Predictions don't depend on
how the signal is cut into chunks.
"""

import numpy as np
import numpy.typing as npt

from ser_edge.audio.downmix import Downmix
from ser_edge.audio.resampling import Resampler
from ser_edge.audio.samples.arrays import ChunkLayout, parse_sample_rate
from ser_edge.audio.sound import SILENCE_PEAK, Channels, Samples
from ser_edge.errors.user_warnings import deprecated
from ser_edge.features.frontend import Features
from ser_edge.features.online import IncrementalLogMel
from ser_edge.models.network import Model
from ser_edge.recognition.prediction import Prediction
from ser_edge.recognition.voice_activity.stream_gate import Gate
from ser_edge.recognition.voice_activity.voice_detector import MIN_SECONDS
from ser_edge.recognition.windows import WindowConfig

_MIN_ADDED = 0.1  # seconds that the last window, which ends with the signal, must add to the one before it


class Stream:
    """Takes samples as they come, and returns the predictions for the windows that they complete.

    Args:
        model: classifies the windows.
        sample_rate: Hz of the samples.
        windowing: length and distance of the windows, and how much of one must be speech.
        threshold: confidence below which the answer is `uncertain`.
        path: goes into the predictions.
        channel: the one to use, from 1 on; None mixes them (`downmix`).

    Raises:
        AudioError: a sample rate out of its range.
        ValueError: a window that the model doesn't take.
        RuntimeUnavailable: no runtime for the voice detector is installed.
    """

    def __init__(
        self,
        model: Model,
        sample_rate: float,
        windowing: WindowConfig,
        threshold: float = 0.0,
        path: str | None = None,
        channel: int | None = None,
    ):
        rate = parse_sample_rate(sample_rate, path or "stream")
        self._layout = ChunkLayout(rate, path or "stream")
        self._windowing = windowing
        self._model, self._threshold, self._path = model, threshold, path
        self._config = model.metadata.features
        self._window, self._hop = windowing.frames(self._config)
        self._downmix = Downmix(rate, channel, path or "stream")
        self._resampler = Resampler(rate, self._config.sample_rate)
        self._gate = None if windowing.min_speech_ratio is None else Gate(self._config.sample_rate)
        self._log_mel = IncrementalLogMel(model.front_end)
        self._spectrum: Features = np.empty((0, self._config.n_mels), np.float32)  # from frame `_offset` on
        self._offset = 0
        self._next = 0  # frame at which the next window begins
        self._begun = self._finished = False  # whether any sample came, and whether the last one did
        self._received = 0  # samples, at the model's rate
        self._peak = 0.0  # of these
        self._waiting: list[Samples] = []  # samples without frames yet
        self._before: npt.NDArray[np.float32] | None = None  # the last window's probabilities, if it held speech

    @property
    def seconds(self) -> float:
        """How much was received."""
        return self._received / self._config.sample_rate

    @property
    def is_silent(self) -> bool:
        """Whether nothing that was received so far is louder than -80 dBFS: a muted microphone, or a wrong input."""
        return self._peak < SILENCE_PEAK

    def accept_waveform(self, samples: npt.ArrayLike) -> list[Prediction]:
        """Takes any number of samples at `sample_rate`, as `chunk_to_samples` does; for one thread at a time.

        NaN, and what is beyond any recording (`audio.sound.MAX_AMPLITUDE`), is silence.

        Raises:
            AudioError: it holds no samples, or has other channels than the chunks before.
            TypeError: nothing that holds samples.
            ValueError: the signal was ended by `input_finished`.
        """
        if self._finished:
            raise ValueError("this stream is finished: its signal has ended; another one needs another create_stream")
        return self.accept_channels(self._layout.chunk_to_samples(samples))

    def accept_channels(self, samples: Channels) -> list[Prediction]:
        """`accept_waveform` for (samples, channels) float32 of a `Sound` or `Microphone`, unchecked."""
        return [p for block in self._downmix.blocks(samples) for p in self.accept_block(block)]

    def accept_block(self, block: Samples) -> list[Prediction]:
        """`accept_waveform` for a block that a `Downmix` of the same sample rate made."""
        self._begun = self._begun or len(block) > 0
        return self._receive(self._resampler.process(block))

    def input_finished(self) -> list[Prediction]:
        """Ends the signal; returns what is left: the last window ends here, and may be shorter than a window.

        What is left the second time is nothing.
        """
        if self._finished:
            return []
        self._finished = True
        predictions = [p for block in self._downmix.finish() for p in self.accept_block(block)]
        predictions += self._receive(self._resampler.finish())
        if self._received == 0:
            if not self._begun:
                return predictions
            predictions += self._receive(np.zeros(1, np.float32))  # of less than one sample at this rate
        self._append(self._log_mel.accept_waveform(np.concatenate([*self._waiting, np.zeros(0, np.float32)])))
        short = (self._config.samples or 0) - self._received
        if self._config.trim_db is None and short > 0:  # padded as in training
            self._append(self._log_mel.accept_waveform(np.zeros(short, np.float32)))
        self._append(self._log_mel.input_finished())
        total = self._offset + len(self._spectrum)
        predictions += self._complete(total)
        last = max(0, total - self._window)
        covered = (self._next - self._hop + self._window) * self._config.hop_length / self._config.sample_rate
        if self._next == 0 or self.seconds - covered >= min(_MIN_ADDED, self._windowing.hop_seconds):
            predictions.append(self._classify(last))
        return predictions

    def feed(self, samples: npt.ArrayLike) -> list[Prediction]:
        """Deprecated name of `accept_waveform`."""
        deprecated("Stream.feed", "accept_waveform")
        return self.accept_waveform(samples)

    def finish(self) -> list[Prediction]:
        """Deprecated name of `input_finished`."""
        deprecated("Stream.finish", "input_finished")
        return self.input_finished()

    def _receive(self, samples: Samples) -> list[Prediction]:
        self._received += len(samples)
        self._peak = max(self._peak, float(np.abs(samples).max(initial=0.0)))
        if self._gate is not None:
            self._gate.accept_waveform(samples)
        self._waiting.append(samples)
        # Frames are computed when a window may be complete: many small pieces would take three times as long.
        if self._received < (self._next + self._window) * self._config.hop_length:
            return []
        self._append(self._log_mel.accept_waveform(np.concatenate(self._waiting)))
        self._waiting = []
        # A window is complete with all its samples, not only its frames, so that the gate has seen them.
        return self._complete(min(self._offset + len(self._spectrum), self._received // self._config.hop_length))

    def _append(self, frames: Features) -> None:
        self._spectrum = np.concatenate((self._spectrum, frames))

    def _complete(self, frames: int) -> list[Prediction]:
        """Classifies the windows that end within so many frames, and forgets frames that no window needs."""
        starts = list(range(self._next, frames - self._window + 1, self._hop))
        if not starts:
            return []
        predictions = [self._classify(start) for start in starts]
        self._next = starts[-1] + self._hop
        # The last window's frames stay: the window at the end of the signal may begin among them.
        self._spectrum = self._spectrum[starts[-1] - self._offset :]
        self._offset = starts[-1]
        return predictions

    def _classify(self, start: int) -> Prediction:
        """The prediction for the window that begins at this frame.

        Windows aren't batched: the last bits would depend on how many of them a chunk completes.
        """
        end = min(start + self._window, self._offset + len(self._spectrum))
        rate, hop = self._config.sample_rate, self._config.hop_length
        seconds = start * hop / rate, min(end * hop, self._received) / rate
        too_short = seconds[1] < MIN_SECONDS  # the whole signal
        ratio = None if self._gate is None else 0.0 if too_short else self._gate.speech_ratio(*seconds)
        probabilities = None
        if ratio is None or (ratio >= (self._windowing.min_speech_ratio or 0) and not too_short):
            features = self._model.front_end.utterance(self._spectrum[start - self._offset : end - self._offset])
            probabilities = self._model.probabilities(features[None])[0]
        labels, mean = self._model.metadata.labels, self._smoothed(probabilities)
        return Prediction.of(labels, mean, self._threshold, self._path, *seconds, ratio)

    def _smoothed(self, probabilities: npt.NDArray[np.float32] | None) -> npt.NDArray[np.float32] | None:
        """The mean of this window and the one before, so that one odd window doesn't make the label flicker.

        Only two, so that a real change shows in the second window after it at the latest.
        """
        before, self._before = self._before, probabilities
        return probabilities if probabilities is None or before is None else (probabilities + before) / np.float32(2)
