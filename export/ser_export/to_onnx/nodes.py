"""An ONNX graph under construction: its tensors, nodes and weights.

Keras has the batch first and the channels last; ONNX's convolutions need the channels second and its recurrent layers
the time first. So each tensor records the order of its axes, operators that work in any order keep it, and a
`Transpose` is added only before one that needs another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from ser_export.errors import ExportError

Array = npt.NDArray[np.generic]

END = np.iinfo(np.int64).max  # of a slice: to the last

TIME_MAJOR = (1, 0, 2)  # of Keras's (batch, frames, values)
VALUES_FIRST = (0, 2, 1)
CHANNELS_FIRST = (0, 3, 1, 2)  # of Keras's (batch, frames, bands, channels)


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph."""

    name: str
    order: tuple[int, ...]  # for each axis, its index in Keras
    pads: tuple[int, ...] = ()  # zeros that the next convolution adds around it, in the order of ONNX's Conv

    @property
    def keras_order(self) -> tuple[int, ...]:
        """The order of its axes in Keras."""
        return tuple(range(len(self.order)))

    def axis(self, keras_axis: int) -> int:
        """The index of one of Keras's axes; negative ones count from the last."""
        return self.order.index(keras_axis % len(self.order))


@dataclass
class Graph:
    """The nodes and constants so far."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    _transposed: dict[tuple[str, tuple[int, ...]], Tensor] = field(default_factory=dict)

    def add(
        self,
        op: str,
        inputs: Sequence[Tensor | str],
        name: str,
        order: tuple[int, ...] | None = None,
        outputs: Sequence[str] = (),
        **attributes: Any,
    ) -> Tensor:
        """Adds a node.

        Args:
            op: ONNX's name of the operator.
            inputs: tensors, or names of weights.
            name: the node's, and its output's.
            order: the output's axes; by default as the first tensor's.
            outputs: names of all outputs, if there are others than `name`.
            attributes: of the operator.

        Returns:
            The output.
        """
        tensors = [tensor for tensor in inputs if isinstance(tensor, Tensor)]
        if any(tensor.pads for tensor in tensors):
            layer = name.partition("/")[0]
            reason = f"zero padding before {layer} can't be exported, only before a convolution or average pooling"
            raise ExportError(reason, code="export-unsupported-layer")
        names = [tensor.name if isinstance(tensor, Tensor) else tensor for tensor in inputs]
        self.nodes.append(helper.make_node(op, names, list(outputs) or [name], name=name, **attributes))
        return Tensor(name, tensors[0].order if order is None else order)

    def weight(self, name: str, value: npt.ArrayLike) -> str:
        """Stores a constant."""
        self.weights[name] = np.asarray(value, order="C")
        return name

    def transposed(self, tensor: Tensor, order: tuple[int, ...] | None = None) -> Tensor:
        """The same tensor with its axes in another order, by default Keras's."""
        order = tensor.keras_order if order is None else order
        if tensor.order == order:
            return tensor
        key = (tensor.name, order)
        if key not in self._transposed:
            perm = [tensor.order.index(axis) for axis in order]
            name = f"{tensor.name}/{''.join(map(str, order))}"
            self._transposed[key] = self.add("Transpose", [tensor], name, order, perm=perm)
        return self._transposed[key]
