"""A folder with a file for each input: `--output-dir`.

What is there under its name is complete: a file is written under another name first, and gets its own when its input is
classified to the end. So a run that was interrupted goes on where it stopped, by leaving out what is there.

Names follow the inputs, and nothing else: `a.wav` becomes `a.json`, and folders below the folder that holds all inputs
are mirrored. Sounds whose names differ in their suffix alone keep it: `a.wav.json` and `a.flac.json`.
"""

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

from ser_edge.audio.formats import AUDIO_SUFFIXES
from ser_edge.errors import OutputError
from ser_edge.models.metadata import ModelMetadata
from ser_edge.output.writers import WRITERS, MergingSink, Sink
from ser_edge.recognition.prediction import Prediction

SUFFIXES = {"text": ".txt", "json": ".json", "csv": ".csv", "srt": ".srt", "vtt": ".vtt", "audacity": ".labels.txt"}
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)  # no other file can be written either


class OutputFolder:
    """Writes the predictions of each input into files of its own.

    Args:
        folder: made if it isn't there.
        inputs: the paths of all files and folders that may be classified.
        formats: keys of `WRITERS`.
        metadata: of the model that predicts.
        windows: each input gives several predictions.
        merge: whether equal neighbouring windows are written as one.
        overwrite: whether inputs count as new whose files are there.

    Raises:
        OSError: no file can be made in the folder.
    """

    def __init__(
        self,
        folder: str,
        inputs: Sequence[str],
        formats: Sequence[str],
        metadata: ModelMetadata,
        windows: bool = False,
        merge: bool = False,
        overwrite: bool = False,
    ):
        from tempfile import TemporaryFile

        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=self._folder):  # whether files can be made
            pass
        self._root = self._folder.resolve()
        self._token = os.urandom(8).hex()  # of this run: in containers all have one process number
        self._base = _common_folder(inputs)
        self._formats, self._metadata = tuple(formats), metadata
        self._windows, self._merge, self._overwrite = windows, merge, overwrite
        self._names = lru_cache(maxsize=16)(_names)  # of the last folders
        self.skipped = 0  # inputs that `pending` left out
        self.completed = 0  # inputs whose files were written

    def pending(self, paths: Iterable[str]) -> Iterator[str]:
        """Yields the inputs that have to be classified, and counts the others in `skipped`."""
        for path in paths:
            if self.is_complete(path):
                self.skipped += 1
            else:
                yield path

    def is_complete(self, path: str) -> bool:
        """Whether nothing has to be written for an input."""
        return not self._missing(path)

    @contextmanager
    def files(self) -> Iterator[Sink]:
        """A sink for all predictions of one input, whose files are there when the block ends without an exception.

        Raises:
            OutputError: they can't be written.
        """
        with _Files(self) as files:
            yield files
            files.close()

    def open(self, path: str, stack: ExitStack, parts: list[Path]) -> Iterator[tuple[Path, Path, Sink]]:
        """Makes the files that are missing for an input: (present path, final path, writer) of each.

        Adds the present paths to `parts` before the files are there, so that Ctrl-C in between leaves none.

        Raises:
            OutputError: a file can't be made there, but others may.
        """
        for form, target in self._missing(path).items():
            part = target.with_name(f".ser-edge-{self._token}-{form}.part")
            try:
                if not Path(os.path.realpath(target.parent)).is_relative_to(self._root):
                    raise OutputError(f"{target}: a link out of {self._folder}; remove it, or give another folder")
                target.parent.mkdir(parents=True, exist_ok=True)
                parts.append(part)
                out = stack.enter_context(part.open("x", encoding="utf-8", errors="backslashreplace"))
            except OSError as e:
                raise _error(target, e) from e
            writer: Sink = WRITERS[form](out, self._metadata, self._windows)
            yield part, target, MergingSink(writer) if self._merge else writer

    def _missing(self, path: str) -> dict[str, Path]:
        """The files that have to be written for an input, by their formats."""
        targets = {form: self._target(path, form) for form in self._formats}
        return {form: target for form, target in targets.items() if self._overwrite or not _is_file(target)}

    def _target(self, path: str, form: str) -> Path:
        source = _absolute(path)
        suffix = ".jsonl" if form == "json" and self._windows else SUFFIXES[form]
        return self._folder / source.parent.relative_to(self._base) / f"{self._unique_name(source)}{suffix}"

    def _unique_name(self, source: Path) -> str:
        """The name of an input in its folder, without its suffix where no other one has the same then."""
        stems, names = self._names(source.parent)
        stem = source.stem.casefold()  # some file systems ignore case
        is_sound = source.suffix.lower() in AUDIO_SUFFIXES
        is_alone = stems[stem] <= 1 and stem not in names and not stem.endswith(".labels")  # a.labels.txt is a track
        return source.stem if is_sound and is_alone else source.name


class _Files(Sink):
    """The files of one input, opened at its first prediction, which names it."""

    def __init__(self, folder: OutputFolder):
        self._folder = folder
        self._stack = ExitStack()  # closes the files
        self._opened: list[tuple[Path, Path, Sink]] = []
        self._parts: list[Path] = []

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *error: object) -> None:
        """Removes what hasn't got its name."""
        try:
            self._stack.close()
        finally:
            for part in self._parts:
                part.unlink(missing_ok=True)

    def write(self, prediction: Prediction) -> None:
        """Writes to every file."""
        if not self._opened:
            for opened in self._folder.open(prediction.path or "", self._stack, self._parts):
                self._opened.append(opened)
        for _, _, writer in self._opened:
            writer.write(prediction)

    def close(self) -> None:
        """Completes the files, and gives them their names."""
        for _, _, writer in self._opened:
            writer.close()
        self._stack.close()
        for part, target, _ in self._opened:
            try:
                part.replace(target)
            except OSError as e:
                raise _error(target, e) from e
        self._folder.completed += 1


def _error(target: Path, error: OSError) -> OSError | OutputError:
    """The error that ends the run, or that of one input."""
    if error.errno in _OF_THE_DISK:
        return error
    return OutputError(f"{target}: can't be written: {error.strerror}")


def _absolute(path: str) -> Path:
    """Without links followed, so that what is below a folder stays below it, and without `..`."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps `..`


def _common_folder(inputs: Sequence[str]) -> Path:
    """The folder that all inputs lie in; for a single folder that itself."""
    folders = {path if _is_folder(path) else path.parent for path in map(_absolute, inputs)}
    return Path(os.path.commonpath(folders))


def _names(folder: Path) -> tuple[Counter[str], frozenset[str]]:
    """The stems of the sounds in a folder, with how many have each, and the names of all its entries."""
    try:
        names = [name.casefold() for name in os.listdir(folder)]  # noqa: PTH208 - paths would take four times as long
    except OSError:  # opening the input will report that
        names = []
    stems = Counter(stem for stem, suffix in map(os.path.splitext, names) if suffix in AUDIO_SUFFIXES)
    return stems, frozenset(names)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # its name is too long, which opening it will report
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # as above
        return False
