"""Consent: what the ledger keeps, and what a reader gets to see because of it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from event_tables import event_table, pseudonym
from tandem.contracts.consent import ALLOWED_BASES, MINORS_MAY, Basis, Purpose
from tandem.contracts.errors import InvalidInput
from tandem.governance.audit import AuditLog
from tandem.governance.consent import ConsentLedger, Permissions, current_state
from tandem.governance.reading import EventReader
from tandem.governance.special import special_category
from tandem.storage.layout import Layout, Settings

ANNA, BEN, CARA, PHONE = map(pseudonym, ("anna", "ben", "cara", "anna's phone"))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "shop", Settings())


@pytest.fixture
def ledger(layout) -> ConsentLedger:
    return ConsentLedger(layout)


def read(layout: Layout, purpose: Purpose, rows):
    return EventReader(layout, purpose, actor="os:test").release(event_table(rows))


def clients(released) -> list[str]:
    return released.table["client"].to_pylist()


EVERYBODY = [{"client": c, "user_query": "lamp", "query_id": c[-4:]} for c in (ANNA, BEN, CARA)]


def test_nothing_is_read_without_a_purpose(layout):
    with pytest.raises(TypeError):
        EventReader(layout, actor="os:test")  # type: ignore[call-arg]
    for nonsense in ("analytics", None, "any", 1):
        with pytest.raises(InvalidInput, match="purpose"):
            EventReader(layout, nonsense, actor="os:test")  # type: ignore[arg-type]


def test_making_a_reader_is_on_the_record(layout):
    EventReader(layout, Purpose.ANALYTICS, actor="key:a1")
    (entry,) = AuditLog(layout).entries()
    assert (entry.actor, entry.action) == ("key:a1", "events.read")
    assert entry.details == {"purpose": "analytics", "basis": "legitimate_interests"}


@pytest.mark.parametrize("purpose", Purpose)
def test_who_said_nothing_is_read_only_where_consent_is_not_the_basis(layout, ledger, purpose):
    released = read(layout, purpose, EVERYBODY)
    if ledger.bases()[purpose] is Basis.CONSENT:
        assert (clients(released), released.withheld) == ([], {"no_consent": 3})
    else:
        assert (clients(released), released.withheld) == ([ANNA, BEN, CARA], {})


@pytest.mark.parametrize("purpose", Purpose)
def test_a_grant_opens_its_purpose_alone_and_a_withdrawal_shuts_it(layout, ledger, purpose):
    ledger.record([ANNA], [purpose], "granted", source="os:test")
    for other in Purpose:
        opened = ANNA in clients(read(layout, other, EVERYBODY))
        assert opened == (other is purpose or ledger.bases()[other] is not Basis.CONSENT)
    ledger.record([ANNA], [purpose], "withdrawn", source="os:test")
    released = read(layout, purpose, EVERYBODY)
    assert ANNA not in clients(released)
    assert released.withheld["withdrawn"] == 1
    ledger.record([ANNA], [purpose], "granted", source="os:test")
    assert ANNA in clients(read(layout, purpose, EVERYBODY))


def test_a_person_speaks_through_any_identifier_and_a_no_outweighs(layout, ledger):
    rows = [{"client": PHONE, "user": ANNA}, {"client": PHONE}]
    ledger.record([ANNA], [Purpose.PERSONALISATION], "granted", source="os:test")
    assert read(layout, Purpose.PERSONALISATION, rows).table.num_rows == 1
    ledger.record([PHONE], [Purpose.PERSONALISATION], "withdrawn", source="os:test")
    assert read(layout, Purpose.PERSONALISATION, rows).withheld == {"withdrawn": 2}


@pytest.mark.parametrize("purpose", Purpose)
def test_a_minor_is_profiled_for_nothing_whoever_agreed(layout, ledger, purpose):
    ledger.record([ANNA], [purpose], "granted", source="os:test")
    ledger.set_age([ANNA], minor=True, source="os:test")
    assert (ANNA in clients(read(layout, purpose, EVERYBODY))) == (purpose in MINORS_MAY)
    if purpose not in MINORS_MAY:
        with pytest.raises(InvalidInput, match="minor"):
            ledger.record([ANNA], [purpose], "granted", source="os:test")
    ledger.set_age([ANNA], minor=False, source="os:test")
    assert ANNA in clients(read(layout, purpose, EVERYBODY))


def test_special_categories_need_explicit_consent_and_take_what_followed_with_them(layout, ledger):
    rows = [
        {"client": ANNA, "user_query": "HIV test kit", "query_id": "q1"},
        {"client": ANNA, "action_name": "click", "object_id": "P1", "query_id": "q1"},
        {"client": ANNA, "user_query": "lamp", "query_id": "q2"},
    ]
    purpose = Purpose.ANALYTICS
    ledger.record([ANNA], [purpose], "granted", source="os:test")
    released = read(layout, purpose, rows)
    assert released.table["query_id"].to_pylist() == ["q2"]
    assert released.withheld == {"special_category": 2}
    (record,) = ledger.record([ANNA], [purpose], "granted", special=True, source="os:test")
    assert record.basis is Basis.EXPLICIT_CONSENT
    assert read(layout, purpose, rows).table.num_rows == 3
    ledger.record([ANNA], [purpose], "withdrawn", source="os:test")
    assert read(layout, purpose, rows).table.num_rows == 0
    # A plain grant later does not bring the explicit one back.
    ledger.record([ANNA], [purpose], "granted", source="os:test")
    assert read(layout, purpose, rows).table.num_rows == 1


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("hiv test", "health"),
        ("test  de   grossesse", "health"),
        ("Kondome", "sex_life"),
        ("quran stand", "religion"),
        ("trade union pin", "politics"),
        # What tells of a disability tells of health (CJEU C-184/20: indirectly is enough).
        ("hearing aid", "health"),
        ("iphone 12 pro max", None),
        ("cancerian star sign mug", None),
        ("bluetooth speaker", None),
        ("", None),
    ],
)
def test_special_categories_are_whole_words(text, kind):
    assert special_category(text) == kind


def test_a_basis_is_changed_with_a_reason_and_within_the_law(layout, ledger):
    with pytest.raises(InvalidInput, match="cannot rest"):
        ledger.set_basis(
            Purpose.CREATOR_MARKETING, Basis.LEGITIMATE_INTERESTS, reason="x", source="os:test"
        )
    with pytest.raises(InvalidInput, match="reason"):
        ledger.set_basis(Purpose.ANALYTICS, Basis.CONSENT, reason=" ", source="os:test")
    ledger.set_basis(Purpose.ANALYTICS, Basis.CONSENT, reason="board", source="os:test")
    assert ledger.bases()[Purpose.ANALYTICS] is Basis.CONSENT
    assert clients(read(layout, Purpose.ANALYTICS, EVERYBODY)) == []
    assert all(ALLOWED_BASES[p] for p in Purpose)


def test_records_are_never_changed_or_removed(ledger):
    ledger.record([ANNA], [Purpose.SEARCH], "granted", evidence="banner 3", source="os:test")
    ledger.record([ANNA], [Purpose.SEARCH], "withdrawn", source="os:test")
    connection = sqlite3.connect(ledger.file)
    for statement in ("DELETE FROM records", "UPDATE records SET decision = 'granted'"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
    connection.close()
    history = ledger.history([ANNA])
    assert [r.decision for r in history] == ["granted", "withdrawn"]
    assert history[0].evidence == "banner 3"
    assert current_state(history)[Purpose.SEARCH].decision == "withdrawn"


@pytest.mark.parametrize("subject", ["anna", "anna@example.com", "k1.short", "", "k0." + "a" * 22])
def test_the_ledger_takes_pseudonyms_only(ledger, subject):
    with pytest.raises(InvalidInput, match="pseudonym"):
        ledger.record([subject], [Purpose.SEARCH], "granted", source="os:test")
    with pytest.raises(InvalidInput, match="pseudonym"):
        ledger.set_age([subject], minor=True, source="os:test")
    assert ledger.history([ANNA]) == []


def test_a_decision_goes_on_under_a_new_key(layout, ledger):
    new = pseudonym("anna under another key")
    ledger.record([ANNA], [Purpose.ANALYTICS], "withdrawn", source="os:test")
    ledger.record([ANNA], [Purpose.MODEL_TRAINING], "granted", source="os:test")
    ledger.set_age([BEN], minor=True, source="os:test")
    assert ledger.carry([ANNA], new)
    assert not ledger.carry([ANNA], new)
    assert not ledger.carry([CARA], pseudonym("cara under another key"))
    assert new in ledger.permissions(Purpose.ANALYTICS).withdrawn
    assert new in ledger.permissions(Purpose.MODEL_TRAINING).granted
    ledger.carry([BEN], pseudonym("ben under another key"))
    assert ledger.minor([pseudonym("ben under another key")])
    # What was decided under the new key is not overruled by the old.
    ledger.record([new], [Purpose.MODEL_TRAINING], "withdrawn", source="os:test")
    ledger.carry([ANNA], new)
    assert new in ledger.permissions(Purpose.MODEL_TRAINING).withdrawn


PEOPLE = [pseudonym(str(n)) for n in range(5)]
people = st.frozensets(st.sampled_from(PEOPLE))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    granted=people,
    withdrawn=people,
    minors=people,
    special=people,
    purpose=st.sampled_from(Purpose),
    basis=st.sampled_from([Basis.CONSENT, Basis.LEGITIMATE_INTERESTS]),
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "client": st.sampled_from(PEOPLE),
                "user": st.none() | st.sampled_from(PEOPLE),
                "user_query": st.sampled_from([None, "lamp", "hiv test"]),
                "query_id": st.none() | st.sampled_from(["q1", "q2"]),
            }
        ),
        max_size=12,
    ),
)
def test_a_table_is_filtered_as_each_row_would_be(
    layout, granted, withdrawn, minors, special, purpose, basis, rows
):
    may = Permissions(purpose, basis, granted, withdrawn, minors, special & granted)
    reader = EventReader.__new__(EventReader)
    reader.purpose, reader.permissions = purpose, may
    released = reader.release(event_table(rows))
    telling = {r["query_id"] for r in rows if r["user_query"] == "hiv test"} - {None}

    def allowed(row) -> bool:
        who = {row["client"], row["user"]} - {None}
        tells = row["user_query"] == "hiv test" or row["query_id"] in telling
        return may.refused(who) is None and (not tells or bool(who & may.special))

    expected = [n for n, row in enumerate(rows) if allowed(row)]
    with duckdb.connect() as connection:
        connection.register("source", event_table(rows))
        seen = reader.view(connection, "source", "seen").order("timestamp").fetchall()
        assert [row[2] for row in seen] == expected
    assert released.table["timestamp"].to_pylist() == expected
    assert sum(released.withheld.values()) == len(rows) - len(expected)


def test_stored_events_are_read_by_table_and_by_view_alike(layout, ledger):
    from tandem.storage.events import EventStore, schema

    rows = event_table(
        [
            {"client": ANNA, "user_query": "lamp", "query_id": "q1"},
            {"client": BEN, "user_query": "hiv test", "query_id": "q2"},
            {"client": BEN, "action_name": "click", "query_id": "q2", "object_id": "P"},
            {"client": CARA, "user": PHONE, "user_query": "tea"},
        ]
    ).to_pylist()
    filled = [{**dict.fromkeys(schema().names), **row, "clock": "kept"} for row in rows]
    lists = ("masked", "object_ids", "filters")
    store = EventStore(layout)
    store.append([{**row, **dict.fromkeys(lists, ())} for row in filled[:2]])
    store.compact()
    store.append([{**row, **dict.fromkeys(lists, ())} for row in filled[2:]])
    store.close()
    ledger.record([PHONE], [Purpose.ANALYTICS], "withdrawn", source="os:test")
    with (
        EventReader(layout, Purpose.ANALYTICS, actor="os:test").reading() as events,
        duckdb.connect() as connection,
    ):
        released = events.table(["timestamp", "client"])
        assert released.table.column_names == ["timestamp", "client"]
        assert released.table["client"].to_pylist() == [ANNA]
        assert released.withheld == {"withdrawn": 1, "special_category": 2}
        assert events.stored == 4
        assert events.view(connection, "seen").fetchall()[0][4] == ANNA
        assert connection.execute("SELECT count(*) FROM seen").fetchone() == (1,)


def test_a_decision_follows_its_person_through_the_door_after_a_rotation(layout, ledger, tmp_path):
    from datetime import UTC, datetime

    from tandem.contracts.events import EventRecord
    from tandem.governance.admission import Admission
    from tandem.governance.pseudonyms import VARIABLE, Pseudonyms, open_ring, rotate

    environment = {VARIABLE: str(tmp_path / "keys")}
    old = Pseudonyms(open_ring(layout, environment))
    ledger.record([old.of("user", "anna")], [Purpose.ANALYTICS], "withdrawn", source="os:test")
    new = Pseudonyms(rotate(layout, environment))
    now = datetime.now(UTC)
    record = EventRecord(
        event_id="e1", timestamp=now, client_id="c", user_id="anna", action_name="click",
        object_id="P",
    )  # fmt: skip
    done = Admission(new, ledger=ledger).admit([(0, record)], received=now)
    assert done.rows[0]["user"] == new.of("user", "anna")
    assert done.rows[0]["user"] in ledger.permissions(Purpose.ANALYTICS).withdrawn


WRITER = """
import sys
from pathlib import Path
from tandem.contracts.consent import Purpose
from tandem.governance.consent import ConsentLedger
from tandem.storage.layout import Layout
ledger = ConsentLedger(Layout.open(Path(sys.argv[1])))
for n in range(100_000):
    (record,) = ledger.record(["k1." + f"{n:022d}"], [Purpose.ANALYTICS], "withdrawn", source="t")
    print(record.subject, flush=True)
"""


@pytest.mark.crash
def test_an_acknowledged_withdrawal_survives_a_kill(layout, ledger):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(layout.root)],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    told += [line.strip() for line in process.stdout if len(line) == 26]
    process.wait()
    assert set(told) <= ledger.permissions(Purpose.ANALYTICS).withdrawn
