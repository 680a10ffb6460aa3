"""Models with their lineage, and who made which of them live, when, why and on what evidence."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from tandem.contracts.artefact import ArtefactKind, Stage
from tandem.contracts.experiment import OnlineExperiment, ShadowStanding
from tandem.contracts.search import Frozen
from tandem.contracts.slot import BanditSlot

GateName = Literal["quality", "latency", "exposure", "privacy", "experiment"]
"""`experiment`: asked of fixes of the search only, whose worth is shown by an A/B test."""


class Gate(Frozen):
    """One condition of going live. passed: None where the data cannot answer, which is no pass."""

    name: GateName
    passed: bool | None
    says: str = Field(description="What was found, in words")
    measured: dict[str, float | int | str | None] = Field(default_factory=dict)


class Decision(Frozen):
    """One change of stage, kept for good. `number` counts up from 1 without gaps.

    instead_of: the generation that was live before. overridden: gates that did not pass and were
    overruled by name. gates: empty where none were asked, as when training goes live at once.
    share: of requests that a shadow, or of people that a canary gets. kind: of artefact.
    """

    number: int = Field(ge=1)
    at: datetime
    generation: str
    stage: Stage
    instead_of: str | None = None
    who: str
    why: str
    gates: tuple[Gate, ...] = ()
    overridden: tuple[GateName, ...] = ()
    share: float | None = None
    kind: ArtefactKind = "models"


class Artefact(Frozen):
    """One generation of any kind with its stage and lineage (its manifest).

    share: of requests that it answers as a shadow, or of people as a canary, now. shadowed: what
    running as a shadow has shown; None for one that never was.
    """

    kind: ArtefactKind
    generation: str
    stage: Stage
    lineage: dict[str, Any]
    decisions: tuple[Decision, ...] = ()
    share: float | None = None
    shadowed: ShadowStanding | None = None


class RegisteredModel(Frozen):
    """A ranker as `/v1/models` and `tandem models` tell of it: an artefact of the kind `models`
    whose metrics stand apart from the rest of its lineage."""

    generation: str
    stage: Stage
    model: str
    trained_at: str
    metrics: dict[str, Any]
    lineage: dict[str, Any]
    decisions: tuple[Decision, ...] = ()
    share: float | None = Field(
        default=None, description="Of requests (shadow) or of people (canary) that it gets now"
    )
    shadowed: ShadowStanding | None = Field(
        default=None, description="What running as a shadow has shown"
    )

    @classmethod
    def of(cls, ranker: Artefact) -> RegisteredModel:
        lineage = dict(ranker.lineage)
        return cls(
            generation=ranker.generation,
            stage=ranker.stage,
            model=lineage.get("model", "unknown"),
            trained_at=lineage.get("trained_at", "unknown"),
            metrics=lineage.pop("metrics", {}),
            lineage=lineage,
            decisions=ranker.decisions,
            share=ranker.share,
            shadowed=ranker.shadowed,
        )


class Explored(Frozen):
    """How the first places of a list were drawn.

    ranked: the products as the ranker ordered them; places: for each place shown, the rank
    (from 0) of its product. pscore: probability of the product at each place, given those above;
    marginal: its probability at that place whatever stands elsewhere.
    """

    method: str
    steepness: float
    ranked: tuple[str, ...]
    places: tuple[int, ...]
    pscore: tuple[float, ...]
    marginal: tuple[float, ...]


class ServedArm(Frozen):
    """What a slot showed in an answer, and with what probability."""

    arm: str
    pscore: float


class Served(Frozen):
    """What one search or recommendation was answered with; neither the query's words nor who asked.

    kind: `search`, or what was recommended. ranker: the system by name. policy: SHA-256 of the
    shop's rules in force, first 16 digits; None without rules. parts: generation by kind of
    everything else that had a say. encoder: the text encoder by name. personal: whether anything
    about the visitor moved it. products: ids shown, best first; scores: theirs. experiments:
    variant by experiment that had an effect on this answer; slots: the same. explored: where the
    first places were drawn.
    """

    query_id: str
    at: datetime
    kind: str = "search"
    ranker: str
    index_generation: str
    model_generation: str | None
    policy: str | None
    parts: dict[ArtefactKind, str] = Field(default_factory=dict)
    encoder: str | None = None
    personal: bool = False
    page: int
    products: tuple[str, ...]
    scores: tuple[float, ...]
    total: int
    milliseconds: float
    simulated: bool = False
    experiments: dict[str, str] = Field(default_factory=dict)
    slots: dict[str, ServedArm] = Field(default_factory=dict)
    explored: Explored | None = None


class TracedPart(Frozen):
    """A generation that had a say in an answer. artefact: None where it is gone by now."""

    kind: ArtefactKind
    generation: str
    artefact: Artefact | None


class Trace(Frozen):
    """A served result traced back to what produced it. None: that artefact is gone by now."""

    served: Served
    index: dict[str, Any] | None
    model: RegisteredModel | None
    rules: Artefact | None = Field(
        default=None, description="The kept generation of the rules that were in force"
    )
    rules_unchanged: bool = Field(description="Whether the rules in force then are those of now")
    experiments: tuple[OnlineExperiment, ...] = Field(
        default=(), description="The experiments that had an effect on the answer"
    )
    parts: tuple[TracedPart, ...] = Field(
        default=(),
        description="Every other generation that had a say: data, encoder, weights, recommender …",
    )
    slots: tuple[BanditSlot, ...] = Field(
        default=(), description="The slots that showed something in the answer"
    )
