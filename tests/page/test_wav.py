"""The page's WAV reader: the samples of files with wrong headers, and what is missing in them, as of ser-edge."""

import io
import json
import struct
from typing import Any

import numpy as np
import pytest
import soundfile

from ser_edge.audio.decoding.decoder import open_sound
from ser_edge.errors import AudioError
from ser_edge.errors.user_warnings import capture_warnings
from tests.page.node import needs_node, run

pytestmark = needs_node
NAME = "my sound.wav"
DECODE = f"""
  const {{ decode }} = await load("audio/decoding.js");
  globalThis.OfflineAudioContext = class {{
    async decodeAudioData(bytes) {{
      structuredClone(bytes, {{ transfer: [bytes] }}); // as a browser, that takes them away
      throw new Error("no browser");
    }}
  }};
  const results = [];
  for (const bytes of values.files) {{
    const file = new File([Uint8Array.from(bytes)], {json.dumps(NAME)});
    results.push(await decode(file).catch((error) => ({{ error: error.message }})));
  }}
  print(results);
"""


def wav(frames: int = 1_000, rate: int = 16_000, channels: int = 1, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    samples = np.random.default_rng(0).normal(0.01, 0.1, (frames, channels))
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def with_size(size: int, content: bytes) -> bytes:
    """The same with another size of the samples."""
    place = content.index(b"data") + 4
    return content[:place] + struct.pack("<I", size) + content[place + 4 :]


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def rf64(size: int, content: bytes) -> bytes:
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, size, 0, 0))
    return b"RF64" + content[4:12] + sizes + with_size(2**32 - 1, content)[12:]


LIST = chunk(b"LIST", b"INFOISFT\x05\0\0\0abcd\0")
BYTES = wav(999, subtype="PCM_U8")
FILES = {
    "whole": wav(),
    "size 0": with_size(0, wav()),
    "size 0 and a chunk": with_size(0, wav()) + LIST,
    "no samples, only a chunk": with_size(0, wav(0)) + LIST,
    "unknown size": with_size(2**32 - 1, wav()),
    "about 2 GiB": with_size(2**31 - 2**12, wav()),
    "too large": with_size(2_600, wav()),
    "too large by a little": with_size(2_002, wav()),
    "too small": with_size(1_000, wav()),
    "a chunk behind the samples": wav() + LIST,
    "a chunk before them": wav()[:12] + LIST + wav()[12:],
    "padding": BYTES + bytes(1) + LIST,
    "no padding": BYTES + LIST,
    "bytes that are no chunk": wav() + bytes(60),
    "truncated": wav(channels=2)[:2_001],
    "one sample": wav()[:46],
    "RF64": rf64(2_000, wav()) + LIST,
    "RF64, truncated": rf64(4_000, wav()),
    "RF64 without a size": rf64(2**32 - 1, wav()),
    "joined": wav() + wav() + LIST + wav(),
    "joined, the second truncated": wav() + wav()[:-500],
    "joined with another rate": wav(16_000) + wav(48_000, rate=48_000),
    "joined with stereo": wav() + wav(channels=2),
    "stereo joined with mono": wav(channels=2) + wav(),
    "joined with a damaged header": wav() + wav()[:30],
    "float": with_size(0, wav(subtype="FLOAT")),
}


def by_ser_edge(content: bytes) -> dict[str, Any]:
    """What the page's `decode` returns."""
    warnings: list[str] = []
    try:
        with capture_warnings(warnings.append), open_sound(io.BytesIO(content), NAME) as sound:
            return {"rate": sound.rate, "channels": np.concatenate(list(sound.chunks)).T, "warnings": warnings}
    except AudioError as error:
        return {"error": str(error)}


@pytest.mark.parametrize("kind", FILES)
def test_lengths_in_headers_are_not_believed(kind: str) -> None:
    (decoded,) = run(DECODE, files=[list(FILES[kind])])
    expected = by_ser_edge(FILES[kind])
    channels, expected_channels = (np.array(each.pop("channels", [])) for each in (decoded, expected))
    assert (decoded, channels.shape) == (expected, expected_channels.shape)
    np.testing.assert_allclose(channels, expected_channels, atol=2e-6)


def test_every_broken_header_is_a_message() -> None:
    """One line with the file's name, as it is; and never a program's own words."""
    whole = wav(channels=2)
    damaged = [
        whole[:20] + value + whole[20 + len(value) :]
        for value in (bytes(16), b"\xff" * 16, b"\1\0\0\0", b"\1\0\2\0\0\0\0\0", b"\1\0\2\0\xff\xff\xff\xff")
    ]
    damaged += [whole[:16] + struct.pack("<I", size) + whole[20:] for size in (0, 2, 14, 2**31, 2**32 - 1)]
    damaged.append(whole[:12] + whole[36:])  # without a format
    for file, result in zip(damaged, run(DECODE, files=[list(file) for file in damaged]), strict=True):
        assert_message(result, str(file[:44]))


def test_every_header_that_is_cut_is_a_message() -> None:
    whole = rf64(2_000, wav())
    files = [list(whole[:size]) for size in range(whole.index(b"data") + 9)]
    for size, result in enumerate(run(DECODE, files=files)):
        assert_message(result, str(size))


def assert_message(result: dict[str, str], case: str) -> None:
    assert result.keys() == {"error"}, case
    assert result["error"].startswith(f"{NAME}: "), result
    assert "\n" not in result["error"]
    assert not any(word in result["error"] for word in ("DataView", "undefined", "null", "NaN", "bounds", "Invalid"))


def test_an_encoding_of_another_kind_is_left_to_the_browser() -> None:
    adpcm, text = run(DECODE, files=[list(wav(subtype="MS_ADPCM")), list(b"no sound")])
    assert "encoding" in adpcm["error"]
    assert "not a sound" in text["error"]
