"""From candidate to live and back on record; from a served result to its cause."""

from __future__ import annotations

import json
import shutil

import pytest

import tandem
from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.flows.artefacts import artefact_of, artefacts, roll_back_artefact
from tandem.flows.generations import publishing
from tandem.flows.registry import card, promote
from tandem.flows.tracing import trace
from tandem.flows.train import train_ranker
from tandem.storage.layout import Layout
from tandem.storage.seal import seal


@pytest.fixture(scope="module")
def layout(simulated_shop, tmp_path_factory) -> Layout:
    """The simulated shop with a second model, the same again, that waits as a candidate."""
    root = shutil.copytree(simulated_shop, tmp_path_factory.mktemp("registry") / "shop")
    layout = Layout.open(root)
    with publishing(layout, "models", live=False, who="tester", what="trained") as (_, folder):
        shutil.copytree(layout.models.live_path(), folder, dirs_exist_ok=True)
    return layout


def test_a_candidate_waits_is_promoted_traced_and_rolled_back(layout):
    candidate, live = artefacts(layout, ("models",))
    assert (candidate.stage, live.stage) == ("candidate", "live")
    assert candidate.lineage["data_fingerprint"] == live.lineage["data_fingerprint"]

    # Trained on the same data by the same code: quality and exposure are equal, times may not be.
    decision = promote(
        layout, "models", candidate.generation, who="tester", why="a drill", override=("latency",)
    )
    assert decision.stage == "live"
    assert decision.instead_of == live.generation
    assert {g.name: g.passed for g in decision.gates if g.name != "latency"} == {
        "quality": True,
        "exposure": True,
        "privacy": True,
    }
    assert layout.models.live() == candidate.generation
    with pytest.raises(Conflict):
        promote(layout, "models", candidate.generation, who="tester", why="again")

    with tandem.open(layout.root) as shop:
        response = shop.search("shoes", k=3)
        shop.record(response)
    found = trace(layout, response.query_id)
    assert found.served.products == tuple(h.product.id for h in response.hits)
    assert found.served.simulated
    assert found.rules_unchanged
    assert found.index is not None
    assert found.index["generation"] == response.index_generation
    assert found.model is not None
    assert found.model.generation == candidate.generation
    assert found.model.decisions[-1] == decision

    back = roll_back_artefact(layout, "models", None, who="tester", why="clicks fell")
    assert layout.models.live() == live.generation == back.generation
    assert artefact_of(layout, "models", candidate.generation).stage == "retired"
    page = card(layout, "models", candidate.generation)
    assert "Simulated data" in page.markdown()
    mean = candidate.lineage["metrics"]["nDCG@10"]["mean"]
    assert f"had never seen it reaches nDCG@10 {mean:.3f}, between" in page.markdown()
    assert "a drill" in page.html()


def test_a_worse_candidate_stays_one_and_the_refusal_is_on_record(layout):
    live = layout.models.live()
    worse = train_ranker(layout, kind="linear", folds=2, live=False, who="tester").generation
    record = layout.models.path(worse) / "evaluation.json"
    values = json.loads(record.read_text())
    for by_system in values["per_query"]["nDCG@10"].values():
        by_system["ltr"] = max(0.0, (by_system["ltr"] or 0.0) - 0.2)
    record.write_text(json.dumps(values))
    seal(record.parent)
    decision = promote(layout, "models", worse, who="tester", why="simpler", override=("latency",))
    assert decision.stage == "candidate"
    assert "refused by" in decision.why
    assert "quality" in decision.why
    assert layout.models.live() == live
    assert artefact_of(layout, "models", worse).stage == "candidate"
    with pytest.raises(InvalidInput, match="no gate"):
        promote(layout, "models", worse, who="tester", why="x", override=("speed",))


def test_what_was_not_served_is_not_traced(layout):
    with pytest.raises(NotFound):
        trace(layout, "0" * 32)
    with pytest.raises(NotFound):
        artefact_of(layout, "models", "g000099-20260101T000000")
