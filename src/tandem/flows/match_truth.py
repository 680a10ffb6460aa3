"""A matcher held against the simulated truth: how good its choices are, how often its intervals
hold, apart for new creators and for brands that nobody has worked with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tandem.experiments.inference import bootstrap_intervals
from tandem.flows.alliance import alliance_truth
from tandem.flows.train_matcher import gather
from tandem.matching.matcher import Doubles, Flags, Matcher
from tandem.matching.pairs import Ints
from tandem.matching.predictive import LEVELS
from tandem.simulate.creators import Truth
from tandem.storage.layout import Layout

BEST = 10
QUERIES = 150
PAIRS = 4_000
HELD_SHARE = 0.15
"""Of merchants (or brands) all of whose showings are kept from the matcher."""
PROPOSED = ("proposals", "proposals for unseen brands", "products proposed")
SYSTEMS = ("matcher", "reach", "similarity", "random")

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Share:
    """Mean with its 95% bootstrap interval over queries."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class TruthReport:
    """value: by task and system, the true expected GMV of the first ten, as a share of the best
    ten's. coverage: by group, target and level, the share of outcomes drawn anew that lie in the
    interval. queries: by task. promised: by group, expected over true clicks and
    orders. All of it simulated."""

    value: dict[str, dict[str, Share]]
    queries: dict[str, int]
    coverage: dict[str, dict[str, float]]
    pairs: dict[str, int]
    promised: dict[str, dict[str, float]]
    out_of_fold: dict[str, Any]
    simulated: bool = True

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def evaluate_on_truth(
    layout: Layout, *, seed: int = 7, progress: Progress = lambda *_: None
) -> TruthReport:
    """Train without the showings of some merchants and compare with the truth. NotFound where the
    creators are real."""
    market = alliance_truth(layout)
    evidence = gather(layout, progress)
    rng = np.random.default_rng(seed)
    merchants = np.unique(evidence.table.merchant[evidence.table.merchant >= 0])
    held = rng.choice(merchants, max(1, round(HELD_SHARE * len(merchants))), replace=False)
    unseen = np.isin(evidence.table.merchant, held)
    showings = evidence.showings.take(~unseen[evidence.showings.product])
    matcher, out_of_fold = Matcher.fit(
        evidence.profiles,
        evidence.table,
        showings,
        [c.id for c in evidence.creators],
        [p.id for p in evidence.products],
        seed=seed,
    )
    number = {c.id: i for i, c in enumerate(market.creators)}
    # Rows of the truth by rows of the matcher, which leaves out who withdrew.
    rows = np.array([number[c] for c in matcher.creator_ids], np.int64)
    place = {p.id: i for i, p in enumerate(market.products)}
    columns = np.array([place[p] for p in matcher.product_ids], np.int64)
    truth = _Truth(market.truth, rows, columns)
    new = ~np.isfinite(matcher.creators.numbers["creator_ctr"])
    priced = np.isfinite(matcher.products.price)
    value: dict[str, dict[str, Share]] = {}
    queries: dict[str, int] = {}
    tasks: tuple[tuple[str, Flags, Flags | None], ...] = (
        ("creators for products", priced & ~unseen, None),
        ("creators for products of unseen brands", priced & unseen, None),
        ("new creators for products", priced, ~new),
    )
    for name, which, barred in tasks:
        asked = _some(np.flatnonzero(which), rng)
        shares = np.array([_creators(matcher, truth, int(p), barred, rng) for p in asked])
        value[name], queries[name] = _shares(shares), len(asked)
        progress("tasks", len(value), 4)
    asked = _some(np.flatnonzero(~new), rng)
    shares = np.array([_products(matcher, truth, int(c), ~priced, rng) for c in asked])
    value["products for creators"], queries["products for creators"] = _shares(shares), len(asked)
    coverage, pairs, promised = _coverage(matcher, truth, new, unseen, priced, rng)
    return TruthReport(value, queries, coverage, pairs, promised, out_of_fold)


@dataclass(frozen=True)
class _Truth:
    """The truth in the matcher's numbers."""

    truth: Truth
    rows: Ints
    columns: Ints

    def gmv(self, creator: Ints, product: Ints) -> Doubles:
        _, _, found = self.truth.expected(self.rows[creator], self.columns[product])
        return np.nan_to_num(found)

    def sums(self, creator: Ints, product: Ints) -> tuple[float, float]:
        """Clicks and orders expected in truth, of all these pairs together."""
        clicks, orders, _ = self.truth.expected(self.rows[creator], self.columns[product])
        return float(clicks.sum()), float(np.nansum(orders))

    def draw(self, creator: Ints, product: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
        _, clicks, orders = self.truth.draw(self.rows[creator], self.columns[product], rng)
        return clicks, orders


def _some(rows: Ints, rng: np.random.Generator) -> Ints:
    return np.sort(rng.choice(rows, min(QUERIES, len(rows)), replace=False))


def _creators(
    matcher: Matcher, truth: _Truth, product: int, barred: Flags | None, rng: np.random.Generator
) -> list[float]:
    """Share of the best ten's GMV by system, `SYSTEMS`."""
    pool = np.arange(matcher.creators.size) if barred is None else np.flatnonzero(~barred)
    gmv = np.zeros(matcher.creators.size)
    gmv[pool] = truth.gmv(pool, np.full(len(pool), product))
    features = matcher.pairs(pool, np.full(len(pool), product)).features
    near = np.nan_to_num(np.where(np.isfinite(features[:, 1]), features[:, 1], features[:, 0]))
    reach = matcher.creators.numbers["followers"][pool]
    chosen = {
        "matcher": matcher.creators_for(product, BEST, barred=barred).creator,
        "reach": pool[np.argsort(-np.nan_to_num(reach), kind="stable")[:BEST]],
        "similarity": pool[np.argsort(-near, kind="stable")[:BEST]],
        "random": rng.choice(pool, min(BEST, len(pool)), replace=False),
    }
    return _of_best(gmv, chosen)


def _products(
    matcher: Matcher, truth: _Truth, creator: int, barred: Flags, rng: np.random.Generator
) -> list[float]:
    pool = np.flatnonzero(~barred)
    gmv = np.zeros(len(barred))
    gmv[pool] = truth.gmv(np.full(len(pool), creator), pool)
    shown = np.asarray(matcher.creators.shown[creator], np.float32)
    near = np.asarray(matcher.products.vectors[pool], np.float32) @ shown
    price = matcher.products.price[pool]
    chosen = {
        "matcher": matcher.products_for(creator, BEST, barred=barred).product,
        "reach": pool[np.argsort(-price, kind="stable")[:BEST]],
        "similarity": pool[np.argsort(-near, kind="stable")[:BEST]],
        "random": rng.choice(pool, BEST, replace=False),
    }
    return _of_best(gmv, chosen)


def _of_best(gmv: Doubles, chosen: dict[str, Ints]) -> list[float]:
    best = np.sort(gmv)[::-1][:BEST].sum()
    return [float(gmv[chosen[name]].sum() / best) if best > 0 else np.nan for name in SYSTEMS]


def _shares(shares: Doubles) -> dict[str, Share]:
    found = bootstrap_intervals(shares, (0.0, 1.0))
    return {
        name: Share(float(found.mean[i]), float(found.low[i]), float(found.high[i]))
        for i, name in enumerate(SYSTEMS)
    }


def _coverage(
    matcher: Matcher,
    truth: _Truth,
    new: Flags,
    unseen: Flags,
    priced: Flags,
    rng: np.random.Generator,
) -> tuple[dict[str, dict[str, float]], dict[str, int], dict[str, dict[str, float]]]:
    """Coverage and number of pairs by lot, and of the matcher's own proposals, which are chosen for
    being high; and of these, expected clicks over true ones."""
    promised: dict[str, dict[str, float]] = {}
    coverage: dict[str, dict[str, float]] = {}
    pairs: dict[str, int] = {}
    groups = {
        "known creators": (~new, priced & ~unseen),
        "new creators": (new, priced & ~unseen),
        "unseen brands": (~new, priced & unseen),
    }
    drawn: dict[str, tuple[Ints, Ints]] = {}
    for name, (creators, products) in groups.items():
        if creators.any() and products.any():
            drawn[name] = (
                rng.choice(np.flatnonzero(creators), PAIRS),
                rng.choice(np.flatnonzero(products), PAIRS),
            )
    asked = _some(np.flatnonzero(priced & ~unseen), rng)
    proposed = {"proposals": [matcher.creators_for(int(p), BEST) for p in asked]}
    others = _some(np.flatnonzero(priced & unseen), rng)
    proposed["proposals for unseen brands"] = [matcher.creators_for(int(p), BEST) for p in others]
    asked = _some(np.flatnonzero(~new), rng)
    barred = ~priced
    proposed["products proposed"] = [
        matcher.products_for(int(c), BEST, barred=barred) for c in asked
    ]
    for name in (name for name in PROPOSED if proposed[name]):
        drawn[name] = (
            np.concatenate([found.creator for found in proposed[name]]),
            np.concatenate([found.product for found in proposed[name]]),
        )
    for name, (creator, product) in drawn.items():
        order = np.argsort(creator, kind="stable")
        creator, product = creator[order], product[order]
        clicks, orders = truth.draw(creator, product, rng)
        found = matcher.pairs(creator, product)
        predicted = matcher.model.predicted(found.features)
        true = truth.sums(creator, product)
        promised[name] = {
            "clicks": round(float(found.clicks.sum() / true[0]), 3),
            "orders": round(float(found.orders.sum() / true[1]), 3),
        }
        pairs[name] = len(creator)
        coverage[name] = {}
        for target, seen in (("clicks", clicks), ("orders", orders)):
            for level in LEVELS:
                low, high = matcher.model.calibration.interval(target, predicted, found.new, level)
                inside = (seen >= low) & (seen <= high)
                coverage[name][f"{target} {level:.0%}"] = round(float(inside.mean()), 4)
    return coverage, pairs, promised
