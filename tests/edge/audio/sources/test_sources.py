"""Arguments of `predict` and `stream`: the same samples from each kind of source, or an error."""

import gzip
import io
import mmap
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_edge import AudioError
from ser_edge.audio.decoding.file_objects import binary_file
from ser_edge.audio.sources import open_source
from tests import messages
from tests.edge.audio.sources.kinds import (
    NOISE,
    RATE,
    WAV,
    Field,
    NoFile,
    OnlyReads,
    Part,
    Place,
    ReadsAll,
    Remote,
    Upload,
    archived,
    piped,
    read_before,
    spooled,
)


def samples_of(source: Any, sample_rate: Any = None) -> npt.NDArray[np.float32]:
    with open_source(source, sample_rate) as sound:
        assert sound.rate == RATE
        return np.concatenate(list(sound.chunks))[:, 0]


def refusal(source: Any, sample_rate: Any = None) -> str:
    """The code of its AudioError."""
    with pytest.raises(AudioError) as caught:
        samples_of(source, sample_rate)
    messages.check(caught.value, caught.value.code)
    return caught.value.code


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    path.write_bytes(WAV)
    return path


SAME: dict[str, Callable[[Path], Any]] = {  # what is made of a path
    "text": str,
    "Path": Path,
    "PathLike": lambda path: Place(str(path)),
    "PathLike of bytes": lambda path: Place(os.fsencode(path)),
    "bytes of a path": os.fsencode,
    "an open file": lambda path: path.open("rb"),
    "an open file without a buffer": lambda path: path.open("rb", buffering=0),
    "a file open for both": lambda path: path.open("r+b"),
    "BytesIO": lambda _: io.BytesIO(WAV),
    "BytesIO that was read": lambda _: read_before(),
    "BytesIO that was read in part": lambda _: read_before(44),
    "a spooled file that was just written": lambda _: spooled(),
    "a member of a ZIP file": lambda _: archived(),
    "gzip": lambda _: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(WAV))),
    "what only reads": lambda _: OnlyReads(),
    "what only reads all": lambda _: ReadsAll(),
    "FastAPI's upload": lambda _: Upload(read_before()),
    "FastAPI's upload, spooled": lambda _: Upload(spooled()),
    "Flask's upload": lambda _: Part(io.BytesIO(WAV)),
    "aiohttp's upload": lambda path: Field(path.open("rb")),
    "SoundFile": soundfile.SoundFile,
    "(samples, rate)": lambda _: (NOISE, RATE),
    "(samples, rate) of a list": lambda _: (NOISE.tolist(), float(RATE)),
    "(rate, samples)": lambda _: (RATE, NOISE),
    "(rate, samples) of NumPy's": lambda _: (np.int64(RATE), NOISE[:, None]),
    "(channels, rate), as torchaudio": lambda _: (NOISE[None], RATE),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # they are left open, as programs do
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", SAME)
def test_each_kind_of_source_gives_the_same_samples(name: str, wav: Path) -> None:
    source = SAME[name](wav)
    np.testing.assert_array_equal(samples_of(source), NOISE)
    if name not in ("what only reads", "what only reads all"):
        np.testing.assert_array_equal(samples_of(source), NOISE)  # and once more: it is rewound


def test_memory_that_is_mapped_is_a_file(wav: Path) -> None:
    with wav.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        np.testing.assert_array_equal(samples_of(mapped), NOISE)


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe that holds it")
def test_a_file_that_cannot_be_rewound_is_read_on() -> None:
    with piped() as pipe:
        np.testing.assert_array_equal(samples_of(pipe), NOISE[:4_000])


def test_a_sound_file_is_read_from_where_it_stands_and_stands_there_again(wav: Path) -> None:
    with soundfile.SoundFile(wav) as file:
        file.seek(4_000)
        for _ in range(2):
            np.testing.assert_array_equal(samples_of(file), NOISE[4_000:])
        file.read()
        assert refusal(file) == "audio-file-object"
    assert refusal(file) == "audio-file-object"


def test_a_sound_file_that_is_written_is_refused(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "b.wav", "w", RATE, 1) as file:
        assert refusal(file) == "audio-file-object"


def test_a_large_copy_lies_on_disk_and_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with binary_file(OnlyReads(), max_in_memory=1_000) as (copy, _):
        assert copy.read() == WAV
    assert list(tmp_path.iterdir()) == []


def test_an_endless_copy_is_refused() -> None:
    with messages.raises(AudioError, "audio-too-long"), binary_file(NoFile(bytes(4096)), max_size=1 << 20):
        pass


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "closed": (lambda _: closed(), "audio-file-object"),
    "text": (lambda path: path.open(encoding="latin-1"), "audio-file-object"),
    "StringIO": (lambda _: io.StringIO("RIFF"), "audio-file-object"),
    "reads text": (lambda _: NoFile("RIFF"), "audio-file-object"),
    "reads lists": (lambda _: NoFile([1]), "audio-file-object"),
    "reads nothing yet": (lambda _: NoFile(None), "audio-file-object"),
    "fails": (lambda _: NoFile(KeyError("gone\nfor good")), "audio-unreadable"),
    "damaged member": (lambda _: damaged_member(), "audio-unreadable"),
    "for writing": (lambda path: path.open("ab"), "audio-file-object"),
    "empty": (lambda _: io.BytesIO(), "audio-placeholder"),
    "no path": (lambda _: "", "audio-not-found"),
    "URL": (lambda _: "https://a.example/b.wav", "audio-not-found"),
    "home": (lambda _: "~/b.wav", "audio-not-found"),
    "bytes of no path": (lambda _: b"missing.wav", "audio-not-found"),
    "folder": (lambda path: path.parent, "audio-folder"),
    "folder of nothing": (lambda path: made(path.parent / "b"), "audio-folder"),
}


def closed() -> io.BytesIO:
    file = io.BytesIO(WAV)
    file.close()
    return file


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def damaged_member() -> Any:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", WAV)
    damaged = bytearray(content.getvalue())
    damaged[20_000:20_400] = bytes(400)
    return zipfile.ZipFile(io.BytesIO(damaged)).open("a.wav")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_a_source_without_sound_has_a_code(name: str, wav: Path) -> None:
    make, code = REFUSED[name]
    source = make(wav)
    assert refusal(source) == code
    getattr(source, "close", lambda: None)()


@pytest.mark.parametrize(
    ("source", "rate"),
    [
        (NOISE, None),
        (NOISE.tolist(), None),
        (RATE, NOISE),
        (float(RATE), NOISE.tolist()),
        ((NOISE, RATE), 8_000),
        (NOISE, "16000"),
    ],
)
def test_a_missing_or_wrong_rate_is_a_type_error(source: Any, rate: Any) -> None:
    with pytest.raises(TypeError, match="rate"):
        samples_of(source, rate)


def test_an_asynchronous_file_is_a_type_error() -> None:
    class Hidden(OnlyReads):
        def read(self, size: int = -1) -> Any:
            return Remote().read()

    for source in (Remote(), Hidden()):
        with pytest.raises(TypeError, match="async"):
            samples_of(source)


def test_the_rate_may_be_given_twice_if_it_is_the_same() -> None:
    np.testing.assert_array_equal(samples_of((NOISE, RATE), float(RATE)), NOISE)


def test_an_upload_is_called_by_its_file_in_messages() -> None:
    for upload in (Part(io.BytesIO(b"text")), Upload(io.BytesIO(b"text")), Field(io.BytesIO(b"text"))):
        with messages.raises(AudioError, "audio-unknown-format") as caught:
            samples_of(upload)
        assert str(caught.value).startswith("voice.wav: ")
