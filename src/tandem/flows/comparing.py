"""Candidates held against what is live: quality, latency, exposure and privacy, by kind.

What is judged is asked on judged queries that neither has learned from. What learns from people is
asked on what people did since both were trained, which neither had seen: a candidate that is fresh
has to wait, as a shadow say, until there is enough of that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from tandem.contracts.artefact import PromotedKind
from tandem.contracts.consent import Purpose
from tandem.contracts.recommend import Kind as Recommendation
from tandem.contracts.recommend import Known, RecommendRequest
from tandem.contracts.registry import Gate
from tandem.contracts.search import MAX_QUERY, SearchRequest
from tandem.experiments import gates
from tandem.experiments.measures import parse_measures, score
from tandem.flows.artefacts import evaluation_of, lineage_of
from tandem.flows.feed import FEATURES, feed_features
from tandem.flows.loading import load_matcher
from tandem.flows.personal_search import MEASURES, Pools, compare
from tandem.flows.recommending import recommend
from tandem.flows.search import answer
from tandem.flows.train_feed import COLUMNS as FEED_COLUMNS
from tandem.flows.train_feed import impressions_of
from tandem.flows.train_personal import COLUMNS as SEARCH_COLUMNS
from tandem.flows.train_personal import episodes_of_events
from tandem.flows.videos import shelf
from tandem.flows.view import View
from tandem.flows.workspace import Workspace
from tandem.governance.audit import os_actor
from tandem.governance.reading import EventReader
from tandem.matching.matcher import Matcher
from tandem.storage.layout import Layout
from tandem.storage.parties import read_content

JUDGED: tuple[PromotedKind, ...] = ("models", "configurations", "cross-encoders")
"""Kinds that learn from judgments; rankers may learn from clicks beside them."""
QUERIES = 200  # that a candidate and the live one answer
SLOW_QUERIES = 60  # of a cross-encoder, which takes its time
MOST_CASES = 5_000
CUTOFF = 20
SECOND = 1_000_000  # of microseconds


@dataclass
class _Watched:
    """One side at work: how long it took, and whose products it showed."""

    answer: Callable[[Any], Sequence[str | None]]
    milliseconds: list[float] = field(default_factory=list)
    shown: list[Sequence[str | None]] = field(default_factory=list)

    def ask(self, case: Any) -> None:
        started = time.perf_counter()
        shown = self.answer(case)
        self.milliseconds.append((time.perf_counter() - started) * 1000)
        self.shown.append(shown)


def privacy(layout: Layout, kind: PromotedKind, generation: str, approved_by: str | None) -> Gate:
    """Judgments are nobody's behaviour; clicks are, also when only their sums were learned from.
    What is not judged learned from what people did."""
    lineage = lineage_of(layout, kind, generation)
    personal = kind not in JUDGED
    source = f"what people did ({lineage.get('data', 'events')})" if personal else "judgments"
    if kind == "matchers":
        events = " and from what their viewers did" if lineage.get("learned_from_events") else ""
        source = f"what creators showed and how it did{events}"
    elif kind == "models" and (clicks := lineage.get("clicks")):
        personal, source = True, f"the sums of {clicks['searches']:,} searches"
    return gates.privacy(source, personal=personal, approved_by=approved_by)


def beside_live(layout: Layout, kind: PromotedKind, generation: str) -> tuple[Gate, ...]:
    """The candidate held against what is live, on the same cases, turn by turn."""
    live = layout.generations(kind).live()
    if kind == "matchers":
        return _matchers(layout, generation, live)
    with Workspace(layout) as shop:
        view = shop.view
        candidate = shop.with_artefact(view, kind, generation)
        if kind == "models":
            return _evaluated(shop, kind, generation, live, candidate, "ltr")
        if kind == "cross-encoders":
            return _evaluated(shop, kind, generation, live, candidate, "cross", SLOW_QUERIES)
        if kind == "configurations":
            return _configurations(shop, candidate, view)
        if live is None:
            return (gates.alone(kind),)
        if kind == "recommenders":
            quality = _next_products(layout, candidate, view)
            cases = _products(view)
            request = Recommendation.NEXT
        elif kind == "personal":
            quality = _personal(layout, candidate, view)
            return (quality, *_searched(shop, candidate, view))
        else:
            quality = _feeds(layout, candidate, view)
            cases = _products(view)
            request = Recommendation.FEED

        def of(side: View) -> Callable[[str], Sequence[str | None]]:
            def answered(product: str) -> Sequence[str | None]:
                asked = RecommendRequest(kind=request, recent=(product,), size=gates.DEPTH)
                return [i.product.merchant for i in recommend(side, asked).items]

            return answered

        return (quality, *_at_work(of(candidate), of(view), cases))


def _at_work(
    ours: Callable[[Any], Sequence[str | None]],
    theirs: Callable[[Any], Sequence[str | None]],
    cases: Sequence[Any],
    of: str = "merchants",
) -> tuple[Gate, Gate]:
    sides = _Watched(ours), _Watched(theirs)
    for at, case in enumerate(cases[:QUERIES]):
        # Turn by turn, and each first as often as the other: caches favour neither.
        for side in sides if at % 2 else reversed(sides):
            side.ask(case)
    mine, other = sides
    return (
        gates.latency(mine.milliseconds, other.milliseconds),
        gates.exposure(mine.shown, other.shown, of=of),
    )


def _ranks(
    side: View, system: str, found: dict[str, list[str]] | None = None
) -> Callable[[str], Sequence[str | None]]:
    """Whose products a system shows for a query; found: what they are, by query."""
    stage = side.stages()[system]

    def answered(query: str) -> Sequence[str | None]:
        understanding = side.understand(SearchRequest(q=query[:MAX_QUERY]))
        context = side.context(understanding, understanding.filters)
        ranked = stage.run(context, None).head(gates.DEPTH)
        if found is not None:
            found[query] = side.snapshot.ids(ranked.numbers)
        names = side.store.names.merchant
        codes = side.store.columns(ranked.numbers).merchant.tolist()
        return [names[c] if c >= 0 else None for c in codes]

    return answered


def _configurations(shop: Workspace, candidate: View, live: View) -> tuple[Gate, ...]:
    """On judged queries that neither was tuned on."""
    system = "hybrid" if live.encoder is not None else "bm25"
    seen = {*candidate.configuration.tuned_on, *live.configuration.tuned_on}
    judgments = shop.judgment_list()
    queries = [q for q in judgments.queries if q not in seen][:QUERIES]
    measure = parse_measures([gates.MEASURE])[0]
    found: tuple[dict[str, list[str]], ...] = ({}, {})
    ours_at, theirs_at = _ranks(candidate, system, found[0]), _ranks(live, system, found[1])
    at_work = _at_work(ours_at, theirs_at, queries)
    judged = {q: judgments.by_query[q] for q in queries}
    ours, theirs = (
        dict(zip(queries, score(ranked, judged, (measure,))[:, 0].tolist(), strict=True))
        if queries
        else {}
        for ranked in found
    )
    known = {q for q in queries if np.isfinite(ours[q]) and np.isfinite(theirs[q])}
    quality = gates.quality(
        {q: v for q, v in ours.items() if q in known},
        {q: v for q, v in theirs.items() if q in known},
        same_judgments=True,
        queries="judged queries that neither was tuned on",
    )
    return (quality, *at_work)


def _evaluated(
    shop: Workspace,
    kind: PromotedKind,
    generation: str,
    live: str | None,
    candidate: View,
    system: str,
    most: int = QUERIES,
) -> tuple[Gate, ...]:
    """Out-of-fold values beside those of the live one, or of the best that works without one; then
    both at work on judged queries."""
    layout = shop.layout
    record, mine = evaluation_of(layout, kind, generation), lineage_of(layout, kind, generation)
    ours = by_query(record, system)
    if live is None:
        rivals = [s for s in record["systems"] if s != system]
        best = max(rivals, key=lambda s: record["systems"][s][gates.MEASURE]["mean"])
        return (gates.quality(ours, by_query(record, best), same_judgments=True),)
    other = lineage_of(layout, kind, live)
    quality = gates.quality(
        ours,
        by_query(evaluation_of(layout, kind, live), system),
        same_judgments=mine["data_fingerprint"] == other["data_fingerprint"],
    )
    queries = shop.judgment_list(mine["judgments"]).queries[:most]
    return (quality, *_at_work(_ranks(candidate, system), _ranks(shop.view, system), queries))


def by_query(record: Mapping[str, Any], system: str) -> dict[str, float]:
    """Out-of-fold values by query."""
    return {
        query: values[system]
        for query, values in record.get("per_query", {}).get(gates.MEASURE, {}).items()
        if values.get(system) is not None
    }


def _searched(shop: Workspace, candidate: View, live: View) -> tuple[Gate, Gate]:
    """Personal searches by one who looked at a product."""
    queries = list(shop.judgment_list().queries)
    products = _products(live)
    cases = [(q, products[i % len(products)]) for i, q in enumerate(queries)] if products else []

    def of(side: View) -> Callable[[tuple[str, str]], Sequence[str | None]]:
        def answered(case: tuple[str, str]) -> Sequence[str | None]:
            asked = SearchRequest(q=case[0][:MAX_QUERY], size=gates.DEPTH)
            hits = answer(side, asked, known=Known(session=(case[1],))).hits
            return [h.product.merchant for h in hits]

        return answered

    return _at_work(of(candidate), of(live), cases)


def _products(view: View) -> list[str]:
    """Products to start from, spread evenly over the shop."""
    size = view.snapshot.size
    numbers = np.unique(np.linspace(0, max(size - 1, 0), min(QUERIES, size)).astype(np.int64))
    return [i for i in view.snapshot.ids(numbers) if i]


# --- What people did since both were trained ------------------------------------------------------


def _since(layout: Layout, kind: PromotedKind, *generations: str | None) -> int:
    """When the later of these was trained, in microseconds."""
    moments = [
        datetime.fromisoformat(str(lineage_of(layout, kind, g)["trained_at"]))
        for g in generations
        if g is not None
    ]
    return int(max(m.timestamp() for m in moments) * SECOND)


def _rows(layout: Layout, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Stored events of shoppers who allow learning from them, in order of time."""
    reader = EventReader(layout, Purpose.MODEL_TRAINING, actor=os_actor())
    with reader.reading() as events:
        table = events.table(tuple(dict.fromkeys(columns))).table
    rows: list[dict[str, Any]] = table.sort_by("timestamp").to_pylist()
    return [r for r in rows if r["client"] and r["traffic"] == "shopper"]


def _next_products(layout: Layout, candidate: View, live: View) -> Gate:
    """The last product that each new session looked at, foretold from those before it."""
    since = _since(
        layout, "recommenders", candidate.recommender_generation, live.recommender_generation
    )
    looked: dict[str, list[str]] = {}
    columns = ("client", "session", "object_id", "action_name", "timestamp", "traffic")
    for row in _rows(layout, columns):
        session = row["session"] or row["client"]
        if row["timestamp"] > since and row["action_name"] == "click" and row["object_id"]:
            visited = looked.setdefault(session, [])
            if not visited or visited[-1] != row["object_id"]:
                visited.append(row["object_id"])
    sessions = [v for v in looked.values() if len(v) > 1][-MOST_CASES:]
    values: list[list[float]] = [[], []]
    for visited in sessions:
        request = RecommendRequest(
            kind=Recommendation.NEXT, recent=tuple(visited[:-1][-50:]), size=CUTOFF
        )
        for at, side in enumerate((candidate, live)):
            ids = [i.product.id for i in recommend(side, request).items]
            values[at].append(1 / (ids.index(visited[-1]) + 1) if visited[-1] in ids else 0.0)
    return gates.unseen(values[0], values[1], f"MRR@{CUTOFF}", "sessions since both were trained")


def _personal(layout: Layout, candidate: View, live: View) -> Gate:
    """Searches since both were trained, what was chosen in each personal order; by person."""
    since = _since(layout, "personal", candidate.personal_generation, live.personal_generation)
    rows = _rows(layout, SEARCH_COLUMNS)
    everything = episodes_of_events(rows)
    early = [r for r in rows if r["action_name"] != "search" or r["timestamp"] <= since]
    episodes = everything[len(episodes_of_events(early)) :][-MOST_CASES:]
    pools = Pools(live)
    people: list[dict[int, list[float]]] = [{}, {}]
    for at, side in enumerate((candidate, live)):
        found = compare(pools, side.personal, episodes)
        reached = found.values[:, 1, 0].tolist()
        for person, value in zip(found.person.tolist(), reached, strict=True):
            people[at].setdefault(person, []).append(value)
    ours, theirs = ([float(np.mean(v)) for v in side.values()] for side in people)
    cases = "people who searched since both were trained"
    return gates.unseen(ours, theirs, MEASURES[0], cases)


def _feeds(layout: Layout, candidate: View, live: View) -> Gate:
    """How well clicks on impressions since both were trained were foretold (1 - Brier score)."""
    rankers = [side.feed_ranker for side in (candidate, live)]
    if not all(ranker is not None and "click" in ranker.objectives for ranker in rankers):
        return gates.untold("one of the two had too few clicks to learn from: it foretells none")
    since = _since(layout, "feeds", candidate.feed_generation, live.feed_generation)
    rows = _rows(layout, FEED_COLUMNS)
    about = {c.id: c.product_ids[0] for c in read_content(layout) if c.product_ids}
    everything = impressions_of(rows, about)
    early = [r for r in rows if r["action_name"] != "impression" or r["timestamp"] <= since]
    impressions = everything[len(impressions_of(early, about)) :][-MOST_CASES:]
    videos = {v.content.id: v for v in shelf(live, live.content)}
    values: list[list[float]] = [[], []]
    for one in impressions:
        numbers = live.snapshot.numbers([one.product_id])
        if numbers[0] < 0:
            continue
        clip = [videos.get(one.content_id or "")]
        features = feed_features(live, one.recent, dict(one.shown), numbers, clip)
        assert features.shape[1] == len(FEATURES)
        for at, ranker in enumerate(rankers):
            assert ranker is not None
            chance = float(ranker.probabilities(features)["click"][0])
            values[at].append(1 - (chance - one.outcome["click"]) ** 2)
    return gates.unseen(
        values[0], values[1], "1 - Brier score", "impressions since both were trained"
    )


def _matchers(layout: Layout, generation: str, live: str | None) -> tuple[Gate, ...]:
    """Matchers learn from all showings there are: what they are worth is measured at training, each
    on its own. Exposure is the creators'."""
    if live is None:
        return (gates.alone("matchers"),)
    (ours, mine), (theirs, other) = (
        load_matcher(layout.matchers.path(name)) for name in (generation, live)
    )
    quality = gates.apart(mine.metrics, other.metrics, same_data=_same(mine, other))
    shared = [p for p in ours.product_ids if p in theirs.product_number]
    step = max(1, len(shared) // QUERIES)

    def of(matcher: Matcher) -> Callable[[str], Sequence[str | None]]:
        def answered(product: str) -> Sequence[str | None]:
            found = matcher.creators_for(matcher.product_number[product], gates.DEPTH)
            return [matcher.creator_ids[c] for c in found.creator.tolist()]

        return answered

    return (quality, *_at_work(of(ours), of(theirs), shared[::step], "creators"))


def _same(mine: Any, other: Any) -> bool:
    """Whether data and code were the same, as far as can be told: events come by the hour."""
    names = ("catalog_generation", "creator_generation", "content_generation", "code_version")
    counts = ("showings", "measured_showings", "encoder")
    alike = all(getattr(mine, n) == getattr(other, n) for n in (*names, *counts))
    return alike and not (mine.learned_from_events or other.learned_from_events)
