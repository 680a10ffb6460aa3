"""Simulated viewers of simulated content: what they watch, for how long, click and buy.

A viewer likes one to three topics. Seven of ten pieces come from these, the more seen the likelier;
how long a viewer stays follows the watch curve of the piece, and is longer the better it suits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, cast

import numpy as np

from tandem.contracts.events import AdmittedEvent
from tandem.contracts.parties import WATCH_CURVE, Content
from tandem.simulate.creators import END, SimulatedMarket

DAYS = 30
VISITS = 6.0  # of a viewer, on average
PIECES = 5.0  # watched in a visit, on average
OWN_TOPICS = 0.7
SIMULATED = "simulated-"
"""How the query ids of simulated events begin; a watch has no search, and carries it as a label."""
_MARKS = (2.0, 0.25, 0.5, 0.75, 1.0)  # seconds, then shares of the duration
# Parts of a country, the size of each as a share of all.
REGIONS = {
    "DE-NW": 0.215, "DE-BY": 0.158, "DE-BW": 0.133, "DE-NI": 0.097, "DE-HE": 0.076, "DE-RP": 0.049,
    "DE-SN": 0.049, "DE-BE": 0.044, "DE-SH": 0.035, "DE-BB": 0.031, "DE-ST": 0.026, "DE-TH": 0.025,
    "DE-HH": 0.023, "DE-MV": 0.019, "DE-SL": 0.012, "DE-HB": 0.008,
}  # fmt: skip
_ENDS = np.cumsum(list(REGIONS.values()))
_CLICK, _PURCHASE = 0.06, 0.12


def simulated_viewing(
    market: SimulatedMarket, viewers: int, client_of: Callable[[int], str], *, seed: int = 7
) -> Iterator[AdmittedEvent]:
    """Events of all visits, by viewer. client_of: the pseudonym of a viewer's number."""
    rng = np.random.default_rng([seed, 13])
    content, truth = market.content, market.truth
    place = {product.id: i for i, product in enumerate(market.products)}
    shown = np.array([place[piece.product_ids[0]] for piece in content])
    membership = truth.membership[shown]
    main = membership.argmax(axis=1)
    seen = np.sqrt([float(piece.impressions or 0) + 1 for piece in content])
    count = membership.shape[1]
    of_topic = [np.flatnonzero(main == topic) for topic in range(count)]
    popular = np.bincount(main, weights=seen, minlength=count)
    number = 0
    for viewer in range(viewers):
        client = client_of(viewer)
        likes = rng.choice(count, size=rng.integers(1, 4), p=popular / popular.sum())
        taste = np.zeros(count)
        np.add.at(taste, likes, 1 / len(likes))
        for visit in range(1 + rng.poisson(VISITS - 1)):
            clock = float(rng.uniform(0, DAYS * 86_400 - 3_600))
            session = hashlib.sha256(f"{client}/{seed}/{visit}".encode()).hexdigest()[:22]
            for _ in range(1 + rng.poisson(PIECES - 1)):
                topic = rng.choice(likes)
                among = of_topic[topic] if rng.random() < OWN_TOPICS else np.empty(0, np.int64)
                if not len(among):
                    among = np.arange(len(content))
                at = int(rng.choice(among, p=seen[among] / seen[among].sum()))
                piece = content[at]
                match = min(float(membership[at] @ taste) * len(likes), 1.0)
                watched = _watched(piece, float(rng.random()) ** (1 + match))
                base = {
                    "client": client,
                    "session": f"{client.split('.')[0]}.{session}",
                    "query_id": f"{SIMULATED}{seed}-watch-{number}",
                    "language": piece.language,
                }
                number += 1
                yield event_row(
                    base,
                    "watch",
                    _at(clock),
                    object_id=piece.id,
                    object_ids=piece.product_ids,
                    content=piece.kind,
                    creator_id=piece.creator_id,
                    seconds=watched,
                    duration=piece.duration,
                )
                clock += watched + 1.0
                if watched < 2 or rng.random() > _CLICK * (0.3 + match):
                    continue
                product = market.products[place[piece.product_ids[0]]]
                yield event_row(base, "click", _at(clock), object_id=product.id)
                clock += float(rng.uniform(5, 60))
                if product.price is not None and rng.random() < _PURCHASE:
                    yield event_row(
                        base,
                        "purchase",
                        _at(clock),
                        object_id=product.id,
                        quantity=1,
                        amount=str(product.price.amount),
                        currency=product.price.currency,
                    )


def _watched(piece: Content, chance: float) -> float:
    """Seconds until a viewer leaves who stays as long as more than `chance` of all do."""
    duration, views = piece.duration or 0.0, piece.views or 0
    if not views or not duration:
        return 0.0
    stay = [1.0] + [(getattr(piece, name) or 0) / views for name in WATCH_CURVE]
    at = [0.0, min(_MARKS[0], duration)] + [share * duration for share in _MARKS[1:]]
    for earlier in range(len(stay) - 1):
        if stay[earlier + 1] < chance:
            drop = stay[earlier] - stay[earlier + 1]
            part = (stay[earlier] - chance) / drop if drop > 0 else 0.0
            return round(at[earlier] + max(part, 0.0) * (at[earlier + 1] - at[earlier]), 1)
    return round(duration, 1)


def _at(clock: float) -> int:
    return int((END - timedelta(days=DAYS)).timestamp() * 1e6 + clock * 1e6)


def region_of(client: str) -> str:
    """Where a simulated client lives: always the same, larger regions for more of them."""
    drawn = int.from_bytes(hashlib.sha256(f"region/{client}".encode()).digest()[:8], "big") / 2**64
    return list(REGIONS)[int(np.searchsorted(_ENDS, drawn * _ENDS[-1], side="right"))]


def event_row(base: dict[str, Any], action: str, when: int, **values: Any) -> AdmittedEvent:
    """A simulated event as it would be stored; `when` in microseconds since 1970."""
    name = f"{base['query_id']}/{base['client']}/{action}"
    if "position" in values:  # a search leads to several
        name += f"/{values['position']}"
    key = hashlib.sha256(name.encode()).hexdigest()
    empty = dict.fromkeys(AdmittedEvent.__annotations__)
    row = {
        **empty,
        "event_key": key[:32],
        "action_name": action,
        "timestamp": when,
        "received": when,
        "masked": (),
        "object_ids": (),
        "filters": (),
        "traffic": "shopper",
        "clock": "kept",
        "device": "mobile",
        "region": region_of(base["client"]),
        **base,
        **values,
    }
    return cast(AdmittedEvent, row)
