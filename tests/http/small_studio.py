"""A creator studio in memory: one creator's products, gaps and results."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from tandem.contracts.errors import NotFound
from tandem.contracts.product import Money
from tandem.contracts.query_log import QueryCount
from tandem.contracts.studio import (
    ContentGap,
    Earnings,
    Piece,
    ProductFit,
    StudioHome,
    Watching,
    Worked,
)

CREATORS = ("mia", "noa")
CURVE = (0.6, 0.4, 0.3, None, 0.1)


class SmallStudio:
    def asked(self, *, actor: str) -> tuple[QueryCount, ...]:
        return (QueryCount("acme speaker", 70),)

    def home(self, creator: str, *, actor: str) -> StudioHome:
        self._known(creator)
        earnings = Earnings(
            low=4, middle=9, high=30, currency="EUR", commission_rate=1500, pieces=8, own=True
        )
        fit = ProductFit(
            product_id="P000",
            title="Acme Bluetooth speaker black 100",
            merchant="Acme",
            category=("Electronics", "Audio", "Speakers"),
            price=Money(amount=Decimal("9.90"), currency="EUR"),
            earnings=earnings,
            reasons=("you showed Speakers in 8 pieces",),
        )
        unknown = fit.model_copy(update={"product_id": "P001", "earnings": None})
        gap = ContentGap(
            query="desk lamp",
            asked=230,
            content=1,
            topic="Lighting",
            product_id="P048",
            title="Acme Desk lamp",
        )
        return StudioHome(
            creator=creator,
            topics=("Speakers", "Lighting"),
            products=(fit, unknown),
            gaps=(gap,),
            simulated=True,
        )

    def worked(self, creator: str) -> Worked:
        self._known(creator)
        watching = Watching(
            pieces=10,
            creators=1,
            hook_rate=0.4,
            hold_rate=0.5,
            retention=CURVE,
            ctr=0.01,
            ctor=None,
        )
        piece = Piece(
            content_id="v1",
            kind="video",
            published=datetime(2026, 3, 1, tzinfo=UTC),
            caption="Watch this",
            product_ids=("P000",),
            title="Speaker",
            views=900,
            hook_rate=0.4,
            hold_rate=0.5,
            retention=CURVE,
            clicks=12,
            orders=2,
            gmv_low=10,
            gmv_high=100,
            currency="EUR",
        )
        few = piece.model_copy(
            update={"content_id": "v2", "views": None, "hook_rate": None, "gmv_low": None}
        )
        return Worked(
            creator=creator,
            k=50,
            pieces=(piece, few),
            recent=watching,
            past=None,
            similar=watching.model_copy(update={"creators": 7}),
            says=("Your 8 pieces about Speakers stop 50% of viewers, your others 30%",),
            simulated=True,
        )

    def _known(self, creator: str) -> None:
        if creator not in CREATORS:
            raise NotFound(f"no creator '{creator}'", remedy="check the name")
