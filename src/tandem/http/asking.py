"""Who asks, as far as a request may say so."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from tandem.http.schemas import PersonalisationContext


@dataclass(frozen=True)
class Asking:
    """client_id: None for somebody unknown. recent: products of this session, oldest first.
    personal: False where everybody's list is asked for."""

    client_id: str | None = None
    recent: tuple[str, ...] = ()
    personal: bool = True

    @property
    def known_by(self) -> str | None:
        """The client whose past may move the list."""
        return self.client_id if self.personal else None


NOBODY = Asking()


def asking(request: Request, context: PersonalisationContext | None) -> Asking:
    """Nobody where the browser asks not to be tracked."""
    if context is None or unwatched(request):
        return NOBODY
    recent = context.recent_products if context.personal else ()
    return Asking(context.client_id, recent, context.personal)


def unwatched(request: Request) -> bool:
    """Whether the browser asks not to be tracked (Do Not Track, Global Privacy Control)."""
    return "1" in (request.headers.get("sec-gpc"), request.headers.get("dnt"))
