"""How an endless signal is cut into windows."""

from dataclasses import dataclass

from ser_edge.errors.user_warnings import deprecated
from ser_edge.features.config import FeatureConfig

__all__ = ["HOP", "SPEECH", "WindowConfig", "Windowing"]

HOP = 0.5  # seconds
SPEECH = 0.2  # share of a window; music and noise stay below .03, acted utterances at a voice's usual level above .35


@dataclass(frozen=True)
class WindowConfig:
    """How an endless signal is judged.

    Raises:
        ValueError: a value out of its range.
    """

    window_seconds: float | None = None  # seconds; None is as much as the network takes
    hop_seconds: float = HOP  # seconds from window to window
    # Share of a window, 0..1, that must be speech to be classified; None classifies everything, whole files too.
    min_speech_ratio: float | None = SPEECH

    def __post_init__(self) -> None:
        if self.window_seconds is not None and not 0.1 <= self.window_seconds <= 600:
            raise ValueError(f"a window of {self.window_seconds:g} s; give 0.1 to 600")
        if not 0.01 <= self.hop_seconds <= 600:
            raise ValueError(f"a hop of {self.hop_seconds:g} s; give 0.01 to 600")
        if self.min_speech_ratio is not None and not 0 <= self.min_speech_ratio <= 1:
            raise ValueError(f"a share of speech of {self.min_speech_ratio:g}; give 0 to 1")

    def frames(self, config: FeatureConfig) -> tuple[int, int]:
        """(frames of a window, frames from window to window) of a model's front-end.

        Raises:
            ValueError: the network can't hear a window of that length.
        """
        rate = config.sample_rate / config.hop_length  # frames a second
        hop = max(1, round(self.hop_seconds * rate))
        if self.window_seconds is None:
            return config.frames or round(3 * rate), hop
        if config.frames is not None and config.trim_db is None and self.window_seconds != config.seconds:
            raise ValueError(f"a window of {self.window_seconds:g} s; this model hears exactly {config.seconds:g} s")
        if config.seconds is not None and self.window_seconds > config.seconds:
            raise ValueError(f"a window of {self.window_seconds:g} s; this model hears at most {config.seconds:g} s")
        return config.frames if self.window_seconds == config.seconds and config.frames else round(
            self.window_seconds * rate
        ), hop


def Windowing(  # noqa: N802
    window: float | None = None, hop: float = HOP, speech: float | None = SPEECH
) -> WindowConfig:
    """Deprecated name of `WindowConfig`, with the names that its settings had in 0.1."""
    deprecated("Windowing", "WindowConfig(window_seconds, hop_seconds, min_speech_ratio)")
    return WindowConfig(window, hop, speech)
