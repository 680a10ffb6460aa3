"""`tandem experiment slot …`: places where a bandit tries what earns most."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json
from tandem.cli.experiments import experiment_app
from tandem.cli.online import WhoOption, WhyOption, who_decides
from tandem.contracts.errors import InvalidInput
from tandem.contracts.slot import SlotArm

slot_app = typer.Typer(
    no_args_is_help=True, help="Slots: a bandit tries what earns most, within guardrails."
)
experiment_app.add_typer(slot_app, name="slot")

NameArgument = Annotated[str, typer.Argument(help="Name of the slot.")]


def arm_of(text: str) -> SlotArm:
    """VALUE, NAME=VALUE or, for what is there without the slot, NAME= ; with @RELEVANCE behind."""
    body, _, relevance = text.partition("@")
    name, named, value = body.partition("=")
    values: dict[str, object] = {"name": name, "value": (value or None) if named else name}
    try:
        if relevance:
            values["relevance"] = float(relevance)
        return SlotArm.model_validate(values)
    except ValueError:
        raise InvalidInput(
            f"'{text}' is no arm",
            field="arm",
            remedy="write bm25, words=bm25, plain= (as it is), or words=bm25@0.7",
        ) from None


@slot_app.command("start")
def start_command(
    name: NameArgument,
    where: Annotated[
        str,
        typer.Option(
            help="search (which ranker answers), feed (a product in one place), or page (what a "
            "page asks for by the slot's name)."
        ),
    ],
    arm: Annotated[
        list[str],
        typer.Option(
            help="Repeat: first what everybody gets without it. VALUE or NAME=VALUE, NAME= for as "
            "it is; @RELEVANCE behind, for the guardrail."
        ),
    ],
    why: WhyOption,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    place: Annotated[int | None, typer.Option(min=1, max=60, help="In the feed, from 1.")] = None,
    bandit: Annotated[str, typer.Option(help="thompson or linucb.")] = "thompson",
    reward: Annotated[str, typer.Option(help="click, add_to_cart or purchase.")] = "click",
    window: Annotated[int, typer.Option(min=1, help="Minutes in which a reward counts.")] = 60,
    budget: Annotated[
        float, typer.Option(min=0.001, max=1, help="The most that others than the first may get.")
    ] = 0.2,
    relevance: Annotated[
        float | None, typer.Option(min=0, help="Arms further below the first are never shown.")
    ] = None,
    harm: Annotated[
        float, typer.Option(min=0, help="Stop when others surely earn so much less a showing.")
    ] = 0.0,
    least: Annotated[int, typer.Option(min=20, help="Showings before harm is asked.")] = 200,
    who: WhoOption = None,
    json_: JsonOption = False,
) -> None:
    """Start a slot: servers of the shop try its arms within seconds.

    Example: `tandem experiment slot start rankers --where search --arm ltr --arm bm25 --why "try"`
    """
    from typing import get_args

    from tandem.contracts.slot import BanditKind, RewardAction, SlotGuardrails, Where
    from tandem.flows.slots import start_slot
    from tandem.storage.layout import Layout

    for field, value, known in (
        ("where", where, get_args(Where)),
        ("bandit", bandit, get_args(BanditKind)),
        ("reward", reward, get_args(RewardAction)),
    ):
        if value not in known:
            raise InvalidInput(
                f"'{value}' is not known", field=field, remedy=f"use one of: {', '.join(known)}"
            )
    made = start_slot(
        Layout.open(workspace),
        name,
        where,  # type: ignore[arg-type]
        [arm_of(a) for a in arm],
        who=who_decides(who),
        why=why,
        place=place,
        bandit=bandit,  # type: ignore[arg-type]
        reward=reward,  # type: ignore[arg-type]
        window=window,
        guardrails=SlotGuardrails(relevance=relevance, budget=budget, harm=harm, least=least),
    )
    if json_:
        print_json(made.model_dump(mode="json"))
        return
    arms = ", ".join(a.name for a in made.arms)
    out.print(
        f"[bold]{made.name}[/] {made.state} in {made.where}: {arms}; others than the first in at "
        f"most {made.guardrails.budget:.0%} of the showings"
    )


@slot_app.command("status")
def status_command(
    name: Annotated[str | None, typer.Argument(help="One slot; default: all.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """What each arm has shown and earned, and its chance now.

    Example: `tandem experiment slot status rankers -w shop --json`
    """
    from tandem.flows.experimenting import book_of
    from tandem.flows.slots import slot_of, slot_standing
    from tandem.storage.layout import Layout

    layout = Layout.open(workspace)
    chosen = [slot_of(layout, name)] if name else list(book_of(layout).slots)
    found = [slot_standing(layout, s) for s in chosen]
    if json_:
        print_json({"slots": [f.model_dump(mode="json") for f in found]})
        return
    for f in found:
        s = f.slot
        simulated = "  [bold]SIMULATED DATA[/]" if f.simulated else ""
        at = f" {s.where}" + (f", place {s.place}" if s.place else "")
        out.print(f"[bold]{s.name}[/]{at}, {s.bandit}, {s.state}{simulated}")
        if s.state == "stopped" and s.changes:
            out.print(f"  {s.changes[-1].who}: {s.changes[-1].why}", markup=False)
        table = Table(box=None)
        for head in ("arm", "showings", s.reward + "s", "rate", "95%", "chance now"):
            table.add_column(head, justify="left" if head == "arm" else "right")
        for a in f.arms:
            known = a.rate is not None and a.low is not None and a.high is not None
            table.add_row(
                a.arm.name,
                f"{a.showings:,}",
                f"{a.rewards:,}",
                f"{a.rate:.3f}" if known else "",
                f"{a.low:.3f} – {a.high:.3f}" if known else "",
                f"{a.chance:.0%}",
            )
        out.print(table)
    if not found:
        out.print("No slot was started yet; see: tandem experiment slot start --help")


@slot_app.command("stop")
def stop_command(
    name: NameArgument,
    why: WhyOption,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    who: WhoOption = None,
    json_: JsonOption = False,
) -> None:
    """The kill switch: from the next second on everybody gets the first arm.

    Example: `tandem experiment slot stop rankers --why "enough seen" -w shop`
    """
    from tandem.flows.slots import stop_slot
    from tandem.storage.layout import Layout

    made = stop_slot(Layout.open(workspace), name, who=who_decides(who), why=why)
    if json_:
        print_json(made.model_dump(mode="json"))
        return
    out.print(f"[bold]{made.name}[/] {made.state}: everybody gets {made.arms[0].name}")
