"""Matching in a workspace, as its trained matcher and what creators allow say."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.matching import (
    BrandMatch,
    BrandMatches,
    CreatorMatch,
    CreatorMatches,
    Estimate,
    Expectation,
    ProductMatch,
    ProductMatches,
)
from tandem.contracts.parties import Creator
from tandem.contracts.product import Money, Product
from tandem.flows.loading import load_matcher
from tandem.governance.consent import ConsentLedger
from tandem.governance.creators import CreatorConsent
from tandem.matching.matcher import Flags, Matched, MatcherManifest
from tandem.matching.predictive import SHOWN_LEVEL
from tandem.matching.reasons import reasons
from tandem.storage.catalog import read_products
from tandem.storage.layout import Layout
from tandem.storage.parties import read_creators

MOST = 100
MOST_PRODUCTS = 100
"""Products of a brand that creators are looked for; of more, so many evenly over the prices."""
_OF_BRAND = 3  # products that a brand's match names


class _Loaded:
    """One matcher with the creators and products of the generations that are live with it."""

    def __init__(self, layout: Layout, path: Path) -> None:
        self.generation = path.name
        self.matcher, self.manifest = load_matcher(path)
        self.creators = {c.id: c for c in read_creators(layout)}
        # What the catalogue lost since is not proposed.
        self.products: dict[str, Product] = {
            product.id: product
            for batch in read_products(layout)
            for product in batch
            if product.id in self.matcher.product_number
        }
        known = (i in self.creators for i in self.matcher.creator_ids)
        self.gone_creators = ~np.fromiter(known, np.bool_, len(self.matcher.creator_ids))
        slots = (
            i in self.creators and self.creators[i].slots == 0 for i in self.matcher.creator_ids
        )
        self.full_creators = np.fromiter(slots, np.bool_, len(self.matcher.creator_ids))
        there = (i in self.products for i in self.matcher.product_ids)
        self.gone_products = ~np.fromiter(there, np.bool_, len(self.matcher.product_ids))
        self.of_merchant: dict[str, list[int]] = {}
        for id_, product in self.products.items():
            if owner := product.merchant or product.brand:
                number = self.matcher.product_number[id_]
                self.of_merchant.setdefault(owner, []).append(number)


class MatchOffice:
    """Who suits whom in one workspace. Safe for many threads; a new generation is taken up by the
    next call. NotFound before the first matcher."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        self._loaded: tuple[tuple[str | None, ...], _Loaded] | None = None
        self._consent: tuple[tuple[object, ...], CreatorConsent, Flags] | None = None

    @property
    def manifest(self) -> MatcherManifest:
        return self._now().manifest

    def merchant_of(self, product_id: str) -> str | None:
        """Whose product it is, its brand's where it names no merchant; None for nobody's. NotFound
        for one that no matcher knows."""
        product = _product(self._now(), product_id)
        return product.merchant or product.brand

    def prices(self, product_ids: Sequence[str]) -> dict[str, Money | None]:
        """Price of each product, None where none is known. NotFound for unknown ones."""
        now = self._now()
        return {id_: _product(now, id_).price for id_ in product_ids}

    def creators_for_product(self, product_id: str, k: int = 20) -> CreatorMatches:
        """The best creators for a product."""
        now = self._now()
        _product(now, product_id)
        consent, barred = self._barred(now)
        found = now.matcher.creators_for(now.matcher.product_number[product_id], k, barred=barred)
        return self._creators(now, consent, barred, found, (product_id,))

    def creators_for_brand(self, merchant: str, k: int = 20) -> CreatorMatches:
        """The best creators for all products of a merchant; each with the product they suit most.
        NotFound for a merchant without products."""
        now = self._now()
        numbers = now.of_merchant.get(merchant)
        if not numbers:
            raise NotFound(
                f"no products of '{merchant}'", remedy="name a merchant of the catalogue"
            )
        price = np.nan_to_num(now.matcher.products.price[numbers])
        by_price = np.array(numbers)[np.argsort(price, kind="stable")]
        some = np.linspace(0, len(by_price) - 1, min(MOST_PRODUCTS, len(by_price)))
        asked = by_price[some.round().astype(np.int64)]
        consent, barred = self._barred(now)
        found = now.matcher.creators_for_any(asked, k, barred=barred)
        ids = tuple(now.matcher.product_ids[p] for p in asked.tolist())
        return self._creators(now, consent, barred, found, ids)

    def products_for_creator(self, creator_id: str, k: int = 20) -> ProductMatches:
        """The best products for a creator. NotFound for one who is unknown or withdrew."""
        now, number = self._creator(creator_id)
        barred = now.gone_products | self._blocked(now, creator_id)
        found = now.matcher.products_for(number, k, barred=barred)
        return ProductMatches(
            creator_id=creator_id,
            matches=tuple(self._products(now, creator_id, found)),
            **_said(now),
        )

    def brands_for_creator(self, creator_id: str, k: int = 20) -> BrandMatches:
        """Merchants by their best products for a creator."""
        now, number = self._creator(creator_id)
        barred = now.gone_products | self._blocked(now, creator_id)
        found = now.matcher.products_for(number, len(now.products), barred=barred)
        brands: dict[str, list[ProductMatch]] = {}
        for match in self._products(now, creator_id, found):
            owner = match.merchant
            if owner is not None:
                brands.setdefault(owner, []).append(match)
        scored = [
            BrandMatch(
                merchant=merchant,
                score=float(np.mean([m.score for m in matches[:_OF_BRAND]])),
                products=tuple(matches[:_OF_BRAND]),
            )
            for merchant, matches in brands.items()
        ]
        scored.sort(key=lambda match: (-match.score, match.merchant))
        return BrandMatches(creator_id=creator_id, matches=tuple(scored[:k]), **_said(now))

    # --- Parts --------------------------------------------------------------------------------

    def _now(self) -> _Loaded:
        layout = self._layout
        stamp = (layout.matchers.live(), layout.creators.live(), layout.catalog.live())
        path = layout.matchers.live_path()
        if path is None:
            raise NotFound("no matcher is trained", remedy="run: tandem train matcher")
        with self._lock:
            if self._loaded is None or self._loaded[0] != stamp:
                self._loaded = (stamp, _Loaded(layout, path))
            return self._loaded[1]

    def _creator(self, creator_id: str) -> tuple[_Loaded, int]:
        now = self._now()
        number = now.matcher.creator_number.get(creator_id)
        consent = CreatorConsent.of(self._layout)
        if number is None or creator_id not in now.creators or consent.refused(creator_id):
            raise NotFound(
                f"no creator '{creator_id}' to match",
                remedy="import the creator and train again: tandem train matcher; who withdrew "
                "is matched with nobody",
            )
        return now, number

    def _barred(self, now: _Loaded) -> tuple[CreatorConsent, Flags]:
        """Who may not be proposed now: who withdrew, and who has no slot left."""
        ledger = ConsentLedger(self._layout).file
        files = (ledger, ledger.with_name(f"{ledger.name}-wal"))
        stamp = (now, *((f.stat().st_mtime_ns, f.stat().st_size) for f in files if f.exists()))
        with self._lock:
            if self._consent is not None and self._consent[0] == stamp:
                return self._consent[1:]
        consent = CreatorConsent.of(self._layout)
        barred = now.gone_creators | now.full_creators
        if consent.permissions.withdrawn or consent.permissions.minors:
            ids = now.matcher.creator_ids
            barred |= np.fromiter((consent.refused(i) for i in ids), np.bool_, len(ids))
        with self._lock:
            self._consent = (stamp, consent, barred)
        return consent, barred

    def _blocked(self, now: _Loaded, creator_id: str) -> Flags:
        """Products of categories that a creator never promotes."""
        blocked = set(now.creators[creator_id].blocked_categories)
        out = np.zeros(len(now.matcher.product_ids), np.bool_)
        if blocked:
            for id_, product in now.products.items():
                out[now.matcher.product_number[id_]] = not blocked.isdisjoint(product.category)
        return out

    def _creators(
        self,
        now: _Loaded,
        consent: CreatorConsent,
        barred: Flags,
        found: Matched,
        product_ids: tuple[str, ...],
    ) -> CreatorMatches:
        currency = self._layout.settings().currency
        ids = [now.matcher.creator_ids[c] for c in found.creator.tolist()]
        shown = {c.id: c for c in consent.shown(now.creators[i] for i in dict.fromkeys(ids))}
        matches = [
            CreatorMatch(
                creator=shown[id_],
                product_id=now.matcher.product_ids[int(found.product[i])],
                score=round(float(found.score[i]), 4),
                one_piece=_expectation(found, i, _currency(now, found, i, currency)),
                new=bool(found.new[i]),
                reasons=reasons(
                    found.features[i], bool(found.new[i]), audience=_audience(shown[id_])
                ),
            )
            for i, id_ in enumerate(ids)
        ]
        return CreatorMatches(
            product_ids=product_ids,
            not_proposed=int(barred.sum()),
            matches=tuple(matches),
            **_said(now),
        )

    def _products(self, now: _Loaded, creator_id: str, found: Matched) -> list[ProductMatch]:
        creator = now.creators[creator_id]
        currency = self._layout.settings().currency
        out = []
        for i in range(len(found.product)):
            product = now.products[now.matcher.product_ids[int(found.product[i])]]
            expectation = _expectation(found, i, _currency(now, found, i, currency))
            rate = creator.commission_rate
            earned = None
            if rate is not None and expectation.gmv is not None:
                share = rate / 10_000
                gmv = expectation.gmv
                earned = Estimate(
                    expected=round(share * gmv.expected, 2),
                    low=round(share * gmv.low, 2),
                    high=round(share * gmv.high, 2),
                )
            out.append(
                ProductMatch(
                    product_id=product.id,
                    title=product.title,
                    merchant=product.merchant or product.brand,
                    price=product.price,
                    score=round(float(found.score[i]), 4),
                    one_piece=expectation,
                    commission_rate=rate,
                    commission=earned,
                    reasons=reasons(
                        found.features[i], bool(found.new[i]), audience=_audience(creator)
                    ),
                )
            )
        return out


def find_matches(
    layout: Layout, *, product: str | None, merchant: str | None, creator: str | None, k: int
) -> CreatorMatches | ProductMatches:
    """For one of the three. InvalidInput for none or more of them."""
    if sum(x is not None for x in (product, merchant, creator)) != 1:
        raise InvalidInput(
            "name one of product, merchant and creator", field="product", remedy="leave the others"
        )
    office = MatchOffice(layout)
    if creator is not None:
        return office.products_for_creator(creator, k)
    if merchant is not None:
        return office.creators_for_brand(merchant, k)
    assert product is not None
    return office.creators_for_product(product, k)


def _product(now: _Loaded, product_id: str) -> Product:
    found = now.products.get(product_id)
    if found is None:
        raise NotFound(
            f"no product '{product_id}' that the matcher knows",
            remedy="search for it; after an import: tandem train matcher",
        )
    return found


def _currency(now: _Loaded, found: Matched, i: int, usual: str) -> str:
    price = now.products[now.matcher.product_ids[int(found.product[i])]].price
    return price.currency if price is not None else usual


def _expectation(found: Matched, i: int, currency: str) -> Expectation:
    """GMV is orders times the price, and so are the ends of its interval."""
    orders = _estimate(found.orders[i], found.orders_low[i], found.orders_high[i])
    gmv = None
    if np.isfinite(found.gmv[i]) and found.orders[i] > 0:
        price = found.gmv[i] / found.orders[i]
        gmv = Estimate(
            expected=round(float(found.gmv[i]), 2),
            low=round(float(found.orders_low[i] * price), 2),
            high=round(float(found.orders_high[i] * price), 2),
        )
    return Expectation(
        clicks=_estimate(found.clicks[i], found.clicks_low[i], found.clicks_high[i]),
        orders=orders,
        gmv=gmv,
        currency=currency,
    )


def _estimate(expected: float, low: float, high: float) -> Estimate:
    return Estimate(expected=round(float(expected), 3), low=float(low), high=float(high))


def _audience(creator: Creator) -> str | None:
    shares = creator.audience.by_category
    return max(shares, key=lambda name: (shares[name], name)) if shares else None


def _said(now: _Loaded) -> dict[str, Any]:
    return {
        "matcher_generation": now.generation,
        "interval": SHOWN_LEVEL,
        "simulated": now.manifest.simulated,
    }


__all__: Sequence[str] = ("MOST", "MatchOffice", "find_matches")
