"""`tandem experiment`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tandem.cli.console import JsonOption, out, print_json

experiment_app = typer.Typer(no_args_is_help=True, help="Plan and analyse controlled experiments.")


def names(text: str | None) -> tuple[str, ...]:
    """Names given by comma, each once."""
    return tuple(dict.fromkeys(s.strip() for s in (text or "").split(",") if s.strip()))


@experiment_app.command("analyse")
def analyse_command(
    file: Annotated[Path, typer.Argument(help="One row per unit: CSV, JSON lines or Parquet.")],
    control: Annotated[str, typer.Option(help="Name of the control variant.")] = "control",
    treatment: Annotated[
        str | None, typer.Option(help="Name of the treatment; default: the other variant.")
    ] = None,
    success: Annotated[
        str | None,
        typer.Option(help="Success metrics, by comma: COLUMN or NAME=COLUMN/COLUMN; default: all."),
    ] = None,
    guardrails: Annotated[
        str | None, typer.Option(help="Metrics that must not get worse, by comma.")
    ] = None,
    less_is_better: Annotated[
        str | None, typer.Option(help="Metrics of which less is better, by comma.")
    ] = None,
    shares: Annotated[
        str | None, typer.Option(help="Planned shares, control first, by comma; default: equal.")
    ] = None,
    planned: Annotated[
        int, typer.Option(min=10, help="Units planned for both arms; fix it before the first look.")
    ] = 10_000,
    alpha: Annotated[float, typer.Option(min=0.0001, max=0.5, help="False alarm rate.")] = 0.05,
    name: Annotated[
        str | None, typer.Option(help="What the test is called; default: the file.")
    ] = None,
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", "-w", help="Keep the result there, for the lab."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Health, effects and a decision that stays valid however often it is looked at.

    Columns: variant, numbers (metrics), pre_METRIC (covariates for CUPED), text (segments), unit.

    Example: `tandem experiment analyse ab.csv --success orders --guardrails ctr=clicks/views`
    """
    from tandem.contracts.errors import InvalidInput
    from tandem.flows.experiment import analyse_file, keep_analysis
    from tandem.storage.layout import Layout

    try:
        parts = tuple(float(s) for s in shares.split(",")) if shares else ()
    except ValueError:
        raise InvalidInput(
            f"'{shares}' is not numbers", field="shares", remedy="for example 0.5,0.5"
        ) from None
    result = analyse_file(
        file,
        control=control,
        treatment=treatment,
        success=names(success),
        guardrails=names(guardrails),
        less_is_better=names(less_is_better),
        shares=parts,
        planned=planned,
        alpha=alpha,
        name=name,
    )
    if workspace is not None:
        keep_analysis(Layout.open(workspace), result)
    if json_:
        print_json(result.to_json())
        return
    if result.simulated:
        out.print("[bold]SIMULATED DATA[/]")
    r = result.sample_ratio
    sizes = ", ".join(f"{v} {n:,}" for v, n in r.observed.items())
    state = "[bold red]does not fit the plan[/]" if r.mismatch else "fits the plan"
    out.print(f"Units: {sizes}; this {state} (p = {r.p:.2g}).")
    for column, value, p in r.segments:
        out.print(f"  the fault shows where {column} is {value} (p = {p:.2g})", markup=False)
    table = Table(box=None)
    for head in ("metric", "control", "treatment", "change", "95% one look", "always valid", "p"):
        table.add_column(head, justify="left" if head == "metric" else "right")
    for m in result.metrics:
        e = result.effects[m.name]
        table.add_row(
            m.name + (" (guardrail)" if m.role == "guardrail" else ""),
            f"{e.control:.4g}",
            f"{e.treatment:.4g}",
            f"{e.difference:+.4g}" + (f" ({e.relative:+.1%})" if e.relative is not None else ""),
            f"{e.low:+.4g} … {e.high:+.4g}",
            f"{e.always_low:+.4g} … {e.always_high:+.4g}",
            f"{e.always_p:.3f}",
        )
    out.print(table)
    out.print(f"[bold]{result.decision.verdict.replace('_', ' ')}[/]: {result.decision.because}.")


@experiment_app.command("plan")
def plan_command(
    deviation: Annotated[float, typer.Option(help="Standard deviation of the metric by unit.")],
    effect: Annotated[float, typer.Option(help="Smallest difference in means worth finding.")],
    power: Annotated[float, typer.Option(help="Chance of finding it.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="False alarm rate.")] = 0.05,
    daily: Annotated[int | None, typer.Option(min=1, help="New units a day.")] = None,
    share: Annotated[float, typer.Option(help="Share of units in the treatment.")] = 0.5,
    json_: JsonOption = False,
) -> None:
    """How many units, and how many weeks?

    Example: `tandem experiment plan --deviation 0.3 --effect 0.01 --daily 4000`
    """
    from dataclasses import asdict

    from tandem.experiments.abtest.planning import plan

    result = plan(
        deviation=deviation, effect=effect, power=power, alpha=alpha, daily=daily, share=share
    )
    if json_:
        print_json(asdict(result))
        return
    for label, units, days in (
        ("one look at the end", result.units, result.days),
        ("looking at any time", result.sequential_units, result.sequential_days),
    ):
        out.print(f"{label}: {units:,} units" + (f", {days} days" if days else ""))


@experiment_app.command("sensitivity")
def sensitivity_command(
    sessions: Annotated[int, typer.Option(min=100, help="Simulated shoppers by method.")] = 4_000,
    noise: Annotated[
        str, typer.Option(help="Noise of the old and of the new ranker, by comma.")
    ] = "1.5,1.0",
    seed: Annotated[int, typer.Option(help="Same seed, same figures.")] = 7,
    json_: JsonOption = False,
) -> None:
    """How many shoppers interleaving needs, and how many an A/B test: on simulated shoppers.

    Example: `tandem experiment sensitivity --sessions 10000 --json`
    """
    from tandem.contracts.errors import InvalidInput
    from tandem.flows.interleaving import sensitivity

    try:
        old, new = (float(s) for s in noise.split(","))
    except ValueError:
        raise InvalidInput(
            f"'{noise}' is not two numbers", field="noise", remedy="for example 1.5,1.0"
        ) from None
    result = sensitivity(sessions, (old, new), seed).to_json()
    if json_:
        print_json(result)
        return
    out.print("[bold]SIMULATED SHOPPERS[/]; needed for 80% power at 5%, looking once:")
    for method, needed in result["shoppers"].items():
        times = result["times"][method]
        out.print(f"  {method:<11} {needed:>8,.0f}" + (f"  {times:.0f} times fewer" * (times > 1)))


@experiment_app.command("agreement")
def agreement_command(
    file: Annotated[Path, typer.Argument(help="One row per item, a column of ratings per judge.")],
    raters: Annotated[
        str | None,
        typer.Option(help="Columns of the judges, by comma; default: …_rating."),
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap resamples.")] = 1_000,
    json_: JsonOption = False,
) -> None:
    """Do the judges agree? Cohen's kappa by pair, Krippendorff's alpha for all.

    Example: `tandem experiment agreement rater_judgments.csv --json`
    """
    from tandem.flows.experiment import agreement_of_file

    result = agreement_of_file(file, names(raters), resamples=resamples)
    if json_:
        print_json(result.to_json())
        return
    out.print(f"{result.items:,} items, {len(result.raters)} judges")
    table = Table(box=None)
    for head in ("judges", "items", "equal", "kappa", "weighted kappa"):
        table.add_column(head, justify="left" if head == "judges" else "right")
    for p in result.pairs:
        table.add_row(
            f"{p.first}, {p.second}",
            f"{p.items:,}",
            f"{p.equal:.1%}",
            f"{p.kappa:.3f}",
            f"{p.weighted:.3f}",
        )
    out.print(table)
    for level, a in result.alpha.items():
        out.print(
            f"Krippendorff's alpha, {level}: {a:.3f} "
            f"({result.low[level]:.3f} – {result.high[level]:.3f})"
        )
