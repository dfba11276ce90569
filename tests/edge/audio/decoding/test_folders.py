"""Folders: what is classified of them, and what is counted, or left out."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ser_edge.audio.decoding.ffmpeg import install_command
from tests import messages


def test_what_cannot_be_decoded_here_is_counted(
    nothing_decodes: None, sounds: list[Path], command: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    good = shutil.copy(sounds[0], folder / "good.wav")
    for name in ("a.m4a", "b.M4A", "c.webm", "c.txt", "._d.m4a"):
        (folder / name).touch()
    code, answered, lines = command("--jobs", "1", folder)
    assert (code, answered) == (1, [str(good)])
    assert len(lines) == 2  # the last is a summary
    assert ": 3 files " in lines[0]
    assert "(.m4a, .webm)" in lines[0]
    assert lines[0].endswith(install_command())


def test_a_folder_of_nothing_else_is_one_line(nothing_decodes: None, command: Any, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.m4a").touch()
    code, answered, lines = command(tmp_path / "folder")
    assert (code, answered) == (1, [])
    assert len(lines) == 1
    assert lines[0].endswith(install_command())


def test_links_are_followed_once_around(sounds: list[Path], command: Any, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    (folder / "__MACOSX").mkdir(parents=True)
    elsewhere.mkdir()
    shutil.copy(sounds[0], elsewhere / "a.wav")
    shutil.copy(sounds[0], folder / "__MACOSX" / "a.wav")
    shutil.copy(sounds[0], folder / "._a.wav")
    (folder / "linked.wav").symlink_to(elsewhere / "a.wav")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "around").symlink_to(folder)
    (folder / "itself").symlink_to(folder / "itself")
    (folder / "lost.wav").symlink_to(tmp_path / "nowhere")
    code, answered, lines = command("--jobs", "1", folder)
    assert answered == [str(folder / "linked" / "a.wav"), str(folder / "linked.wav")]
    assert (code, messages.codes_in(lines[0])) == (1, ["audio-not-found"])
    assert str(folder / "lost.wav") in lines[0]


def test_recordings_in_a_folder_are_classified(
    recorded: Callable[..., bytes], sounds: list[Path], command: Any, tmp_path: Path
) -> None:
    hum = np.sin(np.arange(48_000) / 20).astype(np.float32)
    (tmp_path / "folder").mkdir()
    for name, (form, codec) in {"a.m4a": ("ipod", "aac"), "b.webm": ("webm", "libopus")}.items():
        (tmp_path / "folder" / name).write_bytes(recorded(hum, 48_000, form, codec))
    code, answered, lines = command("--no-gate", tmp_path / "folder")
    assert (code, [Path(path).name for path in answered], lines) == (0, ["a.m4a", "b.webm"], [])
