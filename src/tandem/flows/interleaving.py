"""Interleaving against A/B on simulated shoppers: how many does each need?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.experiments.interleaving.lists import Interleaved, balanced, optimised, team_draft
from tandem.simulate.reading import Shoppers, noisy_ranking

METHODS = ("A/B", "team draft", "balanced", "optimised")
PLACES = 5


@dataclass(frozen=True)
class Sensitivity:
    """shoppers: expected number for 80% power at 5%, one look, by method; `times`: A/B over it.

    All on simulated data: a ranker with less noise against one with more.
    """

    shoppers: dict[str, float]
    sessions: int
    noise: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        base = self.shoppers["A/B"]
        return {
            "simulated": True,
            "sessions": self.sessions,
            "noise": list(self.noise),
            "shoppers": self.shoppers,
            "times": {name: base / n for name, n in self.shoppers.items()},
        }


def sensitivity(
    sessions: int = 4_000,
    noise: tuple[float, float] = (1.5, 1.0),
    seed: int = 7,
    methods: tuple[str, ...] = METHODS[1:],
) -> Sensitivity:
    """Simulate `sessions` shoppers under each method; ranker 0 has noise[0], ranker 1 noise[1].

    From the standardised effect d of a method follows its number for 80% power: (z / d)^2, and
    for A/B, where d is between two groups, four times that.
    """
    rng = np.random.default_rng(seed)
    shoppers = Shoppers()
    lead: dict[str, list[float]] = {m: [] for m in methods}
    clicks: tuple[list[float], list[float]] = ([], [])
    for _ in range(sessions):
        relevance = rng.choice(4, size=10, p=(0.4, 0.3, 0.2, 0.1))
        rankings = [[str(i) for i in noisy_ranking(relevance, level, rng)] for level in noise]
        for arm, ranking in zip(clicks, rankings, strict=True):
            shown = [int(relevance[int(p)]) for p in ranking[:PLACES]]
            arm.append(float(shoppers.clicks(shown, rng).sum()))
        for method in methods:
            interleaved = _made(method, rankings, rng)
            clicked = shoppers.clicks([int(relevance[int(p)]) for p in interleaved.shown], rng)
            used = [p for p, c in zip(interleaved.shown, clicked, strict=True) if c]
            credit = interleaved.score(used)
            lead[method].append(float(np.sign(credit[1] - credit[0])))
    z = 1.959964 + 0.841621
    a, b = np.array(clicks[0]), np.array(clicks[1])
    between = (b.mean() - a.mean()) / np.sqrt((a.var() + b.var()) / 2)
    needed = {"A/B": float(4 * (z / between) ** 2)}
    for method, signs in lead.items():
        s = np.array(signs)
        needed[method] = float((z * s.std() / s.mean()) ** 2)
    return Sensitivity(needed, sessions, noise)


def _made(method: str, rankings: list[list[str]], rng: np.random.Generator) -> Interleaved:
    if method == "team draft":
        return team_draft(rankings, PLACES, rng)
    if method == "balanced":
        return balanced(rankings[0], rankings[1], PLACES, rng)
    return optimised(rankings[0], rankings[1], PLACES).draw(rng)
