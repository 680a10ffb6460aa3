"""Who gets the credit for a conversion that several collaborations touched.

Every model divides the same conversions; what differs is the rule. The two data-driven ones look
at journeys without a conversion as well:

- `markov` (Anderl et al. 2016, "Mapping the customer journey"): a first-order chain over touches;
  a collaboration's credit is in proportion to the conversions lost when it is taken out.
- `shapley` (Shapley 1953; Dalessandro et al. 2012 for attribution): each journey's probability to
  convert by a noisy-or model, 1 − (1 − base)·∏(1 − strength), learned from all journeys; a touch
  gets its average marginal contribution over all orders. What would have converted without any
  touch is nobody's, and told as `baseline`.

None of them is proof of cause: whoever is shown to people who would buy anyway looks strong.
`tandem.collaboration.lift` and experiments ask that question.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import comb
from typing import TYPE_CHECKING

from tandem.contracts.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FIRST_AND_LAST = 0.4  # each, in the position-based model; the touches between share the rest
ROUNDS = 2_000
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Journey:
    """Touches of one person in order of time, by collaboration, and whether they bought."""

    touches: tuple[str, ...]
    converted: bool


@dataclass(frozen=True)
class Credit:
    """Conversions by collaboration; they and `baseline` sum to all conversions.

    baseline: conversions that no collaboration is credited with.
    """

    model: str
    conversions: Mapping[str, float]
    baseline: float = 0.0

    @property
    def shares(self) -> dict[str, float]:
        total = sum(self.conversions.values())
        return {name: v / total if total else 0.0 for name, v in self.conversions.items()}


def last_touch(journeys: Sequence[Journey]) -> Credit:
    return _by_position("last_touch", journeys, lambda n: [0.0] * (n - 1) + [1.0])


def first_touch(journeys: Sequence[Journey]) -> Credit:
    return _by_position("first_touch", journeys, lambda n: [1.0] + [0.0] * (n - 1))


def linear(journeys: Sequence[Journey]) -> Credit:
    return _by_position("linear", journeys, lambda n: [1 / n] * n)


def position_based(journeys: Sequence[Journey]) -> Credit:
    """40% to the first touch, 40% to the last, the rest evenly between them (U-shaped)."""

    def weights(n: int) -> list[float]:
        if n <= 2:
            return [1 / n] * n
        between = (1 - 2 * FIRST_AND_LAST) / (n - 2)
        return [FIRST_AND_LAST, *[between] * (n - 2), FIRST_AND_LAST]

    return _by_position("position_based", journeys, weights)


def markov(journeys: Sequence[Journey]) -> Credit:
    """Removal effects in the chain start → touches → conversion or nothing."""
    import numpy as np

    names = _names(journeys)
    if not names:
        return _none("markov", journeys)
    index = {name: i + 1 for i, name in enumerate(names)}
    size = len(names) + 1  # state 0 is the start
    steps = np.zeros((size, size))
    ends = np.zeros(size)
    leaves = np.zeros(size)
    for journey in journeys:
        if not journey.touches:
            continue
        path = [0, *(index[t] for t in journey.touches)]
        for a, b in pairwise(path):
            steps[a, b] += 1
        (ends if journey.converted else leaves)[path[-1]] += 1
    total = steps.sum(axis=1) + ends + leaves
    steps, ends = steps / total[:, None], ends / total

    # Lost without a state: the chance to come to it, times the chance to convert from there.
    visits = np.linalg.inv(np.eye(size) - steps)
    converts, comes = visits @ ends, visits[0] / np.diag(visits)
    lost = {name: float(comes[i] * converts[i]) for name, i in index.items()}
    touched = sum(j.converted for j in journeys if j.touches)
    scale = touched / sum(lost.values()) if sum(lost.values()) > 0 else 0.0
    return Credit("markov", {n: v * scale for n, v in lost.items()}, _converted(journeys) - touched)


def shapley(journeys: Sequence[Journey]) -> Credit:
    """Average marginal contributions under a noisy-or response learned from all journeys."""
    strength, base = noisy_or(journeys)
    credit: dict[str, float] = dict.fromkeys(_names(journeys), 0.0)
    baseline = 0.0
    for touched, count in Counter(frozenset(j.touches) for j in journeys if j.converted).items():
        parts = _marginal(tuple(sorted(touched)), strength, base)
        # A conversion that happened is divided as its probability is made up.
        whole = base + sum(parts.values())
        if whole <= 0:
            baseline += count
            continue
        baseline += count * base / whole
        for name, part in parts.items():
            credit[name] += count * part / whole
    return Credit("shapley", credit, baseline)


def noisy_or(journeys: Sequence[Journey]) -> tuple[dict[str, float], float]:
    """Strength of every collaboration and the base rate, by expectation maximisation.

    Returns the maximum likelihood estimate of p(convert) = 1 − (1 − base)·∏(1 − strength) over the
    distinct collaborations of a journey.
    """
    import numpy as np

    names = _names(journeys)
    counted: dict[frozenset[str], list[int]] = defaultdict(lambda: [0, 0])
    for j in journeys:
        counted[frozenset(j.touches)][0] += j.converted
        counted[frozenset(j.touches)][1] += 1
    if not counted:
        return {}, 0.0
    here = np.array([[1.0, *(name in s for name in names)] for s in counted], np.float64)
    sold = np.array([c for c, _ in counted.values()], np.float64)
    all_ = np.array([n for _, n in counted.values()], np.float64)
    rate = sold.sum() / all_.sum()
    strength = np.full(len(names) + 1, min(max(rate / 2, 1e-6), 0.5))
    seen = here.T @ all_
    for _ in range(ROUNDS):
        p = -np.expm1(here @ np.log1p(-strength))
        # Expected successes of each cause: all failed in journeys that did not convert.
        new = strength * (here.T @ (sold / np.maximum(p, 1e-12))) / seen
        new = np.clip(new, 0.0, 1 - 1e-9)
        moved = float(np.abs(new - strength).max())
        strength = new
        if moved < TOLERANCE:
            break
    return dict(zip(names, strength[1:].tolist(), strict=True)), float(strength[0])


MODELS: dict[str, Callable[[Sequence[Journey]], Credit]] = {
    "last_touch": last_touch,
    "first_touch": first_touch,
    "linear": linear,
    "position_based": position_based,
    "markov": markov,
    "shapley": shapley,
}


def credit(journeys: Sequence[Journey], model: str) -> Credit:
    """Credit by the named model. InvalidInput for an unknown one."""
    if model not in MODELS:
        raise InvalidInput(
            f"no attribution model '{model}'",
            field="model",
            remedy=f"choose from: {', '.join(MODELS)}",
        )
    return MODELS[model](journeys)


def basis_points(weights: Mapping[str, float]) -> dict[str, int]:
    """Whole basis points that sum to 10000 for weights of one order line (largest remainder)."""
    total = sum(weights.values())
    if total <= 0:
        return {}
    exact = {name: w / total * 10_000 for name, w in weights.items()}
    points = {name: int(v) for name, v in exact.items()}
    for name in sorted(exact, key=lambda n: (points[n] - exact[n], n))[
        : 10_000 - sum(points.values())
    ]:
        points[name] += 1
    return {name: p for name, p in points.items() if p}


def _by_position(
    model: str, journeys: Sequence[Journey], weights: Callable[[int], list[float]]
) -> Credit:
    found: dict[str, float] = dict.fromkeys(_names(journeys), 0.0)
    untouched = 0
    for j in journeys:
        if j.converted and j.touches:
            for name, weight in zip(j.touches, weights(len(j.touches)), strict=True):
                found[name] += weight
        untouched += j.converted and not j.touches
    return Credit(model, found, float(untouched))


def _marginal(
    names: tuple[str, ...], strength: Mapping[str, float], base: float
) -> dict[str, float]:
    """Shapley values of a journey's collaborations; they sum to p(all) − base."""
    # No order is tried: for each size, ∏(1 − strength) is summed over the subsets before.
    n = len(names)
    parts = {}
    for name in names:
        sums = [1.0, *[0.0] * (n - 1)]  # elementary symmetric sums of the others
        for other in names:
            if other != name:
                for k in range(n - 1, 0, -1):
                    sums[k] += sums[k - 1] * (1 - strength[other])
        mean = sum(sums[k] / comb(n - 1, k) for k in range(n)) / n
        parts[name] = (1 - base) * strength[name] * mean
    return parts


def _names(journeys: Sequence[Journey]) -> list[str]:
    return sorted({name for j in journeys for name in j.touches})


def _converted(journeys: Sequence[Journey]) -> float:
    return float(sum(j.converted for j in journeys))


def _none(model: str, journeys: Sequence[Journey]) -> Credit:
    return Credit(model, {}, _converted(journeys))
