"""The application: what is served where, and the state that requests share."""

import json
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ser_edge import __version__
from ser_edge.errors import AudioError, SerEdgeError
from ser_edge.service.web.events import Broadcast, events
from ser_edge.service.web.limits import Refusal, route_path
from ser_edge.service.web.openapi import description
from ser_edge.service.web.predict import predict
from ser_edge.service.web.security import CheckHost, CheckToken, error_response
from ser_edge.service.web.service import Metrics, Service
from ser_edge.service.web.stream import stream

PAGE = Path(__file__).parent / "page"
_PATHS = frozenset({"/v1/predict", "/v1/stream", "/v1/events", "/v1/model", "/healthz", "/metrics", "/openapi.json"})
_STATUSES = {  # of AudioErrors, by their code
    "audio-headerless": 415,
    "audio-needs-ffmpeg": 415,
    "audio-too-long": 413,
    "audio-unknown-format": 415,
}
_HTTP_ERRORS = {  # Starlette's own, by their status: code, message
    404: ("web-not-found", "nothing at this path; openapi.json lists those that there are"),
    405: ("web-method", "this path has other methods; the header Allow lists them"),
}
_TYPES = {  # a system's own table may lack them, or have others
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def application(service: Service, broadcast: Broadcast | None = None, page: Path = PAGE) -> Starlette:
    """The ASGI application of a service, with the microphone's events if there is one, and the page if it is there."""
    access, metrics = service.access, service.metrics
    routes: list[BaseRoute] = [
        _Path("/v1/predict", predict, methods=["POST"]),
        WebSocketRoute("/v1/stream", stream),
        _Path("/v1/stream", _no_stream),
        _Path("/v1/events", events),
        _Path("/v1/model", _model),
        _Path("/healthz", _healthz),
        _Path("/metrics", _metrics),
        _Path("/openapi.json", _openapi),
    ]
    if (page / "index.html").is_file():
        routes.append(Mount("/", _Page(directory=page, html=True)))
    middleware = [
        Middleware(_CountRequests, metrics=metrics),
        Middleware(CheckHost, access=access, metrics=metrics, root_path=service.root_path),
        Middleware(CheckToken, access=access, metrics=metrics),
    ]
    if access.origins:  # before the token: a browser asks without it whether it may ask
        headers = ["Authorization", "Content-Type"]
        cors = Middleware(
            CORSMiddleware, allow_origins=access.origins, allow_methods=["GET", "POST"], allow_headers=headers
        )
        middleware.insert(2, cors)
    handlers: dict[Any, Any] = {
        SerEdgeError: _on_error,
        HTTPException: _on_http_error,
        ClientDisconnect: _on_disconnect,
        Exception: _on_bug,
    }
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)
    app.state.service, app.state.broadcast = service, broadcast
    return app


class _Path(Route):
    """A path that answers for every method; else the page, which has every path, would for those it lacks."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As Starlette's, but for the methods."""
        match, child = super().matches(scope)
        return (Match.FULL if match is Match.PARTIAL else match), child


class _CountRequests:
    """Middleware that counts answers by path and status; of a stream that was accepted the status is 101."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or passes the request on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def counting(message: Message) -> None:
            status = 101 if message["type"] == "websocket.accept" else message.get("status")
            if status is not None:
                _count(self._metrics, scope, status)
            await send(message)

        await self._app(scope, receive, counting)


def _count(metrics: Metrics, scope: Scope, status: int) -> None:
    path = route_path(scope)
    metrics.requests.labels(path if path in _PATHS else "other", status).inc()


class _Page(StaticFiles):
    """The page's files, with types that don't depend on the system."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, also those who ask for a stream where none is."""
        if scope["type"] == "websocket":
            missing = Refusal("no stream at this path; it is at v1/stream", code="web-not-found", status=404)
            scope["app"].state.service.metrics.refused.labels(missing.code).inc()
            await error_response(missing)(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD") and self.lookup_path(self.get_path(scope))[1] is None:
            raise HTTPException(404)
        else:
            await super().__call__(scope, receive, send)

    def file_response(self, full_path: Any, *arguments: Any, **named: Any) -> Response:
        response = super().file_response(full_path, *arguments, **named)
        if kind := _TYPES.get(Path(full_path).suffix):
            response.headers["Content-Type"] = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
        response.headers["Cache-Control"] = "no-cache"  # asks whether the ETag is still the same
        return response


async def _no_stream(request: Request) -> Response:
    raise HTTPException(426, "this path is for WebSockets", {"Upgrade": "websocket", "Connection": "Upgrade"})


async def _model(request: Request) -> Response:
    service: Service = request.app.state.service
    limits = service.limits
    return JSONResponse(
        {
            "ser_edge": __version__,
            "model": json.loads(service.metadata.to_json()),
            "notice": service.notice,
            "microphone": request.app.state.broadcast is not None,
            "limits": {"bytes": limits.bytes, "seconds": limits.seconds, "streams": limits.streams},
        }
    )


async def _healthz(request: Request) -> Response:
    service: Service = request.app.state.service
    if service.stopping.is_set():
        raise service.stopping_refusal()
    return JSONResponse({"status": "ok"})


async def _metrics(request: Request) -> Response:
    service: Service = request.app.state.service
    return PlainTextResponse(service.metrics.text(), media_type="text/plain; version=0.0.4")


async def _openapi(request: Request) -> Response:
    service: Service = request.app.state.service
    prefix = request.scope.get("root_path", "")
    token = service.access.token is not None
    return JSONResponse(description(service.metadata.labels, service.limits, token, prefix))


async def _on_error(request: Request, error: SerEdgeError) -> Response:
    service: Service = request.app.state.service
    service.metrics.refused.labels(error.code).inc()
    if not isinstance(error, Refusal):
        status = _STATUSES.get(error.code, 422) if isinstance(error, AudioError) else 500
        error = Refusal(str(error), code=error.code, status=status)
    return error_response(error)


async def _on_http_error(request: Request, error: HTTPException) -> Response:
    service: Service = request.app.state.service
    code, problem = _HTTP_ERRORS.get(error.status_code, ("web-request", error.detail))
    service.metrics.refused.labels(code).inc()
    response = error_response(Refusal(problem, code=code, status=error.status_code))
    response.headers.update(error.headers or {})
    return response


async def _on_bug(request: Request, error: Exception) -> Response:
    """The client gets no detail; the traceback is printed. Starlette answers so outside `_CountRequests`."""
    metrics: Metrics = request.app.state.service.metrics
    _count(metrics, request.scope, 500)
    metrics.refused.labels("error").inc()
    return error_response(Refusal("a fault of the server; its log has more", code="error", status=500))


async def _on_disconnect(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=499)  # nobody reads it; nginx's number, for the metrics
