"""`tandem experiment`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json

experiment_app = typer.Typer(no_args_is_help=True, help="Plan and analyse controlled experiments.")
ClusterOption = Annotated[
    str | None,
    typer.Option(help="Column that names what was assigned, if not single units: merchant, say."),
]
ScheduleOption = Annotated[
    Path | None,
    typer.Option(help="Of a switch-back: the file that `experiment schedule` has written."),
]
BurnInOption = Annotated[
    float,
    typer.Option(min=0, max=0.99, help="Share of a period after a switch that is left out."),
]


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
    cluster: ClusterOption = None,
    schedule: ScheduleOption = None,
    burn_in: BurnInOption = 0.25,
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", "-w", help="Keep the result there, for the lab."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Health, effects and a decision that stays valid however often it is looked at.

    Columns: variant, numbers (metrics), pre_METRIC (covariates for CUPED), text (segments), unit.
    With --schedule, of a switch-back: place, at (a time with its offset) and numbers.

    Example: `tandem experiment analyse ab.csv --success orders --guardrails ctr=clicks/views`
    """
    from tandem.contracts.errors import InvalidInput
    from tandem.experiments.abtest.analysis import known
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
        cluster=cluster,
        schedule=schedule,
        burn_in=burn_in,
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
    counted = {
        "units": "Units",
        "clusters": f"Clusters by {result.design.clusters_of}",
        "switchback": "Periods of places",
    }[result.design.kind]
    out.print(f"{counted}: {sizes}; this {state} (p = {r.p:.2g}).")
    if result.design.kind == "switchback":
        out.print(f"Left out right after a switch: {result.design.dropped:,} observations.")
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
    for column, h in result.heterogeneity.items():
        differ = "parts differ" if h.q_p < 0.05 else "no sign that parts differ"
        out.print(f"By {column}: {differ} (Cochran's Q, p = {h.q_p:.2g}); with restraint:")
        inside = [g for g in result.segments if g.column == column and known(g)]
        for part, shrunk, low, high in zip(inside, h.shrunk, h.low, h.high, strict=True):
            out.print(f"  {part.value}: {shrunk:+.4g} ({low:+.4g} … {high:+.4g})", markup=False)
    out.print(f"[bold]{result.decision.verdict.replace('_', ' ')}[/]: {result.decision.because}.")


@experiment_app.command("plan")
def plan_command(
    effect: Annotated[
        float | None, typer.Option(help="Smallest difference in means worth finding.")
    ] = None,
    lift: Annotated[
        float | None, typer.Option(help="Or as a share of the mean, with --file or -w: 0.02.")
    ] = None,
    deviation: Annotated[
        float | None, typer.Option(help="Standard deviation of the metric by unit.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="Or a file of the past, one row per unit, to take it from.")
    ] = None,
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", "-w", help="Or a workspace: people of the last four weeks."),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Column of the file, or of an experiment: orders, say.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Column of the file that names what will be assigned.")
    ] = None,
    cluster_size: Annotated[
        float | None, typer.Option(help="Units of a cluster, where whole clusters are assigned.")
    ] = None,
    correlation: Annotated[
        float | None, typer.Option(help="How alike units of a cluster are: 0 to 1.")
    ] = None,
    power: Annotated[float, typer.Option(help="Chance of finding it.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="False alarm rate.")] = 0.05,
    daily: Annotated[int | None, typer.Option(min=1, help="New units a day.")] = None,
    share: Annotated[float, typer.Option(help="Share of units in the treatment.")] = 0.5,
    json_: JsonOption = False,
) -> None:
    """How many units, and how many weeks? Of clusters: how many. Of a switch-back: periods.

    Examples: `tandem experiment plan --deviation 0.3 --effect 0.01 --daily 4000` ·
    `tandem experiment plan --file past.csv --metric revenue --cluster merchant --lift 0.05`
    """
    from dataclasses import asdict

    from tandem.contracts.errors import InvalidInput
    from tandem.experiments.abtest.planning import plan
    from tandem.flows.designs import past_of_file
    from tandem.flows.exposed_days import past_of_people
    from tandem.governance.audit import os_actor
    from tandem.storage.layout import Layout

    seen, simulated, each = None, False, None
    if (file is not None or workspace is not None) and metric is None:
        raise InvalidInput("which metric?", field="metric", remedy="name a column with --metric")
    if file is not None and metric is not None:
        seen, simulated = past_of_file(file, metric, cluster)
    elif workspace is not None and metric is not None:
        seen, people, simulated = past_of_people(Layout.open(workspace), metric, actor=os_actor())
        daily = daily or people
    if seen is not None:
        deviation = deviation or seen.deviation
        each = seen.mean_cluster_size if cluster_size is None else None
        cluster_size = cluster_size or seen.cluster_size
        correlation = seen.correlation if correlation is None else correlation
        effect = effect if effect is not None or lift is None else lift * seen.mean
    for field, value, remedy in (
        ("deviation", deviation, "give it, or take it from --file or -w"),
        ("effect", effect, "give it, or with --file or -w a --lift"),
    ):
        if value is None:
            raise InvalidInput("it is missing", field=field, remedy=remedy)
    assert deviation is not None
    assert effect is not None
    result = plan(
        deviation=deviation,
        effect=effect,
        power=power,
        alpha=alpha,
        daily=daily,
        share=share,
        cluster_size=cluster_size,
        correlation=correlation or 0.0,
        mean_cluster_size=each,
    )
    if json_:
        past = None if seen is None else asdict(seen)
        print_json({**asdict(result), "effect": effect, "past": past, "simulated": simulated})
        return
    if simulated:
        out.print("[bold]SIMULATED DATA[/]")
    if seen is not None:
        out.print(f"{seen.units:,} units before: mean {seen.mean:.4g}, deviation {deviation:.4g}.")
    if result.clusters is not None:
        out.print(
            f"Clusters of {cluster_size:.1f} units, correlation {correlation or 0.0:.3f}: "
            f"{result.design_effect:.2f} times as many units as if each stood alone."
        )
    for label, units, clusters, days in (
        ("one look at the end", result.units, result.clusters, result.days),
        (
            "looking at any time",
            result.sequential_units,
            result.sequential_clusters,
            result.sequential_days,
        ),
    ):
        in_clusters = f" in {clusters:,} clusters" if clusters else ""
        out.print(f"{label}: {units:,} units{in_clusters}" + (f", {days} days" if days else ""))


@experiment_app.command("clusters")
def clusters_command(
    file: Annotated[Path, typer.Argument(help="One row per unit: CSV, JSON lines or Parquet.")],
    column: Annotated[str, typer.Option(help="Column that names the cluster: merchant, say.")],
    salt: Annotated[str, typer.Option(help="Name of the test: another one, another lot.")],
    to: Annotated[
        Path | None, typer.Option("--to", "-o", help="CSV to write: cluster, units, variant.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Assign whole clusters, where units of one reach each other: in pairs of one size.

    Example: `tandem experiment clusters products.csv --column merchant --salt fees --to arms.csv`
    """
    from tandem.flows.designs import clusters_of
    from tandem.storage.atomic import write_atomic

    made = clusters_of(file, column, salt)
    if to is not None:
        write_atomic(to, made.csv().encode())
    document = made.to_json()
    if json_:
        print_json(document)
        return
    for arm, n in document["arms"].items():
        out.print(f"{arm}: {n['clusters']:,} clusters with {n['units']:,} units")
    if to is None:
        out.print(made.csv(), markup=False, highlight=False)


@experiment_app.command("schedule")
def schedule_command(
    places: Annotated[str, typer.Option(help="Places that do not reach each other, by comma.")],
    start: Annotated[str, typer.Option(help="First moment, as 2026-12-01T00:00:00Z.")],
    salt: Annotated[str, typer.Option(help="Name of the test: another one, another lot.")],
    periods: Annotated[int, typer.Option(min=2, help="Periods of each place.")] = 28,
    hours: Annotated[float, typer.Option(help="Hours of a period.")] = 12.0,
    to: Annotated[
        Path | None, typer.Option("--to", "-o", help="CSV to write: place, starts, ends, variant.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Plan a switch-back: a place has one arm at a time, balanced in pairs of periods, by lot.

    How many periods: `experiment plan` with the deviation of a period's mean.

    Example: `tandem experiment schedule --places de,fr --start 2026-12-01T00:00Z --salt fees`
    """
    from tandem.flows.designs import schedule_of
    from tandem.storage.atomic import write_atomic

    made = schedule_of(names(places), periods, hours, start, salt)
    if to is not None:
        write_atomic(to, made.csv().encode())
    if json_:
        print_json(made.to_json())
    elif to is None:
        out.print(made.csv(), markup=False, highlight=False)
    else:
        out.print(f"Wrote {to}: {len(made.rows):,} periods.", markup=False)


@experiment_app.command("novelty")
def novelty_command(
    source: Annotated[
        str,
        typer.Argument(
            help="File with one row per unit and day (variant, day, numbers), or the name of an "
            "experiment of the workspace."
        ),
    ],
    metric: Annotated[str, typer.Option(help="Column of numbers.")] = "clicks",
    control: Annotated[str, typer.Option(help="Name of the control variant.")] = "control",
    treatment: Annotated[str | None, typer.Option(help="Name of the treatment.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Does the effect fade or grow with the days since people first saw the new version?

    Examples: `tandem experiment novelty daily.csv --metric orders` ·
    `tandem experiment novelty words -w shop --metric clicks --json`
    """
    from dataclasses import asdict

    from tandem.flows.designs import novelty_of_file
    from tandem.flows.experimenting import experiment_of
    from tandem.flows.exposed_days import novelty_of_experiment
    from tandem.governance.audit import os_actor
    from tandem.storage.layout import Layout

    if Path(source).suffix:
        found, simulated = novelty_of_file(
            Path(source), metric, control=control, treatment=treatment
        )
    else:
        layout = Layout.open(workspace)
        found, simulated = novelty_of_experiment(
            layout, experiment_of(layout, source), metric, treatment, actor=os_actor()
        )
    if json_:
        print_json({"metric": metric, "simulated": simulated, **asdict(found)})
        return
    if simulated:
        out.print("[bold]SIMULATED DATA[/]")
    for day, effect_, error in zip(found.days, found.effects, found.errors, strict=True):
        out.print(f"  day {day:>3}: {effect_:+.4g} ± {1.96 * error:.2g}")
    says = "fades" if found.fades else "grows" if found.grows else "shows no trend"
    out.print(
        f"The effect on {metric} [bold]{says}[/]: {found.trend:+.3g} a day (p = {found.p:.2g})."
    )


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
