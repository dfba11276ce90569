"""Predictions published to an MQTT broker, for Home Assistant, Node-RED or any other subscriber.

    <topic>                  a line of `--format json` for each prediction; of live sound, when the label changes and
                             every `EVERY` seconds, as recorders keep every message
    <topic>/availability     online or offline, retained; the broker itself publishes offline if the connection is lost
    homeassistant/sensor/... how Home Assistant discovers it (`home_assistant`), retained

A broker that goes away stops nothing: up to `_MAX_QUEUED` predictions wait for it, later ones are lost and counted.
"""

import json
import os
import re
import sys
import time
from dataclasses import dataclass, field
from threading import Event
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ser_edge.errors import RuntimeUnavailable, SerEdgeError
from ser_edge.errors.install_hints import install_extra
from ser_edge.models.metadata import ModelMetadata
from ser_edge.output.home_assistant import discovery, identity
from ser_edge.output.progress import log_line
from ser_edge.output.writers import json_line
from ser_edge.recognition.prediction import Prediction

if TYPE_CHECKING:
    from paho.mqtt.client import Client
    from paho.mqtt.reasoncodes import ReasonCode

EVERY = 10.0  # seconds until a label that hasn't changed is published again
USER, PASSWORD = "SER_EDGE_MQTT_USER", "SER_EDGE_MQTT_PASSWORD"  # environment variables, which `ps` doesn't show

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_KEEP_ALIVE = 30  # seconds; after half as long again without a message the broker publishes offline
_RETRY, _MAX_RETRY = 1, 30  # seconds between attempts to reconnect: the first, and the longest
_MAX_QUEUED = 1000  # predictions that wait for the broker: hours of listening, or eight minutes of every window
_MAX_TOPIC = 1000  # bytes; MQTT takes 65535 with all that is added to it


@dataclass(frozen=True)
class MqttTimeouts:
    """How long to wait for a broker, in seconds."""

    connect: float = 10.0  # for it to accept or refuse the connection
    close: float = 3.0  # for it to confirm what is left at the end


@dataclass(frozen=True)
class Broker:
    """Where predictions are published, and as whom."""

    host: str
    port: int
    topic: str
    encrypted: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str) -> "Broker":
        """Parses mqtt://[user[:password]@]host[:port][/topic], or mqtts://; the environment may hold user and password.

        Without a topic it is ser-edge/ and this machine's name.

        Raises:
            ValueError: not such a URL; the message doesn't repeat it, as it may hold a password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
            topic = unquote(parts.path).strip("/") or _default_topic()
            valid = parts.hostname and not (parts.query or parts.fragment)
            if not valid or set(topic) & set("+#\0") or len(topic.encode()) > _MAX_TOPIC:
                raise ValueError
        except (KeyError, ValueError) as e:
            raise ValueError(
                "must be like mqtt://host, mqtt://host/topic or mqtts://user@host:8883/topic; no + # ? in it"
            ) from e
        user = unquote(parts.username or "") or os.environ.get(USER)
        password = unquote(parts.password or "") or os.environ.get(PASSWORD)
        return cls(parts.hostname or "", port, topic, parts.scheme == "mqtts", user, password)

    def __str__(self) -> str:
        """Its URL without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.encrypted else 'mqtt'}://{host}:{self.port}/{self.topic}"


class MqttWriter:
    """Publishes predictions as JSON lines. Only one may publish to a topic at a time.

    Args:
        broker: where.
        metadata: of the model that predicts.
        every: seconds of live sound after which a label that hasn't changed is published again; 0 for every window.
        timeouts: how long to wait for the broker.

    Raises:
        RuntimeUnavailable: paho-mqtt isn't installed.
        SerEdgeError: no broker answers there, or it refuses the connection.
    """

    def __init__(
        self, broker: Broker, metadata: ModelMetadata, every: float = EVERY, timeouts: MqttTimeouts | None = None
    ):
        paho = _paho()
        self._timeouts = timeouts or MqttTimeouts()
        self._topic, self._availability = broker.topic, f"{broker.topic}/availability"
        self._discovery = discovery(broker.topic, self._availability, metadata)
        self._every = every
        self._published: Prediction | None = None  # the last one of live sound
        self._answered = Event()
        self._refusal = ""
        self._away = self._closing = False
        self._lost = 0
        # Messages of `write` and `close`, changed by the caller's thread; those confirmed, changed by paho's.
        self._written = self._confirmed = 0
        self._notices: set[int] = set()  # unconfirmed, published and confirmed in paho's thread

        # The same name at each start, so that the broker drops an old connection of ours at once, and doesn't publish
        # offline for it later.
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=identity(broker.topic))
        client.will_set(self._availability, "offline", qos=1, retain=True)
        client.reconnect_delay_set(_RETRY, _MAX_RETRY)
        if broker.user or broker.password:
            client.username_pw_set(broker.user or "", broker.password)
        if broker.encrypted:
            client.tls_set()
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish = self._on_publish
        self._client: Client = client
        try:
            client.connect(broker.host, broker.port, _KEEP_ALIVE)
        except (OSError, ValueError) as e:
            reason = getattr(e, "strerror", None) or e
            message = f"--mqtt {broker}: no broker answers there ({reason}); start it, or correct the URL"
            raise SerEdgeError(message, code="mqtt-unreachable") from e
        client.loop_start()
        if not self._answered.wait(self._timeouts.connect):
            client.disconnect()
            message = f"--mqtt {broker}: no MQTT broker, but something else answers there; check scheme and port"
            raise SerEdgeError(message, code="mqtt-unreachable")
        if self._refusal:
            client.disconnect()
            why = f"the broker refuses the connection ({self._refusal}); check {USER} and {PASSWORD}"
            raise SerEdgeError(f"--mqtt {broker}: {why}", code="mqtt-refused")

    def write(self, prediction: Prediction) -> None:
        """Publishes one prediction, or queues it until the broker is back; one of live sound only if it is due."""
        if prediction.time is not None:
            last = self._published
            if last and last.label == prediction.label and prediction.end - last.end < self._every:
                return
            self._published = prediction
        while self._waiting >= _MAX_QUEUED and self._client.is_connected():  # files are classified faster than sent
            time.sleep(0.01)
        if self._waiting < _MAX_QUEUED:
            self._publish(self._topic, json_line(prediction))
        else:
            self._lost += 1

    def close(self) -> None:
        """Publishes offline, and waits a little until the broker has everything."""
        self._closing = True
        self._publish(self._availability, "offline", retain=True)
        end = time.monotonic() + self._timeouts.close
        while self._waiting and time.monotonic() < end:
            time.sleep(0.01)
        if self._waiting:  # not disconnecting makes the broker publish offline as soon as the process ends
            self._lost += self._waiting - 1
        else:
            self._client.disconnect()
            self._client.loop_stop()
        if self._lost:
            log_line(f"ser-edge: the MQTT broker was away; predictions not published: {self._lost}")

    @property
    def _waiting(self) -> int:
        """Messages of `write` and `close` that the broker hasn't confirmed; it confirms in their order."""
        return self._written - self._confirmed

    def _publish(self, topic: str, text: str, retain: bool = False) -> None:
        self._written += 1
        self._client.publish(topic, text, qos=1, retain=retain)

    # Called in paho's thread:

    def _on_connect(self, client: "Client", _: Any, flags: Any, reason: "ReasonCode", properties: Any) -> None:
        if reason.is_failure:
            self._refusal = str(reason)
        elif not self._closing:  # each time: a broker may have forgotten what it retained
            self._refusal = ""  # a broker that has just started may refuse everybody for a while
            notices = {topic: json.dumps(config) for topic, config in self._discovery.items()}
            for topic, text in (notices | {self._availability: "online"}).items():
                self._notices.add(client.publish(topic, text, qos=1, retain=True).mid)
            if self._away:
                self._away = False
                _log_unless_terminal("the MQTT broker is back")
        self._answered.set()

    def _on_disconnect(self, client: "Client", _: Any, flags: Any, reason: "ReasonCode", properties: Any) -> None:
        if self._answered.is_set() and not (self._refusal or self._away or self._closing):
            self._away = True
            _log_unless_terminal(f"the MQTT broker is gone ({reason}); predictions wait for it")

    def _on_publish(self, client: "Client", _: Any, number: int, reason: "ReasonCode", properties: Any) -> None:
        if number in self._notices:
            self._notices.remove(number)
        else:
            self._confirmed += 1


def _default_topic() -> str:
    """For a URL without one: so that two machines don't share a topic, by this one's name."""
    from socket import gethostname

    host = re.sub(r"[^\w.-]+", "-", gethostname(), flags=re.ASCII).strip("-")
    return f"ser-edge/{host}" if host else "ser-edge"


def _log_unless_terminal(text: str) -> None:
    """In a log; on a terminal it would tear the live view, and `close` reports what was lost."""
    if not sys.stderr.isatty():
        log_line(f"ser-edge: {text}")


def _paho() -> ModuleType:
    try:
        import paho.mqtt.client
    except ImportError as e:
        message = f"paho-mqtt can't be loaded ({e}); try: {install_extra('mqtt')}"
        raise RuntimeUnavailable(message, code="extra-missing") from e
    return paho.mqtt.client
