"""Campaigns of merchants: planned by the matcher and the allocation, followed, told on one page."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal

import numpy as np

from tandem.collaboration.trial import FEWEST
from tandem.contracts.campaign import (
    Campaign,
    CampaignResults,
    CampaignStatus,
    CampaignView,
    Goal,
    NewCampaign,
    Outlook,
    PlannedPiece,
)
from tandem.contracts.errors import Conflict, Forbidden, InvalidInput, NotFound
from tandem.contracts.matching import CreatorMatch, Estimate
from tandem.contracts.product import Money
from tandem.flows.campaign_results import (
    all_commission,
    all_samples,
    as_allowed,
    live_pieces,
    merchant_books,
    piece_results,
    totals,
    trial_result,
)
from tandem.flows.matching import MatchOffice
from tandem.flows.region_trial import drawn_regions, region_result
from tandem.governance.audit import AuditLog, os_actor
from tandem.ingest.currencies import minor_digits
from tandem.matching.allocation.problem import Allocation
from tandem.matching.allocation.replan import explore
from tandem.reports.campaign import campaign_report
from tandem.reports.report import Report
from tandem.storage.campaigns import CampaignStore
from tandem.storage.layout import Layout
from tandem.storage.parties import read_content

CANDIDATES = 60
"""Creators looked at for each product."""
PIECES_OF_A_CREATOR = 2
USUAL_RATE = 1_000
"""Basis points, for creators who state none: what they will ask is not known, and not nothing."""
DRAWS = 4_000
NORMAL_80 = 1.2816
"""Ends of the middle 80% of a normal distribution, in standard deviations."""


class CampaignDesk:
    """Campaigns of one workspace. actor: who acts, for the audit log."""

    def __init__(self, layout: Layout, office: MatchOffice) -> None:
        self._layout = layout
        self._office = office
        self._store = CampaignStore(layout)

    def plan(
        self,
        asked: NewCampaign,
        *,
        keep: bool = True,
        today: date | None = None,
        actor: str | None = None,
    ) -> Campaign:
        """Make a plan and keep it, unless it is only to be looked at. Raises NotFound for unknown
        products, Forbidden for products of another merchant, InvalidInput where the budget is in
        another currency or buys nothing, or there are too few regions for a trial by them, Conflict
        where the merchant's trials on these days leave no creator."""
        others = self._store.all(asked.merchant_id)
        _check_regions(asked, others)
        taken = _taken(asked, others)
        matches: list[CreatorMatch] = []
        for product in asked.product_ids:
            if self._office.merchant_of(product) != asked.merchant_id:
                raise Forbidden(
                    f"'{product}' is no product of {asked.merchant_id}",
                    remedy="plan campaigns for your own products",
                )
            matches += self._office.creators_for_product(product, CANDIDATES).matches
        prices = self._office.prices(asked.product_ids)
        named = {m.one_piece.currency for m in matches}
        named |= {price.currency for price in prices.values() if price is not None}
        if named - {asked.budget.currency}:
            one = ", ".join(sorted(named))
            raise InvalidInput(
                f"the budget is in {asked.budget.currency}, prices are in {one}",
                field="budget.currency",
                remedy=f"state the budget in {one}"
                if len(named) == 1
                else "plan for products whose prices are in the shop's currency",
            )
        if not matches:
            raise NotFound("no creator can be proposed", remedy="try again when some have slots")
        matches = [m for m in matches if m.creator.id not in taken]
        if not matches:
            raise _crossing()
        pieces, gap, price = _chosen(asked, matches, prices)
        id_ = secrets.token_hex(8)
        pieces, held = _drawn(pieces, asked.holdout, id_)
        if not pieces:
            raise InvalidInput(
                "the budget pays for no piece of content",
                field="budget",
                remedy="raise it, or choose products whose samples cost less",
            )
        whole, trial_cost = outlook(pieces), sum(_worth(p, asked.goal) for p in held)
        regions = None
        if asked.by_region:
            regions = drawn_regions(
                self._layout,
                asked,
                whole.orders.expected,
                id_,
                today=today or datetime.now(UTC).date(),
                actor=actor or os_actor(),
            )
            trial_cost = getattr(whole, asked.goal).expected * (1 - regions.share)
            whole = _part(whole, regions.share)
        manifest = self._office.manifest
        campaign = Campaign(
            id=id_,
            asked=asked,
            created=datetime.now(UTC).replace(microsecond=0),
            pieces=tuple(pieces),
            outlook=whole,
            cost=Money(
                amount=sum((p.cost.amount for p in pieces), Decimal(0)),
                currency=asked.budget.currency,
            ),
            gap=min(max(gap, 0.0), 1.0),
            exploration_cost=max(price, 0.0),
            matcher_generation=self._layout.matchers.live() or "",
            simulated=manifest.simulated,
            held_out=tuple(held),
            trial_cost=round(trial_cost, 2),
            regions=regions,
        )
        if not keep:
            return campaign
        self._store.add(campaign, _check_apart)
        AuditLog(self._layout).append(
            actor or os_actor(), "campaign.plan", campaign=campaign.id, pieces=len(pieces)
        )
        return campaign

    def campaigns(self, merchant: str | None = None) -> list[Campaign]:
        """Newest first; None: of all merchants."""
        return self._store.all(merchant)

    def merchant_of(self, id_: str) -> str:
        """Whose campaign it is. Raises NotFound."""
        return self._store.get(id_).asked.merchant_id

    def follow(
        self, id_: str, *, today: date | None = None, actor: str | None = None
    ) -> CampaignView:
        """A campaign and how it goes. What its trial says is told once, when it is over. Raises
        NotFound."""
        return followed(self._layout, id_, today=today, actor=actor)

    def cancel(self, id_: str, *, today: date | None = None, actor: str | None = None) -> Campaign:
        """Call it off: from tomorrow on nothing counts. Again: no change. Raises NotFound; Conflict
        where it is over. What was agreed with creators stays agreed."""
        campaign = self._store.get(id_)
        now = today or datetime.now(UTC).date()
        if campaign.cancelled is not None:
            return campaign
        if now > campaign.asked.ends:
            raise Conflict(f"campaign '{id_}' is over", remedy="remove it, if it should go")
        AuditLog(self._layout).append(actor or os_actor(), "campaign.cancel", campaign=id_)
        return self._store.change(
            id_, lambda c: c.model_copy(update={"cancelled": c.cancelled or now})
        )

    def remove(self, id_: str, *, today: date | None = None, actor: str | None = None) -> None:
        """Take it off the list for good. Raises NotFound; Conflict while it runs."""
        campaign = self._store.get(id_)
        if _status(campaign, today or datetime.now(UTC).date()) == "running":
            raise Conflict(f"campaign '{id_}' is running", remedy="cancel it first")
        AuditLog(self._layout).append(actor or os_actor(), "campaign.remove", campaign=id_)
        self._store.remove(id_)

    def report(self, id_: str, *, today: date | None = None) -> str:
        """The one page about it, as HTML. Raises NotFound."""
        return campaign_report(self.follow(id_, today=today)).page().html()


def followed(
    layout: Layout, id_: str, *, today: date | None = None, actor: str | None = None
) -> CampaignView:
    """As `CampaignDesk.follow`."""
    store = CampaignStore(layout)
    campaign = store.get(id_)
    now = today or datetime.now(UTC).date()
    if now > campaign.last_day:
        by = actor or os_actor()
        # Who told it first is not told otherwise.
        if campaign.held_out and campaign.trial is None:
            trial = trial_result(layout, campaign, actor=by)
            campaign = store.change(id_, lambda c: c.model_copy(update={"trial": c.trial or trial}))
        if campaign.regions and campaign.region_trial is None:
            by_region = region_result(layout, campaign, actor=by)
            campaign = store.change(
                id_, lambda c: c.model_copy(update={"region_trial": c.region_trial or by_region})
            )
    return CampaignView(campaign=campaign, results=_results(layout, campaign, now))


def report_of_campaign(layout: Layout, id_: str, *, today: date | None = None) -> Report:
    """The one page about a kept campaign. Raises NotFound."""
    return campaign_report(followed(layout, id_, today=today))


def _taken(asked: NewCampaign, others: Sequence[Campaign]) -> set[str]:
    """Creators whom a campaign must not plan with: nobody is in two trials of a merchant at a time,
    and who is left out of one is not asked for its products by another plan meanwhile. Else no lot
    decided who was asked, and the two answers could be subtracted."""
    taken: set[str] = set()
    for other in others:
        if not _at_once(asked, other):
            continue
        held = other.held_out if other.by_lot else ()
        if asked.holdout and held:
            taken |= {p.creator_id for p in (*other.pieces, *held)}
        elif set(asked.product_ids) & set(other.asked.product_ids):
            taken |= {p.creator_id for p in (other.pieces if asked.holdout else held)}
    return taken


def _at_once(asked: NewCampaign, other: Campaign) -> bool:
    return other.last_day >= asked.starts and asked.ends >= other.asked.starts


def _check_regions(asked: NewCampaign, others: Sequence[Campaign]) -> None:
    """Conflict where a trial by regions and another trial would tell of the same orders."""
    for other in others:
        regions = asked.by_region or other.regions is not None
        both = (asked.by_region or asked.holdout) and (other.regions or other.held_out)
        same = set(asked.product_ids) & set(other.asked.product_ids)
        if regions and both and same and _at_once(asked, other) and other.by_lot:
            raise _crossing()


def _check_apart(campaign: Campaign, others: Sequence[Campaign]) -> None:
    """Again, when nobody else plans: two plans may have been made at once."""
    _check_regions(campaign.asked, others)
    planned = {p.creator_id for p in (*campaign.pieces, *campaign.held_out)}
    if planned & _taken(campaign.asked, others):
        raise _crossing()


def _crossing() -> Conflict:
    return Conflict(
        "your other campaigns on these days take the creators: of two trials at once neither would "
        "tell what it added",
        remedy="choose days after them, or call one off",
    )


def _chosen(
    asked: NewCampaign, matches: list[CreatorMatch], prices: Mapping[str, Money | None]
) -> tuple[list[PlannedPiece], float, float]:
    """Pieces of the plan, its gap to the bound, and what exploring is expected to cost it."""
    creators = sorted({m.creator.id for m in matches})
    number = {id_: i for i, id_ in enumerate(creators)}
    product = {id_: i for i, id_ in enumerate(asked.product_ids)}
    slots = {m.creator.id: m.creator.slots for m in matches}
    samples = {id_: Decimal(0) if p is None else p.amount for id_, p in prices.items()}
    costs = [_cost(m, samples[m.product_id], asked.budget.currency) for m in matches]
    value = np.array([_goal(m, asked.goal) for m in matches])
    problem = Allocation(
        creator=np.array([number[m.creator.id] for m in matches]),
        product=np.array([product[m.product_id] for m in matches]),
        merchant=np.zeros(len(product), np.int64),
        value=value,
        cost=np.array([_units(c) for c in costs]),
        slots=np.array([_slots(slots[c]) for c in creators]),
        budgets=np.array([_units(asked.budget)]),
        places=np.full(len(product), asked.creators_per_product),
        exclusive=np.full(len(matches), -1),
        risky=np.zeros(len(matches), np.bool_),
        targets=np.zeros(1, np.int64),
        small_creators=np.zeros(len(creators), np.bool_),
        small_merchants=np.zeros(1, np.bool_),
    )
    spread = np.array([_spread(m, asked.goal) for m in matches])
    found = explore(problem, spread, asked.exploration, solver="highs", seconds=60)
    pieces = [
        PlannedPiece(
            creator_id=matches[e].creator.id,
            product_id=matches[e].product_id,
            one_piece=matches[e].one_piece,
            cost=costs[e],
            exploring=bool(found.explored[e]),
            reasons=matches[e].reasons,
        )
        for e in np.flatnonzero(found.chosen).tolist()
    ]
    # The bound is that of planning all by expected value, which exploring has worked out.
    bound = found.plan.bound
    gap = (bound - found.objective) / bound if bound > 0 else 0.0
    return pieces, gap, found.price


def _slots(told: int | None) -> int:
    return PIECES_OF_A_CREATOR if told is None else min(PIECES_OF_A_CREATOR, told)


def _cost(match: CreatorMatch, sample: Decimal, currency: str) -> Money:
    """Expected commission, and the product that is sent; rounded up to the minor unit."""
    rate = match.creator.commission_rate
    gmv = match.one_piece.gmv.expected if match.one_piece.gmv else 0.0
    commission = Decimal(repr(gmv)) * (USUAL_RATE if rate is None else rate) / 10_000
    step = Decimal(1).scaleb(-minor_digits(currency))
    return Money(amount=(commission + sample).quantize(step, ROUND_CEILING), currency=currency)


def _units(money: Money) -> int:
    """Whole minor units that it pays for."""
    return int(money.amount.scaleb(minor_digits(money.currency)))


def _of(match: CreatorMatch, goal: Goal) -> Estimate | None:
    found: Estimate | None = getattr(match.one_piece, goal)
    return found


def _goal(match: CreatorMatch, goal: Goal) -> float:
    estimate = _of(match, goal)
    return 0.0 if estimate is None else estimate.expected


def _spread(match: CreatorMatch, goal: Goal) -> float:
    estimate = _of(match, goal)
    return 0.0 if estimate is None else (estimate.high - estimate.low) / (2 * NORMAL_80)


def outlook(pieces: list[PlannedPiece], seed: int = 7) -> Outlook:
    """The sum over pieces, with the middle 80% of sums of independent draws: log-normal with the
    mean and the interval of each piece."""
    rng = np.random.default_rng(seed)

    def total(name: str) -> Estimate:
        each = [e for p in pieces if (e := getattr(p.one_piece, name)) is not None]
        if not each:
            return Estimate(expected=0, low=0, high=0)
        mean = np.array([e.expected for e in each])
        ends = np.log1p([[e.low, e.high] for e in each])
        sigma = (ends[:, 1] - ends[:, 0]) / (2 * NORMAL_80)
        factor = np.exp(rng.normal(size=(DRAWS, len(each))) * sigma - sigma**2 / 2)
        sums = factor @ mean
        low, high = np.quantile(sums, [0.1, 0.9])
        return Estimate(
            expected=round(float(mean.sum()), 2),
            low=round(float(low), 2),
            high=round(float(high), 2),
        )

    return Outlook(clicks=total("clicks"), orders=total("orders"), gmv=total("gmv"))


def _part(whole: Outlook, share: float) -> Outlook:
    """What a share of the regions is expected to bring of it."""

    def part(e: Estimate) -> Estimate:
        low, high = round(e.low * share, 2), round(e.high * share, 2)
        return Estimate(expected=round(e.expected * share, 2), low=low, high=high)

    return Outlook(clicks=part(whole.clicks), orders=part(whole.orders), gmv=part(whole.gmv))


def _worth(piece: PlannedPiece, goal: Goal) -> float:
    estimate: Estimate | None = getattr(piece.one_piece, goal)
    return 0.0 if estimate is None else estimate.expected


def _drawn(
    pieces: list[PlannedPiece], share: float, seed: str
) -> tuple[list[PlannedPiece], list[PlannedPiece]]:
    """Pieces of creators who are asked, and of those who are not, by lot. InvalidInput where a side
    would have too few creators to compare."""
    if share == 0:
        return pieces, []
    creators = sorted({p.creator_id for p in pieces})
    number = round(share * len(creators))
    if min(number, len(creators) - number) < FEWEST:
        raise InvalidInput(
            f"of {len(creators)} creators {share:.0%} would be left out, and a trial takes "
            f"{FEWEST} on either side",
            field="holdout",
            remedy="plan for more creators, or leave the trial out",
        )
    lots = np.random.default_rng(int(seed, 16)).permutation(len(creators))
    held = {creators[i] for i in lots[:number].tolist()}
    return (
        [p for p in pieces if p.creator_id not in held],
        [p for p in pieces if p.creator_id in held],
    )


def _results(layout: Layout, campaign: Campaign, today: date) -> CampaignResults:
    asked = campaign.asked
    live = live_pieces(campaign, read_content(layout))
    shown, currency = as_allowed(layout, live), asked.budget.currency
    books = merchant_books(layout, asked.merchant_id)
    pieces, told = piece_results(campaign, shown, books), totals(shown, currency)
    expected: Estimate = getattr(campaign.outlook, asked.goal)
    reached = {"clicks": told.clicks, "orders": told.orders, "gmv": float(told.low)}[asked.goal]
    days = (asked.ends - asked.starts).days + 1
    over = min(max((today - asked.starts + timedelta(days=1)).days, 0), days)
    return CampaignResults(
        id=campaign.id,
        status=_status(campaign, today),
        planned=len(campaign.pieces),
        live=len(live),
        creators=len({piece.creator_id for piece in live}),
        clicks=told.clicks,
        orders=told.orders,
        gmv=Money(amount=told.low, currency=currency),
        gmv_high=None if told.high is None else Money(amount=told.high, currency=currency),
        gmv_exact=told.high == told.low,
        progress=over / days,
        reached=reached / expected.expected if expected.expected and reached is not None else None,
        simulated=campaign.simulated or any(piece.simulated for piece in live),
        pieces=pieces,
        commission=all_commission(pieces),
        samples=all_samples(layout, campaign, books),
    )


def _status(campaign: Campaign, today: date) -> CampaignStatus:
    if campaign.cancelled is not None:
        return "cancelled"
    if today < campaign.asked.starts:
        return "planned"
    return "running" if today <= campaign.asked.ends else "ended"
