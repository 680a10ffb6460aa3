"""API keys: made once, shown once, kept as hashes, revoked at once.

A key is `tdm_<id>_<secret>` with 256 random bits of secret. It is stored as its SHA-256. A slow
hash (scrypt, Argon2) protects what people make up, because guesses are few; against 256 random
bits no guessing helps (NIST SP 800-63B, 5.1.2.2: for secrets of 112 bits and more a plain hash
will do), and a request is not held up for a tenth of a second.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.governance.access import Principal, Role
from tandem.storage.atomic import write_json_atomic
from tandem.storage.layout import Layout

LONGEST = 200
_KEY = re.compile(r"^tdm_([0-9a-f]{8})_[\w-]{43}$", re.ASCII)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key. Times are ISO 8601 in UTC; None: never."""

    id: str
    role: Role
    tenant: str | None
    name: str
    digest: str
    created: str
    expires: str | None = None
    revoked: str | None = None

    def valid(self, now: datetime) -> bool:
        return self.revoked is None and (
            self.expires is None or now < datetime.fromisoformat(self.expires)
        )

    @property
    def principal(self) -> Principal:
        return Principal(self.role, self.tenant, f"key:{self.id}")


class KeyStore:
    """The keys of one workspace. Safe for many threads and processes; a change is seen at once."""

    def __init__(self, layout: Layout) -> None:
        self.file = layout.access / "keys.json"
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[str, ApiKey] = {}

    def create(
        self, role: Role, *, tenant: str | None, name: str, days: int | None = None
    ) -> tuple[ApiKey, str]:
        """A new key and its text, which is kept nowhere: show it once.

        days: how long it is valid; None: until it is revoked. Raises InvalidInput for a tenant
        role without a tenant, and the other way round.
        """
        Principal(role, tenant, "new")
        for field, text in (("name", name), ("tenant", tenant)):
            if text is not None and not 0 < len(text.strip()) <= LONGEST:
                raise InvalidInput(
                    "is empty or too long", field=field, remedy=f"use 1 to {LONGEST} characters"
                )
        if days is not None and not 0 < days <= 3650:
            raise InvalidInput("is no duration", field="days", remedy="use 1 to 3650 days")
        with self._writing() as keys:
            id_ = secrets.token_hex(4)
            while id_ in keys:
                id_ = secrets.token_hex(4)
            text = f"tdm_{id_}_{secrets.token_urlsafe(32)}"
            now = datetime.now(UTC).replace(microsecond=0)
            expires = None if days is None else (now + timedelta(days=days)).isoformat()
            key = ApiKey(id_, role, tenant, name, _digest(text), now.isoformat(), expires)
            keys[id_] = key
        return key, text

    def revoke(self, id_: str) -> ApiKey:
        """End a key now; it stays listed. Raises NotFound."""
        with self._writing() as keys:
            key = keys.get(id_)
            if key is None:
                raise NotFound(f"no key '{id_}'", remedy="see: tandem keys list")
            if key.revoked is None:
                now = datetime.now(UTC).replace(microsecond=0).isoformat()
                keys[id_] = key = replace(key, revoked=now)
        return key

    def all(self) -> list[ApiKey]:
        """Every key ever made, oldest first."""
        return list(self._current().values())

    def find(self, text: str) -> ApiKey | None:
        """The valid key that `text` is, or None."""
        match = _KEY.match(text)
        key = self._current().get(match[1]) if match else None
        # Unknown ids cost the same comparison.
        same = hmac.compare_digest(_digest(text), key.digest if key else "0" * 64)
        return key if key and same and key.valid(datetime.now(UTC)) else None

    def _current(self) -> dict[str, ApiKey]:
        """The keys as the file has them now; read again only if it was replaced."""
        try:
            stat = self.file.stat()
        except FileNotFoundError:
            return {}
        stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        with self._lock:
            if stamp != self._stamp:
                self._keys = _load(self.file)
                self._stamp = stamp
            return dict(self._keys)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[dict[str, ApiKey]]:
        folder = self.file.parent
        folder.mkdir(mode=0o700, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = _load(self.file) if self.file.exists() else {}
            yield keys
            write_json_atomic(self.file, {"keys": [asdict(key) for key in keys.values()]})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _load(file: Path) -> dict[str, ApiKey]:
    try:
        values = json.loads(file.read_bytes())["keys"]
        keys = [ApiKey(**{**value, "role": Role(value["role"])}) for value in values]
        for key in keys:  # whatever was edited by hand fails here, not when the key is used
            _ = key.principal, key.valid(datetime.now(UTC))
    except (ValueError, KeyError, TypeError, AttributeError, InvalidInput) as error:
        raise InvalidInput(
            f"not a list of keys ({type(error).__name__})",
            file=str(file),
            remedy="restore it from a backup, or remove it and make new keys",
        ) from None
    return {key.id: key for key in keys}
