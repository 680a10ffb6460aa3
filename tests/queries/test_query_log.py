"""What shoppers have asked teaches spelling and completion; what is personal is not kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import Product
from tandem.contracts.query_log import QueryCount
from tandem.flows.import_ import create_workspace, import_queries
from tandem.ingest.query_log import read_query_log
from tandem.queries.abbreviations import abbreviations
from tandem.queries.analysis import Analyser
from tandem.queries.model import QueryModel, QueryModelBuilder
from tandem.storage.query_log import load_query_log


def built(path: Path, titles: list[str], log: list[QueryCount] | None = None) -> QueryModel:
    analyser = Analyser()
    builder = QueryModelBuilder(analyser)
    for number, title in enumerate(titles):
        builder.add(analyser.analyse(Product(id=str(number), title=title)))
    builder.learn(log or [])
    return builder.finish(path)


def test_what_is_asked_more_often_is_what_was_meant(tmp_path):
    titles = [f"brown boots {i}" for i in range(5)] + [f"blue books {i}" for i in range(5)]
    titles += ["boots", "books"]
    for wanted in ("boots", "books"):
        model = built(tmp_path / wanted, titles, [QueryCount(wanted, 500)])
        u = model.understand("booxs")
        assert (u.corrected or u.suggestion) == wanted


def test_a_slip_that_many_make_stays_a_slip(tmp_path):
    titles = [f"bluetooth speaker {i}" for i in range(5)]
    model = built(tmp_path, titles, [QueryCount("blutooth speaker", 900)])
    u = model.understand("blutooth speaker")
    assert "bluetooth speaker" in (u.corrected, u.suggestion)
    assert "blutooth speaker" not in [s.text for s in model.suggest("blu")]


def test_completion_offers_what_is_asked_before_what_is_written(tmp_path):
    titles = [f"red wool scarf {i}" for i in range(9)] + [f"red wool hat {i}" for i in range(4)]
    before = built(tmp_path / "a", titles).suggest("red wool ")
    after = built(tmp_path / "b", titles, [QueryCount("red wool hat", 40)]).suggest("red wool ")
    assert before[0].text == "red wool scarf"
    assert after[0].text == "red wool hat"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "An uninterruptible power supply (UPS) for racks",
            [("ups", "uninterruptible power supply")],
        ),
        ("With PoE (Power over Ethernet)", [("poe", "power over ethernet")]),
        ("Lithium-Ion (Li-Ion) battery", [("li-ion", "lithium-ion")]),
        ("Kettle (UK) with a lid", []),
        ("Cable (2 m) in black (new)", []),
        ("(", []),
        ("", []),
    ],
)
def test_abbreviations_are_read_out_of_texts(text, found):
    assert list(abbreviations(text)) == found


def test_spelt_out_abbreviations_become_synonyms(tmp_path):
    titles = [f"Acme uninterruptible power supply (UPS) {i}" for i in range(3)]
    model = built(tmp_path, [*titles, "Acme battery", "Acme thing (ODD) once done daily"])
    expanded = [t.text for t in model.understand("ups").expansions]
    assert "power" in " ".join(expanded)
    assert not model.understand("odd").expansions


ROWS = [
    *({"query": "Red  scarf"} for _ in range(3)),
    {"query": "usb cable", "count": "7"},
    {"query": "rare thing", "count": 2},
    {"query": "jane@example.org", "count": 50},
    {"query": "call +49 170 1234567", "count": 50},
    {"query": "deliver to 12 elm road", "count": 50},
    {"query": "x" * 300, "count": 50},
]


def test_the_door_keeps_what_is_common_and_impersonal(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in ROWS))
    layout = create_workspace(tmp_path / "shop", encoder=None)
    report = import_queries(layout, file)
    assert load_query_log(layout) == [QueryCount("usb cable", 7), QueryCount("red scarf", 3)]
    assert (report.queries, report.asked) == (2, 10)
    assert (report.rare, report.personal, report.too_long) == (1, 3, 1)
    stored = layout.query_log.read_bytes()
    assert b"jane" not in stored


@pytest.mark.parametrize(
    ("row", "field"),
    [({"q": "x"}, "query"), ({"query": 7}, "query"), ({"query": "x", "count": "many"}, "count")],
)
def test_a_bad_row_is_named(tmp_path, row, field):
    file = tmp_path / "log.jsonl"
    file.write_text('{"query": "fine"}\n' + json.dumps(row) + "\n")
    with pytest.raises(InvalidInput) as caught:
        read_query_log(file)
    assert (caught.value.line, caught.value.field) == (2, field)
    assert caught.value.remedy
