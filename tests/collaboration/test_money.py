"""Money: exact, counted once, never lost. Expectations are worked out in fractions, apart."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis.strategies as st
import pytest
from deals import (
    CREATOR,
    LABEL,
    MERCHANT,
    PLATFORM,
    Clock,
    invitation,
    line,
    live,
    make_desk,
    order,
)
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tandem.collaboration.commission import commission
from tandem.collaboration.desk import Desk, OutreachPolicy
from tandem.collaboration.verify import verify
from tandem.contracts.collaboration import (
    Accept,
    AuditEntry,
    ChangeRate,
    End,
    OpenDispute,
    Party,
    Publish,
    Refund,
    ResolveDispute,
    Settle,
    Terms,
    Total,
)
from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.contracts.product import Money

EUR = Settle(merchant_id=MERCHANT.id, creator_id=CREATOR.id, currency="EUR")
DIGITS = {"EUR": 2, "JPY": 0, "KWD": 3}
CURRENCIES = {1: "EUR", 2: "EUR", 3: "EUR", 4: "JPY", 5: "JPY", 6: "KWD"}  # by order line


def refund(id_: str, number: int, amount: str, currency: str = "EUR") -> Refund:
    return Refund(
        refund_id=id_,
        order_line=line(number),
        amount=Money(amount=Decimal(amount), currency=currency),
    )


def balance(
    desk: Desk, collaboration: str | None = None, currency: str = "EUR"
) -> dict[str, Decimal]:
    found = desk.balances(PLATFORM, collaboration)
    return {b.account: b.amount for b in found if b.currency == currency}


def in_fractions(net: Decimal, rate: int, share: int, digits: int) -> Decimal:
    """The commission by another way: `round` of a Fraction is half to even."""
    cents = round(Fraction(net) * rate * share * 10**digits / 10**8)
    return Decimal(cents).scaleb(-digits)


@given(
    net=st.decimals(0, 10**13, places=4),
    rate=st.integers(0, 10_000),
    share=st.integers(1, 10_000),
    currency=st.sampled_from(sorted(DIGITS)),
)
def test_commission_is_exact(net, rate, share, currency):
    expected = in_fractions(net, rate, share, DIGITS[currency])
    assert commission(net, rate, share, currency) == expected


def test_from_order_to_settlement(desk: Desk, clock: Clock):
    c = live(desk, Terms(settle_days=14), rate=1500)
    desk.attribute(PLATFORM, c.id, [order(1, "20.00"), order(2, "9.99")])
    assert balance(desk) == {"expense": Decimal("4.50"), "pending": Decimal("-4.50")}
    assert desk.settle(PLATFORM, EUR) is None  # the return window is open
    desk.refund(PLATFORM, refund("r1", 1, "5.00"))
    assert balance(desk)["expense"] == Decimal("3.75")
    clock.pass_days(14)
    settlement = desk.settle(PLATFORM, EUR)
    assert settlement is not None
    assert settlement.amount == Total(amount=Decimal("3.75"), currency="EUR")
    assert balance(desk) == {"expense": Decimal("3.75"), "pending": 0, "settled": Decimal("-3.75")}
    assert [a.status for a in desk.attributions(CREATOR, c.id)] == ["SETTLED", "SETTLED"]
    assert desk.settle(PLATFORM, EUR) is None
    assert desk.settlements(CREATOR) == [settlement]


def test_a_refund_after_settlement_is_taken_from_the_next_one(desk: Desk, clock: Clock):
    c = live(desk, rate=1000)
    desk.attribute(PLATFORM, c.id, [order(1, "100.00")])
    clock.pass_days(14)
    assert desk.settle(PLATFORM, EUR)
    desk.refund(PLATFORM, refund("r1", 1, "100.00"))
    assert desk.settle(PLATFORM, EUR) is None  # a settlement never asks a creator to pay
    desk.attribute(PLATFORM, c.id, [order(2, "250.00", ordered=clock.now)])
    clock.pass_days(14)
    second = desk.settle(PLATFORM, EUR)
    assert second is not None
    assert second.amount.amount == Decimal("15.00")
    assert sorted(x.amount for x in second.lines) == [Decimal("-10.00"), Decimal("25.00")]
    assert balance(desk) == {"expense": 25, "pending": 0, "settled": -25}
    assert verify(desk.store).sound


def test_a_refund_counts_once_and_never_beyond_the_price(desk: Desk):
    c = live(desk)
    desk.attribute(PLATFORM, c.id, [order(1, "20.00")])
    once = desk.refund(PLATFORM, refund("r1", 1, "12.00"))
    assert desk.refund(PLATFORM, refund("r1", 1, "12.00")) == once
    with pytest.raises(InvalidInput, match=r"refund 8\.00 or less"):
        desk.refund(PLATFORM, refund("r2", 1, "8.01"))
    with pytest.raises(InvalidInput, match="currency"):
        desk.refund(PLATFORM, refund("r3", 1, "1", "USD"))
    with pytest.raises(NotFound):
        desk.refund(PLATFORM, refund("r4", 2, "1.00"))
    desk.refund(PLATFORM, refund("r2", 1, "8.00"))
    assert [a.status for a in desk.attributions(MERCHANT, c.id)] == ["REFUNDED"]
    assert balance(desk) == {"expense": 0, "pending": 0}


def test_shares_of_a_line_never_exceed_the_whole(desk: Desk):
    first, second, third = (live(desk) for _ in range(3))
    desk.attribute(PLATFORM, first.id, [order(1, share=4_000)])
    desk.refund(PLATFORM, refund("r", 1, "5.00"))
    # The second one's share is of what is left as well.
    (late,) = desk.attribute(PLATFORM, second.id, [order(1, share=6_000)])
    assert late.commission.amount == Decimal("1.35")
    with pytest.raises(Conflict, match="more than the whole"):
        desk.attribute(PLATFORM, third.id, [order(1, share=1)])
    with pytest.raises(Conflict, match="another amount"):
        desk.attribute(PLATFORM, third.id, [order(1, "21.00", share=1)])
    with pytest.raises(Conflict, match="already"):
        desk.attribute(PLATFORM, first.id, [order(1, share=3_000)])
    with pytest.raises(Conflict, match="another product"):
        desk.attribute(PLATFORM, third.id, [order(1, share=1, product="p2")])


def test_a_line_is_of_one_merchant(desk: Desk):
    """Else two merchants would owe for the same money."""
    desk.attribute(PLATFORM, live(desk).id, [order(1, share=5_000)])
    rival = Party(role="merchant", id="rival")
    c = desk.open(rival, invitation())
    desk.act(CREATOR, c.id, Accept())
    desk.act(CREATOR, c.id, Publish(content_id="v", disclosure=LABEL))
    with pytest.raises(Conflict, match="or merchant"):
        desk.attribute(PLATFORM, c.id, [order(1, share=5_000)])


def test_what_is_reported_after_a_lost_dispute_is_not_owed(desk: Desk, clock: Clock):
    """Placed before, known later: what is owed does not depend on who reported when."""
    c = live(desk)
    desk.attribute(PLATFORM, c.id, [order(1)])
    clock.pass_days(1)
    desk.act(MERCHANT, c.id, OpenDispute(reason="fake orders"))
    desk.attribute(PLATFORM, c.id, [order(2)])
    desk.act(PLATFORM, c.id, ResolveDispute(outcome="refund"))
    with pytest.raises(Conflict, match="nothing more is owed"):
        desk.attribute(PLATFORM, c.id, [order(3)])
    assert len(desk.attribute(PLATFORM, c.id, [order(2)])) == 1  # a repeated report
    assert balance(desk)["expense"] == 0
    assert verify(desk.store).sound


def test_late_orders_do_not_read_all_orders_before(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """Else each of many late orders takes longer than the one before, while nobody else writes."""
    c = live(desk)
    desk.attribute(PLATFORM, c.id, [order(n) for n in range(20)])
    clock.pass_days(1)
    desk.act(MERCHANT, c.id, OpenDispute(reason='says "resolve_dispute" and means no harm'))
    desk.act(PLATFORM, c.id, ResolveDispute(outcome="release"))
    desk.act(MERCHANT, c.id, End())
    read: list[str] = []
    parse = AuditEntry.model_validate_json

    def counted(text: str) -> AuditEntry:
        read.append(text)
        return parse(text)

    monkeypatch.setattr(AuditEntry, "model_validate_json", counted)
    desk.attribute(PLATFORM, c.id, [order(20)])
    assert len(read) <= 2  # what was resolved, and the last entry of all


def test_books_of_the_version_before_know_their_lost_disputes(desk: Desk, clock: Clock):
    c = live(desk)
    desk.act(MERCHANT, c.id, OpenDispute(reason="fake orders"))
    clock.pass_days(1)
    desk.act(PLATFORM, c.id, ResolveDispute(outcome="refund"))
    desk.store.close()
    with contextlib.closing(sqlite3.connect(desk.store.path)) as old:
        old.execute("DROP INDEX resolved_disputes")
        old.execute("PRAGMA user_version=1")
    desk = make_desk(desk.store.path, clock)
    with pytest.raises(Conflict, match="nothing more is owed"):
        desk.attribute(PLATFORM, c.id, [order(1)])
    with desk.store.reading() as books:
        assert books.lost_dispute(c.id)
    desk.store.close()
    with contextlib.closing(sqlite3.connect(desk.store.path)) as new:
        assert ("resolved_disputes",) in new.execute("SELECT name FROM sqlite_master").fetchall()


def test_an_order_that_is_still_to_come_is_refused(desk: Desk, clock: Clock):
    c = live(desk)
    with pytest.raises(InvalidInput, match="still to come"):
        desk.attribute(PLATFORM, c.id, [order(1, ordered=clock.now + timedelta(hours=1))])
    # By any offset, and not because two clocks differ by a minute.
    east = timezone(timedelta(hours=9))
    soon = (clock.now + timedelta(minutes=1)).astimezone(east)
    assert desk.attribute(PLATFORM, c.id, [order(1, ordered=soon)])[0].ordered == clock.now + (
        timedelta(minutes=1)
    )


def test_a_refund_id_is_of_one_amount(desk: Desk):
    c = live(desk)
    desk.attribute(PLATFORM, c.id, [order(1, "20.00")])
    desk.refund(PLATFORM, refund("r", 1, "5.00"))
    with pytest.raises(Conflict, match="amount"):
        desk.refund(PLATFORM, refund("r", 1, "8.00"))
    assert desk.refund(PLATFORM, refund("r", 1, "5"))[0].refunded.amount == Decimal("5.00")


def test_very_large_amounts_add_up(desk: Desk, clock: Clock):
    """Beyond what 64 bits hold in ten-thousandths, together."""
    c = live(desk, rate=10_000)
    most = "99999999999999"
    desk.attribute(PLATFORM, c.id, [order(n, most) for n in range(1, 13)])
    assert balance(desk) == {"expense": 12 * Decimal(most), "pending": -12 * Decimal(most)}
    clock.pass_days(14)
    desk.settle_due(PLATFORM)
    assert balance(desk)["settled"] == -12 * Decimal(most)
    assert verify(desk.store).sound


def test_a_batch_is_taken_whole_or_not_at_all(desk: Desk):
    c = live(desk)
    with pytest.raises(InvalidInput):
        desk.attribute(PLATFORM, c.id, [order(1), order(2, product="p9")])
    assert desk.attributions(PLATFORM, c.id) == []
    desk.attribute(PLATFORM, c.id, [order(1), order(1), order(2)])
    desk.attribute(PLATFORM, c.id, [order(1), order(3)])
    assert len(desk.attributions(PLATFORM, c.id)) == 3


@pytest.mark.parametrize(
    ("outcome", "owed"), [("release", Decimal("6.00")), ("refund", Decimal("3.00"))]
)
def test_a_dispute_freezes_what_is_not_settled(desk: Desk, clock: Clock, outcome, owed):
    c = live(desk, rate=1500)
    desk.attribute(PLATFORM, c.id, [order(1, "20.00")])
    clock.pass_days(14)
    desk.settle(PLATFORM, EUR)
    desk.attribute(PLATFORM, c.id, [order(2, "20.00", ordered=clock.now)])
    desk.act(MERCHANT, c.id, OpenDispute(reason="fake orders"))
    assert balance(desk)["frozen"] == Decimal("-3.00")
    clock.pass_days(20)
    assert desk.settle(PLATFORM, EUR) is None
    after = desk.act(PLATFORM, c.id, ResolveDispute(outcome=outcome))
    desk.settle(PLATFORM, EUR)
    assert balance(desk) == {"expense": owed, "pending": 0, "frozen": 0, "settled": -owed}
    assert after.status == ("CONTENT_LIVE" if outcome == "release" else "ENDED")
    assert verify(desk.store).sound


def test_an_unknown_currency_is_refused(desk: Desk):
    c = live(desk)
    with pytest.raises(InvalidInput, match="currency"):
        desk.attribute(PLATFORM, c.id, [order(1, currency="XXQ")])


def test_tampering_is_refused_or_found(tmp_path: Path, clock: Clock):
    path = tmp_path / "c.sqlite"
    desk = make_desk(path, clock)
    c = live(desk)
    desk.attribute(PLATFORM, c.id, [order(1)])
    assert verify(desk.store).sound
    raw = sqlite3.connect(path)
    for change in ("DELETE FROM audit", "DELETE FROM postings", "UPDATE postings SET amount = 0"):
        with pytest.raises(sqlite3.IntegrityError, match="only be added"):
            raw.execute(change)
    raw.rollback()
    changes = (
        ("audit", "UPDATE audit SET entry = replace(entry, 'mia', 'eve')", "was changed"),
        ("audit", "DELETE FROM audit WHERE sequence = 2", "is missing"),
        ("postings", "UPDATE postings SET amount = amount + 1 WHERE account = 'expense'", "legs"),
        ("postings", "UPDATE postings SET amount = amount * 2", "ledger"),
    )
    for table, change, finding in changes:
        copy = tmp_path / "copy.sqlite"
        copy.unlink(missing_ok=True)
        forged = sqlite3.connect(copy)
        raw.backup(forged)
        for verb in ("update", "delete"):
            forged.execute(f"DROP TRIGGER {table}_no_{verb}")
        forged.execute(change)
        forged.commit()
        forged.close()
        assert any(finding in f for f in verify(make_desk(copy, clock).store).findings)


class Books(RuleBasedStateMachine):
    """Anything in any order, with a plain model beside it that knows no ledger. Lines 1 to 3 are in
    euro, 4 and 5 in yen (no decimals), 6 in dinar (three). The clock may go backwards."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.clock = Clock()
        policy = OutreachPolicy(invitations_per_day=10_000, pause_days=0)
        self.desk = make_desk(Path(self.folder.name) / "c.sqlite", self.clock, policy)
        self.live: list[str] = []
        self.lost: set[str] = set()
        self.amounts: dict[int, Decimal] = {}
        self.ordered: dict[int, datetime] = {}
        self.refunds: dict[int, Decimal] = defaultdict(Decimal)
        # (line, collaboration) → rate, share, and the most it can be worth.
        self.credited: dict[tuple[int, str], list[int]] = {}
        self.ceiling: dict[tuple[int, str], Decimal] = {}
        self.statements: dict[str, list[Decimal]] = defaultdict(list)
        self.settled: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
        self.tried = 0

    def expected(self, key: tuple[int, str]) -> Decimal:
        rate, share = self.credited[key]
        digits = DIGITS[CURRENCIES[key[0]]]
        worth = in_fractions(self.amounts[key[0]] - self.refunds[key[0]], rate, share, digits)
        return min(worth, self.ceiling.get(key, worth))

    @rule(rate=st.sampled_from([0, 333, 1500, 10_000]), sample=st.booleans())
    def collaborate(self, rate: int, sample: bool) -> None:
        c = self.desk.open(MERCHANT, invitation(Terms(rate_lock_days=3, settle_days=5), rate))
        self.desk.act(CREATOR, c.id, Accept())
        self.desk.act(CREATOR, c.id, Publish(content_id=c.id, disclosure=LABEL))
        self.live.append(c.id)

    @rule(
        which=st.integers(0, 3),
        number=st.integers(1, 6),
        units=st.integers(1, 99_999) | st.integers(10**13, 10**13 + 9),
        share=st.sampled_from([1, 3_333, 5_000, 10_000]),
        ago=st.sampled_from([0, 0, 1, 3, -1]),
        again=st.booleans(),
    )
    def attribute(
        self, which: int, number: int, units: int, share: int, ago: int, again: bool
    ) -> None:
        if not self.live:
            return
        id_ = self.live[which % len(self.live)]
        currency = CURRENCIES[number]
        new = Decimal(units).scaleb(-DIGITS[currency])
        amount = self.amounts.get(number, new)
        ordered = self.ordered.get(number, self.clock.now - timedelta(days=ago))
        item = order(number, str(amount), ordered=ordered, share=share, currency=currency)
        c = self.desk.get(PLATFORM, id_)
        self.tried += 1
        try:
            for _ in range(1 + again):
                self.desk.attribute(PLATFORM, id_, [item], f"a{self.tried}")
        except (Conflict, InvalidInput):
            return
        assert ordered <= max(self.clock.now, c.updated)  # nothing that is still to come
        assert (number, id_) in self.credited or id_ not in self.lost
        self.amounts[number], self.ordered[number] = amount, ordered
        self.credited.setdefault((number, id_), [c.rate_at(ordered), share])

    @rule(number=st.integers(1, 6), part=st.integers(1, 100), again=st.booleans())
    def refund(self, number: int, part: int, again: bool) -> None:
        if number not in self.amounts:
            return
        currency = CURRENCIES[number]
        left = self.amounts[number] - self.refunds[number]
        amount = (left * part / 100).quantize(Decimal(1).scaleb(-DIGITS[currency]))
        self.tried += 1
        item = refund(f"r{self.tried}", number, str(amount), currency)
        for _ in range(1 + again):
            self.desk.refund(PLATFORM, item)
        self.refunds[number] += amount
        other = refund(f"r{self.tried}", number, str(amount + 1), currency)
        with pytest.raises(Conflict, match="another order line or amount"):
            self.desk.refund(PLATFORM, other)

    @rule(which=st.integers(0, 3), action=st.sampled_from(["dispute", "release", "refund", "end"]))
    def interfere(self, which: int, action: str) -> None:
        if not self.live:
            return
        id_ = self.live[which % len(self.live)]
        try:
            if action == "dispute":
                self.desk.act(CREATOR, id_, OpenDispute(reason="?"))
            elif action == "end":
                self.desk.act(MERCHANT, id_, End())
            else:
                self.desk.act(PLATFORM, id_, ResolveDispute(outcome=action))
        except Conflict:
            return
        if action == "refund":
            self.lost.add(id_)
            for key in [k for k in self.credited if k[1] == id_]:
                self.ceiling[key] = min(self.settled[key], self.ceiling.get(key, Decimal(10**20)))

    @rule(which=st.integers(0, 3), rate=st.integers(0, 10_000))
    def change_rate(self, which: int, rate: int) -> None:
        if self.live:
            try:
                id_ = self.live[which % len(self.live)]
                self.desk.act(MERCHANT, id_, ChangeRate(commission_rate=rate))
            except (Conflict, InvalidInput):
                return

    @rule(days=st.integers(-2, 6))
    def wait(self, days: int) -> None:
        self.clock.pass_days(days)

    @rule(again=st.booleans(), currency=st.sampled_from(sorted(DIGITS)))
    def settle(self, again: bool, currency: str) -> None:
        self.tried += 1
        request = EUR.model_copy(update={"currency": currency})
        for turn in range(1 + again):
            settlement = self.desk.settle(PLATFORM, request, f"s{self.tried}")
            if settlement is not None and turn == 0:
                assert settlement.amount.amount >= 0
                self.statements[currency].append(settlement.amount.amount)
                for entry in settlement.lines:
                    key = (int(entry.order_line, 16), entry.collaboration_id)
                    self.settled[key] += entry.amount
                    assert self.settled[key] == self.expected(key)

    @invariant()
    def money_is_all_there_and_counted_once(self) -> None:
        for currency in DIGITS:
            keys = [key for key in self.credited if CURRENCIES[key[0]] == currency]
            owed = sum((self.expected(key) for key in keys), Decimal(0))
            found = balance(self.desk, currency=currency)
            assert found.get("expense", 0) == owed
            paid = sum(self.statements[currency], Decimal(0))
            assert -found.get("settled", Decimal(0)) == paid
            assert sum(found.values(), Decimal(0)) == 0

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            assert verify(self.desk.store).findings == ()
            self.desk.store.close()
            self.folder.cleanup()


TestBooks = Books.TestCase
TestBooks.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
