"""Where parties act: every change checked, written once, audited and durable when it returns.

One call is one transaction: what it decides on cannot change while it decides. A repeated call
with the same idempotency key gets the first answer again and changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter

from tandem.collaboration import commission
from tandem.collaboration.lifecycle import applied, check_live, check_party, opened
from tandem.contracts.collaboration import (
    WHOLE,
    Action,
    Apply,
    AttributedOrder,
    Attribution,
    AuditEntry,
    Collaboration,
    Expire,
    Invite,
    OpenDispute,
    Party,
    Refund,
    ResolveDispute,
    Settle,
    Settlement,
    SettlementLine,
    Total,
)
from tandem.contracts.errors import Conflict, InvalidInput, NotFound, TandemError
from tandem.storage.collaborations import Balance, Books, CollaborationStore

T = TypeVar("T")
GENESIS = "0" * 64
SWEEP = 1_000
MAX_KEY = 128
AHEAD = timedelta(minutes=5)
"""How far clocks of shops may be ahead, as for events."""

_ONE = TypeAdapter(Collaboration)
_MANY = TypeAdapter(tuple[Attribution, ...])
_PAID = TypeAdapter(Settlement | None)


@dataclass(frozen=True, slots=True)
class OutreachPolicy:
    """How much unasked approach is no spam yet.

    invitations_per_day, applications_per_day: of one party, in any 24 hours.
    pause_days: after a declined approach, before the same party may ask the other one again; an
        approach that waits for its answer always stands in the way of a second one.
    approaches_in_pause: of one party to the same other one in any `pause_days` that did not come
        to an agreement: who takes an invitation back may send a better one, and not many.
    """

    invitations_per_day: int = 100
    applications_per_day: int = 50
    pause_days: int = 14
    approaches_in_pause: int = 3


class Desk:
    """The collaborations in `store`. Safe for many threads; several processes may have one each.

    clock: aware datetimes in UTC. new_id: unique ids for collaborations and settlements. admit:
    asked of every new approach; raises a TandemError where it may not be made.
    """

    def __init__(
        self,
        store: CollaborationStore,
        policy: OutreachPolicy | None = None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        admit: Callable[[Party, Invite | Apply], None] = lambda *_: None,
    ) -> None:
        self.store = store
        self.policy = policy or OutreachPolicy()
        self.clock = clock
        self._new_id = new_id
        self._admit = admit

    # --- Life cycle ---------------------------------------------------------------------------

    def open(self, party: Party, opening: Invite | Apply, key: str | None = None) -> Collaboration:
        """Invite or apply. Conflict beyond the outreach policy, and what `admit` raises."""
        if not self._answered(party, key):
            opened("-", party, opening, self.clock())  # who may not ask at all is told so first
            self._admit(party, opening)  # may take its time, and nobody waits for it

        def work(books: Books) -> Collaboration:
            now = self.clock()
            c = opened(self._new_id(), party, opening, now)
            self._check_outreach(books, c, now)
            _audit(books, now, party, c.id, opening)
            books.put(c)
            return c

        return self._once(party, key, opening, None, _ONE, work)

    def act(
        self, party: Party, collaboration_id: str, action: Action, key: str | None = None
    ) -> Collaboration:
        """Take one action. NotFound for outsiders, Conflict when it is not possible now."""

        def work(books: Books) -> Collaboration:
            return self._act(books, party, collaboration_id, action, self.clock())

        return self._once(party, key, action, collaboration_id, _ONE, work)

    def expire_overdue(self, party: Party) -> list[Collaboration]:
        """Expire everything whose deadline has passed; each in a transaction of its own."""
        _for_platform(party)
        expired: list[Collaboration] = []
        while True:
            now = self.clock()
            with self.store.reading() as books:
                overdue = books.overdue(now, SWEEP)
            before = len(expired)
            for id_ in overdue:
                try:
                    with self.store.writing() as books:
                        expired.append(self._act(books, party, id_, Expire(), now))
                except Conflict:
                    continue  # somebody else expired it, or got an extension, meanwhile
            if len(expired) == before:
                return expired

    def _act(
        self, books: Books, party: Party, id_: str, action: Action, now: datetime
    ) -> Collaboration:
        before = books.collaboration(id_)
        after = applied(before, party, action, now)
        check_live(before, action)
        sequence = _audit(books, now, party, id_, action)
        books.put(after)
        if isinstance(action, OpenDispute | ResolveDispute):
            for attribution in books.attributions(collaboration=id_):
                _move(books, sequence, attribution, touched(attribution, action))
        return after

    def _check_outreach(self, books: Books, c: Collaboration, now: datetime) -> None:
        target = c.kind == "target"
        limit = self.policy.invitations_per_day if target else self.policy.applications_per_day
        sender = c.merchant_id if target else c.creator_id
        if books.begun(c.kind, sender, now - timedelta(days=1)) >= limit:
            raise Conflict(
                f"{limit} {'invitations' if target else 'applications'} in 24 hours are the most",
                remedy="wait until the oldest of them is a day old, and choose with care",
            )
        pause = timedelta(days=self.policy.pause_days)
        known = books.approaches(c.kind, c.merchant_id, c.creator_id, now - pause)
        # What was never answered in time is over, whether or not anybody has swept it away.
        waits = [k for k in known if k.status == c.status and now < k.respond_by]
        declined = [k for k in known if k.status == "DECLINED" and k.updated > now - pause]
        if stands := [*waits, *declined]:
            raise Conflict(
                f"an earlier approach to the same party is {stands[0].status}",
                remedy=f"wait for the answer, or {self.policy.pause_days} days after a no",
            )
        vain = sum(k.created > now - pause and k.rate_locked_until is None for k in known)
        if vain >= self.policy.approaches_in_pause:
            raise Conflict(
                f"{self.policy.approaches_in_pause} approaches to the same party in "
                f"{self.policy.pause_days} days that came to nothing are the most",
                remedy="wait until the oldest of them is so many days old",
            )

    # --- Money --------------------------------------------------------------------------------

    def attribute(
        self,
        party: Party,
        collaboration_id: str,
        orders: Sequence[AttributedOrder],
        key: str | None = None,
    ) -> tuple[Attribution, ...]:
        """Attribute order lines, all or none of them.

        A line that is attributed already, in the same way, stays as it is. Conflict when it was
        attributed differently, or when its shares would sum to more than the whole.
        """
        _for_platform(party)

        def work(books: Books) -> tuple[Attribution, ...]:
            c, now = books.collaboration(collaboration_id), self.clock()
            return tuple(_attribute(books, party, c, order, now) for order in orders)

        request = _Orders(orders=tuple(orders))
        return self._once(party, key, request, collaboration_id, _MANY, work)

    def refund(self, party: Party, refund: Refund) -> tuple[Attribution, ...]:
        """Take commission back for money that went back to the shopper.

        The refund's own id makes it idempotent. Returns the line's attributions as they are now.
        """
        _for_platform(party)
        with self.store.writing() as books:
            return _refund(books, party, refund, self.clock())

    def attribute_each(
        self, party: Party, rows: Sequence[tuple[str, AttributedOrder]]
    ) -> list[Attribution | TandemError]:
        """Attribute (collaboration id, order) rows in one transaction, each by itself.

        A row that is refused leaves its error in its place and the others stand.
        """
        _for_platform(party)
        with self.store.writing() as books:
            now = self.clock()
            known: dict[str, Collaboration] = {}

            def collaboration(id_: str) -> Collaboration:
                if id_ not in known:
                    known[id_] = books.collaboration(id_)
                return known[id_]

            # Everything is checked before anything is written, so a refusal leaves no trace.
            return [
                _or_error(
                    lambda id_=id_, order=order: _attribute(  # type: ignore[misc]
                        books, party, collaboration(id_), order, now
                    )
                )
                for id_, order in rows
            ]

    def refund_each(
        self, party: Party, refunds: Sequence[Refund]
    ) -> list[tuple[Attribution, ...] | TandemError]:
        """Refunds in one transaction, each by itself, as `attribute_each`."""
        _for_platform(party)
        with self.store.writing() as books:
            now = self.clock()
            return [
                _or_error(lambda r=r: _refund(books, party, r, now))  # type: ignore[misc]
                for r in refunds
            ]

    def settle(self, party: Party, request: Settle, key: str | None = None) -> Settlement | None:
        """Settle what is due of one merchant to one creator in one currency.

        None when nothing is due, or when corrections for refunds outweigh what is: they wait for
        the next settlement, since a settlement never asks a creator to pay.
        """
        _for_platform(party)

        def work(books: Books) -> Settlement | None:
            return _settle(books, party, request, self._new_id(), self.clock())

        return self._once(party, key, request, None, _PAID, work)

    def settle_due(self, party: Party, merchant: str | None = None) -> list[Settlement]:
        """Settle every pair with something due, each in a transaction of its own."""
        _for_platform(party)
        with self.store.reading() as books:
            pairs = books.due_pairs(self.clock(), merchant)
        done = []
        for merchant_id, creator_id, currency in pairs:
            request = Settle(merchant_id=merchant_id, creator_id=creator_id, currency=currency)
            settlement = self.settle(party, request)
            if settlement is not None:
                done.append(settlement)
        return done

    # --- Reading ------------------------------------------------------------------------------

    def get(self, party: Party, collaboration_id: str) -> Collaboration:
        with self.store.reading() as books:
            return _readable(books, party, collaboration_id)

    def find(
        self, party: Party, *, status: str | None = None, limit: int = 100
    ) -> list[Collaboration]:
        """The party's collaborations (all of them for the platform), newest first."""
        with self.store.reading() as books:
            return books.collaborations(**_own(party), status=status, limit=limit)

    def attributions(
        self, party: Party, collaboration_id: str, limit: int = 1_000
    ) -> list[Attribution]:
        with self.store.reading() as books:
            _readable(books, party, collaboration_id)
            return books.attributions(collaboration=collaboration_id, limit=limit)

    def settlements(self, party: Party, limit: int = 100) -> list[Settlement]:
        with self.store.reading() as books:
            return books.settlements(**_own(party), limit=limit)

    def balances(self, party: Party, collaboration_id: str | None = None) -> list[Balance]:
        """Balances of the accounts, of one collaboration or of all that are the party's."""
        with self.store.reading() as books:
            if collaboration_id is not None:
                _readable(books, party, collaboration_id)
            return books.balances(**_own(party), collaboration=collaboration_id)

    def history(self, party: Party, collaboration_id: str) -> list[AuditEntry]:
        """What was done in a collaboration, oldest first."""
        with self.store.reading() as books:
            _readable(books, party, collaboration_id)
            return list(books.audit(collaboration_id))

    # --- Once ---------------------------------------------------------------------------------

    def _answered(self, party: Party, key: str | None) -> bool:
        with self.store.reading() as books:
            return key is not None and books.answered(_keeper(party), key) is not None

    def _once(
        self,
        party: Party,
        key: str | None,
        request: BaseModel,
        about: str | None,
        kind: TypeAdapter[T],
        work: Callable[[Books], T],
    ) -> T:
        """`work` in one transaction; with a key that was used before, its first answer."""
        if key is not None and not 0 < len(key) <= MAX_KEY:
            raise InvalidInput(
                "an idempotency key that is empty or too long",
                field="idempotency_key",
                remedy=f"use 1 to {MAX_KEY} characters",
            )
        with self.store.writing() as books:
            if key is None:
                return work(books)
            name = _keeper(party)
            asked = f"{about or ''} {request.model_dump_json()}"
            known = books.answered(name, key)
            if known is None:
                answer = work(books)
                books.answer(name, key, asked, kind.dump_json(answer).decode())
                return answer
            if known[0] != asked:
                raise Conflict(
                    f"idempotency key '{key}' was used for another request",
                    remedy="use a new key for a new request",
                )
            return kind.validate_json(known[1])


def _keeper(party: Party) -> str:
    """Whose idempotency keys they are."""
    return f"{party.role}:{party.id}"


class _Orders(BaseModel):
    """Several orders as one request."""

    action: str = "attribute"
    orders: tuple[AttributedOrder, ...]


def _or_error(work: Callable[[], T]) -> T | TandemError:
    try:
        return work()
    except TandemError as error:
        return error


def touched(a: Attribution, action: Action) -> Attribution:
    """What an action of the life cycle does to an attribution of the collaboration."""
    match action:
        case OpenDispute():
            return commission.frozen(a, True)
        case ResolveDispute(outcome="release"):
            return commission.frozen(a, False)
        case ResolveDispute():
            return commission.voided(a)
    return a


def _attribute(
    books: Books, party: Party, c: Collaboration, order: AttributedOrder, now: datetime
) -> Attribution:
    siblings = books.attributions(order_line=order.order_line)
    for known in siblings:
        if known.amount != order.amount or known.ordered != order.ordered:
            raise Conflict(
                f"order line {order.order_line} was attributed with another amount or time",
                remedy="send every share of a line with the line's own amount and time",
            )
        if (known.product_id, known.merchant_id) != (order.product_id, c.merchant_id):
            raise Conflict(
                f"order line {order.order_line} was attributed for another product or merchant",
                remedy="give every line an id of its own",
            )
        if known.collaboration_id == c.id:
            if known.share != order.share:
                raise Conflict(
                    f"order line {order.order_line} is attributed to {c.id} already",
                    remedy="attributions cannot be changed; refund and correct by hand",
                )
            return known
    if sum(known.share for known in siblings) + order.share > WHOLE:
        raise Conflict(
            f"shares of order line {order.order_line} would sum to more than the whole",
            remedy="attribute the line once, or in shares that sum to 10000 at most",
        )
    if order.ordered > max(now, c.updated) + AHEAD:
        raise InvalidInput(
            f"ordered at {order.ordered}, which is still to come",
            field="ordered",
            remedy="report an order once it was placed, with its offset from UTC",
        )
    gone = siblings[0].refunded.amount if siblings else Decimal(0)
    new = commission.attributed(c, order, gone)
    if c.attributable_until is not None and books.lost_dispute(c.id):
        raise Conflict(
            f"a dispute about collaboration {c.id} ended in a refund: nothing more is owed",
            remedy="leave the order out",
        )
    sequence = _audit(books, now, party, c.id, order)
    _move(books, sequence, None, new)
    return new


def _refund(books: Books, party: Party, refund: Refund, now: datetime) -> tuple[Attribution, ...]:
    lines = books.attributions(order_line=refund.order_line)
    counted = books.refunded(refund.refund_id)
    if counted is not None:
        if counted != refund:
            raise Conflict(
                f"refund '{refund.refund_id}' was counted for another order line or amount",
                remedy="use one id for one refund",
            )
        return tuple(lines)
    if not lines:
        raise NotFound(
            f"order line {refund.order_line} is not attributed to any collaboration",
            remedy="attribute the order first, or leave the refund out",
        )
    after = [commission.refunded(a, refund.amount) for a in lines]
    sequence = _audit(books, now, party, None, refund)
    books.put_refund(refund.refund_id, refund.order_line, sequence)
    for old, new in zip(lines, after, strict=True):
        _move(books, sequence, old, new)
    return tuple(after)


def _settle(
    books: Books, party: Party, request: Settle, id_: str, now: datetime
) -> Settlement | None:
    due = books.due(request.merchant_id, request.creator_id, request.currency, now)
    lines = tuple(
        SettlementLine(
            order_line=a.order_line,
            collaboration_id=a.collaboration_id,
            amount=a.commission.amount - a.settled.amount,
        )
        for a in due
    )
    total = sum((line.amount for line in lines), Decimal(0))
    if not lines or total < 0:
        return None
    settlement = Settlement(
        id=id_,
        merchant_id=request.merchant_id,
        creator_id=request.creator_id,
        amount=Total(amount=total, currency=request.currency),
        lines=lines,
        settled=now,
    )
    sequence = _audit(books, now, party, None, request)
    books.put_settlement(settlement, sequence)
    for attribution in due:
        _move(books, sequence, attribution, commission.settled(attribution))
    return settlement


def _move(books: Books, sequence: int, before: Attribution | None, after: Attribution) -> None:
    """Store an attribution's new state together with the double entry that leads to it."""
    if before == after:
        return
    books.put_attribution(after)
    legs = commission.postings(before, after)
    if legs:
        books.post(sequence, legs)


def _audit(
    books: Books, now: datetime, party: Party, collaboration: str | None, action: BaseModel
) -> int:
    last = books.last_audit()
    entry = AuditEntry(
        sequence=last.sequence + 1 if last else 1,
        at=now,
        party=party,
        collaboration_id=collaboration,
        action=action.model_dump(mode="json"),
        digest="",
    )
    digest = chained(last.digest if last else GENESIS, entry)
    books.put_audit(entry.model_copy(update={"digest": digest}))
    return entry.sequence


def chained(previous: str, entry: AuditEntry) -> str:
    """SHA-256 over the digest before and everything that the entry says."""
    body = entry.model_dump(mode="json", exclude={"digest"})
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(f"{previous}{text}".encode()).hexdigest()


def _readable(books: Books, party: Party, id_: str) -> Collaboration:
    c = books.collaboration(id_)
    check_party(c, party)
    return c


def _own(party: Party) -> dict[str, str]:
    return {} if party.role == "platform" else {party.role: party.id}


def _for_platform(party: Party) -> None:
    if party.role != "platform":
        raise Conflict(
            f"a {party.role} cannot move money", remedy="orders and settlements are the platform's"
        )
