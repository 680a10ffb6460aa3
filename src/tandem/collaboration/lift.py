"""What a collaboration added beyond what would have sold anyway, with an interval.

The sales of the promoted product after content went live are compared with what a synthetic
control says they would have been: a weighted mix of products that were not promoted, with weights
from the time before (Abadie, Diamond, Hainmueller 2010; ridge instead of the simplex, as in
Ben-Michael, Feller, Rothstein 2021). The interval comes from placebos in time: the same exercise
for every window of the same length before, learned only from what lies before that window, shows
how far off such a comparison is when there is nothing to find. Windows overlap, so they count as
many as fit side by side, and Student's t allows for how few these are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput

Floats = NDArray[np.float64]
FEWEST_WINDOWS = 3
RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0)

ASSUMPTIONS = (
    "Nothing else that moves this product's sales began at the same time: no price change, no "
    "other campaign, no stock-out.",
    "The comparison products were not promoted and did not gain or lose through the promotion.",
    "The relation between the product and its comparison products would have stayed as before.",
    "Weeks before are like weeks after: the interval is as wide as chance was then.",
)


@dataclass(frozen=True)
class Lift:
    """Sales added over the time after, with a two-sided interval of `confidence`.

    expected: what would have sold anyway. effect = observed − expected. windows: placebo windows
    that fit side by side. fit: share of the squared error of a plain mean, over placebo windows,
    that the control saves; 0 or less: it is no use.
    warnings: what speaks against relying on it.
    """

    observed: float
    expected: float
    effect: float
    low: float
    high: float
    confidence: float
    days: int
    windows: float
    fit: float
    warnings: tuple[str, ...]
    assumptions: tuple[str, ...] = ASSUMPTIONS


@dataclass(frozen=True)
class NoLift:
    """The question cannot be answered from these data; `reason` says why."""

    reason: str


def lift(sales: Floats, controls: Floats, live: int, confidence: float = 0.9) -> Lift | NoLift:
    """The lift of one product.

    sales: (T,) by day. controls: (T, K) of products that were not promoted. live: index of the
    first day with content. NoLift when there are too few days before for an interval. Raises
    InvalidInput for arrays that do not fit together.
    """
    if sales.ndim != 1 or controls.ndim != 2 or len(controls) != len(sales):
        raise InvalidInput(
            f"sales of {sales.shape} days beside controls of {controls.shape}",
            field="controls",
            remedy="give one row a day in both",
        )
    if not (np.isfinite(sales).all() and np.isfinite(controls).all()):
        raise InvalidInput(
            "a day without a number", field="sales", remedy="0 is a number, missing is not"
        )
    if not 0 < live < len(sales) or not 0.5 <= confidence < 1:
        raise InvalidInput(
            f"live on day {live} of {len(sales)}, confidence {confidence}",
            field="live",
            remedy="name a day within, and a confidence from 0.5",
        )
    days = len(sales) - live
    first = live // 3  # a placebo needs something to learn from
    if controls.shape[1] == 0:
        return NoLift("there is no product to compare with")
    if (live - first) < FEWEST_WINDOWS * days:
        return NoLift(
            f"{live} days before are too few for {days} days after: "
            f"{int(np.ceil(1.5 * FEWEST_WINDOWS * days))} are needed"
        )
    before, after = np.arange(live), np.arange(live, len(sales))
    ridge = min(RIDGES, key=lambda r: _cross_error(sales, controls, live, days, r))
    errors, spread = [], []
    for start in range(first, live - days + 1):
        window = np.arange(start, start + days)
        told = _predict(sales, controls, before[:start], window, ridge)
        errors.append(float((sales[window] - told).sum()))
        spread.append(float((sales[window] - sales[:start].mean()).sum()))
    placebo = np.array(errors)
    windows = len(placebo) / days
    expected = float(_predict(sales, controls, before, after, ridge).sum())
    observed = float(sales[after].sum())
    effect = observed - expected
    from scipy.stats import t

    half = t.ppf((1 + confidence) / 2, windows) * np.sqrt((placebo**2).mean() * (1 + 1 / windows))
    plain = float((np.array(spread) ** 2).mean())
    fit = 1 - float((placebo**2).mean()) / plain if plain > 0 else 0.0
    return Lift(
        observed,
        expected,
        effect,
        effect - float(half),
        effect + float(half),
        confidence,
        days,
        windows,
        fit,
        _warnings(fit, placebo, windows),
    )


def _warnings(fit: float, placebo: Floats, windows: float) -> tuple[str, ...]:
    found = []
    if fit < 0.2:
        found.append("the comparison products hardly explain this product: the interval is wide")
    if abs(placebo.mean()) > 2 * placebo.std() / np.sqrt(windows):
        found.append("the control was off in one direction before already: a trend of its own")
    if windows < 2 * FEWEST_WINDOWS:
        found.append("there is little time before to learn from how far off a comparison can be")
    return tuple(found)


def _cross_error(sales: Floats, controls: Floats, live: int, days: int, ridge: float) -> float:
    """Squared errors of windows side by side, each told from all others."""
    total = 0.0
    for start in range(0, live - days + 1, days):
        window = np.arange(start, start + days)
        rest = np.setdiff1d(np.arange(live), window)
        total += float((sales[window] - _predict(sales, controls, rest, window, ridge)).sum() ** 2)
    return total


def _predict(
    sales: Floats, controls: Floats, learn: NDArray[np.int64], ask: NDArray[np.int64], ridge: float
) -> Floats:
    """Ridge regression on standardised controls, the intercept unpenalised."""
    x, y = controls[learn], sales[learn]
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    z = (x - centre) / scale
    gram = z.T @ z + ridge * len(learn) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, z.T @ (y - y.mean()))
    return np.asarray(y.mean() + ((controls[ask] - centre) / scale) @ weights)
