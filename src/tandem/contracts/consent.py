"""What personal data may be used for, and on what ground: purposes, legal bases, decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tandem.contracts.events import Pseudonym


class Purpose(StrEnum):
    """Why somebody reads what people did. There is no purpose 'any'."""

    SEARCH = "search"
    PERSONALISATION = "personalisation"
    ANALYTICS = "analytics"
    MODEL_TRAINING = "model_training"
    CREATOR_MARKETING = "creator_marketing"


class Basis(StrEnum):
    """Legal basis of a purpose: GDPR Art. 6(1)(a), (b), (f), and Art. 9(2)(a)."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGITIMATE_INTERESTS = "legitimate_interests"
    EXPLICIT_CONSENT = "explicit_consent"


DEFAULT_BASES: Mapping[Purpose, Basis] = {
    Purpose.SEARCH: Basis.LEGITIMATE_INTERESTS,
    Purpose.ANALYTICS: Basis.LEGITIMATE_INTERESTS,
    Purpose.PERSONALISATION: Basis.CONSENT,
    Purpose.MODEL_TRAINING: Basis.CONSENT,
    Purpose.CREATOR_MARKETING: Basis.CONSENT,
}
"""Under consent a person who said nothing is left out; under the others, who objected is."""

ALLOWED_BASES: Mapping[Purpose, frozenset[Basis]] = {
    purpose: frozenset({Basis.CONSENT})
    if purpose is Purpose.CREATOR_MARKETING  # Directive 2002/58/EC Art. 13 knows no other
    else frozenset({Basis.CONSENT, Basis.CONTRACT, Basis.LEGITIMATE_INTERESTS})
    for purpose in Purpose
}

MINORS_MAY: frozenset[Purpose] = frozenset({Purpose.SEARCH})
"""What a minor's data is read for: nothing that profiles, whoever agreed to it."""

Decision = Literal["granted", "withdrawn"]
"""`withdrawn` is an objection (Art. 21) as well, where the basis is not consent."""


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """One line of the ledger. The newest of a subject and purpose counts.

    at: microseconds since 1970 in UTC. special: covers special categories too (Art. 9).
    evidence: what shows it, such as the version of the banner. source: who recorded it.
    """

    number: int
    at: int
    subject: Pseudonym
    purpose: Purpose
    decision: Decision
    basis: Basis
    special: bool
    evidence: str | None
    source: str
