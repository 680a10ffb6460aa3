"""A view: everything that answers a query, consistent with itself and immutable.

A request takes the current view once and keeps it. Updates and generation switches make a new
view and replace the reference, so nothing changes under a running request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np

from tandem.contracts.artefact import Tried
from tandem.contracts.candidates import Floats, Numbers
from tandem.contracts.configuration import SearchConfiguration
from tandem.contracts.parties import Content
from tandem.contracts.recommend import Known
from tandem.contracts.search import Filters, SearchRequest, Term, Understanding
from tandem.features.evidence import FIELD_WEIGHTS
from tandem.features.store import FeatureStore
from tandem.features.taste import Looked, Taste
from tandem.finetuning.manifest import FinetuneManifest
from tandem.queries.categories import NO_LESSONS
from tandem.queries.model import QueryModel
from tandem.ranking.business import BusinessPolicy
from tandem.ranking.classic import BM25F
from tandem.ranking.cross import CrossRanker
from tandem.ranking.learned import LearnedRanker, Manifest
from tandem.ranking.personal import DEFAULT, PersonalRanker
from tandem.recommend.following import Following
from tandem.recommend.objectives import FeedRanker
from tandem.recommend.tables import RecommenderManifest, Tables
from tandem.retrieval.encoders import TextEncoder
from tandem.retrieval.pipeline import Cutoff, Dense, Fusion, Lexical, QueryContext, Stage
from tandem.retrieval.port import Snapshot

RETRIEVED = 500
RERANKED = 300
BEST_RATED = 1_000
GENERATION: Mapping[Tried, str] = {
    "models": "model_generation",
    "configurations": "configuration_generation",
    "cross-encoders": "cross_generation",
    "recommenders": "recommender_generation",
    "personal": "personal_generation",
    "feeds": "feed_generation",
}
"""The field of a view that names the generation of a kind."""
_UNKNOWN = -2  # an item whose number nobody has asked for yet
T = TypeVar("T")


@dataclass(frozen=True)
class Answered:
    """A query's products as shoppers see them, best first; how many match; brands that it names,
    and its words."""

    numbers: Numbers
    total: int
    brands: frozenset[str]
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class View:
    """One generation of the index with the updates so far, its query model and its rankers.

    encoder_manifest: where the encoder was fine-tuned on judgments of this workspace, on which.
    configuration: how `bm25` and `hybrid` weigh; a learned ranker's candidates stay those that it
    learned from. lasting: what live updates leave true, handed on to the views after them: about
    product numbers, which name one version of a product in a generation.
    """

    generation: str
    snapshot: Snapshot
    store: FeatureStore
    queries: QueryModel
    encoder: TextEncoder | None
    ranker: LearnedRanker | None = None
    model_generation: str | None = None
    manifest: Manifest | None = None
    cross: CrossRanker | None = None
    cross_generation: str | None = None
    cross_manifest: FinetuneManifest | None = None
    encoder_manifest: FinetuneManifest | None = None
    following: Following | None = None
    recommender_generation: str | None = None
    recommender_manifest: RecommenderManifest | None = None
    personal: PersonalRanker = DEFAULT
    personal_generation: str | None = None
    feed_ranker: FeedRanker | None = None
    feed_generation: str | None = None
    content: tuple[Content, ...] = ()
    policy: BusinessPolicy = field(default_factory=BusinessPolicy)
    configuration: SearchConfiguration = field(default_factory=SearchConfiguration)
    configuration_generation: str | None = None
    catalog_generation: str | None = None
    encoder_generation: str | None = None
    content_generation: str | None = None
    lasting: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def recommender(self) -> Tables | None:
        """What was learned from sessions and baskets."""
        return None if self.following is None else self.following.tables

    @cached_property
    def best_rated(self) -> Numbers:
        """The products rated best, at most `BEST_RATED`: a rating by few counts as an average one
        by half (a Bayesian mean with the median number of ratings as its prior's weight)."""
        columns = self.store.all_columns
        rating = columns.rating.astype(np.float64)
        rated = np.flatnonzero(~np.isnan(rating))
        if not rated.size:
            return np.empty(0, np.int64)
        rating, count = rating[rated], np.nan_to_num(columns.rating_count[rated])
        weight = max(1.0, float(np.median(count)))
        damped = (rating * count + rating.mean() * weight) / (count + weight)
        return rated[np.argsort(-damped, kind="stable")[:BEST_RATED]].astype(np.int64)

    @cached_property
    def answered(self) -> dict[str, Answered]:
        """What reports asked of this view, by query: they ask the same for every merchant."""
        return {}

    def understand(self, request: SearchRequest) -> Understanding:
        return self.queries.understand(request.q, request.language, rewrite=request.rewrite)

    def context(self, understanding: Understanding, filters: Filters) -> QueryContext:
        """What stages need to answer one query in this view."""
        lessons = self.ranker.lessons if self.ranker else NO_LESSONS
        return QueryContext(
            understanding=understanding,
            filters=filters,
            snapshot=self.snapshot,
            store=self.store,
            embed=partial(_embed, self.encoder),
            categories=partial(self.queries.category_distribution, lessons=lessons),
        )

    @cached_property
    def _shared(self) -> dict[str, Any]:
        return {}

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What is the same for everybody in this view, made when it is first asked for."""
        if name not in self._shared:
            self._shared[name] = make()
        found: T = self._shared[name]
        return found

    def numbers_of(self, codes: Numbers) -> Numbers:
        """(len(codes),) product numbers of a recommender's items, -1 for those not in the shop.
        Each is looked up once per view: an id costs a search."""
        assert self.recommender is not None
        ids = self.recommender.ids
        known: Numbers = self.once("numbers", lambda: np.full(len(ids), _UNKNOWN, np.int64))
        missing = np.unique(codes[known[codes] == _UNKNOWN])
        if missing.size:
            known[missing] = self.snapshot.numbers([ids[c] for c in missing.tolist()])
        found: Numbers = known[codes]
        return found

    def taste(self, known: Known) -> Taste | None:
        """What features of taste compare with; None where nothing of it is in the shop."""
        session, before = self._looked(known.session), self._looked(known.before)
        return None if session is None and before is None else Taste(session, before)

    def _looked(self, ids: Sequence[str]) -> Looked | None:
        numbers = self.snapshot.numbers(ids)
        numbers = numbers[numbers >= 0]
        if not numbers.size:
            return None
        return Looked.of(self.store, numbers, self.snapshot.vectors(numbers))

    def stages(self) -> dict[str, Stage]:
        """The systems that this view offers, by name; `ltr` only when a ranker is trained, `cross`
        only when a cross-encoder is. It reorders the head of the default system."""
        how = self.configuration
        words = Lexical(FIELD_WEIGHTS, k=RETRIEVED) >> BM25F(how.field_boosts or FIELD_WEIGHTS)
        systems: dict[str, Stage] = {"bm25": words}
        if self.encoder is not None:
            systems["dense"] = Dense(k=RETRIEVED)
            systems["hybrid"] = Fusion(
                (words, Dense(k=RETRIEVED)), how.rank_constant, (how.words, how.meaning)
            )
        if self.ranker is not None:
            systems["ltr"] = candidates(self.encoder is not None) >> self.ranker
        if self.cross is not None:
            systems["cross"] = systems[self.default_system()] >> self.cross
        return systems

    def default_system(self) -> str:
        if self.ranker is not None:
            return "ltr"
        return "hybrid" if self.encoder is not None else "bm25"

    def model_of(self, system: str) -> str | None:
        """The generation of the model that `system` ends with."""
        return {"ltr": self.model_generation, "cross": self.cross_generation}.get(system)

    def parts(self, system: str, *, personal: bool = False) -> dict[str, str]:
        """Generation by kind of all that has a say in what `system` answers, beside the index and
        the model that it ends with."""
        default = self.default_system()
        weighed = system in ("bm25", "hybrid") or (system == "cross" and default != "ltr")
        found = {
            "catalog": self.catalog_generation,
            "encoders": self.encoder_generation if system != "bm25" else None,
            "configurations": self.configuration_generation if weighed else None,
            "models": self.model_generation if system == "cross" and default == "ltr" else None,
            "personal": self.personal_generation if personal else None,
        }
        return {kind: name for kind, name in found.items() if name is not None}

    def learned_from(self, system: str) -> frozenset[str]:
        """The judged queries that any model in `system` has learned from."""
        manifests: list[FinetuneManifest | Manifest | None] = []
        tuned = frozenset(self.configuration.tuned_on if system in ("bm25", "hybrid") else ())
        if system != "bm25":
            manifests.append(self.encoder_manifest)
        if system in ("ltr", "cross"):
            manifests.append(self.manifest)
        if system == "cross":
            manifests.append(self.cross_manifest)
        return tuned | {q for m in manifests if m is not None for q in m.trained_on}

    @property
    def generations(self) -> dict[Tried, str | None]:
        """By kind; None where nothing of it is live."""
        return {kind: getattr(self, name) for kind, name in GENERATION.items()}


def candidates(with_dense: bool) -> Stage:
    """What the learned ranker reranks: the best of both worlds, at most `RERANKED`."""
    lexical = Lexical(FIELD_WEIGHTS, k=RERANKED)
    return Cutoff(Fusion((lexical, Dense(k=RERANKED))), RERANKED) if with_dense else lexical


def _embed(encoder: TextEncoder | None, text: str) -> Floats | None:
    return None if encoder is None or not text else encoder.encode([text])[0]
