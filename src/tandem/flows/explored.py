"""Off-policy evaluation from what a shop itself served while it explored.

The served log holds which places were drawn and with what probability, the events what was
clicked; both meet by the query's id. A slot's showings hold all of it themselves.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput
from tandem.contracts.experiment import Exploration
from tandem.contracts.registry import Served
from tandem.contracts.search import MAX_QUERY, SearchRequest
from tandem.experiments.exploration import conditional, marginals
from tandem.experiments.offpolicy.diagnostics import Diagnostics, Limits, Refusal
from tandem.experiments.offpolicy.evaluation import Evaluation, evaluate
from tandem.experiments.offpolicy.feedback import Feedback
from tandem.experiments.offpolicy.rewards import cross_fit
from tandem.experiments.offpolicy.slates import (
    SlateEstimate,
    SlateFeedback,
    evaluate_slates,
    slate_diagnostics,
)
from tandem.flows.slots import slot_of
from tandem.flows.view import View
from tandem.flows.workspace import Workspace
from tandem.governance.reading import EventReader
from tandem.registry.served import ServedLog
from tandem.registry.slots import SlotStore
from tandem.storage.layout import Layout

Order = Callable[[Served, str], tuple[int, ...] | None]
"""The places in which another policy would show the products that were drawn: for each place, the
rank (from 0) of its product in the logged order. None: it cannot be told."""


@dataclass(frozen=True)
class ExploredEvaluation:
    """Clicks on the drawn places of a list, under another policy. lists: explored searches of
    whom analytics may read; logged: clicks a list as they were shown. policy: in words.
    left_out: lists that the policy cannot be asked about, by reason. same: share of the lists for
    which the policy's order is the logged ranker's own."""

    policy: str
    lists: int
    places: int
    logged: float
    estimates: dict[str, SlateEstimate | Refusal]
    diagnostics: dict[str, Diagnostics]
    left_out: dict[str, int]
    same: float
    simulated: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "policy": self.policy,
            "lists": self.lists,
            "places": self.places,
            "logged": self.logged,
            "left_out": self.left_out,
            "same_order": self.same,
            "simulated": self.simulated,
            "estimates": {
                name: {
                    "status": "refused" if isinstance(e, Refusal) else "answered",
                    **asdict(e),
                }
                for name, e in self.estimates.items()
            },
            "diagnostics": {name: asdict(d) for name, d in self.diagnostics.items()},
        }


def evaluate_explored(
    layout: Layout,
    *,
    steepness: float | None = None,
    model: str | None = None,
    actor: str,
    limits: Limits = Limits(),
    resamples: int = 1_000,
    seed: int = 7,
) -> ExploredEvaluation:
    """What would another policy have earned in clicks, a list?

    steepness: of Plackett-Luce over the ranker's order; None: the ranker's order itself. model: a
    registered ranker, whose order of the products that were drawn is told by asking it the same
    query on the same index. Each estimator answers or refuses. Raises InvalidInput where nothing
    was explored, NotFound without that model.
    """
    if model is None:
        policy = (
            "the ranker's own order"
            if steepness is None
            else f"Plackett-Luce, steepness {steepness:g}"
        )
        return _evaluated(layout, policy, steepness, None, actor, limits, resamples, seed)
    if steepness is not None:
        raise InvalidInput(
            "a model and a steepness at once", field="model", remedy="ask for one of the two"
        )
    with Workspace(layout) as shop:
        order = _Asked(shop.with_artefact(shop.view, "models", model)).order
        policy = f"the order of {model}"
        return _evaluated(layout, policy, None, order, actor, limits, resamples, seed)


def _evaluated(
    layout: Layout,
    policy: str,
    steepness: float | None,
    order: Order | None,
    actor: str,
    limits: Limits,
    resamples: int,
    seed: int,
) -> ExploredEvaluation:
    explored = {s.query_id: s for s in ServedLog(layout.served).entries() if s.explored}
    clicks, texts = _followed(layout, actor)
    rows = [s for q, s in explored.items() if q in clicks]
    if not rows:
        raise InvalidInput(
            f"{len(explored):,} explored searches, none of which events may be read of",
            field="explored",
            remedy="explore: tandem experiment explore --share 0.05; and collect events",
        )
    # Lists of one length only: the commonest.
    k = Counter(len(s.explored.places) for s in rows if s.explored).most_common(1)[0][0]
    whole = [s for s in rows if s.explored and len(s.explored.places) == k]
    left_out = Counter({"another number of places": len(rows) - len(whole)})
    rows = []
    orders: list[tuple[int, ...]] = []
    own = tuple(range(k))
    for s in whole:
        places = own if order is None else order(s, texts.get(s.query_id, ""))
        if places is None:
            left_out["from another index, personal, filtered, or without its words"] += 1
            continue
        rows.append(s)
        orders.append(places)
    if not rows:
        raise InvalidInput(
            f"none of {len(whole):,} explored lists can be asked about: they were served from "
            "another index, were personal or filtered, or their words are not kept",
            field="model",
            remedy="explore with the index that is live now, then ask again",
        )
    reward = np.array([[float(p in clicks[s.query_id]) for p in s.products[:k]] for s in rows])
    alone, given = (
        _feedback(rows, orders, reward, k, steepness, marginal) for marginal in (True, False)
    )
    options: dict[str, Any] = {"limits": limits, "resamples": resamples, "seed": seed}
    found = {
        **evaluate_slates(given, ("SIPS", "RIPS"), **options),
        **evaluate_slates(alone, ("IIPS",), **options),
    }
    diagnostics = {
        name: slate_diagnostics(alone if name == "IIPS" else given, name) for name in found
    }
    simulated = layout.settings().simulated or any(s.simulated for s in rows)
    return ExploredEvaluation(
        policy,
        len(rows),
        k,
        float(reward.sum(axis=1).mean()),
        found,
        diagnostics,
        {reason: n for reason, n in left_out.items() if n},
        float(np.mean([o == own for o in orders])),
        simulated,
    )


class _Asked:
    """A ranker asked what it would have made of logged lists: same words, same index, features
    recomputed by the code that serves."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._stage = view.stages()["ltr"]
        self._places: dict[str, dict[str, int]] = {}

    def order(self, served: Served, text: str) -> tuple[int, ...] | None:
        assert served.explored is not None
        if served.index_generation != self._view.generation or served.personal or not text:
            return None
        if text not in self._places:
            understanding = self._view.understand(SearchRequest(q=text[:MAX_QUERY]))
            context = self._view.context(understanding, understanding.filters)
            found = self._view.snapshot.ids(self._stage.run(context, None).numbers)
            self._places[text] = {product: place for place, product in enumerate(found)}
        places = self._places[text]
        ranked = served.explored.ranked
        # What it does not find at all comes last, in the logged order.
        return tuple(sorted(range(len(ranked)), key=lambda r: (places.get(ranked[r], 10**6), r)))


def _followed(layout: Layout, actor: str) -> tuple[dict[str, set[str]], dict[str, str]]:
    """Products clicked by query, and the words of queries without filters (what these were is not
    kept), of searches of whom analytics may read; bots left out."""
    reader = EventReader(layout, Purpose.ANALYTICS, actor=actor)
    columns = ("query_id", "object_id", "action_name", "traffic", "user_query", "filters")
    with reader.reading() as events:
        table = events.table(columns).table
    found: dict[str, set[str]] = {}
    texts: dict[str, str] = {}
    for row in table.to_pylist():
        if row["traffic"] != "shopper" or row["query_id"] is None:
            continue
        if row["action_name"] == "search":
            found.setdefault(row["query_id"], set())
            texts[row["query_id"]] = "" if row["filters"] else row["user_query"] or ""
        elif row["action_name"] == "click" and row["object_id"]:
            found.setdefault(row["query_id"], set()).add(row["object_id"])
    return found, texts


def _feedback(
    rows: list[Served],
    orders: Sequence[tuple[int, ...]],
    reward: Any,
    k: int,
    steepness: float | None,
    marginal: bool,
) -> SlateFeedback:
    logged, wanted = [], []
    policy = None if steepness is None else Exploration(top=k, steepness=steepness)
    for s, order in zip(rows, orders, strict=True):
        assert s.explored is not None
        places = s.explored.places
        logged.append(s.explored.marginal if marginal else s.explored.pscore)
        if policy is None:
            wanted.append([float(order[place] == rank) for place, rank in enumerate(places)])
        elif marginal:
            table = marginals(policy)
            wanted.append([float(table[place, rank]) for place, rank in enumerate(places)])
        else:
            wanted.append(list(conditional(policy, places)))
    return SlateFeedback(reward, np.array(logged, np.float64), np.array(wanted, np.float64))


# --- Slots ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SlotEvaluation:
    """What a slot would have earned a showing, had it always shown one arm. Each is answered or
    refused. open: further showings, left out since a reward may still come for them."""

    slot: str
    reward: str
    showings: int
    open: int
    policies: Mapping[str, Evaluation]
    simulated: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "slot": self.slot,
            "reward": self.reward,
            "showings": self.showings,
            "open": self.open,
            "simulated": self.simulated,
            "policies": {name: e.to_json() for name, e in self.policies.items()},
        }


def evaluate_slot(
    layout: Layout,
    name: str,
    *,
    limits: Limits = Limits(),
    resamples: int = 1_000,
    seed: int = 7,
) -> SlotEvaluation:
    """From a slot's own showings: what always showing each arm would have earned. The reward model
    of DM and DR reads the moment of each showing. NotFound without the slot, InvalidInput before it
    has shown anything of which it is known what followed."""
    slot = slot_of(layout, name)
    store = SlotStore(layout.slots)
    try:
        showings = list(store.showings(name))
    finally:
        store.close()
    if not showings:
        raise InvalidInput(
            f"'{name}' has shown nothing yet", field="slot", remedy="let it run, then ask again"
        )
    everything, since = len(showings), time.time() - 60 * slot.window
    showings = [s for s in showings if s.at.timestamp() <= since]
    if not showings:
        raise InvalidInput(
            f"each of {everything:,} showings of '{name}' may still be rewarded",
            field="slot",
            remedy=f"ask again when {slot.window} minutes are over",
        )
    reward = np.array([s.reward for s in showings])
    action = np.array([s.arm for s in showings], np.int64)
    pscore = np.array([s.pscore for s in showings])
    context = np.array([s.context for s in showings])[:, 1:]  # the model has a constant
    policies = {}
    for i, arm in enumerate(slot.arms):
        always: NDArray[np.float64] = np.zeros((1, len(slot.arms)))
        always[0, i] = 1.0
        q_logged, q_evaluation = cross_fit(
            context=context,
            action=action,
            action_features=np.eye(len(slot.arms)),
            reward=reward,
            group=np.zeros(len(showings), np.int64),
            action_dist=always,
            dist_row=np.zeros(len(showings), np.int64),
            seed=seed,
        )
        feedback = Feedback(reward, pscore, always[0, action], q_logged, q_evaluation)
        policies[arm.name] = evaluate(feedback, limits=limits, resamples=resamples, seed=seed)
    return SlotEvaluation(
        slot=name,
        reward=slot.reward,
        showings=len(showings),
        open=everything - len(showings),
        policies=policies,
        simulated=layout.settings().simulated,
    )
