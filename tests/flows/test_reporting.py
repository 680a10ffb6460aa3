"""Reports of a workspace: its week, its findings, its model, and what partners may see."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.flows.experiment import analyse_file, keep_analysis, kept_analyses
from tandem.flows.insights import report_insights, simulate_shop
from tandem.flows.reporting import (
    insight_report,
    keep,
    kept_file,
    kept_reports,
    model_report,
    weekly_report,
)
from tandem.flows.weekly import week_of
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    root = tmp_path_factory.mktemp("reporting") / "shop"
    simulate_shop(root, 5_000, seed=5, broken=("device", "out_of_stock"), products=800)
    return Layout.open(root)


def test_a_week_is_the_seven_days_asked_for(layout: Layout):
    week = week_of(layout, "2026-03-22")
    assert (str(week.since), str(week.until)) == ("2026-03-15", "2026-03-22")
    assert week.simulated
    assert [d.day for d in week.days][-7:] == [f"2026-03-{d}" for d in range(15, 22)]
    assert sum(d.searches for d in week.days[-7:]) == week.searches
    assert sum(d.searches for d in week.days[:-7]) == week.searches_before
    store = EventStore(layout)
    try:
        with store.reading() as snapshot:
            rows = snapshot.table(["action_name", "timestamp", "amount", "client", "query_id"])
    finally:
        store.close()
    table = rows.to_pandas()
    day = table["timestamp"] // 86_400_000_000 - np.datetime64("2026-03-15", "D").astype(int)
    searched = table[(table.action_name == "search") & day.between(0, 6)]
    assert week.searches == searched.query_id.nunique()
    assert week.shoppers == searched.client.nunique()
    sold = table[(table.action_name == "purchase") & table.query_id.isin(searched.query_id)]
    mean = sold.amount.astype(float).sum() / week.searches
    assert week.sales_per_search.value == pytest.approx(mean, rel=0.01)
    # The interval beside a bootstrap over shoppers.
    sales = sold.groupby("client").amount.apply(lambda a: a.astype(float).sum())
    by_client = searched.groupby("client").query_id.nunique().to_frame("n")
    by_client["s"] = sales.reindex(by_client.index).fillna(0.0)
    drawn = np.random.default_rng(0).integers(0, len(by_client), (500, len(by_client)))
    n, s = by_client.n.to_numpy(), by_client.s.to_numpy()
    spread = float((s[drawn].sum(axis=1) / n[drawn].sum(axis=1)).std())
    assert week.sales_per_search.high is not None
    assert week.sales_per_search.value is not None
    half = week.sales_per_search.high - week.sales_per_search.value
    assert half / 1.96 == pytest.approx(spread, rel=0.15)


def test_without_a_day_it_is_the_last_week_with_a_search(layout: Layout):
    made = weekly_report(layout)
    assert made.title == "The week in search: 2026-03-22 to 2026-03-28"
    assert made.figures["failures"].value == len(made.details["week"]["findings"])
    assert any("On tablet" in line for line in made.happened)


def test_what_is_no_day_and_a_week_without_searches(layout: Layout):
    with pytest.raises(InvalidInput, match="someday"):
        week_of(layout, "someday")
    assert weekly_report(layout, until="2020-01-01").verdict == "no_searches"


def test_tests_of_the_week_stand_in_it(layout: Layout, tmp_path):
    rng = np.random.default_rng(1)
    treated = rng.random(4_000) < 0.5
    rows = ["variant,orders,simulated"] + [
        f"{'treatment' if t else 'control'},{v},true"
        for t, v in zip(treated, rng.poisson(1 + 0.3 * treated), strict=True)
    ]
    file = tmp_path / "ab.csv"
    file.write_text("\n".join(rows))
    keep_analysis(layout, analyse_file(file, planned=4_000, name="Bigger pictures"))
    (kept,) = kept_analyses(layout)
    assert kept["decision"]["verdict"] == "ship"
    day = kept["analysed"][:10]
    tomorrow = str(np.datetime64(day) + 1)
    made = weekly_report(layout, until=tomorrow)
    assert "Test “Bigger pictures”: Ship it. The new version is better." in made.happened
    assert "“Bigger pictures”" in made.recommend


def test_kept_reports_are_found_again_in_every_format(layout: Layout):
    report_insights(layout)
    name = keep(layout, insight_report(layout))
    (found,) = [k for k in kept_reports(layout) if k.name == name]
    assert found.kind == "insight"
    assert found.simulated is True
    assert {".html", ".md", ".json", ".eml"} <= set(found.endings)
    assert kept_file(layout, name, ".html").startswith(b"<!doctype html>")
    for other in ("../tandem", "insights", name.upper()):
        with pytest.raises(NotFound):
            kept_file(layout, other, ".html")


def test_a_merchant_sees_released_figures_and_a_creator_its_own_books(layout: Layout):
    part = next((layout.catalog.root / str(layout.catalog.live())).glob("*.parquet"))
    merchant = pq.read_table(part, columns=["merchant"])["merchant"].drop_null()[0].as_py()
    made = weekly_report(layout, "merchant", merchant, period="2026-03")
    assert made.simulated
    document = json.dumps(made.to_json())
    assert merchant in document
    rows = made.details["performance"]["queries"]
    assert all(q["people"] >= 50 for q in rows)
    assert insight_report(layout, "creator", "ada").verdict == "nothing_yet"
    with pytest.raises(InvalidInput, match="which merchant"):
        weekly_report(layout, "merchant")


def test_there_is_no_page_on_a_model_without_one(layout: Layout):
    with pytest.raises(NotFound, match="no model"):
        model_report(layout)
