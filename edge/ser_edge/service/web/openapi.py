"""The description of the API in OpenAPI 3.1, for `openapi.json`."""

from collections.abc import Sequence
from typing import Any

from ser_edge import __version__
from ser_edge.service.web.limits import Limits

_JSON = "application/json"


def description(labels: Sequence[str], limits: Limits, has_token: bool, root_path: str) -> dict[str, Any]:
    """The document for a server whose model has these labels."""
    error = {"description": "error", "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "ser-edge",
            "version": __version__,
            "description": "Speech emotion recognition that runs on the device. WebSocket `v1/stream` is described in "
            "docs/server.md, as OpenAPI has no words for it.",
        },
        "servers": [{"url": root_path or "/"}],
        "paths": {
            "/v1/predict": {"post": _predict(limits, error)},
            "/v1/events": {
                "get": {
                    "summary": "The predictions and the health of the device's microphone, as server-sent events",
                    "description": "`event: prediction` has a Prediction with `time`; `event: health` a Health.",
                    "operationId": "events",
                    "responses": {"200": _answer("events", "text/event-stream", {"type": "string"}), "default": error},
                }
            },
            "/v1/model": {
                "get": {
                    "summary": "The model, its accuracy, and the limits of this server",
                    "operationId": "model",
                    "responses": {"200": _answer("model", _JSON, _ref("Model")), "default": error},
                }
            },
            "/healthz": {
                "get": {
                    "summary": "Whether the server works",
                    "operationId": "health",
                    "security": [],
                    "responses": {"200": _answer("it does", _JSON, {"type": "object"}), "default": error},
                }
            },
            "/metrics": {
                "get": {
                    "summary": "Counters for Prometheus",
                    "operationId": "metrics",
                    "responses": {"200": _answer("metrics", "text/plain", {"type": "string"}), "default": error},
                }
            },
        },
        "components": {"schemas": _schemas(labels)},
    }
    if has_token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _predict(limits: Limits, error: dict[str, Any]) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    form = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}
    switch = {"type": "string", "enum": ["0", "1", "true", "false"]}
    parameters = {
        "timeline": ("a prediction for each window, not one for the whole sound", switch),
        "merge": ("a prediction for each stretch of windows with the same label", switch),
        "overall": ("as timeline, with the prediction for the whole sound beside it; not in lines", switch),
        "threshold": (
            "confidence below which the label is `uncertain`",
            {"type": "number", "minimum": 0, "maximum": 1},
        ),
        "name": ("the `path` of the predictions; by default the form's file name", {"type": "string"}),
    }
    return {
        "summary": "The emotion in a sound file",
        "operationId": "predict",
        "parameters": [
            {"name": name, "in": "query", "description": text, "schema": schema}
            for name, (text, schema) in parameters.items()
        ],
        "requestBody": {
            "required": True,
            "description": f"a sound file of at most {limits.bytes} bytes and {limits.seconds:g} s: WAV, FLAC, OGG, "
            "MP3, M4A, WebM, ...",
            "content": {"application/octet-stream": binary, "audio/*": binary, "multipart/form-data": {"schema": form}},
        },
        "responses": {
            "200": {
                "description": "predictions",
                "content": {
                    _JSON: {"schema": _ref("Predictions")},
                    "application/x-ndjson": {"schema": {"type": "string", "description": "a Prediction a line"}},
                },
            },
            "default": error,
        },
    }


def _schemas(labels: Sequence[str]) -> dict[str, Any]:
    seconds, ratio = {"type": "number", "minimum": 0}, {"type": "number", "minimum": 0, "maximum": 1}
    text, maybe_text, count = {"type": "string"}, {"type": ["string", "null"]}, {"type": "integer", "minimum": 0}
    probabilities = dict.fromkeys(labels, ratio)
    predictions = _object(
        model=text,
        predictions={"type": "array", "items": _ref("Prediction")},
        warnings={"type": "array", "items": text},
    )
    predictions["properties"]["overall"] = _ref("Prediction")  # where it was asked for
    return {
        "Prediction": _object(
            path=maybe_text,
            start=seconds,
            end=seconds,
            label={"type": "string", "enum": [*labels, "uncertain", "no-speech"]},
            confidence=ratio,
            probabilities=_object(**probabilities),
            speech={**ratio, "type": ["number", "null"]},
        ),
        "Predictions": predictions,
        "Health": _object(
            device=text,
            rate=count,
            lag=seconds,
            dropped=seconds,
            reconnections=count,
            listening={"type": "boolean"},
            level={"type": "number", "description": "dBFS"},
        ),
        "Model": _object(
            ser_edge=text,
            model={"type": "object", "description": "what `ser-edge --describe` prints"},
            notice=text,
            microphone={"type": "boolean"},
            limits=_object(bytes=count, seconds=seconds, streams=count),
        ),
        "Error": _object(error=text, code=text),
    }


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _answer(description: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
