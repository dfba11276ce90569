"""The commands in messages are this interpreter's, and name requirements of the project."""

import importlib.metadata
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from ser_edge.errors.install_hints import install_extra, pip_install, reinstall

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = [name for name in PROJECT["optional-dependencies"] if name not in ("bench", "dev", "fuzz")]


def not_installed(name: str) -> str:
    raise importlib.metadata.PackageNotFoundError(name)


def requirements(extra: str) -> set[Requirement]:
    """Of pyproject.toml, those of the extras it names included."""
    found = set()
    for text in PROJECT["optional-dependencies"][extra]:
        requirement = Requirement(text)
        if requirement.name == "ser-edge":
            found |= {each for other in requirement.extras for each in requirements(other)}
        else:
            found.add(requirement)
    return found


def test_a_command_is_this_interpreters_and_a_shell_reads_it_as_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    for executable in (sys.executable, "/a folder/it's/python"):
        monkeypatch.setattr(sys, "executable", executable)
        words = ["--upgrade", "onnxruntime>=1.20", "a[b]<3", "/with spaces/x.whl"]
        assert shlex.split(pip_install(*words)) == [executable, "-m", "pip", "install", *words]


def test_a_command_runs() -> None:
    done = subprocess.run(shlex.split(pip_install("--help")), capture_output=True, text=True, check=True)
    assert "pip install" in done.stdout


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_its_libraries_without_our_name_which_no_index_may_have(
    extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", not_installed)
    program, _, _, _, *words = shlex.split(install_extra(extra))
    assert program == sys.executable
    assert set(map(Requirement, words)) == requirements(extra)


def test_of_an_extra_only_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1" if name != "requests" else not_installed(name))
    assert shlex.split(install_extra("train"))[4:] == ["requests>=2.32"]


def test_a_library_that_is_there_but_does_not_load_is_named_nevertheless() -> None:
    assert {Requirement(word) for word in shlex.split(install_extra("onnx"))[4:]} == requirements("onnx")


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, "{python} -m pip install --force-reinstall --no-deps ser-edge"),
        (
            '{{"url": "file:///gone.whl", "archive_info": {{}}}}',
            "{python} -m pip install --force-reinstall --no-deps ser-edge",
        ),
        (
            '{{"url": "file://{folder}/a%20b.whl", "archive_info": {{}}}}',
            "{python} -m pip install --force-reinstall --no-deps '{folder}/a b.whl'",
        ),
        (
            '{{"url": "file://{folder}", "dir_info": {{"editable": true}}}}',
            "git -C {folder} checkout -- edge/ser_edge/models/bundled edge/ser_edge/recognition/voice_activity",
        ),
        ("no JSON", "{python} -m pip install --force-reinstall --no-deps ser-edge"),
    ],
)
def test_ser_edge_is_installed_again_from_where_it_came(
    origin: str | None, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a b.whl").touch()
    text = origin and origin.format(folder=tmp_path)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: SimpleNamespace(read_text=lambda name: text))
    words = [word.format(python=sys.executable, folder=tmp_path) for word in shlex.split(command)]
    assert shlex.split(reinstall()) == words  # whatever a shell needs around a folder's name
