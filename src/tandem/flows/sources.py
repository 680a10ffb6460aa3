"""Where recommended products come from: what is like a product, what followed it, what goes with
it, what is popular, and what is new.

What is the same for everybody (favourites, the newest products, numbers of a recommender's items)
is worked out once per view, and one search among vectors answers for a product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tandem.contracts.candidates import Candidates, Numbers
from tandem.contracts.product import Product
from tandem.contracts.recommend import RecommendRequest, Source
from tandem.contracts.search import Filters, SearchRequest, Sort
from tandem.features.evidence import FIELD_WEIGHTS
from tandem.flows.videos import Video
from tandem.flows.view import View
from tandem.recommend.sessions import Ints
from tandem.retrieval.fusion import reciprocal_rank_fusion
from tandem.retrieval.pipeline import Lexical

POOL = 60  # candidates of each source
DEEP = 2 * POOL  # nearest vectors among which titles are compared
FEW = 13  # hits that are too few for a row of recommendations
TITLE_WORDS = 8  # the start of a title names the product; its tail lists properties
RECENT = 2  # products looked at last that the feed answers to by content


@dataclass(frozen=True)
class Candidate:
    """A product under consideration, by its number in the snapshot, or a video about it. because:
    why, with `{}` where the title of `origin` belongs."""

    number: int
    score: float
    source: Source
    because: str
    origin: str | None = None
    video: Video | None = None

    def tried(self) -> Candidate:
        """The same as something new to be tried."""
        if self.video is None:
            return self
        because = "By a creator who is new here"
        return replace(self, source=Source.EXPLORATION, because=because, origin=None)


def similar(view: View, product_id: str, filters: Filters) -> Iterator[Candidate]:
    """Products like this one, best first, itself left out: those nearest in meaning, with those
    further up whose titles share its words and that are looked at in the same sessions. Without
    vectors, by the words of the title alone."""
    number = int(view.snapshot.numbers([product_id])[0])
    if number < 0:
        return
    start = np.array([number])
    vectors = view.snapshot.vectors(start)
    if vectors is None:
        lists = [_by_words(view, view.snapshot.products(start)[0], filters)]
    else:
        near = view.snapshot.dense(vectors[0], DEEP, filters)
        lists = [near.head(POOL), _by_title(view, number, near)]
    if view.recommender is not None:
        codes, scores, _ = view.recommender.after(view.recommender.known([product_id]))
        numbers, kept = live(view, codes[:POOL], filters)
        lists.append(Candidates(numbers, scores[:POOL][kept]))
    fused = reciprocal_rank_fusion(lists)
    for other, score in zip(fused.numbers.tolist(), fused.scores.tolist(), strict=True):
        if other != number:
            yield Candidate(other, score, Source.CONTENT, "Similar to {}", product_id)


def _by_title(view: View, number: int, near: Candidates) -> Candidates:
    """Those of some products whose titles share words with a product's, by the share of its
    title's information (idf) that they have."""
    own, _, _ = view.store.gather("title", np.array([number]))
    own = np.unique(own[:TITLE_WORDS])
    if not own.size or not len(near):
        return Candidates.empty()
    statistics = view.store.statistics["title"]
    weight = np.log1p(statistics.documents / np.maximum(statistics.df(own), 1))
    terms, owner, _ = view.store.gather("title", near.numbers)
    at = np.minimum(np.searchsorted(own, terms), own.size - 1)
    hit = own[at] == terms
    shared = np.zeros((len(near), own.size), bool)
    shared[owner[hit], at[hit]] = True
    share = (shared @ weight / weight.sum()).astype(np.float32)
    order = np.argsort(-share, kind="stable")[:POOL]
    order = order[share[order] > 0]
    return Candidates(near.numbers[order], share[order])


def _by_words(view: View, product: Product, filters: Filters) -> Candidates:
    """Products with half of the title's words; with any of them, where few have half."""
    title = " ".join(product.title.split()[:TITLE_WORDS])[:512]
    understanding = view.understand(
        SearchRequest(q=title, language=product.language, rewrite=False)
    )
    if not understanding.terms:
        return Candidates.empty()
    half = (len(understanding.terms) + 1) // 2
    found = Candidates.empty()
    for required in (half, 1):
        query = Lexical(FIELD_WEIGHTS, minimum_match=required).query(understanding)
        found = view.snapshot.lexical(query, POOL, filters)
        if len(found) >= FEW:
            break
    return found


def complementary(view: View, product_id: str, filters: Filters) -> Iterator[Candidate]:
    """What is bought with this product; nothing where nobody has bought it with anything."""
    if view.recommender is None:
        return
    for code in view.recommender.known([product_id]).tolist():
        codes, scores = view.recommender.beside(code)
        numbers, kept = live(view, codes, filters)
        for number, score in zip(numbers.tolist(), scores[kept].tolist(), strict=True):
            yield Candidate(number, score, Source.BASKETS, "Often bought with {}", product_id)


def live(view: View, codes: Ints, filters: Filters) -> tuple[Numbers, Ints]:
    """Numbers of a recommender's items that are in the shop and satisfy the filters, and their
    places among `codes`."""
    numbers = view.numbers_of(codes)
    here = numbers[numbers >= 0]
    allowed = view.snapshot.satisfying(here, filters)
    kept = np.flatnonzero(np.isin(numbers, allowed)) if allowed.size < numbers.size else None
    if kept is None:
        return numbers, np.arange(numbers.size)
    return numbers[kept], kept


def after(view: View, recent: tuple[str, ...], filters: Filters) -> list[Candidate]:
    """What sessions like this one led to."""
    if view.following is None:
        return []
    ids, known = view.following.tables.ids, view.following.tables.known(recent)
    codes, scores, causes = view.following.after(known)
    codes, scores, causes = codes[: 2 * POOL], scores[: 2 * POOL], causes[: 2 * POOL]
    numbers, kept = live(view, codes, filters)
    return [
        Candidate(number, score, Source.SESSIONS, "Others looked at this around {}", ids[cause])
        if cause >= 0
        else Candidate(number, score, Source.NETWORK, "Visits like yours lead here", ids[known[-1]])
        for number, score, cause in zip(
            numbers.tolist(), scores[kept].tolist(), causes[kept].tolist(), strict=True
        )
    ]


def like_recent(view: View, request: RecommendRequest, most: int) -> list[Candidate]:
    """What is like the last products, each in turn."""
    last = list(dict.fromkeys(reversed(request.recent)))[:most]
    lists = [list(similar(view, product_id, request.filters)) for product_id in last]
    return in_turn(lists)


def favourites(view: View, filters: Filters) -> list[Candidate]:
    """What is looked at most of late; without sessions, what is rated best; without ratings, what
    there is."""
    if not filters.is_empty():
        return _favourites(view, filters)
    return view.once("favourites", lambda: _favourites(view, filters))


def _favourites(view: View, filters: Filters) -> list[Candidate]:
    if view.recommender is not None:
        codes, scores = view.recommender.favourites(2 * POOL)
        numbers, kept = live(view, codes, filters)
        return [
            Candidate(n, s, Source.POPULARITY, "Popular now")
            for n, s in zip(numbers.tolist(), scores[kept].tolist(), strict=True)
        ]
    return rated(view, filters)


def rated(view: View, filters: Filters) -> list[Candidate]:
    """What is rated best; without ratings, what there is."""
    if not filters.is_empty():
        return _rated(view, filters)
    return view.once("rated best", lambda: _rated(view, filters))


def _rated(view: View, filters: Filters) -> list[Candidate]:
    best = view.snapshot.satisfying(view.best_rated, filters)[: 2 * POOL]
    if best.size < POOL:  # narrow filters, or few ratings
        best = np.append(best, view.snapshot.browse(filters, Sort.RATING, 2 * POOL).numbers)
    numbers = np.array(list(dict.fromkeys(best.tolist())), np.int64)
    has_one = ~np.isnan(view.store.columns(numbers).rating)
    return [
        Candidate(number, 0.0, Source.RATING, "Rated best")
        if known
        else Candidate(number, 0.0, Source.CATALOGUE, "From the shop; nobody has rated it yet")
        for number, known in zip(numbers.tolist(), has_one.tolist(), strict=True)
    ]


def newest(view: View, filters: Filters) -> list[Candidate]:
    """The newest products, to be tried."""
    if not filters.is_empty():
        return _newest(view, filters)
    return view.once("newest", lambda: _newest(view, filters))


def _newest(view: View, filters: Filters) -> list[Candidate]:
    numbers = view.snapshot.browse(filters, Sort.NEWEST, POOL).numbers
    dated = ~np.isnan(view.store.columns(numbers).created)
    return [
        Candidate(n, 0.0, Source.EXPLORATION, "New here" if known else "Something else to try")
        for n, known in zip(numbers.tolist(), dated.tolist(), strict=True)
    ]


def in_turn(lists: list[list[Candidate]]) -> list[Candidate]:
    """The first of each list, then the second of each, and so on."""
    deepest = max(map(len, lists), default=0)
    return [some[place] for place in range(deepest) for some in lists if place < len(some)]


def distinct(first: list[Candidate], then: list[Candidate]) -> list[Candidate]:
    """Every product once, where it comes first."""
    found: dict[int, Candidate] = {}
    for candidate in (*first, *then):
        found.setdefault(candidate.number, candidate)
    return list(found.values())
