"""Who may ask: checks of Host, Origin and token, and the headers that confine a page.

A server on this machine is reached by every page that its user has open. The Host check stops pages whose name was
rebound to this machine's address (DNS rebinding); the Origin check stops those that ask across sites, by WebSocket and
by forms as well. The token is for servers that others can reach.
"""

import hmac
import ipaddress
import re
import socket
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ser_edge.service.web.limits import Refusal, route_path
from ser_edge.service.web.service import Access, Metrics

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")  # of X-Forwarded-Prefix
_PORTS = {"http": 80, "https": 443}
_QUERY_TOKEN = frozenset({"/v1/stream", "/v1/events"})  # browsers can't set a header for these
_CLOSED = ("/v1/", "/metrics")  # paths that need the token; the page's files and the API's description are public
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",  # the page's address may hold the token
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def error_response(error: Refusal) -> JSONResponse:
    """The answer to a request that is refused, by HTTP or in place of a WebSocket."""
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": str(error), "code": error.code}, error.status, headers)


class CheckHost:
    """Middleware: refuses other hosts and origins; sets the headers of every answer, and the prefix of a proxy."""

    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics, root_path: str = ""):
        self._app, self._metrics, self._root_path = app, metrics, root_path
        name = socket.gethostname().lower()
        self._hosts = {"localhost", name, f"{name}.local", *(host.lower() for host in access.hosts)}
        self._origins = {origin.lower() for origin in access.origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or passes the request on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        self._set_prefix(scope, headers.get("x-forwarded-prefix", "").rstrip("/"))

        async def confined(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                answer = MutableHeaders(scope=message)
                answer.update(_HEADERS)
                answer.setdefault("Cache-Control", "no-store")
            await send(message)

        prefix = scope.get("root_path", "")
        try:
            self._check(headers.getlist("host"), headers.getlist("origin"))
        except Refusal as error:
            self._metrics.refused.labels(error.code).inc()
            await error_response(error)(scope, receive, confined)
        else:
            bare = prefix and scope["type"] == "http" and scope["path"] == prefix
            await (_to_folder(prefix, scope["query_string"]) if bare else self._app)(scope, receive, confined)

    def _set_prefix(self, scope: Scope, forwarded: str) -> None:
        """Sets the path below which a proxy serves this: what it has cut off is put back, as ASGI wants it."""
        prefix = forwarded if _PREFIX.fullmatch(forwarded) else self._root_path
        if prefix:
            scope["root_path"] = prefix
            whole = f"{scope['path']}/".startswith(f"{prefix}/")
            scope["path"] = scope["path"] if whole else prefix + scope["path"]

    def _check(self, hosts: Sequence[str], origins: Sequence[str]) -> None:
        host, port = _host_and_port(hosts[0]) if len(hosts) == 1 else ("", None)
        if not (host in self._hosts or _is_address(host)):
            problem = f"{host or 'no Host header'}: not a name of this server; start it with --allow-host if it is"
            raise Refusal(problem, code="web-host", status=421)
        for origin in origins:
            scheme, _, netloc = origin.partition("://")
            place = _host_and_port(netloc)
            default = _PORTS.get(scheme)
            same = place[0] == host and (place[1] or default) == (port or default)
            if not same and origin.lower() not in self._origins:
                problem = "pages of other sites may not ask; start the server with --allow-origin if this one may"
                raise Refusal(problem, code="web-origin", status=403)


class CheckToken:
    """Middleware: where a token is set, refuses who doesn't know it."""

    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics):
        self._app, self._metrics = app, metrics
        self._token = (access.token or "").encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or passes the request on."""
        checked = self._token and scope["type"] in ("http", "websocket")
        if checked and route_path(scope).startswith(_CLOSED) and not self._knows(scope):
            self._metrics.refused.labels("web-token").inc()
            problem = "no token, or another; send the header Authorization: Bearer TOKEN"
            await error_response(Refusal(problem, code="web-token", status=401))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" and route_path(scope) in _QUERY_TOKEN:
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        elif scheme.lower() != "bearer":
            given = ""
        return hmac.compare_digest(given.strip().encode(), self._token)


def _to_folder(prefix: str, query: bytes) -> RedirectResponse:
    """From the prefix itself to the page below it, whose links are relative."""
    return RedirectResponse(f"{prefix}/{'?' * bool(query)}{query.decode('latin-1')}", 308)


def _host_and_port(netloc: str) -> tuple[str, int | None]:
    """Of a Host header, or of an origin; an empty host where it is neither."""
    try:
        parts = urlsplit(f"//{netloc}")
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        return "", None
    return ("", None) if "@" in netloc or parts.path or parts.query or parts.fragment else (host.rstrip("."), port)


def _is_address(host: str) -> bool:
    """Whether it is an IP address, which nobody can rebind."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
