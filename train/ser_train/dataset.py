"""Features of a whole corpus: computed once, in parallel, by the runtime's own front-end, and cached.

The cache is keyed by what the features depend on: the recordings' contents, the settings, and the front-end's code.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import joblib
import numpy as np
import numpy.typing as npt
import scipy.fft
from tqdm import tqdm

import ser_edge.audio
import ser_edge.features
from ser_edge.features import FeatureConfig, Features, FrontEnd
from ser_train.atomic import replacing
from ser_train.corpus import Utterance, unique
from ser_train.fetch import cache_folder

__all__ = ["corpus_features", "extract"]

_CHUNK = 24  # files in one task: long enough to pay for the front-end's tables, short enough for the bar


def corpus_features(utterances: Sequence[Utterance], config: FeatureConfig, jobs: int = -1) -> npt.NDArray[np.float32]:
    """Features of each utterance, from the cache where they were computed before.

    Args:
        utterances: with digests; the same recording is computed once.
        config: the front-end's settings, of a fixed length.
        jobs: processes; -1 for a process a core.

    Returns:
        (utterances, frames, coefficients) float32, not normalised.

    Raises:
        AudioError: an utterance the front-end can't use.
    """
    recordings = sorted(unique(utterances), key=lambda u: u.digest)
    path = cache_folder() / "features" / f"{_key(recordings, config)}.npy"
    features = _load(path)
    if features is None:
        features = extract([u.path for u in recordings], config, jobs)
        with replacing(path) as unfinished:
            np.save(unfinished, features)
    row = {u.digest: i for i, u in enumerate(recordings)}
    selected: npt.NDArray[np.float32] = features[[row[u.digest] for u in utterances]]
    return selected


def extract(paths: Sequence[Path], config: FeatureConfig, jobs: int = -1) -> npt.NDArray[np.float32]:
    """(paths, frames, coefficients) float32, computed now."""
    chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    results: list[Features] = []
    with tqdm(desc="features", total=len(paths), unit=" files", disable=None) as bar:
        for done in parallel(joblib.delayed(_extract)(chunk, config) for chunk in chunks):
            results.extend(done)
            bar.update(len(done))
    return np.stack(results)


def _extract(paths: Sequence[Path], config: FeatureConfig) -> list[Features]:
    front_end = _front_end(config)
    return [front_end(ser_edge.audio.read(path, config.sample_rate, config.seconds)) for path in paths]


@lru_cache(maxsize=4)  # its tables take as long to make as the features of a few files
def _front_end(config: FeatureConfig) -> FrontEnd:
    return FrontEnd(config, rfft=scipy.fft.rfft)


def _load(path: Path) -> npt.NDArray[np.float32] | None:
    """What was cached; None where that is nothing, or damaged."""
    try:
        features: npt.NDArray[np.float32] = np.load(path)
    except (OSError, EOFError, ValueError):
        return None
    return features


def _key(recordings: Sequence[Utterance], config: FeatureConfig) -> str:
    code = [Path(module.__file__ or "").read_text("utf-8") for module in (ser_edge.audio, ser_edge.features)]
    content = json.dumps([[u.digest for u in recordings], asdict(config), code])
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
