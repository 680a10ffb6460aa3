"""Train the feed's ranker on impressions and what became of them, measure it, publish it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput
from tandem.contracts.events import QUERY_ACTION
from tandem.contracts.recommend import STORED_EVENTS
from tandem.flows.feed import FEATURES, feed_features
from tandem.flows.generations import publishing
from tandem.flows.telling import traced, tracked
from tandem.flows.videos import Video, shelf
from tandem.flows.view import View
from tandem.flows.visitors import LOOKED
from tandem.flows.workspace import Workspace
from tandem.governance.audit import os_actor
from tandem.governance.reading import EventReader
from tandem.ranking.learned import code_version
from tandem.recommend.objectives import OBJECTIVES, FeedManifest, FeedRanker
from tandem.storage.layout import Layout
from tandem.storage.parties import read_content
from tandem.storage.visitor_state import MOST_RECENT, newest

COLUMNS = (
    *("client", "action_name", "object_id", "query_id", "timestamp", "traffic"),
    *("seconds", "duration"),
)
WATCHED = 0.5  # share of a video that counts as watched …
LIKED = 0.75  # … and as liked
LATER = 24 * 3600 * 1_000_000  # a purchase within so long after the click belongs to it


@dataclass(frozen=True)
class Impression:
    """One place of a feed that was seen. recent, shown: what was known of the visitor then.
    outcome: by objective 1, 0, or NaN where it cannot be."""

    recent: tuple[str, ...]
    shown: Mapping[str, int]
    product_id: str
    content_id: str | None
    outcome: Mapping[str, float]


@dataclass(frozen=True)
class FeedReport:
    """A published feed ranker."""

    generation: str
    manifest: FeedManifest
    seconds: float


@traced("train feed", "feeds", "index", "content", "events")
@tracked("feeds")
def train_feed(layout: Layout, *, live: bool = True) -> FeedReport:
    """Learn from stored impressions of the feed of people who allow model_training; publish, and
    switch unless it is to wait as a candidate. Raises InvalidInput where there is too little."""
    started = time.perf_counter()
    impressions, simulated = _stored(layout)
    if not impressions:
        raise InvalidInput(
            "no impressions of the feed are stored",
            file=STORED_EVENTS,
            remedy="collect events: the page sends what was seen of the feed",
        )
    with Workspace(layout) as shop:
        ranker, metrics = learned(shop.view, impressions)
        simulated = simulated or shop.settings.simulated
    manifest = FeedManifest(
        trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
        data=STORED_EVENTS,
        impressions=len(impressions),
        simulated=simulated,
        code_version=code_version(),
        metrics=metrics,
    )
    with publishing(layout, "feeds", live=live) as (name, scratch):
        ranker.save(scratch, manifest)
    return FeedReport(name, manifest, time.perf_counter() - started)


def learned(view: View, impressions: Sequence[Impression]) -> tuple[FeedRanker, dict[str, Any]]:
    """A ranker, and what its probabilities are worth on the last fifth of the impressions, which
    are in order of time."""
    videos = {v.content.id: v for v in shelf(view, view.content)}
    numbers = view.snapshot.numbers([i.product_id for i in impressions])
    here = np.flatnonzero(numbers >= 0)
    features = np.empty((here.size, len(FEATURES)))
    for row, at in enumerate(here.tolist()):
        one = impressions[at]
        clip: list[Video | None] = [videos.get(one.content_id or "")]
        features[row] = feed_features(
            view, one.recent, dict(one.shown), numbers[at : at + 1], clip
        )[0]
    labels = {
        name: np.array([impressions[i].outcome[name] for i in here.tolist()]) for name in OBJECTIVES
    }
    return FeedRanker.fit(FEATURES, features, labels)


def _stored(layout: Layout) -> tuple[list[Impression], bool]:
    reader = EventReader(layout, Purpose.MODEL_TRAINING, actor=os_actor())
    with reader.reading() as events:
        rows = events.table(COLUMNS).table.sort_by("timestamp").to_pylist()
    rows = [r for r in rows if r["client"] and r["traffic"] == "shopper"]
    made_up = any((r["query_id"] or "").startswith("simulated-") for r in rows)
    about = {c.id: c.product_ids[0] for c in read_content(layout) if c.product_ids}
    return impressions_of(rows, about), made_up


def impressions_of(rows: Sequence[Mapping[str, Any]], about: Mapping[str, str]) -> list[Impression]:
    """Impressions that belong to no search, with what came of them and what was known before.

    rows: events in order of time, `COLUMNS`; times are microseconds; `object_id` is a product or a
    video. about: the product of each video. Watched is half of a video, liked is three quarters of
    it or a purchase.
    """
    searches = {r["query_id"] for r in rows if r["action_name"] == QUERY_ACTION}
    clicked: set[tuple[str, str]] = set()
    bought: dict[tuple[str, str], list[int]] = {}
    watched: dict[tuple[str, str], float] = {}
    for row in rows:
        action, thing, query = row["action_name"], row["object_id"], row["query_id"]
        if action in ("click", "add_to_cart", "purchase") and query and thing:
            clicked.add((query, thing))
        if action == "purchase" and thing:
            bought.setdefault((row["client"], thing), []).append(row["timestamp"])
        if action == "watch" and query and thing:
            share = (row["seconds"] or 0.0) / row["duration"] if row["duration"] else 0.0
            watched[query, thing] = max(watched.get((query, thing), 0.0), share)
    recent: dict[str, tuple[str, ...]] = {}
    shown: dict[str, dict[str, int]] = {}
    found = []
    for row in rows:
        client, thing, query = row["client"], row["object_id"], row["query_id"]
        if not thing:
            continue
        product = about.get(thing, thing)
        if row["action_name"] in LOOKED:
            recent[client] = newest((*recent.get(client, ()), product), MOST_RECENT)
            shown.get(client, {}).pop(product, None)
        elif row["action_name"] == "impression" and query and query not in searches:
            clip = thing in about
            times = shown.setdefault(client, {})
            click = (query, thing) in clicked
            sold = click and _within(bought.get((client, product), ()), row["timestamp"])
            share = watched.get((query, thing), 0.0)
            outcome = {
                "watch": float(share >= WATCHED) if clip else float("nan"),
                "click": float(click),
                "buy": float(sold),
                "satisfaction": float(sold or share >= LIKED),
            }
            content = thing if clip else None
            found.append(Impression(recent.get(client, ()), dict(times), product, content, outcome))
            times[product] = times.get(product, 0) + 1
    return found


def _within(moments: Iterable[int], start: int) -> bool:
    return any(start <= moment <= start + LATER for moment in moments)
