"""BERT in numpy, written from the paper (Devlin et al. 2019): the reference for converted graphs,
and small models to convert."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.special import erf
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors


def vectors(directory: Path, texts: Sequence[str], pooling: str) -> np.ndarray:
    """(len(texts), hidden) unit vectors, one text at a time."""
    config, w, tokenizer = _read(directory)
    out = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        out.append(_pooled(_states(w, config, ids, [0] * len(ids)), pooling))
    return np.stack([v / np.linalg.norm(v) for v in out])


def scores(directory: Path, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """(len(pairs),) logits of a cross-encoder, one pair at a time."""
    config, w, tokenizer = _read(directory)
    out = []
    for pair in pairs:
        encoded = tokenizer.encode(*pair)
        first = _states(w, config, encoded.ids, encoded.type_ids)[0]
        pooled = np.tanh(w["pooler.dense.weight"] @ first + w["pooler.dense.bias"])
        out.append(float(w["classifier.weight"][0] @ pooled + w["classifier.bias"][0]))
    return np.array(out)


def _read(directory: Path) -> tuple[dict, dict[str, np.ndarray], Tokenizer]:
    config = json.loads((directory / "config.json").read_text())
    raw = load_file(directory / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(64)
    return config, {k.removeprefix("bert."): v for k, v in raw.items()}, tokenizer


def _pooled(states: np.ndarray, pooling: str) -> np.ndarray:
    return states[0] if pooling == "cls" else states.mean(axis=0)


def _states(w: dict[str, np.ndarray], config: dict, ids: list[int], types: list[int]) -> np.ndarray:
    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=1, keepdims=True)
        spread = np.sqrt(x.var(axis=1, keepdims=True) + config["layer_norm_eps"])
        return centred / spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    e = "embeddings."
    x = w[f"{e}word_embeddings.weight"][ids]
    x = x + w[f"{e}position_embeddings.weight"][: len(ids)]
    x = norm(x + w[f"{e}token_type_embeddings.weight"][types], f"{e}LayerNorm")
    heads = config["num_attention_heads"]
    size = config["hidden_size"] // heads
    for i in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{i}."
        q, k, v = (
            linear(x, f"{at}attention.self.{n}").reshape(-1, heads, size).transpose(1, 0, 2)
            for n in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(size)
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        attended = (weights @ v).transpose(1, 0, 2).reshape(len(ids), -1)
        attention = f"{at}attention.output"
        x = norm(x + linear(attended, f"{attention}.dense"), f"{attention}.LayerNorm")
        wide = linear(x, f"{at}intermediate.dense")
        wide = wide * 0.5 * (1 + erf(wide / math.sqrt(2)))
        x = norm(x + linear(wide, f"{at}output.dense"), f"{at}output.LayerNorm")
    return x


WORDS = ("red", "blue", "shoe", "lamp", "usb", "cable", "for", "children", "4k", "speaker")


def write_small_model(
    directory: Path,
    pooling: str = "mean",
    seed: int = 3,
    *,
    outputs: int = 0,
    **settings: object,
) -> Path:
    """A BERT of random weights with ten words, in sentence-transformers layout.

    outputs: of a classifier on top, as a cross-encoder has one.
    """
    rng = np.random.default_rng(seed)
    hidden, wide, layers = 64, 128, 2
    vocabulary = {w: i for i, w in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS))}

    def random(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.3, shape).astype(np.float32)

    w: dict[str, np.ndarray] = {}

    def linear(name: str, rows: int, columns: int) -> None:
        w[f"{name}.weight"], w[f"{name}.bias"] = random(rows, columns), random(rows)

    def norm(name: str) -> None:
        w[f"{name}.weight"], w[f"{name}.bias"] = 1 + random(hidden), random(hidden)

    w["embeddings.word_embeddings.weight"] = random(len(vocabulary), hidden)
    w["embeddings.position_embeddings.weight"] = random(128, hidden)
    w["embeddings.token_type_embeddings.weight"] = random(2, hidden)
    norm("embeddings.LayerNorm")
    for i in range(layers):
        at = f"encoder.layer.{i}."
        for n in ("query", "key", "value"):
            linear(f"{at}attention.self.{n}", hidden, hidden)
        linear(f"{at}attention.output.dense", hidden, hidden)
        norm(f"{at}attention.output.LayerNorm")
        linear(f"{at}intermediate.dense", wide, hidden)
        linear(f"{at}output.dense", hidden, wide)
        norm(f"{at}output.LayerNorm")
    linear("pooler.dense", hidden, hidden)
    if outputs:
        w = {f"bert.{name}": value for name, value in w.items()}
        linear("classifier", outputs, hidden)
    (directory / "1_Pooling").mkdir(parents=True)
    save_file(w, directory / "model.safetensors")
    config = {
        "model_type": "bert",
        "hidden_size": hidden,
        "intermediate_size": wide,
        "num_hidden_layers": layers,
        "vocab_size": len(vocabulary),
        "max_position_embeddings": 128,
        "num_attention_heads": 4,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
    }
    (directory / "config.json").write_text(json.dumps({**config, **settings}))
    (directory / "1_Pooling" / "config.json").write_text(
        json.dumps({f"pooling_mode_{pooling}_token{'s' if pooling != 'cls' else ''}": True})
    )
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory
