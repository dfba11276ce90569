"""A double of PortAudio whose cards come and go, refuse, stall and hang, in milliseconds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


class PortAudioError(Exception):
    """As sounddevice's: a text, a PaErrorCode, and the host's reason."""


@dataclass
class Flags:
    input_overflow: bool = False


class Stream:
    def __init__(self, sounddevice: "FakeSoundDevice", **settings: Any):
        sounddevice.tried.append((settings["samplerate"], settings["channels"]))
        listed = sounddevice.listed
        if settings["device"] >= len(listed):
            raise PortAudioError("Error opening InputStream: Invalid device", -9996)
        self.card, self.settings = listed[settings["device"]], settings
        if self.card not in sounddevice.cards:
            raise PortAudioError("Error opening InputStream: Device unavailable", -9985)
        if self.card.failure:
            raise self.card.failure
        if self.card.takes is not None and (settings["samplerate"], settings["channels"]) not in self.card.takes:
            raise PortAudioError("Error opening InputStream: Invalid sample rate", -9997)
        assert settings["dtype"] == "float32"
        assert settings["blocksize"] == round(settings["samplerate"] / 10)
        self.active = False

    def start(self) -> None:
        self.active = True
        self.card.stream = self
        self.card.opened += 1
        self.card.on_start()

    def end(self) -> None:
        if self.active:
            self.active = False
            self.settings["finished_callback"]()

    def close(self) -> None:
        self.card.on_close()
        self.end()


@dataclass(eq=False)
class Card:
    """A card, and what the test can do to it."""

    name: str
    channels: int = 2
    rate: int = 44_100
    takes: set[tuple[int, int]] | None = None  # (Hz, channels); None takes everything
    failure: Exception | None = None  # on opening
    on_start: Callable[[], Any] = lambda: None
    on_close: Callable[[], Any] = lambda: None
    opened: int = 0
    stream: Any = None

    def record(self, sound: npt.NDArray[np.float32], overflow: bool = False) -> None:
        """Calls back with (frames,) or (frames, channels), in blocks, at once; what is left over is lost."""
        size, channels = self.stream.settings["blocksize"], self.stream.settings["channels"]
        sound = np.broadcast_to(sound.reshape(len(sound), -1), (len(sound), channels))
        for i in range(0, len(sound) - size + 1, size):
            buffer = sound[i : i + size].copy()
            self.stream.settings["callback"](buffer, size, None, Flags(overflow))
            buffer[:] = 9  # PortAudio uses it again


@dataclass
class FakeSoundDevice:
    """Stands for the module sounddevice. `cards` are plugged in; PortAudio lists them as it starts."""

    cards: list[Card] = field(default_factory=list)
    _listed: list[Card] | None = None
    tried: list[tuple[int, int]] = field(default_factory=list)
    started: int = 1  # times
    PortAudioError = PortAudioError

    @property
    def listed(self) -> list[Card]:
        """What was there when PortAudio started."""
        if self._listed is None:
            self._listed = list(self.cards)
        return self._listed

    def plug(self, *cards: Card) -> Card:
        """Adds cards; returns the first."""
        self.cards += cards
        return cards[0]

    def unplug(self, card: Card) -> None:
        self.cards.remove(card)
        card.stream.end()

    def query_devices(self, kind: str | None = None) -> Any:
        infos = [
            {
                "name": card.name,
                "index": i,
                "max_input_channels": card.channels,
                "default_samplerate": float(card.rate),
                "hostapi": 0,
            }
            for i, card in enumerate(self.listed)
        ]
        if kind is None:
            return infos
        for info in infos:
            if info["max_input_channels"]:
                return info
        raise PortAudioError("Error querying device -1")

    def query_hostapis(self) -> Any:
        return ({"name": "Fake"},)

    def get_portaudio_version(self) -> tuple[int, str]:
        return 1246720, "PortAudio V19.6.0-devel, revision 396fe4b6699ae929d3a685b3ef8a7e97396139a4"

    def InputStream(self, **settings: Any) -> Stream:  # noqa: N802 - sounddevice's name
        return Stream(self, **settings)

    def _terminate(self) -> None:
        for card in self.listed:
            assert card.stream is None or not card.stream.active, "PortAudio ended under an open stream"

    def _initialize(self) -> None:
        self.started += 1
        self._listed = list(self.cards)
