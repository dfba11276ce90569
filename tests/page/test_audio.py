"""The page's audio: the samples that ser-edge would classify."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_edge.audio.downmix import Downmix
from ser_edge.audio.resampling import resample
from tests.page.node import needs_node, run

pytestmark = needs_node
SAME = 2e-6  # of full scale, between samples


def noise(count: int, channels: int = 1) -> npt.NDArray[np.float32]:
    random = np.random.default_rng(0).normal(0.01, 0.1, (count, channels))
    return random.astype(np.float32)


@pytest.mark.parametrize(
    ("rate", "same"),
    [
        (16_000, 0),
        (48_000, SAME),
        *((rate, 2e-3) for rate in (8_000, 9_600, 32_000, 11_200, 22_050, 44_100, 96_000)),
    ],
)
def test_resampling_is_soxrs(rate: int, same: float) -> None:
    """Noise has all frequencies, those of the transition band too; soxr takes several steps from some rates."""
    samples = noise(rate // 3)[:, 0]
    script = """
      const { Resampler, joined } = await load("audio/resampler.js");
      const resampler = new Resampler(values.rate, 16000);
      const parts = [];
      for (let i = 0; i < values.samples.length; i += 997) {
        parts.push(resampler.process(floats(values.samples.slice(i, i + 997))));
      }
      print(joined(...parts, resampler.finish()));
    """
    resampled = np.float32(run(script, rate=rate, samples=samples))
    expected = resample(samples, rate, 16_000)
    assert len(resampled) == len(expected)
    np.testing.assert_allclose(resampled, expected, atol=same)
    assert np.square(resampled - expected).mean() <= 3e-6 * np.square(expected).mean()


@pytest.mark.parametrize("kind", ["mono", "stereo", "inverted", "one louder", "not finite"])
def test_downmix_is_ser_edges(kind: str) -> None:
    samples = noise(24_700, 1 if kind == "mono" else 2)
    if kind == "inverted":
        samples[:, 1] = -samples[:, 0]
    if kind == "one louder":
        samples[:12_000, 1] = -samples[:12_000, 0]
        samples[12_000:, 1] *= 3
    if kind == "not finite":
        samples[500] = np.nan
    script = """
      const { Downmix } = await load("audio/downmix.js");
      const channels = values.channels.map((list) => floats(list.map((value) => value ?? NaN)));
      const downmix = new Downmix(16000, channels.length);
      const parts = [];
      for (let i = 0; i < channels[0].length; i += 1234) {
        parts.push(...downmix.push(channels.map((samples) => samples.subarray(i, i + 1234))));
      }
      print([...parts, ...downmix.finish()]);
    """
    channels = [[float(v) if np.isfinite(v) else None for v in column] for column in samples.T]
    blocks = run(script, channels=channels)
    downmix = Downmix(16_000)
    expected = [*downmix.blocks(samples), *downmix.finish()]
    assert list(map(len, blocks)) == list(map(len, expected))
    np.testing.assert_allclose(np.concatenate(blocks), np.concatenate(expected), atol=SAME)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
def test_wav_is_read_at_its_own_rate(tmp_path: Path, container: str, subtype: str) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, noise(1_001, 3), 22_050, format=container, subtype=subtype)
    script = """
      const { isWav, readWav } = await load("audio/wav.js");
      const bytes = Uint8Array.from(values.bytes).buffer;
      print([isWav(bytes), readWav(bytes)]);
    """
    is_wav, sound = run(script, bytes=list(path.read_bytes()))
    expected, rate = soundfile.read(path, dtype="float32")
    assert (is_wav, sound["rate"]) == (True, rate)
    np.testing.assert_allclose(np.transpose(sound["channels"]), expected, atol=1e-7)


@pytest.mark.parametrize(
    ("container", "subtype", "rates"),
    [
        ("FLAC", "PCM_16", [8_000, 16_000, 44_100, 96_000]),
        ("OGG", "VORBIS", [16_000, 44_100]),
        ("OGG", "OPUS", [48_000]),
        ("MP3", "MPEG_LAYER_III", [16_000, 22_050, 44_100, 48_000]),
    ],
)
def test_compressed_files_are_decoded_at_the_rate_that_they_state(
    tmp_path: Path, container: str, subtype: str, rates: list[int]
) -> None:
    script = """
      const { statedRate } = await load("audio/sample_rates.js");
      print(values.files.map((bytes) => statedRate(Uint8Array.from(bytes).buffer)));
    """
    files = []
    for rate in rates:
        path = tmp_path / f"{rate}"
        soundfile.write(path, noise(rate), rate, format=container, subtype=subtype)
        files.append(list(path.read_bytes()))
    assert run(script, files=files) == rates


def test_other_bytes_are_decoded_at_the_usual_rate() -> None:
    script = """
      const { statedRate } = await load("audio/sample_rates.js");
      print(values.files.map((bytes) => statedRate(Uint8Array.from(bytes).buffer)));
    """
    assert (
        run(script, files=[[], [255], list(b"OggS"), list(b"fLaC"), list(json.dumps("x" * 99).encode())])
        == [48_000] * 5
    )


def test_a_compressed_file_that_is_cut_is_decoded_at_a_usual_rate(tmp_path: Path) -> None:
    script = """
      const { statedRate } = await load("audio/sample_rates.js");
      print(values.files.map((bytes) => statedRate(Uint8Array.from(bytes).buffer) > 0));
    """
    path = tmp_path / "sound.ogg"
    soundfile.write(path, noise(1_000), 16_000, format="OGG", subtype="VORBIS")
    content = list(path.read_bytes()[:60])
    assert all(run(script, files=[content[:size] for size in range(60)]))
