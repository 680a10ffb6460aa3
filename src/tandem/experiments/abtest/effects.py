"""The effect on one metric: difference, relative difference, intervals at one look and at any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tandem.experiments.abtest.summary import Array, Summary

Role = Literal["success", "guardrail"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A mean per unit, or with a denominator a ratio of two means (clicks per impression).

    covariate: a column measured before the experiment began; it takes noise out (CUPED).
    better: which direction is good.
    """

    name: str
    numerator: str
    denominator: str | None = None
    covariate: str | None = None
    role: Role = "success"
    better: Literal["more", "less"] = "more"

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(c for c in (self.numerator, self.denominator, self.covariate) if c)


@dataclass(frozen=True, slots=True)
class Effect:
    """Treatment minus control.

    low, high, p: Welch's t interval and test, right for one look at a time fixed in advance.
    always_low, always_high, always_p: a confidence sequence, right at every look.
    relative…: treatment / control - 1 with its interval on the log scale; None unless both means
    are above 0. variance_reduction: the share of the variance that CUPED took out.
    p_adjusted: `always_p` corrected for the number of success metrics.
    """

    control: float
    treatment: float
    difference: float
    low: float
    high: float
    p: float
    always_low: float
    always_high: float
    always_p: float
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    relative_always_low: float | None
    relative_always_high: float | None
    variance_reduction: float | None
    n_control: int
    n_treatment: int
    p_adjusted: float | None = None


def effect(
    control: Summary,
    treatment: Summary,
    *,
    planned: int = 10_000,
    alpha: float = 0.05,
    ratio: bool = False,
    covariate: bool = False,
) -> Effect:
    """The effect from two summaries over columns [numerator, denominator?, covariate?].

    Ratio metrics by the delta method (Deng, Knoblich & Lu, KDD 2018). CUPED (Deng, Xu, Kohavi &
    Walker, WSDM 2013), its coefficient from both arms together; for a ratio the covariate is a
    mean per unit. planned: units of both arms for which the confidence sequence is tightest; fixed
    it before the first look. Needs two units in each arm, else everything is NaN.
    """
    linear = [_linearise(s, ratio) for s in (control, treatment)]
    both = _linearise(control + treatment, ratio)
    reduction = None
    theta = 0.0
    if covariate:
        spread = both.covariance[1, 1]
        theta = float(both.covariance[0, 1] / spread) if spread > 0 else 0.0
        raw = both.covariance[0, 0]
        reduction = float(theta * both.covariance[0, 1] / raw) if raw > 0 else 0.0
    means, variances = [], []
    for s in linear:
        mean, variance = float(s.mean[0]), float(s.covariance[0, 0])
        if covariate:
            mean -= theta * float(s.mean[1] - both.mean[1])
            variance += theta**2 * s.covariance[1, 1] - 2 * theta * s.covariance[0, 1]
        means.append(mean)
        variances.append(max(float(variance), 0.0))
    return _compare(
        (means[0], means[1]),
        (variances[0], variances[1]),
        (control.n, treatment.n),
        planned,
        alpha,
        reduction,
    )


def _linearise(s: Summary, ratio: bool) -> Summary:
    """[metric, covariate?]: a ratio's first-order expansion around its own mean."""
    if not ratio:
        return s
    numerator, denominator = s.mean[:2]
    r = numerator / denominator if denominator else np.nan
    # d(ratio) = (dN - r dD) / D; a covariate in column 2 is passed on.
    k = s.mean.size - 1
    transform: Array = np.zeros((k, s.mean.size))
    transform[0, :2] = (1 / denominator, -r / denominator) if denominator else np.nan
    if k > 1:
        transform[1, 2] = 1.0
    mean = transform @ s.mean
    mean[0] = r
    return Summary(s.n, mean, transform @ s.covariance @ transform.T)


def _compare(
    means: tuple[float, float],
    variances: tuple[float, float],
    n: tuple[int, int],
    planned: int,
    alpha: float,
    reduction: float | None,
) -> Effect:
    from scipy.stats import t

    nan = float("nan")
    difference = means[1] - means[0]
    if min(n) < 2 or not np.isfinite(difference):
        return Effect(*means, difference, *(nan,) * 6, *(None,) * 5, reduction, *n)
    parts = [v / k for v, k in zip(variances, n, strict=True)]
    error = float(np.sqrt(sum(parts)))
    if error == 0:
        equal = float(difference == 0)
        low = high = difference
        return Effect(
            *means, difference, low, high, equal, low, high, equal, *(None,) * 5, reduction, *n
        )
    freedom = sum(parts) ** 2 / sum(p**2 / (k - 1) for p, k in zip(parts, n, strict=True))
    half = float(t.ppf(1 - alpha / 2, freedom)) * error
    p = float(2 * t.sf(abs(difference) / error, freedom))
    wide = sequence_width(error, sum(n), planned, alpha)
    relative = relative_low = relative_high = always_low = always_high = None
    if min(means) > 0:
        log_error = np.sqrt(sum(q / m**2 for q, m in zip(parts, means, strict=True)))
        # Wider than e^50 is any ratio at all, and e^800 is no number.
        factor = float(np.exp(min(float(t.ppf(1 - alpha / 2, freedom) * log_error), 50.0)))
        wide_log = sequence_width(float(log_error), sum(n), planned, alpha)
        always = float(np.exp(min(wide_log, 50.0)))
        relative = means[1] / means[0] - 1
        always_low = means[1] / means[0] / always - 1
        always_high = means[1] / means[0] * always - 1
        relative_low = means[1] / means[0] / factor - 1
        relative_high = means[1] / means[0] * factor - 1
    return Effect(
        *means,
        difference,
        difference - half,
        difference + half,
        p,
        difference - wide,
        difference + wide,
        always_valid_p(difference / error, sum(n), planned, alpha),
        relative,
        relative_low,
        relative_high,
        always_low,
        always_high,
        reduction,
        *n,
    )


def _tuning(planned: int, alpha: float) -> float:
    """rho^2 for which the sequence is tightest at `planned` units."""
    from scipy.special import lambertw

    return float((-lambertw(-(alpha**2) / np.e, k=-1).real - 1) / planned)


def sequence_width(error: float, n: int, planned: int, alpha: float = 0.05) -> float:
    """Half the width at n units of an asymptotic confidence sequence, standard error `error`.

    Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Annals of Statistics 2024, theorem 2.2: with
    probability 1 - alpha (for large n) the truth lies inside at every n, so looking early and
    often costs nothing but width.
    """
    x = n * _tuning(planned, alpha)
    return float(error * np.sqrt((1 + 1 / x) * np.log((x + 1) / alpha**2)))


def always_valid_p(z: float, n: int, planned: int, alpha: float = 0.05) -> float:
    """The p-value of the same sequence: the level at which 0 just leaves it (mixture SPRT)."""
    x = n * _tuning(planned, alpha)
    log_evidence = z**2 * x / (x + 1) / 2 - np.log(x + 1) / 2
    return float(min(1.0, np.exp(-log_evidence)))
