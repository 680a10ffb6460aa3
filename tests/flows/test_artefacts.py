"""Artefacts of every kind: listed with their lineage, rules kept by change, each rolled back."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from tandem.contracts.errors import Conflict, NotFound
from tandem.flows import artefacts as flow
from tandem.flows.artefacts import artefacts, register_rules, restore_rules, roll_back_artefact
from tandem.registry.decisions import Decisions
from tandem.storage.layout import Layout

WHO = {"who": "tester", "why": "a drill"}


@pytest.fixture
def layout(shop_copy) -> Layout:
    return Layout.open(shop_copy)


def test_every_kind_is_listed_with_what_it_was_made_of(layout):
    found = {a.kind: a for a in artefacts(layout)}
    assert {"models", "index", "catalog"} <= set(found)
    assert all(a.stage == "live" for a in found.values())
    assert found["index"].lineage["catalog_fingerprint"]
    assert found["models"].lineage["data_fingerprint"]
    with pytest.raises(NotFound, match="no older generation"):
        roll_back_artefact(layout, "index", None, **WHO)


def test_rules_are_kept_by_change_and_come_back(layout):
    assert register_rules(layout, **WHO) is None, "there are none yet"
    first = {"rules": [{"id": "up", "kind": "boost", "products": ["P1"], "weight": 2.0}]}
    layout.rules_file.write_text(json.dumps(first))
    one = register_rules(layout, **WHO)
    assert one is not None
    assert register_rules(layout, **WHO) is None
    layout.rules_file.write_text(json.dumps({"rules": []}))
    layout.synonyms_file.write_text("tv, television\n")

    # What was edited since is kept before it goes.
    decision = roll_back_artefact(layout, "rules", one, **WHO)
    assert decision.kind == "rules"
    assert json.loads(layout.rules_file.read_text()) == first
    assert not layout.synonyms_file.exists()
    kept = artefacts(layout, ("rules",))
    assert [a.stage for a in kept] == ["retired", "live"]
    assert kept[0].lineage["parent"] == one
    roll_back_artefact(layout, "rules", kept[0].generation, **WHO)
    assert layout.synonyms_file.read_text() == "tv, television\n"
    assert [d.kind for d in Decisions(layout.decisions).all()][-1] == "rules"


def test_a_server_that_looks_amid_a_roll_back_keeps_nothing_that_went(layout, monkeypatch):
    layout.rules_file.write_text(json.dumps({"rules": []}))
    one = register_rules(layout, **WHO)
    layout.synonyms_file.write_text("tv, television\n")
    register_rules(layout, **WHO)
    looked = []

    def restored(*args):
        with pytest.raises(Conflict):
            register_rules(layout, who="server", why="edited while serving")
        looked.append(True)
        restore_rules(*args)

    monkeypatch.setattr(flow, "restore_rules", restored)
    roll_back_artefact(layout, "rules", one, **WHO)
    assert looked
    assert register_rules(layout, who="server", why="edited while serving") is None
    assert layout.rules.live() == one


def test_of_two_servers_that_see_an_edit_one_keeps_it(layout, monkeypatch):
    layout.synonyms_file.write_text("tv, television\n")
    writing = Layout.writing

    @contextmanager
    def late(self):
        monkeypatch.setattr(Layout, "writing", writing)
        assert register_rules(layout, who="another server", why="edited") is not None
        with writing(self):
            yield

    monkeypatch.setattr(Layout, "writing", late)
    assert register_rules(layout, who="server", why="edited") is None
    assert len(layout.rules.names()) == 1
