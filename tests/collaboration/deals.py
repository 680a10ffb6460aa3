"""A desk on a clock that stands still, and parties that act at it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from tandem.collaboration.desk import Desk, OutreachPolicy
from tandem.contracts.collaboration import (
    Accept,
    AttributedOrder,
    Collaboration,
    Disclosure,
    Invite,
    Party,
    Publish,
    Terms,
)
from tandem.contracts.product import Money
from tandem.storage.collaborations import CollaborationStore

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MERCHANT = Party(role="merchant", id="acme")
CREATOR = Party(role="creator", id="mia")
PLATFORM = Party(role="platform", id="ops")
LABEL = Disclosure(by="platform_label")


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_days(self, days: float) -> None:
        self.now += timedelta(days=days)


def make_desk(path: Path, clock: Clock, policy: OutreachPolicy | None = None) -> Desk:
    numbers = itertools.count(1)
    return Desk(CollaborationStore(path), policy, clock=clock, new_id=lambda: f"id-{next(numbers)}")


def invitation(
    terms: Terms | None = None, rate: int = 1500, products: tuple[str, ...] = ("p1", "p2")
) -> Invite:
    return Invite(
        creator_id=CREATOR.id,
        product_ids=products,
        commission_rate=rate,
        terms=terms or Terms(),
    )


def live(desk: Desk, terms: Terms | None = None, rate: int = 1500) -> Collaboration:
    """A collaboration whose content is live."""
    c = desk.open(MERCHANT, invitation(terms, rate))
    desk.act(CREATOR, c.id, Accept())
    return desk.act(CREATOR, c.id, Publish(content_id=f"v-{c.id}", disclosure=LABEL))


def line(number: int) -> str:
    return f"{number:032x}"


def order(
    number: int,
    amount: str = "20.00",
    *,
    ordered: datetime = START,
    share: int = 10_000,
    currency: str = "EUR",
    product: str = "p1",
) -> AttributedOrder:
    return AttributedOrder(
        order_line=line(number),
        product_id=product,
        ordered=ordered,
        amount=Money(amount=Decimal(amount), currency=currency),
        share=share,
    )
