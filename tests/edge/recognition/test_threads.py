"""One recognizer in many threads, coroutines and forked processes gives the same predictions as in one thread."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ser_edge import ModelError, Prediction, Recognizer
from ser_edge.features.config import FeatureConfig
from ser_edge.models.integrity import model_files
from ser_edge.models.loader import warn_once
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.network import Model
from ser_edge.models.runtimes import litert
from ser_edge.recognition.voice_activity import voice_detector
from tests import messages
from tests.conftest import RATE, voice
from tests.doubles import FakeRuntime

THREADS, CALLS = 8, 25
VOICES = [voice(emotion, actor, 1, 0.5 + 0.1 * emotion) for emotion in range(1, 9) for actor in (1, 2)]


@pytest.fixture(scope="module", params=model_files(), ids=lambda path: path.name)
def recognizer(request: pytest.FixtureRequest) -> Recognizer:
    return Recognizer(request.param, threshold=0.0)


def in_threads(work: Callable[[int], Any]) -> list[Any]:
    """What `work` gives for each number below `THREADS * CALLS`, in so many threads that begin together."""
    barrier = Barrier(THREADS)

    def one(thread: int) -> list[Any]:
        barrier.wait()
        return [work(thread * CALLS + call) for call in range(CALLS)]

    with ThreadPoolExecutor(THREADS) as pool:
        return [result for results in pool.map(one, range(THREADS)) for result in results]


def test_many_threads_get_the_answers_of_one(recognizer: Recognizer) -> None:
    expected = [recognizer.predict(samples, RATE) for samples in VOICES]
    assert len({prediction.confidence for prediction in expected}) > len(VOICES) / 2
    answers = in_threads(lambda i: recognizer.predict(VOICES[i % len(VOICES)], RATE))
    assert answers == [expected[i % len(VOICES)] for i in range(THREADS * CALLS)]


def test_coroutines_get_the_answers_of_one(recognizer: Recognizer) -> None:
    expected = [recognizer.predict(samples, RATE) for samples in VOICES]

    async def all_at_once() -> list[Prediction]:
        return await asyncio.gather(*(asyncio.to_thread(recognizer.predict, samples, RATE) for samples in VOICES))

    assert asyncio.run(all_at_once()) == expected


def chunks(number: int) -> list[npt.NDArray[np.float32]]:
    """Four seconds of voices and of silence, cut into twenty."""
    order = np.random.default_rng(number).permutation(len(VOICES))[:4]
    sound = np.concatenate([np.pad(VOICES[i], (0, RATE - len(VOICES[i]) % RATE)) for i in order])[: 4 * RATE]
    return np.array_split(sound, 20)


def test_streams_in_many_threads_get_the_answers_of_one(recognizer: Recognizer) -> None:
    expected = [list(recognizer.stream(chunks(number), RATE)) for number in range(THREADS)]
    assert len({str(answers) for answers in expected}) == THREADS
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda i: list(recognizer.stream(chunks(i % THREADS), RATE)), range(3 * THREADS)))
    assert answers == 3 * expected


def test_streams_that_take_turns_get_the_answers_of_one(recognizer: Recognizer) -> None:
    """A thread of a server has a chunk of another caller each time."""
    listeners = [recognizer.create_stream(RATE) for _ in range(THREADS)]
    found: list[list[Prediction]] = [[] for _ in listeners]
    with ThreadPoolExecutor(THREADS) as pool:
        for turn in range(20):
            parts = pool.map(lambda i, turn=turn: listeners[i].accept_waveform(chunks(i)[turn]), range(THREADS))
            for answers, part in zip(found, parts, strict=True):
                answers += part
    for number, listener in enumerate(listeners):
        assert found[number] + listener.input_finished() == list(recognizer.stream(chunks(number), RATE))


def test_many_threads_may_open_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    voice_detector.shared_network.cache_clear()
    expected = list(Recognizer().stream(chunks(1), RATE))
    voice_detector.shared_network.cache_clear()
    barrier = Barrier(THREADS)

    def opened(_: int) -> list[Prediction]:
        barrier.wait()
        return list(Recognizer().stream(chunks(1), RATE))

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(opened, range(THREADS))) == THREADS * [expected]


def test_a_failure_of_the_runtime_is_not_blamed_on_the_model(sounds: list[Path]) -> None:
    outputs = iter([[0.5, 0.5]])  # of the check when it is opened

    def compute(_: Any) -> Any:
        if output := next(outputs, None):
            return output
        raise RuntimeError("no memory\nleft")

    recognizer = Recognizer(Model(ModelMetadata("fake", ("calm", "angry"), FeatureConfig()), FakeRuntime(compute)))
    with messages.raises(ModelError, "model-failed"):
        recognizer.predict(sounds[0])


def test_standard_error_is_left_alone_once_the_runtime_has_announced_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    Recognizer("small.tflite")

    def suppress() -> Any:
        raise AssertionError("what another thread writes would be lost")

    monkeypatch.setattr(litert, "suppress_native_stderr", suppress)
    Recognizer("small.tflite")


def test_a_warning_comes_once_from_many_threads(caplog: pytest.LogCaptureFixture) -> None:
    in_threads(lambda _: warn_once("a line of this test"))
    assert [record.getMessage() for record in caplog.records] == ["a line of this test"]


FORKED = """
import os, signal, sys, threading
import numpy as np
from ser_edge import Recognizer

name, threads = sys.argv[1], int(sys.argv[2])
sys.modules.update(dict.fromkeys(sys.argv[3:]))  # modules that aren't installed
recognizer = Recognizer(name, threads)
samples = np.random.default_rng(0).uniform(-0.5, 0.5, 48_000).astype(np.float32)
expected = recognizer.predict(samples, 16_000)
whole = list(recognizer.stream([samples, samples], 16_000))
begun = recognizer.create_stream(16_000)
first = begun.accept_waveform(samples)
unused = Recognizer(name, threads)
busy = [threading.Thread(target=lambda: [recognizer.predict(samples, 16_000) for _ in range(80)]) for _ in range(3)]
for thread in busy:
    thread.start()


def child():
    signal.alarm(60)  # what hangs is ended
    good = recognizer.predict(samples, 16_000) == expected
    good &= list(recognizer.stream([samples, samples], 16_000)) == whole
    good &= first + begun.accept_waveform(samples) + begun.input_finished() == whole
    good &= Recognizer(name, threads).predict(samples, 16_000) == expected
    return good


pids = []
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        good = child()
        del recognizer, begun, unused
        sys.exit(0 if good else 9)  # as a program ends, all objects freed
    pids.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
for thread in busy:
    thread.join()
print(codes, recognizer.predict(samples, 16_000) == expected)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize(
    ("model", "missing"),
    [("small.tflite", []), ("small.onnx", []), ("small.onnx", ["ai_edge_litert", "tflite_runtime"])],
)
def test_a_fork_in_the_middle_of_other_threads_work_answers_the_same(
    model: str, missing: list[str], threads: str
) -> None:
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED, model, threads, *missing]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 0, 0, 0, 0] True\n", "")


SUPPRESSED = """
import os, threading, time
from ser_edge.errors.native_stderr import suppress_native_stderr

inside = threading.Event()


def suppress():
    with suppress_native_stderr():
        inside.set()
        time.sleep(0.3)


thread = threading.Thread(target=suppress)
thread.start()
inside.wait()
if os.fork() == 0:
    os.write(2, b"of the child\\n")
    with suppress_native_stderr():
        os.write(2, b"lost\\n")
    os.write(2, b"again\\n")
    os._exit(0)
os.wait()
thread.join()
os.write(2, b"of the parent\\n")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_that_is_forked_while_standard_error_is_suppressed_has_its_own() -> None:
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SUPPRESSED]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert done.stderr == "of the child\nagain\nof the parent\n"
