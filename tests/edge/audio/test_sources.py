"""What `predict` and `stream` are called with in programs: it is the same sound, or a line says what to type."""

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
from ser_edge.audio.sources import open_source

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


def refusal(kind: type[Exception], source: Any, sample_rate: Any = None) -> str:
    with pytest.raises(kind) as error:
        samples_of(source, sample_rate)
    assert "\n" not in str(error.value)
    return str(error.value)


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
        out.write(encoded(NOISE[:4_000]))  # a pipe holds no more while nobody reads
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
def test_the_same_sound_comes_through_every_door(name: str, wav: Path) -> None:
    source = SAME[name](wav)
    np.testing.assert_array_equal(samples_of(source), NOISE)
    if name not in ("what only reads", "what only reads all"):
        np.testing.assert_array_equal(samples_of(source), NOISE)  # and once more: it is rewound


def test_memory_that_is_mapped_is_a_file(wav: Path) -> None:
    with wav.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        np.testing.assert_array_equal(samples_of(mapped), NOISE)


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe that holds it")
def test_what_can_not_be_rewound_is_read_on() -> None:
    with piped() as pipe:
        np.testing.assert_array_equal(samples_of(pipe), NOISE[:4_000])


def test_a_sound_file_is_read_from_where_it_stands_and_stands_there_again(wav: Path) -> None:
    with soundfile.SoundFile(wav) as file:
        file.seek(4_000)
        for _ in range(2):
            np.testing.assert_array_equal(samples_of(file), NOISE[4_000:])
        file.read()
        assert refusal(AudioError, file) == f"{wav}: a SoundFile that was read to its end; type file.seek(0)"
    assert refusal(AudioError, file) == f"{wav}: a SoundFile that is closed already; open it again"


def test_a_sound_file_that_is_written_is_refused(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "b.wav", "w", RATE, 1) as file:
        assert "opened for writing; close it, then type predict(path)" in refusal(AudioError, file)


def test_a_large_copy_lies_on_disk_and_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser_edge.audio.decoding.file_objects._IN_MEMORY", 1_000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    np.testing.assert_array_equal(samples_of(OnlyReads()), NOISE)
    assert list(tmp_path.iterdir()) == []


def test_an_endless_copy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser_edge.audio.decoding.file_objects._LONGEST", 1 << 20)
    assert refusal(AudioError, NoFile(bytes(4096))) == (
        "the stream: over 0 GiB and no end; save it as a file, and give its path"
    )


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "closed": (lambda _: closed(), "the stream: closed already; open it again"),
    "text": (lambda path: path.open(encoding="latin-1"), '.*a.wav: opened as text; open it as open(path, "rb")'),
    "StringIO": (lambda _: io.StringIO("RIFF"), 'the stream: opened as text; open it as open(path, "rb")'),
    "reads text": (lambda _: NoFile("RIFF"), "the stream: reads text; open it in binary mode"),
    "reads lists": (lambda _: NoFile([1]), "the stream: its read() gives list, not bytes; .*"),
    "reads nothing yet": (lambda _: NoFile(None), "the stream: its read() gives NoneType, not bytes; .*"),
    "fails": (lambda _: NoFile(KeyError("gone\nfor good")), r"the stream: can't be read: 'gone\\nfor good'"),
    "damaged member": (lambda _: damaged_member(), "a.wav: can't be read: .*"),
    "for writing": (lambda path: path.open("ab"), '.*a.wav: opened for writing; open it as open(path, "rb")'),
    "empty": (lambda _: io.BytesIO(), "the stream: .*"),
    "no path": (lambda _: "", r"the path is empty; was a variable not set\?"),
    "URL": (lambda _: "https://a.example/b.wav", ".*b.wav: a URL; give the path of a file, downloaded first"),
    "home": (lambda _: "~/b.wav", r"~/b.wav: no such file; type os.path.expanduser\('~/b.wav'\)"),
    "bytes of no path": (lambda _: b"missing.wav", "missing.wav: no such file"),
    "folder": (
        lambda path: path.parent,
        r'.*: a folder; predict takes one sound; type \[recognizer\.predict\(p\) for p in .*\.rglob\("\*\.wav"\)\]',
    ),
    "folder of nothing": (lambda path: made(path.parent / "b"), ".*b: a folder; .*"),
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
def test_what_is_no_sound_is_refused_in_a_line(name: str, wav: Path) -> None:
    make, says = REFUSED[name]
    pattern = says if "\\" in says else says.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(AudioError, match=f"^{pattern}$"):
        samples_of(make(wav))


@pytest.mark.parametrize(
    ("source", "rate", "says"),
    [
        (NOISE, None, "an array needs its sample rate: predict(array, sample_rate=...)"),
        (NOISE.tolist(), None, "an array needs its sample rate: predict(array, sample_rate=...)"),
        (RATE, NOISE, "samples come first, then their rate; type predict(samples, sample_rate=16000)"),
        (
            float(RATE),
            NOISE.tolist(),
            "samples come first, then their rate; type predict(samples, sample_rate=16000.0)",
        ),
        ((NOISE, RATE), 8_000, "the samples come with 16000 Hz, sample_rate says 8000; leave one of them out"),
        (NOISE, "16000", "sample_rate is '16000'; it must be a number of Hz: sample_rate=16000"),
        (Remote(), None, "Remote: its read() is async; type io.BytesIO(await file.read())"),
    ],
)
def test_a_call_that_makes_no_sense_says_what_to_type(source: Any, rate: Any, says: str) -> None:
    assert refusal(TypeError, source, rate) == says


def test_what_is_awaited_is_not_left_waiting() -> None:
    class Hidden(OnlyReads):
        def read(self, size: int = -1) -> Any:
            return Remote().read()

    assert "its read() is async" in refusal(TypeError, Hidden())


def test_the_rate_may_be_given_twice_if_it_is_the_same() -> None:
    np.testing.assert_array_equal(samples_of((NOISE, RATE), float(RATE)), NOISE)


def test_an_upload_is_called_by_its_file_in_messages() -> None:
    for upload in (Part(io.BytesIO(b"text")), Upload(io.BytesIO(b"text")), Field(io.BytesIO(b"text"))):
        assert refusal(AudioError, upload).startswith("voice.wav: ")


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
def test_a_stream_takes_what_yields_samples(chunks: Any, recognizer: Recognizer) -> None:
    expected = list(recognizer.stream(np.split(NOISE, 10), RATE))
    assert list(recognizer.stream(chunks, RATE)) == expected
    assert expected[-1].end == 1.0


@pytest.mark.parametrize(
    ("chunks", "says"),
    [
        ("a.wav", "str: no chunks of samples; for a file type stream(soundfile.blocks(file, 1600), ...)"),
        (Path("a.wav"), "Path: no chunks of samples; for a file type stream(soundfile.blocks(file, 1600), ...)"),
        (io.BytesIO(WAV), "BytesIO: no chunks of samples; for a file type stream(soundfile.blocks(file, 1600), ...)"),
        (WAV, "bytes: no chunks; for 16-bit samples type stream([np.frombuffer(data, np.int16)], ...)"),
        (NOISE, "ndarray: no chunks but one array; type stream([array], ...), or list(array) for its rows"),
        (None, "NoneType: no chunks; give something that yields arrays of samples"),
    ],
)
def test_a_stream_of_what_is_no_chunks_says_so_at_once(chunks: Any, says: str, recognizer: Recognizer) -> None:
    with pytest.raises(TypeError) as error:
        recognizer.stream(chunks, RATE)
    assert str(error.value).replace("PosixPath", "Path").replace("WindowsPath", "Path") == says


def test_an_async_source_is_fed_to_a_listener(recognizer: Recognizer) -> None:
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
def test_a_listener_needs_a_rate_that_is_a_number(rate: Any, recognizer: Recognizer) -> None:
    with pytest.raises(TypeError, match=r"^sample_rate is .*; it must be a number of Hz"):
        recognizer.create_stream(rate)


@pytest.mark.parametrize(
    ("settings", "kind", "says"),
    [
        ({"model": "x.wav"}, ModelError, r"x\.wav: a sound, not a model file \(.*\); it goes into .*predict\(\.\.\.\)"),
        ({"model": Path("b/x.mp3")}, ModelError, r".*x\.mp3: a sound, not a model file .*"),
        (
            {"model": NOISE},
            TypeError,
            r"a model is a name or a path, not ndarray; the sound goes into predict\(\.\.\.\)",
        ),
        ({"threads": 0}, ValueError, "threads=0: must be a whole number, 1 or more"),
        ({"threads": True}, ValueError, "threads=True: must be .*"),
        ({"threads": "2"}, ValueError, "threads='2': must be .*"),
        ({"threshold": 50}, ValueError, "threshold=50: must be 0 to 1"),
        ({"threshold": float("nan")}, ValueError, "threshold=nan: must be 0 to 1"),
        ({"channel": 0}, ValueError, "channel=0: must be a whole number, 1 for the first"),
        ({"channel": -1}, ValueError, "channel=-1: must be .*"),
        ({"channel": 1.5}, ValueError, "channel=1.5: must be .*"),
    ],
)
def test_a_recognizer_of_nonsense_is_refused(settings: dict[str, Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=f"^{says}$"):
        Recognizer(**settings)
