"""The registry of one workspace, as the server's routes ask for it."""

from __future__ import annotations

from functools import partial
from typing import get_args

from tandem.contracts.artefact import PromotedKind
from tandem.contracts.registry import Artefact
from tandem.flows import registry
from tandem.flows.artefacts import artefact_of, artefacts, roll_back_artefact
from tandem.flows.tracing import trace
from tandem.storage.layout import Layout


class RegistryDesk:
    """Candidates and promoted generations of every kind: the functions of `tandem.flows.registry`
    and what belongs to them, of one workspace."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.artefact = partial(artefact_of, layout)
        self.promote = partial(registry.promote, layout)
        self.shadow = partial(registry.shadow, layout)
        self.canary = partial(registry.canary, layout)
        self.withdraw = partial(registry.withdraw, layout)
        self.roll_back = partial(roll_back_artefact, layout)
        self.trace = partial(trace, layout)

    def artefacts(self, *kinds: PromotedKind) -> tuple[Artefact, ...]:
        """Every generation of these kinds, or of all that are promoted, newest first."""
        return artefacts(self._layout, kinds or get_args(PromotedKind))

    def card(self, kind: PromotedKind, generation: str) -> str:
        """HTML."""
        return registry.card(self._layout, kind, generation).html()
