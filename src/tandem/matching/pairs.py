"""What is known of creators and products, and the features of a pair of them.

One code path for learning and for serving. Everything is arrays; missing is NaN and never zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

FEATURES = (
    "profile_fit",
    "shown_fit",
    "closest_shown",
    "similar_shown",
    "similar_ctr",
    "similar_ctor",
    "same_category",
    "same_merchant",
    "audience_fit",
    "viewed_fit",
    "hashtag_fit",
    "price_distance",
    "price",
    "creator_price",
    "followers",
    "reach",
    "reach_spread",
    "hook_rate",
    "hold_rate",
    "post_rate",
    "fulfillment_percentage",
    "pieces",
    "creator_ctr",
    "creator_ctor",
    "product_pieces",
    "product_ctr",
    "product_ctor",
    "rating",
    "rating_count",
)
"""Fits are cosines; `similar_*` are means over what a creator showed, weighted by similarity, in
log of the ratio to what is usual; `price_distance` is in log units; counts are log(1 + n); `reach`
and `reach_spread` are mean and variance of the log impressions of the next piece."""
_FEWEST_CENTRED = 10
SHARPNESS = 8.0
"""How fast the weight of a shown product falls with its distance (1 − cosine) from the asked."""
PRIOR_CLICKS, PRIOR_ORDERS = 20.0, 2.0
"""Clicks and orders of usual success that every rate is shrunk with."""
MOST_TOLD = 3.0
"""Expected clicks (or orders) that one showing counts for at most: a thousand clicks of one piece
tell how well that one did, and hardly more about the next."""


@dataclass(frozen=True)
class ProductTable:
    """N products. vectors: (N, d) unit rows; price, rating, rating_count: (N,) NaN where unknown;
    category, merchant: (N,) codes, -1 where unknown. pieces, ctr, ctor: (N,) how often it was shown
    and its success, log of the ratio to what is usual, shrunk."""

    vectors: NDArray[np.float16] | Floats
    price: Floats
    rating: Floats
    rating_count: Floats
    category: Ints
    merchant: Ints
    pieces: Floats
    ctr: Floats
    ctor: Floats


@dataclass(frozen=True)
class CreatorTable:
    """C creators. profile, shown, audience, viewed: (C, d) unit rows of what they say of
    themselves, of the products they showed, of what their followers buy by category, and of what
    their viewers looked at; rows of zeros where unknown. hashtags: (C, d) of the hashtags they use.
    start: (C + 1,) and product, ctr, ctor: (H,) what each showed, rows start[c]:start[c + 1], with
    its success (NaN where it may not be used). numbers: by feature name, (C,) statistics. price:
    (C,) mean log price of what they showed, NaN without any.
    """

    profile: NDArray[np.float16] | Floats
    shown: NDArray[np.float16] | Floats
    audience: NDArray[np.float16] | Floats
    viewed: NDArray[np.float16] | Floats
    hashtags: NDArray[np.float16] | Floats
    start: Ints
    product: Ints
    ctr: Floats
    ctor: Floats
    price: Floats
    numbers: dict[str, Floats] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.start) - 1


NUMBERS = (
    *("followers", "reach", "reach_spread", "hook_rate", "hold_rate"),
    *("post_rate", "fulfillment_percentage", "pieces", "creator_ctr", "creator_ctor"),
)


def pair_features(
    creators: CreatorTable, products: ProductTable, creator: Ints, product: Ints
) -> Floats:
    """(n, len(FEATURES)) of pairs; pairs of one creator should follow one another."""
    n = len(creator)
    out: dict[str, Floats] = {name: np.full(n, np.nan, np.float32) for name in FEATURES}
    wanted = np.asarray(products.vectors[product], np.float32)
    for name, table in (
        ("profile_fit", creators.profile),
        ("shown_fit", creators.shown),
        ("audience_fit", creators.audience),
        ("viewed_fit", creators.viewed),
        ("hashtag_fit", creators.hashtags),
    ):
        own = np.asarray(table[creator], np.float32)
        known = np.einsum("ij,ij->i", own, own) > 0.5
        out[name] = np.where(known, np.einsum("ij,ij->i", own, wanted), np.nan)
    for name in NUMBERS:
        out[name] = creators.numbers[name][creator]
    price = np.log(np.where(products.price[product] > 0, products.price[product], np.nan))
    out["price"] = price
    out["creator_price"] = creators.price[creator]
    # Of whom nobody knows what they sell at, the usual price is expected: a very dear product is no
    # likelier to sell through a stranger.
    known = np.isfinite(creators.price)
    usual = float(creators.price[known].mean()) if known.any() else np.nan
    level = np.where(known[creator], creators.price[creator], usual)
    out["price_distance"] = np.abs(price - level)
    out["product_pieces"] = np.log1p(products.pieces[product])
    out["product_ctr"], out["product_ctor"] = products.ctr[product], products.ctor[product]
    out["rating"] = products.rating[product]
    out["rating_count"] = np.log1p(products.rating_count[product])
    _history(creators, products, creator, product, wanted, out)
    return np.column_stack([out[name] for name in FEATURES]).astype(np.float32)


def _history(
    creators: CreatorTable,
    products: ProductTable,
    creator: Ints,
    product: Ints,
    wanted: Floats,
    out: dict[str, Floats],
) -> None:
    """Features over what creators showed before, by run of pairs of one creator."""
    if not len(creator):
        return
    edges = np.flatnonzero(np.diff(creator)) + 1
    starts, ends = np.r_[0, edges], np.r_[edges, len(creator)]
    single = ends - starts == 1
    _many_creators(creators, products, creator, product, starts[single], out)
    for low, high in zip(starts[~single].tolist(), ends[~single].tolist(), strict=True):
        c = creator[low]
        shown = creators.product[creators.start[c] : creators.start[c + 1]]
        if not len(shown):
            continue
        near = wanted[low:high] @ np.asarray(products.vectors[shown], np.float32).T
        weight = np.exp(SHARPNESS * (near - 1))  # (pairs, shown)
        out["closest_shown"][low:high] = near.max(axis=1)
        out["similar_shown"][low:high] = np.log1p(weight.sum(axis=1))
        for name, values in (("similar_ctr", creators.ctr), ("similar_ctor", creators.ctor)):
            success = values[creators.start[c] : creators.start[c + 1]]
            known = np.isfinite(success)
            if known.any():
                sums = weight[:, known].sum(axis=1)
                out[name][low:high] = (weight[:, known] @ success[known]) / (sums + _SURE)
        for name, codes in _codes(products):
            own = codes[product[low:high]]
            same = (own[:, None] == codes[shown][None, :]).mean(axis=1)
            out[name][low:high] = np.where(own >= 0, same, np.nan)


MEET_AGAIN = 20
"""So many times the products that are wanted may be worked out in one go, which costs less each."""
_SURE = 0.1
"""Weight of usual success beside that of similar products."""


def _codes(products: ProductTable) -> tuple[tuple[str, Ints], ...]:
    return ("same_category", products.category), ("same_merchant", products.merchant)


def _many_creators(
    creators: CreatorTable,
    products: ProductTable,
    creator: Ints,
    product: Ints,
    pairs: Ints,
    out: dict[str, Floats],
) -> None:
    """The same for pairs whose creators differ, all at once: what they showed in one long row."""
    counts = creators.start[creator[pairs] + 1] - creators.start[creator[pairs]]
    pairs, counts = pairs[counts > 0], counts[counts > 0]
    if not len(pairs):
        return
    begins = np.cumsum(counts) - counts
    within = np.arange(counts.sum()) - np.repeat(begins, counts)
    rows = np.repeat(creators.start[creator[pairs]], counts) + within
    of = np.repeat(pairs, counts)
    shown = creators.product[rows]
    near = _likeness(products, shown, product[of])
    weight = np.exp(SHARPNESS * (near - 1))
    out["closest_shown"][pairs] = np.maximum.reduceat(near, begins)
    out["similar_shown"][pairs] = np.log1p(np.add.reduceat(weight, begins))
    for name, values in (("similar_ctr", creators.ctr), ("similar_ctor", creators.ctor)):
        success = values[rows]
        known = np.isfinite(success)
        sums = np.add.reduceat(weight * known, begins)
        found = np.add.reduceat(np.where(known, weight * success, 0), begins) / (sums + _SURE)
        out[name][pairs] = np.where(np.add.reduceat(known, begins) > 0, found, np.nan)
    for name, codes in _codes(products):
        own = codes[product[of]]
        same = np.add.reduceat((own == codes[shown]).astype(np.float32), begins) / counts
        out[name][pairs] = np.where(codes[product[pairs]] >= 0, same, np.nan)


def _likeness(products: ProductTable, a: Ints, b: Ints) -> Floats:
    """(n,) products of the vectors of products a and b, pair by pair. Few products that meet again
    and again are multiplied once."""
    few_a, at_a = np.unique(a, return_inverse=True)
    few_b, at_b = np.unique(b, return_inverse=True)
    left = np.asarray(products.vectors[few_a], np.float32)
    right = np.asarray(products.vectors[few_b], np.float32)
    if len(few_a) * len(few_b) <= MEET_AGAIN * len(a):
        found: Floats = (left @ right.T)[at_a, at_b]
    else:
        found = np.einsum("ij,ij->i", left[at_a], right[at_b])
    return found


def unit(vectors: NDArray[np.number]) -> Floats:
    """Rows of length 1; rows of zeros stay."""
    dense = np.asarray(vectors, np.float32)
    length = np.linalg.norm(dense, axis=1, keepdims=True)
    found: Floats = (dense / np.maximum(length, 1e-9) * (length > 1e-9)).astype(np.float32)
    return found


def centred(vectors: NDArray[np.number]) -> Floats:
    """Unit rows without what all have in common, which hides what they differ in (Mu & Viswanath,
    ICLR 2018); rows of zeros stay."""
    rows = unit(vectors)
    known = np.einsum("ij,ij->i", rows, rows) > 0.5
    if known.sum() < _FEWEST_CENTRED:
        return rows
    return unit(np.where(known[:, None], rows - rows[known].mean(axis=0), 0))


def shrunk_log_ratio(
    part: NDArray[np.number], whole: NDArray[np.number], usual: float, prior: float
) -> Floats:
    """log of (part / whole) over what is usual, with `prior` more of usual success."""
    expected = np.asarray(whole, np.float64) * usual
    found: Floats = np.log((np.asarray(part, np.float64) + prior) / (expected + prior)).astype(
        np.float32
    )
    return found
