"""Lineage of a fine-tuned model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tandem.contracts.errors import InvalidInput

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class FinetuneManifest:
    """What a fine-tuned encoder or cross-encoder learned from, and how well it did.

    base: the encoder that it started from. training: loss by epoch, precision of the matrix
    products and, for a cross-encoder, how faithful the served graph is. metrics: cross-validated
    estimates by system, on queries that the measured model never saw.
    """

    kind: str
    base: str
    epochs: int
    rate: float
    seed: int
    data_fingerprint: str
    judgments: str
    queries: int
    pairs: int
    code_version: str
    trained_at: str
    trained_on: tuple[str, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    def save(self, directory: Path) -> None:
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> FinetuneManifest:
        """InvalidInput when the folder has no manifest that this version can read."""
        try:
            values = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
            return cls(**{**values, "trained_on": tuple(values["trained_on"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InvalidInput(
                f"not a fine-tuned model: {error}",
                file=str(directory / MANIFEST),
                remedy="go back to an older one, or train it again",
            ) from None
