"""Campaigns on disk: one JSON file each, written as a whole."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tandem.contracts.campaign import Campaign
from tandem.contracts.errors import NotFound
from tandem.storage.atomic import write_atomic
from tandem.storage.layout import Layout

_ID = re.compile(r"[a-z0-9]{1,32}")


class CampaignStore:
    def __init__(self, layout: Layout) -> None:
        self._folder = layout.campaigns

    def put(self, campaign: Campaign) -> None:
        write_atomic(
            self._folder / f"{campaign.id}.json", campaign.model_dump_json(indent=2).encode()
        )

    def add(self, campaign: Campaign, check: Callable[[Campaign, list[Campaign]], None]) -> None:
        """Keep a new one unless `check` raises, which sees the merchant's others while nobody else
        adds one."""
        with self._alone():
            check(campaign, self.all(campaign.asked.merchant_id))
            self.put(campaign)

    def change(self, id_: str, edit: Callable[[Campaign], Campaign]) -> Campaign:
        """Read, edit and write while nobody else does: who was erased in between does not come
        back. Raises NotFound."""
        with self._alone():
            before = self.get(id_)
            after = edit(before)
            if after != before:
                self.put(after)
        return after

    def get(self, id_: str) -> Campaign:
        """Raises NotFound."""
        found = _read(self._folder / f"{id_}.json") if _ID.fullmatch(id_) else None
        if found is None:
            raise NotFound(f"no campaign '{id_}'", remedy="see the list of your campaigns")
        return found

    def remove(self, id_: str) -> None:
        """Raises NotFound."""
        with self._alone():
            self.get(id_)
            (self._folder / f"{id_}.json").unlink(missing_ok=True)

    def all(self, merchant: str | None = None) -> list[Campaign]:
        """Newest first; of one merchant or of all."""
        found = [c for c in self._each() if merchant is None or c.asked.merchant_id == merchant]
        return sorted(found, key=lambda c: (c.created, c.id), reverse=True)

    def forget(self, creators: Collection[str]) -> int:
        """Take creators out of every plan; how many pieces went. What they were expected to bring
        stays in the totals."""
        gone = 0
        with self._alone():
            for campaign in self._each():
                kept = tuple(p for p in campaign.pieces if p.creator_id not in creators)
                held = tuple(p for p in campaign.held_out if p.creator_id not in creators)
                less = len(campaign.pieces) + len(campaign.held_out) - len(kept) - len(held)
                if less:
                    gone += less
                    self.put(campaign.model_copy(update={"pieces": kept, "held_out": held}))
        return gone

    def _each(self) -> Iterator[Campaign]:
        if self._folder.is_dir():
            for path in sorted(self._folder.glob("*.json")):
                if (found := _read(path)) is not None:
                    yield found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While it lasts no other thread or process changes a campaign."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _read(path: Path) -> Campaign | None:
    """None where there is none, or no more: somebody may remove it while others are read."""
    try:
        return Campaign.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
