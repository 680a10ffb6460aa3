"""What may be shown of a creator: exact values with consent, ranges without it.

A creator who said nothing about `creator_marketing` is shown with ranges, one who agreed with what
the platform declared, and one who withdrew is not proposed to anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from tandem.contracts.consent import Purpose
from tandem.contracts.parties import Content, CountRange, Creator, MoneyRange
from tandem.governance.consent import ConsentLedger, Permissions
from tandem.governance.pseudonyms import Pseudonyms, open_ring
from tandem.storage.layout import Layout

DOMAIN = "creator"
"""What a creator's pseudonym in the ledger is made for."""
_COUNTS = ("follower_count", "avg_video_views", "items_sold")
_AMOUNTS = ("gmv", "gpm")
_STEPS = (1, 3)
_MOST = 10**15


def band(count: int) -> CountRange:
    """The range of a count: 0, then 1 to 3, 3 to 10, 10 to 30, … (three to four to a range)."""
    if count <= 0:
        return CountRange(minimum=0, maximum=0)
    low = 1
    for high in (step * 10**power for power in range(16) for step in _STEPS):
        if count < high:
            break
        low = high
    return CountRange(minimum=low, maximum=max(high, low))


def money_band(amount: Decimal, currency: str) -> MoneyRange:
    """The range of an amount, in whole units, with the steps of `band`."""
    found = band(min(int(amount), _MOST))
    high = Decimal(found.maximum or 0)
    if amount > 0 and not found.minimum:
        high = Decimal(1)
    return MoneyRange(minimum_amount=Decimal(found.minimum), maximum_amount=high, currency=currency)


def withheld(creator: Creator) -> Creator:
    """The creator with ranges in place of exact counts and amounts."""
    changed: dict[str, object] = {}
    for name in _COUNTS:
        count = getattr(creator, name)
        if count is not None and count.exact:
            changed[name] = band(count.minimum)
    for name in _AMOUNTS:
        amount = getattr(creator, name)
        if amount is not None and amount.exact:
            changed[name] = money_band(amount.minimum_amount, amount.currency)
    return creator.model_copy(update=changed)


def withheld_content(content: Content) -> Content:
    """The content with a range in place of an exact GMV, and without the counts behind it."""
    gmv = content.gmv
    if gmv is not None and gmv.exact:
        gmv = money_band(gmv.minimum_amount, gmv.currency)
    return content.model_copy(update={"gmv": gmv, "orders": None, "items_sold": None})


@dataclass(frozen=True)
class CreatorConsent:
    """What creators allow now, for the purpose `creator_marketing`."""

    permissions: Permissions
    pseudonyms: Pseudonyms | None

    @classmethod
    def of(cls, layout: Layout) -> Self:
        """Without a decision on record no key is needed, and none is made."""
        permissions = ConsentLedger(layout).permissions(Purpose.CREATOR_MARKETING)
        decided = permissions.granted or permissions.withdrawn or permissions.minors
        return cls(permissions, Pseudonyms(open_ring(layout)) if decided else None)

    def refused(self, creator_id: str) -> bool:
        """Whether a creator withdrew, or is a minor: they are not proposed to anybody."""
        why = self.permissions.refused(self._subjects(creator_id))
        return why in ("withdrawn", "minor")

    def exact(self, creator_id: str) -> bool:
        """Whether a creator agreed to be shown with exact values."""
        return self.permissions.refused(self._subjects(creator_id)) is None

    def shown(self, creators: Iterable[Creator]) -> list[Creator]:
        """Creators as others may see them; those who withdrew are left out."""
        return [
            creator if self.exact(creator.id) else withheld(creator)
            for creator in creators
            if not self.refused(creator.id)
        ]

    def _subjects(self, creator_id: str) -> tuple[str, ...]:
        return self.pseudonyms.every(DOMAIN, creator_id) if self.pseudonyms is not None else ()
