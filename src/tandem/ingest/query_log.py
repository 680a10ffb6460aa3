"""Query logs out of files: CSV, JSONL or Parquet with a query a row, and how often it was asked.

What few have asked may say who they are, and what looks like an address or a number of a person
is nobody's business: neither gets past this door.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tandem.contracts.errors import InvalidInput
from tandem.contracts.query_log import QueryCount
from tandem.governance.personal import find_personal
from tandem.ingest.problem import shorten
from tandem.ingest.readers import BadRow, RowFile

MIN_ASKED = 3
MAX_QUERY = 200
COUNTS = ("count", "asked", "n")
_PERSONAL = re.compile(r"@|(?:\d[ ().+-]?){9,}")


@dataclass(frozen=True)
class ReadLog:
    """A log as it may be kept, the most asked first, and how many texts were left out and why."""

    queries: tuple[QueryCount, ...]
    rare: int
    personal: int
    too_long: int


def read_query_log(path: Path) -> ReadLog:
    """Read a log: columns `query` and, if a row stands for more than one asking, `count`.

    Left out are texts asked fewer than MIN_ASKED times, longer than MAX_QUERY characters, with an
    @, or with nine digits and more in a row (phone and card numbers; article numbers go as well,
    which costs nothing, as nobody needs them completed), or with anything else that
    `tandem.governance.personal` takes for personal data. Raises InvalidInput with file, line,
    field and remedy for the first row that is not in order.
    """
    asked: Counter[str] = Counter()
    for row in RowFile(path):
        if isinstance(row, BadRow):
            raise InvalidInput(
                row.problem.reason, file=str(path), line=row.line, remedy=row.problem.remedy
            )
        plain = {column.strip().lower(): value for column, value in row.values.items()}
        query = plain.get("query")
        if not isinstance(query, str):
            raise InvalidInput(
                "missing" if query is None else f"{query!r} is no text",
                file=str(path),
                line=row.line,
                field="query",
                remedy="name the column of the text query; check the delimiter",
            )
        name = next((c for c in COUNTS if plain.get(c) not in (None, "")), None)
        asked[" ".join(query.lower().split())] += _count(plain[name], path, row.line) if name else 1
    asked.pop("", None)
    rare = [q for q, n in asked.items() if n < MIN_ASKED]
    personal = [q for q in asked if _PERSONAL.search(q) or find_personal(q)]
    long = [q for q in asked if len(q) > MAX_QUERY]
    for query in {*rare, *personal, *long}:
        del asked[query]
    ordered = sorted(asked.items(), key=lambda item: (-item[1], item[0]))
    return ReadLog(tuple(QueryCount(*i) for i in ordered), len(rare), len(personal), len(long))


def _count(value: object, path: Path, line: int) -> int:
    try:
        number = float(str(value))
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e15 or number != int(number):
        raise InvalidInput(
            f"{shorten(repr(value))} is no count",
            file=str(path),
            line=line,
            field="count",
            remedy="write a whole number of 0 or more",
        )
    return int(number)
