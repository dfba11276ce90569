"""The command: its output, on which stream, and its exit code. Never a traceback.

First called in this process, for its words; then as one of its own, where it meets pipes, a full disk and Ctrl-C.
"""

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from ser_edge import Recognizer, __version__
from ser_edge.audio.decoding.standard_input import SAMPLE_FORMATS
from ser_edge.capture.devices import devices
from ser_edge.cli.app import main
from ser_edge.cli.arguments import options, types
from ser_edge.cli.arguments.rules import expanded
from ser_edge.models.bundled.names import FILES
from ser_edge.models.loader import MAX_THREADS
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.tolerances import FORMATS
from ser_edge.output.folder import SUFFIXES
from ser_edge.output.mqtt import EVERY
from ser_edge.output.writers import WRITERS
from ser_edge.recognition.windows import HOP, SPEECH

COMMAND = [sys.executable, "-m", "ser_edge"]
Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("form", ["text", "json", "csv"])  # the others are of one file, in windows
def test_files_are_classified_in_the_order_given(form: str, sounds: list[Path], capsys: Capture) -> None:
    recognizer, expected = Recognizer(), io.StringIO()
    writer = WRITERS[form](expected, recognizer.metadata)
    for path in reversed(sounds):
        writer.write(recognizer.predict(path))
    writer.close()
    assert main(["--format", form, *map(str, reversed(sounds))]) == 0
    assert capsys.readouterr().out == expected.getvalue()


def test_the_accuracy_is_printed_with_text_only(sounds: list[Path], capsys: Capture) -> None:
    assert main(["--model", "small", str(sounds[0])]) == 0
    notice = capsys.readouterr().err
    assert notice.startswith("model ")
    assert "protocol" in notice
    assert notice.count("\n") == 1
    assert main(["--model", "small", "--format", "json", str(sounds[0])]) == 0
    assert capsys.readouterr().err == ""


def test_labels_can_be_chosen_and_merged(sounds: list[Path], capsys: Capture) -> None:
    choice = ["--model", "small", "--labels", "low, happy", "--map", "calm=low", "--map", "sad=low,neutral=low"]
    choice += ["--labels", "angry"]
    assert main([*choice, "--describe"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["labels"], described["accuracy"]) == (["low", "happy", "angry"], None)
    assert described["label_map"] == {**dict.fromkeys(["neutral", "calm", "sad"], "low"), "happy": "happy"} | {
        "angry": "angry", "fearful": None, "disgust": None, "surprised": None
    }  # fmt: skip
    assert described["model_accuracy"]["protocol"] == "speaker"
    assert main([*choice, "--format", "json", str(sounds[2])]) == 0
    (answer,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert list(answer["probabilities"]) == described["labels"]
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=3e-4)
    assert main([*choice, "--format", "csv", str(sounds[2])]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header == "path,start,end,label,confidence,speech,low,happy,angry"
    assert row.count(",") == header.count(",")
    assert main([*choice, str(sounds[2])]) == 0
    assert "among its own 8 labels; among these 3 it was not measured" in capsys.readouterr().err


def test_a_folder_is_all_audio_files_below_it(sounds: list[Path], tmp_path: Path, capsys: Capture) -> None:
    names = ["b.wav", os.fsdecode("a/ü mit Leerzeichen.WAV".encode()), "a/deep/er.wav"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sounds[0], tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a sound, not read")
    assert main(["--format", "json", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    paths = [json.loads(line)["path"] for line in captured.out.splitlines()]
    assert paths == sorted(str(tmp_path / name) for name in names)
    assert captured.err == ""


def test_the_last_format_given_counts(sounds: list[Path], capsys: Capture) -> None:
    assert main(["--format", "json", "--format", "csv", str(sounds[0])]) == 0
    assert capsys.readouterr().out.startswith("path,start,end,")


def test_standard_input_has_the_path_dash(sounds: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(sounds[0].read_bytes())))
    assert main(["--format", "json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == "-"


def test_a_missing_runtime_exits_with_4_and_the_command_that_installs_it(
    sounds: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["--model", "crnn.onnx", str(sounds[0])]) == 4
    assert capsys.readouterr().err.endswith(f"try: {sys.executable} -m pip install 'onnxruntime>=1.20'\n")


def test_help_has_examples_models_and_exit_codes(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    models = [f"{alias:<10} {', '.join(files)}" for alias, files in FILES.items()]
    for part in ("examples:", *models, "exit codes:", "  0  ", "  1  ", "  2  ", "  4  "):
        assert part in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_tables_of_the_command_line_are_complete() -> None:
    assert tuple(WRITERS) == tuple(SUFFIXES) == options.FORMATS
    assert tuple(SAMPLE_FORMATS) == options.SAMPLE_FORMATS
    repeated = options.HOP, options.SPEECH, options.MQTT_EVERY, types.MAX_COUNT
    assert repeated == (HOP, SPEECH, EVERY, MAX_THREADS)


def test_describe_prints_the_metadata(capsys: Capture) -> None:
    for model in ("crnn", "crnn.tflite", "small", "small.tflite", "small.onnx"):
        assert main(["--model", model, "--describe"]) == 0
        text = capsys.readouterr().out
        assert ModelMetadata.from_json(text, model) == Recognizer(model).metadata
        assert json.loads(text)["name"] == "crnn"


def test_version_is_the_packages(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"ser-edge {__version__}\n"


def ser_edge(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], **{"capture_output": True, "encoding": "utf-8", "timeout": 120, **options}
    )
    assert "Traceback" not in (done.stderr or "")
    return done


def test_one_broken_file_does_not_stop_the_others(sounds: list[Path], tmp_path: Path) -> None:
    for number in range(60):
        shutil.copy(sounds[number % len(sounds)], tmp_path / f"{number:02}.wav")
    broken = tmp_path / "31.wav"
    broken.write_text("no sound")
    done = ser_edge("--format", "json", tmp_path)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(record["path"]).stem for record in records] == [f"{n:02}" for n in range(60) if n != 31]
    problem = "not a sound file that can be read (WAV, FLAC, OGG, MP3, AIFF, ...)"
    assert done.stderr.splitlines() == [
        f"ser-edge: {broken}: {problem}; if it holds sound: ffmpeg -i FILE sound.wav",
        "ser-edge: 59 classified, 1 failed",
    ]
    assert done.returncode == 1


def test_a_closed_pipe_ends_it_quietly(sounds: list[Path]) -> None:
    # 200 lines of 250 bytes: more than a pipe holds after `head` has gone
    command = f"{shlex.join([*COMMAND, '--format', 'json', *map(str, sounds * 40)])}; echo $? >&2"
    done = subprocess.run(
        ["bash", "-c", f"({command}) | head -1"], capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert json.loads(done.stdout)["path"] == str(sounds[0])
    assert done.stderr == "0\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("options", [["--format", "csv"], ["--output-dir", "out"]])
def test_closed_outputs_lose_no_other(closed: str, options: list[str], sounds: list[Path], tmp_path: Path) -> None:
    command = f"{shlex.join([*COMMAND, *options, str(sounds[0].resolve())])} {closed}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    printed = "path," in done.stdout
    assert printed == (options[0] == "--format" and closed == "2>&-")
    assert (tmp_path / "out").is_dir() == (options[0] == "--output-dir")


@pytest.mark.parametrize("redirected", [False, True])
def test_an_output_that_is_an_input_is_refused(redirected: bool, sounds: list[Path], tmp_path: Path) -> None:
    recording, link = tmp_path / "recording", tmp_path / "link.txt"
    recording.write_bytes(sounds[0].read_bytes())
    link.symlink_to(recording)
    with recording.open("rb") as stdin:
        done = ser_edge("--output", link, "-" if redirected else recording, stdin=stdin)
    assert done.returncode == 2
    assert "would overwrite an audio file" in done.stderr
    assert recording.read_bytes() == sounds[0].read_bytes()


def test_a_dash_as_output_is_standard_output(sounds: list[Path], tmp_path: Path, capsys: Capture) -> None:
    assert main(["--output", "-", "--format", "json", str(sounds[0])]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(sounds[0])


def test_wildcards_that_a_shell_leaves_stand_for_files(tmp_path: Path) -> None:
    for name in ("b.wav", "a.wav", "[c].wav", "c.mp3"):
        (tmp_path / name).touch()
    found = expanded([f"{tmp_path}/?.wav", "d.wav", f"{tmp_path}/*.ogg", f"{tmp_path}/[c]*"])
    assert [Path(name).name for name in found] == ["a.wav", "b.wav", "d.wav", "*.ogg", "[c].wav"]


@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_characters_outside_the_encoding_are_escaped(form: str, sounds: list[Path], tmp_path: Path) -> None:
    name = os.fsdecode("ü 1.wav".encode())  # two letters that stand for bytes, where the locale is ASCII
    path = shutil.copy(sounds[0], tmp_path / name)
    done = ser_edge("--format", form, path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert (
        json.dumps(name)[1:-1] if form == "json" else name.encode("ascii", "backslashreplace").decode()
    ) in done.stdout


def test_a_name_that_is_not_utf8_is_classified_or_refused(sounds: list[Path], tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.wav"
    shutil.copy(sounds[0], path)
    done = ser_edge(tmp_path)
    assert done.returncode in (0, 1)
    assert "\\udcff.wav" in done.stdout + done.stderr


def test_both_formats_of_the_bundled_model_agree(sounds: list[Path]) -> None:
    first, second = (
        [json.loads(line) for line in ser_edge("--format", "json", "--model", model, *sounds).stdout.splitlines()]
        for model in ("crnn.onnx", "crnn.tflite")
    )
    assert len(first) == len(sounds)
    for one, other in zip(first, second, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=FORMATS)


def test_only_predictions_are_printed(sounds: list[Path]) -> None:
    """Messages of native libraries about delegates and missing GPUs are suppressed."""
    for model in ("crnn.onnx", "crnn.tflite"):
        done = ser_edge("--model", model, "--format", "json", sounds[0])
        assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


def test_a_threshold_is_a_ratio(sounds: list[Path], capsys: Capture) -> None:
    assert main(["--threshold", "1", "--format", "json", str(sounds[0])]) == 0
    assert json.loads(capsys.readouterr().out)["label"] == "uncertain"
    for wrong in ("1.5", "-0.1", "nan", "high"):
        with pytest.raises(SystemExit) as exit_:
            main(["--threshold", wrong, str(sounds[0])])
        assert exit_.value.code == 2
        assert "--threshold" in capsys.readouterr().err


def test_microphones_are_listed(sounddevice: Any, card: Any, capsys: Capture) -> None:
    sounddevice.plug(card("Built-in"), card("USB"))
    assert main(["--list-devices"]) == 0
    assert capsys.readouterr().out == "".join(f"{device}\n" for device in devices())


@pytest.mark.parametrize("arguments", [["--list-devices"], ["--mic"]])
def test_without_a_microphone_it_exits_with_3(arguments: list[str], sounddevice: Any, capsys: Capture) -> None:
    assert main(arguments) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ser-edge: no microphone")
    assert captured.err.count("\n") == 1


def test_subtitles_of_a_folder_are_a_usage_error(sounds: list[Path], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--format", "srt", str(sounds[0].parent)])
    assert end.value.code == 2
    assert "subtitles" in capsys.readouterr().err


def test_a_channel_is_chosen(sounds: list[Path], tmp_path: Path, capsys: Capture) -> None:
    voice, rate = soundfile.read(sounds[0])
    call = tmp_path / "call.wav"
    soundfile.write(call, np.stack([np.zeros_like(voice), voice], axis=1), rate)
    labels = []
    for arguments in (["--channel", "1", str(call)], ["--channel", "2", str(call)], [str(sounds[0])]):
        assert main(["--format", "json", "--threshold", "0", *arguments]) == 0
        labels.append(json.loads(capsys.readouterr().out)["label"])
    assert labels[0] == "no-speech"
    assert labels[1] == labels[2]
    assert main(["--channel", "3", str(call), str(sounds[0])]) == 1
    assert f"ser-edge: {call}: no channel 3; it has 2" in capsys.readouterr().err
