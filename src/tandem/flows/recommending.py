"""Answer one recommendation request in one view: gather, order, say why.

`similar` needs the catalogue alone: text vectors and words, and what is looked at in the same
sessions where a recommender is trained. The others learn from sessions and baskets, and say so
where they have to fall back.
"""

from __future__ import annotations

import time
import uuid

import numpy as np

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.product import Product
from tandem.contracts.recommend import (
    FeedVideo,
    Kind,
    Recommended,
    RecommendRequest,
    RecommendResponse,
)
from tandem.flows.feed import feed
from tandem.flows.sources import (
    Candidate,
    after,
    complementary,
    distinct,
    favourites,
    like_recent,
    similar,
)
from tandem.flows.view import View


def recommend(view: View, request: RecommendRequest, simulated: bool = False) -> RecommendResponse:
    """The response to one request. Deterministic for one view, up to `query_id` and timings.

    Raises InvalidInput where a product to start from is missing, NotFound where it is unknown.
    """
    started = time.perf_counter()
    match request.kind:
        case Kind.SIMILAR:
            found = list(similar(view, _start(view, request), request.filters))
        case Kind.COMPLEMENTARY:
            found = list(complementary(view, _start(view, request), request.filters))
        case Kind.NEXT:
            found = _next(view, request)
        case Kind.FEED:
            found = feed(view, request)
    gathered = time.perf_counter()
    shown = _shown(view, request, found)
    products = view.snapshot.products(np.array([c.number for c in shown], np.int64))
    titles = _titles(view, shown)
    ended = time.perf_counter()
    return RecommendResponse(
        query_id=uuid.uuid4().hex,
        kind=request.kind,
        items=tuple(
            Recommended(
                position=place,
                score=c.score,
                product=product,
                source=c.source,
                because=c.because.replace("{}", titles.get(c.origin or "", "")),
                from_product=c.origin,
                video=_video(c),
            )
            for place, (c, product) in enumerate(zip(shown, products, strict=True), start=1)
        ),
        personal=request.kind in (Kind.NEXT, Kind.FEED) and _personal(view, request, shown),
        index_generation=view.generation,
        model_generation=view.recommender_generation,
        simulated=simulated,
        parts=_parts(view, request.kind),
        timings_ms={
            "gather": round((gathered - started) * 1000, 3),
            "fetch": round((ended - gathered) * 1000, 3),
            "total": round((ended - started) * 1000, 3),
        },
    )


def _parts(view: View, kind: Kind) -> dict[str, str]:
    """Generation by kind of all that has a say in such an answer, beside the index."""
    feeds = kind is Kind.FEED
    found = {
        "catalog": view.catalog_generation,
        "encoders": view.encoder_generation,
        "recommenders": view.recommender_generation,
        "feeds": view.feed_generation if feeds else None,
        "content": view.content_generation if feeds else None,
    }
    return {k: name for k, name in found.items() if name is not None}


def _start(view: View, request: RecommendRequest) -> str:
    if request.product_id is None:
        raise InvalidInput(
            "a product to start from is missing",
            field="product_id",
            remedy="name a product of the catalogue",
        )
    if view.snapshot.numbers([request.product_id])[0] < 0:
        raise NotFound(
            f"no product '{request.product_id}'",
            remedy="search for it; it may have been removed",
        )
    return request.product_id


def _next(view: View, request: RecommendRequest) -> list[Candidate]:
    """What sessions like this one led to; then what is like the last products; then favourites."""
    found = after(view, request.recent, request.filters)
    if len(found) < request.size:
        found = distinct(found, like_recent(view, request, 1))
    if len(found) < request.size + len(request.recent):
        found = distinct(found, favourites(view, request.filters))
    return found


def _shown(view: View, request: RecommendRequest, found: list[Candidate]) -> list[Candidate]:
    """The first that are not hidden and, where a list goes on from them, not just looked at."""
    seen = request.recent if request.kind in (Kind.NEXT, Kind.FEED) else ()
    hidden = {*request.hidden, *seen}
    if not hidden:
        return found[: request.size]
    shown: list[Candidate] = []
    for start in range(0, len(found), request.size):
        part = found[start : start + request.size]
        ids = view.snapshot.ids(np.array([c.number for c in part], np.int64))
        shown += [c for c, id_ in zip(part, ids, strict=True) if id_ not in hidden]
        if len(shown) >= request.size:
            break
    return shown[: request.size]


def _personal(view: View, request: RecommendRequest, shown: list[Candidate]) -> bool:
    """Whether anything about this visitor moved the list."""
    ranked = request.kind is Kind.FEED and view.feed_ranker is not None
    return any(c.origin for c in shown) or (
        ranked and bool(shown) and view.snapshot.numbers(request.recent).max(initial=-1) >= 0
    )


def _titles(view: View, shown: list[Candidate]) -> dict[str, str]:
    """Short titles of the products that led to others."""
    ids = list(dict.fromkeys(c.origin for c in shown if c.origin))
    numbers = view.snapshot.numbers(ids)
    live = [(i, n) for i, n in zip(ids, numbers.tolist(), strict=True) if n >= 0]
    products = view.snapshot.products(np.array([n for _, n in live], np.int64))
    titles = {i: _short(p) for (i, _), p in zip(live, products, strict=True)}
    return {i: titles.get(i, i) for i in ids}


def _short(product: Product) -> str:
    title = product.title
    return title if len(title) <= 60 else title[:59].rsplit(" ", 1)[0] + "…"


def _video(candidate: Candidate) -> FeedVideo | None:
    if candidate.video is None:
        return None
    content = candidate.video.content
    return FeedVideo(
        id=content.id,
        creator_id=content.creator_id,
        kind=content.kind,
        caption=content.caption,
        duration=content.duration,
        media_url=None if content.simulated else content.media_url,
        paid=content.paid,
        simulated=content.simulated,
    )
