"""Generations of every kind, loaded into a view: the one place where their files are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tandem.contracts.artefact import ArtefactKind, Tried
from tandem.finetuning.manifest import FinetuneManifest
from tandem.flows.feed import FEATURES
from tandem.flows.view import GENERATION
from tandem.matching.matcher import Matcher, MatcherManifest
from tandem.ranking.cross import CrossRanker
from tandem.ranking.learned import load_ranker
from tandem.ranking.personal import load_personal
from tandem.recommend.following import load_following
from tandem.recommend.objectives import load_feed_ranker
from tandem.recommend.tables import load_tables
from tandem.retrieval.encoders.cross import OnnxCrossEncoder
from tandem.storage.configurations import load_configuration
from tandem.storage.seal import check_seal

MADE_BY: Mapping[ArtefactKind, str] = {
    "models": "train ranker",
    "configurations": "tune",
    "cross-encoders": "train cross-encoder",
    "recommenders": "train recommender",
    "personal": "train personal",
    "feeds": "train feed",
    "matchers": "train matcher",
}
"""The command that makes another generation."""


def load(kind: Tried, path: Path) -> dict[str, Any]:
    """What the generation in `path` puts into a view. InvalidInput where its files are not those
    that were written, or cannot be read."""
    _check(kind, path)
    return {**_LOADERS[kind](path), GENERATION[kind]: path.name}


def load_matcher(path: Path) -> tuple[Matcher, MatcherManifest]:
    """The same of a matcher, which is in no view."""
    _check("matchers", path)
    return Matcher.load(path)


def _check(kind: ArtefactKind, path: Path) -> None:
    check_seal(path, f"go back: tandem rollback {kind}, or run: tandem {MADE_BY[kind]}")


def _ranker(path: Path) -> dict[str, Any]:
    ranker, manifest = load_ranker(path)
    return {"ranker": ranker, "manifest": manifest}


def _cross_encoder(path: Path) -> dict[str, Any]:
    cross = CrossRanker(OnnxCrossEncoder.load(path))
    return {"cross": cross, "cross_manifest": FinetuneManifest.load(path)}


def _recommender(path: Path) -> dict[str, Any]:
    tables, learned = load_tables(path)
    following = load_following(path, tables, learned)
    return {"following": following, "recommender_manifest": learned}


_LOADERS: Mapping[Tried, Callable[[Path], dict[str, Any]]] = {
    "models": _ranker,
    "configurations": lambda path: {"configuration": load_configuration(path)},
    "cross-encoders": _cross_encoder,
    "recommenders": _recommender,
    "personal": lambda path: {"personal": load_personal(path)[0]},
    "feeds": lambda path: {"feed_ranker": load_feed_ranker(path, FEATURES)[0]},
}
