"""Train personalised search on what people chose after searching, measure it, publish it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput
from tandem.contracts.events import QUERY_ACTION
from tandem.contracts.recommend import STORED_EVENTS
from tandem.flows.generations import publishing
from tandem.flows.personal_search import Episode, Pools, choices, compare, summary
from tandem.flows.telling import traced, tracked
from tandem.flows.visitors import LOOKED, SESSION
from tandem.flows.workspace import Workspace
from tandem.governance.audit import os_actor
from tandem.governance.reading import EventReader
from tandem.ranking.learned import code_version
from tandem.ranking.personal import PersonalManifest, PersonalRanker, save_personal
from tandem.storage.layout import Layout
from tandem.storage.visitor_state import MOST_RECENT, newest

HELD_SHARE = 5  # one search in so many, the last ones, is kept back to measure
FEWEST = 30  # searches kept back; fewer say nothing
MOST = 20_000  # searches to learn from, the last ones
COLUMNS = (
    *("client", "action_name", "object_id", "query_id", "user_query", "timestamp", "traffic"),
    "object_ids",
)
SECOND = 1_000_000


@dataclass(frozen=True)
class PersonalReport:
    """A published personal ranker."""

    generation: str
    manifest: PersonalManifest
    weights: Mapping[str, float]
    seconds: float


@traced("train personal", "personal", "index", "events")
@tracked("personal")
def train_personal(layout: Layout, *, live: bool = True) -> PersonalReport:
    """Learn from the stored events of people who allow model_training; publish, and switch
    unless it is to wait as a candidate.

    What is published learns from all searches; the figures in its manifest come from one that had
    not seen the last fifth. Raises InvalidInput where there is nothing to learn from.
    """
    started = time.perf_counter()
    episodes, simulated = _stored(layout)
    with Workspace(layout) as shop:
        pools = Pools(shop.view)
        held = len(episodes) // HELD_SHARE
        learnt = choices(pools, episodes[-MOST:])
        if not learnt:
            raise InvalidInput(
                "nobody chose anything after looking at something",
                file=STORED_EVENTS,
                remedy="collect searches and clicks with a client_id first",
            )
        metrics: dict[str, Any] = {"searches": held, "segments": None}
        if held >= FEWEST and (earlier := choices(pools, episodes[: len(episodes) - held])):
            found = compare(pools, PersonalRanker.fit(earlier), episodes[len(episodes) - held :])
            metrics["segments"] = summary(found)
        ranker = PersonalRanker.fit(learnt)
        manifest = PersonalManifest(
            trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
            data=STORED_EVENTS,
            choices=len(learnt),
            people=len({e.person for e in episodes}),
            simulated=simulated or shop.settings.simulated,
            code_version=code_version(),
            index_generation=shop.view.generation,
            metrics=metrics,
        )
    with publishing(layout, "personal", live=live) as (name, scratch):
        save_personal(ranker, manifest, scratch)
    return PersonalReport(name, manifest, ranker.weights, time.perf_counter() - started)


def _stored(layout: Layout) -> tuple[list[Episode], bool]:
    """Searches of shoppers who allow learning from them, in order of time; whether any of them is
    simulated."""
    reader = EventReader(layout, Purpose.MODEL_TRAINING, actor=os_actor())
    with reader.reading() as events:
        rows = events.table(COLUMNS).table.sort_by("timestamp").to_pylist()
    rows = [r for r in rows if r["client"] and r["traffic"] == "shopper"]
    made_up = any((r["query_id"] or "").startswith("simulated-") for r in rows)
    return episodes_of_events(rows), made_up


def episodes_of_events(rows: Sequence[Mapping[str, Any]]) -> list[Episode]:
    """Searches that ended in a click or more, with what their client had looked at before them.

    rows: events in order of time, `COLUMNS`; times are microseconds.
    """
    wanted: dict[str, set[str]] = {}
    for row in rows:
        if row["query_id"] and row["object_id"] and row["action_name"] in LOOKED:
            wanted.setdefault(row["query_id"], set()).add(row["object_id"])
    people: dict[str, int] = {}
    looked: dict[str, list[tuple[int, str]]] = {}
    found = []
    for row in rows:
        past = looked.setdefault(row["client"], [])
        if row["action_name"] in LOOKED and row["object_id"]:
            past.append((row["timestamp"], row["object_id"]))
        elif row["action_name"] == QUERY_ACTION and row["user_query"]:
            chosen = wanted.get(row["query_id"])
            if chosen:
                session, before = _split(past, row["timestamp"])
                person = people.setdefault(row["client"], len(people))
                shown = tuple(row["object_ids"] or ())
                asked = row["user_query"]
                found.append(Episode(person, asked, session, before, frozenset(chosen), shown))
    return found


def _split(past: Sequence[tuple[int, str]], now: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What belongs to the visit that goes on, and what came before, as serving splits it."""
    at = len(past)
    later = now
    while at and later - past[at - 1][0] <= SESSION * SECOND:
        at -= 1
        later = past[at][0]
    session = newest([p for _, p in past[at:]], MOST_RECENT)
    before = newest([p for _, p in past[:at] if p not in session], MOST_RECENT - len(session))
    return session, before
