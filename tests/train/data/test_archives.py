"""Zips are unpacked once, completely or not at all; placeholders are refused."""

import errno
import hashlib
import re
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from ser_train.data.corpus_loader import CorpusError, read_corpus
from ser_train.data.download import locate, unpack
from tests import messages


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() or p.is_symlink())


def without_flag(archive: Path) -> Path:
    """The zip without the flag that says that names are UTF-8, as Linux's zip and macOS's Finder write it."""
    content = bytearray(archive.read_bytes())
    for entry in re.finditer(b"PK\x01\x02|PK\x03\x04", content):
        content[entry.start() + (9 if entry[0] == b"PK\x01\x02" else 7)] &= ~0x08
    archive.write_bytes(content)
    return archive


def test_a_zip_is_unpacked_once(own_cache: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = unpack(archive)
    assert folder.parent == own_cache
    assert len(read_corpus(folder, jobs=1)) == 16
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert unpack(archive) == folder


def test_another_zip_of_the_same_name_is_another_folder(own_cache: Path, archive: Path) -> None:
    first = unpack(archive)
    with zipfile.ZipFile(archive, "a") as contents:
        contents.writestr("one more", "")
    assert unpack(archive) != first


def test_broken_zips_are_refused_with_their_path_and_nothing_stays(own_cache: Path, archive: Path) -> None:
    whole = archive.read_bytes()
    flipped = bytearray(whole)
    flipped[200:300] = bytes(100)  # inside the first sound's deflated data
    encrypted, foreign = bytearray(whole), bytearray(whole)
    for entry in re.finditer(b"PK\x01\x02", whole):
        encrypted[entry.start() + 8] |= 1
        foreign[entry.start() + 10] = 99  # no compression method that zipfile knows
    for broken in (whole[: len(whole) // 2], bytes(flipped), bytes(encrypted), bytes(foreign), b"not a zip", b""):
        archive.write_bytes(broken)
        with messages.raises(CorpusError, "archive-damaged"):
            unpack(archive)
        assert list(own_cache.iterdir()) == []


def test_no_member_escapes_from_the_folder(own_cache: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as contents:
        contents.writestr("../../evil", "")
        contents.writestr("/absolute", "")
        contents.writestr("../../böse", "")
    folder = unpack(without_flag(tmp_path / "evil.zip"))
    assert names(tmp_path) == sorted(
        ["evil.zip", *(str((folder / name).relative_to(tmp_path)) for name in ("evil", "absolute", "böse"))]
    )


def test_labels_and_speakers_are_read_whatever_the_zip_says_of_their_encoding(own_cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "recordings.zip"
    for name in ("wütend/jörg/1.wav", "wu\u0308tend/日本/1.wav", "plain/anna/1.wav"):
        with zipfile.ZipFile(path, "w") as contents:
            contents.writestr(name, "")
        assert names(unpack(path)) == names(unpack(without_flag(path))) == [name]


def test_names_in_an_old_code_page_stay_as_they_are(own_cache: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "windows.zip", "w") as contents:
        contents.writestr("wutend/1.wav", "")
    content = (tmp_path / "windows.zip").read_bytes().replace(b"wutend", "wütend".encode("cp437"))
    (tmp_path / "windows.zip").write_bytes(content)
    assert names(unpack(tmp_path / "windows.zip")) == ["wütend/1.wav"]


@pytest.mark.parametrize(
    ("stored", "taken"), [("w_tend/1.wav", "wütend/1.wav"), ("another/1.wav", "w_tend/1.wav"), (None, "w_tend/1.wav")]
)
def test_a_name_of_info_zip_counts_if_it_is_of_the_member(
    stored: str | None, taken: str, own_cache: Path, tmp_path: Path
) -> None:
    member = zipfile.ZipInfo("w_tend/1.wav")
    field = struct.pack("<BL", 1, zlib.crc32((stored or "").encode())) + "wütend/1.wav".encode()
    times = struct.pack("<HHBl", 0x5455, 5, 1, 0)  # another field before it
    member.extra = times + (struct.pack("<HH", 0x7075, len(field)) + field if stored else b"")
    with zipfile.ZipFile(tmp_path / "named.zip", "w") as contents:
        contents.writestr(member, "")
    assert names(unpack(tmp_path / "named.zip")) == [taken]


def test_a_folder_that_was_unpacked_with_wrong_names_is_not_taken(own_cache: Path, archive: Path) -> None:
    """0.1 named it by 12 digits of the digest."""
    (own_cache / f"speech-{hashlib.md5(archive.read_bytes()).hexdigest()[:12]}").mkdir(parents=True)
    assert len(read_corpus(unpack(archive), jobs=1)) == 16


@pytest.mark.parametrize(
    ("trouble", "seen"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(errno.ENOSPC, "No space left on device"), CorpusError),
    ],
)
def test_an_interrupted_unpacking_leaves_nothing(
    trouble: BaseException,
    seen: type[BaseException],
    own_cache: Path,
    archive: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extract = zipfile.ZipFile.extract

    def fails_in_the_middle(self: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> str:
        if member.filename.endswith("02-01.wav"):
            raise trouble
        return extract(self, member, path)

    with monkeypatch.context() as broken:
        broken.setattr(zipfile.ZipFile, "extract", fails_in_the_middle)
        with pytest.raises(seen):
            unpack(archive)
    assert list(own_cache.iterdir()) == []
    assert len(read_corpus(unpack(archive), jobs=1)) == 16


def test_a_zip_that_another_process_has_unpacked_meanwhile_is_taken(
    own_cache: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract, others = zipfile.ZipFile.extract, []

    def while_another_does(self: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> str:
        if not others:
            monkeypatch.setattr(zipfile.ZipFile, "extract", extract)
            others.append(unpack(archive))
        return extract(self, member, path)

    monkeypatch.setattr(zipfile.ZipFile, "extract", while_another_does)
    assert [unpack(archive)] == others == list(own_cache.iterdir())
    assert len(read_corpus(others[0], jobs=1)) == 16


PLACEHOLDERS = {
    "empty": b"",
    "pointer": b"version https://git-lfs.github.com/spec/v1\nsize 1\n",
    "page": b"<!DOCTYPE html><html>",
}


@pytest.mark.parametrize("kind", PLACEHOLDERS)
@pytest.mark.parametrize("name", ["speech.zip", "recordings.csv"])
def test_a_placeholder_of_a_corpus_is_refused(kind: str, name: str, own_cache: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(PLACEHOLDERS[kind])
    with messages.raises(CorpusError, "corpus-unreadable"):
        locate(tmp_path / name)


@pytest.mark.parametrize("kind", PLACEHOLDERS)
@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".flac", ".ogg"])
def test_a_placeholder_of_a_recording_is_refused(kind: str, suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"03-01-05-01-01-01-12{suffix}").write_bytes(PLACEHOLDERS[kind])
    with messages.raises(CorpusError, "corpus-unreadable"):
        read_corpus(tmp_path, jobs=1)


def test_a_folder_is_the_corpus_as_it_is(corpus: Path) -> None:
    assert locate(corpus) == corpus


def test_a_zip_is_the_corpus_it_holds(own_cache: Path, archive: Path) -> None:
    assert len(read_corpus(locate(archive), jobs=1)) == 16
