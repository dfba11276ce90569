"""Placeholders are detected by their first bytes, and nothing else is taken for one."""

from pathlib import Path

import pytest

from ser_edge.errors.placeholder_files import START, describe_placeholder

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "a git-LFS pointer"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"\xef\xbb\xbf\r\n <HTML lang='en'>", "a web page"),
        (b"<!-- a\ncomment --><!doctype  html>", "a web page"),
        (b"<head>\n", "a web page"),
    ],
)
def test_a_placeholder_is_named(start: bytes, kind: str) -> None:
    assert (describe_placeholder(start) or "").startswith(kind)


@pytest.mark.parametrize(
    "start", [b"\0", b" ", b"RIFF", b"ID3<html>", b"<?xml?>", b"path,label\n<html>.wav,x", b"<!--" * 200]
)
def test_anything_else_is_none(start: bytes) -> None:
    assert describe_placeholder(start[:START]) is None


def test_the_projects_own_files_are_none() -> None:
    files = [
        *(ROOT / "tests/sounds").glob("*.wav"),
        *(ROOT / "edge/ser_edge").rglob("*.tflite"),
        *(ROOT / "edge").rglob("*.onnx"),
    ]
    assert len(files) >= 8
    assert not [path for path in files if describe_placeholder(path.read_bytes()[:START])]
