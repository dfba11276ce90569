"""A folder of outputs: a file for each input, complete or not there."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ser_edge import merge
from ser_edge.cli.app import main
from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import ModelMetadata
from ser_edge.output.folder import SUFFIXES, OutputFolder
from ser_edge.recognition.prediction import Prediction
from tests import messages

COMMAND = [sys.executable, "-m", "ser_edge", "--model", "small"]
METADATA = ModelMetadata("small", ("calm", "sad"), FeatureConfig())
Capture = pytest.CaptureFixture[str]


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def put(folder: Path, sound: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sound, folder / name)
    return folder


def predict(out: Path, *arguments: object) -> int:
    return main(["--model", "small", "--output-dir", str(out), *map(str, arguments)])


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_each_input_has_a_file_in_folders_as_its_own(
    jobs: str, sounds: list[Path], tmp_path: Path, capsys: Capture
) -> None:
    talks = put(tmp_path / "talks", sounds[0], "a.wav", "b/c.wav", "b/d/e.f.wav")
    assert predict(tmp_path / "out", "--jobs", jobs, talks) == 0
    assert below(tmp_path / "out") == {"a.json", "b/c.json", "b/d/e.f.json"}
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "ser-edge: 3 classified\n"
    assert main(["--model", "small", "--format", "json", str(talks)]) == 0
    lines = capsys.readouterr().out
    assert lines == "".join((tmp_path / "out" / name).read_text() for name in ("a.json", "b/c.json", "b/d/e.f.json"))


def test_every_format_has_its_suffix_and_the_content_it_has_elsewhere(
    sounds: list[Path], tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    assert predict(out, "-f", "text,json,csv,srt,vtt,audacity", "--merge", sounds[3]) == 0
    suffixes = SUFFIXES | {"json": ".jsonl"}  # of windows
    assert {path.name for path in out.iterdir()} == {f"{sounds[3].stem}{suffix}" for suffix in suffixes.values()}
    capsys.readouterr()
    for form, suffix in suffixes.items():
        path = out / f"{sounds[3].stem}{suffix}"
        assert main(["--model", "small", "--format", form, "--merge", str(sounds[3])]) == 0
        assert path.read_text() == capsys.readouterr().out


def test_several_inputs_are_mirrored_from_the_folder_that_holds_them(sounds: list[Path], tmp_path: Path) -> None:
    put(tmp_path, sounds[0], "a/x.wav", "b/x.wav", "b/c/y.wav")
    assert predict(tmp_path / "out", tmp_path / "a/x.wav", tmp_path / "b") == 0
    assert below(tmp_path / "out") == {"a/x.json", "b/x.json", "b/c/y.json"}


def test_sounds_that_differ_in_their_suffix_keep_it(sounds: list[Path], tmp_path: Path) -> None:
    talks = put(tmp_path / "talks", sounds[0], "a.wav", "a.flac", "A.AU", "b.wav", "c.wav", "c.wav.wav")
    (talks / "b.txt").write_text("not a sound")
    assert predict(tmp_path / "out", talks) == 0
    assert below(tmp_path / "out") == {
        "a.wav.json", "a.flac.json", "A.AU.json", "b.json", "c.json", "c.wav.wav.json"
    }  # fmt: skip
    assert predict(tmp_path / "one", talks / "a.wav") == 0  # the name doesn't depend on what else is classified
    assert below(tmp_path / "one") == {"a.wav.json"}


def test_a_text_is_never_under_the_name_of_a_label_track(sounds: list[Path], tmp_path: Path) -> None:
    talks = put(tmp_path / "talks", sounds[0], "a.wav", "a.labels.wav")
    assert predict(tmp_path / "out", "-f", "text,audacity", talks) == 0
    assert below(tmp_path / "out") == {
        "a.txt", "a.labels.txt", "a.labels.wav.txt", "a.labels.wav.labels.txt"
    }  # fmt: skip


def test_what_is_there_is_skipped_unless_it_is_to_be_overwritten(
    sounds: list[Path], tmp_path: Path, capsys: Capture
) -> None:
    talks, out = put(tmp_path / "talks", sounds[0], "a.wav", "b.wav", "c.wav"), tmp_path / "out"
    (talks / "b.wav").write_text("no sound")
    assert predict(out, talks) == 1
    assert below(out) == {"a.json", "c.json"}
    assert capsys.readouterr().err.endswith("ser-edge: 2 classified, 1 failed\n")
    (out / "a.json").write_text("kept")
    (out / "c.json").unlink()
    assert predict(out, talks) == 1
    assert capsys.readouterr().err.endswith(
        "ser-edge: 1 classified, 1 failed, 1 skipped: their output is there (--overwrite replaces it)\n"
    )
    assert (out / "a.json").read_text() == "kept"
    assert predict(out, "--format", "json,csv", talks) == 1  # only what is missing
    assert (out / "a.json").read_text() == "kept"
    assert (out / "a.csv").read_text().startswith("path,")
    assert predict(out, "--overwrite", talks) == 1
    assert json.loads((out / "a.json").read_text())["path"] == str(talks / "a.wav")


def test_ctrl_c_keeps_what_is_done_and_leaves_nothing_half_done(sounds: list[Path], tmp_path: Path) -> None:
    talks, out = put(tmp_path / "talks", sounds[0], *(f"{n:04}.wav" for n in range(1500))), tmp_path / "out"
    with subprocess.Popen([*COMMAND, "--output-dir", str(out), str(talks)], stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not list(out.glob("*.json")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    done = below(out)
    assert 0 < len(done) < 1500
    assert process.returncode == 130
    stopped = re.fullmatch(r"ser-edge: stopped; (\d+) classified; the same command goes on\n", errors.decode())
    assert stopped
    assert len(done) - int(stopped[1]) in (0, 1)  # the last file may have come just before the signal
    assert all(Path(name).suffix == ".json" and json.loads((out / name).read_text()) for name in done)
    ended = subprocess.run([*COMMAND, "--output-dir", out, talks], capture_output=True, encoding="utf-8", check=True)
    assert f"{1500 - len(done)} classified, {len(done)} skipped" in ended.stderr
    assert len(below(out)) == 1500


def test_a_link_out_of_the_folder_is_not_followed(sounds: list[Path], tmp_path: Path, capsys: Capture) -> None:
    talks, out = put(tmp_path / "talks", sounds[0], "a/x.wav", "b/y.wav", "c.wav"), tmp_path / "out"
    (tmp_path / "elsewhere").mkdir()
    out.mkdir()
    (out / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "kept.json").write_text("kept")
    (out / "c.json").symlink_to(tmp_path / "kept.json")
    assert predict(out, "--overwrite", talks) == 1
    assert messages.codes_in(capsys.readouterr().err) == ["output-unwritable"]
    assert below(tmp_path / "elsewhere") == set()
    assert (tmp_path / "kept.json").read_text() == "kept"  # the link itself was replaced
    assert {"b/y.json", "c.json"} <= below(out)


def test_dots_and_links_among_the_inputs_stay_in_the_folder(
    sounds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, sounds[0], "elsewhere/x.wav", "talks/a.wav")
    (tmp_path / "talks/link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "talks")
    assert predict(Path("../out"), "../talks/../talks") == 0
    assert below(tmp_path / "out") == {"a.json", "link/x.json"}
    assert predict(Path("../out2"), ".", "../elsewhere/x.wav") == 0
    assert below(tmp_path / "out2") == {"talks/a.json", "talks/link/x.json", "elsewhere/x.json"}


def test_a_name_that_cannot_be_written_fails_alone(sounds: list[Path], tmp_path: Path, capsys: Capture) -> None:
    talks, out = put(tmp_path / "talks", sounds[0], f"{'x' * 251}.wav", "a.wav", "sub/b.wav", "c.wav"), tmp_path / "out"
    out.mkdir()
    (out / "sub").write_text("a file where a folder is needed")
    (out / "c.json").mkdir()
    assert predict(out, talks) == 1
    errors = capsys.readouterr().err
    assert messages.codes_in(errors) == ["output-unwritable"] * 3
    assert errors.endswith("ser-edge: 1 classified, 3 failed\n")
    assert below(out) == {"a.json", "sub"}


def test_a_folder_that_cannot_be_written_is_one_line(sounds: list[Path], tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("no folder")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/ser-edge")):
        with pytest.raises(SystemExit) as end:
            predict(out, sounds[0])
        assert end.value.code == 2
        error = capsys.readouterr().err
        assert f"--output-dir {out}: " in error
        assert error.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="no limit of what a process may write")
def test_what_cannot_be_written_to_the_end_is_removed_and_ends_the_run(sounds: list[Path], tmp_path: Path) -> None:
    command = f"ulimit -f 0; exec {shlex.join([*COMMAND, '--output-dir', str(tmp_path / 'out'), *map(str, sounds)])}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 1
    assert done.stderr == "ser-edge: can't write the predictions: File too large\n"
    assert below(tmp_path / "out") == set()


def window(path: str, start: float, label: str) -> Prediction:
    other = {"calm": "sad", "sad": "calm"}[label]
    return Prediction(path, start, start + 3, label, 0.75, {label: 0.75, other: 0.25})


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., OutputFolder]:
    def make(**how: bool) -> OutputFolder:
        return OutputFolder(str(tmp_path / "out"), [str(tmp_path / "a.wav")], ("json",), METADATA, **how)

    return make


def test_windows_are_json_lines_and_merged_where_asked(folder: Callable[..., OutputFolder], tmp_path: Path) -> None:
    windows = [window(str(tmp_path / "a.wav"), start, label) for start, label in ((0, "sad"), (1, "sad"), (2, "calm"))]
    with folder(windows=True, merge=True).files() as sink:
        for prediction in windows:
            sink.write(prediction)
        assert not (tmp_path / "out/a.jsonl").exists()
    starts = [json.loads(line)["start"] for line in (tmp_path / "out/a.jsonl").read_text().splitlines()]
    assert starts == [prediction.start for prediction in merge(windows)] == [0, 2]


def test_an_input_that_fails_leaves_no_file(folder: Callable[..., OutputFolder], tmp_path: Path) -> None:
    path = str(tmp_path / "a.wav")
    with suppress(ZeroDivisionError), folder().files() as sink:
        sink.write(window(path, 0, "sad"))
        raise ZeroDivisionError
    assert below(tmp_path / "out") == set()
    assert list(folder().pending([path])) == [path]


def test_two_runs_at_a_time_keep_their_files_apart(folder: Callable[..., OutputFolder], tmp_path: Path) -> None:
    path = str(tmp_path / "a.wav")
    with folder().files() as first:
        first.write(window(path, 0, "sad"))
        with folder().files() as second:  # in containers both have one process number
            second.write(window(path, 0, "calm"))
            second.write(window(path, 1, "calm"))
        assert len((tmp_path / "out/a.json").read_text().splitlines()) == 2
    assert json.loads((tmp_path / "out/a.json").read_text())["label"] == "sad"
    assert below(tmp_path / "out") == {"a.json"}
