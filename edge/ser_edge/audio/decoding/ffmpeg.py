"""FFmpeg decodes what libsndfile doesn't: M4A, WebM, MP4, AMR, WMA and what else phones and browsers record.

By PyAV where it is installed (`ser-edge[media]`), else by an `ffmpeg` on the path. Neither decodes what libsndfile
decodes, so that installing them changes no prediction.
"""

import os
import select
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ser_edge.audio.decoding.byte_streams import BLOCK, PeekableReader, SafeFile
from ser_edge.audio.decoding.containers.detection import segments_of
from ser_edge.audio.decoding.containers.segments import SegmentConverter, decode_segments
from ser_edge.audio.decoding.libsndfile import DecodeJob, raise_stop
from ser_edge.audio.sound import Channels, check_rate
from ser_edge.errors import AudioError
from ser_edge.errors.install_hints import pip_install

_SILENCE = 30.0  # seconds until a program that writes nothing is taken to hang
# Seconds of a gap in a recording's timestamps that become silence, so that times stay those of the recording. Less is
# rounding; more is a jump, as where a broadcast's clock begins anew. Smaller gaps add up.
_GAP = (0.1, 600.0)
# The same for an `ffmpeg` program, whose filter would also drop sound where timestamps go back, as where two recordings
# were joined. They are moved first: 0 is by how much, 1 the end of the frame before, 2 the moved timestamp.
_MOVED = (
    "st(0,ld(0)+max(0,ld(1)-PTS-ld(0)))*0"
    f"+if(gt(PTS+ld(0)-ld(1),{_GAP[1]:g}/TB),st(0,ld(1)-PTS),0)*0"
    "+st(2,PTS+ld(0))+0*st(1,ld(2)+NB_SAMPLES/SR/TB)"
)
_FILTER = f"asetpts='{_MOVED}',aresample=async=1:min_comp={_GAP[0]}:min_hard_comp={_GAP[0]}:first_pts=0"
_NO_SOUND = "no sound in it, or none that can be decoded"
# FFmpeg's names of the containers that it may read. Playlists and session descriptions aren't among them: the files and
# addresses that they name would be opened.
_CONTAINERS = """
aac ac3 aiff amr ape asf au avi caf dsf dts eac3 flac flv gsm loas matroska mov mp3 mpc mpc8 mpeg mpegts ogg oma rm tak
tta voc w64 wav wv xwma
"""
_WHITELIST = ",".join(_CONTAINERS.split())


def decoder() -> str | None:
    """The installed one of "PyAV" and "ffmpeg", the first of both, or None."""
    if find_spec("av") is not None:
        return "PyAV"
    return "ffmpeg" if shutil.which("ffmpeg") is not None else None


def install_command() -> str:
    """The command that installs one on this machine."""
    managed = Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED"  # there pip would refuse
    if sys.prefix == sys.base_prefix and managed.exists():
        for manager, command in [("brew", "brew install ffmpeg"), ("apt-get", "sudo apt-get install ffmpeg")]:
            if shutil.which(manager):
                return command
    return pip_install("av")


def decode_media(file: BinaryIO, job: DecodeJob) -> Generator[int | Channels, None, None]:
    """The rate of a seekable file, then the samples of the audio stream that FFmpeg takes for the main one.

    Updates `job`. Raises AudioError where nothing can be decoded.
    """
    file.seek(0)
    if decoder() == "PyAV":
        return _by_pyav(file, job)
    return _by_ffmpeg(file, job)


def _by_pyav(file: BinaryIO, job: DecodeJob) -> Generator[int | Channels, None, None]:
    import av

    source = SafeFile(file)
    try:
        with av.open(source, metadata_errors="ignore", container_options={"format_whitelist": _WHITELIST}) as container:
            stream = container.streams.best("audio")
            if stream is None:
                raise AudioError(f"{job.name}: {_NO_SOUND}", code="audio-unknown-format")
            yield from _frames(container, stream, job)
            raise_stop(source)
    except AudioError:
        raise
    except Exception as e:  # FFmpeg's errors are of many classes
        raise_stop(source)
        problem = getattr(e, "strerror", None) or str(e) or type(e).__name__
        if not job.seconds:
            raise AudioError(f"{job.name}: can't be decoded: {problem}", code="audio-damaged") from e
        job.problem = problem


def _frames(container: Any, stream: Any, job: DecodeJob) -> Iterator[int | Channels]:
    """All frames, at the rate and in the channels of the first, and silence for what their timestamps leave out."""
    import av

    clock = _Clock(None if container.start_time is None else container.start_time / av.time_base)
    target: tuple[int, int] | None = None  # rate, channels
    kind: tuple[int, int] | None = None
    converter: SegmentConverter | None = None
    for packet in container.demux(stream):
        job.taken += packet.size
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            job.skipped += packet.size
            continue
        for frame in frames:
            now = (frame.sample_rate, frame.layout.nb_channels)
            if target is None:
                check_rate(now[0], job.name)
                target = now
                yield now[0]
            if converter is None or now != kind:
                if converter is not None:
                    yield from converter.finish()
                kind, converter = now, SegmentConverter(now[0], *target)
            gap = clock.gap_before(frame)
            for silence in _silence(gap, *now, job.chunk_seconds):
                yield from converter.process(silence)
            job.seconds += gap + frame.samples / now[0]
            yield from converter.process(_samples(frame, now[1]))
    if converter is None:
        raise AudioError(f"{job.name}: {_NO_SOUND}", code="audio-unknown-format")
    yield from converter.finish()


class _Clock:
    """Finds gaps between frames by their timestamps; `start` is the container's, in s, or None."""

    def __init__(self, start: float | None):
        self._end = start  # of the frame before

    def gap_before(self, frame: Any) -> float:
        """Seconds that are missing before the next frame."""
        time, gap = frame.time, 0.0
        if time is not None:
            ahead = 0.0 if self._end is None else time - self._end
            if _GAP[0] < ahead <= _GAP[1]:
                gap = ahead
            if self._end is None or not 0 <= ahead <= _GAP[0]:
                self._end = time
        if self._end is not None:
            self._end += frame.samples / frame.sample_rate
        return gap


def _silence(seconds: float, rate: int, channels: int, at_once: float) -> Iterator[Channels]:
    """(samples, channels) zeros, so many seconds at once."""
    left, most = round(seconds * rate), max(1, round(at_once * rate))
    while left > 0:
        yield np.zeros((min(left, most), channels), np.float32)
        left -= most


def _samples(frame: Any, channels: int) -> Channels:
    """(samples, channels), full scale +-1, of any sample format."""
    data = frame.to_ndarray()  # (channels, samples), or one row of both
    data = data.T if frame.format.is_planar else data.reshape(-1, channels)
    samples: Channels = data.astype(np.float32)
    if data.dtype == np.uint8:
        samples = (samples - 128) / np.float32(128)
    elif np.issubdtype(data.dtype, np.integer):
        samples /= np.float32(-float(np.iinfo(data.dtype).min))
    return samples


def _by_ffmpeg(file: BinaryIO, job: DecodeJob) -> Generator[int | Channels, None, None]:
    with _at_a_path(file, job.path) as place, tempfile.TemporaryFile() as messages:
        command = ["ffmpeg", "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe"]
        command += ["-format_whitelist", _WHITELIST, "-i", f"file:{place}"]
        command += ["-vn", "-sn", "-dn", "-map_metadata", "-1"]
        command += ["-af", _FILTER, "-c:a", "pcm_f32le", "-f", "wav", "pipe:1"]
        if _is_mpeg_stream(file):  # where nothing is made of their video, their time would begin with the sound
            command += ["-map", "0:a", "-map", "0:v?", "-c", "copy", "-f", "null", "-"]
        with subprocess.Popen(
            [os.fsencode(part) if os.name == "posix" else part for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            bufsize=0,
        ) as process:
            reader = PeekableReader(partial(_read, process, messages), job.name)
            try:
                yield from decode_segments(segments_of(reader, job) or iter(()), job)
            except AudioError as e:
                process.wait()
                problem = f"can't be decoded: {_last_line(messages) or _NO_SOUND}"
                raise AudioError(f"{job.name}: {problem}", code="audio-damaged") from e
            finally:
                process.kill()
        if problem := _last_line(messages):
            job.problem = problem


def _is_mpeg_stream(file: BinaryIO) -> bool:
    """Whether it begins as an MPEG program stream or transport stream does."""
    file.seek(0)
    head = file.read(5)
    return head[:4] == b"\0\0\1\xba" or b"\x47" in (head[:1], head[4:])


def _read(process: "subprocess.Popen[bytes]", messages: Any, size: int) -> bytes:
    """What a program writes next; one that hangs is ended, and that is its last message."""
    assert process.stdout is not None
    if os.name == "posix" and not select.select([process.stdout], [], [], _SILENCE)[0]:  # of pipes, Windows has none
        process.kill()
        messages.write(f"\nffmpeg wrote nothing for {_SILENCE:g} s\n".encode())
        return b""
    data: bytes = process.stdout.read(size)
    return data


@contextmanager
def _at_a_path(file: BinaryIO, path: str | None) -> Iterator[str]:
    """The path under which another program can open it."""
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "sound"
        with place.open("wb") as copy:
            shutil.copyfileobj(file, copy, BLOCK)
        yield str(place)


def _last_line(messages: Any) -> str:
    messages.seek(0)
    lines = messages.read(BLOCK).decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
