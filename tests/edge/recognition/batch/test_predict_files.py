"""`Recognizer.predict_files`: many files from Python, in processes or not; what goes wrong, and how it ends."""

import logging
import multiprocessing
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser_edge import AudioError, FileResult, Recognizer
from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.network import Model
from tests import messages
from tests.doubles import FakeRuntime

AHEAD = 64 + 33 * 16  # paths that may be taken before the first result: those sized first, and of the tasks in flight
TIMEOUT = 120.0  # seconds, on a busy machine
JOBS = pytest.mark.parametrize("jobs", [1, 2])


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer("small")


@pytest.fixture(scope="module")
def mixed(sounds: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Good files, by paths of every kind, with everything among them that isn't one."""
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "text.wav").write_text("no sound")
    soundfile.write(folder / "silent.wav", np.zeros(16_000), 16_000)
    bad = [folder / "missing.wav", folder, folder / "text.wav", "", "a\0b.wav", "x" * 5000, "https://host/a.wav"]
    return [sounds[0], *bad, str(sounds[1]), folder / "silent.wav", os.fsencode(sounds[2])]


def codes(results: list[FileResult]) -> list[str | None]:
    return [result.error and result.error.code for result in results]


def children() -> list[multiprocessing.process.BaseProcess]:
    """Processes of pools; those that joblib keeps for other tests are not counted."""
    return [child for child in multiprocessing.active_children() if not child.name.startswith("Loky")]


@JOBS
def test_a_bad_file_is_an_error_of_its_own_and_the_others_are_classified(
    jobs: int, mixed: list[Any], recognizer: Recognizer
) -> None:
    results = list(recognizer.predict_files(mixed, jobs=jobs))
    assert [result.path for result in results] == [os.fsdecode(path) for path in mixed]
    found = {
        "audio-not-found": [1, 4, 5, 7],
        "audio-folder": [2],
        "audio-unknown-format": [3],
        "audio-unreadable": [6],  # too long for a name
        None: [0, 8, 9, 10],
    }
    assert codes(results) == [next(code for code in found if n in found[code]) for n in range(len(mixed))]
    for path, result in zip(mixed, results, strict=True):
        if result.error is None:
            assert result.prediction == recognizer.predict(path)
            assert result.predictions == (result.prediction,)
        else:
            assert (result.prediction, result.predictions) == (None, ())
    assert [bool(result.warnings) for result in results] == [False] * 9 + [True, False]


@JOBS
def test_the_first_bad_file_is_raised_in_its_turn_where_that_is_asked_for(
    jobs: int, mixed: list[Any], recognizer: Recognizer
) -> None:
    results = recognizer.predict_files(mixed, jobs=jobs, errors="raise")
    assert next(results).prediction == recognizer.predict(mixed[0])
    with messages.raises(AudioError, "audio-not-found"):
        next(results)
    assert list(results) == []
    assert not children()


def test_windows_are_predicted_where_that_is_asked_for(sounds: list[Path], recognizer: Recognizer) -> None:
    samples, rate = soundfile.read(sounds[3])
    (result,) = recognizer.predict_files([sounds[3]], timeline=True)
    windows = [(p.start, p.end, p.label) for p in recognizer.stream([samples], rate)]
    assert [(p.start, p.end, p.label) for p in result.predictions] == windows
    assert result.prediction == result.predictions[0]


@JOBS
def test_progress_gets_the_files_done_and_their_number(jobs: int, sounds: list[Path], recognizer: Recognizer) -> None:
    calls: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None) -> None:
        calls.append((done, total))

    assert len(list(recognizer.predict_files(sounds, jobs=jobs, progress=progress))) == len(sounds)
    assert calls == [(n, len(sounds)) for n in range(1, len(sounds) + 1)]
    calls.clear()
    assert len(list(recognizer.predict_files(iter(sounds), jobs=jobs, progress=progress))) == len(sounds)
    assert calls == [(n, None) for n in range(1, len(sounds) + 1)]


def test_no_paths_are_no_results(recognizer: Recognizer) -> None:
    for jobs in (None, 1, 2):
        assert list(recognizer.predict_files([], jobs=jobs)) == []
        assert list(recognizer.predict_files(iter(()), jobs=jobs)) == []


@pytest.mark.parametrize("jobs", [2, None])
def test_paths_are_taken_as_they_are_needed(jobs: int | None, sounds: list[Path], recognizer: Recognizer) -> None:
    taken = 0

    def paths() -> Iterator[Path]:
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield sounds[number % len(sounds)]

    with closing(recognizer.predict_files(paths(), jobs=jobs)) as results:
        for done in range(1, 200):
            next(results)
            assert taken <= done + AHEAD
    assert taken < 10_000
    assert not children()


def test_in_this_process_paths_are_taken_one_by_one(sounds: list[Path], recognizer: Recognizer) -> None:
    taken: list[Path] = []
    results = recognizer.predict_files((taken.append(path) or path for path in sounds), jobs=1)
    for number in range(1, len(sounds) + 1):
        next(results)
        assert len(taken) == number


@pytest.mark.slow
def test_of_ten_thousand_results_few_are_in_memory(sounds: list[Path], recognizer: Recognizer) -> None:
    import tracemalloc

    def peak(take: Callable[[Iterator[FileResult]], Any]) -> int:
        missing = f"{sounds[0].parent}/missing-%d.wav"
        tracemalloc.start()
        take(recognizer.predict_files((missing % number for number in range(10_000)), jobs=2))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(lambda results: deque(results, maxlen=1)) < peak(list) / 3


@JOBS
@pytest.mark.parametrize("wrong", [3, None, np.zeros(9)], ids=["number", "None", "array"])
def test_what_is_no_path_is_a_type_error_after_the_results_before_it(
    wrong: Any, jobs: int, sounds: list[Path], recognizer: Recognizer
) -> None:
    results = recognizer.predict_files([sounds[0], sounds[1], wrong, sounds[2]], jobs=jobs)
    assert [next(results).path for _ in range(2)] == [str(sounds[0]), str(sounds[1])]
    with pytest.raises(TypeError, match="not a path"):
        next(results)


@JOBS
def test_what_the_paths_raise_is_raised_after_the_results_before_it(
    jobs: int, sounds: list[Path], recognizer: Recognizer
) -> None:
    def paths() -> Iterator[Path]:
        yield from sounds
        raise PermissionError("no further")

    results = recognizer.predict_files(paths(), jobs=jobs)
    assert [next(results).path for _ in sounds] == list(map(str, sounds))
    with pytest.raises(PermissionError, match="no further"):
        next(results)


@pytest.mark.parametrize("paths", ["a.wav", b"a.wav", Path("folder"), 3, None], ids=str)
def test_one_path_or_none_is_refused_at_once(paths: Any, recognizer: Recognizer) -> None:
    with pytest.raises(TypeError, match="type predict_files"):
        recognizer.predict_files(paths)


@pytest.mark.parametrize(
    "wrong", [{"jobs": 0}, {"jobs": -1}, {"jobs": 1.5}, {"jobs": True}, {"errors": "ignore"}], ids=str
)
def test_an_argument_out_of_its_range_is_refused_at_once(wrong: dict[str, Any], recognizer: Recognizer) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        recognizer.predict_files([], **wrong)


@JOBS
def test_warnings_are_logged_as_those_of_predict_are(
    jobs: int, mixed: list[Any], recognizer: Recognizer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "ser_edge"):
        results = list(recognizer.predict_files(mixed, jobs=jobs))
    assert [record.message for record in caplog.records] == [line for result in results for line in result.warnings]


def test_relative_paths_are_those_of_the_folder_that_it_is_started_in(
    sounds: list[Path], recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [path.name for path in sounds]
    expected = [prediction.label for prediction in recognizer.predict(sounds)]
    monkeypatch.chdir(sounds[0].parent)
    for jobs in (1, 2):
        results = list(recognizer.predict_files(names, jobs=jobs))
        assert [(r.path, r.prediction.label) for r in results if r.prediction] == list(
            zip(names, expected, strict=True)
        )


def test_settings_are_those_of_the_recognizer(sounds: list[Path]) -> None:
    made = Recognizer("small", labels=["sad", "happy"], threshold=0.9)
    for jobs in (1, 2):
        results = made.predict_files(sounds, jobs=jobs)
        assert [result.prediction for result in results] == made.predict(sounds)


def test_a_model_that_is_no_file_stays_in_this_process(sounds: list[Path]) -> None:
    model = Model(ModelMetadata("fake", ("calm", "angry"), FeatureConfig()), FakeRuntime(lambda _: [0.25, 0.75]))
    made = Recognizer(model)
    many = sounds * 20  # for which there would be processes
    assert {result.prediction.label for result in made.predict_files(many) if result.prediction} == {"angry"}
    with pytest.raises(TypeError, match="jobs=1"):
        next(made.predict_files(many, jobs=2))


def test_several_threads_can_use_it_at_the_same_time(sounds: list[Path], recognizer: Recognizer) -> None:
    expected = recognizer.predict(sounds)

    def classify(jobs: int) -> list[Any]:
        return [result.prediction for result in recognizer.predict_files(sounds, jobs=jobs)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(classify, [1, 2, 1, 2])) == [expected] * 4
    assert not children()


def test_one_iterator_is_for_one_thread_at_a_time(sounds: list[Path], recognizer: Recognizer) -> None:
    entered, leave = threading.Event(), threading.Event()

    def paths() -> Iterator[Path]:
        entered.set()
        assert leave.wait(TIMEOUT)
        yield sounds[0]

    results = recognizer.predict_files(paths())
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(next, results)
        assert entered.wait(TIMEOUT)
        with pytest.raises(ValueError, match="already executing"):
            next(results)
        leave.set()
        assert first.result().path == str(sounds[0])


def test_what_progress_raises_ends_it_and_leaves_no_process(sounds: list[Path], recognizer: Recognizer) -> None:
    def progress(done: int, total: int | None) -> None:
        if done == 3:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        list(recognizer.predict_files(sounds * 4, jobs=2, progress=progress))
    assert not children()


def test_leaving_the_loop_leaves_no_process(sounds: list[Path], recognizer: Recognizer) -> None:
    for result in recognizer.predict_files(sounds * 100, jobs=2):
        assert result.prediction
        break
    assert not children()


def test_a_folder_of_copies_is_classified_from_python_as_by_the_command(
    sounds: list[Path], tmp_path: Path, recognizer: Recognizer
) -> None:
    for number in range(70):  # enough for processes
        shutil.copy(sounds[number % len(sounds)], tmp_path / f"{number:02}.wav")
    found = [result.prediction for result in recognizer.predict_files(sorted(tmp_path.rglob("*.wav")))]
    assert found == recognizer.predict(sorted(tmp_path.rglob("*.wav")))
