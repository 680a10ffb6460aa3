"""A simulated market of creators, merchants and products whose true worth together is known.

Reach is log-normal, merchants' assortments follow Zipf's law, a creator has one to three topics,
and what a pair brings is reach × affinity × price. A score is the truth times log-normal noise with
mean 1, three times as wide for creators with little history. A pair costs its merchant a
commission of 5% to 25% by creator, and a sample. Everything is drawn from one seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOPICS = 40
LOWEST_RATE, HIGHEST_RATE = 0.05, 0.25
SAMPLE_SHARE = 0.3  # of the price: what a sample costs a merchant
EXCLUSIVE_SHARE = 0.1  # of creators promise exclusivity within a topic
NOISE, NOISE_WITHOUT_HISTORY = 0.25, 0.75


@dataclass(frozen=True)
class SimulatedAlliance:
    """Arrays as in `tandem.matching.allocation.problem.Allocation`, simulated.

    true_gmv, score: (E,) what a pair would bring, and what a model expects of it, in major units.
    spread: (E,) standard deviation of a score around the truth. cost: (E,) minor units, expected.
    """

    creator: NDArray[np.int64]
    product: NDArray[np.int64]
    merchant: NDArray[np.int64]
    true_gmv: NDArray[np.float64]
    score: NDArray[np.float64]
    spread: NDArray[np.float64]
    cost: NDArray[np.int64]
    slots: NDArray[np.int64]
    budgets: NDArray[np.int64]
    places: NDArray[np.int64]
    exclusive: NDArray[np.int64]
    new_creators: NDArray[np.bool_]
    small_merchants: NDArray[np.bool_]


def simulate_alliance(
    creators: int,
    products: int,
    candidates: int = 20,
    seed: int = 7,
    *,
    shared_error: float = 0.0,
) -> SimulatedAlliance:
    """`candidates` creators for each product, seven of ten from the product's own topic.

    shared_error: share of the scores' log variance that all pairs of a creator have in common.
    """
    rng = np.random.default_rng(seed)
    reach = np.exp(rng.normal(8.0, 1.0, creators))
    topics = rng.integers(0, TOPICS, (creators, 3))
    new = reach < np.median(reach)
    merchants = max(products // 20, 1)
    weights = 1 / np.arange(1, merchants + 1)
    merchant = rng.choice(merchants, products, p=weights / weights.sum())
    assortment = np.bincount(merchant, minlength=merchants)
    topic = rng.integers(0, TOPICS, products)
    price = np.exp(rng.normal(3.0, 0.6, products))

    by_topic = np.argsort(topics[:, 0], kind="stable")
    starts = np.searchsorted(topics[by_topic, 0], np.arange(TOPICS + 1))
    product = np.repeat(np.arange(products), candidates)
    low, high = starts[topic[product]], starts[topic[product] + 1]
    within = low + (rng.random(len(product)) * (high - low)).astype(np.int64)
    own = by_topic[np.minimum(within, creators - 1)]
    other = rng.integers(0, creators, len(product))
    same = (rng.random(len(product)) < 0.7) & (high > low)
    creator = np.where(same, own, other)
    _, first = np.unique(creator * products + product, return_index=True)
    creator, product = creator[first], product[first]

    fits = (topics[creator] == topic[product][:, None]).any(axis=1)
    affinity = np.exp(rng.normal(0, 0.5, len(creator))) * np.where(fits, 1.0, 0.25)
    true = reach[creator] * 0.002 * affinity * price[product]
    sigma = np.where(new[creator], NOISE_WITHOUT_HISTORY, NOISE)
    error = rng.normal(0, 1, len(true))
    if shared_error:
        common = np.random.default_rng([seed, 1]).normal(0, 1, creators)[creator]
        error = np.sqrt(shared_error) * common + np.sqrt(1 - shared_error) * error
    score = true * np.exp(error * sigma - sigma**2 / 2)
    rate = rng.uniform(LOWEST_RATE, HIGHEST_RATE, creators)[creator]
    cost = np.ceil(100 * (rate * score + SAMPLE_SHARE * price[product])).astype(np.int64)

    slots = rng.integers(1, 5, creators)
    places = rng.integers(1, 6, products)
    typical = cost.mean()
    budgets = np.ceil(assortment * typical * rng.uniform(0.5, 4.0, merchants)).astype(np.int64)
    promised = rng.random(creators) < EXCLUSIVE_SHARE
    group = np.where(promised[creator], creator * TOPICS + topic[product], -1)
    _, numbered = np.unique(group, return_inverse=True)
    exclusive = np.where(group >= 0, numbered - 1 if (group < 0).any() else numbered, -1)
    return SimulatedAlliance(
        creator.astype(np.int64),
        product.astype(np.int64),
        merchant.astype(np.int64),
        true,
        score,
        true * np.sqrt(np.expm1(sigma**2)),
        cost,
        slots,
        budgets,
        places,
        exclusive.astype(np.int64),
        new,
        assortment <= np.median(assortment),
    )
