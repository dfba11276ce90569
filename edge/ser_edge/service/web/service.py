"""What the requests to one server share: the recognizer, the limits and what is taken of them, and counters."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from anyio import CancelScope, CapacityLimiter
from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest

from ser_edge.models.metadata import ModelMetadata
from ser_edge.recognition.recognizer import Recognizer
from ser_edge.service.web.limits import Limits, Memory, Places, Refusal


@dataclass(frozen=True)
class Access:
    """Who may ask."""

    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()  # names of this server, beside its addresses, localhost and the machine's own name
    origins: tuple[str, ...] = ()  # of pages that may ask across sites, like https://example.org


class Metrics:
    """The counters of one server. Names of codes and paths come from fixed lists: a client can't add any."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a time beside each counter
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("ser_edge_requests", "Answers.", ["path", "status"], registry=registry)
        self.refused = Counter("ser_edge_refused", "Errors, by their code.", ["code"], registry=registry)
        self.audio = Counter("ser_edge_audio_seconds", "Sound that was classified.", ["kind"], registry=registry)
        self.inference = Counter("ser_edge_inference_seconds", "CPU time that took.", ["kind"], registry=registry)
        self.lost_events = Counter("ser_edge_lost_events", "Events that slow viewers missed.", registry=registry)

    def gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Adds a value that is looked up when it is asked for."""
        Gauge(f"ser_edge_{name}", meaning, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """All of them, in Prometheus's text format."""
        return generate_latest(self._registry)


@dataclass
class Service:
    """What the requests to one server share."""

    recognizer: Recognizer
    notice: str  # how accurate the model is, in a line
    workers: CapacityLimiter  # of uploads
    stream_workers: CapacityLimiter  # others, so that a stream doesn't wait behind uploads
    limits: Limits = field(default_factory=Limits)
    access: Access = field(default_factory=Access)
    root_path: str = ""
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        limits, later = self.limits, self.limits.retry_after
        self.metadata: ModelMetadata = self.recognizer.metadata
        self.stopping = asyncio.Event()
        self.given_up = threading.Event()  # what still runs in threads is for nobody
        self._scopes: set[CancelScope] = set()
        self.memory = Memory(limits.memory, later)
        self.uploads = Places("uploads", limits.queue, limits.client_queue, later)
        self.streams = Places("streams", limits.streams, limits.client_streams, later)
        self.viewers = Places("viewers", limits.viewers, limits.client_viewers, later)
        self.metrics.gauge("uploads", "Uploads that are classified or wait.", lambda: self.uploads.taken)
        self.metrics.gauge("uploads_running", "Those that are classified.", lambda: self.workers.borrowed_tokens)
        self.metrics.gauge("streams", "Open streams.", lambda: self.streams.taken)
        self.metrics.gauge("viewers", "Viewers of the microphone.", lambda: self.viewers.taken)

    def stopping_refusal(self) -> Refusal:
        """For requests that come when the server is being stopped."""
        again = self.limits.retry_after
        return Refusal("the server is being stopped", code="web-stopping", status=503, retry_after=again)

    @contextmanager
    def until_given_up(self) -> Iterator[None]:
        """Ends what is awaited in the block with a Refusal when a server that is stopped can't wait any longer."""
        with CancelScope() as scope:
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)
        if scope.cancelled_caught:
            raise self.stopping_refusal()

    async def drain(self) -> None:
        """Refuses new requests, ends streams with their last windows, waits for what runs, and gives up the rest."""
        self.stopping.set()
        ends = time.monotonic() + self.limits.drain - self.limits.last
        while (self._scopes or self.viewers.taken) and time.monotonic() < ends:
            await asyncio.sleep(0.02)
        self.given_up.set()
        for scope in self._scopes:
            scope.cancel()
        while self._scopes and time.monotonic() < ends + self.limits.last / 2:
            await asyncio.sleep(0.02)
