"""`tandem experiment start|status|ramp|stop|explore|holdout`: experiments in a running shop."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json
from tandem.cli.experiments import experiment_app, names
from tandem.contracts.errors import InvalidInput
from tandem.contracts.experiment import OnlineExperiment, SearchConfiguration, Variant

NameArgument = Annotated[str, typer.Argument(help="Name of the experiment.")]
WhyOption = Annotated[str, typer.Option(help="Why, in a sentence; it is kept.")]
WhoOption = Annotated[str | None, typer.Option(help="Who decides; default: who runs this.")]


def who_decides(given: str | None) -> str:
    from tandem.governance.audit import os_actor

    return given or os_actor()


def variant_of(text: str) -> Variant:
    """NAME, NAME=RANKER, NAME=RANKER@GENERATION or NAME=-rewrite / NAME=-rules, and for a share
    other than the others' `:WEIGHT` behind it."""
    body, _, weight = text.partition(":")
    name, _, setting = body.partition("=")
    ranker, _, model = setting.partition("@")
    values: dict[str, object] = {}
    if setting in ("-rewrite", "-rules"):
        values[setting[1:]] = False
    elif setting:
        # A generation is of the model where a model ranks, else of what the system is made of.
        named = {"bm25": "weights", "hybrid": "weights", "cross": "cross"}
        of = named.get(ranker, "model")
        values = {"ranker": ranker or "ltr", **({of: model} if model else {})}
    try:
        share = float(weight) if weight else 1.0
        configuration = SearchConfiguration.model_validate(values)
        return Variant(name=name, weight=share, configuration=configuration)
    except ValueError:
        raise InvalidInput(
            f"'{text}' is no variant",
            field="variant",
            remedy="write control, treatment=bm25, treatment=ltr@GENERATION, "
            "treatment=hybrid@GENERATION or treatment=bm25:0.2",
        ) from None


@experiment_app.command("start")
def start_command(
    name: NameArgument,
    variant: Annotated[
        list[str],
        typer.Option(
            help="Repeat: first the control. NAME, NAME=RANKER, NAME=RANKER@GENERATION (of the "
            "model; of bm25 and hybrid the tuned weights, of cross the cross-encoder), "
            "NAME=-rewrite (no spelling correction), NAME=-rules (no merchandising rules); "
            "with :WEIGHT behind it for another share."
        ),
    ],
    why: WhyOption,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    layer: Annotated[str, typer.Option(help="Experiments of one exclude each other.")] = "search",
    share: Annotated[float, typer.Option(min=0.0001, max=1, help="Of the layer's people.")] = 1.0,
    ramp: Annotated[float, typer.Option(min=0, max=1, help="Of those, who take part.")] = 1.0,
    success: Annotated[
        str | None,
        typer.Option(help="By comma; default: click_rate=searches_clicked/searches."),
    ] = None,
    guardrails: Annotated[str | None, typer.Option(help="By comma; default: orders.")] = None,
    planned: Annotated[
        int, typer.Option(min=10, help="People of both arms; fix it before the first look.")
    ] = 10_000,
    who: WhoOption = None,
    json_: JsonOption = False,
) -> None:
    """Start an experiment: servers of the shop assign people within seconds.

    Example: `tandem experiment start words --variant control --variant words=bm25 --why "a test"`
    """
    from tandem.flows.experimenting import start
    from tandem.storage.layout import Layout

    made = start(
        Layout.open(workspace),
        name,
        [variant_of(v) for v in variant],
        who=who_decides(who),
        why=why,
        layer=layer,
        share=share,
        ramp=ramp,
        success=names(success),
        guardrails=names(guardrails),
        planned=planned,
    )
    _tell(made, json_)


@experiment_app.command("status")
def status_command(
    name: Annotated[str | None, typer.Argument(help="One experiment; default: all.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Health first, then what the stored events show so far; valid however often it is looked at.

    Example: `tandem experiment status words -w shop --json`
    """
    from tandem.flows.experimenting import book_of, experiment_of, standing
    from tandem.governance.audit import os_actor
    from tandem.storage.layout import Layout

    layout = Layout.open(workspace)
    chosen = [experiment_of(layout, name)] if name else list(book_of(layout).experiments)
    found = [standing(layout, e, actor=os_actor()) for e in chosen]
    if json_:
        print_json({"experiments": [f.model_dump(mode="json") for f in found]})
        return
    for f in found:
        e, health = f.experiment, f.health
        simulated = "  [bold]SIMULATED DATA[/]" if f.simulated else ""
        out.print(f"[bold]{e.name}[/] {e.kind}, {e.state} since {e.started:%Y-%m-%d}{simulated}")
        if health is None:
            out.print("  nobody was exposed yet, or nobody of whom analytics may read")
            continue
        sizes = ", ".join(f"{v} {n:,}" for v, n in health.exposed.items())
        fits = "[bold red]does not fit the plan[/]" if health.mismatch else "fits the plan"
        out.print(f"  people: {sizes} of {e.planned:,} planned; this {fits} (p = {health.p:.2g})")
        if health.crossed:
            out.print(f"  {health.crossed:,} people saw two variants and are left out")
        table = Table(box=None)
        for head in ("variant", "metric", "control", "treatment", "always valid", "p"):
            table.add_column(head, justify="left" if head in ("variant", "metric") else "right")
        for treatment, analysis in f.analyses.items():
            for metric, m in analysis["metrics"].items():
                table.add_row(
                    treatment,
                    metric + (" (guardrail)" if m["role"] == "guardrail" else ""),
                    f"{m['control']:.4g}",
                    f"{m['treatment']:.4g}",
                    f"{m['always_low']:+.4g} … {m['always_high']:+.4g}",
                    f"{m['always_p']:.3f}",
                )
        out.print(table)
        if f.verdict:
            out.print(f"  [bold]{f.verdict.replace('_', ' ')}[/]: {f.because}.")
    if not found:
        out.print("No experiment was started yet; see: tandem experiment start --help")


@experiment_app.command("ramp")
def ramp_command(
    name: NameArgument,
    to: Annotated[float, typer.Argument(min=0, max=1, help="The share that takes part.")],
    why: WhyOption,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    who: WhoOption = None,
    json_: JsonOption = False,
) -> None:
    """Let more people take part; nobody changes variant.

    Example: `tandem experiment ramp words 0.5 --why "nothing broke" -w shop`
    """
    from tandem.flows.experimenting import widen
    from tandem.storage.layout import Layout

    _tell(widen(Layout.open(workspace), name, to, who=who_decides(who), why=why), json_)


@experiment_app.command("stop")
def stop_command(
    name: NameArgument,
    why: WhyOption,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    who: WhoOption = None,
    json_: JsonOption = False,
) -> None:
    """The kill switch: from the next second on everybody is served as if it did not exist.

    Example: `tandem experiment stop words --why "clicks fell" -w shop`
    """
    from tandem.flows.experimenting import stop
    from tandem.storage.layout import Layout

    _tell(stop(Layout.open(workspace), name, who=who_decides(who), why=why), json_)


@experiment_app.command("holdout")
def holdout_command(
    share: Annotated[float, typer.Argument(min=0, max=0.99, help="Of people in no experiment.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Keep a share of the people out of every experiment, for good.

    Example: `tandem experiment holdout 0.05 -w shop`
    """
    from tandem.flows.experimenting import hold_out
    from tandem.storage.layout import Layout

    hold_out(Layout.open(workspace), share)
    out.print(f"{share:.1%} of the people are in no experiment.")


@experiment_app.command("explore")
def explore_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    share: Annotated[float, typer.Option(min=0, max=1, help="Of searches; 0 turns it off.")] = 0.05,
    method: Annotated[str, typer.Option(help="plackett_luce or swap.")] = "plackett_luce",
    top: Annotated[int, typer.Option(min=2, max=6, help="First places that are drawn.")] = 5,
    steepness: Annotated[
        float, typer.Option(min=0.01, max=10, help="The higher, the closer to the ranking.")
    ] = 2.0,
) -> None:
    """Draw the first places of some searches by lot, and log with what probability.

    Example: `tandem experiment explore --share 0.05 --top 5 -w shop`
    """
    from pydantic import ValidationError

    from tandem.contracts.experiment import Exploration
    from tandem.flows.experimenting import explore
    from tandem.storage.layout import Layout

    layout = Layout.open(workspace)
    if share == 0:
        explore(layout, None)
        out.print("Nothing is explored any more.")
        return
    values = {"method": method, "top": top, "steepness": steepness, "share": share}
    try:
        policy = Exploration.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(
            first["msg"], field=str(first["loc"][0]), remedy="see --help for what may be given"
        ) from None
    explore(layout, policy)
    out.print(f"The first {top} places of {share:.1%} of searches are drawn by {method}.")


def _tell(made: OnlineExperiment, json_: bool) -> None:
    if json_:
        print_json(made.model_dump(mode="json"))
        return
    weights = sum(v.weight for v in made.variants)
    arms = ", ".join(f"{v.name} {v.weight / weights:.0%}" for v in made.variants)
    out.print(f"[bold]{made.name}[/] {made.state}: {arms}; ramp {made.ramp:.0%}")
