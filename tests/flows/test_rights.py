"""Rights of people: one planted person, in every place that can hold one, and gone from all."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from event_tables import event_table, pseudonym, stored_rows
from tandem.contracts.consent import Purpose
from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.contracts.query_log import QueryCount
from tandem.contracts.recommend import STORED_EVENTS
from tandem.flows import rights
from tandem.flows.import_ import create_workspace, import_catalog
from tandem.flows.index import build_index
from tandem.flows.train_recommender import train_recommender
from tandem.flows.workspace import Workspace
from tandem.governance.audit import AuditLog
from tandem.governance.consent import ConsentLedger
from tandem.governance.personal import mask
from tandem.governance.pseudonyms import KeyRing, Pseudonyms
from tandem.governance.release import Releases
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout
from tandem.storage.query_log import load_query_log, save_query_log
from tandem.storage.visitor_state import Change, Seen
from tandem.storage.visitors import open_visitors

ANNA, BEN = pseudonym("anna"), pseudonym("ben")
PHONE, TABLET, BENS = pseudonym("phone"), pseudonym("tablet"), pseudonym("ben's phone")
SESSION, ORDER = pseudonym("session"), pseudonym("order")
SECRET = "green speaker red tea"
OTHERS = [pseudonym(f"client {n}") for n in range(60)]

ROWS = [
    {"client": PHONE, "user": ANNA, "session": SESSION, "user_query": SECRET, "query_id": "q1"},
    {"client": PHONE, "session": SESSION, "action_name": "click", "object_id": "a"},
    {"client": TABLET, "user": ANNA, "action_name": "purchase", "object_id": "a", "order": ORDER},
    {"client": TABLET, "user": BEN, "user_query": "tea"},
    {"client": TABLET, "user_query": "whose is this"},
    {"client": BENS, "user": BEN, "user_query": SECRET},
    *({"client": c, "user_query": "speaker"} for c in OTHERS),
]
HERS = 3


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A shop with Anna in journal, partitions, query log, completions, a released report, an
    insight report, and two models, one of which learned from events."""
    layout = create_workspace(tmp_path / "shop", encoder=None)
    products = tmp_path / "products.jsonl"
    rows = [{"id": "a", "title": "Red speaker"}, {"id": "b", "title": "Green tea"}]
    products.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_catalog(layout, [products], "tandem")
    save_query_log(layout, [QueryCount("speaker", 60), QueryCount(SECRET, 5)])
    build_index(layout)
    put(layout, ROWS)
    ConsentLedger(layout).record([ANNA], [Purpose.ANALYTICS], "granted", source="os:test")
    table = event_table([{"client": c, "user_query": "speaker"} for c in (*OTHERS, PHONE)])
    Releases(layout).release("r", "Acme", "2026-03", table, ["user_query"])
    open_visitors(layout, 30).change([PHONE], Change([Seen("a", "view", 1)]))
    open_visitors(layout, 30).change([BENS], Change([Seen("b", "view", 1)]))
    layout.reports.mkdir()
    (layout.reports / "insights.json").write_text(json.dumps({"example": SESSION}))
    (layout.reports / "evaluation.json").write_text("{}")
    for number, learned in ((1, False), (2, True)):
        folder = layout.models.root / f"g00000{number}-20260101T000000"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"learned_from_events": learned}))
    layout.models.switch("g000002-20260101T000000")
    return layout


def put(layout: Layout, rows) -> None:
    store = EventStore(layout)
    made = stored_rows([{**row, "event_key": f"{hash(str(row)) % 2**64:032x}"} for row in rows])
    made = [{**row, "order": source.get("order")} for row, source in zip(made, rows, strict=True)]
    store.append(made[:2])
    store.compact()
    store.append(made[2:])
    store.close()


def stored(layout: Layout) -> list[dict]:
    with EventStore(layout).reading() as snapshot:
        return snapshot.table().to_pylist()


def places(layout: Layout, *words: str) -> set[str]:
    """Top folders with a file that has one of `words` in its bytes as they lie."""
    found = set()
    for path in layout.root.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if any(word.encode() in data for word in words):
                found.add(path.relative_to(layout.root).parts[0])
    return found


def check_gone(layout: Layout) -> None:
    who = {ANNA, PHONE, SESSION, ORDER}
    rows = stored(layout)
    assert len(rows) == len(ROWS) - HERS
    assert not [r for r in rows if who & {r["client"], r["user"], r["session"], r["order"]}]
    assert places(layout, *who) <= {"consent", "audit", "rights"}
    assert [entry.query for entry in load_query_log(layout)] == ["speaker"]
    assert places(layout, SECRET) <= {"events"}  # Ben typed it too
    assert Releases(layout).holds([PHONE]) == 0
    assert sorted(p.name for p in layout.reports.iterdir()) == ["evaluation.json"]
    assert layout.models.names() == ("g000001-20260101T000000",)
    assert layout.models.live() == "g000001-20260101T000000"
    assert len(layout.index.names()) == 1
    assert open_visitors(layout, 30).get([PHONE]) is None
    assert open_visitors(layout, 30).get([BENS]) is not None
    assert AuditLog(layout).verify().ok


def test_a_person_is_gone_from_everywhere_and_the_others_are_not(layout):
    assert SECRET.encode() in b"".join(
        p.read_bytes() for p in layout.index.root.rglob("*") if p.is_file()
    )
    done = rights.erase(layout, [ANNA])
    assert done.state == "finished"
    check_gone(layout)
    assert done.counts == {
        "events": HERS,
        "query_texts": 1,
        "release_cells": 1,
        "visitors": 1,
        "reports": ["reports/insights.json"],
        "models": ["models/g000002-20260101T000000"],
        "index": layout.index.live(),
    }
    # Totals that were released stay.
    again = Releases(layout).release("r", "Acme", "2026-03", event_table([]), ["user_query"])
    assert again.figures[0].people == len(OTHERS) + 1
    assert len(ConsentLedger(layout).history([ANNA])) == 1


def test_the_certificate_names_every_file_and_what_the_law_keeps(layout):
    done = rights.erase(layout, [ANNA])
    found = rights.certificate(layout, done.id)
    searched = {entry["file"] for entry in found["files"]}
    there = {str(p.relative_to(layout.root)) for p in layout.root.rglob("*") if p.is_file()} - {
        f"rights/{done.id}/certificate.json"
    }
    # Opening a database to look into it leaves its sidecars behind.
    unseen = {f for f in there - searched if not f.endswith(("-wal", "-shm"))}
    assert unseen <= {"audit/log.jsonl", "rights/LAST"}
    assert {entry["where"] for entry in found["kept"]} == {"audit", "consent", "rights"}
    assert {e["file"] for e in found["files"] if e["found"]} <= {
        f for f in searched if f.split("/")[0] in ("audit", "consent", "rights")
    }
    last = list(AuditLog(layout).entries())[-1]
    assert (last.action, last.details["request"]) == ("rights.erased", done.id)
    # What only the erasure needed is dropped.
    assert SESSION not in (layout.rights / done.id / "request.json").read_text()


STEPS = (
    *("_trace", "_events", "_query_log", "_releases", "_visitors", "_reports", "_models"),
    *("_index", "_certify"),
)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_an_interrupted_erasure_goes_on_where_it_was(layout, monkeypatch, step, after):
    plain = getattr(rights, step)

    def killed(*arguments):
        if after:
            plain(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rights, step, killed)
        with pytest.raises(KeyboardInterrupt):
            rights.erase(layout, [ANNA])
    (request,) = rights.erasures(layout)
    if not (step == "_certify" and after):
        assert request.state == "under way"
        with pytest.raises(NotFound, match="no certificate"):
            rights.certificate(layout, request.id)
    assert rights.resume(layout, request.id).state == "finished"
    check_gone(layout)
    assert rights.certificate(layout, request.id)["request"] == request.id


def test_no_certificate_while_the_person_lies_somewhere_nobody_thought_of(layout):
    forgotten = layout.root / "catalog" / "notes.txt"
    forgotten.write_text(f"ask {PHONE} about it")
    with pytest.raises(Conflict, match=r"catalog/notes\.txt"):
        rights.erase(layout, [ANNA])
    (request,) = rights.erasures(layout)
    forgotten.unlink()
    rights.resume(layout, request.id)
    check_gone(layout)


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".parquet", ".db", ".bin"])
def test_the_look_opens_what_is_packed(layout, suffix):
    import gzip
    import sqlite3

    import pyarrow as pa
    import pyarrow.parquet as pq

    path = layout.root / "catalog" / f"packed{suffix}"
    if suffix == ".gz":
        path.write_bytes(gzip.compress(ORDER.encode()))
    elif suffix == ".zst":
        with pa.output_stream(str(path), compression="zstd") as stream:
            stream.write(ORDER.encode())
    elif suffix == ".parquet":
        pq.write_table(pa.table({"x": [["a", ORDER]]}), path, compression="zstd")
    elif suffix == ".db":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE t (x)")
            connection.execute("INSERT INTO t VALUES (?)", (ORDER,))
        connection.close()
    else:
        path.write_bytes(b"\0" * (1 << 24) + ORDER.encode())
    with pytest.raises(Conflict, match="packed"):
        rights.erase(layout, [ANNA])


def test_a_restored_backup_is_erased_again_and_a_new_relation_is_not(layout, tmp_path):
    backup = shutil.copytree(layout.events, tmp_path / "backup")
    rights.erase(layout, [ANNA])
    shutil.rmtree(layout.events)
    shutil.copytree(backup, layout.events)
    now = time.time_ns() // 1000
    new = {"client": PHONE, "user": ANNA, "user_query": "tea", "timestamp": now, "received": now}
    put(layout, [new])
    (again,) = rights.replay(layout)
    assert again.counts["events"] == HERS
    assert [r["user_query"] for r in stored(layout) if r["user"] == ANNA] == ["tea"]


def test_nothing_is_learned_from_people_who_did_not_agree(layout):
    with pytest.raises(InvalidInput, match="model_training"):
        train_recommender(layout)
    last = list(AuditLog(layout).entries())[-1]
    assert (last.action, last.details["purpose"]) == ("events.read", "model_training")


def test_a_recommender_that_learned_from_stored_events_is_retired(layout):
    for number, data in ((1, "clicks.jsonl"), (2, STORED_EVENTS)):
        folder = layout.recommenders.root / f"g00000{number}-20260101T000000"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"data": data}))
    layout.recommenders.switch("g000002-20260101T000000")
    assert "recommenders/g000002-20260101T000000" in rights.erase(layout, [ANNA]).counts["models"]
    assert layout.recommenders.live() == "g000001-20260101T000000"


def test_somebody_unknown_is_erased_from_nothing(layout):
    before = stored(layout)
    done = rights.erase(layout, [pseudonym("nobody")])
    assert done.state == "finished"
    assert done.counts["events"] == 0
    assert sorted(map(str, stored(layout))) == sorted(map(str, before))
    assert len(load_query_log(layout)) == 2


def test_an_export_holds_all_of_one_person_and_nothing_of_others(layout):
    found = rights.export(layout, [ANNA])
    assert len(found["events"]) == HERS
    assert {e["user_query"] for e in found["events"]} == {SECRET, None}
    assert found["pseudonyms"]["client"] == sorted({ANNA, PHONE})
    assert found["pseudonyms"]["order"] == [ORDER]
    assert [r["decision"] for r in found["consent"]] == ["granted"]
    text = json.dumps(found)
    assert BEN not in text
    assert BENS not in text


def key_of(layout: Layout, action: str) -> str:
    return next(
        r["event_key"]
        for r in stored(layout)
        if r["client"] == PHONE and r["action_name"] == action
    )


@pytest.mark.parametrize("compacted", [True, False])
def test_what_is_wrong_in_one_event_is_put_right(layout, compacted):
    if compacted:
        EventStore(layout).compact()
    before = {r["event_key"]: r for r in stored(layout)}
    search, click = key_of(layout, "search"), key_of(layout, "click")
    row = rights.correct(
        layout, [ANNA], search, {"user_query": "tea for ann@example.com"}, reason="shared phone"
    )
    assert (row["user_query"], row["masked"]) == ("tea for <email>", ["email"])
    paid = {"quantity": "2", "amount": "9.90", "currency": "EUR"}
    rights.correct(layout, [ANNA], click, paid, reason="wrong")
    after = {r["event_key"]: r for r in stored(layout)}
    assert after.keys() == before.keys()
    changed = {k for k in after if after[k] != before[k]}
    assert changed == {search, click}
    assert after[search] == {**before[search], "user_query": "tea for <email>", "masked": ["email"]}
    assert after[click] == {**before[click], "quantity": 2, "amount": "9.90", "currency": "EUR"}
    last = list(AuditLog(layout).entries())[-1]
    assert (last.action, last.details["fields"]) == ("rights.correct", "amount, currency, quantity")
    assert "9.90" not in str(last.details)


@pytest.mark.parametrize(
    ("who", "changes", "error", "said"),
    [
        (BEN, {"language": "de"}, NotFound, "of this person"),
        (ANNA, {}, InvalidInput, "nothing to correct"),
        (ANNA, {"timestamp": "0"}, InvalidInput, "timestamp"),
        (ANNA, {"language": "German"}, InvalidInput, "language"),
        (ANNA, {"quantity": "2"}, InvalidInput, "a search has no quantity"),
    ],
)
def test_a_correction_that_cannot_be_changes_nothing(layout, who, changes, error, said):
    before = stored(layout)
    with pytest.raises(error, match=said):
        rights.correct(layout, [who], key_of(layout, "search"), changes, reason="x")
    assert stored(layout) == before


def test_a_running_shop_forgets_what_it_heard(layout):
    typed = "ask anna@example.com"
    with Workspace(layout, ranked=False) as shop:
        mask(typed)
        ring = Pseudonyms(KeyRing.generate("r"))
        ring.of("client", "anna's phone")
        assert mask.cache_info().currsize
        assert ring._of.cache_info().currsize == 1
        shop.refresh()
        assert mask.cache_info().currsize
        assert ring._of.cache_info().currsize == 1
        rights.erase(layout, [ANNA])
        shop.refresh()
        assert mask.cache_info().currsize == 0 == ring._of.cache_info().currsize
