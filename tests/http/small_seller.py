"""A seller center in memory: one merchant's figures, enough to test what HTTP adds."""

from __future__ import annotations

from decimal import Decimal

from tandem.contracts.errors import NotFound
from tandem.contracts.listing import Check, ListingQuality
from tandem.contracts.seller import (
    Assortment,
    Comparable,
    Day,
    Indicator,
    Indicators,
    Moved,
    Movement,
    OutlookDay,
    SalesOutlook,
    Shelf,
    Target,
)

MERCHANTS = ("Acme", "Borealis", "Caldera")
PERIOD = "2026-03"
DAYS = tuple(Day(day=f"2026-03-{d:02d}", value=None if d == 9 else 40.0 + d) for d in range(1, 32))


class SmallSeller:
    def __init__(self) -> None:
        self.targets: dict[tuple[str, str, str], float | None] = {}

    def indicators(self, merchant: str, period: str | None, *, actor: str) -> Indicators:
        self._known(merchant)
        over = (period or PERIOD) <= PERIOD
        shown = [
            Indicator(
                name="gmv",
                unit="money",
                better="up",
                value=1_685.0 if over else None,
                before=1_500.0,
                target=self.targets.get((merchant, period or PERIOD, "gmv")),
                means="What shoppers paid",
                days=DAYS if over else (),
            ),
            Indicator(
                name="return_rate",
                unit="share",
                better="down",
                value=None,
                before=None,
                means="Sent back",
            ),
        ]
        return Indicators(
            merchant=merchant,
            period=period or PERIOD,
            over=over,
            currency="EUR",
            k=50,
            indicators=tuple(shown),
            withheld={"few_people": 1},
        )

    def movement(self, merchant: str, period: str | None, *, actor: str) -> Movement:
        self._known(merchant)
        moved = Moved(
            part="search",
            title="Search",
            amount=Decimal(185),
            traffic=Decimal(200),
            conversion=Decimal(-15),
            basket=Decimal(0),
            untracked=Decimal(0),
        )
        return Movement(
            merchant=merchant,
            period=period or PERIOD,
            before="2026-02",
            currency="EUR",
            gmv_before=Decimal(1_500),
            gmv=Decimal(1_685),
            change=Decimal(185),
            by_product=(moved.model_copy(update={"part": "P000", "title": "Speaker"}),),
            by_channel=(moved,),
        )

    def outlook(self, merchant: str, days: int, *, actor: str) -> SalesOutlook:
        self._known(merchant)
        ahead = [
            OutlookDay(day=f"2026-04-{d % 30 + 1:02d}", mean=50, low=40, high=60)
            for d in range(days)
        ]
        return SalesOutlook(
            merchant=merchant,
            currency="EUR",
            since="2026-01-01",
            past=DAYS,
            days=tuple(ahead),
            total=50.0 * days,
            total_low=45.0 * days,
            total_high=55.0 * days,
            level=0.8,
            origins=4,
        )

    def assortment(self, merchant: str) -> Assortment:
        self._known(merchant)
        shelf = Shelf(
            product_id="P000",
            title="Speaker",
            price=9.9,
            currency="EUR",
            images=0,
            attributes=2,
            expected=3,
            missing=("color",),
            comparable=Comparable(products=9, low=5, median=12, high=20, position=0.3),
            quality=ListingQuality(
                score=55,
                peers=9,
                peers_are="products under Audio",
                checks=(
                    Check(
                        name="description",
                        score=0,
                        weight=20,
                        found="none",
                        suggestion="describe use and size",
                    ),
                    Check(name="title", score=1, weight=25, found="30 characters, clear"),
                ),
            ),
        )
        return Assortment(
            merchant=merchant,
            currency="EUR",
            count=1,
            with_image=0,
            with_price=1,
            attribute_completeness=2 / 3,
            shop_has_images=True,
            products=(shelf,),
        )

    def set_target(self, target: Target) -> Target:
        self._known(target.merchant)
        self.targets[target.merchant, target.period, target.indicator] = target.value
        return target

    def _known(self, merchant: str) -> None:
        if merchant not in MERCHANTS:
            raise NotFound(f"no product of merchant '{merchant}'", remedy="check the name")
