"""Off-policy evaluation from what a shop itself served while it explored.

The served log holds which places were drawn and with what probability, the events what was
clicked; both meet by the query's id.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput
from tandem.contracts.experiment import Exploration
from tandem.contracts.registry import Served
from tandem.experiments.exploration import conditional, marginals
from tandem.experiments.offpolicy.diagnostics import Limits, Refusal
from tandem.experiments.offpolicy.slates import SlateEstimate, SlateFeedback, evaluate_slates
from tandem.governance.reading import EventReader
from tandem.registry.served import ServedLog
from tandem.storage.layout import Layout


@dataclass(frozen=True)
class ExploredEvaluation:
    """Clicks on the drawn places of a list, under another policy. lists: explored searches of
    whom analytics may read; logged: clicks a list as they were shown."""

    lists: int
    places: int
    logged: float
    estimates: dict[str, SlateEstimate | Refusal]
    simulated: bool

    def to_json(self) -> dict[str, Any]:
        from dataclasses import asdict

        return {
            "lists": self.lists,
            "places": self.places,
            "logged": self.logged,
            "simulated": self.simulated,
            "estimates": {
                name: {
                    "status": "refused" if isinstance(e, Refusal) else "answered",
                    **asdict(e),
                }
                for name, e in self.estimates.items()
            },
        }


def evaluate_explored(
    layout: Layout,
    *,
    steepness: float | None = None,
    actor: str,
    limits: Limits = Limits(),
    resamples: int = 1_000,
    seed: int = 7,
) -> ExploredEvaluation:
    """What would another policy have earned in clicks, a list?

    steepness: of Plackett-Luce over the ranker's order; None: the ranker's order itself. Each
    estimator answers or refuses. Raises InvalidInput where nothing was explored.
    """
    explored = {s.query_id: s for s in ServedLog(layout.served).entries() if s.explored}
    clicks = _clicked(layout, actor)
    rows = [s for q, s in explored.items() if q in clicks]
    if not rows:
        raise InvalidInput(
            f"{len(explored):,} explored searches, none of which events may be read of",
            field="explored",
            remedy="explore: tandem experiment explore --share 0.05; and collect events",
        )
    # Lists of one length only: the commonest.
    k = Counter(len(s.explored.places) for s in rows if s.explored).most_common(1)[0][0]
    rows = [s for s in rows if s.explored and len(s.explored.places) == k]
    reward = np.array([[float(p in clicks[s.query_id]) for p in s.products[:k]] for s in rows])
    alone, given = (_feedback(rows, reward, k, steepness, marginal) for marginal in (True, False))
    options: dict[str, Any] = {"limits": limits, "resamples": resamples, "seed": seed}
    found = {
        **evaluate_slates(given, ("SIPS", "RIPS"), **options),
        **evaluate_slates(alone, ("IIPS",), **options),
    }
    simulated = layout.settings().simulated or any(s.simulated for s in rows)
    return ExploredEvaluation(len(rows), k, float(reward.sum(axis=1).mean()), found, simulated)


def _clicked(layout: Layout, actor: str) -> dict[str, set[str]]:
    """Products clicked by query, of searches of whom analytics may read; bots left out."""
    reader = EventReader(layout, Purpose.ANALYTICS, actor=actor)
    with reader.reading() as events:
        table = events.table(("query_id", "object_id", "action_name", "traffic")).table
    found: dict[str, set[str]] = {}
    for row in table.to_pylist():
        if row["traffic"] != "shopper" or row["query_id"] is None:
            continue
        if row["action_name"] == "search":
            found.setdefault(row["query_id"], set())
        elif row["action_name"] == "click" and row["object_id"]:
            found.setdefault(row["query_id"], set()).add(row["object_id"])
    return found


def _feedback(
    rows: list[Served], reward: Any, k: int, steepness: float | None, marginal: bool
) -> SlateFeedback:
    logged, wanted = [], []
    policy = None if steepness is None else Exploration(top=k, steepness=steepness)
    table = np.eye(k) if policy is None else marginals(policy)
    for s in rows:
        assert s.explored is not None
        places = s.explored.places
        logged.append(s.explored.marginal if marginal else s.explored.pscore)
        if marginal or policy is None:
            wanted.append([float(table[place, rank]) for place, rank in enumerate(places)])
        else:
            wanted.append(list(conditional(policy, places)))
    return SlateFeedback(reward, np.array(logged, np.float64), np.array(wanted, np.float64))
