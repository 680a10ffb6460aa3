"""From contracts to tables: what content and profiles say about creators and products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.parties import Content, Creator
from tandem.contracts.product import Product
from tandem.matching.pairs import (
    MOST_TOLD,
    PRIOR_CLICKS,
    PRIOR_ORDERS,
    CreatorTable,
    Floats,
    Ints,
    ProductTable,
    shrunk_log_ratio,
    unit,
)
from tandem.matching.reach import ReachModel

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Showings:
    """R showings: one product in one piece of content, whose counts are shared evenly.

    creator, product: numbers of the two sides. impressions, clicks, orders: NaN where unknown, or
    where the creator did not agree to their use. hook, hold: rates of the piece, NaN likewise.
    share: the product's part of the piece; impressions are those of the whole piece.
    """

    creator: Ints
    product: Ints
    piece: Ints
    impressions: Floats
    clicks: Floats
    orders: Floats
    hook: Floats
    hold: Floats
    share: Floats

    def take(self, rows: Flags | Ints) -> Showings:
        return Showings(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @property
    def measured(self) -> Flags:
        """(R,) showings whose clicks and orders are known."""
        known = np.isfinite(self.impressions) & np.isfinite(self.clicks) & np.isfinite(self.orders)
        found: Flags = known & (self.impressions > 0)
        return found

    def without_figures(self, of: Flags) -> Showings:
        """The same, without the figures of these creators (C,)."""
        gone = of[self.creator]
        figures = ("impressions", "clicks", "orders", "hook", "hold")
        return replace(self, **{f: np.where(gone, np.nan, getattr(self, f)) for f in figures})


def showings_of(
    content: Sequence[Content],
    creators: Mapping[str, int],
    products: Mapping[str, int],
    measured: Flags,
) -> Showings:
    """Showings of known creators and products. measured: (C,) whose figures may be used."""
    rows: list[tuple[float, ...]] = []
    for number, piece in enumerate(content):
        creator = creators.get(piece.creator_id)
        known = [products[p] for p in piece.product_ids if p in products]
        if creator is None or not known:
            continue
        share = 1 / len(piece.product_ids)
        open_ = bool(measured[creator])
        counts = [
            share * value if value is not None and open_ else np.nan
            for value in (piece.clicks, piece.orders)
        ]
        seen = piece.impressions if piece.impressions is not None else piece.views
        impressions = float(seen) if seen is not None and open_ else np.nan
        rates = [
            np.nan if r is None or not open_ else r for r in (piece.hook_rate, piece.hold_rate)
        ]
        figures = (impressions, *counts, *rates, share)
        rows += [(creator, product, number, *figures) for product in known]
    table = np.array(rows, np.float64).reshape(-1, 9)
    whole = table[:, :3].astype(np.int64)
    return Showings(*whole.T, *table[:, 3:].astype(np.float32).T)


@dataclass(frozen=True)
class Hashtags:
    """of_piece: (P, W) sparse, how often each piece uses a hashtag; vectors: (W, d) of these."""

    of_piece: Any
    vectors: Floats

    def of(self, creator: Ints, piece: Ints, count: int) -> Floats:
        """(count, d) mean of the hashtags in the pieces (n,) of creators (n,); 0 without any."""
        from scipy import sparse

        pairs = np.unique(np.column_stack([creator, piece]), axis=0)
        shape = (count, self.of_piece.shape[0])
        own = sparse.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape)
        found: Floats = np.asarray((own @ self.of_piece) @ self.vectors, np.float32)
        return found


@dataclass(frozen=True)
class Profiles:
    """What creators say of themselves and what is said of their followers, as vectors.

    profile, audience, viewed: (C, d), rows of zeros where unknown. hashtags: by piece, for what is
    learned must not know the piece that is asked about. numbers: (C,) followers, declared reach,
    post_rate, fulfillment_percentage, NaN where unknown.
    """

    profile: Floats
    audience: Floats
    viewed: Floats
    hashtags: Hashtags
    numbers: Mapping[str, Floats]


def profile_numbers(creators: Sequence[Creator]) -> dict[str, Floats]:
    """Declared statistics by feature name; the middle of a range stands for it. What a platform
    declares of the content itself (GPM, engagement) is left out: it knows the pieces that are
    learned from."""

    def column(values: Sequence[float | None]) -> Floats:
        return np.array([np.nan if v is None else v for v in values], np.float32)

    return {
        "followers": np.log1p(
            column([c.follower_count.middle if c.follower_count else None for c in creators])
        ),
        "reach": np.log1p(
            column([c.avg_video_views.middle if c.avg_video_views else None for c in creators])
        ),
        "post_rate": column([c.post_rate for c in creators]),
        "fulfillment_percentage": column([c.fulfillment_percentage for c in creators]),
    }


@dataclass(frozen=True)
class Rates:
    """What is usual: clicks per impression, and orders per click."""

    ctr: float
    ctor: float


def usual_rates(showings: Showings) -> Rates:
    known = showings.take(showings.measured)
    ctr = _usual(known.clicks, known.impressions * known.share, 0.01, 1e-5)
    return Rates(ctr, _usual(known.orders, known.clicks, 0.05, 1e-4))


def _usual(part: Floats, whole: Floats, unknown: float, least: float) -> float:
    """part over whole, of which no showing counts for more than `MOST_TOLD`."""
    total = float(whole.sum(dtype=np.float64))
    if not total:
        return unknown
    usual = max(float(part.sum(dtype=np.float64)) / total, least)
    weight = 1 / (1 + whole.astype(np.float64) * usual / MOST_TOLD)
    return max(float((weight * part).sum() / (weight * whole).sum()), least)


def product_table(
    products: Sequence[Product], vectors: Floats, showings: Showings, rates: Rates
) -> ProductTable:
    """vectors: (N, d) of the products, in their order."""

    def column(values: Sequence[float | None]) -> Floats:
        return np.array([np.nan if v is None else v for v in values], np.float32)

    def codes(names: Sequence[str | None]) -> Ints:
        known: dict[str, int] = {}
        return np.array([-1 if not n else known.setdefault(n, len(known)) for n in names], np.int64)

    bare = ProductTable(
        unit(vectors),
        column([float(p.price.amount) if p.price and p.price.amount else None for p in products]),
        column([p.rating for p in products]),
        column([p.rating_count for p in products]),
        codes([p.category[-1] if p.category else None for p in products]),
        codes([p.merchant or p.brand for p in products]),
        *np.zeros((3, len(products)), np.float32),
    )
    return with_success(bare, showings, rates)


def with_success(table: ProductTable, showings: Showings, rates: Rates) -> ProductTable:
    """The products with how they did in these showings."""
    n = len(table.price)
    known = showings.take(showings.measured)
    ctr, ctor = _success(known, known.product, n, rates)
    return ProductTable(
        table.vectors,
        table.price,
        table.rating,
        table.rating_count,
        table.category,
        table.merchant,
        np.bincount(showings.product, minlength=n).astype(np.float32),
        ctr,
        ctor,
    )


def _success(known: Showings, of: Ints, count: int, rates: Rates) -> tuple[Floats, Floats]:
    """(count,) log success in clicks and in orders of who `of` (R,) names, shrunk."""
    found = []
    for part, whole, usual, prior in (
        (known.clicks, known.impressions * known.share, rates.ctr, PRIOR_CLICKS),
        (known.orders, known.clicks, rates.ctor, PRIOR_ORDERS),
    ):
        weight = 1 / (1 + whole.astype(np.float64) * usual / MOST_TOLD)
        parts, wholes = (np.bincount(of, weight * v, count) for v in (part, whole))
        found.append(shrunk_log_ratio(parts, wholes, usual, prior))
    return found[0], found[1]


def creator_table(
    profiles: Profiles, products: ProductTable, showings: Showings, rates: Rates
) -> CreatorTable:
    """The creators with what these showings say of them."""
    count = len(profiles.profile)
    order = np.argsort(showings.creator, kind="stable")
    s = showings.take(order)
    start = np.searchsorted(s.creator, np.arange(count + 1)).astype(np.int64)
    pieces = np.bincount(s.creator, minlength=count)
    sums = np.zeros((count, products.vectors.shape[1]), np.float32)
    np.add.at(sums, s.creator, np.asarray(products.vectors[s.product], np.float32))

    def mean(values: Floats) -> Floats:
        known = np.isfinite(values)
        total = np.bincount(s.creator[known], weights=values[known], minlength=count)
        number = np.bincount(s.creator[known], minlength=count)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (total / number).astype(np.float32)

    known = s.measured
    some = np.bincount(s.creator[known], minlength=count) > 0
    ctr, ctor = _success(s.take(known), s.creator[known], count, rates)
    reach, spread = _reach(profiles, s.take(known))
    numbers = dict(profiles.numbers) | {
        "reach": reach,
        "reach_spread": spread,
        "hook_rate": mean(s.hook),
        "hold_rate": mean(s.hold),
        "pieces": np.log1p(pieces).astype(np.float32),
        "creator_ctr": np.where(some, ctr, np.nan).astype(np.float32),
        "creator_ctor": np.where(some, ctor, np.nan).astype(np.float32),
    }
    return CreatorTable(
        unit(profiles.profile),
        unit(sums),
        unit(profiles.audience),
        unit(profiles.viewed),
        unit(profiles.hashtags.of(s.creator, s.piece, count)),
        start,
        s.product,
        np.where(
            known,
            shrunk_log_ratio(s.clicks, s.impressions * s.share, rates.ctr, PRIOR_CLICKS / 4),
            np.nan,
        ).astype(np.float32),
        np.where(
            known & (s.clicks > 0),
            shrunk_log_ratio(s.orders, s.clicks, rates.ctor, PRIOR_ORDERS / 2),
            np.nan,
        ).astype(np.float32),
        mean(np.log(products.price[s.product])),
        numbers,
    )


def _reach(profiles: Profiles, known: Showings) -> tuple[Floats, Floats]:
    """(C,) mean and variance of the log impressions of a creator's next piece."""
    count = len(profiles.profile)
    _, first = np.unique(known.piece, return_index=True)  # a piece may show several products
    creator, seen = known.creator[first], np.log(known.impressions[first].astype(np.float64))
    pieces = np.bincount(creator, minlength=count).astype(np.float64)
    mean = np.bincount(creator, seen, count) / np.maximum(pieces, 1)
    within = float(((seen - mean[creator]) ** 2).sum())
    told = (profiles.numbers[name].astype(np.float64) for name in ("followers", "reach"))
    followers, declared = told
    model = ReachModel.fit(pieces, mean, within, followers, declared)
    return model(pieces, mean, followers, declared)
