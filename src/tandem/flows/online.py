"""Searches under experiment: who gets which configuration, what is noted of it, canaries that go
back by themselves, shadows, exploration.

Nothing here keeps who asked: a client's identifier becomes a pseudonym, the pseudonym a variant,
and of the two only an exposure is stored, as an event like all others.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TypeVar

import numpy as np

from tandem.contracts.artefact import Tried
from tandem.contracts.consent import Purpose
from tandem.contracts.errors import Conflict, NotFound, TandemError
from tandem.contracts.events import EXPOSURE_ACTION
from tandem.contracts.experiment import (
    ExperimentBook,
    Exploration,
    OnlineExperiment,
    SearchConfiguration,
    ShadowRequest,
    ShadowRun,
)
from tandem.contracts.recommend import (
    Kind,
    Known,
    Recommended,
    RecommendRequest,
    RecommendResponse,
    Source,
)
from tandem.contracts.registry import Explored, ServedArm
from tandem.contracts.search import SearchRequest, SearchResponse, Sort
from tandem.contracts.slot import BanditSlot, SlotArm, SlotShowing, SlotShown, Where
from tandem.experiments import gates
from tandem.experiments.abtest.assignment import Assignment, Experiment, Layer
from tandem.experiments.exploration import draw
from tandem.flows.artefacts import register_rules
from tandem.flows.experimenting import harm_of
from tandem.flows.feed import unfit_now
from tandem.flows.registry import withdraw
from tandem.flows.search import Ranking, answer, rank, respond
from tandem.flows.slots import Slots
from tandem.flows.trials import SHADOWED_DAYS, end_trials
from tandem.flows.view import View
from tandem.flows.visitors import DOMAIN
from tandem.flows.workspace import Workspace
from tandem.governance.consent import ConsentLedger
from tandem.governance.pseudonyms import Pseudonyms, open_ring
from tandem.ranking.business import BusinessPolicy
from tandem.registry.day_log import DayLog
from tandem.registry.decisions import Decisions
from tandem.registry.experiments import Experiments

log = logging.getLogger(__name__)
K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

BELIEVED = 1.0  # seconds that the book, a key ring or a person's decision is taken for the newest
REMEMBERED = 100_000
WATCHED = 500  # answers that a canary's times are told from
MIN_WATCHED = 50
MIN_FAILED = 3
FAILING = 0.01
CHECK_SECONDS = 60.0
SHADOW_QUEUE = 64
SHADOW_DEPTH = 10
GUARD = "guardrail"
RULES_WHO = "server"


@dataclass
class _Times:
    """Milliseconds and failures of one canary in this process."""

    canary: deque[float] = field(default_factory=lambda: deque(maxlen=WATCHED))
    control: deque[float] = field(default_factory=lambda: deque(maxlen=WATCHED))
    failed: int = 0
    answered: int = 0


@dataclass(frozen=True)
class _Rules:
    """The book as this process uses it."""

    book: ExperimentBook

    @cached_property
    def experiments(self) -> tuple[OnlineExperiment, ...]:
        return self.book.running()

    @cached_property
    def assignment(self) -> Assignment:
        layers: dict[str, list[Experiment]] = {}
        for e in self.experiments:
            weights = {v.name: v.weight for v in e.variants}
            layers.setdefault(e.layer, []).append(
                Experiment(e.name, weights, e.first, e.size, e.ramp)
            )
        found = [Layer(name, members) for name, members in layers.items()]
        return Assignment(self.book.salt, found, self.book.holdout)

    def slots(self, where: Where) -> tuple[BanditSlot, ...]:
        return tuple(s for s in self.book.slots if s.where == where and s.state == "running")

    def page_slot(self, name: str) -> BanditSlot | None:
        """A slot for pages, running or not: a page that asks for a stopped one gets its first
        arm."""
        return next((s for s in self.book.slots if (s.name, s.where) == (name, "page")), None)

    @cached_property
    def configurations(self) -> Mapping[tuple[str, str], SearchConfiguration]:
        return {(e.name, v.name): v.configuration for e in self.experiments for v in e.variants}


@dataclass(frozen=True)
class _Chosen:
    """What one request gets. experiments: variant by experiment that has an effect on it;
    configurations: of these variants, in order, a canary's first. touched: what they are about.
    ranker: what a slot tries."""

    experiments: Mapping[str, str] = field(default_factory=dict)
    configurations: Mapping[str, SearchConfiguration] = field(default_factory=dict)
    touched: frozenset[str] = frozenset()
    ranker: str | None = None

    @cached_property
    def tried(self) -> tuple[str, ...]:
        """Of the experiments, those whose generations answer."""
        return tuple(name for name, c in self.configurations.items() if c.generations)

    @cached_property
    def configuration(self) -> SearchConfiguration:
        values: dict[str, object] = {}
        for one in self.configurations.values():
            values |= one.model_dump(exclude_none=True)
        if self.ranker is not None:
            values["ranker"] = self.ranker
        return SearchConfiguration.model_validate(values)

    def without(self, names: Sequence[str]) -> _Chosen:
        """As if some of the experiments were not there."""
        return replace(
            self,
            experiments={n: v for n, v in self.experiments.items() if n not in names},
            configurations={n: c for n, c in self.configurations.items() if n not in names},
        )


@dataclass(frozen=True)
class _Work:
    """One ranked search, and in which view. started: by `perf_counter`."""

    view: View
    request: SearchRequest
    ranking: Ranking
    started: float
    chosen: _Chosen


class Online:
    """Answers searches of one workspace under its experiments. Safe for many threads.

    log_served: whether answers are noted in the served log. seed: of shadows and exploration.
    """

    def __init__(
        self, shop: Workspace, *, log_served: bool = True, seed: int | None = None
    ) -> None:
        self._log_served = log_served
        self._shop = shop
        self._layout = shop.layout
        self._experiments = Experiments(shop.layout.experiments_file)
        self._ledger = ConsentLedger(shop.layout)
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._looked = 0.0
        self._rules: _Rules | None = None
        self._ring: tuple[float, Pseudonyms] | None = None
        self._allowed: OrderedDict[str, tuple[float, bool]] = OrderedDict()
        self._told: OrderedDict[tuple[str, str, str, str], None] = OrderedDict()
        self._times: dict[str, _Times] = {}
        self._checked = 0.0
        self._background = _Background()
        self._shadowed = DayLog(shop.layout.shadowed, ShadowRequest, SHADOWED_DAYS)
        self._slots = Slots(shop.layout, seed)

    def answer(
        self,
        request: SearchRequest,
        client_id: str | None = None,
        user_agent: str | None = None,
        *,
        personal: bool = True,
        recent: Sequence[str] = (),
    ) -> SearchResponse:
        """Answer one search, note it in the served log, and tell of exposures.

        client_id, user_agent: as the sender states them; neither is stored. Without a client, or
        for one whom analytics may not read, no experiment has a say. personal: whether what is
        known of a client who allows personalisation, and `recent`, may move the list.
        """
        view = self._shop.view
        rules = self._current()
        if rules is None:
            known_by = client_id if personal else None
            response = self._shop.search(request, client_id=known_by, recent=recent)
            if self._log_served:
                self._shop.record(response)
            return response
        known = None
        if client_id is not None and personal:
            known = self._shop.visitors.asking(client_id, recent)
        chosen = self._choose(rules, open_to(request, known), client_id)
        query_id = uuid.uuid4().hex
        tried = self._tried(rules, view, request, chosen, client_id, user_agent, query_id)
        work, tried = self._trying(view, request, chosen, known, tried)
        chosen, explored = work.chosen, None
        if (policy := rules.book.exploration) is not None and not tried:
            work, explored = self._explored(work, policy)
        simulated = self._shop.settings.simulated
        response = respond(work.view, work.request, work.ranking, work.started, simulated, query_id)
        if client_id is not None:
            for name, variant in chosen.experiments.items():
                self._expose(name, variant, client_id, user_agent, response.query_id)
        if self._log_served:
            self._shop.record(response, chosen.experiments, explored, _noted(tried))
        if explored is None and not tried:
            self._shadow_search(rules, view, request, response, chosen, known)
        return response

    def recommend(
        self,
        request: RecommendRequest,
        client_id: str | None = None,
        user_agent: str | None = None,
        *,
        personal: bool = True,
    ) -> RecommendResponse:
        """Recommend, let slots of the feed try, and note it in the served log."""
        rules = self._current()
        view = self._shop.view
        known_by = client_id if personal else None
        parts = {"recommendations", "feed"} if request.kind is Kind.FEED else {"recommendations"}
        chosen = _Chosen() if rules is None else self._choose(rules, parts, client_id)
        response, chosen = self._attempt(
            chosen,
            lambda c: self._shop.recommend(request, known_by, self._inside(view, c.configuration)),
        )
        if client_id is not None:
            for name, variant in chosen.experiments.items():
                self._expose(name, variant, client_id, user_agent, response.query_id)
        if rules is not None and not chosen.experiments:
            self._shadow_recommender(rules, view, request, known_by, response)
        tried: dict[BanditSlot, SlotShowing] = {}
        # With filters a product of the slot's own choice would be in the way.
        open_ = request.kind is Kind.FEED and request.filters.is_empty()
        if rules is not None and client_id is not None and open_:
            unwanted = set(request.hidden)
            for at, slot in enumerate(rules.slots("feed")):
                if at == 0 and known_by is not None:
                    known = self._shop.visitors.asking(known_by)
                    unwanted.update(known.hidden if known is not None else ())
                response, showing = self._placed(slot, response, client_id, user_agent, unwanted)
                if showing is not None:
                    tried[slot] = showing
        if self._log_served:
            self._shop.record_recommended(response, chosen.experiments, _noted(tried))
        return response

    def show(
        self, name: str, client_id: str | None = None, user_agent: str | None = None
    ) -> SlotShown:
        """What a page is to show in a slot. NotFound without one of that name for pages."""
        rules = self._current()
        slot = rules.page_slot(name) if rules is not None else None
        if slot is None:
            raise NotFound(
                f"no slot '{name}' for pages",
                remedy="start one: tandem experiment slot start --help",
            )
        query_id = uuid.uuid4().hex
        unit = None if client_id is None else self._unit(client_id)
        showing = (
            None if unit is None else self._slots.show(slot, unit, query_id, user_agent=user_agent)
        )
        arm = slot.arms[0 if showing is None else showing.arm]
        return SlotShown(
            slot=name,
            arm=arm.name,
            value=arm.value,
            pscore=None if showing is None else showing.pscore,
            query_id=query_id,
        )

    def refreshed(self) -> None:
        """To be called every few seconds: are canaries and slots still fit to be served? Times and
        failures are looked at each time, what people did every `CHECK_SECONDS`."""
        due = time.monotonic() - self._checked >= CHECK_SECONDS or not self._checked
        with suppress(Conflict):  # somebody imports or indexes: at the next look
            register_rules(self._layout, who=RULES_WHO, why="edited while serving")
        rules = self._current()
        if rules is not None and rules.book.slots:
            self._slots.refreshed()
        for e in rules.experiments if rules else ():
            if e.kind != "canary" or (due and self._left_behind(e)):
                continue
            why = self._slow_or_failing(e.name)
            if why is None and due:
                why = harm_of(self._layout, e, actor=GUARD)
            if why is not None:
                self._withdraw(e, why)
        if due:
            self._checked = time.monotonic()

    def close(self) -> None:
        """Finish what waits in the background."""
        self._background.close()
        self._shadowed.close()
        self._slots.close()

    # --- Who gets what ------------------------------------------------------------------------

    def _current(self) -> _Rules | None:
        now = time.monotonic()
        if now - self._looked > BELIEVED or not self._looked:
            with self._lock:
                book = self._experiments.book()
                if book is None:
                    self._rules = None
                elif self._rules is None or self._rules.book is not book:
                    self._rules = _Rules(book)
                self._looked = now
        return self._rules

    def _choose(self, rules: _Rules, parts: Set[str], client_id: str | None) -> _Chosen:
        """The configuration of a request, from the experiments that have an effect on it. parts: of
        an answer, those that experiments may set in this one.

        Where two would set the same, the first one does and the other has no effect. Who gets a
        canary is in no other one.
        """
        running = [e for e in rules.experiments if e.touched & parts]
        if client_id is None or not running or (unit := self._unit(client_id)) is None:
            return _Chosen()
        experiments: dict[str, str] = {}
        configurations: dict[str, SearchConfiguration] = {}
        touched: set[str] = set()
        taken: set[str] = set()
        canary = None
        for e in running:
            if e.touched & taken or (e.kind == "canary" and canary is not None):
                continue
            variant = rules.assignment.variant(unit, e.name)
            if variant is None:
                continue
            experiments[e.name] = variant
            touched |= e.touched
            configurations[e.name] = rules.configurations[e.name, variant]
            # Whoever gets the live one as a canary's control may be in an experiment on it.
            if e.kind != "canary" or variant != e.control:
                taken |= e.touched
                canary = e.name if e.kind == "canary" else canary
        return _Chosen(experiments, configurations, frozenset(touched))

    def _attempt(self, chosen: _Chosen, work: Callable[[_Chosen], T]) -> tuple[T, _Chosen]:
        """A generation on trial that fails is not shown: what is live answers, and the failure
        counts. What the request itself does wrong fails both ways, and is not the trial's."""
        started = time.perf_counter()
        try:
            done = work(chosen)
        except Exception as error:
            # Of several the one that fails is found by leaving out each alone, then all; what fails
            # even then is the request's own error.
            fault = error
            alone = [(name,) for name in chosen.tried]
            for failing in (*alone, chosen.tried) if len(alone) > 1 else alone:
                rest = chosen.without(failing)
                try:
                    done = work(rest)
                except Exception as own:
                    fault = own
                    continue
                log.warning("%s failed: %s", " and ".join(failing), error)
                for name in failing:
                    self._note(name, "canary", None)
                return done, rest
            raise fault from None
        took = (time.perf_counter() - started) * 1000
        tries = next(iter(chosen.tried), None)
        for name in self._canaries() & chosen.experiments.keys():
            if tries in (None, name):
                self._note(name, "canary" if tries == name else "control", took)
        return done, chosen

    def _unit(self, client_id: str) -> str | None:
        """The pseudonym of a client whom analytics may read, or None."""
        now = time.monotonic()
        if self._ring is None or now - self._ring[0] > BELIEVED:
            self._ring = (now, Pseudonyms(open_ring(self._layout)))
        pseudonyms = self._ring[1]
        unit = pseudonyms.of(DOMAIN, client_id)
        with self._lock:
            read, allowed = self._allowed.get(unit, (0.0, False))
        if not read or now - read > BELIEVED:
            every = pseudonyms.every(DOMAIN, client_id)
            allowed = self._ledger.refusal(Purpose.ANALYTICS, every) is None
            with self._lock:
                _remember(self._allowed, unit, (now, allowed))
        return unit if allowed else None

    # --- Slots --------------------------------------------------------------------------------

    def _tried(
        self,
        rules: _Rules,
        view: View,
        request: SearchRequest,
        chosen: _Chosen,
        client_id: str | None,
        user_agent: str | None,
        query_id: str,
    ) -> dict[BanditSlot, SlotShowing]:
        """The ranker that a slot tries in this search, if one may: what the request sets itself no
        slot changes, and who is in an experiment on the ranking is left to it."""
        running = rules.slots("search")
        if (
            not running
            or client_id is None
            or "ranking" in chosen.touched
            or request.ranker is not None
            or request.sort is not Sort.RELEVANCE
            or not request.q.strip()
            or (unit := self._unit(client_id)) is None
        ):
            return {}
        systems = view.stages()
        showing = self._slots.show(
            running[0],
            unit,
            query_id,
            text=request.q.strip().lower(),
            further=request.page > 1,
            user_agent=user_agent,
            usable=lambda arm: arm.value in systems,
        )
        return {} if showing is None else {running[0]: showing}

    def _trying(
        self,
        view: View,
        request: SearchRequest,
        chosen: _Chosen,
        known: Known | None,
        tried: dict[BanditSlot, SlotShowing],
    ) -> tuple[_Work, dict[BanditSlot, SlotShowing]]:
        """A ranker that fails is not shown: everybody's answers, and no reward is its own."""
        for slot, showing in tried.items():
            ranker = slot.arms[showing.arm].value
            try:
                trying = replace(chosen, ranker=ranker)
                return self._ranked(view, request, trying, known), tried
            except Exception as error:
                if not showing.explored:
                    raise
                log.warning("slot %s: %s failed: %s", slot.name, ranker, error)
                self._slots.failed(showing)
        return self._ranked(view, request, chosen, known), {}

    def _placed(
        self,
        slot: BanditSlot,
        response: RecommendResponse,
        client_id: str,
        user_agent: str | None,
        unwanted: Set[str],
    ) -> tuple[RecommendResponse, SlotShowing | None]:
        """The feed with what the slot tries in its place: once, while it can be bought, where no
        rule of the shop hides it and the visitor did not."""
        place = slot.place or 1
        unit = self._unit(client_id)
        if unit is None or len(response.items) < place:
            return response, None
        there = response.items[place - 1]
        # A click on a video is sent with the video's id, all else with the product's.
        clicked = there.video if slot.reward == "click" else None
        as_it_is = there.product.id if clicked is None else clicked.id
        view = self._shop.view

        def usable(arm: SlotArm) -> bool:
            if arm.value is None:
                return True
            number = int(view.snapshot.numbers([arm.value])[0])
            return number >= 0 and arm.value not in unwanted and not unfit_now(view)[number]

        showing = self._slots.show(
            slot,
            unit,
            response.query_id,
            user_agent=user_agent,
            usable=usable,
            object_of=lambda arm: arm.value or as_it_is,
        )
        if showing is None or (value := slot.arms[showing.arm].value) is None:
            return response, showing
        if (product := self._shop.product(value)) is None:
            self._slots.failed(showing)
            return response, None
        rest = [i for i in response.items if i.product.id != value]
        tried = Recommended(
            position=place,
            score=0.0,
            product=product,
            source=Source.EXPLORATION,
            because="We try what belongs here",
        )
        items = [*rest[: place - 1], tried, *rest[place - 1 :]][: len(response.items)]
        placed = tuple(i.model_copy(update={"position": at}) for at, i in enumerate(items, start=1))
        return response.model_copy(update={"items": placed}), showing

    # --- Answering ----------------------------------------------------------------------------

    def _ranked(
        self, view: View, request: SearchRequest, chosen: _Chosen, known: Known | None
    ) -> _Work:
        started = time.perf_counter()

        def work(chosen: _Chosen) -> tuple[View, SearchRequest, Ranking]:
            configuration = chosen.configuration
            inside = self._inside(view, configuration)
            update = configuration.model_dump(include={"ranker", "rewrite"}, exclude_none=True)
            asked = request.model_copy(update=update)
            return inside, asked, rank(inside, asked, known)

        (inside, asked, ranking), chosen = self._attempt(chosen, work)
        return _Work(inside, asked, ranking, started, chosen)

    def _inside(self, view: View, configuration: SearchConfiguration) -> View:
        """The view with what a configuration puts in the place of what is live."""
        for kind, generation in configuration.generations.items():
            if generation != view.generations[kind]:
                view = self._shop.with_artefact(view, kind, generation)
        return replace(view, policy=BusinessPolicy()) if configuration.rules is False else view

    def _explored(self, work: _Work, policy: Exploration) -> tuple[_Work, Explored | None]:
        """With the first places drawn anew, where that is to be done."""
        request, ranking = work.request, work.ranking
        found = ranking.applied.candidates
        first = found.numbers[: policy.top]
        if (
            request.page != 1
            or request.size < policy.top
            or request.sort is not Sort.RELEVANCE
            or (request.ranker is not None and "ranking" not in work.chosen.configuration.touched)
            or request.explain
            or ranking.matching is None
            or first.size < policy.top
            or any(number in ranking.applied.fired for number in first.tolist())
        ):
            return work, None
        with self._lock:
            if self._rng.random() >= policy.share:
                return work, None
            drawn = draw(policy, self._rng)
        rows = np.arange(len(found))
        rows[: policy.top] = drawn.places
        explored = Explored(
            method=policy.method,
            steepness=policy.steepness,
            ranked=tuple(work.view.snapshot.ids(first)),
            places=drawn.places,
            pscore=drawn.pscore,
            marginal=drawn.marginal,
        )
        applied = replace(ranking.applied, candidates=found.at(rows))
        return replace(work, ranking=replace(ranking, applied=applied)), explored

    def _expose(
        self, name: str, variant: str, client_id: str, user_agent: str | None, query_id: str
    ) -> None:
        """Tell, once a day and client, that an experiment had an effect."""
        now = datetime.now(UTC)
        key = (name, variant, client_id, now.date().isoformat())
        with self._lock:
            if key in self._told:
                return
            _remember(self._told, key, None)
        record = {
            "kind": "event",
            "event_id": "/".join((EXPOSURE_ACTION, *key)),
            "timestamp": now.isoformat(),
            "client_id": client_id,
            "action_name": EXPOSURE_ACTION,
            "object_id": f"{name}:{variant}",
            "query_id": query_id,
            **({"user_agent": user_agent[:1000]} if user_agent else {}),
        }
        self._background.put(lambda: self._shop.expose([record]), must=True)

    # --- Canaries -----------------------------------------------------------------------------

    def _canaries(self) -> frozenset[str]:
        running = self._rules.experiments if self._rules else ()
        return frozenset(e.name for e in running if e.kind == "canary")

    def _note(self, name: str, arm: str, milliseconds: float | None) -> None:
        with self._lock:
            times = self._times.setdefault(name, _Times())
            if arm == "canary":
                times.answered += 1
            if milliseconds is None:
                times.failed += 1
            else:
                getattr(times, arm).append(milliseconds)

    def _slow_or_failing(self, name: str) -> str | None:
        with self._lock:
            times = self._times.get(name)
            if times is None:
                return None
            ours, theirs = list(times.canary), list(times.control)
            failed, answered = times.failed, times.answered
        if failed >= MIN_FAILED and failed > FAILING * answered:
            return f"it failed in {failed} of {answered} searches"
        if min(len(ours), len(theirs)) >= MIN_WATCHED:
            gate = gates.latency(ours, theirs)
            if not gate.passed:
                return f"it is too slow: {gate.says}"
        return None

    def _left_behind(self, experiment: OnlineExperiment) -> bool:
        """End a canary that was held against what is not live any more: whoever made another one
        live was killed before ending it."""
        kind, tried = experiment.of, str(experiment.tried)
        live = self._layout.generations(kind).live()
        decided = Decisions(self._layout.decisions).of(tried, kind)
        beside = next((d.instead_of for d in reversed(decided) if d.stage == "canary"), None)
        if live is None or beside in (None, live):
            return False
        end_trials(self._layout, kind, live, who=GUARD, why=f"{live} went live")
        self._looked = 0.0
        return True

    def _withdraw(self, experiment: OnlineExperiment, why: str) -> None:
        why = f"went back by itself: {why}"
        try:
            withdraw(self._layout, experiment.of, experiment.name, who=GUARD, why=why)
        except TandemError as error:
            log.error("canary %s could not be withdrawn: %s", experiment.name, error.message)
            return
        log.warning("canary %s went back by itself: %s", experiment.name, why)
        self._looked = 0.0

    # --- Shadows ------------------------------------------------------------------------------

    def _shadow_search(
        self,
        rules: _Rules,
        view: View,
        request: SearchRequest,
        response: SearchResponse,
        chosen: _Chosen,
        known: Known | None,
    ) -> None:
        """Let the shadows that have a say in a search answer too, later and unseen."""
        relevant = request.sort is Sort.RELEVANCE and bool(request.q.strip())
        if not relevant or request.page != 1:
            return
        touched = chosen.configuration.touched
        everybodys = request.ranker is None and "ranking" not in touched
        say: Mapping[Tried, bool] = {
            "models": everybodys,
            # Tuned weights have no say in what a learned ranker answers.
            "configurations": everybodys and response.ranker in ("bm25", "hybrid"),
            "cross-encoders": response.ranker == "cross" and "reranking" not in touched,
            "personal": response.personal and "personal" not in touched,
        }
        shown = [h.product.id for h in response.hits[:SHADOW_DEPTH]]
        live_ms = response.timings_ms.get("total", 0.0) - response.timings_ms.get("facets", 0.0)

        def mine(run: ShadowRun, inside: View) -> list[str]:
            ranker = "ltr" if run.kind == "models" else response.ranker
            asked = request.model_copy(update={"facets": (), "ranker": ranker})
            return [h.product.id for h in answer(inside, asked, known=known).hits]

        self._unseen(rules, view, say, mine, shown, live_ms, response.simulated)

    def _shadow_recommender(
        self,
        rules: _Rules,
        view: View,
        request: RecommendRequest,
        known_by: str | None,
        response: RecommendResponse,
    ) -> None:
        """The same for recommendations."""
        say: Mapping[Tried, bool] = {
            "recommenders": request.kind is not Kind.SIMILAR,
            "feeds": request.kind is Kind.FEED,
        }

        def mine(run: ShadowRun, inside: View) -> list[str]:
            answered = self._shop.recommend(request, known_by, inside)
            return [i.product.id for i in answered.items]

        shown = [i.product.id for i in response.items[:SHADOW_DEPTH]]
        live_ms = response.timings_ms.get("total", 0.0)
        self._unseen(rules, view, say, mine, shown, live_ms, response.simulated)

    def _unseen(
        self,
        rules: _Rules,
        view: View,
        say: Mapping[Tried, bool],
        mine: Callable[[ShadowRun, View], list[str]],
        shown: list[str],
        live_ms: float,
        simulated: bool,
    ) -> None:
        """Draw which shadows answer once more in the background; how far they agree is noted."""
        for run in rules.book.shadows:
            waits = say.get(run.kind, False) and run.generation != view.generations[run.kind]
            if waits and self._draw() < run.share:
                self._background.put(
                    partial(self._noted_shadow, view, run, mine, shown, live_ms, simulated)
                )

    def _noted_shadow(
        self,
        view: View,
        run: ShadowRun,
        mine: Callable[[ShadowRun, View], list[str]],
        shown: list[str],
        live_ms: float,
        simulated: bool,
    ) -> None:
        found: list[str] | None = None
        took = None
        try:
            inside = self._shop.with_artefact(view, run.kind, run.generation)
            started = time.perf_counter()
            found = mine(run, inside)[:SHADOW_DEPTH]
            took = (time.perf_counter() - started) * 1000
        except Exception as error:
            log.warning("shadow %s failed: %s", run.generation, error)
        self._shadowed.put(
            ShadowRequest(
                at=datetime.now(UTC),
                kind=run.kind,
                generation=run.generation,
                beside=view.generations[run.kind],
                overlap=None if found is None else _overlap(found, shown),
                same_first=None if found is None else found[:1] == shown[:1],
                live_ms=round(live_ms, 3),
                shadow_ms=None if took is None else round(took, 3),
                simulated=simulated,
            )
        )

    def _draw(self) -> float:
        with self._lock:
            return float(self._rng.random())


class _Background:
    """One thread for what nobody waits for; jobs that need not be done are dropped while it is
    busy."""

    def __init__(self) -> None:
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def put(self, job: Callable[[], None], *, must: bool = False) -> None:
        if not must and self._jobs.qsize() >= SHADOW_QUEUE:
            return
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="online", daemon=True)
                self._thread.start()
        self._jobs.put(job)

    def close(self) -> None:
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:
                log.warning("online: %s", error)


def open_to(request: SearchRequest, known: Known | None) -> set[str]:
    """What experiments may set in a search. Whatever the request sets itself none changes, and who
    cannot be affected was not exposed."""
    if not request.q.strip():
        return set()
    parts = {"rewrite"} if request.rewrite else set()
    if request.sort is not Sort.RELEVANCE:
        return parts
    parts |= {"ranking", "rules"} if request.ranker is None else set()
    if request.ranker == "cross":
        parts.add("reranking")
    if known is not None and (known.session or known.before):
        parts.add("personal")
    return parts


def _noted(tried: Mapping[BanditSlot, SlotShowing]) -> dict[str, ServedArm]:
    return {
        slot.name: ServedArm(arm=slot.arms[showing.arm].name, pscore=showing.pscore)
        for slot, showing in tried.items()
    }


def _overlap(mine: list[str], shown: list[str]) -> float:
    longest = max(len(mine), len(shown))
    return len(set(mine) & set(shown)) / longest if longest else 1.0


def _remember(held: OrderedDict[K, V], key: K, value: V) -> None:
    held[key] = value
    held.move_to_end(key)
    if len(held) > REMEMBERED:
        held.popitem(last=False)
