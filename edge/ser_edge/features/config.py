"""`FeatureConfig`: the settings of the front-end, which every model file stores."""

from dataclasses import dataclass
from functools import cached_property

# Limits for one model: values of an input or of a second's log-mel, samples of an input, weights of the filters.
_MAX_VALUES, _MAX_SAMPLES, _MAX_WEIGHTS = 1 << 23, 1 << 25, 1 << 22


@dataclass(frozen=True)
class FeatureConfig:
    """How samples become features; hashable, comparable, and stored in every model file.

    The defaults are `librosa.feature.mfcc(n_mfcc=40)` at 16 kHz on exactly three seconds: (94, 40).

    `trim_db` cuts off the silence around the speech: what stays is the span from the first to the last frame that is
    about as loud as the loudest. With `dynamic_range_db` features don't depend on the recording's level: they are
    decibels below the utterance's peak.

    Raises:
        ValueError: a setting out of its range, or settings that together ask for too much memory.
    """

    sample_rate: int = 16_000  # Hz
    n_fft: int = 2048  # size of the FFT; even
    win_length: int | None = None  # samples in a frame, centred in the FFT; None is n_fft
    hop_length: int = 512  # samples from frame to frame
    n_mels: int = 128  # bands
    n_mfcc: int | None = 40  # coefficients kept; None stops at the log-mel spectrum
    f_min: float = 0.0  # Hz, lower edge of the first band
    f_max: float | None = None  # Hz, upper edge of the last band; None is half the sample rate
    top_db: float | None = 80.0  # clip values further than this below the array's peak; None doesn't clip
    trim_db: float | None = None  # keep the span of frames at most this far below the loudest; None keeps all frames
    trim_margin: int = 10  # frames kept before and after that span
    dynamic_range_db: float | None = None  # shift the peak to 0 and clip at minus this; None keeps the level
    seconds: float | None = 3.0  # length of the network's input, cut or padded at the end; None keeps any length

    def __post_init__(self) -> None:
        if not 1_000 <= self.sample_rate <= 768_000:
            raise ValueError("sample_rate must be 1000 to 768000")
        if not 16 <= self.n_fft <= 65_536 or self.n_fft % 2:
            raise ValueError("n_fft must be even, 16 to 65536")
        if self.win_length is not None and (not 2 <= self.win_length <= self.n_fft or self.win_length % 2):
            raise ValueError("win_length must be even, 2 to n_fft")
        if not self.hop_length <= self.n_fft <= 128 * self.hop_length:
            raise ValueError("hop_length must be n_fft / 128 to n_fft")
        if not 1 <= self.n_mels <= 1024:
            raise ValueError("n_mels must be 1 to 1024")
        if not 1 <= self.coefficients <= self.n_mels:
            raise ValueError("n_mfcc must be 1 to n_mels")
        half = self.sample_rate / 2
        if not 0 <= self.f_min <= (self.f_max or half) - 1 <= half - 1:
            raise ValueError("f_min + 1 <= f_max <= sample_rate / 2 must hold")
        for name in ("top_db", "trim_db", "dynamic_range_db"):
            decibels = getattr(self, name)
            if decibels is not None and not 0 < decibels <= 1000:
                raise ValueError(f"{name} must be above 0, to 1000")
        if not 0 <= self.trim_margin <= 1000:
            raise ValueError("trim_margin must be 0 to 1000")
        if self.seconds is not None and not 0 < self.seconds <= 600:
            raise ValueError("seconds must be above 0, to 600")
        if self.frames == 0:
            raise ValueError("seconds must be a frame or more")
        values = self.n_mels * max(self.frames or 0, self.sample_rate // self.hop_length)
        if (self.samples or 0) > _MAX_SAMPLES or values > _MAX_VALUES or self.n_mels * self.n_fft > _MAX_WEIGHTS:
            raise ValueError("seconds, sample_rate, hop_length, n_mels and n_fft ask for too much memory together")

    @cached_property
    def samples(self) -> int | None:
        """Samples of one input, or None for any length."""  # 3.0 s * 16 kHz = 48000
        return None if self.seconds is None else round(self.seconds * self.sample_rate)

    @cached_property
    def frames(self) -> int | None:
        """Frames of one input, or None for any length."""  # 1 + 48000 // 512 = 94
        if self.samples is None:
            return None
        # A trimmed span is cut out of a longer spectrum, so it has no frame that is half padding.
        return self.samples // self.hop_length + (self.trim_db is None)

    @cached_property
    def coefficients(self) -> int:
        """Values in a frame."""
        return self.n_mels if self.n_mfcc is None else self.n_mfcc
