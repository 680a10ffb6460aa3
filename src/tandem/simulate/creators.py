"""Simulated merchants, creators, content and viewers over any catalogue, whose truth is known.

Topics are found in the products' words. A creator has one to three topics, a price level, a reach
(log-normal), skills of hooking, holding and selling, and a reliability; a product has topics, a
price and an appeal. What a piece of content by a creator about a product is expected to bring:

    impressions = reach
    clicks      = impressions × CTR × affinity × √appeal × quality
    orders      = clicks × CTOR × √affinity × price fit × √appeal × selling
    GMV         = orders × price

affinity is the shared topic weight, price fit a bell over the distance of log prices. Counts are
drawn around that (log-normal reach of a piece, Poisson clicks, binomial orders). Statistics of
creators are those of their simulated content. Every record says that it is simulated; the same
arguments always give the same market.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.parties import (
    Audience,
    Content,
    CountRange,
    Creator,
    Merchant,
    MoneyRange,
)
from tandem.contracts.product import Product
from tandem.simulate.topics import Topics, find_topics

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOPICS = 24
CTR, CTOR = 0.012, 0.06
HIGHEST_CTOR = 0.5
OFF_TOPIC = 0.08
"""Affinity of a creator and a product that share nothing."""
PRICE_WIDTH = 0.9
END = datetime(2026, 3, 29, tzinfo=UTC)
DAYS = 90
STATISTICS_DAYS = 30
NEW_SHARE = 0.15
"""Of creators without any content yet."""
AGES = ("18-24", "25-34", "35-44", "45-54", "55+")
GENDERS = ("female", "male")
REGIONS = ("US", "GB", "DE", "FR", "ES", "MX")
_REACH = (8.0, 1.2)  # mean and spread of log(impressions of one piece)
_REACH_OF_PIECE = 0.5
_PIECES_AT_ONCE = (0.8, 0.2)  # one product or two
_WANDERING = 0.25  # share of content about products outside the creator's own topics
_HOOKS = ("Wait for it", "I tested this for a week", "Nobody told me about this", "Honest review")


@dataclass(frozen=True)
class Truth:
    """What the simulation knows and nobody is told. Rows are creators and products as passed on.

    weights: (C, T) topics of creators, rows sum to 1. membership: (N, T) of products. price,
    appeal: (N,), price NaN where a product has none. reach, quality, selling, level: (C,); level is
    the log price at which a creator sells best. hook, hold: (C,) shares of viewers who stay.
    reliability: (C,) chance that a sample leads to content in time.
    """

    weights: Floats
    membership: Floats
    price: Floats
    appeal: Floats
    reach: Floats
    quality: Floats
    selling: Floats
    level: Floats
    hook: Floats
    hold: Floats
    reliability: Floats

    def affinity(self, creators: Ints, products: Ints) -> Floats:
        """(n,) shared topic weight of pairs, between OFF_TOPIC and about 1."""
        shared: Floats = (self.weights[creators] * self.membership[products]).sum(axis=1)
        return OFF_TOPIC + (1 - OFF_TOPIC) * np.minimum(1.5 * shared, 1.0)

    def rates(self, creators: Ints, products: Ints) -> tuple[Floats, Floats]:
        """(n,) expected clicks per impression, and orders per click, of pairs."""
        affinity = self.affinity(creators, products)
        appeal = np.sqrt(self.appeal[products])
        ctr = CTR * affinity * appeal * self.quality[creators]
        away = (np.log(self.price[products]) - self.level[creators]) / PRICE_WIDTH
        fit = np.exp(-0.5 * away**2)
        ctor = CTOR * np.sqrt(affinity) * fit * appeal * self.selling[creators]
        return ctr, np.minimum(ctor, HIGHEST_CTOR)

    def expected(self, creators: Ints, products: Ints) -> tuple[Floats, Floats, Floats]:
        """(n,) expected clicks, orders and GMV (major units) of one piece of content per pair;
        orders and GMV are NaN where the product has no price."""
        ctr, ctor = self.rates(creators, products)
        clicks = self.reach[creators] * ctr
        orders = clicks * ctor
        return clicks, orders, orders * self.price[products]

    def draw(
        self, creators: Ints, products: Ints, rng: np.random.Generator
    ) -> tuple[Ints, Ints, Ints]:
        """(n,) impressions, clicks and orders of one piece of content per pair, at random."""
        n = len(creators)
        spread = _REACH_OF_PIECE
        piece = np.exp(rng.normal(-(spread**2) / 2, spread, n))
        impressions = rng.poisson(self.reach[creators] * piece)
        ctr, ctor = self.rates(creators, products)
        clicks = rng.binomial(impressions, np.minimum(ctr, 1.0))
        orders = rng.binomial(clicks, np.nan_to_num(ctor))
        return impressions, clicks, orders


@dataclass(frozen=True)
class SimulatedMarket:
    """All parties, simulated, with the truth. products: those of the catalogue it is about."""

    merchants: list[Merchant]
    creators: list[Creator]
    content: list[Content]
    products: list[Product]
    topics: Topics
    truth: Truth
    seed: int


def simulated_market(
    products: Sequence[Product], creators: int, pieces: int, *, seed: int = 7
) -> SimulatedMarket:
    """`creators` creators with `pieces` videos and lives about `products`, and the merchants of
    these. ValueError where no product has a price."""
    rng = np.random.default_rng([seed, 11])
    listed = list(products)
    if not any(p.price and p.price.amount > 0 for p in listed):
        raise ValueError("no product has a price")
    topics = find_topics(listed, TOPICS, rng)
    truth = _truth(listed, topics, creators, rng)
    content = _content(listed, topics, truth, creators, pieces, rng)
    people = _creators(listed, topics, truth, content, rng)
    return SimulatedMarket(_merchants(listed, rng), people, content, listed, topics, truth, seed)


def creator_id(number: int) -> str:
    return f"sim-c{number:06d}"


def _truth(
    products: list[Product], topics: Topics, creators: int, rng: np.random.Generator
) -> Truth:
    count = len(topics.names)
    price = np.array([float(p.price.amount) if p.price else np.nan for p in products])
    price[price <= 0] = np.nan
    rated = np.array([p.rating if p.rating is not None else np.nan for p in products])
    seen = np.nan_to_num((rated - np.nanmean(rated)) / 2) if np.isfinite(rated).any() else 0.0
    appeal = np.exp(rng.normal(0, 0.4, len(products)) + seen)

    popular = topics.membership.sum(axis=0) ** 0.6
    weights = np.zeros((creators, count))
    number = rng.choice([1, 2, 3], size=creators, p=[0.45, 0.35, 0.2])
    for place in range(3):
        chosen = rng.choice(count, size=creators, p=popular / popular.sum())
        share = rng.uniform(0.4, 1.0, creators) * (number > place)
        np.add.at(weights, (np.arange(creators), chosen), share)
    weights /= weights.sum(axis=1, keepdims=True)

    sold = np.isfinite(price)
    usual = np.log(price[sold]).mean()
    of_topic = np.array(
        [
            np.average(np.log(price[sold]), weights=topics.membership[sold, t] + 1e-6)
            for t in range(count)
        ]
    )
    level = weights @ of_topic
    return Truth(
        weights,
        topics.membership,
        price,
        appeal,
        np.exp(rng.normal(*_REACH, creators)),
        np.exp(rng.normal(0, 0.25, creators)),
        np.exp(rng.normal(0, 0.35, creators)),
        np.where(np.isfinite(level), level, usual) + rng.normal(0, 0.6, creators),
        rng.beta(9, 12, creators),
        rng.beta(12, 8, creators),
        rng.beta(8, 2, creators),
    )


def _content(
    products: list[Product],
    topics: Topics,
    truth: Truth,
    creators: int,
    pieces: int,
    rng: np.random.Generator,
) -> list[Content]:
    """Each piece by a creator who has some, mostly about products of their own topics."""
    active = np.flatnonzero(rng.random(creators) >= NEW_SHARE)
    sold = np.flatnonzero(np.isfinite(truth.price))
    zeal = rng.gamma(1.5, 1.0, len(active))
    by = np.sort(rng.choice(active, size=pieces, p=zeal / zeal.sum()))
    of_topic = [sold[truth.membership[sold].argmax(axis=1) == t] for t in range(len(topics.names))]
    number = 1 + (rng.random(pieces) < _PIECES_AT_ONCE[1])
    shown = np.empty((pieces, 2), np.int64)
    for i, creator in enumerate(by.tolist()):
        topic = rng.choice(len(topics.names), p=truth.weights[creator])
        own = of_topic[topic]
        for j in range(2):
            among = own if len(own) and rng.random() >= _WANDERING else sold
            shown[i, j] = among[rng.integers(len(among))]
    number[shown[:, 0] == shown[:, 1]] = 1

    spread = _REACH_OF_PIECE
    piece = np.exp(rng.normal(-(spread**2) / 2, spread, pieces))
    impressions = rng.poisson(truth.reach[by] * piece)
    views = rng.binomial(impressions, 0.92)
    hook = np.clip(truth.hook[by] + rng.normal(0, 0.05, pieces), 0.05, 0.95)
    at_2s = rng.binomial(views, hook)
    duration = np.round(np.clip(np.exp(rng.normal(3.4, 0.5, pieces)), 8, 180), 1)
    live = rng.random(pieces) < 0.08
    duration[live] = np.round(rng.uniform(1_200, 7_200, int(live.sum())))
    hold = np.clip(truth.hold[by] + rng.normal(0, 0.05, pieces), 0.05, 0.97)
    marks = [at_2s]
    for keep in (hold, 0.9 * hold, 0.9 * hold, 0.85 * hold):
        marks.append(rng.binomial(marks[-1], keep))
    curve = np.column_stack(marks)
    # Trapezoids between the marks; who left before 2 s watched one second.
    seen = (curve[:, :-1] + curve[:, 1:]).sum(axis=1) / 2 * duration / 4 + (views - at_2s) * 1.0
    average = np.round(np.divide(seen, views, out=np.zeros(pieces), where=views > 0), 2)

    clicks = np.zeros((pieces, 2), np.int64)
    orders = np.zeros((pieces, 2), np.int64)
    for j in range(2):
        here = number > j
        ctr, ctor = truth.rates(by[here], shown[here, j])
        clicks[here, j] = rng.binomial(impressions[here], np.minimum(ctr / number[here], 1.0))
        orders[here, j] = rng.binomial(clicks[here, j], np.nan_to_num(ctor))
    likes = rng.binomial(views, np.clip(0.06 * truth.quality[by], 0, 1))
    comments, shares = rng.binomial(likes, 0.07), rng.binomial(likes, 0.04)
    ago = rng.uniform(0, DAYS * 86_400, pieces)
    paid = rng.random(pieces) < 0.7

    content = []
    for i, creator in enumerate(by.tolist()):
        about = [products[p] for p in shown[i, : number[i]].tolist()]
        gmv = sum(
            (
                p.price.amount * n
                for p, n in zip(about, orders[i].tolist(), strict=False)
                if p.price
            ),
            Decimal(0),
        )
        name = topics.names[int(truth.membership[shown[i, 0]].argmax())]
        caption, tags, transcript = _texts(about, name, bool(paid[i]), rng)
        currency = next((p.price.currency for p in about if p.price), "EUR")
        content.append(
            Content(
                id=f"sim-v{i:07d}",
                creator_id=creator_id(creator),
                kind="live" if live[i] else "video",
                published=END - timedelta(seconds=float(np.round(ago[i]))),
                caption=caption,
                hashtags=tags,
                transcript=transcript,
                language=about[0].language,
                product_ids=tuple(p.id for p in about),
                paid=bool(paid[i]),
                duration=float(duration[i]),
                impressions=int(impressions[i]),
                views=int(views[i]),
                video_views_2s=int(curve[i, 0]),
                video_views_p25=int(curve[i, 1]),
                video_views_p50=int(curve[i, 2]),
                video_views_p75=int(curve[i, 3]),
                video_views_p100=int(curve[i, 4]),
                average_video_play=float(average[i]),
                likes=int(likes[i]),
                comments=int(comments[i]),
                shares=int(shares[i]),
                clicks=int(clicks[i].sum()),
                orders=int(orders[i].sum()),
                items_sold=int(orders[i].sum()),
                gmv=MoneyRange(minimum_amount=gmv, maximum_amount=gmv, currency=currency),
                simulated=True,
            )
        )
    return content


def _texts(
    about: list[Product], topic: str, paid: bool, rng: np.random.Generator
) -> tuple[str, tuple[str, ...], str]:
    """Caption, hashtags and transcript: what is said comes from the products' own words."""
    first = about[0]
    hook = _HOOKS[int(rng.integers(len(_HOOKS)))]
    short = " ".join(first.title.split()[:8])
    tags = [_tag(word) for word in topic.split() if not word.isdigit()]
    if first.brand:
        tags.append(_tag(first.brand))
    if first.category:
        tags.append(_tag(first.category[-1]))
    if paid:
        tags.append("ad")
    tags = list(dict.fromkeys(t for t in tags if t))[:6]
    said = f"{hook}. This is the {short}."
    if first.brand:
        said += f" It is by {first.brand}."
    for name, value in list(first.attributes.items())[:3]:
        said += f" {name.replace('_', ' ')}: {value}."
    if len(about) > 1:
        said += f" And here is the {' '.join(about[1].title.split()[:8])}."
    caption = f"{hook}: {short}"[:4_000]
    return caption, tuple(tags), said[:5_000]


def _tag(text: str) -> str:
    return "".join(ch for ch in text.lower() if ch.isalnum() or ch == "_")[:60]


def _creators(
    products: list[Product],
    topics: Topics,
    truth: Truth,
    content: list[Content],
    rng: np.random.Generator,
) -> list[Creator]:
    """As a platform would declare them, from their content of the last 30 days."""
    recent: dict[str, list[Content]] = {}
    for piece in content:
        if piece.published > END - timedelta(days=STATISTICS_DAYS):
            recent.setdefault(piece.creator_id, []).append(piece)
    labels = _labels(products, topics)
    usual = truth.membership.mean(axis=0)
    currency = next(p.price.currency for p in products if p.price)
    language = next((p.language for p in products if p.language), None)
    creators = []
    for i in range(len(truth.reach)):
        pieces = recent.get(creator_id(i), [])
        own = [topics.names[t] for t in np.argsort(-truth.weights[i]) if truth.weights[i, t] > 0]
        watched = 0.6 * truth.weights[i] + 0.25 * usual + 0.15 * rng.dirichlet(np.ones(len(usual)))
        by_category: dict[str, float] = {}
        for topic in np.argsort(-watched)[:8].tolist():
            by_category[labels[topic]] = by_category.get(labels[topic], 0.0) + watched[topic]
        views = sum(p.views or 0 for p in pieces)
        gmv = sum((p.gmv.minimum_amount for p in pieces if p.gmv), Decimal(0))
        likes = sum(p.likes or 0 for p in pieces)
        followers = round(truth.reach[i] * np.exp(rng.normal(0.8, 0.5)))
        samples = int(rng.integers(5, 30))
        slots = int(rng.integers(0, 7))
        creators.append(
            Creator(
                id=creator_id(i),
                handle=f"simulated_{i:06d}",
                bio=f"{own[0].capitalize()} and more: {', '.join(own)}. Simulated.",
                topics=tuple(own),
                language=language,
                region=REGIONS[int(rng.integers(len(REGIONS)))],
                follower_count=_count(followers),
                audience=Audience(
                    by_gender=_shares(GENDERS, rng, 4.0),
                    by_age=_shares(AGES, rng, 2.0),
                    by_region=_shares(REGIONS, rng, 1.0),
                    by_category=_rounded(by_category),
                ),
                video_count=sum(p.kind == "video" for p in pieces),
                live_count=sum(p.kind == "live" for p in pieces),
                avg_video_views=_count(round(views / len(pieces))) if pieces else None,
                engagement_rate=round(min(likes / views, 1.0), 4) if views else None,
                gmv=_money(gmv, currency) if pieces else None,
                gpm=_money(gmv * 1000 / views, currency) if views else None,
                items_sold=_count(sum(p.items_sold or 0 for p in pieces)) if pieces else None,
                post_rate=round(rng.binomial(samples, truth.reliability[i]) / samples, 3)
                if pieces
                else None,
                fulfillment_percentage=round(
                    rng.binomial(samples, truth.reliability[i] ** 0.5) / samples, 3
                )
                if pieces
                else None,
                commission_rate=int(rng.integers(5, 26)) * 100,
                slots=slots,
                simulated=True,
            )
        )
    return creators


def _labels(products: list[Product], topics: Topics) -> list[str]:
    """What to call the topics of an audience: the usual category of the topic's products, or its
    terms where few of them have one."""
    main = topics.main
    labels = []
    for topic, name in enumerate(topics.names):
        members = np.flatnonzero(main == topic).tolist()
        named = [products[i].category[-1] for i in members if products[i].category]
        often = max(set(named), key=lambda c: (named.count(c), c)) if named else ""
        labels.append(often if named.count(often) > 0.15 * max(len(members), 1) else name)
    return labels


def _merchants(products: list[Product], rng: np.random.Generator) -> list[Merchant]:
    """Everybody whom a product names, with the categories of their products."""
    categories: dict[str, dict[str, int]] = {}
    for product in products:
        if product.merchant and "@" not in product.merchant:
            found = categories.setdefault(product.merchant.strip(), {})
            if product.category:
                found[product.category[0]] = found.get(product.category[0], 0) + 1
    return [
        Merchant(
            id=merchant,
            name=merchant,
            categories=tuple(sorted(found, key=lambda c: (-found[c], c))[:5]),
            rating=round(float(np.clip(rng.normal(4.3, 0.4), 1, 5)), 1),
            fulfillment_percentage=round(float(rng.beta(18, 2)), 3),
            simulated=True,
        )
        for merchant, found in sorted(categories.items())
    ]


def _shares(names: Sequence[str], rng: np.random.Generator, evenness: float) -> dict[str, float]:
    drawn = rng.dirichlet(np.full(len(names), evenness))
    return {name: int(share * 1000) / 1000 for name, share in zip(names, drawn, strict=True)}


def _rounded(shares: dict[str, float]) -> dict[str, float]:
    """To four places; what rounding puts on top of the whole goes off the largest share."""
    found = {name: round(float(share), 4) for name, share in shares.items()}
    largest = max(found, key=found.__getitem__)
    found[largest] = round(found[largest] - max(sum(found.values()) - 1, 0.0), 6)
    return found


def _count(number: int) -> CountRange:
    return CountRange(minimum=int(number), maximum=int(number))


def _money(amount: Any, currency: str) -> MoneyRange:
    exact = Decimal(amount).quantize(Decimal("0.01"))
    return MoneyRange(minimum_amount=exact, maximum_amount=exact, currency=currency)
