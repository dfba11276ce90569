"""Recordings of phones and browsers are decoded by PyAV or ffmpeg; without both, an error names the format."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ser_edge.audio.decoding import ffmpeg as media
from ser_edge.audio.decoding.decoder import open_sound
from ser_edge.audio.formats import AUDIO_SUFFIXES
from ser_edge.errors import AudioError
from tests import messages

RATE = 48_000
HUM = (0.5 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE)).astype(np.float32)

# name: container, codec, suffix, name of the format in errors (None: libsndfile's)
RECORDINGS: dict[str, tuple[str, str, str, str | None]] = {
    "phone": ("ipod", "aac", ".m4a", "M4A"),
    "phone, lossless": ("ipod", "alac", ".m4a", "M4A"),
    "video": ("mp4", "aac", ".mp4", "MP4"),
    "QuickTime": ("mov", "aac", ".mov", "QuickTime"),
    "old phone": ("3gp", "aac", ".3gp", "3GP"),
    "browser": ("webm", "libopus", ".webm", "WebM or Matroska"),
    "Matroska": ("matroska", "flac", ".mka", "WebM or Matroska"),
    "radio": ("adts", "aac", ".aac", "AAC"),
    "AVI": ("avi", "pcm_s16le", ".avi", "AVI"),
    "WavPack": ("wv", "wavpack", ".wv", "WavPack"),
    "True Audio": ("tta", "tta", ".tta", "True Audio"),
    "FLAC in OGG": ("ogg", "flac", ".oga", None),
    "ALAC in CAF": ("caf", "alac", ".caf", None),
}
BY_LIBSNDFILE = {"MP3 in WAV": ("wav", "libmp3lame"), "MP2": ("mp2", "mp2"), "Opus": ("ogg", "libopus")}


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_decoded_from_each_source(name: str, recorded: Callable[..., bytes], decode_all: Any) -> None:
    form, codec, _, _ = RECORDINGS[name]
    decoded = decode_all(recorded(HUM, RATE, form, codec))
    assert (decoded.rate, decoded.samples.shape[1], decoded.warnings) == (RATE, 1, ())
    assert decoded.seconds == pytest.approx(3, abs=0.1)
    middle = decoded.samples[RATE : 2 * RATE, 0]
    assert np.abs(np.fft.rfft(middle)).argmax() == 440
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), abs=0.05)


def test_two_channels_stay_two(recorded: Callable[..., bytes], decode_all: Any) -> None:
    for form, codec in (("ipod", "alac"), ("matroska", "flac")):
        decoded = decode_all(recorded(np.stack([HUM, HUM / 2], axis=1), RATE, form, codec))
        np.testing.assert_allclose(decoded.samples[:, 1], decoded.samples[:, 0] / 2, atol=1e-4)
        np.testing.assert_allclose(decoded.samples[: len(HUM), 0], HUM, atol=1e-4)


def test_a_phone_call_is_decoded(recorded: Callable[..., bytes], decode_all: Any) -> None:
    try:
        content = recorded(HUM[::6].copy(), 8000, "amr", "libopencore_amrnb")
    except ValueError:
        pytest.skip("this FFmpeg can't write AMR")
    assert decode_all(content).seconds == pytest.approx(3, abs=0.1)


def test_a_sound_with_a_picture_is_a_sound(recorded: Callable[..., bytes], decode_all: Any) -> None:
    for form, picture in (("mp4", "mpeg4"), ("matroska", "mpeg4")):
        assert decode_all(recorded(HUM, RATE, form, "aac", picture=picture)).seconds == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("program", ["PyAV", "ffmpeg"])
@pytest.mark.parametrize(("form", "codec"), [("mp4", "aac"), ("matroska", "flac"), ("mpegts", "ac3")])
def test_sound_that_begins_late_in_a_film_keeps_its_time(
    form: str, codec: str, program: str, recorded: Callable[..., bytes], decode_all: Any, request: pytest.FixtureRequest
) -> None:
    content = recorded(HUM, RATE, form, codec, picture="mpeg4", pause=(-1, 5))
    only(program, request)
    decoded = decode_all(content)
    assert decoded.seconds == pytest.approx(8, abs=0.1)
    assert heard(decoded.samples) == [pytest.approx((5, 8), abs=0.1)]


@pytest.mark.parametrize("program", ["PyAV", "ffmpeg"])
@pytest.mark.parametrize(("form", "codec"), [("webm", "libopus"), ("matroska", "flac")])
def test_a_pause_that_was_left_out_is_silence(
    form: str, codec: str, program: str, recorded: Callable[..., bytes], decode_all: Any, request: pytest.FixtureRequest
) -> None:
    content = recorded(HUM, RATE, form, codec, pause=(1, 7))
    only(program, request)
    decoded = decode_all(content)
    assert decoded.seconds == pytest.approx(10, abs=0.1)
    assert heard(decoded.samples) == [pytest.approx((0, 1), abs=0.1), pytest.approx((8, 10), abs=0.1)]


@pytest.mark.parametrize("program", ["PyAV", "ffmpeg"])
def test_jumps_of_the_clock_are_no_pauses_and_lose_nothing(
    program: str, recorded: Callable[..., bytes], decode_all: Any, request: pytest.FixtureRequest
) -> None:
    ahead = recorded(HUM, RATE, "matroska", "flac", pause=(1, 100_000))
    back = 2 * recorded(HUM, RATE, "matroska", "flac")  # the second begins at 0 again
    only(program, request)
    assert decode_all(ahead).seconds == pytest.approx(3, abs=0.1)
    assert decode_all(back).seconds == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize("program", ["PyAV", "ffmpeg"])
def test_small_gaps_add_up(
    program: str, recorded: Callable[..., bytes], decode_all: Any, request: pytest.FixtureRequest
) -> None:
    content = recorded(HUM, RATE, "webm", "libopus", left_out=5)
    only(program, request)
    assert decode_all(content).seconds == pytest.approx(3, abs=0.15)


def only(program: str, request: pytest.FixtureRequest) -> None:
    """Decodes with this one alone, if it is there."""
    if program == "ffmpeg":
        request.getfixturevalue("no_pyav")
        if shutil.which("ffmpeg") is None:
            pytest.skip("no ffmpeg on the path")


def heard(samples: npt.NDArray[np.float32]) -> list[tuple[float, float]]:
    """(start, stop) in s of each stretch in which every 10 ms have sound."""
    blocks = samples[: len(samples) // 480 * 480, 0].reshape(-1, 480)
    edges = np.flatnonzero(np.diff(np.abs(blocks).max(axis=1) > 0.1, prepend=False, append=False)) / 100
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


@pytest.mark.parametrize("name", BY_LIBSNDFILE)
def test_ffmpeg_is_not_used_for_what_libsndfile_decodes(
    name: str, recorded: Callable[..., bytes], decode_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Any:
        raise AssertionError("FFmpeg was asked")

    content = recorded(HUM, RATE, *BY_LIBSNDFILE[name])
    monkeypatch.setattr(media, "decode_media", fail)
    assert decode_all(content).seconds == pytest.approx(3, abs=0.1)


def test_half_a_recording_is_decoded(recorded: Callable[..., bytes], decode_all: Any) -> None:
    content = recorded(HUM, RATE, "webm", "libopus")
    assert 1 < decode_all(content[: len(content) * 2 // 3]).seconds < 2.5


def test_a_film_without_sound_has_a_code(recorded: Callable[..., bytes], tmp_path: Path, command: Any) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    code, answered, (line,) = command(path)
    assert (code, answered, messages.codes_in(line)) == (1, [], ["audio-unknown-format"])


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_format_that_nothing_decodes_is_named_with_a_command(
    name: str,
    recorded: Callable[..., bytes],
    nothing_decodes: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    form, codec, suffix, kind = RECORDINGS[name]
    path = tmp_path / f"it{suffix}"
    path.write_bytes(recorded(HUM, RATE, form, codec))
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    with messages.raises(AudioError, "audio-needs-ffmpeg") as caught, open_sound(path):
        pass
    assert str(caught.value).startswith(f"{path}: {kind or ''}")
    assert str(caught.value).endswith(media.install_command())


def test_the_command_is_one_for_this_python(nothing_decodes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/my python/bin/python3")
    monkeypatch.setattr(sys, "prefix", "/opt/my python")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert media.install_command() in (
        "'/opt/my python/bin/python3' -m pip install av",
        '"/opt/my python/bin/python3" -m pip install av',
    )


def test_a_python_that_refuses_packages_gets_the_systems_ffmpeg(
    nothing_decodes: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(media.sysconfig, "get_path", lambda name: str(tmp_path))
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    assert media.install_command().endswith("-m pip install av")
    (tmp_path / "bin" / "apt-get").touch(0o755)
    assert media.install_command() == "sudo apt-get install ffmpeg"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
class TestFfmpeg:
    """Where PyAV is missing."""

    @pytest.fixture
    def ffmpeg(self, no_pyav: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
        """Puts a program of that name on the path."""
        folder = tmp_path / "bin"
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

        def put(script: str) -> None:
            program = folder / "ffmpeg"
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)

        return put

    def test_its_output_is_the_sound(
        self,
        ffmpeg: Callable[[str], None],
        encoded: Callable[..., bytes],
        recorded: Callable[..., bytes],
        decode_all: Any,
        tmp_path: Path,
    ) -> None:
        written = tmp_path / "written.wav"
        content = encoded(HUM, RATE, "WAV", "FLOAT")
        place = content.index(b"data") + 4
        written.write_bytes(content[:place] + b"\xff" * 4 + content[place + 4 :])
        asked = tmp_path / "asked"
        ffmpeg(f'echo "$@" >> "{asked}"; cat "{written}"')
        decoded = decode_all(recorded(HUM, RATE, "ipod", "aac"))
        np.testing.assert_array_equal(decoded.samples[:, 0], HUM)
        assert decoded.warnings == ()
        assert "-i file:" in asked.read_text().splitlines()[0]

    def test_its_last_message_is_quoted(
        self, ffmpeg: Callable[[str], None], recorded: Callable[..., bytes], command: Any, tmp_path: Path
    ) -> None:
        path = tmp_path / "a.m4a"
        path.write_bytes(recorded(HUM, RATE, "ipod", "aac"))
        ffmpeg("echo one >&2; echo it went wrong >&2; exit 1")
        code, answered, (line,) = command(path)
        assert (code, answered, messages.codes_in(line)) == (1, [], ["audio-damaged"])
        assert "it went wrong" in line

    @pytest.mark.parametrize("begins", [False, True])
    def test_one_that_hangs_is_ended(
        self,
        begins: bool,
        ffmpeg: Callable[[str], None],
        encoded: Callable[..., bytes],
        recorded: Callable[..., bytes],
        command: Any,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        written, path = tmp_path / "written.wav", tmp_path / "a.m4a"
        written.write_bytes(encoded(HUM, RATE, "WAV", "FLOAT"))
        path.write_bytes(recorded(HUM, RATE, "ipod", "aac"))
        monkeypatch.setattr(media, "_SILENCE", 1.0)
        ffmpeg(f'cat "{written}"; exec sleep 600' if begins else "exec sleep 600")
        code, answered, lines = command(path)
        assert (code, len(answered)) == ((0, 1) if begins else (1, 0))
        assert "ffmpeg wrote nothing for 1 s" in lines[0]

    def test_it_is_ended_with_its_reader(
        self,
        ffmpeg: Callable[[str], None],
        encoded: Callable[..., bytes],
        recorded: Callable[..., bytes],
        tmp_path: Path,
    ) -> None:
        written, path = tmp_path / "written.wav", tmp_path / "a.m4a"
        written.write_bytes(encoded(HUM, RATE, "WAV", "FLOAT"))
        path.write_bytes(recorded(HUM, RATE, "ipod", "aac"))
        ffmpeg(f'while true; do cat "{written}" || exit; done')
        with open_sound(path) as sound:
            assert len(next(sound.chunks))

    @pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")
    def test_the_real_one_gives_what_pyav_gives(
        self, no_pyav: None, recorded: Callable[..., bytes], decode_all: Any, tmp_path: Path
    ) -> None:
        for form, codec in (("ipod", "aac"), ("webm", "libopus"), ("matroska", "flac")):
            decoded = decode_all(recorded(HUM, RATE, form, codec))
            assert decoded.seconds == pytest.approx(3, abs=0.1)
            assert np.abs(np.fft.rfft(decoded.samples[RATE : 2 * RATE, 0])).argmax() == 440


def test_folders_are_searched_for_all_of_them() -> None:
    assert {suffix for _, _, suffix, _ in RECORDINGS.values()} <= AUDIO_SUFFIXES
    assert {".aac", ".amr", ".3gp", ".m4a", ".mka", ".mkv", ".mov", ".mp4", ".webm", ".wma", ".wv"} <= AUDIO_SUFFIXES
    assert {".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav"} <= AUDIO_SUFFIXES
