"""The metadata of a model file: its schema, reading and checking.

It is one JSON object, stored in an ONNX file's `metadata_props` under `KEY`, or in a TFLite file as the associated file
`FILE_NAME` (such a file is also a zip). A new field that changes the answer needs a new `VERSION`; a reader refuses
versions and fields that it doesn't know, so that training and inference can't drift apart.
"""

import json
import math
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cached_property
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from ser_edge.errors import ModelError
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import Features

VERSION = 2
MAX_LABELS, MAX_LABEL = 1000, 100  # labels of a model; characters of a label, which is a column of tables
_MAX_STATISTIC = 1e9  # dB; beyond it, and below its reciprocal, float32 would overflow
_MAX_DEPTH = 20  # of nested objects and lists
_MAX_REASON = 300  # characters: the text of an error can come from the file
KEY = "ser_edge"
# Fields whose keys in the file are those of its first version, which all versions read.
_JSON_KEYS = {"std": "deviation", "trim_db": "span_db", "trim_margin": "span_margin", "dynamic_range_db": "range_db"}
FILE_NAME = "ser_edge.json"


@dataclass(frozen=True)
class Normalization:
    """Training-set statistics: what enters the network is (features - mean) / std, per coefficient."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError("normalization: mean and std differ in length")
        finite = all(abs(mean) <= _MAX_STATISTIC for mean in self.mean)
        if not finite or not all(1 / _MAX_STATISTIC <= std <= _MAX_STATISTIC for std in self.std):
            raise ValueError(f"normalization: means must be finite, stds above 0, and none beyond {_MAX_STATISTIC:g}")

    @cached_property
    def _arrays(self) -> tuple[Features, Features]:
        return np.array(self.mean, np.float32), np.array(self.std, np.float32)

    def apply(self, features: Features) -> Features:
        """(..., coefficients) float32 in and out; missing frames, which are NaN, become zeros, which are masked."""
        mean, std = self._arrays
        scaled: Features = features - mean
        scaled /= std
        scaled[np.isnan(scaled)] = 0
        return scaled


@dataclass(frozen=True)
class Accuracy:
    """Measured accuracy in percent, with its protocol, without which the figures mean nothing."""

    protocol: str  # "notebook", "utterance" or "speaker"; only the last holds for new voices
    folds: int
    seeds: int
    wa: float  # accuracy
    uar: float  # unweighted average recall
    f1: float  # macro-F1


@dataclass(frozen=True)
class ModelMetadata:
    """What inference needs to know of a network, and what people need to assess it."""

    name: str
    labels: tuple[str, ...]  # in the order of the network's output
    features: FeatureConfig
    normalization: Normalization | None = None
    temperature: float = 1.0  # log-probabilities are divided by it; 1 has no effect
    threshold: float = 0.0  # confidence below which the label is `uncertain`; 0 always names an emotion
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
        figures = (self.accuracy.wa, self.accuracy.uar, self.accuracy.f1) if self.accuracy else ()
        if not all(0 <= figure <= 100 for figure in figures):
            raise ValueError("accuracy must be in percent")
        if not 0.01 <= self.temperature <= 100:
            raise ValueError("temperature must be 0.01 to 100")
        if not 0 <= self.threshold < 1:
            raise ValueError("threshold must be 0 to 1")
        if self.normalization and len(self.normalization.mean) != self.features.coefficients:
            raise ValueError("normalization and features differ in the number of coefficients")

    @property
    def corpus(self) -> str:
        """Title of the corpus that it was trained for, the first of several; "" if that isn't recorded."""
        return str(self.training.get("data", "")).partition(",")[0]

    def inputs(self, features: Features) -> Features:
        """The network's input, (..., coefficients) in and out; see `Normalization.apply`."""
        if self.normalization is None:
            return np.where(np.isnan(features), np.float32(0), features)
        return self.normalization.apply(features)

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
            message = f"{source}: a model without ser-edge's metadata; make one with ser-export"
            raise ModelError(message, code="model-metadata")
        try:
            data = json.loads(text, parse_constant=_refuse_constant)
            if _is_deeper(data, _MAX_DEPTH):
                raise ValueError(f"over {_MAX_DEPTH} nested objects and lists")
        except (ValueError, RecursionError) as e:
            message = f"{source}: its metadata is damaged ({_short(e)}); export or download it again"
            raise ModelError(message, code="model-damaged") from e
        if not isinstance(data, dict) or data.pop("format", None) != KEY:
            message = f"{source}: its metadata is not ser-edge's; make a model with ser-export"
            raise ModelError(message, code="model-metadata")
        version = data.get("version")
        if version != VERSION:
            advice = "make it again" if type(version) is int and version < VERSION else "install a newer ser-edge"
            found = f"{source}: metadata version {_short(ascii(version))}, this ser-edge reads {VERSION}"
            raise ModelError(f"{found}; {advice}", code="model-version")
        try:
            metadata: ModelMetadata = _convert(cls, data, "metadata")
        except (TypeError, ValueError, OverflowError) as e:
            raise ModelError(f"{source}: invalid metadata ({_short(e)}); export it again", code="model-metadata") from e
        return metadata


def _convert(kind: Any, value: Any, where: str) -> Any:
    """Converts `value` from JSON to the type hint `kind`; `where` is for the message."""
    if isinstance(kind, UnionType):  # X | None
        return None if value is None else _convert(get_args(kind)[0], value, where)
    if kind is float and type(value) is int:
        value = float(value)
    hints = get_type_hints(kind) if is_dataclass(kind) else {}
    wanted: Any = dict if hints else list if get_origin(kind) is tuple else get_origin(kind) or kind
    if type(value) is not wanted:  # isinstance would take True for 1
        raise TypeError(f"{where} is {type(value).__name__}, not {wanted.__name__}")
    if kind is float and not math.isfinite(value):
        raise ValueError(f"{where} is not finite")
    if wanted is list:
        return tuple(_convert(get_args(kind)[0], item, where) for item in value)
    if not hints:
        return value
    names = {_JSON_KEYS.get(name, name): name for name in hints}
    if unexpected := sorted(set(value) ^ set(names)):
        # Escaped, since the file can hold any name.
        named = ", ".join(f"{where}.{name if name.isidentifier() else ascii(name)}" for name in unexpected)
        raise ValueError(f"missing or unknown: {named}")
    return kind(**{name: _convert(hints[name], value[key], f"{where}.{key}") for key, name in names.items()})


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether objects and lists are nested deeper than that."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth < 0 or any(_is_deeper(item, depth - 1) for item in inner)


def _short(text: object) -> str:
    return str(text) if len(str(text)) <= _MAX_REASON else f"{str(text)[:_MAX_REASON]}..."


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
