"""A small simulated market whose truth is known: brands and creators belong to circles."""

from __future__ import annotations

import numpy as np

from tandem.matching.market import Accounts, Collaborations, Market


def small_market(
    seed: int = 0, brands: int = 32, each: int = 6, topics: int = 8, hashtags: int = 12
) -> tuple[Market, Collaborations]:
    """Every brand has its own centre; its creators scatter around it. A centre shows in topics and
    in hashtags. One creator in ten works with a second brand.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.normal(size=(brands, topics)) * 1.5
    tags = rng.normal(size=(brands, hashtags))
    owner = np.repeat(np.arange(brands), each)

    def shares(logits: np.ndarray) -> np.ndarray:
        weights = np.exp(logits)
        return weights / weights.sum(axis=1, keepdims=True)

    def accounts(prefix: str, centre: np.ndarray) -> Accounts:
        n = len(centre)
        return Accounts(
            tuple(f"{prefix}{i:04d}" for i in range(n)),
            shares(kinds[centre] + rng.normal(size=(n, topics))),
            tags[centre] + rng.normal(size=(n, hashtags)) + (prefix == "c") * 2.0,
        )

    market = Market(accounts("b", np.arange(brands)), accounts("c", owner))
    second = rng.choice(len(owner), len(owner) // 10, replace=False)
    pairs = np.vstack(
        [
            np.stack([owner, np.arange(len(owner))], axis=1),
            np.stack([(owner[second] + 1) % brands, second], axis=1),
        ]
    )
    return market, Collaborations(np.unique(pairs, axis=0))
