"""The catalogue: immutable generations of products as Parquet parts.

A generation is a folder with `part-00000.parquet`, …, and `manifest.json`. It is written into a
scratch folder, renamed when complete and made live by one pointer switch, so a reader sees the old
catalogue or the new one, whatever happens to the writer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.product import Money, Product
from tandem.storage.atomic import new_directory, write_json_atomic
from tandem.storage.layout import Layout

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MANIFEST = "manifest.json"
FORMAT = 1
ROWS_PER_PART = 50_000
ROWS_PER_GROUP = 5_000
BYTES_PER_GROUP = 32 * 1024 * 1024
KEEP_GENERATIONS = 3

_COLUMNS = (
    "id",
    "title",
    "description",
    "brand",
    "merchant",
    "category",
    "attributes",
    "identifiers",
    "price_amount",
    "price_currency",
    "stock",
    "rating",
    "rating_count",
    "images",
    "created",
    "language",
    "extra",
)


@dataclass(frozen=True)
class Manifest:
    """What a generation holds.

    fingerprint: 32 hex digits over the content of all products, whatever their order and however
        they are spread over parts (sum of the rows' BLAKE2b digests modulo 2^128).
    source: where the products came from, as the writer states it. created: UTC, ISO 8601.
    parts: file names in reading order.
    """

    format: int
    generation: str
    products: int
    fingerprint: str
    source: Mapping[str, Any]
    created: str
    parts: tuple[str, ...]


def schema() -> pa.Schema:
    """One row a product. Amounts are exact decimals as text; `attributes` and `extra` are JSON
    text, which keeps flags, numbers and texts apart; `created` is microseconds in UTC.
    """
    import pyarrow as pa

    texts = pa.list_(pa.string())
    kinds: dict[str, pa.DataType] = dict.fromkeys(_COLUMNS, pa.string())
    kinds |= dict.fromkeys(("category", "identifiers", "images"), texts)
    kinds |= dict.fromkeys(("stock", "rating_count"), pa.int64())
    kinds |= {"rating": pa.float64(), "created": pa.timestamp("us", tz="UTC")}
    optional = {
        "brand",
        "merchant",
        "price_amount",
        "price_currency",
        "stock",
        "rating",
        "rating_count",
        "created",
        "language",
    }
    return pa.schema([pa.field(c, kinds[c], nullable=c in optional) for c in _COLUMNS])


class CatalogWriter:
    """Streams products into a new generation and makes it live; nothing happens if it fails.

        with CatalogWriter(layout, source={"files": ["shop.csv"]}) as writer:
            for product in products:
                writer.add(product)
        writer.manifest.products

    merge: products of the live generation that are not added again are kept, before the new ones.
    before_live: called with the complete generation's name just before it goes live.

    The caller holds `layout.writing()` and adds no id twice. Memory is bounded by one row group
    (at most 5,000 products or 32 MiB of text), and in a merge by the added ids.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        source: Mapping[str, Any],
        merge: bool = False,
        before_live: Callable[[str], None] | None = None,
    ) -> None:
        self._layout = layout
        self._source = source
        self._merge = merge
        self._before_live = before_live
        self._stack = ExitStack()
        self._manifest: Manifest | None = None

    @property
    def manifest(self) -> Manifest:
        """What was written; there only after the block has ended well."""
        if self._manifest is None:
            raise RuntimeError("the generation is not written yet")
        return self._manifest

    def __enter__(self) -> Self:
        generations = self._layout.catalog
        generations.sweep()
        self._name = generations.next_name()
        self._folder = self._stack.enter_context(new_directory(generations.root / self._name))
        self._parts: list[str] = []
        self._writer: pq.ParquetWriter | None = None
        self._in_part = 0
        self._rows: list[tuple[Any, ...]] = []
        self._bytes = 0
        self._products = 0
        self._digest = 0
        self._ids: set[str] | None = set() if self._merge and generations.live() else None
        self._schema = schema()
        return self

    def add(self, product: Product) -> None:
        row, size = _encode(product)
        if self._ids is not None:
            self._ids.add(product.id)
        self._append(row, size)

    def _append(self, row: tuple[Any, ...], size: int) -> None:
        digest = hashlib.blake2b(orjson.dumps(row, option=_DIGEST_OPTIONS), digest_size=16)
        self._digest = (self._digest + int.from_bytes(digest.digest())) % 2**128
        self._products += 1
        self._rows.append(row)
        self._bytes += size
        if len(self._rows) >= ROWS_PER_GROUP or self._bytes >= BYTES_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            name = f"part-{len(self._parts):05d}.parquet"
            self._writer = pq.ParquetWriter(
                self._folder / name, self._schema, compression="zstd", compression_level=1
            )
            self._parts.append(name)
        columns = zip(*self._rows, strict=True)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._in_part += len(self._rows)
        self._rows, self._bytes = [], 0
        if self._in_part >= ROWS_PER_PART:
            self._close_part()

    def _close_part(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()
        self._writer, self._in_part = None, 0

    def _keep_others(self) -> int:
        """Append the live generation's products that were not added; returns the first such part.

        They are written last, when all new ids are known, but listed first.
        """
        self._close_part()
        first = len(self._parts)
        if self._ids is not None:
            for products in read_products(self._layout):
                for product in products:
                    if product.id not in self._ids:
                        self._append(*_encode(product))
            self._close_part()
        return first

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        generations = self._layout.catalog
        try:
            with self._stack:
                if error is not None:
                    raise error
                first_kept = self._keep_others()
                if not self._products:
                    raise InvalidInput(
                        "no product to store", remedy="import at least one product that is in order"
                    )
                self._manifest = Manifest(
                    format=FORMAT,
                    generation=self._name,
                    products=self._products,
                    fingerprint=f"{self._digest:032x}",
                    source=dict(self._source),
                    created=datetime.now(UTC).isoformat(timespec="seconds"),
                    parts=(*self._parts[first_kept:], *self._parts[:first_kept]),
                )
                write_json_atomic(self._folder / MANIFEST, asdict(self._manifest))
            if self._before_live is not None:
                self._before_live(self._name)
            generations.switch(self._name)
        except BaseException:
            if self._writer is not None:
                with contextlib.suppress(Exception):
                    self._writer.close()
            with contextlib.suppress(OSError):
                generations.root.rmdir()  # only if this writer made it: it is empty then
            raise
        generations.prune(KEEP_GENERATIONS)


def write_generation(
    layout: Layout, products: Iterable[Product], source: Mapping[str, Any]
) -> Manifest:
    """Replace the catalogue by `products` (unique ids); the caller holds `layout.writing()`."""
    with CatalogWriter(layout, source=source) as writer:
        for product in products:
            writer.add(product)
    return writer.manifest


def updates_through(manifest: Manifest) -> int:
    """The last live update (journal sequence) that a generation holds; 0 when none."""
    return int(manifest.source.get("updates_through", 0))


def manifest(layout: Layout, generation: str | None = None) -> Manifest:
    """The manifest of one generation, by default the live one. Raises NotFound before the first."""
    name = generation or layout.catalog.live()
    if name is None:
        raise NotFound(
            f"no catalogue in {layout.root}",
            remedy="import one: tandem import catalog FILE",
        )
    path = layout.catalog.path(name) / MANIFEST
    try:
        values = json.loads(path.read_bytes())
        if values["format"] != FORMAT:
            raise InvalidInput(
                f"the catalogue has format {values['format']}, this version reads {FORMAT}",
                file=str(path),
                remedy="import the catalogue again",
            )
        return Manifest(**{**values, "parts": tuple(values["parts"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"not a catalogue's manifest: {error}",
            file=str(path),
            remedy="roll back to the generation before, or import the catalogue again",
        ) from None


def read_products(
    layout: Layout, batch_size: int = 4096, *, generation: str | None = None
) -> Iterator[list[Product]]:
    """All products of a generation (by default the live one), in order, in lists of `batch_size`
    at most. Raises NotFound where there is no catalogue.
    """
    import pyarrow.parquet as pq

    described = manifest(layout, generation)
    folder = layout.catalog.path(described.generation)
    for part in described.parts:
        with pq.ParquetFile(folder / part) as table:
            for batch in table.iter_batches(batch_size, use_threads=False):
                yield _decode(batch)


def read_ids(layout: Layout, batch_size: int = 65_536) -> Iterator[list[str]]:
    """The ids of all products of the live generation, without reading the rest."""
    import pyarrow.parquet as pq

    described = manifest(layout)
    folder = layout.catalog.path(described.generation)
    for part in described.parts:
        with pq.ParquetFile(folder / part) as table:
            for batch in table.iter_batches(batch_size, columns=["id"], use_threads=False):
                yield batch.column(0).to_pylist()


def offers_of(layout: Layout, ids: Sequence[str]) -> dict[str, tuple[str | None, Money | None]]:
    """(merchant, price) of these products, by id, as the live generation says; of those that it
    knows."""
    import pyarrow.parquet as pq

    if layout.catalog.live() is None:
        return {}
    described = manifest(layout)
    folder = layout.catalog.path(described.generation)
    found: dict[str, tuple[str | None, Money | None]] = {}
    columns = ["id", "merchant", "price_amount", "price_currency"]
    for part in described.parts:
        table = pq.read_table(
            folder / part,
            columns=columns,
            filters=[("id", "in", list(ids))],
            use_threads=False,
        )
        for id_, merchant, amount, currency in zip(
            *(table[name].to_pylist() for name in columns), strict=True
        ):
            price = None if amount is None else Money(amount=amount, currency=currency)
            found[id_] = merchant, price
    return found


_DIGEST_OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


def _encode(product: Product) -> tuple[tuple[Any, ...], int]:
    """One row in schema order, and roughly how many bytes it takes."""
    price = product.price
    attributes = orjson.dumps(product.attributes).decode()
    # The standard library's JSON keeps integers of any size, and escapes what UTF-8 cannot hold.
    extra = json.dumps(product.extra, default=str) if product.extra else "{}"
    created = product.created
    if created is not None and created.tzinfo is None:
        created = created.replace(tzinfo=UTC)
    row = (
        product.id,
        product.title,
        product.description,
        product.brand,
        product.merchant,
        product.category,
        attributes,
        product.identifiers,
        None if price is None else str(price.amount),
        None if price is None else price.currency,
        product.stock,
        product.rating,
        product.rating_count,
        product.images,
        created,
        product.language,
        extra,
    )
    size = len(product.title) + len(product.description) + len(attributes) + len(extra) + 200
    return row, size


def _decode(batch: pa.RecordBatch) -> list[Product]:
    """Products out of our own Parquet: validated when they came in, so not validated again."""
    columns = [column.to_pylist() for column in batch.columns]
    loads, construct = orjson.loads, Product.model_construct
    products: list[Product] = []
    for (
        identity,
        title,
        description,
        brand,
        merchant,
        category,
        attributes,
        identifiers,
        amount,
        currency,
        stock,
        rating,
        rating_count,
        images,
        created,
        language,
        extra,
    ) in zip(*columns, strict=True):
        products.append(
            construct(
                id=identity,
                title=title,
                description=description,
                brand=brand,
                merchant=merchant,
                category=tuple(category),
                attributes=loads(attributes),
                identifiers=tuple(identifiers),
                price=None
                if amount is None
                else Money.model_construct(amount=Decimal(amount), currency=currency),
                stock=stock,
                rating=rating,
                rating_count=rating_count,
                images=tuple(images),
                created=created,
                language=language,
                extra=json.loads(extra) if extra != "{}" else {},
            )
        )
    return products
