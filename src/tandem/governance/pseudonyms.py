"""Pseudonyms: keyed hashes in place of identifiers of people, their devices and their orders.

HMAC-SHA256 (RFC 2104, FIPS 198-1), cut to 128 bits. The keys lie in one file outside the
workspace, so that a copy of the data alone says nothing about who did what. Rotating adds a key:
pseudonyms made before and after cannot be linked without the file, and the old key stays in it
for requests of data subjects until it is retired.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.contracts.events import Pseudonym
from tandem.governance.memory import remembers_people
from tandem.storage.atomic import fsync_directory, write_atomic
from tandem.storage.layout import Layout

VARIABLE = "TANDEM_PSEUDONYM_KEYS"
KEY_BYTES = 32
REMEMBERED = 65_536
_KEY_ID = re.compile(r"^k[1-9]\d{0,5}$")
_RING_ID = re.compile(r"^[0-9a-f]{16}$")


@dataclass(frozen=True)
class KeyRing:
    """Keys by id (`k1`, `k2`, …); the one named `current` makes new pseudonyms.

    event_key: hashes event ids, and is never rotated: an event that is sent again has to be
        recognised, whatever was rotated meanwhile.
    """

    ring_id: str
    current: str
    keys: Mapping[str, bytes] = field(repr=False)
    event_key: bytes = field(repr=False)

    @classmethod
    def generate(cls, ring_id: str) -> KeyRing:
        return cls(
            ring_id, "k1", {"k1": secrets.token_bytes(KEY_BYTES)}, secrets.token_bytes(KEY_BYTES)
        )

    def rotated(self) -> KeyRing:
        """The ring with one more key, which is current from now on."""
        name = f"k{max(int(known[1:]) for known in self.keys) + 1}"
        keys = {**self.keys, name: secrets.token_bytes(KEY_BYTES)}
        return KeyRing(self.ring_id, name, keys, self.event_key)

    def retired(self, key_id: str) -> KeyRing:
        """The ring without a key: nobody can tell any more whose its pseudonyms are."""
        if key_id == self.current:
            raise Conflict(
                f"{key_id} is the current key", remedy="rotate first: tandem events rotate-key"
            )
        if key_id not in self.keys:
            raise NotFound(
                f"no key '{key_id}'", remedy=f"choose one of: {', '.join(sorted(self.keys))}"
            )
        keys = {name: key for name, key in self.keys.items() if name != key_id}
        return KeyRing(self.ring_id, self.current, keys, self.event_key)

    def to_json(self) -> bytes:
        value = {
            "about": "Secret keys of a Tandem workspace. Keep this file apart from its data.",
            "ring": self.ring_id,
            "current": self.current,
            "keys": {name: key.hex() for name, key in self.keys.items()},
            "event_key": self.event_key.hex(),
        }
        return json.dumps(value, indent=2).encode() + b"\n"

    @classmethod
    def load(cls, path: Path) -> KeyRing:
        """Raises InvalidInput for a file that others may read or that is no key ring."""
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidInput(
                "others than the owner may open this key file",
                file=str(path),
                remedy=f"chmod 600 {path}",
            )
        try:
            value = json.loads(path.read_bytes())
            keys = {name: bytes.fromhex(text) for name, text in value["keys"].items()}
            ring = cls(value["ring"], value["current"], keys, bytes.fromhex(value["event_key"]))
            lengths = {len(key) for key in (*keys.values(), ring.event_key)}
            sound = ring.current in keys and lengths == {KEY_BYTES}
            if not sound or not all(map(_KEY_ID.match, keys)) or not _RING_ID.match(ring.ring_id):
                raise ValueError("keys")
        except (ValueError, KeyError, TypeError, AttributeError):
            # The error itself stays unsaid: it could quote a key.
            raise InvalidInput(
                "not a key ring of Tandem",
                file=str(path),
                remedy="put the file back from its own backup",
            ) from None
        return ring


class Pseudonyms:
    """Makes pseudonyms under one ring. Safe for many threads."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._of = _remembered(ring.current, ring.keys[ring.current])
        self._event_digest = keyed_digest(ring.event_key)

    def of(self, domain: str, identifier: str) -> Pseudonym:
        """The pseudonym of an identifier. `domain` (`client`, `session`, …) keeps the same text
        in two roles apart."""
        return self._of(domain, identifier)

    @property
    def rotated(self) -> bool:
        """Whether there are earlier keys."""
        return len(self._ring.keys) > 1

    def every(self, domain: str, identifier: str) -> tuple[Pseudonym, ...]:
        """The pseudonyms of an identifier under every key of the ring, for a person's request."""
        return tuple(
            _pseudonym(name, key, domain, identifier) for name, key in self._ring.keys.items()
        )

    def event_key(self, event_id: str) -> str:
        """32 hex digits for an event id; they stay the same when keys are rotated."""
        return self._event_digest(event_id.encode()).hex()[:32]


def open_ring(layout: Layout, environment: Mapping[str, str] = os.environ) -> KeyRing:
    """The key ring of a workspace, made on first use.

    The workspace keeps the ring's random id in `events/ring`, nothing else. Raises NotFound when
    a ring was made and its file is gone: a new one would break every link to the events so far.
    """
    marker = layout.events / "ring"
    if not marker.exists():
        with layout.writing():
            if not marker.exists():
                ring = KeyRing.generate(secrets.token_hex(8))
                _save(layout, ring, environment)
                write_atomic(marker, ring.ring_id.encode() + b"\n")
    return _load(layout, environment)


def _load(layout: Layout, environment: Mapping[str, str]) -> KeyRing:
    ring_id = (layout.events / "ring").read_text().strip()
    path = _path(layout, ring_id, environment)
    if not path.is_file():
        raise NotFound(
            f"the keys of this workspace's pseudonyms are not there: {path}",
            remedy=f"put the file back from its backup, or name its folder in {VARIABLE}",
        )
    ring = KeyRing.load(path)
    if ring.ring_id != ring_id:
        raise InvalidInput(
            "these keys belong to another workspace", file=str(path), remedy="use the right file"
        )
    return ring


def rotate(layout: Layout, environment: Mapping[str, str] = os.environ) -> KeyRing:
    """Make a new current key. Servers take it up when they start."""
    open_ring(layout, environment)
    with layout.writing():
        return _save(layout, _load(layout, environment).rotated(), environment)


def retire(layout: Layout, key_id: str, environment: Mapping[str, str] = os.environ) -> KeyRing:
    """Delete an old key for good. Raises Conflict for the current one, NotFound for others."""
    open_ring(layout, environment)
    with layout.writing():
        return _save(layout, _load(layout, environment).retired(key_id), environment)


def key_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """`TANDEM_PSEUDONYM_KEYS`, else `tandem/keys` in the XDG configuration folder."""
    if named := environment.get(VARIABLE, "").strip():
        return Path(named)
    home = environment.get("XDG_CONFIG_HOME", "").strip()
    return (Path(home) if home else Path.home() / ".config") / "tandem" / "keys"


def _path(layout: Layout, ring_id: str, environment: Mapping[str, str]) -> Path:
    folder = key_folder(environment).resolve()
    if folder.is_relative_to(layout.root):
        raise InvalidInput(
            f"the keys would lie inside the workspace: {folder}",
            field=VARIABLE,
            remedy="name a folder that is not copied and backed up together with the data",
        )
    return folder / f"{ring_id}.json"


def _save(layout: Layout, ring: KeyRing, environment: Mapping[str, str]) -> KeyRing:
    path = _path(layout, ring.ring_id, environment)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomic(path, ring.to_json())  # a new file of mkstemp is 0600, and stays so
    fsync_directory(path.parent)
    return ring


def keyed_digest(key: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA256 under a key of at most 64 bytes, for many messages: both pads are hashed once
    (RFC 2104, section 4). `hmac.digest`, which it equals, hashes them with each message, in twice
    the time."""
    block = key.ljust(hashlib.sha256().block_size, b"\0")
    inner, outer = (hashlib.sha256(bytes(b ^ pad for b in block)) for pad in (0x36, 0x5C))

    def digest(message: bytes) -> bytes:
        within, around = inner.copy(), outer.copy()
        within.update(message)
        around.update(within.digest())
        return around.digest()

    return digest


def _pseudonym(name: str, key: bytes, domain: str, identifier: str) -> Pseudonym:
    # The separator cannot be in a domain, so two pairs never make one message.
    digest = hmac.digest(key, f"{domain}\0{identifier}".encode(), "sha256")[:16]
    return Pseudonym(f"{name}.{base64.urlsafe_b64encode(digest)[:22].decode()}")


def _remembered(name: str, key: bytes) -> Callable[[str, str], Pseudonym]:
    """A visit makes many events: its few identifiers are hashed once."""

    @remembers_people
    @lru_cache(maxsize=REMEMBERED)
    def of(domain: str, identifier: str) -> Pseudonym:
        return _pseudonym(name, key, domain, identifier)

    return of
