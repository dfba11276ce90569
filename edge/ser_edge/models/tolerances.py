"""How far a probability may move although nothing is wrong: one table, by a model file's format and precision.

A sum of floats depends on the order of its terms, and that on the processor's registers, the library's version, and
how much is computed at once. So the same sound has features that differ in the last bits: by 2e-5 dB between a stream
and a whole file, by 6e-5 dB between processors. How much of it reaches an answer depends on the runtime's arithmetic:

- ONNX Runtime computes in float32 at every precision, since our files widen their small weights again. So does LiteRT
  with weights of float32 and float16. A difference in the last bits stays one.
- LiteRT rounds to int8 what it multiplies int8 weights with, in steps that it takes from the largest value there, as it
  comes ("dynamic range"). Where a value lies between two steps its last bit decides, and the answer moves by as much as
  a step does. The same bits get the same answer on the same processor, and anything else one near it.
- "int8-full" has integers throughout. The steps of its answers alone are 0.004 wide.

Each bound stands behind what was measured: the largest of 160 recordings of RAVDESS and of each of crnn, gru, lstm and
rnn (which moves most). `inputs`: features moved by up to 2e-5 dB at random, or by their last bit. `kernels`: AVX-512
against AVX2 and SSE4.2, and with XNNPACK against without; on a Cortex-A72 and A76 the bundled files moved by 2e-4.
"""

from dataclasses import dataclass

__all__ = ["BATCH", "FORMATS", "TOLERANCES", "Tolerance", "tolerance"]


@dataclass(frozen=True)
class Tolerance:
    """The largest difference of a probability (0 to 1) for three reasons."""

    inputs: float  # the same features, computed otherwise on this processor: streamed, or of the whole file
    kernels: float  # the same sound on another processor, or in another version of the runtime
    keras: float  # from the network in Keras that was exported


_FLOAT32 = Tolerance(inputs=1e-5, kernels=1e-4, keras=1e-5)  # measured: 2.3e-6, 9e-7 and 5e-6 for features, 2.4e-6
_FLOAT16 = Tolerance(inputs=1e-5, kernels=1e-4, keras=0.02)  # 2.3e-6, 7e-7 and 5e-6, 1.5e-3
_WIDENED = Tolerance(inputs=1e-5, kernels=1e-4, keras=0.25)  # 2.1e-6, 9e-7 and 5e-6, 2.3e-2
_DYNAMIC = Tolerance(inputs=0.01, kernels=0.02, keras=0.25)  # 6.5e-3, 4.6e-3 and 6.5e-3, 2.4e-2
_INTEGER = Tolerance(inputs=0.03, kernels=0.06, keras=0.25)  # 1.6e-2, 3.5e-2 and 1.6e-2, 0.18

TOLERANCES: dict[tuple[str, str], Tolerance] = {
    (".onnx", "float32"): _FLOAT32,
    (".onnx", "float16"): _FLOAT16,
    (".onnx", "int8"): _WIDENED,
    (".tflite", "float32"): _FLOAT32,
    (".tflite", "float16"): _FLOAT16,
    (".tflite", "int8"): _DYNAMIC,
    (".tflite", "int8-per-tensor"): _DYNAMIC,
    (".tflite", "int8-full"): _INTEGER,
}
BATCH = 1e-5  # between an input alone and among others; measured 8e-7 in ONNX Runtime, none in LiteRT: it has no batch
FORMATS = 0.05  # between a network's int8 in .onnx and in .tflite, where weights are rounded otherwise too; 0.017


def tolerance(suffix: str, precision: str) -> Tolerance:
    """What a model file may move by; of a precision that ser-export doesn't write, the most of all.

    >>> tolerance(".tflite", "int8").inputs
    0.01
    """
    return TOLERANCES.get((suffix, precision), _INTEGER)
