"""Encoder weights from the files of OpenAI and Hugging Face, whole, truncated and of other networks."""

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ser_train.data.download import Archive
from ser_train.data.utterance import CorpusError
from ser_train.networks.whisper_weights import loader
from ser_train.networks.whisper_weights.layout import EncoderError
from ser_train.networks.whisper_weights.loader import load_encoder_weights
from tests import messages
from tests.train.mirror import CHUNK, Mirror, serving
from tests.train.networks.whisper_weights.weight_files import (
    DIMS,
    Arrays,
    Parameter,
    Storage,
    Tensor,
    tensors,
    write_pt,
    write_safetensors,
)


def assert_loads(path: Path | None, arrays: Arrays, blocks: int = 2) -> None:
    weights = load_encoder_weights(path, blocks)
    assert weights.keys() == {name for name in arrays if not name.startswith(f"layer_{blocks}")}
    for name, array in weights.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)


def test_the_names_are_those_of_the_publishers(openai: Arrays, hugging_face: Arrays) -> None:
    block = {name.removeprefix("encoder.blocks.1.") for name in openai if ".1." in name}
    linear = {"attn.query", "attn.value", "attn.out", "mlp.0", "mlp.2", "attn_ln", "mlp_ln"}
    assert block == {f"{name}.{kind}" for name in linear for kind in ("weight", "bias")} | {"attn.key.weight"}
    assert "model.encoder.layers.1.self_attn.k_proj.weight" in hugging_face
    assert "model.encoder.conv1.bias" in hugging_face
    assert openai["encoder.blocks.0.attn.key.weight"].shape == (384, 384)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_openai(arrays: Arrays, openai: Arrays, dtype: npt.DTypeLike, tmp_path: Path) -> None:
    write_pt(tmp_path / "tiny.en.pt", {"dims": DIMS, "model_state_dict": tensors(openai, dtype)})
    assert_loads(tmp_path / "tiny.en.pt", arrays)


def test_one_block_of_several(arrays: Arrays, checkpoint: Path) -> None:
    only = {name: array for name, array in arrays.items() if not name.startswith("layer_1")}
    assert_loads(checkpoint, only, 1)


def test_a_state_dict_of_a_module(arrays: Arrays, openai: Arrays, tmp_path: Path) -> None:
    state: OrderedDict[str, Any] = OrderedDict(tensors(openai))
    state["encoder.conv1.bias"] = Parameter(state["encoder.conv1.bias"])
    vars(state)["_metadata"] = OrderedDict({"": {"version": 1}})
    write_pt(tmp_path / "tiny.en.pt", state)
    assert_loads(tmp_path / "tiny.en.pt", arrays)


def test_strides_and_offsets(arrays: Arrays, openai: Arrays, tmp_path: Path) -> None:
    state: dict[str, Tensor] = tensors(openai)
    wide = openai["encoder.blocks.0.mlp.0.weight"]  # transposed, behind other numbers
    storage = Storage(np.concatenate([np.ones(5), wide.T.ravel()]).astype(np.float32), "wide")
    state["encoder.blocks.0.mlp.0.weight"] = Tensor(storage, wide.shape, (1, len(wide)), 5)
    stacked = np.concatenate([openai[f"encoder.blocks.0.attn.{name}.weight"] for name in ("query", "key", "value")])
    shared = Storage(stacked.astype(np.float16).ravel(), "shared")
    for place, name in enumerate(("query", "key", "value")):
        state[f"encoder.blocks.0.attn.{name}.weight"] = Tensor(shared, (384, 384), (384, 1), place * 384**2)
    write_pt(tmp_path / "tiny.en.pt", state)
    assert_loads(tmp_path / "tiny.en.pt", arrays)


@pytest.mark.parametrize("dtype", ["F16", "F32"])
def test_hugging_face(arrays: Arrays, hugging_face: Arrays, dtype: str, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", hugging_face, dtype)
    assert_loads(tmp_path / "model.safetensors", arrays)


def test_other_networks_are_refused(openai: Arrays, hugging_face: Arrays, checkpoint: Path, tmp_path: Path) -> None:
    base = openai | {"encoder.conv1.weight": np.zeros((512, 80, 3), np.float32)}
    uneven = openai | {"encoder.blocks.1.attn.query.weight": np.zeros((384, 512), np.float32)}
    write_pt(tmp_path / "base.pt", tensors(base))
    write_pt(tmp_path / "uneven.pt", tensors(uneven))
    write_pt(tmp_path / "other.pt", {"weight": Tensor(Storage(np.zeros(4, "f4"), "0"), (4,), (1,))})
    write_safetensors(tmp_path / "other.safetensors", openai)
    nan = hugging_face | {"model.encoder.conv1.bias": np.full(384, np.nan, np.float32)}
    write_safetensors(tmp_path / "nan.safetensors", nan)
    for name in ("base.pt", "uneven.pt", "other.pt", "other.safetensors"):
        with messages.raises(EncoderError, "encoder-mismatched"):
            load_encoder_weights(tmp_path / name)
    with messages.raises(EncoderError, "encoder-mismatched"):
        load_encoder_weights(checkpoint, 3)
    with messages.raises(EncoderError, "encoder-damaged"):
        load_encoder_weights(tmp_path / "nan.safetensors")


@pytest.mark.parametrize("kept", [9, 500, 5_000_000, -4])
def test_truncated_safetensors_are_refused(kept: int, hugging_face: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    backwards = dict(reversed(hugging_face.items()))  # without the token embedding at the end, which isn't read
    write_safetensors(path, backwards)
    path.write_bytes(path.read_bytes()[: kept if kept > 0 else -backwards["decoder.token_embedding.weight"].nbytes - 4])
    with messages.raises(EncoderError, "encoder-damaged"):
        load_encoder_weights(path)


@pytest.mark.parametrize(
    "header",
    [
        b'{"model.encoder.conv1.bias": {"dtype": "F32", "shape": [384], "data_offsets": [0, 4]}}',
        b'{"model.encoder.conv1.bias": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}',
        b'{"model.encoder.conv1.bias": {"dtype": "F32", "shape": [1], "data_offsets": [0, 99]}}',
        b'{"model.encoder.conv1.bias": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}',
        b'{"model.encoder.conv1.bias": {"dtype": "F32"}}',
        b'{"model.encoder.conv1.bias": 5}',
        b"{" + b"[" * 5000,
        b"{\xff",
    ],
)
def test_strange_safetensors_are_refused(header: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with messages.raises(EncoderError, "encoder-damaged"):
        load_encoder_weights(tmp_path / "model.safetensors")


@pytest.fixture
def mirror(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server of tiny.en.pt, with no more than its two blocks."""
    with serving(checkpoint.read_bytes()) as server:
        digest = hashlib.sha256(server.content).hexdigest()
        monkeypatch.setattr(loader, "TINY_EN", Archive(server.url, digest, algorithm="sha256"))
        monkeypatch.setattr(loader, "BUNDLED_BLOCKS", 1)
        monkeypatch.setenv("SER_EDGE_CACHE", str(tmp_path / "cache"))
        yield server


def test_more_blocks_are_downloaded_once_and_a_cut_download_goes_on(mirror: Mirror, arrays: Arrays) -> None:
    load_encoder_weights(blocks=1)
    assert mirror.asked == []
    mirror.cuts = [2 * CHUNK]
    for _ in range(2):
        assert_loads(None, arrays)
    assert mirror.asked == [None, f"bytes={2 * CHUNK}-"]


def test_a_download_of_something_else_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    mirror.content = mirror.content[:-1]
    with messages.raises(CorpusError, "download-failed"):
        load_encoder_weights()
    assert not list((tmp_path / "cache").iterdir())


def test_the_official_file_is_checked_by_the_digest_in_its_address() -> None:
    assert loader.TINY_EN.url.split("/")[-2] == loader.TINY_EN.digest
