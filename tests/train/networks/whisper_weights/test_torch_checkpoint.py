"""Files of torch.save that are strange, broken or malicious: nothing of them is run."""

import os
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_train.networks.whisper_weights.layout import EncoderError
from ser_train.networks.whisper_weights.loader import load_encoder_weights
from tests import messages
from tests.train.networks.whisper_weights.weight_files import DIMS, Arrays, Storage, Tensor, tensors, write_pt


class Command:
    """What a malicious file has in it."""

    def __init__(self, function: Callable[..., Any], *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("function", [os.system, os.mkdir, eval, Path])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_calls_anything_is_refused_and_nothing_is_called(
    function: Callable[..., Any], protocol: int, openai: Arrays, tmp_path: Path
) -> None:
    called = tmp_path / "called"
    argument = {os.system: f"touch {called}", eval: f"open({str(called)!r}, 'w')"}.get(function, str(called))
    content: dict[str, Any] = tensors({"encoder.conv1.bias": openai["encoder.conv1.bias"]})
    content["extra"] = Command(function, argument)
    write_pt(tmp_path / "tiny.en.pt", content, protocol=protocol)
    with messages.raises(EncoderError, "encoder-unsafe"):
        load_encoder_weights(tmp_path / "tiny.en.pt")
    assert not called.exists()


@pytest.mark.parametrize(
    ("pickled", "code"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "encoder-unsafe"),
        (b"(S'true'\nios\nsystem\n.", "encoder-unsafe"),
        (b"\x80\x02\x82\x01.", "encoder-unsafe"),  # an extension's code
        (b"ccollections\nOrderedDict\n}b.", "encoder-damaged"),
        (b"ccollections\nOrderedDict\n(K\x01tR.", "encoder-damaged"),
        (b"\x80\x02}K\x01K\x02s.", "encoder-damaged"),
        (b"\x80\x02K\x01.", "encoder-damaged"),
        (b"\x80\x02}", "encoder-damaged"),
        (b"\x80\x02}q\x00h\x01.", "encoder-damaged"),
        (b"\x80\x02t.", "encoder-damaged"),
        (b"", "encoder-damaged"),
    ],
)
def test_strange_pickles_are_refused(pickled: bytes, code: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "tiny.en.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    with messages.raises(EncoderError, code):
        load_encoder_weights(tmp_path / "tiny.en.pt")


def test_changed_pickles_are_refused(openai: Arrays, tmp_path: Path) -> None:
    path, rng = tmp_path / "tiny.en.pt", random.Random(0)
    write_pt(path, {"dims": DIMS, "model_state_dict": tensors({"encoder.conv1.bias": openai["encoder.conv1.bias"]})})
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("archive/data.pkl")
    for _ in range(300):
        changed = bytearray(pickled)
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(changed))
            changed[place : place + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", changed)
        with pytest.raises(EncoderError):
            load_encoder_weights(path)


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(Storage(np.zeros(384, "f2"), "x"), (384,), (2,)),
        Tensor(Storage(np.zeros(384, "f2"), "x"), (384,), (1,), 1),
        Tensor(Storage(np.zeros(384, "f2"), "x"), (384,), (1,), -1),
        Tensor(Storage(np.zeros(384, "f2"), "x"), (384,), (-1,), 383),
        Tensor(Storage(np.zeros(384, "f2"), "x"), (384, 384), (0, 1)),  # a small file that becomes large
        Tensor(Storage(np.zeros(384, "f2"), "x"), (384,), ()),
        Tensor(Storage(np.zeros(384, "f2"), "x"), ("384",), (1,)),  # type: ignore[arg-type]
        Tensor(Storage(np.zeros(384, "f2"), "x", count=500), (384,), (1,)),
        Tensor(Storage(np.zeros(384, "f2"), "../../x", count=0), (0,), (1,)),
        {"no": "tensor"},
    ],
)
def test_tensors_beyond_their_storage_are_refused(tensor: Any, tmp_path: Path) -> None:
    write_pt(tmp_path / "tiny.en.pt", {"encoder.conv1.bias": tensor})
    with messages.raises(EncoderError, "encoder-damaged"):
        load_encoder_weights(tmp_path / "tiny.en.pt")


def test_other_numbers_are_refused(tmp_path: Path) -> None:
    tensor = Tensor(Storage(np.zeros(384, "i8"), "x"), (384,), (1,))
    write_pt(tmp_path / "tiny.en.pt", {"encoder.conv1.bias": tensor})
    with messages.raises(EncoderError, "encoder-unsafe"):
        load_encoder_weights(tmp_path / "tiny.en.pt")


def test_a_compressed_checkpoint_is_refused(openai: Arrays, tmp_path: Path) -> None:
    write_pt(tmp_path / "tiny.en.pt", tensors(openai), zipfile.ZIP_DEFLATED)
    with messages.raises(EncoderError, "encoder-damaged"):
        load_encoder_weights(tmp_path / "tiny.en.pt")


def test_the_format_before_the_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiny.en.pt").write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2))
    with messages.raises(EncoderError, "encoder-damaged"):
        load_encoder_weights(tmp_path / "tiny.en.pt")


@pytest.mark.parametrize("kept", [1, 3000, 5_000_000, -1])
def test_a_truncated_checkpoint_is_refused(kept: int, checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:kept])
    with messages.raises(EncoderError, "encoder-damaged"):
        load_encoder_weights(checkpoint)


def test_a_flipped_bit_is_noticed(checkpoint: Path) -> None:
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    with messages.raises(EncoderError, "encoder-damaged"):
        load_encoder_weights(checkpoint)
