"""Effects in parts, read with restraint: shrunk towards the whole, and over days of exposure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput
from tandem.experiments.abtest.summary import Array, summaries


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Do the parts differ? q_p: p-value of Cochran's Q that they do not. spread: standard
    deviation of the true effects. Of each part: `shrunk` with its 95% interval, the empirical
    Bayes estimate (DerSimonian & Laird 1986; Morris, JASA 1983): a small part's extreme effect is
    mostly noise, and is moved towards the mean of all by as much.
    """

    q_p: float
    spread: float
    mean: float
    shrunk: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def shrink(effects: Sequence[float], errors: Sequence[float]) -> Heterogeneity | None:
    """effects with their standard errors, above 0; None for fewer than two parts."""
    from scipy.stats import chi2

    d, s = np.asarray(effects, np.float64), np.asarray(errors, np.float64)
    if d.size < 2:
        return None
    if not (np.isfinite(d).all() and np.isfinite(s).all() and (s > 0).all()):
        raise InvalidInput(
            "an effect or its error is not known", field="effects", remedy="leave that part out"
        )
    w = 1 / s**2
    fixed = float(w @ d / w.sum())
    q = float(w @ (d - fixed) ** 2)
    between = max(0.0, (q - (d.size - 1)) / float(w.sum() - (w**2).sum() / w.sum()))
    total = 1 / (s**2 + between)
    mean = float(total @ d / total.sum())
    keep = between / (between + s**2)
    shrunk = mean + keep * (d - mean)
    # The mean and the spread are estimated too (Morris 1983, 1.16), and from a few parts the
    # spread often comes out as 0: no interval is narrower than three quarters of the plain one.
    doubt = 2 / max(d.size - 3, 1) * ((1 - keep) * (d - mean)) ** 2
    error = np.sqrt(keep * s**2 + (1 - keep) ** 2 / total.sum() + doubt)
    half = 1.959964 * np.maximum(error, 0.75 * np.minimum(s, np.sqrt(1 / total)))
    return Heterogeneity(
        float(chi2.sf(q, d.size - 1)),
        float(np.sqrt(between)),
        mean,
        tuple(shrunk.tolist()),
        tuple((shrunk - half).tolist()),
        tuple((shrunk + half).tolist()),
    )


@dataclass(frozen=True, slots=True)
class Novelty:
    """The effect by days since a unit was first exposed. days, effects, errors: from day 0.

    trend: change of the effect by a day (weighted least squares), with its error and p-value.
    fades: the effect shrinks towards 0 (p < 0.05): what is new pleases for a while, and the mean
    over the experiment promises too much. grows: people learn.
    """

    days: tuple[int, ...]
    effects: tuple[float, ...]
    errors: tuple[float, ...]
    trend: float
    trend_error: float
    p: float
    fades: bool
    grows: bool

    @property
    def trend_line(self) -> tuple[float, float]:
        """What the trend says of the first and of the last day."""
        w = 1 / np.asarray(self.errors) ** 2
        days, effects = np.asarray(self.days, np.float64), np.asarray(self.effects)
        middle, whole = float(w @ days / w.sum()), float(w @ effects / w.sum())
        first, last = (whole + self.trend * (float(d) - middle) for d in (days[0], days[-1]))
        return first, last


def novelty(
    outcome: Array, day: NDArray[np.int64], treated: NDArray[np.bool_], *, level: float = 0.05
) -> Novelty:
    """outcome (n,) of a unit on a day (n,) since its first exposure, from 0; treated (n,).

    A unit's days are taken as independent, which the trend's error needs about and the effects do
    not. Raises InvalidInput with fewer than three days that both arms have.
    """
    from scipy.stats import norm

    last = int(day.max(initial=-1)) + 1
    found = summaries([outcome], (2 * day + treated).astype(np.intp), 2 * last)
    rows = []
    for d in range(last):
        control, treatment = found[2 * d], found[2 * d + 1]
        if min(control.n, treatment.n) > 1:
            variance = sum(float(s.covariance[0, 0]) / s.n for s in (control, treatment))
            rows.append((d, float(treatment.mean[0] - control.mean[0]), np.sqrt(variance)))
    if len(rows) < 3 or not all(error > 0 for *_, error in rows):
        raise InvalidInput(
            f"{len(rows)} days with both arms",
            field="day",
            remedy="give three days or more, from 0 on the day of first exposure",
        )
    days, effects, errors = (np.array(c, np.float64) for c in zip(*rows, strict=True))
    w = 1 / errors**2
    centre = w @ days / w.sum()
    x = days - centre
    trend = float(w @ (x * effects) / (w @ x**2))
    error = float(1 / np.sqrt(w @ x**2))
    p = float(2 * norm.sf(abs(trend) / error))
    whole = float(w @ effects / w.sum())
    against = trend * whole < 0
    return Novelty(
        tuple(int(d) for d in days),
        tuple(effects.tolist()),
        tuple(errors.tolist()),
        trend,
        error,
        p,
        fades=p < level and against,
        grows=p < level and not against,
    )
