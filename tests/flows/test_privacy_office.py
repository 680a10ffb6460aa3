"""The privacy office on a workspace: what is kept, one person's say, and their erasure."""

from __future__ import annotations

import pytest

from event_tables import event_table, pseudonym, stored_rows
from tandem.contracts.consent import Purpose
from tandem.flows.import_ import create_workspace
from tandem.flows.privacy import PrivacyDesk
from tandem.governance.release import Releases
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout

ANNA = pseudonym("anna")


@pytest.fixture
def layout(tmp_path) -> Layout:
    layout = create_workspace(tmp_path / "shop", encoder=None, simulated=True)
    store = EventStore(layout)
    rows = [{"client": ANNA, "user_query": "tea"}, {"client": pseudonym("ben")}]
    store.append(stored_rows(rows))
    store.close()
    return layout


def test_the_overview_names_all_that_is_kept(layout):
    office = PrivacyDesk(layout).overview()
    assert {"events", "consent", "audit"} <= {c.name for c in office.stored}
    assert {p.purpose for p in office.purposes} == {str(p) for p in Purpose}
    assert office.simulated
    assert office.audit.ok
    assert office.requests == ()
    assert office.budgets == ()
    events = next(c for c in office.stored if c.name == "events")
    assert "user_query" in {f.name for f in events.fields if f.categories}
    assert PrivacyDesk(layout).data_map()["dataset"][0]["collections"]


def test_what_left_the_house_is_told_by_tenant(layout):
    table = event_table([{"client": f"c{n}", "user_query": "tea"} for n in range(60)])
    releases = Releases(layout)
    for period in ("2026-01", "2026-02"):
        releases.release("r", "Acme", period, table, ["user_query"])
    releases.release("r", "Globex", "2026-01", table, ["user_query"], epsilon=1.0)
    told = {b.tenant: (b.reports, b.spent, b.total) for b in PrivacyDesk(layout).overview().budgets}
    assert told == {"Acme": (2, 0.0, 4.0), "Globex": (1, 1.0, 4.0)}


def test_a_wrong_event_is_corrected_under_the_officers_name(layout):
    desk = PrivacyDesk(layout)
    (event,) = desk.export(ANNA, "client", "key:officer")["events"]
    desk.correct(ANNA, "client", event["event_key"], {"language": "de"}, "wrong", "key:officer")
    (after,) = desk.export(ANNA, "client", "key:officer")["events"]
    assert after == {**event, "language": "de"}
    (entry,) = [e for e in desk.overview().audit.last if e.action == "rights.correct"]
    assert entry.actor == "key:officer"


def test_a_person_decides_and_it_is_on_record_with_who_recorded_it(layout):
    desk = PrivacyDesk(layout)
    assert not desk.person(ANNA, "client", "key:officer").allowed["personalisation"]
    after = desk.decide(ANNA, "client", Purpose.PERSONALISATION, "granted", "key:officer")
    assert after.allowed["personalisation"]
    assert after.decisions == 1
    last = desk.overview().audit.last
    assert {"consent.grant", "consent.show"} <= {e.action for e in last}
    assert {e.actor for e in last if e.action.startswith("consent")} == {"key:officer"}


def test_a_copy_then_an_erasure_with_its_certificate(layout):
    desk = PrivacyDesk(layout)
    assert len(desk.export(ANNA, "client", "key:officer")["events"]) == 1
    done = desk.erase(ANNA, "client", "key:officer")
    assert done.state == "finished"
    assert done.finished is not None
    assert desk.certificate(done.id)
    assert desk.export(ANNA, "client", "key:officer")["events"] == []
    assert [r.id for r in desk.overview().requests] == [done.id]
    erased = [e for e in desk.overview().audit.last if e.action == "rights.erase"]
    assert erased[0].actor == "key:officer"
