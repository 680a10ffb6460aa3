"""From contracts to tables: what content and profiles say about creators and products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.parties import Content, Creator
from tandem.contracts.product import Product
from tandem.matching.pairs import (
    PRIOR_CLICKS,
    PRIOR_ORDERS,
    CreatorTable,
    Floats,
    Ints,
    ProductTable,
    shrunk_log_ratio,
    unit,
)

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Showings:
    """R showings: one product in one piece of content, whose counts are shared evenly.

    creator, product: numbers of the two sides. impressions, clicks, orders: NaN where unknown, or
    where the creator did not agree to their use. hook, hold: rates of the piece, NaN likewise.
    """

    creator: Ints
    product: Ints
    piece: Ints
    impressions: Floats
    clicks: Floats
    orders: Floats
    hook: Floats
    hold: Floats

    def take(self, rows: Flags | Ints) -> Showings:
        return Showings(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @property
    def measured(self) -> Flags:
        """(R,) showings whose clicks and orders are known."""
        known = np.isfinite(self.impressions) & np.isfinite(self.clicks) & np.isfinite(self.orders)
        found: Flags = known & (self.impressions > 0)
        return found


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
        rows += [(creator, product, number, impressions, *counts, *rates) for product in known]
    table = np.array(rows, np.float64).reshape(-1, 8)
    whole = table[:, :3].astype(np.int64)
    figures = table[:, 3:].astype(np.float32)
    return Showings(*whole.T, *figures.T)


@dataclass(frozen=True)
class Profiles:
    """What creators say of themselves and what is said of their followers, as vectors.

    profile, audience, viewed, hashtags: (C, d), rows of zeros where unknown. followers, reach,
    engagement_rate, gpm, post_rate, fulfillment_percentage: (C,) NaN where unknown.
    """

    profile: Floats
    audience: Floats
    viewed: Floats
    hashtags: Floats
    numbers: Mapping[str, Floats]


def profile_numbers(creators: Sequence[Creator]) -> dict[str, Floats]:
    """Declared statistics by feature name; the middle of a range stands for it."""

    def column(values: Sequence[float | None]) -> Floats:
        return np.array([np.nan if v is None else v for v in values], np.float32)

    return {
        "followers": np.log1p(
            column([c.follower_count.middle if c.follower_count else None for c in creators])
        ),
        "reach": np.log1p(
            column([c.avg_video_views.middle if c.avg_video_views else None for c in creators])
        ),
        "engagement_rate": column([c.engagement_rate for c in creators]),
        "gpm": np.log1p(column([c.gpm.middle if c.gpm else None for c in creators])),
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
    impressions, clicks = float(known.impressions.sum()), float(known.clicks.sum())
    orders = float(known.orders.sum())
    ctr = clicks / impressions if impressions else 0.01
    return Rates(max(ctr, 1e-5), max(orders / clicks if clicks else 0.05, 1e-4))


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
    impressions, clicks, orders = (
        np.bincount(known.product, weights=values, minlength=n)
        for values in (known.impressions, known.clicks, known.orders)
    )
    return ProductTable(
        table.vectors,
        table.price,
        table.rating,
        table.rating_count,
        table.category,
        table.merchant,
        np.bincount(showings.product, minlength=n).astype(np.float32),
        shrunk_log_ratio(clicks, impressions, rates.ctr, PRIOR_CLICKS),
        shrunk_log_ratio(orders, clicks, rates.ctor, PRIOR_ORDERS),
    )


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
    impressions, clicks, orders = (
        np.bincount(s.creator[known], weights=values[known], minlength=count)
        for values in (s.impressions, s.clicks, s.orders)
    )
    measured = np.bincount(s.creator[known], minlength=count)
    some = measured > 0
    ctr = shrunk_log_ratio(clicks, impressions, rates.ctr, PRIOR_CLICKS)
    ctor = shrunk_log_ratio(orders, clicks, rates.ctor, PRIOR_ORDERS)
    seen = _steadied(np.log1p(mean(s.impressions)), measured, profiles.numbers["followers"])
    numbers = dict(profiles.numbers)
    # What was measured of a creator's pieces says more than what was declared for a month.
    numbers["reach"] = np.where(np.isfinite(seen), seen, numbers["reach"])
    numbers |= {
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
        unit(profiles.hashtags),
        start,
        s.product,
        np.where(
            known, shrunk_log_ratio(s.clicks, s.impressions, rates.ctr, PRIOR_CLICKS / 4), np.nan
        ).astype(np.float32),
        np.where(
            known & (s.clicks > 0),
            shrunk_log_ratio(s.orders, s.clicks, rates.ctor, PRIOR_ORDERS / 2),
            np.nan,
        ).astype(np.float32),
        mean(np.log(products.price[s.product])),
        numbers,
    )


def _steadied(reach: Floats, pieces: NDArray[np.integer], followers: Floats) -> Floats:
    """Log reach as measured, drawn towards what the followers let expect as if that were one piece
    more: who is proposed for one lucky piece would disappoint."""
    usual = np.nanmedian(reach - followers) if np.isfinite(reach - followers).any() else 0.0
    expected = followers + usual
    steadied = (pieces * reach + expected) / (pieces + 1)
    found: Floats = np.where(np.isfinite(steadied), steadied, reach).astype(np.float32)
    return found
