"""What HTTP asks of a shop and of its registry. `tandem.flows.workspace.Workspace` is the one,
`tandem.flows.registry_desk.RegistryDesk` the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from tandem.contracts.artefact import PromotedKind
from tandem.contracts.campaign import Campaign, CampaignView, NewCampaign
from tandem.contracts.consent import Decision, Purpose
from tandem.contracts.events import EventOutcome
from tandem.contracts.experiment import ExperimentStanding, OnlineExperiment, Variant
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.listing import Standing
from tandem.contracts.matching import BrandMatches, CreatorMatches, ProductMatches
from tandem.contracts.privacy import ErasureRequest, PersonRole, PersonStanding, PrivacyOverview
from tandem.contracts.product import Product
from tandem.contracts.query_log import QueryCount
from tandem.contracts.recommend import (
    Interest,
    RecommendRequest,
    RecommendResponse,
    Visit,
    Visitor,
)
from tandem.contracts.registry import Artefact, Trace
from tandem.contracts.registry import Decision as ModelDecision
from tandem.contracts.run import Run
from tandem.contracts.search import SearchRequest, SearchResponse, Suggestion
from tandem.contracts.search_performance import SearchPerformance
from tandem.contracts.seller import Assortment, Indicators, Movement, SalesOutlook, Target
from tandem.contracts.slot import (
    BanditKind,
    BanditSlot,
    RewardAction,
    SlotArm,
    SlotGuardrails,
    SlotShown,
    SlotStanding,
    Where,
)
from tandem.contracts.studio import StudioHome, Worked


class Visitors(Protocol):
    """People who allow personalisation. Nothing is kept of the others."""

    def decide(self, client_id: str, granted: bool) -> None: ...

    def visit(self, client_id: str, visits: Sequence[Visit]) -> int: ...

    def known(self, client_id: str) -> Visitor: ...

    def forget(self, client_id: str) -> None: ...

    def remove(self, client_id: str, products: Sequence[str]) -> None: ...


class CampaignOffice(Protocol):
    """Merchants' campaigns; NotFound for what is not there."""

    def plan(
        self, asked: NewCampaign, *, keep: bool = True, actor: str | None = None
    ) -> Campaign: ...

    def campaigns(self, merchant: str | None = None) -> list[Campaign]: ...

    def merchant_of(self, id_: str) -> str: ...

    def follow(self, id_: str, *, actor: str | None = None) -> CampaignView: ...

    def cancel(self, id_: str, *, actor: str | None = None) -> Campaign: ...

    def remove(self, id_: str, *, actor: str | None = None) -> None: ...

    def report(self, id_: str) -> str: ...


class Matching(Protocol):
    """Who suits whom; NotFound for what is not there or may not be matched."""

    def merchant_of(self, product_id: str) -> str | None: ...

    def creators_for_product(self, product_id: str, k: int = 20) -> CreatorMatches: ...

    def creators_for_brand(self, merchant: str, k: int = 20) -> CreatorMatches: ...

    def products_for_creator(self, creator_id: str, k: int = 20) -> ProductMatches: ...

    def brands_for_creator(self, creator_id: str, k: int = 20) -> BrandMatches: ...


class Shop(Protocol):
    """A searchable catalogue. Every method may be called from many threads at once."""

    def search(
        self, query: SearchRequest, /, *, client_id: str | None = None, recent: Sequence[str] = ()
    ) -> SearchResponse:
        """client_id: who asks, if known; recent: what this session looked at, oldest first. Both
        count only for a client who allows personalisation."""
        ...

    def record(self, response: SearchResponse) -> None:
        """Note what a shopper was answered with, so that it can be traced; quick."""
        ...

    def suggest(
        self, prefix: str, limit: int = 8, language: str | None = None
    ) -> list[Suggestion]: ...

    def recommend(
        self, request: RecommendRequest, client_id: str | None = None
    ) -> RecommendResponse: ...

    def interests(self, client_id: str) -> tuple[Interest, ...]:
        """What is kept of a visitor, as interests in plain words."""
        ...

    @property
    def visitors(self) -> Visitors: ...

    def product(self, product_id: str) -> Product | None: ...

    def standing(self, query: str, product_id: str, *, trying: bool = True) -> Standing:
        """Why a product stands where it stands for a query, and what would move it."""
        ...

    def search_performance(
        self, merchant: str, period: str | None, *, actor: str
    ) -> SearchPerformance:
        """What shoppers search for, and what of it comes to a merchant, in one month."""
        ...

    def upsert(self, products: Sequence[Product]) -> int: ...

    def delete(self, ids: Sequence[str]) -> int:
        """Remove products; returns how many of them there were."""
        ...

    def refresh(self) -> bool:
        """Take up a newer index or model generation; True if one was switched."""
        ...

    def status(self) -> Mapping[str, Any]:
        """Cheap facts: `name`, `dataset`, `simulated`, `currency`, `products`,
        `index_generation`, `model_generation`, `rankers`, `default_ranker` and `facets`, the
        ones worth offering.
        """
        ...

    def judgment_list(self, name: str | None = None) -> JudgmentList:
        """The judgments that the workbench works on; empty when there are none."""
        ...

    def judge(self, query: str, product_id: str, relevance: int) -> None: ...

    def run(self, system: str, queries: Sequence[str], k: int = 100) -> Run:
        """Rank a query set with one ranker, without the shop's rules."""
        ...

    def take_events(self, records: Sequence[Any], sent: datetime | None) -> list[EventOutcome]:
        """Store what shoppers did; durable on return. One outcome for each record, in order.

        records: JSON objects as they were sent, unchecked. sent: when, by the sender's clock.
        Behind when senders have to wait, StorageFull when the disk takes no more.
        """
        ...

    def close(self) -> None: ...


class Registry(Protocol):
    """Artefacts with their decisions. Methods may be called from many threads."""

    def artefacts(self, *kinds: PromotedKind) -> tuple[Artefact, ...]:
        """Generations of these kinds, or of all that are promoted through gates."""
        ...

    def artefact(self, kind: PromotedKind, generation: str) -> Artefact: ...

    def promote(
        self,
        kind: PromotedKind,
        generation: str,
        *,
        who: str,
        why: str,
        override: Sequence[str] = (),
        approved_by: str | None = None,
    ) -> ModelDecision: ...

    def shadow(
        self, kind: PromotedKind, generation: str, *, share: float, who: str, why: str
    ) -> ModelDecision: ...

    def canary(
        self,
        kind: PromotedKind,
        generation: str,
        *,
        share: float,
        who: str,
        why: str,
        override: Sequence[str] = (),
        approved_by: str | None = None,
    ) -> ModelDecision: ...

    def withdraw(self, kind: PromotedKind, name: str, *, who: str, why: str) -> ModelDecision: ...

    def roll_back(
        self, kind: PromotedKind, to: str | None, *, who: str, why: str
    ) -> ModelDecision: ...

    def card(self, kind: PromotedKind, generation: str) -> str: ...

    def trace(self, query_id: str) -> Trace: ...


class OnlineSearch(Protocol):
    """Searches under the experiments of a shop. `tandem.flows.online.Online` is one."""

    def answer(
        self,
        request: SearchRequest,
        client_id: str | None = None,
        user_agent: str | None = None,
        *,
        personal: bool = True,
        recent: Sequence[str] = (),
    ) -> SearchResponse:
        """Answer, note it in the served log, and tell of exposures. Neither identifier nor agent
        is stored."""
        ...

    def recommend(
        self,
        request: RecommendRequest,
        client_id: str | None = None,
        user_agent: str | None = None,
        *,
        personal: bool = True,
    ) -> RecommendResponse:
        """The same for a recommendation."""
        ...

    def show(
        self, name: str, client_id: str | None = None, user_agent: str | None = None
    ) -> SlotShown:
        """What a page is to show in a slot; NotFound without it."""
        ...

    def refreshed(self) -> None:
        """Called every few seconds: canaries and slots that do harm go back."""
        ...

    def close(self) -> None: ...


class ExperimentOffice(Protocol):
    """Running experiments. who, actor: as the audit log names them.
    `tandem.flows.experimenting.ExperimentDesk` is one."""

    def standings(self, actor: str) -> Sequence[ExperimentStanding]:
        """Every experiment and canary, the newest first."""
        ...

    def standing(self, name: str, actor: str) -> ExperimentStanding: ...

    def start(
        self,
        name: str,
        variants: Sequence[Variant],
        *,
        who: str,
        why: str,
        layer: str,
        share: float,
        ramp: float,
        success: Sequence[str],
        guardrails: Sequence[str],
        planned: int,
    ) -> OnlineExperiment: ...

    def widen(self, name: str, ramp: float, who: str, why: str) -> OnlineExperiment: ...

    def stop(self, name: str, who: str, why: str) -> OnlineExperiment: ...


class SlotOffice(Protocol):
    """Slots in which bandits try what earns most. `tandem.flows.slots.SlotDesk` is one."""

    def standings(self) -> Sequence[SlotStanding]:
        """Every slot, the newest first."""
        ...

    def standing(self, name: str) -> SlotStanding: ...

    def start(
        self,
        name: str,
        where: Where,
        arms: Sequence[SlotArm],
        *,
        who: str,
        why: str,
        place: int | None,
        bandit: BanditKind,
        reward: RewardAction,
        window: int,
        guardrails: SlotGuardrails,
    ) -> BanditSlot: ...

    def stop(self, name: str, who: str, why: str) -> BanditSlot: ...


class InsightOffice(Protocol):
    """Reports on where search fails. `tandem.flows.insights.InsightDesk` is one."""

    def report(self) -> Mapping[str, Any]:
        """The last report on where search fails; NotFound before the first."""
        ...

    def try_fix(self, finding_id: str, *, actor: str) -> Mapping[str, Any]:
        """Try the fix of a finding offline. actor: who asks, as the audit log names them."""
        ...


class SellerOffice(Protocol):
    """What merchants are told about their sales. period: a month that is over; None: the last one
    that was recorded. actor: who asks, for the audit log. `tandem.flows.seller_desk.SellerDesk`
    is one."""

    def indicators(self, merchant: str, period: str | None, *, actor: str) -> Indicators: ...

    def movement(self, merchant: str, period: str | None, *, actor: str) -> Movement: ...

    def outlook(self, merchant: str, days: int, *, actor: str) -> SalesOutlook: ...

    def assortment(self, merchant: str) -> Assortment: ...

    def set_target(self, target: Target) -> Target: ...


class LabOffice(Protocol):
    """What the lab shows of a workspace, as JSON. `tandem.flows.lab.LabDesk` is one."""

    def tell_load(self, server: str, load: Mapping[str, Any] | None) -> None:
        """Tell the other servers of the workspace what one has done so far; None: it stops."""
        ...

    def loads(self, but: str) -> Sequence[Mapping[str, Any]]:
        """What the servers that are at work told last, without one of them."""
        ...

    def board(self) -> Mapping[str, Any]:
        """The last leaderboard, or the live model's record."""
        ...

    def query_sets(self) -> Sequence[Mapping[str, Any]]: ...

    def experiments(self) -> Sequence[Mapping[str, Any]]: ...

    def reports(self) -> Sequence[Mapping[str, Any]]: ...

    def report(self, name: str, ending: str) -> bytes:
        """One file of a kept report, by name and `.html`, `.pdf`, …; NotFound for any other."""
        ...


class StudioOffice(Protocol):
    """What creators are told. `tandem.flows.studio_desk.StudioDesk` is one."""

    def home(self, creator: str, *, actor: str) -> StudioHome: ...

    def worked(self, creator: str) -> Worked: ...

    def asked(self, *, actor: str) -> Sequence[QueryCount]: ...


class PrivacyOffice(Protocol):
    """What is kept about people, and their requests. actor: who acts, for the audit log.
    `tandem.flows.privacy.PrivacyDesk` is one."""

    def overview(self) -> PrivacyOverview: ...

    def data_map(self) -> dict[str, Any]: ...

    def person(self, identifier: str, role: PersonRole, actor: str) -> PersonStanding: ...

    def decide(
        self, identifier: str, role: PersonRole, purpose: Purpose, decision: Decision, actor: str
    ) -> PersonStanding: ...

    def export(self, identifier: str, role: PersonRole, actor: str) -> dict[str, Any]: ...

    def correct(
        self,
        identifier: str,
        role: PersonRole,
        event: str,
        changes: Mapping[str, str | None],
        reason: str,
        actor: str,
    ) -> dict[str, Any]: ...

    def erase(self, identifier: str, role: PersonRole, actor: str) -> ErasureRequest: ...

    def certificate(self, request: str) -> dict[str, Any]: ...
