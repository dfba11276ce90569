"""A reader follows a sound file through few modules."""

import subprocess
import sys
from pathlib import Path

MAX_HOPS = 44
TOOL = Path(__file__).with_name("hops.py")


def test_a_file_is_followed_in_few_hops(sounds: list[Path]) -> None:
    command = [sys.executable, TOOL, sounds[0], "--max", str(MAX_HOPS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" hops")
