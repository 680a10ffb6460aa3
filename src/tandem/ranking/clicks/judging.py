"""Judgments out of clicks: what a click model says of products, and only where it has support."""

from __future__ import annotations

import numpy as np

from tandem.contracts.clicks import ClickLog, Floats, totals
from tandem.contracts.judgment import JudgmentList, Provenance
from tandem.ranking.clicks.learning import LEAST
from tandem.ranking.clicks.models import ClickModel
from tandem.ranking.clicks.propensity import Propensities

NAME = "clicks"
LEAST_LOOKS = 20.0
SAYS = {
    "pbm": "position-based model",
    "cascade": "cascade model",
    "dcm": "dependent click model",
}
_PRIOR = 5.0  # looks that a product's attraction is drawn to the mean with
_ENDS = (0.05, 0.95)  # of all products' attraction, from irrelevant to exact


def judgments_from_clicks(
    log: ClickLog,
    propensities: Propensities,
    *,
    least_looks: float = LEAST_LOOKS,
    name: str = NAME,
) -> JudgmentList:
    """Relevance 0..3 by the position-based model: clicks over expected looks.

    A product with fewer than `least_looks` expected looks for a query stays unjudged: few looks
    say nothing, which is not irrelevance. Attraction is laid on the scale of people by its gain,
    (2^rel - 1) / 7, between the 5% that attract least of all and the 5% that attract most. That is
    a convention; how far it agrees with people is measured, not assumed.
    """
    look = propensities.at(log.place, LEAST)
    looks = totals(log.pair, log.shown * look)
    clicks = totals(log.pair, log.clicked)
    if not looks.size:
        return JudgmentList({}, name, "clicks")
    mean = clicks.sum() / looks.sum()
    attraction = (clicks + _PRIOR * mean) / (looks + _PRIOR)
    says = f"position-based model, {propensities.way}"
    return _judged(log, attraction, looks, says, least_looks, name)


def judgments_by_model(
    log: ClickLog, model: ClickModel, *, least_looks: float = LEAST_LOOKS, name: str = NAME
) -> JudgmentList:
    """Relevance 0..3 by a fitted model of how people read lists; pairs count as in the log. On the
    same scale as `judgments_from_clicks`, and with the same restraint."""
    return _judged(log, model.attraction, model.looks, SAYS[model.name], least_looks, name)


def _judged(
    log: ClickLog, attraction: Floats, looks: Floats, says: str, least_looks: float, name: str
) -> JudgmentList:
    clicks = totals(log.pair, log.clicked)
    sure = looks >= least_looks
    if not sure.any():
        return JudgmentList({}, name, "clicks")
    low, high = np.quantile(attraction[sure], _ENDS)
    gain = np.clip((attraction - low) / max(high - low, 1e-9), 0, 1)
    relevance = np.rint(np.log2(1 + 7 * gain)).astype(int)
    first = np.unique(log.pair, return_index=True)[1]
    judged: dict[str, dict[str, int]] = {}
    about: dict[tuple[str, str], Provenance] = {}
    for i in np.flatnonzero(sure).tolist():
        pair = log.queries[log.query[first[i]]], log.products[log.product[first[i]]]
        judged.setdefault(pair[0], {})[pair[1]] = int(relevance[i])
        about[pair] = Provenance(
            "clicks",
            says + (", simulated" * log.simulated),
            looks=round(float(looks[i]), 1),
            clicks=int(clicks[i]),
        )
    return JudgmentList(judged, name, "clicks", about)
