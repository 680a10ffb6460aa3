"""A campaign on one page: what it was for, how it went against what was expected, who took part."""

from __future__ import annotations

import math

from tandem.contracts.campaign import (
    CampaignView,
    PlannedPiece,
    RegionPlan,
    RegionResult,
    TrialResult,
)
from tandem.contracts.matching import Estimate
from tandem.reports.charts import Mark, MarkChart
from tandem.reports.figures import Figure, Unit, many
from tandem.reports.page import Block, Bullets, Definitions, Grid, Paragraph
from tandem.reports.report import Report

MOST = 15
GOALS = {"gmv": "sales", "orders": "orders", "clicks": "clicks"}
_NAMES = {"gmv": "Sales", "orders": "Orders", "clicks": "Clicks"}


def campaign_report(view: CampaignView) -> Report:
    """The report of a merchant's campaign, planned, running or over."""
    asked, results = view.campaign.asked, view.results
    figures = _figures(view)
    verdict = _verdict(view)
    goal = GOALS[asked.goal]
    return Report(
        kind="campaign",
        about=f"{asked.merchant_id} {asked.name}",
        audience="merchant",
        title=f"Campaign: {asked.name}",
        simulated=results.simulated,
        verdict=verdict,
        answer=_answer(verdict, goal, figures),
        tried=(
            f"You asked for {goal} from {asked.starts} to {asked.ends}, for at most "
            f"{figures['budget']}. We chose {many(figures['posts planned'], 'post', 'posts')} by "
            f"creators for {many(figures['products'], 'product', 'products')}."
        ),
        happened=_happened(view, figures),
        sure=(
            f"In eight of ten cases like this, {goal} come out {figures[f'{goal} expected'].span}. "
            "That takes posts to do well or badly each on its own. A season that lifts or sinks "
            "all of them makes the span wider."
        ),
        worth=_worth(view, figures),
        recommend=_recommend(verdict),
        doubts=[
            "Some of what was sold would have been sold without a post. What was added is another "
            "question.",
            "What we expect comes from what posts like these have brought. Tastes change.",
        ],
        next=_next(verdict),
        figures=figures,
        charts=_charts(view, figures),
        glossary=[
            ("Post", "a video or a picture by a creator that shows your product"),
            ("Commission", "the part of a sale that the creator gets"),
        ],
        appendix=_appendix(view, figures),
        details={"campaign": view.model_dump(mode="json")},
    )


def _figures(view: CampaignView) -> dict[str, Figure]:
    campaign, results = view.campaign, view.results
    currency = campaign.asked.budget.currency
    figures = {
        "budget": Figure(float(campaign.asked.budget.amount), "money", currency=currency),
        "cost": Figure(float(campaign.cost.amount), "money", currency=currency),
        "products": Figure(len(campaign.asked.product_ids), "count"),
        "posts planned": Figure(results.planned, "count"),
        "posts live": Figure(results.live, "count"),
        "set apart": Figure(campaign.asked.exploration, "share"),
        "time over": Figure(results.progress, "share"),
    }
    for name in _NAMES:
        low, high = _reached(view, name)
        e: Estimate = getattr(campaign.outlook, name)
        unit: Unit = "money" if name == "gmv" else "count"
        of = currency if name == "gmv" else None
        expected = Figure(e.expected, unit, e.low, e.high, currency=of)
        figures[f"{GOALS[name]} expected"] = expected
        told = low == high
        figures[f"{GOALS[name]} reached"] = Figure(
            low if told else None, unit, None if told else low, None if told else high, currency=of
        )
    if trial := _trial(view):
        figures["orders added"] = Figure(trial.added, "count", trial.low, trial.high, signed=True)
    return figures


def _trial(view: CampaignView) -> TrialResult | RegionResult | None:
    """What it told, if there was one and it is over."""
    return view.campaign.trial or view.campaign.region_trial


def _reached(view: CampaignView, goal: str) -> tuple[float | None, float | None]:
    """The ends between which it lies, the same where it is exact; None: not told."""
    results = view.results
    if goal != "gmv":
        count = results.orders if goal == "orders" else results.clicks
        return (None, None) if count is None else (float(count), float(count))
    low = float(results.gmv.amount)
    if results.gmv_exact:
        return low, low
    return low, None if results.gmv_high is None else float(results.gmv_high.amount)


def _verdict(view: CampaignView) -> str:
    results, goal = view.results, view.campaign.asked.goal
    if results.status != "ended":
        return results.status
    expected: Estimate = getattr(view.campaign.outlook, goal)
    told = _reached(view, goal)
    low = 0.0 if told[0] is None else told[0]
    high = math.inf if told[1] is None else told[1]
    if high < expected.low:
        return "below_expected"
    if low > expected.high:
        return "above_expected"
    return "as_expected" if expected.low <= low and high <= expected.high else "not_told"


def _so_far(figure: Figure) -> str:
    """A figure that may be a range."""
    return figure.span if figure.value is None else str(figure)


def _answer(verdict: str, goal: str, figures: dict[str, Figure]) -> str:
    reached, expected = _so_far(figures[f"{goal} reached"]), figures[f"{goal} expected"]
    match verdict:
        case "planned":
            return f"It has not begun. We expect about {expected} in {goal}."
        case "running":
            return (
                f"It runs. So far {goal} are {reached} of the {expected} that we expect in the end."
            )
        case "below_expected":
            return f"It is over, and it brought less than we expected: {reached} in {goal}."
        case "above_expected":
            return f"It is over, and it brought more than we expected: {reached} in {goal}."
        case "not_told":
            return f"It is over. Some creators keep their figures back: {goal} are {reached}."
        case "cancelled":
            return f"It was called off. Up to then it brought {reached} in {goal}."
        case _:
            return f"It is over, and it went about as we expected: {reached} in {goal}."


def _happened(view: CampaignView, figures: dict[str, Figure]) -> list[str]:
    if view.results.status == "planned":
        return ["Nothing yet. The first day is still to come."]
    said = [
        f"Posts that are live: {figures['posts live']} of {figures['posts planned']}.",
        *(
            f"{name} are {_so_far(figures[f'{GOALS[key]} reached'])}. We expected "
            f"{figures[f'{GOALS[key]} expected']} in all."
            for key, name in _NAMES.items()
        ),
    ]
    if trial := _trial(view):
        added = figures["orders added"]
        said.append(
            "What it added is not known. The trial could not tell."
            if trial.added is None
            else f"What it added: {added} orders. In nine of ten cases like this, the true number "
            f"is {added.span}." + ("" if added.clear else " It may be chance.")
        )
    if view.results.status == "running":
        said.insert(0, f"{figures['time over']} of the time is over.")
    return said


def _worth(view: CampaignView, figures: dict[str, Figure]) -> str:
    sales, cost = figures["sales expected"], figures["cost"]
    said = f"We expect {sales} in sales, most likely {sales.span}, for a cost of about {cost}."
    if view.results.status == "planned":
        return said
    return f"Sales so far are {_so_far(figures['sales reached'])}. {said}"


def _recommend(verdict: str) -> str:
    return {
        "planned": "Send the samples in time, and answer what creators ask.",
        "running": "Ask those whose posts are due. Keep what they show in stock.",
        "below_expected": "Look at which posts were missing or weak before you plan the next one.",
        "above_expected": "Plan the next one with the creators who did well.",
        "cancelled": "What you agreed with creators stays agreed: end that with each of them.",
    }.get(verdict, "Plan the next one with the creators who did well. Leave out who did not post.")


def _next(verdict: str) -> str:
    return {
        "planned": "This page fills up once the first posts are live.",
        "running": "Read it again in a week, and when the last day is over.",
    }.get(verdict, "What these posts brought is learned from. The next plan knows it.")


def _charts(view: CampaignView, figures: dict[str, Figure]) -> list[MarkChart]:
    charts = []
    for key, name in _NAMES.items():
        goal = GOALS[key]
        if figures[f"{goal} expected"].value or figures[f"{goal} reached"].value:
            marks = [Mark("Expected in all", figures[f"{goal} expected"])]
            if view.results.status != "planned" and figures[f"{goal} reached"].value is not None:
                marks.append(Mark("Reached", figures[f"{goal} reached"], True))
            charts.append(MarkChart(f"{name}. The line is the span that we expect.", marks))
    return charts


def _appendix(view: CampaignView, figures: dict[str, Figure]) -> list[Block]:
    campaign = view.campaign
    currency = campaign.asked.budget.currency
    shown = sorted(campaign.pieces, key=lambda p: -_sales(p))[:MOST]
    return [
        Definitions(
            [
                ("Goal", GOALS[campaign.asked.goal]),
                ("Budget", f"{campaign.asked.budget.amount:,.2f} {currency}"),
                ("Expected cost", f"{campaign.cost.amount:,.2f} {currency}: commissions, samples"),
                ("Set apart to try creators", f"{figures['set apart']} of the budget"),
                ("May be missing to the best plan", f"{campaign.gap:.1%}, proven"),
                ("Matcher", campaign.matcher_generation),
            ]
        ),
        Grid(
            f"The {len(shown)} of {len(campaign.pieces)} pieces expected to bring most.",
            ("creator", "product", f"sales, {currency}", f"cost, {currency}", "because"),
            [
                (
                    piece.creator_id,
                    piece.product_id,
                    f"{piece.one_piece.gmv.expected:,.0f}" if piece.one_piece.gmv else "no price",
                    f"{piece.cost.amount:,.2f}",
                    ("To find out. " if piece.exploring else "") + ". ".join(piece.reasons[:2]),
                )
                for piece in shown
            ],
            numeric=frozenset({2, 3}),
        ),
        Paragraph(
            "Reached are clicks, orders and sales of content by planned creators about planned "
            "products, published on the campaign's days (UTC), as their creators allow: where one "
            "withholds exact figures, sales are a range and orders are not told. Expected ranges: "
            "the middle 80% of sums of independent log-normal draws. What was added beyond what "
            "would have sold anyway: tandem collaborations lift."
        ),
        *_about_trial(view),
    ]


def _about_trial(view: CampaignView) -> list[Block]:
    blocks: list[Block] = []
    if plan := view.campaign.regions:
        blocks += _regions(plan)
    if trial := _trial(view):
        if trial.reason:
            blocks.append(Paragraph(f"What the trial added is not known: {trial.reason}."))
        else:
            blocks.append(
                Paragraph(
                    f"Orders added have an interval of {trial.confidence:.0%}. It rests on this:"
                )
            )
            blocks.append(Bullets([*getattr(trial, "doubts", ()), *trial.assumptions]))
    return blocks


def _regions(plan: RegionPlan) -> list[Block]:
    return [
        Definitions(
            [
                ("Shown in, by lot", ", ".join(plan.shown)),
                ("Not shown in", ", ".join(plan.not_shown)),
                ("Orders there without it", f"about {plan.usual:,.0f}"),
                ("Found eight times of ten", f"{plan.detectable:,.0f} orders added, and more"),
                ("Chance to find what is expected", f"{plan.power:.0%}, if all of it is added"),
            ]
        )
    ]


def _sales(piece: PlannedPiece) -> float:
    return piece.one_piece.gmv.expected if piece.one_piece.gmv else 0.0
