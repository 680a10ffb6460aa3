"""Merchants, creators and content on disk: immutable generations, one Parquet file each.

A generation is a folder with `rows.parquet` and `manifest.json`, made live by one pointer switch as
the catalogue's are. Columns are named as the fields of the contract; ranges are structs, amounts
exact decimals as text, and mappings JSON text.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.parties import Content, CountRange, Creator, Kind, Merchant, MoneyRange
from tandem.storage.atomic import new_directory, write_json_atomic
from tandem.storage.layout import Generations, Layout

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "manifest.json"
ROWS = "rows.parquet"
FORMAT = 1
KEEP_GENERATIONS = 3
BATCH = 5_000

CONTRACTS: Mapping[Kind, type[BaseModel]] = {
    "merchants": Merchant,
    "creators": Creator,
    "content": Content,
}


@dataclass(frozen=True)
class PartyManifest:
    """What a generation holds. simulated: whether any row is. created: UTC, ISO 8601."""

    format: int
    generation: str
    kind: Kind
    rows: int
    simulated: bool
    source: Mapping[str, Any]
    created: str


def generations(layout: Layout, kind: Kind) -> Generations:
    found: Generations = getattr(layout, kind)
    return found


def write_parties(
    layout: Layout,
    kind: Kind,
    rows: Iterable[BaseModel],
    source: Mapping[str, Any],
    *,
    before_live: Callable[[str], None] | None = None,
) -> PartyManifest:
    """Write rows (unique ids) as a new generation and make it live. The caller holds
    `layout.writing()`. before_live: called with its name just before. InvalidInput without rows.
    """
    import pyarrow.parquet as pq

    contract = CONTRACTS[kind]
    store = generations(layout, kind)
    store.sweep()
    name = store.next_name()
    with new_directory(store.root / name) as folder:
        count, simulated = 0, False
        with pq.ParquetWriter(folder / ROWS, schema(contract), compression="zstd") as writer:
            for batch in _batches(rows):
                writer.write_table(_encode(batch, contract))
                count += len(batch)
                simulated = simulated or any(getattr(row, "simulated", False) for row in batch)
        if not count:
            raise InvalidInput(
                f"no {kind} to store", remedy="import at least one row that is in order"
            )
        manifest = PartyManifest(
            FORMAT,
            name,
            kind,
            count,
            simulated,
            dict(source),
            datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_json_atomic(folder / MANIFEST, asdict(manifest))
    if before_live is not None:
        before_live(name)
    store.switch(name)
    store.prune(KEEP_GENERATIONS)
    return manifest


def party_manifest(layout: Layout, kind: Kind, generation: str | None = None) -> PartyManifest:
    """The manifest of one generation, by default the live one. Raises NotFound before the first."""
    store = generations(layout, kind)
    name = generation or store.live()
    if name is None:
        raise NotFound(
            f"no {kind} in {layout.root}", remedy=f"import them: tandem import {kind} FILE"
        )
    path = store.path(name) / MANIFEST
    try:
        values = json.loads(path.read_bytes())
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']}, this version reads {FORMAT}")
        return PartyManifest(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"not a manifest of {kind}: {error}",
            file=str(path),
            remedy=f"roll back to the generation before: tandem rollback {kind}",
        ) from None


def read_merchants(layout: Layout) -> list[Merchant]:
    """All merchants of the live generation; empty when none were imported."""
    return [row for row in _read(layout, "merchants") if isinstance(row, Merchant)]


def read_creators(layout: Layout) -> list[Creator]:
    """All creators of the live generation as the platform declared them; what may be shown of
    them is for `tandem.governance.creators` to say. Empty when none were imported."""
    return [row for row in _read(layout, "creators") if isinstance(row, Creator)]


def read_handles(layout: Layout, creators: Collection[str]) -> dict[str, str]:
    """Handles of some creators of the live generation, by id; those unknown are left out. What may
    be shown of them is for `tandem.governance.creators` to say."""
    import pyarrow.parquet as pq

    live = layout.creators.live()
    if live is None or not creators:
        return {}
    table = pq.read_table(
        layout.creators.path(live) / ROWS,
        columns=["id", "handle"],
        filters=[("id", "in", sorted(creators))],
        use_threads=False,
    )
    return dict(zip(table["id"].to_pylist(), table["handle"].to_pylist(), strict=True))


def read_content(layout: Layout) -> list[Content]:
    """All content of the live generation; empty when none was imported."""
    return [row for row in _read(layout, "content") if isinstance(row, Content)]


def read_generation(layout: Layout, kind: Kind, generation: str) -> Iterator[BaseModel]:
    """The rows of any generation, in order."""
    import pyarrow.parquet as pq

    contract = CONTRACTS[kind]
    texts = [name for name, field in _types(contract).items() if _bare(field)[0] is dict]
    with pq.ParquetFile(generations(layout, kind).path(generation) / ROWS) as file:
        for batch in file.iter_batches(BATCH, use_threads=False):
            for row in batch.to_pylist():
                for name in texts:
                    row[name] = json.loads(row[name])
                yield contract.model_validate({k: v for k, v in row.items() if v is not None})


def rewrite_parties(
    layout: Layout, kind: Kind, keep: Callable[[BaseModel], bool]
) -> tuple[int, int]:
    """Remove the rows that `keep` refuses from every generation; what is left of the live one goes
    live anew. Gives how many went from the live one, and how many are left in it. The caller holds
    `layout.writing()`. Interrupted, it can be done again.
    """
    store = generations(layout, kind)
    store.sweep()
    gone = left = 0
    live = store.live()
    for name in store.names():
        rows = list(read_generation(layout, kind, name))
        kept = [row for row in rows if keep(row)]
        if name == live:
            gone, left = len(rows) - len(kept), len(kept)
        if len(kept) == len(rows):
            continue
        if name == live and kept:
            source = party_manifest(layout, kind, name).source
            write_parties(layout, kind, kept, {**source, "rewritten": name})
        _remove(store, name)
    for file in (store.root / "quarantine").glob("*.jsonl"):
        if gone:
            file.unlink()  # excerpts of rows: they may be of those that went
    return gone, left


def expire_creators(layout: Layout, before: int) -> int:
    """Remove generations of creators that were declared before that moment (microseconds since
    1970, UTC); gives how many creators went from the live one."""
    store, gone = layout.creators, 0
    live = store.live()
    for name in store.names():
        found = party_manifest(layout, "creators", name)
        if datetime.fromisoformat(found.created).timestamp() * 1e6 < before:
            gone += found.rows if name == live else 0
            _remove(store, name)
    return gone


def expire_content(layout: Layout, before: int) -> tuple[int, int | None]:
    """Remove content that was published before that moment (microseconds since 1970, UTC); gives
    how many went, and the moment of the oldest that is left."""
    gone, _ = rewrite_parties(
        layout,
        "content",
        lambda row: isinstance(row, Content) and row.published.timestamp() * 1e6 >= before,
    )
    moments = [piece.published.timestamp() for piece in read_content(layout)]
    return gone, round(min(moments) * 1e6) if moments else None


def _remove(store: Generations, name: str) -> None:
    """Remove a generation; nothing is live any more where it was the live one."""
    if store.live() == name:
        store.pointer.unlink()
    shutil.rmtree(store.root / name, ignore_errors=True)  # pruned already, perhaps


def _read(layout: Layout, kind: Kind) -> Iterator[BaseModel]:
    live = generations(layout, kind).live()
    return iter(()) if live is None else read_generation(layout, kind, live)


def schema(contract: type[BaseModel]) -> pa.Schema:
    """One column a field of the contract."""
    import pyarrow as pa

    return pa.schema([pa.field(name, _arrow(kind)) for name, kind in _types(contract).items()])


def _types(contract: type[BaseModel]) -> dict[str, Any]:
    return {name: field.annotation for name, field in contract.model_fields.items()}


def _bare(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """(type, arguments) without `Annotated` and `| None`; models that hold mappings are `dict`."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return _bare(next(a for a in get_args(kind) if a is not type(None)))
    origin = get_origin(kind)
    if origin is Literal:
        return str, ()
    if origin is not None:
        return origin, get_args(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return (kind, ()) if kind in (CountRange, MoneyRange) else (dict, ())
    return kind, ()


def _arrow(kind: Any) -> pa.DataType:
    import pyarrow as pa

    bare, arguments = _bare(kind)
    if bare is tuple:
        return pa.list_(_arrow(arguments[0]))
    if bare is CountRange:
        return pa.struct([("minimum", pa.int64()), ("maximum", pa.int64())])
    if bare is MoneyRange:
        text = pa.string()
        return pa.struct([("minimum_amount", text), ("maximum_amount", text), ("currency", text)])
    known = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    if bare in (datetime, AwareDatetime):
        return pa.timestamp("us", tz="UTC")
    return known.get(bare, pa.string())


def _encode(rows: Sequence[BaseModel], contract: type[BaseModel]) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, list[Any]] = {name: [] for name in contract.model_fields}
    for row in rows:
        for name, values in columns.items():
            values.append(_plain(getattr(row, name)))
    target = schema(contract)
    return pa.table([pa.array(columns[f.name], f.type) for f in target], schema=target)


def _plain(value: Any) -> Any:
    if isinstance(value, MoneyRange):
        return {k: str(v) if isinstance(v, Decimal) else v for k, v in value.model_dump().items()}
    if isinstance(value, CountRange):
        return value.model_dump()
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return value


def _batches(rows: Iterable[BaseModel]) -> Iterator[list[BaseModel]]:
    batch: list[BaseModel] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
