"""A frozen encoder's output for utterances and their augmentations, computed once and cached.

The encoder takes most of the computation and doesn't learn. So each utterance is augmented a fixed number of times, on
its log-mel, and what the encoder makes of these copies is kept; an epoch draws from them.

The cache is keyed by all that the output depends on. It has a file for each copy of each group of speakers that are
always in the same part of a split: another fold, another corpus, or more copies recompute nothing. Babble is mixed from
the voices of a group, so that no training utterance has a test speaker's voice in it.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ser_edge.features.frontend import Features, FrontEnd
from ser_edge.models.metadata import Normalization
from ser_train.data.download import cache_folder
from ser_train.data.feature_cache import front_end_code, load_ragged, save_ragged
from ser_train.data.splits import speaker_groups
from ser_train.data.utterance import Utterance
from ser_train.networks import layers, whisper, whisper_gru
from ser_train.networks.config import EncoderConfig
from ser_train.training import augmentation
from ser_train.training.augmentation import Augmenter, Source, masked

_BATCH = 32
# Settings of a recipe that change an augmentation.
_SHAPED_BY = ("speed", "stretch", "warp", "warped", "crop", "frames")
_DISTURBED_BY = ("noise", "noise_db", "reverberation", "channel")

Encoded = npt.NDArray[np.float16]  # (steps, values)


class Encoder(Protocol):
    """The frozen part of a network, and what its input is made by."""

    @property
    def front_end(self) -> FrontEnd:
        """Of its input."""

    @property
    def normalization(self) -> Normalization:
        """Of its input."""

    @property
    def frames_a_step(self) -> int:
        """How many frames become one step, the last of which may have fewer."""

    @property
    def digest(self) -> str:
        """Of all else that its output depends on."""

    def __call__(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(n, frames, bands), zeros for missing frames, to (n, steps, values)."""


@dataclass(frozen=True)
class EncodedUtterances:
    """Draws inputs for an epoch. It has the methods of `Augmenter`, whose work was done before."""

    utterances: Sequence[Utterance]
    versions: Sequence[Sequence[Encoded]]  # the utterances as they are, then each augmentation of them
    recipe: EncoderConfig

    def of(self, utterances: Sequence[Utterance]) -> "EncodedUtterances":
        """Only these, in this order."""
        place = {u.digest: place for place, u in enumerate(self.utterances)}
        places = [place[u.digest] for u in utterances]
        return replace(self, utterances=utterances, versions=[[rows[i] for i in places] for rows in self.versions])

    def statistics(self) -> Normalization:
        """Mean and standard deviation of each value, of the utterances as they are."""
        steps = np.concatenate(self.versions[0]).astype(np.float32)
        mean, std = steps.mean(axis=0), np.maximum(steps.std(axis=0), 1e-3)
        return Normalization(tuple(mean.tolist()), tuple(std.tolist()))

    def __call__(self, index: int, random: np.random.Generator) -> Features:
        """(steps, values), not normalised: a span of an utterance, or of one of its augmentations."""
        augmented = random.random() < self.recipe.augmented
        steps = self.versions[int(random.integers(1, len(self.versions))) if augmented else 0][index]
        length = max(1, round(len(steps) * random.uniform(self.recipe.shortest, 1)))
        first = int(random.integers(len(steps) - length + 1))
        return steps[first : first + length].astype(np.float32)

    def masked(self, features: Features, random: np.random.Generator) -> Features:
        """Two spans of steps set to the mean, (steps, values) normalised in and out."""
        return masked(masked(features, self.recipe, random), self.recipe, random)


def encode_utterances(
    utterances: Sequence[Utterance], spectra: Mapping[str, Features], encoder: Encoder, recipe: EncoderConfig
) -> EncodedUtterances:
    """The encoder's output for each utterance and augmentation, computed or from the cache.

    Args:
        utterances: each recording once.
        spectra: `FrontEnd.log_mel` of each, by its digest.
        encoder: what computes it.
        recipe: how many augmentations, and which.
    """
    versions: list[dict[str, Encoded]] = [{} for _ in range(recipe.copies + 1)]
    groups = defaultdict(list)
    for utterance, name in zip(utterances, speaker_groups(utterances), strict=True):
        groups[name].append(utterance)
    for name, group in groups.items():
        members = sorted(group, key=lambda u: u.digest)
        for version, rows in enumerate(versions):
            path = cache_folder() / "encoded" / f"{_key(members, encoder, recipe, version)}.npy"
            items = load_ragged(path)
            if items is None:
                inputs = _inputs(members, spectra, encoder, recipe, version)
                items = _encoded(inputs, encoder, f"{name} {version}/{recipe.copies}")
                save_ragged(path, items)
            rows |= {u.digest: item for u, item in zip(members, items, strict=True)}
    return EncodedUtterances(utterances, [[rows[u.digest] for u in utterances] for rows in versions], recipe)


def _inputs(
    utterances: Sequence[Utterance],
    spectra: Mapping[str, Features],
    encoder: Encoder,
    recipe: EncoderConfig,
    version: int,
) -> list[Features]:
    """(frames, bands) normalised, for each utterance: as it is for version 0, else an augmentation."""
    if version == 0:
        features = [encoder.front_end.utterance(spectra[u.digest]) for u in utterances]
        return [encoder.normalization.apply(item[np.isfinite(item[:, 0])]) for item in features]
    augmenter = Augmenter(recipe, encoder.front_end, [Source(spectra[u.digest], u.speaker) for u in utterances])
    randoms = [np.random.default_rng([version, int(u.digest[:16], 16)]) for u in utterances]
    return [encoder.normalization.apply(augmenter(place, random)) for place, random in enumerate(randoms)]


def _encoded(inputs: Sequence[Features], encoder: Encoder, title: str) -> list[Encoded]:
    """The encoder's output for each input, in batches of similar length."""
    outputs: dict[int, Encoded] = {}
    order = sorted(range(len(inputs)), key=lambda place: len(inputs[place]))
    with tqdm(desc=f"encoding {title}", total=len(inputs), unit=" files", disable=None) as bar:
        for first in range(0, len(order), _BATCH):
            places = order[first : first + _BATCH]
            batch = np.zeros((len(places), len(inputs[places[-1]]), inputs[0].shape[1]), np.float32)
            for row, place in zip(batch, places, strict=True):
                row[: len(inputs[place])] = inputs[place]
            for place, steps in zip(places, encoder(batch), strict=True):
                outputs[place] = steps[: -(-len(inputs[place]) // encoder.frames_a_step)].astype(np.float16)
            bar.update(len(places))
    return [outputs[place] for place in range(len(inputs))]


def _key(recordings: Sequence[Utterance], encoder: Encoder, recipe: EncoderConfig, version: int) -> str:
    modules = (augmentation, layers, whisper, whisper_gru)
    files = (*front_end_code(), *(Path(str(module.__file__)) for module in modules), Path(__file__))
    code = [path.read_text("utf-8") for path in files]
    settings: list[object] = [version]
    if version:  # babble is of other speakers
        settings += [getattr(recipe, name) for name in _SHAPED_BY + _DISTURBED_BY] + [u.speaker for u in recordings]
    features = [asdict(encoder.front_end.config), asdict(encoder.normalization), encoder.digest]
    content = json.dumps([[u.digest for u in recordings], features, settings, code])
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
