"""Merchants, creators and content into the workspace, all or nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tandem.contracts.parties import Content, Kind
from tandem.flows.import_ import Mode, nothing_imported
from tandem.flows.quarantine import Quarantine, as_error
from tandem.governance.audit import AuditLog, os_actor
from tandem.ingest.parties import PartyDoor
from tandem.ingest.party_mapping import PartyMapping, find_party_mapping
from tandem.ingest.problem import Rejected
from tandem.storage.catalog import read_ids
from tandem.storage.layout import Layout
from tandem.storage.parties import (
    generations,
    party_manifest,
    read_creators,
    read_generation,
    write_parties,
)

Progress = Callable[[int, int | None], None]
PROGRESS_EVERY = 1_000


@dataclass(frozen=True)
class PartyReport:
    """What an import did.

    imported: rows taken in. quarantined: rows turned away, `by_reason` by code. rows: how many
    there are afterwards. masked: personal data masked in free texts. unknown_creators,
    unknown_products: content that names a creator, or mentions of products, that the workspace does
    not have (None: nothing to compare with, or no content); they are kept.
    """

    kind: Kind
    imported: int
    quarantined: int
    by_reason: Mapping[str, int]
    rows: int
    masked: int
    unknown_creators: int | None
    unknown_products: int | None
    quarantine_file: Path | None
    generation: str
    seconds: float


def simulated_figures(layout: Layout) -> bool:
    """Whether figures of this workspace are of invented products or people. Simulated content
    stands beside no real creators and no real events."""
    stored = generations(layout, "content").live() is not None
    return layout.settings().simulated or (stored and party_manifest(layout, "content").simulated)


def import_parties(
    layout: Layout,
    kind: Kind,
    files: Sequence[Path],
    mapping: PartyMapping | str | Path | None = None,
    *,
    strict: bool = False,
    mode: Mode = "replace",
    progress: Progress | None = None,
) -> PartyReport:
    """Import files of `kind` in place of what is there, or merge them into it (by id).

    Raises InvalidInput, and leaves the workspace as it was, if a file cannot be read to its end, if
    no row is in order, or under `strict`; Conflict if another process is writing.
    """
    started = time.monotonic()
    door = PartyDoor(
        [Path(file) for file in files],
        kind,
        find_party_mapping(kind, mapping),
        currency=layout.settings().currency,
    )
    reasons: Counter[str] = Counter()
    first: list[Rejected] = []
    seen = _Seen()

    def accepted(quarantine: Quarantine) -> Iterator[BaseModel]:
        for done, item in enumerate(door, start=1):
            if progress is not None and done % PROGRESS_EVERY == 0:
                share = door.fraction
                progress(done, max(done, round(done / share)) if share > 0 else None)
            if isinstance(item, Rejected):
                if strict:
                    raise as_error(item)
                if not first:
                    first.append(item)
                reasons[item.code] += 1
                quarantine.add(item)
                continue
            seen.take(item)
            yield item
        if not seen.ids:
            raise nothing_imported(first[0] if first else None, reasons)
        live = generations(layout, kind).live()
        if mode == "merge" and live is not None:
            for old in read_generation(layout, kind, live):
                if old.id not in seen.ids:  # type: ignore[attr-defined]
                    yield old

    source = {"files": [Path(file).name for file in files], "mode": mode}
    with (
        layout.writing(),
        AuditLog(layout).act(os_actor(), "parties.import", kind=kind),
        Quarantine(generations(layout, kind)) as quarantine,
    ):
        manifest = write_parties(
            layout, kind, accepted(quarantine), source, before_live=quarantine.publish
        )
    return PartyReport(
        kind,
        len(seen.ids),
        reasons.total(),
        dict(reasons.most_common()),
        manifest.rows,
        door.masked,
        *_unknown(layout, kind, seen),
        quarantine.file,
        manifest.generation,
        time.monotonic() - started,
    )


class _Seen:
    """Ids that came in, and what content refers to."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.creators: Counter[str] = Counter()
        self.products: Counter[str] = Counter()

    def take(self, row: Any) -> None:
        self.ids.add(row.id)
        if isinstance(row, Content):
            self.creators[row.creator_id] += 1
            self.products.update(row.product_ids)


def _unknown(layout: Layout, kind: Kind, seen: _Seen) -> tuple[int | None, int | None]:
    if kind != "content":
        return None, None
    creators: int | None = None
    if layout.creators.live() is not None:
        known = {creator.id for creator in read_creators(layout)}
        creators = sum(n for creator, n in seen.creators.items() if creator not in known)
    products: int | None = None
    if layout.catalog.live() is not None:
        for ids in read_ids(layout):
            for product in ids:
                seen.products.pop(product, None)
        products = seen.products.total()
    return creators, products
