"""Discovery messages by which Home Assistant shows predictions as two sensors: an emotion and a confidence.

The format is the single component discovery of its MQTT integration: a retained JSON message for each sensor at
`homeassistant/sensor/<id>/config`. The keys and what they may hold are those of its page "MQTT Sensor".
"""

from hashlib import sha256
from typing import Any

from ser_edge import __version__
from ser_edge.models.metadata import ModelMetadata
from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN


def identity(topic: str) -> str:
    """An identifier for a topic, of ASCII letters, digits and hyphens; always the same for the same topic."""
    return f"ser-edge-{sha256(topic.encode()).hexdigest()[:12]}"


def discovery(topic: str, availability: str, metadata: ModelMetadata) -> dict[str, dict[str, Any]]:
    """The messages, by the topic that Home Assistant subscribes to.

    Args:
        topic: where predictions are published, as JSON lines.
        availability: the topic that holds `online` or `offline`.
        metadata: of the model that predicts.
    """
    name = identity(topic)
    sensors: dict[str, dict[str, Any]] = {
        "emotion": {
            "name": "Emotion",
            "device_class": "enum",
            "options": [*metadata.labels, UNCERTAIN, NO_SPEECH],
            "value_template": "{{ value_json.label }}",
            "icon": "mdi:account-voice",
        },
        "confidence": {
            "name": "Confidence",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "suggested_display_precision": 0,
            "value_template": "{{ (100 * value_json.confidence) | round(1) }}",
        },
    }
    shared = {
        "state_topic": topic,
        "availability_topic": availability,
        "device": {
            "identifiers": [name],
            "name": topic,
            "manufacturer": "ser-edge",
            "model": metadata.name,
            "sw_version": __version__,
        },
        "origin": {"name": "ser-edge", "sw_version": __version__},
    }
    return {
        f"homeassistant/sensor/{name}-{key}/config": {"unique_id": f"{name}-{key}", **sensor, **shared}
        for key, sensor in sensors.items()
    }
