"""Candidates of every kind but rankers and rules: gates, promotion, shadows, canaries, cards.

Tuned configurations are asked on judged queries that neither was tuned on. What learns from people
is asked on what people did since both were trained, which neither had seen: a candidate that is
fresh has to wait, as a shadow say, until there is enough of that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import numpy as np

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.contracts.experiment import (
    CANARY_LAYER,
    CLICK_RATE,
    ExperimentBook,
    OnlineExperiment,
    SearchConfiguration,
    ShadowRun,
    Tried,
    Variant,
)
from tandem.contracts.recommend import Kind as Recommendation
from tandem.contracts.recommend import Known, RecommendRequest
from tandem.contracts.registry import Artefact, Decision, Gate, GateName, PromotedKind, Stage
from tandem.contracts.running import Change
from tandem.contracts.search import MAX_QUERY, SearchRequest
from tandem.experiments import gates
from tandem.experiments.measures import parse_measures, score
from tandem.finetuning.manifest import FinetuneManifest
from tandem.flows.artefacts import artefact_of, artefacts, generations_of
from tandem.flows.experimenting import add, book_of, canary_of, end_shadow, end_trials, stop
from tandem.flows.feed import FEATURES, feed_features
from tandem.flows.personal_search import MEASURES, Pools, compare
from tandem.flows.recommending import recommend
from tandem.flows.registry import by_query, evaluation, shadow_standing
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
from tandem.registry import tracking
from tandem.registry.decisions import Decisions
from tandem.registry.experiments import Experiments
from tandem.reports.artefact import card
from tandem.reports.page import Page
from tandem.storage.layout import Layout
from tandem.storage.parties import read_content

TRIED: tuple[Literal["configurations", "recommenders"], ...] = ("configurations", "recommenders")
"""Kinds that may answer unseen, or a share of the people, before they go live."""

QUERIES = 200  # that a candidate and the live one answer
SLOW_QUERIES = 60  # of a cross-encoder, which takes its time
MOST_CASES = 5_000
CUTOFF = 20
SECOND = 1_000_000  # of microseconds


def promotable(layout: Layout, kind: PromotedKind) -> tuple[Artefact, ...]:
    """Every generation of a kind, newest first, with its stage."""
    book = book_of(layout)
    return tuple(_staged(a, book) for a in artefacts(layout, (kind,)))


def promotable_of(layout: Layout, kind: PromotedKind, generation: str) -> Artefact:
    """NotFound when there is none of this name."""
    return _staged(artefact_of(layout, kind, generation), book_of(layout))


def _staged(artefact: Artefact, book: ExperimentBook) -> Artefact:
    stage: Stage | None = None
    if artefact.stage == "live":
        return artefact
    if (running := canary_of(book, artefact.kind)) is not None and _tried(
        running
    ) == artefact.generation:
        stage = "canary"
    elif any((s.kind, s.generation) == (artefact.kind, artefact.generation) for s in book.shadows):
        stage = "shadow"
    return artefact if stage is None else artefact.model_copy(update={"stage": stage})


def _tried(running: OnlineExperiment) -> str | None:
    """The generation that a canary tries."""
    configuration = running.variants[1].configuration
    return configuration.recommender if running.of == "recommenders" else configuration.weights


# --- Going live -------------------------------------------------------------------------------


def promote_artefact(
    layout: Layout,
    kind: PromotedKind,
    generation: str,
    *,
    who: str,
    why: str,
    override: Sequence[str] = (),
    approved_by: str | None = None,
) -> Decision:
    """Ask the gates, and make a candidate live when all of them pass or are overruled by name. The
    decision is on record either way; its stage says which it was."""
    _waiting(layout, kind, generation)
    asked, blocked = _asked(layout, kind, generation, override, approved_by)
    if blocked:
        return _refused(layout, kind, generation, blocked, asked, who=who, why=why)
    generations = generations_of(layout, kind)
    with layout.writing():
        decision = Decisions(layout.decisions).record(
            generation,
            "live",
            who=who,
            why=why,
            instead_of=generations.live(),
            gates=asked,
            overridden=_overruled(asked),
            kind=kind,
        )
        generations.switch(generation)
    end_trials(layout, kind, generation, who=who)
    tracking.decided(layout, kind, decision)
    return decision


def shadow_artefact(
    layout: Layout, kind: PromotedKind, generation: str, *, share: float, who: str, why: str
) -> Decision:
    """Let a candidate answer a share of the real requests unseen. Conflict while another one of its
    kind does."""
    tried = _triable(kind)
    _waiting(layout, kind, generation)
    if not 0 < share <= 1:
        raise InvalidInput(f"{share}", field="share", remedy="give a share above 0, up to 1")
    run = ShadowRun(kind=tried, generation=generation, share=share, started=datetime.now(UTC))

    def edit(book: ExperimentBook) -> ExperimentBook:
        for other in book.shadows:
            if other.kind == kind and other.generation != generation:
                raise Conflict(
                    f"{other.generation} is a shadow already",
                    remedy=f"end it: tandem models withdraw {other.generation} --kind {kind}",
                )
        rest = tuple(s for s in book.shadows if s.kind != kind)
        return book.model_copy(update={"shadows": (*rest, run)})

    Experiments(layout.experiments_file).change(edit)
    return _decided(layout, kind, generation, "shadow", who=who, why=why, share=share)


def canary_artefact(
    layout: Layout,
    kind: PromotedKind,
    generation: str,
    *,
    share: float,
    who: str,
    why: str,
    override: Sequence[str] = (),
    approved_by: str | None = None,
    planned: int = 2_000,
) -> Decision:
    """Ask the gates, and serve a candidate to a small share of the people if they pass. It goes
    back by itself as a ranker does. Conflict while another one of its kind is a canary, or where it
    would have no say."""
    of = _triable(kind)
    _waiting(layout, kind, generation)
    if not 0 < share <= 0.5:
        raise InvalidInput(
            f"{share}", field="share", remedy="a canary gets a share above 0, of at most a half"
        )
    if kind == "configurations" and layout.models.live() is not None:
        raise Conflict(
            "a learned ranker answers, in which tuned weights have no say",
            remedy="promote it after its gates, or try it against the ranker: tandem experiment "
            f"start NAME --variant control --variant tuned=hybrid@{generation}",
        )
    if generations_of(layout, kind).live() is None:
        raise Conflict(f"nothing of {kind} is live to go back to", remedy="promote one first")
    if (running := canary_of(book_of(layout), kind)) is not None:
        raise Conflict(
            f"{_tried(running)} is a canary already",
            remedy=f"end it: tandem models withdraw {_tried(running)} --kind {kind}",
        )
    asked, blocked = _asked(layout, kind, generation, override, approved_by)
    if blocked:
        return _refused(layout, kind, generation, blocked, asked, who=who, why=why)
    now = datetime.now(UTC)
    decision = _decided(
        layout,
        kind,
        generation,
        "canary",
        who=who,
        why=why,
        instead_of=generations_of(layout, kind).live(),
        gates=asked,
        overridden=_overruled(asked),
        share=share,
    )
    tried = (
        SearchConfiguration(recommender=generation)
        if kind == "recommenders"
        else SearchConfiguration(weights=generation)
    )
    add(
        layout,
        OnlineExperiment(
            name=f"canary-{decision.number}",
            kind="canary",
            of=of,
            # A layer for each kind: people in a canary of one may be in one of the other.
            layer=f"{CANARY_LAYER}-{kind}",
            variants=(
                Variant(name="control", weight=1 - share),
                Variant(name="canary", weight=share, configuration=tried),
            ),
            # Of recommendations there are no searches to divide by.
            success=("clicks",) if kind == "recommenders" else CLICK_RATE,
            planned=planned,
            started=now,
            changes=(Change(at=now, who=who, what="started", why=why),),
        ),
    )
    end_shadow(layout, kind, generation)
    return decision


def withdraw_artefact(
    layout: Layout, kind: PromotedKind, name: str, *, who: str, why: str
) -> Decision:
    """End a canary or a shadow, named by its generation or its experiment. NotFound without one."""
    book = book_of(layout)
    running = canary_of(book, kind)
    if running is not None and name in (_tried(running), running.name):
        stop(layout, running.name, who=who, why=why)
        return _decided(layout, kind, str(_tried(running)), "candidate", who=who, why=why)
    if any((s.kind, s.generation) == (kind, name) for s in book.shadows):
        end_shadow(layout, kind, name)
        return _decided(layout, kind, name, "candidate", who=who, why=why)
    raise NotFound(
        f"'{name}' is neither canary nor shadow", remedy=f"see: tandem models list --kind {kind}"
    )


def _decided(
    layout: Layout, kind: PromotedKind, generation: str, stage: Stage, **values: Any
) -> Decision:
    decision = Decisions(layout.decisions).record(generation, stage, kind=kind, **values)
    tracking.decided(layout, kind, decision)
    return decision


def _refused(
    layout: Layout,
    kind: PromotedKind,
    generation: str,
    blocked: Sequence[str],
    asked: tuple[Gate, ...],
    *,
    who: str,
    why: str,
) -> Decision:
    return _decided(
        layout,
        kind,
        generation,
        "candidate",
        who=who,
        why=f"refused by {', '.join(blocked)}; asked for because: {why}",
        instead_of=generations_of(layout, kind).live(),
        gates=asked,
    )


def _overruled(asked: Sequence[Gate]) -> tuple[GateName, ...]:
    return tuple(g.name for g in asked if g.passed is not True)


def _waiting(layout: Layout, kind: PromotedKind, generation: str) -> None:
    """NotFound for none of that name, Conflict for the live one."""
    generations = generations_of(layout, kind)
    generations.path(generation)
    if generations.live() == generation:
        raise Conflict(f"{generation} is live already", remedy="choose another generation")


def _triable(kind: PromotedKind) -> Tried:
    """The kind, as one that may be tried; InvalidInput for another."""
    tried = next((k for k in TRIED if k == kind), None)
    if tried is None:
        raise InvalidInput(
            f"{kind} can be neither shadow nor canary",
            field="kind",
            remedy=f"promote it after its gates; shadows and canaries are for: models, "
            f"{', '.join(TRIED)}",
        )
    return tried


# --- Gates ------------------------------------------------------------------------------------


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


def _asked(
    layout: Layout,
    kind: PromotedKind,
    generation: str,
    override: Sequence[str],
    approved_by: str | None,
) -> tuple[tuple[Gate, ...], list[str]]:
    """The gates' answers, and the names of those that stand in the way."""
    for name in override:
        if name not in get_args(GateName):
            raise InvalidInput(
                f"no gate '{name}'",
                field="override",
                remedy=f"overrule one of: {', '.join(get_args(GateName))}",
            )
    privacy = _privacy(layout, kind, generation, approved_by)
    asked = (*_beside_live(layout, kind, generation), privacy)
    return asked, [g.name for g in asked if g.passed is not True and g.name not in override]


def _privacy(layout: Layout, kind: PromotedKind, generation: str, approved_by: str | None) -> Gate:
    """Judgments are nobody's behaviour. All other kinds learn from what people did."""
    if kind in ("configurations", "cross-encoders"):
        return gates.privacy("judgments", personal=False, approved_by=approved_by)
    lineage = artefact_of(layout, kind, generation).lineage
    if kind == "matchers":
        events = " and from what their viewers did" if lineage.get("learned_from_events") else ""
        source = f"what creators showed and how it did{events}"
    else:
        source = f"what people did ({lineage.get('data', 'events')})"
    return gates.privacy(source, personal=True, approved_by=approved_by)


def _beside_live(layout: Layout, kind: PromotedKind, generation: str) -> tuple[Gate, ...]:
    """The candidate held against what is live, on the same cases, turn by turn."""
    live = generations_of(layout, kind).live()
    if kind == "matchers":
        return _matchers(layout, generation, live)
    with Workspace(layout) as shop:
        view = shop.view
        candidate = shop.with_artefact(view, kind, generation)
        if kind == "configurations":
            return _configurations(shop, candidate, view)
        if kind == "cross-encoders":
            return _cross_encoders(shop, generation, live, candidate)
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


def _configurations(shop: Workspace, candidate: View, live: View) -> tuple[Gate, ...]:
    """On judged queries that neither was tuned on."""
    system = "hybrid" if live.encoder is not None else "bm25"
    seen = {*candidate.configuration.tuned_on, *live.configuration.tuned_on}
    judgments = shop.judgment_list()
    queries = [q for q in judgments.queries if q not in seen][:QUERIES]
    measure = parse_measures([gates.MEASURE])[0]
    found: tuple[dict[str, list[str]], ...] = ({}, {})

    def of(side: View, at: int) -> Callable[[str], Sequence[str | None]]:
        stage = side.stages()[system]

        def answered(query: str) -> Sequence[str | None]:
            understanding = side.understand(SearchRequest(q=query[:MAX_QUERY]))
            context = side.context(understanding, understanding.filters)
            ranked = stage.run(context, None).head(gates.DEPTH)
            found[at][query] = side.snapshot.ids(ranked.numbers)
            names = side.store.names.merchant
            codes = side.store.columns(ranked.numbers).merchant.tolist()
            return [names[c] if c >= 0 else None for c in codes]

        return answered

    at_work = _at_work(of(candidate, 0), of(live, 1), queries)
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


def _cross_encoders(
    shop: Workspace, generation: str, live: str | None, candidate: View
) -> tuple[Gate, ...]:
    """Out-of-fold beside the live one, or beside the best without one; then both at work."""
    path = shop.layout.cross_encoders.path
    record, mine = evaluation(path(generation)), FinetuneManifest.load(path(generation))
    ours = by_query(record, "cross")
    if live is None:
        rivals = [s for s in record["systems"] if s != "cross"]
        best = max(rivals, key=lambda s: record["systems"][s][gates.MEASURE]["mean"])
        return (gates.quality(ours, by_query(record, best), same_judgments=True),)
    theirs = FinetuneManifest.load(path(live))
    same = mine.data_fingerprint == theirs.data_fingerprint
    quality = gates.quality(ours, by_query(evaluation(path(live)), "cross"), same_judgments=same)

    def of(side: View) -> Callable[[str], Sequence[str | None]]:
        def answered(query: str) -> Sequence[str | None]:
            asked = SearchRequest(q=query[:MAX_QUERY], size=gates.DEPTH, ranker="cross")
            return [h.product.merchant for h in answer(side, asked).hits]

        return answered

    queries = shop.judgment_list(mine.judgments).queries[:SLOW_QUERIES]
    return (quality, *_at_work(of(candidate), of(shop.view), queries))


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
        datetime.fromisoformat(str(artefact_of(layout, kind, g).lineage["trained_at"]))
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
        Matcher.load(layout.matchers.path(name)) for name in (generation, live)
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


# --- Cards ------------------------------------------------------------------------------------


def artefact_card(layout: Layout, kind: PromotedKind, generation: str) -> Page:
    """The card of a candidate or promoted generation, as of now."""
    artefact = promotable_of(layout, kind, generation)
    tried = next((k for k in TRIED if k == kind), None)
    shadowed = None if tried is None else shadow_standing(layout, generation, tried)
    simulated = layout.settings().simulated or bool(artefact.lineage.get("simulated"))
    return card(artefact, shadowed, simulated=simulated)
