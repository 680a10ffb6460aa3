"""The key that opens writing. A server holds only its hash."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from tandem.contracts.errors import InvalidInput

VARIABLE = "TANDEM_ADMIN_KEY"
SHORTEST = 16
_HASHED = re.compile(r"^sha256:([0-9a-fA-F]{64})$")


@dataclass(frozen=True)
class AdminKey:
    """SHA-256 of the key: enough for keys of 16 and more random characters, which is asked for."""

    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, key: str) -> AdminKey:
        return cls(hashlib.sha256(key.encode()).digest())

    @classmethod
    def generate(cls) -> tuple[AdminKey, str]:
        """A new key and its text. The text is kept nowhere: show it once."""
        text = secrets.token_urlsafe(24)
        return cls.of(text), text

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> AdminKey | None:
        """The key in TANDEM_ADMIN_KEY: the key itself, or `sha256:` and its hash in hex.

        None when the variable is not set. Raises InvalidInput for a key that can be guessed.
        """
        value = environment.get(VARIABLE, "").strip()
        if not value:
            return None
        if hashed := _HASHED.match(value):
            return cls(bytes.fromhex(hashed.group(1)))
        if len(value) < SHORTEST:
            raise InvalidInput(
                f"{VARIABLE} is shorter than {SHORTEST} characters",
                remedy="make one with: "
                "python -c 'import secrets; print(secrets.token_urlsafe(24))'",
            )
        return cls.of(value)

    def opens_with(self, key: str) -> bool:
        """Whether `key` is the key; takes the same time for every wrong one."""
        return hmac.compare_digest(hashlib.sha256(key.encode()).digest(), self.digest)
