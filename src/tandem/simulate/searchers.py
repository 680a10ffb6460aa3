"""Simulated shoppers who search a real catalogue: what they type, click and buy.

Queries are kinds of products, a brand's products of a kind, and brands. A few are in fashion and
are asked more and more. Answers are the shop's own, given by whoever calls. A shopper looks at
place k with chance k^-0.8 (position-based model: Richardson, Dominowska & Ragno, WWW 2007), clicks
by the product's appeal, and buys by how its price compares with the others that were shown. Weeks
have a rhythm, and every month is a little busier than the one before.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tandem.contracts.events import AdmittedEvent
from tandem.simulate.creators import SimulatedMarket
from tandem.simulate.viewers import SIMULATED, event_row

FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
QUERIES = 160
SHOWN = 10
LEAST_OF_KIND = 5
VISITS_EACH = 2.5  # of a shopper, on average
GROWTH = 0.25  # more visits on the last day than on the first
WEEK = (0.95, 0.9, 0.9, 0.95, 1.05, 1.2, 1.05)  # Monday first
FASHIONABLE = 0.06  # of queries
_FASHION = 2.5  # times as often on the last day as on the first
_CLICK, _CART, _BUY, _RETURN = 0.35, 0.3, 0.45, 0.06
_DAY = 86_400.0


@dataclass(frozen=True)
class Answer:
    """What the shop shows for a text: rows of the market's products, best first, and how many
    match in all."""

    text: str
    products: Sequence[int]
    total: int


def search_texts(market: SimulatedMarket, *, seed: int = 7) -> list[str]:
    """What shoppers type about these products, the most asked first; at most QUERIES texts."""
    kinds: Counter[str] = Counter()
    brands: Counter[str] = Counter()
    both: Counter[str] = Counter()
    for product in market.products:
        kind = product.category[-1].lower().strip() if product.category else ""
        brand = (product.brand or "").lower().strip()
        kinds[kind] += 1
        brands[brand] += 1
        if kind and brand:
            both[f"{brand} {kind}"] += 1
    for counted in (kinds, brands):
        counted.pop("", None)
    share = {}
    for counted, weight in ((kinds, 1.0), (both, 0.5), (brands, 0.3)):
        for text, number in counted.items():
            if number >= LEAST_OF_KIND:
                share[text] = weight * float(number) ** 0.5
    texts = sorted(share, key=lambda t: (-share[t], t))[:QUERIES]
    rng = np.random.default_rng([seed, 19])
    order = rng.permutation(len(texts))
    # What is asked most is not simply what there is most of.
    return [texts[i] for i in sorted(range(len(texts)), key=lambda i: i + order[i])]


def simulated_searching(
    market: SimulatedMarket,
    answers: Sequence[Answer],
    visits: int,
    client_of: Callable[[int], str],
    *,
    seed: int = 7,
) -> Iterator[AdmittedEvent]:
    """Events of `visits` visits by day: searches, clicks, carts, orders and returns. answers: by
    how often they are asked, most first. client_of: the pseudonym of a shopper's number. Nothing
    where nobody can ask anything."""
    rng = np.random.default_rng([seed, 23])
    if not answers:
        return
    days = round((LAST - FIRST).total_seconds() / _DAY)
    usual = np.arange(1, len(answers) + 1) ** -0.7
    in_fashion = rng.random(len(answers)) < FASHIONABLE
    busy = np.array(
        [
            WEEK[(FIRST.weekday() + day) % 7] * (1 + GROWTH * day / max(days - 1, 1))
            for day in range(days)
        ]
    )
    shoppers = max(1, round(visits / VISITS_EACH))
    shopping = _Shopping(market, rng, seed)
    for day, number in enumerate(rng.multinomial(visits, busy / busy.sum()).tolist()):
        rise = np.where(in_fashion, 1 + (_FASHION - 1) * day / max(days - 1, 1), 1.0)
        share = usual * rise / (usual * rise).sum()
        asked = rng.choice(len(answers), size=number, p=share)
        who = rng.integers(0, shoppers, number)
        begun = np.sort(rng.uniform(0, _DAY - 3_600, number)) + day * _DAY
        for i in range(number):
            client = client_of(int(who[i]))
            yield from shopping.visit(client, answers[int(asked[i])], float(begun[i]))


class _Shopping:
    """Visits, one after the other, each with a number of its own."""

    def __init__(self, market: SimulatedMarket, rng: np.random.Generator, seed: int) -> None:
        self._market = market
        self._rng = rng
        self._seed = seed
        self._visits = 0

    def visit(self, client: str, answer: Answer, clock: float) -> Iterator[AdmittedEvent]:
        market, rng = self._market, self._rng
        number = self._visits
        self._visits += 1
        session = hashlib.sha256(f"{client}/{self._seed}/search/{number}".encode()).hexdigest()
        base = {
            "client": client,
            "session": f"{client.split('.')[0]}.{session[:22]}",
            "query_id": f"{SIMULATED}{self._seed}-search-{number}",
        }
        shown = list(answer.products)[:SHOWN]
        yield event_row(
            base,
            "search",
            _at(clock),
            user_query=answer.text,
            object_ids=tuple(market.products[row].id for row in shown),
            total=answer.total,
            latency_ms=round(float(rng.lognormal(3.5, 0.4)), 1),
        )
        if not shown:
            return
        price = market.truth.price[shown]
        known = price[np.isfinite(price)]
        middle = np.log(np.median(known)) if len(known) else 0.0
        seen = np.arange(1, len(shown) + 1) ** -0.8
        chance = np.minimum(_CLICK * market.truth.appeal[shown], 0.9) * seen
        clicked = np.flatnonzero(rng.random(len(shown)) < chance)
        for place in clicked.tolist():
            clock += float(rng.uniform(4, 40))
            product = market.products[shown[place]]
            at: dict[str, Any] = {"object_id": product.id, "position": place + 1}
            yield event_row(base, "click", _at(clock), **at)
            if product.price is None or product.price.amount <= 0 or product.stock == 0:
                continue
            dear = max(float(np.log(float(product.price.amount)) - middle), 0.0)
            if rng.random() > _CART * np.exp(-dear):
                continue
            clock += float(rng.uniform(5, 60))
            yield event_row(base, "add_to_cart", _at(clock), **at)
            if rng.random() > _BUY:
                continue
            clock += float(rng.uniform(20, 90))
            money = {"quantity": 1, "amount": str(product.price.amount)}
            money["currency"] = product.price.currency
            order = f"{base['session'].split('.')[0]}.o{session[:21]}"
            yield event_row(base, "purchase", _at(clock), order=order, **at, **money)
            back = clock + float(rng.uniform(3, 14)) * _DAY
            if rng.random() < _RETURN and back < (LAST - FIRST).total_seconds():
                yield event_row(base, "return", _at(back), order=order, **at, **money)


def _at(clock: float) -> int:
    return int((FIRST.timestamp() + clock) * 1e6)
