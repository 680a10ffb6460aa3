"""The feed: candidates of several sources, one ranker with several objectives, and the shop's rules
for what a page has to look like.

Without a trained ranker the sources take turns. With one, a place is worth the weighted sum of the
calibrated probabilities that it is watched, clicked, bought from and liked; the weights, the
exploration budget, the caps and the floor are in the shop's rules (`feed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Candidates
from tandem.contracts.recommend import Known, RecommendRequest, Source
from tandem.contracts.search import Understanding
from tandem.features.declarations import TASTE, compute_features
from tandem.features.evidence import Evidence
from tandem.features.store import CATEGORY_SEPARATOR
from tandem.flows.sources import (
    RECENT,
    Candidate,
    after,
    distinct,
    favourites,
    in_turn,
    like_recent,
    newest,
    rated,
)
from tandem.flows.videos import Video, shelf
from tandem.flows.view import View
from tandem.ranking.business import FeedPolicy, Rule, RuleKind

MOST_POPULAR = 2_000  # products whose popularity counts
MOST_PLACES = 120  # that are laid out page by page
PAGE = 12  # places within which caps and floors hold
BEST_VIDEOS = 30  # that everybody's feed may show
FEATURES = (
    *TASTE,
    *("followed", "popular", "rating", "ratings", "fresh", "video", "hold", "ctr"),
    *("shown", "known"),
)
_NOTHING = Understanding(raw="", text="")


def feed(view: View, request: RecommendRequest) -> list[Candidate]:
    """The feed's candidates in the order in which they are shown."""
    policy = view.policy.feed
    fresh = newest(view, request.filters)
    sources = [
        after(view, request.recent, request.filters),
        like_recent(view, request, RECENT) if request.recent else [],
        favourites(view, request.filters),
    ]
    places = min(request.size + len(request.hidden) + len(request.recent), MOST_PLACES)
    products = distinct(in_turn(sources), [])
    if len(products) < places:  # little is known of what is popular: videos are not to fill it up
        products = distinct(products, rated(view, request.filters))
    clips = _videos(view, request, products)
    mixed = in_turn([products, clips]) if clips else products
    unfit = unfit_now(view)
    mixed = [c for c in mixed if not unfit[c.number]]
    ranked = _ranked(view, request, mixed)
    ranked = _not_again(view, ranked, request, policy)
    tries = in_turn([[c for c in clips if c.video and c.video.new], fresh])
    tries = [c for c in tries if not unfit[c.number]]
    placed = _paged(view, ranked, tries, policy, places)
    return _fair_to_creators(_fair_to_merchants(view, placed, policy), policy)


def feed_features(
    view: View,
    recent: Sequence[str],
    shown: dict[str, int],
    numbers: NDArray[np.int64],
    videos: Sequence[Video | None],
) -> NDArray[np.float64]:
    """(n, features) in the order of `FEATURES`: the same where the ranker learns and serves.

    Features of taste are those of search; what is unknown is 0. shown: how often lists showed a
    product to this visitor in vain.
    """
    n = numbers.size
    taste = view.taste(Known(session=tuple(recent))) if recent else None
    columns = view.store.columns(numbers)
    values: dict[str, NDArray[np.float64]] = {}
    if taste is not None:
        order = np.unique(numbers)
        evidence = Evidence(
            _NOTHING,
            Candidates(order, np.zeros(order.size, np.float32)),
            view.store,
            vectors=view.snapshot.vectors(order),
            taste=taste,
        )
        rows = np.searchsorted(order, numbers)
        matrix = np.nan_to_num(compute_features(evidence, TASTE)[rows].astype(np.float64))
        values = dict(zip(TASTE, matrix.T, strict=True))
    values["followed"], values["popular"] = _behaved(view, recent, numbers)
    values["rating"] = np.nan_to_num(columns.rating.astype(np.float64) - 4.0)
    values["ratings"] = np.log1p(np.nan_to_num(columns.rating_count))
    newest_day = view.once("newest day", lambda: _newest_day(view))
    age = newest_day - columns.created
    values["fresh"] = np.nan_to_num(np.exp(-age / 90))
    values["video"] = np.array([v is not None for v in videos], float)
    for name in ("hold", "ctr"):
        rates = [np.nan if v is None else getattr(v, name) for v in videos]
        values[name] = np.nan_to_num(np.array(rates, float))
    ids = view.snapshot.ids(numbers) if shown else [""] * n
    values["shown"] = np.log1p(np.array([shown.get(i, 0) for i in ids], float))
    values["known"] = np.full(n, float(bool(recent)))
    zeros = np.zeros(n)
    return np.column_stack([values.get(name, zeros) for name in FEATURES])


def _newest_day(view: View) -> float:
    created = view.store.all_columns.created
    return float(np.nanmax(created)) if not np.isnan(created).all() else 0.0


def _behaved(
    view: View, recent: Sequence[str], numbers: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What sessions like this one led to (1 for the likeliest), and popularity, by product."""
    followed, popular = np.zeros(numbers.size), np.zeros(numbers.size)
    if view.following is None:
        return followed, popular
    codes, scores, _ = view.following.after(view.following.tables.known(list(recent)))
    codes, scores = codes[:500], scores[:500]
    if codes.size:
        followed = _looked_up(view.numbers_of(codes), scores / scores.max(), numbers)
    table: dict[int, float] = view.once("popular", lambda: _popular(view))
    popular = np.array([table.get(n, 0.0) for n in numbers.tolist()], float)
    return followed, popular


def _popular(view: View) -> dict[int, float]:
    """Popularity by product number, of those that are looked at most."""
    assert view.recommender is not None
    codes, liked = view.recommender.favourites(MOST_POPULAR)
    return dict(zip(view.numbers_of(codes).tolist(), liked.tolist(), strict=True))


def _looked_up(
    keys: NDArray[np.int64], values: NDArray[np.float32], asked: NDArray[np.int64]
) -> NDArray[np.float64]:
    table = dict(zip(keys.tolist(), values.tolist(), strict=True))
    return np.array([table.get(n, 0.0) for n in asked.tolist()], float)


# --- Candidates -------------------------------------------------------------------------------


def _videos(view: View, request: RecommendRequest, products: list[Candidate]) -> list[Candidate]:
    """Videos about the products under consideration, and the best of all; only where no filter
    asks for products."""
    if not view.content or not request.filters.is_empty():
        return []
    about, best = view.once("videos", lambda: _shelved(view))
    found = [
        Candidate(c.number, c.score, Source.VIDEO, c.because, c.origin, about[c.number])
        for c in products
        if c.number in about
    ]
    found += [
        Candidate(v.number, 0.0, Source.VIDEO, "A video that is watched", None, v) for v in best
    ]
    seen: dict[str, Candidate] = {}
    for candidate in found:
        assert candidate.video is not None
        seen.setdefault(candidate.video.content.id, candidate)
    return list(seen.values())


def _shelved(view: View) -> tuple[dict[int, Video], list[Video]]:
    """The best video of each product by its number, and the best of all and of new creators."""
    videos = shelf(view, view.content)
    about: dict[int, Video] = {}
    for video in videos:
        about.setdefault(video.number, video)
    return about, [*videos[:BEST_VIDEOS], *[v for v in videos if v.new][:BEST_VIDEOS]]


def unfit_now(view: View) -> NDArray[np.bool_]:
    """(products,) True for what is out of stock or hidden by a rule of the shop now."""
    unfit: NDArray[np.bool_] = view.once("sold out", lambda: view.store.all_columns.stock == 0)
    now = datetime.now(UTC)
    for rule in view.policy.rules:
        if rule.kind is RuleKind.HIDE and rule.active("", now):
            unfit = unfit | view.once(f"rule {rule.id}", partial(_named_by, view, rule))
    return unfit


def _named_by(view: View, rule: Rule) -> NDArray[np.bool_]:
    """(products,) True for what a rule names."""
    columns, names = view.store.all_columns, view.store.names
    named = np.zeros(columns.stock.size, bool)
    for kind in ("brand", "merchant"):
        code = names.code(kind, getattr(rule, kind))
        if code >= 0:
            named |= getattr(columns, kind) == code
    if rule.category is not None:
        below = rule.category + CATEGORY_SEPARATOR
        codes = [
            code
            for code, path in enumerate(names.category)
            if path == rule.category or path.startswith(below)
        ]
        named |= np.isin(columns.category, codes)
    numbers = view.snapshot.numbers(rule.products)
    named[numbers[numbers >= 0]] = True
    return named


# --- Order ------------------------------------------------------------------------------------


def _ranked(view: View, request: RecommendRequest, candidates: list[Candidate]) -> list[Candidate]:
    """By what the shop wants of a place; in turn as they came, where no ranker is trained."""
    if view.feed_ranker is None or not candidates:
        return candidates
    numbers = np.array([c.number for c in candidates], np.int64)
    features = feed_features(
        view, request.recent, request.shown, numbers, [c.video for c in candidates]
    )
    probabilities = view.feed_ranker.probabilities(features)
    wants = view.policy.feed.model_dump()
    worth = np.zeros(len(candidates))
    for name, probability in probabilities.items():
        clips = features[:, FEATURES.index("video")] > 0
        worth += wants[name] * (probability * clips if name == "watch" else probability)
    order = np.argsort(-worth, kind="stable")
    return [candidates[i] for i in order.tolist()]


def _not_again(
    view: View, ranked: list[Candidate], request: RecommendRequest, policy: FeedPolicy
) -> list[Candidate]:
    """What was shown in vain often enough comes after all the rest."""
    often = [i for i, times in request.shown.items() if times >= policy.shown_in_vain]
    if not often:
        return ranked
    again = set(view.snapshot.numbers(often).tolist())
    return sorted(ranked, key=lambda c: c.number in again)


def _paged(
    view: View,
    ranked: list[Candidate],
    tries: list[Candidate],
    policy: FeedPolicy,
    places: int,
) -> list[Candidate]:
    """The first `places`, page by page, and then the rest. On a page a category, a merchant, a
    creator or videos that are there often enough wait for the next one, unless nothing else is
    left; every n-th place is for something new: that is the budget, and no more than it is
    spent."""
    every = round(1 / policy.exploration) if policy.exploration else 0
    caps = (policy.per_category, policy.per_merchant, policy.per_creator, policy.videos)
    marks = _marks(view, [*ranked, *tries])
    queue, new = dict(enumerate(ranked)), dict(enumerate(tries, start=len(ranked)))
    out: list[Candidate] = []
    used: set[int] = set()
    counted: dict[tuple[int, object], int] = {}

    def take(waiting: dict[int, Candidate]) -> Candidate | None:
        """The first that the page has room for."""
        for at in [at for at, c in waiting.items() if c.number in used]:
            del waiting[at]
        for at, candidate in waiting.items():
            full = any(
                mark is not None and counted.get((kind, mark), 0) >= most
                for kind, (mark, most) in enumerate(zip(marks[at], caps, strict=True))
            )
            if not full:
                return placed(waiting, at, candidate)
        return None

    def placed(waiting: dict[int, Candidate], at: int, candidate: Candidate) -> Candidate:
        del waiting[at]
        used.add(candidate.number)
        for kind, mark in enumerate(marks[at]):
            counted[kind, mark] = counted.get((kind, mark), 0) + 1
        return candidate

    while len(out) < places and (queue or new):
        if len(out) % PAGE == 0:
            counted.clear()
        one = None
        if every and (len(out) + 1) % every == 0 and (found := take(new)) is not None:
            one = found.tried()
        one = one or take(queue)
        if one is None and queue:  # all that is left is there often enough
            at, candidate = next(iter(queue.items()))
            one = placed(queue, at, candidate)
        if one is None:
            break
        out.append(one)
    return distinct(out, [*queue.values(), *(c.tried() for c in new.values())])


def _marks(view: View, candidates: list[Candidate]) -> list[tuple[object, ...]]:
    """Category, merchant and creator of each, and whether it is a video; None where there is
    none."""
    columns = view.store.columns(np.array([c.number for c in candidates], np.int64))
    return [
        (
            category if category >= 0 else None,
            merchant if merchant >= 0 else None,
            c.video.content.creator_id if c.video else None,
            True if c.video else None,
        )
        for category, merchant, c in zip(
            columns.category.tolist(), columns.merchant.tolist(), candidates, strict=True
        )
    ]


def _fair_to_merchants(view: View, placed: list[Candidate], policy: FeedPolicy) -> list[Candidate]:
    """On every page at least the floor's share of places is for merchants who are seldom shown."""
    small = small_merchants(view)
    if not small:
        return placed
    merchants = view.store.columns(np.array([c.number for c in placed], np.int64)).merchant
    seldom = [m in small for m in merchants.tolist()]
    return floored(placed, [True] * len(placed), seldom, policy.small_floor)


def _fair_to_creators(placed: list[Candidate], policy: FeedPolicy) -> list[Candidate]:
    """On every page at least the floor's share of the videos is of creators who are seldom
    shown."""
    clips = [c.video is not None for c in placed]
    seldom = [c.video is not None and c.video.seldom for c in placed]
    return floored(placed, clips, seldom, policy.creator_floor)


def floored(
    placed: list[Candidate], which: list[bool], seldom: list[bool], share: float
) -> list[Candidate]:
    """Of the places of a page that are `which`, at least a share for what is `seldom` shown: the
    best of it comes forward to where the last of the others was, which moves on to where it came
    from. On each of the first five pages."""
    order = list(range(len(placed)))
    for start in range(0, min(len(order), 5 * PAGE), PAGE):
        page = range(start, min(start + PAGE, len(order)))
        here = [at for at in page if which[order[at]]]
        missing = round(share * len(here)) - sum(seldom[order[at]] for at in here)
        later = [at for at in range(start + PAGE, len(order)) if seldom[order[at]]]
        others = [at for at in reversed(here) if not seldom[order[at]]]
        for to, at in zip(others, later[: max(0, missing)], strict=False):
            order[to], order[at] = order[at], order[to]
    return [placed[i] for i in order]


def small_merchants(view: View) -> frozenset[int]:
    """Merchants who are seldom shown, by code: see `FeedPolicy`."""
    return view.once("small merchants", lambda: _small(view, view.policy.feed))


def _small(view: View, policy: FeedPolicy) -> frozenset[int]:
    """Merchants that together have the last part (`small_share`) of the popularity: clicks of late
    where there are some, else ratings."""
    columns = view.store.all_columns
    known = columns.merchant >= 0
    if not known.any():
        return frozenset()
    popular = np.nan_to_num(columns.rating_count) + 1.0
    if view.recommender is not None:
        popular = np.full(popular.size, 1e-3)
        for number, liked in view.once("popular", lambda: _popular(view)).items():
            if number >= 0:
                popular[number] += liked
    mass = np.bincount(columns.merchant[known], popular[known])
    order = np.argsort(mass, kind="stable")
    share = np.cumsum(mass[order]) / mass.sum()
    return frozenset(order[share <= policy.small_share].tolist())
