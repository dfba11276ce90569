"""A Dask cluster gives this machine's results in the same order; files of a killed worker are classified by another."""

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

from ser_edge import ModelError, Recognizer, RuntimeUnavailable, SerEdgeError, WindowConfig
from ser_edge.cli.app import main
from ser_edge.errors.install_hints import install_extra
from ser_edge.recognition.batch import dask_backend
from ser_edge.recognition.batch.dask_backend import cluster_client, predict_in_cluster
from ser_edge.recognition.recognizer import RecognizerConfig
from tests import messages

TIMEOUT = 120.0  # seconds, on a busy machine
SCHEDULER = "from distributed.cli.dask_scheduler import main; main()"
WORKER = "from distributed.cli.dask_worker import main; main()"
LOCAL = {"processes": False, "protocol": "tcp", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
WITHOUT = "import sys; sys.modules['ser_edge'] = None; "  # as if it weren't installed
Capture = pytest.CaptureFixture[str]


class Process:
    """A scheduler, a worker or the command, as a process of its own."""

    def __init__(self, folder: Path, *command: str):
        self.log = folder / f"{time.monotonic_ns()}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command], cwd=folder, stdout=subprocess.PIPE, stderr=log, encoding="utf-8"
            )

    def wait_for_log(self, text: str) -> None:
        end = time.monotonic() + TIMEOUT
        while text not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator["type[Process]"]:
    """Starts processes, and ends them after the test."""
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
    """200 files, one of which is no audio."""
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--format", "csv"],
        ["--format", "json", "--timeline", "--no-gate"],
        ["--format", "json", "--labels", "sad,happy,neutral", "--map", "calm=neutral"],
    ],
)
def test_a_cluster_prints_what_this_machine_prints(
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
    paths = [tmp_path.name, str(sounds[0]), "missing.wav"]
    assert main([*options, "--jobs", "1", *paths]) == 1
    expected = capsys.readouterr()
    assert main([*options, "--cluster", address, *paths]) == 1
    assert capsys.readouterr() == expected
    broken, missing, summary = expected.err.splitlines()
    assert broken.startswith(f"ser-edge: {tmp_path.name}/11.wav: ")
    assert missing.startswith("ser-edge: missing.wav: ")
    assert summary == "ser-edge: 40 classified, 2 failed"


@pytest.mark.slow
def test_a_cluster_fills_a_folder_of_outputs(
    address: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(folder.parent)
    out = tmp_path / "out"
    (out / "007.json").parent.mkdir()
    (out / "007.json").write_text("there already")
    assert main(["-v", "--cluster", address, "--output-dir", str(out), folder.name]) == 1
    assert {path.name for path in out.iterdir()} == {f"{n:03}.json" for n in range(200) if n != 31}
    assert f'"path": "{folder.name}/008.wav"' in (out / "008.json").read_text()
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "ser-edge: classified by a Dask cluster, now of 1 worker"
    assert f"ser-edge: {folder.name}/008.wav: 3.3 s of sound in 0." in "\n".join(lines)
    assert lines[-1].startswith("ser-edge: 198 classified, 1 failed, 1 skipped")


@pytest.mark.slow
def test_files_of_a_killed_worker_are_classified_by_another(
    folder: Path, tmp_path: Path, start: "type[Process]"
) -> None:
    """A scheduler without ser-edge, two workers and the command, each in another working directory."""
    address = f"tcp://127.0.0.1:{free_port()}"
    quiet = ["--no-dashboard"]
    start("-c", WITHOUT + SCHEDULER, "--host", address, *quiet, "--no-show", "--no-jupyter")
    workers = [start("-c", WORKER, address, "--nthreads", "1", "--no-nanny", *quiet) for _ in range(2)]
    for worker in workers:
        worker.wait_for_log("Registered to")
    place = tmp_path / "place"
    place.mkdir()
    (place / "many").symlink_to(folder)
    shutil.copy(Recognizer("crnn.onnx").path, place / "mine.onnx")
    command = [sys.executable, "-m", "ser_edge", "--format", "json", "--model", "mine.onnx", "many"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", "cwd": place}
    with subprocess.Popen([*command, "--cluster", address], **options) as process:  # type: ignore[call-overload]
        first = process.stdout.readline()
        workers[0].process.send_signal(signal.SIGKILL)
        assert process.poll() is None
        rest, errors = process.stdout.read(), process.stderr.read()
    expected = subprocess.run(command, **options, check=False)  # type: ignore[call-overload]
    assert first + rest == expected.stdout
    assert errors == expected.stderr
    assert errors.endswith("ser-edge: 199 classified, 1 failed\n")
    assert process.returncode == expected.returncode == 1


@pytest.mark.slow
def test_ctrl_c_and_a_lost_scheduler_are_a_line_each(
    sounds: list[Path], tmp_path: Path, start: "type[Process]"
) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    scheduler = start("-c", SCHEDULER, "--host", address, "--no-dashboard", "--no-show", "--no-jupyter")
    scheduler.wait_for_log("Scheduler at:")
    commands = [start("-m", "ser_edge", "--cluster", address, str(sounds[0])) for _ in range(2)]
    waiting = "ser-edge: no worker yet, waiting: dask worker\n"
    for command in commands:
        command.wait_for_log(waiting)
    commands[0].process.send_signal(signal.SIGINT)
    assert commands[0].process.wait(TIMEOUT) == 130
    assert commands[0].log.read_text() == f"{waiting}ser-edge: stopped\n"
    scheduler.process.kill()
    assert commands[1].process.wait(TIMEOUT) == 1
    assert commands[1].log.read_text() == f"{waiting}ser-edge: the Dask scheduler is gone; run the same command again\n"


@pytest.mark.slow
def test_a_worker_without_ser_edge_is_an_error(sounds: list[Path], start: "type[Process]") -> None:
    from distributed import LocalCluster

    config = RecognizerConfig("crnn", 1, None, WindowConfig())
    with LocalCluster(n_workers=0, **LOCAL) as local:
        worker = start("-c", WITHOUT + WORKER, local.scheduler_address, "--nthreads", "1", "--no-nanny")
        worker.wait_for_log("Registered to")
        with cluster_client(local.scheduler_address) as client:
            results = predict_in_cluster(client, config, config.build().metadata, [str(sounds[0])])
            with messages.raises(RuntimeUnavailable, "worker-without-ser-edge"):
                list(results)


@pytest.mark.slow
def test_a_worker_with_another_model_is_refused(address: str, sounds: list[Path]) -> None:
    config = RecognizerConfig("crnn", 1, None, WindowConfig())
    metadata = config.build().metadata
    path = [str(sounds[0])]
    with cluster_client(address) as client:
        with messages.raises(ModelError, "worker-mismatch"):
            list(predict_in_cluster(client, config, replace(metadata, name="other"), path))
        missing = replace(config, model="/missing.onnx")
        with pytest.raises(ModelError) as caught:
            list(predict_in_cluster(client, missing, metadata, path))
        with pytest.raises(ModelError) as expected:
            missing.build()
        assert caught.value.code == expected.value.code


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


@pytest.mark.slow
def test_files_that_kill_workers_are_errors_of_their_own() -> None:
    config = RecognizerConfig("crnn", 1, None, WindowConfig())
    paths = ["a.wav"] * 16 + ["b.wav"]
    results = list(predict_in_cluster(DeadlyClient(), config, config.build().metadata, paths))
    assert [str(result.error).partition(":")[0] for result in results] == paths
    for result in (results[0], results[-1]):
        messages.check(result.error, "audio-kills-worker")


def test_without_dask_the_error_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with messages.raises(RuntimeUnavailable, "extra-missing") as caught, cluster_client("tcp://127.0.0.1:1"):
        pass
    assert str(caught.value).endswith(f"; try: {install_extra('cluster')}")


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:{port}", "127.0.0.1:{port}", "nonsense", "what://127.0.0.1:1", "tcp://"]
)
def test_an_address_without_a_scheduler_is_an_error(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_backend, "CONNECT_TIMEOUT", 0.5)
    address = address.format(port=free_port())
    with messages.raises(SerEdgeError, "cluster-unreachable") as caught, cluster_client(address):
        pass
    assert str(caught.value).startswith(f"--cluster {address}: ")


def test_without_a_cluster_the_command_prints_no_header(sounds: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--format", "csv", "--cluster", "nonsense", str(sounds[0])]) == 1
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
