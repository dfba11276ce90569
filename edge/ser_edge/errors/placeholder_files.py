"""Detects placeholders: an empty file, a git-LFS pointer, or a web page in place of a sound or model file.

Libraries report these as damaged files; the message of `describe_placeholder` states the cause.
"""

START = 512  # bytes at a file's beginning that suffice

_POINTER = b"version https://git-lfs."
_PAGE = (b"<!doctype html", b"<html", b"<head", b"<body", b"<title", b"<script")


def describe_placeholder(start: bytes) -> str | None:
    """The kind of placeholder, and what to do about it.

    Args:
        start: the file's first `START` bytes, or all where there are fewer.

    Returns:
        None for anything else.

    >>> describe_placeholder(b"<!DOCTYPE html><html><body>404")
    'a web page (HTML), perhaps the error page of a server; download the file itself'
    """
    if not start:
        return "an empty file; copy or download it again"
    if start.startswith(_POINTER):
        return "a git-LFS pointer, not the file itself; fetch that with: git lfs pull"
    if _without_comments(start[:START].lower()).startswith(_PAGE):
        return "a web page (HTML), perhaps the error page of a server; download the file itself"
    return None


def _without_comments(page: bytes) -> bytes:
    """A page from its first tag on."""
    page = page.removeprefix(b"\xef\xbb\xbf").lstrip()
    while page.startswith(b"<!--"):
        page = page.partition(b"-->")[2].lstrip()
    return b" ".join(page.split(maxsplit=2)) if page.startswith(b"<!doctype") else page
