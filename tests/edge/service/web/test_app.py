"""What is served beside predictions: the model, health, metrics, the description, and the page where there is one."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openapi_spec_validator import validate

import ser_edge
from ser_edge.service.web.app import PAGE
from ser_edge.service.web.service import Access
from tests.edge.service.web.conftest import Client


def test_the_model_is_what_describe_prints(client: Client) -> None:
    answer = client.get("/v1/model").json()
    assert answer == {
        "ser_edge": ser_edge.__version__,
        "model": json.loads(client.service.recognizer.metadata.to_json()),
        "notice": "how accurate it is",
        "microphone": False,
        "limits": {"bytes": 64 << 20, "seconds": 600.0, "streams": 32},
    }


def test_health_ends_when_the_server_is_being_stopped(client: Client, sounds: list[Path]) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    client.service.stopping.set()
    for answer in (client.get("/healthz"), client.post("/v1/predict", content=sounds[0].read_bytes())):
        assert (answer.status_code, answer.json()["code"]) == (503, "web-stopping")
        assert answer.headers["retry-after"] == "2"


def test_metrics_count_answers_by_path_and_status(client: Client, sounds: list[Path]) -> None:
    client.post("/v1/predict", content=sounds[0].read_bytes())
    client.post("/v1/predict", content=b"no sound")
    client.get("/any/path/of/a/client")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    for line in (
        'ser_edge_requests_total{path="/v1/predict",status="200"} 1.0',
        'ser_edge_requests_total{path="/v1/predict",status="415"} 1.0',
        'ser_edge_requests_total{path="other",status="404"} 1.0',
        'ser_edge_refused_total{code="audio-unknown-format"} 1.0',
        "ser_edge_uploads 0.0",
        "ser_edge_streams 0.0",
    ):
        assert line in lines
    assert "any/path" not in answer.text
    assert not [line for line in lines if "_created" in line]


def test_the_description_is_valid_and_complete(client_of: Callable[..., Client], sounds: list[Path]) -> None:
    for access in (Access(), Access(token="a-token-of-some-length")):
        document = client_of(access=access).get("/openapi.json").json()
        validate(document)
        assert ("security" in document) == (access.token is not None)
    routes = {route.path for route in client_of().app.routes}  # type: ignore[attr-defined]
    assert set(document["paths"]) == routes - {"/openapi.json", "/v1/stream"}


def test_answers_are_what_the_description_says(client: Client, sounds: list[Path]) -> None:
    from jsonschema import Draft202012Validator

    document = client.get("/openapi.json").json()
    schemas = document["components"]

    def check(name: str, instance: object) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": schemas}
        Draft202012Validator(schema).validate(instance)

    check("Predictions", client.post("/v1/predict", content=sounds[0].read_bytes()).json())
    check("Predictions", client.post("/v1/predict?timeline=1&threshold=1", content=sounds[0].read_bytes()).json())
    check("Predictions", client.post("/v1/predict?overall=1", content=sounds[0].read_bytes()).json())
    check("Model", client.get("/v1/model").json())
    check("Error", client.post("/v1/predict", content=b"").json())
    check("Error", client.get("/missing").json())


def test_without_a_page_there_is_nothing_at_the_root(client: Client) -> None:
    for path in ("/", "/index.html", "/v1", "/app.js"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "web-not-found")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    folder.mkdir()
    for name in ("index.html", "app.js", "style.css", "icon.svg"):
        (folder / name).write_text(f"the content of {name}")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/predict", {"POST"}),
        ("DELETE", "/v1/predict", {"POST"}),
        ("OPTIONS", "/v1/predict", {"POST"}),
        ("DELETE", "/v1/stream", {"GET", "HEAD"}),
        ("POST", "/v1/model", {"GET", "HEAD"}),
        ("PUT", "/healthz", {"GET", "HEAD"}),
    ],
)
@pytest.mark.parametrize("with_page", [True, False])
def test_another_method_is_an_error_that_says_which_are_allowed(
    method: str, path: str, allowed: set[str], with_page: bool, page: Path, client_of: Callable[..., Client]
) -> None:
    answer = (client_of(page) if with_page else client_of()).request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (405, "web-method")
    assert set(answer.headers["allow"].split(", ")) == allowed


def test_a_stream_without_a_handshake_is_told_to_make_one(client: Client) -> None:
    answer = client.get("/v1/stream")
    assert (answer.status_code, answer.json()["code"]) == (426, "web-request")
    assert answer.headers["upgrade"] == "websocket"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/emotions"])
def test_the_pages_files_have_types_and_tags(
    path: str, kind: str, root_path: str, page: Path, client_of: Callable[..., Client]
) -> None:
    client = client_of(page=page, access=Access(token="a-token-of-some-length"), root_path=root_path)
    answer = client.get(root_path + path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.text.startswith("the content of")
    assert answer.headers["cache-control"] == "no-cache"
    assert "content-security-policy" in answer.headers
    again = client.get(root_path + path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.text) == (304, "")


@pytest.mark.parametrize("path", ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "//etc/passwd", "/a\\b"])
def test_the_page_has_no_files_but_its_own(path: str, page: Path, client_of: Callable[..., Client]) -> None:
    client = client_of(page=page)
    assert client.get(path).status_code == 404
    assert client.post(path, content=b"x").status_code == 404
    assert client.post("/", content=b"x").status_code == 405


def test_the_api_is_the_same_beside_a_page(page: Path, client_of: Callable[..., Client]) -> None:
    client = client_of(page=page)
    assert client.get("/v1/model").status_code == 200
    assert client.get("/v1/missing").json()["code"] == "web-not-found"


def test_the_page_that_comes_with_the_package_is_served(client_of: Callable[..., Client]) -> None:
    if not (PAGE / "index.html").is_file():
        pytest.skip("there is none")
    assert client_of(page=PAGE).get("/").status_code == 200


def test_a_bug_is_a_status_without_details_and_is_counted(
    client: Client, sounds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(client.service, "recognizer", SimpleNamespace(file_predictions=fail, create_stream=fail))
    client._transport.raise_server_exceptions = False  # type: ignore[attr-defined]
    answer = client.post("/v1/predict", content=sounds[0].read_bytes())
    assert (answer.status_code, answer.json()["code"]) == (500, "error")
    assert "secret" not in answer.text
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/v1/stream", "query_string": b"", "headers": [(b"host", b"localhost")]}
    with pytest.raises(RuntimeError):
        asyncio.run(client.app(scope, receive, send))  # type: ignore[arg-type]
    assert json.loads(sent[1]["text"])["code"] == "error"
    assert sent[2]["code"] == 1011
    metrics = client.get("/metrics").text
    assert 'requests_total{path="/v1/predict",status="500"} 1.0' in metrics
    assert 'refused_total{code="error"} 2.0' in metrics
