from typing import get_type_hints

import duckdb
import numpy as np
import pytest

from tandem.contracts.events import AdmittedEvent
from tandem.simulate.shoppers import SCHEMA, SHOWN, WAYS, misspelt, simulated_shopping

SESSIONS = 1_500


@pytest.fixture(scope="module")
def whole():
    return simulated_shopping(SESSIONS, seed=4)


@pytest.fixture(scope="module")
def broken():
    return simulated_shopping(SESSIONS, seed=4, broken=WAYS)


def test_rows_are_admitted_events_and_say_that_they_are_simulated(whole):
    assert whole.events.schema.names == list(get_type_hints(AdmittedEvent)) == SCHEMA.names
    assert whole.events.schema.metadata[b"simulated"] == b"true"
    for row in whole.events.slice(0, 200).to_pylist():
        assert row["query_id"].startswith("simulated-")
        assert (row["action_name"] == "search") == (row["user_query"] is not None)
        if row["action_name"] == "search":
            assert len(row["object_ids"]) <= min(SHOWN, row["total"])
        else:
            assert 1 <= row["position"] <= SHOWN
        assert (row["amount"] is not None) == (row["action_name"] == "purchase")


def test_the_same_seed_gives_the_same_events(whole):
    assert simulated_shopping(SESSIONS, seed=4).events.equals(whole.events)


def test_events_refer_to_what_was_shown_and_carts_follow_clicks(broken):
    keys = broken.events["event_key"]
    assert len(keys.unique()) == len(keys)
    db = duckdb.connect()
    db.register("events", broken.events)
    wrong = db.execute("""
        SELECT count(*) FROM (SELECT * FROM events WHERE action_name <> 'search') a
        LEFT JOIN (SELECT * FROM events WHERE action_name = 'search') s
               ON a.query_id = s.query_id AND a.session = s.session AND a.client = s.client
        WHERE s.query_id IS NULL OR s.object_ids[a.position] <> a.object_id
           OR a.timestamp < s.timestamp
    """)
    assert wrong.fetchone() == (0,)


def test_revenue_is_what_the_events_say(whole):
    amounts = whole.events["amount"].drop_null().to_pylist()
    sum_of_amounts = sum(map(float, amounts))
    assert sum_of_amounts == pytest.approx(whole.revenue.sum())


def test_shoppers_want_the_same_in_both_worlds_and_buy_less_in_the_broken_one(whole, broken):
    assert np.array_equal(whole.affected, broken.affected)
    hit = whole.affected >= 0
    assert broken.revenue[hit].sum() < 0.6 * whole.revenue[hit].sum()
    assert [b.way for b in broken.breaks] == list(WAYS)
    assert whole.breaks == ()


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match="no way 'magic'"):
        simulated_shopping(10, broken=("magic",))


@pytest.mark.parametrize("noun", ["chair", "phone case", "tv stand", "Kopfhörer"])
def test_a_slip_swaps_two_letters(noun):
    assert sorted(misspelt(noun)) == sorted(noun)
    assert misspelt(noun) != noun


def test_too_few_products_are_refused_in_words():
    with pytest.raises(ValueError, match="20 products are too few to be searched for"):
        simulated_shopping(10, products=20)


def test_a_small_shop_that_can_be_searched_may_lack_what_a_break_needs():
    assert simulated_shopping(50, products=400).events.num_rows
    with pytest.raises(ValueError, match="7 of another kind to go astray to"):
        simulated_shopping(50, products=150, broken=WAYS)
