"""Trials of candidates in a running shop: a shadow answers unseen, a canary a share of the people.

All that runs is in the book of experiments, which is changed as a whole: of two who start the same
at once, one is told that the other was first. What is decided is recorded before the book says it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from tandem.contracts.artefact import ArtefactKind, PromotedKind, Tried
from tandem.contracts.errors import Conflict, NotFound
from tandem.contracts.experiment import (
    CANARY_LAYER,
    CLICK_RATE,
    CONFIGURED,
    ExperimentBook,
    OnlineExperiment,
    SearchConfiguration,
    ShadowRequest,
    ShadowRun,
    ShadowStanding,
    Variant,
)
from tandem.contracts.registry import Decision
from tandem.contracts.running import Change
from tandem.flows.experimenting import ended, placed
from tandem.registry.day_log import DayLog
from tandem.registry.experiments import Experiments
from tandem.storage.layout import Layout

SHADOWED_DAYS = 90
Deciding = Callable[[], Decision]
"""Puts what was decided on record."""


def start_shadow(
    layout: Layout, kind: Tried, generation: str, share: float, decide: Deciding
) -> Decision:
    """From the next second on. Conflict while another one of its kind is a shadow."""
    decided: list[Decision] = []

    def edit(book: ExperimentBook) -> ExperimentBook:
        if (other := book.shadow_of(kind)) is not None and other.generation != generation:
            raise Conflict(
                f"{other.generation} is a shadow already", remedy=_withdraw(kind, other.generation)
            )
        decided.append(decide())
        run = ShadowRun(kind=kind, generation=generation, share=share, started=datetime.now(UTC))
        return _shadows(book, (*_others(book, kind), run))

    Experiments(layout.experiments_file).change(edit)
    return decided[0]


def start_canary(
    layout: Layout,
    kind: Tried,
    generation: str,
    share: float,
    decide: Deciding,
    *,
    beside: str,
    planned: int,
) -> Decision:
    """From the next second on; it is no shadow any more. Conflict while another one of its kind is
    a canary, or where `beside`, which it was held against, is not live any more."""
    decided: list[Decision] = []

    def edit(book: ExperimentBook) -> ExperimentBook:
        no_canary(book, kind)
        still_live(layout, kind, beside)
        decided.append(decide())
        decision = decided[0]
        canary = OnlineExperiment(
            name=f"canary-{decision.number}",
            kind="canary",
            of=kind,
            # A layer for each kind: people in a canary of one may be in one of the other.
            layer=f"{CANARY_LAYER}-{kind}",
            variants=(
                Variant(name="control", weight=1 - share),
                Variant(
                    name="canary",
                    weight=share,
                    configuration=SearchConfiguration.model_validate(
                        {CONFIGURED[kind]: generation}
                        | ({"ranker": "ltr"} if kind == "models" else {})
                    ),
                ),
            ),
            # Of recommendations there are no searches to divide by.
            success=("clicks",) if kind in ("recommenders", "feeds") else CLICK_RATE,
            planned=planned,
            started=decision.at,
            changes=(Change(at=decision.at, who=decision.who, what="started", why=decision.why),),
        )
        return placed(without_shadow(book, kind, generation), canary)

    Experiments(layout.experiments_file).change(edit)
    return decided[0]


def end_trial(layout: Layout, kind: PromotedKind, name: str, *, who: str, why: str) -> str:
    """End a canary or a shadow, named by its generation or its experiment; its generation.
    NotFound without one."""
    found: list[str] = []

    def edit(book: ExperimentBook) -> ExperimentBook:
        running, shadow = book.canary_of(kind), book.shadow_of(kind)
        if running is not None and name in (running.tried, running.name):
            found.append(str(running.tried))
            return _ended(book, running, who, why)
        if shadow is not None and shadow.generation == name:
            found.append(name)
            return without_shadow(book, kind, name)
        raise NotFound(
            f"'{name}' is neither canary nor shadow",
            remedy=f"see: tandem models list --kind {kind}",
        )

    Experiments(layout.experiments_file).change(edit)
    return found[0]


def end_trials(
    layout: Layout, kind: ArtefactKind, generation: str, *, who: str, why: str, every: bool = True
) -> None:
    """A generation went live, or was retired: it is no shadow any more. every: the canary of its
    kind ends whatever it tries, since it was held against another live one."""

    def edit(book: ExperimentBook) -> ExperimentBook:
        book = without_shadow(book, kind, generation)
        running = book.canary_of(kind)
        if running is None or not (every or running.tried == generation):
            return book
        return _ended(book, running, who, why)

    if layout.experiments_file.exists():
        Experiments(layout.experiments_file).change(edit)


def no_canary(book: ExperimentBook, kind: Tried) -> None:
    if (running := book.canary_of(kind)) is not None:
        raise Conflict(
            f"{running.tried} is a canary already", remedy=_withdraw(kind, str(running.tried))
        )


def still_live(layout: Layout, kind: ArtefactKind, beside: str | None) -> None:
    """Conflict where another one went live than the one that gates were asked beside."""
    if (now := layout.generations(kind).live()) != beside:
        raise Conflict(
            f"{now} went live while the gates were asked", remedy="ask again: it is held against it"
        )


def without_shadow(book: ExperimentBook, kind: ArtefactKind, generation: str) -> ExperimentBook:
    gone = (kind, generation)
    return _shadows(book, (s for s in book.shadows if (s.kind, s.generation) != gone))


def _others(book: ExperimentBook, kind: Tried) -> Iterable[ShadowRun]:
    return (s for s in book.shadows if s.kind != kind)


def _shadows(book: ExperimentBook, shadows: Iterable[ShadowRun]) -> ExperimentBook:
    return book.model_copy(update={"shadows": tuple(shadows)})


def _ended(book: ExperimentBook, one: OnlineExperiment, who: str, why: str) -> ExperimentBook:
    found = tuple(ended(e, who, why) if e.name == one.name else e for e in book.experiments)
    return book.model_copy(update={"experiments": found})


def _withdraw(kind: Tried, generation: str) -> str:
    of = "" if kind == "models" else f" --kind {kind}"
    return f"end it: tandem models withdraw {generation}{of}"


def shadow_standing(layout: Layout, kind: ArtefactKind, generation: str) -> ShadowStanding:
    """What running as a shadow has shown so far."""
    log: DayLog[ShadowRequest] = DayLog(layout.shadowed, ShadowRequest, SHADOWED_DAYS)
    rows = [r for r in log.records() if (r.kind, r.generation) == (kind, generation)]
    done = [r for r in rows if r.shadow_ms is not None]

    def over(values: Sequence[float | bool | None]) -> list[float]:
        return [float(v) for v in values if v is not None]

    def mean(values: Sequence[float | bool | None]) -> float | None:
        return statistics.fmean(over(values)) if over(values) else None

    def middle(values: Sequence[float | None]) -> float | None:
        return statistics.median(over(values)) if over(values) else None

    return ShadowStanding(
        generation=generation,
        requests=len(rows),
        failed=len(rows) - len(done),
        overlap=mean([r.overlap for r in done]),
        identical=mean([r.overlap == 1 for r in done if r.overlap is not None]),
        same_first=mean([r.same_first for r in done]),
        live_ms=middle([r.live_ms for r in done]),
        shadow_ms=middle([r.shadow_ms for r in done]),
    )
