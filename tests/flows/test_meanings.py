"""Failing queries that mean the same, by the encoder that the package ships."""

from __future__ import annotations

import pyarrow as pa

from tandem.flows.meanings import meanings
from tandem.insights.tables import TOLD, Tables
from tandem.retrieval.encoders import DEFAULT_ENCODER, load_encoder
from tandem.simulate.shoppers import SCHEMA


def table(searches: dict[str, tuple[int, int]]) -> pa.Table:
    """By text: how many clients searched it, and how many results it had."""
    rows = []
    for text, (clients, results) in searches.items():
        for _ in range(clients):
            n = len(rows)
            row = dict.fromkeys(SCHEMA.names) | {key: [] for key in ("masked", "filters")}
            row |= {"event_key": f"{n:032x}", "query_id": f"q{n}", "action_name": "search"}
            row |= {"user_query": text, "total": results, "object_ids": [], "traffic": "shopper"}
            row |= {"client": f"c{n}", "session": f"s{n}", "clock": "kept"}
            rows.append(row | {"timestamp": n * 1_000_000, "received": n * 1_000_000})
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def test_failing_wordings_of_one_need_are_put_together_and_no_others():
    encoder = load_encoder(DEFAULT_ENCODER)
    searches = {
        "coffee maker": (TOLD + 2, 0),
        "coffee machine": (3, 1),
        "espresso machine": (3, 0),
        "dog bed": (TOLD, 0),
        "coffee mill": (9, 30),  # finds enough: no failure
        "bed for dogs": (1, 0),  # one person's wording
    }
    with Tables(memory="300MB") as tables:
        tables.load(table(searches))
        found = meanings(tables, encoder)
    assert found == dict.fromkeys(
        ("coffee maker", "coffee machine", "espresso machine"), "coffee maker"
    )


def test_a_meaning_that_nobody_may_be_told_of_is_left_out():
    encoder = load_encoder(DEFAULT_ENCODER)
    with Tables(memory="300MB") as tables:
        tables.load(table({"coffee maker": (TOLD - 1, 0), "coffee machine": (2, 0)}))
        assert meanings(tables, encoder) == {}
        tables.load(SCHEMA.empty_table())
        assert meanings(tables, encoder) == {}
