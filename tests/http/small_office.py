"""A privacy office in memory: whoever is asked about allows search and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tandem.contracts.consent import Decision, Purpose
from tandem.contracts.errors import NotFound
from tandem.contracts.privacy import (
    AuditEntry,
    AuditState,
    ErasureRequest,
    PersonRole,
    PersonStanding,
    PrivacyBudget,
    PrivacyOverview,
    PurposeBasis,
    StoredCollection,
    StoredField,
)

AT = "2026-03-01T12:00:00+00:00"


class SmallOffice:
    def __init__(self) -> None:
        self.granted: dict[str, set[str]] = {}
        self.erased: dict[str, ErasureRequest] = {}
        self.acts: list[tuple[str, str]] = []

    def overview(self) -> PrivacyOverview:
        last = tuple(
            AuditEntry(sequence=i, at=AT, actor=who, action=what, details={"subject": "k1.x"})
            for i, (who, what) in reversed(list(enumerate(self.acts, 1)))
        )
        return PrivacyOverview(
            stored=(
                StoredCollection(
                    name="events",
                    description="What shoppers did.",
                    people=("customer",),
                    fields=(
                        StoredField(name="client", categories=("user.unique_id.pseudonymous",)),
                        StoredField(
                            name="user_query", categories=("user.behavior.search_history",)
                        ),
                    ),
                ),
            ),
            purposes=(PurposeBasis(purpose="search", basis="legitimate_interests"),),
            requests=tuple(self.erased.values()),
            budgets=(
                PrivacyBudget(tenant="Acme", reports=3, spent=1.0, total=4.0),
                PrivacyBudget(tenant="Globex", reports=1, spent=0.0, total=4.0),
            ),
            audit=AuditState(
                ok=True, entries=len(self.acts), head="0" * 64, problems=(), last=last
            ),
            simulated=True,
        )

    def data_map(self) -> dict[str, Any]:
        return {"dataset": [{"fides_key": "small"}], "system": []}

    def person(self, identifier: str, role: PersonRole, actor: str) -> PersonStanding:
        self.acts.append((actor, "consent.show"))
        granted = self.granted.setdefault(identifier, {Purpose.SEARCH})
        return PersonStanding(
            pseudonyms=("k1.pseudonym",),
            minor=False,
            allowed={str(p): p in granted for p in Purpose},
            decisions=0,
        )

    def decide(
        self, identifier: str, role: PersonRole, purpose: Purpose, decision: Decision, actor: str
    ) -> PersonStanding:
        granted = self.granted.setdefault(identifier, {Purpose.SEARCH})
        (granted.add if decision == "granted" else granted.discard)(purpose)
        return self.person(identifier, role, actor)

    def export(self, identifier: str, role: PersonRole, actor: str) -> dict[str, Any]:
        self.acts.append((actor, "rights.export"))
        return {"events": [], "pseudonyms": ["k1.pseudonym"]}

    def correct(
        self,
        identifier: str,
        role: PersonRole,
        event: str,
        changes: Mapping[str, str | None],
        reason: str,
        actor: str,
    ) -> dict[str, Any]:
        if event != "e1":
            raise NotFound(f"no event '{event}' of this person", remedy="see the copy")
        self.acts.append((actor, "rights.correct"))
        return {"event_key": event, **changes}

    def erase(self, identifier: str, role: PersonRole, actor: str) -> ErasureRequest:
        self.acts.append((actor, "rights.erase"))
        request = ErasureRequest(
            id=f"e{len(self.erased):012x}",
            requested=AT,
            state="finished",
            done=("events",),
            finished=AT,
        )
        self.erased[request.id] = request
        return request

    def certificate(self, request: str) -> dict[str, Any]:
        if request not in self.erased:
            raise NotFound(f"no request '{request}'", remedy="see the list")
        return {"request": request, "found": 0}
