"""All files of a corpus labelled, by whole processes on all cores: the notebook's loop, and `ser-edge FOLDER`.

The notebook's way is counted without the seconds in which it loads Keras and librosa, ser-edge's with its whole start:
the comparison that is the harder one for ser-edge.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from harness.case import Settings, Table, main
from harness.child import run
from harness.models import MODELS
from harness.timing import Figures, medians, shuffled

SER_EDGE = Path(sys.executable).parent / "ser-edge"
LOOP = "librosa, one keras.Model.predict for all"
WHOLE = f"{LOOP}, with its start"
OURS = {model: f"`ser-edge --model {model} --format csv FOLDER`, with its start" for model in MODELS}


def measure(settings: Settings) -> list[Table]:
    """A table for the WAVs, and one for the files as they were given, where these are others."""
    given = {settings.wavs: "wav", settings.given: "given"}
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "gru.keras"
        code = "import sys; from peers.notebook import network; network('GRU').save(sys.argv[1])"
        subprocess.run([sys.executable, "-c", code, network], check=True, capture_output=True)
        return [_table(settings, corpus, name, network) for corpus, name in given.items()]


def _table(settings: Settings, corpus: Path, name: str, network: Path) -> Table:
    files = settings.files(corpus)
    sides: dict[str, Callable[[], dict[str, Figures]]] = {
        LOOP: lambda: _notebook(network, corpus),
        **{side: partial(_ser_edge, corpus, len(files), model) for model, side in OURS.items()},
    }
    measured: dict[str, list[Figures]] = {}
    for turn in range(settings.rounds + 1):
        for side in shuffled(sides, turn):
            for title, figures in sides[side]().items():
                figures.pop("memory", None)  # of the largest process only
                measured.setdefault(title, []).extend([figures] if turn else [])  # the first doesn't count
    kind = files[0].suffix[1:].upper()
    title = f"{len(files)} {kind} files labelled, all cores, wall time"
    order = (LOOP, WHOLE, *OURS.values())
    return Table(f"labels-{name}", title, LOOP, "wall", {side: medians(measured[side]) for side in order})


def _notebook(network: Path, corpus: Path) -> dict[str, Figures]:
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    whole, out = run([sys.executable, "-m", "peers.label_folder", network, corpus], quiet)
    return {LOOP: {"wall": float(out.split()[-1])}, WHOLE: whole}


def _ser_edge(corpus: Path, files: int, model: str) -> dict[str, Figures]:
    figures, out = run([SER_EDGE, "--model", model, "--format", "csv", corpus])
    if len(out.splitlines()) != files + 1:
        raise ValueError(f"ser-edge gave {len(out.splitlines()) - 1} answers for {files} files")
    return {OURS[model]: figures}


if __name__ == "__main__":
    main(measure)
