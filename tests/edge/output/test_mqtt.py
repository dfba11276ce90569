"""Answers over MQTT: what a real broker hands to whoever listens, and what happens when either side dies."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import pytest
import soundfile

from ser_edge import Recognizer
from ser_edge.cli.app import main
from ser_edge.errors.install_hints import install_extra
from ser_edge.output.home_assistant import discovery
from ser_edge.output.mqtt import PASSWORD, USER, Broker
from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
RATE = 16_000
COMMAND = [sys.executable, "-m", "ser_edge", "--format", "json"]
TOPIC, AVAILABILITY = "home/living room", "home/living room/availability"

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="no broker without mosquitto")


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


class Mosquitto:
    """A broker of its own on a free port; it forgets everything when it is stopped."""

    def __init__(self, folder: Path, *settings: str):
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}/home/living%20room"
        self._settings = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", *(settings or ["allow_anonymous true"])]
        if os.name == "posix" and os.geteuid() == 0:
            lines.append("user root")  # or it couldn't read what the test wrote
        self._settings.write_text("\n".join(lines) + "\n")
        self.log = folder / "mosquitto.log"

    def start(self) -> None:
        with self.log.open("a") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-v", "-c", self._settings], stderr=log, stdout=log)
        until(self._answers)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        return False


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


class Subscriber:
    """Hears all topics: what comes while it listens, and what was retained before."""

    def __init__(self, port: int, **credentials: str):
        self.heard: defaultdict[str, list[str]] = defaultdict(list)
        self.subscriptions = 0
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if credentials:
            self._client.username_pw_set(**credentials)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = self._subscribed
        self._client.on_message = lambda _, __, message: self.heard[message.topic].append(message.payload.decode())
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)

    def _subscribed(self, *_: Any) -> None:
        self.subscriptions += 1

    def __enter__(self) -> "Subscriber":
        self._client.loop_start()
        until(lambda: self.subscriptions)
        return self

    def __exit__(self, *_: Any) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def state(self) -> str:
        """The availability, as it was told last."""
        return (self.heard[AVAILABILITY] or [""])[-1]


def retained(broker: Mosquitto) -> dict[str, str]:
    """What a newcomer is told."""
    with Subscriber(broker.port) as late:
        until(lambda: AVAILABILITY in late.heard)
        return {topic: texts[0] for topic, texts in late.heard.items()}


@pytest.fixture(scope="module")
def talk(sounds: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of speech in a file."""
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    soundfile.write(path, np.concatenate([soundfile.read(p)[0] for p in sounds]), RATE, subtype="PCM_16")
    return path


def ser_edge(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, encoding="utf-8", timeout=120, check=False, **options
    )
    assert "Traceback" not in done.stderr
    return done


class Listening:
    """`ser-edge -`, which hears what the test says, until it is ended."""

    def __init__(self, broker: Mosquitto):
        pipe = subprocess.PIPE
        command = [*COMMAND, "--mqtt", broker.url, "-", "--rate", str(RATE)]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)

    def __enter__(self) -> "Listening":
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.kill()
        with self.process:  # closes its pipes
            pass

    def say(self, talk: Path) -> None:
        self.process.stdin.write(soundfile.read(talk, dtype="int16")[0].tobytes())
        self.process.stdin.flush()

    def line(self) -> str:
        return self.process.stdout.readline().decode().rstrip("\n")

    def end(self) -> tuple[list[str], str]:
        """(lines that are left, what it said on standard error)."""
        out, said = self.process.stdout.read(), self.process.stderr.read()
        self.process.wait(timeout=60)
        return out.decode().splitlines(), said.decode()


@needs_mosquitto
@pytest.mark.parametrize("way", ["timeline", "stdin", "files"])
def test_each_answer_is_published_as_its_json_line(way: str, broker: Mosquitto, talk: Path, sounds: list[Path]) -> None:
    arguments = {"timeline": ["--timeline", talk], "stdin": ["-"], "files": [*sounds, "missing.wav"]}[way]
    with Subscriber(broker.port) as subscriber, talk.open("rb") as sound:
        done = ser_edge("--mqtt", broker.url, *arguments, stdin=sound)
        assert done.returncode == (way == "files")
        lines = done.stdout.splitlines()
        assert len(lines) >= len(sounds)
        until(lambda: subscriber.state == "offline")
        assert subscriber.heard[TOPIC] == lines
        assert subscriber.heard[AVAILABILITY] == ["online", "offline"]
    assert TOPIC not in retained(broker)  # an old answer is no answer


@needs_mosquitto
def test_text_is_printed_and_json_published(broker: Mosquitto, sounds: list[Path]) -> None:
    with Subscriber(broker.port) as subscriber:
        done = ser_edge("--format", "text", "--mqtt", broker.url, sounds[0])
        until(lambda: subscriber.state == "offline")
        (text,) = subscriber.heard[TOPIC]
    assert json.loads(text)["path"] == str(sounds[0])
    assert done.stdout.endswith(f"{sounds[0]}\n")


@needs_mosquitto
@pytest.mark.skipif(os.name != "posix", reason="no terminal of our own")
def test_what_is_painted_on_a_terminal_is_published(broker: Mosquitto, talk: Path) -> None:
    import pty

    screen, terminal = pty.openpty()
    command = [sys.executable, "-m", "ser_edge", "--mqtt", broker.url, "-"]
    environment = {**os.environ, "TERM": "xterm"}
    with Subscriber(broker.port) as subscriber, talk.open("rb") as sound:
        process = subprocess.Popen(command, stdin=sound, stdout=terminal, stderr=terminal, env=environment)
        os.close(terminal)
        with suppress(OSError):  # the terminal is gone, with the process
            while os.read(screen, 4096):
                pass
        os.close(screen)
        assert process.wait(60) == 0
        until(lambda: subscriber.state == "offline")
        sound.seek(0)
        assert subscriber.heard[TOPIC] == ser_edge("-", stdin=sound).stdout.splitlines()


@needs_mosquitto
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_summary_and_offline(number: int, broker: Mosquitto, talk: Path) -> None:
    with Listening(broker) as listening:
        listening.say(talk)
        assert json.loads(listening.line())["start"] == 0
        assert retained(broker)[AVAILABILITY] == "online"
        listening.process.send_signal(number)
        _, said = listening.end()
        assert listening.process.returncode == 0
    assert " s of audio, " in said
    assert retained(broker)[AVAILABILITY] == "offline"
    assert f"Received DISCONNECT from {identity()}" in broker.log.read_text()  # it was no last will


@needs_mosquitto
def test_one_that_is_killed_is_offline(broker: Mosquitto, talk: Path) -> None:
    with Subscriber(broker.port) as subscriber, Listening(broker) as listening:
        listening.say(talk)
        until(lambda: subscriber.heard[TOPIC])
        assert subscriber.state == "online"
        listening.process.kill()
        until(lambda: subscriber.state == "offline")
    assert retained(broker)[AVAILABILITY] == "offline"


@needs_mosquitto
def test_a_broker_that_comes_back_gets_all_answers(broker: Mosquitto, talk: Path) -> None:
    with Listening(broker) as listening:
        listening.say(talk)
        lines = [listening.line()]
        broker.stop()
        listening.say(talk)  # meanwhile it goes on
        lines += [listening.line() for _ in range(20)]
        broker.start()
        with Subscriber(broker.port) as subscriber:
            until(lambda: subscriber.state == "online")
            assert len(subscriber.heard) >= 3  # it forgot how Home Assistant finds us, and was told again
            listening.process.send_signal(signal.SIGTERM)
            rest, said = listening.end()
            until(lambda: subscriber.state == "offline")
            assert set(lines[-10:] + rest) <= set(subscriber.heard[TOPIC])
        assert listening.process.returncode == 0
    first, second, summary = said.splitlines()
    assert first.startswith("ser-edge: the MQTT broker is gone (")
    assert second == "ser-edge: the MQTT broker is back"
    assert " s of audio, " in summary


@needs_mosquitto
def test_what_a_broker_that_stays_away_missed_is_told_at_the_end(broker: Mosquitto, talk: Path) -> None:
    with Listening(broker) as listening:
        listening.say(talk)
        listening.line()
        broker.stop()
        listening.say(talk)
        listening.process.stdin.close()
        _, said = listening.end()
        assert listening.process.returncode == 0  # the answers were printed
    summary, last = said.splitlines()[-2:]
    assert " s of audio, " in summary
    lost = int(last.removeprefix("ser-edge: the MQTT broker was away; answers not published: "))
    assert lost >= 10


@needs_mosquitto
def test_home_assistant_finds_an_emotion_and_a_confidence(broker: Mosquitto, sounds: list[Path]) -> None:
    jinja2 = pytest.importorskip("jinja2")
    done = ser_edge("--mqtt", broker.url, sounds[0])
    answer = json.loads(done.stdout)
    found = {topic: json.loads(text) for topic, text in retained(broker).items() if topic.startswith("homeassistant/")}
    assert found == discovery(TOPIC, AVAILABILITY, Recognizer().metadata)
    emotion, confidence = (
        found[f"homeassistant/sensor/{identity()}-{key}/config"] for key in ("emotion", "confidence")
    )
    for sensor in (emotion, confidence):
        assert (sensor["state_topic"], sensor["availability_topic"]) == (TOPIC, AVAILABILITY)
        assert sensor["device"]["identifiers"] == [identity()]
    assert emotion["unique_id"] != confidence["unique_id"]

    def shown(sensor: dict[str, Any]) -> str:
        return jinja2.Template(sensor["value_template"]).render(value_json=answer)

    assert emotion["device_class"] == "enum"
    assert not {"unit_of_measurement", "state_class"} & set(emotion)  # Home Assistant refuses an enum with them
    assert emotion["options"] == [*answer["probabilities"], UNCERTAIN, NO_SPEECH]
    assert shown(emotion) == answer["label"]
    assert confidence["unit_of_measurement"] == "%"
    assert float(shown(confidence)) == pytest.approx(100 * answer["confidence"], abs=0.06)


def identity() -> str:
    (config, *_) = discovery(TOPIC, AVAILABILITY, Recognizer().metadata).values()
    return str(config["device"]["identifiers"][0])


@needs_mosquitto
def test_user_and_password_come_from_the_url_or_the_environment(tmp_path: Path, sounds: list[Path]) -> None:
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("no passwords without mosquitto_passwd")
    subprocess.run([tool, "-b", "-c", tmp_path / "users", "pi", "p@ss"], check=True, capture_output=True)
    broker = Mosquitto(tmp_path, "allow_anonymous false", f"password_file {tmp_path / 'users'}")
    broker.start()
    try:
        url = broker.url.replace("mqtt://", "mqtt://pi:p%40ss@")
        assert ser_edge("--mqtt", url, sounds[0]).returncode == 0
        environment = {**os.environ, USER: "pi", PASSWORD: "p@ss"}
        assert ser_edge("--mqtt", broker.url, sounds[0], env=environment).returncode == 0
        done = ser_edge("--mqtt", broker.url.replace("mqtt://", "mqtt://pi:secret@"), sounds[0])
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"ser-edge: --mqtt mqtt://127.0.0.1:{broker.port}/{TOPIC}: it refuses us (Not authorized); "
            "are SER_EDGE_MQTT_USER and SER_EDGE_MQTT_PASSWORD right?\n"
        )
    finally:
        broker.stop()


@needs_mosquitto
def test_mqtts_is_encrypted_and_checks_the_certificate(tmp_path: Path, sounds: list[Path]) -> None:
    tool = shutil.which("openssl")
    if tool is None:
        pytest.skip("no certificate without openssl")
    command = [tool, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", tmp_path / "key", "-out", tmp_path / "cert", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    settings = [f"certfile {tmp_path / 'cert'}", f"keyfile {tmp_path / 'key'}", "allow_anonymous true"]
    broker = Mosquitto(tmp_path, *settings)
    broker.start()
    url = broker.url.replace("mqtt://", "mqtts://")
    try:
        trusting = {**os.environ, "SSL_CERT_FILE": str(tmp_path / "cert")}
        assert ser_edge("--mqtt", url, sounds[0], env=trusting).returncode == 0
        done = ser_edge("--mqtt", url, sounds[0])
        assert done.returncode == 1
        assert "certificate verify failed" in done.stderr
        assert done.stderr.count("\n") == 1
    finally:
        broker.stop()


def test_without_a_broker_it_is_one_line(sounds: list[Path], tmp_path: Path) -> None:
    answers = tmp_path / "answers.csv"
    answers.write_text("of yesterday")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    url = f"mqtt://user:secret@127.0.0.1:{port}/t"
    done = ser_edge("--mqtt", url, "--output", answers, sounds[0])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"ser-edge: --mqtt mqtt://127.0.0.1:{port}/t: no broker answers there (Connection refused); "
        "start it, or correct the URL\n"
    )
    assert answers.read_text() == "of yesterday"


@pytest.mark.parametrize(
    "url",
    [
        "host/topic",
        "http://host/topic",
        "mqtt://host",
        "mqtt://host/",
        "mqtt:///topic",
        "mqtt://host:secret/topic",
        "mqtt://host/a/+/b",
        "mqtt://host/a/%23",
        "mqtt://host/a#b",
        "mqtt://user:secret#@host/topic",
        f"mqtt://host/{'x' * 2000}",
        "mqtt://host/\udcff",
    ],
)
def test_a_url_that_makes_no_sense_exits_with_2_and_is_not_repeated(
    url: str, sounds: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--mqtt", url, str(sounds[0])])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "argument --mqtt: must be like mqtt://host/topic" in said
    assert "secret" not in said


def test_without_paho_the_line_says_how_to_get_it(
    sounds: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    assert main(["--mqtt", "mqtt://host/topic", str(sounds[0])]) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(f"try: {install_extra('mqtt')}\n")


def test_urls_say_where_and_as_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Broker.of("mqtt://host/a/b/") == Broker("host", 1883, "a/b")
    assert Broker.of("mqtts://me:p%40ss@[::1]:1/%C3%BC") == Broker("::1", 1, "ü", True, "me", "p@ss")
    assert str(Broker.of("mqtts://me:secret@[::1]:1/t")) == "mqtts://[::1]:1/t"
    assert "secret" not in repr(Broker.of("mqtt://me:secret@host/t"))
    monkeypatch.setenv(USER, "somebody")
    monkeypatch.setenv(PASSWORD, "known")
    assert Broker.of("mqtt://host/t") == Broker("host", 1883, "t", False, "somebody", "known")
    assert Broker.of("mqtt://me@host/t") == Broker("host", 1883, "t", False, "me", "known")
