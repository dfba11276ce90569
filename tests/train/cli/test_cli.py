"""The command: what it prints where, its exit codes, and that Ctrl-C costs nothing but the epoch it was in."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ser_edge import __version__
from ser_edge.errors.install_hints import install_extra
from ser_train.cli import args as options
from ser_train.cli.app import main
from ser_train.data.splits import PROTOCOLS
from ser_train.networks.zoo import NETWORKS
from ser_train.runs.run_directory import RunDirectory
from tests.conftest import make_corpus

COMMAND = [sys.executable, "-m", "ser_train"]


@pytest.fixture(scope="module")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("small"), range(1, 7))


def training(corpus: Path, out: Path, epochs: int) -> list[str]:
    """A training by a process of its own: TensorFlow takes its number of threads once a process."""
    options = ["--arch", "gru", "--protocol", "utterance", "--epochs", f"{epochs}", "--jobs", "1"]
    return [*COMMAND, "--data", str(corpus), *options, "--out", str(out)]


def failure(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of an error."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err.removesuffix("\n")


def usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a wrong call is told."""
    with pytest.raises(SystemExit) as ending:
        main(arguments)
    assert ending.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ser-train")
    assert line.endswith(" --help)")
    return line


def test_help_teaches_the_protocols_and_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["--help"])
    assert ending.value.code == 0
    text = capsys.readouterr().out
    for taught in ("notebook    every file twice", "utterance   new sentences", "speaker     five folds", "examples:"):
        assert taught in text
    for taught in ("inner       for choosing settings", "all         every actor trains", "--cluster ADDRESS"):
        assert taught in text
    for taught in ("your own recordings, with any labels", "path,label,speaker", "--init RUN|NAME"):
        assert taught in text


HEAVY = ("joblib", "keras", "matplotlib", "onnx", "platformdirs", "requests", "scipy", "sklearn", "tensorflow")
WITHOUT = f"""
import sys
sys.modules.update(dict.fromkeys({HEAVY}))
from ser_train.cli.app import main
sys.exit(main(sys.argv[1:]))
"""
COMMANDS = ["", "across", "choose", "conditions", "evaluate", "report"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_usage_need_nothing_but_the_base_install(name: str) -> None:
    command = [sys.executable, "-c", WITHOUT, *name.split()]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    program = f"ser-train {name}".strip()
    assert done.stdout.startswith(f"usage: {program} ")
    assert done.stderr == ""
    wrong = subprocess.run([*command, "--louder"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    (line,) = wrong.stderr.splitlines()
    assert line.startswith(f"{program}: error: ")
    assert line.endswith(f" (see {program} --help)")
    if name:
        missing = subprocess.run([*command, "x", *["--data", "y"] * (name == "across")], capture_output=True, text=True)
        assert missing.returncode == 4
        assert " is not installed; try: " in missing.stderr


def test_what_the_command_line_offers_is_what_there_is() -> None:
    assert tuple(NETWORKS) == options.NETWORKS
    assert tuple(PROTOCOLS) == options.PROTOCOLS
    assert PROTOCOLS["speaker"].folds == options.FOLDS


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"ser-train {__version__}\n", "")


def test_a_missing_folder_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--data", str(tmp_path / "none")]) == 1
    assert failure(capsys) == (f"ser-train: {tmp_path}/none: no such folder; give one with RAVDESS=path or --data path")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fold", "7"], "--fold must be 0 to 4, or all"),
        (["--fold", "first"], "--fold must be 0 to 4, or all"),
        (["--jobs", "0"], "--jobs and --epochs must be 1 or more"),
        (["--epochs", "0"], "--jobs and --epochs must be 1 or more"),
        (["--seed", "0", "-1"], "--seed 0 or more"),
        (["--arch", "cnn"], "invalid choice: 'cnn'"),
        (["--protocol", "random"], "invalid choice: 'random'"),
    ],
)
def test_a_wrong_call_is_told_what_is_right(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in usage(arguments, capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--set", "mixup=0.2"],
            "mixup is none of this network's settings: learning_rate, batch_size, epochs, patience",
        ),
        (["--arch", "crnn", "gru", "--set", "epochs=3", "units=8"], "units is none of this network's settings: "),
        (["--arch", "crnn", "--set", "channels=4,x"], "channels is something like (24, 48, 96)"),
        (
            ["--arch", "crnn", "--set", "epochs=0"],
            "epochs, restart, batch_size, frames, dense, units and channels must be 1 or more",
        ),
    ],
)
def test_a_setting_that_is_none_is_refused_before_any_data_is_read(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["--data", str(tmp_path / "none"), *arguments]) == 1
    assert failure(capsys).startswith("ser-train: --set ")
    assert main(["--data", str(tmp_path / "none"), *arguments]) == 1
    assert said in failure(capsys)


def test_without_tensorflow_the_command_says_what_installs_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # importing it raises ModuleNotFoundError
    assert main([]) == 4
    assert failure(capsys) == f"ser-train: tensorflow is not installed; try: {install_extra('train')}"


def test_without_dask_the_command_says_what_installs_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["--cluster", "tcp://127.0.0.1:8786"]) == 4
    message = failure(capsys)
    assert message.startswith("ser-train: distributed can't be loaded (")
    assert message.endswith(f"); try: {install_extra('cluster')}")


def test_a_cache_that_cannot_be_written_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SER_EDGE_CACHE", str(tmp_path / "file"))
    assert main(["--mirror", "http://127.0.0.1:9/speech.zip"]) == 1
    assert str(tmp_path / "file") in failure(capsys)


def test_without_data_and_network_it_says_at_once_what_it_does_and_soon_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SER_EDGE_CACHE", str(tmp_path))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert main(["--mirror", "http://127.0.0.1:9/speech.zip"]) == 1
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("ser-train: downloading RAVDESS speech (209 MB) from http://127.0.0.1:9/speech.zip to ")
    assert last.startswith("ser-train: http://127.0.0.1:9/speech.zip: no server answers (")
    assert last.endswith("; check the network, give a mirror with --mirror, or the files with --data")


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
def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(small_corpus: Path, tmp_path: Path) -> None:
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


def test_evaluate_needs_a_finished_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["evaluate", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"ser-train: {tmp_path}: not a finished run, left out\n"
        "ser-train: none of these is a finished run; train some with ser-train\n"
    )
