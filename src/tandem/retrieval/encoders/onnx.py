"""An encoder that runs in ONNX Runtime."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from tandem.contracts.candidates import Floats

MAX_TOKENS = 64
BATCH = 32
REMEMBERED = 10_000


def session(model: Path, threads: int) -> Any:
    """An inference session on the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def tokenizer_of(file: Path) -> Any:
    """The tokenizer of a model: no padding, cut at 64 tokens; the same in training and serving."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


class OnnxEncoder:
    """A converted model. Single texts (queries) are remembered: shoppers repeat each other."""

    def __init__(self, name: str, model: Path, tokenizer: Path, threads: int = 2) -> None:
        self.name = name
        self._session = session(model, threads)
        self._tokenizer = tokenizer_of(tokenizer)
        self.dimension = int(self._session.get_outputs()[0].shape[1])
        self._remembered: OrderedDict[str, Floats] = OrderedDict()
        self._lock = Lock()

    def encode(self, texts: Sequence[str]) -> Floats:
        """(len(texts), dimension) float32 unit vectors. Longer texts are cut at 64 tokens."""
        if len(texts) != 1:
            return self._encode(texts)
        text = texts[0]
        with self._lock:
            known = self._remembered.get(text)
            if known is not None:
                self._remembered.move_to_end(text)
                return known
        vector = self._encode(texts)
        vector.flags.writeable = False
        with self._lock:
            self._remembered[text] = vector
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return vector

    def forget(self) -> None:
        """Drop the texts that are remembered."""
        with self._lock:
            self._remembered.clear()

    def _encode(self, texts: Sequence[str]) -> Floats:
        out = np.empty((len(texts), self.dimension), np.float32)
        encoded = self._tokenizer.encode_batch(list(texts))
        lengths = np.array([len(e.ids) for e in encoded], np.int64)
        # Texts of like length share a batch, so that little is spent on padding.
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            ids = np.zeros((rows.size, int(lengths[rows].max())), np.int32)
            mask = np.zeros_like(ids)
            for i, row in enumerate(rows.tolist()):
                ids[i, : lengths[row]] = encoded[row].ids
                mask[i, : lengths[row]] = 1
            out[rows] = self._session.run(None, {"ids": ids, "mask": mask})[0]
        return out
