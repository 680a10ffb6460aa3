"""Videos that a feed may show: about a product that is here, safe, and not among the worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tandem.content.claims import check_claims
from tandem.contracts.parties import Content
from tandem.contracts.product import Product

if TYPE_CHECKING:
    from tandem.flows.view import View

MOST = 2_000  # the newest so many are looked at
WORST = 0.1  # share of those with a known hold rate that are left out
SEEN = 1_000  # impressions up to which a creator counts as new
PRIOR = 20.0  # views that a rate's mean weighs


@dataclass(frozen=True)
class Video:
    """number: of its first product in the shop. hold: share of those who saw two seconds that saw
    a quarter; ctr: clicks by impression; both smoothed towards the mean, NaN where unknown.
    new: its creator has hardly been shown. seldom: its creator is one of those who together have
    the last part of all impressions."""

    content: Content
    number: int
    hold: float
    ctr: float
    new: bool
    seldom: bool


def shelf(view: View, contents: Sequence[Content]) -> tuple[Video, ...]:
    """The videos that may be shown, best first by hold rate; unknown ones count as the mean.

    Left out: without a product of the shop, whose caption contradicts its product's facts, and the
    tenth that is left soonest.
    """
    latest = sorted(contents, key=lambda c: (c.published, c.id), reverse=True)[:MOST]
    first = [c.product_ids[0] for c in latest if c.product_ids]
    numbers = dict(zip(first, view.snapshot.numbers(first).tolist(), strict=True))
    here = [c for c in latest if c.product_ids and numbers[c.product_ids[0]] >= 0]
    safe = _safe(view, here, [numbers[c.product_ids[0]] for c in here])
    shown: dict[str, int] = {}
    for content in contents:
        shown[content.creator_id] = shown.get(content.creator_id, 0) + (content.impressions or 0)
    seldom = _seldom(shown, view.policy.feed.small_share)
    holds = _rates([(c.video_views_p25, c.video_views_2s) for c in safe])
    ctrs = _rates([(c.clicks, c.impressions) for c in safe])
    mean = float(np.nanmean(holds)) if not np.isnan(holds).all() else 0.0
    order = np.argsort(-np.nan_to_num(holds, nan=mean), kind="stable")
    floor = np.nanquantile(holds, WORST) if (~np.isnan(holds)).sum() >= 10 else -1.0
    return tuple(
        Video(
            safe[i],
            numbers[safe[i].product_ids[0]],
            float(holds[i]),
            float(ctrs[i]),
            shown[safe[i].creator_id] < SEEN,
            safe[i].creator_id in seldom,
        )
        for i in order.tolist()
        if not holds[i] < floor
    )


def _safe(view: View, contents: Sequence[Content], numbers: Sequence[int]) -> list[Content]:
    """Those whose captions their products do not contradict. Each is held against a version of its
    product once, whatever other products are updated."""
    known: dict[tuple[str, int], bool] = view.lasting.setdefault("contradicted", {})
    new = [(c, n) for c, n in zip(contents, numbers, strict=True) if (c.id, n) not in known]
    products = view.snapshot.products(np.array([n for _, n in new], np.int64))
    for (content, number), product in zip(new, products, strict=True):
        known[content.id, number] = contradicted(content, product)
    return [c for c, n in zip(contents, numbers, strict=True) if not known[c.id, n]]


def _seldom(shown: dict[str, int], share: float) -> frozenset[str]:
    """Creators who together have the last `share` of the impressions; nobody where none is
    known."""
    creators = sorted(shown, key=lambda c: (shown[c], c))
    mass = np.cumsum([shown[c] for c in creators])
    if not mass.size or not mass[-1]:
        return frozenset()
    last = int(np.searchsorted(mass, share * mass[-1], side="right"))
    return frozenset(creators[:last])


def contradicted(content: Content, product: Product) -> bool:
    """Whether the caption says of the product what its listing denies."""
    if not content.caption:
        return False
    return any(c.verdict == "contradicted" for c in check_claims(content.caption, product))


def _rates(counts: Sequence[tuple[int | None, int | None]]) -> NDArray[np.float64]:
    known = [(a, n) for a, n in counts if a is not None and n]
    mean = sum(a for a, _ in known) / sum(n for _, n in known) if known else 0.0
    return np.array(
        [np.nan if a is None or not n else (a + PRIOR * mean) / (n + PRIOR) for a, n in counts]
    )
