"""A virtual microphone, and half a second to play into it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_edge.capture.portaudio import refresh
from tests.edge.capture.pulse_audio import RATE, Server


@pytest.fixture
def server(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(short_folder)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    try:
        server.start()
        refresh()  # another test's PortAudio doesn't know of this one's server
        yield server
    finally:
        server.stop()


@pytest.fixture
def sound() -> npt.NDArray[np.float32]:
    """(8000,) half a second without an offset, and never near zero, so that it differs from all else."""
    half = np.random.default_rng(0).integers(4_000, 32_768, RATE // 4)
    return (np.stack([half, -half], axis=1).ravel() / 32_768).astype(np.float32)


@pytest.fixture
def file(sound: npt.NDArray[np.float32], tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "sound.wav", sound, RATE, subtype="PCM_16")
    return tmp_path / "sound.wav"
