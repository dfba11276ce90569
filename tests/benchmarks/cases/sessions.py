"""The bundled networks in both runtimes, with the settings they offer: opening the file, and one inference.

For whoever wonders whether ser-edge opens its files the best way. The features are a real file's.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from harness.case import Settings, Table, main
from harness.models import MODELS
from harness.timing import Figures, in_turn

from ser_edge.audio.reading import read
from ser_edge.models.bundled.names import ALIASES, BUNDLED
from ser_edge.models.loader import open_model

TURNS, CALLS = 12, 3  # for a round
Level = onnxruntime.GraphOptimizationLevel
SETTINGS: dict[str, dict[str, Any]] = {
    "ONNX Runtime, as ser-edge opens it": {},
    "ONNX Runtime, optimisation disabled": {"level": Level.ORT_DISABLE_ALL},
    "ONNX Runtime, optimisation basic": {"level": Level.ORT_ENABLE_BASIC},
    "ONNX Runtime, optimisation extended": {"level": Level.ORT_ENABLE_EXTENDED},
    "ONNX Runtime, without memory arena": {"arena": False},
    "ONNX Runtime, 2 threads": {"threads": 2},
}
OURS = next(iter(SETTINGS))


def measure(settings: Settings) -> list[Table]:
    """A table for each network."""
    return [_table(settings, ALIASES[model]) for model in MODELS]


def _table(settings: Settings, network: str) -> Table:
    onnx, litert = BUNDLED / f"{network}.onnx", BUNDLED / f"{network}.tflite"
    model = open_model(onnx)
    samples = read(settings.some_files(1)[0], model.metadata.features.sample_rate)
    window = model.front_end.windows(samples)[:1]
    item = model.metadata.inputs(window[:, ~np.isnan(window[0, :, 0])])
    with tempfile.TemporaryDirectory() as folder:
        optimised = Path(folder) / "optimised.onnx"
        _session(onnx, keep=optimised)
        openers: dict[str, Callable[[], Any]] = {
            **{name: partial(_session, onnx, **given) for name, given in SETTINGS.items()},
            "ONNX Runtime, file optimised beforehand": partial(_session, optimised, level=Level.ORT_DISABLE_ALL),
            "LiteRT, as ser-edge opens it": partial(_interpreter, litert, item.shape),
            "LiteRT, without XNNPACK": partial(_interpreter, litert, item.shape, plain=True),
            "LiteRT, 2 threads": partial(_interpreter, litert, item.shape, threads=2),
        }
        answers = {name: opener() for name, opener in openers.items()}
        inference = in_turn(
            {name: partial(answer, item) for name, answer in answers.items()}, TURNS * settings.rounds, CALLS
        )
        opening = in_turn(openers, 4 * settings.rounds)
        sizes = {name: optimised if "beforehand" in name else litert if "LiteRT" in name else onnx for name in openers}
        sides: dict[str, Figures | str] = {
            name: figures | {"open": opening[name]["cpu"], "size": float(sizes[name].stat().st_size)}
            for name, figures in inference.items()
        }
    title = f"One inference of the bundled {network} on {item.shape[1]} frames of {item.shape[2]} bands, batch 1"
    notes = [
        "`open`: CPU time from the file to a session that can run. ONNX Runtime's own default is `all` optimisations."
    ]
    return Table(network, title, OURS, "cpu", sides, notes)


def _session(
    path: Path, level: Any = Level.ORT_ENABLE_ALL, arena: bool = True, threads: int = 1, keep: Path | None = None
) -> Callable[[npt.NDArray[np.float32]], Any]:
    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level, options.enable_cpu_mem_arena = level, arena
    if keep:
        options.optimized_model_filepath = str(keep)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda item: session.run(None, {name: item})[0]


def _interpreter(
    path: Path, shape: tuple[int, ...], threads: int = 1, plain: bool = False
) -> Callable[[npt.NDArray[np.float32]], Any]:
    kinds = OpResolverType
    kind = kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else kinds.AUTO
    interpreter = Interpreter(str(path), num_threads=threads, experimental_op_resolver_type=kind)
    given, answered = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    interpreter.resize_tensor_input(given, shape, strict=True)
    interpreter.allocate_tensors()

    def answer(item: npt.NDArray[np.float32]) -> Any:
        interpreter.set_tensor(given, item)
        interpreter.invoke()
        return interpreter.get_tensor(answered)

    return answer


if __name__ == "__main__":
    main(measure)
