"""The places that a shop drew while it explored, with what was clicked there."""

from __future__ import annotations

import numpy as np

from tandem.contracts.consent import Purpose
from tandem.governance.reading import EventReader
from tandem.ranking.clicks.propensity import Lots
from tandem.registry.served import ServedLog
from tandem.storage.layout import Layout


def lots_of(layout: Layout, purpose: Purpose, actor: str) -> Lots:
    """The served log and the events meet by the query's id; searches of whom `purpose` may not read
    are left out, and so are bots. actor: who asks, for the audit log.

    A swap may bring the first product to each of the drawn places, and no other product: only it
    is in there. Plackett-Luce may bring each product to each place, and all are.
    """
    clicks = _clicked(layout, purpose, actor)
    lists, place, clicked, chance = [], [], [], []
    number, simulated = 0, layout.settings().simulated
    for s in ServedLog(layout.served).entries():
        if s.explored is None or s.query_id not in clicks:
            continue
        for at, rank in enumerate(s.explored.places):
            if s.explored.method == "swap" and rank != 0:
                continue
            lists.append(number)
            place.append(at)
            clicked.append(float(s.products[at] in clicks[s.query_id]))
            chance.append(s.explored.marginal[at])
        number += 1
        simulated |= s.simulated
    return Lots(
        np.array(lists, np.int64),
        np.array(place, np.int64),
        np.array(clicked, np.float64),
        np.array(chance, np.float64),
        number,
        simulated,
    )


def _clicked(layout: Layout, purpose: Purpose, actor: str) -> dict[str, set[str]]:
    """Products clicked, by search that may be read."""
    with EventReader(layout, purpose, actor=actor).reading() as events:
        table = events.table(("query_id", "object_id", "action_name", "traffic")).table
    found: dict[str, set[str]] = {}
    for row in table.to_pylist():
        if row["traffic"] != "shopper" or row["query_id"] is None:
            continue
        clicks = found.setdefault(row["query_id"], set())
        if row["action_name"] == "click" and row["object_id"]:
            clicks.add(row["object_id"])
    return found
