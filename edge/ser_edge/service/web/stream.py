"""`WS v1/stream`: samples in, a line of JSON for each window out."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket, WebSocketDisconnect

from ser_edge.audio.decoding.standard_input import SAMPLE_FORMATS, RawDecoder, RawFormat
from ser_edge.audio.sound import MAX_RATE, MIN_RATE
from ser_edge.errors import SerEdgeError
from ser_edge.output.writers import json_line
from ser_edge.recognition.prediction import Prediction
from ser_edge.service.web.limits import Refusal, client_of
from ser_edge.service.web.predict import check_names, parse_ratio, parse_whole
from ser_edge.service.web.service import Service

if TYPE_CHECKING:
    from ser_edge.recognition.streaming import Stream

END = "end"  # the client's text after its last samples
_MAX_CHANNELS = 32
_POLICY, _FAILED, _RESTART, _LATER = 1008, 1011, 1012, 1013  # codes of RFC 6455 and its registry
_CLOSE = {429: _LATER, 500: _FAILED, 503: _LATER}  # other statuses are the client's mistakes


@dataclass(frozen=True)
class StreamQuery:
    """What the query says."""

    raw: RawFormat
    threshold: float | None

    @classmethod
    def of(cls, query: QueryParams) -> "StreamQuery":
        """Raises Refusal where it says something else."""
        check_names(query, ("rate", "format", "channels", "threshold", "token"))
        sample_format = query.get("format", "s16")
        if sample_format not in SAMPLE_FORMATS:
            problem = f"format={sample_format[:20]}: must be one of {', '.join(SAMPLE_FORMATS)}"
            raise Refusal(problem, code="web-request", status=400)
        rate = parse_whole("rate", query.get("rate", "16000"), MIN_RATE, MAX_RATE)
        channels = parse_whole("channels", query.get("channels", "1"), 1, _MAX_CHANNELS)
        return cls(RawFormat(rate, channels, sample_format), parse_ratio("threshold", query.get("threshold")))


async def stream(socket: WebSocket) -> None:
    """One stream, from the handshake to its close; errors are a text before it."""
    service: Service = socket.app.state.service
    await socket.accept()
    with suppress(WebSocketDisconnect):
        try:
            if service.stopping.is_set():
                raise service.stopping_refusal()
            query = StreamQuery.of(socket.query_params)
            with service.streams.take(client_of(socket)), service.until_given_up():
                await _classify(socket, service, query)
                await socket.close()  # before the server ends
        except SerEdgeError as error:
            service.metrics.refused.labels(error.code).inc()
            status = error.status if isinstance(error, Refusal) else 400
            await socket.send_json({"error": str(error), "code": error.code})
            await socket.close(_RESTART if error.code == "web-stopping" else _CLOSE.get(status, _POLICY))
        except (WebSocketDisconnect, asyncio.CancelledError):
            raise
        except Exception:  # a bug: the traceback is printed
            service.metrics.refused.labels("error").inc()
            await socket.send_json({"error": "a fault of the server; its log has more", "code": "error"})
            await socket.close(_FAILED)
            raise


async def _classify(socket: WebSocket, service: Service, query: StreamQuery) -> None:
    """Until the client ends it or is gone; raises Refusal, after the last window, where the server stops."""
    decoder = RawDecoder(query.raw)
    recognizer = service.recognizer
    stream: Stream = await _in_thread(service, recognizer.create_stream, query.raw.rate)

    async def answer(work: Callable[..., list[Prediction]], *arguments: Any) -> None:
        before = stream.seconds
        predictions: list[Prediction] = await _in_thread(service, work, *arguments)
        service.metrics.audio.labels("stream").inc(stream.seconds - before)
        for prediction in predictions:
            await socket.send_text(json_line(prediction.with_threshold(query.threshold)))

    def accept(data: bytes) -> list[Prediction]:
        samples, predictions, second = decoder.decode(data), [], round(query.raw.rate)
        for start in range(0, len(samples), second):  # a message can hold minutes
            if not service.given_up.is_set():
                predictions += stream.accept_channels(samples[start : start + second])
        return predictions

    while (message := await _next(socket, service)) is not None:
        if isinstance(message, str):
            if message.strip() != END:
                problem = f"a text other than {END!r}; samples are binary messages"
                raise Refusal(problem, code="web-request", status=400)
            await answer(stream.input_finished)
            return
        await answer(accept, message)
    await answer(stream.input_finished)
    raise service.stopping_refusal()


async def _next(socket: WebSocket, service: Service) -> bytes | str | None:
    """The next message; None where the server stops, also if more wait: a client could send without an end."""
    if service.stopping.is_set():
        return None
    receiving = asyncio.ensure_future(socket.receive())
    stopping = asyncio.ensure_future(service.stopping.wait())
    try:
        await asyncio.wait((receiving, stopping), timeout=service.limits.idle, return_when=asyncio.FIRST_COMPLETED)
        if not receiving.done():
            if service.stopping.is_set():
                return None
            problem = f"no message for {service.limits.idle:g} s; send samples, or the text {END!r}"
            raise Refusal(problem, code="web-too-slow", status=408)
        message = receiving.result()
    finally:
        receiving.cancel()
        stopping.cancel()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    text: str | None = message.get("text")
    return message["bytes"] if text is None else text


async def _in_thread(service: Service, work: Callable[..., Any], *arguments: Any) -> Any:
    """What the work returns, in a thread; its CPU time is counted."""

    def timed() -> Any:
        began = time.thread_time()
        try:
            return work(*arguments)
        finally:
            service.metrics.inference.labels("stream").inc(time.thread_time() - began)

    return await to_thread.run_sync(timed, limiter=service.stream_workers, abandon_on_cancel=True)
