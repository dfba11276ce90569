"""An endless signal becomes windows, and each window an answer: the same code for a file, a pipe and a microphone.

    samples ─► resampler ─┬─► log-mel, new frames only ─► windows ─► network ─► mean with the window before ─► answer
                          └─► gate: who speaks when ──────┘

Memory doesn't grow with the signal: frames and the gate's findings are kept for one window. How the signal is cut into
chunks makes no difference to the answers.
"""

import numpy as np
import numpy.typing as npt

from ser_edge.audio.downmix import Downmix
from ser_edge.audio.resampling import Resampler
from ser_edge.audio.samples.arrays import ChunkLayout, parse_sample_rate
from ser_edge.audio.sound import Channels, Samples
from ser_edge.errors.user_warnings import deprecated
from ser_edge.features.frontend import Features
from ser_edge.features.online import IncrementalLogMel
from ser_edge.models.network import Model
from ser_edge.recognition.prediction import Prediction
from ser_edge.recognition.voice_activity.stream_gate import SHORTEST, Gate
from ser_edge.recognition.windows import WindowConfig

__all__ = ["Stream"]

_ADDED = 0.1  # seconds that the last window, which ends with the sound, must add to the one before it


class Stream:
    """Takes samples as they come; returns the answers for the windows that they complete.

    Args:
        model: the network.
        sample_rate: Hz of the samples.
        windowing: length and distance of the windows, and how much of one must be speech.
        threshold: confidence below which the answer is `uncertain`.
        path: goes into the predictions.
        channel: the one to listen to, from 1 on; None mixes them (`downmix`).

    Raises:
        AudioError: a sample rate that no recording has.
        ValueError: a window that the model can't take.
        RuntimeUnavailable: the voice detector doesn't load.
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
        self._window, self._hop = self._windowing.frames(self._config)
        self._downmix = Downmix(rate, channel, path or "stream")
        self._resampler = Resampler(rate, self._config.sample_rate)
        self._gate = None if self._windowing.min_speech_ratio is None else Gate(self._config.sample_rate)
        self._log_mel = IncrementalLogMel(model.front_end)
        self._spectrum: Features = np.empty((0, self._config.n_mels), np.float32)  # from frame `_offset` on
        self._offset = 0
        self._next = 0  # frame at which the next window begins
        self._heard = 0  # samples, at the model's rate
        self._waiting: list[Samples] = []  # of which no frames were made yet
        self._before: npt.NDArray[np.float32] | None = None  # the last window's probabilities, if it held speech

    @property
    def seconds(self) -> float:
        """How much was heard."""
        return self._heard / self._config.sample_rate

    def accept_waveform(self, samples: npt.ArrayLike) -> list[Prediction]:
        """Takes any number of samples at `sample_rate`, as `chunk_to_samples` does; for one thread at a time.

        NaN, and what is beyond any recording (`audio.arrays.MAX_AMPLITUDE`), is silence.

        Raises:
            AudioError: it holds no samples, or has other channels than the chunks before.
            TypeError: nothing that holds samples.
        """
        return self.accept_channels(self._layout.chunk_to_samples(samples))

    def accept_channels(self, samples: Channels) -> list[Prediction]:
        """`accept_waveform` for (samples, channels) float32 of a `Sound` or `Microphone`, unchecked."""
        return [p for block in self._downmix.blocks(samples) for p in self.accept_block(block)]

    def accept_block(self, block: Samples) -> list[Prediction]:
        """`accept_waveform` for a block that a `Downmix` of the same sample rate made."""
        return self._hear(self._resampler.process(block))

    def input_finished(self) -> list[Prediction]:
        """The end of the signal: the last window, which ends there; all there is, where that is less than a window."""
        answers = [p for block in self._downmix.finish() for p in self.accept_block(block)]
        answers += self._hear(self._resampler.finish())
        if self._heard == 0:
            return answers
        self._append(self._log_mel.accept_waveform(np.concatenate([*self._waiting, np.zeros(0, np.float32)])))
        short = (self._config.samples or 0) - self._heard
        if self._config.trim_db is None and short > 0:  # such a network takes no less; it learned with zeros there
            self._append(self._log_mel.accept_waveform(np.zeros(short, np.float32)))
        self._append(self._log_mel.input_finished())
        total = self._offset + len(self._spectrum)
        answers += self._complete(total)
        last = max(0, total - self._window)
        covered = (self._next - self._hop + self._window) * self._config.hop_length / self._config.sample_rate
        if self._next == 0 or self.seconds - covered >= min(_ADDED, self._windowing.hop_seconds):
            answers.append(self._judge(last))
        return answers

    def feed(self, samples: npt.ArrayLike) -> list[Prediction]:
        """Deprecated name of `accept_waveform`."""
        deprecated("Stream.feed", "accept_waveform")
        return self.accept_waveform(samples)

    def finish(self) -> list[Prediction]:
        """Deprecated name of `input_finished`."""
        deprecated("Stream.finish", "input_finished")
        return self.input_finished()

    def _hear(self, samples: Samples) -> list[Prediction]:
        self._heard += len(samples)
        if self._gate is not None:
            self._gate.accept_waveform(samples)
        self._waiting.append(samples)
        # Frames are made when a window may be complete, all at once: many small pieces would cost three times as much.
        if self._heard < (self._next + self._window) * self._config.hop_length:
            return []
        self._append(self._log_mel.accept_waveform(np.concatenate(self._waiting)))
        self._waiting = []
        # All samples of a window must be there, not only its frames, or the gate would know less than it could.
        return self._complete(min(self._offset + len(self._spectrum), self._heard // self._config.hop_length))

    def _append(self, frames: Features) -> None:
        self._spectrum = np.concatenate((self._spectrum, frames))

    def _complete(self, frames: int) -> list[Prediction]:
        """Judges the windows that end within so many frames, and lets go of what no window needs any more."""
        starts = list(range(self._next, frames - self._window + 1, self._hop))
        if not starts:
            return []
        answers = [self._judge(start) for start in starts]
        self._next = starts[-1] + self._hop
        # The last window's frames stay: where the signal ends, so does a window, and that one may begin among them.
        self._spectrum = self._spectrum[starts[-1] - self._offset :]
        self._offset = starts[-1]
        return answers

    def _judge(self, start: int) -> Prediction:
        """The answer for the window that begins at this frame.

        Each is asked alone: in a batch its last bits would depend on how many windows a chunk happens to complete.
        """
        end = min(start + self._window, self._offset + len(self._spectrum))
        rate, hop = self._config.sample_rate, self._config.hop_length
        span = start * hop / rate, min(end * hop, self._heard) / rate
        too_short = span[1] < SHORTEST  # the whole sound is
        share = None if self._gate is None else 0.0 if too_short else self._gate.speech_ratio(*span)
        answer = None
        if share is None or (share >= (self._windowing.min_speech_ratio or 0) and not too_short):
            features = self._model.front_end.utterance(self._spectrum[start - self._offset : end - self._offset])
            answer = self._model.probabilities(features[None])[0]
        return Prediction.of(
            self._model.metadata.labels, self._smoothed(answer), self._threshold, self._path, *span, share
        )

    def _smoothed(self, answer: npt.NDArray[np.float32] | None) -> npt.NDArray[np.float32] | None:
        """The mean of this window's answer and the one's before, so that one odd window doesn't flicker.

        Of two, because a real change then shows in the second window after it at the latest.
        """
        mean = answer if answer is None or self._before is None else (answer + self._before) / np.float32(2)
        self._before = answer
        return mean
