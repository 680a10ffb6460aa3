"""The registry of one workspace, as the server's routes ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from tandem.contracts.artefact import PromotedKind
from tandem.contracts.registry import Artefact, Decision, Trace
from tandem.flows import registry
from tandem.flows.artefacts import artefact_of, artefacts, roll_back_artefact
from tandem.flows.tracing import trace
from tandem.storage.layout import Layout


class RegistryDesk:
    """Candidates and promoted generations of every kind. who: as the audit log names them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def artefacts(self, *kinds: PromotedKind) -> tuple[Artefact, ...]:
        """Every generation of these kinds, or of all that are promoted, newest first."""
        return artefacts(self._layout, kinds or get_args(PromotedKind))

    def artefact(self, kind: PromotedKind, generation: str) -> Artefact:
        return artefact_of(self._layout, kind, generation)

    def promote(
        self,
        kind: PromotedKind,
        generation: str,
        who: str,
        why: str,
        override: Sequence[str] = (),
        approved_by: str | None = None,
    ) -> Decision:
        return registry.promote(
            self._layout,
            kind,
            generation,
            who=who,
            why=why,
            override=override,
            approved_by=approved_by,
        )

    def shadow(
        self, kind: PromotedKind, generation: str, share: float, who: str, why: str
    ) -> Decision:
        return registry.shadow(self._layout, kind, generation, share=share, who=who, why=why)

    def canary(
        self,
        kind: PromotedKind,
        generation: str,
        share: float,
        who: str,
        why: str,
        override: Sequence[str] = (),
        approved_by: str | None = None,
    ) -> Decision:
        return registry.canary(
            self._layout,
            kind,
            generation,
            share=share,
            who=who,
            why=why,
            override=override,
            approved_by=approved_by,
        )

    def withdraw(self, kind: PromotedKind, generation: str, who: str, why: str) -> Decision:
        return registry.withdraw(self._layout, kind, generation, who=who, why=why)

    def roll_back(self, kind: PromotedKind, to: str | None, who: str, why: str) -> Decision:
        return roll_back_artefact(self._layout, kind, to, who=who, why=why)

    def card(self, kind: PromotedKind, generation: str) -> str:
        """HTML."""
        return registry.card(self._layout, kind, generation).html()

    def trace(self, query_id: str) -> Trace:
        return trace(self._layout, query_id)
