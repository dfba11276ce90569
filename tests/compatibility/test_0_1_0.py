"""What 0.1.0 wrote is still read, and what was typed for it still works.

`0.1.0/` has model files and a run directory made by 0.1.0, and its answers to
`ser-edge --model FILE --no-gate --format json sounds`.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ser_edge.cli.app
import ser_export.cli.app
import ser_train.cli.app
from ser_edge import Prediction, Recognizer, WindowConfig
from ser_edge.models.loader import open_model
from ser_edge.models.tolerances import tolerance

FIXTURES = Path(__file__).parent / "0.1.0"
MODELS = sorted(path.name for path in FIXTURES.iterdir() if path.suffix in (".onnx", ".tflite"))
ANSWERS = [json.loads(line) for line in (FIXTURES / "answers.jsonl").read_text("utf-8").splitlines()]


def check(predicted: dict, expected: dict, bound: float) -> None:
    """Same fields in the same order, same label, probabilities within the bound and the rounding of JSON."""
    assert list(predicted) == [name for name in expected if name != "model"]
    for name in ("path", "start", "end", "label", "speech"):
        assert predicted[name] == expected[name]
    assert list(predicted["probabilities"]) == list(expected["probabilities"])
    assert predicted["probabilities"] == pytest.approx(expected["probabilities"], abs=bound + 1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_file_gives_the_same_answers(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = [answer for answer in ANSWERS if answer["model"] == name]
    model = open_model(FIXTURES / name)
    monkeypatch.chdir(FIXTURES)
    paths = [answer["path"] for answer in expected]
    assert ser_edge.cli.app.main(["--model", str(model.path), "--no-gate", "--format", "json", *paths]) == 0
    predicted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(predicted) == len(expected) > 3
    for one, other in zip(predicted, expected, strict=True):
        check(one, other, tolerance(model.path.suffix, model.metadata.precision).kernels)


def test_a_run_directory_is_still_exported(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "run", tmp_path / "run")
    assert ser_export.cli.app.main([str(tmp_path / "run"), "--out", str(tmp_path / "out"), "--name", "mfcc"]) == 0
    silence = np.zeros(48_000, np.float32)
    for suffix in (".onnx", ".tflite"):
        new, old = open_model(next((tmp_path / "out").glob(f"*{suffix}"))), open_model(FIXTURES / f"mfcc{suffix}")
        bound = tolerance(suffix, "float32").kernels
        np.testing.assert_allclose(new.predict_proba(silence), old.predict_proba(silence), rtol=0, atol=bound)
        assert json.loads(new.metadata.to_json()).keys() == json.loads(old.metadata.to_json()).keys()


VOICE = np.random.default_rng(0).normal(0, 0.1, 64_000).astype(np.float32)


def classify(recognizer: Recognizer, create: str, accept: str, finish: str) -> list[Prediction]:
    stream = getattr(recognizer, create)(16_000)
    return [*getattr(stream, accept)(VOICE), *getattr(stream, finish)()]


@pytest.mark.filterwarnings("ignore:.*is deprecated; use:DeprecationWarning")
def test_deprecated_names_do_what_the_new_ones_do() -> None:
    windowing = ser_edge.Windowing(window=2.0, hop=1.0, speech=None)
    assert windowing == WindowConfig(window_seconds=2.0, hop_seconds=1.0, min_speech_ratio=None)
    assert ser_edge.Windowing() == WindowConfig()
    recognizer = Recognizer(windowing=windowing)
    assert recognizer.description == recognizer.metadata
    old = classify(recognizer, "listener", "feed", "finish")
    assert old == classify(recognizer, "create_stream", "accept_waveform", "input_finished")


@pytest.mark.parametrize(
    "use",
    [
        lambda: ser_edge.Windowing(),
        lambda: Recognizer().description,
        lambda: Recognizer().listener(16_000),
        lambda: Recognizer().create_stream(16_000).feed(VOICE),
        lambda: Recognizer().create_stream(16_000).finish(),
    ],
    ids=["Windowing", "description", "listener", "feed", "finish"],
)
def test_a_deprecated_name_warns_where_it_is_used(use: Callable[[], object]) -> None:
    with pytest.warns(DeprecationWarning, match="deprecated") as caught:
        use()
    assert [Path(warning.filename).name for warning in caught] == [Path(__file__).name]


OPTIONS = """
ser-edge: --channel --channels --cluster --describe --device --doctor --duration --format --hop --jobs --list-devices
ser-edge: --mic --model --mqtt --no-gate --output --rate --sample-format --speech --threads --threshold --timeline
ser-edge: --unit --version --window text json csv srt u8 s16 s24 s32 f32 f64 user system
ser-train train: --arch --cluster --data --epochs --fold --init --jobs --mirror --out --protocol --seed --set --teachers
ser-train train: notebook utterance speaker inner all
ser-train evaluate: RUN --exported --out --page
ser-train across: --data --markdown
ser-train choose: RUN --markdown
ser-train conditions: RUN --data --jobs --markdown --model
ser-train report: RUN --out --results --exported --benchmarks
ser-train: --version
ser-export: RUN --format --name --out --precision --report --version
ser-export: onnx tflite all float32 float16 int8 int8-per-tensor int8-full
"""
MAINS = {"ser-edge": ser_edge.cli.app.main, "ser-train": ser_train.cli.app.main, "ser-export": ser_export.cli.app.main}


@pytest.mark.parametrize("line", OPTIONS.strip().splitlines())
def test_every_option_is_still_there(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, *command = line.partition(":")[0].split()
    with pytest.raises(SystemExit) as stop:
        MAINS[program]([*command, "--help"])
    assert stop.value.code == 0
    assert set(line.partition(":")[2].split()) <= set(re.split(r"[^\w-]+", capsys.readouterr().out))


def test_ser_train_without_a_command_trains() -> None:
    options = ser_train.cli.app.parse(["--arch", "gru", "--protocol", "speaker"])
    assert options.run is ser_train.cli.app.parse(["train", "--arch", "gru"]).run
