"""Features of a whole corpus: computed once, in parallel, by the runtime's front-end, and cached.

The cache is keyed by all that features depend on: the recordings' contents, the settings, and the front-end's code.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import scipy.fft
from tqdm import tqdm

import ser_edge.audio
import ser_edge.features
from ser_edge.audio.reading import read
from ser_edge.errors import AudioError, printable
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import Features, FrontEnd
from ser_train.data.atomic import atomic_write
from ser_train.data.corpus_loader import Utterance, unique
from ser_train.data.download import cache_folder
from ser_train.data.splits import speaker_groups
from ser_train.data.utterance import CorpusError, raise_problems

_CHUNK = 24  # files in one task: amortises the front-end's tables, keeps the progress bar moving


def corpus_features(utterances: Sequence[Utterance], config: FeatureConfig, jobs: int = -1) -> npt.NDArray[np.float32]:
    """Features of each utterance, computed or from the cache.

    Args:
        utterances: with digests; the same recording is computed once.
        config: the front-end's settings, of a fixed length.
        jobs: processes; -1 for a process a core.

    Returns:
        (utterances, frames, coefficients) float32, not normalised.

    Raises:
        CorpusError: utterances that the front-end can't use.
    """
    return np.stack(_cached(utterances, config, "utterance", jobs))


def corpus_spectra(utterances: Sequence[Utterance], config: FeatureConfig, jobs: int = -1) -> list[Features]:
    """`FrontEnd.log_mel` of each whole recording, computed or from the cache; arguments as above.

    Returns:
        For each utterance (frames, n_mels) float32, dB; memory-mapped.
    """
    return _cached(utterances, config, "log_mel", jobs)


def extract(paths: Sequence[Path], config: FeatureConfig, jobs: int = -1, stage: str = "utterance") -> list[Features]:
    """Features of each path, (frames, coefficients) float32, computed up to the front-end's `stage`.

    Raises:
        CorpusError: recordings that the front-end can't use, all of them in one message.
    """
    chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    results: list[Features] = []
    problems: list[tuple[Path, str]] = []
    with tqdm(desc="features", total=len(paths), unit=" files", disable=None) as bar:
        for done in parallel(joblib.delayed(_extract)(chunk, config, stage) for chunk in chunks):
            features, refused = done
            results += features
            problems += refused
            bar.update(len(features) + len(refused))
    raise_problems(sorted(problems), "corpus-unreadable")
    return results


def save_ragged(path: Path, items: Sequence[npt.NDArray[Any]]) -> None:
    """Writes arrays that differ in their first dimension alone; `path` ends with .npy.

    Raises CorpusError if it can't be written.
    """
    try:
        for target, array in (
            (path.with_suffix(".lengths.npy"), np.array([len(item) for item in items])),
            (path, np.concatenate(items)),  # last: if it exists, both do
        ):
            with atomic_write(target) as unfinished:
                np.save(unfinished, array)
    except OSError as e:
        raise _unwritable(path, e) from e


def load_ragged(path: Path) -> list[npt.NDArray[Any]] | None:
    """What `save_ragged` wrote, memory-mapped; None if there is nothing, or something damaged."""
    try:
        values = np.load(path, mmap_mode="r")
        lengths = np.load(path.with_suffix(".lengths.npy"))
    except (OSError, EOFError, ValueError):
        return None
    if lengths.sum() != len(values):
        return None
    return np.split(values, np.cumsum(lengths)[:-1])


def _unwritable(path: Path, error: OSError) -> CorpusError:
    return CorpusError(
        f"{path}: can't be written ({error.strerror}); free some space, or set SER_EDGE_CACHE to another folder",
        code="cache-unwritable",
    )


def _cached(utterances: Sequence[Utterance], config: FeatureConfig, stage: str, jobs: int) -> list[Features]:
    """Features, a cache file for each group of speakers: another fold or corpus recomputes none."""
    folder = cache_folder() / "features"
    try:
        folder.mkdir(parents=True, exist_ok=True)  # before they are computed in vain
    except OSError as e:
        raise _unwritable(folder, e) from e
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for utterance, name in zip(utterances, speaker_groups(utterances), strict=True):
        groups[name].append(utterance)
    rows: dict[str, Features] = {}
    missing: dict[Path, list[Utterance]] = {}
    for group in groups.values():
        recordings = sorted(unique(group), key=lambda u: u.digest)
        path = folder / f"{_key(recordings, config, stage)}.npy"
        if (features := load_ragged(path)) is None:
            missing[path] = recordings
        else:
            rows |= {u.digest: item for u, item in zip(recordings, features, strict=True)}
    paths = [u.path for group in missing.values() for u in group]
    computed = iter(extract(paths, config, jobs, stage) if paths else ())
    for path, recordings in missing.items():
        features = [next(computed) for _ in recordings]
        save_ragged(path, features)
        rows |= {u.digest: item for u, item in zip(recordings, features, strict=True)}
    return [rows[u.digest] for u in utterances]


def _extract(paths: Sequence[Path], config: FeatureConfig, stage: str) -> tuple[list[Features], list[tuple[Path, str]]]:
    """Features, and what is wrong with those that have none."""
    front_end = front_end_of(config)
    extract_one = front_end.log_mel if stage == "log_mel" else front_end
    seconds = None if stage == "log_mel" or config.trim_db is not None else config.seconds
    features, problems = [], []
    for path in paths:
        try:
            features.append(extract_one(read(path, config.sample_rate, seconds)))
        except AudioError as error:
            problems.append((path, str(error).removeprefix(printable(f"{path}: "))))
    return features, problems


@lru_cache(maxsize=4)  # its tables take as long to compute as the features of a few files
def front_end_of(config: FeatureConfig) -> FrontEnd:
    """The runtime's front-end, with SciPy's faster FFT."""
    return FrontEnd(config, rfft=scipy.fft.rfft)


def _key(recordings: Sequence[Utterance], config: FeatureConfig, stage: str) -> str:
    code = [path.read_text("utf-8") for path in front_end_code()]
    content = json.dumps([[u.digest for u in recordings], asdict(config), stage, code])
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def front_end_code() -> list[Path]:
    """The source files that features depend on: a change of theirs invalidates the cache."""
    return [
        path
        for package in (ser_edge.audio, ser_edge.features)
        for path in sorted(Path(package.__path__[0]).rglob("*.py"))
    ]
