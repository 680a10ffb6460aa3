import json
from itertools import pairwise
from pathlib import Path

import pytest

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.flows.import_ import create_workspace
from tandem.flows.insights import REPORT, report_insights, simulate_shop, try_fix
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout

BROKEN = ("vocabulary_gap", "category_intent", "bad_ranking", "missing_product", "out_of_stock")


@pytest.fixture(scope="module")
def broken_shop(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("insights") / "shop"
    simulate_shop(path, 9_000, seed=5, broken=BROKEN, products=2_500)
    return path


@pytest.fixture(scope="module")
def report(broken_shop):
    return report_insights(Layout.open(broken_shop))


def test_failures_are_found_in_stored_events_and_the_report_is_kept(broken_shop, report):
    document = report.to_json()
    causes = {f["cause"] for f in document["findings"]}
    assert causes <= set(BROKEN)
    assert len(causes) >= 4
    assert document["simulated"] is True
    assert [f["rank"] for f in document["findings"]] == list(range(1, len(causes) + 1))
    kept = json.loads((Layout.open(broken_shop).reports / REPORT).read_text())
    assert kept["findings"] == json.loads(json.dumps(document["findings"]))
    assert 0 < document["health"]["zero_results"] < 0.2
    assert document["position"]["examination"][0] == 1.0
    steps = ("searches", "clicked", "carted", "bought")
    assert sum(f["searches"] for f in document["funnels"]) == document["searches"]
    assert all(a[x] >= a[y] for a in document["funnels"] for x, y in pairwise(steps))


def test_no_pseudonym_of_a_person_is_in_the_report(broken_shop, report):
    with EventStore(Layout.open(broken_shop)).reading() as snapshot:
        rows = snapshot.table(["client", "session"]).slice(0, 2_000).to_pylist()
    text = json.dumps(report.to_json())
    assert not any(r["client"] in text or r["session"] in text for r in rows)


def test_files_of_events_are_read_like_stored_ones(broken_shop, report, tmp_path):
    import pyarrow.parquet as pq

    with EventStore(Layout.open(broken_shop)).reading() as snapshot:
        pq.write_table(snapshot.table(), tmp_path / "events.parquet")
    again = report_insights(Layout.open(broken_shop), [tmp_path / "events.parquet"])
    assert [f.id for f in again.found.findings] == [f.id for f in report.found.findings]


@pytest.mark.parametrize(
    ("cause", "verdict", "on"),
    [
        ("vocabulary_gap", "helps", "these searches"),
        ("out_of_stock", "helps", "what can be bought"),
        ("bad_ranking", "helps", "held-out searches"),
        ("missing_product", "cannot be tried offline", None),
    ],
)
def test_fixes_are_tried(broken_shop, report, cause, verdict, on):
    finding = next(f for f in report.found.findings if f.cause == cause)
    trial = try_fix(Layout.open(broken_shop), finding.id)
    assert trial.verdict == verdict, trial
    assert trial.simulated
    if on is not None:
        (measure,) = (m for m in trial.measures if m["on"] == on)
        assert measure["low"] > 0
        assert measure["after"] > measure["before"]


def test_what_is_missing_is_said(broken_shop, tmp_path):
    with pytest.raises(NotFound, match="no finding 'none'"):
        try_fix(Layout.open(broken_shop), "none")
    empty = create_workspace(tmp_path / "empty", encoder=None)
    with pytest.raises(NotFound, match="no events"):
        report_insights(empty)
    with pytest.raises(InvalidInput, match="no such file"):
        report_insights(empty, [tmp_path / "gone.parquet"])
    with pytest.raises(InvalidInput, match="cannot be broken as 'magic'"):
        simulate_shop(tmp_path / "other", 10, broken=("magic",))
