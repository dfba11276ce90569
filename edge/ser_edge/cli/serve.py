"""Serves predictions by HTTP until a signal stops it; with a microphone, its predictions as well, from one capture."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from ser_edge.cli.listen import ListenOptions, listen_to_microphone, notifier
from ser_edge.cli.predict import write_results
from ser_edge.errors import RuntimeUnavailable
from ser_edge.errors.install_hints import install_extra
from ser_edge.output.progress import Log
from ser_edge.recognition.batch.tasks import default_jobs
from ser_edge.recognition.recognizer import Recognizer

if TYPE_CHECKING:
    from ser_edge.output.writers import Sink


@dataclass(frozen=True)
class ServeOptions:
    """How predictions are served."""

    host: str
    port: int  # 0 takes a free one
    notice: str  # how accurate the model is, in a line
    token: str | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    root_path: str = ""
    max_bytes: int | None = None
    max_seconds: float | None = None
    jobs: int | None = None  # uploads that are classified at the same time; None is one per core
    threads: int = 1  # of an inference
    microphone: ListenOptions | None = None  # None captures nothing
    device: int | str | None = None
    log: Log = field(default_factory=Log)


def serve(recognizer: Recognizer, options: ServeOptions, sinks: "Sequence[Sink]") -> int:
    """Serves until SIGTERM or Ctrl-C, then answers what has begun; returns the exit code.

    Args:
        recognizer: classifies everything.
        options: where, for whom, and how much.
        sinks: get the microphone's predictions, as viewers do.

    Raises:
        MicrophoneError: it can't be opened.
        RuntimeUnavailable: the libraries of `ser-edge[serve]` aren't installed.
        SerEdgeError: the address can't be used.
    """
    try:
        from anyio import CapacityLimiter, to_thread

        from ser_edge.service.http_server import Server, listen
        from ser_edge.service.web.app import application
        from ser_edge.service.web.events import Broadcast
        from ser_edge.service.web.limits import Limits
        from ser_edge.service.web.service import Access, Metrics, Service
    except ImportError as e:
        message = f"--serve needs libraries that can't be loaded ({e}); try: {install_extra('serve')}"
        raise RuntimeUnavailable(message, code="extra-missing") from e

    limits = Limits.of(options.max_bytes, options.max_seconds)
    metrics, jobs = Metrics(), options.jobs or default_jobs(options.threads)
    broadcast = Broadcast(metrics) if options.microphone else None
    service = Service(
        recognizer,
        options.notice,
        CapacityLimiter(jobs),
        CapacityLimiter(jobs),
        limits,
        Access(options.token, options.hosts, options.origins),
        options.root_path,
        metrics,
    )
    capture: _Capture | None = None
    sockets = listen(options.host, options.port)
    systemd = None if options.microphone else notifier()  # a microphone's stream has its own

    def on_start() -> None:
        host, port = sockets[0].getsockname()[:2]
        place = f"http://{f'[{host}]' if ':' in host else host}:{port}{options.root_path}/"
        options.log.notice(f"ser-edge: serving {place} with model {recognizer.metadata.name}; Ctrl-C ends")
        if systemd:
            systemd.ready()
        if broadcast:
            broadcast.open()

    def on_tick() -> None:
        if systemd:
            systemd.tick(lambda: True, lambda: f"{service.uploads.taken} uploads, {service.streams.taken} streams")

    async def on_stop() -> None:
        if systemd:
            systemd.close()
        draining = asyncio.ensure_future(service.drain())
        if broadcast and capture:
            await to_thread.run_sync(capture.stop)
            broadcast.close()
        await draining

    app = application(service, broadcast)
    server = Server(app, limits, on_start, on_tick, on_stop)
    if broadcast and options.microphone:
        listening = replace(options.microphone, on_health=broadcast.health)
        capture = _Capture(recognizer, options.device, listening, [broadcast, *sinks], server.stop)
    with ExitStack() as stack:
        for each in sockets:
            stack.enter_context(each)
        if capture:
            capture.start()
        options.log.notice(options.notice)
        server.run(sockets=sockets)
    return capture.result() if capture else 0


class _Capture:
    """A microphone's stream, classified in a thread of its own.

    Args:
        recognizer: classifies it.
        device: which microphone.
        options: how it is captured.
        sinks: get its predictions.
        on_end: called in the thread at its end.
    """

    _JOIN = 5.0  # seconds

    def __init__(
        self,
        recognizer: Recognizer,
        device: int | str | None,
        options: ListenOptions,
        sinks: "Sequence[Sink]",
        on_end: Callable[[], None],
    ):
        self._stopped, self._begun = threading.Event(), threading.Event()
        listening = replace(options, stopped=self._stopped, on_open=self._begun.set)
        self._predictions = partial(listen_to_microphone, recognizer, device, listening)
        self._sinks, self._on_end = sinks, on_end
        self._failed = 0
        self._error: Exception | None = None
        context = contextvars.copy_context()  # warnings go where the caller's go
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="ser-edge capture", daemon=True)

    def start(self) -> None:
        """Begins, and waits until the microphone is open; raises what prevents that."""
        self._thread.start()
        self._begun.wait()
        if self._error:
            raise self._error

    def stop(self) -> None:
        """Ends it, and waits for its last window."""
        self._stopped.set()
        self._thread.join(self._JOIN)

    def result(self) -> int:
        """The exit code; raises what ended the capture."""
        if self._error:
            raise self._error
        return 1 if self._failed else 0

    def _run(self) -> None:
        try:
            _, self._failed = write_results([self._predictions()], self._sinks)
        except Exception as error:
            self._error = error
        finally:
            self._begun.set()
            self._on_end()
