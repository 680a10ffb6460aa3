"""The registry of one workspace, as the server's routes ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from tandem.contracts.registry import Artefact, Decision, PromotedKind, RegisteredModel, Trace
from tandem.flows.artefacts import roll_back_artefact
from tandem.flows.promotion import (
    artefact_card,
    canary_artefact,
    promotable,
    promote_artefact,
    shadow_artefact,
    withdraw_artefact,
)
from tandem.flows.registry import (
    canary,
    model_card,
    promote,
    registered_model,
    registered_models,
    roll_back_model,
    shadow,
    withdraw,
)
from tandem.flows.tracing import trace
from tandem.storage.layout import Layout


class ModelRegistry:
    """The registry of one workspace, as the server asks for it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def models(self) -> tuple[RegisteredModel, ...]:
        """Newest first."""
        return registered_models(self._layout)

    def model(self, generation: str) -> RegisteredModel:
        return registered_model(self._layout, generation)

    def promote(
        self,
        generation: str,
        who: str,
        why: str,
        override: Sequence[str],
        approved_by: str | None = None,
    ) -> Decision:
        return promote(
            self._layout,
            generation,
            who=who,
            why=why,
            override=override,
            approved_by=approved_by,
        )

    def shadow(self, generation: str, share: float, who: str, why: str) -> Decision:
        return shadow(self._layout, generation, share=share, who=who, why=why)

    def canary(
        self,
        generation: str,
        share: float,
        who: str,
        why: str,
        override: Sequence[str],
        approved_by: str | None = None,
    ) -> Decision:
        return canary(
            self._layout,
            generation,
            share=share,
            who=who,
            why=why,
            override=override,
            approved_by=approved_by,
        )

    def withdraw(self, generation: str, who: str, why: str) -> Decision:
        return withdraw(self._layout, generation, who=who, why=why)

    def roll_back(self, to: str | None, who: str, why: str) -> Decision:
        return roll_back_model(self._layout, to, who=who, why=why)

    def card(self, generation: str) -> str:
        """HTML."""
        return model_card(self._layout, generation).html()

    # --- Other kinds --------------------------------------------------------------------------

    def artefacts(self) -> tuple[Artefact, ...]:
        """Every generation that is promoted through gates, by kind, newest first."""
        return tuple(a for kind in get_args(PromotedKind) for a in promotable(self._layout, kind))

    def promote_artefact(
        self,
        kind: PromotedKind,
        generation: str,
        who: str,
        why: str,
        override: Sequence[str],
        approved_by: str | None = None,
    ) -> Decision:
        return promote_artefact(
            self._layout,
            kind,
            generation,
            who=who,
            why=why,
            override=override,
            approved_by=approved_by,
        )

    def shadow_artefact(
        self, kind: PromotedKind, generation: str, share: float, who: str, why: str
    ) -> Decision:
        return shadow_artefact(self._layout, kind, generation, share=share, who=who, why=why)

    def canary_artefact(
        self,
        kind: PromotedKind,
        generation: str,
        share: float,
        who: str,
        why: str,
        override: Sequence[str],
        approved_by: str | None = None,
    ) -> Decision:
        return canary_artefact(
            self._layout,
            kind,
            generation,
            share=share,
            who=who,
            why=why,
            override=override,
            approved_by=approved_by,
        )

    def withdraw_artefact(
        self, kind: PromotedKind, generation: str, who: str, why: str
    ) -> Decision:
        return withdraw_artefact(self._layout, kind, generation, who=who, why=why)

    def roll_back_artefact(
        self, kind: PromotedKind, to: str | None, who: str, why: str
    ) -> Decision:
        return roll_back_artefact(self._layout, kind, to, who=who, why=why)

    def artefact_card(self, kind: PromotedKind, generation: str) -> str:
        """HTML."""
        return artefact_card(self._layout, kind, generation).html()

    def trace(self, query_id: str) -> Trace:
        return trace(self._layout, query_id)
