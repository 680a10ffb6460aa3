"""Simulated collaborations behind simulated content: invited, accepted, live, paid, some refunded.

Everything goes through the desk, as real parties would do it, at the times of the content: the
books of a simulated alliance are as sound as real ones.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np

from tandem.collaboration.desk import Desk, OutreachPolicy
from tandem.contracts.collaboration import (
    Accept,
    AttributedOrder,
    Decline,
    Disclosure,
    Invite,
    Party,
    Publish,
    Refund,
)
from tandem.contracts.parties import Content, Creator
from tandem.contracts.product import Money, Product
from tandem.flows.collaborate import OPERATOR, OrderNames
from tandem.simulate.creators import END, SimulatedMarket
from tandem.storage.collaborations import CollaborationStore
from tandem.storage.layout import Layout

ID = "sim-k"
"""How the ids of simulated collaborations and settlements begin."""
MOST_ORDERS = 20  # of one piece
_DECLINED, _UNANSWERED, _REFUNDED = 0.1, 0.1, 0.08
_USUAL_RATE = 1_000


def simulate_collaborations(
    layout: Layout, market: SimulatedMarket, collaborations: int, *, seed: int = 7
) -> int:
    """Up to so many, one for each merchant and creator with paid content; how many were made. None
    where the workspace has collaborations already."""
    store = CollaborationStore(layout.collaborations)
    now = [END]
    try:
        with store.reading() as books:
            if books.collaborations(limit=1):
                return 0
        numbers = count(1)
        desk = Desk(
            store,
            OutreachPolicy(invitations_per_day=10**6),
            clock=lambda: now[0],
            new_id=lambda: f"{ID}{next(numbers):06d}",
        )
        made = 0
        for at, _, step in _steps(market, desk, OrderNames(layout), collaborations, seed):
            now[0] = at
            made += step() or 0
        now[0] = END + timedelta(days=1)
        desk.settle_due(OPERATOR)
        return made
    finally:
        store.close()


Step = tuple[datetime, int, Callable[[], int | None]]


def _steps(
    market: SimulatedMarket, desk: Desk, names: OrderNames, collaborations: int, seed: int
) -> Iterator[Step]:
    """What happens, in the order of time, whoever does it."""
    rng = np.random.default_rng([seed, 17])
    products = {p.id: p for p in market.products}
    creators = {c.id: c for c in market.creators}
    queue: list[Step] = []
    pairs: set[tuple[str, str]] = set()
    order = count()
    for piece in market.content:
        product = products[piece.product_ids[0]]
        merchant = product.merchant or product.brand
        pair = (merchant or "", piece.creator_id)
        if not piece.paid or not merchant or "@" in merchant or pair in pairs:
            continue
        if len(pairs) == collaborations:
            break
        pairs.add(pair)
        for at, step in _life(desk, names, merchant.strip(), creators, product, piece, rng):
            heapq.heappush(queue, (at, next(order), step))
    while queue:
        yield heapq.heappop(queue)


def _life(
    desk: Desk,
    names: OrderNames,
    merchant: str,
    creators: dict[str, Creator],
    product: Product,
    piece: Content,
    rng: np.random.Generator,
) -> list[tuple[datetime, Callable[[], int | None]]]:
    """The steps of one collaboration with their times."""
    asking = Party(role="merchant", id=merchant)
    asked = Party(role="creator", id=piece.creator_id)
    rate = creators[piece.creator_id].commission_rate
    live = piece.published.astimezone(UTC)
    id_: list[str] = []

    def invite() -> int:
        opening = Invite(
            creator_id=asked.id,
            product_ids=(product.id,),
            commission_rate=_USUAL_RATE if rate is None else rate,
        )
        id_.append(desk.open(asking, opening).id)
        return 1

    def act(party: Party, action: Any) -> Callable[[], int]:
        def step() -> int:
            desk.act(party, id_[0], action)
            return 0

        return step

    steps: list[tuple[datetime, Callable[[], int | None]]] = [(live - timedelta(days=9), invite)]
    fate = rng.random()
    if fate < _UNANSWERED:
        return steps
    if fate < _UNANSWERED + _DECLINED:
        return [*steps, (live - timedelta(days=8), act(asked, Decline()))]
    publish = Publish(
        content_id=piece.id, caption=piece.caption, disclosure=Disclosure(by="platform_label")
    )
    steps += [(live - timedelta(days=7), act(asked, Accept())), (live, act(asked, publish))]
    if product.price is None:
        return steps
    for number in range(min(piece.orders or 0, MOST_ORDERS)):
        ordered = live + timedelta(hours=float(rng.uniform(0.1, 120)))
        line = names.order_line(f"simulated/{piece.id}/{number}", "1")
        price = product.price

        def attribute(line: str = line, ordered: datetime = ordered, price: Money = price) -> None:
            row = AttributedOrder(
                order_line=line, product_id=product.id, ordered=ordered, amount=price
            )
            desk.attribute(OPERATOR, id_[0], [row])

        if ordered > END:
            continue
        steps.append((ordered + timedelta(hours=1), attribute))
        if rng.random() < _REFUNDED:
            refund = Refund(
                refund_id=names.refund(f"simulated/{piece.id}/{number}"),
                order_line=line,
                amount=price,
            )

            def give_back(refund: Refund = refund) -> None:
                desk.refund(OPERATOR, refund)

            steps.append((ordered + timedelta(days=3), give_back))
    return steps
