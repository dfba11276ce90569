"""Atomic writes: whose file it is stays the user's choice, and errors name it."""

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ser_train.data.atomic import atomic_write, write_text

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions and links of POSIX")


@pytest.fixture
def mask() -> Iterator[int]:
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


@posix
def test_a_new_file_has_the_permissions_that_the_user_gives_new_files(tmp_path: Path, mask: int) -> None:
    write_text(tmp_path / "a.json", "1")
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o666 & ~mask


@posix
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path) -> None:
    file = tmp_path / "private.json"
    file.touch(0o600)
    write_text(file, "2")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("2", 0o600)


@posix
def test_a_link_stays_one_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link, real = tmp_path / "results.json", tmp_path / "real" / "results.json"
    real.write_text("old")
    link.symlink_to(real)
    write_text(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert [path.name for path in tmp_path.rglob("*") if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device"),
        (OSError("135360 requested and 50144 written"), "135360 requested and 50144 written"),  # NumPy's
    ],
)
def test_an_error_of_writing_names_the_file_and_leaves_nothing(error: OSError, text: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=text) as caught, atomic_write(tmp_path / "a.npy"):
        raise error
    assert caught.value.filename == str(tmp_path / "a.npy")
    assert list(tmp_path.iterdir()) == []
