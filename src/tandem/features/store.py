"""The feature store: what ranking features know about products, as arrays by product number.

One forward index per text field (which terms stand where in which product), typed columns and
text vectors. Training and serving read the same arrays through the same code, and no search
engine is involved, so a feature has one value wherever it is computed.

Files of one generation, all memory-mapped:
    <field>.offsets.npy  (n + 1,) int64      where each product's terms begin
    <field>.terms.npy    (total,) uint32     term hashes in text order
    <field>.vocab.npy    (v,) uint32 sorted  distinct term hashes
    <field>.df.npy       (v,) int32          products that hold the term
    columns.npz          typed columns       NaN or -1 where unknown
    names.json           brands, merchants and category paths by code
    manifest.json        counts, mean lengths
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Numbers
from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import TEXT_FIELDS, AnalysedProduct, Product

# Long descriptions are cut here: terms this far down hardly ever decide relevance, and the cut
# bounds the store's size (1M products: under 1 GB).
MAX_TERMS = 256
FORMAT = 1


@lru_cache(maxsize=1 << 20)
def term_hash(term: str) -> int:
    """A term as uint32 (CRC-32). Two of a million terms share a hash once in ~4,000 terms; the
    harm of a collision is one false partial match, and no vocabulary has to be held in memory."""
    return zlib.crc32(term.encode())


@dataclass(frozen=True)
class ForwardField:
    """Terms of one text field by product; `offsets` (n + 1,), `terms` (offsets[-1],) uint32."""

    offsets: NDArray[np.int64]
    terms: NDArray[np.uint32]

    def gather(self, rows: Numbers) -> tuple[NDArray[np.uint32], NDArray[np.int64], Numbers]:
        """Terms of `rows` laid end to end.

        Returns (m,) term hashes, (m,) the row's index within `rows`, (len(rows),) lengths.
        """
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        owner = np.repeat(np.arange(rows.size), lengths)
        ends = np.cumsum(lengths)
        within = np.arange(int(ends[-1]) if ends.size else 0) - np.repeat(ends - lengths, lengths)
        return self.terms[np.repeat(starts, lengths) + within], owner, lengths


@dataclass(frozen=True)
class FieldStatistics:
    """Collection statistics of one field, fixed for a generation."""

    vocabulary: NDArray[np.uint32]
    document_frequency: NDArray[np.int32]
    mean_length: float
    documents: int

    def df(self, hashes: NDArray[np.uint32]) -> NDArray[np.int64]:
        """(len(hashes),) in how many products each term occurs; 0 for unknown terms."""
        if self.vocabulary.size == 0:
            return np.zeros(hashes.size, np.int64)
        at = np.minimum(np.searchsorted(self.vocabulary, hashes), self.vocabulary.size - 1)
        return np.where(self.vocabulary[at] == hashes, self.document_frequency[at], 0).astype(
            np.int64
        )


@dataclass(frozen=True)
class Columns:
    """Typed product columns, (n,) each. Unknown: NaN (numbers), -1 (codes and counts)."""

    price: NDArray[np.float64]
    rating: NDArray[np.float32]
    rating_count: NDArray[np.float64]
    created: NDArray[np.float64]  # days since 1970-01-01
    stock: NDArray[np.float64]
    margin: NDArray[np.float64]  # of the price, from `extra`; what the shop earns
    conversion: NDArray[np.float64]  # orders per view, from `extra`
    brand: NDArray[np.int32]
    merchant: NDArray[np.int32]
    category: NDArray[np.int32]
    language: NDArray[np.int32]

    NAMES = (
        "price",
        "rating",
        "rating_count",
        "created",
        "stock",
        "margin",
        "conversion",
        "brand",
        "merchant",
        "category",
        "language",
    )

    def take(self, rows: Numbers) -> Columns:
        return Columns(**{name: getattr(self, name)[rows] for name in self.NAMES})

    def concat(self, other: Columns) -> Columns:
        return Columns(
            **{
                name: np.concatenate([getattr(self, name), getattr(other, name)])
                for name in self.NAMES
            }
        )


@dataclass
class Names:
    """Strings behind the code columns; codes are positions."""

    brand: list[str] = field(default_factory=list)
    merchant: list[str] = field(default_factory=list)
    category: list[str] = field(default_factory=list)
    language: list[str] = field(default_factory=list)

    KINDS = ("brand", "merchant", "category", "language")

    def __post_init__(self) -> None:
        self._codes: dict[str, dict[str, int]] = {
            kind: {name: code for code, name in enumerate(getattr(self, kind))}
            for kind in self.KINDS
        }

    def code(self, kind: str, name: str | None) -> int:
        """The code of a name, or -1 when it is None or unknown."""
        return -1 if name is None else self._codes[kind].get(name, -1)

    def intern(self, kind: str, name: str | None) -> int:
        """The code of a name, added when new; -1 for None and for the empty name."""
        if not name:
            return -1
        codes = self._codes[kind]
        if name not in codes:
            codes[name] = len(codes)
            getattr(self, kind).append(name)
        return codes[name]

    def copy(self) -> Names:
        return Names(*(list(getattr(self, kind)) for kind in self.KINDS))


CATEGORY_SEPARATOR = " > "


def category_path(product: Product) -> str | None:
    """The category path as one string, or None when the product has none."""
    return CATEGORY_SEPARATOR.join(product.category) or None


SCHEMA = "schema"
"""The forward field that says what kind of thing a product is, beside its text fields."""

FORWARD_FIELDS = (*TEXT_FIELDS, SCHEMA)


def schema_terms(product: Product) -> list[str]:
    """What kind of thing a product is: its category path's prefixes and its attributes' names.

    Products of a kind have the same attributes, whatever words describe them.
    """
    path = product.category
    prefixes = [CATEGORY_SEPARATOR.join(path[:depth]) for depth in range(1, len(path) + 1)]
    return [*prefixes, *product.attributes]


def _forward_terms(analysed: AnalysedProduct, name: str) -> Sequence[str]:
    return schema_terms(analysed.product) if name == SCHEMA else analysed.terms.get(name, ())


def _number(value: Any) -> float:
    """A finite number as float, anything else as NaN (unknown)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    return float(value) if np.isfinite(value) else float("nan")


def _column_values(product: Product, names: Names) -> tuple[float, ...]:
    nan = float("nan")
    return (
        nan if product.price is None else float(product.price.amount),
        nan if product.rating is None else product.rating,
        nan if product.rating_count is None else float(product.rating_count),
        nan if product.created is None else product.created.timestamp() / 86_400,
        nan if product.stock is None else float(product.stock),
        _number(product.extra.get("margin")),
        _number(product.extra.get("conversion")),
        names.intern("brand", product.brand),
        names.intern("merchant", product.merchant),
        names.intern("category", category_path(product)),
        names.intern("language", product.language),
    )


def _columns(rows: Sequence[tuple[float, ...]]) -> Columns:
    table = np.asarray(rows, np.float64).reshape(len(rows), len(Columns.NAMES))
    floats = (np.float64, np.float32, *(np.float64,) * 5)
    kinds = (*floats, *(np.int32,) * 4)
    return Columns(
        **{
            name: table[:, i].astype(kind)
            for i, (name, kind) in enumerate(zip(Columns.NAMES, kinds, strict=True))
        }
    )


class _FieldWriter:
    """Streams one field's terms to disk; keeps only lengths and document frequencies in memory."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory, self.name = directory, name
        self.lengths: list[int] = []
        self.df: dict[int, int] = {}
        self.total = 0
        self.handle: BinaryIO = (directory / f"{name}.raw").open("wb")

    def add(self, terms: Sequence[str]) -> None:
        hashes = [term_hash(t) for t in terms[:MAX_TERMS]]
        self.lengths.append(len(hashes))
        self.total += len(hashes)
        df = self.df
        for h in set(hashes):
            df[h] = df.get(h, 0) + 1
        self.handle.write(np.asarray(hashes, np.uint32).tobytes())

    def finish(self) -> float:
        self.handle.close()
        raw = self.directory / f"{self.name}.raw"
        offsets = np.zeros(len(self.lengths) + 1, np.int64)
        np.cumsum(self.lengths, out=offsets[1:])
        np.save(self.directory / f"{self.name}.offsets.npy", offsets)
        terms = np.lib.format.open_memmap(
            self.directory / f"{self.name}.terms.npy", "w+", np.uint32, (self.total,)
        )
        with raw.open("rb") as handle:
            at = 0
            while block := handle.read(1 << 24):
                values = np.frombuffer(block, np.uint32)
                terms[at : at + values.size] = values
                at += values.size
        terms.flush()
        raw.unlink()
        vocabulary = np.fromiter(self.df.keys(), np.uint32, len(self.df))
        order = np.argsort(vocabulary)
        frequency = np.fromiter(self.df.values(), np.int32, len(self.df))
        np.save(self.directory / f"{self.name}.vocab.npy", vocabulary[order])
        np.save(self.directory / f"{self.name}.df.npy", frequency[order])
        return self.total / max(1, sum(1 for n in self.lengths if n))


class FeatureStoreBuilder:
    """Writes a feature store in one streaming pass; products get numbers in the order added."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._fields = {name: _FieldWriter(directory, name) for name in FORWARD_FIELDS}
        self._names = Names()
        self._rows: list[Columns] = []
        self._count = 0

    def add(self, batch: Sequence[AnalysedProduct]) -> None:
        if not batch:
            return
        for name, writer in self._fields.items():
            for analysed in batch:
                writer.add(_forward_terms(analysed, name))
        self._rows.append(_columns([_column_values(a.product, self._names) for a in batch]))
        self._count += len(batch)

    def finish(self) -> None:
        lengths = {name: writer.finish() for name, writer in self._fields.items()}
        columns: dict[str, NDArray[Any]] = {
            name: np.concatenate([getattr(c, name) for c in self._rows])
            if self._rows
            else np.empty(0)
            for name in Columns.NAMES
        }
        np.savez(self._directory / "columns.npz", **columns)  # type: ignore[arg-type]
        names = {kind: getattr(self._names, kind) for kind in Names.KINDS}
        (self._directory / "names.json").write_text(json.dumps(names, ensure_ascii=False))
        manifest = {"format": FORMAT, "products": self._count, "mean_length": lengths}
        (self._directory / "manifest.json").write_text(json.dumps(manifest, indent=2))


@dataclass(frozen=True)
class _Rows:
    """One contiguous block of products: the generation's base, or the updates since."""

    fields: Mapping[str, ForwardField]
    columns: Columns
    size: int


def _delta_rows(analysed: Sequence[AnalysedProduct], names: Names) -> _Rows:
    fields = {}
    for name in FORWARD_FIELDS:
        rows = [[term_hash(t) for t in _forward_terms(a, name)][:MAX_TERMS] for a in analysed]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(r) for r in rows], out=offsets[1:])
        flat = np.fromiter((h for r in rows for h in r), np.uint32, int(offsets[-1]))
        fields[name] = ForwardField(offsets, flat)
    columns = _columns([_column_values(a.product, names) for a in analysed])
    return _Rows(fields, columns, len(analysed))


def _join(left: _Rows, right: _Rows) -> _Rows:
    fields = {}
    for name in FORWARD_FIELDS:
        a, b = left.fields[name], right.fields[name]
        fields[name] = ForwardField(
            np.concatenate([a.offsets, a.offsets[-1] + b.offsets[1:]]),
            np.concatenate([a.terms, b.terms]),
        )
    return _Rows(fields, left.columns.concat(right.columns), left.size + right.size)


@dataclass(frozen=True)
class FeatureStore:
    """A generation's features plus the updates applied so far; immutable, safe for many threads.

    Collection statistics (document frequencies, mean lengths) stay those of the generation, so
    that an update changes the updated product's features and nobody else's.
    """

    base: _Rows
    statistics: Mapping[str, FieldStatistics]
    names: Names
    updates: _Rows | None = None

    @property
    def size(self) -> int:
        return self.base.size + (self.updates.size if self.updates else 0)

    @classmethod
    def open(cls, directory: Path) -> FeatureStore:
        manifest = json.loads((directory / "manifest.json").read_text())
        if manifest["format"] != FORMAT:
            raise InvalidInput(
                f"feature store format {manifest['format']}, expected {FORMAT}",
                file=str(directory),
                remedy="rebuild the index with: tandem index",
            )

        def load(name: str) -> NDArray[Any]:
            # A plain view of the mapping: slicing numpy's own memmap class costs microseconds.
            return np.asarray(np.load(directory / name, mmap_mode="r"))

        fields, statistics = {}, {}
        for name in FORWARD_FIELDS:
            fields[name] = ForwardField(load(f"{name}.offsets.npy"), load(f"{name}.terms.npy"))
            statistics[name] = FieldStatistics(
                load(f"{name}.vocab.npy"),
                load(f"{name}.df.npy"),
                float(manifest["mean_length"][name]),
                int(manifest["products"]),
            )
        with np.load(directory / "columns.npz") as arrays:
            columns = Columns(**{name: arrays[name] for name in Columns.NAMES})
        names = Names(**json.loads((directory / "names.json").read_text()))
        return cls(_Rows(fields, columns, int(manifest["products"])), statistics, names)

    def with_products(self, analysed: Sequence[AnalysedProduct]) -> FeatureStore:
        """A store that also holds `analysed`, numbered on from `size`."""
        if not analysed:
            return self
        names = self.names.copy()
        rows = _delta_rows(analysed, names)
        updates = rows if self.updates is None else _join(self.updates, rows)
        return FeatureStore(self.base, self.statistics, names, updates)

    def gather(
        self, field_name: str, numbers: Numbers
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64], Numbers]:
        """Terms of one field for `numbers`: see `ForwardField.gather`."""
        if self.updates is None or numbers.size == 0 or int(numbers.max()) < self.base.size:
            return self.base.fields[field_name].gather(numbers)
        old = numbers < self.base.size
        at_old, at_new = np.flatnonzero(old), np.flatnonzero(~old)
        terms_a, owner_a, len_a = self.base.fields[field_name].gather(numbers[at_old])
        terms_b, owner_b, len_b = self.updates.fields[field_name].gather(
            numbers[at_new] - self.base.size
        )
        lengths = np.empty(numbers.size, np.int64)
        lengths[at_old], lengths[at_new] = len_a, len_b
        return (
            np.concatenate([terms_a, terms_b]),
            np.concatenate([at_old[owner_a], at_new[owner_b]]),
            lengths,
        )

    @cached_property
    def all_columns(self) -> Columns:
        """The columns of every product, (size,) each."""
        if self.updates is None:
            return self.base.columns
        return self.base.columns.concat(self.updates.columns)

    def columns(self, numbers: Numbers) -> Columns:
        """Typed columns of `numbers`, (len(numbers),) each."""
        if self.updates is None or numbers.size == 0 or int(numbers.max()) < self.base.size:
            return self.base.columns.take(numbers)
        old = numbers < self.base.size
        a = self.base.columns.take(np.where(old, numbers, 0))
        b = self.updates.columns.take(np.where(old, 0, numbers - self.base.size))
        return Columns(**{n: np.where(old, getattr(a, n), getattr(b, n)) for n in Columns.NAMES})


def hashes(terms: Iterable[str]) -> NDArray[np.uint32]:
    """(m,) uint32 hashes of terms."""
    return np.fromiter((term_hash(t) for t in terms), np.uint32)
