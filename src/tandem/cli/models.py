"""`tandem models …` and `tandem trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.markup import escape
from rich.table import Table

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json
from tandem.contracts.artefact import PromotedKind
from tandem.contracts.registry import Artefact, Decision, RegisteredModel

models_app = typer.Typer(
    no_args_is_help=True, help="The model registry: what there is, what is live, and why."
)

GenerationArgument = Annotated[str, typer.Argument(help="A model generation, from `models list`.")]
WhoOption = Annotated[str | None, typer.Option(help="Who decides; default: who runs this.")]
WhyOption = Annotated[str, typer.Option(help="Why, in a sentence; it is kept with the decision.")]
KindOption = Annotated[
    PromotedKind,
    typer.Option(
        help="Of what: models (rankers), or one of " + ", ".join(get_args(PromotedKind)[1:])
    ),
]


def _who(given: str | None) -> str:
    from tandem.governance.audit import os_actor

    return given or os_actor()


@models_app.command("list")
def list_(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    kind: KindOption = "models",
    json_: JsonOption = False,
) -> None:
    """Every ranker there is, newest first, with its stage and cross-validated quality; with --kind
    the generations of another kind.

    Example: `tandem models list --kind recommenders -w shop`
    """
    from tandem.flows.artefacts import artefacts
    from tandem.storage.layout import Layout

    found = artefacts(Layout.open(workspace), (kind,))
    if json_:
        print_json({"models" if kind == "models" else "artefacts": [_json(a) for a in found]})
        return
    table = Table(box=None, pad_edge=False)
    of_rankers = ("model",) if kind == "models" else ()
    for column in ("generation", "stage", *of_rankers, "nDCG@10", "who", "why"):
        table.add_column(column, no_wrap=column == "generation")
    for a in found:
        last = a.decisions[-1] if a.decisions else None
        measured = a.lineage.get("metrics", {}).get("nDCG@10")
        table.add_row(
            a.generation,
            _stage(a.stage),
            *(str(a.lineage.get(name, "")) for name in of_rankers),
            f"{measured['mean']:.3f}" if isinstance(measured, dict) else "",
            escape(last.who) if last else "",
            escape(last.why) if last else "",
        )
    out.print(table)


@models_app.command("show")
def show(
    generation: GenerationArgument,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    kind: KindOption = "models",
    json_: JsonOption = False,
) -> None:
    """Lineage of a ranker, or of another kind, and every decision about it.

    Example: `tandem models show g000002-20260301T120000 -w shop`
    """
    from tandem.flows.artefacts import artefact_of
    from tandem.storage.layout import Layout

    found = artefact_of(Layout.open(workspace), kind, generation)
    if json_:
        print_json(_json(found))
        return
    out.print(f"[bold]{found.generation}[/] {_stage(found.stage)} · {found.kind}")
    for name, value in found.lineage.items():
        if isinstance(value, str | int | float) or value is None:
            out.print(f"  {name.replace('_', ' ')}: {value}", highlight=False, markup=False)
    for measure, value in found.lineage.get("metrics", {}).items():
        if isinstance(value, dict) and "low" in value:
            out.print(f"  {measure} {_interval(value)} (queries that it had not seen)")
    if (seen := found.shadowed) is not None and seen.overlap is not None:
        out.print(
            f"  as a shadow: {seen.requests:,} requests, {seen.failed} failed; shares "
            f"{seen.overlap:.0%} of the first ten, the first one in {seen.same_first:.0%}; "
            f"median {seen.shadow_ms:.1f} ms beside {seen.live_ms:.1f} ms",
            highlight=False,
        )
    for decision in found.decisions:
        _show_decision(decision)


def _json(a: Artefact) -> dict[str, Any]:
    return (RegisteredModel.of(a) if a.kind == "models" else a).model_dump(mode="json")


@models_app.command("promote")
def promote(
    generation: GenerationArgument,
    why: WhyOption,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    who: WhoOption = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            help="Overrule quality, latency, exposure or privacy; it is kept with the decision. "
            "Repeat for more."
        ),
    ] = None,
    approved_by: Annotated[
        str | None,
        typer.Option(help="Who approved learning from people's clicks, for the privacy gate."),
    ] = None,
    kind: KindOption = "models",
    json_: JsonOption = False,
) -> None:
    """Make a candidate live if it is no worse, no slower and no less fair than what is live.

    The decision is kept either way. Exit code 1 when it was refused.

    Example: `tandem models promote g000002-20260301T120000 --why "more judgments" -w shop`
    """
    from tandem.flows.registry import promote as promote_
    from tandem.storage.layout import Layout

    decision = promote_(
        Layout.open(workspace),
        kind,
        generation,
        who=_who(who),
        why=why,
        override=override or (),
        approved_by=approved_by,
    )
    if json_:
        print_json(decision.model_dump(mode="json"))
    else:
        _show_decision(decision)
        if decision.stage == "live":
            out.print(f"[bold]{generation}[/] is live. A running server takes it up on refresh.")
        else:
            out.print(f"[yellow]Not promoted[/]: {generation} stays a candidate.")
    if decision.stage != "live":
        raise typer.Exit(1)


@models_app.command("shadow")
def shadow(
    generation: GenerationArgument,
    why: WhyOption,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    share: Annotated[float, typer.Option(help="Of requests that it answers, unseen.")] = 0.1,
    who: WhoOption = None,
    kind: KindOption = "models",
    json_: JsonOption = False,
) -> None:
    """Let a candidate answer real requests in the background, unseen: does it agree, is it quick?

    Example: `tandem models shadow g000002-20260301T120000 --why "is it quick?" -w shop`
    """
    from tandem.flows.registry import shadow as shadow_
    from tandem.storage.layout import Layout

    layout = Layout.open(workspace)
    _tell(shadow_(layout, kind, generation, share=share, who=_who(who), why=why), json_)


@models_app.command("canary")
def canary(
    generation: GenerationArgument,
    why: WhyOption,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    share: Annotated[float, typer.Option(help="Of people who get it, a half at most.")] = 0.05,
    who: WhoOption = None,
    override: Annotated[
        list[str] | None, typer.Option(help="Overrule a gate, as in promote. Repeat for more.")
    ] = None,
    approved_by: Annotated[
        str | None, typer.Option(help="Who approved learning from people's clicks.")
    ] = None,
    kind: KindOption = "models",
    json_: JsonOption = False,
) -> None:
    """Serve a candidate to a small share of the people, if the gates let it pass. It goes back by
    itself when it is slow, fails, or makes people click or buy less. Exit code 1 when refused.

    Example: `tandem models canary g000002-20260301T120000 --share 0.05 --why "better offline"`
    """
    from tandem.flows.registry import canary as canary_
    from tandem.storage.layout import Layout

    decision = canary_(
        Layout.open(workspace),
        kind,
        generation,
        share=share,
        who=_who(who),
        why=why,
        override=override or (),
        approved_by=approved_by,
    )
    _tell(decision, json_)
    if decision.stage != "canary":
        raise typer.Exit(1)


@models_app.command("withdraw")
def withdraw(
    generation: GenerationArgument,
    why: WhyOption,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    who: WhoOption = None,
    kind: KindOption = "models",
    json_: JsonOption = False,
) -> None:
    """End a canary or a shadow at once; the live model answers everybody.

    Example: `tandem models withdraw g000002-20260301T120000 --why "enough seen" -w shop`
    """
    from tandem.flows.registry import withdraw as withdraw_
    from tandem.storage.layout import Layout

    _tell(withdraw_(Layout.open(workspace), kind, generation, who=_who(who), why=why), json_)


def _tell(decision: Decision, json_: bool) -> None:
    if json_:
        print_json(decision.model_dump(mode="json"))
    else:
        _show_decision(decision)


@models_app.command("rollback")
def rollback(
    why: WhyOption,
    to: Annotated[str | None, typer.Option(help="Generation; default: the one before.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    who: WhoOption = None,
    kind: KindOption = "models",
    json_: JsonOption = False,
) -> None:
    """Make an older ranker live again, at once: one atomic switch, no gates, kept with its reason.

    Example: `tandem models rollback --why "clicks fell" -w shop`
    """
    from tandem.flows.artefacts import roll_back_artefact
    from tandem.storage.layout import Layout

    decision = roll_back_artefact(Layout.open(workspace), kind, to, who=_who(who), why=why)
    if json_:
        print_json(decision.model_dump(mode="json"))
    else:
        out.print(f"{decision.instead_of} → [bold]{decision.generation}[/]")


@models_app.command("card")
def card(
    generation: GenerationArgument,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    output: Annotated[
        Path | None, typer.Option("--out", help="Write HTML or Markdown, by its ending.")
    ] = None,
    kind: KindOption = "models",
) -> None:
    """The model card: what it is, what it learned from, how good it is, for whom, and what not.

    Example: `tandem models card g000002-20260301T120000 -w shop --out card.html`
    """
    from tandem.flows.registry import card as card_
    from tandem.storage.atomic import write_atomic
    from tandem.storage.layout import Layout

    page = card_(Layout.open(workspace), kind, generation)
    if output is None:
        out.print(page.markdown(), markup=False, highlight=False, soft_wrap=True)
    else:
        text = page.html() if output.suffix == ".html" else page.markdown()
        write_atomic(output, text.encode())
        out.print(f"Written to {output}.")


def trace(
    query_id: Annotated[str, typer.Argument(help="From a search's answer or its headers.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Which models, data, weights, rules, experiments and decisions a served result came from.

    Example: `tandem trace 5b0c6d1ab2f34ad3a1f6e8b0c9d7e123 -w shop`
    """
    from tandem.flows.tracing import trace as trace_
    from tandem.storage.layout import Layout

    found = trace_(Layout.open(workspace), query_id)
    if json_:
        print_json(found.model_dump(mode="json"))
        return
    served = found.served
    by = f" by {served.ranker}" if served.kind == "search" else ""
    out.print(
        f"[bold]{served.query_id}[/] {served.kind} served {served.at:%Y-%m-%d %H:%M:%S} UTC{by} "
        f"in {served.milliseconds:.1f} ms: {len(served.products)} of {served.total:,} matches"
    )
    index = found.index
    out.print(
        f"  index {served.index_generation}"
        + (f", {index['products']:,} products" if index and "products" in index else "")
        + ("" if index else " [yellow](gone by now)[/]")
    )
    if served.model_generation and not any(
        part.generation == served.model_generation for part in found.parts
    ):
        model = found.model
        out.print(
            f"  model {served.model_generation} "
            + (f"({model.model}, now {model.stage})" if model else "[yellow](gone by now)[/]")
        )
        if model:
            lineage = model.lineage
            out.print(
                f"    learned from judgments '{lineage['judgments']}', {lineage['queries']} "
                f"queries, fingerprint {lineage['data_fingerprint'][:16]}, seed {lineage['seed']}"
            )
            for decision in model.decisions:
                _show_decision(decision)
    if served.encoder:
        out.print(f"  embedded with {served.encoder}", highlight=False)
    for part in found.parts:
        held = part.artefact
        out.print(
            f"  {part.kind} {part.generation} "
            + (f"(now {held.stage})" if held else "[yellow](gone by now)[/]")
        )
        for decision in held.decisions if held else ():
            _show_decision(decision)
    if served.personal:
        out.print("  personal: moved by what the visitor lets the shop know")
    for slot in found.slots:
        shown = served.slots[slot.name]
        out.print(
            f"  slot {slot.name}: {shown.arm}, with probability {shown.pscore:.3f} "
            f"(now {slot.state})"
        )
    for experiment in found.experiments:
        variant = served.experiments[experiment.name]
        out.print(f"  {experiment.kind} {experiment.name}: {variant} (now {experiment.state})")
    if served.explored:
        out.print(f"  explored: the first places were drawn by {served.explored.method}")
    rules = served.policy or "none"
    if found.rules:
        rules += f" {found.rules.generation}"
    out.print(f"  rules {rules}{'' if found.rules_unchanged else ' (changed since)'}")
    for place, product in enumerate(served.products, start=1):
        out.print(f"  {place:>3}  {product}", highlight=False, markup=False)


def _show_decision(decision: Decision) -> None:
    out.print(
        f"  {decision.number:>3}. {decision.at:%Y-%m-%d %H:%M} {_stage(decision.stage)} by "
        f"{escape(decision.who)}: {escape(decision.why)}"
    )
    for gate in decision.gates:
        mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[yellow]?[/]"}[gate.passed]
        overruled = " [yellow](overruled)[/]" if gate.name in decision.overridden else ""
        out.print(f"       {mark} {gate.name}: {escape(gate.says)}{overruled}", soft_wrap=True)


def _stage(stage: str) -> str:
    colours = {"live": "green", "canary": "cyan", "shadow": "magenta", "candidate": "yellow"}
    colour = colours.get(stage, "dim")
    return f"[{colour}]{stage}[/]"


def _interval(value: Any) -> str:
    return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" if value else ""
