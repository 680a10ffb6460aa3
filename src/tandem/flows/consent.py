"""Consent on the record: identifiers become pseudonyms, every act goes to the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tandem.contracts.consent import MINORS_MAY, Basis, ConsentRecord, Decision, Purpose
from tandem.contracts.events import Pseudonym
from tandem.contracts.privacy import PersonRole
from tandem.governance.audit import AuditLog, os_actor
from tandem.governance.consent import ConsentLedger, current_state, is_pseudonym
from tandem.governance.pseudonyms import Pseudonyms, open_ring
from tandem.storage.layout import Layout

Role = PersonRole


@dataclass(frozen=True)
class Standing:
    """Where a person stands: pseudonyms, the record that counts for each purpose, what follows."""

    subjects: tuple[Pseudonym, ...]
    minor: bool
    allowed: dict[Purpose, bool]
    bases: dict[Purpose, Basis]
    records: tuple[ConsentRecord, ...]


def subjects_of(layout: Layout, identifier: str, role: Role = "user") -> tuple[Pseudonym, ...]:
    """The pseudonyms of a person under every key; a pseudonym stands for itself."""
    if is_pseudonym(identifier):
        return (Pseudonym(identifier),)
    return Pseudonyms(open_ring(layout)).every(role, identifier)


def decide(
    layout: Layout,
    subjects: Sequence[Pseudonym],
    purposes: Sequence[Purpose],
    decision: Decision,
    *,
    special: bool = False,
    evidence: str | None = None,
    actor: str | None = None,
) -> list[ConsentRecord]:
    """Record what a person decided. Raises as `ConsentLedger.record`."""
    actor = actor or os_actor()
    with AuditLog(layout).act(
        actor,
        f"consent.{'grant' if decision == 'granted' else 'withdraw'}",
        subject=subjects[-1],
        purposes=",".join(purposes),
        special=special,
    ):
        return ConsentLedger(layout).record(
            subjects, purposes, decision, source=actor, special=special, evidence=evidence
        )


def set_age(layout: Layout, subjects: Sequence[Pseudonym], *, minor: bool) -> None:
    """Record that a person is a minor, or is of age."""
    actor = os_actor()
    with AuditLog(layout).act(actor, "consent.age", subject=subjects[-1], minor=minor):
        ConsentLedger(layout).set_age(subjects, minor=minor, source=actor)


def set_basis(layout: Layout, purpose: Purpose, basis: Basis, reason: str) -> dict[Purpose, Basis]:
    """Put a purpose on another legal basis; gives the bases of all."""
    actor = os_actor()
    ledger = ConsentLedger(layout)
    with AuditLog(layout).act(actor, "consent.basis", purpose=purpose, basis=basis):
        ledger.set_basis(purpose, basis, reason=reason, source=actor)
    return ledger.bases()


def standing(
    layout: Layout, subjects: Sequence[Pseudonym], *, actor: str | None = None
) -> Standing:
    """Where a person stands. Reading it is recorded."""
    AuditLog(layout).append(actor or os_actor(), "consent.show", subject=subjects[-1])
    ledger = ConsentLedger(layout)
    records = ledger.history(subjects)
    state = current_state(records)
    bases = ledger.bases()
    minor = ledger.minor(subjects)
    allowed = {}
    for purpose in Purpose:
        record = state.get(purpose)
        said = record.decision == "granted" if record else bases[purpose] is not Basis.CONSENT
        allowed[purpose] = said and (not minor or purpose in MINORS_MAY)
    return Standing(tuple(subjects), minor, allowed, bases, tuple(records))
