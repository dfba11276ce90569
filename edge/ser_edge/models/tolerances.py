"""How far a probability may differ without an error: one table, by a model file's format and precision.

A sum of floats depends on the order of its terms, so the features of a sound differ in the last bits: 2e-5 dB between
a stream and a whole file, 6e-5 dB between processors. What that does to the probabilities depends on the arithmetic:

- ONNX Runtime computes in float32, since our files widen their small weights. So does LiteRT with weights of float32
  and float16. A difference in the last bits stays one.
- LiteRT quantises to int8 what it multiplies int8 weights with, in steps derived from the largest value ("dynamic
  range"), and so does ONNX Runtime for "int8-dynamic". A last bit can round a value to the next step, and the
  probabilities change by up to a step.
- "int8-full" has integers throughout. The steps of its probabilities alone are 0.004 wide.

Each bound is above the largest measured difference over 160 recordings of RAVDESS and crnn, gru, lstm, rnn (which
differs most) and whisper-gru. `inputs`: features changed by up to 2e-5 dB at random, or in their last bit; files that
take samples (ser-export --waveform) differed by 1.1e-6, and by 2.2e-2 for "int8-dynamic", on 1,440. `kernels`:
AVX-512 against AVX2 and SSE4.2, and with XNNPACK against without; on a Cortex-A72 and A76 the bundled files differed by
2e-4.
"""

from dataclasses import dataclass

# The precision of int8 files of networks with Transformer blocks. ONNX Runtime, too, computes their large products in
# integers, and a step moves their answers further than those of smaller networks.
DYNAMIC = "int8-dynamic"


@dataclass(frozen=True)
class Tolerance:
    """The largest difference of a probability (0 to 1), by its cause."""

    inputs: float  # the same sound on this processor, streamed, as a whole file, or to a file that takes samples
    kernels: float  # the same sound on another processor, or in another version of the runtime
    keras: float  # from the network in Keras that was exported


_FLOAT32 = Tolerance(inputs=1e-5, kernels=1e-4, keras=5e-5)  # measured: 2.3e-6, 9e-7 and 5e-6 for features, 1.5e-5
_FLOAT16 = Tolerance(inputs=1e-5, kernels=1e-4, keras=0.02)  # 2.3e-6, 7e-7 and 5e-6, 1.5e-3
_WIDENED = Tolerance(inputs=1e-5, kernels=1e-4, keras=0.25)  # 2.1e-6, 9e-7 and 5e-6, 2.3e-2
_DYNAMIC = Tolerance(inputs=0.01, kernels=0.02, keras=0.25)  # 6.5e-3, 4.6e-3 and 6.5e-3, 2.4e-2
_TRANSFORMER = Tolerance(inputs=0.04, kernels=0.06, keras=0.25)  # 2.5e-2, 5.8e-3 and 2.5e-2, 0.12
_INTEGER = Tolerance(inputs=0.03, kernels=0.06, keras=0.25)  # 1.6e-2, 3.5e-2 and 1.6e-2, 0.18

TOLERANCES: dict[tuple[str, str], Tolerance] = {
    (".onnx", "float32"): _FLOAT32,
    (".onnx", "float16"): _FLOAT16,
    (".onnx", "int8"): _WIDENED,
    (".onnx", DYNAMIC): _TRANSFORMER,
    (".tflite", "float32"): _FLOAT32,
    (".tflite", "float16"): _FLOAT16,
    (".tflite", "int8"): _DYNAMIC,
    (".tflite", DYNAMIC): _TRANSFORMER,
    (".tflite", "int8-per-tensor"): _DYNAMIC,
    (".tflite", "int8-full"): _INTEGER,
}
BATCH = 1e-5  # between an input alone and in a batch; measured 8e-7 in ONNX Runtime; LiteRT has no batches
FORMATS = 0.05  # between a network's int8 in .onnx and in .tflite, which round weights differently; measured 0.016
VOICE_DETECTOR = 1e-4  # of speech, between silero_vad.tflite and silero_vad.onnx; measured 4e-6 on 14,700 chunks


def tolerance(suffix: str, precision: str) -> Tolerance:
    """The tolerance of a model file; for a precision that ser-export doesn't write, the largest.

    >>> tolerance(".tflite", "int8").inputs
    0.01
    """
    return TOLERANCES.get((suffix, precision), _INTEGER)
