"""Predictions over MQTT: what a real broker delivers, and what happens when either side dies."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from ser_edge import Prediction, Recognizer, merge
from ser_edge.cli.app import main
from ser_edge.output.home_assistant import discovery
from ser_edge.output.mqtt import EVERY, Broker, MqttTimeouts, MqttWriter
from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN
from tests.edge.output.mosquitto import (
    AVAILABILITY,
    TOPIC,
    Mosquitto,
    StreamCommand,
    Subscriber,
    needs_mosquitto,
    retained,
    ser_edge,
    until,
)

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@needs_mosquitto
@pytest.mark.parametrize("source", ["timeline", "stdin", "files"])
def test_each_prediction_is_published_as_its_json_line(
    source: str, broker: Mosquitto, talk: Path, sounds: list[Path]
) -> None:
    arguments = {"timeline": ["--timeline", talk], "stdin": ["-"], "files": [*sounds, "missing.wav"]}[source]
    with Subscriber(broker.port) as subscriber, talk.open("rb") as sound:
        done = ser_edge("--mqtt", broker.url, *arguments, stdin=sound)
        assert done.returncode == (source == "files")
        lines = done.stdout.splitlines()
        assert len(lines) >= len(sounds)
        until(lambda: subscriber.state == "offline")
        assert subscriber.received[TOPIC] == lines
        assert subscriber.received[AVAILABILITY] == ["online", "offline"]
    assert TOPIC not in retained(broker)  # predictions aren't retained


def due(lines: list[str], every: float) -> list[str]:
    """Of live windows, those with another label than the last one published, or so many seconds after it."""
    published: list[dict[str, Any]] = []
    for answer in map(json.loads, lines):
        last = published[-1] if published else {"label": None, "end": 0}
        if answer["label"] != last["label"] or answer["end"] - last["end"] >= every:
            published.append(answer)
    return [json.dumps(answer) for answer in published]


@needs_mosquitto
@pytest.mark.parametrize("every", [None, 0, 1.4, 3])
def test_live_windows_are_published_on_change_and_every_few_seconds(
    every: float | None, broker: Mosquitto, talk: Path
) -> None:
    options = () if every is None else ("--mqtt-every", str(every))
    with Subscriber(broker.port) as subscriber, StreamCommand(broker, *options) as command:
        command.send(talk)
        command.process.stdin.close()
        lines, _ = command.end()
        until(lambda: subscriber.state == "offline")
        assert all("time" in json.loads(line) for line in lines)
        assert subscriber.received[TOPIC] == due(lines, EVERY if every is None else every)
        assert (subscriber.received[TOPIC] == lines) == (every == 0)


@needs_mosquitto
def test_merging_changes_what_is_written_and_not_what_is_published(broker: Mosquitto, talk: Path) -> None:
    with Subscriber(broker.port) as subscriber, StreamCommand(broker, "--merge", "--mqtt-every", "0") as command:
        command.send(talk)
        command.process.stdin.close()
        lines, _ = command.end()
        until(lambda: subscriber.state == "offline")
        published = [Prediction(**json.loads(line)) for line in subscriber.received[TOPIC]]
    written = [Prediction(**json.loads(line)) for line in lines]
    assert [(p.start, p.end, p.label, p.time) for p in written] == [
        (p.start, p.end, p.label, p.time) for p in merge(published)
    ]
    assert len(written) < len(published)


@needs_mosquitto
def test_without_a_topic_it_is_the_machines_name(broker: Mosquitto, sounds: list[Path]) -> None:
    with Subscriber(broker.port) as subscriber:
        assert ser_edge("--mqtt", f"mqtt://127.0.0.1:{broker.port}", sounds[0]).returncode == 0
        topic = Broker.of("mqtt://host").topic
        until(lambda: (subscriber.received[f"{topic}/availability"] or [""])[-1] == "offline")
        assert len(subscriber.received[topic]) == 1
        (config, _) = (
            json.loads(texts[0]) for t, texts in subscriber.received.items() if t.startswith("homeassistant/")
        )
        assert config["state_topic"] == config["device"]["name"] == topic


@needs_mosquitto
def test_text_is_printed_and_json_published(broker: Mosquitto, sounds: list[Path], capsys: Capture) -> None:
    with Subscriber(broker.port) as subscriber:
        assert main(["--format", "text", "--mqtt", broker.url, str(sounds[0])]) == 0
        until(lambda: subscriber.state == "offline")
        (text,) = subscriber.received[TOPIC]
    assert json.loads(text)["path"] == str(sounds[0])
    assert capsys.readouterr().out.endswith(f"{sounds[0]}\n")


@needs_mosquitto
@pytest.mark.skipif(os.name != "posix", reason="no terminal of our own")
def test_predictions_of_the_live_view_are_published(broker: Mosquitto, talk: Path) -> None:
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
        assert subscriber.received[TOPIC] == ser_edge("-", stdin=sound).stdout.splitlines()


@needs_mosquitto
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_summary_and_offline(number: int, broker: Mosquitto, talk: Path) -> None:
    with StreamCommand(broker) as command:
        command.send(talk)
        assert json.loads(command.line())["start"] == 0
        assert retained(broker)[AVAILABILITY] == "online"
        command.process.send_signal(number)
        _, errors = command.end()
        assert command.process.returncode == 0
    assert " s of audio, " in errors
    assert retained(broker)[AVAILABILITY] == "offline"
    assert f"Received DISCONNECT from {identity()}" in broker.log.read_text()  # not the last will


@needs_mosquitto
def test_a_killed_command_is_offline(broker: Mosquitto, talk: Path) -> None:
    with Subscriber(broker.port) as subscriber, StreamCommand(broker) as command:
        command.send(talk)
        until(lambda: subscriber.received[TOPIC])
        assert subscriber.state == "online"
        command.process.kill()
        until(lambda: subscriber.state == "offline")
    assert retained(broker)[AVAILABILITY] == "offline"


@needs_mosquitto
def test_a_broker_that_comes_back_gets_all_predictions(broker: Mosquitto, talk: Path) -> None:
    with StreamCommand(broker, "--mqtt-every", "0") as command:
        command.send(talk)
        lines = [command.line()]
        broker.stop()
        command.send(talk)  # while the broker is away
        lines += [command.line() for _ in range(20)]
        broker.start()
        with Subscriber(broker.port) as subscriber:
            until(lambda: subscriber.state == "online")
            assert len(subscriber.received) >= 3  # discovery was published again
            command.process.send_signal(signal.SIGTERM)
            rest, errors = command.end()
            until(lambda: subscriber.state == "offline")
            assert set(lines[-10:] + rest) <= set(subscriber.received[TOPIC])
        assert command.process.returncode == 0
    first, second, summary = errors.splitlines()
    assert first.startswith("ser-edge: the MQTT broker is gone (")
    assert second == "ser-edge: the MQTT broker is back"
    assert " s of audio, " in summary


@needs_mosquitto
def test_losses_are_reported_at_the_end(broker: Mosquitto, sounds: list[Path], capsys: Capture) -> None:
    recognizer = Recognizer()
    prediction = recognizer.predict(sounds[0])
    writer = MqttWriter(Broker.of(broker.url), recognizer.metadata, timeouts=MqttTimeouts(close=0.2))
    broker.stop()
    until(lambda: "is gone" in capsys.readouterr().err)
    for _ in range(1003):
        writer.write(prediction)
    writer.close()
    assert capsys.readouterr().err.endswith("predictions not published: 1003\n")


@needs_mosquitto
def test_a_broker_that_comes_back_gets_what_waited(broker: Mosquitto, sounds: list[Path], capsys: Capture) -> None:
    recognizer = Recognizer()
    prediction = recognizer.predict(sounds[0])
    with closing(MqttWriter(Broker.of(broker.url), recognizer.metadata)) as writer:
        broker.stop()
        until(lambda: "is gone" in capsys.readouterr().err)
        writer.write(prediction)
        broker.start()
        with Subscriber(broker.port) as subscriber:
            until(lambda: subscriber.received[TOPIC])
            assert subscriber.state == "online"
    assert "is back" in capsys.readouterr().err


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


def test_home_assistant_is_offered_the_chosen_labels() -> None:
    recognizer = Recognizer(labels=["happy", "low"], label_map={"sad": "low"})
    emotion, _ = discovery(TOPIC, AVAILABILITY, recognizer.metadata).values()
    assert emotion["options"] == ["happy", "low", UNCERTAIN, NO_SPEECH]


def identity() -> str:
    (config, *_) = discovery(TOPIC, AVAILABILITY, Recognizer().metadata).values()
    return str(config["device"]["identifiers"][0])
