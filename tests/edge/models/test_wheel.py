"""The wheel and the source archive hold what they should, and the wheel answers in an empty environment as here."""

import json
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from ser_edge import Recognizer, __version__

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
PACKAGES = ("edge/ser_edge", "train/ser_train", "export/ser_export")


def run(*command: object, cwd: Path, code: int = 0) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout or done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, and the wheel that is made of it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("ser_edge-*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_that_is_made_of_the_source_archive_holds_the_packages_as_they_are_here(wheel: Path) -> None:
    here = {
        f"{package.split('/')[1]}/{path.relative_to(ROOT / package).as_posix()}": path.read_bytes()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    with zipfile.ZipFile(wheel) as archive:
        there = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    assert there == here
    networks = {"crnn.onnx", "crnn.tflite", "silero_vad.onnx", "silero_vad.tflite", "tiny_en_3_blocks.npz"}
    for needed in networks | {"MODEL_CARD.md", "silero_vad.LICENSE", "tiny_en_3_blocks.LICENSE", "py.typed"}:
        assert [name for name in there if Path(name).name == needed], needed


def test_the_source_archive_holds_what_builds_and_tests_it_and_nothing_that_was_made(built: Path) -> None:
    with tarfile.open(next(built.glob("ser_edge-*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"pyproject.toml", "README.md", "LICENSE", "Makefile", "constraints.txt", "tests/sounds/plain.wav"}
    assert needed | {f"{package}/__init__.py" for package in PACKAGES} <= names
    made = ("runs/", "exported/", "build/", "dist/", ".venv/", ".git/")
    assert not [name for name in names if name.startswith(made) or name.endswith(".pyc")]


def test_twine_and_check_wheel_contents_find_nothing(built: Path, wheel: Path) -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *built.iterdir(), cwd=built)
    run(sys.executable, "-m", "check_wheel_contents", "--config", ROOT / "pyproject.toml", wheel, cwd=built)


def test_the_version_comes_from_one_place(metadata: Message) -> None:
    assert metadata["Version"] == __version__


def test_the_text_of_the_page_has_no_link_that_leads_nowhere(metadata: Message) -> None:
    targets = re.findall(r"\]\(([^)]*)\)", str(metadata.get_payload()))
    assert not [target for target in targets if not target.startswith(("https://", "#"))]
    assert "```console" in str(metadata.get_payload())


def test_only_intel_macs_get_onnx_runtime_instead_of_litert(metadata: Message) -> None:
    from packaging.requirements import Requirement

    required = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]

    def runtimes(platform: str, machine: str) -> set[str]:
        system = {"sys_platform": platform, "platform_machine": machine, "extra": ""}
        names = {r.name for r in required if r.marker is None or r.marker.evaluate(system)}
        return names & {"ai-edge-litert", "onnxruntime"}

    for system in (("linux", "aarch64"), ("linux", "x86_64"), ("darwin", "arm64"), ("win32", "AMD64")):
        assert runtimes(*system) == {"ai-edge-litert"}
    assert runtimes("darwin", "x86_64") == {"onnxruntime"}


def test_an_empty_environment_answers_as_this_one_does(wheel: Path, sounds: list[Path], tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = [programs / "python", "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "-c", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    installed = {package["name"] for package in json.loads(run(*pip, "list", "--format", "json", cwd=tmp_path))}
    assert {"ser-edge", "numpy", "ai-edge-litert"} <= installed
    assert not installed & {"keras", "librosa", "onnxruntime", "scikit-learn", "scipy", "tensorflow"}
    record = json.loads(run(programs / "ser-edge", "--format", "json", sounds[0], cwd=tmp_path))
    here = Recognizer().predict(sounds[0])
    assert record["label"] == here.label
    assert record["probabilities"] == pytest.approx(here.probabilities, abs=1e-4)
    assert run(programs / "ser-edge", "--version", cwd=tmp_path) == f"ser-edge {__version__}\n"
    for command in ("ser-train", "ser-train report .", "ser-export ."):
        program, *arguments = command.split()
        message = run(programs / program, *arguments, cwd=tmp_path, code=4)
        assert re.fullmatch(
            rf"{program}: \w+ is not installed; try: .*/python\S* -m pip install .*'tensorflow>=\S+'\n", message
        )
