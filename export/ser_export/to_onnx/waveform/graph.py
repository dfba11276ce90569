"""Makes a graph that takes samples of one that takes features: the front-end and the network in one file.

It is for programs without ser-edge, in any language that has ONNX Runtime. It answers as `Model.predict_proba` does
for a mono sound at the model's rate from which `ser_edge.audio.downmix` has removed the DC offset: all windows of the
speech are averaged. Only operators of ONNX itself are used.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

from ser_edge.models.metadata import KEY, ModelMetadata
from ser_edge.models.runtimes.base import SAMPLES
from ser_export.to_onnx.waveform.builder import Builder
from ser_export.to_onnx.waveform.front_end import log_mel, span, utterance
from ser_export.to_onnx.waveform.samples import without_dc

_MOST_FRAMES = 1 << 40  # of a window: all


def with_waveform(model: onnx.ModelProto, metadata: ModelMetadata) -> onnx.ModelProto:
    """A network and its front-end.

    Args:
        model: takes (batch, frames, coefficients), with a free length.
        metadata: its own.

    Returns:
        A graph with the input `samples`, (samples,) float32 at `metadata.features.sample_rate`, of any length; and the
        outputs `probabilities`, (labels,), and `embedding`, (units,), where the network has it.
    """
    config, network = metadata.features, _Network(model, metadata)
    g = Builder()
    g.nodes += network.constant_nodes
    samples: str = SAMPLES
    if config.trim_db is None and config.samples is not None:
        samples = g.slice(samples, [0], [config.samples])
    spectrum = log_mel(g, without_dc(g, samples, config.sample_rate), config)
    if config.trim_db is None:
        answers = [g("Squeeze", output, [0]) for output in network.answer(g, utterance(g, spectrum, config))]
    else:
        answers = _windows(g, spectrum, network)
    for name, answer in zip(network.outputs, answers, strict=True):
        g.nodes.append(helper.make_node("Identity", [answer], [name]))
    graph = helper.make_graph(
        g.nodes,
        f"{metadata.name}.wave",
        [helper.make_tensor_value_info(SAMPLES, TensorProto.FLOAT, ["samples"])],
        [
            helper.make_tensor_value_info(
                output.name, TensorProto.FLOAT, [output.type.tensor_type.shape.dim[1].dim_value]
            )
            for output in model.graph.output
        ],
        [*model.graph.initializer, *g.constants.values()],
        value_info=g.value_infos,
        doc_string=f"{config.sample_rate} Hz mono samples, -1 to 1, to probabilities of {', '.join(metadata.labels)}",
    )
    made = helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version, producer_name="ser-export"
    )
    helper.set_model_props(made, {entry.key: entry.value for entry in model.metadata_props} | {f"{KEY}_input": SAMPLES})
    onnx.checker.check_model(made, full_check=True)
    return made


class _Network:
    """The nodes of a network, without those that only compute its weights, which need to run once."""

    def __init__(self, model: onnx.ModelProto, metadata: ModelMetadata):
        self.outputs = [output.name for output in model.graph.output]
        self.metadata = metadata
        self._input = model.graph.input[0].name
        constant = {weight.name for weight in model.graph.initializer}
        self.constant_nodes: list[onnx.NodeProto] = []
        self._nodes: list[onnx.NodeProto] = []
        for node in model.graph.node:
            if all(name in constant for name in node.input if name):
                constant.update(node.output)
                self.constant_nodes.append(node)
            else:
                self._nodes.append(node)
        self._shapes = list(model.graph.value_info)
        self._renamed = {name: f"network/{name}" for name in (self._input, *self.outputs)}

    def answer(self, g: Builder, features: str) -> list[str]:
        """(frames, coefficients) to (1, labels) calibrated, and (1, units); once in a graph."""
        metadata = self.metadata
        if metadata.normalization is not None:
            mean, std = (np.array(x, np.float32) for x in (metadata.normalization.mean, metadata.normalization.std))
            features = g("Div", g("Sub", features, mean), std)
        g.nodes.append(helper.make_node("Unsqueeze", [features, g.constant([0])], [self._renamed[self._input]]))
        for node in self._nodes:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.input[:] = [self._renamed.get(name, name) for name in node.input]
            copy.output[:] = [self._renamed.get(name, name) for name in node.output]
            g.nodes.append(copy)
        g.value_infos += self._shapes
        probabilities, *more = (self._renamed[name] for name in self.outputs)
        return [_calibrated(g, probabilities, metadata.temperature), *more]


def _windows(g: Builder, spectrum: str, network: _Network) -> list[str]:
    """The mean of the answers to windows that overlap by half: `FrontEnd.windows`, then `Model.predict_proba`."""
    config = network.metadata.features
    length = _MOST_FRAMES if config.frames is None else config.frames
    hop = length // 2
    start, stop = span(g, spectrum, config)
    last = g("Max", g("Sub", g("Sub", stop, start), [length]), [0])
    count = g("Add", g("Div", g("Add", last, [hop - 1]), [hop]), [1])

    def window(g: Builder, number: str) -> list[str]:
        begin = g("Add", start, g("Min", g("Mul", g("Unsqueeze", number, [0]), [hop]), last))
        end = g("Min", g("Add", begin, [length]), stop)
        features = utterance(g, g.slice(spectrum, begin, end), config)
        return [g("Squeeze", output, [0]) for output in network.answer(g, features)]

    answers = g.loop(count, window, len(network.outputs))
    return [g("ReduceMean", answer, axes=[0], keepdims=0) for answer in answers]


def _calibrated(g: Builder, probabilities: str, temperature: float) -> str:
    """`apply_temperature`."""
    if temperature == 1.0:
        return probabilities
    logits = g("Log", g("Max", probabilities, np.finfo(np.float32).tiny))
    return g("Softmax", g("Div", logits, np.float32(temperature)), axis=-1)
