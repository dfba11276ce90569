"""compare.py MODELS HERE THERE: do two folders of answers, by model file, agree?

MODELS has the files; THERE a folder for each processor. What may differ is what `ser_edge.models.tolerances` says.
"""

import json
import sys
from pathlib import Path

from ser_edge.models.loader import open_model
from ser_edge.models.tolerances import tolerance


def answers(path: Path) -> dict[str, tuple[str, dict[str, float]]]:
    """By the sound's name: label and probabilities."""
    records = map(json.loads, path.read_text("utf-8").splitlines())
    return {Path(record["path"]).name: (record["label"], record["probabilities"]) for record in records}


def agree(model: Path, ours: Path, theirs: Path) -> bool:
    """Prints a line, too."""
    here, there = answers(ours), answers(theirs)
    alike = {name: label for name, (label, _) in here.items()} == {name: label for name, (label, _) in there.items()}
    off = max(abs(there[name][1][label] - p) for name, (_, row) in here.items() for label, p in row.items())
    good = alike and off <= tolerance(model.suffix, open_model(model).metadata.precision).kernels
    labels = "the same labels" if alike else "OTHER LABELS"
    print(
        f"{'ok' if good else '!!'}  {theirs.parent.name}  {ours.stem}: {len(here)} sounds, {labels}, off by {off:.4f}"
    )
    return good


def main() -> int:
    """Returns the exit code."""
    models, here, there = map(Path, sys.argv[1:])
    agreed = [agree(models / path.stem, here / path.name, path) for path in sorted(there.glob("*/*.json"))]
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
