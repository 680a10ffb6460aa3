"""Kinds of artefacts: what is kept in generations, one of which is live."""

from __future__ import annotations

from typing import Literal

ArtefactKind = Literal[
    "models",
    "index",
    "recommenders",
    "personal",
    "feeds",
    "catalog",
    "encoders",
    "cross-encoders",
    "matchers",
    "configurations",
    "merchants",
    "creators",
    "content",
    "rules",
]
"""What is kept in generations. `models`: rankers that learned. `rules`: the shop's merchandising
rules with its synonyms."""

PromotedKind = Literal[
    "models",
    "configurations",
    "cross-encoders",
    "recommenders",
    "personal",
    "feeds",
    "matchers",
]
"""Kinds whose candidates are asked by gates before they go live."""

Tried = Literal["models", "configurations", "cross-encoders", "recommenders", "personal", "feeds"]
"""Kinds that shoppers are answered with, and that may be tried on them before they go live: unseen,
or on a share of the people. Matchers answer merchants and creators, whose proposals have to be the
same on both sides."""

Stage = Literal["candidate", "shadow", "canary", "live", "retired"]
