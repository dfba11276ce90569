"""What a model file says of itself: read, checked, refused.

The description is one JSON object, stored in the ONNX file's `metadata_props` under `KEY`, or in a TFLite file as the
associated file `FILE_NAME` (such a file is also a zip). The runtime computes what it says, and refuses what it doesn't
understand, so that training and serving can't drift apart. Whoever adds a field that changes the answer raises
`VERSION`; a reader refuses versions it doesn't know and fields it has never heard of.
"""

import json
import math
from dataclasses import asdict, dataclass, field, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from ser_edge.errors import ModelError
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import Features

__all__ = ["FILE_NAME", "KEY", "VERSION", "Accuracy", "ModelMetadata", "Normalization", "apply_temperature"]

VERSION = 2
MAX_LABELS, MAX_LABEL = 1000, 100  # of a model; characters of one: each is a column
_LARGEST = 1e9  # of a statistic, in dB: beyond it, and below 1 / it, float32 would overflow
_LEVELS = 20  # objects and lists in one another
_REASON = 300  # characters: a file can make an error's text as long as it likes
KEY = "ser_edge"
# Fields whose keys in the file are those of its first version, which all versions read.
_JSON_KEYS = {
    "std": "deviation",
    "trim_db": "span_db",
    "trim_margin": "span_margin",
    "dynamic_range_db": "range_db",
}
FILE_NAME = "ser_edge.json"


@dataclass(frozen=True)
class Normalization:
    """Training-set statistics: what enters the network is (features - mean) / std, per coefficient."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError("normalization: mean and deviation differ in length")
        if not all(abs(m) <= _LARGEST for m in self.mean) or not all(1 / _LARGEST <= d <= _LARGEST for d in self.std):
            raise ValueError(f"normalization: means must be finite, deviations above 0, and none beyond {_LARGEST:g}")

    def apply(self, features: Features) -> Features:
        """(..., coefficients) in and out, float32.

        A frame that is NaN is one that isn't there: it becomes zeros, which is how a network's mask finds it.
        """
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        scaled: Features = (features - mean) / std
        return np.where(np.isnan(scaled), np.float32(0), scaled)


@dataclass(frozen=True)
class Accuracy:
    """How often the network was right, in percent, and by which protocol: a figure without one means nothing."""

    protocol: str  # "notebook", "utterance" or "speaker"; only the last says what new voices will get
    folds: int
    seeds: int
    wa: float  # accuracy
    uar: float  # unweighted average recall
    f1: float  # macro-F1


@dataclass(frozen=True)
class ModelMetadata:
    """Everything a runtime must know to serve a network, and a person to judge it."""

    name: str
    labels: tuple[str, ...]  # in the order of the network's output
    features: FeatureConfig
    normalization: Normalization | None = None
    temperature: float = 1.0  # log-probabilities are divided by it; 1 leaves them alone
    threshold: float = 0.0  # of confidence, below which the answer is `uncertain`; 0 always names an emotion
    accuracy: Accuracy | None = None
    precision: str = "float32"
    training: dict[str, Any] = field(default_factory=dict, hash=False)  # provenance: run, data, licence; for people
    version: int = VERSION

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels) or not all(self.labels):
            raise ValueError("labels must be at least two, all different")
        if len(self.labels) > MAX_LABELS or max(map(len, (*self.labels, self.name))) > MAX_LABEL:
            raise ValueError(f"labels must be at most {MAX_LABELS}, each, and the name, of {MAX_LABEL} characters")
        protocol = self.accuracy.protocol if self.accuracy else ""
        if not all(text.isprintable() for text in (self.name, self.precision, protocol, *self.labels)):
            raise ValueError("name, labels, precision and protocol must be printable: they go to the terminal")
        if self.accuracy and not all(
            0 <= share <= 100 for share in (self.accuracy.wa, self.accuracy.uar, self.accuracy.f1)
        ):
            raise ValueError("accuracy must be in percent")
        if not 0.01 <= self.temperature <= 100:
            raise ValueError("temperature must be 0.01 to 100")
        if not 0 <= self.threshold < 1:
            raise ValueError("threshold must be 0 to 1")
        if self.normalization and len(self.normalization.mean) != self.features.coefficients:
            raise ValueError("normalization and features differ in the number of coefficients")

    def inputs(self, features: Features) -> Features:
        """What enters the network, (..., coefficients) in and out; see `Normalization.apply`."""
        count = self.features.coefficients
        return (self.normalization or Normalization((0.0,) * count, (1.0,) * count)).apply(features)

    def to_json(self) -> str:
        """The text that goes into the model file."""
        fields = asdict(self, dict_factory=lambda pairs: {_JSON_KEYS.get(name, name): value for name, value in pairs})
        return json.dumps({"format": KEY, **fields}, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes | None, source: str) -> "ModelMetadata":
        """Reads and checks what `to_json` wrote.

        Args:
            text: the JSON, or None where the file has none.
            source: the model file's name, for the message.

        Raises:
            ModelError: missing, damaged, foreign or newer.
        """
        if text is None:
            raise ModelError(f"{source}: a model without a ser-edge description; make one with ser-export")
        try:
            data = json.loads(text, parse_constant=_refuse_constant)
            if _is_deeper(data, _LEVELS):
                raise ValueError(f"over {_LEVELS} objects and lists in one another")
        except (ValueError, RecursionError) as e:
            raise ModelError(f"{source}: its description is damaged ({_short(e)}); export or download it again") from e
        if not isinstance(data, dict) or data.pop("format", None) != KEY:
            raise ModelError(f"{source}: its description is not ser-edge's; make a model with ser-export")
        version = data.get("version")
        if version != VERSION:
            older = type(version) is int and version < VERSION
            advice = "make it again" if older else "install a newer ser-edge"
            raise ModelError(
                f"{source}: description version {_short(ascii(version))}, this ser-edge reads {VERSION}; {advice}"
            )
        try:
            metadata: ModelMetadata = _made(cls, data, "description")
        except (TypeError, ValueError, OverflowError) as e:
            raise ModelError(f"{source}: its description doesn't hold together ({_short(e)}); export it again") from e
        return metadata


def apply_temperature(probabilities: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float32]:
    """(n, labels) in and out: log-probabilities divided by a temperature (Guo et al., 2017).

    >>> apply_temperature(np.array([[0.9, 0.1]], np.float32), 2.0).round(2).tolist()
    [[0.75, 0.25]]
    """
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)) / np.float32(temperature)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    answers: npt.NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return answers


def _made(kind: Any, value: Any, where: str) -> Any:
    """`value`, as JSON holds it, made into what the type hint `kind` says; `where` is for the message."""
    if isinstance(kind, UnionType):  # X | None
        return None if value is None else _made(get_args(kind)[0], value, where)
    if kind is float and type(value) is int:
        value = float(value)
    hints = get_type_hints(kind) if is_dataclass(kind) else {}
    wanted: Any = dict if hints else list if get_origin(kind) is tuple else get_origin(kind) or kind
    if type(value) is not wanted:  # isinstance would take True for 1
        raise TypeError(f"{where} is {type(value).__name__}, not {wanted.__name__}")
    if kind is float and not math.isfinite(value):
        raise ValueError(f"{where} is not finite")
    if wanted is list:
        return tuple(_made(get_args(kind)[0], item, where) for item in value)
    if not hints:
        return value
    names = {_JSON_KEYS.get(name, name): name for name in hints}
    if odd := sorted(set(value) ^ set(names)):
        # A file can name a field anything: escaped, so that the message stays a line and moves no cursor.
        named = ", ".join(f"{where}.{name if name.isidentifier() else ascii(name)}" for name in odd)
        raise ValueError(f"missing or unknown: {named}")
    return kind(**{name: _made(hints[name], value[key], f"{where}.{key}") for key, name in names.items()})


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether that many objects and lists lie in one another, and more."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_is_deeper(item, levels - 1) for item in inner)


def _short(text: object) -> str:
    return str(text) if len(str(text)) <= _REASON else f"{str(text)[:_REASON]}..."


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
