"""Every line of the pages that installs something works as it stands, from a fresh checkout.

The libraries that ser-edge needs are left out: whether they install is the package index's business, and
`tests/edge/models/test_wheel.py`'s. What builds ser-edge is downloaded.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import InvalidRequirement, Requirement

from ser_edge import __version__
from tests.docs.pages import PAGES, ROOT, Block, blocks, typed

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
NAMED = {Requirement(text).name for texts in (PROJECT["dependencies"], *EXTRAS.values()) for text in texts}
INSTALLS = re.compile(r"pip (?:install|wheel) ")
ROOTS = re.compile(r"^sudo apt-get install [a-z0-9 -]+$")  # the system's packages, which a test doesn't change
WITHOUT_LIBRARIES = {
    "pip install ": "pip install --no-deps ",
    "ser-edge --doctor": "ser-edge --version",
}
OFFLINE = re.compile(r"No matching distribution found for hatch|[Cc]onnection|name resolution")


def installing(page: Path) -> list[Block]:
    """A page's blocks that are run here."""
    found = [block for block in blocks(page, skipped=True) if block.kind == "console"]
    return [block for block in found if INSTALLS.search(block.content) and "/opt/" not in block.content]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a clone has, and no more."""
    for name in ("edge", "train", "export"):
        shutil.copytree(ROOT / name, tmp_path / "clone" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE", "Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / "clone")
    (tmp_path / "home").mkdir()
    return tmp_path / "clone"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the lines are for bash")
@pytest.mark.parametrize("page", [page for page in PAGES if installing(page)], ids=lambda page: page.name)
def test_the_lines_that_install_it_work_in_a_fresh_checkout(page: Path, checkout: Path) -> None:
    programs = checkout.parent / "bin"
    programs.mkdir()
    (programs / "python3").write_text(f'#!/bin/sh\nexec "{sys._base_executable}" "$@"\n')  # type: ignore[attr-defined]
    (programs / "python3").chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment = kept | {
        "HOME": str(checkout.parent / "home"),
        "PATH": f"{programs}{os.pathsep}{os.defpath}",
        "PIP_CACHE_DIR": str(Path(os.environ.get("PIP_CACHE_DIR", "~/.cache/pip")).expanduser()),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    for block in installing(page):
        for shown in typed(block.content):
            if ROOTS.match(shown.command):
                continue
            command = shown.command
            for words, without_libraries in WITHOUT_LIBRARIES.items():
                command = command.replace(words, without_libraries)
            done = subprocess.run(
                ["bash", "-c", command], cwd=checkout, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode and OFFLINE.search(done.stderr):
                pytest.skip("no package index can be reached")
            assert done.returncode == 0, f"{block.place}: {command}\n{done.stdout}{done.stderr}"
    home = checkout.parent / "home"
    command = [home / "ser-edge/bin/ser-edge", "--version"]
    installed = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=True)
    assert installed.stdout == f"ser-edge {__version__}\n"


def test_make_wheel_is_what_the_page_types_without_make() -> None:
    recipe = re.search(r"^wheel: .*\n(?:\t.*\n)*", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert recipe is not None
    (line,) = (line for line in recipe[0].splitlines() if " pip wheel " in line)
    said = (ROOT / "docs/install.md").read_text("utf-8")
    assert f"$ .venv/bin/python -m pip wheel {line.partition('version-check ')[2]}\n" in said


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_has_pip_install_is_there_to_be_installed(page: Path) -> None:
    text = page.read_text("utf-8")
    for match in re.finditer(r"(\S+ -m )?pip install ([^`\n]+)", text):
        assert match[1], f"{page.name}: {match[0]}: whose pip?"
        for word in match[2].split():
            target = word.strip("'\"").replace("\\", "/")
            path, _, extra = target.rstrip("]").partition("[")
            assert set(filter(None, extra.split(","))) <= EXTRAS.keys()
            if target.startswith("-") or path in (".", "dist/ser_edge-*.whl"):
                continue
            if path.endswith(".whl"):
                assert path == f"dist/ser_edge-{__version__}-py3-none-any.whl"
                continue
            try:
                assert Requirement(target).name in NAMED - {"ser-edge"}, match[0]
            except InvalidRequirement:
                pytest.fail(f"{page.name}: {match[0]}")
