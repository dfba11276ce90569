"""Every exported file has the embedding, whatever its precision; what can't have one is left as it is."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from keras import layers

from ser_edge.models.loader import open_model
from ser_export.errors import ExportError
from ser_export.from_keras.run import Run
from ser_export.pipeline.model_files import export
from ser_export.to_onnx.embedding import add_embedding
from ser_export.to_onnx.graph import build_graph
from ser_export.to_tflite.embedding import with_embedding
from ser_export.verification.verify import PRECISIONS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_file_of_each_precision_has_it(
    run: Run, tmp_path: Path, suffix: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRECISIONS, precision, replace(PRECISIONS[precision], points=100.0))  # of random weights
    try:
        export(run, target := tmp_path / f"tones{suffix}", precision)
    except ExportError:
        pytest.skip("the format has no such precision")
    reference = keras.Model(run.model.inputs, run.model.layers[-1].input)
    expected = reference.predict(run.metadata.inputs(run.features), verbose=0)
    embeddings = open_model(target).embeddings(run.features)
    assert embeddings.shape == expected.shape == (40, 5)
    assert np.ptp(expected) > 1
    steps = 1e-4 if precision == "float32" else 0.02 if precision == "float16" else 0.2  # of the largest value
    assert np.abs(embeddings - expected).max() <= steps * np.abs(expected).max()


def test_adding_it_twice_changes_nothing(run: Run, tmp_path: Path) -> None:
    export(run, target := tmp_path / "tones.onnx")
    model = onnx.load(target)
    before = model.SerializeToString()
    assert add_embedding(model)
    assert model.SerializeToString() == before
    export(run, target := tmp_path / "tones.tflite")
    assert with_embedding(target.read_bytes()) == target.read_bytes()


def test_a_network_that_ends_otherwise_has_none() -> None:
    network = keras.Sequential(
        [keras.Input((8, 4)), layers.Dense(3), layers.AveragePooling1D(8), layers.Reshape((3,)), layers.ReLU()]
    )
    model = build_graph(network)
    before = model.SerializeToString()
    assert not add_embedding(model)
    assert model.SerializeToString() == before
