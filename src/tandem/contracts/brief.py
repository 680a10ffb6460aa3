"""What a creator gets to work with, and how what they wrote is judged."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["supported", "unsupported", "contradicted"]
ClaimKind = Literal["quantity", "property", "price", "superlative", "health", "promise", "scarcity"]


class _Contract(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Claim(_Contract):
    """Something that a text states about a product, held against what the product says of itself.

    supported: the listing says it. contradicted: the listing says otherwise. unsupported: the
    listing says nothing that bears it out, or it is of a kind that no listing can bear out.
    """

    text: str
    kind: ClaimKind
    verdict: Verdict
    evidence: str
    remedy: str


class Keyword(_Contract):
    """What shoppers type, with how often it was asked; None where no query says so."""

    text: str
    asked: int | None


HookKind = Literal["question", "demonstration", "fact"]


class Hook(_Contract):
    """A way to begin. `kind` is the pattern it follows."""

    kind: HookKind
    say: str
    show: str


class Scene(_Contract):
    name: str
    seconds: tuple[int, int]
    show: str
    say: str


class Brief(_Contract):
    """A brief for one video, made from the listing and from what shoppers ask.

    language: of its sentences; facts are as the listing says them.
    facts: everything that may be stated. unknown: what the listing does not say and a creator
    should not make up.
    written_by: `model` where a language model's sentences stand beside those of the templates.
    refused: claims that it made and the listing does not bear out; their sentences were not taken.
    note: why no sentence of it was taken.
    """

    product_id: str
    title: str
    language: str = "en"
    key_message: str
    hooks: tuple[Hook, Hook, Hook]
    scenes: tuple[Scene, ...]
    do: tuple[str, ...]
    dont: tuple[str, ...]
    disclosure: str
    keywords: tuple[Keyword, ...]
    facts: tuple[str, ...]
    unknown: tuple[str, ...]
    simulated: bool
    written_by: Literal["templates", "model"] = "templates"
    refused: tuple[Claim, ...] = ()
    note: str | None = None


class Caption(_Contract):
    text: str
    hashtags: tuple[Keyword, ...]


class TextCheck(_Contract):
    """One thing that was looked at. `must` stands for what keeps a text from being posted."""

    name: str
    passed: bool
    must: bool
    says: str
    remedy: str = ""


class TextReport(_Contract):
    """`ready`: everything that must hold does."""

    ready: bool
    checks: tuple[TextCheck, ...]
    claims: tuple[Claim, ...]
