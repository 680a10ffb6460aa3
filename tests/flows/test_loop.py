"""The whole loop: the fix that helps ships; the one that does nothing or harms does not."""

from __future__ import annotations

import pytest

from tandem.flows.loop import run_loop
from tandem.simulate.market import FIXES, KINDS, FaultySearch


def test_the_truth_is_planted():
    changes = {fix: FaultySearch.make(fix).truth for fix in FIXES}
    assert changes["helpful"] > 0.02
    assert changes["null"] == 0
    null = FaultySearch.make("null")
    assert (null.old != null.new).any()
    assert changes["harmful"] < -0.02


@pytest.mark.parametrize("fix", FIXES)
def test_the_decision_matches_the_truth(fix):
    found = run_loop(fix, shoppers=30_000)
    assert found.right
    assert found.steps[0].name == "finding"
    assert KINDS[2] in found.steps[0].because
    assert found.to_json()["decision"] == ("promoted" if fix == "helpful" else "refused")
    if fix == "harmful":
        assert found.steps[-1].outcome == "stopped"
        assert found.analysis is None, "harm is stopped before a shopper sees it"
    else:
        assert [s.name for s in found.steps][1:] == [
            "offline",
            "off-policy",
            "interleaving",
            "A/B test",
        ]
