"""Provides the corpus as a folder: unpacks a zip, or downloads RAVDESS speech from Zenodo into the user's cache, once.

Downloads resume, are checked by their digest, and get their final name when complete; so does the unpacked folder.
Processes that want the same file download it once: the others wait.
"""

import errno
import hashlib
import os
import shutil
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs
import requests
from tqdm import tqdm

from ser_edge.audio.formats import AUDIO_SUFFIXES
from ser_edge.errors.placeholder_files import START, describe_placeholder
from ser_train.data.atomic import one_at_a_time
from ser_train.data.audio_files import is_junk
from ser_train.data.custom.label_tables import is_table
from ser_train.data.utterance import CorpusError

_CODE = "download-failed"
_CHUNK = 1 << 16  # bytes; an unfinished chunk is lost when a connection is cut
_TIMEOUT = (5, 60)  # seconds: to connect, and between two packets
_ATTEMPTS = 5  # without a single new byte, before giving up
_UNREACHED = 2  # the same, if no server has answered yet: most likely offline
_NAME_IS_UTF8 = 0x800  # a zip's flag
_UNICODE_PATH = 0x7075  # a zip's extra field: Info-ZIP's name in UTF-8
_PERMANENT = (  # errors that another try won't change
    requests.HTTPError,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
)


@dataclass(frozen=True)
class Archive:
    """A file to download, with its checksum."""

    url: str
    digest: str  # in hexadecimal
    title: str = "the file"  # with its size
    algorithm: str = "md5"  # of the digest
    alternative: str = "give a mirror with --mirror, or the files with --data"  # to the download


RAVDESS_SPEECH = Archive(
    "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip",
    "bc696df654c87fed845eb13823edef8a",
    "RAVDESS speech (209 MB)",
)


def cache_folder() -> Path:
    """The folder of this user's downloads and features; `SER_EDGE_CACHE` overrides it."""
    return Path(os.environ.get("SER_EDGE_CACHE") or platformdirs.user_cache_dir("ser-edge"))


def locate(data: Path | None, mirror: str | None = None) -> Path:
    """The corpus as a folder or a table.

    Args:
        data: a folder (`read_corpus` refuses a missing one), a table of recordings, or a zip of a folder, like the
            public one; None downloads that.
        mirror: another URL of the same zip.

    Raises:
        CorpusError: a damaged zip, a placeholder of a file, or a download that failed.
    """
    if data is None:
        archive = replace(RAVDESS_SPEECH, url=mirror or RAVDESS_SPEECH.url)
        data = download(archive, cache_folder() / "Audio_Speech_Actors_01-24.zip")
    if data.suffix.lower() in AUDIO_SUFFIXES and data.is_file():
        message = f"{data}: a single sound; give the folder that its corpus lies in, or a table"
        raise CorpusError(message, code="corpus-layout")
    if not data.is_file():
        return data
    with data.open("rb") as file:
        if placeholder := describe_placeholder(file.read(START)):
            raise CorpusError(f"{data}: {placeholder}", code="corpus-unreadable")
    if is_table(data):
        return data
    folder = unpack(data)
    found = [path for path in folder.iterdir() if not is_junk(path.name)]
    return found[0] if len(found) == 1 and found[0].is_dir() else folder  # a zip of one folder


def download(archive: Archive, target: Path, pause: float = 1.0) -> Path:
    """Downloads a file, resuming an earlier try. Progress and retries are printed on standard error.

    Args:
        archive: where it is, and its digest.
        target: its final name; until it is complete and checked it is called `target` + ".part".
        pause: seconds before the second try, doubled for each one after.

    Raises:
        CorpusError: no connection, the server's refusal, a full disk, or a wrong checksum.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        with one_at_a_time(target):
            if not target.exists():  # else somebody else has just downloaded it
                _fetch(archive, part, target, pause)
    except OSError as e:
        if e.errno == errno.ENOSPC:
            message = f"{part}: the disk is full; free some space and run the command again to go on"
            raise CorpusError(message, code="cache-unwritable") from e
        raise CorpusError(f"{part}: can't be written ({e.strerror})", code="cache-unwritable") from e
    return target


def _fetch(archive: Archive, part: Path, target: Path, pause: float) -> None:
    """Downloads `part`, or its rest, and gives it its final name; other errors than `download`'s are OSErrors."""
    print(
        f"ser-train: downloading {archive.title} from {archive.url} to {target}; if you have it: {archive.alternative}",
        file=sys.stderr,
        flush=True,
    )
    failures, reached = 0, False
    while True:
        before = _size(part)
        try:
            _append(archive.url, part)
            break
        except _PERMANENT as e:
            message = f"{archive.url}: {e}; {archive.alternative}"
            raise CorpusError(message, code=_CODE) from e
        except requests.RequestException as e:
            reached = reached or not isinstance(e, _NoAnswer)
            failures = 0 if _size(part) > before else failures + 1
            if not reached and failures >= _UNREACHED:
                raise CorpusError(
                    f"{archive.url}: no server answers ({_cause(e)}); check the network, or {archive.alternative}",
                    code=_CODE,
                ) from e
            if failures >= _ATTEMPTS:
                raise CorpusError(
                    f"{archive.url}: the connection failed {failures} times ({_cause(e)}); the received part is kept, "
                    f"run the command again to go on, or {archive.alternative}",
                    code=_CODE,
                ) from e
            wait = pause * 2**failures
            print(f"ser-train: {_cause(e)}; trying again in {wait:g} s", file=sys.stderr, flush=True)
            time.sleep(wait)
    if _digest(part, archive.algorithm) != archive.digest:
        part.unlink()
        message = f"{archive.url}: not the file it should be ({archive.algorithm} isn't {archive.digest})"
        raise CorpusError(f"{message}; it was deleted, run the command again", code=_CODE)
    part.replace(target)


def unpack(archive: Path) -> Path:
    """Unpacks a zip into the cache, once and atomically.

    Raises:
        CorpusError: not a zip, truncated, damaged, or a full disk.
    """
    # Folders of 0.1 have 12 digits, and may have names in a wrong encoding.
    folder = cache_folder() / f"{archive.stem}-{_digest(archive, 'md5')[:16]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder.parent))
    try:
        with zipfile.ZipFile(archive) as contents:
            for member in tqdm(contents.infolist(), f"unpacking {archive.name}", unit=" files", disable=None):
                member.filename = _name_of(member)
                contents.extract(member, unfinished)  # checks each CRC, and keeps paths inside the folder
        unfinished.replace(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as e:  # the last: encrypted, or a foreign method
        raise CorpusError(
            f"{archive}: a damaged, truncated or foreign zip ({e}); download it again, or give a folder or a table",
            code="archive-damaged",
        ) from e
    except OSError as e:
        if folder.is_dir():  # another process was faster
            return folder
        message = f"{folder}: can't be written ({e.strerror}); free some space, or set SER_EDGE_CACHE"
        raise CorpusError(message, code="cache-unwritable") from e
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _name_of(member: zipfile.ZipInfo) -> str:
    """A member's name. Linux's zip and macOS's Finder write UTF-8 without the flag that says so."""
    if member.flag_bits & _NAME_IS_UTF8:
        return member.filename
    stored = member.orig_filename.encode("cp437")  # which zipfile has decoded it by
    try:
        name = (_unicode_path(member.extra, stored) or stored).decode()
    except UnicodeDecodeError:
        return member.filename
    return name.partition("\0")[0] or member.filename


def _unicode_path(extra: bytes, stored: bytes) -> bytes:
    """The name in Info-ZIP's extra field if it is of this stored name, else nothing."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and field[:5] == struct.pack("<BL", 1, zlib.crc32(stored)):  # version 1
            return field[5:]
    return b""


def _append(url: str, part: Path) -> None:
    """Appends the missing rest to `part`; raises if the connection ends before the file does."""
    have = _size(part)
    headers = {"Accept-Encoding": "identity"}  # a range counts the bytes of the encoding
    if have:
        headers["Range"] = f"bytes={have}-"
    with _get(url, headers) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is missing; the checksum decides whether it is right
        if response.status_code == requests.codes.too_many_requests or response.status_code >= 500:
            raise requests.ConnectionError(f"the server answered {response.status_code} {response.reason}")
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        have = have if resumed else 0
        total = have + int(response.headers.get("Content-Length", 0))
        bar = tqdm(desc=part.stem, total=total or None, initial=have, unit="B", unit_scale=True, disable=None)
        with bar, part.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if _size(part) < total:
        raise requests.ConnectionError(f"ended after {_size(part)} of {total} bytes")


class _NoAnswer(requests.ConnectionError):
    """No server was reached."""


def _get(url: str, headers: dict[str, str]) -> requests.Response:
    """The beginning of a server's response."""
    try:
        return requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT)
    except requests.ConnectionError as e:
        raise _NoAnswer(*e.args) from e


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _cause(error: BaseException) -> str:
    text = str(getattr(error.args[0], "reason", error.args[0]) if error.args else error)
    return text.partition("): ")[2] or text  # without urllib3's connection object
