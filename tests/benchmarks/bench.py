"""`make bench`: speed and memory beside the notebook's way, in one run on one machine.

    .venv/bin/python tests/benchmarks/bench.py --data RAVDESS

Ratios are what counts: both sides are measured in turn, several times, and medians are compared. Seconds are this
machine's and this moment's. Without a corpus the project's own sounds are copied until there are enough files.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ser_train.fetch import locate

HERE = Path(__file__).parent
SOUNDS = HERE.parent / "sounds"
PYTHON = sys.executable

# The notebook's way to features, one file after the other.
NOTEBOOK_LOOP = """
import sys, time, numpy as np, librosa
def features(path):
    samples, rate = librosa.load(path, sr=16000, duration=3.0)
    samples = librosa.util.fix_length(samples, size=48000)
    return librosa.feature.mfcc(y=samples, sr=rate, n_mfcc=40).T
paths = sys.stdin.read().split("\\n")
features(paths[0])  # imports and compilations are not counted
start, cpu = time.perf_counter(), time.process_time()
made = np.stack([features(path) for path in paths])
print(time.perf_counter() - start, time.process_time() - cpu)
"""

# Ours, as ser-train calls it, with the processes already started: training started them to hash the corpus.
OUR_EXTRACTION = """
import sys, time
from pathlib import Path
from ser_edge.features import FeatureConfig
from ser_train.dataset import extract
paths = [Path(line) for line in sys.stdin.read().split("\\n")]
extract(paths[:100], FeatureConfig())
start, cpu = time.perf_counter(), time.process_time()
made = extract(paths, FeatureConfig())
print(time.perf_counter() - start, time.process_time() - cpu)
"""

# What serving costs without this project: the notebook's features, and its network in Keras.
THROUGH_KERAS = """
import sys, numpy as np, librosa, keras
samples, rate = librosa.load(sys.argv[2], sr=16000, duration=3.0)
samples = librosa.util.fix_length(samples, size=48000)
features = librosa.feature.mfcc(y=samples, sr=rate, n_mfcc=40).T[None]
print(keras.models.load_model(sys.argv[1], compile=False).predict(features, verbose=0).argmax())
"""

# One inference of one network in one process, on one thread: sides in random order, 100 times.
INFERENCE = """
import os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import json, statistics
import keras, numpy as np, onnx, onnxruntime, tensorflow as tf, tf2onnx
from ser_export import onnx_graph
tf.config.threading.set_intra_op_parallelism_threads(1)
model = keras.models.load_model(sys.argv[1], compile=False)
call = tf.function(lambda features: model(features, training=False))
signature = [tf.TensorSpec((None, 94, 40), tf.float32, name="features")]
theirs, _ = tf2onnx.convert.from_function(call, input_signature=signature, opset=17)
def session(graph):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    opened = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda item: opened.run(None, {"features": item})
sides = {
    "keras": lambda item: model.predict(item, verbose=0),
    "tf2onnx": session(theirs),
    "ours": session(onnx_graph.build(model)),
}
random, seconds = np.random.default_rng(0), {name: [] for name in sides}
for _ in range(100):
    item = random.normal(size=(1, 94, 40)).astype(np.float32)
    for name in random.permutation(list(sides)):
        started = time.process_time()
        sides[name](item)
        seconds[name].append(time.process_time() - started)
print(json.dumps({name: {"cpu": statistics.median(values[10:])} for name, values in seconds.items()}))
"""

# A live voice: CPU seconds for a minute of speech in pieces of 0.1 s, a window every half second.
LIVE = """
import json, statistics, sys, time
import numpy as np, soundfile
from ser_edge import Recognizer
from ser_edge.features import FrontEnd
from ser_edge.incremental import IncrementalLogMel
from ser_edge.stream import Windowing
recognizer = Recognizer()
config = recognizer.description.features
rate, hop_length = config.sample_rate, config.hop_length
window, hop = Windowing().frames(config)
voices = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in sys.argv[1:]])
minute = np.resize(voices, 60 * rate)
pieces = np.split(minute, 600)
front_end = FrontEnd(config)
def anew():
    for start in range(0, len(minute) - window * hop_length, hop * hop_length):
        front_end(minute[start : start + window * hop_length])
def incremental():
    frames, spectrum = IncrementalLogMel(front_end), np.empty((0, config.n_mels), np.float32)
    for piece in np.split(minute, 120):
        spectrum = np.concatenate((spectrum, frames.feed(piece)))
        while len(spectrum) >= window:
            front_end.utterance(spectrum[:window])
            spectrum = spectrum[hop:]
def everything():
    stream = recognizer.listener(rate)
    for piece in pieces:
        for _ in stream.feed(piece):
            pass
seconds = {name: [] for name in ("anew", "incremental", "everything")}
for _ in range(6):
    for name in seconds:
        started = time.process_time()
        globals()[name]()
        seconds[name].append(time.process_time() - started)
measured = {name: {"cpu": statistics.median(values[1:])} for name, values in seconds.items()}
print(json.dumps(measured | {"minute": {"cpu": 60.0}}))
"""


def main() -> None:
    """Measures, prints a table, and keeps the figures."""
    parser = argparse.ArgumentParser(description="Measures ser-edge beside the notebook's way.")
    parser.add_argument("--data", type=Path, help="a folder or zip of sound files (default: copies of tests/sounds)")
    parser.add_argument("--rounds", type=int, default=3, help="times each side is measured (default: 3)")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of results.json and results.md (default: here)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = _files(options.data, Path(folder))
        network = _keras_file(Path(folder))
        extraction = _in_turn(
            options.rounds,
            notebook=lambda: _timed(NOTEBOOK_LOOP, paths),
            ours=lambda: _timed(OUR_EXTRACTION, paths),
        )
        process = _in_turn(
            options.rounds,
            keras=lambda: _process([PYTHON, "-c", THROUGH_KERAS, network, paths[0]]),
            onnxruntime=lambda: _process([PYTHON, "-m", "ser_edge", paths[0]]),
            litert=lambda: _process([PYTHON, "-m", "ser_edge", "--model", "crnn.tflite", paths[0]]),
            numpy=lambda: _process([PYTHON, "-c", "import numpy"]),
        )
        inference = _measured(INFERENCE, network)
        live = _measured(LIVE, *map(str, sorted(SOUNDS.glob("*.wav"))))
    rows = [
        _row(f"features of {len(paths)} files, wall time", extraction, "notebook", "ours", "wall"),
        *(
            _row(f"`ser-edge file` with {runtime}, whole process, {what}", process, "keras", runtime, key)
            for runtime in ("onnxruntime", "litert")
            for key, what in (("cpu", "CPU time"), ("memory", "memory"))
        ),
        _row("one inference of the GRU, CPU time, beside `keras.Model.predict`", inference, "keras", "ours", "cpu"),
        _row("one inference of the GRU, CPU time, beside tf2onnx's graph", inference, "tf2onnx", "ours", "cpu"),
        _row(
            "features of a minute, a window each half second: computed anew, only new frames",
            live,
            "anew",
            "incremental",
            "cpu",
        ),
        _row("a live minute: its length, CPU time of gate, features and network", live, "minute", "everything", "cpu"),
    ]
    machine = {"processor": _processor(), "cores": len(os.sched_getaffinity(0)), "python": platform.python_version()}
    raw = {"machine": machine, "rows": rows, "raw": [extraction, process, inference, live]}
    (options.out / "results.json").write_text(json.dumps(raw, indent=1) + "\n")
    page = _page(machine, rows, options.rounds)
    (options.out / "results.md").write_text(page)
    print(page, end="")


def _page(machine: dict[str, object], rows: Sequence[dict[str, object]], rounds: int) -> str:
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}; medians of {rounds} runs.",
        "",
        "| what | the other way | ser-edge | times less |",
        "|---|---|---|---|",
    ]
    lines += [f"| {row['what']} | {row['theirs']} | {row['ours']} | {row['ratio']:.1f} |" for row in rows]
    return "\n".join(lines) + "\n"


def _files(data: Path | None, folder: Path) -> list[str]:
    if data:
        found = sorted(str(p) for p in locate(data).rglob("*") if p.suffix in {".flac", ".wav"})
        if not found:
            sys.exit(f"{data}: no WAV or FLAC file below it")
        return found
    sounds = sorted(SOUNDS.glob("*.wav"))
    return [str(shutil.copy(sounds[i % len(sounds)], folder / f"{i}.wav")) for i in range(500)]


def _keras_file(folder: Path) -> str:
    """The notebook's GRU, untrained: its weights don't change its speed."""
    code = "import sys; from ser_train.networks import NETWORKS; NETWORKS['gru'].build((94, 40), 8).save(sys.argv[1])"
    path = str(folder / "gru.keras")
    subprocess.run([PYTHON, "-c", code, path], check=True, stderr=subprocess.DEVNULL)
    return path


def _in_turn(rounds: int, **sides: Callable[[], dict[str, float]]) -> dict[str, dict[str, float]]:
    """Each side in turn, `rounds` times after one that doesn't count; medians."""
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(rounds + 1):
        for name, measure in sides.items():
            measured[name].append(measure())
    return {
        name: {key: statistics.median(run[key] for run in runs[1:]) for key in runs[0]}
        for name, runs in measured.items()
    }


def _timed(code: str, paths: Sequence[str]) -> dict[str, float]:
    done = subprocess.run([PYTHON, "-c", code], input="\n".join(paths), capture_output=True, text=True, check=True)
    wall, cpu = map(float, done.stdout.split())
    return {"wall": wall, "cpu": cpu}


def _measured(code: str, *arguments: str) -> dict[str, dict[str, float]]:
    done = subprocess.run([PYTHON, "-c", code, *arguments], capture_output=True, text=True, check=True)
    measured: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _process(command: Sequence[str]) -> dict[str, float]:
    """Seconds, CPU seconds and peak resident MiB of a whole process."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{' '.join(command[:4])} ... failed")
    wall = time.perf_counter() - start
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss / 1024}


def _row(what: str, sides: dict[str, dict[str, float]], theirs: str, ours: str, key: str) -> dict[str, object]:
    unit = "MiB" if key == "memory" else "s"
    one, other = sides[theirs][key], sides[ours][key]
    return {"what": what, "theirs": f"{one:.3g} {unit}", "ours": f"{other:.3g} {unit}", "ratio": one / other}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))]
    return named[0] if named else platform.machine()


if __name__ == "__main__":
    main()
