"""Off-policy evaluation of a shop's own exploration, on simulated shoppers of known truth."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.contracts.experiment import Exploration
from tandem.contracts.registry import Explored, Served
from tandem.experiments.exploration import draw
from tandem.flows.events import EventIntake
from tandem.flows.explored import evaluate_explored
from tandem.registry.served import ServedLog
from tandem.storage.layout import Layout, Settings

WORTH = np.array([0.5, 0.3, 0.1])
LOOKED = np.array([1.0, 0.6, 0.3])
N = 3_000


@pytest.fixture
def layout(tmp_path) -> Layout:
    """Shoppers who look at a place and click a product, each by its own chance."""
    layout = Layout.create(tmp_path / "shop", Settings(simulated=True))
    rng = np.random.default_rng(0)
    policy = Exploration(top=3, steepness=1.0)
    log, intake = ServedLog(layout.served), EventIntake(layout)
    now = datetime.now(UTC)
    records = []
    for i in range(N):
        drawn = draw(policy, rng)
        shown = tuple(f"P{rank}" for rank in drawn.places)
        log.put(
            Served(
                query_id=f"q{i}",
                at=now,
                ranker="ltr",
                index_generation="g1",
                model_generation=None,
                policy=None,
                page=1,
                products=shown,
                scores=(3.0, 2.0, 1.0),
                total=3,
                milliseconds=1.0,
                simulated=True,
                explored=Explored(
                    method=policy.method,
                    steepness=policy.steepness,
                    ranked=("P0", "P1", "P2"),
                    places=drawn.places,
                    pscore=drawn.pscore,
                    marginal=drawn.marginal,
                ),
            )
        )
        base = {"timestamp": now.isoformat(), "client_id": f"c{i}", "query_id": f"q{i}"}
        records.append({"kind": "query", "event_id": f"s{i}", "user_query": "x", **base})
        for place in np.flatnonzero(rng.random(3) < LOOKED * WORTH[list(drawn.places)]):
            event = {"kind": "event", "event_id": f"k{i}-{place}", "action_name": "click"}
            records.append({**event, "object_id": shown[place], **base})
    log.close()
    for start in range(0, len(records), 1_000):
        intake.take(records[start : start + 1_000])
    intake.close()
    return layout


def test_what_the_rankers_own_order_earns_is_told_from_drawn_ones(layout):
    truth = float(LOOKED @ WORTH)
    found = evaluate_explored(layout, actor="tester", resamples=300)
    assert (found.lists, found.places) == (N, 3)
    assert found.simulated
    assert found.logged < truth
    for name in ("SIPS", "RIPS", "IIPS"):
        e = found.estimates[name]
        error = (e.interval.high - e.interval.low) / 3.92
        assert abs(e.value - truth) < 4 * error, name
    same = evaluate_explored(layout, steepness=1.0, actor="tester", resamples=300)
    assert same.estimates["RIPS"].value == pytest.approx(same.logged)


def test_nothing_explored_is_said(tmp_path):
    with pytest.raises(InvalidInput, match="explored"):
        evaluate_explored(Layout.create(tmp_path / "s", Settings()), actor="tester")
