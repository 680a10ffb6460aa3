"""Slots in a running shop: start, stop, choose what one shows, learn from what follows.

Definitions lie in the book of experiments, so that every server takes them up within a second and
a kill switch waits for nobody; what was shown and learned lies in `registry/slots.db`, which all
servers share. Nothing of it says whom a showing was for.
"""

from __future__ import annotations

import json
import logging
import math
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import Conflict, InvalidInput, NotFound, TandemError
from tandem.contracts.events import AdmittedEvent, Pseudonym
from tandem.contracts.experiment import ExperimentBook
from tandem.contracts.running import Change
from tandem.contracts.slot import (
    CONTEXT,
    ArmStanding,
    BanditKind,
    BanditSlot,
    RewardAction,
    SlotArm,
    SlotGuardrails,
    SlotShowing,
    SlotStanding,
    Where,
)
from tandem.experiments.bandits import (
    Array,
    Bandit,
    Guardrails,
    LinUCB,
    Shown,
    Slot,
    ThompsonSampling,
)
from tandem.flows.experimenting import SYSTEMS, book_of
from tandem.governance.admission import is_bot
from tandem.governance.consent import ConsentLedger
from tandem.governance.special import special_category
from tandem.registry.experiments import Experiments
from tandem.registry.slots import SlotStore
from tandem.storage.layout import Layout

if TYPE_CHECKING:
    from numpy.random import Generator

log = logging.getLogger(__name__)

STICKY_SECONDS = 30 * 60.0
REMEMBERED = 100_000
SWEEP_SECONDS = 3600.0
SECOND = 1_000_000  # of microseconds
GUARD = "guardrail"
_PHONES = ("Mobi", "Android", "iPhone")


def start_slot(
    layout: Layout,
    name: str,
    where: Where,
    arms: Sequence[SlotArm],
    *,
    who: str,
    why: str,
    place: int | None = None,
    bandit: BanditKind = "thompson",
    reward: RewardAction = "click",
    window: int = 60,
    guardrails: SlotGuardrails = SlotGuardrails(),
) -> BanditSlot:
    """Start a slot; servers of the shop take it up within seconds.

    The first arm is what everybody gets without it. A product that is not there is not refused, as
    it may come: it is not tried before. Raises InvalidInput, Conflict when the name was used before
    or the place is taken.
    """
    now = datetime.now(UTC)
    try:
        made = BanditSlot.model_validate(
            {
                "name": name,
                "where": where,
                "place": place,
                "arms": tuple(arms),
                "bandit": bandit,
                "reward": reward,
                "window": window,
                "guardrails": guardrails,
                "started": now,
                "changes": (Change(at=now, who=who, what="started", why=why),),
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(
            first["msg"], field=".".join(map(str, first["loc"])) or "arms", remedy="correct it"
        ) from None
    if where == "search":
        for arm in made.arms:
            if arm.value not in SYSTEMS:
                raise InvalidInput(
                    f"no system '{arm.value}'",
                    field="arms",
                    remedy=f"use one of: {', '.join(SYSTEMS)}",
                )

    def edit(book: ExperimentBook) -> ExperimentBook:
        if any(s.name == name for s in book.slots):
            raise Conflict(
                f"there was a slot '{name}' before",
                remedy="choose another name: under an old one, old showings would count",
            )
        for s in book.slots:
            if s.state == "running" and s.where == where != "page" and s.place == place:
                raise Conflict(
                    f"'{s.name}' is in that place already", remedy="stop it, or choose another"
                )
        return book.model_copy(update={"slots": (*book.slots, made)})

    Experiments(layout.experiments_file).change(edit)
    return made


def stop_slot(layout: Layout, name: str, *, who: str, why: str) -> BanditSlot:
    """The kill switch: from the next second on everybody gets the first arm."""
    now = datetime.now(UTC)
    stopped: list[BanditSlot] = []

    def edit(book: ExperimentBook) -> ExperimentBook:
        slot = _named(book, name)
        if slot.state == "stopped":
            raise Conflict(f"'{name}' is stopped already", remedy="start one under another name")
        change = Change(at=now, who=who, what="stopped", why=why)
        update = {"state": "stopped", "ended": now, "changes": (*slot.changes, change)}
        stopped.append(slot.model_copy(update=update))
        slots = tuple(stopped[-1] if s.name == name else s for s in book.slots)
        return book.model_copy(update={"slots": slots})

    Experiments(layout.experiments_file).change(edit)
    return stopped[-1]


def slot_of(layout: Layout, name: str) -> BanditSlot:
    """NotFound without it."""
    return _named(book_of(layout), name)


def _named(book: ExperimentBook, name: str) -> BanditSlot:
    found = {s.name: s for s in book.slots}
    if name not in found:
        raise NotFound(f"no slot '{name}'", remedy=f"there is: {', '.join(found) or 'none'}")
    return found[name]


def slot_standing(layout: Layout, slot: BanditSlot) -> SlotStanding:
    """What a slot has shown so far, and what it would show now."""
    store = SlotStore(layout.slots)
    try:
        counts, state = store.counts(slot.name), store.state(slot.name)
        reads = slot.bandit == "linucb" and slot.state == "running"
        contexts = [s.context for s in store.showings(slot.name)] if reads else []
    finally:
        store.close()
    rng = np.random.default_rng(7)
    filled = _slot(slot, state, rng)
    context = np.mean(contexts or [np.eye(len(CONTEXT))[0]], axis=0)
    chances = filled.chances(_relevance(slot), context) if slot.state == "running" else _first(slot)
    arms = []
    for i, arm in enumerate(slot.arms):
        shown, rewarded = counts.get(i, (0, 0))
        low, high = _wilson(rewarded, shown) if shown else (None, None)
        arms.append(
            ArmStanding(
                arm=arm,
                showings=shown,
                rewards=rewarded,
                rate=rewarded / shown if shown else None,
                low=low,
                high=high,
                chance=float(chances[i]),
            )
        )
    showings = sum(a.showings for a in arms)
    return SlotStanding(
        slot=slot,
        arms=tuple(arms),
        showings=showings,
        explored=showings - arms[0].showings,
        stopped=filled.stopped,
        simulated=layout.settings().simulated,
    )


class Slots:
    """The slots of one workspace, as a server or an event intake asks for them. Safe for many
    threads. seed: of what is drawn."""

    def __init__(self, layout: Layout, seed: int | None = None) -> None:
        self._layout = layout
        self._experiments = Experiments(layout.experiments_file)
        self._store = SlotStore(layout.slots)
        self._ledger = ConsentLedger(layout)
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._swept = 0.0
        self._lately: OrderedDict[tuple[str, str, str], tuple[float, SlotShowing]] = OrderedDict()

    def show(
        self,
        slot: BanditSlot,
        unit: str,
        query_id: str,
        *,
        text: str = "",
        further: bool = False,
        user_agent: str | None = None,
        usable: Callable[[SlotArm], bool] = lambda _: True,
        object_of: Callable[[SlotArm], str | None] = lambda _: None,
    ) -> SlotShowing | None:
        """Choose an arm for an answer with this query id and note it with its probability; None:
        everybody's, and nothing is noted.

        unit: the pseudonym of somebody whom analytics may read; it is not kept. The same person
        with the same text gets the same for half an hour. further: a later page of the same.
        usable: arms that can be shown now. object_of: what an arm shows, where rewards are of it.
        """
        if (
            slot.state != "running"
            or special_category(text)
            or (user_agent is not None and is_bot(user_agent))
        ):
            return None
        key = (slot.name, unit, text)
        now = time.monotonic()
        with self._lock:
            at, lately = self._lately.get(key, (0.0, None))
        can = np.array([usable(arm) for arm in slot.arms])
        try:
            if lately is not None and now - at < STICKY_SECONDS and can[lately.arm]:
                self._store.again(query_id, lately, object_of(slot.arms[lately.arm]))
                return lately
            if further or not can[0]:
                return None
            relevance = np.where(can, _relevance(slot), -np.inf)
            moment = datetime.now(UTC)
            context = context_of(text, user_agent, moment)

            def decide(state: str | None) -> tuple[SlotShowing, str]:
                with self._lock:
                    filled = _slot(slot, state, self._rng)
                    shown = filled.show(relevance, np.array(context))
                # A showing counts as one without success until one comes.
                filled.learn(shown, 0.0, np.array(context))
                showing = SlotShowing(
                    query_id=query_id,
                    slot=slot.name,
                    at=moment,
                    arm=shown.arm,
                    pscore=shown.pscore,
                    explored=shown.explored,
                    object_id=object_of(slot.arms[shown.arm]),
                    context=context,
                )
                return showing, json.dumps(filled.state())

            showing = self._store.show(slot.name, decide)
        except sqlite3.Error as error:
            # What cannot be noted with its probability is not tried.
            log.warning("slot %s: %s", slot.name, error)
            return None
        with self._lock:
            self._lately[key] = (now, showing)
            self._lately.move_to_end(key)
            if len(self._lately) > REMEMBERED:
                self._lately.popitem(last=False)
        return showing

    def failed(self, showing: SlotShowing) -> None:
        """It could not be shown after all. It stays a showing without success of its arm."""
        try:
            self._store.forget(showing)
        except sqlite3.Error as error:
            log.warning("slot %s: %s", showing.slot, error)
        with self._lock:
            for key in [k for k, (_, s) in self._lately.items() if s == showing]:
                del self._lately[key]

    def follow(self, rows: Sequence[AdmittedEvent]) -> int:
        """Learn from events that were just stored; how many rewards there were. What was shown just
        before a slot was stopped may still be rewarded."""
        book, now = self._experiments.book(), datetime.now(UTC)
        open_ = [
            s
            for s in (book.slots if book else ())
            if s.ended is None or now - s.ended <= timedelta(minutes=s.window)
        ]
        rewarded = 0
        for row in rows if open_ else ():
            if row["query_id"] is None or row["traffic"] != "shopper":
                continue
            for slot in open_:
                if row["action_name"] == slot.reward:
                    rewarded += self._reward(slot, row, row["query_id"])
        return rewarded

    def _reward(self, slot: BanditSlot, row: AdmittedEvent, query_id: str) -> bool:
        def wanted(showing: SlotShowing) -> bool:
            after = row["timestamp"] / SECOND - showing.at.timestamp()
            return (
                after <= slot.window * 60
                and showing.object_id in (None, row["object_id"])
                and self._ledger.refusal(Purpose.ANALYTICS, [Pseudonym(row["client"])]) is None
            )

        def learn(state: str | None, showing: SlotShowing) -> str:
            filled = _slot(slot, state, self._rng)
            shown = Shown(showing.arm, showing.pscore, showing.explored)
            filled.add(shown, 1.0, np.array(showing.context))
            return json.dumps(filled.state())

        try:
            return self._store.reward(query_id, slot.name, wanted, learn)
        except sqlite3.Error as error:
            # The event is stored already; it must not be sent again for this.
            log.warning("slot %s learned nothing from a reward: %s", slot.name, error)
            return False

    def refreshed(self) -> None:
        """To be called every few seconds: a slot that does harm is stopped for good, on record, and
        showings that are old enough are forgotten."""
        book = self._experiments.book()
        if time.monotonic() - self._swept > SWEEP_SECONDS:
            self._swept = time.monotonic()
            try:
                self._store.sweep()
            except sqlite3.Error as error:
                log.warning("old showings stay for now: %s", error)
        for slot in book.slots if book else ():
            if slot.state != "running" or (state := self._store.state(slot.name)) is None:
                continue
            if (why := json.loads(state)["stopped"]) is not None:
                try:
                    stop_slot(self._layout, slot.name, who=GUARD, why=f"stopped by itself: {why}")
                except TandemError as error:
                    log.error("slot %s could not be stopped: %s", slot.name, error.message)
                else:
                    log.warning("slot %s stopped by itself: %s", slot.name, why)

    def close(self) -> None:
        self._store.close()


class SlotDesk:
    """The slots of one workspace, as the server's routes ask for them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def standings(self) -> list[SlotStanding]:
        """Newest first."""
        slots = sorted(book_of(self._layout).slots, key=lambda s: s.started, reverse=True)
        return [slot_standing(self._layout, s) for s in slots]

    def standing(self, name: str) -> SlotStanding:
        return slot_standing(self._layout, slot_of(self._layout, name))

    def start(
        self,
        name: str,
        where: Where,
        arms: Sequence[SlotArm],
        *,
        who: str,
        why: str,
        place: int | None,
        bandit: BanditKind,
        reward: RewardAction,
        window: int,
        guardrails: SlotGuardrails,
    ) -> BanditSlot:
        return start_slot(
            self._layout,
            name,
            where,
            arms,
            who=who,
            why=why,
            place=place,
            bandit=bandit,
            reward=reward,
            window=window,
            guardrails=guardrails,
        )

    def stop(self, name: str, who: str, why: str) -> BanditSlot:
        return stop_slot(self._layout, name, who=who, why=why)


def context_of(text: str, user_agent: str | None, at: datetime) -> tuple[float, ...]:
    """The moment of a showing in the order of `CONTEXT`; nothing of the person."""
    hour = 2 * math.pi * (at.hour + at.minute / 60) / 24
    phone = user_agent is not None and any(word in user_agent for word in _PHONES)
    return (
        1.0,
        float(phone),
        min(len(text.split()), 6) / 6,
        float(any(c.isdigit() for c in text)),
        round(math.sin(hour), 4),
        round(math.cos(hour), 4),
        float(at.weekday() >= 5),
    )


def _slot(slot: BanditSlot, state: str | None, rng: Generator) -> Slot:
    bandit: Bandit = (
        ThompsonSampling(len(slot.arms))
        if slot.bandit == "thompson"
        else LinUCB(len(slot.arms), len(CONTEXT))
    )
    g = slot.guardrails
    filled = Slot(
        bandit,
        Guardrails(
            relevance=math.inf if g.relevance is None else g.relevance,
            budget=g.budget,
            harm=math.inf if g.harm is None else g.harm,
            least=g.least,
        ),
        rng,
    )
    if state is not None:
        filled.restore(json.loads(state))
    return filled


def _relevance(slot: BanditSlot) -> Array:
    """(arms,) of which the first is the highest."""
    return np.array([arm.relevance for arm in slot.arms])


def _first(slot: BanditSlot) -> Array:
    return np.array([1.0, *[0.0] * (len(slot.arms) - 1)])


def _wilson(rewards: int, showings: int) -> tuple[float, float]:
    """95% interval of a share (Wilson, JASA 1927)."""
    z, p = 1.96, rewards / showings
    middle = p + z**2 / (2 * showings)
    half = z * math.sqrt(p * (1 - p) / showings + z**2 / (4 * showings**2))
    scale = 1 + z**2 / showings
    return (middle - half) / scale, (middle + half) / scale
