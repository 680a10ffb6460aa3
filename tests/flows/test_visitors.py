"""Visitors: what they did moves the next answer; without consent nothing is kept."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tandem.contracts.consent import Purpose
from tandem.contracts.recommend import Kind, RecommendRequest, Visit
from tandem.flows.import_ import create_workspace, import_simulated
from tandem.flows.index import build_index
from tandem.flows.visitors import Visitors
from tandem.flows.workspace import open_workspace
from tandem.governance.audit import AuditLog
from tandem.governance.consent import ConsentLedger
from tandem.governance.pseudonyms import Pseudonyms, open_ring, rotate
from tandem.storage.layout import Layout

ANNA = "a-client-that-is-anna"


@pytest.fixture(scope="module", autouse=True)
def keys(tmp_path_factory: pytest.TempPathFactory):
    """Key rings lie outside the workspace."""
    before = os.environ.get("TANDEM_PSEUDONYM_KEYS")
    os.environ["TANDEM_PSEUDONYM_KEYS"] = str(tmp_path_factory.mktemp("keys"))
    yield
    os.environ.pop("TANDEM_PSEUDONYM_KEYS")
    if before is not None:
        os.environ["TANDEM_PSEUDONYM_KEYS"] = before


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return create_workspace(tmp_path / "ws", encoder=None, simulated=True)


@pytest.fixture
def visitors(layout: Layout):
    made = Visitors(layout)
    yield made
    made.close()


def saw(*ids: str) -> list[Visit]:
    return [Visit(product_id=i) for i in ids]


def test_without_consent_nothing_is_kept_and_no_file_is_made(layout, visitors):
    assert visitors.visit(ANNA, saw("1")) == 0
    assert not visitors.known(ANNA).consent
    visitors.decide(ANNA, False)
    visitors.forget(ANNA)
    assert not layout.visitors.exists()
    assert not layout.consent.exists()
    asked = RecommendRequest(kind=Kind.FEED, recent=("1",))
    assert visitors.into(asked, ANNA).recent == ()


def test_with_consent_the_newest_products_are_known(visitors):
    visitors.decide(ANNA, True)
    assert visitors.visit(ANNA, saw("1", "2", "1")) == 3
    visitors.visit(ANNA, [Visit(product_id="9", action="not_interested")])
    known = visitors.known(ANNA)
    assert known.recent == ("2", "1")
    assert known.hidden == ("9",)
    asked = visitors.into(RecommendRequest(kind=Kind.FEED, recent=("2", "3")), ANNA)
    assert asked.recent == ("1", "2", "3")
    assert asked.hidden == ("9",)
    assert visitors.known("somebody else").recent == ()


def test_nobody_can_be_told_from_what_is_stored(layout, visitors):
    visitors.decide(ANNA, True)
    visitors.visit(ANNA, saw("1"))
    stored = b"".join(p.read_bytes() for p in layout.root.rglob("*") if p.is_file())
    assert ANNA.encode() not in stored


def test_a_decision_is_in_the_audit_log_and_names_nobody(layout, visitors):
    visitors.decide(ANNA, True)
    visitors.decide(ANNA, False)
    audit = AuditLog(layout)
    decisions = [e for e in audit.entries() if e.action.startswith("consent.")]
    assert [(e.actor, e.action) for e in decisions] == [
        ("shopper", "consent.grant"),
        ("shopper", "consent.withdraw"),
    ]
    assert ANNA not in audit.path.read_text()


def test_withdrawing_erases_at_once(layout, visitors):
    visitors.decide(ANNA, True)
    visitors.visit(ANNA, saw("a-very-telling-product"))
    visitors.decide(ANNA, False)
    assert visitors.known(ANNA).recent == ()
    assert visitors.visit(ANNA, saw("1")) == 0
    kept = b"".join(p.read_bytes() for p in layout.visitors.iterdir())
    assert b"a-very-telling-product" not in kept
    pseudonym = Pseudonyms(open_ring(layout)).of("client", ANNA)
    words = [r.decision for r in ConsentLedger(layout).history([pseudonym])]
    assert words == ["granted", "withdrawn"]


def test_a_reset_keeps_the_decision(visitors):
    visitors.decide(ANNA, True)
    visitors.visit(ANNA, saw("1"))
    visitors.forget(ANNA)
    assert visitors.known(ANNA).consent
    assert visitors.known(ANNA).recent == ()
    assert visitors.visit(ANNA, saw("2")) == 1


def test_a_decision_made_elsewhere_counts_within_two_seconds(layout, visitors):
    visitors.decide(ANNA, True)
    visitors.visit(ANNA, saw("1"))
    pseudonym = Pseudonyms(open_ring(layout)).of("client", ANNA)
    ledger = ConsentLedger(layout)
    ledger.record([pseudonym], [Purpose.PERSONALISATION], "withdrawn", source="desk")
    time.sleep(1.1)
    assert not visitors.known(ANNA).consent
    ledger.record([pseudonym], [Purpose.PERSONALISATION], "granted", source="desk")
    ledger.set_age([pseudonym], minor=True, source="desk")
    time.sleep(1.1)
    assert not visitors.known(ANNA).consent


def test_state_outlives_the_process_and_a_rotation_of_keys(layout, visitors):
    visitors.decide(ANNA, True)
    visitors.visit(ANNA, saw("1"))
    rotate(layout)
    again = Visitors(layout)
    assert again.known(ANNA).recent == ("1",)
    again.visit(ANNA, saw("2"))
    assert again.known(ANNA).recent == ("1", "2")
    again.forget(ANNA)
    assert again.known(ANNA).recent == ()
    again.close()


def test_the_next_answer_knows_the_event(layout):
    import_simulated(layout, 120)
    build_index(layout)
    with open_workspace(layout.root) as shop:
        asked = RecommendRequest(kind=Kind.FEED, size=10)
        before = shop.recommend(asked, ANNA)
        assert not before.personal
        shop.visitors.decide(ANNA, True)
        shop.visitors.visit(ANNA, saw("SIM-0000005"))
        after = shop.recommend(asked, ANNA)
        assert after.personal
        led = [i for i in after.items if i.from_product == "SIM-0000005"]
        assert led
        assert all("Similar to" in i.because for i in led)
        gone = led[0].product.id
        shop.visitors.visit(ANNA, [Visit(product_id=gone, action="not_interested")])
        assert gone not in {i.product.id for i in shop.recommend(asked, ANNA).items}
        shop.visitors.decide(ANNA, False)
        last = shop.recommend(asked, ANNA)
        assert [i.product.id for i in last.items] == [i.product.id for i in before.items]


def test_stored_events_are_followed_where_allowed(layout):
    import_simulated(layout, 60)
    build_index(layout)

    def event(number: int, client: str) -> dict[str, object]:
        return {
            "kind": "event",
            "event_id": f"e{number}",
            "timestamp": datetime.now(UTC).isoformat(),
            "client_id": client,
            "action_name": "click",
            "object_id": f"SIM-{number:07d}",
        }

    with open_workspace(layout.root) as shop:
        shop.visitors.decide(ANNA, True)
        sent = [event(1, ANNA), event(2, "somebody else"), event(3, ANNA), {"kind": "event"}]
        outcomes = shop.take_events(sent, None)
        assert [o.status for o in outcomes] == ["accepted"] * 3 + ["refused"]
        assert shop.visitors.known(ANNA).recent == ("SIM-0000001", "SIM-0000003")
        assert not shop.visitors.known("somebody else").consent
