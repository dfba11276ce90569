"""One file, one process, from the command line to the label: CPU time, wall time, and peak memory.

Imports nothing but the standard library, or the children's memory would be this module's (`child`). Threads are left as
a user has them.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.case import Settings, Table, main
from harness.child import CommandError, run
from harness.models import MODEL_FILES
from harness.timing import Figures, medians, shuffled

SER_EDGE = Path(sys.executable).parent / "ser-edge"  # as a user starts it
KERAS = "librosa and Keras"
NUMPY = "`python -c 'import numpy'`"
NUMPY_ONE = f"{NUMPY}, one BLAS thread"  # what ser-edge gives itself
ENVIRONMENTS = {NUMPY_ONE: {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}}


def measure(settings: Settings) -> list[Table]:
    """One table."""
    file = settings.some_files(1)[0]
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "gru.keras"
        code = "import sys; from peers.notebook import network; network('GRU').save(sys.argv[1])"
        subprocess.run([sys.executable, "-c", code, network], check=True, capture_output=True)
        sides: dict[str, Sequence[str | Path]] = {
            KERAS: [sys.executable, "-m", "peers.label_file", network, file],
            **{f"`ser-edge --model {model} FILE`": [SER_EDGE, "--model", model, file] for model in MODEL_FILES},
            NUMPY: [sys.executable, "-c", "import numpy"],
            NUMPY_ONE: [sys.executable, "-c", "import numpy"],
            "`python -c pass`": [sys.executable, "-c", "pass"],
        }
        measured: dict[str, list[Figures]] = {name: [] for name in sides}
        failed: dict[str, Figures | str] = {}
        for turn in range(settings.rounds + 1):
            for name in shuffled(sides, turn):
                if name in failed:
                    continue
                try:
                    figures, _ = run(sides[name], {"TF_CPP_MIN_LOG_LEVEL": "3"} | ENVIRONMENTS.get(name, {}))
                except CommandError as e:
                    failed[name] = f"failed: {e}"
                else:
                    measured[name] += [figures] if turn else []  # the first brings files into memory, and compiles
    rows = {name: failed.get(name) or medians(figures) for name, figures in measured.items()}
    title = f"A whole process that labels one {file.suffix[1:].upper()} file, threads as they come"
    notes = ["Memory is the peak that was resident; MB are millions of bytes."]
    return [Table("file", title, KERAS, "cpu", rows, notes)]


if __name__ == "__main__":
    main(measure)
