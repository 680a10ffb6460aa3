"""Tuning of weights: what is better where nobody looked goes live and can be undone."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.contracts.configuration import SearchConfiguration
from tandem.contracts.errors import InvalidInput
from tandem.experiments.offline import evaluate
from tandem.flows import tune as module
from tandem.flows.generations import roll_back
from tandem.flows.tune import tune
from tandem.flows.workspace import Workspace, open_workspace
from tandem.registry.decisions import Decisions
from tandem.storage.configurations import FILE, publish_configuration
from tandem.storage.layout import Layout
from tandem.storage.seal import seal

pytest.importorskip("optuna")
# Weights that nobody would choose: tuning has something to find.
BAD = SearchConfiguration(field_boosts={"description": 1.0}, words=1.0, meaning=0.0)


def test_better_weights_go_live_serve_and_can_be_rolled_back(shop_copy):
    layout = Layout.open(shop_copy)
    with layout.writing():
        bad = publish_configuration(layout, BAD, {})
        layout.configurations.switch(bad)
    with open_workspace(shop_copy) as shop:
        judged = shop.judgment_list()
        before = evaluate([shop.hybrid], judged, ["nDCG@10"])["hybrid"].estimates["nDCG@10"].mean
        result = tune(shop, trials=25, folds=2)
        assert result.better
        assert result.held_out.mean > 0
        assert result.generation == layout.configurations.live()
        (decided,) = Decisions(layout.decisions).of(result.generation, "configurations")
        assert (decided.stage, decided.instead_of) == ("live", bad)
        after = evaluate([shop.hybrid], judged, ["nDCG@10"])["hybrid"].estimates["nDCG@10"].mean
        assert after > before + 0.02
        # The tuner's bench measures what the shop serves.
        held = result.held_out
        assert held.after == pytest.approx(held.before + held.mean)
        assert len(shop.view.learned_from("hybrid")) > 0
        assert shop.status()["configuration_generation"] == result.generation
        roll_back(layout, "configurations")
        assert shop.refresh()
        assert shop.view.configuration == BAD


def test_the_bench_measures_what_the_shop_serves(simulated_shop):
    with Workspace(Layout.open(simulated_shop), ranked=False) as shop:
        judged = shop.judgment_list()
        queries = [q for q, r in judged.by_query.items() if max(r.values()) > 0]
        measure = module.parse_measures(["nDCG@10"])[0]
        bench = module._Bench(shop, judged, queries, measure, None)
        served = evaluate([shop.hybrid], judged, ["nDCG@10"])
        np.testing.assert_allclose(
            bench.values(shop.view.configuration), served["hybrid"].values[:, 0]
        )


def test_what_is_not_better_on_the_queries_kept_back_changes_nothing(shop_copy, monkeypatch):
    layout = Layout.open(shop_copy)
    monkeypatch.setattr(module, "_search", lambda *_: BAD)
    with Workspace(layout, ranked=False) as shop:
        result = tune(shop, trials=1, folds=2)
    assert not result.better
    assert result.generation is None
    assert "nothing changes" in result.verdict
    assert layout.configurations.names() == ()


def test_a_dry_run_and_too_few_judgments_change_nothing(shop_copy, monkeypatch):
    layout = Layout.open(shop_copy)
    with Workspace(layout, ranked=False) as shop:
        monkeypatch.setattr(module, "FEWEST", 1_000)
        with pytest.raises(InvalidInput, match="judged queries"):
            tune(shop)
        monkeypatch.undo()
        tune(shop, trials=2, folds=2, dry=True)
    assert layout.configurations.names() == ()


def test_a_configuration_that_cannot_be_read_says_how_to_go_on(shop_copy):
    layout = Layout.open(shop_copy)
    with layout.writing():
        name = publish_configuration(layout, BAD, {})
        layout.configurations.switch(name)
    (layout.configurations.path(name) / FILE).write_text('{"words": -1}')
    seal(layout.configurations.path(name))
    with pytest.raises(InvalidInput, match="not a search configuration"):
        open_workspace(shop_copy)
