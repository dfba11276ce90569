"""Programs that call `predict_files`: scripts, notebooks, worker processes; how they end, and Ctrl-C."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser_edge import Recognizer, SerEdgeError
from tests import messages

TIMEOUT = 120.0  # seconds, on a busy machine


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer("small")


GUARDED = """
import sys
from ser_edge import Recognizer, SerEdgeError

def main():
    jobs = int(sys.argv[1]) or None
    for result in Recognizer("small").predict_files(sys.argv[2:] * 20, jobs=jobs):
        print(result.prediction.label, flush=True)

if __name__ == "__main__":
    main()
"""


def run(program: str | Path, *arguments: object, **how: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False, **how)


def test_a_script_with_a_guard_works(sounds: list[Path], tmp_path: Path, recognizer: Recognizer) -> None:
    program = tmp_path / "program.py"
    program.write_text(GUARDED)
    done = run(program, 2, *sounds)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [prediction.label for prediction in recognizer.predict(sounds)] * 20


def test_a_script_without_a_guard_ends_with_a_line_that_says_so(sounds: list[Path], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(GUARDED.partition("if __name__")[0] + "main()")
    done = run(program, 2, *sounds)
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    messages.check(SerEdgeError(last.partition(": ")[2], code="processes-unavailable"), "processes-unavailable")
    assert 'if __name__ == "__main__":' in last


NESTED = """
import multiprocessing, sys
from ser_edge import Recognizer

def classify(paths):
    return [result.prediction.label for result in Recognizer("small").predict_files(paths)]

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(len(pool.map(classify, [sys.argv[1:] * 20])[0]))
"""


def test_a_worker_process_of_multiprocessing_classifies_by_itself(sounds: list[Path], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(NESTED)
    done = run(program, *sounds)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{20 * len(sounds)}\n", "")


LEFT = """
import sys
from ser_edge import Recognizer, WindowConfig

if __name__ == "__main__":
    recognizer = Recognizer("small", windowing=WindowConfig(min_speech_ratio=None))
    results = recognizer.predict_files([sys.argv[1], *sys.argv[2:] * 20], jobs=2)
    print(next(results).path)
"""


@pytest.fixture
def hour(tmp_path: Path) -> Path:
    """An hour of noise, which takes seconds to classify."""
    noise = np.random.default_rng(0).integers(-9_999, 9_999, 4_000 * 60, np.int16)
    with soundfile.SoundFile(tmp_path / "hour.wav", "w", 4_000, 1, "PCM_U8") as file:
        for _ in range(60):
            file.write(noise)
    return tmp_path / "hour.wav"


@pytest.mark.parametrize("rest", ["sounds", "hour"])
def test_a_program_can_end_before_its_results_do(rest: str, sounds: list[Path], hour: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(LEFT)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = run(program, sounds[0], *([hour] if rest == "hour" else sounds))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{sounds[0]}\n", "")
    # Seconds of CPU, which don't depend on how busy the machine is; all of the hours would take over a hundred.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 10


@pytest.mark.slow
def test_in_a_notebook_it_works_and_can_be_interrupted(sounds: list[Path], hour: Path) -> None:
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    cells = [
        "import multiprocessing",
        "from ser_edge import Recognizer, WindowConfig",
        "recognizer = Recognizer('small', windowing=WindowConfig(min_speech_ratio=None))",
        f"len(list(recognizer.predict_files([{str(sounds[0])!r}] * 30, jobs=2)))",
        f"for result in recognizer.predict_files([{str(hour)!r}] * 30, jobs=2): print(result)",
        "len(multiprocessing.active_children())",
    ]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])

    def seconds(cell: Any) -> float:
        return 5 if "print" in cell.source else TIMEOUT  # all but this one end by themselves

    how = {"timeout_func": seconds, "interrupt_on_timeout": True, "allow_errors": True}
    NotebookClient(notebook, kernel_name="python3", **how).execute()
    *_, many, interrupted, left = (cell.outputs for cell in notebook.cells)
    assert many[0]["data"]["text/plain"] == "30"
    assert interrupted[-1]["ename"] == "KeyboardInterrupt"  # perhaps after results
    assert left[0]["data"]["text/plain"] == "0"


INTERRUPTED = """
import multiprocessing, sys
from ser_edge import Recognizer

if __name__ == "__main__":
    try:
        for result in Recognizer("small").predict_files(sys.argv[1:] * 10_000, jobs=2):
            print(result.path, flush=True)
    except KeyboardInterrupt:
        print("interrupted", len(multiprocessing.active_children()))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to consoles")
def test_ctrl_c_ends_the_processes_and_nothing_is_printed(sounds: list[Path], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(INTERRUPTED)
    command = [sys.executable, program, *map(str, sounds)]
    # In a session of its own, whose processes all get the signal, as a terminal's do.
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        assert process.stdout.readline() == f"{sounds[0]}\n"
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[-1] == "interrupted 0"
