"""Personalised search tried on simulated shoppers: an A/B test in which clicks answer.

A log of some shoppers trains the ranker; others are assigned by hash to everybody's order or to
their own. What they click becomes what is known of them, as in a shop. All of it is simulated.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Candidates
from tandem.contracts.recommend import Known
from tandem.contracts.search import Filters, Sort
from tandem.experiments.abtest.analysis import Analysis, analyse
from tandem.experiments.abtest.assignment import Assignment, Experiment, Layer
from tandem.experiments.abtest.effects import Metric
from tandem.flows.import_ import create_workspace, import_simulated
from tandem.flows.index import build_index
from tandem.flows.personal_search import Episode, Pools, choices
from tandem.flows.workspace import Workspace
from tandem.ranking.personal import PersonalRanker
from tandem.simulate.shoppers import SHOWN
from tandem.simulate.tastes import Shoppers, TastefulShop
from tandem.storage.visitor_state import MOST_RECENT, newest

PRODUCTS = 1_500
VISITS, SEARCHES = 3, 3  # of one shopper, and in one visit


@dataclass(frozen=True)
class Trial:
    """overall: orders and clicks of a shopper's whole time, by whether the shopper has a taste.
    newcomers: the same of first searches alone, of which nothing was known."""

    overall: Analysis
    newcomers: Analysis
    learned_from: int


def run_trial(
    shoppers: int = 2_000,
    *,
    logged: int = 400,
    seed: int = 7,
    products: int = PRODUCTS,
    ranker: PersonalRanker | None = None,
) -> Trial:
    """Log, learn (or take a given ranker), try. Simulated from end to end."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as scratch:
        layout = create_workspace(Path(scratch) / "shop", simulated=True)
        import_simulated(layout, products, seed=seed)
        build_index(layout)
        with Workspace(layout) as shop:
            pools = Pools(shop.view)
            world = _World.of(shop, pools)
            log = Shoppers.draw(world.shop, logged, rng)
            episodes = [e for who in range(logged) for e in world.walk(log, who, None, rng)[0]]
            ranker = ranker or PersonalRanker.fit(choices(pools, episodes))
            assignment = Assignment(
                "personal",
                [Layer("order", [Experiment("own", {"everybody": 0.5, "personal": 0.5})])],
            )
            variants = np.array([assignment.variant(f"s{i}", "own") for i in range(shoppers)])
            people = Shoppers.draw(world.shop, shoppers, rng)
            table = np.zeros((shoppers, 4))
            for who in range(shoppers):
                own = ranker if variants[who] == "personal" else None
                table[who] = world.walk(people, who, own, rng)[1]
    taste = np.where(people.tasteless, "none", "has one")
    return Trial(
        _analysed("Personalised search", variants, table[:, :2], {"taste": taste}),
        _analysed("Personalised search, first searches", variants, table[:, 2:], None),
        len(episodes),
    )


def _analysed(
    name: str,
    variants: NDArray[np.str_],
    table: NDArray[np.float64],
    segments: dict[str, NDArray[np.str_]] | None,
) -> Analysis:
    return analyse(
        variants,
        {"orders": table[:, 0], "clicks": table[:, 1]},
        [Metric("orders", "orders"), Metric("clicks", "clicks", role="guardrail")],
        control="everybody",
        treatment="personal",
        shares={"everybody": 0.5, "personal": 0.5},
        segments=segments,
        planned=len(variants),
        name=name,
        simulated=True,
    )


@dataclass(frozen=True)
class _World:
    """The shop, and the places of its products in the arrays of `TastefulShop` by number."""

    pools: Pools
    shop: TastefulShop
    place: NDArray[np.int64]

    @classmethod
    def of(cls, shop: Workspace, pools: Pools) -> _World:
        snapshot = shop.view.snapshot
        numbers = np.sort(snapshot.browse(Filters(), Sort.NEWEST, snapshot.size).numbers)
        place = np.full(int(numbers.max()) + 1, -1, np.int64)
        place[numbers] = np.arange(numbers.size)
        return cls(pools, TastefulShop.of(snapshot.products(numbers)), place)

    def walk(
        self,
        people: Shoppers,
        who: int,
        own: PersonalRanker | None,
        rng: np.random.Generator,
    ) -> tuple[list[Episode], NDArray[np.float64]]:
        """A shopper's visits: the searches that ended in a click, and orders and clicks in all and
        in the first search. own: what orders the lists, where it is not everybody's order."""
        before: tuple[str, ...] = ()
        episodes, sums = [], np.zeros(4)
        for visit in range(VISITS):
            session: tuple[str, ...] = ()
            for search in range(SEARCHES):
                wanted = int(rng.choice(people.kinds[who]))
                query = self.shop.names[wanted].lower()
                products = self.place[self._ranked(query, session, before, own).numbers]
                clicked, orders = people.shop(self.shop, who, wanted, products, rng)
                first = visit == search == 0
                sums += [orders, clicked.size, orders * first, clicked.size * first]
                ids = tuple(self.shop.ids[i] for i in clicked.tolist())
                if ids:
                    shown = tuple(self.shop.ids[i] for i in products[:SHOWN].tolist())
                    episodes.append(Episode(who, query, session, before, frozenset(ids), shown))
                session = newest((*session, *ids), MOST_RECENT)
            before = newest((*before, *session), MOST_RECENT)
        return episodes, sums

    def _ranked(
        self,
        query: str,
        session: tuple[str, ...],
        before: tuple[str, ...],
        own: PersonalRanker | None,
    ) -> Candidates:
        context, pool = self.pools.of(query)
        if own is None:
            return pool
        context.taste = self.pools.view.taste(Known(session=session, before=before))
        return own.run(context, pool)
