"""Ctrl-C and SIGTERM while files are classified: one line, the exit code, and nothing unfinished."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
COMMAND = [sys.executable, "-m", "ser_edge"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_one_line_and_its_exit_code(number: int, sounds: list[Path]) -> None:
    with subprocess.Popen(
        [*COMMAND, str(sounds[0]), "-"],
        stdin=subprocess.PIPE,  # kept open: after the first sound it waits for the second
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout.readline().endswith(f"{sounds[0]}\n")
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
        assert process.stderr.read() == "ser-edge: stopped\n"


def test_ctrl_c_while_the_command_is_imported_is_one_line() -> None:
    program = (
        "import os, signal, sys; from ser_edge.__main__ import main\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        name == 'ser_edge.cli.app' and os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting()); main()"
    )
    done = subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"ser-edge: stopped\n")


def test_ctrl_c_again_does_not_disturb_the_end(sounds: list[Path]) -> None:
    command = [*COMMAND, "--model", "small", "--format", "json", "--jobs", "2", *map(str, sounds * 100)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        process.stdout.readline()
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGINT)
            time.sleep(0.002)
        assert process.returncode == 130
        assert process.stderr.read() == "ser-edge: stopped\n"


def test_sigterm_leaves_no_unfinished_file(sounds: list[Path], tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    soundfile.write(long, np.tile(soundfile.read(sounds[0])[0], 200), soundfile.info(sounds[0]).samplerate)
    out = tmp_path / "out"
    with subprocess.Popen(
        [*COMMAND, "--timeline", "--output-dir", str(out), str(long)], stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        while not list(out.glob(".*.part")) and process.poll() is None:
            time.sleep(0.01)
        process.terminate()
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
        assert process.stderr.read().startswith("ser-edge: stopped")
    assert list(out.iterdir()) == []
