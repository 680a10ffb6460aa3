"""Fixes in the registry: proposed, asked by the gates, promoted or refused. All data is made up."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from tandem.cli.main import app
from tandem.contracts.errors import Conflict, InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.flows.artefacts import artefacts, register_rules
from tandem.flows.fixes import Fix, Trial, promote_fix, propose
from tandem.flows.insights import report_insights, simulate_shop
from tandem.ranking.business import Rule, RuleKind
from tandem.registry.decisions import Decisions
from tandem.storage.atomic import write_json_atomic
from tandem.storage.layout import Layout

WHO = {"who": "mia", "why": "a drill"}
PIN = Fix("Pin", rules=(Rule(id="pin-1", kind=RuleKind.PIN, query="x", products=("P1",)),))
NOTHING = JudgmentList({}, "nothing")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """A small shop of simulated products and shoppers whose search lacks a word."""
    root = tmp_path_factory.mktemp("fixes") / "shop"
    simulate_shop(root, 8_000, seed=5, broken=("vocabulary_gap",), products=1_000)
    return root


@pytest.fixture
def layout(made, tmp_path):
    return Layout.open(shutil.copytree(made, tmp_path / "shop"))


def run(*arguments: object) -> tuple[int, dict]:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    if not done.stdout and done.exception is not None:
        raise done.exception
    return done.exit_code, json.loads(done.stdout)


def test_a_finding_becomes_a_candidate_and_goes_live_by_the_gates(layout):
    finding = next(f for f in report_insights(layout).found.findings if f.fix.kind == "synonym")
    at = ("-w", layout.root)
    code, made = run("insights", "propose", finding.id, "--why", "it costs most", *at)
    assert (code, made["stage"]) == (0, "candidate")
    assert not layout.synonyms_file.exists(), "nothing goes live"

    code, refused = run("insights", "promote", made["generation"], "--why", "now", *at)
    assert code == 1
    assert refused["stage"] == "candidate"
    assert {n for n, g in refused["gates"].items() if g["passed"] is not True} == {
        "privacy",
        "experiment",
    }
    assert refused["why"] == "refused by privacy, experiment; asked for because: now"

    kept = {"analysed": "2026-03-01", "name": "New word", "says": "Ship it."}
    kept["decision"] = {"verdict": "ship", "because": "orders got better"}
    write_json_atomic(layout.reports / "experiments" / "new-word.json", kept)
    asked = ("insights", "promote", made["generation"], "--why", "now", "--approved-by", "ida")
    code, live = run(*asked, "--test", "New word", *at)
    assert (code, live["stage"]) == (0, "live")
    phrase = finding.fix.payload["phrase"]
    assert phrase in layout.synonyms_file.read_text()
    (held,) = [a for a in artefacts(layout, ["rules"]) if a.stage == "live"]
    assert held.generation == made["generation"]
    assert held.lineage["finding"] == finding.id
    assert [d.stage for d in held.decisions] == ["candidate", "candidate", "live"]


def test_what_was_refused_is_no_way_back(layout):
    first = propose(layout, PIN, **WHO)
    decision = promote_fix(layout, first, NOTHING, Trial(None, "none"), **WHO)
    assert decision.stage == "candidate"
    names = layout.rules.names()
    layout.rules_file.write_text('{"rules": []}')
    register_rules(layout, who="mia", why="edited")
    assert run("rollback", "rules", "--why", "a drill", "-w", layout.root)[0] == 0
    assert layout.rules.live() == names[0] != first


def test_a_fix_is_promoted_beside_the_rules_it_was_proposed_for(layout):
    generation = propose(layout, PIN, **WHO)
    layout.rules_file.write_text('{"rules": []}')
    with pytest.raises(Conflict, match="changed since"):
        promote_fix(layout, generation, NOTHING, Trial("ship", "good"), **WHO)
    assert layout.rules.live() != generation
    assert not any(d.stage == "live" for d in Decisions(layout.decisions).of(generation, "rules"))


def test_an_index_that_cannot_be_built_puts_the_rules_back(layout, monkeypatch):
    def broken(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("tandem.flows.fixes.build_index", broken)
    generation = propose(layout, Fix("a word", [(["laptop"], ["laptop", "portable"])]), **WHO)
    every = ("quality", "latency", "exposure", "privacy", "experiment")
    with pytest.raises(OSError, match="space"):
        promote_fix(layout, generation, NOTHING, Trial(None, ""), override=every, **WHO)
    assert layout.rules.live() != generation
    assert not layout.synonyms_file.exists()


def test_what_is_no_proposal_is_refused(layout):
    register_rules(layout, who="mia", why="none yet", also_none=True)
    with pytest.raises(InvalidInput, match="no proposal"):
        promote_fix(layout, layout.rules.live(), NOTHING, Trial("ship", "good"), **WHO)
    with pytest.raises(InvalidInput, match="no gate"):
        promote_fix(layout, "g1", NOTHING, Trial(None, ""), override=("luck",), **WHO)
    propose(layout, PIN, **WHO)
    layout.rules_file.write_text(
        json.dumps({"rules": [{"id": "pin-1", "kind": "pin", "products": ["P2"]}]})
    )
    with pytest.raises(Conflict, match="already"):
        propose(layout, PIN, **WHO)
