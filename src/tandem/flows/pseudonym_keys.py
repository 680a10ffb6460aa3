"""Rotate and retire the keys behind pseudonyms, on the record."""

from __future__ import annotations

from tandem.governance.audit import AuditLog, os_actor
from tandem.governance.pseudonyms import KeyRing, retire, rotate
from tandem.storage.layout import Layout


def rotate_key(layout: Layout) -> KeyRing:
    """Make a new current key."""
    with AuditLog(layout).act(os_actor(), "pseudonym_key.rotate"):
        return rotate(layout)


def retire_key(layout: Layout, key_id: str) -> KeyRing:
    """Delete an old key for good. Raises Conflict for the current one, NotFound for others."""
    with AuditLog(layout).act(os_actor(), "pseudonym_key.retire", key=key_id):
        return retire(layout, key_id)
