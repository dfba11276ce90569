"""Who may ask: Host, Origin, token; and what confines the page. Without one of these rules its test fails."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import WebSocketDenialResponse

from ser_edge.service.web.service import Access
from tests.edge.service.web.conftest import PLACE, Client

TOKEN = "a-token-of-some-length"
PATHS = ("/v1/model", "/healthz", "/metrics", "/openapi.json", "/", "/v1/events")


def refused(client: Client, headers: dict[str, str], path: str = "/v1/model") -> str | None:
    """The code by which a request is refused, by HTTP and by WebSocket alike; None where it isn't."""
    answer = client.get(path, headers=headers)
    code = answer.json().get("code") if answer.status_code >= 400 else None
    if code is None:
        with client.websocket_connect(client.stream, headers=headers) as socket:
            socket.send_text("end")
            assert socket.receive()["code"] == 1000
        return None
    with pytest.raises(WebSocketDenialResponse) as denial:
        client.websocket_connect(client.stream, headers=headers).__enter__()
    assert (denial.value.status_code, denial.value.json()) == (answer.status_code, answer.json())
    return str(code)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8765", "127.0.0.1", "localhost:8765", "LOCALHOST", "localhost.:8765", "[::1]:8765", "192.168.1.7:8765"],
)
def test_addresses_and_localhost_are_this_server(host: str, client: Client) -> None:
    assert refused(client, {"Host": host}) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "localhost.evil.example", "x@localhost", "", "a b"]
)
def test_a_name_that_was_rebound_to_this_address_is_refused(host: str, client: Client) -> None:
    assert refused(client, {"Host": host}) == "web-host"


def test_a_name_is_this_server_where_it_is_allowed(client_of: Callable[..., Client]) -> None:
    client = client_of(access=Access(hosts=("emotions.example",)))
    assert refused(client, {"Host": "Emotions.example"}) is None
    assert refused(client, {"Host": "www.emotions.example"}) == "web-host"


@pytest.mark.parametrize("path", PATHS)
def test_every_path_checks_the_host(path: str, client: Client) -> None:
    assert client.get(path, headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8765", "https://127.0.0.1:8765"])
def test_the_servers_own_page_may_ask(origin: str, client: Client) -> None:
    assert refused(client, {"Host": "127.0.0.1:8765", "Origin": origin}) is None


def test_a_default_port_may_be_left_out(client_of: Callable[..., Client]) -> None:
    client = client_of(access=Access(hosts=("a.example",)))
    assert refused(client, {"Host": "a.example", "Origin": "https://a.example"}) is None
    assert refused(client, {"Host": "a.example:443", "Origin": "https://a.example"}) is None
    assert refused(client, {"Host": "a.example", "Origin": "https://a.example:8443"}) == "web-origin"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost:8765",
        "http://127.0.0.1:9000",
        "http://127.0.0.1",
        "x",
        "http://[",
    ],
)
def test_another_origin_is_refused(origin: str, client: Client) -> None:
    """A page of another site, and one of another program on this machine."""
    assert refused(client, {"Host": "127.0.0.1:8765", "Origin": origin}) == "web-origin"
    answer = client.post("/v1/predict", content=b"x", headers={"Origin": origin})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_no_site_may_read_answers_unless_it_is_named(client_of: Callable[..., Client]) -> None:
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    site = {"Origin": "https://a.example"}
    assert client_of().options("/v1/predict", headers={**site, **preflight}).status_code == 403
    client = client_of(access=Access(token=TOKEN, origins=("https://a.example",)))
    answer = client.options("/v1/predict", headers={**site, **preflight})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, site["Origin"])
    answer = client.get("/v1/model", headers={**site, "Authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, site["Origin"])
    assert "access-control-allow-credentials" not in answer.headers
    assert client.get("/v1/model", headers=site).status_code == 401
    assert client.options("/v1/predict", headers={"Origin": "https://b.example", **preflight}).status_code == 403


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer {TOKEN}", True),
        (f"Basic {TOKEN}", False),
        (f"Bearer {TOKEN}x", False),
        (f"Bearer {TOKEN[:-1]}", False),
        ("Bearer", False),
        ("Bearer ä".encode().decode("latin-1"), False),
        ("", False),
    ],
)
def test_whoever_does_not_know_the_token_is_refused(header: str, known: bool, client_of: Callable[..., Client]) -> None:
    client = client_of(access=Access(token=TOKEN))
    assert refused(client, {"Authorization": header.encode("latin-1")} if header else {}) == (  # type: ignore[dict-item]
        None if known else "web-token"
    )


def test_the_token_is_for_all_but_health_description_and_page(client_of: Callable[..., Client]) -> None:
    client = client_of(access=Access(token=TOKEN), microphone=True)
    statuses = {path: client.get(path).status_code for path in PATHS}
    assert statuses == {
        "/v1/model": 401,
        "/healthz": 200,
        "/metrics": 401,
        "/openapi.json": 200,
        "/": 404,
        "/v1/events": 401,
    }
    answer = client.post("/v1/predict", content=b"x")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_query_has_the_token_only_where_browsers_need_it(client_of: Callable[..., Client]) -> None:
    client = client_of(access=Access(token=TOKEN))
    with client.websocket_connect(f"{client.stream}?token={TOKEN}") as socket:
        socket.send_text("end")
    with pytest.raises(WebSocketDenialResponse):
        client.websocket_connect(f"{client.stream}?token=another").__enter__()
    assert client.get(f"/v1/events?token={TOKEN}").json()["code"] == "web-not-found"  # no microphone
    for path in ("/v1/model", "/metrics"):
        assert client.get(f"{path}?token={TOKEN}").status_code == 401
    assert client.post(f"/v1/predict?token={TOKEN}", content=b"x").status_code == 401


@pytest.mark.parametrize(
    "path", ["/v1/model/", "/v1//model", "/V1/model", "//v1/model", "/x/../v1/model", "/%76%31/model"]
)
def test_no_spelling_of_a_path_avoids_the_token(path: str, client_of: Callable[..., Client]) -> None:
    client = client_of(access=Access(token=TOKEN))
    assert client.get(path, follow_redirects=False).status_code in (401, 404)


def test_the_token_is_not_in_what_is_printed_of_it() -> None:
    assert TOKEN not in repr(Access(token=TOKEN))


@pytest.mark.parametrize("path", [*PATHS, "/missing"])
def test_every_answer_confines_a_page(path: str, client: Client) -> None:
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*"} & set(" ".join(policy.values()).split())
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


@pytest.mark.parametrize(
    "settings",
    [
        ({"root_path": "/emotions"}, {}),
        ({}, {"X-Forwarded-Prefix": "/emotions"}),
        ({}, {"X-Forwarded-Prefix": "/emotions/"}),
    ],
)
@pytest.mark.parametrize("path", ["/v1/model", "/emotions/v1/model"])
def test_below_a_prefix_everything_is_as_without(
    settings: tuple[dict[str, Any], dict[str, str]], path: str, client_of: Callable[..., Client]
) -> None:
    """Whether the proxy cuts it off or not."""
    service, headers = settings
    client = client_of(access=Access(token=TOKEN), **service)
    assert client.get(path, headers=headers).status_code == 401
    known = {**headers, "Authorization": f"Bearer {TOKEN}"}
    assert client.get(path, headers=known).status_code == 200
    (server,) = client.get(path.replace("v1/model", "openapi.json"), headers=headers).json()["servers"]
    assert server == {"url": "/emotions"}
    metrics = client.get(path.replace("v1/model", "metrics"), headers=known).text
    assert 'ser_edge_requests_total{path="/v1/model",status="200"} 1.0' in metrics


def test_the_prefix_itself_leads_to_the_page(client_of: Callable[..., Client]) -> None:
    client = client_of(root_path="/emotions")
    for query in ("", "?token=a%26b&x=1"):
        answer = client.get(f"/emotions{query}", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (308, f"/emotions/{query}")
    assert client.get("/emotionsx", follow_redirects=False).status_code == 404


@pytest.mark.parametrize("prefix", ["//evil.example", "https://evil.example", "/a/../b?", "/a\tb", "emotions"])
def test_a_prefix_is_a_path_or_nothing(prefix: str, client: Client) -> None:
    answer = client.get("/openapi.json", headers={"X-Forwarded-Prefix": prefix})
    assert answer.json()["servers"] == [{"url": "/"}]


def test_counters_know_what_was_refused(client_of: Callable[..., Client]) -> None:
    client = client_of(access=Access(token=TOKEN))
    client.get("/v1/model", headers={"Host": "evil.example"})
    client.get("/v1/model", headers={"Origin": "https://evil.example"})
    client.get("/v1/model")
    client.get("/none")
    text = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert 'ser_edge_refused_total{code="web-host"} 1.0' in text
    assert 'ser_edge_refused_total{code="web-token"} 1.0' in text
    assert 'ser_edge_refused_total{code="web-not-found"} 1.0' in text
    for status in (401, 403, 421):
        assert f'ser_edge_requests_total{{path="/v1/model",status="{status}"}} 1.0' in text
    assert TOKEN not in text


def test_the_place_of_these_tests_is_the_default_one() -> None:
    from ser_edge.cli.arguments.types import ADDRESS

    assert f"http://{ADDRESS[0]}:{ADDRESS[1]}" == PLACE
