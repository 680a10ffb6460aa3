"""A workspace opened for use: search, suggest, update, evaluate.

>>> import tandem
>>> shop = tandem.open("shop")
>>> shop.search("bluetooth speaker", k=10)
"""

from __future__ import annotations

import copy
import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, get_args

from tandem.contracts.artefact import ArtefactKind, Tried
from tandem.contracts.errors import Behind, Conflict, InvalidInput, NotFound, TandemError
from tandem.contracts.events import EXPOSURE_ACTION, EventOutcome
from tandem.contracts.judgment import JudgmentList, Provenance
from tandem.contracts.listing import Standing
from tandem.contracts.parties import Content
from tandem.contracts.product import Product
from tandem.contracts.recommend import Interest, RecommendRequest, RecommendResponse
from tandem.contracts.registry import Explored, Served, ServedArm
from tandem.contracts.run import Run
from tandem.contracts.search import (
    Filters,
    SearchRequest,
    SearchResponse,
    Suggestion,
)
from tandem.contracts.search_performance import SearchPerformance
from tandem.features.store import FeatureStore
from tandem.finetuning.manifest import FinetuneManifest
from tandem.flows.events import EventIntake
from tandem.flows.index import index_manifest
from tandem.flows.interests import interests
from tandem.flows.loading import load
from tandem.flows.recommending import recommend
from tandem.flows.search import answer
from tandem.flows.search_performance import last_recorded_month, search_performance
from tandem.flows.standing import standing
from tandem.flows.view import GENERATION, View
from tandem.flows.visitors import Visitors
from tandem.governance.memory import forget_people
from tandem.queries.model import QueryModel
from tandem.ranking.business import BusinessPolicy
from tandem.registry.served import ServedLog
from tandem.retrieval.encoders import TextEncoder, load_encoder, product_text
from tandem.retrieval.engines.embedded import EmbeddedEngine
from tandem.retrieval.pipeline import Pipeline, QueryContext, Stage
from tandem.storage.judgments import (
    judgment_names,
    judgments_stamp,
    load_judgments,
    save_judgments,
)
from tandem.storage.layout import Layout
from tandem.storage.parties import read_content
from tandem.storage.seal import check_seal
from tandem.storage.updates import Update, UpdateJournal

log = logging.getLogger(__name__)

TRIED = 8  # generations that stay loaded beside the live ones, for trials and experiments
UNRANKED: Tried = "configurations"  # what weighs systems that have learned nothing


def open_workspace(path: str | Path) -> Workspace:
    """Open the workspace in folder `path`. NotFound when there is none, or it has no index."""
    return Workspace(Layout.open(Path(path)))


def rules_digest(layout: Layout) -> str | None:
    """SHA-256 of the shop's rules as they are now, first 16 digits; None without rules."""
    try:
        return hashlib.sha256(layout.rules_file.read_bytes()).hexdigest()[:16]
    except FileNotFoundError:
        return None


class _Live:
    """One opened index generation with what is needed to apply updates to it."""

    def __init__(self, layout: Layout, encoder_of: Callable[[str | None], TextEncoder | None]):
        path = layout.index.live_path()
        if path is None:
            raise NotFound(
                f"{layout.root} has no index yet",
                remedy=f"build one with: tandem index -w {layout.root}",
            )
        self.name = path.name
        manifest = index_manifest(path)
        self.queries = QueryModel.load(path / "queries")
        self.store = FeatureStore.open(path / "features")
        own = layout.root / str(manifest["encoder"])
        fine_tuned = own.parent == layout.encoders.root
        if fine_tuned:
            check_seal(own, "or run: tandem train encoder")
        self.encoder = encoder_of(manifest["encoder"])
        self.encoder_manifest = FinetuneManifest.load(own) if fine_tuned else None
        self.encoder_generation = own.name if fine_tuned else None
        self.catalog_generation: str | None = manifest.get("catalog_generation")
        self.engine = EmbeddedEngine.open(path / "engine", self.name)
        self.sequence: int = manifest["journal_sequence"]
        self.facets: list[str] = manifest["facets"]

    def apply(self, updates: Sequence[Update]) -> None:
        """Bring engine and feature store forward, product numbers in lockstep."""
        if not updates:
            return
        upserts = [u.product for u in updates if u.product is not None]
        analysed = [self.queries.analyser.analyse(p) for p in upserts]
        vectors = (
            self.encoder.encode([product_text(p) for p in upserts])
            if self.encoder is not None and upserts
            else None
        )
        self.engine.apply(updates, analysed, vectors)
        self.store = self.store.with_products(analysed)
        self.sequence = updates[-1].sequence

    def view(self) -> View:
        return View(
            generation=self.name,
            snapshot=self.engine.snapshot(self.store),
            store=self.store,
            queries=self.queries,
            encoder=self.encoder,
            encoder_manifest=self.encoder_manifest,
            encoder_generation=self.encoder_generation,
            catalog_generation=self.catalog_generation,
        )


class Workspace:
    """A shop's workspace. Safe for many threads; close it when done (or use `with`)."""

    def __init__(self, layout: Layout, *, ranked: bool = True) -> None:
        """ranked: with the live rankers. Without, one that cannot be read is no hindrance."""
        self.layout = layout
        self._ranked = ranked
        self.settings = layout.settings()
        self._writing = threading.Lock()
        self._encoders: dict[str, TextEncoder | None] = {}
        self._held: dict[str, tuple[str, dict[str, Any]]] = {}
        self._tried: dict[tuple[str, str], tuple[View | None, View, dict[str, Any]]] = {}
        self._loading = threading.Lock()
        self._content: tuple[str, tuple[Content, ...]] | None = None
        self._judged: tuple[object, JudgmentList] | None = None
        self._opening_intake = threading.Lock()
        self._intake: EventIntake | None = None
        self.visitors = Visitors(layout)
        self._journal = UpdateJournal(layout.updates)
        self._served = ServedLog(layout.served)
        self._live = self._open_live()
        self._view = self._dressed(self._live.view())
        self._erased = self._last_erasure()

    # --- Searching ----------------------------------------------------------------------------

    def search(
        self,
        query: str | SearchRequest,
        k: int = 10,
        *,
        client_id: str | None = None,
        recent: Sequence[str] = (),
        **options: Any,
    ) -> SearchResponse:
        """Search. `options` are fields of `SearchRequest` (filters, facets, sort, explain, …).

        A client who allows personalisation gets a list of his own; recent: what he looked at in
        this session, oldest first. Everybody else gets the same list, and nothing is kept.
        """
        request = (
            query if isinstance(query, SearchRequest) else SearchRequest(q=query, size=k, **options)
        )
        known = None if client_id is None else self.visitors.asking(client_id, recent)
        return answer(self._view, request, self.settings.simulated, known)

    def recommend(
        self,
        request: RecommendRequest,
        client_id: str | None = None,
        view: View | None = None,
    ) -> RecommendResponse:
        """Recommend: similar, complementary, next, or a feed. What is known of a client who allows
        personalisation goes in; without a client, the request speaks for itself. view: another one
        than the current."""
        if client_id is not None:
            request = self.visitors.into(request, client_id)
        return recommend(view or self._view, request, self.settings.simulated)

    def interests(self, client_id: str) -> tuple[Interest, ...]:
        """What is kept of a visitor, as interests in plain words; none without consent."""
        return interests(self._view, self.visitors.known(client_id))

    def suggest(self, prefix: str, limit: int = 8, language: str | None = None) -> list[Suggestion]:
        """Completions of what is being typed."""
        return self._view.queries.suggest(prefix, limit, language)

    def product(self, product_id: str) -> Product | None:
        """The product as it is now, or None."""
        snapshot = self._view.snapshot
        numbers = snapshot.numbers([product_id])
        return snapshot.products(numbers)[0] if numbers[0] >= 0 else None

    # --- Pipelines ----------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """The current view: take it once and keep it for one piece of work."""
        return self._view

    def context(self, query: str) -> QueryContext:
        """The context in which stages answer one query text, without filters."""
        view = self._view
        understanding = view.understand(SearchRequest(q=query[:512]))
        return view.context(understanding, Filters())

    def pipeline(self, stage: str | Stage) -> Pipeline:
        """A system by name (`bm25`, `dense`, `hybrid`, `ltr`, `cross`) or any stage."""
        if isinstance(stage, Stage):
            return Pipeline(stage, self.context)
        stages = self._view.stages()
        if stage not in stages:
            raise InvalidInput(
                f"no system '{stage}' in this workspace",
                remedy=f"use one of: {', '.join(stages)}; 'ltr' needs: tandem train ranker, "
                "'cross' needs: tandem train cross-encoder",
            )
        return Pipeline(stages[stage], self.context, stage)

    @property
    def bm25(self) -> Pipeline:
        return self.pipeline("bm25")

    @property
    def dense(self) -> Pipeline:
        return self.pipeline("dense")

    @property
    def hybrid(self) -> Pipeline:
        return self.pipeline("hybrid")

    @property
    def ltr(self) -> Pipeline:
        return self.pipeline("ltr")

    @property
    def reranker(self) -> Stage:
        """The learned ranker alone, to put behind any retriever: `ws.bm25 % 100 >> ws.reranker`."""
        if self._view.ranker is None:
            raise NotFound("no ranker is trained", remedy="run: tandem train ranker")
        return self._view.ranker

    def record(
        self,
        response: SearchResponse,
        experiments: Mapping[str, str] | None = None,
        explored: Explored | None = None,
        slots: Mapping[str, ServedArm] | None = None,
    ) -> None:
        """Note in the served log what a shopper was answered with, so that it can be traced.

        experiments: variant by experiment that had an effect on it. slots: what slots showed in it.
        """
        self._served.put(
            Served(
                query_id=response.query_id,
                at=datetime.now(UTC),
                ranker=response.ranker,
                index_generation=response.index_generation,
                model_generation=response.model_generation,
                policy=self._rules,
                parts=_known_parts(response.parts),
                encoder=self._encoder_name(response.ranker != "bm25"),
                personal=response.personal,
                page=response.page,
                products=tuple(h.product.id for h in response.hits),
                scores=tuple(round(h.score, 6) for h in response.hits),
                total=response.total,
                milliseconds=response.timings_ms.get("total", 0.0),
                simulated=response.simulated,
                experiments=dict(experiments or {}),
                slots=dict(slots or {}),
                explored=explored,
            )
        )

    def record_recommended(
        self,
        response: RecommendResponse,
        experiments: Mapping[str, str] | None = None,
        slots: Mapping[str, ServedArm] | None = None,
    ) -> None:
        """The same for a recommendation. Of a video in the feed its product is noted."""
        self._served.put(
            Served(
                query_id=response.query_id,
                at=datetime.now(UTC),
                kind=response.kind,
                ranker=response.kind,
                index_generation=response.index_generation,
                model_generation=response.model_generation,
                policy=self._rules,
                parts=_known_parts(response.parts),
                encoder=self._encoder_name(True),
                personal=response.personal,
                page=1,
                products=tuple(item.product.id for item in response.items),
                scores=tuple(round(item.score, 6) for item in response.items),
                total=len(response.items),
                milliseconds=response.timings_ms.get("total", 0.0),
                simulated=response.simulated,
                experiments=dict(experiments or {}),
                slots=dict(slots or {}),
            )
        )

    def _encoder_name(self, used: bool) -> str | None:
        encoder = self._view.encoder
        return encoder.name if used and encoder is not None else None

    # --- For merchants ------------------------------------------------------------------------

    def standing(self, query: str, product_id: str, *, trying: bool = True) -> Standing:
        """Where a product stands for a query, why, and what honest changes would move it.

        trying: with the changes tried through this shop's own search. NotFound without the product.
        """
        simulated = self.settings.simulated
        if not trying:
            return standing(self._view, query, product_id, None, simulated)
        with self.what_if() as changed:
            return standing(self._view, query, product_id, changed, simulated)

    def search_performance(
        self, merchant: str, period: str | None, *, actor: str
    ) -> SearchPerformance:
        """What shoppers search for, and what of it comes to a merchant, in one month (YYYY-MM)
        that is over; None: the last recorded one. actor: who asks, for the audit log."""
        month = last_recorded_month(self.layout) if period is None else period
        return search_performance(self.layout, self._view, merchant, month, actor=actor)

    # --- Updating -----------------------------------------------------------------------------

    def upsert(self, products: Sequence[Product]) -> int:
        """Add or replace products. Returned means durable, and visible to the next search."""
        return self._update([(p.id, p) for p in products])

    def delete(self, ids: Sequence[str]) -> int:
        """Remove products; returns how many there were."""
        with self._writing:
            known = self._view.snapshot.numbers(ids)
        found = [i for i, number in zip(ids, known.tolist(), strict=True) if number >= 0]
        return self._update([(i, None) for i in dict.fromkeys(found)])

    def _update(self, operations: Sequence[tuple[str, Product | None]]) -> int:
        if not operations:
            return 0
        with self._writing:
            self._catch_up()
            self._journal.append(operations)
            self._catch_up()
        return len(operations)

    @contextmanager
    def what_if(self) -> Iterator[Callable[[Product], View]]:
        """Try changes of products without making them: a function from a changed product to the
        view in which it stands. Changes add up; the shop itself never sees them."""
        with self._writing:
            view, live = self._view, copy.copy(self._live)
            live.engine = live.engine.branch()

        def changed(product: Product) -> View:
            live.apply([Update(live.sequence + 1, product.id, product)])
            fresh = live.view()
            return replace(view, snapshot=fresh.snapshot, store=fresh.store)

        try:
            yield changed
        finally:
            live.engine.close()

    def refresh(self) -> bool:
        """Take up a newer index or model generation, changed rules, and updates made elsewhere.

        Returns whether a generation was switched. Running requests keep their view. After an
        erasure, what is remembered of identifiers and typed texts is forgotten.
        """
        with self._writing:
            if (erased := self._last_erasure()) != self._erased:
                self._erased = erased
                self._forget_people()
            old = self._generations()
            if self.layout.index.live() != self._live.name:
                fresh = self._open_live()
                stale, self._live = self._live, fresh
                self._view = self._dressed(fresh.view())
                stale.engine.close()
            else:
                entries = self._journal.since(self._live.sequence)
                self._live.apply(entries)
                before, now = self._view, self._dressed(self._live.view())
                # A view that is no news would cost the next requests what theirs has worked out.
                if entries or _made_of(now) != _made_of(before):
                    same = now.content_generation == before.content_generation
                    self._view = replace(now, lasting=before.lasting) if same else now
            return old != self._generations()

    def _last_erasure(self) -> bytes:
        try:
            return self.layout.last_erasure.read_bytes()
        except FileNotFoundError:
            return b""

    def _forget_people(self) -> None:
        forget_people()
        # A stacked recommender holds sessions: one that was retired must not stay in memory.
        self._held.pop("recommenders", None)
        with self._loading:
            self._tried.clear()
        for encoder in self._encoders.values():
            if encoder is not None:
                encoder.forget()

    def _generations(self) -> tuple[str | None, ...]:
        view = self._view
        return (view.generation, *view.generations.values())

    def _catch_up(self) -> None:
        entries = self._journal.since(self._live.sequence)
        if entries:
            self._live.apply(entries)
            fresh = self._live.view()
            self._view = replace(self._view, snapshot=fresh.snapshot, store=fresh.store)

    def _open_live(self) -> _Live:
        live = _Live(self.layout, self._encoder)
        live.apply(self._journal.since(live.sequence))
        return live

    def _dressed(self, view: View) -> View:
        """The view with the live rankers and the shop's rules."""
        view = replace(view, policy=BusinessPolicy.load(self.layout.rules_file))
        self._rules = rules_digest(self.layout)
        for kind in GENERATION if self._ranked else (UNRANKED,):
            if (path := self.layout.generations(kind).live_path()) is None:
                continue
            if kind not in self._held or self._held[kind][0] != path.name:
                self._held[kind] = (path.name, load(kind, path))
            view = replace(view, **self._held[kind][1])
        live = self.layout.content.live()
        if live is not None:
            if self._content is None or self._content[0] != live:
                self._content = (live, tuple(read_content(self.layout)))
            view = replace(view, content=self._content[1], content_generation=live)
        return view

    def with_artefact(self, view: View, kind: Tried, generation: str) -> View:
        """`view` with another generation of a kind. NotFound without it; the last few that were
        asked for stay loaded."""
        with self._loading:
            key = (kind, generation)
            of, tried, loaded = self._tried.pop(key, (None, view, {}))
            if of is not view:
                # Live updates make views all the time: it is read once, and looked for each time.
                path = self.layout.generations(kind).path(generation)
                loaded = loaded or load(kind, path)
                tried = replace(view, **loaded)
            while len(self._tried) >= TRIED:
                del self._tried[next(iter(self._tried))]
            self._tried[key] = (view, tried, loaded)
        return tried

    def _encoder(self, name: str | None) -> TextEncoder | None:
        key = name or ""
        if key not in self._encoders:
            self._encoders[key] = load_encoder(name, self.layout.root)
        return self._encoders[key]

    # --- Judging ------------------------------------------------------------------------------

    def judgment_list(self, name: str | None = None) -> JudgmentList:
        """A judgment list by name; by default the first one. Empty when there is none."""
        names = judgment_names(self.layout)
        if name is None and not names:
            return JudgmentList()
        chosen = name or names[0]
        stamp = (chosen, judgments_stamp(self.layout, chosen))
        if self._judged is None or self._judged[0] != stamp:
            self._judged = (stamp, load_judgments(self.layout, chosen))
        return self._judged[1]

    def judgment_queries(self, name: str | None = None) -> Sequence[str]:
        return self.judgment_list(name).queries

    def judgments(self, query: str) -> Mapping[str, int]:
        """Relevance 0..3 by product id for one query; empty when it is not judged."""
        return self.judgment_list().by_query.get(query, {})

    def judge(self, query: str, product_id: str, relevance: int) -> None:
        """Record one verdict durably; it replaces an earlier one on the same pair."""
        if relevance not in range(4):
            raise InvalidInput(
                f"relevance {relevance} is not 0, 1, 2 or 3", field="relevance", remedy="use 0 to 3"
            )
        with self._writing:
            known = self.judgment_list()
            judged = dict(known.by_query)
            judged[query] = {**judged.get(query, {}), product_id: relevance}
            names = judgment_names(self.layout)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            about = {
                **known.provenance,
                (query, product_id): Provenance("people", "workbench", now),
            }
            name = names[0] if names else "judgments"
            save_judgments(self.layout, JudgmentList(judged, name, provenance=about))

    # --- About --------------------------------------------------------------------------------

    def take_events(self, records: Sequence[Any], sent: datetime | None) -> list[EventOutcome]:
        """Store what shoppers did; see `EventIntake.take`. Visitors who allow it are recognised by
        it in the next answer. Exposures are the shop's own to tell and are refused."""
        theirs = [r for r in records if not _is_exposure(r)]
        taken = iter(self._opened_intake().take(theirs, sent))
        outcomes = [_RESERVED if _is_exposure(r) else next(taken) for r in records]
        accepted = [
            r for r, outcome in zip(records, outcomes, strict=True) if outcome.status == "accepted"
        ]
        # Who opens a video looks at its product.
        about = self._view.once("products of videos", self._about)
        self.visitors.follow(
            [
                {**r, "object_id": about[r["object_id"]]} if r.get("object_id") in about else r
                for r in accepted
            ]
        )
        return outcomes

    def expose(self, records: Sequence[Any]) -> None:
        """Store exposures to experiments, records of the shop's own making."""
        self._opened_intake().take(records)

    def _about(self) -> dict[str, str]:
        return {c.id: c.product_ids[0] for c in self._view.content if c.product_ids}

    def _opened_intake(self) -> EventIntake:
        """Opened by the first event: a shop that takes none needs no keys for pseudonyms."""
        with self._opening_intake:
            if self._intake is None:
                try:
                    self._intake = EventIntake(self.layout)
                except Conflict as error:
                    raise Behind(error.message, retry_after=5) from error
                except TandemError as error:
                    # Senders are the public: where the keys should lie is none of their business.
                    log.error("events cannot be taken: %s", error)
                    raise TandemError(
                        "this shop cannot take events", remedy="tell the operator"
                    ) from error
            return self._intake

    def status(self) -> dict[str, Any]:
        """What is live, for pages and `tandem doctor`."""
        view = self._view
        return {
            "name": self.settings.name,
            "dataset": self.settings.dataset,
            "simulated": self.settings.simulated,
            "currency": self.settings.currency,
            "products": view.snapshot.size,
            "index_generation": view.generation,
            **{name: getattr(view, name) for name in GENERATION.values()},
            "model": view.manifest.model if view.manifest else None,
            "encoder": view.encoder.name if view.encoder else None,
            "languages": list(view.queries.analyser.languages),
            "rankers": list(view.stages()),
            "default_ranker": view.default_system(),
            "ltr_learned_from": len(view.manifest.trained_on) if view.manifest else 0,
            "ltr_cross_validated": view.manifest.metrics if view.manifest else {},
            "facets": list(self._live.facets),
        }

    def run(self, system: str, queries: Sequence[str], k: int = 100) -> Run:
        """Rank a query set with one system."""
        return self.pipeline(system).rank(queries, k)

    def close(self) -> None:
        if self._intake is not None:
            self._intake.close()
        self._live.engine.close()
        self._journal.close()
        self._served.close()
        self.visitors.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        status = self.status()
        return (
            f"Workspace('{self.layout.root}', {status['products']:,} products, "
            f"ranker {status['default_ranker']})"
        )


def _known_parts(parts: Mapping[str, str]) -> dict[ArtefactKind, str]:
    return {kind: parts[kind] for kind in get_args(ArtefactKind) if kind in parts}


def _made_of(view: View) -> tuple[Any, ...]:
    """What a view was made of, but for live updates: the same means that nothing is new."""
    return (
        view.generation,
        view.catalog_generation,
        view.encoder_generation,
        *view.generations.values(),
        view.content_generation,
        view.policy,
    )


def _is_exposure(record: Any) -> bool:
    return isinstance(record, dict) and record.get("action_name") == EXPOSURE_ACTION


_RESERVED = EventOutcome(
    status="refused",
    code="reserved",
    field="action_name",
    reason=f"'{EXPOSURE_ACTION}' is told by the shop itself",
    remedy="choose another name",
)
