"""`POST v1/predict`: the predictions for an uploaded sound file.

The upload stays in memory and is decoded from there: nothing of it is written to disk, but for an `ffmpeg` program that
decodes it where PyAV isn't installed. Its name is text that nothing is opened by.
"""

import io
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

from anyio import fail_after, to_thread
from starlette.datastructures import QueryParams, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ser_edge.audio.decoding.decoder import open_sound
from ser_edge.audio.sound import Channels, Sound
from ser_edge.errors import AudioError, printable
from ser_edge.errors.user_warnings import capture_warnings
from ser_edge.output.writers import json_line
from ser_edge.recognition.merging import merge
from ser_edge.recognition.prediction import Prediction
from ser_edge.service.web.limits import Refusal, body_of, client_of
from ser_edge.service.web.service import Service

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it logs what is wrong with what clients send
NDJSON = "application/x-ndjson"
_MAX_NAME = 1000  # characters


@dataclass(frozen=True)
class PredictQuery:
    """What the query says."""

    timeline: bool = False
    merge: bool = False  # equal neighbours of a timeline are one
    threshold: float | None = None
    name: str | None = None  # goes into the predictions
    overall: bool = False  # beside a timeline the prediction for the whole sound

    @classmethod
    def of(cls, query: QueryParams) -> "PredictQuery":
        """Raises Refusal where it says something else."""
        check_names(query, ("timeline", "merge", "overall", "threshold", "name"))
        name, threshold = query.get("name"), parse_ratio("threshold", query.get("threshold"))
        timeline, merged, overall = (parse_switch(each, query.get(each)) for each in ("timeline", "merge", "overall"))
        return cls(timeline, merged, threshold, name and name[:_MAX_NAME], overall)


@dataclass(frozen=True)
class _Answer:
    """The predictions for an upload, each a line of JSON, and warnings."""

    predictions: list[str]
    overall: str | None
    warnings: list[str]


async def predict(request: Request) -> Response:
    """Receives a sound, waits for a worker, and answers with JSON, or with a line of JSON for each prediction."""
    service: Service = request.app.state.service
    query, client = PredictQuery.of(request.query_params), client_of(request)
    in_lines = NDJSON in request.headers.get("accept", "")
    if in_lines and query.overall:
        problem = f"overall=1: {NDJSON} has no place for it; ask for application/json"
        raise Refusal(problem, code="web-request", status=400)
    if service.stopping.is_set():
        raise service.stopping_refusal()
    service.uploads.check(client)  # before its body comes
    with service.until_given_up():
        async with _received(request, service) as (file, filename):
            query = replace(query, name=query.name or (filename and filename[:_MAX_NAME]))
            answer = await _classified(request, service, file, query)
    if in_lines:
        return Response("".join(f"{line}\n" for line in answer.predictions), media_type=NDJSON)
    members = {
        "model": json.dumps(service.metadata.name),
        "predictions": f"[{', '.join(answer.predictions)}]",
        "overall": answer.overall,
        "warnings": json.dumps(answer.warnings),
    }
    content = ", ".join(f'"{name}": {text}' for name, text in members.items() if text is not None)
    return Response(f"{{{content}}}\n", media_type="application/json")


async def _classified(request: Request, service: Service, file: "_Upload", query: PredictQuery) -> _Answer:
    """What `_classify` returns, when there is a worker for it."""
    with service.uploads.take(client_of(request)):
        try:
            with fail_after(service.limits.wait):
                await service.workers.acquire()
        except TimeoutError:
            problem, again = "too many uploads wait; try again later", service.limits.retry_after
            raise Refusal(problem, code="web-busy", status=503, retry_after=again) from None
        try:
            if await request.is_disconnected():
                raise ClientDisconnect
            return await to_thread.run_sync(_classify, service, file, query, abandon_on_cancel=True)
        finally:
            service.workers.release()


class _Upload(io.BytesIO):
    """A file in memory that ends when its time is up, so that no decoder goes on searching it for sound."""

    ends = float("inf")  # monotonic
    given_up: threading.Event | None = None  # ends it as well

    def read(self, size: int | None = -1, /) -> bytes:
        over = time.monotonic() >= self.ends or (self.given_up is not None and self.given_up.is_set())
        return b"" if over else super().read(size)


class _InMemory(MultiPartParser):
    """A parser of forms that writes no file; how large they get is limited while they come."""

    spool_max_size = 1 << 40


@asynccontextmanager
async def _received(request: Request, service: Service) -> AsyncIterator[tuple[_Upload, str | None]]:
    """The uploaded file and its name, in memory that is counted."""
    taken = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal taken
        async for chunk in body_of(request, service.limits):
            service.memory.take(len(chunk))
            taken += len(chunk)
            yield chunk

    try:
        if request.headers.get("content-type", "").lower().startswith("multipart/"):
            yield await _from_form(request, counted())
        else:
            file = _Upload()
            async for chunk in counted():
                file.write(chunk)
            yield file, None
    finally:
        service.memory.give_back(taken)


async def _from_form(request: Request, chunks: AsyncIterator[bytes]) -> tuple[_Upload, str | None]:
    """The field `file` of multipart/form-data."""
    try:
        parser = _InMemory(request.headers, chunks, max_files=1, max_fields=8)  # type: ignore[arg-type]
        form = await parser.parse()
    except MultiPartException as e:
        raise Refusal(f"not a form: {e.message}", code="web-request", status=400) from e
    try:
        upload = form.get("file")
        if not isinstance(upload, UploadFile):
            raise Refusal("a form without a file in its field `file`", code="web-request", status=400)
        return _Upload(await upload.read()), upload.filename or None
    finally:
        await form.close()


def _classify(service: Service, file: _Upload, query: PredictQuery) -> _Answer:
    """Decodes and classifies an upload. Runs in a thread."""
    warnings: list[str] = []
    overall: Prediction | None = None
    began, limits = time.thread_time(), service.limits
    file.ends, file.given_up = time.monotonic() + limits.search, service.given_up
    name = query.name or "the upload"
    try:
        with capture_warnings(warnings.append), open_sound(cast("BinaryIO", file), name) as sound:
            limited = replace(sound, path=query.name, chunks=_limited(sound, file, service))
            if query.overall:
                overall, predictions = service.recognizer.predict_with_windows(limited)
            else:
                predictions = list(service.recognizer.file_predictions(limited, query.timeline or query.merge))
    except AudioError as error:
        if time.monotonic() < file.ends:
            raise
        raise _too_long(name, f"searched for sound for {limits.search:g} s") from error
    finally:
        service.metrics.inference.labels("upload").inc(time.thread_time() - began)
    service.metrics.audio.labels("upload").inc(max((p.end for p in predictions), default=0.0))
    relabelled = (p.with_threshold(query.threshold) for p in predictions)
    lines = [json_line(p) for p in (merge(relabelled) if query.merge else relabelled)]
    whole = None if overall is None else json_line(overall.with_threshold(query.threshold))
    return _Answer(lines, whole, list(map(printable, warnings)))


def _limited(sound: Sound, file: _Upload, service: Service) -> Iterator[Channels]:
    """The chunks of a sound, while there aren't too many: a compressed file of a megabyte can hold hours of silence."""
    limits = service.limits
    ends = time.monotonic() + limits.classify
    seconds = values = 0.0
    for chunk in sound.chunks:
        if service.given_up.is_set():
            raise service.stopping_refusal()
        seconds += len(chunk) / sound.rate
        values += chunk.size
        if seconds > limits.seconds:
            raise _too_long(sound.name, f"more than {limits.seconds:g} s of sound")
        if values > limits.seconds * limits.samples_per_second:
            raise _too_long(sound.name, f"more than {limits.seconds * limits.samples_per_second:g} samples")
        if time.monotonic() > ends:
            raise _too_long(sound.name, f"classified for {limits.classify:g} s")
        yield chunk
        file.ends = time.monotonic() + limits.search
    if time.monotonic() > file.ends:
        raise _too_long(sound.name, f"searched for sound for {limits.search:g} s")


def _too_long(name: str, problem: str) -> AudioError:
    advice = "send a shorter sound, stream it, or use ser-edge on the file itself"
    return AudioError(f"{name}: {problem}; {advice}", code="audio-too-long")


def check_names(query: QueryParams, known: Sequence[str]) -> None:
    """Raises Refusal where a query has another parameter, or one of these twice."""
    counts = Counter(name for name, _ in query.multi_items())
    for name, count in counts.items():
        if name not in known:
            problem = f"{name[:20]}: not a parameter of this path; it has {', '.join(known)}"
            raise Refusal(problem, code="web-request", status=400)
        if count > 1:
            raise Refusal(f"{name}: {count} times; give it once", code="web-request", status=400)


def parse_switch(name: str, text: str | None) -> bool:
    """1 or 0, also as true and false; no value is 0. Raises Refusal for others."""
    if text is None or text.lower() in ("0", "false"):
        return False
    if text.lower() in ("1", "true"):
        return True
    raise Refusal(f"{name}={text[:20]}: must be 1 or 0", code="web-request", status=400)


def parse_ratio(name: str, text: str | None) -> float | None:
    """A number from 0 to 1, or None without one. Raises Refusal for others."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise Refusal(f"{name}={text[:20]}: must be 0 to 1", code="web-request", status=400)
    return value


def parse_whole(name: str, text: str, least: int, most: int) -> int:
    """A whole number between these. Raises Refusal for others."""
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and least <= int(text) <= most):
        problem = f"{name}={text[:20]}: must be a whole number, {least} to {most}"
        raise Refusal(problem, code="web-request", status=400)
    return int(text)
