"""The microphone's predictions and health for any number of viewers, as server-sent events.

The capture thread never waits: each viewer has a short queue, and one that is too slow for it loses events.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ser_edge.output.writers import json_line
from ser_edge.service.web.limits import Refusal, client_of
from ser_edge.service.web.predict import check_names
from ser_edge.service.web.service import Metrics, Service

if TYPE_CHECKING:
    from ser_edge.capture.microphone import Health
    from ser_edge.recognition.prediction import Prediction

_STREAM = "text/event-stream"
_QUEUE = 100  # events that wait for a viewer: 25 s
_HEALTH = 0.5  # seconds between two


class Broadcast:
    """A sink of predictions that passes them on to viewers; `write` and `health` may be called in any thread."""

    def __init__(self, metrics: Metrics):
        self._metrics = metrics
        self._loop: asyncio.AbstractEventLoop | None = None  # while there are viewers to be had
        self._viewers: set[asyncio.Queue[str | None]] = set()
        self._ended = False
        self._due = 0.0  # monotonic: of the next health
        self._level = -120.0  # dBFS, the loudest since the last one

    def open(self) -> None:
        """Called in the server's event loop, before there are viewers."""
        self._loop, self._ended = asyncio.get_running_loop(), False

    def write(self, prediction: "Prediction") -> None:
        """Passes one on."""
        self._publish("prediction", json_line(prediction))

    def health(self, health: "Health", level: float) -> None:
        """Passes on the microphone's state, as often as viewers need it; `level` is in dBFS."""
        self._level = max(self._level, level)
        if (now := time.monotonic()) < self._due:
            return
        fields = ("device", "rate", "lag", "dropped", "reconnections", "listening")
        state = {name: getattr(health, name) for name in fields}
        self._publish("health", json.dumps({**state, "level": round(self._level, 1) + 0.0}))
        self._due, self._level = now + _HEALTH, -120.0

    def close(self) -> None:
        """Ends all viewers' answers, after what was written."""
        self._send_soon(None)

    async def view(self) -> AsyncIterator[str]:
        """The events from now on, in the format of `text/event-stream`."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(_QUEUE)
        self._viewers.add(queue)
        try:
            yield "retry: 3000\n\n"
            while not (self._ended and queue.empty()) and (event := await queue.get()) is not None:
                yield event
        finally:
            self._viewers.discard(queue)

    def _publish(self, kind: str, data: str) -> None:
        self._send_soon(f"event: {kind}\ndata: {data}\n\n")

    def _send_soon(self, event: str | None) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._send, event)

    def _send(self, event: str | None) -> None:
        self._ended = self._ended or event is None  # for viewers who come when it has ended
        for queue in self._viewers:
            if queue.full():
                queue.get_nowait()
                self._metrics.lost_events.inc()
            queue.put_nowait(event)


async def events(request: Request) -> Response:
    """`GET v1/events`."""
    service: Service = request.app.state.service
    broadcast: Broadcast | None = request.app.state.broadcast
    if broadcast is None:
        raise Refusal("no microphone; start the server with --mic", code="web-not-found", status=404)
    check_names(request.query_params, ("token",))
    if service.stopping.is_set():
        raise service.stopping_refusal()
    service.viewers.check(client_of(request))
    if request.method == "HEAD":
        return Response(media_type=_STREAM)

    async def held() -> AsyncIterator[str]:
        with service.viewers.take(client_of(request)):
            async for event in broadcast.view():
                yield event

    return StreamingResponse(held(), media_type=_STREAM, headers={"X-Accel-Buffering": "no"})
