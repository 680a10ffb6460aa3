"""Answer one recommendation request in one view: gather, fuse, mix, say why.

`similar` needs the catalogue alone: text vectors and words, fused by reciprocal rank, and what is
looked at in the same sessions where a recommender is trained. The others learn from sessions and
baskets, and say so where they have to fall back.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tandem.contracts.candidates import Candidates
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.product import Product
from tandem.contracts.recommend import (
    Kind,
    Recommended,
    RecommendRequest,
    RecommendResponse,
    Source,
)
from tandem.contracts.search import Filters, SearchRequest, Sort
from tandem.features.evidence import FIELD_WEIGHTS
from tandem.flows.view import View
from tandem.recommend.sessions import Ints
from tandem.retrieval.fusion import reciprocal_rank_fusion
from tandem.retrieval.pipeline import Lexical

POOL = 60  # candidates of each source
FEW = 13  # hits that are too few for a row of recommendations
TITLE_WORDS = 8  # the start of a title names the product; its tail lists properties
OF_ONE_KIND = 3  # products of one category in a dozen of the feed
EXPLORED = 0.1  # share of the feed's places that go to the newest products
RECENT = 2  # products looked at last that the feed answers to by content


@dataclass(frozen=True)
class Candidate:
    """A product under consideration, by its number in the snapshot."""

    number: int
    score: float
    source: Source
    because: str
    origin: str | None = None


def recommend(view: View, request: RecommendRequest, simulated: bool = False) -> RecommendResponse:
    """The response to one request. Deterministic for one view, up to `query_id` and timings.

    Raises InvalidInput where a product to start from is missing, NotFound where it is unknown.
    """
    started = time.perf_counter()
    match request.kind:
        case Kind.SIMILAR:
            found = list(similar(view, _start(view, request), request.filters))
        case Kind.COMPLEMENTARY:
            found = list(_complementary(view, _start(view, request), request.filters))
        case Kind.NEXT:
            found = _next(view, request)
        case Kind.FEED:
            found = _feed(view, request)
    gathered = time.perf_counter()
    seen = request.recent if request.kind in (Kind.NEXT, Kind.FEED) else ()
    hidden = set(view.snapshot.numbers([*request.hidden, *seen]).tolist())
    shown = [c for c in found if c.number not in hidden][: request.size]
    products = view.snapshot.products(np.array([c.number for c in shown], np.int64))
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
                because=c.because,
                from_product=c.origin,
            )
            for place, (c, product) in enumerate(zip(shown, products, strict=True), start=1)
        ),
        personal=any(c.origin for c in shown) and request.kind in (Kind.NEXT, Kind.FEED),
        index_generation=view.generation,
        model_generation=view.recommender_generation,
        simulated=simulated,
        timings_ms={
            "gather": round((gathered - started) * 1000, 3),
            "fetch": round((ended - gathered) * 1000, 3),
            "total": round((ended - started) * 1000, 3),
        },
    )


def _start(view: View, request: RecommendRequest) -> Product:
    if request.product_id is None:
        raise InvalidInput(
            "a product to start from is missing",
            field="product_id",
            remedy="name a product of the catalogue",
        )
    number = view.snapshot.numbers([request.product_id])
    if number[0] < 0:
        raise NotFound(
            f"no product '{request.product_id}'",
            remedy="search for it; it may have been removed",
        )
    return view.snapshot.products(number)[0]


def similar(
    view: View, product: Product, filters: Filters, *, words: bool = True
) -> Iterator[Candidate]:
    """Products like this one, best first, itself left out. Without `words` by vectors alone, where
    there are any: words of a title cost most of the time in a large shop."""
    number = int(view.snapshot.numbers([product.id])[0])
    vectors = view.snapshot.vectors(np.array([number]))
    lists = []
    if words or vectors is None:
        lists.append(_by_words(view, product, filters, enough=0 if vectors is not None else FEW))
    if vectors is not None:
        lists.append(view.snapshot.dense(vectors[0], POOL, filters))
    if view.recommender is not None:
        known = view.recommender.known([product.id])
        codes, scores, _ = view.recommender.after(known)
        numbers, kept = _live(view, codes[:POOL], filters)
        lists.append(Candidates(numbers, scores[:POOL][kept]))
    fused = reciprocal_rank_fusion(lists)
    for other, score in zip(fused.numbers.tolist(), fused.scores.tolist(), strict=True):
        if other != number:
            yield Candidate(
                other, score, Source.CONTENT, f"Similar to {_short(product)}", product.id
            )


def _by_words(view: View, product: Product, filters: Filters, enough: int) -> Candidates:
    """Products with half of the title's words; with any of them, where fewer than `enough` have
    half."""
    title = " ".join(product.title.split()[:TITLE_WORDS])[:512]
    asked = SearchRequest(q=title, language=product.language, rewrite=False)
    understanding = view.understand(asked)
    if not understanding.terms:
        return Candidates.empty()
    half = (len(understanding.terms) + 1) // 2
    found = Candidates.empty()
    for required in (half, 1):
        query = Lexical(FIELD_WEIGHTS, minimum_match=required).query(understanding)
        found = view.snapshot.lexical(query, POOL, filters)
        if len(found) >= enough:
            break
    return found


def _complementary(view: View, product: Product, filters: Filters) -> Iterator[Candidate]:
    """What is bought with this product; nothing where nobody has bought it with anything."""
    if view.recommender is None:
        return
    for code in view.recommender.known([product.id]).tolist():
        codes, scores = view.recommender.beside(code)
        numbers, kept = _live(view, codes, filters)
        for number, score in zip(numbers.tolist(), scores[kept].tolist(), strict=True):
            because = f"Often bought with {_short(product)}"
            yield Candidate(number, score, Source.BASKETS, because, product.id)


def _live(view: View, codes: Ints, filters: Filters) -> tuple[Ints, Ints]:
    """Numbers of a recommender's items that are in the shop and satisfy the filters, and their
    places among `codes`."""
    assert view.recommender is not None
    ids = view.recommender.ids
    numbers = view.snapshot.numbers([ids[c] for c in codes.tolist()])
    here = numbers[numbers >= 0]
    kept = np.flatnonzero(np.isin(numbers, view.snapshot.satisfying(here, filters)))
    return numbers[kept], kept


def _next(view: View, request: RecommendRequest) -> list[Candidate]:
    """What sessions like this one led to; then what is like the last products; then favourites."""
    found = _after(view, request.recent, request.filters)
    if len(found) < request.size:
        found = _distinct(found, _like_recent(view, request, 1))
    if len(found) < request.size + len(request.recent):
        found = _distinct(found, _favourites(view, request.filters))
    return found


def _after(view: View, recent: tuple[str, ...], filters: Filters) -> list[Candidate]:
    if view.recommender is None:
        return []
    tables = view.recommender
    codes, scores, causes = tables.after(tables.known(recent))
    codes, scores, causes = codes[: 2 * POOL], scores[: 2 * POOL], causes[: 2 * POOL]
    numbers, kept = _live(view, codes, filters)
    titles = _titles(view, [tables.ids[c] for c in np.unique(causes[kept]).tolist()])
    return [
        Candidate(
            number,
            score,
            Source.SESSIONS,
            f"Others looked at this around {titles.get(origin, origin)}",
            origin,
        )
        for number, score, origin in zip(
            numbers.tolist(),
            scores[kept].tolist(),
            (tables.ids[c] for c in causes[kept].tolist()),
            strict=True,
        )
    ]


def _like_recent(view: View, request: RecommendRequest, most: int) -> list[Candidate]:
    """What is like the last products, each in turn."""
    numbers = view.snapshot.numbers(request.recent)
    last = list(dict.fromkeys(numbers[numbers >= 0][::-1].tolist()))[:most]
    lists = [
        list(similar(view, p, request.filters, words=False))
        for p in view.snapshot.products(np.array(last, np.int64))
    ]
    deepest = max(map(len, lists), default=0)
    return [some[place] for place in range(deepest) for some in lists if place < len(some)]


def _favourites(view: View, filters: Filters) -> list[Candidate]:
    """What is looked at most of late; without sessions, what is rated best; without ratings, what
    there is."""
    if view.recommender is not None:
        codes, scores = view.recommender.favourites(2 * POOL)
        numbers, kept = _live(view, codes, filters)
        return [
            Candidate(n, s, Source.POPULARITY, "Popular now")
            for n, s in zip(numbers.tolist(), scores[kept].tolist(), strict=True)
        ]
    best = view.snapshot.satisfying(view.best_rated, filters)[: 2 * POOL]
    if best.size < POOL:  # narrow filters, or few ratings
        best = np.append(best, view.snapshot.browse(filters, Sort.RATING, 2 * POOL).numbers)
    numbers = np.array(list(dict.fromkeys(best.tolist())), np.int64)
    rated = ~np.isnan(view.store.columns(numbers).rating)
    return [
        Candidate(number, 0.0, Source.RATING, "Rated best")
        if known
        else Candidate(number, 0.0, Source.CATALOGUE, "From the shop; nobody has rated it yet")
        for number, known in zip(numbers.tolist(), rated.tolist(), strict=True)
    ]


def _feed(view: View, request: RecommendRequest) -> list[Candidate]:
    """Sessions, content and favourites in turn, every tenth place for something new, and no more
    than a few of one category in a dozen."""
    sources = [
        _after(view, request.recent, request.filters),
        _like_recent(view, request, RECENT) if request.recent else [],
        _favourites(view, request.filters),
    ]
    deepest = max(map(len, sources))
    mixed = _distinct([s[at] for at in range(deepest) for s in sources if at < len(s)], [])
    numbers = view.snapshot.browse(request.filters, Sort.NEWEST, POOL).numbers
    dated = ~np.isnan(view.store.columns(numbers).created)
    fresh = [
        Candidate(n, 0.0, Source.EXPLORATION, "New here" if known else "Something else to try")
        for n, known in zip(numbers.tolist(), dated.tolist(), strict=True)
    ]
    return _explored(_varied(view, mixed), fresh)


def _varied(view: View, ranked: list[Candidate]) -> list[Candidate]:
    """The same candidates, those of a category that is there often enough put off by a dozen."""
    numbers = np.array([c.number for c in ranked], np.int64)
    category = view.store.columns(numbers).category.tolist()
    page: dict[int, int] = {}
    placed = []
    for place, (candidate, kind) in enumerate(zip(ranked, category, strict=True)):
        times = page[kind] = page.get(kind, 0) + 1
        late = 0 if kind < 0 else (times - 1) // OF_ONE_KIND * 12
        placed.append((max(place, late), place, candidate))
    return [candidate for _, _, candidate in sorted(placed, key=lambda p: p[:2])]


def _explored(ranked: list[Candidate], fresh: list[Candidate]) -> list[Candidate]:
    every = round(1 / EXPLORED)
    known = {c.number for c in ranked[: every * 2]}
    new = iter([c for c in fresh if c.number not in known])
    out = []
    for place, candidate in enumerate(ranked, start=1):
        out.append(candidate)
        if place % (every - 1) == 0 and (one := next(new, None)) is not None:
            out.append(one)
    return _distinct(out, list(new))


def _distinct(first: list[Candidate], then: list[Candidate]) -> list[Candidate]:
    """Every product once, where it comes first."""
    found: dict[int, Candidate] = {}
    for candidate in (*first, *then):
        found.setdefault(candidate.number, candidate)
    return list(found.values())


def _titles(view: View, ids: list[str]) -> dict[str, str]:
    numbers = view.snapshot.numbers(ids)
    live = [(i, n) for i, n in zip(ids, numbers.tolist(), strict=True) if n >= 0]
    products = view.snapshot.products(np.array([n for _, n in live], np.int64))
    return {i: _short(p) for (i, _), p in zip(live, products, strict=True)}


def _short(product: Product) -> str:
    title = product.title
    return title if len(title) <= 60 else title[:59].rsplit(" ", 1)[0] + "…"
