"""The loop through a real search: what insight finds in a log is mended, tried and made live."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tandem.contracts.registry import Artefact
from tandem.flows.artefacts import artefacts, roll_back_artefact
from tandem.flows.loop import Loop
from tandem.flows.shop_loop import BrokenShop, run_shop_loop
from tandem.simulate.market import FIXES

SHOPPERS = 20_000


def held(shop: BrokenShop, walked: Loop) -> Artefact:
    """What the registry holds of a walked fix."""
    assert walked.registry is not None
    found = {a.generation: a for a in artefacts(shop.layout, ["rules"])}
    return found[walked.registry["generation"]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokenShop]:
    with BrokenShop(tmp_path_factory.mktemp("loop") / "shop") as shop:
        yield shop


def test_the_finding_is_the_break_that_was_planted(shop: BrokenShop):
    (broken,) = shop.truth.broken
    assert shop.finding.cause == "vocabulary_gap"
    assert shop.finding.fix.payload["phrase"] == broken.words[0]
    assert not any(shop.before[t] for t in shop.asked if broken.words[0] in t.split())


def test_the_truth_of_each_fix_is_known(shop: BrokenShop):
    truth = {}
    for fix in FIXES:
        search = shop.searches(shop.candidate(fix), list(shop.asked))
        truth[fix] = search.truth
        assert (search.old != search.new).any(), "every fix changes what is shown"
    assert truth["helpful"] > 0
    assert truth["null"] == 0
    assert truth["harmful"] < 0


@pytest.mark.parametrize("fix", ["null", "harmful"])
def test_neither_what_does_nothing_nor_what_harms_goes_live(shop: BrokenShop, fix):
    before = shop.layout.index.live()
    walked = run_shop_loop(shop, fix, shoppers=SHOPPERS)
    assert not walked.promoted
    assert walked.right
    assert shop.layout.index.live() == before
    assert not shop.layout.synonyms_file.exists()
    assert not shop.layout.rules_file.exists()
    if fix == "harmful":
        assert walked.analysis is None, "harm is stopped before a shopper sees it"
    assert walked.steps[-1].name == "registry"
    assert walked.steps[-1].outcome == "stopped"
    refused = held(shop, walked)
    assert refused.stage == "candidate"
    assert refused.decisions[-1].why.startswith("refused by ")
    gates = {g.name: g.passed for g in refused.decisions[-1].gates}
    assert gates["experiment"] is (None if fix == "harmful" else False)
    assert shop.layout.rules.live() != refused.generation


def test_what_helps_goes_live_and_is_answered(shop: BrokenShop):
    before = shop.layout.index.live()
    walked = run_shop_loop(shop, "helpful", shoppers=SHOPPERS)
    assert walked.promoted
    assert walked.right
    assert [s.name for s in walked.steps] == [
        "finding",
        "offline",
        "off-policy",
        "interleaving",
        "A/B test",
        "registry",
        "live",
    ]
    shipped = held(shop, walked)
    assert shipped.stage == "live"
    assert shipped.lineage["finding"] == shop.finding.id
    assert shipped.lineage["parent"] == shipped.decisions[-1].instead_of
    assert all(g.passed for g in shipped.decisions[-1].gates)
    assert walked.analysis is not None
    assert walked.analysis.name.startswith("A fix in the shop: ")
    assert walked.analysis.effects["orders"].control == 0, "the old search showed nothing"
    assert shop.layout.index.live() != before
    had, has = walked.steps[-1].figures["answered"]
    assert had == 0 < has


def test_one_command_takes_the_fix_back(shop: BrokenShop):
    """A refused candidate is no way back: the search gets the rules that it had before."""
    taken = roll_back_artefact(shop.layout, "rules", None, who="tester", why="a drill")
    assert not shop.layout.synonyms_file.exists()
    lived = [a for a in artefacts(shop.layout, ["rules"]) if a.generation == taken.generation]
    assert lived[0].stage == "live"
    assert lived[0].lineage["files"] == []
