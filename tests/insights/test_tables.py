import itertools
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.insights.jobs import CHAIN_PAUSE, SESSION_PAUSE
from tandem.insights.tables import Tables
from tandem.simulate.shoppers import SCHEMA

SECOND = 1_000_000
numbers = itertools.count()


def event(action: str, at: float, **values: Any) -> dict[str, Any]:
    """One admitted event, `at` seconds in."""
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    row |= {
        "event_key": f"{next(numbers):032x}",
        "action_name": action,
        "timestamp": int(at * SECOND),
        "received": int(at * SECOND),
        "client": "k.c",
        "session": "k.s",
        "masked": [],
        "object_ids": [],
        "filters": [],
        "traffic": "shopper",
        "clock": "kept",
    }
    return row | values


def search(query_id: str, at: float, text: str = "lamp", shown=("a", "b"), **values: Any):
    return event("search", at, query_id=query_id, user_query=text, object_ids=list(shown), **values)


def click(query_id: str, at: float, product: str, position: int, **values: Any):
    return event("click", at, query_id=query_id, object_id=product, position=position, **values)


def tables_of(*events: dict[str, Any]) -> Tables:
    tables = Tables(memory="500MB")
    tables.load(pa.Table.from_pylist(list(events), schema=SCHEMA))
    return tables


def searches(*events: dict[str, Any]) -> dict[str, dict[str, Any]]:
    with tables_of(*events) as tables:
        return {r["query_id"]: r for r in tables.rows("SELECT * FROM searches")}


def test_what_came_of_a_search():
    found = searches(
        search("q", 0, "  Red   LAMP "),
        click("q", 5, "b", 2),
        event("add_to_cart", 45, query_id="q", object_id="b", position=2),
        event("purchase", 60, query_id="q", object_id="b", amount="12.50", currency="EUR"),
    )["q"]
    assert found["text"] == "red lamp"
    assert (found["clicks"], found["carts"], found["purchases"]) == (1, 1, 1)
    assert (found["sales"], found["first_click"], found["dwell"]) == (12.5, 2, 40.0)
    assert not found["abandoned"]


def test_a_chain_is_one_need_and_ends_with_a_cart_or_a_pause():
    later = 10 + CHAIN_PAUSE / SECOND + 1
    found = searches(
        search("q1", 0, "lmap", ()),
        search("q2", 10, "lamp"),
        event("add_to_cart", 20, query_id="q2", object_id="a"),
        search("q3", 30, "chair"),
        search("q4", 30 + later, "table"),
    )
    assert found["q1"]["chain"] == found["q2"]["chain"]
    assert len({found[q]["chain"] for q in ("q2", "q3", "q4")}) == 3
    assert (found["q1"]["next_text"], found["q1"]["recovered"]) == ("lamp", True)
    assert (found["q2"]["turn"], found["q2"]["next_text"]) == (2, None)
    assert not found["q1"]["abandoned"]  # it was searched on
    assert found["q3"]["abandoned"]
    assert not found["q3"]["good_abandoned"]


def test_a_shown_product_bought_without_a_click_is_good_abandonment():
    found = searches(search("q", 0), event("purchase", 50, object_id="a", amount="3"))["q"]
    assert found["abandoned"]
    assert found["good_abandoned"]


def test_missing_totals_fall_back_to_what_was_shown_and_bots_are_left_out():
    found = searches(
        search("q", 0, shown=("a",)),
        search("z", 1000, shown=(), total=0),
        search("r", 2000, traffic="bot_rate"),
    )
    assert {q: f["results"] for q, f in found.items()} == {"q": 1, "z": 0}


def test_a_search_sent_twice_counts_once():
    assert len(searches(search("q", 0), search("q", 1))) == 1


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("xy"), st.integers(0, 4 * SESSION_PAUSE // SECOND)),
        min_size=1,
        max_size=25,
        unique=True,
    )
)
def test_sessions_without_a_name_are_cut_at_the_pause(moments):
    """Against the definition, written out."""
    expected = 0
    for client in "xy":
        times = sorted(t for c, t in moments if c == client)
        expected += bool(times) + sum(
            b - a > SESSION_PAUSE / SECOND for a, b in itertools.pairwise(times)
        )
    events = [event("view", t, client=c, session=None, object_id="a") for c, t in moments]
    with tables_of(*events) as tables:
        assert tables.rows("SELECT count(*) AS n FROM sessions") == [{"n": expected}]


def test_no_events_are_no_rows():
    with tables_of() as tables:
        assert tables.rows("SELECT * FROM searches") == []


@pytest.mark.parametrize("quoted", ["it's", "plain"])
def test_events_are_read_from_parquet(tmp_path, quoted):
    import pyarrow.parquet as pq

    folder = tmp_path / quoted
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist([search("q", 0)], schema=SCHEMA), folder / "p.parquet")
    with Tables(memory="500MB") as tables:
        tables.load([folder / "p.parquet"])
        assert len(tables.rows("SELECT * FROM searches")) == 1
