"""A Dask cluster judges as this machine does, in the same order; a worker that is killed costs nothing."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ser_edge import ModelError, WindowConfig
from ser_edge.cli.app import main
from ser_edge.errors.install_hints import install_extra
from ser_edge.output.progress import Progress
from ser_edge.recognition.batch import dask_backend as cluster
from ser_edge.recognition.batch.dask_backend import cluster_client, predict_in_cluster
from ser_edge.recognition.batch.tasks import RecognizerConfig

PATIENCE = 120.0  # s, on a machine that has other things to do
SCHEDULER = "from distributed.cli.dask_scheduler import main; main()"
WORKER = "from distributed.cli.dask_worker import main; main()"
LOCAL = {"processes": False, "protocol": "tcp", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
WITHOUT = "import sys; sys.modules['ser_edge'] = None; "  # which is as if it weren't installed
Capture = pytest.CaptureFixture[str]


class Process:
    """A part of a cluster, or the command, started by hand."""

    def __init__(self, folder: Path, *command: str):
        self.log = folder / f"{time.monotonic_ns()}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command], cwd=folder, stdout=subprocess.PIPE, stderr=log, encoding="utf-8"
            )

    def until(self, said: str) -> None:
        end = time.monotonic() + PATIENCE
        while said not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator["type[Process]"]:
    """Starts processes; none of them outlives the test."""
    processes: list[Process] = []

    def starts(*command: str) -> Process:
        processes.append(Process(tmp_path, *command))
        return processes[-1]

    yield starts  # type: ignore[misc]
    for process in processes:
        process.kill()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A scheduler with one worker of two threads, in this process."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=2, **LOCAL) as local:
        yield local.scheduler_address


@pytest.fixture(scope="module")
def folder(sounds: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 sounds, one of which is none."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(200):
        (folder / f"{number:03}.wav").symlink_to(sounds[number % len(sounds)])
    (folder / "031.wav").unlink()
    (folder / "031.wav").write_text("no sound")
    return folder


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.mark.parametrize("options", [["--format", "csv"], ["--format", "json", "--timeline", "--no-gate"]])
def test_a_cluster_answers_as_this_machine_does(
    options: list[str],
    address: str,
    sounds: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    for number in range(40):
        shutil.copy(sounds[number % len(sounds)], tmp_path / f"{number:02}.wav")
    (tmp_path / "11.wav").write_text("no sound")
    monkeypatch.chdir(tmp_path.parent)
    paths = [tmp_path.name, str(sounds[0]), "gone.wav"]
    assert main([*options, "--jobs", "1", *paths]) == 1
    here = capsys.readouterr()
    assert main([*options, "--cluster", address, *paths]) == 1
    assert capsys.readouterr() == here
    assert here.err.splitlines() == [
        f"ser-edge: {tmp_path.name}/11.wav: not a sound file that can be read (WAV, FLAC, OGG, MP3, AIFF, ...)",
        "ser-edge: gone.wav: no such file",
        "ser-edge: 40 judged, 2 failed",
    ]


def test_a_killed_worker_s_files_are_judged_by_another(folder: Path, tmp_path: Path, start: "type[Process]") -> None:
    """A scheduler that knows nothing of ser-edge, two workers and the command, which all begin in different folders."""
    address = f"tcp://127.0.0.1:{free_port()}"
    quiet = ["--no-dashboard"]
    start("-c", WITHOUT + SCHEDULER, "--host", address, *quiet, "--no-show", "--no-jupyter")
    workers = [start("-c", WORKER, address, "--nthreads", "1", "--no-nanny", *quiet) for _ in range(2)]
    for worker in workers:
        worker.until("Registered to")
    place = tmp_path / "place"
    place.mkdir()
    (place / "many").symlink_to(folder)
    shutil.copy(Path(cluster.__file__).parent / "models" / "crnn.onnx", place / "mine.onnx")
    command = [sys.executable, "-m", "ser_edge", "--format", "json", "--model", "mine.onnx", "many"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", "cwd": place}
    with subprocess.Popen([*command, "--cluster", address], **options) as process:  # type: ignore[call-overload]
        first = process.stdout.readline()
        workers[0].process.send_signal(signal.SIGKILL)
        assert process.poll() is None
        rest, said = process.stdout.read(), process.stderr.read()
    here = subprocess.run(command, **options, check=False)  # type: ignore[call-overload]
    assert first + rest == here.stdout
    assert said == here.stderr
    assert said.endswith("ser-edge: 199 judged, 1 failed\n")
    assert process.returncode == here.returncode == 1


def test_a_scheduler_that_goes_and_ctrl_c_are_a_line_each(
    sounds: list[Path], tmp_path: Path, start: "type[Process]"
) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    scheduler = start("-c", SCHEDULER, "--host", address, "--no-dashboard", "--no-show", "--no-jupyter")
    scheduler.until("Scheduler at:")
    commands = [start("-m", "ser_edge", "--cluster", address, str(sounds[0])) for _ in range(2)]
    waiting = "ser-edge: no worker yet, waiting: dask worker\n"
    for command in commands:
        command.until(waiting)
    commands[0].process.send_signal(signal.SIGINT)
    assert commands[0].process.wait(PATIENCE) == 130
    assert commands[0].log.read_text() == f"{waiting}ser-edge: stopped\n"
    scheduler.process.kill()
    assert commands[1].process.wait(PATIENCE) == 1
    assert commands[1].log.read_text() == f"{waiting}ser-edge: the Dask scheduler is gone; run the same command again\n"


def test_a_worker_without_ser_edge_is_a_line_that_says_what_to_do(
    sounds: list[Path], start: "type[Process]", capsys: Capture
) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, **LOCAL) as local:
        start("-c", WITHOUT + WORKER, local.scheduler_address, "--nthreads", "1", "--no-nanny").until("Registered to")
        assert main(["--cluster", local.scheduler_address, str(sounds[0])]) == 4
    line = capsys.readouterr().err
    assert re.fullmatch(r"ser-edge: a worker has no ser-edge \(.*\); install it there as here\n", line)


def test_a_worker_with_another_model_is_refused(address: str, sounds: list[Path]) -> None:
    setup = RecognizerConfig("crnn", 1, None, WindowConfig())
    metadata = setup.build().metadata
    path = [str(sounds[0])]
    with cluster_client(address) as client:
        other = predict_in_cluster(client, setup, replace(metadata, name="other"), path, False, Progress(lambda: 1))
        with pytest.raises(ModelError, match=r"^the worker tcp://.* has another ser-edge, or another model crnn$"):
            list(other)
        gone = predict_in_cluster(
            client, replace(setup, model="/gone.onnx"), metadata, path, False, Progress(lambda: 1)
        )
        with pytest.raises(ModelError, match=r"^the worker tcp://.*: /gone.onnx: no such model file$"):
            list(gone)


class DeadlyClient:
    """Of a cluster whose workers die of every task."""

    def nthreads(self) -> dict[str, int]:
        return {"tcp://a:1": 1}

    def submit(self, *task: object, pure: bool) -> "DeadlyClient":
        return self

    key = "task"

    def done(self) -> bool:
        return True

    def cancel(self) -> None: ...

    def result(self) -> None:
        from distributed import KilledWorker

        raise KilledWorker("task", None, 3)


def test_files_that_workers_die_of_are_named_and_the_others_go_on(sounds: list[Path]) -> None:
    setup = RecognizerConfig("crnn", 1, None, WindowConfig())
    outcomes = predict_in_cluster(
        DeadlyClient(), setup, setup.build().metadata, ["a.wav"] * 16 + ["b.wav"], False, Progress(lambda: 17)
    )
    problems = [outcome.problem for outcome in outcomes]
    with_others = ": several workers died of it, or of one of the 15 files that went with it; judge it alone"
    assert problems == [f"a.wav{with_others}"] * 16 + ["b.wav: several workers died of it; judge it alone"]


def test_without_dask_the_line_says_how_to_get_it(
    sounds: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["--cluster", "tcp://127.0.0.1:1", str(sounds[0])]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ser-edge: distributed can't be loaded (")
    assert line.endswith(f"); try: {install_extra('cluster')}")


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:{port}", "127.0.0.1:{port}", "nonsense", "what://127.0.0.1:1", "tcp://"]
)
def test_an_address_where_no_scheduler_answers_is_one_line(
    address: str, sounds: list[Path], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT", 0.5)
    address = address.format(port=free_port())
    assert main(["--format", "csv", "--cluster", address, str(sounds[0])]) == 1
    captured = capfd.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith(f"ser-edge: --cluster {address}: no Dask scheduler answers there (")
    assert line.endswith("); start: dask scheduler")
