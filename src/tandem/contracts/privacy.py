"""What the privacy office is shown: what is kept, for what, for whom, and what was asked for."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tandem.contracts.search import Frozen

PersonRole = Literal["user", "client", "creator"]
"""What an identifier names: a signed-in person, a browser or app, or a creator."""


class StoredField(Frozen):
    """One field of a record. categories: what kind of data it is, in fideslang's words."""

    name: str
    categories: tuple[str, ...]


class StoredCollection(Frozen):
    """One kind of record that is kept about people."""

    name: str
    description: str
    people: tuple[str, ...]
    fields: tuple[StoredField, ...]


class PrivacyBudget(Frozen):
    """What left the house for one merchant or creator. reports: all that were released to them.
    spent, total: privacy loss (epsilon) of the noisy ones, and how much there may be."""

    tenant: str
    reports: int
    spent: float
    total: float


class PurposeBasis(Frozen):
    purpose: str
    basis: str


class ErasureRequest(Frozen):
    """A request for erasure. Times are ISO 8601, UTC. done: steps that are finished."""

    id: str
    requested: str
    state: str
    done: tuple[str, ...]
    finished: str | None


class AuditEntry(Frozen):
    sequence: int
    at: str
    actor: str
    action: str
    details: dict[str, Any]


class AuditState(Frozen):
    """problems: what an append-only log cannot look like, in words; none when it is sound."""

    ok: bool
    entries: int
    head: str
    problems: tuple[str, ...]
    last: tuple[AuditEntry, ...] = Field(description="Newest first")


class PrivacyOverview(Frozen):
    stored: tuple[StoredCollection, ...]
    purposes: tuple[PurposeBasis, ...]
    requests: tuple[ErasureRequest, ...] = Field(description="Newest first")
    budgets: tuple[PrivacyBudget, ...]
    audit: AuditState
    simulated: bool = False


class PersonStanding(Frozen):
    """What one person allows. pseudonyms: theirs under every key, never the identifier itself."""

    pseudonyms: tuple[str, ...]
    minor: bool
    allowed: dict[str, bool]
    decisions: int
