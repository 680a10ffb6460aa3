"""Proof that the books are right: everything is worked out anew and compared with what is stored.

The audit log alone is replayed through the same pure rules; the states, the ledger's balances and
the settlements that follow from it have to be the stored ones, to the last cent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter

from tandem.collaboration import commission
from tandem.collaboration.desk import GENESIS, chained, touched
from tandem.collaboration.lifecycle import applied, opened
from tandem.contracts.collaboration import (
    Action,
    AttributedOrder,
    Attribution,
    AuditEntry,
    Collaboration,
    Opening,
    Refund,
    Settle,
)
from tandem.contracts.errors import TandemError
from tandem.storage.collaborations import Books, CollaborationStore

_ACTION: TypeAdapter[Any] = TypeAdapter(Opening | Action | AttributedOrder | Refund | Settle)


@dataclass(frozen=True, slots=True)
class Verification:
    """`findings` is empty when every check held; else each says what is wrong and where."""

    entries: int
    collaborations: int
    order_lines: int
    settlements: int
    findings: tuple[str, ...]

    @property
    def sound(self) -> bool:
        return not self.findings


def verify(store: CollaborationStore) -> Verification:
    """Check the whole file, in one consistent state. Memory grows with what is in it."""
    with store.reading() as books:
        entries = list(books.audit())
        collaborations = {c.id: c for c in books.collaborations()}
        attributions = {(a.order_line, a.collaboration_id): a for a in books.attributions()}
        findings = [
            *_chain(entries),
            *(f"entry {n}: its legs do not sum to zero" for n in books.unbalanced()),
            *_ledger(books, attributions),
            *_shares(attributions.values()),
            *_replayed(entries, collaborations, attributions),
        ]
        settlements = books.settlements()
    for s in settlements:
        if sum(line.amount for line in s.lines) != s.amount.amount:
            findings.append(f"settlement {s.id}: its lines do not sum to its amount")
    by_line: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for s in settlements:
        for line in s.lines:
            by_line[line.order_line, line.collaboration_id] += line.amount
    for key, a in attributions.items():
        if by_line.pop(key, Decimal(0)) != a.settled.amount:
            findings.append(f"order line {key[0]}: settlements and its settled amount differ")
    findings += [f"order line {line}: settled, but not attributed" for line, _ in by_line]
    return Verification(
        len(entries), len(collaborations), len(attributions), len(settlements), tuple(findings)
    )


def _chain(entries: Iterable[AuditEntry]) -> Iterable[str]:
    previous = GENESIS
    for number, entry in enumerate(entries, start=1):
        if entry.sequence != number:
            yield f"audit entry {number} is missing"
            return
        if chained(previous, entry) != entry.digest:
            yield f"audit entry {number} was changed"
            return
        previous = entry.digest


def _ledger(books: Books, attributions: dict[tuple[str, str], Attribution]) -> Iterable[str]:
    posted: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(dict)
    for collaboration, line, account, amount in books.line_balances():
        if amount:
            posted[line, collaboration][account] = amount
    for key in attributions.keys() | posted.keys():
        a = attributions.get(key)
        owed = {n: v for n, v in commission.balances(a).items() if v}
        if posted.get(key, {}) != owed:
            yield f"order line {key[0]} in {key[1]}: the ledger says {posted.get(key)}, not {owed}"


def _shares(attributions: Iterable[Attribution]) -> Iterable[str]:
    shares: dict[str, int] = defaultdict(int)
    for a in attributions:
        shares[a.order_line] += a.share
    return (f"order line {line}: {n} of 10000 shared" for line, n in shares.items() if n > 10_000)


def _replayed(
    entries: Iterable[AuditEntry],
    collaborations: dict[str, Collaboration],
    attributions: dict[tuple[str, str], Attribution],
) -> Iterable[str]:
    replay = _Replay()
    for entry in entries:
        try:
            replay.take(entry)
        except (TandemError, KeyError, ValueError) as error:
            yield f"audit entry {entry.sequence} cannot be replayed: {error}"
            return
    for id_ in replay.collaborations.keys() | collaborations.keys():
        if replay.collaborations.get(id_) != collaborations.get(id_):
            yield f"collaboration {id_} is not what its history leads to"
    for key in replay.attributions.keys() | attributions.keys():
        if replay.attributions.get(key) != attributions.get(key):
            yield f"order line {key[0]} in {key[1]} is not what its history leads to"


class _Replay:
    """State that follows from audit entries alone. Keys are (order line, collaboration)."""

    def __init__(self) -> None:
        self.collaborations: dict[str, Collaboration] = {}
        self.attributions: dict[tuple[str, str], Attribution] = {}
        # Keys of attributions by order line, by collaboration, and by who owes whom what.
        self._keys: dict[object, list[tuple[str, str]]] = defaultdict(list)

    def take(self, entry: AuditEntry) -> None:
        action, id_ = _ACTION.validate_python(entry.action), entry.collaboration_id
        if isinstance(action, Refund):
            self._change(action.order_line, lambda a: commission.refunded(a, action.amount))
        elif isinstance(action, Settle):
            owed = (action.merchant_id, action.creator_id, action.currency)
            self._change(owed, lambda a: commission.settled(a) if _is_due(a, entry.at) else a)
        elif id_ is None:
            raise ValueError(f"'{entry.action.get('action')}' names no collaboration")
        elif isinstance(action, AttributedOrder):
            self._attribute(self.collaborations[id_], action)
        elif id_ in self.collaborations:
            before = self.collaborations[id_]
            self.collaborations[id_] = applied(before, entry.party, action, entry.at)
            self._change(id_, lambda a: touched(a, action))
        else:
            self.collaborations[id_] = opened(id_, entry.party, action, entry.at)

    def _change(self, of: object, change: Callable[[Attribution], Attribution]) -> None:
        for key in self._keys[of]:
            self.attributions[key] = change(self.attributions[key])

    def _attribute(self, c: Collaboration, order: AttributedOrder) -> None:
        siblings = [self.attributions[key] for key in self._keys[order.order_line]]
        gone = siblings[0].refunded.amount if siblings else Decimal(0)
        key = (order.order_line, c.id)
        self.attributions[key] = commission.attributed(c, order, gone)
        for of in (order.order_line, c.id, (c.merchant_id, c.creator_id, order.amount.currency)):
            self._keys[of].append(key)


def _is_due(a: Attribution, now: datetime) -> bool:
    return not a.frozen and a.matures <= now and a.commission.amount != a.settled.amount
