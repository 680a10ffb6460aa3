"""Rights of people: a copy of their data, and its erasure everywhere, with a certificate.

An erasure goes through steps, each of which may be done twice without harm. What is done is
written down after every step, so that one that was interrupted goes on with `resume`. The request
stays as a tombstone: `replay` erases again what a restored backup brought back.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.contracts.artefact import ArtefactKind
from tandem.contracts.collaboration import Collaboration
from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.contracts.events import QUERY_ACTION, Pseudonym
from tandem.contracts.parties import Content, Creator
from tandem.contracts.recommend import STORED_EVENTS
from tandem.flows.generations import retire_generation
from tandem.flows.index import build_index
from tandem.governance.audit import AuditLog, os_actor
from tandem.governance.consent import ConsentLedger
from tandem.governance.correction import CORRECTABLE, corrected
from tandem.governance.creators import DOMAIN
from tandem.governance.pseudonyms import Pseudonyms, open_ring
from tandem.governance.release import Releases
from tandem.governance.retention import periods
from tandem.governance.traces import KEPT, Traces, look, rows_of, traces_of
from tandem.storage.atomic import write_atomic, write_json_atomic
from tandem.storage.campaigns import CampaignStore
from tandem.storage.collaborations import CollaborationStore
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout
from tandem.storage.parties import (
    read_content,
    read_creators,
    read_generation,
    rewrite_parties,
)
from tandem.storage.query_log import load_query_log, save_query_log
from tandem.storage.visitors import open_visitors

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MIN_OTHERS = 3
LEARNED: tuple[ArtefactKind, ...] = (
    *("models", "recommenders", "personal", "feeds"),
    *("encoders", "cross-encoders", "matchers"),
)
"""Kinds that may have learned from people."""
"""A text stays in the query log when so many other people asked it."""


@dataclass(frozen=True)
class Erasure:
    """A request for erasure and how far it is. Times are microseconds since 1970 in UTC.

    subject: the pseudonym that the certificate names. done: steps that are finished.
    counts: what each step did. traces, texts: needed until it is finished, then dropped.
    """

    id: str
    subjects: tuple[Pseudonym, ...]
    requested: int
    done: tuple[str, ...] = ()
    counts: Mapping[str, Any] = field(default_factory=dict)
    traces: Mapping[str, Any] | None = None
    texts: tuple[str, ...] = ()
    finished: int | None = None

    @property
    def state(self) -> str:
        return "finished" if self.finished is not None else "under way"


def export(
    layout: Layout, subjects: Sequence[Pseudonym], *, actor: str | None = None
) -> dict[str, Any]:
    """Everything that is stored about a person, for access and portability (Art. 15 and 20)."""
    AuditLog(layout).append(actor or os_actor(), "rights.export", subject=subjects[-1])
    with _events_of_all(layout) as events:
        traces = traces_of(events, subjects, _now(), "events")
        where, *parameters = rows_of(traces)
        rows = _rows(events, f"{where} ORDER BY timestamp, event_key", parameters)
        names = _creator_names(layout, events, subjects)
    ledger = ConsentLedger(layout)
    return {
        "about": "What this shop stores about one person. Times are microseconds since 1970, UTC.",
        "made": _iso(_now()),
        "pseudonyms": {
            "client": list(traces.clients),
            "user": list(traces.users),
            "session": list(traces.sessions),
            "order": list(traces.orders),
        },
        "events": rows,
        "visitor": _visitor_state(layout, traces),
        "creator": [c.model_dump(mode="json") for c in read_creators(layout) if c.id in names],
        "content": [
            c.model_dump(mode="json") for c in read_content(layout) if c.creator_id in names
        ],
        "collaborations": [c.model_dump(mode="json") for c in _collaborations(layout, names)],
        "consent": [asdict(record) for record in ledger.history(subjects)],
        "minor": ledger.minor(subjects),
        "audit": [
            asdict(entry)
            for entry in AuditLog(layout).entries()
            if entry.details.get("subject") in subjects
        ],
    }


def _visitor_state(layout: Layout, traces: Traces) -> dict[str, Any] | None:
    """What personalisation keeps of the person; None where it is nothing."""
    subjects = [Pseudonym(s) for s in sorted({*traces.clients, *traces.users})]
    store = open_visitors(layout, periods(layout)["visitors"])
    try:
        state = store.get(subjects) if subjects else None
    finally:
        store.close()
    return None if state is None else asdict(state)


def correct(
    layout: Layout,
    subjects: Sequence[Pseudonym],
    event_key: str,
    changes: Mapping[str, str | None],
    *,
    reason: str,
    actor: str | None = None,
) -> dict[str, Any]:
    """Put right what is stored wrongly of one event of a person (Art. 16); the event afterwards.

    event_key: as the copy of the person's data names it. changes: new values of CORRECTABLE
    fields; None is unknown. Checked as at the door, personal data in a query masked again. No
    former value stays in events or audit log. Raises NotFound for an event that is none of the
    person's, InvalidInput for a field or value that cannot be.
    """
    unknown = sorted(set(changes) - set(CORRECTABLE))
    if unknown or not changes:
        raise InvalidInput(
            f"'{unknown[0]}' is not corrected here" if unknown else "nothing to correct",
            field="set",
            remedy=f"name one or more of: {', '.join(CORRECTABLE)}",
        )
    with _events_of_all(layout) as events:
        where, *parameters = rows_of(traces_of(events, subjects, _now(), "events"))
        found = _rows(events, f"event_key = ? AND {where}", [event_key, *parameters])
    if not found:
        raise NotFound(f"no event '{event_key}' of this person", remedy="see: tandem rights export")
    row = corrected(found[0], changes)
    AuditLog(layout).append(
        actor or os_actor(),
        "rights.correct",
        subject=subjects[-1],
        event=event_key,
        fields=", ".join(sorted(changes)),
        reason=reason,
    )
    store = EventStore(layout)
    try:
        store.rewrite(lambda table: _with(table, row))
    finally:
        store.close()
    return row


def erase(layout: Layout, subjects: Sequence[Pseudonym], *, actor: str | None = None) -> Erasure:
    """Erase a person everywhere; see `resume` for what it raises."""
    request = Erasure(f"e{secrets.token_hex(6)}", tuple(subjects), _now())
    AuditLog(layout).append(
        actor or os_actor(), "rights.erase", subject=subjects[-1], request=request.id
    )
    _save(layout, request)
    return resume(layout, request.id)


def resume(layout: Layout, id_: str) -> Erasure:
    """Go on with an erasure from the first step that is not finished.

    Raises Conflict when somebody holds what a step needs, or when the look into every file still
    finds the person: what was done stays done, and it can be resumed again.
    """
    request = load(layout, id_)
    steps: tuple[tuple[str, Callable[[Layout, Erasure], Erasure]], ...] = (
        ("trace", _trace),
        ("events", _events),
        ("query_log", _query_log),
        ("releases", _releases),
        ("visitors", _visitors),
        ("creators", _creators),
        ("reports", _reports),
        ("models", _models),
        ("index", _index),
    )
    if request.finished is not None:
        return request
    for name, step in steps:
        if name not in request.done:
            request = step(layout, request)
            request = replace(request, done=(*request.done, name))
            _save(layout, request)
    return _certify(layout, request)


def replay(layout: Layout) -> list[Erasure]:
    """Do all finished erasures again, after a backup was restored."""
    again = []
    for old in erasures(layout):
        AuditLog(layout).append(os_actor(), "rights.replay", request=old.id)
        fresh = Erasure(old.id, old.subjects, old.requested)
        _save(layout, fresh)
        again.append(resume(layout, old.id))
    return again


def erasures(layout: Layout) -> list[Erasure]:
    """All requests for erasure, oldest first."""
    found = [load(layout, path.parent.name) for path in layout.rights.glob("*/request.json")]
    return sorted(found, key=lambda r: (r.requested, r.id))


def load(layout: Layout, id_: str) -> Erasure:
    path = layout.rights / id_ / "request.json"
    if "/" in id_ or not path.is_file():
        raise NotFound(f"no request '{id_}'", remedy="see: tandem rights list")
    value = json.loads(path.read_bytes())
    return Erasure(
        **{
            **value,
            "subjects": tuple(value["subjects"]),
            "done": tuple(value["done"]),
            "texts": tuple(value["texts"]),
        }
    )


def certificate(layout: Layout, id_: str) -> dict[str, Any]:
    """The certificate of a finished erasure. NotFound before."""
    path = layout.rights / id_ / "certificate.json"
    if not path.is_file():
        raise NotFound(
            f"'{id_}' has no certificate yet", remedy=f"finish it: tandem rights resume {id_}"
        )
    value: dict[str, Any] = json.loads(path.read_bytes())
    return value


# --- Steps ----------------------------------------------------------------------------------------


def _trace(layout: Layout, request: Erasure) -> Erasure:
    """Whom it is about, and which texts nobody else typed often enough: known while the events
    are still there."""
    with _events_of_all(layout) as events:
        traces = traces_of(events, request.subjects, request.requested, "events")
        names = _creator_names(layout, events, request.subjects)
        traces = replace(traces, names=names)
        where, *parameters = rows_of(traces)
        typed = events.execute(
            "SELECT DISTINCT user_query FROM events"
            f" WHERE user_query IS NOT NULL AND action_name = ? AND {where}",
            [QUERY_ACTION, *parameters],
        ).fetchall()
        texts = {_plain(text) for (text,) in typed}
        # The database folds case in its own way: it only narrows down, and `_plain` decides.
        asking = events.execute(
            f"SELECT DISTINCT user_query, client FROM events WHERE {_FOLDED.format('user_query')}"
            f" IN (SELECT {_FOLDED.format('t')} FROM unnest(?::VARCHAR[]) AS typed(t))"
            f" AND NOT ({where})",
            [[text for (text,) in typed], *parameters],
        ).fetchall()
    asked: dict[str, set[str]] = {}
    for text, client in asking:
        asked.setdefault(_plain(text), set()).add(client)
    rare = tuple(sorted(t for t in texts if len(asked.get(t, ())) < MIN_OTHERS))
    known = [e for e in load_query_log(layout) if _plain(e.query) in rare]
    request = replace(request, traces=asdict(traces), texts=rare)
    return _counted(request, query_texts=len(known))


def _events(layout: Layout, request: Erasure) -> Erasure:
    import pyarrow.compute as pc

    traces = _traces(request)
    gone = 0
    if layout.events.is_dir():
        store = EventStore(layout)
        try:
            gone = store.rewrite(
                lambda table: _unnamed(table.filter(pc.invert(traces.rows(table))), traces.names)
            )
        finally:
            store.close()
    return _counted(request, events=gone)


def _query_log(layout: Layout, request: Erasure) -> Erasure:
    log = load_query_log(layout)
    texts = set(request.texts)
    kept = [entry for entry in log if _plain(entry.query) not in texts]
    if len(kept) < len(log):
        save_query_log(layout, kept)
    return request


def _releases(layout: Layout, request: Erasure) -> Erasure:
    if not Releases(layout).file.exists():
        return _counted(request, release_cells=0)
    return _counted(request, release_cells=Releases(layout).forget(_traces(request).clients))


def _visitors(layout: Layout, request: Erasure) -> Erasure:
    traces = _traces(request)
    store = open_visitors(layout, periods(layout)["visitors"])
    try:
        subjects = [Pseudonym(s) for s in sorted({*traces.clients, *traces.users})]
        gone = store.forget(subjects) if subjects else 0
    finally:
        store.close()
    return _counted(request, visitors=gone)


def _creators(layout: Layout, request: Erasure) -> Erasure:
    """A creator's profile and content in every generation, and the plans they are in."""
    names = _traces(request).names
    if not names:
        return request
    with layout.writing():
        profiles, _ = rewrite_parties(
            layout, "creators", lambda row: not (isinstance(row, Creator) and row.id in names)
        )
        pieces, _ = rewrite_parties(
            layout,
            "content",
            lambda row: not (isinstance(row, Content) and row.creator_id in names),
        )
    planned = CampaignStore(layout).forget(names)
    return _counted(request, creator_profiles=profiles, content=pieces, campaign_pieces=planned)


def _reports(layout: Layout, request: Erasure) -> Erasure:
    """Reports are made from events and can be made again: one that names the person goes."""
    gone = []
    for found in look(layout, _traces(request)):
        if found.found and found.file.split("/")[0] == layout.reports.name:
            (layout.root / found.file).unlink()
            gone.append(found.file)
    return _counted(request, reports=gone)


def _models(layout: Layout, request: Erasure) -> Erasure:
    """Models that learned from stored events, and for a creator all matchers, are retired; the
    newest other one that was live once goes live."""
    retired = []
    creator = bool(_traces(request).names)
    with layout.writing():
        for kind in LEARNED:
            generations = layout.generations(kind)
            for name in generations.names():
                of_creators = creator and kind == "matchers"
                if of_creators or learned_from_events(generations.path(name)):
                    retire_generation(layout, kind, name)
                    retired.append(f"{kind}/{name}")
    return _counted(request, models=[*request.counts.get("models", ()), *retired])


def _index(layout: Layout, request: Erasure) -> Erasure:
    """Completion and spelling learned from the query log: where a generation knows a text that
    went, an index is built again and the former ones go."""
    rebuilt = request.counts.get("index")
    learned = [p for p in layout.index.root.glob("g*/queries/*") if p.is_file()]
    said = [json.dumps(text, ensure_ascii=False).encode() for text in request.texts]
    knowing = any(text in data for data in (p.read_bytes() for p in learned) for text in said)
    if knowing and layout.index.live() and layout.catalog.live():
        build_index(layout)
        rebuilt = layout.index.live()
        with layout.writing():
            layout.index.prune(keep=0)
    return _counted(request, index=rebuilt)


def _creator_names(
    layout: Layout, events: duckdb.DuckDBPyConnection, subjects: Sequence[Pseudonym]
) -> tuple[str, ...]:
    """The ids of a creator with one of these pseudonyms: among all ids that are stored anywhere."""
    watched = events.execute(
        "SELECT DISTINCT creator_id FROM events WHERE creator_id IS NOT NULL"
    ).fetchall()
    known = {name for (name,) in watched}
    for generation in layout.creators.names():
        rows = read_generation(layout, "creators", generation)
        known |= {row.id for row in rows if isinstance(row, Creator)}
    for generation in layout.content.names():
        pieces = read_generation(layout, "content", generation)
        known |= {piece.creator_id for piece in pieces if isinstance(piece, Content)}
    known |= {c.creator_id for c in _collaborations(layout)}
    if not known:
        return ()
    pseudonyms, wanted = Pseudonyms(open_ring(layout)), set(subjects)
    return tuple(sorted(n for n in known if wanted & set(pseudonyms.every(DOMAIN, n))))


def _collaborations(layout: Layout, names: Sequence[str] | None = None) -> list[Collaboration]:
    """Collaborations of these creators; None: of all."""
    if not layout.collaborations.is_file():
        return []
    store = CollaborationStore(layout.collaborations)
    try:
        with store.reading() as books:
            wanted: Sequence[str | None] = (None,) if names is None else names
            return [c for name in wanted for c in books.collaborations(creator=name)]
    finally:
        store.close()


def _unnamed(events: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """Events without the ids of a creator: what viewers did stays theirs."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not names:
        return events
    theirs = pc.is_in(events["creator_id"], value_set=pa.array(names, pa.string()))
    column = pc.if_else(theirs, pa.scalar(None, pa.string()), events["creator_id"])
    place = events.schema.get_field_index("creator_id")
    return events.set_column(place, events.schema.field(place), column)


def learned_from_events(generation: Path) -> bool:
    """Whether a model says in its manifest that it learned from stored events."""
    try:
        manifest = json.loads((generation / "manifest.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    if not isinstance(manifest, dict):
        return False
    return bool(manifest.get("learned_from_events")) or manifest.get("data") == STORED_EVENTS


def _certify(layout: Layout, request: Erasure) -> Erasure:
    """Look into every file; a certificate if the person is nowhere but where the law keeps them."""
    traces = _traces(request)
    looks = list(look(layout, traces))
    left = [f for f in looks if f.found and f.file.split("/")[0] not in KEPT]
    texts = {_plain(entry.query) for entry in load_query_log(layout)} & set(request.texts)
    if left or texts:
        where = ", ".join([f.file for f in left[:5]] + (["queries/log.parquet"] if texts else []))
        raise Conflict(
            f"the person is still found in {where}",
            remedy=f"free or remove it, then: tandem rights resume {request.id}",
        )
    kept: dict[str, int] = {}
    for found in looks:
        top = found.file.split("/")[0]
        if found.found and top in KEPT:
            kept[top] = kept.get(top, 0) + found.found
    finished = _now()
    value = {
        "certificate": "All files of the workspace were searched after the erasure; the person was "
        "found in none but those named under kept.",
        "request": request.id,
        "subject": request.subjects[-1],
        "identifiers": len(traces.all),
        "requested": _iso(request.requested),
        "finished": _iso(finished),
        "erased": dict(request.counts),
        "kept": [{"where": t, "why": KEPT[t], "found": n} for t, n in sorted(kept.items())],
        "totals": "Counts that were already aggregated stay (query log texts of "
        f"{MIN_OTHERS} and more other people, released reports).",
        "files_searched": len(looks),
        "bytes_searched": sum(f.bytes for f in looks),
        "files": [asdict(f) for f in looks],
    }
    path = layout.rights / request.id / "certificate.json"
    write_json_atomic(path, value)
    AuditLog(layout).append(
        os_actor(),
        "rights.erased",
        request=request.id,
        subject=request.subjects[-1],
        certificate=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    request = replace(request, traces=None, texts=(), finished=finished)
    _save(layout, request)
    # A replay has the id of the first time: the moment makes it another one.
    write_atomic(layout.last_erasure, f"{request.id} {finished}\n".encode())
    return request


# --- Helpers --------------------------------------------------------------------------------------


def _rows(
    events: duckdb.DuckDBPyConnection, where: str, parameters: Sequence[Any]
) -> list[dict[str, Any]]:
    found = events.execute(f"SELECT * FROM events WHERE {where}", list(parameters))
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, values, strict=True)) for values in found.fetchall()]


def _with(table: pa.Table, row: Mapping[str, Any]) -> pa.Table:
    """`table` with `row` in the place of the event of the same key, if it is there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    place = pc.index(table["event_key"], row["event_key"]).as_py()
    if place < 0:
        return table
    new = pa.Table.from_pylist([dict(row)], schema=table.schema)
    return pa.concat_tables([table.slice(0, place), new, table.slice(place + 1)])


_FOLDED = "trim(regexp_replace(lower({}), '\\s+', ' ', 'g'))"


@contextmanager
def _events_of_all(layout: Layout) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose view `events` is everything that is stored. A right of the person needs
    no purpose of the shop's: this is the one place that reads without an `EventReader`."""
    import duckdb

    from tandem.storage.events import schema

    with duckdb.connect() as connection:
        if not layout.events.is_dir():
            connection.register("nothing", schema().empty_table())
            connection.execute("CREATE TEMP VIEW events AS SELECT * FROM nothing")
            yield connection
            return
        store = EventStore(layout)
        try:
            with store.reading() as snapshot:
                snapshot.view(connection, "events")
                yield connection
        finally:
            store.close()


def _traces(request: Erasure) -> Traces:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in (request.traces or {}).items()
    }
    return Traces(**values)


def _counted(request: Erasure, **counts: Any) -> Erasure:
    return replace(request, counts={**request.counts, **counts})


def _save(layout: Layout, request: Erasure) -> None:
    path = layout.rights / request.id / "request.json"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json_atomic(path, asdict(request))


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _now() -> int:
    return time.time_ns() // 1000


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1e6, UTC).isoformat()
