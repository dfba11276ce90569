"""Files with made-up encoder weights, as OpenAI and Hugging Face publish theirs; written without torch."""

import json
import pickle
import re
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from ser_train.networks.whisper_weights.layout import shapes

Arrays = dict[str, npt.NDArray[np.float32]]

OPENAI = {
    r"^conv": r"encoder.conv",
    r"^layer_(\d)/": r"encoder.blocks.\1.",
    r"self_attention/layer_norm/": "attn_ln.",
    r"self_attention/linear_0/": "attn.query|key|value.",
    r"self_attention/linear_1/": "attn.out.",
    r"ffn/layer_norm/": "mlp_ln.",
    r"ffn/linear_0/": "mlp.0.",
    r"ffn/linear_1/": "mlp.2.",
    r"[/.]gamma$": ".weight",
    r"[/.]beta$": ".bias",
    r"/": ".",
}
DIMS = {"n_mels": 80, "n_vocab": 51864, "n_audio_ctx": 1500, "n_audio_state": 384, "n_audio_head": 6, "n_text_ctx": 448}
HUGGING_FACE = OPENAI | {
    r"^conv": r"model.encoder.conv",
    r"^layer_(\d)/": r"model.encoder.layers.\1.",
    r"self_attention/layer_norm/": "self_attn_layer_norm.",
    r"self_attention/linear_0/": "self_attn.q_proj|k_proj|v_proj.",
    r"self_attention/linear_1/": "self_attn.out_proj.",
    r"ffn/layer_norm/": "final_layer_norm.",
    r"ffn/linear_0/": "fc1.",
    r"ffn/linear_1/": "fc2.",
}


def made_up(blocks: int) -> Arrays:
    """Weights that float16 can represent; the key has no bias."""
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.standard_normal(shape, np.float32).astype(np.float16).astype(np.float32)
        for name, shape in shapes(blocks).items()
    }
    for block in range(blocks):
        _, key, _ = np.split(arrays[f"layer_{block}/self_attention/linear_0/bias"], 3)  # views
        key[:] = 0
    return arrays


def published(arrays: Arrays, patterns: Mapping[str, str]) -> Arrays:
    """The arrays under a publisher's names; query, key and value apart, and the key without a bias."""
    found = {"decoder.token_embedding.weight": np.zeros((7, 3), np.float32)}
    for name, array in arrays.items():
        for pattern, replacement in patterns.items():
            name = re.sub(pattern, replacement, name)
        before, *others = name.split("|")
        if not others:
            found[name] = array
            continue
        before, _, query = before.rpartition(".")
        value, _, kind = others.pop().partition(".")
        for part, rows in zip((query, *others, value), np.split(array, 3), strict=True):
            if rows.any():
                found[f"{before}.{part}.{kind}"] = rows
    return found


def write_safetensors(path: Path, arrays: Arrays, dtype: str = "F32") -> None:
    """As the format's page describes it."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    content = bytearray()
    for name, array in arrays.items():
        numbers = array.astype({"F32": "<f4", "F16": "<f2", "F64": "<f8"}[dtype]).tobytes()
        offsets = [len(content), len(content) + len(numbers)]
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": offsets}
        content += numbers
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)


class Storage:
    """Numbers in a row, as torch stores them."""

    def __init__(self, numbers: npt.NDArray[Any], key: str, count: int | None = None):
        self.numbers, self.key = numbers, key
        self.count = len(numbers) if count is None else count  # what the pickle says


class Tensor:
    """A view of a storage, which is pickled as torch's are."""

    def __init__(self, storage: Storage, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0):
        self.view = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.view


class Parameter:
    """A tensor that is trained."""

    def __init__(self, tensor: Tensor):
        self.arguments = (tensor, True, OrderedDict())

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.modules["torch._utils"]._rebuild_parameter, self.arguments


def tensors(arrays: Arrays, dtype: npt.DTypeLike = np.float16) -> dict[str, Tensor]:
    """A state dict: each array in a storage of its own."""
    found = {}
    for key, (name, array) in enumerate(arrays.items()):
        strides = tuple(step // array.itemsize for step in np.ascontiguousarray(array).strides)
        found[name] = Tensor(Storage(array.astype(dtype).ravel(), str(key)), array.shape, strides)
    return found


def write_pt(path: Path, content: Any, compression: int = zipfile.ZIP_STORED, protocol: int = 2) -> None:
    """As torch.save(content, path)."""
    storages: dict[str, Storage] = {}
    with _torch() as torch, zipfile.ZipFile(path, "w", compression) as archive:

        class Pickler(pickle.Pickler):
            def persistent_id(self, found: Any) -> Any:
                if not isinstance(found, Storage):
                    return None
                storages[found.key] = found
                kind = {"f2": torch.HalfStorage, "f4": torch.FloatStorage, "i8": torch.LongStorage}
                return ("storage", kind[found.numbers.dtype.str[1:]], found.key, "cpu", found.count)

        with archive.open("archive/data.pkl", "w") as file:
            Pickler(file, protocol).dump(content)
        archive.writestr("archive/byteorder", "little")
        for storage in storages.values():
            archive.writestr(f"archive/data/{storage.key}", storage.numbers.tobytes())
        archive.writestr("archive/version", "3\n")


@contextmanager
def _torch() -> Iterator[Any]:
    """Modules with the names that a pickle of torch's has."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    for name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
        vars(utils)[name] = type(name, (), {"__module__": "torch._utils"})
    for name in ("FloatStorage", "HalfStorage", "LongStorage"):
        vars(torch)[name] = type(name, (), {"__module__": "torch"})
    vars(torch)["_utils"] = utils
    with patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        yield torch
