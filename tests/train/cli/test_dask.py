"""A Dask cluster trains: its workers' results come in order, and a worker that is killed costs its epoch."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import ser_edge.recognition.batch.dask_backend
from ser_train.cli.app import main
from ser_train.runs.run_directory import RunDirectory
from tests import messages
from tests.conftest import make_corpus

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "ser_train"]
SMALL = ["channels=2,2,2", "dense=2", "units=2"]
PATIENCE = 300.0  # s, on a machine that has other things to do


class Process:
    """A command that was started, and what it prints on standard error, line by line."""

    def __init__(self, *command: str, folder: Path):
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def matching(self, pattern: str) -> list[str]:
        """Lines so far that hold a pattern."""
        return [line for line in list(self.lines) if re.search(pattern, line)]

    def end(self) -> str:
        """Waits for its end; returns its standard output."""
        output = self.process.stdout.read()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return output

    def kill(self) -> None:
        """With the helpers it started, which may outlive it and hold its standard error open."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self._reader.join(PATIENCE)
        self.process.stderr.close()


def until(*processes: Process, pattern: str) -> Process:
    """The first of some processes that prints it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for process in processes:
            if process.matching(pattern):
                return process
        assert any(process.process.poll() is None for process in processes), [process.lines for process in processes]
        time.sleep(0.02)
    raise AssertionError([process.lines for process in processes])


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture
def started() -> Iterator[list[Process]]:
    """Processes that a test starts; none of them outlives it."""
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.kill()


@pytest.fixture(scope="module")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("small"), range(1, 7))


def test_a_killed_worker_s_fold_goes_on_with_another_worker_where_it_was(
    small_corpus: Path, tmp_path: Path, started: list[Process]
) -> None:
    """A scheduler, two workers and the command, each a process in a folder of its own."""
    folders = {name: tmp_path / name for name in ("scheduler", "one", "other", "command")}
    for folder in folders.values():
        folder.mkdir()
    address = f"tcp://127.0.0.1:{free_port()}"
    dask = [sys.executable, "-m", "dask"]
    host = ["--host", address, "--no-dashboard", "--no-show", "--no-jupyter"]
    started.append(Process(*dask, "scheduler", *host, folder=folders["scheduler"]))
    worker = [*dask, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    workers = [Process(*worker, folder=folders[name]) for name in ("one", "other")]
    started.extend(workers)
    for process in workers:
        until(process, pattern="Registered to")
    # The corpus and the runs are named as the command's folder sees them, not the workers'.
    (folders["command"] / "corpus").symlink_to(small_corpus)
    settings = ["--arch", "crnn", "--protocol", "speaker", "--fold", "0", "--set", *SMALL, "epochs=30"]
    options = ["--data", "corpus", *settings, "--seed", "0", "1", "--cluster", address, "--out", "runs"]
    command = Process(*COMMAND, *options, folder=folders["command"])
    started.append(command)
    first = until(*workers, pattern=r"fold0-seed0.*  epoch 3/30 ")
    (second,) = [process for process in workers if process is not first]
    first.process.send_signal(signal.SIGKILL)
    output = command.end()
    assert command.process.returncode == 0, (command.lines, second.lines)
    assert command.lines == ["96 files, 96 recordings, 6 speakers", "2 workers"]
    runs = [folders["command"] / "runs" / f"crnn-speaker-fold0-seed{s}-{'-'.join(SMALL)}-epochs=30" for s in (0, 1)]
    assert re.fullmatch("".join(rf"{re.escape(str(run))}: WA .*\n" for run in runs), output)  # in order
    for run in map(RunDirectory, runs):
        assert run.finished
        assert not run.checkpoint.exists()
    epochs = [int(re.search(r"  epoch (\d+)/30 ", line)[1]) for line in second.matching("fold0-seed0.*  epoch ")]
    assert 4 <= epochs[0] <= 30
    assert epochs == list(range(epochs[0], 31))


def test_a_cluster_that_is_there_already_trains_as_this_machine_does_and_an_error_is_one_line(
    small_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from distributed import LocalCluster

    options = ["--data", str(small_corpus), "--arch", "crnn", "--protocol", "speaker", "--fold", "0", "--set", *SMALL]
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None, local_directory=tmp_path
    ) as cluster:
        address = ["--cluster", cluster.scheduler_address]
        assert main([*options, "epochs=2", "--seed", "0", "1", *address, "--out", str(tmp_path / "there")]) == 0
        assert capsys.readouterr().out.count(": WA ") == 2
        assert main([*options, "epochs=2", "--teachers", "gone", *address, "--out", str(tmp_path / "there")]) == 1
        assert messages.codes_in(capsys.readouterr().err) == ["teacher-unusable"]
    here = [*COMMAND, *options, "epochs=2", "--seed", "0", "1", "--out", str(tmp_path / "here")]
    subprocess.run(here, capture_output=True, check=True)
    for name in sorted(path.name for path in (tmp_path / "here").iterdir()):
        there, here_too = RunDirectory(tmp_path / "there" / name), RunDirectory(tmp_path / "here" / name)
        assert there.read("history.json") == here_too.read("history.json")
        assert there.settings == here_too.settings


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:{port}", "127.0.0.1:{port}", "nonsense", "what://127.0.0.1:1", "tcp://"]
)
def test_an_address_where_no_scheduler_answers_is_one_line(
    address: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ser_edge.recognition.batch.dask_backend, "CONNECT_TIMEOUT", 0.5)
    address = address.format(port=free_port())
    assert main(["--cluster", address, "--data", str(tmp_path / "none")]) == 1
    captured = capfd.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith(f"ser-train: --cluster {address}: no Dask scheduler answers there (")
    assert line.endswith("); start: dask scheduler")
