"""How far shoppers look, out of what a shop served while it explored. All shoppers are made up."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from typer.testing import CliRunner

import tandem
from tandem.cli.main import app
from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput
from tandem.contracts.experiment import Exploration
from tandem.contracts.search import SearchRequest
from tandem.flows.experimenting import explore
from tandem.flows.looks import looks
from tandem.flows.lots import lots_of
from tandem.flows.online import Online
from tandem.flows.train_clicks import drawn, stored_clicks

TOP = 3


@pytest.fixture
def explored(shop_copy):
    """A shop whose searches have their first product swapped by lot, and 600 searches of people who
    look at place k with chance 1/k and like the first product well."""
    with tandem.open(shop_copy) as shop:
        explore(shop.layout, Exploration(method="swap", top=TOP, share=1.0))
        server = Online(shop, seed=1)
        rng = np.random.default_rng(2)
        records = []
        for i in range(600):
            answer = server.answer(SearchRequest(q=("shoes", "bag")[i % 2], size=10), f"s{i}")
            shown = [h.product.id for h in answer.hits]
            now = datetime.now(UTC) + timedelta(seconds=1)
            base = {"timestamp": now.isoformat(), "client_id": f"s{i}"}
            base["query_id"] = answer.query_id
            query = {"kind": "query", "event_id": f"q{i}", "user_query": ("shoes", "bag")[i % 2]}
            records.append({**query, **base, "object_ids": shown})
            for place, product in enumerate(shown[:TOP]):
                if rng.random() < 0.8 / (place + 1):
                    event = {"kind": "event", "event_id": f"k{i}-{place}", "action_name": "click"}
                    at = {"object_id": product, "position": place + 1}
                    records.append({**event, **base, **at})
        server.close()
        outcomes = shop.take_events(records, None)
        assert {o.status for o in outcomes} == {"accepted"}
        return shop.layout


def test_the_lots_of_a_running_shop_tell_how_far_people_look(explored):
    lots = lots_of(explored, Purpose.ANALYTICS, "tester")
    assert lots.lists == 600
    assert set(lots.chance) == {1 / TOP}
    found = looks(explored, trust=True, actor="tester")
    lot = found.ways["lot"]
    assert not isinstance(lot, InvalidInput)
    for place in (1, 2):
        assert lot.low[place] <= 1 / (place + 1) <= lot.high[place]
    harvested = found.ways["harvest"]
    assert not isinstance(harvested, InvalidInput)
    assert harvested.examination[1] == pytest.approx(0.5, abs=0.2)
    assert found.trust is not None
    assert found.simulated
    # Rankers learn with it: the drawn places first, the rest by harvesting.
    with stored_clicks(explored, Purpose.ANALYTICS, "tester") as (log, _):
        both = drawn(explored, log, Purpose.ANALYTICS, "tester")
    assert both.examination[:TOP] == pytest.approx(lot.examination)
    asked = ["experiment", "propensities", "-w", str(explored.root), "--way", "lot,em", "--json"]
    done = CliRunner().invoke(app, asked, catch_exceptions=False)
    document = json.loads(done.stdout)
    assert document["drawn_searches"] == 600
    assert document["ways"]["lot"]["status"] == "answered"
    assert document["trust"] is None


def test_without_exploration_the_lot_is_refused_and_says_what_to_do(explored):
    for file in explored.served.glob("*.jsonl"):
        file.unlink()
    found = looks(explored, ("lot", "em"), actor="tester")
    assert isinstance(found.ways["lot"], InvalidInput)
    assert "explore" in (found.ways["lot"].remedy or "")
    assert found.to_json()["ways"]["em"]["status"] == "answered"
    with pytest.raises(InvalidInput, match="no way"):
        looks(explored, ("tea leaves",), actor="tester")
