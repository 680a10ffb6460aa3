"""Judgments and comparisons for the relevance workbench: one request per view."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.run import Run, ScoredProduct
from tandem.contracts.search import SearchRequest, SearchResponse
from tandem.experiments.judging import judging_queue
from tandem.experiments.measures import parse_measures, score
from tandem.governance.access import Permission
from tandem.http.problems import documented
from tandem.http.schemas import (
    MAX_COMPARED,
    CompareBody,
    CompareResponse,
    JudgedQuery,
    JudgmentBody,
    JudgmentsQuery,
    JudgmentsResponse,
    NextQuery,
    NextResponse,
    PairToJudge,
    QueriesQuery,
    QueriesResponse,
)
from tandem.http.serving import StrictRoute, finite, json_response, needs, of
from tandem.http.shop import Shop

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["judgments"])
_PROBLEMS = documented(400, 404, 413, 422, 429, 503)


@router.get("/judgments/queries", response_model=QueriesResponse, responses=_PROBLEMS)
async def judged_queries(request: Request, query: Annotated[QueriesQuery, Query()]) -> Response:
    """Every judged query with the measure of each ranker, in one answer."""
    serving = of(request)
    rankers = list(dict.fromkeys(name for name in query.rankers.split(",") if name))
    (measure,) = parse_measures([query.measure])
    known = serving.shop.status()["rankers"]
    if len(rankers) > MAX_COMPARED or any(name not in known for name in rankers):
        raise InvalidInput(
            f"rankers '{query.rankers}'",
            field="rankers",
            remedy=f"name at most {MAX_COMPARED} of: {', '.join(known)}",
        )

    def work() -> list[JudgedQuery]:
        judged = serving.shop.judgment_list().by_query
        values = {
            name: score(serving.rankings.of(name, tuple(judged)), judged, [measure])[:, 0]
            for name in rankers
        }
        return [
            JudgedQuery(
                q=q,
                judged=len(products),
                measures={name: finite(float(values[name][i])) for name in rankers},
            )
            for i, (q, products) in enumerate(judged.items())
        ]

    queries, timings = await serving.run(serving.slow, work)
    return json_response(
        QueriesResponse(
            measure=measure.name,
            rankers=rankers,
            queries=queries,
            **serving.traced(request, timings, serving.shop.status()),
        )
    )


@router.get("/judgments/next", response_model=NextResponse, responses=_PROBLEMS)
async def next_pairs(request: Request, query: Annotated[NextQuery, Query()]) -> Response:
    """The pairs whose verdicts tell two rankers apart soonest, with their products, in one answer.

    Out of the first ten places of both for every judged query; one in five is drawn by lot.
    """
    serving = of(request)
    known = serving.shop.status()["rankers"]
    for field, name in (("a", query.a), ("b", query.b)):
        if name not in known or query.a == query.b:
            raise InvalidInput(
                f"rankers '{query.a}' and '{query.b}'",
                field=field,
                remedy=f"name two different ones of: {', '.join(known)}",
            )

    def work() -> NextResponse:
        judged = serving.shop.judgment_list()
        first, second = (
            Run(name, {q: [ScoredProduct(p, 0.0) for p in ids] for q, ids in found.items()})
            for name in (query.a, query.b)
            for found in [serving.rankings.of(name, judged.queries)]
        )
        pairs, standing = judging_queue(first, second, judged, query.size)
        shown = [(p, serving.shop.product(p.product_id)) for p in pairs]
        return NextResponse.model_construct(
            pairs=[
                PairToJudge(
                    q=p.query, product=product, why=p.why, worth=p.worth, places=dict(p.places)
                )
                for p, product in shown
                if product is not None  # it has been deleted a moment ago
            ],
            difference=standing.difference if standing.pool else None,
            confidence=standing.confidence if standing.pool else None,
            told_apart=standing.told_apart,
            judged=standing.judged,
            pool=standing.pool,
        )

    answer, timings = await serving.run(serving.slow, work)
    trace = serving.traced(request, timings, serving.shop.status())
    return json_response(answer.model_copy(update=trace))


@router.get("/judgments", response_model=JudgmentsResponse, responses=_PROBLEMS)
async def judgments(request: Request, query: Annotated[JudgmentsQuery, Query()]) -> Response:
    """The judgments of one query; empty when nobody has judged it."""
    serving = of(request)
    found, timings = await serving.run(serving.search, lambda: _judgments(serving.shop, query.q))
    return json_response(
        JudgmentsResponse(
            q=query.q,
            judgments=dict(found),
            **serving.traced(request, timings, serving.shop.status()),
        )
    )


@router.put(
    "/judgments",
    response_model=JudgmentsResponse,
    dependencies=[Depends(needs(Permission.JUDGE))],
    responses=documented(400, 401, 403, 404, 409, 413, 422, 429, 503),
)
async def judge(request: Request, body: JudgmentBody) -> Response:
    """Record one verdict; it replaces an earlier one on the same product."""
    serving = of(request)

    def work() -> Mapping[str, int]:
        if serving.shop.product(body.product_id) is None:
            raise NotFound(f"no product '{body.product_id}'", remedy="judge products of this shop")
        serving.shop.judge(body.q, body.product_id, body.relevance)
        return _judgments(serving.shop, body.q)

    found, timings = await serving.run(serving.slow, work)
    return json_response(
        JudgmentsResponse(
            q=body.q,
            judgments=dict(found),
            **serving.traced(request, timings, serving.shop.status()),
        )
    )


@router.post("/compare", response_model=CompareResponse, responses=_PROBLEMS)
async def compare(request: Request, body: CompareBody) -> Response:
    """One query by several rankers side by side, with judgments and each ranker's measure."""
    serving = of(request)
    (measure,) = parse_measures([body.measure])

    def work() -> CompareResponse:
        known = _judgments(serving.shop, body.q)
        results = {name: _ranked(serving.shop, body, name) for name in dict.fromkeys(body.rankers)}
        return CompareResponse.model_construct(
            q=body.q,
            results=results,
            judgments=dict(known),
            measure=measure.name,
            measures=_measured(results, known, measure.name),
        )

    started = time.perf_counter()
    answer, timings = await serving.run(serving.search, work)
    timings["total"] = round((time.perf_counter() - started) * 1000, 3)
    trace = serving.traced(request, timings, serving.shop.status())
    return json_response(answer.model_copy(update=trace))


def warm_up() -> None:
    """Import what measures need, which is done on first use."""
    score({"q": ["p"]}, {"q": {"p": 1}}, parse_measures(["nDCG@10"]))


def _judgments(shop: Shop, query: str) -> Mapping[str, int]:
    return shop.judgment_list().by_query.get(query, {})


def _ranked(shop: Shop, body: CompareBody, ranker: str) -> SearchResponse:
    return shop.search(
        SearchRequest(
            q=body.q, ranker=ranker, size=body.size, explain=body.explain, rewrite=body.rewrite
        )
    )


def _measured(
    results: Mapping[str, SearchResponse], judgments: Mapping[str, int], measure: str
) -> dict[str, float | None]:
    """The measure of each ranker on the products that are shown."""
    if not judgments:
        return dict.fromkeys(results)
    # score() works by query: each ranker's list stands in as one.
    rankings: dict[str, Sequence[str]] = {
        name: [hit.product.id for hit in response.hits] for name, response in results.items()
    }
    values = score(rankings, dict.fromkeys(results, judgments), parse_measures([measure]))
    return {name: finite(float(value)) for name, value in zip(results, values[:, 0], strict=True)}
