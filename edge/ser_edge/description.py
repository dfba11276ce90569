"""What a model file says of itself: read, checked, refused.

The description is one JSON object, stored in the ONNX file's `metadata_props` under `KEY`, or in a TFLite file as the
associated file `FILE_NAME` (such a file is also a zip). The runtime computes what it says, and refuses what it doesn't
understand, so that training and serving can't drift apart. Whoever adds a field that changes the answer raises
`VERSION`; a reader refuses versions it doesn't know and fields it has never heard of.
"""

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from ser_edge.errors import ModelError
from ser_edge.features import FeatureConfig, Features

__all__ = ["FILE_NAME", "KEY", "VERSION", "Accuracy", "ModelDescription", "Normalization"]

VERSION = 1
KEY = "ser_edge"
FILE_NAME = "ser_edge.json"


@dataclass(frozen=True)
class Normalization:
    """Training-set statistics: what enters the network is (features - mean) / deviation, per coefficient."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.deviation):
            raise ValueError("normalization: mean and deviation differ in length")
        if not all(math.isfinite(m) for m in self.mean) or not all(0 < d < math.inf for d in self.deviation):
            raise ValueError("normalization: means must be finite, deviations above 0")

    def apply(self, features: Features) -> Features:
        """(..., coefficients) in and out, float32."""
        scaled: Features = (features - np.float32(self.mean)) / np.float32(self.deviation)
        return scaled


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
class ModelDescription:
    """Everything a runtime must know to serve a network, and a person to judge it."""

    name: str
    labels: tuple[str, ...]  # in the order of the network's output
    features: FeatureConfig
    normalization: Normalization | None = None
    temperature: float = 1.0  # log-probabilities are divided by it; 1 leaves them alone
    accuracy: Accuracy | None = None
    precision: str = "float32"
    training: dict[str, Any] = field(default_factory=dict, hash=False)  # provenance: run, data, licence; for people
    version: int = VERSION

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels) or not all(self.labels):
            raise ValueError("labels must be at least two, all different")
        if not 0.01 <= self.temperature <= 100:
            raise ValueError("temperature must be 0.01 to 100")
        if self.normalization and len(self.normalization.mean) != self.features.coefficients:
            raise ValueError("normalization and features differ in the number of coefficients")

    def to_json(self) -> str:
        """The text that goes into the model file."""
        return json.dumps({"format": KEY, **asdict(self)}, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes | None, source: str) -> "ModelDescription":
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
            data = json.loads(text)
        except ValueError as e:
            raise ModelError(f"{source}: its description is damaged ({e}); export or download it again") from e
        if not isinstance(data, dict) or data.pop("format", None) != KEY:
            raise ModelError(f"{source}: its description is not ser-edge's; make a model with ser-export")
        if data.get("version") != VERSION:
            raise ModelError(
                f"{source}: description version {data.get('version')!r}, this ser-edge reads {VERSION}; "
                "upgrade with: pip install -U ser-edge"
            )
        try:
            return cls(
                **{
                    **data,
                    "labels": tuple(map(str, data["labels"])),
                    "features": FeatureConfig(**data["features"]),
                    "normalization": _optional(Normalization, data.get("normalization"), tuple),
                    "accuracy": _optional(Accuracy, data.get("accuracy")),
                }
            )
        except (KeyError, TypeError, ValueError) as e:
            raise ModelError(f"{source}: its description doesn't hold together ({e}); export it again") from e


def _optional(kind: type[Any], data: dict[str, Any] | None, convert: Any = lambda value: value) -> Any:
    """None, or `kind` made from exactly its fields."""
    if data is None:
        return None
    if set(data) != {f.name for f in fields(kind)}:
        raise ValueError(f"{kind.__name__.lower()} has the fields {sorted(data)}")
    return kind(**{name: convert(value) for name, value in data.items()})
