"""Answer one search request in one view: understand, retrieve, rank, apply rules, explain."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from tandem.contracts.candidates import Candidates
from tandem.contracts.errors import InvalidInput
from tandem.contracts.recommend import Known
from tandem.contracts.search import (
    Contribution,
    Explanation,
    Filters,
    Hit,
    SearchRequest,
    SearchResponse,
    Sort,
    Understanding,
)
from tandem.features.evidence import FIELD_WEIGHTS
from tandem.flows.view import View
from tandem.ranking.business import Applied, BusinessPolicy, apply_policy
from tandem.ranking.explain import sentence
from tandem.ranking.learned import LearnedRanker
from tandem.ranking.personal import reason
from tandem.retrieval.pipeline import Chain, Lexical, QueryContext, Stage
from tandem.retrieval.port import LexicalQuery

FACET_VALUES = 30
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Ranking:
    """All that a request led to, before a page of it is cut out.

    pool: what the ranker ordered; applied: the same in the visitor's order, where the visitor
    allows it (`personal`), and after the shop's rules, as shoppers see it.
    """

    name: str
    stage: Stage
    understanding: Understanding
    filters: Filters
    total: int
    relaxed: str | None
    context: QueryContext
    pool: Candidates
    applied: Applied
    personal: bool = False

    @property
    def matching(self) -> LexicalQuery | None:
        return matching_query(self.understanding)


def rank(view: View, request: SearchRequest, known: Known | None = None) -> Ranking:
    """Understand, retrieve, rank, make it the visitor's own and apply the shop's rules.
    Deterministic for one view. known: of a visitor who allows it."""
    started = time.perf_counter()
    stages = view.stages()
    name = request.ranker or view.default_system()
    if name not in stages:
        raise InvalidInput(
            f"no ranker '{name}' in this workspace",
            field="ranker",
            remedy=f"use one of: {', '.join(stages)}",
        )
    understanding = view.understand(request)
    understood = time.perf_counter()
    filters = merge(request.filters, understanding.filters)
    understanding, filters, total, relaxed = _relax(view, request, understanding, filters)
    context = view.context(understanding, filters)
    context.timings_ms["understand"] = (understood - started) * 1000
    context.timings_ms["match"] = (time.perf_counter() - understood) * 1000

    matching = matching_query(understanding)
    wanted = request.page * request.size
    personal = False
    if matching is None:
        pool = view.snapshot.browse(filters, request.sort, wanted)
        applied = Applied(pool, {})
    elif request.sort is not Sort.RELEVANCE:
        with context.timed("lexical"):
            pool = view.snapshot.ordered(matching, filters, request.sort, wanted)
        applied = Applied(pool, {})
    else:
        pool = stages[name].run(context, None)
        own = pool if known is None else _personal(view, context, known, pool)
        personal = own is not pool
        with context.timed("business"):
            applied = _business(view, understanding, filters, _deepened(own, context, wanted))
    return Ranking(
        name, stages[name], understanding, filters, total, relaxed, context, pool, applied, personal
    )


def _personal(view: View, context: QueryContext, known: Known, pool: Candidates) -> Candidates:
    """The pool in the visitor's order, what is not wanted last; the pool itself where nothing about
    the visitor moves it."""
    context.taste = view.taste(known)
    own = view.personal.run(context, pool)
    if known.hidden:
        unwanted = np.isin(own.numbers, view.snapshot.numbers(known.hidden))
        if unwanted.any():
            floor = own.scores.min() - 1
            own = own.rescored(np.where(unwanted, floor, own.scores).astype(np.float32))
    return own


def answer(
    view: View, request: SearchRequest, simulated: bool = False, known: Known | None = None
) -> SearchResponse:
    """The response to one request. Deterministic for one view, up to `query_id` and timings."""
    started = time.perf_counter()
    return respond(view, request, rank(view, request, known), started, simulated)


def respond(
    view: View,
    request: SearchRequest,
    ranking: Ranking,
    started: float,
    simulated: bool = False,
    query_id: str | None = None,
) -> SearchResponse:
    """Cut the page that was asked for out of a ranking. started: when the work began, by
    `perf_counter`. query_id: of the answer; None makes one."""
    context = ranking.context
    with context.timed("facets"):
        facets = (
            view.snapshot.facets(ranking.matching, ranking.filters, request.facets, FACET_VALUES)
            if request.facets
            else {}
        )
    with context.timed("fetch"):
        hits = _hits(view, request, ranking)
    context.timings_ms["total"] = (time.perf_counter() - started) * 1000
    return SearchResponse(
        query_id=query_id or uuid.uuid4().hex,
        query=request.q,
        hits=hits,
        total=ranking.total,
        related=max(0, len(ranking.applied.candidates) - ranking.total),
        page=request.page,
        size=request.size,
        facets=facets,
        understanding=ranking.understanding,
        relaxed=ranking.relaxed,
        ranker=ranking.name,
        index_generation=view.generation,
        model_generation=view.model_of(ranking.name),
        personal=ranking.personal,
        simulated=simulated,
        parts=view.parts(ranking.name, personal=ranking.personal),
        timings_ms={k: round(v, 3) for k, v in context.timings_ms.items()},
    )


def matching_query(understanding: Understanding) -> LexicalQuery | None:
    """What a product must have to count as a match; None when the query has no words.

    One or two words must all be there; of more, one in three may be missing.
    """
    if not understanding.terms:
        return None
    n = len(understanding.terms)
    required = n if n <= 2 else n - n // 3
    return Lexical(FIELD_WEIGHTS, minimum_match=required).query(understanding)


def merge(asked: Filters, understood: Filters) -> Filters:
    """Conditions the shopper set by hand win over those read out of the words."""
    updates = {
        name: value
        for name in Filters.model_fields
        if (value := getattr(understood, name)) and not getattr(asked, name)
    }
    return asked.model_copy(update=updates)


def _relax(
    view: View, request: SearchRequest, understanding: Understanding, filters: Filters
) -> tuple[Understanding, Filters, int, str | None]:
    """The query as it is when something matches, else the first weaker one that does; with the
    number of matches, and a sentence where the query was weakened."""
    total = view.snapshot.matching(matching_query(understanding), filters)
    if total or not understanding.terms:
        return understanding, filters, total, None
    for weaker, said in view.queries.relaxations(understanding):
        looser = merge(request.filters, weaker.filters)
        query = matching_query(weaker)
        found = 0 if query is None else view.snapshot.matching(query, looser)
        if found:
            return weaker, looser, found, said
    return understanding, filters, 0, None


def _deepened(found: Candidates, context: QueryContext, wanted: int) -> Candidates:
    """Ranked candidates, at least `wanted` where there are so many.

    A ranker orders the head; a page beyond it goes on in first-stage order, so that paging neither
    repeats nor loses a product.
    """
    if len(found) >= wanted:
        return found
    tail = Lexical(FIELD_WEIGHTS, k=wanted + len(found)).run(context, None)
    rest = ~np.isin(tail.numbers, found.numbers)
    if not rest.any():
        return found
    floor = float(found.scores[-1]) if len(found) else 0.0
    steps = np.arange(1, int(rest.sum()) + 1, dtype=np.float32)
    missing = {s: np.full(steps.size, np.nan, np.float32) for s in found.sources}
    if "lexical" in missing:
        missing["lexical"] = tail.scores[rest]
    return Candidates(
        np.concatenate([found.numbers, tail.numbers[rest]]),
        np.concatenate([found.scores, np.float32(floor) - steps]),
        {s: np.concatenate([v, missing[s]]) for s, v in found.sources.items()},
    )


def _business(
    view: View, understanding: Understanding, filters: Filters, found: Candidates
) -> Applied:
    policy: BusinessPolicy = view.policy
    if policy == BusinessPolicy():
        return Applied(found, {})
    now = datetime.now(UTC)
    text = understanding.text
    named = [p for r in policy.rules if r.active(text, now) for p in r.products]
    numbers = dict(zip(named, view.snapshot.numbers(named).tolist(), strict=True))
    allowed = _allowed(view, filters, [n for n in numbers.values() if n >= 0])
    known = {p: n for p, n in numbers.items() if n in allowed}
    return apply_policy(policy, text, found, view.store, known, now)


def _allowed(view: View, filters: Filters, numbers: list[int]) -> set[int]:
    """Which of these products the shopper's filters let through: a pin obeys filters too."""
    if not numbers:
        return set()
    return set(view.snapshot.satisfying(np.asarray(numbers, np.int64), filters).tolist())


def _hits(view: View, request: SearchRequest, ranking: Ranking) -> tuple[Hit, ...]:
    start = (request.page - 1) * request.size
    ranked = ranking.applied.candidates
    window = slice(start, start + request.size)
    numbers, scores = ranked.numbers[window], ranked.scores[window]
    products = view.snapshot.products(numbers)
    explanations: dict[int, Explanation] = {}
    moved = (
        view.personal.contributions(ranking.context, ranking.pool, numbers)
        if ranking.personal and ranking.context.taste is not None
        else {}
    )
    if request.explain:
        explanations = _explanations(ranking, window, moved)
    return tuple(
        Hit(
            position=start + i,
            score=float(score),
            product=product,
            explanation=explanations.get(number),
            because=reason(moved.get(number, ())),
        )
        for i, (number, score, product) in enumerate(
            zip(numbers.tolist(), scores.tolist(), products, strict=True), start=1
        )
    )


def _explanations(
    ranking: Ranking, window: slice, moved: Mapping[int, tuple[Contribution, ...]]
) -> dict[int, Explanation]:
    """Explanations of the products shown; features are computed over the pool that was ranked.
    moved: what taste did to each, listed after the ranker's own reasons."""
    stage, applied = ranking.stage, ranking.applied
    shown = applied.candidates.numbers[window]
    ranker = stage.second if isinstance(stage, Chain) else None
    contributions = (
        ranker.contributions(ranking.context, ranking.pool, shown)
        if isinstance(ranker, LearnedRanker)
        else {}
    )
    explained = {}
    for at, number in zip(range(*window.indices(len(applied.candidates))), shown, strict=False):
        rules = applied.fired.get(int(number), ())
        shares = contributions.get(int(number), ())
        explained[int(number)] = Explanation(
            sentence=sentence(shares, rules),
            contributions=(*shares, *moved.get(int(number), ())),
            rules=rules,
            sources={
                name: float(values[at])
                for name, values in applied.candidates.sources.items()
                if not np.isnan(values[at])
            },
        )
    return explained
