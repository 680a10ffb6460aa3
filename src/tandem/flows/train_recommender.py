"""Train a recommender on what people did, measure it on the last sessions, publish it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput
from tandem.contracts.recommend import MAX_RECENT, STORED_EVENTS
from tandem.contracts.search import Filters, Sort
from tandem.flows.generations import publishing
from tandem.flows.telling import traced, tracked
from tandem.flows.workspace import Workspace
from tandem.governance.audit import os_actor
from tandem.governance.reading import EventReader
from tandem.ranking.learned import code_version
from tandem.recommend.baskets import Baskets
from tandem.recommend.behaviour import Behaviour, behaviour_of, read_behaviour
from tandem.recommend.following import FOLDER, Following, ServedModel
from tandem.recommend.sessions import Ints, Pairs, pairs_of
from tandem.recommend.tables import RecommenderManifest, Tables, Way
from tandem.storage.layout import Layout

CUTOFF = 20
HELD_SHARE = 10  # one session in so many is kept back to measure
MOST_PAIRS = 5_000
FEWEST_PAIRS = 20  # fewer say nothing


@dataclass(frozen=True)
class RecommenderReport:
    """A published recommender."""

    generation: str
    manifest: RecommenderManifest
    seconds: float


@traced("train recommender", "recommenders", "index", "events")
@tracked("recommenders")
def train_recommender(
    layout: Layout,
    events: Path | None = None,
    network: str | None = None,
    *,
    live: bool = True,
) -> RecommenderReport:
    """Learn from a file of events about this workspace's products, or from the stored ones;
    publish, and switch unless it is to wait as a candidate.

    What is published learns from all sessions; the figures in its manifest come from one that had
    not seen the last tenth. network: `sasrec`, `gsasrec` or `stacked`, which learns too; it is
    asked for what comes next, alone or beside the tables, where that foretold the last tenth
    better. Raises InvalidInput or NotFound, and MissingExtra for sasrec and gsasrec without torch.
    """
    started = time.perf_counter()
    with Workspace(layout, ranked=False) as shop:
        view = shop.view
        there = view.snapshot.browse(Filters(), Sort.NEWEST, view.snapshot.size)
        catalogue = view.snapshot.ids(np.sort(there.numbers))
        simulated = shop.settings.simulated
    found = _stored(layout, catalogue) if events is None else read_behaviour(events, catalogue)
    source = STORED_EVENTS if events is None else events.name
    if not found.sessions.items.size and not len(found.baskets):
        if not found.unknown:
            raise InvalidInput(
                "there are no events to learn from",
                file=source,
                remedy="collect some, or name a file with --events",
            )
        raise InvalidInput(
            f"none of its {found.unknown:,} rows is about a product of the catalogue",
            file=source,
            field="item_id",
            remedy="use the product ids of this workspace",
        )
    metrics, by = measured(found, network)
    served = None
    if network is not None and by != "tables":
        served = ServedModel.fit(network, found.sessions)
    manifest = RecommenderManifest(
        trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
        data=source,
        sessions=len(found.sessions),
        clicks=int(found.sessions.items.size),
        baskets=len(found.baskets),
        items=len(found.ids),
        unknown_items=found.unknown,
        simulated=simulated or found.simulated,
        code_version=code_version(),
        index_generation=view.generation,
        metrics={**metrics, "complementary": measured_baskets(found)},
        network=None if served is None else network,
        next_by=by,
    )
    tables = Tables.fit(found.ids, found.sessions, found.baskets)
    with publishing(layout, "recommenders", live=live) as (name, scratch):
        tables.save(scratch, manifest)
        if served is not None:
            (scratch / FOLDER).mkdir()
            served.save(scratch / FOLDER)
    return RecommenderReport(name, manifest, time.perf_counter() - started)


def _stored(layout: Layout, catalogue: list[str]) -> Behaviour:
    """What shoppers did who allow learning from it; bots and staff are left out."""
    import pyarrow.compute as pc

    columns = ("session", "object_id", "action_name", "timestamp", "order", "traffic", "query_id")
    reader = EventReader(layout, Purpose.MODEL_TRAINING, actor=os_actor())
    with reader.reading() as events:
        table = events.table(columns).table
        if events.stored and not table.num_rows:
            raise InvalidInput(
                "none of the stored events may be read for model_training",
                file=STORED_EVENTS,
                remedy="ask people for consent; what each purpose rests on: tandem consent basis",
            )
    whole = pc.and_(pc.is_valid(table["session"]), pc.is_valid(table["object_id"]))
    table = table.filter(pc.and_(whole, pc.equal(table["traffic"], "shopper")))
    made_up = pc.any(pc.starts_with(table["query_id"], "simulated-")).as_py()
    found = behaviour_of(table, catalogue, STORED_EVENTS)
    return replace(found, simulated=bool(made_up))


def measured(found: Behaviour, network: str | None = None) -> tuple[dict[str, Any], Way]:
    """P@20 and MRR@20 in percent of `next` and of the favourites, on the last tenth of the
    sessions, by what had learned from those before it, and who is to be asked for what comes next:
    the one with the highest MRR@20. What was just looked at is left out of the lists, as in
    serving. Null where there are too few; that is InvalidInput where a network is to be judged."""
    held = len(found.sessions) // HELD_SHARE
    earlier = found.sessions[: len(found.sessions) - held]
    pairs = pairs_of(found.sessions[len(found.sessions) - held :], earlier.counts() > 0)
    if len(pairs) < FEWEST_PAIRS:
        if network is not None:
            raise InvalidInput(
                f"too few sessions to tell what '{network}' is worth: {len(pairs)} next products "
                f"in the last tenth, {FEWEST_PAIRS} are needed",
                field="network",
                remedy="train without it until there are more",
            )
        return {"pairs": len(pairs), "next": None, "popularity": None}, "tables"
    rng = np.random.default_rng(1)
    chosen = rng.choice(len(pairs), min(MOST_PAIRS, len(pairs)), replace=False)
    pairs = pairs.take(np.sort(chosen))
    tables = Tables.fit(found.ids, earlier, found.baskets)
    ways: dict[Way, Following] = {"tables": Following(tables)}
    if network is not None:
        learned = ServedModel.fit(network, earlier)
        ways["network"] = Following(tables, learned, "network")
        ways["both"] = Following(tables, learned, "both")
    favourites, _ = tables.favourites(CUTOFF + MAX_RECENT)
    figures = {way: _hits(pairs, partial(_led_to, f)) for way, f in ways.items()}
    by = max(figures, key=lambda way: figures[way][f"MRR@{CUTOFF}"])
    metrics = {
        "pairs": len(pairs),
        "next": figures[by],
        "popularity": _hits(pairs, lambda _: favourites),
    }
    return metrics | ({"next_by": figures} if network is not None else {}), by


def _led_to(following: Following, recent: Ints) -> Ints:
    return following.after(recent)[0]


def _hits(pairs: Pairs, named: Callable[[Ints], Ints]) -> dict[str, float]:
    """P@20 and MRR@20 in percent of lists without what was just looked at."""
    found_at = []
    for row, target in enumerate(pairs.targets.tolist()):
        recent = pairs.prefixes[row : row + 1].items
        items = named(recent)
        found_at.append(_reciprocal(items[~np.isin(items, recent)][:CUTOFF], target))
    return {
        f"P@{CUTOFF}": round(100 * float(np.mean(np.array(found_at) > 0)), 2),
        f"MRR@{CUTOFF}": round(100 * float(np.mean(found_at)), 2),
    }


def measured_baskets(found: Behaviour) -> dict[str, Any] | None:
    """Of the last tenth of the baskets: from one item of each, drawn by lot, the share of its other
    items (percent) among the 20 that are said to go with it, and among the 20 bought most, by what
    came before; null where there are too few."""
    baskets = found.baskets
    held = len(baskets) // HELD_SHARE
    earlier = Baskets(
        baskets.contents[: len(baskets) - held],
        baskets.person[: len(baskets) - held],
        baskets.day[: len(baskets) - held],
        baskets.people,
    )
    later = baskets.contents[len(baskets) - held :]
    rows = np.flatnonzero(later.lengths > 1)
    if rows.size < FEWEST_PAIRS:
        return None
    rng = np.random.default_rng(1)
    rows = np.sort(rng.choice(rows, min(MOST_PAIRS, rows.size), replace=False))
    tables = Tables.fit(found.ids, found.sessions[:0], earlier)
    counts = earlier.contents.counts()
    most = np.argsort(-counts, kind="stable")[: CUTOFF + 1]
    shares = []
    for row in rows.tolist():
        items = later[row : row + 1].items
        start = int(rng.choice(items))
        others = items[items != start]
        beside, _ = tables.beside(start)
        bought = most[most != start][:CUTOFF]
        shares.append([np.isin(others, beside[:CUTOFF]).mean(), np.isin(others, bought).mean()])
    own, plain = np.mean(shares, axis=0)
    return {
        "baskets": len(rows),
        f"Recall@{CUTOFF}": round(100 * float(own), 2),
        f"Recall@{CUTOFF}_of_most_bought": round(100 * float(plain), 2),
    }


def _reciprocal(items: Ints, target: int) -> float:
    at = np.flatnonzero(items == target)
    return 1 / (int(at[0]) + 1) if at.size else 0.0
