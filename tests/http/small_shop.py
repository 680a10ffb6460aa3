"""A shop in memory: substring search with exact facets, enough to test what HTTP adds."""

from __future__ import annotations

import difflib
import gzip
import itertools
import json
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.events import EventOutcome
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.listing import Difference, Edit, Rival, Standing
from tandem.contracts.product import Money, Product
from tandem.contracts.recommend import (
    Interest,
    Kind,
    Recommended,
    RecommendRequest,
    RecommendResponse,
    Source,
    Visit,
    Visitor,
)
from tandem.contracts.run import Run, ScoredProduct
from tandem.contracts.search import (
    Contribution,
    Explanation,
    FacetCount,
    Filters,
    Hit,
    SearchRequest,
    SearchResponse,
    Sort,
    Step,
    Suggestion,
    Understanding,
)
from tandem.contracts.search_performance import Funnel, QueryPerformance, SearchPerformance
from tandem.flows.events import EventIntake
from tandem.ingest.mapping import READY
from tandem.listing.quality import listing_quality
from tandem.storage.layout import Layout, Settings

FACETS = ("brand", "category", "color", "touchscreen")

KINDS = (
    ("Bluetooth speaker", ("Electronics", "Audio", "Speakers")),
    ("Wireless headphones", ("Electronics", "Audio", "Headphones")),
    ("Espresso machine", ("Home", "Kitchen", "Coffee")),
    ("Running shoes", ("Sports", "Shoes")),
    ("Desk lamp", ("Home", "Lighting")),
)
BRANDS = ("Acme", "Borealis", "Caldera", "Delphi")
COLORS = ("Black", "White", "Teal")


def made_up_products() -> list[Product]:
    made = []
    for i, ((kind, category), brand, color) in enumerate(itertools.product(KINDS, BRANDS, COLORS)):
        made.append(
            Product(
                id=f"P{i:03d}",
                title=f"{brand} {kind} {color.lower()} {100 + i}",
                description=f"A {kind.lower()} by {brand}. <script>alert(1)</script>",
                brand=brand,
                category=category,
                attributes={"color": color, "touchscreen": i % 7 == 0, "weight_g": 100.0 + i},
                price=None
                if i % 11 == 10
                else Money(amount=Decimal(990 + 731 * i) / 100, currency="EUR"),
                rating=None if i % 5 == 4 else round(2.5 + (i * 7 % 26) / 10, 1),
                rating_count=None if i % 5 == 4 else i * 13,
                stock=0 if i % 17 == 3 else 5,
                language="en",
            )
        )
    return made


def real_products(folder: Path, dataset: str, limit: int = 4000) -> list[Product]:
    """Rows of a real data set through the ready mapping, unchecked ones left out."""
    found = []
    with gzip.open(folder / dataset / "products.jsonl.gz", "rt", encoding="utf-8") as rows:
        for row in itertools.islice(rows, limit):
            draft = READY[dataset].apply(json.loads(row))
            draft["attributes"] = {
                k: v
                for k, (v, _) in draft["attributes"].items()
                if isinstance(v, bool | float | str)
            }
            if draft.get("price") is not None:
                amount = Decimal(str(draft["price"]))
                draft["price"] = {
                    "amount": amount / 100 if dataset == "icecat" else amount,
                    "currency": READY[dataset].currency,
                }
            draft.pop("extra", None)
            found.append(Product.model_validate(draft))
    return found


class SmallVisitors:
    """What visitors with consent looked at, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, list[str]] = {}

    def decide(self, client_id: str, granted: bool) -> None:
        if granted:
            self.kept.setdefault(client_id, [])
        else:
            self.kept.pop(client_id, None)

    def visit(self, client_id: str, visits: Sequence[Visit]) -> int:
        if client_id not in self.kept:
            return 0
        self.kept[client_id] = [*self.kept[client_id], *(v.product_id for v in visits)][-50:]
        return len(visits)

    def known(self, client_id: str) -> Visitor:
        recent = tuple(self.kept.get(client_id, ()))
        return Visitor(consent=client_id in self.kept, recent=recent, kept_days=30)

    def forget(self, client_id: str) -> None:
        if client_id in self.kept:
            self.kept[client_id] = []

    def remove(self, client_id: str, products: Sequence[str]) -> None:
        if client_id in self.kept:
            self.kept[client_id] = [i for i in self.kept[client_id] if i not in products]


class SmallShop:
    """`delay` seconds are slept in each search, for tests of load and time limits."""

    def __init__(
        self, products: Sequence[Product] | None = None, delay: float = 0.0, simulated: bool = True
    ) -> None:
        self.products = {p.id: p for p in (made_up_products() if products is None else products)}
        self.delay = delay
        self.simulated = simulated
        self.generation = 1
        self.pending = 0
        self.closed = False
        self.ran = 0
        self.recorded: list[str] = []
        self.asked: tuple[str | None, tuple[str, ...]] = (None, ())
        self.intake: EventIntake | None = None
        self._writing = threading.Lock()
        self.visitors = SmallVisitors()
        self.verdicts: dict[str, dict[str, int]] = {
            "bluetooth speaker": {"P000": 3, "P001": 0, "P002": 2, "P005": 1},
            "desk lamp": {"P048": 3, "P049": 3},
            "nothing relevant": {"P001": 0},
        }

    def search(
        self, query: SearchRequest, /, *, client_id: str | None = None, recent: Sequence[str] = ()
    ) -> SearchResponse:
        self.asked = (client_id, tuple(recent))
        if self.delay:
            time.sleep(self.delay)
        if query.ranker not in (None, "bm25", "ltr"):
            raise InvalidInput(
                f"no ranker '{query.ranker}'", field="ranker", remedy="use one of: bm25, ltr"
            )
        for name in query.facets:
            if name not in FACETS:
                raise InvalidInput(
                    f"no facet '{name}'", field="facets", remedy=f"use one of: {', '.join(FACETS)}"
                )
        started = time.perf_counter()
        text = query.q.lower().strip()
        corrected = None
        words = text.split()
        if words and query.rewrite and not self._having(words):
            vocabulary = {w for p in self.products.values() for w in p.title.lower().split()}
            better = [(difflib.get_close_matches(w, vocabulary, 1) or [w])[0] for w in words]
            if better != words and self._having(better):
                words, corrected = better, " ".join(better)
        relaxed = None
        while len(words) > 1 and not self._having(words):
            relaxed = f"no product has all words; left out “{words[-1]}”"
            words = words[:-1]
        matching = self._having(words)
        found = [p for p in matching if fits(p, query.filters)]
        match query.sort:
            case Sort.PRICE_ASC:
                found.sort(key=lambda p: (p.price is None, p.price.amount if p.price else 0))
            case Sort.PRICE_DESC:
                found.sort(key=lambda p: (p.price is None, -(p.price.amount if p.price else 0)))
            case Sort.RATING:
                found.sort(key=lambda p: -(p.rating or 0))
            case Sort.NEWEST:
                found.reverse()
            case Sort.RELEVANCE if words:
                later = query.ranker == "bm25"
                found.sort(
                    key=lambda p: (len(p.title) if later else 0, p.title.lower().find(words[0]))
                )
        start = (query.page - 1) * query.size
        return SearchResponse(
            query_id=uuid.uuid4().hex,
            query=query.q,
            hits=tuple(
                Hit(
                    position=start + i,
                    score=10.0 / i,
                    product=p,
                    explanation=_why(p, i) if query.explain else None,
                )
                for i, p in enumerate(found[start : start + query.size], 1)
            ),
            total=len(found),
            page=query.page,
            size=query.size,
            facets={name: facet(matching, query.filters, name) for name in query.facets},
            understanding=Understanding(
                raw=query.q,
                text=" ".join(words),
                corrected=corrected,
                steps=(
                    Step(name="normalise", detail=f"“{text}”"),
                    Step(name="spelling", detail=corrected or "nothing to correct", confidence=0.9),
                )
                if query.explain
                else (),
            ),
            relaxed=relaxed,
            ranker=query.ranker or "ltr",
            index_generation=self._name(),
            model_generation=self._name(),
            simulated=self.simulated,
            timings_ms={"lexical": round((time.perf_counter() - started) * 1000, 3)},
        )

    def _having(self, words: Sequence[str]) -> list[Product]:
        return [
            p
            for p in list(self.products.values())
            if all(w in f"{p.title} {p.brand} {' '.join(p.category)}".lower() for w in words)
        ]

    def _name(self) -> str:
        return f"g{self.generation:06d}-20260101T000000"

    def record(self, response: SearchResponse) -> None:
        self.recorded.append(response.query_id)

    def interests(self, client_id: str) -> tuple[Interest, ...]:
        recent = self.visitors.known(client_id).recent
        return (Interest(kind="brand", value="Acme", products=recent),) if recent else ()

    def suggest(self, prefix: str, limit: int = 8, language: str | None = None) -> list[Suggestion]:
        text = prefix.lower()
        kinds = {" ".join(p.title.lower().split()[1:3]): None for p in self._having(text.split())}
        brands = {
            p.brand: None
            for p in self.products.values()
            if (p.brand or "").lower().startswith(text)
        }
        found = [Suggestion(text=k, kind="query", score=1.0) for k in list(kinds)[:5]]
        found += [Suggestion(text=b, kind="brand", score=0.5) for b in list(brands)[:2] if b]
        found += [
            Suggestion(text=p.title, kind="product", score=0.2, product_id=p.id)
            for p in self._having(text.split())[:3]
        ]
        return found[:limit] if text else []

    def recommend(
        self, request: RecommendRequest, client_id: str | None = None
    ) -> RecommendResponse:
        """Products of the same kind of shelf; for the feed, all there are."""
        if client_id is not None:
            recent = (*self.visitors.known(client_id).recent, *request.recent)
            request = request.model_copy(update={"recent": recent})
        start = None
        if request.kind in (Kind.SIMILAR, Kind.COMPLEMENTARY):
            start = self.products.get(request.product_id or "")
            if start is None:
                raise NotFound(f"no product '{request.product_id}'", remedy="check the id")
        found = [
            p
            for p in self.products.values()
            if p.id not in (request.product_id, *request.recent)
            and (start is None or (p.category == start.category) == (request.kind is Kind.SIMILAR))
            and fits(p, request.filters)
        ]
        return RecommendResponse(
            query_id=uuid.uuid4().hex,
            kind=request.kind,
            items=tuple(
                Recommended(
                    position=place,
                    score=1 / place,
                    product=product,
                    source=Source.CONTENT,
                    because="On the same shelf",
                    from_product=request.product_id,
                )
                for place, product in enumerate(found[: request.size], start=1)
            ),
            personal=bool(request.recent),
            index_generation=self._name(),
            simulated=self.simulated,
            timings_ms={"total": 0.1},
        )

    def product(self, product_id: str) -> Product | None:
        return self.products.get(product_id)

    def standing(self, query: str, product_id: str, *, trying: bool = True) -> Standing:
        """Its place among the hits, and one change that would bring it to the top."""
        product = self.products.get(product_id)
        if product is None:
            raise NotFound(f"no product '{product_id}'", remedy="check the id")
        if not query.strip():
            raise InvalidInput("the query is empty", field="q", remedy="ask for a query's words")
        response = self.search(SearchRequest(q=query, size=100))
        place = next((h.position for h in response.hits if h.product.id == product_id), None)
        above = [h for h in response.hits if place is None or h.position < place][:10]
        edit = Edit(
            kind="title",
            says=f"Say “{query}” in the title, if it is true of the product.",
            before=product.title,
            after=f"{product.title}, {query}",
            claim=f"“{query}” is true of this product",
            position=1,
            gain=None if place is None else place - 1,
        )
        return Standing(
            query=query,
            product_id=product_id,
            title=product.title,
            ranker="ltr",
            position=place,
            considered=len(response.hits),
            matches=response.total,
            summary=f"It stands at place {place}.",
            above=tuple(
                Rival(position=h.position, product_id=h.product.id, title=h.product.title)
                for h in above
            ),
            differences=(
                (Difference(feature="bm25f", says="its texts use other words", effect=-0.2),)
                if above
                else ()
            ),
            edits=(edit,) if trying and place != 1 else (),
            quality=listing_quality(product, [], "products of this shop"),
            index_generation=self._name(),
            model_generation=self._name(),
            simulated=self.simulated,
        )

    def search_performance(
        self, merchant: str, period: str | None, *, actor: str
    ) -> SearchPerformance:
        """Two queries: one that the merchant could have more of, one that nobody answers."""
        if not any(p.merchant == merchant or p.brand == merchant for p in self.products.values()):
            raise NotFound(f"no product of merchant '{merchant}'", remedy="check the name")
        many = Funnel(impressions=900, clicks=300, carts=60, purchases=20)
        few = Funnel(impressions=300, clicks=30, carts=6, purchases=2)
        none = Funnel(impressions=0, clicks=0, carts=0, purchases=0)
        asked = {"search_query_volume": 400, "people": 200}
        speaker = QueryPerformance(
            query="speaker",
            **asked,
            market=many,
            own=few,
            click_share=0.1,
            place=7,
            product_id="P003",
            title=self.products["P003"].title if "P003" in self.products else "gone",
            results=12,
            chance="opportunity",
        )
        gap = QueryPerformance(
            query="zzzz", **asked, market=none, own=None, results=0, chance="supply_gap"
        )
        return SearchPerformance(
            merchant=merchant,
            period=period or "2026-03",
            k=50,
            queries=(speaker, gap),
            withheld={},
        )

    def upsert(self, products: Sequence[Product]) -> int:
        with self._writing:
            self.products = {**self.products, **{p.id: p for p in products}}
        return len(products)

    def delete(self, ids: Sequence[str]) -> int:
        with self._writing:
            left = {i: p for i, p in self.products.items() if i not in set(ids)}
            gone = len(self.products) - len(left)
            self.products = left
        return gone

    def refresh(self) -> bool:
        if not self.pending:
            return False
        self.generation += self.pending
        self.pending = 0
        return True

    def status(self) -> Mapping[str, Any]:
        return {
            "name": "Small Shop",
            "dataset": None,
            "simulated": self.simulated,
            "currency": "EUR",
            "products": len(self.products),
            "index_generation": self._name(),
            "model_generation": self._name(),
            "rankers": ["bm25", "ltr"],
            "default_ranker": "ltr",
            "facets": list(FACETS),
        }

    def judgment_list(self, name: str | None = None) -> JudgmentList:
        return JudgmentList({q: dict(v) for q, v in self.verdicts.items()})

    def judge(self, query: str, product_id: str, relevance: int) -> None:
        with self._writing:
            self.verdicts.setdefault(query, {})[product_id] = relevance

    def run(self, system: str, queries: Sequence[str], k: int = 100) -> Run:
        self.ran += len(queries)
        answers = {q: self.search(SearchRequest(q=q, ranker=system, size=k)) for q in queries}
        return Run(
            system,
            {q: [ScoredProduct(h.product.id, h.score) for h in a.hits] for q, a in answers.items()},
        )

    def take_events(self, records: Sequence[Any], sent: datetime | None) -> list[EventOutcome]:
        with self._writing:
            if self.intake is None:
                self._folder = tempfile.TemporaryDirectory()
                self.layout = Layout.create(Path(self._folder.name) / "shop", Settings())
                self.intake = EventIntake(self.layout)
        return self.intake.take(records, sent)

    def close(self) -> None:
        self.closed = True


def fits(product: Product, filters: Filters, but: str | None = None) -> bool:
    """Whether a product satisfies all filters; `but` is the facet whose own one is left out."""
    f = filters
    path = " > ".join(product.category)
    amount = product.price.amount if product.price else None
    checks: list[bool] = []
    if f.brand and but != "brand":
        checks.append(product.brand in f.brand)
    if f.merchant:
        checks.append(product.merchant in f.merchant)
    if f.language:
        checks.append(product.language in f.language)
    if f.category and but != "category":
        checks.append(any(path == c or path.startswith(f"{c} > ") for c in f.category))
    for name, values in f.attributes.items():
        if but != name:
            value = product.attributes.get(name)
            checks.append(any(str(value).lower() == str(v).lower() for v in values))
    if f.price_min is not None:
        checks.append(amount is not None and amount >= f.price_min)
    if f.price_max is not None:
        checks.append(amount is not None and amount <= f.price_max)
    if f.rating_min is not None:
        checks.append(product.rating is not None and product.rating >= f.rating_min)
    if f.in_stock:
        checks.append(product.stock != 0)
    return all(checks)


def facet(products: Sequence[Product], filters: Filters, name: str) -> tuple[FacetCount, ...]:
    counts: Counter[str] = Counter()
    for p in products:
        if not fits(p, filters, but=name):
            continue
        if name == "brand":
            values = [p.brand] if p.brand else []
        elif name == "category":
            values = [" > ".join(p.category[: i + 1]) for i in range(len(p.category))]
        else:
            value = p.attributes.get(name)
            values = (
                []
                if value is None
                else [str(value).lower() if isinstance(value, bool) else str(value)]
            )
        counts.update(values)
    ordered = sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:30]
    return tuple(FacetCount(value=v, count=n) for v, n in ordered)


def _why(product: Product, position: int) -> Explanation:
    return Explanation(
        sentence=f"It stands here because its title has the words of the query ({product.brand}).",
        contributions=(
            Contribution(feature="title_bm25", value=12.5, contribution=2.0 / position),
            Contribution(feature="rating", value=product.rating, contribution=-0.2),
        ),
        sources={"lexical": 12.5},
    )
