"""The headline: what is compared with what, and what ser-edge aims at. Aims are shown, never asserted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.case import Table
from harness.models import MODELS
from harness.timing import Figures

__all__ = ["HEADLINES", "Aim", "Finding", "Headline"]


@dataclass(frozen=True)
class Aim:
    """One of these, whichever is set."""

    less: float | None = None  # the other way costs at least so many times as much
    share: float | None = None  # ser-edge costs at most so many times as much
    most: float | None = None  # ser-edge costs at most so much

    @property
    def ratio(self) -> float | None:
        """Theirs to ours, at least; None for one on ours alone."""
        return 1 / self.share if self.share is not None else self.less

    def reached(self, theirs: float, ours: float) -> bool:
        """Whether two figures keep to it."""
        if self.ratio is not None:
            return theirs >= self.ratio * ours
        return self.most is None or ours <= self.most


@dataclass(frozen=True)
class Headline:
    """A row of the first table."""

    what: str
    case: str
    table: str
    theirs: str
    ours: Sequence[str]  # sides; the best of them counts
    metric: str
    aim: Aim | None = None

    def of(self, tables: Mapping[str, Table]) -> "Finding | None":
        """What was measured; None where it wasn't."""
        table = tables.get(self.table)
        if table is None:
            return None
        theirs = table.sides.get(self.theirs)
        found: list[tuple[str, Figures]] = []
        for side in self.ours:
            figures = table.sides.get(side)
            if isinstance(figures, dict) and self.metric in figures:
                found.append((side, figures))
        if not isinstance(theirs, dict) or not found:
            return None
        side, best = min(found, key=lambda each: each[1][self.metric])
        return Finding(self, side, theirs[self.metric], best[self.metric])


@dataclass(frozen=True)
class Finding:
    """A headline's figures."""

    headline: Headline
    side: str  # of ser-edge
    theirs: float
    ours: float

    @property
    def ratio(self) -> float:
        """Times less."""
        return self.theirs / self.ours

    @property
    def reached(self) -> bool | None:
        """Whether the aim is kept to; None without one."""
        aim = self.headline.aim
        return None if aim is None else aim.reached(self.theirs, self.ours)


_NUMPY_FFT = "ser-edge, NumPy's FFT (base install)"
_FFTS = (_NUMPY_FFT, "ser-edge, SciPy's FFT (training)", "ser-edge, pyFFTW's FFT")
_LOOP = "librosa, one keras.Model.predict for all"
_LOOP_WHOLE = f"{_LOOP}, with its start"
_RUNTIMES = tuple(
    f"ser-export in {runtime}, {precision}"
    for runtime in ("ONNX Runtime", "LiteRT")
    for precision in ("float32", "int8")
)
_MB = 1e6


@dataclass(frozen=True)
class _Most:
    """What a bundled model should cost at most."""

    start: float  # CPU time of `ser-edge FILE`, in that of importing NumPy
    memory: float  # resident bytes
    live: float  # part of a core, with a window every half second


_MOST = {"accurate": _Most(2.5, 120 * _MB, 0.1), "small": _Most(1.75, 85 * _MB, 0.01)}


def _file_to_label(model: str) -> list[Headline]:
    others = {  # and how many times less the small model, which is as large as the notebook's networks, should cost
        "`predict` per file": ("librosa, keras.Model.predict per file", 12),
        "`model(x)` per file": ("librosa, model(x, training=False) per file", None),
        "`tf.function` per file": ("librosa, tf.function of model(x) per file", None),
        "one `predict` for all": (_LOOP, 3),
    }
    return [
        Headline(
            f"file to label with {model}, beside librosa and {what}",
            "file_to_label", "files", theirs, [f"ser-edge, {model}.tflite"], "cpu",
            Aim(less=times) if times and model == "small" else None,
        )
        for what, (theirs, times) in others.items()
    ]  # fmt: skip


def _corpus(model: str) -> list[Headline]:
    ours = [f"`ser-edge --model {model} --format csv FOLDER`, with its start"]
    what, aim = f"a corpus labelled with {model}", Aim(less=4) if model == "small" else None
    return [
        Headline(f"{what}, WAV", "corpus", "labels-wav", _LOOP, ours, "wall", aim),
        Headline(f"{what}, as given", "corpus", "labels-given", _LOOP, ours, "wall", aim),
        Headline(f"{what}, WAV, both with their start", "corpus", "labels-wav", _LOOP_WHOLE, ours, "wall"),
        Headline(f"{what}, as given, both with their start", "corpus", "labels-given", _LOOP_WHOLE, ours, "wall"),
    ]


def _process(model: str) -> list[Headline]:
    command, most = f"`ser-edge --model {model} FILE`", _MOST[model]
    ours = [f"`ser-edge --model {model}.tflite FILE`"]
    numpy, keras = "`python -c 'import numpy'`, one BLAS thread", "librosa and Keras"  # as ser-edge imports it
    return [
        Headline(
            f"{command}, beside `import numpy`, CPU time", "process", "file", numpy, ours, "cpu", Aim(share=most.start)
        ),
        Headline(f"{command}, beside librosa and Keras, CPU time", "process", "file", keras, ours, "cpu", Aim(less=20)),
        Headline(f"{command}, beside librosa and Keras, memory", "process", "file", keras, ours, "memory", Aim(less=8)),
        Headline(
            f"{command}, beside `import numpy`, memory", "process", "file", numpy, ours, "memory", Aim(most=most.memory)
        ),
    ]


HEADLINES = (
    Headline(
        "MFCC of 3 s, beside librosa, base install",
        "front_end", "mfcc", "librosa.feature.mfcc", [_NUMPY_FFT], "cpu", Aim(less=1.3),
    ),
    Headline(
        "MFCC of 3 s, beside librosa, best FFT", "front_end", "mfcc", "librosa.feature.mfcc", _FFTS, "cpu", Aim(less=3)
    ),
    Headline(
        "the GRU once, beside `keras.Model.predict`", "network", "gru", "keras.Model.predict", _RUNTIMES, "cpu"
    ),
    Headline(
        "the GRU once, beside `model(x, training=False)`",
        "network", "gru", "model(x, training=False)", _RUNTIMES, "cpu",
    ),
    Headline(
        "the GRU once, beside `tf.function` of it",
        "network", "gru", "tf.function of model(x)", _RUNTIMES, "cpu",
    ),
    Headline(
        "the GRU once, beside tf2onnx's graph",
        "network", "gru", "tf2onnx in ONNX Runtime, float32", _RUNTIMES, "cpu",
    ),
    Headline("the GRU once, beside tf.lite", "network", "gru", "tf.lite, float32", _RUNTIMES, "cpu"),
    *(headline for model in MODELS for headline in _file_to_label(model)),
    *(headline for model in MODELS for headline in _corpus(model)),
    Headline(
        "a corpus's features for training, WAV",
        "corpus_features", "features-wav", "librosa, file by file", ["ser_train.data.feature_cache.extract"], "wall",
        Aim(less=4),
    ),
    Headline(
        "a corpus's features for training, as given",
        "corpus_features", "features-given", "librosa, file by file", ["ser_train.data.feature_cache.extract"], "wall",
        Aim(less=4),
    ),
    *(headline for model in MODELS for headline in _process(model)),
    *(
        Headline(
            f"an epoch of {name}",
            "training", name, "the notebook's: keras.Sequential, fit", ["ser_train"], "cpu", Aim(share=0.6),
        )
        for name in ("rnn", "lstm", "gru")
    ),
    Headline(
        "features of a live minute, beside computed anew",
        "live", "features", "computed anew", ["ser-edge, new frames only"], "cpu",
    ),
    *(
        Headline(
            f"a live minute with {model}, everything, beside its length",
            "live", "minute", "the minute", [f"ser-edge, {model}.tflite"], "cpu", Aim(share=_MOST[model].live),
        )
        for model in MODELS
    ),
    Headline(
        "on the disk, beside TensorFlow and librosa",
        "size", "installed", "`pip install tensorflow librosa`, what the notebook needs", ["`pip install ser-edge`"],
        "size", Aim(most=220 * _MB),
    ),
)  # fmt: skip
