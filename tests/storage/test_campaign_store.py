"""Campaigns on disk: edits do not bring back whom an erasure took out."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from tandem.contracts.campaign import Campaign, NewCampaign, Outlook, PlannedPiece
from tandem.contracts.errors import NotFound
from tandem.contracts.matching import Estimate, Expectation
from tandem.contracts.product import Money
from tandem.storage.campaigns import CampaignStore
from tandem.storage.layout import Layout, Settings

SOME = Estimate(expected=2.0, low=1.0, high=4.0)


def campaign() -> Campaign:
    piece = PlannedPiece(
        creator_id="mia",
        product_id="A-1",
        one_piece=Expectation(clicks=SOME, orders=SOME, gmv=SOME, currency="EUR"),
        cost=Money(amount="4.50", currency="EUR"),
        exploring=False,
        reasons=(),
    )
    asked = NewCampaign.model_validate(
        {
            "merchant_id": "Acme",
            "name": "Spring",
            "budget": {"amount": "90", "currency": "EUR"},
            "starts": "2026-04-01",
            "ends": "2026-04-30",
            "product_ids": ["A-1"],
        }
    )
    return Campaign(
        id="c1",
        asked=asked,
        created=datetime(2026, 3, 1, tzinfo=UTC),
        pieces=(piece, piece.model_copy(update={"creator_id": "eve"})),
        outlook=Outlook(clicks=SOME, orders=SOME, gmv=SOME),
        cost=piece.cost,
        gap=0.0,
        exploration_cost=0.0,
        matcher_generation="g1",
        simulated=False,
    )


def test_an_edit_waits_for_an_erasure_and_the_other_way_round(tmp_path):
    store = CampaignStore(Layout.create(tmp_path / "shop", Settings()))
    store.put(campaign())
    began, gone = threading.Event(), threading.Event()

    def erase() -> None:
        began.wait(5)
        store.forget({"mia"})
        gone.set()

    eraser = threading.Thread(target=erase)
    eraser.start()

    def edit(c: Campaign) -> Campaign:
        began.set()
        # The erasure may not get in between reading and writing.
        assert not gone.wait(0.2)
        return c.model_copy(update={"trial_cost": 7.0})

    store.change("c1", edit)
    eraser.join(5)
    kept = store.get("c1")
    assert kept.trial_cost == 7.0
    assert [p.creator_id for p in kept.pieces] == ["eve"]
    with pytest.raises(NotFound):
        store.change("c2", lambda c: c)


def test_what_is_removed_while_others_are_read_is_left_out(tmp_path):
    store = CampaignStore(Layout.create(tmp_path / "shop", Settings()))
    for id_ in ("c1", "c2", "c3"):
        store.put(campaign().model_copy(update={"id": id_}))
    reading = store._each()
    assert next(reading).id == "c1"
    store.remove("c2")
    assert [c.id for c in reading] == ["c3"]
    with pytest.raises(NotFound):
        store.get("c2")
