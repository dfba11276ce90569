"""Capturing from a real device without hardware: a PulseAudio whose microphone records what paplay plays."""

import ctypes.util
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_edge import Recognizer
from ser_edge.capture.microphone import Microphone, devices
from ser_edge.capture.portaudio import refresh
from ser_edge.output.writers import JsonWriter
from ser_edge.recognition.prediction import NO_SPEECH

RATE = 16_000
SHARED_ALSA = Path("/usr/share/alsa/alsa.conf")
MISSING = [program for program in ("pulseaudio", "paplay", "pactl") if not shutil.which(program)]
MISSING += [] if ctypes.util.find_library("portaudio") else ["libportaudio2"]
MISSING += [] if SHARED_ALSA.exists() else ["libasound2-plugins"]

pytestmark = [
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


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(tmp_path)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.start()
    try:
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


def test_a_file_is_recorded_sample_by_sample(server: Server, file: Path, sound: npt.NDArray[np.float32]) -> None:
    assert "testmic" in {device.name for device in devices()}
    with Reader() as reader:
        health = reader.health
        for _ in range(2):
            server.play(file)
            time.sleep(0.1)
        assert_recorded(reader, sound, 2)
        assert (health.device, health.rate, health.channels) == ("testmic", RATE, 2)
        assert (reader.health.overflows, reader.health.dropped, reader.health.reconnections) == (0, 0.0, 0)


def test_live_predictions_equal_those_of_a_file(server: Server, sounds: list[Path], tmp_path: Path) -> None:
    recognizer = Recognizer()
    played = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in sounds[:3]])
    soundfile.write(tmp_path / "played.wav", played, RATE, subtype="PCM_16")
    stream = recognizer.create_stream(RATE, "captured.wav")
    pieces, live = [], []
    with Microphone(RATE, "testmic") as microphone:
        playing = threading.Thread(target=server.play, args=(tmp_path / "played.wav",))
        playing.start()
        for piece in microphone:
            pieces.append(piece)
            live += stream.accept_waveform(piece)
            if not playing.is_alive():
                break
        live += stream.input_finished()
        assert microphone.health.dropped == 0
    soundfile.write(tmp_path / "captured.wav", np.concatenate(pieces), RATE, subtype="FLOAT")
    command = [sys.executable, "-m", "ser_edge", "--format", "json", "--timeline", "captured.wav"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = io.StringIO()
    for prediction in live:
        JsonWriter(lines, recognizer.metadata, windows=True).write(prediction)
    assert lines.getvalue() == done.stdout
    assert {prediction.label for prediction in live} != {NO_SPEECH}


def test_the_command_reads_and_ends_with_a_summary(server: Server, sounds: list[Path]) -> None:
    command = [sys.executable, "-m", "ser_edge", "--mic", "--device", "testmic", "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        playing = threading.Thread(target=lambda: [server.play(path) for path in sounds[1:4]])
        playing.start()
        lines = [json.loads(process.stdout.readline()) for _ in range(4)]
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.wait(timeout=30) == 0
        assert time.monotonic() - began < 10
        summary = process.stderr.read()
        playing.join()
    assert {line["path"] for line in lines} == {"microphone"}
    assert " s of audio, " in summary
    assert summary.count("\n") == 1  # no drops or reconnections are reported


def test_the_default_is_the_microphone_of_the_sound_server(
    server: Server, file: Path, sound: npt.NDArray[np.float32]
) -> None:
    if not any(device.is_default for device in devices()):
        pytest.skip("ALSA's default isn't PulseAudio here")
    with Reader(None) as reader:
        server.play(file)
        assert_recorded(reader, sound, 1)


@pytest.mark.parametrize(
    ("lose", "restore"), [(Server.unload, Server.load), (Server.stop, Server.start)], ids=["card", "server"]
)
def test_a_lost_card_or_server_is_reopened_when_it_is_back(
    server: Server,
    file: Path,
    sound: npt.NDArray[np.float32],
    lose: Callable[[Server], None],
    restore: Callable[[Server], None],
) -> None:
    with Reader() as reader:
        server.play(file)
        lose(server)
        until(lambda: not reader.health.listening)
        time.sleep(1)
        restore(server)
        until(lambda: reader.health.reconnections == 1)
        server.play(file)
        assert_recorded(reader, sound, 2)
        assert reader.health.listening


@pytest.mark.parametrize("seconds", [1.3, 3.5])  # before it is opened anew, and after
def test_a_suspended_source_is_recorded_when_it_is_resumed(
    server: Server, file: Path, sound: npt.NDArray[np.float32], seconds: float
) -> None:
    with Reader() as reader:
        server.play(file)
        time.sleep(0.3)  # until it has arrived
        server.pactl("suspend-source", "mic", "1")
        time.sleep(seconds)
        assert not reader.health.listening
        server.pactl("suspend-source", "mic", "0")
        until(lambda: reader.health.listening)
        server.play(file)
        assert_recorded(reader, sound, 2)
        assert reader.health.reconnections == (seconds > 2)


def test_a_frozen_sound_server_is_reopened_when_it_thaws(
    server: Server, file: Path, sound: npt.NDArray[np.float32]
) -> None:
    with Reader() as reader:
        server.play(file)
        time.sleep(0.3)
        server.freeze()
        try:
            time.sleep(3.5)  # PortAudio hangs in closing it
            assert not reader.health.listening
        finally:
            server.thaw()
        until(lambda: reader.health.reconnections == 1)
        server.play(file)
        assert_recorded(reader, sound, 2)


@pytest.mark.parametrize("harm", ["unload", "stop", "suspend"])
def test_closing_never_hangs(server: Server, harm: str) -> None:
    with Reader() as reader:
        if harm == "suspend":
            server.pactl("suspend-source", "mic", "1")
        else:
            getattr(server, harm)()
        until(lambda: not reader.health.listening)
        time.sleep(0.3)


PROGRAM = """
import json, sys, time
from ser_edge.capture.microphone import Microphone
with Microphone(16000, "testmic") as microphone:
    samples, ending = 0, None
    for piece in microphone:
        if samples == 0 and len(piece):
            print("listening", flush=True)
        samples += len(piece)
        if samples > 5 * 16000:
            ending = time.monotonic()
            break
print(json.dumps(time.monotonic() - ending))
"""


def test_a_frozen_sound_server_blocks_neither_reading_nor_the_end(server: Server) -> None:
    # In a process of its own: PortAudio hangs there for good, and the process must end all the same.
    began = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "listening\n"
        server.freeze()
        try:
            assert process.wait(15) == 0
            assert json.loads(process.stdout.readline()) < 6
        finally:
            process.kill()
            server.thaw()
    assert time.monotonic() - began == pytest.approx(9, abs=4)


def test_a_hung_microphone_sends_no_watchdog(server: Server, tmp_path: Path) -> None:
    """So systemd restarts the service, if nothing else helps; meanwhile the status names the problem."""
    command = [sys.executable, "-m", "ser_edge", "--mic", "--device", "testmic", "--format", "json"]
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(environment["NOTIFY_SOCKET"])
        notified.settimeout(10)

        def received(wanted: str) -> list[str]:
            """What comes up to a datagram with these words in it."""
            datagrams = [notified.recv(4096).decode()]
            while wanted not in datagrams[-1]:
                datagrams.append(notified.recv(4096).decode())
            return datagrams

        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        ) as process:
            assert received("WATCHDOG=1")[0] == "READY=1"
            server.freeze()
            try:
                received("no audio")
                assert not any("WATCHDOG=1" in received("no audio")[0] for _ in range(5))
            finally:
                server.thaw()
            received("WATCHDOG=1")
            process.terminate()
            received("STOPPING=1")
            assert process.wait(30) == 0


def test_without_a_sound_server_there_is_no_microphone(server: Server) -> None:
    server.stop()
    command = [sys.executable, "-c", PROGRAM.replace('"testmic"', "None")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert ".MicrophoneError: " in done.stderr.splitlines()[-1]
