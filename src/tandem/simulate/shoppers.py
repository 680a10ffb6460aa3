"""Simulated shoppers: search traffic over the simulated catalogue, whose truth is known.

Every shopper has a need (a category in a language, perhaps a colour or a brand, and a budget),
types one of the texts for it, examines the answer from the top, clicks, puts into the cart, buys,
or tries again with other words. Clicks follow the position-based model (PBM: Richardson, Dominowska
& Ragno, WWW 2007) or the dependent click model (DCM: Guo, Liu & Wang, WSDM 2009), with the
parameters in `PBM_EXAMINATION` and `DCM_CONTINUATION`.

The search may be broken in the twelve ways of `WAYS`. Shoppers are the same in both worlds (same
seed, same needs, same words): only what they are answered differs, so the difference in revenue
between the two is what a break costs. Rows are `AdmittedEvent`s; every `query_id` starts with
`simulated-`, and the schema's metadata says `simulated: true`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tandem.contracts.insight import Cause
from tandem.contracts.product import Product
from tandem.simulate.catalogue import simulated_products, word
from tandem.simulate.judgments import COMPLEMENTS
from tandem.simulate.lexicon import CATEGORIES, LEXICONS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
ClickModel = Literal["pbm", "dcm"]

WAYS: tuple[str, ...] = get_args(Cause)
SHOWN = 10
PBM_EXAMINATION: Floats = np.arange(1, SHOWN + 1, dtype=np.float64) ** -0.8
"""P(examined) by place in the list, place 1 first."""
DCM_CONTINUATION: Floats = np.linspace(0.8, 0.35, SHOWN)
"""P(looks on after a click) by place in the list."""

LANGUAGE_SHARES = (0.6, 0.25, 0.15)
DEVICES = ("desktop", "mobile", "app", "tablet")
DEVICE_SHARES = (0.35, 0.40, 0.13, 0.12)
FILTERS = ("brand", "colour", "material")
FILTER_RATE = 0.15
START = datetime(2026, 3, 1, tzinfo=UTC)
CHUNK = 50_000  # sessions simulated at once; the first chunks stay the same when more are asked for
DAY = 24 * 3600

_POOL = 30
_ASTRAY = 7  # places that products of another kind take where a search lost the intent
_ROUNDS = 3
_MISSIONS = 3
_SUPPLY = 12  # products at least behind every need: a shop is asked for what it has
_BUDGET = (0.25, 0.45)  # mean and spread of log(budget / usual price of the category)
_ATTRACTION = {"exact": 0.45, "substitute": 0.2, "irrelevant": 0.04}
_CART = {"exact": 0.32, "substitute": 0.16, "irrelevant": 0.02}
_PURCHASE = 0.55
_SLOW_MS = 7_000.0
_USUAL, _OTHER, _MISSPELT, _SLANG, _JUNK = range(5)  # how a need is put into words


@dataclass(frozen=True)
class Break:
    """One way in which search is broken, and for whom. None: for everyone."""

    way: str
    language: str | None = None
    category: str | None = None
    device: str | None = None
    filter: str | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shopping:
    """What was simulated, and the truth behind it.

    events: rows of `AdmittedEvent`, by time. products: the catalogue that was searched.
    breaks: those that were at work. revenue, affected: for each mission its revenue, and the place
    in `planned` of the break that its need falls under (-1: none), also when it was not at work.
    """

    events: pa.Table
    products: list[Product]
    breaks: tuple[Break, ...]
    planned: tuple[Break, ...]
    revenue: Floats
    affected: Ints


def simulated_shopping(
    sessions: int,
    *,
    seed: int = 0,
    broken: Collection[str] = (),
    products: int = 6_000,
    languages: Sequence[str] = ("en", "es", "de"),
    days: int = 28,
    clicks: ClickModel = "pbm",
) -> Shopping:
    """Simulate `sessions` visits. broken: names out of `WAYS`. ValueError for any other name."""
    shop = Shop(products, seed=seed, broken=broken, languages=languages, days=days, clicks=clicks)
    parts = list(shop.visits(sessions))
    return Shopping(
        pa.concat_tables([p[0] for p in parts]).sort_by("timestamp"),
        shop.products,
        shop.broken,
        shop.planned,
        np.concatenate([p[1] for p in parts]),
        np.concatenate([p[2] for p in parts]),
    )


class Shop:
    """The shop, its needs and its search, broken or not."""

    def __init__(
        self,
        products: int,
        *,
        seed: int = 0,
        broken: Collection[str] = (),
        languages: Sequence[str] = ("en", "es", "de"),
        days: int = 28,
        clicks: ClickModel = "pbm",
    ) -> None:
        for way in broken:
            if way not in WAYS:
                raise ValueError(f"no way '{way}' to break search; there are {', '.join(WAYS)}")
        if len(languages) != len(LANGUAGE_SHARES):
            raise ValueError(f"{len(LANGUAGE_SHARES)} languages are simulated")
        self._seed = seed
        self._broken = frozenset(broken)
        self._languages = tuple(languages)
        self._days = days
        self._clicks = clicks
        rng = np.random.default_rng([seed, 7])
        self._plan(rng)
        self.products = self._supply(
            list(simulated_products(products, seed=seed, languages=languages))
        )
        self._needs(rng)

    @property
    def broken(self) -> tuple[Break, ...]:
        """What of the plan is at work."""
        return tuple(b for b in self.planned if b.way in self._broken)

    # --- The plan: who falls under which break, the same in both worlds -----------------------

    def _plan(self, rng: np.random.Generator) -> None:
        """Ten breaks of one category each in the main language, one of a filter, of a device and
        of a language. The categories are drawn among the popular ones."""
        own = [w for w in WAYS if w not in ("filters_too_tight", "language", "device")]
        drawn = rng.permutation(14)[: len(own)].tolist()
        self._place = {way: CATEGORIES[place] for way, place in zip(own, drawn, strict=True)}
        main = self._languages[0]
        self._slang = word(3_000_000 + int(rng.integers(1_000_000)))
        self._brand = word(5_000_000 + int(rng.integers(1_000_000))).capitalize()
        planned = []
        for way in WAYS:
            if way == "filters_too_tight":
                planned.append(Break(way, filter="material"))
            elif way == "language":
                planned.append(Break(way, language=self._languages[2]))
            elif way == "device":
                planned.append(Break(way, device="tablet"))
            else:
                category = self._place[way]
                forms = LEXICONS[main].noun_forms[CATEGORIES.index(category)]
                words = {
                    "vocabulary_gap": (self._slang,),
                    "misspelling": (misspelt(forms[0]).lower(),),
                    "missing_product": (self._brand.lower(),),
                    "missing_synonym": (forms[1].lower(),),
                }
                planned.append(Break(way, main, category, words=words.get(way, ())))
        self.planned = tuple(planned)

    def _supply(self, products: list[Product]) -> list[Product]:
        """Stock and brands as the plan wants them."""
        main = self._languages[0]
        out, of_brand, emptied = [], 0, 0
        for product in products:
            category = product.extra["category"]
            if product.language == main and category == self._place["missing_product"]:
                of_brand += 1
                if of_brand % 3 == 0 and "missing_product" not in self._broken:
                    title = product.title.replace(product.brand or "", self._brand)
                    product = product.model_copy(update={"brand": self._brand, "title": title})
            if product.language == main and category == self._place["out_of_stock"]:
                emptied += 1
                if emptied % 8 and "out_of_stock" in self._broken:
                    product = product.model_copy(update={"stock": 0})
            out.append(product)
        return out

    def _needs(self, rng: np.random.Generator) -> None:
        """Every need with its texts, how often it occurs, and the products that come into question.

        Arrays by need: language, category (places), share; pool (needs, 30) of product numbers, -1
        where there are no more, with attraction and cart probability.
        """
        language = np.array([self._languages.index(p.language or "") for p in self.products])
        category = np.array([CATEGORIES.index(p.extra["category"]) for p in self.products])
        self._price = np.array([float(p.price.amount) for p in self.products if p.price])
        self._in_stock = np.array([bool(p.stock) for p in self.products])
        quality = np.exp(rng.normal(0.0, 0.45, len(self.products)))
        share_of_category = np.arange(1, len(CATEGORIES) + 1) ** -0.5
        rows: list[tuple[int, int, str, str, float, Ints, Flags]] = []
        self._usual_price = np.full((len(self._languages), len(CATEGORIES)), np.nan)
        self._of_language = [np.flatnonzero(language == i) for i in range(len(self._languages))]
        for place in range(len(self._languages)):
            for number, category_name in enumerate(CATEGORIES):
                here = np.flatnonzero((language == place) & (category == number))
                if here.size < _SUPPLY:
                    continue
                self._usual_price[place, number] = np.median(self._price[here])
                share = LANGUAGE_SHARES[place] * share_of_category[number]
                rows.append((place, number, "", "", 0.45 * share, here, np.ones(here.size, bool)))
                for fact, part in (("colour", 0.35), ("brand", 0.2)):
                    values = [self._fact(self.products[i], fact) for i in here]
                    names, counts = np.unique(np.array(values), return_counts=True)
                    asked = [v for v, c in zip(names, counts, strict=True) if c >= _SUPPLY]
                    lacking = (
                        fact == "brand"
                        and place == 0
                        and category_name == self._place["missing_product"]
                    )
                    if lacking:
                        asked = [self._brand]  # wanted, whether there are any or not
                    for value in asked:
                        exact = np.array([v == value for v in values])
                        weight = part * share / len(asked)
                        rows.append((place, number, fact, str(value), weight, here, exact))
        other = CATEGORIES.index(COMPLEMENTS[self._place["category_intent"]])
        # What a search shows that has lost the intent.
        self._others = np.flatnonzero((language == 0) & (category == other))
        astray = "category_intent" in self._broken and self._others.size < _ASTRAY
        if not rows or astray:
            raise ValueError(
                f"{len(self.products)} products are too few to be searched for: shoppers ask for "
                f"kinds of which there are {_SUPPLY}, and "
                + (f"{_ASTRAY} of another kind to go astray to" if astray else "there is none")
            )
        count = len(rows)
        self._language_of = np.array([r[0] for r in rows])
        self._category_of = np.array([r[1] for r in rows])
        shares = np.array([r[4] for r in rows])
        self._cumulative = np.cumsum(shares / shares.sum())
        self._pool = np.full((count, _POOL), -1, dtype=np.int64)
        self._attraction = np.zeros((count, _POOL))
        self._cart = np.zeros((count, _POOL))
        self._total = np.zeros(count, dtype=np.int64)
        self._plain = np.zeros(count, dtype=np.int64)  # the same need without its fact
        plain: dict[tuple[int, int], int] = {}
        texts: list[str] = []
        self._asked_for = [(self._languages[r[0]], CATEGORIES[r[1]], r[3]) for r in rows]
        for need, (place, number, fact, value, _, here, exact) in enumerate(rows):
            if not fact:
                plain[place, number] = need
            self._plain[need] = plain[place, number]
            best = quality[here] + 100 * exact
            # The best, and some of the rest: a shop has ordinary products as well.
            by_merit = np.argsort(-best, kind="stable")
            ordinary = np.linspace(_POOL // 2, by_merit.size - 1, _POOL - _POOL // 2).astype(int)
            keep = (
                by_merit[np.unique(np.concatenate([np.arange(_POOL // 2), ordinary]))]
                if by_merit.size > _POOL
                else by_merit
            )
            chosen, fits = here[keep], exact[keep]
            kind = ["exact" if f else "substitute" for f in fits]
            self._pool[need, : keep.size] = chosen
            self._attraction[need, : keep.size] = np.minimum(
                0.85, np.array([_ATTRACTION[k] for k in kind]) * quality[chosen]
            )
            self._cart[need, : keep.size] = [_CART[k] for k in kind]
            self._total[need] = int(exact.sum())
            texts += self._texts(place, number, value)
        self._texts_of = pa.array(texts)
        self._under = self._affected_needs(rows)

    def meanings(self) -> dict[str, tuple[str, str, str]]:
        """What each text is typed for: a language, a category, and a colour or brand, or ""."""
        found: dict[str, tuple[str, str, str]] = {}
        texts = self._texts_of.to_pylist()
        for need, meant in enumerate(self._asked_for):
            for way in range(4):
                # The shop's slang has one word; what it stands for is what its gap is of.
                if way == _SLANG and self._under[need] != WAYS.index("vocabulary_gap"):
                    continue
                found.setdefault(texts[4 * need + way], meant)
        return found

    @staticmethod
    def relevance(product: Product, meant: tuple[str, str, str]) -> int:
        """How well a product fits: 3 exactly, 2 but for its colour or brand, 0 else."""
        language, category, value = meant
        if (product.language, product.extra["category"]) != (language, category):
            return 0
        known = (product.brand, *map(str, product.attributes.values()))
        return 3 if not value or value in known else 2

    @staticmethod
    def _fact(product: Product, name: str) -> str:
        return (product.brand or "") if name == "brand" else str(product.attributes[name])

    def _texts(self, place: int, number: int, value: str) -> list[str]:
        lexicon = LEXICONS[self._languages[place]]
        forms = lexicon.noun_forms[number]
        words = [forms[0], forms[1], misspelt(forms[0]), self._slang]
        first = lexicon.title.startswith("{brand}")
        return [" ".join([value, w] if first else [w, value]).strip().lower() for w in words]

    def _affected_needs(self, rows: Sequence[tuple[Any, ...]]) -> Ints:
        """For each need the place in `planned` of the category's break, or -1."""
        of_place = {
            CATEGORIES.index(b.category): i for i, b in enumerate(self.planned) if b.category
        }
        under = np.full(len(rows), -1, dtype=np.int64)
        for need, (place, number, fact, value, *_) in enumerate(rows):
            if place == 2:
                under[need] = WAYS.index("language")
            elif place == 0 and number in of_place:
                way = WAYS[of_place[number]]
                if way != "missing_product" or (fact == "brand" and value == self._brand):
                    under[need] = of_place[number]
        return under

    # --- Visits -------------------------------------------------------------------------------

    def visits(self, sessions: int) -> Iterator[tuple[pa.Table, Floats, Ints]]:
        """Events of `CHUNK` sessions at a time, in bounded memory: rows by session, and for each
        mission its revenue and the planned break that it falls under."""
        for start in range(0, sessions, CHUNK):
            yield _Visits(self, start, min(CHUNK, sessions - start)).events()


class _Visits:
    """One chunk of sessions on its way through the shop."""

    def __init__(self, shop: Shop, start: int, size: int) -> None:
        self._shop = shop
        self._start = start
        # Two streams: what shoppers want does not depend on what they are answered.
        wants = np.random.default_rng([shop._seed, start, 0])
        self._rng = np.random.default_rng([shop._seed, start, 1])
        self._clients = start + wants.integers(0, max(1, size // 2), size)
        # A client keeps its language and device.
        habits = np.random.default_rng([shop._seed, start, 2])
        device = habits.choice(len(DEVICES), size=size, p=DEVICE_SHARES)
        self._device = device[self._clients - start]
        self._begins = np.sort(wants.integers(0, shop._days * DAY, size)).astype(np.float64)
        self._missions = 1 + np.minimum(wants.poisson(0.4, size), _MISSIONS - 1)
        self._wants: list[dict[str, Any]] = []
        for _ in range(_MISSIONS):
            need = np.searchsorted(shop._cumulative, wants.random(size))
            need = np.minimum(need, shop._language_of.size - 1)
            usual = shop._usual_price[shop._language_of[need], shop._category_of[need]]
            self._wants.append(
                {
                    "need": need,
                    "budget": usual * np.exp(wants.normal(*_BUDGET, size)),
                    "filter": np.where(
                        wants.random(size) < FILTER_RATE, wants.integers(0, 3, size), -1
                    ),
                    "words": self._words(wants, need, size),
                }
            )
        self._queries: list[dict[str, Any]] = []
        self._actions: list[dict[str, Any]] = []
        self._asked = 0

    def _words(self, rng: np.random.Generator, need: Ints, size: int) -> Ints:
        """How the need is put into words at first: by habits that differ where the plan says."""
        shop = self._shop
        under = shop._under[need]
        draw = rng.random(size)
        words = np.where(draw < 0.3, _OTHER, _USUAL)
        words = np.where(draw > 0.96, _MISSPELT, words)
        words = np.where((under == WAYS.index("misspelling")) & (draw > 0.6), _MISSPELT, words)
        words = np.where((under == WAYS.index("vocabulary_gap")) & (draw > 0.5), _SLANG, words)
        words = np.where((under == WAYS.index("missing_synonym")) & (draw < 0.5), _OTHER, words)
        return np.where(rng.random(size) < 0.008, _JUNK, words)

    def events(self) -> tuple[pa.Table, Floats, Ints]:
        clock = self._begins.copy()
        revenue, affected = [], []
        for number in range(_MISSIONS):
            here = np.flatnonzero(self._missions > number)
            spent, ended = self._mission(here, self._wants[number], clock[here])
            clock[here] = ended + self._rng.uniform(45, 150, here.size)
            want = self._wants[number]
            under = self._shop._under[want["need"][here]].copy()
            loose = under < 0
            tight = want["filter"][here] == FILTERS.index("material")
            under[loose & tight] = WAYS.index("filters_too_tight")
            tablet = self._device[here] == DEVICES.index("tablet")
            under[loose & ~tight & tablet] = WAYS.index("device")
            revenue.append(spent)
            affected.append(under)
        return self._table(), np.concatenate(revenue), np.concatenate(affected)

    def _mission(self, session: Ints, want: dict[str, Any], clock: Floats) -> tuple[Floats, Floats]:
        """Search up to three times for one need; revenue and the end time by session."""
        shop, rng = self._shop, self._rng
        need = want["need"][session]
        budget = want["budget"][session]
        asked = need.copy()
        words = want["words"][session].copy()
        filters = want["filter"][session].copy()
        revenue = np.zeros(session.size)
        clock = clock.copy()
        active = np.arange(session.size)
        for _ in range(_ROUNDS):
            if not active.size:
                break
            answer = self._search(
                session[active], asked[active], words[active], filters[active], clock[active]
            )
            spent, done, ends, clicked = self._behave(
                answer, session[active], need[active], asked[active], budget[active], clock[active]
            )
            revenue[active] += spent
            clock[active] = ends
            empty = answer["count"] == 0
            again = np.select([empty, ~clicked], [0.65, 0.45], 0.25)
            go_on = ~done & (rng.random(active.size) < again)
            active = active[go_on]
            clock[active] += rng.uniform(4, 25, active.size)
            # Other words: what was typed oddly is put right, a filter without results is dropped,
            # then the fact is given up or the other word tried.
            typed = words[active]
            emptied = empty[go_on] & (filters[active] >= 0)
            odd = (typed == _MISSPELT) | (typed == _SLANG) | (typed == _JUNK)
            # What was tried with a known word and found nothing is asked for more broadly.
            broad = ~odd & ~emptied & ((rng.random(active.size) < 0.35) | empty[go_on])
            words[active] = np.where(
                emptied, typed, np.where(odd | broad, _USUAL, 1 - np.minimum(typed, 1))
            )
            filters[active] = -1
            asked[active] = np.where(broad, shop._plain[need[active]], asked[active])
        return revenue, clock

    def _search(
        self, session: Ints, need: Ints, words: Ints, filters: Ints, clock: Floats
    ) -> dict[str, Any]:
        """What the shop answers: product numbers (n, 10), -1 where there is nothing."""
        shop, rng = self._shop, self._rng
        n = need.size
        broken = shop._broken
        under = shop._under[need]

        def hit(way: str) -> Flags:
            if way not in broken:
                return np.zeros(n, dtype=bool)
            return cast(Flags, under == WAYS.index(way))

        pool = shop._pool[need]
        attraction = shop._attraction[need]
        here = pool >= 0
        score = np.log(np.maximum(attraction, 1e-9)) + rng.gumbel(0.0, 0.4, pool.shape)
        if "out_of_stock" not in broken:
            score -= 4.0 * ~shop._in_stock[pool]
        else:
            score -= 4.0 * (~shop._in_stock[pool] & ~hit("out_of_stock")[:, None])
        dear = hit("price_mismatch")
        score[dear] = 5 * np.log(shop._price[pool[dear]]) + rng.gumbel(0, 0.4, (dear.sum(), _POOL))
        score[~here] = -np.inf
        whole = np.argsort(-score, axis=1)
        order = whole[:, :SHOWN]
        worst = hit("bad_ranking")
        if worst.any():
            # The worst that can be bought on top, the best at the bottom.
            sold = (here & shop._in_stock[pool]).sum(axis=1)[worst, None]
            last = np.maximum(sold - 1 - np.arange(SHOWN - 3), 0)
            order[worst, : SHOWN - 3] = np.take_along_axis(whole[worst], last, axis=1)
            order[worst, SHOWN - 3 :] = whole[worst, :3]
        shown = np.take_along_axis(pool, order, axis=1)
        alpha = np.take_along_axis(attraction, order, axis=1)
        cart = np.take_along_axis(shop._cart[need], order, axis=1)

        wrong = hit("category_intent")
        if wrong.any():
            left = SHOWN - _ASTRAY
            shown[wrong, _ASTRAY:] = shown[wrong, :left]
            alpha[wrong, _ASTRAY:] = alpha[wrong, :left]
            cart[wrong, _ASTRAY:] = cart[wrong, :left]
            others = shop._others
            shown[wrong, :_ASTRAY] = others[
                np.argsort(rng.random((int(wrong.sum()), others.size)), axis=1)[:, :_ASTRAY]
            ]
            alpha[wrong, :_ASTRAY] = _ATTRACTION["irrelevant"]
            cart[wrong, :_ASTRAY] = _CART["irrelevant"]
        lost = hit("language")
        if lost.any():
            everything = shop._of_language[2]
            shown[lost] = everything[rng.integers(0, everything.size, (int(lost.sum()), SHOWN))]
            alpha[lost], cart[lost] = _ATTRACTION["irrelevant"], _CART["irrelevant"]

        total = shop._total[need].copy()
        total = np.where(filters >= 0, np.maximum(total // 3, SHOWN), total)
        few = hit("missing_synonym") & (words == _OTHER)
        shown[few, 3:], total[few] = -1, 3
        alpha[few] *= 0.4
        none = (
            (words == _JUNK)
            | (hit("vocabulary_gap") & (words == _SLANG))
            | (hit("misspelling") & (words == _MISSPELT))
            | hit("missing_product")
        )
        if "filters_too_tight" in broken:
            none |= filters == FILTERS.index("material")
        shown[none], total[none] = -1, 0
        latency = rng.lognormal(np.log(90), 0.5, n)
        slow = hit("slow")
        latency = np.where(slow, _SLOW_MS * rng.lognormal(0.0, 0.2, n), latency)
        count = (shown >= 0).sum(axis=1)
        total = np.maximum(total, count)
        first = self._asked
        self._asked += n
        text = shop._texts_of.take(pa.array(need * 4 + np.minimum(words, 3)))
        self._queries.append(
            {
                "query": first + np.arange(n),
                "session": session,
                "timestamp": clock,
                "text": text,
                "junk": words == _JUNK,
                "language": shop._language_of[need],
                "filter": filters,
                "total": total,
                "shown": shown,
                "latency": latency,
            }
        )
        return {
            "query": first + np.arange(n),
            "shown": shown,
            "alpha": alpha,
            "cart": cart,
            "count": count,
            "latency": latency,
        }

    def _behave(
        self,
        answer: dict[str, Any],
        session: Ints,
        need: Ints,
        asked: Ints,
        budget: Floats,
        clock: Floats,
    ) -> tuple[Floats, Flags, Floats, Flags]:
        """Clicks, carts and purchases; by search: revenue, done, end time, whether clicked."""
        shop, rng = self._shop, self._rng
        shown = answer["shown"]
        n = shown.shape[0]
        here = shown >= 0
        attracted = (rng.random(shown.shape) < answer["alpha"]) & here
        if shop._clicks == "pbm":
            clicked = attracted & (rng.random(shown.shape) < PBM_EXAMINATION)
        else:
            on = ~attracted | (rng.random(shown.shape) < DCM_CONTINUATION)
            looking = np.cumprod(np.column_stack([np.ones(n), on[:, :-1]]), axis=1) > 0
            clicked = attracted & looking
        # Who waits for seconds mostly leaves before looking.
        gone = (answer["latency"] > _SLOW_MS / 3) & (rng.random(n) < 0.6)
        clicked[gone] = False
        # The wish is for the fact too: without it a product is a substitute only.
        given_up = (asked != need)[:, None] & (shop._under[need] == WAYS.index("missing_product"))[
            :, None
        ]
        p = answer["cart"] * np.where(given_up, 0.25, 1.0)
        price = shop._price[shown]
        p = p * np.where(price <= budget[:, None], 1.0, 0.12) * shop._in_stock[shown]
        if "device" in shop._broken:
            tablet = self._device[session] == DEVICES.index("tablet")
            p = p * np.where(tablet, 0.08, 1.0)[:, None]
        carted = clicked & (rng.random(shown.shape) < p)
        bought = carted & (rng.random(shown.shape) < _PURCHASE)
        # Time passes: a look at the list, then each clicked product is read for a while.
        waited = answer["latency"] / 1000
        dwell = np.where(
            carted,
            rng.lognormal(np.log(60), 0.4, shown.shape),
            rng.lognormal(2.7, 0.8, shown.shape),
        )
        dwell = np.clip(dwell, 2, 240) * clicked
        begins = clock + waited
        at = (
            begins[:, None]
            + 3
            + 1.5 * np.arange(SHOWN)
            + np.column_stack([np.zeros(n), np.cumsum(dwell, axis=1)[:, :-1]])
        )
        for name, mask, lag in (
            ("click", clicked, np.zeros_like(dwell)),
            ("add_to_cart", carted, dwell * 0.8),
            ("purchase", bought, dwell * 0.95),
        ):
            rows, columns = np.nonzero(mask)
            self._actions.append(
                {
                    "action": name,
                    "query": answer["query"][rows],
                    "session": session[rows],
                    "timestamp": (at + lag)[rows, columns],
                    "product": shown[rows, columns],
                    "position": columns + 1,
                    "language": shop._language_of[asked[rows]],
                }
            )
        ends = begins + 6 + dwell.sum(axis=1)
        return (price * bought).sum(axis=1), carted.any(axis=1), ends, clicked.any(axis=1)

    def _table(self) -> pa.Table:
        """All of it as admitted events."""
        shop = self._shop
        ids = pa.array([p.id for p in shop.products])
        languages = pa.array(shop._languages)
        q = {
            k: np.concatenate([p[k] for p in self._queries])
            for k in self._queries[0]
            if k != "text"
        }
        texts = pa.chunked_array([p["text"] for p in self._queries]).combine_chunks()
        junk = np.flatnonzero(q["junk"])
        if junk.size:
            odd = pa.array([f"zq{self._start + i}x{i % 7}" for i in junk.tolist()])
            texts = pc.replace_with_mask(texts, pa.array(q["junk"]), odd)
        here = q["shown"] >= 0
        offsets = np.concatenate([[0], np.cumsum(here.sum(axis=1))]).astype(np.int32)
        lists = pa.ListArray.from_arrays(offsets, ids.take(pa.array(q["shown"][here])))
        n = q["query"].size
        searches = self._rows(q, "search", 0) | {
            "user_query": texts,
            "language": languages.take(pa.array(q["language"])),
            "total": pa.array(q["total"], pa.int64()),
            "object_ids": lists,
            "filters": _names(q["filter"]),
            "latency_ms": pa.array(np.round(q["latency"], 1)),
        }
        tables = [_whole(searches, n)]
        number = n
        for name in ("click", "add_to_cart", "purchase"):
            parts = [a for a in self._actions if a["action"] == name]
            a = {k: np.concatenate([p[k] for p in parts]) for k in parts[0] if k != "action"}
            count = a["query"].size
            rows = self._rows(a, name, number) | {
                "language": languages.take(pa.array(a["language"])),
                "object_id": ids.take(pa.array(a["product"])),
                "position": pa.array(a["position"], pa.int64()),
                "object_ids": _empty(count),
                "filters": _empty(count),
            }
            if name == "purchase":
                rows["quantity"] = pa.array(np.ones(count), pa.int64())
                rows["amount"] = pa.array(
                    [f"{p:.2f}" for p in shop._price[a["product"]].tolist()], pa.string()
                )
                rows["currency"] = pa.repeat("EUR", count)
                rows["order"] = _padded("sim.", a["query"] + self._start * 100, 22)
            tables.append(_whole(rows, count))
            number += count
        return pa.concat_tables(tables)

    def _rows(self, values: dict[str, Any], action: str, first: int) -> dict[str, Any]:
        """The columns that every row has."""
        count = values["query"].size
        when = (START.timestamp() * 1e6 + values["timestamp"] * 1e6).astype(np.int64)
        session = values["session"]
        keys = self._start * 200 + first + np.arange(count)
        # Query ids of chunks cannot meet: a session asks fewer than a hundred times.
        query = self._start * 100 + values["query"]
        return {
            "event_key": _padded("", keys, 32),
            "action_name": pa.repeat(action, count),
            "timestamp": pa.array(when),
            "received": pa.array(when),
            "client": _padded("sim.", self._clients[session], 22),
            "session": _padded("sim.", self._start + session, 22),
            "query_id": _padded(f"simulated-{self._shop._seed}-", query, 0),
            "masked": _empty(count),
            "device": pa.array(DEVICES).take(pa.array(self._device[session])),
            "traffic": pa.repeat("shopper", count),
            "clock": pa.repeat("kept", count),
        }


_TEXTS = pa.list_(pa.string())
SCHEMA = pa.schema(
    [
        ("event_key", pa.string()),
        ("action_name", pa.string()),
        ("timestamp", pa.int64()),
        ("received", pa.int64()),
        ("client", pa.string()),
        ("session", pa.string()),
        ("user", pa.string()),
        ("query_id", pa.string()),
        ("user_query", pa.string()),
        ("masked", _TEXTS),
        ("language", pa.string()),
        ("object_id", pa.string()),
        ("position", pa.int64()),
        ("quantity", pa.int64()),
        ("amount", pa.string()),
        ("currency", pa.string()),
        ("order", pa.string()),
        ("total", pa.int64()),
        ("object_ids", _TEXTS),
        ("content", pa.string()),
        ("creator_id", pa.string()),
        ("seconds", pa.float64()),
        ("duration", pa.float64()),
        ("device", pa.string()),
        ("region", pa.string()),
        ("filters", _TEXTS),
        ("latency_ms", pa.float64()),
        ("traffic", pa.string()),
        ("clock", pa.string()),
    ],
    metadata={"simulated": "true"},
)
"""Columns of `AdmittedEvent`, as simulated."""


def _whole(columns: dict[str, Any], count: int) -> pa.Table:
    """The columns in order, and nulls for those that are not there."""
    arrays = [columns.get(f.name, pa.nulls(count, f.type)) for f in SCHEMA]
    return pa.table(arrays, schema=SCHEMA)


def misspelt(noun: str) -> str:
    """A usual slip: two letters in the middle of the longest word have changed places."""
    words = noun.split(" ")
    longest = max(range(len(words)), key=lambda i: len(words[i]))
    w = words[longest]
    for at in sorted(range(1, len(w) - 2), key=lambda i: abs(i - len(w) // 2)):
        if w[at] != w[at + 1]:
            words[longest] = w[:at] + w[at + 1] + w[at] + w[at + 2 :]
            break
    return " ".join(words)


def _padded(prefix: str, numbers: Ints, width: int) -> pa.Array:
    text = pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), width, "0")
    return pc.binary_join_element_wise(pa.scalar(prefix), text, "") if prefix else text


def _empty(count: int) -> pa.Array:
    offsets = np.zeros(count + 1, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array([], pa.string()))


def _names(filters: Ints) -> pa.Array:
    used = filters >= 0
    offsets = np.concatenate([[0], np.cumsum(used)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(FILTERS).take(pa.array(filters[used])))
