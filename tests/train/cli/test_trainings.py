"""Trainings by the command: what they print, and that Ctrl-C and SIGTERM lose nothing."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ser_train.runs.run_directory import RunDirectory

COMMAND = [sys.executable, "-m", "ser_train"]


def training(corpus: Path, out: Path, epochs: int) -> list[str]:
    """A training by a process of its own: TensorFlow takes its number of threads once a process."""
    options = ["--arch", "gru", "--protocol", "utterance", "--epochs", f"{epochs}", "--jobs", "1"]
    return [*COMMAND, "--data", str(corpus), *options, "--out", str(out)]


def test_a_training_prints_its_result_and_logs_to_standard_error(small_corpus: Path, tmp_path: Path) -> None:
    done = subprocess.run(training(small_corpus, tmp_path, 1), capture_output=True, text=True, check=True)
    run = RunDirectory(tmp_path / "gru-utterance-seed0")
    metrics = run.read("run.json")["metrics"]
    assert done.stdout == (
        f"{run.path}: WA {metrics['wa']:.1f} %, UAR {metrics['uar']:.1f} %, macro-F1 {metrics['f1']:.1f} %\n"
    )
    found, epoch = done.stderr.splitlines()  # nothing of TensorFlow's
    assert found == "96 files, 96 recordings, 6 speakers"
    assert epoch.startswith("gru-utterance-seed0  epoch 1/1  accuracy 0.")


@pytest.mark.slow
def test_other_corpora_are_given_beside_it_and_settings_name_the_run(
    small_corpus: Path, others: Path, tmp_path: Path
) -> None:
    settings = ["channels=2,2,2", "dense=2", "units=2", "epochs=1", "others=0.5"]
    options = ["--arch", "crnn", "--protocol", "speaker", "--fold", "1", "--set", *settings, "--out", str(tmp_path)]
    command = [*COMMAND, "--data", str(small_corpus), "--data", str(others), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    run = RunDirectory(tmp_path / "-".join(["crnn-speaker-fold1-seed0", *settings]))
    assert done.stdout.startswith(f"{run.path}: WA ")
    found, epoch = done.stderr.splitlines()
    assert found == "144 files, 144 recordings, 8 speakers"
    assert f"{run.path.name}  epoch 1/1  accuracy 0." in epoch
    assert run.settings.changes == tuple(settings)
    assert run.read("run.json")["utterances"]["others"] == 24 + 12


@pytest.mark.slow
def test_ctrl_c_says_how_to_continue_and_the_same_command_does(small_corpus: Path, tmp_path: Path) -> None:
    command = training(small_corpus, tmp_path, 3)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        for line in started.stderr:
            if "epoch 1/3" in line:
                break
        os.killpg(started.pid, signal.SIGINT)  # as a terminal does: to its helpers too
        rest = started.stderr.read().splitlines()
        assert started.stdout.read() == ""
    assert started.returncode == 130
    assert rest[-1] == "ser-train: stopped; run the same command again to go on"
    assert not any("Traceback" in line for line in rest)
    assert not RunDirectory(tmp_path / "gru-utterance-seed0").finished
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "epoch 1/3" not in again.stderr
    assert "epoch 3/3" in again.stderr
    assert again.stdout.startswith(f"{tmp_path}/gru-utterance-seed0: WA ")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_sigterm_ends_parallel_trainings_with_their_workers_and_keeps_their_checkpoints(
    small_corpus: Path, tmp_path: Path
) -> None:
    command = [*training(small_corpus, tmp_path, 1000), "--jobs", "2", "--seed", "0", "1"]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while len(list(tmp_path.glob("*/checkpoint/progress.json"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        started.terminate()
        _, printed = started.communicate(timeout=60)  # waits until no worker holds the pipe either
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
    assert started.returncode == 128 + signal.SIGTERM
    lines = [line for line in printed.splitlines()[1:] if " epoch " not in line]
    assert lines == ["ser-train: stopped; run the same command again to go on"]
    assert len(list(tmp_path.glob("*/checkpoint/progress.json"))) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file sizes")
def test_a_full_disk_is_a_line_that_names_the_file(small_corpus: Path, tmp_path: Path) -> None:
    subprocess.run(training(small_corpus, tmp_path / "before", 1), capture_output=True, check=True)  # caches features
    command = ["sh", "-c", 'ulimit -f 300; exec "$@"', "sh", *training(small_corpus, tmp_path, 2)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    folder = tmp_path / "gru-utterance-seed0" / "checkpoint"
    *_, line = done.stderr.splitlines()
    assert line.startswith("ser-train: [Errno 27] File too large: ")
    assert line.endswith("'; free some space and run the same command again to go on")
    assert str(folder) in line
    assert "Traceback" not in done.stderr
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
