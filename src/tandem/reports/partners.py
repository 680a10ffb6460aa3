"""What merchants and creators are told: what is theirs to see, and plainly what is not there.

A merchant's figures come from reports that governance has released (at least k people each); a
creator's from the books of its own collaborations.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from tandem.contracts.collaboration import Collaboration
from tandem.contracts.merchant_week import MerchantWeek, WeekFigures
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
            f"show a figure only if {figures['fewest people']} people or more stand behind it."
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


def merchant_week_report(found: MerchantWeek) -> Report:
    """A merchant's week beside the week before: from released figures only."""
    figures = _week_figures(found)
    told = found.now.people is not None
    moved = figures.get("people, change")
    up = moved is not None and (moved.value or 0) > 0
    verdict = (
        "not_told"
        if not told
        else "no_change"
        if moved is None or not moved.clear
        else "up"
        if up
        else "down"
    )
    return Report(
        kind="weekly",
        about=f"{found.merchant} {found.period}",
        audience="merchant",
        title=f"Your week in the shop: {found.merchant}",
        simulated=found.simulated,
        verdict=verdict,
        answer={
            "not_told": "Too few people looked at your products in this week to tell you more.",
            "no_change": f"{figures.get('people', Figure(None))} people looked at your products. "
            + (
                "That is about as many as the week before."
                if moved is not None
                else "We cannot tell if that is more than the week before."
            ),
            "up": f"More people looked at your products: {figures.get('people', Figure(None))}.",
            "down": f"Fewer people looked at your products: {figures.get('people', Figure(None))}.",
        }[verdict],
        tried=(
            f"We counted what shoppers did with your products from {found.since} to "
            f"{found.until - timedelta(days=1)}. We show a figure only if "
            f"{figures['fewest people']} people or more stand behind it."
        ),
        happened=_week_happened(found, figures) or ["There is nothing that we may show you."],
        sure=(
            f"The number of people changed by {moved}. The true change in how many come is most "
            f"likely {moved.span}. "
            f"{'That is more than luck.' if moved.clear else 'It may be luck.'}"
        )
        if moved is not None
        else "These are counts, no guesses. A small change from week to week is often luck.",
        worth=f"Shoppers paid {figures['sales']} for your products in this week, before returns."
        + (
            f" In the week before it was {figures['sales, before']}."
            if "sales, before" in figures
            else ""
        )
        if "sales" in figures
        else "We may not tell you the money of this week: too few people bought, or one of them "
        "bought most of it.",
        recommend={
            "down": "Look at your stock and your prices first. Then see where you stand in the "
            "search.",
            "up": "Keep in stock what people look at.",
        }.get(verdict, "Keep titles, details and stock up to date."),
        doubts=[
            f"{figures['kept back']} figures are kept back, since too few people stand behind "
            "them.",
            "A feast, the weather or a sale can move a week.",
            "Goods can be sent back. This page counts them as sold.",
        ],
        next="The next page comes in a week. The seller center shows your month and your aims.",
        figures=figures,
        charts=_week_charts(found, figures),
        glossary=[
            ("Shown", "how often one of your products stood in a list that a shopper saw"),
            ("Kept back", "not told, which is not the same as zero"),
        ],
        appendix=_week_appendix(found),
        details={"week": found.model_dump(mode="json")},
    )


def _week_figures(found: MerchantWeek) -> dict[str, Figure]:
    figures = {
        "fewest people": Figure(found.k, "count"),
        "kept back": Figure(sum(found.withheld.values()), "count"),
    }
    for when, week in (("", found.now), (", before", found.before)):
        for name in ("people", "shown", "clicks", "carts", "orders"):
            value = getattr(week, name)
            if value is not None:
                figures[f"{name}{when}"] = Figure(value, "count")
        if week.sales is not None:
            figures[f"sales{when}"] = Figure(week.sales, "money", currency=found.currency)
    now, before = found.now.people, found.before.people
    if now and before:
        # People come by themselves, so their numbers are about Poisson; a ratio of two of them.
        ratio, error = now / before, math.sqrt(1 / now + 1 / before)
        low, high = (ratio * math.exp(z * error) - 1 for z in (-1.96, 1.96))
        figures["people, change"] = Figure(ratio - 1, "share", low, high, True)
    for title, week in found.products[:SHOWN]:
        figures[f"clicks on “{title}”"] = Figure(week.clicks, "count")
    for q in found.queries[:SHOWN]:
        figures[f"clicks after “{q.query}”"] = Figure(q.clicks, "count")
    return figures


def _week_happened(found: MerchantWeek, figures: dict[str, Figure]) -> list[str]:
    names = {
        "shown": "Your products were shown {} times",
        "clicks": "They were looked at {} times",
        "carts": "They were put into the cart {} times",
        "orders": "Orders with one of them: {}",
    }
    said = []
    for name, text in names.items():
        if name in figures:
            before = figures.get(f"{name}, before")
            said.append(
                text.format(figures[name]) + (f" ({before} the week before)." if before else ".")
            )
    if found.queries:
        q = found.queries[0]
        said.append(
            f"After “{q.query}” most came to you: {figures[f'clicks after “{q.query}”']} clicks."
        )
    return said


def _week_charts(found: MerchantWeek, figures: dict[str, Figure]) -> list[Chart]:
    pairs = [
        (label, figures[name])
        for label, name in (
            ("This week", "people"),
            ("The week before", "people, before"),
        )
        if name in figures
    ]
    charts: list[Chart] = []
    if pairs:
        marks = [Mark(label, f) for label, f in pairs]
        charts.append(MarkChart("People who looked at your products.", marks))
    products = [t for t, w in found.products[:SHOWN] if w.clicks is not None]
    if products:
        charts.append(
            MarkChart(
                "What they looked at most.",
                [Mark(t, figures[f"clicks on “{t}”"]) for t in products],
            )
        )
    return charts


def _week_appendix(found: MerchantWeek) -> list[Block]:
    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:,}"

    heads = ["people", "shown", "clicks", "carts", "orders", f"sales, {found.currency}"]

    def row(name: str, w: WeekFigures) -> list[str]:
        values = (w.people, w.shown, w.clicks, w.carts, w.orders, w.sales)
        return [name, *(shown(v) for v in values)]

    blocks: list[Block] = [
        Grid(
            f"{found.period} (UTC), figures of {found.k} people or more; “–” is not released or "
            "not known, which is not zero.",
            ["", *heads],
            [
                row("all products", found.now),
                row("the week before", found.before),
                *(row(title, w) for title, w in found.products),
            ],
            frozenset(range(1, 7)),
        )
    ]
    if found.queries:
        blocks.append(
            Grid(
                "Searches after which your products were used.",
                ["search", "people", "clicks"],
                [[q.query, shown(q.people), shown(q.clicks)] for q in found.queries],
                frozenset({1, 2}),
            )
        )
    return blocks


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
            f"All queries of {found.period} with {found.k} people or more; “–” is not released or "
            "not known, which is not zero.",
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
