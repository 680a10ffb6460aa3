"""Tables of figures that somebody else counted, for analyses that need all rows at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tandem.contracts.errors import InvalidInput


def read_table(path: Path, *, texts: tuple[str, ...] = ()) -> Any:
    """A CSV, JSON lines or Parquet file as a pandas DataFrame. texts: columns to read as text, of
    formats that do not say. InvalidInput with the file for what cannot be read."""
    import pandas as pd

    if not path.is_file():
        raise InvalidInput("no such file", file=str(path), remedy="name a .csv, .jsonl or .parquet")
    kinds: Any = dict.fromkeys(texts, str) or None
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix in (".jsonl", ".ndjson"):
            return pd.read_json(path, lines=True, dtype=kinds)
        return pd.read_csv(path, dtype=kinds)
    except (ValueError, OSError) as error:
        raise InvalidInput(
            f"cannot be read: {error}", file=str(path), remedy="save it as CSV, JSONL or Parquet"
        ) from error
