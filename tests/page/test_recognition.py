"""The page's own recognition: the features, speech ratios and windows of ser-edge."""

import io
import itertools
import json

import numpy as np
import numpy.typing as npt
import pytest

from ser_edge import Prediction
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import FrontEnd
from ser_edge.models.metadata import ModelMetadata
from ser_edge.output.writers import WRITERS, json_line, percent
from ser_edge.recognition.voice_activity.stream_gate import Gate
from tests.page.node import needs_node, run

pytestmark = needs_node
RATE = 16_000
SAME_DECIBELS = 2e-3
WHISPER = FeatureConfig(
    n_fft=400, hop_length=160, n_mels=80, n_mfcc=None, top_db=None, trim_db=25, trim_margin=5, dynamic_range_db=80
)
SMALL = FeatureConfig(
    n_fft=512, win_length=400, hop_length=160, n_mels=64, n_mfcc=None, f_min=50, trim_db=20, dynamic_range_db=56
)
ANY_LENGTH = FeatureConfig(n_fft=510, hop_length=170, n_mels=40, n_mfcc=None, trim_db=30, seconds=None)


def voice(seconds: float) -> npt.NDArray[np.float32]:
    """Bursts of a buzz with noise and silence between them."""
    time = np.arange(int(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 20))
    noise = np.random.default_rng(0).normal(0, 1e-3, len(time))
    return np.float32(0.2 * buzz * (np.sin(2 * np.pi * 0.4 * time) > -0.3) + noise)


@pytest.mark.parametrize("config", [WHISPER, SMALL, ANY_LENGTH])
@pytest.mark.parametrize("seconds", [0.2, 2.0, 7.3])
def test_features_are_ser_edges(config: FeatureConfig, seconds: float) -> None:
    script = """
      const { FrontEnd } = await load("engine/features/front_end.js");
      print(new FrontEnd(values.config).windows(floats(values.samples)));
    """
    samples = voice(seconds)
    described = json.loads(ModelMetadata("a", ("b", "c"), config).to_json())["features"]
    windows = run(script, config=described, samples=samples)
    expected = FrontEnd(config).windows(samples)
    assert len(windows) == len(expected)
    for window, features in zip(windows, expected, strict=True):
        there = features[~np.isnan(features[:, 0])]  # a free network gets no missing frames
        np.testing.assert_allclose(np.reshape(window, there.shape), there, atol=SAME_DECIBELS)


def test_an_incremental_spectrum_is_that_of_the_whole() -> None:
    script = """
      const { FrontEnd, IncrementalLogMel } = await load("engine/features/front_end.js");
      const { joined } = await load("audio/resampler.js");
      const frontEnd = new FrontEnd(values.config);
      const spectrum = new IncrementalLogMel(frontEnd);
      const samples = floats(values.samples);
      const parts = [];
      for (let i = 0; i < samples.length; i += 777) parts.push(spectrum.push(samples.subarray(i, i + 777)));
      const whole = frontEnd.logMel(samples);
      const pieces = joined(...parts, spectrum.finish());
      print([whole.length === pieces.length, whole.reduce((most, v, i) => Math.max(most, Math.abs(v - pieces[i])), 0)]);
    """
    described = json.loads(ModelMetadata("a", ("b", "c"), WHISPER).to_json())["features"]
    assert run(script, config=described, samples=voice(1.5)) == [True, 0]


def test_other_front_ends_are_refused() -> None:
    script = """
      const { FrontEnd } = await load("engine/features/front_end.js");
      try { new FrontEnd(values.config); print("taken"); } catch (error) { print(error.message); }
    """
    described = json.loads(ModelMetadata("a", ("b", "c"), FeatureConfig()).to_json())["features"]
    assert "needs ser-edge" in run(script, config=described)


class Loudness:
    """A detector by which speech is what is loud, after its scaling."""

    def __init__(self) -> None:
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def probability(self, chunk: npt.NDArray[np.float32]) -> float:
        return min(1.0, float(np.abs(chunk).mean()) * 8)


LOUDNESS = """
  const newDetector = () => ({
    resets: 0,
    reset() { this.resets++; },
    async probability(chunk) { return Math.min(1, chunk.reduce((sum, v) => sum + Math.abs(v), 0) / chunk.length * 8); },
  });
"""


def test_the_speech_ratios_of_a_stream_are_ser_edges() -> None:
    samples = voice(9)
    samples[40_000:80_000] = 1e-5  # silence with an offset, after which the detector begins anew
    stretches = [(0.0, 3.0), (0.5, 3.5), (2.016, 5.0), (4.0, 7.0), (6.0, 9.0)]
    script = (
        LOUDNESS
        + """
      const { StreamGate } = await load("engine/recognition/speech_gates.js");
      const detector = newDetector();
      const gate = new StreamGate(detector);
      const samples = floats(values.samples);
      for (let i = 0; i < samples.length; i += 1601) await gate.push(samples.subarray(i, i + 1601));
      print([values.stretches.map(([start, end]) => gate.speechRatio(start, end)), detector.resets]);
    """
    )
    detector = Loudness()
    gate = Gate(RATE, detector)  # type: ignore[arg-type]
    gate.accept_waveform(samples)
    expected = [gate.speech_ratio(start, end) for start, end in stretches]
    assert 0 < expected[0] < 1
    assert detector.resets
    assert run(script, samples=samples, stretches=stretches) == [expected, detector.resets]


@pytest.mark.parametrize("count", [8_000, 16_000, 16_500, 17_000, 48_000, 52_000, 60_000, 150_000])
def test_windows_begin_and_end_where_ser_edges_do(count: int) -> None:
    from ser_edge.models.network import Model
    from ser_edge.recognition.streaming import Stream
    from ser_edge.recognition.windows import WindowConfig
    from tests.doubles import FakeRuntime

    script = (
        LOUDNESS
        + """
      const { FrontEnd } = await load("engine/features/front_end.js");
      const { Stream } = await load("engine/recognition/stream.js");
      const metadata = { labels: ["b", "c"], features: values.config };
      const model = { probabilities: async () => floats([0.5, 0.5]) };
      const recognizer = { metadata, model, newDetector, frontEnd: new FrontEnd(values.config), threshold: 0.4 };
      const stream = new Stream(recognizer, 16000);
      const samples = floats(values.samples);
      const predictions = [];
      for (let i = 0; i < samples.length; i += 1600) {
        predictions.push(...(await stream.push(samples.subarray(i, i + 1600))));
      }
      predictions.push(...(await stream.finish()));
      print(predictions.map(({ start, end }) => [start, end]));
    """
    )
    metadata = ModelMetadata("a", ("b", "c"), WHISPER)
    samples = voice(count / RATE)
    stream = Stream(Model(metadata, FakeRuntime(lambda _: [0.5, 0.5])), RATE, WindowConfig())
    expected = [*stream.accept_waveform(samples), *stream.input_finished()]
    described = json.loads(metadata.to_json())["features"]
    assert run(script, config=described, samples=samples) == [[p.start, p.end] for p in expected]


def test_a_long_recording_without_a_window_of_enough_speech_has_a_ratio_of_0() -> None:
    script = (
        LOUDNESS
        + """
      const { Recognizer } = await load("engine/recognition/recognizer.js");
      const metadata = { labels: ["b", "c"], features: values.config, threshold: 0.4 };
      const model = { metadata, probabilities: async () => floats([0.5, 0.5]) };
      const isLoud = (i) => i >= 20 * 16000 && i < 20.5 * 16000;
      const samples = new Float32Array(61 * 16000).map((_, i) => (isLoud(i) ? 0.3 * Math.sin(i / 9) : 0));
      const recognizer = new Recognizer(model, newDetector);
      const { predictions, overall } = await recognizer.predict({ rate: 16000, channels: [samples] });
      print([Math.max(...predictions.map(({ speech }) => speech)) > 0, overall.label, overall.speech]);
    """
    )
    described = json.loads(ModelMetadata("a", ("b", "c"), WHISPER).to_json())["features"]
    assert run(script, config=described) == [True, "no-speech", 0]


LABELS = ("happy", "10", "2")  # of which an object of JavaScript puts the last one first
TIMELINE = [
    Prediction(path, 0.5 * i, 0.5 * i + 3, label, confidence, {"happy": confidence, "10": 0.25, "2": 0.125}, 0.75)
    for i, (path, label, confidence) in enumerate(
        [
            ('a "b", ä\x7f😀.wav', "happy", 0.75),
            ("a\rb.wav", "happy", 0.53),
            ("a\nb.wav", "uncertain", 0.25),
            (None, "no-speech", 0.0),
            ("a,b.wav", "10", 1.0),
            *[("a.wav", "10", 0.0001)] * 11,
            ("a.wav", "2", 0.125),  # an exact half
        ]
    )
]


@pytest.mark.parametrize(
    ("suffix", "writer"), [("json", "json"), ("csv", "csv"), ("srt", "srt"), ("labels.txt", "audacity")]
)
def test_saved_timelines_are_those_of_the_command(suffix: str, writer: str) -> None:
    out = io.StringIO()
    command = WRITERS[writer](out, ModelMetadata("a", LABELS, WHISPER), True)
    for prediction in TIMELINE:
        command.write(prediction)
    command.close()
    script = """
      const { FORMATS } = await load("output/formats.js");
      print(FORMATS[values.suffix].write(values.predictions, values.labels));
    """
    lines = [json.loads(json_line(prediction)) for prediction in TIMELINE]
    text = run(script, suffix=suffix, predictions=lines, labels=LABELS)
    assert text == out.getvalue()


def test_figures_in_percent_are_those_of_the_command() -> None:
    script = 'const { percent } = await load("output/segments.js"); print(values.ratios.map(percent));'
    ratios = [i / 10_000 for i in range(10_001)]
    assert run(script, ratios=ratios) == list(map(percent, ratios))


def test_segments_cover_the_recording_once() -> None:
    script = """
      const { cells, segments } = await load("output/segments.js");
      print(segments(cells(values.predictions)));
    """
    found = run(script, predictions=[prediction.__dict__ for prediction in TIMELINE])
    assert [each["label"] for each in found] == ["happy", "uncertain", "no-speech", "10", "2"]
    assert (found[0]["start"], found[-1]["end"]) == (0, TIMELINE[-1].end)
    assert all(before["end"] == after["start"] for before, after in itertools.pairwise(found))
