"""Labels people choose: which labels a model answers with, and which of its own are merged into each.

A label that is merged gets the sum of the probabilities. Of what is left those chosen are divided by their sum, which
is the softmax of the logits restricted to them: the probability of each, given that it is one of them. Both are done
to calibrated probabilities, and to each window before windows are averaged.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge.models.metadata import MAX_LABEL, Accuracy, ModelMetadata

RESERVED = ("no-speech", "uncertain")  # prediction.NO_SPEECH, prediction.UNCERTAIN
_MAX_LISTED = 20  # labels in a message


@dataclass(frozen=True)
class ChosenMetadata(ModelMetadata):
    """The metadata of a model whose labels were chosen; `accuracy` is None unless they are all there, and only renamed.

    `to_json` describes the choice; no model file holds it.
    """

    # Of each of the model's own labels the one that it counts as; None if it is left out.
    label_map: dict[str, str | None] = field(default_factory=dict, hash=False)
    model_accuracy: Accuracy | None = None  # among the model's own labels


@dataclass(frozen=True)
class ChosenLabels:
    """Turns probabilities of a model's own labels into those of chosen ones."""

    labels: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]  # of each, the places of the model's own labels whose sum it is

    @classmethod
    def of(
        cls, own: Sequence[str], labels: Iterable[str] | None = None, label_map: Mapping[str, str] | None = None
    ) -> "ChosenLabels":
        """Checks a choice.

        Args:
            own: the model's labels.
            labels: those to answer with, in this order, under their names in `label_map`; None is all, in the order
                of the model.
            label_map: the name under which a label counts: that of another, or a new one.

        Raises:
            TypeError: no names, or no mapping of them.
            ValueError: a choice that makes no sense; the message says what to change.

        >>> own = ("neutral", "calm", "happy", "sad")
        >>> ChosenLabels.of(own, ["happy", "neutral"], {"calm": "neutral"})
        ChosenLabels(labels=('happy', 'neutral'), groups=((2,), (0, 1)))
        """
        renamed = _checked_map(own, label_map)
        names = tuple(dict.fromkeys(renamed.get(label, label) for label in own))
        chosen = names if labels is None else _checked_labels(names, labels, renamed)
        if len(chosen) < 2:
            raise ValueError(f"labels: {chosen[0] if chosen else 'none'} alone is no choice; name two or more")
        groups = (tuple(i for i, label in enumerate(own) if renamed.get(label, label) == name) for name in chosen)
        return cls(chosen, tuple(groups))

    def apply(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(n, own labels) to (n, labels), which sum to 1.

        >>> chosen = ChosenLabels(("happy", "neutral"), ((2,), (0, 1)))
        >>> chosen.apply(np.array([[0.25, 0.125, 0.125, 0.5]], np.float32)).tolist()
        [[0.25, 0.75]]
        """
        # All of a quantised network's may be 0: then each is as likely as the others.
        positive = np.maximum(probabilities, np.finfo(np.float32).tiny)
        sums = np.stack([positive[:, list(group)].sum(axis=1) for group in self.groups], axis=1)
        restricted: npt.NDArray[np.float32] = sums / sums.sum(axis=1, keepdims=True)
        return restricted

    def metadata(self, model: ModelMetadata) -> ChosenMetadata:
        """A model's metadata with these labels in place of its own."""
        names = {i: name for name, group in zip(self.labels, self.groups, strict=True) for i in group}
        only_renamed = len(names) == len(self.labels) == len(model.labels)
        described: dict[str, Any] = {each.name: getattr(model, each.name) for each in fields(ModelMetadata)} | {
            "labels": self.labels,
            "accuracy": model.accuracy if only_renamed else None,
            "label_map": {label: names.get(i) for i, label in enumerate(model.labels)},
            "model_accuracy": model.accuracy,
        }
        return ChosenMetadata(**described)


def _checked_map(own: Sequence[str], label_map: Mapping[str, str] | None) -> dict[str, str]:
    if label_map is not None and not isinstance(label_map, Mapping):
        raise TypeError(f'label_map={label_map!r}: must be like {{"calm": "neutral"}}')
    renamed = dict(label_map or {})
    for label, name in renamed.items():
        if not isinstance(label, str) or not isinstance(name, str):
            raise TypeError(f"label_map={label_map!r}: names must be str")
        pair = f"{label}={name}"
        if label not in own:
            raise ValueError(f"{pair}: the model has no {label}; map one of {_listed(own)}")
        if name == label:
            raise ValueError(f"{pair}: maps a label to itself; leave it out")
        if name in RESERVED:
            raise ValueError(f"{pair}: {name} has a meaning of its own; give another name")
        if not name.strip() or not name.isprintable() or len(name) > MAX_LABEL:
            raise ValueError(f"{pair}: not a name of 1 to {MAX_LABEL} printable characters; give another")
        if name in renamed:
            raise ValueError(f"{pair}: {name} is mapped too, to {renamed[name]}; map both straight to one name")
    return renamed


def _checked_labels(names: tuple[str, ...], labels: Iterable[str], renamed: Mapping[str, str]) -> tuple[str, ...]:
    """The chosen labels, each of which is one of `names`."""
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise TypeError(f'labels={labels!r}: must be like ["neutral", "happy"]')
    chosen = tuple(labels)
    for i, label in enumerate(chosen):
        if not isinstance(label, str):
            raise TypeError(f"labels={chosen!r}: names must be str")
        if label in renamed:
            raise ValueError(f"labels: {label} is mapped to {renamed[label]}; name that")
        if label not in names:
            raise ValueError(f"labels: there is no {label}; choose from {_listed(names)}")
        if label in chosen[:i]:
            raise ValueError(f"labels: {label} is there twice; name it once")
    return chosen


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _MAX_LISTED} more (ser-edge --describe)" * (len(labels) > _MAX_LISTED)
    return ", ".join(labels[:_MAX_LISTED]) + more
