"""The headline: what is compared with what, and what ser-edge aims at. Aims are shown, never asserted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.case import Table
from harness.timing import Figures

__all__ = ["HEADLINES", "Aim", "Finding", "Headline"]


@dataclass(frozen=True)
class Aim:
    """One of these, whichever is set."""

    less: float | None = None  # the other way costs at least so many times as much
    share: float | None = None  # ser-edge costs at most so many times as much
    most: float | None = None  # ser-edge costs at most so much

    def reached(self, theirs: float, ours: float) -> bool:
        """Whether two figures keep to it."""
        if self.less is not None:
            return theirs >= self.less * ours
        if self.share is not None:
            return ours <= self.share * theirs
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
_OURS = "ser-edge, default model"
_FILE = "`ser-edge FILE`"
_LOOP = "librosa, one keras.Model.predict for all"
_LOOP_WHOLE = f"{_LOOP}, with its start"
_FOLDER = "`ser-edge --format csv FOLDER`, with its start"
_RUNTIMES = tuple(
    f"ser-export in {runtime}, {precision}"
    for runtime in ("ONNX Runtime", "LiteRT")
    for precision in ("float32", "int8")
)
_MB = 1e6

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
    Headline(
        "file to label, beside librosa and `predict` per file",
        "file_to_label", "files", "librosa, keras.Model.predict per file", [_OURS], "cpu", Aim(less=12),
    ),
    Headline(
        "file to label, beside librosa and `model(x)` per file",
        "file_to_label", "files", "librosa, model(x, training=False) per file", [_OURS], "cpu",
    ),
    Headline(
        "file to label, beside librosa and `tf.function` per file",
        "file_to_label", "files", "librosa, tf.function of model(x) per file", [_OURS], "cpu",
    ),
    Headline(
        "file to label, beside librosa and one `predict` for all",
        "file_to_label", "files", _LOOP, [_OURS], "cpu", Aim(less=3),
    ),
    Headline("a corpus labelled, WAV", "corpus", "labels-wav", _LOOP, [_FOLDER], "wall", Aim(less=4)),
    Headline("a corpus labelled, as given", "corpus", "labels-given", _LOOP, [_FOLDER], "wall", Aim(less=4)),
    Headline("a corpus labelled, WAV, both with their start", "corpus", "labels-wav", _LOOP_WHOLE, [_FOLDER], "wall"),
    Headline(
        "a corpus labelled, as given, both with their start", "corpus", "labels-given", _LOOP_WHOLE, [_FOLDER], "wall"
    ),
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
    Headline(
        "`ser-edge FILE`, beside `import numpy`, CPU time",
        "process", "file", "`python -c 'import numpy'`", [_FILE], "cpu", Aim(share=1.75),
    ),
    Headline(
        "`ser-edge FILE`, beside librosa and Keras, CPU time",
        "process", "file", "librosa and Keras", [_FILE], "cpu", Aim(less=20),
    ),
    Headline(
        "`ser-edge FILE`, beside librosa and Keras, memory",
        "process", "file", "librosa and Keras", [_FILE], "memory", Aim(less=8),
    ),
    Headline(
        "`ser-edge FILE`, beside `import numpy`, memory",
        "process", "file", "`python -c 'import numpy'`", [_FILE], "memory", Aim(most=85 * _MB),
    ),
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
    Headline(
        "a live minute, everything, beside its length", "live", "minute", "the minute", [_OURS], "cpu", Aim(share=0.01)
    ),
    Headline(
        "on the disk, beside TensorFlow and librosa",
        "size", "installed", "`pip install tensorflow librosa`, what the notebook needs", ["`pip install ser-edge`"],
        "size", Aim(most=220 * _MB),
    ),
)  # fmt: skip
