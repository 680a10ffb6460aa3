"""Is the experiment sound? Looked at before any effect is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tandem.experiments.inference import adjust

SRM_LEVEL = 0.001


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Observed units by variant against the planned shares; chi-squared test.

    mismatch: p below 0.001 (Fabijan et al., KDD 2019): the assignment or the logging is broken,
    and no effect can be believed. segments: where it comes from: (column, value, p) of the
    segments that are off after Holm's correction, most extreme first.
    """

    observed: dict[str, int]
    expected: dict[str, float]
    p: float
    mismatch: bool
    segments: tuple[tuple[str, str, float], ...] = ()


def sample_ratio(
    observed: Mapping[str, int],
    shares: Mapping[str, float],
    segments: Mapping[tuple[str, str], Mapping[str, int]] | None = None,
) -> SampleRatio:
    """observed: units by variant. segments: (column, value) → units by variant."""
    total = sum(observed.values())
    whole = sum(shares.values())
    expected = {v: total * share / whole for v, share in shares.items()}
    p = _p(observed, shares)
    found: list[tuple[str, str, float]] = []
    if segments and p < SRM_LEVEL:
        names = list(segments)
        adjusted = adjust(np.array([_p(segments[s], shares) for s in names]), "holm")
        found = [(*s, float(q)) for s, q in zip(names, adjusted, strict=True) if q < SRM_LEVEL]
        found.sort(key=lambda f: f[2])
    return SampleRatio(
        {v: int(observed.get(v, 0)) for v in shares}, expected, p, p < SRM_LEVEL, tuple(found)
    )


def _p(observed: Mapping[str, int], shares: Mapping[str, float]) -> float:
    from scipy.stats import chisquare

    counts = np.array([observed.get(v, 0) for v in shares], dtype=np.float64)
    if counts.sum() == 0:
        return 1.0
    share = np.array(list(shares.values()))
    return float(chisquare(counts, counts.sum() * share / share.sum()).pvalue)
