"""Many files in processes: the same results as in one, in the same order; errors, Ctrl-C, and no process is left."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_edge import ModelError, Recognizer, SerEdgeError
from ser_edge.cli.predict import find_files
from ser_edge.models.bundled.names import BUNDLED
from ser_edge.recognition.batch.process_pool import predict_in_processes
from ser_edge.recognition.batch.tasks import FileResult, classify_file
from tests import messages

COMMAND = [sys.executable, "-m", "ser_edge"]
RATE = 16_000
TIMEOUT = 120.0  # seconds, on a busy machine


def workers() -> list[multiprocessing.process.BaseProcess]:
    """The processes of this module's pools; those that joblib keeps for other tests are not counted."""
    return [child for child in multiprocessing.active_children() if not child.name.startswith("Loky")]


@pytest.fixture(scope="module")
def folder(sounds: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """43 files: one is no audio, one is truncated, one lasts over a minute."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(40):
        shutil.copy(sounds[number % len(sounds)], folder / f"{number:02}.wav")
    (folder / "03.wav").write_text("no sound")
    talk = np.concatenate([soundfile.read(path)[0] for path in sounds])
    soundfile.write(folder / "21.wav", talk, RATE)
    os.truncate(folder / "21.wav", 14 * RATE)  # bytes: seven seconds
    (folder / "deep").mkdir()
    soundfile.write(folder / "deep" / "long.wav", np.tile(talk, 7), RATE)
    for name in ("a.flac", "b.flac"):
        soundfile.write(folder / "deep" / name, talk, RATE)
    return folder


def small() -> Recognizer:
    return Recognizer("small")


def comparable(results: list[FileResult]) -> list[object]:
    """Errors don't compare equal, so their text and code."""
    return [(r.predictions, r.warnings, r.error and (str(r.error), r.error.code)) for r in results]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "--format", "json", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=TIMEOUT, check=False)


@pytest.mark.parametrize(
    "options", [[], ["--timeline", "--no-gate"], ["--labels", "sad,happy,neutral", "--map", "calm=neutral"]]
)
def test_processes_print_what_one_process_prints(options: list[str], folder: Path) -> None:
    one, many = (run("--jobs", jobs, *options, folder) for jobs in (1, 5))
    assert "Traceback" not in one.stderr
    assert many.stdout == one.stdout
    assert many.stderr == one.stderr
    assert f"{folder / '21.wav'}: " in one.stderr
    assert one.stderr.endswith("ser-edge: 42 classified, 1 failed\n")
    assert (one.returncode, many.returncode) == (1, 1)


@pytest.mark.parametrize("model", ["crnn.onnx", "crnn.tflite"])
def test_results_equal_those_of_one_process(model: str, folder: Path) -> None:
    recognizer, paths = Recognizer(model), list(find_files([str(folder)]))
    expected = [classify_file(recognizer, path, timeline=False) for path in paths]
    assert comparable(list(predict_in_processes(recognizer, iter(paths), jobs=3))) == comparable(expected)


def test_errors_and_warnings_belong_to_their_file(folder: Path) -> None:
    results = list(predict_in_processes(small(), find_files([str(folder)]), jobs=2, timeline=True))
    assert [i for i, result in enumerate(results) if result.error] == [3]
    assert results[3].error.code == classify_file(small(), str(folder / "03.wav"), False).error.code
    assert [i for i, result in enumerate(results) if not result.predictions] == [3]
    assert [i for i, result in enumerate(results) if result.warnings] == [21]


def test_a_few_short_files_start_no_process(sounds: list[Path]) -> None:
    program = (
        "import sys, threading; before = set(sys.modules); threads = threading.active_count();"
        "from ser_edge.cli.app import main; main(); new = set(sys.modules) - before;"
        "print(threading.active_count() - threads, {'multiprocessing', 'concurrent.futures', 'distributed'} & new)"
    )
    for arguments in ([sounds[0]], sounds, ["--jobs", "1", *sounds]):
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, encoding="utf-8", check=True
        )
        assert done.stdout.splitlines()[-1] == "0 set()"


def test_closing_the_results_leaves_no_process(folder: Path) -> None:
    results = predict_in_processes(small(), find_files([str(folder)]), jobs=2)
    next(results)
    assert workers()
    results.close()
    assert not workers()


def test_a_system_without_processes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no semaphores")

    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor.__init__", refuse)
    with messages.raises(SerEdgeError, "processes-unavailable"):
        next(predict_in_processes(small(), ["a.wav", "b.wav"], jobs=2))


def test_a_missing_model_is_an_error_of_the_parent(tmp_path: Path, sounds: list[Path]) -> None:
    model = tmp_path / "gone.tflite"
    shutil.copy(BUNDLED / "crnn.tflite", model)
    recognizer = Recognizer(model)
    model.unlink()
    results = predict_in_processes(recognizer, map(str, sounds), jobs=2)
    with messages.raises(ModelError, "model-not-found"):
        next(results)
    assert not workers()


def test_a_killed_worker_is_an_error(endless: Path) -> None:
    results = predict_in_processes(small(), find_files([str(endless)]), jobs=2, timeline=True)
    next(results)  # so a worker has started
    for child in workers():
        child.kill()
    with messages.raises(SerEdgeError, "process-died"):
        list(results)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_workers_exit_when_the_command_is_killed(endless: Path) -> None:
    command = [*COMMAND, "--format", "json", "--no-gate", "--jobs", "2", str(endless)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while len(started := children.read_text().split()) < 3:  # two, and the resource tracker
            time.sleep(0.05)
        process.kill()
    deadline = time.monotonic() + TIMEOUT
    while any(Path(f"/proc/{child}/cmdline").exists() for child in started):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def endless(tmp_path: Path, sounds: list[Path]) -> Path:
    """A folder whose second and third files last an hour each."""
    shutil.copy(sounds[0], tmp_path / "1.wav")
    noise = np.random.default_rng(0).integers(-9_999, 9_999, 4_000 * 60, np.int16)
    for name in ("2.wav", "3.wav"):
        with soundfile.SoundFile(tmp_path / name, "w", 4_000, 1, "PCM_U8") as file:
            for _ in range(60):
                file.write(noise)
    return tmp_path


@pytest.mark.parametrize("options", [[], ["--timeline"]])
def test_ctrl_c_stops_the_workers_soon(options: list[str], endless: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = [*COMMAND, "--format", "json", "--no-gate", "--jobs", "2", *options, str(endless)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        first = process.stdout.readline()
        assert json.loads(first)["path"] == str(endless / "1.wav")
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=TIMEOUT) == 130
        assert process.stderr.read() == "ser-edge: stopped\n"
    # Seconds of CPU, which don't depend on how busy the machine is; all of it would take 15.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 4


def test_a_closed_pipe_ends_it_quietly(sounds: list[Path]) -> None:
    paths = [str(path) for path in sounds * 60]
    command = [*COMMAND, "--format", "json", "--jobs", "3", *paths]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert json.loads(process.stdout.readline())["path"] == paths[0]
        process.stdout.close()
        assert process.wait(timeout=TIMEOUT) == 0
        assert process.stderr.read() == ""
