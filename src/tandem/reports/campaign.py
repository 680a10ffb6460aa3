"""A campaign on one page: what it was for, how it went against what was expected, who took part."""

from __future__ import annotations

from tandem.contracts.campaign import Campaign, CampaignResults, CampaignView
from tandem.contracts.matching import Estimate
from tandem.reports.page import Block, Bullets, Definitions, Grid, Heading, Notice, Page, Paragraph

MOST = 15
GOALS = {"gmv": "sales", "orders": "orders", "clicks": "clicks"}


def campaign_page(view: CampaignView) -> Page:
    campaign, results = view.campaign, view.results
    asked = campaign.asked
    currency = asked.budget.currency
    blocks: list[Block] = []
    if results.simulated:
        blocks.append(Notice("Simulated data: creators, videos and sales were made by a program."))
    blocks += [
        Paragraph(_verdict(campaign, results), lead=True),
        Heading("What was planned"),
        Definitions(
            [
                ("Goal", GOALS[asked.goal]),
                ("From, to", f"{asked.starts} to {asked.ends}"),
                ("Budget", f"{asked.budget.amount:,.2f} {currency}"),
                ("Expected cost", f"{campaign.cost.amount:,.2f} {currency}: commissions, samples"),
                ("Products", f"{len(asked.product_ids)}"),
                ("Pieces of content", f"{len(campaign.pieces)}"),
                ("Set apart to try creators", f"{asked.exploration:.0%} of the budget"),
                ("May be missing to the best plan", f"{campaign.gap:.1%}, proven"),
            ]
        ),
        Heading("Expected and reached"),
        Grid(
            "Of all pieces together; eight of ten outcomes lie in the range",
            ("", "expected", "range", "reached"),
            [
                _row("Clicks", campaign.outlook.clicks, f"{results.clicks:,}"),
                _row("Orders", campaign.outlook.orders, f"{results.orders:,}"),
                _row(f"Sales, {currency}", campaign.outlook.gmv, f"{results.gmv.amount:,.2f}"),
                ("Pieces live", f"{results.planned:,}", "", f"{results.live:,}"),
            ],
            numeric=frozenset({1, 2, 3}),
        ),
        Heading("Who was asked"),
        Grid(
            f"The {min(MOST, len(campaign.pieces))} pieces expected to bring most",
            ("creator", "product", f"sales, {currency}", f"cost, {currency}", "because"),
            [
                (
                    piece.creator_id,
                    piece.product_id,
                    f"{piece.one_piece.gmv.expected:,.0f}" if piece.one_piece.gmv else "no price",
                    f"{piece.cost.amount:,.2f}",
                    ("To find out. " if piece.exploring else "") + ". ".join(piece.reasons[:2]),
                )
                for piece in sorted(
                    campaign.pieces,
                    key=lambda p: -(p.one_piece.gmv.expected if p.one_piece.gmv else 0),
                )[:MOST]
            ],
            numeric=frozenset({2, 3}),
        ),
        Heading("How to read this"),
        Bullets(
            [
                "Expected values come from what similar content brought. The range takes pieces to "
                "succeed independently; a season that lifts or sinks all of them makes it wider.",
                "Reached are clicks and orders of content by planned creators about planned "
                "products, published on the campaign's days. Some would have sold anyway: what was "
                "added is another question (tandem collaborations lift).",
            ]
        ),
    ]
    return Page(f"Campaign: {asked.name}", blocks)


def _verdict(campaign: Campaign, results: CampaignResults) -> str:
    goal = GOALS[campaign.asked.goal]
    expected: Estimate = getattr(campaign.outlook, campaign.asked.goal)
    if results.status == "planned":
        return (
            f"{len(campaign.pieces)} pieces are planned; they should bring about "
            f"{expected.expected:,.0f} in {goal} ({expected.low:,.0f} to {expected.high:,.0f})."
        )
    reached = {
        "clicks": float(results.clicks),
        "orders": float(results.orders),
        "gmv": float(results.gmv.amount),
    }[campaign.asked.goal]
    so_far = "So far" if results.status == "running" else "In the end"
    place = (
        "below the expected range"
        if reached < expected.low
        else "above the expected range"
        if reached > expected.high
        else "within the expected range"
    )
    judged = f", {place}" if results.status == "ended" else ""
    return (
        f"{so_far} {results.live} of {results.planned} pieces are live, and {goal} are "
        f"{reached:,.0f} of {expected.expected:,.0f} expected{judged}."
    )


def _row(name: str, estimate: Estimate, reached: str) -> tuple[str, str, str, str]:
    return (
        name,
        f"{estimate.expected:,.0f}",
        f"{estimate.low:,.0f} to {estimate.high:,.0f}",
        reached,
    )
