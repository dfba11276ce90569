"""Files that are no sound get the error that names what they are."""

from pathlib import Path
from typing import Any

import pytest

from tests import messages

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"

# content, code
NO_SOUNDS = {
    "nothing": (b"", "audio-placeholder"),
    "a page": (b"<!DOCTYPE html>\n<html><body>404</body></html>", "audio-placeholder"),
    "a page with a mark": (b"\xef\xbb\xbf\n <HTML lang=en>", "audio-placeholder"),
    "a pointer": (LFS, "audio-placeholder"),
    "text": (b"Dear diary, " * 99, "audio-unknown-format"),
    "zeros": (bytes(9999), "audio-unknown-format"),
    "a tag alone": (b"ID3\4\0\0\0\0\0\x0a" + bytes(10), "audio-unknown-format"),
}


@pytest.mark.parametrize("name", NO_SOUNDS)
@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".m4a"])
def test_a_file_that_is_no_sound_has_a_code_and_the_others_are_classified(
    name: str, suffix: str, sounds: list[Path], command: Any, tmp_path: Path
) -> None:
    content, code = NO_SOUNDS[name]
    path = tmp_path / f"it{suffix}"
    path.write_bytes(content)
    exit_code, answered, lines = command("--no-gate", path, sounds[0])
    assert (exit_code, answered) == (1, [str(sounds[0])])
    assert messages.codes_in("\n".join(lines)) == [code]


@pytest.mark.parametrize("name", NO_SOUNDS)
def test_each_kind_of_source_gives_the_same_code(name: str, decode_each: Any) -> None:
    content, code = NO_SOUNDS[name]
    errors = decode_each(content)
    if not content:
        messages.check(errors.pop("standard input"), "audio-empty")
    for error in errors.values():
        messages.check(error, code)
