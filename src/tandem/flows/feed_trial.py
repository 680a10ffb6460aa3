"""The feed tried on simulated shoppers whose tastes are known: calibration, budget, caps, fairness.

Shoppers look through pages of a feed that the sources fill in turn; a ranker learns from what came
of it. Then other shoppers are assigned by hash to either feed. All of it is simulated, the videos
as well; the feed's code is the shop's own.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.recommend import Kind, RecommendRequest, RecommendResponse, Source
from tandem.contracts.search import Filters, Sort
from tandem.experiments.abtest.analysis import Analysis, analyse
from tandem.experiments.abtest.assignment import Assignment, Experiment, Layer
from tandem.experiments.abtest.effects import Metric
from tandem.flows.alliance import simulate_alliance
from tandem.flows.feed import PAGE, small_merchants
from tandem.flows.import_ import create_workspace, import_simulated
from tandem.flows.index import build_index
from tandem.flows.recommending import recommend
from tandem.flows.train_feed import LIKED, WATCHED, Impression, learned
from tandem.flows.videos import shelf
from tandem.flows.view import View
from tandem.flows.workspace import Workspace
from tandem.simulate.tastes import BOUGHT, Shoppers, TastefulShop
from tandem.storage.visitor_state import MOST_RECENT, newest

PAGES = 6  # that a shopper looks through, one after another
EXAMINED = np.arange(1, PAGE + 1) ** -0.4  # P(looked at) by place: a feed is scrolled


@dataclass(frozen=True)
class FeedTrial:
    """calibration: per objective, on impressions of later than those that taught. exposure: what
    was shown of new things and of merchants who are seldom shown, with the floor and without."""

    calibration: dict[str, Any]
    analysis: Analysis
    exposure: dict[str, Any]
    impressions: int

    def to_json(self) -> dict[str, Any]:
        return {
            "simulated": True,
            "impressions": self.impressions,
            "calibration": self.calibration,
            "experiment": self.analysis.to_json(),
            "exposure": self.exposure,
        }


def run_feed_trial(
    shoppers: int = 1_000,
    *,
    logged: int = 500,
    products: int = 800,
    encoder: str | None = None,
    seed: int = 7,
) -> FeedTrial:
    """Log, learn, try. encoder: None does without text vectors, and is quick."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as scratch:
        layout = create_workspace(Path(scratch) / "shop", encoder=encoder, simulated=True)
        import_simulated(layout, products, seed=seed)
        build_index(layout)
        simulate_alliance(layout, creators=60, pieces=products, viewers=10, seed=seed)
        with Workspace(layout) as shop:
            view = shop.view
            world = _World.of(view)
            log = Shoppers.draw(world.shop, logged, rng)
            impressions: list[Impression] = []
            for who in range(logged):
                world.visit(view, log, who, rng, impressions)
            ranker, calibration = learned(view, impressions)
            own = replace(view, feed_ranker=ranker)
            assignment = Assignment(
                "feed", [Layer("order", [Experiment("ranker", {"in turn": 0.5, "ranked": 0.5})])]
            )
            variants = np.array([assignment.variant(f"s{i}", "ranker") for i in range(shoppers)])
            people = Shoppers.draw(world.shop, shoppers, rng)
            table = np.zeros((shoppers, 2))
            for who in range(shoppers):
                served = own if variants[who] == "ranked" else view
                table[who] = world.visit(served, people, who, rng, None)
            exposure = _exposure(world, own, people, min(100, shoppers))
    analysis = analyse(
        variants,
        {"orders": table[:, 0], "clicks": table[:, 1]},
        [Metric("orders", "orders"), Metric("clicks", "clicks", role="guardrail")],
        control="in turn",
        treatment="ranked",
        shares={"in turn": 0.5, "ranked": 0.5},
        planned=shoppers,
        name="The feed's ranker",
        simulated=True,
    )
    return FeedTrial(calibration, analysis, exposure, len(impressions))


def _exposure(world: _World, view: View, people: Shoppers, visitors: int) -> dict[str, Any]:
    """Shares of the places of a first page, over visitors with one product in their past."""
    small = small_merchants(view)
    fresh = {v.content.id: v.new for v in shelf(view, view.content)}
    found = {}
    for name, floor in (("with the floor", view.policy.feed.small_floor), ("without", 0.0)):
        feed = view.policy.feed.model_copy(update={"small_floor": floor})
        served = replace(view, policy=view.policy.model_copy(update={"feed": feed}))
        new, seldom, creators, places, attraction = 0, 0, 0, 0, 0.0
        for who in range(visitors):
            start = world.shop.ids[(who * 37) % len(world.shop.ids)]
            response = world.asked(served, (start,), {})
            numbers = world.numbers(served, response)
            places += len(response.items)
            new += sum(i.source is Source.EXPLORATION for i in response.items)
            creators += sum(bool(i.video and fresh[i.video.id]) for i in response.items)
            merchants = served.store.columns(numbers).merchant
            seldom += int(np.isin(merchants, list(small)).sum())
            attraction += float(people.attraction(world.shop, who, -1, world.place[numbers]).sum())
        found[name] = {
            "exploration": round(new / places, 4),
            "new_creators": round(creators / places, 4),
            "seldom_shown_merchants": round(seldom / places, 4),
            "true_attraction": round(attraction / places, 4),
        }
    budget = view.policy.feed
    return {"stated": {"exploration": budget.exploration, "floor": budget.small_floor}, **found}


@dataclass(frozen=True)
class _World:
    """The products as shoppers see them, and their places in its arrays by number."""

    shop: TastefulShop
    place: NDArray[np.int64]

    @classmethod
    def of(cls, view: View) -> _World:
        snapshot = view.snapshot
        numbers = np.sort(snapshot.browse(Filters(), Sort.NEWEST, snapshot.size).numbers)
        place = np.full(int(numbers.max()) + 1, -1, np.int64)
        place[numbers] = np.arange(numbers.size)
        return cls(TastefulShop.of(snapshot.products(numbers)), place)

    @staticmethod
    def asked(view: View, recent: tuple[str, ...], shown: dict[str, int]) -> RecommendResponse:
        request = RecommendRequest(kind=Kind.FEED, recent=recent, shown=shown, size=PAGE)
        return recommend(view, request, simulated=True)

    @staticmethod
    def numbers(view: View, response: RecommendResponse) -> NDArray[np.int64]:
        return view.snapshot.numbers([i.product.id for i in response.items])

    def visit(
        self,
        view: View,
        people: Shoppers,
        who: int,
        rng: np.random.Generator,
        log: list[Impression] | None,
    ) -> tuple[float, float]:
        """A shopper looks through pages; what came of each place that was looked at goes into
        `log`. Orders and clicks."""
        recent: tuple[str, ...] = ()
        shown: dict[str, int] = {}
        orders = clicks = 0
        for _ in range(PAGES):
            response = self.asked(view, recent, shown)
            products = self.place[self.numbers(view, response)]
            attracted = people.attraction(self.shop, who, -1, products)
            looked = rng.random(products.size) < EXAMINED[: products.size]
            clicked = looked & (rng.random(products.size) < attracted)
            bought = clicked & (rng.random(products.size) < BOUGHT)
            # Of a video, the more is watched the more it attracts.
            watched = np.minimum(1, rng.random(products.size) * (0.4 + attracted))
            for at in np.flatnonzero(looked).tolist():
                item = response.items[at]
                clip = item.video is not None
                if log is not None:
                    outcome = {
                        "watch": float(watched[at] >= WATCHED) if clip else float("nan"),
                        "click": float(clicked[at]),
                        "buy": float(bought[at]),
                        "satisfaction": float(bought[at] or (clip and watched[at] >= LIKED)),
                    }
                    content = item.video.id if item.video else None
                    log.append(Impression(recent, dict(shown), item.product.id, content, outcome))
                shown[item.product.id] = shown.get(item.product.id, 0) + 1
            for at in np.flatnonzero(clicked).tolist():
                product_id = response.items[at].product.id
                recent = newest((*recent, product_id), MOST_RECENT)
                shown.pop(product_id, None)
            orders += int(bought.sum())
            clicks += int(clicked.sum())
        return float(orders), float(clicks)
