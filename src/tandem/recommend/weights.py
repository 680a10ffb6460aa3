"""Trained weights on disk: `weights.safetensors` (arrays, nothing that could run) and
`manifest.json` with where they came from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput, MissingExtra

WEIGHTS, MANIFEST = "weights.safetensors", "manifest.json"
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class NetworkManifest:
    """What a network learned from. kind: which recommender. data_fingerprint: of what it was given
    to learn from. losses: mean of every epoch. parameters: those of the recommender."""

    kind: str
    parameters: dict[str, Any]
    data_fingerprint: str
    examples: int
    items: int
    seed: int
    losses: list[float] = field(default_factory=list)
    trained_with: str = ""
    trained_at: str = ""


def fingerprint(*arrays: NDArray[Any]) -> str:
    """A digest of arrays: their types, shapes and values."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def save_weights(directory: Path, arrays: Arrays, manifest: NetworkManifest) -> None:
    """Write both files into a folder that is there."""
    from safetensors.numpy import save_file

    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, directory / WEIGHTS)
    text = json.dumps(asdict(manifest), indent=2, ensure_ascii=False)
    (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")


def load_manifest(directory: Path) -> NetworkManifest:
    """InvalidInput where there is none that this version can read."""
    try:
        values = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        return NetworkManifest(**values)
    except (OSError, ValueError, TypeError) as error:
        raise _broken(directory, error) from None


def load_weights(directory: Path, shapes: dict[str, tuple[int, ...]]) -> Arrays:
    """Read what `save_weights` wrote. InvalidInput where it is not arrays of these shapes."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(directory / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise _broken(directory, error) from None
    for name, shape in shapes.items():
        if name not in arrays or arrays[name].shape != shape:
            found = arrays[name].shape if name in arrays else "nothing"
            raise _broken(directory, f"'{name}' is {found}, not {shape}")
        if not np.isfinite(arrays[name]).all():
            raise _broken(directory, f"'{name}' has values that are no numbers")
    return {name: arrays[name] for name in shapes}


def require_torch() -> Any:
    """The torch module; MissingExtra where it is not installed."""
    try:
        import torch
    except ImportError:
        raise MissingExtra(
            "training this recommender needs torch", remedy="pip install 'tandem-commerce[neural]'"
        ) from None
    return torch


def _broken(directory: Path, what: object) -> InvalidInput:
    return InvalidInput(
        f"not the weights of a recommender: {str(what).splitlines()[0]}",
        file=str(directory),
        remedy="remove the folder and train again",
    )
