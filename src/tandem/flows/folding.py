"""Fold live updates into the catalogue, so that a new index generation starts from them."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.contracts.product import Product
from tandem.storage.catalog import manifest, read_products, updates_through, write_generation
from tandem.storage.layout import Layout
from tandem.storage.updates import UpdateJournal


def fold_updates(layout: Layout) -> int:
    """Write a catalogue generation with all journalled updates, when there are any that the live
    one lacks; returns the last sequence it holds. The caller holds `layout.writing()`.

    The journal keeps its entries: older index generations still need them for a roll back.
    """
    live = manifest(layout)
    folded = updates_through(live)
    pending = UpdateJournal(layout.updates).since(folded)
    if not pending:
        return folded
    latest = {u.product_id: u.product for u in pending}

    def products() -> Iterator[Product]:
        for batch in read_products(layout, 2048):
            yield from (p for p in batch if p.id not in latest)
        yield from (p for p in latest.values() if p is not None)

    last = pending[-1].sequence
    source = {**live.source, "updates": len(latest), "updates_through": last}
    write_generation(layout, products(), source)
    return last
