"""Why a product stands where it stands, in one sentence that a merchant understands."""

from __future__ import annotations

from collections.abc import Sequence

from tandem.contracts.search import Contribution
from tandem.features.declarations import feature_of


def sentence(contributions: Sequence[Contribution], rules: Sequence[str] = ()) -> str:
    """The strongest reasons for and the strongest reason against, from feature contributions."""
    for_it, against = _reasons(contributions)
    parts = []
    if rules:
        parts.append(f"A rule of the shop moved it ({', '.join(rules)}).")
    if for_it:
        parts.append(f"It stands here because {_join(for_it[:2])}.")
    if against:
        parts.append(f"What holds it back most: {against[0]}.")
    return " ".join(parts) or "It matches the query."


def _reasons(contributions: Sequence[Contribution]) -> tuple[list[str], list[str]]:
    said: set[str] = set()
    for_it: list[str] = []
    against: list[str] = []
    for c in sorted(contributions, key=lambda c: -abs(c.contribution)):
        feature = feature_of(c.feature)
        # Facts about the query alone move all products alike: no reason for this one.
        if feature.about_query or feature.says in said or not c.contribution:
            continue
        said.add(feature.says)
        if c.contribution > 0:
            for_it.append(feature.says)
        elif feature.lacks:
            against.append(feature.lacks)
    return for_it, against


def _join(reasons: Sequence[str]) -> str:
    return " and ".join(reasons)
