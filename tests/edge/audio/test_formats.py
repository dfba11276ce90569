"""What is no sound is called by its name."""

from pathlib import Path
from typing import Any

import pytest

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"

# content, what is said of it
NO_SOUNDS = {
    "nothing": (b"", "an empty file; copy or download it again"),
    "a page": (
        b"<!DOCTYPE html>\n<html><body>404</body></html>",
        "a web page (HTML)",
    ),
    "a page with a mark": (b"\xef\xbb\xbf\n <HTML lang=en>", "a web page (HTML)"),
    "a pointer": (LFS, "a git-LFS pointer, not the file itself; fetch that with: git lfs pull"),
    "text": (b"Dear diary, " * 99, "not a sound file that can be read (WAV, FLAC, OGG, MP3, AIFF, ...)"),
    "zeros": (bytes(9999), "not a sound file that can be read (WAV, FLAC, OGG, MP3, AIFF, ...)"),
    "a tag alone": (b"ID3\4\0\0\0\0\0\x0a" + bytes(10), "not a sound file that can be read (WAV, FLAC, OGG, ...)"),
}


@pytest.mark.parametrize("name", NO_SOUNDS)
@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".m4a"])
def test_what_is_no_sound_is_a_line_and_the_others_are_judged(
    name: str, suffix: str, sounds: list[Path], command: Any, tmp_path: Path
) -> None:
    content, says = NO_SOUNDS[name]
    path = tmp_path / f"it{suffix}"
    path.write_bytes(content)
    code, answered, said = command("--no-gate", path, sounds[0])
    assert (code, answered) == (1, [str(sounds[0])])
    assert said[0].startswith(f"ser-edge: {path}: {says.split(' (')[0]}")
    assert len(said) == 2


@pytest.mark.parametrize("name", NO_SOUNDS)
def test_through_a_stream_it_is_the_same_line(name: str, through_each_door: Any) -> None:
    content, says = NO_SOUNDS[name]
    answers = through_each_door(content)
    if not content:
        assert answers.pop("standard input") == "it: empty; pipe a sound file into it, or samples with --rate"
    assert {str(answer).partition(": ")[2].split(" (")[0] for answer in answers.values()} == {says.split(" (")[0]}
