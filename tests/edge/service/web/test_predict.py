"""Uploads: the answers are the command's, whatever the form, and nothing of a request names a file."""

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser_edge.cli.app import main
from tests.edge.service.web.conftest import Client

NDJSON = {"Accept": "application/x-ndjson"}


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["--format", "json", "--model", "small", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("timeline", [False, True])
@pytest.mark.parametrize("form", [False, True])
def test_an_upload_gets_what_the_command_prints(
    timeline: bool, form: bool, client: Client, sounds: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in sounds:
        options = {"timeline": "1" if timeline else "0", "name": str(path)}
        body = {"files": {"file": path.read_bytes()}} if form else {"content": path.read_bytes()}
        answer = client.post("/v1/predict", params=options, **body)
        expected = printed(capsys, *["--timeline"] * timeline, str(path))
        assert answer.status_code == 200
        assert answer.json() == {"model": "crnn", "predictions": list(map(json.loads, expected)), "warnings": []}
        lines = client.post("/v1/predict", params=options, headers=NDJSON, **body)
        assert lines.headers["content-type"] == "application/x-ndjson"
        assert lines.text.splitlines() == expected


def test_windows_are_merged_as_by_the_command(
    client: Client, sounds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "talk.wav"
    soundfile.write(path, np.concatenate([soundfile.read(each)[0] for each in sounds]), 16_000)
    for query, options in (("merge=1", []), ("timeline=1&merge=1&threshold=0.9", ["--threshold", "0.9"])):
        answer = client.post(f"/v1/predict?{query}", content=path.read_bytes(), headers=NDJSON)
        found = [json.loads(line) | {"path": str(path)} for line in answer.text.splitlines()]
        assert found == list(map(json.loads, printed(capsys, "--merge", *options, str(path))))


@pytest.mark.parametrize("windows", [{}, {"merge": 1}, {"timeline": 1, "merge": 0}])
@pytest.mark.parametrize("threshold", [{}, {"threshold": 0.95}])
def test_one_upload_gets_the_windows_and_the_whole(
    windows: dict[str, int], threshold: dict[str, float], client: Client, talk: Path
) -> None:
    def answer(**query: float) -> dict[str, Any]:
        answered: dict[str, Any] = client.post(
            "/v1/predict", params=query | threshold, content=talk.read_bytes()
        ).json()
        return answered

    both = answer(overall=1, **windows)
    assert list(both) == ["model", "predictions", "overall", "warnings"]
    assert both.pop("overall") == answer()["predictions"][0]
    assert both == answer(**(windows or {"timeline": 1}))


def test_an_answer_of_lines_has_no_place_for_the_whole(client: Client, sounds: list[Path]) -> None:
    answer = client.post("/v1/predict?overall=1", content=sounds[0].read_bytes(), headers=NDJSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "web-request")


@pytest.mark.parametrize("threshold", [0, 0.5, 0.95, 1])
def test_a_threshold_is_that_of_the_command(
    threshold: float, client: Client, sounds: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in sounds:
        options = {"threshold": threshold, "name": str(path)}
        answer = client.post("/v1/predict", params=options, content=path.read_bytes(), headers=NDJSON)
        assert answer.text.splitlines() == printed(capsys, "--threshold", str(threshold), str(path))


def test_the_name_is_the_query_then_the_forms_then_none(client: Client, sounds: list[Path]) -> None:
    content = sounds[0].read_bytes()
    form = {"file": ("kitchen.wav", content)}
    for path, answer in {
        "a b.wav": client.post("/v1/predict?name=a+b.wav", files=form),
        "kitchen.wav": client.post("/v1/predict", files=form),
        None: client.post("/v1/predict", content=content),
    }.items():
        assert answer.json()["predictions"][0]["path"] == path


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3", "aiff", "m4a", "webm"])
def test_any_sound_that_the_command_reads_is_read(
    kind: str, client: Client, sounds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples, rate = soundfile.read(sounds[1])
    path = tmp_path / f"sound.{kind}"
    if kind in ("m4a", "webm"):
        av = pytest.importorskip("av")
        with av.open(path, "w") as container:
            stream = container.add_stream("aac" if kind == "m4a" else "libopus", rate=48_000)
            frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate = rate
            for packet in stream.encode(frame):
                container.mux(packet)
            for packet in stream.encode(None):
                container.mux(packet)
    else:
        soundfile.write(path, samples, rate)
    answer = client.post("/v1/predict", params={"name": str(path)}, content=path.read_bytes(), headers=NDJSON)
    assert answer.text.splitlines() == printed(capsys, str(path))


def test_warnings_come_with_the_answer(client: Client, sounds: list[Path]) -> None:
    content = sounds[0].read_bytes()
    answer = client.post("/v1/predict", params={"name": "a\x1b.wav"}, content=content[: len(content) // 2])
    (warning,) = answer.json()["warnings"]
    assert warning.startswith("a\\x1b.wav: truncated")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "audio-placeholder"),
        (b"Dear diary,\n" * 1000, 415, "audio-unknown-format"),
        (b"<html><body>404</body></html>", 422, "audio-placeholder"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", 422, "audio-damaged"),
        (b"ffconcat version 1.0\nfile tests/sounds/plain.wav\n", 415, "audio-unknown-format"),
    ],
)
def test_what_is_no_sound_is_an_error(content: bytes, status: int, code: str, client: Client) -> None:
    answer = client.post("/v1/predict", content=content)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["error"].startswith("the upload: ")


@pytest.mark.parametrize(
    "query", ["timeline=yes", "threshold=2", "threshold=nan", "threshold=high", "timeline=" + "x" * 99]
)
def test_a_query_that_makes_no_sense_is_refused_before_the_body(query: str, client: Client) -> None:
    answer = client.post(f"/v1/predict?{query}", content=b"no sound")
    assert (answer.status_code, answer.json()["code"]) == (400, "web-request")
    assert len(answer.json()["error"]) < 100


@pytest.mark.parametrize(
    ("query", "name"),
    [("tresh=0.9", "tresh"), ("model=small", "model"), ("token=x", "token"), ("merge=1&merge=0", "merge")],
)
def test_a_parameter_that_is_unknown_or_repeated_is_named(query: str, name: str, client: Client) -> None:
    answer = client.post(f"/v1/predict?{query}", content=b"no sound")
    assert (answer.status_code, answer.json()["code"]) == (400, "web-request")
    assert answer.json()["error"].startswith(f"{name}: ")


@pytest.mark.parametrize(
    "body",
    [
        {"files": {"sound": b"x"}},
        {"data": {"file": "text"}, "files": {"other": b"x"}},
        {"files": [("file", b"x"), ("file", b"y")]},
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        {"content": b"--a\r\nx", "headers": {"Content-Type": "multipart/form-data; boundary=a"}},
    ],
)
def test_a_form_without_one_file_is_refused(body: dict[str, object], client: Client) -> None:
    answer = client.post("/v1/predict", **body)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (400, "web-request")


PROGRAM = """
import json, sys
from pathlib import Path
from starlette.testclient import TestClient
from ser_edge import Recognizer
from tests.edge.service.web.conftest import Client, make_service

client = Client(make_service(Recognizer("small")))
content = Path(sys.argv[1]).read_bytes()
client.post("/v1/predict", content=content)  # imports what it needs
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
for name in sys.argv[2:]:
    for body in ({"content": content, "params": {"name": name}}, {"files": {"file": (name, content)}}):
        for timeline in "01":
            answer = client.post(f"/v1/predict?timeline={timeline}", **body)
            assert answer.status_code == 200, answer.text
    assert client.post("/v1/predict", params={"name": name}, content=b"no sound").status_code == 415
print(json.dumps(opened))
"""


def test_no_path_of_a_request_is_opened(sounds: list[Path], tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(sounds[1].read_bytes())
    names = [str(tmp_path / "secret.wav"), "/etc/passwd", "../../../etc/passwd", "file:///etc/passwd", "/dev/stdin"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    command = [sys.executable, "-c", PROGRAM, str(sounds[0]), *names]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, env=environment, cwd=tmp_path)
    opened = json.loads(done.stdout)
    assert not [path for path in opened if "passwd" in path or "secret" in path or "stdin" in path], opened


@pytest.mark.parametrize("form", [False, True])
def test_nothing_of_an_upload_is_written(
    form: bool, client: Client, sounds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even while it is classified: a folder that can't be written to is enough."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    samples, rate = soundfile.read(sounds[0])
    sound = io.BytesIO()
    soundfile.write(sound, np.tile(samples, 60), rate, format="WAV")  # 4 MB
    content = sound.getvalue()
    answer = client.post("/v1/predict", **({"files": {"file": content}} if form else {"content": content}))
    assert answer.status_code == 200


def test_fields_beside_the_file_are_no_options(client: Client, sounds: list[Path]) -> None:
    form = {"file": sounds[0].read_bytes()}
    answer = client.post("/v1/predict", files=form, data={"timeline": "1", "name": "x"})
    assert [p["path"] for p in answer.json()["predictions"]] == ["upload"]
