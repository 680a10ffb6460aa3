"""How far shoppers look, from a shop's own events: by its lots, by harvesting, by EM; and trust.

What was served while the shop explored tells it best: places were drawn, and their chances are
known. The other ways need nothing but that the order has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.contracts.clicks import ClickLog, Floats
from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.features.declarations import LTR_FEATURES
from tandem.flows.lots import lots_of
from tandem.flows.train import judged_rows
from tandem.flows.train_clicks import most_searched, stored_clicks
from tandem.flows.workspace import Workspace
from tandem.queries.categories import NO_LESSONS
from tandem.ranking.clicks.learning import join_features
from tandem.ranking.clicks.propensity import WAYS, Propensities, by_lot, estimate
from tandem.ranking.clicks.trust import Trust, by_trust
from tandem.storage.layout import Layout

LOT = "lot"
ALL = (LOT, *WAYS)


@dataclass(frozen=True)
class Looks:
    """What each way says, or why it cannot. lists: searches behind all ways but the lot; drawn:
    searches whose first places were drawn. trust: None where it was not asked for or cannot be
    told, then `trust_says` why."""

    lists: int
    drawn: int
    ways: Mapping[str, Propensities | InvalidInput]
    trust: Trust | None
    trust_says: str | None
    simulated: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "simulated": self.simulated,
            "searches": self.lists,
            "drawn_searches": self.drawn,
            "relative_to": "place 1",
            "ways": {
                name: {"status": "refused", "reason": found.message, "remedy": found.remedy}
                if isinstance(found, InvalidInput)
                else {
                    "status": "answered",
                    "examination": _numbers(found.examination),
                    "low": None if found.low is None else _numbers(found.low),
                    "high": None if found.high is None else _numbers(found.high),
                    "support": [round(float(x), 1) for x in found.support],
                }
                for name, found in self.ways.items()
            },
            "trust": {
                "slope": _numbers(self.trust.slope),
                "floor": _numbers(self.trust.floor),
                "p": self.trust.p,
            }
            if self.trust is not None
            else None,
            "trust_says": self.trust_says,
        }


def looks(layout: Layout, ways: Sequence[str] = ALL, *, trust: bool = False, actor: str) -> Looks:
    """Estimate from stored events that may be read for analytics. actor: who asks, for the audit
    log. InvalidInput for an unknown way; each way answers or says why it cannot."""
    for way in ways:
        if way not in ALL:
            raise InvalidInput(f"no way '{way}'", field="way", remedy=f"use: {', '.join(ALL)}")
    with stored_clicks(layout, Purpose.ANALYTICS, actor) as (found, _):
        log = most_searched(found)
    lots = lots_of(layout, Purpose.ANALYTICS, actor)
    told: dict[str, Propensities | InvalidInput] = {}
    for way in ways:
        try:
            if way == LOT:
                told[way] = by_lot(lots)
            elif way == "regression-em":
                told[way] = _with_features(layout, log)
            else:
                told[way] = estimate(log, way)
        except InvalidInput as refusal:
            told[way] = refusal
    trusted, says = None, None
    if trust:
        try:
            trusted = by_trust(log)
        except InvalidInput as refusal:
            says = f"{refusal.message}; {refusal.remedy}"
    return Looks(log.lists, lots.lists, told, trusted, says, log.simulated or lots.simulated)


def _with_features(layout: Layout, log: ClickLog) -> Propensities:
    with Workspace(layout, ranked=False) as shop:
        asked = JudgmentList({log.queries[i]: {} for i in np.unique(log.query)}, "clicks")
        rows = {r.query: r for r in judged_rows(shop, asked, NO_LESSONS, None)}
    clicked = join_features(log, rows, tuple(LTR_FEATURES))
    return estimate(clicked.log, "regression-em", clicked.features)


def _numbers(values: Floats) -> list[float | None]:
    return [None if np.isnan(v) else round(float(v), 4) for v in values]
