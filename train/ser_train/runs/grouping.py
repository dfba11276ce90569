"""Which runs belong together: the folds and seeds of one network by one protocol, whose figures may be pooled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ser_edge.errors import SerEdgeError
from ser_train.data.splits import PROTOCOLS
from ser_train.runs.run_directory import RunDirectory

_CALIBRATION = ("speaker", "all")  # protocols whose runs those of the first calibrate


@dataclass(frozen=True)
class RunGroup:
    """Runs of one network, with the same settings, by one protocol."""

    label: str  # of the network: `Settings.label`
    protocol: str
    seeds: dict[int, dict[int, RunDirectory]]  # by seed, then by fold, both in ascending order

    @property
    def runs(self) -> list[RunDirectory]:
        """All runs, by seed and fold."""
        return [run for folds in self.seeds.values() for run in folds.values()]

    def require_all_folds(self) -> None:
        """Raises SerEdgeError if a seed lacks a fold: its figure would be another protocol's."""
        for seed, folds in self.seeds.items():
            if missing := sorted(set(range(PROTOCOLS[self.protocol].folds)) - set(folds)):
                raise SerEdgeError(
                    f"{self.label}, {self.protocol}, seed {seed}: folds {missing} are not trained; use --fold all",
                    code="runs-incomplete",
                )


def group_runs(runs: Sequence[RunDirectory]) -> dict[tuple[str, str], RunGroup]:
    """Groups finished runs by label and protocol, in the order in which these first appear.

    Raises:
        SerEdgeError: no run, or runs of a group with other settings, labels or data, or of the same seed and fold.
    """
    if not runs:
        raise SerEdgeError("none of these is a finished run; train some with ser-train", code="runs-incomplete")
    if len({run.metadata.labels for run in runs}) > 1:
        raise _mismatch("these runs have different labels; give runs of one set of labels")
    settings = {run: run.settings for run in runs}
    groups = {(s.label, s.protocol): RunGroup(s.label, s.protocol, {}) for s in settings.values()}
    for run in sorted(runs, key=lambda run: (settings[run].seed, settings[run].fold)):
        s = settings[run]
        folds = groups[s.label, s.protocol].seeds.setdefault(s.seed, {})
        if s.fold in folds:
            raise _mismatch(f"{run.path}: there is another run of {s.name}; give one of them")
        folds[s.fold] = run
    for (label, protocol), group in groups.items():
        members = [settings[run] for run in group.runs]
        if len({replace(s, fold=0, seed=0, corpus="") for s in members}) > 1:
            raise _mismatch(f"{label}, {protocol}: trained with different settings or epochs; train anew")
        by_fold = {(s.fold, s.corpus) for s in members}
        if len(by_fold) > len({s.fold for s in members}) or len(_recordings(group.runs)) > 1:
            raise _mismatch(f"{label}, {protocol}: trained on different data; train anew")
    return groups


def single_group(runs: Sequence[RunDirectory]) -> RunGroup:
    """The one group that finished runs make, each seed with the same folds.

    Raises:
        SerEdgeError: as `group_runs`, or there are several groups, or seeds have different folds.
    """
    groups = list(group_runs(runs).values())
    if len(groups) > 1:
        named = ", ".join(sorted(f"{group.label} by {group.protocol}" for group in groups))
        raise _mismatch(f"these are runs of {len(groups)} networks or protocols: {named}; give runs of one")
    if len({tuple(folds) for folds in groups[0].seeds.values()}) > 1:
        seeds = list(groups[0].seeds)
        raise _mismatch(f"seeds {seeds} have different folds; their mean would compare different voices")
    return groups[0]


def check_calibration(groups: dict[tuple[str, str], RunGroup]) -> None:
    """Raises SerEdgeError if runs that calibrate each other were trained with different settings."""
    for label in dict.fromkeys(label for label, _ in groups):
        related = [groups[label, protocol] for protocol in _CALIBRATION if (label, protocol) in groups]
        if len({(run.settings.epochs, run.settings.recipe) for group in related for run in group.runs}) > 1:
            raise _mismatch(
                f"{label}: speaker and all are trained with different settings or epochs, "
                "so one can't calibrate the other; train anew, or leave some out"
            )
        if len(_recordings([run for group in related for run in group.runs])) > 1:
            raise _mismatch(f"{label}: speaker and all are trained on different data; train anew, or leave some out")


def _recordings(runs: Sequence[RunDirectory]) -> set[str]:
    """Digests of all that was split into folds; older runs have none."""
    return {digest for run in runs if (digest := run.read("run.json").get("recordings"))}


def _mismatch(message: str) -> SerEdgeError:
    return SerEdgeError(message, code="runs-mismatched")
