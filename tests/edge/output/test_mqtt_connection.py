"""Connecting to an MQTT broker: URLs, passwords, certificates, and errors."""

import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from ser_edge import Recognizer, RuntimeUnavailable, SerEdgeError
from ser_edge.cli.app import main
from ser_edge.errors.install_hints import install_extra
from ser_edge.output.mqtt import PASSWORD, USER, Broker, MqttTimeouts, MqttWriter
from tests import messages
from tests.edge.output.mosquitto import Mosquitto, needs_mosquitto, ser_edge, until

NOT_AUTHORISED = 5


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
        assert "secret" not in done.stderr
        with messages.raises(SerEdgeError, "mqtt-refused"):
            MqttWriter(Broker.of(broker.url), Recognizer().metadata)
        assert messages.codes_in(done.stderr) == ["mqtt-refused"]
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
    finally:
        broker.stop()


def test_without_a_broker_nothing_is_written(sounds: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "predictions.csv"
    output.write_text("of yesterday")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    url = f"mqtt://user:secret@127.0.0.1:{port}/t"
    done = ser_edge("--mqtt", url, "--output", output, sounds[0])
    assert (done.returncode, done.stdout) == (1, "")
    assert "secret" not in done.stderr
    assert output.read_text() == "of yesterday"
    with messages.raises(SerEdgeError, "mqtt-unreachable"):
        MqttWriter(Broker.of(url), Recognizer().metadata)


def test_a_server_that_is_no_broker_is_an_error() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        broker = Broker("127.0.0.1", silent.getsockname()[1], "t")
        with messages.raises(SerEdgeError, "mqtt-unreachable"):
            MqttWriter(broker, Recognizer().metadata, timeouts=MqttTimeouts(connect=0.2))


def test_only_predictions_count_as_lost(sounds: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    recognizer = Recognizer()
    prediction = recognizer.predict(sounds[0])
    with closing(socket.create_server(("127.0.0.1", 0))) as server, ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(_accept_without_confirming, server)
        broker = Broker("127.0.0.1", server.getsockname()[1], "t")
        writer = MqttWriter(broker, recognizer.metadata, timeouts=MqttTimeouts(close=0.2))
        with accepted.result(10):
            for _ in range(5):
                writer.write(prediction)
            writer.close()
    assert capsys.readouterr().err.endswith("predictions not published: 5\n")


def test_a_loss_after_a_refusal_is_reported_as_the_first_was(capsys: pytest.CaptureFixture[str]) -> None:
    reported = ""

    def is_reported_twice() -> bool:
        nonlocal reported
        reported += capsys.readouterr().err
        return reported.count("is gone") == 2

    with closing(socket.create_server(("127.0.0.1", 0))) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: [_connect_and_drop(server, reason) for reason in (0, NOT_AUTHORISED, 0)])
        broker = Broker("127.0.0.1", server.getsockname()[1], "t")
        with closing(MqttWriter(broker, Recognizer().metadata, timeouts=MqttTimeouts(close=0.2))):
            until(is_reported_twice)


def _connect_and_drop(server: socket.socket, reason: int) -> None:
    """A broker that answers a connection so, and is gone."""
    connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(bytes([0x20, 2, 0, reason]))  # CONNACK of MQTT 3.1.1
        connection.recv(4096)  # what is published then, or nothing


def _accept_without_confirming(server: socket.socket) -> socket.socket:
    """A broker that accepts the connection, and confirms none of the messages."""
    connection, _ = server.accept()
    connection.recv(4096)
    connection.sendall(b"\x20\x02\x00\x00")  # CONNACK of MQTT 3.1.1
    return connection


@pytest.mark.parametrize(
    "url",
    [
        "host/topic",
        "http://host/topic",
        "mqtt://",
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
def test_a_wrong_url_exits_with_2_and_is_not_repeated(
    url: str, sounds: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--mqtt", url, str(sounds[0])])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert "argument --mqtt: " in error
    assert "secret" not in error


def test_without_paho_the_error_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with messages.raises(RuntimeUnavailable, "extra-missing") as caught:
        MqttWriter(Broker("host", 1883, "topic"), Recognizer().metadata)
    assert str(caught.value).endswith(f"try: {install_extra('mqtt')}")


def test_urls_have_host_topic_and_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "+kitchen pi/2#ü.local")
    assert Broker.of("mqtt://host").topic == Broker.of("mqtt://host/").topic == "ser-edge/kitchen-pi-2-.local"
    monkeypatch.setattr(socket, "gethostname", lambda: "++")
    assert Broker.of("mqtt://host").topic == "ser-edge"
    assert Broker.of("mqtt://host/a/b/") == Broker("host", 1883, "a/b")
    assert Broker.of("mqtts://me:p%40ss@[::1]:1/%C3%BC") == Broker("::1", 1, "ü", True, "me", "p@ss")
    assert str(Broker.of("mqtts://me:secret@[::1]:1/t")) == "mqtts://[::1]:1/t"
    assert "secret" not in repr(Broker.of("mqtt://me:secret@host/t"))
    monkeypatch.setenv(USER, "somebody")
    monkeypatch.setenv(PASSWORD, "known")
    assert Broker.of("mqtt://host/t") == Broker("host", 1883, "t", False, "somebody", "known")
    assert Broker.of("mqtt://me@host/t") == Broker("host", 1883, "t", False, "me", "known")
