"""How many units, and how long?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tandem.contracts.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Plan:
    """units: of both arms, at one look at the end. sequential_units: where the confidence sequence,
    tuned for that size, excludes 0 with the same power. days: in whole weeks; None without `daily`.
    """

    units: int
    sequential_units: int
    days: int | None
    sequential_days: int | None


def plan(
    *,
    deviation: float,
    effect: float,
    power: float = 0.8,
    alpha: float = 0.05,
    daily: int | None = None,
    share: float = 0.5,
) -> Plan:
    """Units to find a difference `effect` in means with `power`, two-sided at level `alpha`.

    deviation: of the metric between units (after CUPED, if it is used). share: of units in the
    treatment. Raises InvalidInput for values that no experiment can have.
    """
    from scipy.stats import norm

    from tandem.experiments.abtest.effects import sequence_width

    for name, value in (("deviation", deviation), ("effect", abs(effect))):
        if not value > 0:
            raise InvalidInput(
                f"{value} is not above 0", field=name, remedy="give a number above 0"
            )
    for name, value in (("power", power), ("alpha", alpha), ("share", share)):
        if not 0 < value < 1:
            raise InvalidInput(f"{value}", field=name, remedy="give a share between 0 and 1")
    z = norm.ppf(1 - alpha / 2) + norm.ppf(power)
    spread = deviation**2 / (share * (1 - share))
    units = int(np.ceil(z**2 * spread / effect**2))

    def reaches(n: int) -> bool:
        error = float(np.sqrt(spread / n))
        return bool(sequence_width(error, n, n, alpha) + norm.ppf(power) * error <= abs(effect))

    low, high = units, units
    while not reaches(high):
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return Plan(units, high, _days(units, daily), _days(high, daily))


def _days(units: int, daily: int | None) -> int | None:
    """Whole weeks, so that every weekday counts the same."""
    return None if daily is None else int(np.ceil(units / daily / 7)) * 7
