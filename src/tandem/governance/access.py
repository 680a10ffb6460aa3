"""Who may do what: roles, what each may do and read, and the tenant that it is bound to.

Role-based access control (NIST RBAC, ANSI INCITS 359) with one role a key. Merchants and creators
are tenants: what is another tenant's does not exist for them, neither to read nor to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import Forbidden, InvalidInput


class Role(StrEnum):
    SHOPPER = "shopper"
    MERCHANT = "merchant"
    CREATOR = "creator"
    ANALYST = "analyst"
    SCIENTIST = "scientist"
    PRIVACY_OFFICER = "privacy_officer"
    ADMIN = "admin"


class Permission(StrEnum):
    """search: use the shop. own_reports: aggregates about one's own products or content.
    insight: aggregates about all. judge: record judgments. train: models and experiments.
    catalogue: change products. privacy: consent, requests of persons, audit. operate: the rest.
    """

    SEARCH = "search"
    OWN_REPORTS = "own_reports"
    INSIGHT = "insight"
    JUDGE = "judge"
    TRAIN = "train"
    CATALOGUE = "catalogue"
    PRIVACY = "privacy"
    OPERATE = "operate"


TENANT_ROLES = frozenset({Role.MERCHANT, Role.CREATOR})

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.SHOPPER: frozenset({Permission.SEARCH}),
    Role.MERCHANT: frozenset({Permission.SEARCH, Permission.OWN_REPORTS, Permission.CATALOGUE}),
    Role.CREATOR: frozenset({Permission.SEARCH, Permission.OWN_REPORTS}),
    Role.ANALYST: frozenset({Permission.SEARCH, Permission.INSIGHT, Permission.JUDGE}),
    Role.SCIENTIST: frozenset(
        {Permission.SEARCH, Permission.INSIGHT, Permission.JUDGE, Permission.TRAIN}
    ),
    Role.PRIVACY_OFFICER: frozenset({Permission.SEARCH, Permission.PRIVACY}),
    Role.ADMIN: frozenset(Permission),
}

PURPOSES: Mapping[Role, frozenset[Purpose]] = {
    Role.SHOPPER: frozenset(),
    Role.MERCHANT: frozenset(),
    Role.CREATOR: frozenset(),
    Role.ANALYST: frozenset({Purpose.SEARCH, Purpose.ANALYTICS}),
    Role.SCIENTIST: frozenset({Purpose.SEARCH, Purpose.ANALYTICS, Purpose.MODEL_TRAINING}),
    Role.PRIVACY_OFFICER: frozenset(),
    Role.ADMIN: frozenset(Purpose),
}
"""For what a role may read stored events, row by row. Tenants get aggregates, never rows."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. tenant: the merchant or creator of a tenant role, None for the others.

    actor: as the audit log names it.
    """

    role: Role
    tenant: str | None
    actor: str

    def __post_init__(self) -> None:
        if (self.role in TENANT_ROLES) != (self.tenant is not None):
            needs = "needs a tenant" if self.role in TENANT_ROLES else "has no tenant"
            raise InvalidInput(
                f"the role {self.role} {needs}",
                field="tenant",
                remedy="name the merchant or the creator for these two roles only",
            )

    def may(self, permission: Permission) -> bool:
        return permission in PERMISSIONS[self.role]

    def require(self, permission: Permission) -> None:
        """Raises Forbidden without the permission."""
        if not self.may(permission):
            raise Forbidden(
                f"a key of role {self.role} does not open this",
                remedy=f"use a key of a role with the permission '{permission}'",
            )

    def require_purpose(self, purpose: Purpose) -> None:
        """Raises Forbidden for a purpose that this role does not read events for."""
        if purpose not in PURPOSES[self.role]:
            raise Forbidden(
                f"a key of role {self.role} does not read events for {purpose}",
                remedy="ask for a report: aggregates over enough people are released to all roles",
            )

    def owns(self, role: Role, tenant: str | None) -> bool:
        """Whether something of a merchant or creator (`role`) named `tenant` (None: of nobody) is
        this principal's to see and change."""
        return self.role not in TENANT_ROLES or (self.role is role and tenant == self.tenant)
