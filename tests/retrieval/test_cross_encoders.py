"""Cross-encoders: the exported graph against BERT in numpy, and what is served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from small_bert import scores, write_small_model
from tandem.contracts.errors import InvalidInput
from tandem.retrieval.encoders import cross, graph
from tandem.retrieval.encoders.cross import OnnxCrossEncoder, export_cross_encoder

QUERY = "red speaker"
TEXTS = ["red shoe", "usb cable for children", "blue", "speaker 4k lamp unknown word", "red " * 90]
PAIRS = [(query, text) for query in (QUERY, "usb cable", "lamp") for text in TEXTS]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_small_model(tmp_path / "m", outputs=1)


def test_the_graph_computes_bert_over_pairs(model: Path, tmp_path: Path) -> None:
    graph.build_cross(model, tmp_path / "model.onnx")
    encoder = OnnxCrossEncoder(tmp_path / "model.onnx", model / "tokenizer.json")
    found = encoder.score(QUERY, TEXTS)
    assert (found.shape, found.dtype) == ((5,), np.float32)
    np.testing.assert_allclose(found, scores(model, [(QUERY, t) for t in TEXTS]), atol=1e-4)
    assert encoder.score(QUERY, []).shape == (0,)


def test_query_and_product_are_told_apart(model: Path, tmp_path: Path) -> None:
    graph.build_cross(model, tmp_path / "model.onnx")
    encoder = OnnxCrossEncoder(tmp_path / "model.onnx", model / "tokenizer.json")
    assert encoder.score("red", ["blue"])[0] != pytest.approx(encoder.score("blue", ["red"])[0])


def test_int8_is_served_where_it_is_faithful(model: Path) -> None:
    export = export_cross_encoder(model, PAIRS)
    assert export.precision == "int8"
    assert export.fidelity >= cross.FIDELITY
    assert not (model / "float32.onnx").exists()
    encoder = OnnxCrossEncoder.load(model)
    found = np.concatenate([encoder.score(q, [t]) for q, t in PAIRS])
    assert np.corrcoef(found, scores(model, PAIRS))[0, 1] > 0.98


@pytest.mark.parametrize("harm", ["fails", "distorts"])
def test_float32_is_served_where_int8_is_not(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    other = write_small_model(tmp_path / "other", seed=4, outputs=1)

    def quantise(source: Path, target: Path) -> None:
        if harm == "fails":
            raise RuntimeError("no kernel")
        graph.build_cross(other, target)

    monkeypatch.setattr(cross, "quantise", quantise)
    export = export_cross_encoder(model, PAIRS)
    assert export.precision == "float32"
    assert (export.fidelity is None) == (harm == "fails")
    found = OnnxCrossEncoder.load(model).score(QUERY, TEXTS)
    np.testing.assert_allclose(found, scores(model, [(QUERY, t) for t in TEXTS]), atol=1e-4)


@pytest.mark.parametrize("outputs", [0, 3])
def test_a_model_with_other_outputs_is_no_cross_encoder(tmp_path: Path, outputs: int) -> None:
    model = write_small_model(tmp_path / "m", outputs=outputs)
    with pytest.raises(InvalidInput) as raised:
        export_cross_encoder(model, PAIRS)
    assert "tandem train cross-encoder" in raised.value.remedy


def test_a_folder_without_an_exported_graph_names_the_remedy(model: Path) -> None:
    with pytest.raises(InvalidInput) as raised:
        OnnxCrossEncoder.load(model)
    assert "model.onnx" in raised.value.message
    assert "roll back" in raised.value.remedy
