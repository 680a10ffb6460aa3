"""The door for merchants, creators and content: rows of files come in, checked records go out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tandem.contracts.errors import InvalidInput
from tandem.contracts.parties import Kind
from tandem.governance.personal import find_personal
from tandem.ingest.checks import NoDuplicates
from tandem.ingest.currencies import is_currency
from tandem.ingest.mapping import Draft
from tandem.ingest.party_mapping import CONTRACTS, MONEY_RANGES, NEEDED, PartyMapping
from tandem.ingest.problem import Problem, Rejected, excerpt
from tandem.ingest.readers import BadRow, RowFile

PEEK = 100
FREE_TEXTS = ("bio", "caption", "transcript")
MASKED = frozenset({"email", "phone", "card", "iban", "id"})
"""What is masked in free texts of creators. Names and streets stay: they are what a review of a
product or a place is about, and nobody is reached by them."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class PartyDoor:
    """Reads files of one kind, one after the other; iterate it once.

    currency: of amounts for which neither row nor mapping names one. Raises InvalidInput, before
    the first row where possible, for files that cannot be read at all.
    """

    def __init__(
        self, files: Sequence[Path], kind: Kind, mapping: PartyMapping, *, currency: str
    ) -> None:
        if not files:
            raise InvalidInput("no file to import", remedy="name at least one file")
        self.kind = kind
        self.masked = 0
        self._mapping = mapping
        self._currency = currency
        self._files = [RowFile(path, mapping.delimiter) for path in files]
        self._finished = 0
        self._duplicates = NoDuplicates()
        for file in self._files:
            columns = {column: None for row in file.head(PEEK) for column in row.values}
            if columns:
                mapping.require(columns, file.path)

    @property
    def fraction(self) -> float:
        """Share of the work that is done, 0 to 1, as if all files were equally long."""
        if self._finished >= len(self._files):
            return 1.0
        return (self._finished + self._files[self._finished].fraction) / len(self._files)

    def __iter__(self) -> Iterator[BaseModel | Rejected]:
        for file in self._files:
            self._duplicates.files.append(file.path)
            for row in file:
                if isinstance(row, BadRow):
                    yield _rejected(file.path, row.line, row.problem, row.row)
                    continue
                self._duplicates.line = row.line
                draft = self._mapping.apply(row.values, self._currency)
                found = self._checked(draft)
                if isinstance(found, Problem):
                    yield _rejected(file.path, row.line, found, excerpt(row.values))
                else:
                    yield found
            self._finished += 1

    def _checked(self, draft: Draft) -> BaseModel | Problem:
        """The record, or what is wrong; texts of creators with personal data masked."""
        for field in ("id", "creator_id"):
            if isinstance(draft.get(field), int) and not isinstance(draft[field], bool):
                draft[field] = str(draft[field])
        for field in NEEDED[self.kind]:
            if draft.get(field) in (None, ""):
                return Problem(
                    f"missing-{field}", field, f"no {field}", f"give every row of {self.kind} one"
                )
        for field, value in draft.items():
            for text in value if isinstance(value, list) else (value,):
                if isinstance(text, str) and (found := _CONTROL.search(text)):
                    return Problem(
                        "control-character",
                        field,
                        f"control character U+{ord(found.group()):04X}",
                        "remove it, or correct the encoding of the export",
                    )
        for field in MONEY_RANGES & draft.keys():
            if not is_currency(str(draft[field].get("currency", ""))):
                return Problem(
                    "currency-unknown",
                    field,
                    f"'{draft[field].get('currency')}' is no currency of ISO 4217",
                    "use the three-letter code, such as EUR",
                )
        for field in FREE_TEXTS:
            if isinstance(draft.get(field), str):
                draft[field] = self._without_contacts(draft[field])
        try:
            record = CONTRACTS[self.kind].model_validate(draft)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or None
            return Problem("contract", place, first["msg"], "correct the value: see docs/data.md")
        return self._duplicates(draft) or record

    def _without_contacts(self, text: str) -> str:
        found = [f for f in find_personal(text) if f.kind in MASKED]
        self.masked += len(found)
        for finding in reversed(found):
            text = f"{text[: finding.start]}<{finding.kind}>{text[finding.end :]}"
        return text


def _rejected(file: Path, line: int, problem: Problem, row: str) -> Rejected:
    return Rejected(
        str(file), line, problem.code, problem.field, problem.reason, problem.remedy, row
    )
