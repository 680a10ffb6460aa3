"""Commission of order lines in exact decimals, and the double entries that follow from it. Pure.

The commission of a line is its net amount × rate × share, rounded half to even to the currency's
minor unit, worked out anew from the net amount at every refund: rounding never adds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from tandem.contracts.collaboration import (
    Account,
    AttributedOrder,
    Attribution,
    Collaboration,
    Posting,
)
from tandem.contracts.errors import Conflict, InvalidInput
from tandem.contracts.product import Money
from tandem.ingest.currencies import is_currency, minor_digits


def commission(net: Decimal, rate: int, share: int, currency: str) -> Decimal:
    """`rate` and `share` in basis points; exact to the minor unit of `currency`."""
    if not is_currency(currency):
        raise InvalidInput(
            f"'{currency}' is no currency", field="currency", remedy="use an ISO 4217 code"
        )
    # At most 18 + 10 digits: within the 28 of the default context, so nothing rounds before.
    exact = (net * (rate * share)).scaleb(-8)
    return exact.quantize(Decimal(1).scaleb(-minor_digits(currency)), ROUND_HALF_EVEN)


def attributed(c: Collaboration, order: AttributedOrder, refunded: Decimal) -> Attribution:
    """The attribution of an order line, `refunded` of which went back before.

    Raises InvalidInput for a product outside the collaboration, Conflict for an order outside
    its time.
    """
    if order.product_id not in c.product_ids:
        raise InvalidInput(
            f"product '{order.product_id}' is not part of collaboration {c.id}",
            field="product_id",
            remedy=f"attribute orders of: {', '.join(c.product_ids)}",
        )
    if not any(known.live <= order.ordered for known in c.content):
        raise Conflict(
            f"ordered at {order.ordered}, before content of collaboration {c.id} was live",
            remedy="attribute orders that came after",
        )
    if c.attributable_until is not None and order.ordered >= c.attributable_until:
        raise Conflict(
            f"ordered at {order.ordered}; orders count until {c.attributable_until}",
            remedy="attribute orders that came before",
        )
    rate = c.rate_at(order.ordered)
    currency = order.amount.currency
    net = order.amount.amount - refunded
    return Attribution(
        order_line=order.order_line,
        collaboration_id=c.id,
        merchant_id=c.merchant_id,
        creator_id=c.creator_id,
        product_id=order.product_id,
        ordered=order.ordered,
        amount=order.amount,
        refunded=Money(amount=refunded, currency=currency),
        share=order.share,
        commission_rate=rate,
        commission=Money(amount=commission(net, rate, order.share, currency), currency=currency),
        settled=Money(amount=Decimal(0), currency=currency),
        frozen=c.dispute is not None,
        matures=order.ordered + timedelta(days=c.terms.settle_days),
    )


def refunded(a: Attribution, amount: Money) -> Attribution:
    """After one more refund. Raises InvalidInput when more goes back than was paid."""
    if amount.currency != a.amount.currency:
        raise InvalidInput(
            f"refunded in {amount.currency}, ordered in {a.amount.currency}",
            field="currency",
            remedy="refund in the currency of the order",
        )
    total = a.refunded.amount + amount.amount
    if total > a.amount.amount:
        raise InvalidInput(
            f"refunds of {total} on an order line of {a.amount.amount} {a.amount.currency}",
            field="amount",
            remedy=f"refund {a.amount.amount - a.refunded.amount} or less",
        )
    return _valued(_changed(a, refunded=_money(a, total)))


def frozen(a: Attribution, by_dispute: bool) -> Attribution:
    return _changed(a, frozen=by_dispute)


def voided(a: Attribution) -> Attribution:
    """What is not settled is not owed: the commission is at most what was settled."""
    return _valued(_changed(a, frozen=False, ceiling=a.settled))


def settled(a: Attribution) -> Attribution:
    return _changed(a, settled=a.commission)


def balances(a: Attribution | None) -> Mapping[Account, Decimal]:
    """Where the money of an attribution stands: debit above zero, credit below, sum zero."""
    if a is None:
        return {}
    open_ = a.commission.amount - a.settled.amount
    return {
        "expense": a.commission.amount,
        "frozen" if a.frozen else "pending": -open_,
        "settled": -a.settled.amount,
    }


def postings(before: Attribution | None, after: Attribution) -> list[Posting]:
    """The double entry that leads from one state to the next; empty if no money moved."""
    old, new = balances(before), balances(after)
    names: tuple[Account, ...] = ("expense", "pending", "frozen", "settled")
    moved = {n: new.get(n, Decimal(0)) - old.get(n, Decimal(0)) for n in names}
    return [
        Posting(
            account=name,
            collaboration_id=after.collaboration_id,
            order_line=after.order_line,
            currency=after.amount.currency,
            amount=amount,
        )
        for name, amount in moved.items()
        if amount
    ]


def _valued(a: Attribution) -> Attribution:
    currency = a.amount.currency
    net = a.amount.amount - a.refunded.amount
    worth = commission(net, a.commission_rate, a.share, currency)
    if a.ceiling is not None:
        worth = min(worth, a.ceiling.amount)
    return _changed(a, commission=_money(a, worth))


def _changed(a: Attribution, **changes: Any) -> Attribution:
    return a.model_copy(update=changes)


def _money(a: Attribution, amount: Decimal) -> Money:
    return Money(amount=amount, currency=a.amount.currency)
