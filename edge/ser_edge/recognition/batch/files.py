"""Many files in order: in this process where they are few, in a process pool where that is faster."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from ser_edge.errors.user_warnings import warn
from ser_edge.recognition.batch.tasks import FileResult, classify_file, default_jobs, worth_processes
from ser_edge.recognition.classifier import SoundClassifier

Result = TypeVar("Result")
_LOOK_AHEAD = 64  # files that are sized before choosing how to classify them; so many are worth starting processes for


@dataclass(frozen=True)
class FilesOptions:
    """How `Recognizer.predict_files` classifies files; the fields are its arguments."""

    jobs: int | None = None
    timeline: bool = False
    errors: str = "return"
    progress: Callable[[int, int | None], None] | None = None

    def __post_init__(self) -> None:
        jobs = self.jobs
        if jobs is not None and (isinstance(jobs, bool) or not hasattr(jobs, "__index__") or jobs < 1):
            raise ValueError(f"jobs={jobs!r}: must be a whole number, 1 or more")
        if self.errors not in ("return", "raise"):
            raise ValueError(f'errors={self.errors!r}: must be "return" or "raise"')


def check_paths(paths: Any) -> None:
    """Raises TypeError for what isn't an iterable of paths: one path or folder, or an array."""
    if isinstance(paths, str | bytes | os.PathLike):
        each = f'predict_files(Path({os.fsdecode(paths)!r}).rglob("*.wav"))'
        raise TypeError(f"{type(paths).__name__}: one path; type predict_files([path]), or for a folder {each}")
    if not isinstance(paths, Iterable):
        raise TypeError(f"{type(paths).__name__}: not paths; type predict_files(paths) with a list of them")


def map_files(
    recognizer: SoundClassifier,
    paths: Iterable[str],
    jobs: int | None,
    timeline: bool,
    classify: Callable[[str], Result],
    on_start: Callable[[int], None] | None = None,
) -> Generator[Result | FileResult, None, None]:
    """Classifies files with `classify` in this process, or in a process pool if `jobs` or the files call for it.

    Args:
        recognizer: that of this process, which those of other processes equal.
        paths: taken as they are needed; one by one with a single job.
        jobs: processes; None is as many as suit the files and this machine.
        timeline: as for `tasks.classify_file`, in other processes.
        classify: what to do with a path in this process.
        on_start: called with the number of processes, if there are others.

    Raises:
        SerEdgeError: no further file can be classified.
    """
    if jobs != 1:
        paths = iter(paths)
        first = list(islice(paths, _LOOK_AHEAD))
        paths = chain(first, paths)
        if jobs is None:
            many = len(first) == _LOOK_AHEAD or worth_processes(first)
            jobs = default_jobs(recognizer.threads) if many and recognizer.is_from_file else 1
        if jobs > 1 and len(first) > 1:
            from ser_edge.recognition.batch.process_pool import predict_in_processes

            if on_start:
                on_start(jobs)
            yield from predict_in_processes(recognizer, paths, jobs, timeline)
            return
    yield from map(classify, paths)


def predict_files(
    recognizer: SoundClassifier, paths: Iterable[Any], options: FilesOptions
) -> Generator[FileResult, None, None]:
    """`Recognizer.predict_files`."""
    failures: list[Exception] = []
    total = len(paths) if isinstance(paths, Sized) else None
    classify = partial(classify_file, recognizer, timeline=options.timeline)
    results = map_files(recognizer, _checked(paths, failures), options.jobs, options.timeline, classify)
    with closing(results):
        for done, result in enumerate(results, start=1):
            for warning in result.warnings:
                warn(warning)
            if options.progress:
                options.progress(done, total)
            if result.error is not None and options.errors == "raise":
                raise result.error
            yield result
    if failures:
        raise failures[0]


def _checked(paths: Iterable[Any], failures: list[Exception]) -> Iterator[str]:
    """The paths as text. What they raise ends them and is kept: results of the files before come first."""
    try:
        for path in paths:
            if not isinstance(path, str | bytes | os.PathLike):
                kind = type(path).__name__
                raise TypeError(f"{kind}: not a path; predict_files takes paths, predict a list of arrays as well")
            yield os.fsdecode(path)
    except Exception as e:
        failures.append(e)
