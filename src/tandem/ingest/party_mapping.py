"""Which columns of a file become which fields of merchants, creators and content.

A mapping is data, as for products: TOML, or the ready one, which takes columns named as the fields.

    [fields]
    id = "creator_open_id"
    handle = "username"
    topics = { from = "categories", split = ";" }
    follower_count = "followers"            # 12000, or 10000-50000, or 10000+
    commission_rate = { from = "rate" }     # basis points: 1500 is 15%
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator

from tandem.contracts.errors import InvalidInput
from tandem.contracts.parties import Content, Creator, Kind, Merchant
from tandem.ingest.mapping import Draft, Take, load_declared

CONTRACTS: Mapping[Kind, type[BaseModel]] = {
    "merchants": Merchant,
    "creators": Creator,
    "content": Content,
}
NEEDED: Mapping[Kind, tuple[str, ...]] = {
    "merchants": ("id", "name"),
    "creators": ("id", "handle"),
    "content": ("id", "creator_id", "kind", "published"),
}
LISTS = frozenset(
    {"categories", "regions", "blocked_categories", "topics", "hashtags", "product_ids"}
)
COUNT_RANGES = frozenset({"follower_count", "avg_video_views", "items_sold"})
MONEY_RANGES = frozenset({"gmv", "gpm"})
_RANGE = re.compile(r"^\s*([\d.]+)\s*(?:-|–|to)\s*([\d.]+)\s*$")
_OPEN = re.compile(r"^\s*([\d.]+)\s*\+\s*$")


class PartyMapping(BaseModel, frozen=True, extra="forbid"):
    """From the columns of a file to the fields of one kind.

    kind: what a row is. currency: of amounts that name none. Columns that no field takes are
    ignored: what is not asked for about a person is not stored.
    """

    kind: Kind
    name: str = "custom"
    fields: dict[str, Take] = Field(min_length=1)
    currency: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)

    @field_validator("fields")
    @classmethod
    def _known(cls, fields: dict[str, Take], info: ValidationInfo) -> dict[str, Take]:
        kind = info.data.get("kind")
        if kind is None:
            return fields
        known = CONTRACTS[kind].model_fields
        for field in fields:
            if field not in known and field != "currency":
                raise ValueError(f"'{field}' is no field of {kind}; use: {', '.join(known)}")
        for field in NEEDED[kind]:
            if field not in fields:
                raise ValueError(f"the field '{field}' must be mapped")
        return fields

    def require(self, columns: Iterable[str], file: Path) -> None:
        """Raise InvalidInput if `columns` lack one that every row needs."""
        present = frozenset(columns)
        for field in NEEDED[self.kind]:
            take = self.fields[field]
            if take.constant is None and present.isdisjoint(take.columns):
                raise InvalidInput(
                    f"no column for {field}: mapping '{self.name}' takes it from "
                    f"{', '.join(take.columns)}; the file has {', '.join(sorted(present)[:12])}",
                    file=str(file),
                    line=1,
                    field=field,
                    remedy="check the delimiter and the header, or write a mapping: see "
                    "docs/data.md",
                )

    def apply(self, row: Mapping[str, Any], currency: str) -> Draft:
        """A draft of one row: fields in the shape that the contract takes, unchecked."""
        draft: Draft = {}
        named = self.fields.get("currency")
        money = str((named.text_or_value(row) if named else None) or self.currency or currency)
        contract = CONTRACTS[self.kind].model_fields
        for field, take in self.fields.items():
            if field not in contract:
                continue
            if field in LISTS:
                value: Any = [v.lstrip("#") if field == "hashtags" else v for v in _list(take, row)]
            else:
                value = take.text_or_value(row)
                if isinstance(value, str):
                    value = _opened(value.strip()) or None
            if field in COUNT_RANGES:
                value = _count_range(value)
            elif field in MONEY_RANGES:
                value = _money_range(value, money)
            if value is not None and value == value:  # NaN stands for nothing here
                draft[field] = value
        return draft


def _list(take: Take, row: Mapping[str, Any]) -> list[Any]:
    found = take.values(row)
    return list(found) if isinstance(found, list | tuple) else [found]


def _opened(text: str) -> Any:
    """CSV cells hold objects as JSON text."""
    if not text.startswith("{"):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _ends(value: Any) -> tuple[str, str | None] | None:
    """The two ends of `12`, `10-50` or `10+` as text; None for anything else."""
    text = str(value)
    if match := _RANGE.match(text):
        return match[1], match[2]
    if match := _OPEN.match(text):
        return match[1], None
    return None


def _count_range(value: Any) -> Any:
    if value is None or isinstance(value, dict):
        return value
    ends = _ends(value) or (value, value)
    return {"minimum": ends[0], "maximum": ends[1]}


def _money_range(value: Any, currency: str) -> Any:
    if value is None:
        return None
    if isinstance(value, dict):
        if "amount" in value:
            amount, own = value.get("amount"), value.get("currency", currency)
            return {"minimum_amount": amount, "maximum_amount": amount, "currency": own}
        return {"currency": currency, **value}
    ends = _ends(value) or (value, value)
    return {"minimum_amount": ends[0], "maximum_amount": ends[1], "currency": currency}


def ready(kind: Kind) -> PartyMapping:
    """The ready mapping `tandem`: columns named as the fields, lists split at `|`."""
    fields = {
        name: Take.model_validate({"from": name, **({"split": "|"} if name in LISTS else {})})
        for name in (*CONTRACTS[kind].model_fields, "currency")
    }
    return PartyMapping(kind=kind, name="tandem", fields=fields)


def find_party_mapping(kind: Kind, wanted: PartyMapping | str | Path | None) -> PartyMapping:
    """A mapping by object, by ready name or by TOML file; None is the ready one."""
    if isinstance(wanted, PartyMapping):
        return wanted
    if wanted is None or wanted == "tandem":
        return ready(kind)
    path = Path(wanted)
    if not path.is_file():
        raise InvalidInput(
            f"no mapping '{wanted}'",
            field="mapping",
            remedy="use tandem, or the path of a TOML file",
        )
    declared = load_declared(
        _Declared,
        path,
        unreadable="see docs/data.md for an example of a mapping",
        unfit="see docs/data.md for what a mapping may say",
    )
    try:
        return PartyMapping(kind=kind, **declared.model_dump(by_alias=True))
    except ValidationError as error:
        raise InvalidInput(
            error.errors()[0]["msg"],
            file=str(path),
            field="fields",
            remedy="see docs/data.md for the fields of each kind",
        ) from None


class _Declared(BaseModel, frozen=True, extra="forbid"):
    """What a file may say; its kind is said by the command."""

    name: str
    fields: dict[str, Take]
    currency: str | None = None
    delimiter: str | None = None
