"""Answers go to an MQTT broker as well, for whatever listens there: Home Assistant, Node-RED, a program of one's own.

    <topic>                  a message for each answer: a line of `--format json`
    <topic>/availability     online or offline, retained; the broker itself says offline of one that died
    homeassistant/sensor/... how Home Assistant finds it (`home_assistant`), retained

A broker that goes away stops nothing: so many answers wait for it, and what comes then is lost, and counted.
"""

import json
import os
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
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

__all__ = ["Broker", "MqttWriter"]

USER, PASSWORD = "SER_EDGE_MQTT_USER", "SER_EDGE_MQTT_PASSWORD"  # environment variables, which `ps` doesn't show

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_ANSWERING = 10.0  # s, for a broker to take or refuse us
_ENDING = 3.0  # s, for it to take what is left at the end
_KEEP_ALIVE = 30  # s; the broker calls us offline when it heard nothing for half as long again
_RETRY, _MAX_RETRY = 1, 30  # s between attempts to reach it again: at first, and after many
_AHEAD = 1000  # answers that wait for the broker: eight minutes of listening
_LONGEST = 1000  # bytes of a topic; MQTT takes 65535 with all that is added to it


@dataclass(frozen=True)
class Broker:
    """Where answers are published, and as whom."""

    host: str
    port: int
    topic: str
    encrypted: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str) -> "Broker":
        """Of mqtt://[user[:password]@]host[:port]/topic, or mqtts://; the environment may hold user and password.

        Raises:
            ValueError: no such URL; the message doesn't repeat it, for it may hold a password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
            topic = unquote(parts.path).strip("/")
            sensible = parts.hostname and topic and not (parts.query or parts.fragment)
            if not sensible or set(topic) & set("+#\0") or len(topic.encode()) > _LONGEST:
                raise ValueError
        except (KeyError, ValueError) as e:
            raise ValueError("must be like mqtt://host/topic or mqtts://user@host:8883/topic; no + # ? in it") from e
        user = parts.username and unquote(parts.username)
        password = parts.password and unquote(parts.password)
        return cls(
            parts.hostname or "",
            port,
            topic,
            parts.scheme == "mqtts",
            user or os.environ.get(USER),
            password or os.environ.get(PASSWORD),
        )

    def __str__(self) -> str:
        """Its URL without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.encrypted else 'mqtt'}://{host}:{self.port}/{self.topic}"


class MqttWriter:
    """Publishes predictions, as the writers of `writers` print them. Only one may publish at a topic at a time.

    Args:
        broker: where.
        metadata: of the model that predicts.

    Raises:
        RuntimeUnavailable: paho-mqtt isn't installed.
        SerEdgeError: no broker answers there, or it refuses us.
    """

    def __init__(self, broker: Broker, metadata: ModelMetadata):
        paho = _paho()
        self._topic, self._availability = broker.topic, f"{broker.topic}/availability"
        self._discovery = discovery(broker.topic, self._availability, metadata)
        self._answered = Event()
        self._refusal = ""
        self._away = self._closing = False
        self._lost = 0
        # Published by whoever writes, and by paho's thread; confirmed, in that thread. One thread changes each.
        self._written = self._announced = self._confirmed = 0

        # The same name at each start: so the broker drops a connection that died unnoticed when we come back, and
        # doesn't call us offline for it later.
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=identity(broker.topic))
        client.will_set(self._availability, "offline", qos=1, retain=True)
        client.reconnect_delay_set(_RETRY, _MAX_RETRY)
        if broker.user or broker.password:
            client.username_pw_set(broker.user or "", broker.password)
        if broker.encrypted:
            client.tls_set()
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_publish = self._published
        self._client: Client = client
        try:
            client.connect(broker.host, broker.port, _KEEP_ALIVE)
        except (OSError, ValueError) as e:
            reason = getattr(e, "strerror", None) or e
            raise SerEdgeError(f"--mqtt {broker}: no broker answers there ({reason}); start it, or mend the URL") from e
        client.loop_start()
        if not self._answered.wait(_ANSWERING):
            client.disconnect()
            raise SerEdgeError(f"--mqtt {broker}: what answers there is no MQTT broker; are scheme and port right?")
        if self._refusal:
            client.disconnect()
            raise SerEdgeError(f"--mqtt {broker}: it refuses us ({self._refusal}); are {USER} and {PASSWORD} right?")

    def write(self, prediction: Prediction) -> None:
        """Publishes one prediction, or keeps it until the broker is back."""
        while self._waiting >= _AHEAD and self._client.is_connected():  # files are judged faster than it takes
            time.sleep(0.01)
        if self._waiting < _AHEAD:
            self._publish(self._topic, json_line(prediction))
        else:
            self._lost += 1

    def close(self) -> None:
        """Says that we are offline, and waits a little until the broker has everything."""
        self._closing = True
        self._publish(self._availability, "offline", retain=True)
        end = time.monotonic() + _ENDING
        while self._waiting and time.monotonic() < end:
            time.sleep(0.01)
        if self._waiting:  # not disconnecting makes the broker say offline, as soon as the process ends
            self._lost += self._waiting - 1
        else:
            self._client.disconnect()
            self._client.loop_stop()
        if self._lost:
            log_line(f"ser-edge: the MQTT broker was away; answers not published: {self._lost}")

    @property
    def _waiting(self) -> int:
        """Messages that the broker hasn't confirmed."""
        return self._written + self._announced - self._confirmed

    def _publish(self, topic: str, text: str, retain: bool = False) -> None:
        self._written += 1
        self._client.publish(topic, text, qos=1, retain=retain)

    # What follows is called in paho's thread.

    def _connected(
        self, client: "Client", _: Any, flags: "ConnectFlags", reason: "ReasonCode", properties: "Properties | None"
    ) -> None:
        if reason.is_failure:
            self._refusal = str(reason)
        elif not self._closing:  # each time: a broker may have forgotten what it retained
            notices = {topic: json.dumps(config) for topic, config in self._discovery.items()}
            for topic, text in (notices | {self._availability: "online"}).items():
                self._announced += 1
                client.publish(topic, text, qos=1, retain=True)
            if self._away:
                self._away = False
                _remark("the MQTT broker is back")
        self._answered.set()

    def _disconnected(
        self, client: "Client", _: Any, flags: "DisconnectFlags", reason: "ReasonCode", properties: "Properties | None"
    ) -> None:
        if self._answered.is_set() and not (self._refusal or self._away or self._closing):
            self._away = True
            _remark(f"the MQTT broker is gone ({reason}); answers wait for it")

    def _published(
        self, client: "Client", _: Any, number: int, reason: "ReasonCode", properties: "Properties | None"
    ) -> None:
        self._confirmed += 1


def _remark(text: str) -> None:
    """In a log; across the picture on a terminal it isn't worth it, for `close` counts what was lost."""
    if not sys.stderr.isatty():
        log_line(f"ser-edge: {text}")


def _paho() -> ModuleType:
    try:
        import paho.mqtt.client
    except ImportError as e:
        raise RuntimeUnavailable(f"paho-mqtt can't be loaded ({e}); try: {install_extra('mqtt')}") from e
    return paho.mqtt.client
