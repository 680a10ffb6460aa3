"""API keys, on the record."""

from __future__ import annotations

from tandem.governance.access import Role
from tandem.governance.audit import AuditLog, os_actor
from tandem.governance.keys import ApiKey, KeyStore
from tandem.storage.layout import Layout


def create_key(
    layout: Layout, role: Role, *, tenant: str | None, name: str, days: int | None
) -> tuple[ApiKey, str]:
    """A new key and its text. Raises InvalidInput as `KeyStore.create`."""
    audit = AuditLog(layout)
    with audit.act(os_actor(), "key.create", role=role, tenant=tenant, days=days):
        key, text = KeyStore(layout).create(role, tenant=tenant, name=name, days=days)
        audit.append(os_actor(), "key.created", key=key.id)
    return key, text


def revoke_key(layout: Layout, id_: str) -> ApiKey:
    """End a key now. Raises NotFound."""
    with AuditLog(layout).act(os_actor(), "key.revoke", key=id_):
        return KeyStore(layout).revoke(id_)
