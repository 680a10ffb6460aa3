"""The audit log: what is written stays, and what is changed shows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tandem.contracts.errors import InvalidInput
from tandem.governance.audit import GENESIS, AuditLog, Entry
from tandem.governance.pseudonyms import VARIABLE
from tandem.storage.layout import Layout, Settings

ENTRIES = 8


@pytest.fixture
def audit(tmp_path: Path) -> AuditLog:
    layout = Layout.create(tmp_path / "shop", Settings())
    return AuditLog(layout, {VARIABLE: str(tmp_path / "keys")})


def filled(audit: AuditLog, count: int = ENTRIES) -> list[bytes]:
    for n in range(count):
        audit.append("os:anna", "consent.grant", subject=f"k1.{n}", purpose="search")
    return audit.path.read_bytes().splitlines(keepends=True)


def kinds(audit: AuditLog) -> list[tuple[str, int | None]]:
    return [(p.kind, p.line) for p in audit.verify().problems]


def test_entries_are_chained_by_sha256_and_read_back(audit):
    lines = filled(audit)
    entries = list(audit.entries())
    assert [e.sequence for e in entries] == list(range(1, ENTRIES + 1))
    assert entries[0].previous == GENESIS
    assert [e.previous for e in entries[1:]] == [e.hash for e in entries[:-1]]
    assert json.loads(lines[3])["details"] == {"subject": "k1.3", "purpose": "search"}
    found = audit.verify()
    assert (found.ok, found.entries, found.head) == (True, ENTRIES, entries[-1].hash)
    assert found.witness == "agrees"
    assert audit.verify(entries[4].hash).ok
    assert audit.verify("ab" * 32).problems[0].kind == "unknown_hash"


def test_a_log_that_was_never_begun_is_sound(audit):
    found = audit.verify()
    assert (found.ok, found.entries, found.witness) == (True, 0, "none")
    assert list(audit.entries()) == []


@pytest.mark.parametrize("line", [1, 4, ENTRIES])
def test_an_edit_is_found_at_its_line(audit, line):
    lines = filled(audit)
    lines[line - 1] = lines[line - 1].replace(b"search", b"analytics")
    audit.path.write_bytes(b"".join(lines))
    assert kinds(audit)[0] == ("edited", line)


@pytest.mark.parametrize("line", [1, 4, ENTRIES])
def test_an_edit_with_its_hash_made_to_fit_is_found_all_the_same(audit, line):
    lines = filled(audit)
    old = Entry.parse(lines[line - 1][:-1])
    forged = Entry.chained(old.sequence, old.previous, "os:eve", old.action, old.details)
    lines[line - 1] = forged.line()
    audit.path.write_bytes(b"".join(lines))
    assert kinds(audit)[0] == ("replaced", line)


@pytest.mark.parametrize("line", [1, 4, ENTRIES - 1])
def test_a_deletion_is_found_where_the_line_was(audit, line):
    lines = filled(audit)
    audit.path.write_bytes(b"".join(lines[: line - 1] + lines[line:]))
    assert kinds(audit) == [("missing", line)]


def test_another_order_is_found(audit):
    lines = filled(audit)
    lines[2], lines[3] = lines[3], lines[2]
    audit.path.write_bytes(b"".join(lines))
    assert kinds(audit) == [("out_of_order", 3), ("out_of_order", 4)]


def test_a_repeated_entry_is_found(audit):
    lines = filled(audit)
    audit.path.write_bytes(b"".join([*lines[:3], lines[2], *lines[3:]]))
    assert kinds(audit) == [("out_of_order", 4)]


@pytest.mark.parametrize("left", [0, 3, ENTRIES - 1])
def test_a_cut_is_found_by_the_head_record_and_by_the_witness(audit, left):
    head = audit.path.with_name("HEAD")
    if left:
        filled(audit, left)
    old = head.read_bytes() if left else None
    lines = filled(audit, ENTRIES - left)
    audit.path.write_bytes(b"".join(lines[:left]))
    assert ("truncated", left + 1) in kinds(audit)
    if old:  # whoever cuts the log puts back the head of that time
        head.write_bytes(old)
        assert kinds(audit) == [("truncated", left + 1)]


def test_a_cut_inside_a_line_is_found(audit):
    filled(audit)
    audit.path.write_bytes(audit.path.read_bytes()[:-20])
    assert ("truncated", ENTRIES) in kinds(audit)


def test_a_log_written_anew_with_its_head_is_found_by_the_witness(audit, tmp_path):
    filled(audit)
    other = AuditLog(
        Layout.create(tmp_path / "other", Settings()), {VARIABLE: str(tmp_path / "keys2")}
    )
    filled(other)
    for name in ("log.jsonl", "HEAD"):
        audit.path.with_name(name).write_bytes(other.path.with_name(name).read_bytes())
    found = audit.verify()
    assert not found.ok
    assert found.witness == "disagrees"


def test_a_log_that_was_taken_away_is_found(audit):
    filled(audit)
    for name in ("log.jsonl", "HEAD"):
        audit.path.with_name(name).unlink()
    assert kinds(audit) == [("truncated", None)]


def test_a_lost_head_is_told_and_stays_told(audit):
    lines = filled(audit)
    audit.path.with_name("HEAD").unlink()
    audit.path.write_bytes(b"".join(lines[:5]))
    assert ("head", None) in kinds(audit)
    audit.append("os:anna", "consent.show")
    assert kinds(audit) == [("missing", 6)]
    assert [e.action for e in map(Entry.parse, audit.path.read_bytes().splitlines())][-2:] == [
        "audit.head_lost",
        "consent.show",
    ]


def test_entries_after_tampering_do_not_hide_it(audit):
    lines = filled(audit)
    audit.path.write_bytes(b"".join(lines[:4]))
    audit.append("os:eve", "consent.show")
    assert kinds(audit) == [("missing", 5)]


def test_a_new_workspace_at_an_old_place_begins_anew(audit, tmp_path):
    filled(audit)
    audit.path.unlink()
    audit.path.with_name("HEAD").unlink()
    audit.begin("os:anna")
    assert audit.verify().ok


def test_what_a_killed_writer_left_is_no_tampering(audit, tmp_path):
    lines = filled(audit)
    (witness,) = (tmp_path / "keys").iterdir()
    records = {path: path.read_bytes() for path in (audit.path.with_name("HEAD"), witness)}
    audit.append("os:anna", "consent.grant")
    whole = audit.path.read_bytes()
    for path, before in records.items():  # killed before they moved
        path.write_bytes(before)
    found = audit.verify()
    assert (found.ok, found.unsealed, found.torn) == (True, 1, False)
    audit.path.write_bytes(whole[: len(b"".join(lines)) + 30])  # killed within the line
    found = audit.verify()
    assert (found.ok, found.unsealed, found.torn) == (True, 0, True)
    audit.append("os:anna", "consent.withdraw")
    assert audit.verify().ok
    assert [e.action for e in audit.entries()][-2:] == ["consent.grant", "consent.withdraw"]
    assert len(list(audit.entries())) == ENTRIES + 1


def test_an_entry_too_large_is_refused_and_leaves_nothing(audit):
    filled(audit, 1)
    with pytest.raises(InvalidInput, match="too large"):
        audit.append("os:anna", "x", text="a" * 70_000)
    assert audit.verify().entries == 1


def test_an_act_that_fails_is_told_as_failed(audit):
    with audit.act("os:anna", "consent.grant"):
        pass
    with pytest.raises(ZeroDivisionError), audit.act("os:anna", "consent.basis"):
        _ = 1 / 0
    assert [(e.action, e.details) for e in audit.entries()] == [
        ("consent.grant", {}),
        ("consent.basis", {}),
        ("act.failed", {"entry": 2}),
    ]


def test_a_broken_entry_is_not_shown_as_if_it_were_sound(audit):
    lines = filled(audit)
    audit.path.write_bytes(b"".join([*lines[:2], b"{}\n", *lines[3:]]))
    with pytest.raises(InvalidInput, match=r"log\.jsonl:3"):
        list(audit.entries())


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_change_of_a_byte_is_found(audit, data):
    if not audit.path.exists():
        filled(audit)
    whole = audit.path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda v: v != whole[at]))
    try:
        audit.path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
        problems = audit.verify().problems
        line = whole[:at].count(b"\n") + 1
        assert problems
        assert min(p.line for p in problems if p.line is not None) == line
    finally:
        audit.path.write_bytes(whole)


WRITER = """
import sys
from pathlib import Path
from tandem.governance.audit import AuditLog
from tandem.storage.layout import Layout
audit = AuditLog(Layout.open(Path(sys.argv[1])))
for n in range(int(sys.argv[3])):
    entry = audit.append(sys.argv[2], "test.act", n=n)
    print(entry.hash, flush=True)
"""


def writer(audit: AuditLog, name: str, count: int) -> subprocess.Popen[str]:
    root = audit.path.parents[1]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, VARIABLE: str(root.parent / "keys")},
    )


@pytest.mark.crash
def test_writers_side_by_side_and_killed_lose_nothing_that_was_acknowledged(audit):
    writers = [writer(audit, f"os:{n}", 10_000) for n in range(3)]
    acknowledged: list[str] = []
    for n, process in enumerate(writers):
        assert process.stdout is not None
        acknowledged.append(process.stdout.readline().strip())
        time.sleep(0.1 * n)
        process.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in process.stdout if len(line) == 65]
        process.wait()
    found = audit.verify()
    assert found.ok, found.problems
    assert set(acknowledged) <= {e.hash for e in audit.entries()}
    assert len(acknowledged) > 3
