"""An ONNX graph in the making: its tensors, nodes and weights.

Keras and ONNX want axes in different orders: Keras has the batch first and the channels last, ONNX's convolutions want
the channels second and its recurrent layers the time first. So each tensor knows the order of its axes, operators that
don't care about order leave it alone, and a `Transpose` is written only for one that does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from ser_export.verification.verify import ExportError

__all__ = ["CHANNELS_FIRST", "TIME_MAJOR", "Array", "Graph", "Tensor"]

Array = npt.NDArray[np.generic]

TIME_MAJOR = (1, 0, 2)  # of Keras's (batch, frames, values)
CHANNELS_FIRST = (0, 3, 1, 2)  # of Keras's (batch, frames, bands, channels)


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph."""

    name: str
    order: tuple[int, ...]  # which of the axes that it has in Keras each of its axes is
    pads: tuple[int, ...] = ()  # zeros that are yet to be put around it, as ONNX's Conv has them

    @property
    def in_keras(self) -> tuple[int, ...]:
        """The order that Keras has."""
        return tuple(range(len(self.order)))

    def axis(self, of_keras: int) -> int:
        """The place of one of Keras's axes; negative ones count from its last."""
        return self.order.index(of_keras % len(self.order))


@dataclass
class Graph:
    """What was written so far."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    _arranged: dict[tuple[str, tuple[int, ...]], Tensor] = field(default_factory=dict)

    def add(
        self,
        op: str,
        inputs: Sequence[Tensor | str],
        name: str,
        order: tuple[int, ...] | None = None,
        outputs: Sequence[str] = (),
        **attributes: object,
    ) -> Tensor:
        """Writes a node.

        Args:
            op: ONNX's name of the operator.
            inputs: tensors, or names of weights.
            name: the node's, and its output's.
            order: the output's; that of the first tensor where it isn't given.
            outputs: names of all outputs where `name` isn't the only one.
            attributes: of the operator.

        Returns:
            The output.
        """
        tensors = [tensor for tensor in inputs if isinstance(tensor, Tensor)]
        if any(tensor.pads for tensor in tensors):
            raise ExportError(f"{name}: zeros around a tensor can be exported in front of a convolution only")
        names = [tensor.name if isinstance(tensor, Tensor) else tensor for tensor in inputs]
        self.nodes.append(helper.make_node(op, names, list(outputs) or [name], name=name, **attributes))
        return Tensor(name, tensors[0].order if order is None else order)

    def weight(self, name: str, value: npt.ArrayLike) -> str:
        """Stores a constant."""
        self.weights[name] = np.ascontiguousarray(value) if np.ndim(value) else np.asarray(value)
        return name

    def arranged(self, tensor: Tensor, order: tuple[int, ...] | None = None) -> Tensor:
        """The same tensor with its axes in another order; in Keras's where none is given."""
        wanted = tensor.in_keras if order is None else order
        if tensor.order == wanted:
            return tensor
        key = (tensor.name, wanted)
        if key not in self._arranged:
            perm = [tensor.order.index(axis) for axis in wanted]
            name = f"{tensor.name}/{''.join(map(str, wanted))}"
            self._arranged[key] = self.add("Transpose", [tensor], name, wanted, perm=perm)
        return self._arranged[key]
