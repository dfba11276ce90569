"""Completion in shells: the scripts are what shells read, and offer options, files and the model's labels."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ser_edge import RuntimeUnavailable
from ser_edge.cli.app import main
from ser_edge.cli.arguments.completion import completion
from ser_edge.cli.arguments.options import SHELLS
from tests import messages

pytest.importorskip("shtab")

BASH = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_shtab_ser_edge
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = "source $argv[1]; complete -C $argv[2]"


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Path]:
    def write(shell: str, *options: str) -> Path:
        assert main(["--model", "small", *options, "--print-completion", shell]) == 0
        path = tmp_path / f"script.{shell}"
        path.write_text(capsys.readouterr().out)
        return path

    return write


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script_that_it_reads(shell: str, script: Callable[..., Path]) -> None:
    path = script(shell)
    assert "output-dir" in path.read_text()
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    command = [shell, "-f", path] if shell == "tcsh" else [shell, "-n", path]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["--output-d"], ["--output-dir"]),
        (["--model", "sm"], ["small", "smile.onnx"]),
        (["-m", "ac"], ["accurate"]),
        (["--format", "a"], ["audacity"]),
        (["--labels", "s"], ["sad", "surprised"]),
        (["--map", "ang"], ["angry="]),
        (["ta"], ["talk.wav"]),
        (["--output", "ta"], ["talk.wav"]),
    ],
)
def test_options_values_and_files_are_offered(
    typed: list[str], offered: list[str], script: Callable[..., Path], tmp_path: Path
) -> None:
    for name in ("talk.wav", "smile.onnx"):
        (tmp_path / name).touch()
    shells = [shell for shell in ("bash", "fish") if shutil.which(shell)]
    assert shells
    for shell in shells:
        path = script(shell)
        words = [*typed] if shell == "bash" else [f"ser-edge {' '.join(typed)}"]
        command = (
            ["bash", "-c", BASH, "bash", path, "ser-edge", *words]
            if shell == "bash"
            else ["fish", "-c", FISH, path, *words]
        )
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60, check=True)
        assert [line.split("\t")[0].rstrip() for line in done.stdout.splitlines()] == offered


def test_the_labels_are_those_of_the_command_line(script: Callable[..., Path]) -> None:
    text = script("bash", "--labels", "happy,low", "--map", "sad=low").read_text()
    assert "_labels_choices=(happy low)" in text


def test_without_shtab_the_error_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    with messages.raises(RuntimeUnavailable, "extra-missing"):
        completion("bash", ("happy", "sad"))
