"""Collaborations and profiles from files: checked at the door, with file, line and field.

A folder holds
    train.csv                 brand, creator (further columns are ignored): known collaborations
    brand_features.parquet    brand, topics, hashtags
    creator_features.parquet  creator, topics, hashtags
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.matching.market import Accounts, Array, Collaborations, HeldOut, Market, Rows, rows_of

TRAIN = "train.csv"
FILES = {"brand": "brand_features.parquet", "creator": "creator_features.parquet"}
_VIEWS = ("topics", "hashtags")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a collaborations file; `label` above 0 says that they worked together."""

    line: int
    brand: str
    creator: str
    label: float


def read_rows(path: Path, *, label: bool) -> Iterator[Row]:
    """Rows of a CSV with `brand`, `creator` and, if asked for, `label` (a number, 0 or more).

    Raises NotFound for a missing file and InvalidInput for the first broken row, a repeated pair
    or a file without rows.
    """
    columns = ("brand", "creator", "label") if label else ("brand", "creator")
    seen: dict[tuple[str, str], int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, strict=True)
            for name in columns:
                if name not in (reader.fieldnames or ()):
                    raise InvalidInput(
                        "the column is missing",
                        file=str(path),
                        line=1,
                        field=name,
                        remedy=f"give a comma-separated file with the columns {', '.join(columns)}",
                    )
            for record in reader:
                yield _row(path, reader.line_num, record, label, seen)
    except FileNotFoundError:
        raise NotFound(f"no file {path}", remedy="check the path") from None
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InvalidInput(
            f"not a readable UTF-8 CSV file: {error}", file=str(path), remedy="save it as UTF-8 CSV"
        ) from None
    if not seen:
        raise InvalidInput("no rows", file=str(path), remedy="give at least one collaboration")


def _row(
    path: Path,
    line: int,
    record: dict[str, str | None],
    label: bool,
    seen: dict[tuple[str, str], int],
) -> Row:
    def bad(field: str, message: str, remedy: str) -> InvalidInput:
        return InvalidInput(message, file=str(path), line=line, field=field, remedy=remedy)

    ids = []
    for name in ("brand", "creator"):
        value = (record[name] or "").strip()
        if not value:
            raise bad(name, "is empty", "give the id of the account")
        ids.append(value)
    number = 1.0
    if label:
        try:
            number = float(record["label"] or "")
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number >= 0):
            raise bad(
                "label",
                f"'{record['label'] or ''}' is not a number of 0 or more",
                "write above 0 for a collaboration, 0 for none",
            )
    pair = (ids[0], ids[1])
    if pair in seen:
        raise bad("creator", f"repeats line {seen[pair]}", "keep one row a pair")
    seen[pair] = line
    return Row(line, *pair, number)


def read_accounts(path: Path, kind: str) -> Accounts:
    """Profiles of one kind (`brand` or `creator`). Raises NotFound and InvalidInput."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise NotFound(f"no file {path}", remedy="name the folder with --data or TANDEM_DATA")
    try:
        table = pq.read_table(path, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(
            f"not a readable Parquet file: {error}", file=str(path), remedy="write it again"
        ) from None
    for name in (kind, *_VIEWS):
        if name not in table.column_names:
            raise InvalidInput(
                "the column is missing",
                file=str(path),
                field=name,
                remedy=f"give the columns {kind}, {', '.join(_VIEWS)}",
            )
    ids = [str(i) for i in table[kind].to_pylist()]
    if len(set(ids)) < len(ids) or not ids:
        raise InvalidInput(
            "ids repeat or are missing", file=str(path), field=kind, remedy="one row an account"
        )
    order = sorted(range(len(ids)), key=ids.__getitem__)
    topics, hashtags = (_vectors(path, table[name].to_pylist(), name)[order] for name in _VIEWS)
    return Accounts(tuple(ids[i] for i in order), topics, hashtags)


def _vectors(path: Path, values: list[list[float]], name: str) -> Array:
    try:
        out = np.array(values, np.float64)
    except (TypeError, ValueError):
        out = np.empty(0)
    if out.ndim != 2 or not np.isfinite(out).all() or (name == "topics" and (out < 0).any()):
        raise InvalidInput(
            "not one list of finite numbers a row, all of one length"
            + (" and none negative" if name == "topics" else ""),
            file=str(path),
            field=name,
            remedy="leave out accounts without a profile",
        )
    return out


def read_market(folder: Path) -> tuple[Market, Collaborations]:
    """Profiles and known collaborations of a folder."""
    brands = read_accounts(folder / FILES["brand"], "brand")
    creators = read_accounts(folder / FILES["creator"], "creator")
    for name in _VIEWS:
        widths = [getattr(a, name).shape[1] for a in (brands, creators)]
        if widths[0] != widths[1]:
            raise InvalidInput(
                f"creators have {widths[1]} numbers, brands {widths[0]}",
                file=str(folder / FILES["creator"]),
                field=name,
                remedy="describe both in the same space",
            )
    market = Market(brands, creators)
    rows = list(read_rows(folder / TRAIN, label=False))
    return market, Collaborations(_pairs(folder / TRAIN, rows, market))


def read_held_out(path: Path, market: Market, known: Collaborations) -> HeldOut:
    """The pool and the truth of a test file: all its brands against all its creators.

    Collaborations of a tested brand are taken out of what may be learned from.
    """
    rows = list(read_rows(path, label=True))
    pairs = _pairs(path, rows, market)
    brands, creators = np.unique(pairs[:, 0]), np.unique(pairs[:, 1])
    together = pairs[[row.label > 0 for row in rows]]
    truth = Collaborations(together).matrix(brands, creators)
    if not truth.any():
        raise InvalidInput(
            "no row says that a brand and a creator worked together",
            file=str(path),
            field="label",
            remedy="write a label above 0 for each collaboration",
        )
    train = known.of(np.setdiff1d(known.brands, brands))
    return HeldOut(train, brands, creators, truth)


def _pairs(path: Path, rows: list[Row], market: Market) -> Rows:
    """(rows, 2) int64 account rows. Raises InvalidInput for the first id without a profile."""
    kinds = (("brand", market.brands), ("creator", market.creators))
    known = {kind: set(accounts.ids) for kind, accounts in kinds}
    for row in rows:
        for kind, _ in kinds:
            if (name := getattr(row, kind)) not in known[kind]:
                raise InvalidInput(
                    f"no profile of '{name}'",
                    file=str(path),
                    line=row.line,
                    field=kind,
                    remedy=f"add it to {FILES[kind]}, or leave the row out",
                )
    return np.stack(
        [rows_of([getattr(r, kind) for r in rows], accounts) for kind, accounts in kinds], axis=1
    )
