"""The registry of one workspace, as the server's routes ask for it."""

from __future__ import annotations

from collections.abc import Sequence

from tandem.contracts.registry import Decision, RegisteredModel, Trace
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

    def promote(self, generation: str, who: str, why: str, override: Sequence[str]) -> Decision:
        return promote(self._layout, generation, who=who, why=why, override=override)

    def shadow(self, generation: str, share: float, who: str, why: str) -> Decision:
        return shadow(self._layout, generation, share=share, who=who, why=why)

    def canary(
        self, generation: str, share: float, who: str, why: str, override: Sequence[str]
    ) -> Decision:
        return canary(self._layout, generation, share=share, who=who, why=why, override=override)

    def withdraw(self, generation: str, who: str, why: str) -> Decision:
        return withdraw(self._layout, generation, who=who, why=why)

    def roll_back(self, to: str | None, who: str, why: str) -> Decision:
        return roll_back_model(self._layout, to, who=who, why=why)

    def card(self, generation: str) -> str:
        """HTML."""
        return model_card(self._layout, generation).html()

    def trace(self, query_id: str) -> Trace:
        return trace(self._layout, query_id)
