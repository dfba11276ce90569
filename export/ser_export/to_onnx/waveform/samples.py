"""Samples without a DC offset, as `ser_edge.audio.downmix` gives those of a mono sound."""

import numpy as np
from onnx import TensorProto

from ser_edge.audio.downmix import BLOCK_SECONDS, MEMORY
from ser_edge.audio.sound import MAX_AMPLITUDE
from ser_export.to_onnx.waveform.builder import Builder

_TAPS = 256  # blocks after which a mean is forgotten: 0.9 ** 256 is 2e-12


def without_dc(g: Builder, samples: str, sample_rate: int) -> str:
    """(samples,) to (samples,): without the mean that is followed; what isn't finite becomes silence.

    All is relative to the first block's mean, so that a constant gives exactly silence.
    """
    length = max(1, round(BLOCK_SECONDS * sample_rate))
    count = g("Shape", samples)
    finite = g("LessOrEqual", g("Abs", samples), np.float32(MAX_AMPLITUDE))  # NaN is not
    x = g("Where", finite, samples, np.float32(0))
    blocks = g("Max", g("Div", g("Add", count, [length - 1]), [length]), [1])
    missing = g("Sub", g("Mul", blocks, [length]), count)
    x = g("Reshape", g("Pad", x, g("Concat", [0], missing, axis=0)), [-1, length])
    place = g("Range", 0, g("Squeeze", blocks), 1)
    is_last = g("Equal", place, g("Sub", blocks, [1]))
    lengths = g("Cast", g("Where", is_last, g("Sub", [length], missing), [length]), to=TensorProto.DOUBLE)
    sums = g("ReduceSum", g("Cast", x, to=TensorProto.DOUBLE), [1], keepdims=0)
    means = g("Div", sums, g("Max", lengths, np.float64(1)))  # (blocks,)
    origin = g.slice(means, [0], [1])
    means = g("Cast", g("Sub", means, origin), to=TensorProto.FLOAT)
    after = _followed(g, means, place)  # at the end of each block
    before = g("Concat", np.zeros(1, np.float32), g.slice(after, [0], [-1]), axis=0)
    share = g("Cast", g("Div", lengths, np.float64(length)), to=TensorProto.FLOAT)  # less than 1 for the last alone
    memory = g("Min", g("Add", g("Cast", place, to=TensorProto.FLOAT), share), np.float32(MEMORY))
    step = g("Mul", g("Sub", means, before), g("Div", share, memory))
    step = g("Where", is_last, step, g("Sub", after, before))
    ramp = np.linspace(0, 1, length, endpoint=False, dtype=np.float32)
    line = g("Add", g("Unsqueeze", before, [1]), g("Mul", g("Unsqueeze", step, [1]), ramp))
    x = g("Sub", g("Sub", x, g("Cast", origin, to=TensorProto.FLOAT)), line)
    return g.slice(g("Reshape", x, [-1]), [0], count)


def _followed(g: Builder, means: str, place: str) -> str:
    """(blocks,) to (blocks,): the mean of the blocks so far; from the tenth on each new one counts a tenth.

    The latter is a convolution, before which the first ten count as one block.
    """
    sums = g("CumSum", means, 0)
    average = g("Div", sums, g("Cast", g("Add", place, 1), to=TensorProto.FLOAT))
    weights = (1 / MEMORY * (1 - 1 / MEMORY) ** np.arange(_TAPS)).astype(np.float32)
    x = g("Where", g("Greater", place, MEMORY - 1), means, np.float32(0))
    x = g("Where", g("Equal", place, MEMORY - 1), sums, x)
    x = g("Conv", g("Unsqueeze", x, [0, 1]), weights[None, None, ::-1], pads=[_TAPS - 1, 0])
    return g("Where", g("Less", place, MEMORY), average, g("Squeeze", x, [0, 1]))
