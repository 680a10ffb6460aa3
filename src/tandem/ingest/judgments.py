"""Judgment lists out of files: CSV, JSONL or Parquet with query, product_id and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import ESCI_RELEVANCE, Judgment, JudgmentList
from tandem.ingest.problem import shorten
from tandem.ingest.readers import BadRow, Row, RowFile

# The first of these that a file has is taken.
PRODUCT_IDS = ("product_id", "docid", "doc_id")
VERDICTS = ("label", "rating", "relevance", "esci_label")
HIGHEST = 3

_LABELS: Mapping[str, int] = {
    **{label.lower(): relevance for label, relevance in ESCI_RELEVANCE.items()},
    "exact": 3,
    "substitute": 2,
    "complement": 1,
    "irrelevant": 0,
}


def read_judgments(path: Path, name: str | None = None) -> JudgmentList:
    """Read a judgment list; of two verdicts on one pair the later wins.

    Columns (any case): `query`, `product_id`, and `label` (E, S, C, I or the full word) or
    `rating` or `relevance` (0, 1, 2, 3). `docid` for the product and `esci_label`, as public data
    sets call them, are understood too. Other columns are ignored. A judgment list is small and
    every verdict counts, so the first row that is not in order raises InvalidInput with file, line,
    field and remedy; nothing is skipped silently.
    """
    judgments: list[Judgment] = []
    columns: dict[str, str] = {}
    for row in RowFile(path):
        if isinstance(row, BadRow):
            raise InvalidInput(
                row.problem.reason, file=str(path), line=row.line, remedy=row.problem.remedy
            )
        if not columns or not columns.keys() >= row.values.keys():
            columns = _columns(row, path)
        judgments.append(_judgment(row, columns, path))
    return JudgmentList.of(judgments, name or path.name.split(".")[0])


def _columns(row: Row, path: Path) -> dict[str, str]:
    """Source column → `query`, `product_id` or `verdict`, or "" for columns of no interest."""
    plain = {column.strip().lower(): column for column in row.values}
    wanted = {"query": ("query",), "product_id": PRODUCT_IDS, "verdict": VERDICTS}
    roles = dict.fromkeys(row.values, "")
    for role, names in wanted.items():
        column = next((plain[n] for n in names if n in plain), None)
        if column is None:
            raise InvalidInput(
                f"no column {' or '.join(names)}; the file has "
                f"{shorten(', '.join(row.values), 200)}",
                file=str(path),
                line=row.line,
                field=names[0],
                remedy="name the columns query, product_id and label (E, S, C, I) or rating (0 "
                "to 3); check the delimiter",
            )
        roles[column] = role
    return roles


def _judgment(row: Row, columns: Mapping[str, str], path: Path) -> Judgment:
    values = {
        role: (column, row.values[column])
        for column, role in columns.items()
        if role and column in row.values
    }
    texts: dict[str, str] = {}
    for role in ("query", "product_id"):
        column, value = values.get(role, (role, None))
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput(
                "missing" if value is None or value == "" else f"{value!r} is no text",
                file=str(path),
                line=row.line,
                field=column,
                remedy=f"give every judgment a {role}",
            )
        texts[role] = value.strip()
    column, verdict = values.get("verdict", ("label", None))
    relevance = _relevance(verdict)
    if relevance is None:
        raise InvalidInput(
            f"{shorten(repr(verdict))} is no judgment",
            file=str(path),
            line=row.line,
            field=column,
            remedy="use E, S, C or I (or the full words), or a whole number from 0 to 3",
        )
    return Judgment(texts["query"], texts["product_id"], relevance)


def _relevance(verdict: Any) -> int | None:
    """0 to 3, or None if the verdict is on no known scale."""
    if isinstance(verdict, str):
        text = verdict.strip().lower()
        if text in _LABELS:
            return _LABELS[text]
        try:
            verdict = float(text)
        except ValueError:
            return None
    if isinstance(verdict, bool) or not isinstance(verdict, int | float):
        return None
    return int(verdict) if verdict in range(HIGHEST + 1) else None
