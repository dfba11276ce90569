"""Results of files, tasks, and the ordered map."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from ser_edge import Recognizer
from ser_edge.errors import AudioError
from ser_edge.errors.user_warnings import capture_warnings
from ser_edge.recognition.batch.tasks import (
    FileResult,
    classify_file,
    default_jobs,
    group_files,
    map_ordered,
    usable_cores,
    worth_processes,
)
from tests import messages


def test_a_result_yields_its_predictions_then_warns_and_raises(sounds: list[Path]) -> None:
    prediction = Recognizer().predict(sounds[0])
    error = AudioError("cut.wav: truncated", code="audio-truncated")
    warnings: list[str] = []
    predictions = iter(FileResult("cut.wav", (prediction,), error, ("cut.wav: silent",)))
    with capture_warnings(warnings.append):
        assert next(predictions) == prediction
        assert warnings == []
        with pytest.raises(AudioError) as raised:
            next(predictions)
    assert raised.value is error
    assert warnings == ["cut.wav: silent"]


def test_classifying_a_file_returns_its_error(tmp_path: Path) -> None:
    result = classify_file(Recognizer(), str(tmp_path / "missing.wav"), timeline=False)
    assert (result.predictions, result.warnings) == ((), ())
    messages.check(result.error, "audio-not-found")


def test_a_task_is_a_few_files_or_a_large_one(tmp_path: Path) -> None:
    for name, size in [("small", 1000), ("large", 10**7)]:
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, size)  # a hole
    small, large = str(tmp_path / "small"), str(tmp_path / "large")
    groups = group_files([*[small] * 40, large, large, small, "missing"])
    assert list(groups) == [(small,) * 16, (small,) * 16, (small,) * 8, (large,), (large,), (small, "missing")]


def test_processes_are_worth_starting_for_much_audio(tmp_path: Path) -> None:
    for name, size in (("long", 9 << 20), ("short", 100_000)):
        (tmp_path / name).write_bytes(bytes(size))
    long, short = str(tmp_path / "long"), str(tmp_path / "short")
    assert worth_processes([short, long])
    assert not worth_processes([long])
    assert not worth_processes([short] * 20 + ["missing"])


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system doesn't bind processes to cores")
def test_default_jobs_are_the_usable_cores() -> None:
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    program += "; from ser_edge.recognition.batch.tasks import default_jobs; print(default_jobs(1), default_jobs(2))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "1 1\n"
    assert default_jobs(10_000) == 1


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu.max": "5000 100000\n"}, 1),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({"cpu.max": "?"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "150000\n"}, 8),
    ],
)
def test_a_containers_cpu_quota_bounds_the_usable_cores(
    files: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8, raising=False)
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == cores


class Submitter:
    """Counts submissions to a thread pool."""

    def __init__(self, pool: ThreadPoolExecutor, work: Callable[[int], int]):
        self.submitted = 0
        self.pool, self.work = pool, work

    def submit(self, item: int) -> Future[int]:
        self.submitted += 1
        return self.pool.submit(self.work, item)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_ordered_map_yields_in_the_order_of_the_items(pool: ThreadPoolExecutor) -> None:
    def work(item: int) -> int:
        time.sleep(random.Random(item).random() / 100)
        return item

    submitter = Submitter(pool, work)
    assert [future.result() for future in map_ordered(submitter.submit, range(100), 20)] == list(range(100))


def test_ordered_map_bounds_the_futures_in_flight(pool: ThreadPoolExecutor) -> None:
    first = threading.Event()
    submitter = Submitter(pool, lambda item: first.wait(60) and item if item == 0 else item)
    threading.Timer(0.2, first.set).start()
    taken = []
    for future in map_ordered(submitter.submit, iter(range(10**6)), 20):  # a million, which are not listed either
        taken.append(future.result())
        assert submitter.submitted - len(taken) <= 20
        if len(taken) == 100:
            break
    assert taken == list(range(100))


def test_ordered_map_yields_finished_futures_after_ctrl_c() -> None:
    futures: list[Future[int]] = [Future() for _ in range(5)]

    def items() -> Iterator[int]:
        yield from range(5)
        for number in (0, 1, 3, 4):
            futures[number].set_result(number)
        raise KeyboardInterrupt

    results = map_ordered(futures.__getitem__, items(), 100)
    assert [next(results).result() for _ in range(4)] == [0, 1, 3, 4]
    with pytest.raises(KeyboardInterrupt):
        next(results)
    assert futures[2].cancelled()
