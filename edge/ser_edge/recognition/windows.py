"""`WindowConfig`: how a stream is cut into windows."""

from dataclasses import dataclass

from ser_edge.errors.user_warnings import deprecated
from ser_edge.features.config import FeatureConfig

HOP = 0.5  # seconds
SPEECH = 0.2  # ratio; music and noise have less than .03, acted utterances at a usual level more than .35


@dataclass(frozen=True)
class WindowConfig:
    """Length and distance of a stream's windows, and how much of one must be speech.

    Raises:
        ValueError: a value out of its range.
    """

    window_seconds: float | None = None  # None is as long as the network's input
    hop_seconds: float = HOP  # from window to window
    # A window with a lower ratio of speech, 0..1, is `no-speech`; None classifies everything, also whole files.
    min_speech_ratio: float | None = SPEECH

    def __post_init__(self) -> None:
        if self.window_seconds is not None and not 0.1 <= self.window_seconds <= 600:
            raise ValueError(f"a window of {self.window_seconds:g} s; give 0.1 to 600")
        if not 0.01 <= self.hop_seconds <= 600:
            raise ValueError(f"a hop of {self.hop_seconds:g} s; give 0.01 to 600")
        if self.min_speech_ratio is not None and not 0 <= self.min_speech_ratio <= 1:
            raise ValueError(f"a speech ratio of {self.min_speech_ratio:g}; give 0 to 1")

    def frames(self, config: FeatureConfig) -> tuple[int, int]:
        """(frames of a window, frames from window to window) of a model's front-end.

        Raises:
            ValueError: the network doesn't take a window of that length.
        """
        rate = config.sample_rate / config.hop_length  # frames a second
        hop = max(1, round(self.hop_seconds * rate))
        window, longest = self.window_seconds, config.seconds
        if window is None or window == longest:
            return config.frames or round(3 * rate), hop
        if longest is not None and (config.trim_db is None or window > longest):
            limit = "exactly" if config.trim_db is None else "at most"
            raise ValueError(f"a window of {window:g} s; this model takes {limit} {longest:g} s")
        return round(window * rate), hop


def Windowing(  # noqa: N802
    window: float | None = None, hop: float = HOP, speech: float | None = SPEECH
) -> WindowConfig:
    """Deprecated name of `WindowConfig`, with the names that its settings had in 0.1."""
    deprecated("Windowing", "WindowConfig(window_seconds, hop_seconds, min_speech_ratio)")
    return WindowConfig(window, hop, speech)
