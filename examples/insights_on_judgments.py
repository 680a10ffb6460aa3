"""Insight on a real catalogue: python examples/insights_on_judgments.py DATASET FOLDER REPORT.md

Real products, real queries, real judgments, and what Tandem's word search really answers. No public
data set has such queries together with what shoppers did, so the shoppers are simulated: they look
at a list by a known position bias and click and buy by the judged relevance. What is reported are
failures of a real search on real queries; how many visits there were, and sales, are made up.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tandem.contracts.search import SearchRequest
from tandem.flows.import_ import create_workspace, import_catalog, import_judgments
from tandem.flows.index import build_index
from tandem.flows.insights import report_insights, try_fix
from tandem.flows.workspace import Workspace, open_workspace
from tandem.reports.insights import markdown_page
from tandem.simulate.shoppers import PBM_EXAMINATION, SCHEMA, SHOWN, START
from tandem.storage.layout import Layout

VISITS = 150  # by query
CLICKS = {3: 0.45, 2: 0.25, 1: 0.08, 0: 0.03}
CARTS = {3: 0.35, 2: 0.15, 1: 0.02, 0: 0.01}
DAYS = 28


def main(dataset: str, folder: Path, report: Path) -> None:
    data = Path(os.environ.get("TANDEM_DATA", "../shared/data")) / dataset
    if not folder.exists():
        layout = create_workspace(folder, name=f"{dataset}-insights", encoder=None)
        import_catalog(layout, [data / "products.jsonl.gz"], mapping=dataset)
        import_judgments(layout, data / "judgments.csv", dataset)
        build_index(layout)
    with open_workspace(folder) as shop:
        events = visits(shop)
    file = folder / "simulated-shoppers.parquet"
    pq.write_table(events, file)
    layout = Layout.open(folder)
    document = report_insights(layout, [file]).to_json()
    page = markdown_page(document, f"Where word search fails on {dataset}")
    tried = [(f, try_fix(layout, f["id"], [file])) for f in document["findings"][:10]]
    page += "\n## The fixes, tried offline\n\n| finding | verdict | why |\n|---|---|---|\n"
    page += "".join(f"| {f['title']} | {t.verdict} | {t.reason} |\n" for f, t in tried)
    report.parent.mkdir(parents=True, exist_ok=True)
    about = " ".join((__doc__ or "").split("\n\n", 1)[1].split())
    report.write_text(page.replace("\n", f"\n\n{about}\n", 1))


def visits(shop: Workspace) -> pa.Table:
    """Events of simulated shoppers before what the search really answers."""
    rng = np.random.default_rng(7)
    rows: list[dict[str, Any]] = []
    judged = shop.judgment_list()
    for number, query in enumerate(judged.queries):
        answer = shop.search(SearchRequest(q=query, size=SHOWN, ranker="bm25"))
        known = judged.by_query[query]
        products = [hit.product for hit in answer.hits]
        for visit in range(VISITS):
            # Neighbours change places now and then, so that place and product can be told apart.
            order = np.argsort(np.arange(len(products)) + rng.normal(0, 0.8, len(products)))
            shown = [products[i] for i in order]
            at = (START.timestamp() + rng.integers(0, DAYS * 86_400)) * 1e6
            who = number * VISITS + visit
            base = {
                "query_id": f"simulated-{who}",
                "client": f"sim.{who // 2:022d}",
                "session": f"sim.{who:022d}",
                "language": "en",
            }
            rows.append(
                base
                | {
                    "action_name": "search",
                    "timestamp": at,
                    "user_query": query.lower(),
                    "total": answer.total,
                    "object_ids": [p.id for p in shown],
                    "latency_ms": answer.timings_ms["total"],
                }
            )
            for place, product in enumerate(shown):
                relevance = known.get(product.id, 0)
                if rng.random() > PBM_EXAMINATION[place] * CLICKS[relevance]:
                    continue
                acted = base | {"object_id": product.id, "position": place + 1}
                then = at + 5e6 * (place + 1)
                rows.append(acted | {"action_name": "click", "timestamp": then})
                if rng.random() > CARTS[relevance]:
                    continue
                rows.append(
                    acted
                    | {"action_name": "add_to_cart", "timestamp": at + 5e6 * (place + 1) + 4e6}
                )
                if product.price is not None and rng.random() < 0.5:
                    paid = {
                        "action_name": "purchase",
                        "timestamp": then + 4.5e6,
                        "amount": str(product.price.amount),
                        "currency": product.price.currency,
                        "quantity": 1,
                    }
                    rows.append(acted | paid)
    empty: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    empty |= {"masked": [], "object_ids": [], "filters": [], "traffic": "shopper", "clock": "kept"}
    whole = []
    for number, row in enumerate(rows):
        at = int(row["timestamp"])
        whole.append(empty | row | {"event_key": f"{number:032x}", "timestamp": at, "received": at})
    return pa.Table.from_pylist(whole, schema=SCHEMA)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
