"""Arguments of `predict` and `stream`: the same samples from each kind of source, or an error."""

import asyncio
import gzip
import io
import mmap
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_edge import AudioError, ModelError, Recognizer
from ser_edge.audio.decoding.file_objects import binary_file
from ser_edge.audio.sources import open_source
from tests import messages

RATE = 16_000
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)


def encoded(samples: npt.NDArray[np.float32] = NOISE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()


WAV = encoded()


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


@dataclass
class Place:
    """A path that is no `Path`."""

    path: Any

    def __fspath__(self) -> Any:
        return self.path


class OnlyReads:
    """What reads and can do nothing else, a few bytes at a time."""

    def __init__(self, content: bytes = WAV):
        self._file = io.BytesIO(content)

    def read(self, size: int = -1) -> Any:
        return self._file.read(min(size, 999))


class ReadsAll(OnlyReads):
    def read(self) -> Any:  # type: ignore[override]
        return self._file.read()


class NoFile(OnlyReads):
    """Reads something else, or fails."""

    def __init__(self, gives: Any):
        self._gives = gives

    def read(self, size: int = -1) -> Any:
        if isinstance(self._gives, Exception):
            raise self._gives
        return self._gives


@dataclass
class Upload:
    """As FastAPI's UploadFile: it reads in coroutines, its file doesn't."""

    file: Any
    filename: str = "voice.wav"

    async def read(self, size: int = -1) -> Any:
        return self.file.read(size)

    async def seek(self, offset: int) -> None:
        self.file.seek(offset)


@dataclass
class Part:
    """As Werkzeug's FileStorage (Flask): all that its stream can."""

    stream: Any
    filename: str = "voice.wav"
    name: str = "field"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@dataclass
class Field:
    """As aiohttp's FileField: its file alone reads."""

    file: Any
    filename: str = "voice.wav"


class Remote:
    """What comes over the network in coroutines, without a file."""

    async def read(self, size: int = -1) -> bytes:
        return WAV


def read_before(count: int = -1) -> io.BytesIO:
    file = io.BytesIO(WAV)
    file.read(count)
    return file


def spooled() -> Any:
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115
    file.write(WAV)
    return file


def archived() -> Any:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", WAV)
    return zipfile.ZipFile(content).open("a.wav")


def piped() -> Any:
    receiver, sender = os.pipe()
    with open(sender, "wb") as out:  # noqa: PTH123
        out.write(encoded(NOISE[:4_000]))  # a pipe holds no more without a reader
    return open(receiver, "rb")  # noqa: PTH123


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


def test_an_upload_is_predicted_inside_a_coroutine(recognizer: Recognizer) -> None:
    async def handler(upload: Upload) -> str:
        return (await asyncio.to_thread(recognizer.predict, upload)).label

    assert asyncio.run(handler(Upload(io.BytesIO(WAV)))) == recognizer.predict(NOISE, RATE).label


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer()


def parts() -> Iterator[Any]:
    yield from np.split(NOISE, 10)


@pytest.mark.parametrize(
    "chunks",
    [
        [NOISE],
        parts(),
        map(np.ndarray.tolist, parts()),
        ((RATE, part) for part in parts()),
        [part[None] for part in parts()],
        [memoryview(part) for part in parts()],
        np.split(NOISE, 10),
    ],
    ids=["one", "generator", "lists", "with their rate", "(1, samples)", "memoryviews", "list"],
)
def test_a_stream_takes_any_iterable_of_samples(chunks: Any, recognizer: Recognizer) -> None:
    expected = list(recognizer.stream(np.split(NOISE, 10), RATE))
    assert list(recognizer.stream(chunks, RATE)) == expected
    assert expected[-1].end == 1.0


@pytest.mark.parametrize("chunks", ["a.wav", Path("a.wav"), io.BytesIO(WAV), WAV, NOISE, None])
def test_a_stream_of_anything_but_chunks_is_a_type_error_at_once(chunks: Any, recognizer: Recognizer) -> None:
    with pytest.raises(TypeError, match="chunks"):
        recognizer.stream(chunks, RATE)


def test_an_async_source_goes_through_create_stream(recognizer: Recognizer) -> None:
    async def source() -> Any:
        for part in parts():
            yield part

    async def fed() -> list[Any]:
        listener = recognizer.create_stream(RATE)
        found = [prediction async for part in source() for prediction in listener.accept_waveform(part)]
        return found + listener.input_finished()

    with pytest.raises(TypeError, match="create_stream"):
        recognizer.stream(source(), RATE)  # type: ignore[arg-type]
    assert asyncio.run(fed()) == list(recognizer.stream([NOISE], RATE))


@pytest.mark.parametrize("rate", ["16000", None, NOISE])
def test_a_stream_needs_a_rate_that_is_a_number(rate: Any, recognizer: Recognizer) -> None:
    with pytest.raises(TypeError, match="sample_rate"):
        recognizer.create_stream(rate)


@pytest.mark.parametrize("path", ["x.wav", Path("b/x.mp3")])
def test_a_sound_is_no_model(path: Any) -> None:
    with pytest.raises(ModelError):
        Recognizer(path)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"model": NOISE}, TypeError),
        ({"threads": 0}, ValueError),
        ({"threads": True}, ValueError),
        ({"threads": "2"}, ValueError),
        ({"threshold": 50}, ValueError),
        ({"threshold": float("nan")}, ValueError),
        ({"channel": 0}, ValueError),
        ({"channel": -1}, ValueError),
        ({"channel": 1.5}, ValueError),
    ],
)
def test_a_recognizer_with_invalid_settings_is_refused(settings: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind, match=next(iter(settings))):
        Recognizer(**settings)
