"""The privacy office: one look at what is kept about people, and the requests of people."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tandem.contracts.consent import Decision, Purpose
from tandem.contracts.events import Pseudonym
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
from tandem.flows import rights
from tandem.flows.consent import decide, standing, subjects_of
from tandem.flows.governing import workspace_data_map
from tandem.governance.audit import AuditLog
from tandem.governance.consent import ConsentLedger
from tandem.governance.release import Releases
from tandem.storage.layout import Layout

SHOWN = 30  # entries of the audit log


class PrivacyDesk:
    """The privacy office of one workspace, as the server asks for it. actor: who acts, for the
    audit log. A person is named by the identifier that the shop knows, or by a pseudonym."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def overview(self) -> PrivacyOverview:
        layout = self._layout
        (dataset,) = workspace_data_map(layout)["dataset"]
        return PrivacyOverview(
            stored=tuple(
                StoredCollection(
                    name=c["name"],
                    description=c["description"],
                    people=tuple(c["data_subjects"]),
                    fields=tuple(
                        StoredField(name=f["name"], categories=tuple(f["data_categories"]))
                        for f in c["fields"]
                    ),
                )
                for c in dataset["collections"]
            ),
            purposes=tuple(
                PurposeBasis(purpose=purpose, basis=basis)
                for purpose, basis in ConsentLedger(layout).bases().items()
            ),
            requests=tuple(_request(e) for e in reversed(rights.erasures(layout))),
            budgets=self._budgets(),
            audit=self._audit(),
            simulated=layout.settings().simulated,
        )

    def data_map(self) -> dict[str, Any]:
        """The whole data map, a fideslang manifest."""
        return workspace_data_map(self._layout)

    def _budgets(self) -> tuple[PrivacyBudget, ...]:
        releases = Releases(self._layout)
        if not releases.file.exists():
            return ()
        return tuple(
            PrivacyBudget(tenant=tenant, reports=reports, spent=spent, total=releases.budget)
            for tenant, reports, spent in releases.spending()
        )

    def _audit(self) -> AuditState:
        log = AuditLog(self._layout)
        found = log.verify()
        # A broken line stops the walk through the entries; verify has told which it is.
        last = deque(log.entries(), SHOWN) if found.ok else ()
        return AuditState(
            ok=found.ok,
            entries=found.entries,
            head=found.head,
            problems=tuple(f"{p.file}:{p.line or ''} {p.message}" for p in found.problems),
            last=tuple(
                AuditEntry(
                    sequence=e.sequence,
                    at=e.at,
                    actor=e.actor,
                    action=e.action,
                    details=dict(e.details),
                )
                for e in reversed(last)
            ),
        )

    def person(self, identifier: str, role: PersonRole, actor: str) -> PersonStanding:
        """What a person allows now."""
        return _standing(self._layout, self._subjects(identifier, role), actor)

    def decide(
        self, identifier: str, role: PersonRole, purpose: Purpose, decision: Decision, actor: str
    ) -> PersonStanding:
        """Record what a person decided."""
        subjects = self._subjects(identifier, role)
        decide(self._layout, subjects, [purpose], decision, actor=actor)
        return _standing(self._layout, subjects, actor)

    def export(self, identifier: str, role: PersonRole, actor: str) -> dict[str, Any]:
        """Everything that is stored about a person."""
        return rights.export(self._layout, self._subjects(identifier, role), actor=actor)

    def correct(
        self,
        identifier: str,
        role: PersonRole,
        event: str,
        changes: Mapping[str, str | None],
        reason: str,
        actor: str,
    ) -> dict[str, Any]:
        """Put one event of a person right; the event afterwards."""
        subjects = self._subjects(identifier, role)
        return rights.correct(self._layout, subjects, event, changes, reason=reason, actor=actor)

    def erase(self, identifier: str, role: PersonRole, actor: str) -> ErasureRequest:
        """Erase a person everywhere and certify it."""
        erased = rights.erase(self._layout, self._subjects(identifier, role), actor=actor)
        return _request(erased)

    def certificate(self, request: str) -> dict[str, Any]:
        """The certificate of a finished erasure."""
        return rights.certificate(self._layout, request)

    def _subjects(self, identifier: str, role: PersonRole) -> tuple[Pseudonym, ...]:
        return subjects_of(self._layout, identifier, role)


def _standing(layout: Layout, subjects: tuple[Pseudonym, ...], actor: str) -> PersonStanding:
    found = standing(layout, subjects, actor=actor)
    return PersonStanding(
        pseudonyms=found.subjects,
        minor=found.minor,
        allowed={str(purpose): allowed for purpose, allowed in found.allowed.items()},
        decisions=len(found.records),
    )


def _request(erasure: rights.Erasure) -> ErasureRequest:
    return ErasureRequest(
        id=erasure.id,
        requested=_iso(erasure.requested),
        state=erasure.state,
        done=erasure.done,
        finished=None if erasure.finished is None else _iso(erasure.finished),
    )


def _iso(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="seconds")
