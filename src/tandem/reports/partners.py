"""What merchants and creators are told: what is theirs to see, and plainly what is not there.

A merchant's figures come from reports that governance has released (at least k people each); a
creator's from the books of its own collaborations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tandem.contracts.collaboration import Collaboration
from tandem.contracts.search_performance import QueryPerformance, SearchPerformance
from tandem.reports.charts import Chart, Mark, MarkChart
from tandem.reports.figures import Figure, many
from tandem.reports.page import Block, Grid
from tandem.reports.report import Kind, Report

SHOWN = 5
_RUNNING = frozenset({"ACCEPTED", "CONTENT_DUE", "CONTENT_LIVE"})
_OPEN = frozenset({"INVITED", "APPLIED"})


def merchant_report(kind: Kind, found: SearchPerformance) -> Report:
    """What shoppers search for, and what of it comes to this merchant."""
    queries = found.queries[:SHOWN]
    figures: dict[str, Figure] = {
        "fewest people": Figure(found.k, "count"),
        "queries": Figure(len(found.queries), "count"),
        "kept back": Figure(sum(found.withheld.values()), "count"),
    }
    for q in queries:
        figures[f"asked “{q.query}”"] = Figure(q.search_query_volume, "count")
        if q.click_share is not None:
            figures[f"clicks “{q.query}”"] = Figure(q.click_share, "share")
        if q.place is not None:
            figures[f"place “{q.query}”"] = Figure(q.place, "count")
    chances = [q for q in found.queries if q.chance == "opportunity"]
    first = chances[0] if chances else None
    if first is not None and first.place is not None:
        figures[f"place “{first.query}”"] = Figure(first.place, "count")
        figures[f"asked “{first.query}”"] = Figure(first.search_query_volume, "count")
    return Report(
        kind=kind,
        about=f"{found.merchant} {found.period}",
        audience="merchant",
        title=f"What shoppers search for, and what comes to {found.merchant}",
        simulated=found.simulated,
        verdict="opportunities" if chances else "no_opportunity",
        answer=_merchant_answer(found, first, figures),
        tried=(
            f"We counted what shoppers typed in {found.period}, and what of it came to you. We "
            f"show a figure only if {figures['fewest people']} people or more stand behind it. A "
            "week holds too few, so this page is of a month."
        ),
        happened=[_query(q, figures) for q in queries]
        or ["No search was made by enough people to be shown."],
        sure="These are counts, no guesses. A small count can still be luck.",
        worth=(
            "We do not know it in money. We count your clicks and sales by search, and no money "
            "yet."
        ),
        recommend=(
            f"Look at your products for “{first.query}”. Do title and details say what shoppers "
            "ask for?"
        )
        if first is not None
        else "Keep your titles, details and stock up to date.",
        doubts=[
            f"{figures['kept back']} figures are kept back, since too few people stand behind "
            "them.",
            "The place is that of today. It may have been another one at that time.",
            "We do not show what other shops sell.",
        ],
        next="Try a change in the seller center. It shows what would move you up.",
        figures=figures,
        charts=_merchant_charts(queries, figures),
        glossary=[
            ("Your share of clicks", "of all clicks after this search, how many were on yours"),
            ("Place", "where your best product stands, from the top"),
        ],
        appendix=_merchant_appendix(found),
        details={"performance": found.model_dump(mode="json")},
    )


def _merchant_answer(
    found: SearchPerformance, first: QueryPerformance | None, figures: dict[str, Figure]
) -> str:
    if not found.queries:
        return "There is nothing that we may show you for this month."
    if first is None:
        return "You stand high where shoppers look for what you sell."
    return (
        f"Shoppers asked for “{first.query}” {figures[f'asked “{first.query}”']} times. Your best "
        f"product stands at place {figures[f'place “{first.query}”']}. You can do better."
    )


def _query(q: QueryPerformance, figures: dict[str, Figure]) -> str:
    said = f"“{q.query}” was asked {figures[f'asked “{q.query}”']} times."
    share = figures.get(f"clicks “{q.query}”")
    said += f" {share} of the clicks came to you." if share else " Your part may not be shown."
    place = figures.get(f"place “{q.query}”")
    if q.chance == "supply_gap":
        return f"{said} Nobody sells it here."
    return f"{said} You stand at place {place}." if place else f"{said} You have no product there."


def _merchant_charts(
    queries: Sequence[QueryPerformance], figures: dict[str, Figure]
) -> list[Chart]:
    if not queries:
        return []
    charts: list[Chart] = [
        MarkChart(
            "How often each was asked.",
            [Mark(f"“{q.query}”", figures[f"asked “{q.query}”"]) for q in queries],
        )
    ]
    shares = [q for q in queries if f"clicks “{q.query}”" in figures]
    if shares:
        charts.append(
            MarkChart(
                "Your share of the clicks.",
                [Mark(f"“{q.query}”", figures[f"clicks “{q.query}”"]) for q in shares],
            )
        )
    return charts


def _merchant_appendix(found: SearchPerformance) -> list[Block]:
    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:,}"

    return [
        Grid(
            f"All queries of {found.period} with {found.k} people or more; “–” is not released, "
            "which is not zero.",
            ["query", "asked", "people", "clicks", "your clicks", "your purchases", "place"],
            [
                [
                    q.query,
                    shown(q.search_query_volume),
                    shown(q.people),
                    shown(q.market.clicks),
                    shown(q.own.clicks if q.own else None),
                    shown(q.own.purchases if q.own else None),
                    shown(q.place),
                ]
                for q in found.queries
            ],
            frozenset(range(1, 7)),
        )
    ]


@dataclass(frozen=True)
class CreatorStanding:
    """One creator's collaborations, and what it has earned: amounts by currency."""

    creator: str
    collaborations: tuple[Collaboration, ...]
    open_money: dict[str, float]
    paid_money: dict[str, float]
    simulated: bool


def creator_report(kind: Kind, found: CreatorStanding) -> Report:
    """A creator's collaborations and content, from its own books."""
    states = Counter(c.status for c in found.collaborations)
    waiting = sum(n for s, n in states.items() if s in _OPEN)
    posts = sum(len(c.content) for c in found.collaborations)
    figures: dict[str, Figure] = {
        "running": Figure(sum(n for s, n in states.items() if s in _RUNNING), "count"),
        "waiting for an answer": Figure(waiting, "count"),
        "posts due": Figure(states["CONTENT_DUE"], "count"),
        "posts live": Figure(posts, "count"),
    }
    money: list[str] = []
    for currency in sorted({*found.open_money, *found.paid_money}):
        earned = Figure(found.open_money.get(currency, 0.0), "money", currency=currency)
        paid = Figure(found.paid_money.get(currency, 0.0), "money", currency=currency)
        figures |= {f"open, {currency}": earned, f"settled, {currency}": paid}
        money.append(f"{earned} earned and still open, {paid} settled.")
    due = (figures["posts due"].value or 0) > 0
    none = not found.collaborations
    return Report(
        kind=kind,
        about=found.creator,
        audience="creator",
        title=f"How your work with shops goes: {found.creator}",
        simulated=found.simulated,
        verdict="nothing_yet" if none else "post_due" if due else "on_track",
        answer="You have no work with a shop here yet."
        if none
        else f"You have {many(figures['posts due'], 'post', 'posts')} to make."
        if due
        else "All your posts are made.",
        tried="We looked at what you and the shops agreed on, and at the sales that came of it.",
        happened=[
            f"You work with shops on {many(figures['running'], 'deal', 'deals')} now.",
            f"Offers that wait for an answer: {figures['waiting for an answer']}.",
            f"Your posts that are live: {figures['posts live']}.",
            *money,
        ],
        sure="These are your own books. They are exact, and no guess.",
        worth=" ".join(["So far:", *money])
        if money
        else "No sale has come of your posts yet, as far as we know.",
        recommend="Make the posts that are due first. The shop waits for them."
        if due
        else "Answer the offers that wait."
        if waiting
        else "Look for a shop that fits you, and ask.",
        doubts=[
            "A sale can be sent back. Then what you earned with it goes back too.",
            "We do not know how many people saw your posts. No video data is here yet.",
        ],
        next="What you earned is settled when the time for sending goods back is over.",
        figures=figures,
        charts=[
            MarkChart(
                "Your work now.",
                [
                    Mark(name.capitalize(), figures[name])
                    for name in ("running", "waiting for an answer", "posts due", "posts live")
                ],
            )
        ],
        glossary=[("Deal", "a shop and you agreed on a product, a post and your part of a sale")],
        details={"creator": found.creator, "states": dict(states)},
    )
