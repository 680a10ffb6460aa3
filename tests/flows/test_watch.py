"""Drift of what is in no event: an alert where something was shifted, none where nothing was."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tandem.contracts.registry import Served
from tandem.flows.import_ import create_workspace, import_catalog
from tandem.flows.index import build_index
from tandem.flows.watch import catalogue_drift, score_drift, watched
from tandem.storage.layout import Layout


def products(number: int, price: float, brands: str, seed: int) -> list[dict]:
    draw = random.Random(seed)
    return [
        {
            "id": f"p{n}",
            "title": f"thing {n}",
            "brand": draw.choice(brands),
            "category": [draw.choice("xyz"), f"leaf {n}"],
            "price": {"amount": f"{price * draw.lognormvariate(0, 0.5):.2f}", "currency": "EUR"},
        }
        for n in range(number)
    ]


def index(layout: Layout, folder: Path, rows: list[dict]) -> None:
    file = folder / "products.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_catalog(layout, [file], "tandem")
    build_index(layout)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = create_workspace(tmp_path / "shop", encoder=None)
    index(layout, tmp_path, products(400, 20, "abc", 1))
    return layout


def test_one_generation_has_nothing_to_drift_from(layout):
    assert watched(layout) == ()


def test_the_same_catalogue_drawn_again_is_no_drift(layout, tmp_path):
    index(layout, tmp_path, products(410, 20, "abc", 2))
    assert catalogue_drift(layout) == ()


def test_what_was_shifted_is_named(layout, tmp_path):
    index(layout, tmp_path, products(400, 40, "abd", 3))
    alerts = {a.name: a for a in catalogue_drift(layout)}
    assert set(alerts) == {"price", "brand"}
    price, brand = alerts["price"], alerts["brand"]
    assert price.before == pytest.approx(20, rel=0.2)
    assert price.now == pytest.approx(40, rel=0.2)
    assert any(r.startswith(("c:", "d:")) for r in brand.reasons)


def test_prices_that_are_lost_and_a_catalogue_that_shrinks_are_told(layout, tmp_path):
    rows = [{**p, "price": None} for p in products(300, 20, "abc", 4)]
    index(layout, tmp_path, rows)
    alerts = {a.name: a for a in catalogue_drift(layout)}
    assert alerts["products"].value == pytest.approx(-0.25)
    assert "unknown: 0% before, 100% now" in alerts["price"].reasons


def served(layout: Layout, day: int, score: float, model: str) -> str:
    line = Served(
        query_id=f"q{day}-{score}",
        at=datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day),
        ranker="ltr",
        index_generation="g",
        model_generation=model,
        policy=None,
        page=1,
        products=("p1",),
        scores=(score,),
        total=1,
        milliseconds=1.0,
    )
    return line.model_dump_json() + "\n"


@pytest.mark.parametrize(("shift", "alerts"), [(0.0, 0), (3.0, 1)])
def test_scores_of_a_model_are_held_against_its_own(layout, shift, alerts):
    draw = random.Random(0)
    layout.served.mkdir(parents=True)
    for day in range(20):
        lines = [
            served(layout, day, draw.gauss(shift if day >= 13 else 0.0, 1.0), "g1")
            for _ in range(60)
        ]
        (layout.served / f"2026-03-{day + 1:02}.jsonl").write_text("".join(lines) + "{cut off")
    found = score_drift(layout)
    assert len(found) == alerts
    if alerts:
        assert found[0].kind == "scores"
        assert "ltr (g1)" in found[0].says
