"""Downloads from a server of our own that cuts, refuses and restarts; and zips whole and broken."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests

import ser_train.data.download
from ser_train.data.atomic import one_at_a_time
from ser_train.data.corpus_loader import CorpusError, read_corpus
from ser_train.data.download import Archive, download, locate
from tests import messages
from tests.train.mirror import CHUNK, Mirror, serving

CONTENT = np.random.default_rng(0).bytes(300_000)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving(CONTENT) as server:
        yield server


def fetch(mirror: Mirror, folder: Path) -> Path:
    return download(mirror.archive, folder / "deep" / "speech.zip", pause=0.01)


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() or p.is_symlink())


def test_a_file_is_downloaded_once(mirror: Mirror, tmp_path: Path) -> None:
    assert fetch(mirror, tmp_path).read_bytes() == CONTENT
    fetch(mirror, tmp_path)
    assert mirror.asked == [None]
    assert names(tmp_path) == ["deep/speech.zip"]


def test_a_cut_download_goes_on_where_it_was(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cuts = [2 * CHUNK, CHUNK]
    assert fetch(mirror, tmp_path).read_bytes() == CONTENT
    assert mirror.asked == [None, f"bytes={2 * CHUNK}-", f"bytes={3 * CHUNK}-"]
    assert [byte for sent in mirror.sent for byte in sent] == list(range(len(CONTENT)))  # none twice


def test_a_cut_loses_less_than_a_chunk(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cuts = [2 * CHUNK + 1000]
    assert fetch(mirror, tmp_path).read_bytes() == CONTENT
    assert mirror.asked == [None, f"bytes={2 * CHUNK}-"]


def test_what_an_earlier_command_downloaded_is_not_downloaded_again(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "speech.zip.part").write_bytes(CONTENT[:1000])
    assert fetch(mirror, tmp_path).read_bytes() == CONTENT
    assert mirror.asked == ["bytes=1000-"]


def waiting(capsys: pytest.CaptureFixture[str]) -> str:
    """Waits until standard error has a line, and returns it."""
    said, ends = "", time.monotonic() + 60
    while not said.endswith("\n") and time.monotonic() < ends:
        time.sleep(0.01)
        said += capsys.readouterr().err
    return said


def test_what_another_process_downloads_is_waited_for(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "deep" / "speech.zip"
    target.parent.mkdir()
    with ThreadPoolExecutor() as threads:
        with one_at_a_time(target):
            fetched = threads.submit(fetch, mirror, tmp_path)
            assert waiting(capsys) == f"ser-train: another process is making {target}; waiting for it\n"
            target.write_bytes(CONTENT)
        assert fetched.result() == target
    assert mirror.asked == []
    assert names(tmp_path) == ["deep/speech.zip"]


HOLDS = """
import sys, time
from pathlib import Path
from ser_train.data.atomic import one_at_a_time
with one_at_a_time(Path(sys.argv[1])):
    print(flush=True)
    time.sleep(60)
"""


def test_a_download_whose_process_is_killed_is_gone_on_with(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "deep" / "speech.zip"
    target.parent.mkdir()
    target.with_name("speech.zip.part").write_bytes(CONTENT[:1000])
    command = [sys.executable, "-c", HOLDS, target]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other, ThreadPoolExecutor() as threads:
        other.stdout.readline()
        fetched = threads.submit(fetch, mirror, tmp_path)
        waiting(capsys)
        assert mirror.asked == []
        other.kill()
        assert fetched.result().read_bytes() == CONTENT
    assert mirror.asked == ["bytes=1000-"]
    assert names(tmp_path) == ["deep/speech.zip"]


def test_many_at_once_download_a_file_once(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cuts = [CHUNK, 0]  # then it is asked again, after a pause
    with ThreadPoolExecutor(8) as threads:
        fetched = list(threads.map(fetch, [mirror] * 8, [tmp_path] * 8))
    assert {file.read_bytes() for file in fetched} == {CONTENT}
    assert mirror.asked == [None, f"bytes={CHUNK}-", f"bytes={CHUNK}-"]
    assert names(tmp_path) == ["deep/speech.zip"]


def test_a_part_that_lacks_nothing_is_only_checked(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "speech.zip.part").write_bytes(CONTENT)
    assert fetch(mirror, tmp_path).read_bytes() == CONTENT
    assert mirror.sent == []


def test_a_server_without_ranges_starts_again(mirror: Mirror, tmp_path: Path) -> None:
    mirror.ranges, mirror.cuts = False, [2 * CHUNK]
    assert fetch(mirror, tmp_path).read_bytes() == CONTENT
    assert [sent.start for sent in mirror.sent] == [0, 0]


def test_a_wrong_checksum_is_refused_and_nothing_stays(mirror: Mirror, tmp_path: Path) -> None:
    with messages.raises(CorpusError, "download-failed"):
        download(Archive(mirror.url, "0123"), tmp_path / "speech.zip")
    assert names(tmp_path) == []


def test_a_refusing_server_is_named_with_two_ways_out(mirror: Mirror, tmp_path: Path) -> None:
    mirror.status = 404
    with messages.raises(CorpusError, "download-failed"):
        fetch(mirror, tmp_path)
    assert len(mirror.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(mirror: Mirror, tmp_path: Path, status: int) -> None:
    mirror.status = status
    with messages.raises(CorpusError, "download-failed"):
        fetch(mirror, tmp_path)
    assert len(mirror.asked) == 5


@pytest.mark.parametrize("url", ["speech.zip", "ftp://example.org/speech.zip", "http://"])
def test_an_address_that_is_none_is_refused_at_once(url: str, tmp_path: Path) -> None:
    with messages.raises(CorpusError, "download-failed"):
        download(Archive(url, ""), tmp_path / "speech.zip", pause=100)


def test_a_server_that_gives_nothing_new_is_given_up_and_the_part_is_kept(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cuts = [CHUNK] + [0] * 100
    with messages.raises(CorpusError, "download-failed"):
        fetch(mirror, tmp_path)
    assert len(mirror.asked) == 6
    assert (tmp_path / "deep" / "speech.zip.part").read_bytes() == CONTENT[:CHUNK]


def test_nobody_listening_is_given_up_soon_with_what_to_do(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        mirror.url = f"http://127.0.0.1:{nobody.getsockname()[1]}/speech.zip"
    with messages.raises(CorpusError, "download-failed"):
        fetch(mirror, tmp_path)
    begun, again = capsys.readouterr().err.splitlines()
    assert begun.startswith(
        f"ser-train: downloading the file from {mirror.url} to {tmp_path}/deep/speech.zip; if you have it: "
    )
    assert again.endswith("Connection refused; trying again in 0.02 s")


def test_a_server_that_goes_away_is_waited_for(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.cuts = [CHUNK]
    get, tries = requests.get, []

    def gone_after_the_first(url: str, **options: object) -> requests.Response:
        tries.append(url)
        return get(url if len(tries) == 1 else "http://127.0.0.1:9/", **options)

    monkeypatch.setattr(requests, "get", gone_after_the_first)
    with messages.raises(CorpusError, "download-failed"):
        fetch(mirror, tmp_path)
    assert len(tries) == 6


def test_what_is_there_already_is_not_announced(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(mirror, tmp_path)
    assert capsys.readouterr().err.count("downloading") == 1
    fetch(mirror, tmp_path)
    assert "downloading" not in capsys.readouterr().err


def test_a_full_disk_is_said_and_the_part_is_kept(mirror: Mirror, tmp_path: Path) -> None:
    part = tmp_path / "deep" / "speech.zip.part"
    part.parent.mkdir()
    part.symlink_to("/dev/full")
    with messages.raises(CorpusError, "cache-unwritable"):
        fetch(mirror, tmp_path)
    assert names(tmp_path) == ["deep/speech.zip.part"]


def test_without_data_the_mirror_is_asked_once(
    mirror: Mirror, own_cache: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.content = archive.read_bytes()
    monkeypatch.setattr(ser_train.data.download, "RAVDESS_SPEECH", Archive("http://127.0.0.1:9", mirror.archive.digest))
    folder = locate(None, mirror.url)
    assert len(read_corpus(folder, jobs=1)) == 16
    assert locate(None, mirror.url) == folder
    assert len(mirror.asked) == 1
