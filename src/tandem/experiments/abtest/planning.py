"""How many units, and how long?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.experiments.abtest.summary import Array


@dataclass(frozen=True, slots=True)
class Plan:
    """units: of both arms, at one look at the end. sequential_units: where the confidence sequence,
    tuned for that size, excludes 0 with the same power. days: in whole weeks; None without `daily`.
    design_effect: times as many units as without clusters. clusters: of both arms; None without.
    """

    units: int
    sequential_units: int
    days: int | None
    sequential_days: int | None
    design_effect: float = 1.0
    clusters: int | None = None
    sequential_clusters: int | None = None


def plan(
    *,
    deviation: float,
    effect: float,
    power: float = 0.8,
    alpha: float = 0.05,
    daily: int | None = None,
    share: float = 0.5,
    cluster_size: float | None = None,
    correlation: float = 0.0,
    mean_cluster_size: float | None = None,
) -> Plan:
    """Units to find a difference `effect` in means with `power`, two-sided at level `alpha`.

    deviation: of the metric between units (after CUPED, if it is used). share: of units in the
    treatment. cluster_size, correlation: where whole clusters are assigned, their mean size and
    how alike their units are (intra-cluster correlation): it takes 1 + (size - 1) correlation times
    as many units (Kish 1965). mean_cluster_size: where sizes differ, `cluster_size` is the mean
    over units, and this one the mean over clusters. Raises InvalidInput for values that no
    experiment can have.
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
    if cluster_size is not None and not cluster_size >= 1:
        raise InvalidInput(f"{cluster_size}", field="cluster_size", remedy="give 1 or more")
    if not 0 <= correlation < 1:
        raise InvalidInput(f"{correlation}", field="correlation", remedy="give a share below 1")
    inflated = 1 + ((cluster_size or 1.0) - 1) * correlation
    z = norm.ppf(1 - alpha / 2) + norm.ppf(power)
    spread = inflated * deviation**2 / (share * (1 - share))
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
    each = mean_cluster_size or cluster_size
    clusters = None if each is None else int(np.ceil(units / each))
    more = None if each is None else int(np.ceil(high / each))
    days, most = _days(units, daily), _days(high, daily)
    return Plan(units, high, days, most, inflated, clusters, more)


@dataclass(frozen=True, slots=True)
class Past:
    """What a metric was like before the experiment, for planning: over `units`, the standard
    deviation between them (of what a covariate leaves). cluster_size: of the cluster that a unit is
    in, which is more than the mean_cluster_size where sizes differ. None without clusters."""

    units: int
    mean: float
    deviation: float
    cluster_size: float | None = None
    correlation: float | None = None
    mean_cluster_size: float | None = None


def past(
    values: Array,
    covariate: Array | None = None,
    cluster: np.ndarray[Any, Any] | None = None,
) -> Past:
    """From values (n,) of units, NaN left out; covariate (n,) measured before; cluster (n,) labels.

    The intra-cluster correlation is the ANOVA estimate (Donner & Koval, Biometrics 1980), at least
    0. Raises InvalidInput where nothing varies, or there are fewer than two clusters.
    """
    there = ~np.isnan(values) & (True if covariate is None else ~np.isnan(covariate))
    y = values[there]
    if y.size < 2 or not y.std() > 0:
        raise InvalidInput(
            f"{y.size} units with values that do not vary", field="metric", remedy="take another"
        )
    rest = y - y.mean()
    if covariate is not None and covariate[there].std() > 0:
        x = covariate[there] - covariate[there].mean()
        rest = rest - float(x @ rest / (x @ x)) * x
    deviation = float(np.sqrt(rest @ rest / (y.size - 1)))
    if cluster is None:
        return Past(y.size, float(y.mean()), deviation)
    _, codes = np.unique(cluster[there], return_inverse=True)
    sizes = np.bincount(codes).astype(np.float64)
    k = sizes.size
    if not 2 <= k < y.size:
        raise InvalidInput(
            f"{k} clusters of {y.size} units", field="cluster", remedy="name a column with more"
        )
    means = np.bincount(codes, rest) / sizes
    between = float(sizes @ means**2) / (k - 1)
    within = float(rest @ rest - sizes @ means**2) / (y.size - k)
    usual = (y.size - float(sizes @ sizes) / y.size) / (k - 1)
    total = between + (usual - 1) * within
    correlation = max(0.0, (between - within) / total) if total > 0 else 0.0
    # What counts for the variance of a mean is the size of the cluster that a unit is in.
    weighed = float(sizes @ sizes) / y.size
    return Past(y.size, float(y.mean()), deviation, weighed, correlation, y.size / k)


def _days(units: int, daily: int | None) -> int | None:
    """Whole weeks, so that every weekday counts the same."""
    return None if daily is None else int(np.ceil(units / daily / 7)) * 7
