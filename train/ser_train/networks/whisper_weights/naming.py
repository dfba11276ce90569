"""What publishers call the encoder's arrays, and how theirs become ours."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_train.networks.whisper_weights.layout import Arrays, EncoderError, shapes


@dataclass(frozen=True)
class Naming:
    """The names that a publisher gives to a block's layers, in our order."""

    encoder: str  # what all names begin with
    block: str  # what those of blocks go on with, before their number
    attention_norm: str
    attention_inputs: tuple[str, str, str]  # query, key, value; the key has no bias, for the softmax would cancel it
    attention_output: str
    dense_norm: str
    dense: tuple[str, str]

    def of(self, name: str) -> list[str]:
        """Their names for an array of ours: one, or three that are stacked."""
        layer, _, kind = name.rpartition("/")
        kind = {"gamma": "weight", "beta": "bias"}.get(kind, kind)
        if not layer.startswith("layer_"):
            return [f"{self.encoder}{layer}.{kind}"]
        block, _, part = layer.removeprefix("layer_").partition("/")
        theirs = {
            "self_attention/layer_norm": (self.attention_norm,),
            "self_attention/linear_0": self.attention_inputs,
            "self_attention/linear_1": (self.attention_output,),
            "ffn/layer_norm": (self.dense_norm,),
            "ffn/linear_0": self.dense[:1],
            "ffn/linear_1": self.dense[1:],
        }
        return [f"{self.encoder}{self.block}{block}.{layer}.{kind}" for layer in theirs[part]]


OPENAI = Naming(
    "encoder.", "blocks.", "attn_ln", ("attn.query", "attn.key", "attn.value"), "attn.out", "mlp_ln", ("mlp.0", "mlp.2")
)
HUGGING_FACE = Naming(
    "model.encoder.",
    "layers.",
    "self_attn_layer_norm",
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attn.out_proj",
    "final_layer_norm",
    ("fc1", "fc2"),
)


def names(naming: Naming, blocks: int) -> set[str]:
    """Their names for the arrays of so many blocks."""
    return {theirs for ours in shapes(blocks) for theirs in naming.of(ours)}


def renamed(tensors: Arrays, naming: Naming, blocks: int, path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Our arrays of theirs; without those that are missing.

    Raises:
        EncoderError: query, key and value have different shapes.
    """
    arrays = {}
    for ours in shapes(blocks):
        parts = [tensors.get(theirs) for theirs in naming.of(ours)]
        if len(parts) == 3 and ours.endswith("/bias") and parts[1] is None and parts[0] is not None:
            parts[1] = np.zeros_like(parts[0])
        present = [part for part in parts if part is not None]
        if len(present) < len(parts):
            continue
        if len({part.shape for part in present}) > 1:
            message = f"{path}: {ours} is of parts that differ in shape; give a file of tiny.en"
            raise EncoderError(message, code="encoder-mismatched")
        arrays[ours] = np.concatenate(present)
    return arrays
