"""The door: rows of files come in, products and rejected rows go out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import Product
from tandem.ingest.checks import NoDuplicates, checks_for
from tandem.ingest.currencies import is_currency
from tandem.ingest.mapping import ColumnMapping, detect
from tandem.ingest.problem import Problem, Rejected, excerpt
from tandem.ingest.readers import BadRow, Row, RowFile

# Rows looked at to find out which columns, and which currency, a file has.
PEEK = 100


class Door:
    """Reads product files one after the other; iterate it once.

    mapping: how columns become fields; None = found out from the columns of each file.
    currency: what all prices are in. None = what the mapping says, else what most of the file's
        first rows name, else `default_currency`.

    Raises InvalidInput, before the first row where possible, for files that cannot be read at all.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        mapping: ColumnMapping | None = None,
        currency: str | None = None,
        default_currency: str = "EUR",
    ) -> None:
        if not files:
            raise InvalidInput("no file to import", remedy="name at least one file")
        if currency is not None and not is_currency(currency):
            raise InvalidInput(
                f"'{currency}' is no currency of ISO 4217",
                field="currency",
                remedy="use the three-letter code, such as EUR",
            )
        self._duplicates = NoDuplicates()
        self._sources: list[tuple[RowFile, ColumnMapping, str]] = []
        self._finished = 0
        for path in files:
            delimiter = mapping.delimiter if mapping else None
            file = RowFile(path, delimiter)
            peeked = file.head(PEEK)
            columns = {column: None for row in peeked for column in row.values}
            if columns or mapping is None:
                found = mapping or detect(columns, path)
                found.require(columns, path)
            else:
                found = mapping
            chosen = currency or found.currency or _majority(peeked, found) or default_currency
            self._sources.append((file, found, chosen))

    @property
    def sources(self) -> tuple[tuple[Path, str, str], ...]:
        """(file, name of its mapping, currency) of each file."""
        return tuple((file.path, mapping.name, money) for file, mapping, money in self._sources)

    @property
    def fraction(self) -> float:
        """Share of the work that is done, 0 to 1, as if all files were equally long."""
        if self._finished >= len(self._sources):
            return 1.0
        current = self._sources[self._finished][0]
        return (self._finished + current.fraction) / len(self._sources)

    def __iter__(self) -> Iterator[Product | Rejected]:
        for file, mapping, currency in self._sources:
            yield from self._one_file(file, mapping, currency)
            self._finished += 1

    def _one_file(
        self, file: RowFile, mapping: ColumnMapping, currency: str
    ) -> Iterator[Product | Rejected]:
        self._duplicates.files.append(file.path)
        checks = checks_for(mapping, currency, self._duplicates)
        name = str(file.path)
        for row in file:
            if isinstance(row, BadRow):
                yield _rejected(name, row.line, row.problem, row.row)
                continue
            self._duplicates.line = row.line
            draft = mapping.apply(row.values)
            problem = None
            for check in checks:
                problem = check(draft)
                if problem is not None:
                    break
            if problem is None:
                try:
                    product = Product.model_validate(draft)
                except ValidationError as error:
                    problem = _contract(error)
                else:
                    yield product
                    continue
            yield _rejected(name, row.line, problem, excerpt(row.values))


def _majority(rows: Sequence[Row], mapping: ColumnMapping) -> str | None:
    """The currency that most rows name, if any row names one."""
    named: Counter[str] = Counter()
    for row in rows:
        draft = mapping.apply(row.values)
        price = draft.get("price")
        code = price.get("currency") if isinstance(price, dict) else draft.get("currency")
        if isinstance(code, str) and is_currency(code.strip().upper()):
            named[code.strip().upper()] += 1
    return named.most_common(1)[0][0] if named else None


def _contract(error: ValidationError) -> Problem:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or None
    return Problem("contract", field, first["msg"], "correct the value")


def _rejected(file: str, line: int, problem: Problem, row: str) -> Rejected:
    return Rejected(file, line, problem.code, problem.field, problem.reason, problem.remedy, row)
