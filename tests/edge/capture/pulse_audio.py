"""A PulseAudio without hardware, whose microphone records what is played, and a program that reads it."""

import ctypes.util
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ser_edge.capture.microphone import Microphone

RATE = 16_000
SHARED_ALSA = Path("/usr/share/alsa/alsa.conf")
MISSING = [program for program in ("pulseaudio", "paplay", "pactl") if not shutil.which(program)]
MISSING += [] if ctypes.util.find_library("portaudio") else ["libportaudio2"]
MISSING += [] if SHARED_ALSA.exists() else ["libasound2-plugins"]

MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"no virtual microphone without {', '.join(MISSING)}"),
]


class Server:
    """A PulseAudio of its own in `folder`: needs no hardware, systemd, D-Bus or X. Its ALSA device is `testmic`.

    Bit-exact, because sink, file and stream have one rate.
    """

    LOADED = (
        "module-null-sink sink_name=speaker norewinds=1 channels=1 format=s16le rate={rate}",
        "module-remap-source source_name=mic master=speaker.monitor",
    )

    def __init__(self, folder: Path, rate: int = RATE):
        self._folder, self._rate = folder, rate
        (folder / "run").mkdir(mode=0o700)
        self.address = f"unix:{folder}/run/native"
        self.environment = {
            "PULSE_SERVER": self.address,
            "ALSA_CONFIG_PATH": f"{SHARED_ALSA}:{folder}/asound.conf",
            "XDG_RUNTIME_DIR": f"{folder}/run",
            "PULSE_RUNTIME_PATH": f"{folder}/run",
            "PULSE_STATE_PATH": f"{folder}/state",
        }
        config = f'pcm.testmic {{ type pulse server "{self.address}" device "mic" hint.description "test" }}\n'
        (folder / "asound.conf").write_text(config)
        modules = [f"module-native-protocol-unix socket={folder}/run/native auth-anonymous=1", *self.LOADED]
        script = "\n".join([".fail", *(f"load-module {module}" for module in modules)])
        (folder / "mic.pa").write_text(
            script.format(rate=rate) + "\nset-default-sink speaker\nset-default-source mic\n"
        )

    def start(self) -> None:
        command = ["pulseaudio", "-n", "-F", self._folder / "mic.pa", "--daemonize=no", "--use-pid-file=no"]
        command += ["--exit-idle-time=-1", "--disable-shm", "--log-target=stderr"]
        environment = {**os.environ, **self.environment}
        for name in ("DISPLAY", "DBUS_SESSION_BUS_ADDRESS"):
            environment.pop(name, None)
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(command, env=environment, stderr=log)
        end = time.monotonic() + 10
        while subprocess.run(["pactl", "info"], env=environment, capture_output=True).returncode:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < end, "PulseAudio doesn't answer"
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def pactl(self, *words: str) -> None:
        subprocess.run(["pactl", *words], env={**os.environ, **self.environment}, check=True, capture_output=True)

    def unload(self) -> None:
        """The sound card is pulled out."""
        self.pactl("unload-module", "module-null-sink")

    def load(self) -> None:
        for module in self.LOADED:
            self.pactl("load-module", *module.format(rate=self._rate).split())
        self.pactl("set-default-sink", "speaker")

    def play(self, path: Path) -> None:
        """Plays a file into the microphone; returns when it has been recorded."""
        command = ["paplay", "--device=speaker", str(path)]
        subprocess.run(command, env={**os.environ, **self.environment}, check=True)


class Reader:
    """Reads in a thread, as a program would. Leaving takes less than two seconds, whatever happened."""

    def __init__(self, device: str | None = "testmic"):
        self._microphone = Microphone(RATE, device)
        self._pieces: list[npt.NDArray[np.float32]] = []
        self.longest = 0.0

    def __enter__(self) -> "Reader":
        self._microphone.__enter__()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        until(lambda: self._microphone.health.listening)
        return self

    def __exit__(self, *_: Any) -> None:
        ending = time.monotonic()
        self._microphone.close()
        self._thread.join(5)
        assert time.monotonic() - ending < 6
        assert self.longest < 3  # it never blocks: 0.25, and more on a busy machine
        # The clock of the sound is the clock on the wall.
        assert len(self.sound) / RATE == pytest.approx(ending - self._began, abs=1)

    def _read(self) -> None:
        before = time.monotonic()
        for piece in self._microphone:
            self.longest = max(self.longest, time.monotonic() - before)
            self._pieces.append(piece)
            before = time.monotonic()

    @property
    def health(self) -> Any:
        return self._microphone.health

    @property
    def sound(self) -> npt.NDArray[np.float32]:
        return np.concatenate([np.zeros(0, np.float32), *self._pieces])

    def bursts(self) -> list[npt.NDArray[np.float32]]:
        """The sound between silences."""
        edges = np.flatnonzero(np.diff(np.r_[0, np.abs(self.sound) > 0.05, 0]))
        return [self.sound[start:end] for start, end in edges.reshape(-1, 2)]


def until(condition: Callable[[], Any], seconds: float = 8.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def assert_recorded(reader: Reader, sound: npt.NDArray[np.float32], times: int) -> None:
    until(lambda: sum(map(len, reader.bursts())) >= times * len(sound))
    time.sleep(0.2)
    assert len(reader.bursts()) == times
    for burst in reader.bursts():
        np.testing.assert_allclose(burst, sound, atol=2e-3)  # an odd number of samples in a block has a mean
