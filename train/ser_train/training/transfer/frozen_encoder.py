"""A network on a frozen encoder: the encoder as it is, and the classifiers that are trained on its output."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ser_edge.features.frontend import FrontEnd
from ser_edge.models.metadata import Normalization
from ser_train.data.feature_cache import front_end_of
from ser_train.networks.config import EncoderConfig
from ser_train.networks.whisper import FRAMES_A_STEP, set_weights
from ser_train.networks.whisper_gru import assemble, encoder, trained_part
from ser_train.networks.whisper_weights.loader import load_encoder_weights
from ser_train.networks.zoo import Network
from ser_train.runs.provenance import ENCODER


@dataclass(frozen=True)
class FrozenEncoder:
    """The frozen part of a network, and what its input is made by."""

    blocks: Sequence[int]
    front_end: FrontEnd
    normalization: Normalization
    file: Path | None = None  # with its weights; None takes those that come with ser-train

    frames_a_step = FRAMES_A_STEP

    @classmethod
    def of(cls, network: Network, recipe: EncoderConfig, file: str) -> "FrozenEncoder":
        """The one of a network; `file` is "" for its usual weights."""
        assert network.normalization is not None
        return cls(recipe.blocks, front_end_of(network.features), network.normalization, Path(file) if file else None)

    @cached_property
    def weights(self) -> dict[str, npt.NDArray[np.float32]]:
        """As `whisper_weights` names them; raises what `load_encoder_weights` does."""
        return load_encoder_weights(self.file, max(self.blocks))

    @cached_property
    def digest(self) -> str:
        """Digest of the weights, and of the blocks whose outputs are used."""
        content = hashlib.blake2b(str(tuple(self.blocks)).encode(), digest_size=16)
        for name in sorted(self.weights):
            content.update(np.ascontiguousarray(self.weights[name]).tobytes())
        return content.hexdigest()

    def __call__(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(n, frames, bands) to (n, steps, values)."""
        outputs: npt.NDArray[np.float32] = self._function(inputs).numpy()
        return outputs

    @cached_property
    def _function(self) -> tf.types.experimental.GenericFunction:
        model = encoder((None, self.front_end.config.coefficients), self.blocks)
        set_weights(model, self.weights)
        signature = [tf.TensorSpec(model.input_shape)]
        return tf.function(lambda inputs: model(inputs, training=False), input_signature=signature)


@dataclass(frozen=True)
class Classifiers:
    """What is trained of a network on a frozen encoder; a `plans.TrainedPart`."""

    network: Network
    recipe: EncoderConfig
    labels: int
    encoder: FrozenEncoder
    output: Normalization  # of the encoder's output

    @property
    def provenance(self) -> dict[str, str]:
        """See `TrainedPart`."""
        return {ENCODER: "Whisper tiny.en (OpenAI), MIT"}

    def build(self) -> keras.Model:
        """See `TrainedPart`."""
        return trained_part(len(self.output.mean), self.labels, **self.recipe.sizes)

    def whole(self, trained: keras.Model, shape: tuple[int, int]) -> keras.Model:
        """See `TrainedPart`."""
        network = self.network.build(shape, self.labels, **self.recipe.sizes)
        assemble(network, self.encoder.weights, self.output, trained)
        return network
