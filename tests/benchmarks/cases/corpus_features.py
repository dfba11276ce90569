"""Features of a whole corpus for training, on all cores: the notebook's loop, and ser_train's extraction.

Neither side's start counts: librosa is loaded, and ser_train's processes are running, as they are in a training, which
starts them to hash the corpus.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from harness.case import Settings, Table, main
from harness.timing import in_turn
from peers.notebook import RATE, features, mfcc

from ser_edge.audio.downmix import mono_blocks
from ser_edge.audio.sources import open_source
from ser_edge.features.config import FeatureConfig
from ser_train.data.feature_cache import extract

LOOP = "librosa, file by file"
OURS = "ser_train.data.feature_cache.extract"
WARM_UP = 100  # files; enough for a task a process
SECONDS = 3.0  # of a file


def measure(settings: Settings) -> list[Table]:
    """A table for the WAVs, and one for the files as they were given, where these are others."""
    given = {settings.wavs: "wav", settings.given: "given"}
    return [_table(settings, corpus, name) for corpus, name in given.items()]


def _table(settings: Settings, corpus: Path, name: str) -> Table:
    files = settings.files(corpus)
    config = FeatureConfig()
    first = extract(files[:WARM_UP], config)[0]
    difference = float(np.abs(first - _by_librosa(files[0])).max())
    if difference > 0.01:
        raise ValueError(f"ser_train's features differ from librosa's by {difference:.2g}")
    sides = {
        LOOP: lambda: np.stack([features(path) for path in files]),
        OURS: lambda: np.stack(extract(files, config)),
    }
    measured = in_turn(sides, settings.rounds, warm=False)
    walls = {side: {key: figures[key] for key in ("wall",)} for side, figures in measured.items()}
    kind = files[0].suffix[1:].upper()
    title = f"Features of {len(files)} {kind} files for training, all cores, wall time"
    return Table(f"features-{name}", title, LOOP, "wall", walls)


def _by_librosa(path: Path) -> npt.NDArray[np.float32]:
    """librosa's MFCC of the samples that ser-edge takes: without their DC offset, which alone moves a value by 0.3."""
    import librosa

    with open_source(str(path)) as sound:
        samples = np.concatenate(list(mono_blocks(sound, None, SECONDS)))[: round(SECONDS * sound.rate)]
        resampled = librosa.resample(samples, orig_sr=sound.rate, target_sr=RATE)
    return mfcc(librosa.util.fix_length(resampled, size=round(SECONDS * RATE)))


if __name__ == "__main__":
    main(measure)
