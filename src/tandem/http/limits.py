"""How often one client may ask: a token bucket each."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

MOST_CLIENTS = 20_000


class RateLimit:
    """Token buckets by client: `burst` requests at once, `per_second` in the long run.

    Buckets are kept under a salted hash of the address, so that no address stays in memory; the
    salt is drawn at start. IPv6 clients count by their /64, which is what one household gets.
    The least recently seen of more than MOST_CLIENTS clients is forgotten, so that memory is
    bounded; a forgotten client starts with a full bucket.
    """

    def __init__(
        self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_second = per_second
        self.burst = float(burst)
        self._clock = clock
        self._salt = secrets.token_bytes(16)
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def wait(self, address: str | None) -> float:
        """Take a token of the client at `address`: 0, or the seconds until there is one."""
        if not self.per_second or address is None:
            return 0.0
        client = self._client(address)
        if client is None:
            return 0.0
        now = self._clock()
        tokens, then = self._buckets.get(client, (self.burst, now))
        tokens = min(self.burst, tokens + (now - then) * self.per_second)
        missing = 1.0 - tokens
        self._buckets[client] = (tokens if missing > 0 else tokens - 1.0, now)
        self._buckets.move_to_end(client)
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return max(0.0, missing / self.per_second)

    def _client(self, address: str) -> bytes | None:
        """The key of a client's bucket; None for the operator's own machine."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            network = address
        else:
            if ip.is_loopback:
                return None
            if ip.version == 6:
                network = str(ipaddress.ip_network((ip, 64), strict=False))
            else:
                network = str(ip)
        return hashlib.blake2b(network.encode(), key=self._salt, digest_size=16).digest()
