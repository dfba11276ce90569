"""docs/other-languages.md: its block for JavaScript runs in Node.js; that for Python runs as those of all pages do."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile

from ser_edge.models.bundled.names import WAVEFORM
from tests.conftest import SOUNDS

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "build" / "page" / "node_modules"  # `make page` installs them
SAME = 1e-3  # in WebAssembly, whose kernels are others
ALL = """
import { readdirSync } from "node:fs";
for (const name of readdirSync("tests/sounds").filter((name) => name.endsWith(".wav")).sort()) {
  const integers = new Int16Array(readFileSync("tests/sounds/" + name).buffer.slice(44));
  const samples = Float32Array.from(integers, (value) => value / 32768);
  const result = await session.run({ samples: new ort.Tensor("float32", samples, [samples.length]) });
  console.log(Array.from(result.probabilities.data).join(" "));
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if shutil.which("node") is None or not (PACKAGES / "onnxruntime-web").is_dir():
        pytest.skip("node, or onnxruntime-web, isn't installed: make page")
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    shutil.copytree(SOUNDS, tmp_path / "tests" / "sounds")
    shutil.copy(WAVEFORM, tmp_path)
    return tmp_path


def printed(folder: Path, script: str) -> list[str]:
    (folder / "script.mjs").write_text(script, "utf-8")
    done = subprocess.run(["node", "script.mjs"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def documented() -> str:
    (block,) = re.findall(r"^```js\n(.*?)^```$", (ROOT / "docs/other-languages.md").read_text("utf-8"), re.M | re.S)
    return str(block)


def test_the_documented_lines_print_what_they_show(folder: Path) -> None:
    shown = re.findall(r"// -> (.*)$", documented(), re.M)
    assert printed(folder, documented()) == shown


def test_webassembly_answers_as_here(folder: Path) -> None:
    session = onnxruntime.InferenceSession(WAVEFORM, providers=["CPUExecutionProvider"])
    answers = printed(folder, documented() + ALL)[1:]
    sounds = sorted(SOUNDS.glob("*.wav"))
    assert len(answers) == len(sounds)
    for sound, answer in zip(sounds, answers, strict=True):
        samples, _ = soundfile.read(sound, dtype="float32")
        (expected,) = session.run(["probabilities"], {"samples": samples})
        np.testing.assert_allclose([float(value) for value in answer.split()], expected, rtol=0, atol=SAME)
