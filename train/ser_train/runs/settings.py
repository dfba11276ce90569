"""The settings that distinguish one training from another, and name its run directory."""

from dataclasses import dataclass, replace
from typing import Any

from ser_train.data.splits import PROTOCOLS

_DISTILLED, _WARM_STARTED = "taught", "tuned"  # in the names of runs, as in 0.1


@dataclass(frozen=True)
class Settings:
    """The settings of one training; `run.json` holds them by these names."""

    network: str
    protocol: str
    fold: int = 0
    seed: int = 0
    epochs: int | None = None  # None: the recipe's
    changes: tuple[str, ...] = ()  # of the recipe, like "mixup=0.2"
    teachers: tuple[str, ...] = ()  # names of runs, with * for the fold
    corpus: str = ""  # digest of the recordings, the initial network and the teachers
    recipe: str = ""  # digest of the network's sizes, front-end and recipe
    init: str = ""  # the initial network: a run, a file or a bundled network's name; "" for random weights
    encoder: str = ""  # file with a frozen encoder's weights; "" for those that come with ser-train

    @property
    def name(self) -> str:
        """The run directory's name."""
        fold = f"-fold{self.fold}" if PROTOCOLS[self.protocol].folds > 1 else ""
        return "-".join([f"{self.network}-{self.protocol}{fold}-seed{self.seed}", *self._variant(_DISTILLED)])

    @property
    def label(self) -> str:
        """The network's name in tables, with its changes."""
        return ", ".join([self.network, *self._variant("distilled")])

    def is_training_of(self, other: "Settings") -> bool:
        """Whether both train the same network; paths may be spelled otherwise, for `corpus` has the files' digests."""
        return replace(self, init=other.init, encoder=other.encoder) == other

    def _variant(self, distilled: str) -> list[str]:
        return [*self.changes, *([distilled] if self.teachers else []), *([_WARM_STARTED] if self.init else [])]

    @classmethod
    def of(cls, data: dict[str, Any]) -> "Settings":
        """From JSON, where tuples are lists; older versions wrote fewer settings."""
        return cls(**{**data, **{name: tuple(data.get(name, ())) for name in ("changes", "teachers")}})
