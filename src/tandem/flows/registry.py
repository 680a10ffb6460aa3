"""The registry: candidates of every kind are tried, asked by gates, promoted or refused.

A ranker is one kind of artefact among others (`models`). Everything is on record, with who and why,
whatever the answer was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

from tandem.contracts.artefact import ArtefactKind, PromotedKind, Stage, Tried
from tandem.contracts.errors import Conflict, InvalidInput
from tandem.contracts.registry import Decision, Gate, GateName
from tandem.flows.artefacts import EVALUATION, artefact_of, evaluation_of
from tandem.flows.comparing import beside_live, privacy
from tandem.flows.experimenting import book_of
from tandem.flows.generations import go_live
from tandem.flows.trials import end_trial, no_canary, start_canary, start_shadow, still_live
from tandem.registry import tracking
from tandem.registry.decisions import Decisions
from tandem.registry.lineage import DataSet, job
from tandem.reports.card import card as card_of
from tandem.reports.page import Page
from tandem.storage.layout import Layout


def promote(
    layout: Layout,
    kind: PromotedKind,
    generation: str,
    *,
    who: str,
    why: str,
    override: Sequence[str] = (),
    approved_by: str | None = None,
) -> Decision:
    """Ask the gates, and make a candidate live when all of them pass or are overruled by name.

    The decision is recorded either way; its stage says which it was. Conflict when it is live
    already, or another one went live while the gates were asked.
    """
    live = waiting(layout, kind, generation)
    with job(layout, "promote", DataSet(kind, generation)) as running:
        asked = _asked(layout, kind, generation, override, approved_by)
        decision = decide(layout, kind, generation, asked, override, live=live, who=who, why=why)
        if decision.stage == "live":
            running.outputs.append(DataSet(f"{kind}/live", generation))
    return decision


def decide(
    layout: Layout,
    kind: ArtefactKind,
    generation: str,
    asked: tuple[Gate, ...],
    override: Sequence[str],
    *,
    live: str | None,
    who: str,
    why: str,
    switched: Callable[[], None] | None = None,
) -> Decision:
    """Live, unless gates stand in the way: then refused. live: what the gates were asked beside.
    switched: what belongs to going live, still in the lock."""
    if blocked := _in_the_way(asked, override):
        return _refused(layout, kind, generation, asked, blocked, live=live, who=who, why=why)
    with layout.writing():
        still_live(layout, kind, live)
        decision = go_live(layout, kind, generation, who=who, why=why, gates=asked)
        if switched is not None:
            switched()
    tracking.decided(layout, kind, decision)
    return decision


def shadow(
    layout: Layout, kind: PromotedKind, generation: str, *, share: float, who: str, why: str
) -> Decision:
    """Let a candidate answer a share of the real requests unseen, from the next second on. No gate
    is asked, since nobody sees it. Conflict while another one of its kind does."""
    tried = _triable(kind)
    live = waiting(layout, kind, generation)
    if not 0 < share <= 1:
        raise InvalidInput(f"{share}", field="share", remedy="give a share above 0, up to 1")

    def record() -> Decision:
        said: dict[str, Any] = {"who": who, "why": why, "share": share, "instead_of": live}
        return Decisions(layout.decisions).record(generation, "shadow", kind=kind, **said)

    decision = start_shadow(layout, tried, generation, share, record)
    tracking.decided(layout, kind, decision)
    return decision


def canary(
    layout: Layout,
    kind: PromotedKind,
    generation: str,
    *,
    share: float,
    who: str,
    why: str,
    override: Sequence[str] = (),
    approved_by: str | None = None,
    planned: int = 2_000,
) -> Decision:
    """Ask the gates, and serve a candidate to a small share of the people if they pass.

    It goes back by itself when it is slow, fails, or makes people click or buy less; see
    `tandem.flows.online`. Conflict while another one of its kind is a canary, where it would have
    no say, or when another one went live while the gates were asked.
    """
    tried = _triable(kind)
    live = waiting(layout, kind, generation)
    if not 0 < share <= 0.5:
        raise InvalidInput(
            f"{share}", field="share", remedy="a canary gets a share above 0, of at most a half"
        )
    if kind == "configurations" and layout.models.live() is not None:
        raise Conflict(
            "a learned ranker answers, in which tuned weights have no say",
            remedy="promote it after its gates, or try it against the ranker: tandem experiment "
            f"start NAME --variant control --variant tuned=hybrid@{generation}",
        )
    if live is None:
        raise Conflict(f"nothing of {kind} is live to go back to", remedy="promote one first")
    no_canary(book_of(layout), tried)  # told before the gates are asked, which takes its time
    asked = _asked(layout, kind, generation, override, approved_by)
    if blocked := _in_the_way(asked, override):
        return _refused(layout, kind, generation, asked, blocked, live=live, who=who, why=why)

    def record() -> Decision:
        overruled = tuple(g.name for g in asked if g.passed is not True)
        said: dict[str, Any] = {"who": who, "why": why, "share": share, "instead_of": live}
        return Decisions(layout.decisions).record(
            generation, "canary", kind=kind, gates=asked, overridden=overruled, **said
        )

    decision = start_canary(layout, tried, generation, share, record, beside=live, planned=planned)
    tracking.decided(layout, kind, decision)
    return decision


def withdraw(layout: Layout, kind: PromotedKind, name: str, *, who: str, why: str) -> Decision:
    """End a canary or a shadow, named by its generation or its experiment: from the next second on
    what is live answers everybody. NotFound without one."""
    generation = end_trial(layout, kind, name, who=who, why=why)
    return _recorded(layout, kind, generation, "candidate", who=who, why=why)


def _refused(
    layout: Layout,
    kind: ArtefactKind,
    generation: str,
    asked: tuple[Gate, ...],
    blocked: Sequence[GateName],
    *,
    live: str | None,
    who: str,
    why: str,
) -> Decision:
    """On record, with the gates that stood in the way."""
    return _recorded(
        layout,
        kind,
        generation,
        "candidate",
        who=who,
        why=f"refused by {', '.join(blocked)}; asked for because: {why}",
        instead_of=live,
        gates=asked,
    )


def waiting(layout: Layout, kind: ArtefactKind, generation: str) -> str | None:
    """What is live beside a candidate. NotFound for none of that name, Conflict for the live one
    itself."""
    generations = layout.generations(kind)
    generations.path(generation)
    if (live := generations.live()) == generation:
        raise Conflict(f"{generation} is live already", remedy="choose another generation")
    return live


def known_gates(override: Sequence[str]) -> None:
    """InvalidInput for a name that is no gate's."""
    for name in override:
        if name not in get_args(GateName):
            raise InvalidInput(
                f"no gate '{name}'",
                field="override",
                remedy=f"overrule one of: {', '.join(get_args(GateName))}",
            )


def _in_the_way(asked: Sequence[Gate], override: Sequence[str]) -> list[GateName]:
    """The gates that did not pass and were not overruled."""
    return [g.name for g in asked if g.passed is not True and g.name not in override]


def _asked(
    layout: Layout,
    kind: PromotedKind,
    generation: str,
    override: Sequence[str],
    approved_by: str | None,
) -> tuple[Gate, ...]:
    known_gates(override)
    return (
        *beside_live(layout, kind, generation),
        privacy(layout, kind, generation, approved_by),
    )


def _triable(kind: PromotedKind) -> Tried:
    """The kind, as one that may be tried; InvalidInput for another."""
    tried = next((k for k in get_args(Tried) if k == kind), None)
    if tried is None:
        raise InvalidInput(
            f"{kind} can be neither shadow nor canary",
            field="kind",
            remedy="promote it after its gates; shadows and canaries are for: "
            f"{', '.join(get_args(Tried))}",
        )
    found: Tried = tried
    return found


def _recorded(
    layout: Layout, kind: ArtefactKind, generation: str, stage: Stage, **said: Any
) -> Decision:
    """Record a decision, and tell a tracker that is configured."""
    decision = Decisions(layout.decisions).record(generation, stage, kind=kind, **said)
    tracking.decided(layout, kind, decision)
    return decision


def card(layout: Layout, kind: PromotedKind, generation: str) -> Page:
    """The card of a candidate or promoted generation, as of now."""
    artefact = artefact_of(layout, kind, generation)
    there = (layout.generations(kind).path(generation) / EVALUATION).exists()
    evaluation = evaluation_of(layout, kind, generation) if there else None
    simulated = layout.settings().simulated or bool(artefact.lineage.get("simulated"))
    return card_of(artefact, evaluation, simulated=simulated)
