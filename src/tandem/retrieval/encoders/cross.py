"""A cross-encoder that runs in ONNX Runtime: it reads query and product together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tandem.contracts.candidates import Floats
from tandem.contracts.errors import InvalidInput
from tandem.retrieval.encoders.graph import build_cross, quantise
from tandem.retrieval.encoders.onnx import session, tokenizer_of

log = logging.getLogger(__name__)

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
BATCH = 32
FIDELITY = 0.98  # correlation of int8 with float32 scores


class OnnxCrossEncoder:
    """An exported cross-encoder. Safe for many threads."""

    def __init__(self, model: Path, tokenizer: Path, threads: int = 2) -> None:
        self._session = session(model, threads)
        self._tokenizer = tokenizer_of(tokenizer)

    @classmethod
    def load(cls, directory: Path) -> OnnxCrossEncoder:
        """The exported cross-encoder of a folder; InvalidInput when files are missing."""
        for name in (MODEL, TOKENIZER):
            if not (directory / name).is_file():
                raise InvalidInput(
                    f"there is no {name}",
                    file=str(directory),
                    remedy="roll back to an older model, or run: tandem train cross-encoder",
                )
        return cls(directory / MODEL, directory / TOKENIZER)

    def score(self, query: str, texts: Sequence[str]) -> Floats:
        """(len(texts),) float32 logits of relevance. A pair is cut at 64 tokens, its longer part
        first."""
        out = np.empty(len(texts), np.float32)
        encoded = self._tokenizer.encode_batch([(query, text) for text in texts])
        lengths = np.array([len(e.ids) for e in encoded], np.int64)
        # Pairs of like length share a batch, so that little is spent on padding.
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            ids, segments, mask = np.zeros((3, rows.size, int(lengths[rows].max())), np.int32)
            for i, row in enumerate(rows.tolist()):
                ids[i, : lengths[row]] = encoded[row].ids
                segments[i, : lengths[row]] = encoded[row].type_ids
                mask[i, : lengths[row]] = 1
            feed = {"ids": ids, "segments": segments, "mask": mask}
            out[rows] = self._session.run(None, feed)[0][:, 0]
        return out


@dataclass(frozen=True)
class Export:
    """What is served: `precision` int8 or float32, and how int8 correlates with float32 (None
    when it could not be made)."""

    precision: Literal["int8", "float32"]
    fidelity: float | None


def export_cross_encoder(directory: Path, pairs: Sequence[tuple[str, str]]) -> Export:
    """Write the served graph beside the weights in `directory`: int8 where it scores these pairs
    (query, product text) as float32 does, float32 otherwise."""
    exact, small = directory / "float32.onnx", directory / MODEL
    build_cross(directory, exact)
    fidelity = None
    try:
        quantise(exact, small)
        both = [_scores(file, directory / TOKENIZER, pairs) for file in (exact, small)]
        fidelity = float(np.corrcoef(both[0], both[1])[0, 1])
    except Exception as error:
        log.warning("quantisation failed (%s); float32 is used", error)
    if fidelity is not None and fidelity >= FIDELITY:
        exact.unlink()
        return Export("int8", fidelity)
    if fidelity is not None:
        log.warning("int8 scores correlate by %.3f with float32; float32 is used", fidelity)
    exact.replace(small)
    return Export("float32", fidelity)


def _scores(model: Path, tokenizer: Path, pairs: Sequence[tuple[str, str]]) -> Floats:
    encoder = OnnxCrossEncoder(model, tokenizer)
    return np.concatenate([encoder.score(query, [text]) for query, text in pairs])
