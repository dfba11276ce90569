"""How what has no end is cut into windows."""

from dataclasses import dataclass

from ser_edge.features.frontend import FeatureConfig

__all__ = ["HOP", "SPEECH", "Windowing"]

HOP = 0.5  # seconds
SPEECH = 0.2  # share of a window; music and noise stay below .03, acted utterances at a voice's usual level above .35


@dataclass(frozen=True)
class Windowing:
    """How an endless signal is judged.

    Raises:
        ValueError: a value out of its range.
    """

    window: float | None = None  # seconds; None is as much as the network takes
    hop: float = HOP  # seconds from window to window
    # Share of a window, 0..1, that must be speech to be classified; None classifies everything, whole files too.
    speech: float | None = SPEECH

    def __post_init__(self) -> None:
        if self.window is not None and not 0.1 <= self.window <= 600:
            raise ValueError(f"a window of {self.window:g} s; give 0.1 to 600")
        if not 0.01 <= self.hop <= 600:
            raise ValueError(f"a hop of {self.hop:g} s; give 0.01 to 600")
        if self.speech is not None and not 0 <= self.speech <= 1:
            raise ValueError(f"a share of speech of {self.speech:g}; give 0 to 1")

    def frames(self, config: FeatureConfig) -> tuple[int, int]:
        """(frames of a window, frames from window to window) of a model's front-end.

        Raises:
            ValueError: the network can't hear a window of that length.
        """
        rate = config.sample_rate / config.hop_length  # frames a second
        hop = max(1, round(self.hop * rate))
        if self.window is None:
            return config.frames or round(3 * rate), hop
        if config.frames is not None and config.span_db is None and self.window != config.seconds:
            raise ValueError(f"a window of {self.window:g} s; this model hears exactly {config.seconds:g} s")
        if config.seconds is not None and self.window > config.seconds:
            raise ValueError(f"a window of {self.window:g} s; this model hears at most {config.seconds:g} s")
        return config.frames if self.window == config.seconds and config.frames else round(self.window * rate), hop
