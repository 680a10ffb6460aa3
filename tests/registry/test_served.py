"""The served log: found again, cut lines passed over, old days gone, floods counted."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from tandem.contracts.registry import Served
from tandem.registry import day_log, served
from tandem.registry.served import ServedLog


def line(query_id: str, at: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> Served:
    return Served(
        query_id=query_id,
        at=at,
        ranker="ltr",
        index_generation="g1",
        model_generation=None,
        policy=None,
        page=1,
        products=("a", "b"),
        scores=(1.0, 0.5),
        total=2,
        milliseconds=3.5,
    )


def test_what_is_put_is_found_also_after_a_line_that_was_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(served, "KEPT_DAYS", 100_000)
    log = ServedLog(tmp_path)
    for i in range(50):
        log.put(line(f"q{i}", datetime(2026, 3, 1 + i % 3, tzinfo=UTC)))
    log.close()
    day = tmp_path / "2026-03-02.jsonl"
    day.write_bytes(day.read_bytes() + b'{"query_id": "q1", "at"')
    assert ServedLog(tmp_path).find("q1") == line("q1", datetime(2026, 3, 2, tzinfo=UTC))
    assert ServedLog(tmp_path).find("q") is None
    assert log.dropped == 0


def test_a_flood_is_dropped_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(day_log, "PAUSE", 3600)
    log = ServedLog(tmp_path)
    for i in range(day_log.WAITING + 7):
        log.put(line(f"q{i}"))
    assert log.dropped == 7
    log.close()


def test_old_days_are_swept(tmp_path):
    today = date(2026, 3, 31)
    for days in (0, served.KEPT_DAYS, served.KEPT_DAYS + 1, 400):
        (tmp_path / f"{today - timedelta(days=days)}.jsonl").touch()
    gone = ServedLog(tmp_path).sweep(today)
    assert len(gone) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_in_a_line_names_a_person_or_what_was_asked():
    assert not {"query", "q", "text", "client_id", "session_id", "user_id"} & set(
        Served.model_fields
    )
