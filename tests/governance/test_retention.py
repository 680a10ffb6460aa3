"""Retention: what is older than its period goes, what is not stays, and a proof says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from event_tables import pseudonym, stored_rows
from tandem.contracts.errors import InvalidInput
from tandem.governance.audit import AuditLog
from tandem.governance.retention import DAY, DEFAULT_DAYS, periods, retain
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout, Settings

NOW = 20_000 * DAY
DAYS = {"searches": 10, "behaviour": 20, "purchases": 30}
ACTIONS = {"search": "searches", "click": "behaviour", "own_name": "behaviour",
           "purchase": "purchases", "return": "purchases"}  # fmt: skip


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "shop", Settings(retention=DAYS))


def put(layout: Layout, ages: list[tuple[str, int]]) -> None:
    """Events of an age in days, half of them compacted."""
    rows = stored_rows(
        [
            {
                "action_name": action,
                "timestamp": NOW - age * DAY + (1 if age else 0),
                "received": NOW,
                "client": pseudonym("anna"),
                "user_query": "lamp",
                "object_id": "P",
            }
            for action, age in ages
        ]
    )
    store = EventStore(layout)
    store.append(rows[::2])
    store.compact()
    store.append(rows[1::2])
    store.close()


def left(layout: Layout) -> list[dict]:
    with EventStore(layout).reading() as snapshot:
        return snapshot.table(["action_name", "timestamp", "user_query"]).to_pylist()


def test_each_category_goes_at_its_age_and_not_a_day_before(layout):
    ages = [(action, age) for action in ACTIONS for age in (0, 10, 11, 20, 21, 30, 31)]
    put(layout, ages)
    proof = retain(layout, actor="os:test", now=NOW)
    stay = [(a, age) for a, age in ages if age <= DAYS[ACTIONS[a]]]
    assert len(left(layout)) == len(stay)
    assert proof.removed == {
        category: sum(ACTIONS[a] == category for a, _ in ages)
        - sum(ACTIONS[a] == category for a, _ in stay)
        for category in DAYS
    } | {"visitors": 0, "creators": 0, "content": 0}
    assert proof.kept_its_word
    assert retain(layout, actor="os:test", now=NOW).removed == dict.fromkeys(DEFAULT_DAYS, 0)


def test_old_purchases_lose_the_query_that_led_to_them(layout):
    put(layout, [("purchase", 5), ("purchase", 15), ("click", 15)])
    proof = retain(layout, actor="os:test", now=NOW)
    assert proof.cleared == 2
    texts = {(NOW - row["timestamp"]) // DAY: row["user_query"] for row in left(layout)}
    assert texts[4] == "lamp"
    assert texts[14] is None


def test_the_proof_is_kept_and_its_hash_is_in_the_audit_log(layout):
    import hashlib

    put(layout, [("search", 40)])
    proof = retain(layout, actor="os:test", now=NOW)
    written = json.loads(Path(proof.file).read_text())
    assert written["removed"]["searches"] == 1
    assert written["oldest"] == dict.fromkeys(DEFAULT_DAYS)
    entry = list(AuditLog(layout).entries())[-1]
    assert entry.action == "retention.proof"
    assert entry.details["sha256"] == hashlib.sha256(Path(proof.file).read_bytes()).hexdigest()


def test_a_workspace_without_events_has_nothing_to_remove(tmp_path):
    layout = Layout.create(tmp_path / "shop", Settings())
    assert retain(layout, actor="os:test").removed == dict.fromkeys(DEFAULT_DAYS, 0)
    assert periods(layout) == DEFAULT_DAYS


@pytest.mark.parametrize("line", ["searches = 0", "other = 5", 'searches = "x"', "searches = 1.5"])
def test_periods_that_make_no_sense_are_refused(tmp_path, line):
    layout = Layout.create(tmp_path / "shop", Settings())
    text = layout.settings_file.read_text()
    layout.settings_file.write_text(f"{text}\n[retention]\n{line}\n")
    with pytest.raises(InvalidInput, match=r"tandem\.toml"):
        retain(layout, actor="os:test")
