"""compare.py HERE THERE: do two folders of answers, by model file, agree? THERE has a folder for each processor."""

import json
import sys
from pathlib import Path

MOST = 1e-3  # difference of a probability, of float32
MOST_INT8 = 0.05  # of the bundled: processors round to other steps
BUNDLED = ("crnn.onnx", "crnn.tflite")


def answers(path: Path) -> dict[str, tuple[str, dict[str, float]]]:
    """By the sound's name: label and probabilities."""
    records = map(json.loads, path.read_text("utf-8").splitlines())
    return {Path(record["path"]).name: (record["label"], record["probabilities"]) for record in records}


here, there = map(Path, sys.argv[1:])
differ = False
for path in sorted(there.glob("*/*.json")):
    ours, theirs = answers(here / path.name), answers(path)
    alike = {name: label for name, (label, _) in ours.items()} == {name: label for name, (label, _) in theirs.items()}
    off = max(abs(theirs[name][1][emotion] - p) for name, (_, row) in ours.items() for emotion, p in row.items())
    agrees = alike and off <= (MOST_INT8 if path.stem in BUNDLED else MOST)
    differ |= not agrees
    labels = "the same labels" if alike else "OTHER LABELS"
    state = "ok" if agrees else "!!"
    print(f"{state}  {path.parent.name}  {path.stem}: {len(ours)} sounds, {labels}, off by {off:.1e} at most")
sys.exit(differ)
