"""What a server offers beside the shop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from tandem.collaboration.desk import Desk
from tandem.content.writing import Writer
from tandem.contracts.errors import NotFound
from tandem.contracts.query_log import QueryCount
from tandem.flows.collaborate import OrderNames
from tandem.http.shop import (
    CampaignOffice,
    ExperimentOffice,
    InsightOffice,
    LabOffice,
    Matching,
    OnlineSearch,
    PrivacyOffice,
    Registry,
    SellerOffice,
    SlotOffice,
    StudioOffice,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Collaborations:
    """The desk, and the hashes that stand for order numbers in its books. handles: by which of
    these creators may be called, by id."""

    desk: Desk
    names: OrderNames
    handles: Callable[[Collection[str]], Mapping[str, str]] = lambda _: {}


@dataclass(frozen=True)
class Services:
    """Parts of a server that a shop can be served without; None: its routes answer 404.

    registry: the model registry. insights: reports on where search fails.
    lab: experiments, leaderboard and kept reports. privacy: the privacy
    office. collaborations: where merchants and creators act. seller: merchants' indicators.
    matching: who suits whom. campaigns: merchants' campaigns.
    studio: creators' products, gaps and results.
    asked: what shoppers type, with counts, for the studio's texts. writer: a language model that
    may reword briefs.
    online: answers searches under experiments. experiments: starts, stops and tells of them.
    slots: the same for slots in which bandits try.
    """

    registry: Registry | None = None
    online: OnlineSearch | None = None
    experiments: ExperimentOffice | None = None
    slots: SlotOffice | None = None
    insights: InsightOffice | None = None
    lab: LabOffice | None = None
    privacy: PrivacyOffice | None = None
    collaborations: Collaborations | None = None
    seller: SellerOffice | None = None
    matching: Matching | None = None
    campaigns: CampaignOffice | None = None
    studio: StudioOffice | None = None
    asked: tuple[QueryCount, ...] = ()
    writer: Writer | None = None


def offered(service: T | None, lack: str) -> T:
    """The service; NotFound with `lack` in words where the server has none."""
    if service is None:
        raise NotFound(lack, remedy="start it with: tandem serve -w shop")
    return service
