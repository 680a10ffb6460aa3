"""The insight report as a page of Markdown, for people who do not read JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SHARES = (
    ("zero_results", "found nothing"),
    ("few_results", "found fewer than five products"),
    ("reformulations", "were second tries"),
    ("abandoned", "were abandoned"),
    ("good_abandoned", "were abandoned, and something shown was bought all the same"),
    ("clicked", "led to a click"),
    ("added_to_cart", "led to the cart"),
    ("purchased", "led to a purchase"),
)


def markdown_page(document: Mapping[str, Any], title: str = "Where search fails") -> str:
    """`document`: what `tandem insights --json` prints."""
    lines = [f"# {title}", ""]
    if document["simulated"]:
        lines += ["> **Simulated**: these shoppers and sales are not real.", ""]
    period = document["period"]
    lines += [
        f"{document['searches']:,} searches in {document['sessions']:,} visits, "
        f"{_day(period['from'])} to {_day(period['to'])}.",
        "",
        "| of all searches | share |",
        "|---|---|",
        *(f"| {words} | {_percent(document['health'][name])} |" for name, words in SHARES),
    ]
    alerts = document["drift"]["alerts"]
    if alerts:
        lines += ["", f"## What has changed since {document['drift']['now_from']}", ""]
        lines += [f"- {_text(a['says'])}{_because(a['reasons'])}" for a in alerts]
    findings = document["findings"]
    lines += [
        "",
        f"## {len(findings)} {'failure' if len(findings) == 1 else 'failures'}",
        "",
        f"{document['tests']:,} comparisons were made; at most "
        f"{document['false_discovery_rate']:.0%} of the findings are expected to be chance.",
    ]
    for f in findings:
        lines += ["", *_finding(f, document["currency"] or "")]
    return "\n".join(lines) + "\n"


def _finding(f: Mapping[str, Any], currency: str) -> list[str]:
    lost, success = f["lost_sales"], f["success"]
    cost = "unknown"
    if lost is not None:
        cost = f"{lost['estimate']:,.0f} {currency} ({lost['low']:,.0f} to {lost['high']:,.0f})"
    return [
        f"### {f['rank']}. {_text(f['title'])}",
        "",
        _text(f["explanation"]),
        "",
        f"- **Who**: {f['searches']:,} searches by {f['clients']:,} shoppers "
        f"({f['affected']:.0%} of such searches).",
        f"- **Needs met**: {_percent(success['estimate'])} ({_percent(success['low'])} to "
        f"{_percent(success['high'])}); {_percent(f['expected'])} where nothing is wrong.",
        f"- **Lost sales**: {cost}.",
        f"- **What may help** ({f['fix']['kind'].replace('_', ' ')}): {_text(f['fix']['summary'])}."
        + (f" `{f['fix']['payload']['rule']}`" if "rule" in f["fix"]["payload"] else ""),
        *(f"- For example: {_session(s)}" for s in f["examples"][:1]),
        f"- To try it: `tandem insights try {f['id']}`",
    ]


def _session(steps: Sequence[Mapping[str, Any]]) -> str:
    return " → ".join(
        f"“{_text(s['text'])}” ({s['results']} results, {s['clicks']} clicks"
        + (", into the cart)" if s["carts"] else ")")
        for s in steps
    )


def _because(reasons: Sequence[str]) -> str:
    return f" (most of it: {_text('; '.join(reasons))})" if reasons else ""


def _text(text: str) -> str:
    """What shoppers typed is text, and no markup."""
    for sign in "\\`*_<>[]|#":
        text = text.replace(sign, f"\\{sign}")
    return text


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


def _day(moment: str | None) -> str:
    return "unknown" if moment is None else moment[:10]
