"""What a model is worth in money, from an experiment in the shop. All data is made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from event_rows import event
from tandem.contracts.experiment import (
    ExperimentBook,
    OnlineExperiment,
    SearchConfiguration,
    Variant,
)
from tandem.flows.import_ import create_workspace
from tandem.flows.model_worth import model_worth
from tandem.registry.experiments import Experiments
from tandem.storage.events import EventStore

MODEL = "g000002-20260301T000000"
START = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = 1_000_000


@pytest.fixture
def layout(tmp_path):
    return create_workspace(tmp_path / "shop", encoder=None, simulated=True)


def run_experiment(layout, means, people=600, **changes):
    """Two searches each, orders of about `means` by variant; a purchase's worth may be unknown."""
    experiment = OnlineExperiment(
        name="better",
        variants=(
            Variant(name="control", weight=1),
            Variant(name="new", weight=1, configuration=SearchConfiguration(model=MODEL)),
        ),
        planned=people,
        started=START,
        ended=START + timedelta(days=20),
        state="stopped",
    )
    Experiments(layout.experiments_file).change(
        lambda book: ExperimentBook(salt=book.salt, experiments=(experiment,))
    )
    rng = np.random.default_rng(0)
    rows = []
    for i in range(people):
        variant = ("control", "new")[i % 2]
        at = int((START + timedelta(days=14 * rng.random())).timestamp()) * SECOND

        def add(action, after, client=f"p{i:04d}", at=at, **values):
            rows.append(
                event(len(rows), at + after * SECOND, action_name=action, client=client, **values)
            )

        add("exposure", 0, object_id=f"better:{variant}")
        for search in range(2):
            add("search", 10 + search, query_id=f"q{i}-{search}", object_id=None)
        paid = {"amount": f"{rng.gamma(2, means[variant]):.2f}", "currency": "EUR"}
        add("purchase", 60, **{**paid, **changes})
    store = EventStore(layout)
    store.append(rows)
    store.close()


def test_a_gain_in_sales_a_search_is_a_years_money_with_an_interval(layout):
    run_experiment(layout, {"control": 10, "new": 14})
    found = model_worth(layout, MODEL, actor="tester")
    searches = 1_200 * 365 / 14
    assert found.searches_a_year == pytest.approx(searches, rel=0.02)
    truth = (14 - 10) * 2 / 2 * searches  # two searches share an order of twice the mean
    assert found.low < truth < found.high
    assert found.low > 0
    assert found.people == 600
    assert found.simulated
    assert found.figure.currency == "EUR"


def test_where_it_cannot_be_told_it_says_why(layout):
    assert "No shopper" in model_worth(layout, MODEL, actor="tester").why_not
    run_experiment(layout, {"control": 10, "new": 14}, people=20, amount=None)
    found = model_worth(layout, MODEL, actor="tester")
    assert found.value is None
    assert "not recorded" in found.why_not
    assert "No shopper" in model_worth(layout, "g000009-x", actor="tester").why_not


def test_groups_of_the_wrong_size_are_worth_nothing(layout):
    run_experiment(layout, {"control": 10, "new": 14}, people=400)
    book = Experiments(layout.experiments_file)
    first, second = book.book().experiments[0].variants
    changed = (
        book.book()
        .experiments[0]
        .model_copy(update={"variants": (first, second.model_copy(update={"weight": 3.0}))})
    )
    book.change(lambda b: b.model_copy(update={"experiments": (changed,)}))
    found = model_worth(layout, MODEL, actor="tester")
    assert found.value is None
    assert "cannot be trusted" in found.why_not
