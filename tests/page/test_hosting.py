"""What docs/page.md says of hosting: the commands, the number of files, the types that a web host sends."""

import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.page.browser import OpenPage
from tests.page.conftest import ROOT

pytestmark = pytest.mark.slow
DOCUMENT = (ROOT / "docs" / "page.md").read_text("utf-8")


def test_the_commands_of_the_document_build_and_host_it(sites: dict[str, Path], tmp_path: Path) -> None:
    """`make page` runs the build in the environment that it makes."""
    recipe = "$(BIN)/python export/page/build.py dist/page --model $(MODEL)"
    assert recipe in (ROOT / "Makefile").read_text("utf-8")
    built = subprocess.run(
        [sys.executable, ROOT / "export/page/build.py", "dist/page"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    files, megabytes = re.fullmatch(r"dist/page: (\d+) files, ([\d.]+) MB\n", built.stdout).groups()  # type: ignore[union-attr]
    assert f"dist/page: {files} files, {megabytes} MB" in DOCUMENT
    assert f"`dist/page` is {files} files" in DOCUMENT
    command = re.search(
        r"^\$ python3 (-m http\.server --directory dist/page --bind 127\.0\.0\.1)$", DOCUMENT, re.MULTILINE
    )
    assert command is not None
    host = subprocess.Popen(
        [sys.executable, "-u", *command[1].split(), "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert host.stdout is not None
        port = re.search(r"port (\d+)", host.stdout.readline())
        assert port is not None
        types = {name: content_type(f"http://127.0.0.1:{port[1]}/vendor/{name}") for name in (
            "ort.wasm.min.mjs", "ort-wasm-simd-threaded.wasm")}  # fmt: skip
    finally:
        host.terminate()
        host.communicate()
    assert types == {"ort.wasm.min.mjs": "text/javascript", "ort-wasm-simd-threaded.wasm": "application/wasm"}


def content_type(address: str) -> str:
    for _ in range(50):
        try:
            with urlopen(address, timeout=10) as answer:
                return str(answer.headers.get_content_type())
        except URLError:
            time.sleep(0.1)
    raise AssertionError(address)


def test_every_file_of_the_page_is_kept_for_later_visits(sites: dict[str, Path]) -> None:
    site = sites["small"]
    worker = (site / "service_worker.js").read_text("utf-8")
    for path in site.rglob("*"):
        if path.is_file() and path.name != "service_worker.js" and "licences" not in path.parts:
            assert f'"{path.relative_to(site).as_posix()}": "sha256-' in worker


def test_the_footer_links_to_the_licence_of_all_that_is_in_the_page(
    hosts: dict[str, str], sites: dict[str, Path], visit: OpenPage
) -> None:
    site = sites["small"]
    there = {path.relative_to(site).as_posix() for path in (site / "licences").iterdir()}
    assert len(there) == 6
    links = visit(hosts["small"]).ready().page.locator("footer a").all()
    assert sorted(link.get_attribute("href") or "" for link in links) == sorted(there)
    for link in links:  # not by clicks: for a text, a browser asks for an icon that isn't there
        with urlopen(link.evaluate("link => link.href")) as response:
            assert response.read() == (site / (link.get_attribute("href") or "")).read_bytes()


def test_a_folder_with_other_files_and_a_file_are_left_alone(
    build: ModuleType, sites: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(build.BuildError, match="something else"):
        build.build(tmp_path)
    assert (tmp_path / "diary.txt").read_text() == "mine"
    with pytest.raises(build.BuildError, match=r"diary\.txt: a file; give a folder"):
        build.build(tmp_path / "diary.txt")
    assert (tmp_path / "diary.txt").read_text() == "mine"


def test_a_runtime_that_is_not_the_tested_one_is_refused(
    build: ModuleType, sites: dict[str, Path], tmp_path: Path
) -> None:
    npm = tmp_path / "npm"
    runtime = npm / build.RUNTIME
    runtime.mkdir(parents=True)
    (npm / "package.json").write_bytes((ROOT / "export/page/package.json").read_bytes())
    for name in build.RUNTIME_FILES:
        (runtime / name).write_text("something else")
    with pytest.raises(build.BuildError, match="not the file that was tested"):
        build.build(tmp_path / "page", "small", npm)


def test_models_that_the_page_cannot_run_are_refused(build: ModuleType, sites: dict[str, Path], tmp_path: Path) -> None:
    for model, part in (("crnn.tflite", "ONNX"), (str(ROOT / "tests/compatibility/0.1.0/mfcc.onnx"), "log-mel")):
        with pytest.raises(build.BuildError, match=part):
            build.build(tmp_path / "page", model)
