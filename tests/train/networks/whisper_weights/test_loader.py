"""The encoder weights of Whisper tiny.en: the repository's own, and files that hold them or should."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ser_train.networks.whisper_weights import bundle
from ser_train.networks.whisper_weights.layout import EncoderError, shapes
from ser_train.networks.whisper_weights.loader import BUNDLED, load_encoder_weights
from tests import messages
from tests.train.networks.whisper_weights.weight_files import Arrays, made_up

PUBLISHED = Path(__file__).parents[5] / "shared" / "whisper" / "tiny_en_encoder_f16.npz"


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return made_up(4)


def test_three_blocks_are_here() -> None:
    weights = load_encoder_weights()
    assert {name: array.shape for name, array in weights.items()} == shapes(3)
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}
    assert BUNDLED.stat().st_size < 11.7e6
    notice = BUNDLED.with_suffix(".LICENSE").read_text("utf-8")
    assert "MIT License\n\nCopyright (c) 2022 OpenAI\n" in notice


@pytest.mark.skipif(not PUBLISHED.exists(), reason="needs the whole encoder")
def test_what_is_here_is_what_was_published(tmp_path: Path) -> None:
    assert bundle.main([str(PUBLISHED), str(tmp_path / "again.npz")]) == 0
    again = load_encoder_weights(tmp_path / "again.npz")
    for name, array in load_encoder_weights().items():
        np.testing.assert_array_equal(again[name], array)
    assert len(load_encoder_weights(PUBLISHED, 4)) == len(shapes(4))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_npz(arrays: Arrays, dtype: npt.DTypeLike, tmp_path: Path) -> None:
    path = tmp_path / "encoder.npz"
    np.savez(path, **{name: array.astype(dtype) for name, array in arrays.items()}, num_heads=6)
    for blocks in (1, 4):
        loaded = load_encoder_weights(path, blocks)
        assert list(loaded) == list(shapes(blocks))
        for name, array in loaded.items():
            np.testing.assert_array_equal(array, arrays[name])


def without(name: str) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.__delitem__(name)


def with_shape(name: str, *shape: int) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.__setitem__(name, np.zeros(shape, np.float32))


def with_nan(arrays: Arrays) -> None:
    arrays["conv2/bias"] = arrays["conv2/bias"] * np.nan


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (without("conv1/bias"), "encoder-mismatched"),
        (without("layer_1/ffn/linear_0/weight"), "encoder-mismatched"),
        (with_shape("conv1/weight", 512, 80, 3), "encoder-mismatched"),  # Whisper base
        (with_shape("layer_0/self_attention/linear_0/weight", 384, 1152), "encoder-mismatched"),
        (with_nan, "encoder-damaged"),
    ],
)
def test_other_arrays_are_refused(arrays: Arrays, change: Callable[[Arrays], None], code: str, tmp_path: Path) -> None:
    changed = dict(arrays)
    change(changed)
    np.savez(tmp_path / "encoder.npz", **changed)
    with messages.raises(EncoderError, code):
        load_encoder_weights(tmp_path / "encoder.npz")


def test_more_blocks_than_a_file_has_are_refused() -> None:
    with messages.raises(EncoderError, "encoder-mismatched"):
        load_encoder_weights(BUNDLED, 4)
    for blocks in (0, 5):
        with pytest.raises(ValueError, match="1 to 4"):
            load_encoder_weights(blocks=blocks)


@pytest.mark.parametrize("kept", [0, 1, 100, 5_000_000, -1])
def test_a_truncated_npz_is_refused(kept: int, tmp_path: Path) -> None:
    (tmp_path / "encoder.npz").write_bytes(BUNDLED.read_bytes()[:kept])
    with messages.raises(EncoderError, "encoder-damaged"):
        load_encoder_weights(tmp_path / "encoder.npz")


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "encoder.npz", **{"conv1/weight": np.array([{}], object)})
    with messages.raises(EncoderError, "encoder-damaged"):
        load_encoder_weights(tmp_path / "encoder.npz")


def test_no_file_a_folder_and_a_web_page_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page").write_text("<html>404</html>")
    for name, code in (("missing.npz", "encoder-not-found"), (".", "encoder-not-found"), ("page", "encoder-damaged")):
        with messages.raises(EncoderError, code):
            load_encoder_weights(tmp_path / name)
    assert bundle.main([str(tmp_path / "page"), str(tmp_path / "again.npz")]) == 1
    assert "a web page" in capsys.readouterr().err
    assert not (tmp_path / "again.npz").exists()
