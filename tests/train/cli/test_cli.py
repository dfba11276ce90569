"""The command: its options, help, and exit codes."""

import io
import json
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from joblib import Parallel, delayed

from ser_edge import __version__
from ser_edge.errors.install_hints import install_extra
from ser_train.cli import train
from ser_train.cli.app import main, parse
from ser_train.data.splits import PROTOCOLS
from ser_train.networks.zoo import NETWORKS
from ser_train.runs.settings import Settings
from tests import messages


def failure(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of an error."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err.removesuffix("\n")


def usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a usage error prints."""
    with pytest.raises(SystemExit) as ending:
        main(arguments)
    assert ending.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ser-train")
    assert line.endswith(" --help)")
    return line


def help_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ending:
        main([*arguments, "--help"])
    assert ending.value.code == 0
    return capsys.readouterr().out


def test_help_lists_the_commands_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of([], capsys)
    assert "examples:" in text
    for name in COMMANDS:
        assert f"\n    {name}" in text


def test_the_help_of_train_explains_protocols_and_custom_recordings(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(["train"], capsys)
    for part in (*train.PROTOCOLS, "examples:", "path,label,speaker", "--init RUN|NAME", "--cluster ADDRESS"):
        assert part in text


def test_names_of_0_1_still_work() -> None:
    for old, new, arguments in (
        ("choose", "select", ["runs/a"]),
        ("conditions", "robustness", ["runs/a", "--jobs", "2"]),
        ("across", "cross-corpus", ["runs/a", "--data", "nemo"]),
    ):
        assert parse([old, *arguments]).run is parse([new, *arguments]).run
    assert parse(["--data", "ravdess", "--fold", "1"]).run is parse([]).run is train.run


@pytest.mark.parametrize(
    ("command", "option", "values"),
    [
        ("train", "arch", ["gru", "crnn", "rnn"]),
        ("train", "protocol", ["speaker", "all", "inner"]),
        ("train", "seed", [1, 2, 3]),
        ("train", "set", ["mixup=0.2", "units=8", "dense=4"]),
        ("train", "teachers", ["a", "b", "c"]),
        ("train", "data", [Path("a"), Path("b"), Path("c")]),
        ("evaluate run", "page", [Path("a"), Path("b"), Path("c")]),
        ("cross-corpus run", "data", [Path("a"), Path("b"), Path("c")]),
    ],
)
def test_an_option_of_many_values_may_be_repeated(command: str, option: str, values: list[object]) -> None:
    given = [word for value in values for word in (f"--{option}", str(value))]
    assert getattr(parse([*command.split(), *given]), option) == values
    if option != "data":
        first, *rest = map(str, values)
        assert getattr(parse([*command.split(), f"--{option}", first, f"--{option}", *rest]), option) == values


def test_what_is_given_twice_is_trained_once_and_the_last_value_of_a_setting_counts(
    small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Settings] = []
    monkeypatch.setattr("ser_train.cli.jobs.train_locally", lambda trainings, *_: asked.extend(trainings) or [])
    many = ["--arch", "crnn", "--arch", "crnn", "--seed", "1", "2", "--seed", "1", "--protocol", "utterance"]
    changes = ["--set", "epochs=3", "units=8", "others=1", "--set", "epochs=4", "extra_corpora_ratio=2"]
    assert main(["--data", str(small_corpus), *many, *changes, "--out", str(tmp_path)]) == 0
    changed = "epochs=4-units=8-extra_corpora_ratio=2"  # which was called others in 0.1
    assert [settings.name for settings in asked] == [f"crnn-utterance-seed{n}-{changed}" for n in (1, 2)]


HEAVY = (
    "jinja2",
    "joblib",
    "keras",
    "matplotlib",
    "onnx",
    "platformdirs",
    "requests",
    "scipy",
    "sklearn",
    "tensorflow",
)
WITHOUT = f"""
import sys
sys.modules.update(dict.fromkeys({HEAVY}))
from ser_train.cli.app import main
sys.exit(main(sys.argv[1:]))
"""
COMMANDS = ["train", "evaluate", "select", "robustness", "cross-corpus", "report"]


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_and_usage_need_nothing_but_the_base_install(name: str) -> None:
    command = [sys.executable, "-c", WITHOUT, *name.split()]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    program = f"ser-train {name}".strip()
    assert done.stdout.startswith(f"usage: {program} ")
    assert done.stderr == ""
    wrong = subprocess.run([*command, "--louder"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    (line,) = wrong.stderr.splitlines()
    program = program if name else "ser-train train"
    assert line.startswith(f"{program}: error: ")
    assert line.endswith(f" (see {program} --help)")
    if name not in ("", "train"):
        data = ["--data", "y"] * (name == "cross-corpus")
        missing = subprocess.run([*command, "x", *data], capture_output=True, text=True, check=False)
        assert missing.returncode == 4
        assert " is not installed; try: " in missing.stderr


def test_what_the_command_line_offers_is_what_there_is() -> None:
    assert tuple(NETWORKS) == train.NETWORKS
    assert tuple(PROTOCOLS) == train.PROTOCOLS
    assert PROTOCOLS["speaker"].folds == train.FOLDS


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "ser_train", "--version"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"ser-train {__version__}\n", "")


def test_a_missing_folder_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--data", str(tmp_path / "none")]) == 1
    assert messages.codes_in(failure(capsys)) == ["corpus-not-found"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--fold", "7"], "argument --fold: invalid choice: '7'"),
        (["--fold", "first"], "argument --fold: invalid choice: 'first'"),
        (["--jobs", "0"], "argument --jobs: must be 1 or more"),
        (["train", "--epochs", "0"], "argument --epochs: must be 1 or more"),
        (["--seed", "0", "-1"], "argument --seed: must be 0 to 4294967295"),
        (["--seed", "4294967296"], "argument --seed: must be 0 to 4294967295"),
        (["--arch", "cnn"], "argument --arch: invalid choice: 'cnn'"),
        (["--protocol", "random"], "argument --protocol: invalid choice: 'random'"),
        (["robustness", "run", "--jobs", "0"], "--jobs must be 1 or more, or -1 for one a core"),
        (["evaluate", "run", "--page", "README.md"], "--page takes the rows of other networks from the file of --out"),
    ],
)
def test_a_usage_error_names_the_option_and_its_range(
    arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert part in usage(arguments, capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--set", "mixup=0.2"],
        ["--arch", "crnn", "gru", "--set", "epochs=3", "units=8"],
        ["--arch", "crnn", "--set", "channels=4,x"],
        ["--arch", "crnn", "--set", "epochs=0"],
    ],
)
def test_an_unknown_setting_is_refused_before_any_data_is_read(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["--data", str(tmp_path / "none"), *arguments]) == 1
    assert messages.codes_in(failure(capsys)) == ["training-setting"]


def test_without_tensorflow_the_command_names_what_installs_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # importing it raises ModuleNotFoundError
    assert main([]) == 4
    assert failure(capsys) == f"ser-train: tensorflow is not installed; try: {install_extra('train')}"


def test_without_dask_the_command_names_what_installs_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["--cluster", "tcp://127.0.0.1:8786"]) == 4
    assert failure(capsys).endswith(f"; try: {install_extra('cluster')}")


def test_a_cache_that_cannot_be_written_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SER_EDGE_CACHE", str(tmp_path / "file"))
    assert main(["--mirror", "http://127.0.0.1:9/speech.zip"]) == 1
    assert str(tmp_path / "file") in failure(capsys)


def test_a_worker_that_was_killed_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def killed(*_: object) -> None:  # as where memory runs out
        Parallel(n_jobs=2)(delayed(signal.raise_signal)(signal.SIGKILL) for _ in range(2))

    monkeypatch.setattr("ser_train.data.download.locate", killed)
    assert main(["--data", str(tmp_path)]) == 1
    assert failure(capsys).startswith("ser-train: a worker process died, perhaps for lack of memory; run the same")


def test_without_data_and_internet_it_reports_the_download_and_then_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SER_EDGE_CACHE", str(tmp_path))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert main(["--mirror", "http://127.0.0.1:9/speech.zip"]) == 1
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("ser-train: downloading RAVDESS speech (209 MB) from http://127.0.0.1:9/speech.zip to ")
    assert messages.codes_in(last) == ["download-failed"]


def test_what_the_terminal_cannot_print_is_escaped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr("sys.stdout", terminal)
    assert main(["evaluate", str(tmp_path)]) == 1
    print("w\u00fctend")
    assert terminal.buffer.getvalue().split() == [b"w\\xfctend"]


def test_evaluate_needs_a_finished_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["evaluate", str(tmp_path)]) == 1
    left_out, error = capsys.readouterr().err.splitlines()
    assert left_out == f"ser-train: {tmp_path}: not a finished run, left out"
    assert messages.codes_in(error) == ["runs-incomplete"]


@pytest.mark.parametrize("command", ["evaluate", "select", "robustness"])
@pytest.mark.parametrize("content", ["{", None])
def test_a_damaged_run_is_a_line(
    command: str, content: str | None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_text(content or json.dumps({"settings": asdict(Settings("gru", "inner"))}))
    assert main([command, str(tmp_path)]) == 1
    assert messages.codes_in(failure(capsys)) == ["run-damaged"]
