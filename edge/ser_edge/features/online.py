"""The log-mel spectrum of an endless signal, frame by frame as its samples come.

Each frame is computed once, however much windows overlap. What depends on a whole utterance (its peak, its trimmed
span) is computed per window, by `FrontEnd.utterance`.
"""

import numpy as np

from ser_edge.audio.sound import Samples
from ser_edge.features.frontend import Features, FrontEnd


class IncrementalLogMel:
    """Computes `FrontEnd.log_mel` of a signal in pieces: the returned frames together equal those of the whole.

    Frame i is centred on sample i * hop_length, so it is returned n_fft / 2 samples later.

    >>> from ser_edge.features.config import FeatureConfig
    >>> spectrum = IncrementalLogMel(FrontEnd(FeatureConfig(n_fft=512, hop_length=160)))
    >>> [len(spectrum.accept_waveform(np.zeros(160, np.float32))) for _ in range(4)], len(spectrum.input_finished())
    ([0, 1, 1, 1], 2)
    """

    def __init__(self, front_end: FrontEnd):
        self._front_end = front_end
        self._half = front_end.config.n_fft // 2
        self._left = np.zeros(self._half, np.float32)  # of the signal, from the next frame's first sample on

    def accept_waveform(self, samples: Samples) -> Features:
        """(samples,) to the (frames, n_mels) that they complete; often none."""
        self._left = np.concatenate((self._left, samples))
        frames = self._front_end.frames(self._left)
        self._left = self._left[len(frames) * self._front_end.config.hop_length :]
        return frames

    def input_finished(self) -> Features:
        """The last frames, padded with zeros."""
        return self.accept_waveform(np.zeros(self._half, np.float32))
