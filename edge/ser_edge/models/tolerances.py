"""How far a probability may differ without an error: one table, by a model file's format and precision.

A sum of floats depends on the order of its terms, and so on the processor's registers, the library's version, and the
size of the array. So the same sound has features that differ in the last bits: by 2e-5 dB between a stream and a whole
file, by 6e-5 dB between processors. How much that changes the probabilities depends on the runtime's arithmetic:

- ONNX Runtime computes in float32 at every precision, since our files widen their small weights. So does LiteRT with
  weights of float32 and float16. A difference in the last bits stays one.
- LiteRT quantises to int8 what it multiplies int8 weights with, in steps derived from the largest value ("dynamic
  range"). A value between two steps is rounded by its last bit, and the probabilities change by up to a step. The same
  bits give the same probabilities on the same processor.
- "int8-full" has integers throughout. The steps of its probabilities alone are 0.004 wide.

Each bound is above the largest measured difference over 160 recordings of RAVDESS and crnn, gru, lstm and rnn (which
differs most). `inputs`: features changed by up to 2e-5 dB at random, or in their last bit. `kernels`: AVX-512 against
AVX2 and SSE4.2, and with XNNPACK against without; on a Cortex-A72 and A76 the bundled files differed by 2e-4.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """The largest difference of a probability (0 to 1), by its cause."""

    inputs: float  # the same sound on this processor, streamed or as a whole file
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
BATCH = 1e-5  # between an input alone and in a batch; measured 8e-7 in ONNX Runtime; LiteRT has no batches
FORMATS = 0.05  # between a network's int8 in .onnx and in .tflite, which round weights differently; measured 0.017


def tolerance(suffix: str, precision: str) -> Tolerance:
    """The tolerance of a model file; for a precision that ser-export doesn't write, the largest.

    >>> tolerance(".tflite", "int8").inputs
    0.01
    """
    return TOLERANCES.get((suffix, precision), _INTEGER)
