"""The front-end, `ser_edge.features.frontend.FrontEnd`, as ONNX operators."""

import numpy as np
from onnx import TensorProto

from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import NEPERS, PEAK_PERCENTILE, FrontEnd, hann
from ser_edge.features.mel import dct, mel_filters
from ser_export.to_onnx.waveform.builder import Builder
from ser_export.to_onnx.waveform.fourier import Transform

_BLOCK = 64  # frames that are transformed at a time, so that a long sound needs no more memory than its log-mel


def log_mel(g: Builder, samples: str, config: FeatureConfig) -> str:
    """(samples,) to (frames, n_mels) dB: `FrontEnd.log_mel`."""
    half, hop = config.n_fft // 2, config.hop_length
    fixed = config.samples if config.trim_db is None else None  # else any length
    length = g("Shape", samples) if fixed is None else [fixed]
    frames = g("Add", g("Div", length, [hop]), [1])
    block = _BLOCK if fixed is None else min(_BLOCK, 1 + fixed // hop)
    blocks = g("Div", g("Add", frames, [block - 1]), [block])
    needed = g("Add", g("Mul", blocks, [block * hop]), [config.n_fft - hop])  # samples, with those of the padding
    right = g("Max", g("Sub", needed, g("Add", g("Shape", samples), [half])), [0])
    padded = g("Pad", samples, g("Concat", [half], right, axis=0))
    transform = Transform.of(_window(config), hop)
    columns, rows = transform.columns, transform.rows
    weights = transform.power @ mel_filters(config).T
    in_frame = np.arange(rows) + hop // columns * np.arange(block)[:, None]  # (block, rows)

    def decibels(g: Builder, number: str) -> list[str]:
        start = g("Mul", g("Unsqueeze", number, [0]), [block * hop])
        chunk = g.slice(padded, start, g("Add", start, [(block - 1) * hop + config.n_fft]))
        x = g("Gather", g("Reshape", chunk, [-1, columns]), in_frame)  # (block, rows, columns)
        x = g("MatMul", g("Transpose", x, perm=[2, 0, 1]), transform.first)  # (columns, block, 2 * halves)
        x = g("Reshape", g("Transpose", x, perm=[1, 2, 0]), [-1, 2 * columns])
        x = g("MatMul", x, transform.second)
        x = g("Reshape", g("Mul", x, x), [block, len(weights)])
        x = g("Log", g("Max", g("MatMul", x, weights), np.float32(FrontEnd(config).min_power)))
        return [g("Div", x, NEPERS)]

    (stacked,) = g.loop(blocks, decibels, 1)
    return g.slice(g("Reshape", stacked, [-1, config.n_mels]), [0], frames)


def span(g: Builder, spectrum: str, config: FeatureConfig) -> tuple[str, str]:
    """(start, stop), (1,) each, of the frames that are kept: `FrontEnd.span`."""
    assert config.trim_db is not None
    power = g("ReduceSum", g("Exp", g("Mul", spectrum, NEPERS)), [1], keepdims=0)
    loudness = g("Mul", g("Log", power), np.float32(10 / np.log(10)))
    floor = g("Sub", g("ReduceMax", loudness, keepdims=1), np.float32(config.trim_db))
    loud = g("Cast", g("GreaterOrEqual", loudness, floor), to=TensorProto.INT32)
    first, last = (g("ArgMax", loud, axis=0, select_last_index=last) for last in (0, 1))
    margin = config.trim_margin
    start = g("Max", g("Sub", first, [margin]), [0])
    stop = g("Min", g("Add", last, [margin + 1]), g("Shape", loudness))
    return start, stop


def utterance(g: Builder, spectrum: str, config: FeatureConfig) -> str:
    """(frames, n_mels) of `log_mel` to (frames, coefficients), those that are there: `FrontEnd.utterance`."""
    if config.trim_db is not None:
        start, stop = span(g, spectrum, config)
        if config.frames is not None:
            stop = g("Min", stop, g("Add", start, [config.frames]))
        spectrum = g.slice(spectrum, start, stop)
    if config.top_db is not None:
        peak = g("ReduceMax", spectrum, keepdims=0)
        spectrum = g("Max", spectrum, g("Sub", peak, np.float32(config.top_db)))
    if config.dynamic_range_db is not None:
        below_peak = g("Sub", spectrum, _percentile(g, spectrum))
        spectrum = g("Max", below_peak, np.float32(-config.dynamic_range_db))
    if config.n_mfcc is None:
        return spectrum
    exact = g("MatMul", g("Cast", spectrum, to=TensorProto.DOUBLE), dct(config.n_mfcc, config.n_mels))
    return g("Cast", exact, to=TensorProto.FLOAT)


def _percentile(g: Builder, values: str) -> str:
    """(1,): interpolated between the two values around it, of which all are above that TopK finds."""
    flat = g("Reshape", values, [-1])
    size = g("Shape", flat)
    last = g("Sub", size, [1])
    place = g("Mul", g("Cast", last, to=TensorProto.DOUBLE), np.float64(PEAK_PERCENTILE / 100))
    below = g("Cast", place, to=TensorProto.INT64)  # rounds down
    fraction = g("Cast", g("Sub", place, g("Cast", below, to=TensorProto.DOUBLE)), to=TensorProto.FLOAT)
    count = g("Sub", size, below)
    above, _ = g.several("TopK", 2, flat, count)
    low = g("Gather", above, g("Sub", count, [1]))
    high = g("Gather", above, g("Max", g("Sub", count, [2]), [0]))
    return g("Add", low, g("Mul", g("Sub", high, low), fraction))


def _window(config: FeatureConfig) -> np.ndarray:
    """(n_fft,): the Hann window, in the middle of the transform."""
    width = config.win_length or config.n_fft
    return np.pad(hann(width), (config.n_fft - width) // 2)
