"""A double of PortAudio, a network with known answers, and the command as a function that must leave nothing behind."""

import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper

from ser_edge.cli.app import main
from ser_edge.models import loader
from ser_edge.models.metadata import KEY
from ser_edge.recognition.voice_activity.voice_detector import shared_network
from tests.edge.capture.fake_sounddevice import Card, FakeSoundDevice


@pytest.fixture(scope="session")
def talk(sounds: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of speech at 16 kHz in a file."""
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    soundfile.write(path, np.concatenate([soundfile.read(p)[0] for p in sounds]), 16_000, subtype="PCM_16")
    return path


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder for Unix sockets, whose addresses have 104 bytes on macOS: `tmp_path` may be longer."""
    with tempfile.TemporaryDirectory(prefix="ser-edge-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def sounddevice(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSoundDevice]:
    """A PortAudio without cards; `sounddevice.plug(card(...))` adds them."""
    fake = FakeSoundDevice()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)  # type: ignore[arg-type]
    yield fake
    running = [thread for thread in threading.enumerate() if thread.name == "ser-edge microphone"]
    assert not running, "a microphone wasn't closed"


@pytest.fixture
def broken_sounddevice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Puts a module sounddevice of this source on the path."""

    def put(source: str) -> None:
        folder = tmp_path / "broken"
        folder.mkdir()
        (folder / "sounddevice.py").write_text(source)
        monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
        monkeypatch.syspath_prepend(folder)

    return put


@pytest.fixture
def card() -> type[Card]:
    """What makes a card."""
    return Card


@pytest.fixture(scope="session")
def small_onnx() -> Callable[..., Path]:
    """What writes a small network to a path."""
    return _small_onnx


_SAME = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def _small_onnx(
    path: Path, metadata: str | None, weights: npt.ArrayLike = _SAME, inputs: int = 3, outputs: int = 3
) -> Path:
    """The mean over the frames, a matrix, and softmax: a network whose answers a test can know."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1], keepdims=0),
            helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["answer"]),
        ],
        "small",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, None, inputs])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [None, outputs])],
        [numpy_helper.from_array(np.asarray(weights, np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if metadata is not None:
        helper.set_model_props(model, {KEY: metadata})
    onnx.save(model, path)
    return path


@pytest.fixture
def without_litert(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither LiteRT nor tflite-runtime is installed."""
    for module in ("ai_edge_litert.interpreter", "tflite_runtime", "tflite_runtime.interpreter"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(loader, "_warned", {})
    shared_network.cache_clear()
    yield
    shared_network.cache_clear()


@pytest.fixture
def without_runtimes(without_litert: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime isn't installed either."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


@pytest.fixture
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command finds an empty folder to work in, and one for temporary files, and leaves them so."""
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(temporary))
    yield
    assert list(temporary.iterdir()) == []


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str], list[str]]]:
    """Calls ser-edge; gives its exit code, the paths that it answered for, and the lines on standard error."""

    def call(*arguments: object) -> tuple[int, list[str], list[str]]:
        code = main(["--format", "json", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert out == "" or out.endswith("\n")
        return code, [json.loads(line)["path"] for line in out.splitlines()], err.splitlines()

    return call
