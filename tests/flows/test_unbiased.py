"""Rankers out of clicks, from stored events to a candidate; and the study that says whether it
works, on a small simulated catalogue."""

from __future__ import annotations

import json

import numpy as np
import pytest

from event_rows import NOON, event
from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.flows.judging import judge_by_clicks
from tandem.flows.registry import card, promote
from tandem.flows.train_clicks import train_from_clicks
from tandem.flows.unbiased import FULL, study_unbiased, write_study
from tandem.flows.workspace import Workspace, open_workspace
from tandem.governance.audit import AuditLog
from tandem.governance.consent import ConsentLedger
from tandem.simulate.clicks import ClickBehaviour
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout

CLIENTS, PLACES = 11, 10  # so that each query is asked by all
SILENT = f"k1.{99:022d}"  # somebody who allowed nothing


def searched(layout: Layout, searches: int = 1_500) -> None:
    """Events of shoppers who look less the further down, on the lists of two rankers."""
    rng = np.random.default_rng(3)
    with Workspace(layout) as shop:
        judged = shop.judgment_list().by_query
        runs = [shop.run(name, list(judged), PLACES).rankings for name in ("bm25", "ltr")]
    rows, number = [], 0
    for i in range(searches):
        query = list(judged)[i % len(judged)]
        shown = [p.product_id for p in runs[int(rng.integers(2))][query]]
        client = SILENT if i % 10 == 9 else f"k1.{i % CLIENTS:022d}"
        query_id = f"simulated-clicks-{i}"
        about = {"client": client, "query_id": query_id, "session": f"k1.{i:022d}"}
        at = NOON + i * 1_000_000
        search = {"action_name": "search", "user_query": query, "object_ids": tuple(shown)}
        number += 1
        rows.append(event(number, at, **about, **search, object_id=None, position=None))
        for place, product in enumerate(shown):
            gain = (2 ** judged[query].get(product, 0) - 1) / 7
            if rng.random() < (0.05 + 0.95 * gain) / (place + 1):
                number += 1
                rows.append(event(number, at + 1, **about, object_id=product, position=place + 1))
    store = EventStore(layout)
    store.append(rows)
    store.close()


@pytest.fixture
def clicked_shop(shop_copy) -> Layout:
    layout = Layout.open(shop_copy)
    searched(layout)
    return layout


def allow(layout: Layout) -> None:
    people = [f"k1.{i:022d}" for i in range(CLIENTS)]
    ledger = ConsentLedger(layout)
    for person in people:
        ledger.record([person], [Purpose.MODEL_TRAINING], "granted", source="test")


def test_judgments_out_of_clicks_follow_the_model_that_foretells_best(clicked_shop):
    """These shoppers look at each place by itself, whatever they clicked: the position-based."""
    with open_workspace(clicked_shop.root) as shop:
        report = judge_by_clicks(shop, who="test")
        assert set(report.fits) == {"pbm", "cascade", "dcm"}
        assert report.model == "pbm"
        assert report.fits["pbm"].perplexity < report.fits["cascade"].perplexity
        named = judge_by_clicks(shop, model="dcm", who="test")
        assert named.to_json()["click_model"] == "dcm"
        (about, *_) = named.judgments.provenance.values()
        assert about.judge.startswith("dependent click model")
        with pytest.raises(InvalidInput, match="no click model"):
            judge_by_clicks(shop, model="magic", who="test")


def test_a_ranker_out_of_stored_clicks_waits_for_approval(clicked_shop):
    with pytest.raises(InvalidInput, match="may be read for model_training"):
        train_from_clicks(clicked_shop)
    allow(clicked_shop)
    was = clicked_shop.models.live()
    report = train_from_clicks(clicked_shop, kind="linear", folds=3, who="test")
    assert clicked_shop.models.live() == was
    assert report.log.lists == 1_350  # not those of somebody who allowed nothing
    assert report.log.simulated
    assert report.measured_on == "simulated"
    assert "simulated" in " ".join(report.evaluation.warnings)
    examination = report.propensities.examination
    assert examination[0] == 1
    assert 0.2 < examination[1] < 0.8
    document = json.loads(json.dumps(report.to_json()))
    assert document["learned_from"] == "clicks"
    assert document["cross_validated"]["systems"]["ltr"]["nDCG@10"]["mean"] > 0.5
    last = list(AuditLog(clicked_shop).entries())[-1]
    assert (last.action, last.details["purpose"]) == ("events.read", "model_training")

    refused = promote(clicked_shop, "models", report.generation, who="test", why="clicks")
    gates = {g.name: g.passed for g in refused.gates}
    assert gates["privacy"] is False
    assert refused.stage == "candidate"
    others = [g for g in gates if g != "privacy"]
    decision = promote(
        clicked_shop,
        "models",
        report.generation,
        who="test",
        why="clicks",
        override=others,
        approved_by="the privacy office",
    )
    assert decision.stage == "live"
    page = card(clicked_shop, "models", report.generation).markdown()
    assert "clicks in 1,350 searches" in page
    with open_workspace(clicked_shop.root) as shop:
        query = shop.judgment_list().queries[0]
        assert shop.search(query).ranker == "ltr"


def test_without_judgments_it_is_measured_on_other_queries_clicks(clicked_shop):
    allow(clicked_shop)
    for file in clicked_shop.judgments.glob("*.parquet"):
        file.unlink()
    report = train_from_clicks(clicked_shop, kind="linear", method="pairwise", folds=3)
    assert report.manifest.model == "lambdamart"
    assert report.measured_on == "clicks"
    assert "not on judgments of people" in " ".join(report.evaluation.warnings)
    with open_workspace(clicked_shop.root) as shop:
        assert len(shop.judgment_list()) == 0  # a program's list never passes for people's
        listed = shop.judgment_list("clicks")
        assert listed.source == "clicks"
        assert {p.source for p in listed.provenance.values()} == {"clicks"}


def test_no_events_is_an_error(shop_copy):
    with pytest.raises(NotFound, match="no events"):
        train_from_clicks(Layout.open(shop_copy))


def test_the_study_tells_biased_from_unbiased(simulated_shop, tmp_path):
    with Workspace(Layout.open(simulated_shop), ranked=False) as shop:
        study = study_unbiased(
            shop,
            sessions=(20_000,),
            methods=("ips",),
            seeds=1,
            folds=2,
            behaviour=ClickBehaviour(shown=10, severity=1.5),
        )
    naive, ips, full = (study.point(*key) for key in (
        ("naive", 20_000), ("ips", 20_000), (FULL, None)
    ))  # fmt: skip
    assert min(full.mean, ips.mean) > naive.mean + 0.03
    assert ips.p < 0.05
    assert ips.recovered == pytest.approx((ips.mean - naive.mean) / (full.mean - naive.mean))
    document = study.to_json()
    assert document["simulated"] is True
    assert set(document["propensities"]) == {"true", "harvest", "swaps", "em", "regression-em"}
    write_study(study, tmp_path / "study.html")
    page = (tmp_path / "study.html").read_text()
    assert "Simulated clicks on real judgments" in page
    assert "<svg" in page
    with pytest.raises(InvalidInput, match=r"\.html or \.md"):
        write_study(study, tmp_path / "study.pdf")
