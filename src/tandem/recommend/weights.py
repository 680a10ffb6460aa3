"""Trained weights on disk: `weights.safetensors` (arrays, nothing that could run) and
`manifest.json` with where they came from."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
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
    to learn from. losses: mean of every epoch. parameters: those of the recommender. width: of the
    text vectors that it was told, 0 without any."""

    kind: str
    parameters: dict[str, Any]
    data_fingerprint: str
    examples: int
    items: int
    seed: int
    losses: list[float] = field(default_factory=list)
    width: int = 0
    trained_with: str = ""
    trained_at: str = ""


class Network(ABC):
    """What recommenders with trained weights have in common: a dataclass of parameters whose
    weights are kept in a folder and read again without torch."""

    name: str
    seed: int
    arrays: Arrays
    manifest: NetworkManifest

    @abstractmethod
    def shapes(self, items: int, width: int = 0) -> dict[str, tuple[int, ...]]:
        """What the weights are called, and their shapes."""

    @abstractmethod
    def use(self, arrays: Arrays, manifest: NetworkManifest) -> None:
        """Answer with these weights from now on."""

    def parameters(self) -> dict[str, Any]:
        """What it was made with, but for its name."""
        return {k: v for k, v in asdict(self).items() if k != "name"}  # type: ignore[call-overload]

    def digest(self, *lesson: NDArray[Any]) -> str:
        """Of the parameters and of what is learned from: weights belong to one of these."""
        digest = hashlib.sha256(json.dumps(self.parameters(), sort_keys=True).encode())
        for array in lesson:
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:32]

    def save(self, directory: Path) -> None:
        """Write weights and manifest into a folder that is there."""
        save_weights(directory, self.arrays, self.manifest)

    def load(self, directory: Path) -> None:
        """Read what `save` wrote; torch is not needed. InvalidInput where it does not fit."""
        manifest = load_manifest(directory)
        if (manifest.kind, manifest.parameters) != (self.name, self.parameters()):
            raise InvalidInput(
                f"weights of a '{manifest.kind}' with other parameters",
                file=str(directory),
                remedy="remove the folder and train again",
            )
        shapes = self.shapes(manifest.items, manifest.width)
        self.use(load_weights(directory, shapes), manifest)


def manifest_of(
    model: Network, data: str, examples: int, items: int, losses: list[float], width: int = 0
) -> NetworkManifest:
    """The manifest of what torch has just trained. data: the fingerprint of what it was given."""
    return NetworkManifest(
        kind=model.name,
        parameters=model.parameters(),
        data_fingerprint=data,
        examples=examples,
        items=items,
        seed=model.seed,
        losses=losses,
        width=width,
        trained_with=_torch(),
        trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _torch() -> str:
    try:
        return f"torch {metadata.version('torch')}"
    except metadata.PackageNotFoundError:
        return ""


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
        raise broken(directory, error) from None


def load_weights(
    directory: Path, shapes: dict[str, tuple[int, ...]], file: str = WEIGHTS
) -> Arrays:
    """Read what `save_weights` wrote. InvalidInput where it is not arrays of these shapes; -1
    stands for any length."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(directory / file)
    except (OSError, ValueError, SafetensorError) as error:
        raise broken(directory, error) from None
    for name, shape in shapes.items():
        if name not in arrays or not _fits(arrays[name].shape, shape):
            found = arrays[name].shape if name in arrays else "nothing"
            raise broken(directory, f"'{name}' is {found}, not {shape}")
        if not np.isfinite(arrays[name]).all():
            raise broken(directory, f"'{name}' has values that are no numbers")
    return {name: arrays[name] for name in shapes}


def _fits(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(found) == len(wanted) and all(
        w in (-1, f) for f, w in zip(found, wanted, strict=True)
    )


def table_shapes(name: str, rows: int) -> dict[str, tuple[int, ...]]:
    """What `table_arrays` names its arrays, and their shapes."""
    return {f"{name}.starts": (rows + 1,), f"{name}.columns": (-1,), f"{name}.values": (-1,)}


def table_arrays(name: str, table: Any) -> Arrays:
    """A scipy.sparse CSR matrix as arrays."""
    return {
        f"{name}.starts": table.indptr,
        f"{name}.columns": table.indices,
        f"{name}.values": table.data,
    }


def table_of(directory: Path, arrays: Arrays, name: str, columns: int) -> Any:
    """The CSR matrix that `table_arrays` took apart. InvalidInput where the arrays do not fit each
    other."""
    from scipy.sparse import csr_matrix

    starts, found, values = (arrays[f"{name}.{part}"] for part in ("starts", "columns", "values"))
    if not (
        starts.dtype.kind == found.dtype.kind == "i"
        and values.dtype.kind == "f"
        and starts[0] == 0
        and starts[-1] == found.size == values.size
        and (np.diff(starts) >= 0).all()
        and found.min(initial=0) >= 0
        and found.max(initial=-1) < columns
    ):
        raise broken(directory, f"the table '{name}' does not hold together")
    return csr_matrix((values, found, starts), (starts.size - 1, columns))


def require_torch() -> Any:
    """The torch module; MissingExtra where it is not installed."""
    try:
        import torch
    except ImportError:
        raise MissingExtra(
            "training this recommender needs torch", remedy="pip install 'tandem-commerce[neural]'"
        ) from None
    return torch


def broken(directory: Path, what: object) -> InvalidInput:
    """What is said of a folder whose weights cannot be used."""
    return InvalidInput(
        f"not the weights of a recommender: {str(what).splitlines()[0]}",
        file=str(directory),
        remedy="remove the folder and train again",
    )
