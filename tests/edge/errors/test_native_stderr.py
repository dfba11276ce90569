"""Standard error belongs to Python, whatever native libraries print."""

import subprocess
import sys


def test_standard_error_is_kept_from_native_libraries() -> None:
    program = """
import os, sys
from ser_edge.errors.native_stderr import isolate_stderr
with isolate_stderr():
    os.write(2, b"Expression failed in pa_linux_alsa.c\\n")
    print("ours", file=sys.stderr)
os.write(2, b"theirs again\\n")
print("and ours", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stderr == "ours\ntheirs again\nand ours\n"
