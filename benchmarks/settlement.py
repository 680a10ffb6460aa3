"""Settlement throughput: orders attributed, refunded and settled per second, every one durable.

    python -m benchmarks.settlement

Beside it the bare store under it: rows of the same size inserted into SQLite with the same
durability, in transactions of the same size.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tandem.collaboration.desk import Desk, OutreachPolicy
from tandem.collaboration.verify import verify
from tandem.contracts.collaboration import (
    Accept,
    AttributedOrder,
    Disclosure,
    Invite,
    Party,
    Publish,
    Refund,
)
from tandem.contracts.product import Money
from tandem.storage.collaborations import CollaborationStore

RESULTS = Path(__file__).parent / "results" / "settlement.json"
PLATFORM = Party(role="platform", id="benchmark")
START = datetime(2026, 1, 1, tzinfo=UTC)
CREATORS = 50


def money(cents: int) -> Money:
    return Money(amount=Decimal(cents).scaleb(-2), currency="EUR")


def measure(orders: int, batch: int, folder: Path) -> dict[str, Any]:
    """Rates per second of one process; `orders` lines in transactions of `batch`."""
    now = [START]
    path = folder / f"collaborations-{batch}.sqlite"
    desk = Desk(
        CollaborationStore(path), OutreachPolicy(invitations_per_day=10**6), clock=lambda: now[0]
    )
    merchant = Party(role="merchant", id="acme")
    ids = []
    for n in range(CREATORS):
        creator = Party(role="creator", id=f"creator-{n}")
        c = desk.open(
            merchant, Invite(creator_id=creator.id, product_ids=("p",), commission_rate=1500)
        )
        desk.act(creator, c.id, Accept())
        label = Disclosure(by="platform_label")
        desk.act(creator, c.id, Publish(content_id="v", disclosure=label))
        ids.append(c.id)
    rows = [
        (
            ids[n % CREATORS],
            AttributedOrder(
                order_line=f"{n:032x}", product_id="p", ordered=START, amount=money(1_000 + n % 997)
            ),
        )
        for n in range(orders)
    ]
    row: dict[str, Any] = {"orders": orders, "batch": batch}
    started = time.perf_counter()
    for at in range(0, orders, batch):
        desk.attribute_each(PLATFORM, rows[at : at + batch])
    row["attributed_per_second"] = round(orders / (time.perf_counter() - started))
    refunds = [
        Refund(refund_id=f"r{n}", order_line=f"{n:032x}", amount=money(500))
        for n in range(0, orders, 10)
    ]
    started = time.perf_counter()
    for at in range(0, len(refunds), batch):
        desk.refund_each(PLATFORM, refunds[at : at + batch])
    row["refunded_per_second"] = round(len(refunds) / (time.perf_counter() - started))
    now[0] = START + timedelta(days=30)
    started = time.perf_counter()
    settlements = desk.settle_due(PLATFORM)
    row["settled_lines_per_second"] = round(orders / (time.perf_counter() - started))
    assert sum(len(s.lines) for s in settlements) == orders
    started = time.perf_counter()
    verification = verify(desk.store)
    row["verified_entries_per_second"] = round(
        verification.entries / (time.perf_counter() - started)
    )
    row["sound"] = verification.sound
    row["mb"] = round(path.stat().st_size / 2**20, 1)
    desk.store.close()
    row["bare_rows_per_second"] = bare(folder / f"bare-{batch}.sqlite", orders, batch)
    return row


def bare(path: Path, rows: int, batch: int) -> int:
    """Rows per second into one table, write-ahead log and `synchronous=FULL` as well."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (id TEXT PRIMARY KEY, state TEXT)")
    text = "x" * 700
    started = time.perf_counter()
    for at in range(0, rows, batch):
        connection.execute("BEGIN IMMEDIATE")
        for n in range(at, min(at + batch, rows)):
            connection.execute("INSERT INTO t VALUES (?, ?)", (f"{n:032x}", text))
        connection.execute("COMMIT")
    spent = time.perf_counter() - started
    connection.close()
    return round(rows / spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=20_000)
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for batch in (1, 1_000):
            orders = arguments.orders if batch > 1 else arguments.orders // 20
            results.append(measure(orders, batch, Path(folder)))
            print(json.dumps(results[-1]), flush=True)
    RESULTS.write_text(json.dumps({"cores": os.cpu_count(), "rows": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
