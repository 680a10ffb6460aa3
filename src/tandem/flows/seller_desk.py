"""The seller center of a workspace that is being served."""

from __future__ import annotations

from tandem.contracts.seller import Assortment, Indicators, Movement, SalesOutlook, Target
from tandem.flows.sales_outlook import outlook
from tandem.flows.search_performance import last_recorded_month
from tandem.flows.selling import assortment, indicators, movement, set_target
from tandem.flows.workspace import Workspace


class SellerDesk:
    """Answers merchants from the live view of a workspace. Safe for many threads."""

    def __init__(self, shop: Workspace) -> None:
        self._shop = shop

    def indicators(self, merchant: str, period: str | None, *, actor: str) -> Indicators:
        shop = self._shop
        return indicators(shop.layout, shop.view, merchant, self._period(period), actor=actor)

    def movement(self, merchant: str, period: str | None, *, actor: str) -> Movement:
        shop = self._shop
        return movement(shop.layout, shop.view, merchant, self._period(period), actor=actor)

    def outlook(self, merchant: str, days: int, *, actor: str) -> SalesOutlook:
        return outlook(self._shop.layout, self._shop.view, merchant, days=days, actor=actor)

    def assortment(self, merchant: str) -> Assortment:
        return assortment(self._shop.layout, self._shop.view, merchant)

    def set_target(self, target: Target) -> Target:
        return set_target(self._shop.layout, self._shop.view, target)

    def _period(self, period: str | None) -> str:
        """The month that is asked for, or the last recorded one that is over."""
        return last_recorded_month(self._shop.layout) if period is None else period
