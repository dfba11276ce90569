"""Many files: as one after the other, only sooner. Order, errors, Ctrl-C, memory, and what a single file is spared."""

import ctypes
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_edge import ModelError, Recognizer, SerEdgeError, WindowConfig
from ser_edge.cli.app import main
from ser_edge.cli.predict import sounds as found
from ser_edge.errors.native_stderr import STDERR_LOCK, keep_freed_memory, suppress_native_stderr
from ser_edge.output.progress import Progress, log_line
from ser_edge.recognition.batch import tasks as batch
from ser_edge.recognition.batch.process_pool import predict_in_processes
from ser_edge.recognition.batch.tasks import (
    FileResult,
    RecognizerConfig,
    default_jobs,
    judged,
    map_ordered,
    worth_processes,
)

COMMAND = [sys.executable, "-m", "ser_edge"]
RATE = 16_000
PATIENCE = 120.0  # s, on a machine that has other things to do
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(sounds: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """43 sounds: one is none, one is cut off in mid-word, one lasts over a minute."""
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


def setup_of(model: str = "crnn") -> RecognizerConfig:
    return RecognizerConfig(model, 1, None, WindowConfig())


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "--format", "json", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=PATIENCE, check=False)


@pytest.mark.parametrize("options", [[], ["--timeline", "--no-gate"]])
def test_many_at_a_time_is_what_one_at_a_time_says(options: list[str], folder: Path) -> None:
    alone, together = (run("--jobs", jobs, *options, folder) for jobs in (1, 5))
    assert "Traceback" not in alone.stderr
    assert together.stdout == alone.stdout
    assert together.stderr == alone.stderr
    assert f"{folder / '21.wav'}: truncated or damaged: 7.00 s of " in alone.stderr
    assert alone.stderr.endswith("ser-edge: 42 judged, 1 failed\n")
    assert (alone.returncode, together.returncode) == (1, 1)


@pytest.mark.parametrize("model", ["crnn.onnx", "crnn.tflite"])
def test_answers_are_equal_to_the_last_bit(model: str, folder: Path) -> None:
    setup = setup_of(model)
    recognizer, paths = setup.build(), list(found([str(folder)]))
    alone = [judged(recognizer, path, False, lambda done, total: None) for path in paths]
    assert list(predict_in_processes(setup, iter(paths), 3, False, Progress(lambda: 0))) == alone


def test_an_error_and_a_warning_stand_where_their_file_does(folder: Path) -> None:
    outcomes = list(predict_in_processes(setup_of(), found([str(folder)]), 2, True, Progress(lambda: 0)))
    broken = [(i, o.problem.split(": ")[1]) for i, o in enumerate(outcomes) if o.problem]
    assert broken == [(3, "not a sound file that can be read (WAV, FLAC, OGG, MP3, AIFF, ...)")]
    assert [i for i, outcome in enumerate(outcomes) if not outcome.predictions] == [3]
    assert [i for i, outcome in enumerate(outcomes) if outcome.warnings] == [21]


def test_a_few_short_files_start_no_process_and_import_no_pool(sounds: list[Path]) -> None:
    program = (
        "import sys, threading; from ser_edge.cli.app import main; main();"
        "print(threading.active_count(), {'multiprocessing', 'concurrent.futures', 'distributed'} & set(sys.modules))"
    )
    for arguments in ([sounds[0]], sounds, ["--jobs", "1", *sounds]):
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, encoding="utf-8", check=True
        )
        assert done.stdout.splitlines()[-1] == "1 set()"


def test_a_task_is_a_few_files_or_a_large_one(tmp_path: Path) -> None:
    for name, size in [("small", 1000), ("large", 10**7)]:
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, size)  # a hole
    small, large = str(tmp_path / "small"), str(tmp_path / "large")
    made = batch.group_files([*[small] * 40, large, large, small, "gone"])
    assert list(made) == [(small,) * 16, (small,) * 16, (small,) * 8, (large,), (large,), (small, "gone")]


def test_processes_are_worth_starting_for_much_sound(tmp_path: Path) -> None:
    for name, size in (("long", 9 << 20), ("short", 100_000)):
        (tmp_path / name).write_bytes(bytes(size))
    long, short = str(tmp_path / "long"), str(tmp_path / "short")
    assert worth_processes([short, long])
    assert not worth_processes([long])
    assert not worth_processes([short] * 20 + ["missing"])


def test_a_command_line_is_read_without_numpy() -> None:
    program = "import sys; sys.modules['numpy'] = None; from ser_edge.cli.app import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, encoding="utf-8", check=True)
    assert "--jobs N" in done.stdout


def test_no_process_is_left(folder: Path) -> None:
    outcomes = predict_in_processes(setup_of(), found([str(folder)]), 2, False, Progress(lambda: 0))
    next(outcomes)
    assert multiprocessing.active_children()
    outcomes.close()
    assert not multiprocessing.active_children()


def test_a_model_that_fails_ends_it_with_its_line(tmp_path: Path, sounds: list[Path]) -> None:
    outcomes = predict_in_processes(
        setup_of(str(tmp_path / "gone.onnx")), map(str, sounds), 2, False, Progress(lambda: 0)
    )
    with pytest.raises(ModelError, match=r"gone\.onnx: no such model file"):
        next(outcomes)
    assert not multiprocessing.active_children()


def test_a_process_that_dies_is_told_in_a_line(endless: Path) -> None:
    outcomes = predict_in_processes(setup_of(), found([str(endless)]), 2, True, Progress(lambda: 0))
    killer = threading.Timer(1, lambda: [os.kill(child.pid, 9) for child in multiprocessing.active_children()])
    killer.start()
    with pytest.raises(SerEdgeError, match=r"^a process that judged files died, perhaps for want of memory; try fewer"):
        list(outcomes)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_when_the_command_is_killed_its_processes_end_too(endless: Path) -> None:
    command = [*COMMAND, "--format", "json", "--no-gate", "--jobs", "2", str(endless)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while len(started := children.read_text().split()) < 3:  # two, and the one that tidies up after them
            time.sleep(0.05)
        process.kill()
    deadline = time.monotonic() + PATIENCE
    while any(Path(f"/proc/{child}/cmdline").exists() for child in started):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_standard_input_has_its_turn_among_files(sounds: list[Path]) -> None:
    command = [*COMMAND, "--format", "json", str(sounds[0]), "-", str(sounds[1])]
    done = subprocess.run(command, input=sounds[2].read_bytes(), capture_output=True, timeout=PATIENCE, check=True)
    paths = [json.loads(line)["path"] for line in done.stdout.splitlines()]
    assert paths[0] == str(sounds[0])
    assert set(paths[1:-1]) == {"-"}
    assert paths[-1] == str(sounds[1])


class Later:
    """Work that threads do in an order of their own."""

    def __init__(self, pool: ThreadPoolExecutor, work: Callable[[int], int]):
        self.begun = 0
        self.pool, self.work = pool, work

    def submit(self, item: int) -> Future[int]:
        self.begun += 1
        return self.pool.submit(self.work, item)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_results_come_in_order_whenever_they_are_there(pool: ThreadPoolExecutor) -> None:
    def work(item: int) -> int:
        time.sleep(random.Random(item).random() / 100)
        return item

    later = Later(pool, work)
    assert [future.result() for future in map_ordered(later.submit, range(100), 20)] == list(range(100))


def test_no_more_is_begun_ahead_than_that(pool: ThreadPoolExecutor) -> None:
    first = threading.Event()
    later = Later(pool, lambda item: first.wait(60) and item if item == 0 else item)
    threading.Timer(0.2, first.set).start()
    taken = []
    for future in map_ordered(later.submit, iter(range(10**6)), 20):  # a million: they are not listed either
        taken.append(future.result())
        assert later.begun - len(taken) <= 20
        if len(taken) == 100:
            break
    assert taken == list(range(100))


def test_after_ctrl_c_what_is_there_is_given(pool: ThreadPoolExecutor) -> None:
    stuck = threading.Event()
    later = Later(pool, lambda item: stuck.wait(60) and item if item == 2 else item)

    def items() -> Iterator[int]:
        yield from range(5)
        time.sleep(0.2)  # all but 2 are done
        raise KeyboardInterrupt

    futures = map_ordered(later.submit, items(), 100)
    assert [next(futures).result() for _ in range(4)] == [0, 1, 3, 4]
    with pytest.raises(KeyboardInterrupt):
        next(futures)
    stuck.set()


def test_a_folder_is_listed_as_it_is_needed_and_links_out_of_it_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a/1.wav", "a/b/2.WAV", "a.b/3.flac", "c.wav", "c/4.mp3", os.fsdecode("ü.ogg".encode())]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "c" / "empty").mkdir()
    (tmp_path / "c" / "round.wav").symlink_to(tmp_path)
    (tmp_path / "d.wav").symlink_to(tmp_path / "c.wav")
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(Path(path)) or scandir(path))
    walk = found([str(tmp_path), "given.xyz"])
    assert next(walk) == str(tmp_path / "a" / "1.wav")
    assert listed == [tmp_path, tmp_path / "a"]
    expected = sorted([tmp_path / name for name in [*names, "d.wav"]])[1:]
    assert list(walk) == [*map(str, expected), "given.xyz"]


def test_a_folder_that_may_not_be_read_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "c.wav").touch()
    scandir = os.scandir

    def refuses(path: Path) -> object:
        if path == tmp_path / "b":
            raise PermissionError
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuses)
    assert list(found([str(tmp_path)])) == [str(tmp_path / "b"), str(tmp_path / "c.wav")]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system doesn't bind processes to cores")
def test_there_are_as_many_jobs_as_cores_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    program += "; from ser_edge.recognition.batch.tasks import default_jobs; print(default_jobs(1), default_jobs(2))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "1 1\n"
    monkeypatch.setattr(batch, "_cores", lambda: 6)
    assert [default_jobs(threads) for threads in (1, 2, 4, 8)] == [6, 3, 1, 1]


@pytest.fixture
def endless(tmp_path: Path, sounds: list[Path]) -> Path:
    """A folder whose second and third sound last an hour each."""
    shutil.copy(sounds[0], tmp_path / "1.wav")
    noise = np.random.default_rng(0).integers(-9_999, 9_999, 4_000 * 60, np.int16)
    for name in ("2.wav", "3.wav"):
        with soundfile.SoundFile(tmp_path / name, "w", 4_000, 1, "PCM_U8") as file:
            for _ in range(60):
                file.write(noise)
    return tmp_path


@pytest.mark.parametrize("options", [[], ["--timeline"]])
def test_ctrl_c_ends_it_soon_and_keeps_what_was_said(options: list[str], endless: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = [*COMMAND, "--format", "json", "--no-gate", "--jobs", "2", *options, str(endless)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        first = process.stdout.readline()
        assert json.loads(first)["path"] == str(endless / "1.wav")
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE) == 130
        assert process.stderr.read() == "ser-edge: stopped\n"
    # Seconds of CPU, which say the same on a machine that has other things to do; to the end it takes 15.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 4


def test_a_reader_that_has_enough_ends_it_quietly(sounds: list[Path]) -> None:
    paths = [str(path) for path in sounds * 60]
    command = [*COMMAND, "--format", "json", "--jobs", "3", *paths]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert json.loads(process.stdout.readline())["path"] == paths[0]
        process.stdout.close()
        assert process.wait(timeout=PATIENCE) == 0
        assert process.stderr.read() == ""


class Terminal:
    """Standard error that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None: ...


def test_a_bar_counts_all_files_and_survives_the_errors(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for jobs in ("1", "4"):
        terminal.text = ""
        assert main(["--jobs", jobs, "--format", "json", str(folder)]) == 1
        assert "| 43/43 files [" in terminal.text
        assert f"\rser-edge: {folder / '03.wav'}: not a sound file" in terminal.text
        assert f"\rser-edge: {folder / '21.wav'}: truncated or damaged" in terminal.text
    assert capsys.readouterr().out.count("\n") == 2 * 42


def test_standard_error_is_back_when_two_threads_have_hushed_it(capfd: pytest.CaptureFixture[str]) -> None:
    def hush() -> None:
        for _ in range(50):
            with suppress_native_stderr():
                os.write(2, b"chatter\n")

    threads = [threading.Thread(target=hush) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(50):
        log_line(f"line {number}")
        time.sleep(0.0005)
    for thread in threads:
        thread.join()
    with STDERR_LOCK:
        os.write(2, b"end\n")
    assert capfd.readouterr().err.splitlines() == [*(f"line {number}" for number in range(50)), "end"]


def test_a_c_library_that_is_not_glibc_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_freed_memory()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_freed_memory()


def test_an_outcome_shows_what_there_is_before_its_error(sounds: list[Path]) -> None:
    prediction = Recognizer().predict(sounds[0])
    shown = []
    with pytest.raises(Exception, match=r"^truncated$"):
        FileResult((prediction,), "truncated").tell(shown.append)
    assert shown == [prediction]
