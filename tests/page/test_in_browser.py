"""The page that needs no server: the answers of ser-edge, from files and microphones, with nothing uploaded."""

import json
import os
import random
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

from ser_edge import Recognizer
from ser_edge.errors.user_warnings import capture_warnings
from ser_edge.models.tolerances import DYNAMIC, tolerance
from tests.conftest import SOUNDS, is_clear
from tests.page.browser import OpenPage, Visit, predictions_of, written

pytestmark = pytest.mark.slow
FILES = sorted(SOUNDS.glob("*.wav"))
RAVDESS = os.environ.get("RAVDESS")
SOME = 60  # files of the corpus
# `small` computes in float32; `accurate` rounds to integers, where the last bit of an input can move an answer.
SAME = {"small": 1e-3, "accurate": tolerance(".onnx", DYNAMIC).kernels}


def largest_difference(visit: Visit, recognizer: Recognizer, path: Path) -> float:
    """Of a probability on the page from ser-edge's, over all windows; their times are equal."""
    lines = [json.loads(line) for line in visit.save("JSON").splitlines()]
    samples, rate = soundfile.read(path, dtype="float32")
    expected = list(recognizer.stream([samples], sample_rate=rate))
    assert [(line["start"], line["end"]) for line in lines] == [(p.start, p.end) for p in expected]
    assert [line["speech"] for line in lines] == pytest.approx([p.speech for p in expected], abs=0.04)
    return max(abs(line["probabilities"][name] - p) for line, each in zip(lines, expected, strict=True)
               for name, p in each.probabilities.items())  # fmt: skip


@pytest.mark.parametrize("model", SAME)
def test_files_get_the_answers_of_ser_edge(hosts: dict[str, str], visit: OpenPage, model: str) -> None:
    recognizer = Recognizer(f"{model}.onnx")
    page = visit(hosts[model]).ready()
    for path in FILES:
        expected = recognizer.predict(path)
        label = page.classify(path)
        assert is_clear(expected, SAME[model], recognizer.metadata.threshold) is False or label == expected.label
        assert largest_difference(page, recognizer, path) <= SAME[model]
        percents = {name: 100 * p for name, p in expected.probabilities.items()}
        assert page.bars() == pytest.approx(percents, abs=100 * SAME[model] + 0.51)


@pytest.mark.skipif(RAVDESS is None, reason="RAVDESS isn't set")
@pytest.mark.parametrize("model", SAME)
def test_real_speech_gets_the_answers_of_ser_edge(
    hosts: dict[str, str], visit: OpenPage, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted(Path(RAVDESS or "").rglob("*.flac")) or sorted(Path(RAVDESS or "").rglob("*.wav"))
    recognizer = Recognizer(f"{model}.onnx")
    page = visit(hosts[model]).ready()
    differences, others = [], []
    for path in random.Random(0).sample(files, min(SOME, len(files))):
        expected = recognizer.predict(path)
        label = page.classify(path)
        differences.append(largest_difference(page, recognizer, path))
        if label != expected.label:
            others.append((path.name, label, expected.label, expected.confidence))
            assert not is_clear(expected, SAME[model], recognizer.metadata.threshold)
    with capsys.disabled():
        print(f"\n{model}: {len(differences)} files, other labels {others}, largest difference {max(differences):.1e}")
    assert max(differences) <= SAME[model]


def test_a_recording_of_over_a_minute_is_the_mean_of_its_windows(
    hosts: dict[str, str], visit: OpenPage, tmp_path: Path
) -> None:
    parts, rate = [], 16_000
    for path in FILES * 6:
        samples, rate = soundfile.read(path)
        parts += [samples, np.zeros(rate // 2)]
    path = tmp_path / "long.wav"
    soundfile.write(path, np.concatenate(parts), rate)
    recognizer = Recognizer("small.onnx")
    expected = recognizer.predict(path)
    assert expected.end > 60
    page = visit(hosts["small"]).ready()
    assert page.classify(path) == expected.label
    assert page.bars() == pytest.approx({name: 100 * p for name, p in expected.probabilities.items()}, abs=0.61)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_compressed_files_are_decoded_by_the_browser(
    hosts: dict[str, str], visit: OpenPage, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"sound.{suffix}"
    samples, rate = soundfile.read(FILES[0])
    soundfile.write(path, samples, rate)
    recognizer = Recognizer("small.onnx")
    page = visit(hosts["small"]).ready()
    assert page.classify(path) == recognizer.predict(path).label
    if suffix == "flac":
        assert largest_difference(page, recognizer, path) <= SAME["small"]


def test_nothing_leaves_the_browser(hosts: dict[str, str], visit: OpenPage) -> None:
    page = visit(hosts["small"]).ready()
    assert {urlsplit(address).netloc for address in page.requests} == {urlsplit(hosts["small"]).netloc}
    page.requests.clear()
    page.classify(FILES[0])
    assert [address for address in page.requests if not address.startswith("blob:")] == []


def test_it_works_offline_after_the_first_visit(hosts: dict[str, str], visit: OpenPage) -> None:
    page = visit(hosts["small"]).ready()
    page.page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    page.page.context.set_offline(True)
    page.page.reload()
    page.ready()
    assert page.classify(FILES[0]) == Recognizer("small.onnx").predict(FILES[0]).label


def test_the_microphone_shows_the_emotion_that_it_plays(hosts: dict[str, str], visit: OpenPage) -> None:
    from playwright.sync_api import expect

    page = visit(hosts["accurate"]).ready()
    page.listen()
    expect(page.page.locator("#label")).to_have_text("angry", timeout=60_000)
    expect(page.page.locator("#health")).to_contain_text("kHz")
    expect(page.page.locator("#microphone")).to_have_attribute("aria-pressed", "true")
    page.page.click("#microphone")
    expect(page.page.locator("#moment")).to_have_text("Stopped")
    expect(page.page.locator("#microphone")).to_have_attribute("aria-pressed", "false")


def test_a_truncated_recording_is_classified_with_a_warning(
    hosts: dict[str, str], visit: OpenPage, tmp_path: Path
) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(FILES[0].read_bytes()[:40_001])
    warnings: list[str] = []
    with capture_warnings(warnings.append):
        expected = Recognizer("small.onnx").predict(path)
    page = visit(hosts["small"]).ready()
    assert page.classify(path) == expected.label
    assert page.page.locator("#warnings").text_content() == warnings[0].replace(str(path), path.name)
    page.classify(FILES[0])
    assert page.page.locator("#warnings").is_hidden()


def test_a_size_of_0_in_a_header_is_not_believed(hosts: dict[str, str], visit: OpenPage, tmp_path: Path) -> None:
    path = tmp_path / "killed.wav"
    content = FILES[0].read_bytes()
    place = content.index(b"data") + 4
    path.write_bytes(content[:place] + bytes(4) + content[place + 4 :])
    page = visit(hosts["small"]).ready()
    assert page.classify(path) == Recognizer("small.onnx").predict(path).label


def test_saved_timelines_are_written_as_by_the_command(hosts: dict[str, str], visit: OpenPage) -> None:
    recognizer = Recognizer("small.onnx")
    page = visit(hosts["small"]).ready()
    page.classify(FILES[0])
    for button, writer in (("JSON", "json"), ("CSV", "csv")):
        text = page.save(button)
        assert text == written(writer, recognizer.metadata, predictions_of(page.save("JSON")))


def test_what_is_no_sound_is_refused_and_the_next_file_is_classified(
    hosts: dict[str, str], visit: OpenPage, tmp_path: Path
) -> None:
    text, empty, cut = tmp_path / "text.txt", tmp_path / "empty.wav", tmp_path / "cut.wav"
    text.write_text("not a sound")
    empty.touch()
    cut.write_bytes(FILES[0].read_bytes()[:30])
    page = visit(hosts["small"]).ready()
    alert = page.page.get_by_role("alert")
    for path, part in ((text, "can decode"), (empty, "empty"), (cut, "header")):
        page.page.set_input_files("#file", path)
        alert.filter(has_text=part).wait_for()
        assert (alert.text_content() or "").startswith(f"{path.name}: ")
    page.classify(FILES[0])
    assert alert.is_hidden()


def test_another_file_does_not_wait_for_a_long_one(hosts: dict[str, str], visit: OpenPage, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 16_000 * 600), 16_000)
    page = visit(hosts["small"]).ready()
    page.page.set_input_files("#file", path)
    page.page.locator("#progress").wait_for()
    expected = Recognizer("small.onnx").predict(FILES[0])
    assert page.classify(FILES[0]) == expected.label
    assert page.page.locator("#progress").is_hidden()
    assert page.page.get_by_role("alert").is_hidden()
