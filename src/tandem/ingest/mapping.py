"""Which columns of a file become which fields of a product: declared, not programmed.

A mapping is data. It is written in TOML (see docs/data.md) or taken from `READY`:

    [fields]
    id = "sku"
    description = { from = ["text", "bullets"], join = "\\n" }
    category = { from = "path", split = ">" }
    price = { from = "price_cents", minor_units = true }
    language = { constant = "en" }

    [[attributes]]
    prefix = "attr_n_"
    type = "number"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from tandem.contracts.errors import InvalidInput

AttributeType = Literal["text", "number", "flag", "any"]
Draft = dict[str, Any]

# `currency` is no field of Product: it names the currency of `price`.
FIELDS = (
    "id",
    "title",
    "description",
    "brand",
    "merchant",
    "category",
    "attributes",
    "identifiers",
    "price",
    "currency",
    "stock",
    "rating",
    "rating_count",
    "images",
    "created",
    "language",
    "extra",
)
LIST_FIELDS = frozenset({"category", "identifiers", "images"})
OBJECT_FIELDS = frozenset({"attributes", "extra"})


Model = TypeVar("Model", bound=BaseModel)


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Take(_Declared):
    """Where the value of one product field comes from.

    columns (`from` in TOML): the source columns. The first one that has a value gives it;
        with `join`, all that have one are joined by it; a list field takes the values of all.
    split: separator of a list written as text.
    missing: texts that mean "unknown", such as "N/A".
    constant: the value of every product. default: the value where the columns have none.
    minor_units: the amount is in the currency's smallest unit (cents); for `price` only.
    """

    columns: tuple[str, ...] = Field(default=(), alias="from")
    join: str | None = None
    split: str | None = Field(default=None, min_length=1)
    missing: tuple[str, ...] = ()
    constant: Any = None
    default: Any = None
    minor_units: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"from": (value,)}
        if isinstance(value, dict) and isinstance(value.get("from"), str):
            return {**value, "from": (value["from"],)}
        return value

    @model_validator(mode="after")
    def _has_a_source(self) -> Take:
        if not self.columns and self.constant is None:
            raise ValueError("needs 'from' or 'constant'")
        return self

    def text_or_value(self, row: Mapping[str, Any]) -> Any:
        """The value of a field that holds one value; None where the row has none."""
        if self.constant is not None:
            return self.constant
        if self.join is None:
            for column in self.columns:
                value = row.get(column)
                if not _is_missing(value) and value not in self.missing:
                    return value
            return self.default
        parts: list[str] = []
        for column in self.columns:
            value = row.get(column)
            for part in value if isinstance(value, list) else (value,):
                if not _is_missing(part) and part not in self.missing:
                    parts.append(part.strip() if isinstance(part, str) else str(part))
        return self.join.join(parts) if parts else self.default

    def values(self, row: Mapping[str, Any]) -> Any:
        """The values of a field that holds a list; a value that is no list at all is passed on."""
        if self.constant is not None:
            return self.constant
        found: list[Any] = []
        for column in self.columns:
            value = row.get(column)
            if isinstance(value, str):
                value = _json_in_text(value, "[")
                if isinstance(value, str):
                    value = value.split(self.split) if self.split else [value]
            elif not isinstance(value, list):
                value = [value]
            for part in value:
                part = part.strip() if isinstance(part, str) else part
                if not _is_missing(part) and part not in self.missing:
                    found.append(part)
        return found or self.default or []


class AttributeColumns(_Declared):
    """Columns that become typed attributes: all that start with `prefix`, or the one `column`.

    The attribute is called `name`, else what follows the prefix, else as the column is called.
    type: `text`, `number`, `flag`, or `any` to keep the type that the file has.
    """

    prefix: str | None = Field(default=None, min_length=1)
    column: str | None = Field(default=None, min_length=1)
    name: str | None = Field(default=None, min_length=1)
    type: AttributeType = "any"

    @model_validator(mode="after")
    def _one_source(self) -> AttributeColumns:
        if (self.prefix is None) == (self.column is None):
            raise ValueError("needs either 'prefix' or 'column'")
        if self.prefix is not None and self.name is not None:
            raise ValueError("'name' goes with 'column', not with 'prefix'")
        return self

    def attribute_of(self, column: str) -> str | None:
        """The name of the attribute that `column` becomes, or None if it becomes none."""
        if self.prefix is not None:
            return column.removeprefix(self.prefix) if column.startswith(self.prefix) else None
        return (self.name or column) if column == self.column else None


class ColumnMapping(_Declared):
    """From the columns of a file to the fields of a product.

    currency: what the prices of this source are in (ISO 4217) where no column says so.
    delimiter: what separates the fields of CSV files of this source.
    keep_extra: keep columns that nothing else uses in `Product.extra`.
    """

    name: str = "custom"
    fields: dict[str, Take]
    attributes: tuple[AttributeColumns, ...] = ()
    currency: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    keep_extra: bool = True
    _roles: dict[str, tuple[str, AttributeType] | None] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _knows_its_fields(self) -> ColumnMapping:
        for field in self.fields:
            if field not in FIELDS:
                raise ValueError(f"'{field}' is no product field; use: {', '.join(FIELDS)}")
        for field in ("id", "title"):
            if field not in self.fields:
                raise ValueError(f"the field '{field}' must be mapped")
        return self

    @classmethod
    def load(cls, path: Path) -> ColumnMapping:
        """Read a mapping from a TOML file. Raises InvalidInput naming the file and the key."""
        return load_declared(
            cls,
            path,
            unreadable="see docs/data.md for an example of a mapping",
            unfit="see docs/data.md for what a mapping may say",
        )

    @property
    def columns(self) -> frozenset[str]:
        """Every source column that a field is taken from."""
        return frozenset(c for take in self.fields.values() for c in take.columns)

    def require(self, columns: Iterable[str], file: Path) -> None:
        """Raise InvalidInput if `columns` cannot give an id and a title."""
        present = frozenset(columns)
        for field in ("id", "title"):
            take = self.fields[field]
            if take.constant is None and present.isdisjoint(take.columns):
                raise InvalidInput(
                    f"no column for the {field}: mapping '{self.name}' takes it from "
                    f"{_listed(take.columns)}, the file has {_listed(present)}",
                    file=str(file),
                    line=1,
                    field=field,
                    remedy="check the delimiter and the header, or import with a mapping that "
                    "names the right columns",
                )

    def apply(self, row: Mapping[str, Any]) -> Draft:
        """A draft of a product: the fields of `Product` as the source has them, unchecked.

        Draft attributes are `(value, type)` pairs. Empty text and NaN text fields are missing.
        """
        draft: Draft = {}
        for field, take in self.fields.items():
            if field in LIST_FIELDS:
                value = take.values(row)
            elif field in OBJECT_FIELDS:
                value = take.text_or_value(row)
                if isinstance(value, str):
                    value = _json_in_text(value, "{")
            else:
                value = take.text_or_value(row)
                if isinstance(value, str):
                    value = value.strip() or None
            if value is not None:
                draft[field] = value
        attributes = draft.get("attributes", {})
        if isinstance(attributes, dict):
            attributes = {name: (value, "any") for name, value in attributes.items()}
        else:
            attributes = {"attributes": (attributes, "any")}
        extra: dict[str, Any] = {}
        roles = self._roles  # once: access to a private attribute of a pydantic model is slow
        for column, value in row.items():
            if value is None or value == "":
                continue
            try:
                role = roles[column]
            except KeyError:
                role = roles[column] = self._role(column)
            if role is None:
                continue
            name, kind = role
            if not name:
                extra[column] = value
            elif name in attributes:
                # One name with two types (a number and a text): both are kept.
                attributes[f"{name}_{kind}"] = (value, kind)
            else:
                attributes[name] = (value, kind)
        draft["attributes"] = attributes
        if extra:
            given = draft.get("extra")
            draft["extra"] = {**extra, **given} if isinstance(given, dict) else extra
        return draft

    def _role(self, column: str) -> tuple[str, AttributeType] | None:
        """(attribute name, type), or ("", "any") for `extra`, or None where a field takes it."""
        for rule in self.attributes:
            name = rule.attribute_of(column)
            if name:
                return name, rule.type
        if column in self.columns or not self.keep_extra:
            return None
        return "", "any"


def load_declared(cls: type[Model], path: Path, *, unreadable: str, unfit: str) -> Model:
    """What a TOML file declares, named as the file if it says no name. Raises InvalidInput with the
    file, the key, and one of the two remedies: no TOML, or TOML that says something else."""
    try:
        declared = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(
            f"not a readable TOML file: {error}", file=str(path), remedy=unreadable
        ) from None
    try:
        return cls.model_validate({"name": path.stem, **declared})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or None
        raise InvalidInput(first["msg"], file=str(path), field=field, remedy=unfit) from None


def _is_missing(value: Any) -> bool:
    return value is None or value == ""


def _json_in_text(text: str, start: str) -> Any:
    """CSV cells hold lists and objects as JSON text; any other text is returned as it is."""
    if not text.startswith(start):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _listed(names: Iterable[str], limit: int = 12) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:limit]) + (", …" if len(ordered) > limit else "")


def _take(*columns: str, **options: Any) -> Take:
    return Take.model_validate({"from": columns, **options})


TANDEM = ColumnMapping(
    name="tandem",
    fields={
        "id": _take("id", "product_id"),
        "title": _take("title", "product_title"),
        "description": _take("description", "product_description"),
        "brand": _take("brand", "product_brand"),
        "merchant": _take("merchant"),
        "category": _take("category", split=">"),
        "attributes": _take("attributes"),
        "identifiers": _take("identifiers", split="|"),
        "price": _take("price"),
        "currency": _take("currency"),
        "stock": _take("stock"),
        "rating": _take("rating"),
        "rating_count": _take("rating_count"),
        "images": _take("images", split="|"),
        "created": _take("created"),
        "language": _take("language"),
        "extra": _take("extra"),
    },
)

ESCI = ColumnMapping(
    name="esci",
    currency="USD",
    fields={
        "id": _take("product_id"),
        "title": _take("title"),
        "description": _take("description", "bullet_points", join="\n"),
        "brand": _take("brand"),
        "category": _take("category"),
        "price": _take("price"),
        "rating": _take("rating"),
        "rating_count": _take("rating_count"),
        "language": Take(constant="en"),
    },
    attributes=(AttributeColumns(column="color", type="text"),),
)

# Icecat names no currency; the source is Dutch and sells in euro, so its cents are read as euro
# cents. It has no category tree either: the product type, where given, is the only level.
ICECAT = ColumnMapping(
    name="icecat",
    currency="EUR",
    fields={
        "id": _take("id"),
        "title": _take("title"),
        "description": _take("short_description"),
        "brand": _take("supplier"),
        "merchant": _take("supplier"),
        "identifiers": _take("name", "ean"),
        "category": _take("attr_t_product_type", missing=("1", "16")),
        "price": _take("price", minor_units=True),
        "created": _take("date_released"),
        "language": Take(constant="en"),
    },
    attributes=(
        AttributeColumns(prefix="attr_n_", type="number"),
        AttributeColumns(prefix="attr_b_", type="flag"),
        AttributeColumns(prefix="attr_t_", type="text"),
    ),
)

READY: Mapping[str, ColumnMapping] = {m.name: m for m in (TANDEM, ESCI, ICECAT)}


def detect(columns: Iterable[str], file: Path) -> ColumnMapping:
    """The ready mapping that fits the columns of a file, or InvalidInput if none does."""
    present = frozenset(columns)
    if {"id", "title"} <= present and any(
        c.startswith(("attr_t_", "attr_n_", "attr_b_")) for c in present
    ):
        return ICECAT
    if {"product_id", "title"} <= present and present & {"bullet_points", "color"}:
        return ESCI
    TANDEM.require(present, file)
    return TANDEM


def find_mapping(wanted: ColumnMapping | str | Path | None) -> ColumnMapping | None:
    """A mapping by object, by ready name or by TOML file; None stands for detection."""
    if wanted is None or isinstance(wanted, ColumnMapping):
        return wanted
    if isinstance(wanted, str) and wanted in READY:
        return READY[wanted]
    path = Path(wanted)
    if path.is_file():
        return ColumnMapping.load(path)
    raise InvalidInput(
        f"no mapping '{wanted}'",
        field="mapping",
        remedy=f"use one of {', '.join(READY)}, or the path of a TOML file",
    )
