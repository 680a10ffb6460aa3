"""The creator studio of a workspace: products that fit, gaps, what worked after posting.

All of it rests on content as the platform declares it and on released search volumes. Figures of
others are ratios of sums over five creators at least, of whom none has most of the views.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from math import sqrt

import numpy as np
from scipy import stats

from tandem.contracts.errors import NotFound
from tandem.contracts.parties import WATCH_CURVE, Content, Creator, MoneyRange
from tandem.contracts.product import Product
from tandem.contracts.query_log import QueryCount
from tandem.contracts.search import Filters, Sort
from tandem.contracts.studio import (
    ContentGap,
    Earnings,
    Piece,
    ProductFit,
    StudioHome,
    Watching,
    Worked,
)
from tandem.flows.search_performance import answered, asked_last
from tandem.flows.workspace import Workspace
from tandem.governance.release import K
from tandem.storage.parties import generations, read_content, read_creators

TOPICS = 4  # that are named
LOOKED_INTO = 12  # topics that products are looked for in
PRODUCTS, GAPS, PIECES = 12, 12, 60
CANDIDATES = 60  # products looked at in each topic
QUERIES = 150  # the most asked ones that are looked at
FIRST = 10  # products of an answer that count
RECENT = 10  # pieces
LEAST_PIECES = 5  # that a range or a comparison rests on
LEAST_CREATORS = 5
MOST_OF_VIEWS = 0.5  # that one creator may have in a figure about several
SIMILAR = 20
USUAL_RATE = 1_000  # basis points, where the creator asks for no rate
RANGE = (0.2, 0.5, 0.8)
SURE = 0.05
WORTH_SAYING = 0.001  # of those who saw it, clicked


@dataclass(frozen=True)
class Scene:
    """Everything published, by creator, with the categories that it is about."""

    creators: dict[str, Creator]
    content: dict[str, list[Content]]
    categories: dict[str, tuple[str, ...]]
    shown: Counter[str]

    def topics(self, creator: str) -> Counter[str]:
        """Categories of a creator's content, by pieces."""
        return Counter(
            topic
            for piece in self.content.get(creator, ())
            for topic in {self.topic(p) for p in piece.product_ids}
            if topic
        )

    def topic(self, product_id: str) -> str:
        path = self.categories.get(product_id, ())
        return path[-1] if path else ""


class StudioDesk:
    """Answers creators from the live view of a workspace. Safe for many threads."""

    def __init__(self, shop: Workspace, *, k: int = K) -> None:
        self._shop = shop
        self._k = k
        self._scene = lru_cache(maxsize=1)(self._read)

    def home(self, creator: str, *, actor: str) -> StudioHome:
        """Products and gaps for a creator. NotFound for one whom nobody declared."""
        scene = self.scene(creator)
        topics = scene.topics(creator)
        return StudioHome(
            creator=creator,
            topics=tuple(topic for topic, _ in topics.most_common(TOPICS)),
            products=tuple(self._products(scene, creator, topics)),
            gaps=tuple(self._gaps(scene, topics, actor)),
            simulated=self._simulated(scene, creator),
        )

    def worked(self, creator: str) -> Worked:
        """What worked after posting. NotFound for a creator whom nobody declared."""
        scene = self.scene(creator)
        own = sorted(scene.content.get(creator, ()), key=lambda c: c.published, reverse=True)
        told = [c for c in own if (c.views or 0) >= self._k]
        products = [p for c in own[:PIECES] for p in c.product_ids]
        return Worked(
            creator=creator,
            k=self._k,
            pieces=tuple(
                _piece(c, self._titles(products), told=(c.views or 0) >= self._k)
                for c in own[:PIECES]
            ),
            recent=_watching(told[:RECENT], 1),
            past=_watching(told[RECENT:], 1) if len(told) >= RECENT + LEAST_PIECES else None,
            similar=self._of_similar(scene, creator),
            says=tuple(_differences(told, scene)),
            simulated=self._simulated(scene, creator),
        )

    def asked(self, *, actor: str) -> tuple[QueryCount, ...]:
        """What shoppers typed in the last recorded month, of at least k people each."""
        found = asked_last(self._shop.layout, actor=actor)
        return tuple(QueryCount(query, count) for query, count in sorted(found.items()))

    def scene(self, creator: str) -> Scene:
        layout = self._shop.layout
        live = tuple(generations(layout, kind).live() for kind in ("creators", "content"))
        scene = self._scene((*live, self._shop.view.generation))
        if creator not in scene.creators and creator not in scene.content:
            raise NotFound(
                f"no creator '{creator}'", remedy="import creators and content, or simulate some"
            )
        return scene

    def _read(self, generation: tuple[str | None, ...]) -> Scene:
        layout, view = self._shop.layout, self._shop.view
        creators = {c.id: c for c in read_creators(layout)} if generation[0] else {}
        content: dict[str, list[Content]] = defaultdict(list)
        shown: Counter[str] = Counter()
        for piece in read_content(layout) if generation[1] else ():
            content[piece.creator_id].append(piece)
            shown.update(set(piece.product_ids))
        numbers = view.snapshot.numbers(sorted(shown))
        products = view.snapshot.products(numbers[numbers >= 0])
        return Scene(creators, dict(content), {p.id: p.category for p in products}, shown)

    def _simulated(self, scene: Scene, creator: str) -> bool:
        known = scene.creators.get(creator)
        return self._shop.layout.settings().simulated or bool(known and known.simulated)

    def _titles(self, ids: Iterable[str]) -> dict[str, str]:
        numbers = self._shop.view.snapshot.numbers(sorted(set(ids)))
        return {p.id: p.title for p in self._shop.view.snapshot.products(numbers[numbers >= 0])}

    # --- Products ---------------------------------------------------------------------------------

    def _products(self, scene: Scene, creator: str, topics: Counter[str]) -> list[ProductFit]:
        view = self._shop.view
        already = {p for c in scene.content.get(creator, ()) for p in c.product_ids}
        paths = {path[-1]: path for path in scene.categories.values() if path}
        like = similar(scene, creator)
        found = []
        for topic, _ in topics.most_common(LOOKED_INTO):
            orders = _orders(scene, creator, topic, like)
            filters = Filters(category=(" > ".join(paths[topic]),), in_stock=True)
            browsed = view.snapshot.browse(filters, Sort.RELEVANCE, CANDIDATES)
            for product in view.snapshot.products(browsed.numbers):
                if product.id not in already:
                    earnings = _earnings(scene, creator, orders, product)
                    found.append((topic, product, earnings))
        found.sort(key=lambda f: (-(f[2].middle if f[2] else 0.0), f[1].id))
        return [self._fit(scene, creator, topics, *f) for f in found[:PRODUCTS]]

    def _fit(
        self,
        scene: Scene,
        creator: str,
        topics: Counter[str],
        topic: str,
        product: Product,
        earnings: Earnings | None,
    ) -> ProductFit:
        reasons = [f"you showed {topic} in {_many(topics[topic], 'piece')}"]
        clicks = [c for c in scene.content[creator] if topic in _topics_of(c, scene)]
        rate = _ratio(sum(c.clicks or 0 for c in clicks), sum(c.impressions or 0 for c in clicks))
        if rate is not None and rate >= WORTH_SAYING:
            reasons.append(f"{rate:.1%} of those who saw these clicked")
        others = scene.shown[product.id]
        reasons.append(
            f"shown in {_many(others, 'piece')} by others" if others else "nobody has shown it yet"
        )
        if product.rating is not None and product.rating_count:
            reasons.append(f"rated {product.rating:.1f} by {_many(product.rating_count, 'buyer')}")
        return ProductFit(
            product_id=product.id,
            title=product.title,
            merchant=product.merchant,
            category=product.category,
            price=product.price,
            earnings=earnings,
            reasons=tuple(reasons),
        )

    # --- Gaps -------------------------------------------------------------------------------------

    def _gaps(self, scene: Scene, topics: Counter[str], actor: str) -> list[ContentGap]:
        """Queries whose first products are of the creator's topics, the most asked and least shown
        first."""
        view = self._shop.view
        asked = asked_last(self._shop.layout, actor=actor)
        by_product: dict[str, set[str]] = defaultdict(set)
        for pieces in scene.content.values():
            for piece in pieces:
                for product_id in piece.product_ids:
                    by_product[product_id].add(piece.id)
        found = []
        for query, count in sorted(asked.items(), key=lambda a: (-a[1], a[0]))[:QUERIES]:
            products = view.snapshot.products(answered(view, query).numbers[:FIRST])
            mine = [p for p in products if p.category and p.category[-1] in topics]
            if len(mine) * 2 < max(len(products), 1) or not mine:
                continue
            showing = {piece for p in products for piece in by_product[p.id]}
            best = min(mine, key=lambda p: (scene.shown[p.id], products.index(p)))
            found.append(
                ContentGap(
                    query=query,
                    asked=count,
                    content=len(showing),
                    topic=mine[0].category[-1],
                    product_id=best.id,
                    title=best.title,
                )
            )
        found.sort(key=lambda g: (-g.asked / (1 + g.content), g.query))
        return found[:GAPS]

    # --- Similar creators -------------------------------------------------------------------------

    def _of_similar(self, scene: Scene, creator: str) -> Watching | None:
        pieces = {
            other: [c for c in scene.content[other] if (c.views or 0) >= self._k]
            for other in similar(scene, creator)
        }
        views = {o: sum(c.views or 0 for c in found) for o, found in pieces.items() if found}
        if len(views) < LEAST_CREATORS or max(views.values()) > MOST_OF_VIEWS * sum(views.values()):
            return None
        return _watching([c for found in pieces.values() for c in found], len(views))


def similar(scene: Scene, creator: str) -> list[str]:
    """Creators of like topics, likest first: the cosine of pieces by category."""
    own = scene.topics(creator)
    likeness = {}
    for other in scene.content:
        if other != creator and (value := _cosine(own, scene.topics(other))) > 0:
            likeness[other] = value
    return sorted(likeness, key=lambda o: (-likeness[o], o))[:SIMILAR]


def _cosine(a: Counter[str], b: Counter[str]) -> float:
    shared = sum(a[t] * b[t] for t in a.keys() & b.keys())
    lengths = sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
    return shared / lengths if lengths else 0.0


def _topics_of(piece: Content, scene: Scene) -> set[str]:
    return {scene.topic(p) for p in piece.product_ids}


def _orders(
    scene: Scene, creator: str, topic: str, like: Sequence[str]
) -> tuple[list[float], bool] | None:
    """Orders of pieces about a category, and whether they are the creator's own: else those of
    similar creators at this one's reach. None where they are too few."""
    own = [c for c in scene.content[creator] if topic in _topics_of(c, scene)]
    orders = [float(c.orders) for c in own if c.orders is not None]
    if len(orders) >= LEAST_PIECES:
        return orders, True
    reach = _reach(scene.content[creator])
    found = [
        (other, c.orders * reach / theirs)
        for other in like
        if (theirs := _reach(scene.content[other]))
        for c in scene.content[other]
        if c.orders is not None and topic in _topics_of(c, scene)
    ]
    if not reach or len({other for other, _ in found}) < LEAST_CREATORS:
        return None
    return [value for _, value in found], False


def _earnings(
    scene: Scene, creator: str, orders: tuple[list[float], bool] | None, product: Product
) -> Earnings | None:
    """From orders of pieces about its category: the creator's own, or similar creators'."""
    if product.price is None or orders is None:
        return None
    known, own = orders
    declared = scene.creators.get(creator)
    rate = USUAL_RATE
    if declared is not None and declared.commission_rate is not None:
        rate = declared.commission_rate
    per_order = float(product.price.amount) * rate / 10_000
    low, middle, high = (np.quantile(known, RANGE) * per_order).round(2).tolist()
    return Earnings(
        low=low,
        middle=middle,
        high=high,
        currency=product.price.currency,
        commission_rate=rate,
        pieces=len(known),
        own=own,
    )


def _reach(pieces: Sequence[Content]) -> float:
    """Mean views of a piece; 0 where none are known."""
    views = [c.views for c in pieces if c.views is not None]
    return sum(views) / len(views) if views else 0.0


def _watching(pieces: Sequence[Content], creators: int) -> Watching:
    """Rates of sums. Of several creators: none where they are of few, or mostly of one."""

    def share(part: str, whole: str) -> float | None:
        by: Counter[str] = Counter()
        parts = 0.0
        for c in pieces:
            if getattr(c, part) is not None and getattr(c, whole):
                parts += getattr(c, part)
                by[c.creator_id] += getattr(c, whole)
        of_one = by and max(by.values()) > MOST_OF_VIEWS * by.total()
        if creators > 1 and (len(by) < LEAST_CREATORS or of_one):
            return None
        return _ratio(parts, by.total())

    return Watching(
        pieces=len(pieces),
        creators=creators,
        hook_rate=share("video_views_2s", "impressions"),
        hold_rate=share("video_views_p25", "video_views_2s"),
        retention=tuple(share(mark, "views") for mark in WATCH_CURVE),
        ctr=share("clicks", "impressions"),
        ctor=share("orders", "clicks"),
        gpm=_gpm(pieces, creators),
    )


def _gpm(pieces: Sequence[Content], creators: int) -> MoneyRange | None:
    """Sales per 1,000 views over pieces whose sales are told, in the currency of most of them. Of
    several creators: none where views or sales are of few, or mostly of one."""
    told = [(c, c.gmv) for c in pieces if c.gmv is not None and c.views]
    if not told:
        return None
    currency, _ = Counter(gmv.currency for _, gmv in told).most_common(1)[0]
    views: Counter[str] = Counter()
    most: dict[str, Decimal] = defaultdict(Decimal)  # sales, at most
    least, open_ended = Decimal(0), False
    for c, gmv in told:
        if gmv.currency == currency:
            views[c.creator_id] += c.views or 0
            least += gmv.minimum_amount
            high = gmv.maximum_amount
            most[c.creator_id] += gmv.minimum_amount if high is None else high
            open_ended |= high is None
    if creators > 1:
        of_one = max(views.values()) > MOST_OF_VIEWS * views.total()
        of_one |= max(most.values()) > sum(most.values()) * Decimal(MOST_OF_VIEWS)
        if len(views) < LEAST_CREATORS or of_one:
            return None
    thousands = Decimal(views.total()) / 1_000
    return MoneyRange(
        minimum_amount=round(least / thousands, 2),
        maximum_amount=None if open_ended else round(sum(most.values()) / thousands, 2),
        currency=currency,
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _piece(c: Content, titles: dict[str, str], *, told: bool) -> Piece:
    """A piece with its figures, where enough people watched it."""
    gmv = c.gmv if told else None
    curve = [getattr(c, mark) for mark in WATCH_CURVE]
    return Piece(
        content_id=c.id,
        kind=c.kind,
        published=c.published,
        caption=c.caption,
        product_ids=c.product_ids,
        title=next((titles[p] for p in c.product_ids if p in titles), None),
        views=c.views if told else None,
        hook_rate=c.hook_rate if told else None,
        hold_rate=c.hold_rate if told else None,
        retention=tuple(v / c.views if told and v is not None and c.views else None for v in curve),
        clicks=c.clicks if told else None,
        orders=c.orders if told else None,
        gmv_low=None if gmv is None else float(gmv.minimum_amount),
        gmv_high=None if gmv is None or gmv.maximum_amount is None else float(gmv.maximum_amount),
        currency=gmv.currency if gmv else None,
    )


def _differences(pieces: Sequence[Content], scene: Scene) -> list[str]:
    """How pieces about one topic differ from the creator's others, where it is not chance
    (Mann-Whitney, false discoveries held at SURE)."""
    rows = []
    for name, rate in (("hook", "hook_rate"), ("hold", "hold_rate")):
        known = [(c, getattr(c, rate)) for c in pieces if getattr(c, rate) is not None]
        for topic in sorted({t for c, _ in known for t in _topics_of(c, scene) if t}):
            with_it = [v for c, v in known if topic in _topics_of(c, scene)]
            without = [v for c, v in known if topic not in _topics_of(c, scene)]
            if min(len(with_it), len(without)) < LEAST_PIECES:
                continue
            chance = float(stats.mannwhitneyu(with_it, without).pvalue)
            rows.append((chance, name, topic, with_it, without))
    if not rows:
        return []
    adjusted = stats.false_discovery_control([row[0] for row in rows])
    verbs = {"hook": "stop", "hold": "keep until a quarter"}
    return [
        f"Your {_many(len(w), 'piece')} about {topic} {verbs[name]} {np.median(w):.0%} of viewers, "
        f"your others {np.median(o):.0%}"
        for p, (_, name, topic, w, o) in zip(adjusted, rows, strict=True)
        if p <= SURE
    ]


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
