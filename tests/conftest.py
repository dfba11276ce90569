"""What the tests share: sounds, a small made corpus with RAVDESS's names, and a cache of their own."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_edge.recognition.prediction import Prediction
from tests import messages

# A shell that starts the tests in the background ignores Ctrl-C, nohup ignores a closed terminal, and so would the
# commands that are tested.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# What is set for the user's own ser-edge isn't for those that are tested, and no proxy asks the servers of tests.
for name in [name for name in os.environ if name.startswith(("SER_EDGE_", "NOTIFY_SOCKET", "WATCHDOG_"))]:
    del os.environ[name]
_direct = ",".join(filter(None, (os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "127.0.0.1", "localhost")))
os.environ["no_proxy"] = os.environ["NO_PROXY"] = _direct

SOUNDS = Path(__file__).parent / "sounds"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-messages", action="store_true", help="accept the wording of errors as it is now")


def pytest_configure(config: pytest.Config) -> None:
    messages.updating = config.getoption("--update-messages")
    messages.watch()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Renews the snapshot of messages; a worker of xdist hands what it saw to the process that started it."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["messages"] = sorted(messages.seen)
    elif messages.updating:
        complete = config.args_source is config.ArgsSource.TESTPATHS and not (
            config.option.keyword or config.option.markexpr
        )
        for line in messages.save(complete):
            print("\nno test saw, so removed:", line.replace("\t", ": "))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    messages.seen.update(getattr(node, "workeroutput", {}).get("messages", ()))  # none if it crashed


RATE = 16_000


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No test reads or fills the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["SER_EDGE_CACHE"] = str(folder)
    return folder


def is_clear(prediction: Prediction, same: float, threshold: float) -> bool:
    """Whether its label stays where probabilities differ by no more than `same`: with another runtime or processor."""
    first, second = sorted(prediction.probabilities.values())[:-3:-1]
    return first - second > 2 * same and abs(first - threshold) > same


@pytest.fixture(scope="session")
def sounds() -> list[Path]:
    """The WAV files that come with the project."""
    return sorted(SOUNDS.glob("*.wav"))


@pytest.fixture(scope="session")
def speech() -> list[Path]:
    """Real speech where `RAVDESS` says there is some (a file of each actor), else the project's own sounds."""
    corpus = os.environ.get("RAVDESS")
    if corpus and Path(corpus).is_dir():
        return sorted(Path(corpus).rglob("03-01-*.*"))[::60]
    return sorted(SOUNDS.glob("*.wav"))


def voice(emotion: int, actor: int, take: int, seconds: float = 0.4) -> npt.NDArray[np.float32]:
    """A made voice: harmonics whose pitch is the actor's and whose movement is the emotion's, with a little noise."""
    random = np.random.default_rng([emotion, actor, take])
    time = np.arange(int(seconds * RATE)) / RATE
    pitch = (90 + 6 * actor) * (1 + 0.3 * np.sin(2 * np.pi * emotion * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    harmonics = sum(np.sin(k * phase) / k ** (1 + emotion / 8) for k in range(1, 9))
    return (0.1 * harmonics + 0.01 * random.standard_normal(len(time))).astype(np.float32)


def make_corpus(folder: Path, actors: range, suffix: str = ".wav") -> Path:
    """A corpus with RAVDESS's names: each actor says each emotion twice (16 files an actor)."""
    for actor in actors:
        (folder / f"Actor_{actor:02}").mkdir(parents=True)
        for emotion in range(1, 9):
            for take in (1, 2):
                name = f"03-01-{emotion:02}-01-01-{take:02}-{actor:02}{suffix}"
                soundfile.write(
                    folder / f"Actor_{actor:02}" / name, voice(emotion, actor, take), RATE, subtype="PCM_16"
                )
    return folder


def make_recordings(folder: Path, labels: Sequence[str] = ("calm", "lively"), files: int = 3) -> Path:
    """Somebody's own recordings: five made voices say each label a few times, a second long."""
    for place, label in enumerate(labels):
        for number, speaker in enumerate(("anna", "ben", "carla", "dan", "eva")):
            (folder / label / speaker).mkdir(parents=True)
            for take in range(1, files + 1):
                samples = voice(3 * place, 3 * number, take, 1.0)
                soundfile.write(folder / label / speaker / f"{take}.wav", samples, RATE, subtype="PCM_16")
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made corpus of all 24 actors, 384 files."""
    return make_corpus(tmp_path_factory.mktemp("ravdess"), range(1, 25))


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made recordings of other corpora: actors 1 to 6 sing, two Polish voices speak; 36 and 12 files."""
    folder = tmp_path_factory.mktemp("others")
    for actor in range(1, 7):
        for emotion in range(1, 7):
            name = f"03-02-{emotion:02}-01-01-01-{actor:02}.wav"
            soundfile.write(folder / name, voice(emotion, actor, 3, 0.5), RATE, subtype="PCM_16")
    for speaker, code in ((30, "EB0"), (31, "KS0")):
        for emotion, name in (
            (1, "neutral"),
            (3, "happiness"),
            (4, "sadness"),
            (5, "anger"),
            (6, "fear"),
            (8, "surprised"),
        ):
            soundfile.write(folder / f"{code}_{name}_1.wav", voice(emotion, speaker, 1, 0.7), RATE, subtype="PCM_16")
    return folder
