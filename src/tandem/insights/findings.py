"""What the search for failures returns: findings with a cause, evidence, a price and a fix."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tandem.contracts.insight import Cause

FixKind = Literal["synonym", "rule", "retraining_example", "attribute", "supply_gap", "investigate"]


@dataclass(frozen=True)
class Group:
    """Whose searches: the conditions that are stated all hold. `words`: a word of the query.
    `meaning`: the most frequent text of those that mean the same."""

    words: str | None = None
    text: str | None = None
    meaning: str | None = None
    category: str | None = None
    language: str | None = None
    device: str | None = None
    filter: str | None = None

    def __str__(self) -> str:
        said = [
            f"'{self.text}'" if self.text else "",
            f"with the word '{self.words}'" if self.words else "",
            f"that mean '{self.meaning}'" if self.meaning else "",
            f"for {self.category}" if self.category else "",
            f"with a filter on {self.filter}" if self.filter else "",
            f"in the language {self.language}" if self.language else "",
            f"on {self.device}" if self.device else "",
        ]
        return "searches " + " ".join(s for s in said if s)


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Fix:
    """What may help. `synonym`: payload has `rule`, a line for `synonyms.txt`. `rule`: `rule`, an
    entry for `rules.json`. `retraining_example`: `judgments` (query, product, relevance).
    `attribute`: `attribute`, and `products` to fill in. `supply_gap`: `wanted`.
    `investigate`: nothing that could be tried offline; `where` says where to look."""

    kind: FixKind
    summary: str
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One failure of search.

    searches, clients: how many were affected. affected: share of the group's searches with the
    symptom. success, expected: P(something is put into the cart) per need of the group, and what
    like needs reach. p_value: one-sided; q_value: after Benjamini-Hochberg over all tests made.
    lost_sales: over the period of the events, major units of the currency of the sales; None where
    no sales are known. examples: sessions, each a list of searches in order. queries: what the
    group typed, the most frequent first, with how often and what came of it.
    """

    cause: Cause
    group: Group
    title: str
    explanation: str
    searches: int
    clients: int
    affected: float
    success: Interval
    expected: float
    p_value: float
    q_value: float
    lost_sales: Interval | None
    fix: Fix
    examples: tuple[tuple[dict[str, Any], ...], ...]
    queries: tuple[dict[str, Any], ...] = ()

    @property
    def id(self) -> str:
        """The same for the same cause and group, whenever it is found."""
        group = {k: v for k, v in asdict(self.group).items() if k != "meaning" or v is not None}
        stated = json.dumps(group, sort_keys=True, ensure_ascii=False)
        return f"{self.cause}-{hashlib.sha256(stated.encode()).hexdigest()[:8]}"

    def to_json(self) -> dict[str, Any]:
        values = asdict(self)
        values["group"] = {k: v for k, v in values["group"].items() if v is not None}
        return {"id": self.id, **values}


@dataclass(frozen=True)
class Findings:
    """Findings, the dearest first. tests: comparisons made, all of them counted in the q-values.
    started, ended: first and last event, µs since 1970; None without events."""

    findings: tuple[Finding, ...]
    tests: int
    searches: int
    sessions: int
    started: int | None
    ended: int | None
    currency: str | None
